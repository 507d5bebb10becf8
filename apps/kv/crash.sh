# Twenty times `xl destroy` in the middle of writes. The guest says each number once it
# is on the disk: the next one has to begin there or later, with all keys in step.
# Its files go with the first guest.
kernel=/tmp/kv-crash
cp "$(find /guests -type f -name kv | head -n 1)" $kernel
sleep 1
xl destroy "$GUEST"
last=0
for round in $(seq 20); do
	name=kv-crash-$round
	log=/var/log/xen/console/guest-$name.log
	xl create -q -e /dev/null "name='$name'" "kernel='$kernel'" memory=8 \
		"extra='run=\"count n\"'" \
		"disk=['format=raw,vdev=$VDEV,access=rw,target=$TARGET']"
	until grep -q "^n $((last + 3))" "$log"; do
		! grep -q 'error\|panic' "$log" || { cat "$log"; exit 1; }
		usleep 20000
	done
	usleep $((round * 13000))
	xl destroy "$name"
	begin=$(sed -n 's/^n begins at \([0-9]*\).*/\1/p' "$log")
	[ "$begin" -ge "$last" ] || { echo "round $round: $last was acknowledged, and $begin is there"; exit 1; }
	last=$(sed -n 's/^n \([0-9][0-9]*\).*/\1/p' "$log" | tail -n 1)
	[ "$last" -ge "$begin" ]
	rm "$log"
done
echo "kv: $last changes in 20 lives"
