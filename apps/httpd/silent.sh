# Clients that connect and say nothing, four times as many as there may be, shut nobody out.
url=http://$IP:80
for _ in $(seq 256); do
	(sleep 20 | nc $IP 80 >/dev/null 2>&1) &
done
sleep 2
answers=$(curl -s -m 20 -H 'Connection: close' -w '%{http_code}\n' -o /dev/null "$url/health?[1-60]" | grep -c 200)
[ "$answers" = 60 ] || { echo "$answers of 60 requests had an answer"; exit 1; }
[ "$(curl -sf -m 20 $url/metrics | sed -n 's/^xenith_http_refused //p')" = 0 ]
