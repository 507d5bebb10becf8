# What clients see of chat: curl, and nc for the frames of RFC 6455, section 5.7, and others.
url=http://$IP:80

curl -sf $url/ | grep -q 'new WebSocket'
[ "$(curl -sf $url/lines)" = '[]' ]
status() {
	curl -s -o /dev/null -w '%{http_code}' "$@"
}
[ "$(status $url/nothing)" = 404 ]
[ "$(status $url/chat)" = 426 ]
[ "$(status -d 'name=x' -X PUT $url/say)" = 405 ]

# Who listens is told what is said, in whichever form.
curl -sN $url/events >/tmp/events &
curl -sf --data-urlencode name=form --data-urlencode 'text=a & b' $url/say
curl -sf -H 'Content-Type: application/json' -d '{"name":"json","text":"c\nd"}' $url/say
[ "$(status -H 'Content-Type: application/json' -d '{"name":1}' $url/say)" = 400 ]
curl -s -H 'Content-Type: application/json' -d '{"name":1}' $url/say | grep -q 'expected a string at line 1 column 9'
[ "$(status -H 'Content-Type: text/plain' -d x $url/say)" = 415 ]
[ "$(curl -sf $url/lines | grep -c '^\[{"name":"form","text":"a & b"},{"name":"json","text":"c\\nd"}\]$')" = 1 ]

# A WebSocket: the handshake of section 1.3, then masked frames, the mask 0. It is told what
# was said before, and what it says itself.
open="GET /chat HTTP/1.1\r\nHost: $IP\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
speak() {
	{ printf "$open"; sleep 1; printf "$1"; sleep 1; printf "${2-}"; } | nc -w 5 $IP 80
}
speak '\201\230\0\0\0\0{"name":"ws","text":"e"}' '\210\202\0\0\0\0\003\350' >/tmp/spoken
grep -q '^HTTP/1.1 101 Switching Protocols' /tmp/spoken
grep -q '^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=' /tmp/spoken
for text in '"a & b"' '"e"'; do
	grep -qF "$text" /tmp/spoken
done
# The "Hello" of section 5.7 is no line, and without its mask no frame.
speak '\201\205\067\372\041\075\177\237\115\121\130' | grep -q 'the JSON is wrong'
speak '\201\005Hello' | grep -q 'is not masked'

sleep 1
# Numbers are counted from each start, which has a name of its own.
grep -q '^id: [0-9a-f]\{16\}-0$' /tmp/events
id=$(sed -n 's/^id: //p' /tmp/events | sed -n 2p)
grep -qF 'data: {"name":"ws","text":"e"}' /tmp/events
# What was missed is told to who comes again.
curl -sN -m 1 -H "Last-Event-ID: $id" $url/events >/tmp/missed || true
[ "$(grep -c '^data: ' /tmp/missed)" = 1 ]
