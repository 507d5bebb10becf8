# A server of programs is saved and restored in the middle of what it sends. A shell beside it counts.
curl -sf -m 120 --retry 60 --retry-delay 1 --retry-connrefused -o /dev/null http://$IP/busybox
transfers=0
while cycling; do
	curl -sf -m 120 --limit-rate 300k http://$IP/busybox | cmp - /tmp/root/bin/busybox
	transfers=$((transfers + 1))
done
echo "$transfers transfers"
