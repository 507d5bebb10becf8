# Files that Linux itself writes into a new file system, for the guest to read.
at=/tmp/at-$VDEV-$$
mkdir -p $at
modprobe -a vfat ext4
# Names are UTF-8 on FAT as well.
mount -o loop,utf8 "$DISK" $at 2>/dev/null || mount -o loop "$DISK" $at
mkdir -p "$at/a folder/deeper"
seq 20000 >"$at/a folder/deeper/numbers of many lines.txt"
printf 'short\n' >$at/short
: >$at/empty
seq 9000 >$at/cut.txt
seq 10 >$at/removed
seq 77 >"$at/$(printf '\346\227\245\346\234\254')"
rm $at/removed
umount $at
md5sum <"$DISK" >"$DISK.made"
