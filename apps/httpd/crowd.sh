# Four times as many clients as there may be, on each path: what is too much is refused,
# and httpd lives. Memory that requests decide over would end it.
url=http://$IP:80
# It may still turn somebody away while the crowd leaves.
healthy() {
	[ "$(curl -sf -m 20 --retry 5 --retry-delay 1 --retry-all-errors $url/health)" = ok ] || { echo "no answer after a crowd at $1"; exit 1; }
}
head -c 20000 /dev/zero | tr '\0' x >/tmp/crowd
for path in / /metrics /bytes/1 /bytes/100000 /nothing; do
	wrk -t1 -c1024 -d1s $url$path | grep -q 'requests in' || { echo "no answers from $path"; exit 1; }
	healthy $path
done
for _ in $(seq 60); do
	curl -s -m 10 -o /dev/null --data-binary @/tmp/crowd $url/echo &
done
wait
healthy /echo
