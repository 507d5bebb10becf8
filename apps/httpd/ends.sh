# An end in order: what is under way is finished, nobody new is let in, and a client that
# takes nothing does not hold the end up.
url=http://$IP:80
(curl -sf -m 20 --limit-rate 1M $url/bytes/2500000 | wc -c >/tmp/length) &
transfer=$!
(printf 'GET /bytes/90000000 HTTP/1.1\r\nHost: x\r\n\r\n'; sleep 15) | nc $IP 80 | sleep 15 &
(sleep 15 | nc $IP 80; date +%s >/tmp/closed) &
sleep 1
begun=$(date +%s)
xl shutdown $GUEST
sleep 0.5
status=0
curl -s -m 5 $url/health >/dev/null || status=$?
# On a busy machine the transfer may have ended before curl begins, and the guest be gone.
[ $status = 7 ] || ! kill -0 $transfer 2>/dev/null ||
	{ echo "a new connection was not refused: $status"; exit 1; }
wait $transfer
[ "$(cat /tmp/length)" = 2500000 ] || { echo "$(cat /tmp/length) bytes of a transfer came"; exit 1; }
# It is gone, or stands as one that has shut down.
for _ in $(seq 40); do
	xl list $GUEST 2>/dev/null | grep -q ' [r-][b-]---- ' || break
	sleep 0.2
done
took=$(($(date +%s) - begun))
[ $took -lt 8 ] || { echo "the end took $took s"; exit 1; }
