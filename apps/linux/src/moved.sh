# A server of programs is saved and restored in the middle of what it sends. A shell beside it counts.
curl -sf -m 120 --retry 60 --retry-delay 1 --retry-connrefused -o /dev/null http://$IP/bin/busybox
transfers=0
while cycling; do
	curl -sf -m 120 --limit-rate 300k http://$IP/bin/busybox | cmp - /tmp/root/bin/busybox
	transfers=$((transfers + 1))
done
echo "$transfers transfers"
# A program beside them had a number in a register of AVX all the time.
for _ in $(seq 60); do
	said=$(curl -sf -m 20 http://$IP/tmp/said)
	[ -z "$said" ] || break
	sleep 1
done
[ "$said" = 'ymm kept' ] || { echo "$said"; exit 1; }
