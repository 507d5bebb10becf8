# Files that Linux itself writes into a new file system, for the guest to read.
at=/tmp/at-$VDEV-$$
mkdir -p $at
modprobe -a vfat ext4
mount -o loop "$DISK" $at
mkdir -p "$at/a folder/deeper"
seq 20000 >"$at/a folder/deeper/numbers of many lines.txt"
printf 'short\n' >$at/short
: >$at/empty
seq 9000 >$at/cut.txt
seq 10 >$at/removed
rm $at/removed
umount $at
md5sum <"$DISK" >"$DISK.made"
