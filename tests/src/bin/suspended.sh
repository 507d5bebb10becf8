# The guest that is there is made anew, under names and in domains of this script's own.
log=/var/log/xen/console
memory=$(xl list | awk -v id=$GUEST '$2 == id { print $3 }')
kernel=/tmp/suspended-$GUEST
cp "$(find /guests -type f -name suspended | head -n 1)" $kernel
xl destroy "$GUEST"
first=first-$GUEST second=second-$GUEST file=/tmp/saved-$GUEST
# Whatever comes: dom0 has little memory, which its files are in.
trap 'for it in $first $second; do xl destroy $it 2>/dev/null || :; done; rm -f $kernel $file /tmp/core /tmp/$second.xl' EXIT
xl create -q -e /dev/null "name='$first'" "kernel='$kernel'" "memory=$memory" "tsc_mode='native'"

say() {
	tail -n 20 $log/guest-*$GUEST*.log
	xl dmesg | tail -n 5
	echo "suspended: $*"
	exit 1
}
# says NAME TEXT: waits until its console does.
says() {
	for _ in $(seq 300); do
		grep -q "$2" $log/guest-$1.log 2>/dev/null && return 0
		usleep 100000
	done
	say "$1 does not say: $2"
}
# The tree is announced with the first use of xenstore, just after the guest begins.
says $first '^ready'
sleep 1

# All pages are in a dump, and the guest goes on.
xl dump-core $first /tmp/core >/dev/null || say 'dump-core failed'
pages=$((memory * 256)) size=$(stat -c %s /tmp/core)
[ $size -gt $((pages * 4096)) ] || say "a dump of $size bytes for $pages pages"
rm /tmp/core

# Copied in place: nothing is told. Then saved, with each page in the file, and restored twice.
xl save -c $first $file || say 'save -c failed'
[ $(stat -c %s $file) -gt $((pages * 4096)) ] || say "$(stat -c %s $file) bytes are saved of $pages pages"
sleep 1
! grep -q '^generation' $log/guest-$first.log || say 'it takes itself for another domain'
xl save $first $file || say 'save failed'
! xl domid $first 2>/dev/null || say 'it was saved and is there'
xl restore -e $file || say 'restore failed'
says $first '^generation 1, memory true'
printf '%s\n' "name='$second'" "kernel='$kernel'" "memory=$memory" "tsc_mode='native'" >/tmp/$second.xl
xl restore -e /tmp/$second.xl $file || say 'the second restore failed'
says $second '^generation 1, memory true'
drew() {
	sed -n 's/.*drew //p' $log/guest-$1.log | tail -n 1
}
[ "$(drew $first)" != "$(drew $second)" ] || say "both drew $(drew $first)"

# Many more, each of which is a generation.
for number in $(seq 2 8); do
	xl save $first $file && xl restore -e $file || say "cycle $number failed"
	says $first "^generation $number, memory true"
done
for name in $first $second; do
	xl shutdown -w $name >/dev/null
	says $name '^verdict: pass'
done
