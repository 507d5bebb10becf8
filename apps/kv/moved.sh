# Suspended in the middle of its writes, and while nobody reads its console, which fills: each number that it
# says is on the disk, and it leaves none out.
kernel=/tmp/kv-moved name=kv-moved file=/tmp/kv-moved.saved log=/var/log/xen/console/guest-kv-moved.log
# Twenty lines of it fill the console.
key=$(printf '%0100d' 0 | tr 0 n)
read -r daemon </run/xenconsoled.pid
trap 'kill -CONT $daemon; xl destroy $name 2>/dev/null || :; rm -f $kernel $file /tmp/kv-moved.said $log' EXIT
cp "$(find /guests -type f -name kv | head -n 1)" $kernel
xl destroy "$GUEST"

say() {
	kill -CONT $daemon
	echo "$moment: $*"
	cat /tmp/kv-moved.said || :
	tail -n 20 $log || :
	xl list
	exit 1
} 2>/dev/null
last() {
	sed -n 's/^nn* \([0-9][0-9]*\).*/\1/p' $log | tail -n 1
}
# Waits until it has counted further.
counts() {
	local from=$(last)
	for _ in $(seq 200); do
		[ "$(last)" -lt $((from + 3)) ] || return 0
		usleep 50000
	done
	say "it says nothing more after $from"
}
# What the back end has written for it.
written() {
	cat /sys/bus/xen-backend/devices/vbd-$(xl domid $name)-*/statistics/wr_req
}
copied() {
	local id=$(xl domid $name)
	xl save -c $name $file >/tmp/kv-moved.said 2>&1 || say 'it was not copied'
	[ "$(xl domid $name)" = "$id" ] || say 'it is another domain'
}
saved() {
	xl save $name $file >/tmp/kv-moved.said 2>&1 || say 'it was not saved'
	xl restore -e $file >>/tmp/kv-moved.said 2>&1 || say 'it was not restored'
}

moment='writing to its disk'
xl create -q -e /dev/null "name='$name'" "kernel='$kernel'" memory=8 "tsc_mode='native'" \
	"extra='run=\"count $key\"'" "disk=['format=raw,vdev=$VDEV,access=rw,target=$TARGET']"
for _ in $(seq 100); do
	! grep -q '^nn* [0-9]' $log 2>/dev/null || break
	usleep 50000
done
counts
copied
counts
saved
counts

moment='its console is full'
kill -STOP $daemon
before=none
for _ in $(seq 60); do
	now=$(written)
	[ $now != $before ] || break
	before=$now
	sleep 1
done
[ $now = $before ] || say 'it writes on'
copied
[ "$(written)" = $now ] || say 'it writes on where it is'
xl save $name $file >/tmp/kv-moved.said 2>&1 || say 'it was not saved'
# Nothing is restored without the daemon. What it finds in the old domain's console, it may say once more.
kill -CONT $daemon
xl restore -e $file >>/tmp/kv-moved.said 2>&1 || say 'it was not restored'
counts
xl destroy $name
sleep 1
grep -q '^nn* begins at [0-9]' $log || say 'its first words are missing'
# The last line may not be whole.
sed '$d' $log | sed -n 's/^nn* \([0-9][0-9]*\).*/\1/p' >/tmp/kv-moved.said
awk 'NR == 1 { most = $1 } $1 > most + 1 { print "after " most " comes " $1; bad = 1 } $1 > most { most = $1 } END { exit bad }' \
	/tmp/kv-moved.said || say 'numbers are missing'
echo "kv: counted to $(last)"
