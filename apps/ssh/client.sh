# What OpenSSH's client sees. It exits with 255 also where all is well, as nothing tells it a status.
says() {
	text=$1
	shift
	/tmp/ssh/login "$@" >/tmp/ssh/said 2>&1 || :
	grep -q "$text" /tmp/ssh/said || {
		cat /tmp/ssh/said
		echo "ssh $*: no $text"
		exit 1
	}
}
# Commands, by both ciphers, with input that is at its end and with one that is not.
says '^ssh ' good $IP info </dev/null
says '^ssh ' good -c chacha20-poly1305@openssh.com $IP info </dev/null
sleep 3 | says '^up [0-9]* s' good -c aes256-ctr -m hmac-sha2-256 $IP uptime
says 'there is no such command' good $IP nonsense </dev/null
# A shell from a pipe, and one at a terminal, where what is typed is echoed.
printf 'uptime\nmetrics\nexit\n' | says '^heap' good -T $IP
printf 'uptime\rnonsense\r\004' | says '> uptime' good -tt $IP
grep -q '^nonsense: there is no such command' /tmp/ssh/said
# Not by another key, a password, or for who believes the key of another server.
says 'Permission denied (publickey)' bad $IP info </dev/null
says 'Permission denied (publickey)' good -o PubkeyAuthentication=no $IP info </dev/null
sed 's/IBm/IBn/' /tmp/ssh/known >/tmp/ssh/other
KNOWN=/other
export KNOWN
says 'Host key verification failed' good $IP info </dev/null
unset KNOWN
# Nor by a forwarded port, or files.
says 'open failed' good -W 10.0.0.1:80 $IP </dev/null
# Those who only wait, or make no sense, are in nobody's way for as long as they are fewer than eight.
for _ in 1 2 3; do
	nc -w 30 $IP 22 </dev/zero >/dev/null 2>&1 &
	(sleep 30) | nc -w 30 $IP 22 >/dev/null 2>&1 &
done
sleep 1
says '^ssh ' good $IP info </dev/null
# It ends when it is told.
says '' good $IP poweroff </dev/null
