# What the guest left is right for Linux: its tool that checks finds nothing, and the
# kernel reads what the guest says that it wrote. What the guest only reads is as it was.
at=/tmp/at-$VDEV-$$
mkdir -p $at
if fsck.fat -n "$DISK" >"$DISK.said"; then
	mount -o loop,ro,utf8 "$DISK" $at
	seq 20000 | cmp - "$at/a folder/renamed.txt"
	seq 30000 | cmp - "$at/a folder/written by the guest/numbers.txt"
	seq 9000 | head -c 10000 | cmp - $at/cut.txt
	[ "$(cat $at/short)" = 'short and longer' ]
	[ ! -e $at/empty ]
	seq 77 | cmp - "$at/$(printf '\346\227\245\346\234\254')"
	[ "$(cat "$at/$(printf '\303\251')")" = 'a letter' ]
	[ "$(ls $at | wc -l)" = 5 ]
	umount $at
else
	e2fsck -fn "$DISK" >"$DISK.said" 2>&1
	md5sum <"$DISK" | cmp - "$DISK.made"
fi
