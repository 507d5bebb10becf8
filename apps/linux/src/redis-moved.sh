# Debian's redis-server counts for one client through ten lives.
(while cycling; do printf 'INCR n\r\n'; usleep 20000; done; printf 'QUIT\r\n') |
	nc -w 60 $IP 6379 | tr -d '\r' >/tmp/answers || { echo 'the client has lost its connection'; exit 1; }
awk -F: '/^:/ { if ($2 != ++n) exit 1 } END { if (n < 100) exit 1; print n " answers" }' /tmp/answers || {
	echo "the answers end with $(tail -n 3 /tmp/answers | tr '\n' ' ')"
	exit 1
}
grep -q '^+OK' /tmp/answers
rm /tmp/answers
