# Clients that break TLS, each in its way: it gets an alert or nothing, and others are served.
ca=/tmp/ca/ca.pem
fine() {
	curl -sS -m 40 --cacert $ca --resolve "www.lab:443:$IP" https://www.lab/ | cmp - /tmp/https/index.html ||
		{ echo "nobody is served after $1"; exit 1; }
}
# gets WHAT BYTES: what is sent is answered by a fatal alert in plain text, and nothing else.
gets() {
	answer=$(printf "$2" | timeout 20 nc $IP 443 | od -An -v -tx1 | tr -d ' \n')
	case $answer in
	150303000202??) ;;
	*) echo "$1: the answer was '$answer' and no alert"; exit 1 ;;
	esac
	fine "$1"
}
gets 'HTTP on the port of HTTPS' 'GET / HTTP/1.1\r\n\r\n'
gets 'a record that is too long' '\026\003\001\110\001\001'
gets 'data before a handshake' '\027\003\003\000\001x'
gets 'a hello that is none' '\026\003\001\000\004\001\000\000\000'
head -c 2000000 /dev/zero | timeout 20 nc $IP 443 >/dev/null 2>&1 || :
fine noise

# s_client ARGUMENTS: what openssl's client says.
s_client() {
	timeout 60 openssl s_client -connect $IP:443 -servername www.lab -CAfile $ca "$@" >/tmp/said 2>&1 || :
}
expect() {
	grep -q "$1" /tmp/said || { cat /tmp/said; echo "no $1"; exit 1; }
}
# A version that is no longer one.
echo Q | s_client -tls1_1 -cipher ALL:@SECLEVEL=0
expect 'SSL alert number [47]0'
expect 'Cipher is (NONE)'
# One handshake for another in the middle (TLS 1.2) is refused.
(sleep 2; echo R; sleep 2; echo Q) | s_client -tls1_2
expect 'Verify return code: 0 (ok)'
fine renegotiation
# No ticket allows early data, which anybody could send again.
(sleep 2; echo Q) | s_client -tls1_3 -sess_out /tmp/session
printf 'GET / HTTP/1.1\r\nHost: www.lab\r\n\r\n' >/tmp/early
(sleep 2; echo Q) | s_client -tls1_3 -sess_in /tmp/session -early_data /tmp/early
expect 'Early data was not sent'
# New keys again and again, for nothing.
(sleep 2; for _ in $(seq 200); do echo k; done; sleep 1; echo Q) | s_client -tls1_3
fine 'new keys'

# Half handshakes, more than may be at a time: the oldest give way, and whoever is whole is served.
for _ in $(seq 200); do
	(printf '\026\003\001\002\000\001'; sleep 30) | nc $IP 443 >/dev/null 2>&1 &
done
sleep 2
for _ in 1 2 3 4 5; do
	fine 'half handshakes'
done
