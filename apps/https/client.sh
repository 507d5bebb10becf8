# What clients see of https: curl, and openssl for what curl does not ask.
ca=/tmp/ca/ca.pem
url=https://www.lab
get() {
	curl -sS --tlsv1.3 --cacert $ca --resolve "www.lab:443:$IP" --resolve "www.lab:80:$IP" "$@"
}
# says TEXT ARGUMENTS: openssl's client, whose output has to hold the text.
says() {
	text=$1
	shift
	echo Q | timeout 20 openssl s_client -connect $IP:443 -servername www.lab -CAfile $ca "$@" >/tmp/said 2>&1 || :
	grep -q "$text" /tmp/said || {
		cat /tmp/said
		echo "s_client $*: no $text"
		exit 1
	}
}

# Files are what they are, by name, and HTTP leads here.
get $url/ | cmp - /tmp/https/index.html
get $url/large.bin | sha256sum >/tmp/got
sha256sum </tmp/https/large.bin | cmp - /tmp/got
get -I $url/ | grep -qi '^strict-transport-security: max-age='
[ "$(get -o /dev/null -w '%{http_code} %{redirect_url}' "http://www.lab/a?b=c")" = "308 https://www.lab/a?b=c" ]
get -L http://www.lab/ | cmp - /tmp/https/index.html
# By HTTP/2, which curl prefers, and by HTTP/1.1.
[ "$(get -o /dev/null -w %{http_version} $url/)" = 2 ]
[ "$(get --http1.1 -o /dev/null -w %{http_version} $url/)" = 1.1 ]
h2load -n 200 -c 4 -m 10 "https://$IP/" | grep 'requests: .* 200 succeeded'
# Not for another name, nor for who knows the CA not.
! get --resolve "other.lab:443:$IP" https://other.lab/ 2>/dev/null
! curl -sS https://$IP/ 2>/dev/null

says 'Verify return code: 0 (ok)' -tls1_3
says 'Server Temp Key: ECDH, prime256v1' -groups P-256
says 'TLS_CHACHA20_POLY1305_SHA256' -ciphersuites TLS_CHACHA20_POLY1305_SHA256
says 'TLS_AES_256_GCM_SHA384' -ciphersuites TLS_AES_256_GCM_SHA384
says 'ALPN protocol: h2' -alpn h2,http/1.1
says 'ALPN protocol: http/1.1' -alpn http/1.1
# What it does not speak it says in the words of RFC 7301, section 3.2, and RFC 8446, appendix D.2.
says 'SSL alert number 120' -alpn h3
says 'SSL alert number 70' -tls1_2
# What s_client is told stands at the beginning of what it reads, so that it gets one thing after
# another. said COUNT TEXT: waits until it has said that so often.
asked='GET / HTTP/1.1\r\nHost: www.lab\r\n\r\n'
said() {
	for _ in $(seq 150); do
		[ "$(grep -c "$2" /tmp/said)" -lt $1 ] || return 0
		usleep 200000
	done
	echo "s_client did not say $2 $1 times" >&2
	exit 1
}
# A session is resumed, and keys are renewed in the middle.
: >/tmp/said
(printf "$asked"; said 1 'Served by TLS'; echo Q) |
	timeout 40 openssl s_client -connect $IP:443 -servername www.lab -CAfile $ca -sess_out /tmp/session -quiet -no_ign_eof >/tmp/said 2>&1 || :
says 'Reused, TLSv1.3' -sess_in /tmp/session
: >/tmp/said
(printf "$asked"; said 1 'Served by TLS'; echo K; said 1 KEYUPDATE; printf "$asked"; said 2 'Served by TLS'; echo Q) |
	timeout 80 openssl s_client -connect $IP:443 -servername www.lab -CAfile $ca >/tmp/said 2>&1 || :
[ "$(grep -c 'Served by TLS' /tmp/said)" = 2 ] || { cat /tmp/said; exit 1; }

# Who is silent, or speaks something else, is in nobody's way.
for _ in 1 2 3 4 5 6 7 8; do
	nc -w 15 $IP 443 </dev/zero >/dev/null 2>&1 &
	(sleep 15) | nc -w 15 $IP 443 >/dev/null 2>&1 &
done
get $url/ | cmp - /tmp/https/index.html

# The certificate is renewed on the disk.
cp /tmp/ca/two.pem /tmp/keys/cert.pem
cp /tmp/ca/two.key /tmp/keys/key.pem
tar -C /tmp/keys -cf /tmp/keys.new cert.pem key.pem
truncate -s 64K /tmp/keys.new
dd if=/tmp/keys.new of=/tmp/keys.tar bs=64K conv=notrunc,fsync 2>/dev/null
renewed() {
	echo Q | timeout 20 openssl s_client -connect $IP:443 -servername www.lab -CAfile $ca >/tmp/said 2>&1 || :
	grep -qi 'Peer signature type: ed25519' /tmp/said
}
tries=0
until renewed; do
	tries=$((tries + 1))
	[ $tries -lt 20 ] || { cat /tmp/said; exit 1; }
	sleep 1
done
