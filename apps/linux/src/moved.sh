# Programs are saved and restored: a shell that counts, and a server in the middle of what it sends. The
# guest that is there is made anew, in domains of this script's own.
name=moved-linux kernel=/tmp/moved-linux file=/tmp/moved-linux.saved
log=/var/log/xen/console/guest-$name.log
# Whatever comes: dom0 has little memory, which its files are in.
trap 'xl destroy $name 2>/dev/null || :; rm -f $kernel $file /tmp/$name.xl' EXIT
cp "$(find /guests -type f -name linux | head -n 1)" $kernel
xl destroy "$GUEST"
cat >/tmp/$name.xl <<END
name = '$name'
kernel = '$kernel'
memory = 32
tsc_mode = 'native'
vif = ['mac=$MAC,bridge=$BRIDGE']
disk = ['format=raw,vdev=xvda,access=ro,target=/tmp/root.tar']
extra = 'ip=$IP/24 run="sh -c \'(i=0; while sleep 0.2; do i=\$((i+1)); echo tick \$i; done) & exec httpd -f -p 80 -h /bin\'"'
END
xl create -q -e /tmp/$name.xl
say() {
	cat /tmp/xl.log
	tail -n 40 $log
	echo "moved: $*"
	exit 1
}
tick() {
	sed -n 's/^tick \([0-9]*\).*/\1/p' $log | tail -n 1
}
for _ in $(seq 60); do
	curl -sf -m 2 -o /dev/null http://$IP/busybox && break
done
for cycle in 1 2 3 4 5; do
	before=$(tick)
	(curl -sf -m 120 --limit-rate 300k http://$IP/busybox | cmp - /tmp/root/bin/busybox) &
	transfer=$!
	sleep 1
	xl save $name $file 2>/tmp/xl.log || say "save $cycle"
	xl restore -e $file 2>>/tmp/xl.log || say "restore $cycle"
	wait $transfer || say "what came in cycle $cycle is not what was sent"
	[ "$(tick)" -gt "${before:-0}" ] || say "the shell does not count after $before"
	echo "cycle $cycle: $(tick) ticks"
done
# None was lost, and none came twice.
sed -n 's/^tick \([0-9]*\).*/\1/p' $log | awk '$1 != NR { exit 1 }' || say 'ticks are missing'
