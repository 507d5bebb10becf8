# An end in order: a file under way by TLS is sent to its end, though the server that sends clients of
# HTTP here has nothing to finish, and nobody new is let in.
get() {
	curl -s --cacert /tmp/ca/ca.pem --resolve "www.lab:443:$IP" "$@"
}
(get -f -m 60 --limit-rate 1M https://www.lab/large.bin | sha256sum >/tmp/got) &
transfer=$!
sleep 1
xl shutdown $GUEST
sleep 0.5
for url in https://www.lab/ http://$IP/; do
	status=0
	get -m 5 $url >/dev/null || status=$?
	# On a busy machine the file may be there before curl begins, and the guest gone.
	[ $status = 7 ] || ! kill -0 $transfer 2>/dev/null ||
		{ echo "a new connection was not refused: $status"; exit 1; }
done
wait $transfer
sha256sum </tmp/https/large.bin | cmp - /tmp/got
