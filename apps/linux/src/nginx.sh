# Asks Debian's nginx, as it is configured there: pages, a large file by sendfile, many at once, and
# what it notes of that.
get() { curl -sS --retry 20 --retry-connrefused --retry-delay 1 "$@"; }
get "http://$IP/" | grep -q 'Welcome to nginx!'
size=$(get -o /tmp/big -w '%{size_download}' "http://$IP/big")
[ "$size" -gt 4000000 ]
for i in 1 2 3 4; do
	get -o /tmp/big$i "http://$IP/big" &
done
wait
for i in 1 2 3 4; do cmp /tmp/big /tmp/big$i; done
rm /tmp/big*
[ "$(get -o /dev/null -w '%{http_code}' -r 5-9 "http://$IP/index.html")" = 206 ]
[ "$(get -o /dev/null -w '%{http_code}' "http://$IP/none")" = 404 ]
wrk -t1 -c20 -d2 "http://$IP:80/" | tee /tmp/wrk
grep -q 'Requests/sec' /tmp/wrk
if grep -E 'Socket errors|Non-2xx' /tmp/wrk; then exit 1; fi
get "http://$IP/log" | grep -q '"GET /none HTTP/1.1" 404'
