# bodies CYCLES: takes the guest NAME through so many, with a body of a megabyte on its way there and
# back all the while, and says what came of the bodies and what the guest holds afterwards.
url=http://$IP:80 file=/bench/saved
fail() {
	rm -f /bench/cycling
	wait
	echo "$*" >&2
	cat /bench/failed /bench/said >&2 2>/dev/null
	exit 1
}
[ -e /bench/body ] || head -c 1000000 /dev/urandom >/bench/body
sum=$(sha256sum </bench/body)
: >/bench/cycling
: >/bench/failed
: >/bench/bodies
(
	while [ -e /bench/cycling ]; do
		curl -sSf -m 600 --limit-rate 400k --data-binary @/bench/body -o /bench/back $url/echo \
			-w '%{num_connects} connections, status %{http_code}, %{size_upload} bytes sent, %{size_download} back, %{time_total} s\n' \
			>/bench/curl 2>&1
		status=$?
		[ $status = 0 ] && [ "$(sha256sum </bench/back)" = "$sum" ] && grep -q '^1 connections' /bench/curl || {
			echo "body: curl ends with $status, the sum is $(sha256sum </bench/back) instead of $sum" >/bench/failed
			cat /bench/curl >>/bench/failed
			tail -n 12 /var/log/xen/console/guest-$NAME.log >>/bench/failed
			break
		}
		echo >>/bench/bodies
	done
) &
# What has come back so far.
come() {
	stat -c %s /bench/back 2>/dev/null
	wc -l </bench/bodies
}
cycle=0
while [ $((cycle += 1)) -le $CYCLES ]; do
	[ ! -s /bench/failed ] || fail "in cycle $cycle of $CYCLES"
	xl save $NAME $file >/bench/said 2>&1 || fail "save $cycle of $CYCLES"
	before=$(come)
	xl restore -e $file >/bench/said 2>&1 || fail "restore $cycle of $CYCLES"
	# The back end's script takes its time, and a peer says again what was lost in its own: who is away
	# again before that is heard by nobody.
	for _ in $(seq 600); do
		[ "$(come)" = "$before" ] || break
		sleep 0.1
	done
	sleep 0.2
done
rm -f /bench/cycling
wait
[ ! -s /bench/failed ] || fail "after $CYCLES cycles"
echo "bench: bodies=$(wc -l </bench/bodies)"
# A port may be that of a back end which is just connecting.
sleep 2
curl -sf -m 20 $url/metrics | sed -n 's/^xenith_\(event_channels\|grants\|grants_quarantined\|heap_used_bytes\|tasks\) \([0-9]*\)$/bench: \1=\2/p'
