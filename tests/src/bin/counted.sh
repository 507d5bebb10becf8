# Replaced by a new image with the same disk while clients ask for numbers, and not replaced by what has
# no such disk or does not take over: no number is given out twice, and each is a larger one.
url=http://$IP:80 name=counted-one kernel=/tmp/counted
trap 'xl destroy $name 2>/dev/null || :; xl destroy $name-next 2>/dev/null || :; xl destroy words 2>/dev/null || :; rm -f $kernel /tmp/asking /tmp/failed /tmp/numbers* /tmp/given /tmp/update.log' EXIT
cp "$(find /guests -type f -name counted | head -n 1)" $kernel
xl destroy "$GUEST"

say() {
	echo "counted: $*"
	cat /var/log/xen/console/guest-$name*.log /tmp/update.log /tmp/failed 2>/dev/null
	xl list
	exit 1
}
disk="format=raw,vdev=$VDEV,access=rw,target=$TARGET"
replace() {
	update $name /dev/null "kernel='$kernel'" memory=8 "extra='ip=$IP/24'" "tsc_mode='native'" \
		"vif=['mac=$MAC,bridge=$BRIDGE']" "$@" >/tmp/update.log 2>&1
}
# A number on each connection, one after the other.
ask() {
	while [ -e /tmp/asking ]; do
		curl -sf -m 20 $url/ >>/tmp/numbers$1 || echo "curl: $?" >>/tmp/failed
	done
}
# Waits until some more are given out, and compares all.
judge() {
	for _ in $(seq 150); do
		[ -s /tmp/failed ] || [ $(cat /tmp/numbers[123] 2>/dev/null | wc -l) -gt $((before + 9)) ] && break
		sleep 0.2
	done
	[ ! -s /tmp/failed ] || say "$1: a number was not given out"
	for one in 1 2 3; do
		sort -n -c -u /tmp/numbers$one || say "$1: the numbers of client $one are in another order"
	done
	# Read once: the clients go on asking meanwhile.
	cat /tmp/numbers[123] >/tmp/given
	twice=$(sort /tmp/given | uniq -d)
	[ ! "$twice" ] || say "$1: given out twice:" $twice
	given=$(wc -l </tmp/given)
	[ $given -gt $((before + 6)) ] || say "$1: nothing more is given out after $before"
	before=$given
}
xl create -q -e /dev/null "name='$name'" "kernel='$kernel'" memory=8 "extra='ip=$IP/24'" \
	"tsc_mode='native'" "vif=['mac=$MAC,bridge=$BRIDGE']" "disk=['$disk']"
for _ in $(seq 40); do
	[ "$(curl -sf -m 2 $url/)" ] && break
done
: >/tmp/asking
: >/tmp/failed
before=0
for one in 1 2 3; do ask $one & done
judge 'before'
uuid=$(xenstore read /local/domain/$(xl domid $name)/vm)

id=$(xl domid $name)
replace "disk=['$disk']" || say 'not replaced'
[ "$(xl domid $name)" != "$id" ] || say 'the same domain'
judge 'replaced'
[ "$(xenstore read /local/domain/$(xl domid $name)/vm)" = "$uuid" ] || say 'it is another machine'

id=$(xl domid $name)
! replace || say 'replaced by one that has no disk'
[ "$(xl domid $name)" = "$id" ] || say 'without a disk: another domain'
judge 'without a disk'

# A successor of words alone, to which all is given, and which does not take it.
xl create -q -e -p /dev/null "name='words'" "kernel='$kernel'" memory=8
words=$(xl domid words)
old=/local/domain/$id/data/update new=/local/domain/$words/data/update
xenstore rm $old
xenstore write $new/state 'ready 3 1 1 999999'
xenstore chmod -r $new n$words r$id
xenstore write $old/to $words
for _ in $(seq 60); do
	case $(xenstore read $old/state 2>/dev/null) in withdrawn*) break ;; esac
	sleep 0.2
done
[ "$(xenstore read $old/state)" = withdrawn ] || say "words: $(xenstore read $old/state)"
judge 'withdrawn'

rm /tmp/asking
wait
# They are on the disk: another domain goes on behind them.
last=$(cat /tmp/numbers[123] | sort -n | tail -n 1)
xl destroy $name
xl create -q -e /dev/null "name='$name'" "kernel='$kernel'" memory=8 "extra='ip=$IP/24'" \
	"tsc_mode='native'" "vif=['mac=$MAC,bridge=$BRIDGE']" "disk=['$disk']"
for _ in $(seq 40); do
	next=$(curl -sf -m 2 $url/) && break
done
[ "$next" -gt "$last" ] || say "after $last comes $next"
echo "counted: $before numbers"
