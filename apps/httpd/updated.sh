# Replaced by a new image while wrk and curl ask, whose requests are all answered; and not replaced
# by what does not start, takes no such state or does not take over.
url=http://$IP:80 name=served
kernel=/tmp/updated-httpd
trap 'xl destroy $name 2>/dev/null || :; xl destroy $name-next 2>/dev/null || :; xl destroy words 2>/dev/null || :; rm -f $kernel /tmp/wrk.log /tmp/failed /tmp/asking /tmp/update.log /tmp/body /tmp/echo /tmp/short' EXIT
cp "$(find /guests -type f -name httpd | head -n 1)" $kernel
xl destroy "$GUEST"

say() {
	echo "updated: $*"
	cat /var/log/xen/console/guest-$name*.log /tmp/wrk.log /tmp/update.log 2>/dev/null
	xl list
	xenstore ls /local/domain 2>/dev/null | grep -A9 update
	exit 1
}
replace() {
	update $name /dev/null "kernel='$kernel'" memory=4 "extra='ip=$IP/24 grace=${grace:-3}$1'" "tsc_mode='native'" \
		"vif=['mac=$MAC,bridge=$BRIDGE']" >/tmp/update.log 2>&1
}
requests() {
	curl -sf -m 20 $url/metrics | sed -n 's/^xenith_http_requests //p'
}
xl create -q -e /dev/null "name='$name'" "kernel='$kernel'" memory=4 "extra='ip=$IP/24 grace=3'" \
	"tsc_mode='native'" "vif=['mac=$MAC,bridge=$BRIDGE']"
for _ in $(seq 40); do
	[ "$(curl -sf -m 2 $url/health)" = ok ] && break
done

# Asks on one connection after another, and notes what fails.
ask() {
	while [ -e /tmp/asking ]; do
		curl -sf -m 20 -o /dev/null $url/bytes/30000 || echo "curl: $?" >>/tmp/failed
	done
}
for round in 1 2; do
	id=$(xl domid $name)
	: >/tmp/asking
	: >/tmp/failed
	ask &
	asks=$!
	wrk -t 1 -c 16 -d 9s --timeout 20s --latency $url/ >/tmp/wrk.log 2>&1 &
	asked=$!
	sleep 2
	before=$(requests)
	replace '' || say "round $round: not replaced"
	[ "$(xl domid $name)" != "$id" ] || say 'the same domain'
	[ "$(requests)" -gt "$before" ] || say "the count began anew: $before, then $(requests)"
	wait $asked || say 'wrk failed'
	rm /tmp/asking
	wait $asks
	[ ! -s /tmp/failed ] || say "round $round: $(cat /tmp/failed)"
	! grep -q 'Socket errors\|Non-2xx' /tmp/wrk.log || say "round $round: wrk had errors"
	sed -n '/Latency  /p;/requests in/p' /tmp/wrk.log
done

# A request that takes its time is answered by the old image, and one that takes for ever keeps nobody.
id=$(xl domid $name)
head -c 400000 /dev/urandom >/tmp/body
head -c 40000 /tmp/body >/tmp/short
curl -s -m 200 --limit-rate 4k --data-binary @/tmp/body -o /dev/null $url/echo &
endless=$!
: >/tmp/asking
: >/tmp/failed
ask &
asks=$!
sleep 1
curl -sf -m 90 --limit-rate 25k --data-binary @/tmp/short -o /tmp/echo $url/echo &
short=$!
usleep 300000
# The new one has time for the next to end it.
grace=15
replace '' || say 'a slow request kept the new image away'
[ "$(xl domid $name)" != "$id" ] || say 'the same domain'
wait $short || say 'a request of two seconds was cut off'
cmp /tmp/short /tmp/echo || say 'the body that came back is another'
! wait $endless || say 'the endless request has ended'
rm /tmp/asking
wait $asks
[ ! -s /tmp/failed ] || say "slow: $(cat /tmp/failed)"

# None of these is a successor.
id=$(xl domid $name)
goes_on() {
	[ "$(xl domid $name)" = "$id" ] || say "$*: another domain"
	[ "$(curl -sf -m 20 $url/health)" = ok ] || say "$*: no answer"
	! xl domid $name-next 2>/dev/null || say "$*: the other domain is still there"
}
! replace ' nonsense=1' || say 'replaced by what does not start'
goes_on 'does not start'
echo "$(cat /tmp/update.log)"

# A successor of words alone.
xl create -q -e -p /dev/null "name='words'" "kernel='$kernel'" memory=4
words=$(xl domid words)
old=/local/domain/$id/data/update new=/local/domain/$words/data/update
offer() {
	xenstore rm $old
	xenstore write $new/state "$1"
	xenstore chmod -r $new n$words r$id
	xenstore write $old/to $words
	for _ in $(seq 60); do
		case $(xenstore read $old/state 2>/dev/null) in $2*) break ;; esac
		sleep 0.2
	done
	case $(xenstore read $old/state 2>/dev/null) in $2*) ;; *) say "$1: $(xenstore read $old/state)" ;; esac
	goes_on "$1"
}
offer 'ready 3 2 3 9999' refused
# By an image that was built before disks were handed over, and by one that speaks of it otherwise.
offer 'ready 2 1 1 9999' refused
offer 'ready 9 1 1 9999' refused
# Of images that speak of it in another way.
offer 'ready 9' refused
offer 'ready 3 1 1 9999 7' refused
offer 'refused by itself' refused
: >/tmp/asking
: >/tmp/failed
ask &
asks=$!
offer 'ready 3 1 1 999999' withdrawn
rm /tmp/asking
wait $asks
[ ! -s /tmp/failed ] || say "withdrawn: $(cat /tmp/failed)"
xl destroy words
goes_on 'in the end'

# One that ends before it has given anything leaves none that waits for it.
curl -s -m 200 --limit-rate 4k --data-binary @/tmp/body -o /dev/null $url/echo &
endless=$!
sleep 1
replace '' &
replacing=$!
for _ in $(seq 100); do
	case $(xenstore read /local/domain/$(xl domid $name-next 2>/dev/null)/data/update/state 2>/dev/null) in ready*) break ;; esac
	usleep 100000
done
xl destroy $name
! wait $replacing || say 'replaced by what was given nothing'
grep -q 'has ended, and so has the new one' /tmp/update.log || say 'the end of the old one was not told'
! xl domid $name-next 2>/dev/null || say 'the new one is still there'
kill $endless 2>/dev/null || :
