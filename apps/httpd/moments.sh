# Saved at bad moments: it goes on each time, and its connections with it.
url=http://$IP:80 name=moments file=/tmp/moments.saved
kernel=/tmp/moments-httpd log=/var/log/xen/console/guest-moments.log
cleared() {
	kill -CONT $(pidof dnsmasq) 2>/dev/null || :
	xl destroy $name 2>/dev/null || :
	rm -f $kernel $file /tmp/moments.*
}
trap cleared EXIT
cp "$(find /guests -type f -name httpd | head -n 1)" $kernel
xl destroy "$GUEST"

say() {
	echo "$moment: $*"
	cat /tmp/moments.said /tmp/moments.curl || :
	tail -n 20 $log || :
	xl list
	exit 1
} 2>/dev/null
# make EXTRA ARGUMENT...: the guest.
make() {
	xl create -q -e /dev/null "name='$name'" "kernel='$kernel'" memory=4 "extra='$1'" \
		"tsc_mode='native'" "vif=['mac=$MAC,bridge=$BRIDGE']"
}
answers() {
	for _ in $(seq 40); do
		[ "$(curl -sf -m 2 $url/health)" = ok ] && return 0
		usleep 100000
	done
	say 'it does not answer'
}
saved() {
	xl save $name $file >/tmp/moments.said 2>&1 || say 'it was not saved'
	xl restore -e $file >>/tmp/moments.said 2>&1 || say 'it was not restored'
	rm $file
}
# A body that is on its way, until `arrives` says that it came back whole.
head -c 800000 /dev/urandom >/tmp/moments.body
sends() {
	curl -sf -m 60 --limit-rate 400k --data-binary @/tmp/moments.body -o /tmp/moments.back \
		-w '%{num_connects} connection, status %{http_code}\n' $url/echo >/tmp/moments.curl 2>&1 &
	transfer=$!
	for _ in $(seq 200); do
		[ -s /tmp/moments.back ] && return 0
		usleep 50000
	done
	say 'no byte came back'
}
arrives() {
	wait $transfer || say 'the transfer failed'
	cmp /tmp/moments.body /tmp/moments.back || say 'the body that came back is another'
	grep -q '^1 connection' /tmp/moments.curl || say 'there was another connection'
	rm /tmp/moments.back
}
is() {
	[ "$(xl domid $name)" = "$id" ] || say 'it is another domain'
}

moment='waiting for an address'
kill -STOP $(pidof dnsmasq)
make ''
frames=/sys/class/net/vif$(xl domid $name).0/statistics/rx_packets
for _ in $(seq 100); do
	[ "$(cat $frames)" -gt 0 ] && break
	usleep 50000
done
[ "$(cat $frames)" -gt 0 ] || say 'it asks for none'
saved
kill -CONT $(pidof dnsmasq)
answers

# The back end is connected when its script has ended: until then the front end waits for it.
moment='connecting its interface'
sed '1 a [ "$1" = offline ] || sleep 2' /etc/xen/scripts/vif-bridge >/etc/xen/scripts/vif-slow
chmod +x /etc/xen/scripts/vif-slow
for how in copy other; do
	id=$(xl domid $name)
	xl network-detach $id 0
	xl network-attach $id mac=$MAC bridge=$BRIDGE script=vif-slow >/dev/null 2>&1 &
	attach=$!
	for _ in $(seq 100); do
		[ "$(xenstore read /local/domain/$id/device/vif/0/state 2>/dev/null)" = 4 ] && break
		usleep 20000
	done
	[ "$(xenstore read /local/domain/$id/device/vif/0/state)" = 4 ] || say 'its front end did not come so far'
	if [ $how = copy ]; then
		xl save -c $name $file >/tmp/moments.said 2>&1 || say 'it was not copied'
		is
	else
		saved
	fi
	wait $attach || [ $how = other ] || say 'its interface was not attached'
	answers
done

moment='losing its interface'
sends
xl network-detach $(xl domid $name) 0 &
detach=$!
saved
wait $detach || :
xl network-list $name | grep -q $MAC || xl network-attach $name mac=$MAC bridge=$BRIDGE
arrives

moment='on a host whose clock is behind'
# Xen has its wall clock from dom0. What is in the file, `unstage` adds, however this ends.
clock() {
	echo $((-$1)) >/run/lab/clock
	date -s "@$(($(date +%s) + $1))" >/dev/null
	[ $1 -lt 0 ] || rm /run/lab/clock
}
uptime() {
	curl -sf -m 20 $url/metrics | sed -n 's/^xenith_uptime_milliseconds //p'
}
sends
before=$(uptime)
xl save $name $file >/tmp/moments.said 2>&1 || say 'it was not saved'
clock -4000
trap 'clock 4000; cleared' EXIT
xl restore -e $file >>/tmp/moments.said 2>&1 || say 'it was not restored'
arrives
after=$(uptime) here=$(date +%s)
[ "$after" -gt "$before" ] && [ "$after" -lt $((before + 60000)) ] || say "its clock went from $before to $after"
there=$(curl -s -m 20 -D - -o /dev/null $url/ | sed -n 's/^Date: .*, \(.*\) GMT.*/\1/p')
there=$(date -u -D '%d %b %Y %T' -d "$there" +%s)
[ $((there - here)) -ge -1 ] && [ $((there - here)) -le 5 ] || say "it is $there there, and $here here"
clock 4000
trap cleared EXIT

# Where xl is killed, nobody lets the guest go on. Another xl does, once it has the acknowledgement that a
# suspended guest does not give (docs/src/suspend.md).
moment='xl is killed before it is suspended'
sends
id=$(xl domid $name)
asked=/local/domain/$id/control/shutdown
xl pause $name
xl save $name $file >/tmp/moments.said 2>&1 &
xl=$!
for _ in $(seq 100); do
	[ "$(xenstore read $asked)" != suspend ] || break
	usleep 20000
done
[ "$(xenstore read $asked)" = suspend ] || say 'it is not asked'
kill -9 $xl
wait $xl || :
xenstore write $asked ''
xl unpause $name
arrives
is

moment='xl is killed while it writes'
sends
mkfifo /tmp/moments.pipe
exec 3<>/tmp/moments.pipe
xl save $name /tmp/moments.pipe >/tmp/moments.said 2>&1 3>&- &
xl=$!
# Part of it is read, and then nothing.
head -c 500000 <&3 >/dev/null
kill -9 $xl
wait $xl || :
exec 3>&-
rm /tmp/moments.pipe
case $(xl list $name | tail -n 1) in *---ss-*) ;; *) say 'it is not suspended' ;; esac
xl save -c $name $file >/tmp/moments.said 2>&1 &
xl=$!
for _ in $(seq 100); do
	[ "$(xenstore read $asked)" != suspend ] || break
	usleep 20000
done
xenstore write $asked ''
wait $xl || say 'it was not copied'
arrives
is

xl shutdown -w $name >/dev/null
