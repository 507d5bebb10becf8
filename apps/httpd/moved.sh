# Saved, restored, copied in place and moved while bodies are on their way, which arrive whole on the
# connection that they began on. The guest's own files go with it.
url=http://$IP:80 name=moved
kernel=/tmp/moved-httpd
# Whatever comes: dom0 has little memory, which its files are in.
trap 'xl destroy $name 2>/dev/null || :; rm -f $kernel /tmp/saved /tmp/body' EXIT
cp "$(find /guests -type f -name httpd | head -n 1)" $kernel
xl destroy "$GUEST"
xl create -q -e /dev/null "name='$name'" "kernel='$kernel'" memory=4 "extra='ip=$IP/24'" \
	"tsc_mode='native'" "vif=['mac=$MAC,bridge=$BRIDGE']"

say() {
	echo "moved: $*"
	exit 1
}
back() {
	for _ in $(seq 40); do
		[ "$(curl -sf -m 2 $url/health)" = ok ] && return 0
	done
	cat /var/log/xen/console/guest-$name*.log
	xl list
	say "no answer after $1"
}
metric() {
	curl -sf -m 20 $url/metrics | sed -n "s/^xenith_$1 //p"
}
back 'the start'
head -c 1500000 /dev/urandom >/tmp/body

# What can be done to it. Status 0 is not believed: the bodies and answers below are.
save() {
	xl save $name /tmp/saved 2>/tmp/xl.log && xl restore -e /tmp/saved 2>>/tmp/xl.log && rm /tmp/saved
}
copy() {
	xl save -c $name /tmp/saved 2>/tmp/xl.log && rm /tmp/saved
}
# Xen without shadow page tables (Debian's 4.17.7) moves no PV guest, and says so; it goes on then.
move() {
	xl migrate -s '' $name 'xl migrate-receive -e' >/tmp/xl.log 2>&1 && return 0
	grep -q 'Failed to enable logdirty: 95' /tmp/xl.log
}
# A file system without room: the guest goes on.
fail() {
	mkdir -p /tmp/small
	mount -t tmpfs -o size=1m none /tmp/small
	! xl save $name /tmp/small/saved 2>/tmp/xl.log
	umount /tmp/small
}

round=0 id=$(xl domid $name)
for what in move copy save save fail save move copy fail save; do
	round=$((round + 1))
	(curl -sf -m 90 --limit-rate 400k --data-binary @/tmp/body $url/echo -w '%{stderr}%{num_connects}' 2>/tmp/connects | cmp - /tmp/body) &
	transfer=$!
	sleep 1
	$what || { cat /tmp/xl.log; say "$what, round $round"; }
	wait $transfer || say "the body of round $round ($what) is another"
	[ "$(cat /tmp/connects)" = 1 ] || say "a second connection in round $round ($what)"
	back "$what, round $round"
	case $what in
	move) ;;
	copy | fail) [ "$(xl domid $name)" = $id ] || say "another domain after $what" ;;
	*) [ "$(xl domid $name)" != $id ] || say "the same domain after $what" ;;
	esac
	id=$(xl domid $name)
	now="$(metric grants) $(metric grants_quarantined) $(metric event_channels)"
	heap=$(metric heap_used_bytes)
	case $round in
	4) settled=$now heaped=$heap ;;
	esac
	echo "round $round, $what: $now, heap $heap"
done
[ "$(metric grants_quarantined)" = 0 ] || say 'pages are in quarantine'
[ "$(metric event_channels)" = "${settled##* }" ] || say "ports: $settled, then $now"
[ $(metric heap_used_bytes) -lt $((heaped + 100000)) ] || say "the heap has grown from $heaped"
xl shutdown -w $name
