# Asks a server in dom0 through Debian's haproxy, master and worker, whose configuration is Debian's.
for _ in $(seq 50); do
	curl -sf -m 5 -o /tmp/page "http://$IP/page" && break
	sleep 0.2
done
for i in $(seq 10); do curl -sSf -m 10 -o "/tmp/page$i" "http://$IP/page" & done
wait
for i in $(seq 10); do [ "$(cat "/tmp/page$i")" = behind ]; done
[ "$(curl -s -o /dev/null -w '%{http_code}' "http://$IP/none")" = 404 ]
