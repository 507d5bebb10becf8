# Debian's redis-server counts for one client through ten lives. The guest that is there is made anew, in
# domains of this script's own.
name=moved-redis kernel=/tmp/moved-redis file=/tmp/moved-redis.saved
log=/var/log/xen/console/guest-$name.log
# Whatever comes: dom0 has little memory, which its files are in.
trap 'xl destroy $name 2>/dev/null || :; rm -f $kernel $file /tmp/$name.xl' EXIT
cp "$(find /guests -type f -name linux | head -n 1)" $kernel
xl destroy "$GUEST"
cat >/tmp/$name.xl <<EOF
name = '$name'
kernel = '$kernel'
memory = 32
tsc_mode = 'native'
vif = ['mac=$MAC,bridge=$BRIDGE']
disk = ['format=raw,vdev=$VDEV,access=ro,target=$TARGET']
extra = 'ip=$IP/24 run="redis-server --protected-mode no --dir /tmp"'
EOF
xl create -q -e /tmp/$name.xl
say() {
	cat /tmp/xl.log
	tail -n 20 $log
	echo "moved: $*"
	exit 1
}
for _ in $(seq 300); do
	grep -q 'Ready to accept connections' $log && break
	usleep 100000
done
(for _ in $(seq 1500); do printf 'INCR n\r\n'; usleep 20000; done; printf 'QUIT\r\n') |
	nc -w 60 $IP 6379 | tr -d '\r' >/tmp/answers &
client=$!
for cycle in $(seq 10); do
	sleep 1
	xl save $name $file 2>/tmp/xl.log || say "save $cycle"
	xl restore -e $file 2>>/tmp/xl.log || say "restore $cycle"
done
wait $client || say 'the client has lost its connection'
awk -F: '/^:/ { if ($2 != ++n) exit 1 } END { if (n != 1500) exit 1 }' /tmp/answers ||
	say "the answers end with $(tail -n 3 /tmp/answers | tr '\n' ' ')"
