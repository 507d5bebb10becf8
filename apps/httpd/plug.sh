# A network interface that comes and goes under load: it connects anew each time, and
# nothing is left behind.
url=http://$IP:80
metric() {
	curl -sf -m 20 $url/metrics | sed -n "s/^xenith_$1 //p"
}
back() {
	for _ in $(seq 30); do
		[ "$(curl -sf -m 2 $url/health)" = ok ] && return 0
	done
	echo "no answer after $1"
	return 1
}
back 'the start'
# The front end grants more pages while more frames wait: as many as a transfer takes.
head -c 3000000 /dev/urandom >/tmp/plug
curl -sf -m 60 --limit-rate 1M --data-binary @/tmp/plug $url/echo | cmp - /tmp/plug || exit 1
grants=$(metric grants) ports=$(metric event_channels) heap=$(metric heap_used_bytes)
(while :; do curl -s -m 3 -o /dev/null $url/ || sleep 0.1; done) &
load=$!

# The back end closes and connects again while a body is on its way, which arrives whole.
(curl -sf -m 60 --limit-rate 1M --data-binary @/tmp/plug $url/echo | cmp - /tmp/plug) &
transfer=$!
sleep 1
xenstore-write /local/domain/0/backend/vif/$GUEST/0/state 5
wait $transfer
back 'a restart of the back end'

# Taken away and given back, the last time without load: a connection lends more pages
# for sending as it needs them, and the count has to compare with that at the start.
for time in $(seq 20); do
	if [ $time = 20 ]; then
		kill $load
		sleep 4
	fi
	xl network-detach $GUEST 0
	xl network-attach $GUEST mac=$MAC bridge=$BRIDGE
	back "the attachment $time"
done
sleep 2

# What stays: said by name, as a test of the shell alone fails without a word.
is() {
	local now=$(metric $1)
	[ "$now" $2 "$3" ] || { echo "$1 is ${now:-not told}, expected $2 $3"; exit 1; }
}
is net_connections -ge 22
# A chunk more is no leak: one of each connection would be 22.
is grants -le $((grants + 8))
is grants_quarantined -eq 0
is event_channels -eq $ports
is heap_used_bytes -lt $((heap + 100000))
