# Far more clients than there is memory for, whose requests come back as no answer that
# they understand: it lives, and echoes to the next.
wrk -t1 -c1024 -d2s http://$IP:7/ >/dev/null || true
for _ in $(seq 20); do
	[ "$(echo hello | nc -w 5 $IP 7)" = hello ] && exit 0
	sleep 1
done
echo "no echo after a crowd"
exit 1
