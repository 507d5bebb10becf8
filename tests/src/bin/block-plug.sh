# The disk comes back by a script that takes its time, and meanwhile the guest is saved and restored: it is
# connected in the end.
script=/etc/xen/scripts/block-late
sed '1 a [ $1 = remove ] || sleep 3' /etc/xen/scripts/block >$script
chmod +x $script
disk=format=raw,vdev=$VDEV,access=rw,script=block-late,target=$TARGET
xl block-attach $GUEST $disk >/tmp/attach 2>&1 &
attach=$!
node=/local/domain/$GUEST/device/vbd
state=none
for _ in $(seq 100); do
	disks=$(xenstore list $node 2>/dev/null || :)
	state=$(xenstore read "$node/${disks%%[!0-9]*}/state" 2>/dev/null || :)
	# It has done its part, and waits for the back end.
	[ "$state" != 3 ] || break
	usleep 20000
done
[ "$state" = 3 ] || { echo "its front end is in state $state"; exit 1; }
move save $NAME
# Where that comes too early, the domain that is saved has no such disk.
wait $attach || cat /tmp/attach
id=$(xl domid $NAME)
[ -n "$(xl block-list $id | sed 1d)" ] || xl block-attach $id $disk
