# Bodies both ways by IPv4 and IPv6, with an offload switched off: curl gets back what it sent.
ip addr replace fd00::1/64 dev $BRIDGE nodad
head -c 2000000 /dev/urandom >/tmp/body
for url in http://$IP:80 "http://[fd00::2]:80"; do
	curl -gsf --data-binary @/tmp/body "$url/echo" | cmp - /tmp/body
	curl -gsf -H 'Transfer-Encoding: chunked' -T /tmp/body -X POST "$url/echo" | cmp - /tmp/body
	[ "$(curl -gsf "$url/bytes/3000000" | tr -d x | wc -c) $(curl -gsf "$url/bytes/3000000" | wc -c)" = '0 3000000' ]
done
