# What the guest left is right for Linux: its tool that checks finds nothing, and the
# kernel reads what the guest says that it wrote. What the guest only reads is as it was.
at=/tmp/at-$VDEV-$$
mkdir -p $at
if fsck.fat -n "$DISK" >"$DISK.said"; then
	mount -o loop,ro "$DISK" $at
	seq 20000 | cmp - "$at/a folder/renamed.txt"
	seq 30000 | cmp - "$at/a folder/written by the guest/numbers.txt"
	seq 9000 | head -c 10000 | cmp - $at/cut.txt
	[ "$(cat $at/short)" = 'short and longer' ]
	[ ! -e $at/empty ]
	[ "$(ls $at | wc -l)" = 3 ]
	umount $at
else
	e2fsck -fn "$DISK" >"$DISK.said" 2>&1
	md5sum <"$DISK" | cmp - "$DISK.made"
fi
