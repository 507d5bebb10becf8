# Four times as many clients as there may be, on each path: what is too much is refused,
# and httpd lives. Memory that requests decide over would end it.
url=http://$IP:80
head -c 20000 /dev/zero | tr '\0' x >/tmp/crowd
for path in / /metrics /bytes/1 /bytes/100000 /nothing; do
	wrk -t1 -c1024 -d1s $url$path | grep -q 'requests in' || { echo "no answers from $path"; exit 1; }
	[ "$(curl -sf -m 20 $url/health)" = ok ] || { echo "no answer after a crowd at $path"; exit 1; }
done
for _ in $(seq 60); do
	curl -s -m 10 -o /dev/null --data-binary @/tmp/crowd $url/echo &
done
wait
[ "$(curl -sf -m 20 $url/health)" = ok ] || { echo "no answer after a crowd at /echo"; exit 1; }
