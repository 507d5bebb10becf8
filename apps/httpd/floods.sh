# What httpd bears: floods, and clients that say nothing or too little.
url=http://$IP:80
alive() {
	[ "$(curl -sf -m 20 $url/health)" = ok ]
}
metric() {
	curl -sf -m 20 $url/metrics | sed -n "s/^xenith_$1 //p"
}
alive

# A body that stops, beside all of what follows, ends its connection after 20 s with 408.
( (printf 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab'; sleep 24) |
	nc -w 30 $IP 80 | head -n 1 | tr -d '\r' >/tmp/slow) &

# SYNs from nobody, echo requests, and frames to all, each while others are served.
flood() {
	hping3 -q -i u300 "$@" >/dev/null 2>&1 &
	flooder=$!
	for time in 1 2 3 4 5; do
		curl -sS -m 20 -o /dev/null $url/health || { echo "request $time in the flood $*"; exit 1; }
	done
	kill $flooder
}
flood --rand-source -S -p 80 $IP
flood -1 -d 1000 $IP
flood -2 -p 9 10.0.0.255
flood --rand-source -F -p 80 $IP
alive

# Clients that connect and say nothing, more than may at a time.
for _ in $(seq 150); do
	(sleep 8 | nc -w 10 $IP 80 >/dev/null 2>&1) &
done
sleep 1
curl -s -m 20 -o /dev/null $url/health || true

wait
slow=$(cat /tmp/slow)
[ "$slow" = 'HTTP/1.1 408 Request Timeout' ] || { echo "a body that stops is told '$slow'"; exit 1; }

# More clients than there is memory for: some are refused, the others served, and again
# and again takes no more memory. Tables grow with the most connections that there ever
# were, which differ from time to time, but not each time.
crowd() {
	wrk -t1 -c400 -d3s $url/health | grep -q 'requests in' || return 1
	for _ in $(seq 40); do
		[ "$(metric http_connections_open)" = 1 ] && break
		sleep 1
	done
	metric heap_used_bytes
}
used=$(crowd) || { echo "no answers to a crowd"; exit 1; }
for time in 2 3 4 5; do
	before=$used
	used=$(crowd)
	[ "$used" -lt $((before + 50000)) ] && break
	[ $time != 5 ] || { echo "the heap grew each time, at last from $before to $used"; exit 1; }
done
# Whatever could not be had meanwhile ended a connection, and not httpd.
alive
