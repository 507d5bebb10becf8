# Asks Debian's memcached by its text protocol.
until nc.openbsd -z "$IP" 11211; do sleep 0.2; done
printf 'set key 0 0 5\r\nvalue\r\nget key\r\nincr key 1\r\nset n 0 0 1\r\n9\r\nincr n 1\r\nquit\r\n' |
	nc.openbsd -w 5 "$IP" 11211 | tr -d '\r' >/tmp/said
printf '%s\n' STORED 'VALUE key 0 5' value END \
	'CLIENT_ERROR cannot increment or decrement non-numeric value' STORED 10 | diff - /tmp/said
# More connections at once than it has threads.
for i in $(seq 20); do
	printf "set k$i 0 0 2\r\n$((i + 10))\r\nget k$i\r\nquit\r\n" | nc.openbsd -w 5 "$IP" 11211 |
		tr -d '\r' >"/tmp/said$i" &
done
wait
for i in $(seq 20); do grep -qx "$((i + 10))" "/tmp/said$i"; done
