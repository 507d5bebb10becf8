# What clients see of a site that gets its certificate, and another one while they are there.
ca=/tmp/acme/srv/root.pem
get() {
	curl -sS -m 20 --cacert $ca --resolve "site.lab:443:$IP" --resolve "blog.lab:443:$IP" --resolve "site.lab:80:$IP" "$@"
}
s_client() {
	openssl s_client -connect $IP:443 -servername site.lab -CAfile $ca -verify_return_error "$@"
}
fail() {
	echo "$1"
	cat /tmp/said /tmp/acme/srv/wrong /tmp/ca-said 2>/dev/null || :
	exit 1
}
serial() {
	echo Q | timeout 20 openssl s_client -connect $IP:443 -servername site.lab 2>/dev/null | openssl x509 -noout -serial
}
# said COUNT: waits until the page has come so often on the connection that is kept.
said() {
	for _ in $(seq 400); do
		[ "$(grep -c 'Served by TLS' /tmp/said)" -lt $1 ] || return 0
		usleep 200000
	done
	fail "the page did not come $1 times"
}
first=$(serial)
asked='GET / HTTP/1.1\r\nHost: site.lab\r\n\r\n'
: >/tmp/said
rm -f /tmp/renewed
(
	printf "$asked"
	said 1
	until [ -e /tmp/renewed ]; do usleep 200000; done
	printf "$asked"
	said 2
	echo Q
) | timeout 120 openssl s_client -connect $IP:443 -servername site.lab -CAfile $ca -verify_return_error -quiet -no_ign_eof >/tmp/said 2>&1 &
kept=$!
get https://site.lab/ | cmp - /tmp/site/index.html
get https://blog.lab/ | cmp - /tmp/site/index.html
[ "$(get -o /dev/null -w '%{http_code} %{redirect_url}' "http://site.lab/a?b=c")" = "308 https://site.lab/a?b=c" ]
[ "$(get -o /dev/null -w '%{http_code}' http://site.lab/.well-known/acme-challenge/unknown)" = 404 ]
said 1
for try in $(seq 300); do
	second=$(serial)
	[ "$second" = "$first" ] || break
	usleep 300000
done
[ -n "$second" ] && [ "$second" != "$first" ] || fail "the certificate is still $first"
touch /tmp/renewed
wait $kept || :
said 2
get https://site.lab/ | cmp - /tmp/site/index.html
[ ! -e /tmp/acme/srv/wrong ] || fail "the CA has something to say"
# What is kept is there, and who looks at it sees which keys are whose.
grep -aq 'account key https://www.lab:14000/directory' /tmp/acme-store
