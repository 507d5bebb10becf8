# Replaces the guest NAME by itself while wrk asks, and says what wrk saw.
again() {
	awk '/^Tcp: [0-9]/ { print $13 }' /proc/net/snmp
}
# As on a host: in the lab dom0 has 256 times as much of the processor as a guest, which the toolstack
# would keep from serving for as long as it works.
xl sched-credit -d 0 -w 256
sent=$(again)
wrk -t 1 -c 4 -d 600s --timeout 20s --latency http://$IP:80/ >/bench/wrk 2>&1 &
asks=$!
sleep 0.2
before=$(xl domid $NAME)
update $NAME /dev/null "kernel='/bench/guest'" memory=4 "extra='ip=$IP/24'" "tsc_mode='native'" \
	"vif=['mac=$MAC,bridge=xenbr0']" >/bench/update 2>&1 || {
	cat /bench/update >&2
	kill $asks
	exit 1
}
[ "$(xl domid $NAME)" != "$before" ] || { echo 'it is the same domain' >&2; exit 1; }
# It sums up then.
sleep 0.2
kill -INT $asks
wait $asks
xl sched-credit -d 0 -w 65535
cat /bench/wrk
echo "bench: again=$(($(again) - sent))"
