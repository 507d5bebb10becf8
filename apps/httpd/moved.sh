# Bodies arrive whole on the connection that they began on while the guest is saved, copied in place and
# moved; and nothing is left behind by that.
url=http://$IP:80
say() {
	echo "moved: $*"
	exit 1
}
metric() {
	curl -sf -m 20 $url/metrics | sed -n "s/^xenith_$1 //p"
}
# Bytes of the heap, besides the pages that are lent to the back end: of these there are more once
# frames have waited, which may be before the first cycle or after.
held() {
	echo $(($(metric heap_used_bytes) - 4096 * $(metric grants)))
}
ports=$(metric event_channels)
head -c 1500000 /dev/urandom >/tmp/body
curl -sf -m 90 --data-binary @/tmp/body $url/echo | cmp - /tmp/body
heap=$(held)
bodies=0
while cycling; do
	curl -sf -m 90 --limit-rate 400k --data-binary @/tmp/body $url/echo -w '%{stderr}%{num_connects}' 2>/tmp/connects |
		cmp - /tmp/body || say "body $bodies is another"
	[ "$(cat /tmp/connects)" = 1 ] || say "a second connection for body $bodies"
	bodies=$((bodies + 1))
	# Lists of buffers fill in the first cycles, and hold as much ever after.
	[ $bodies != 4 ] || heap=$(held)
done
# A port may be that of a back end which is just connecting.
for _ in $(seq 30); do
	[ "$(metric event_channels)" != "$ports" ] || break
	usleep 300000
done
[ "$(metric event_channels)" = "$ports" ] || say "ports: $ports, then $(metric event_channels)"
[ "$(metric grants_quarantined)" = 0 ] || say 'pages are in quarantine'
# A ring has 256 buffers to receive into, and what the earlier domains granted is free.
grants=$(metric grants)
[ "$grants" -le 300 ] || say "$grants grants"
now=$(held)
[ $now -lt $((heap + 100000)) ] || say "the heap has grown from $heap to $now"
echo "$bodies bodies; $ports ports, $grants grants, heap $heap, then $now"
rm /tmp/body /tmp/connects

# Replaced by itself, as `cargo mk update` does it with the guest of a run, whose end that is not.
requests=$(metric http_requests) id=$(xl domid $NAME)
(cd /guests/$NAME && move update $NAME *.xl) || say 'it was not replaced'
[ "$(xl domid $NAME)" != "$id" ] || say 'it is the same domain'
[ "$(metric http_requests)" -gt "$requests" ] || say "it began anew, after $requests requests"
