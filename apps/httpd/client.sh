# What clients see of httpd: curl, and nc for what curl does not send.
url=http://$IP:80

# The page, and one connection for several requests.
curl -sf $url/ | grep -q 'Hello from a unikernel'
[ "$(curl -sf $url/health $url/health $url/health -w '%{num_connects} ' -o /dev/null -o /dev/null -o /dev/null)" = '1 0 0 ' ]
curl -sf $url/metrics | grep -q '^xenith_http_requests [1-9]'
[ "$(curl -s -o /dev/null -w '%{http_code}' $url/nothing)" = 404 ]
[ "$(curl -s -o /dev/null -w '%{http_code}' -X DELETE $url/)" = 405 ]

# HEAD says what GET would, and sends nothing.
curl -sfI $url/health | grep -q '^Content-Length: 3'

# Bodies by length and in chunks come back as they were.
head -c 300000 /dev/urandom >/tmp/body
curl -sf --data-binary @/tmp/body $url/echo | cmp - /tmp/body
curl -sf -H 'Transfer-Encoding: chunked' -T /tmp/body -X POST $url/echo | cmp - /tmp/body

# Bodies as long as asked for, which benchmarks take.
[ "$(curl -sf $url/bytes/1024 | tr -d x | wc -c) $(curl -sf $url/bytes/100000 | wc -c)" = '0 100000' ]
[ "$(curl -s -o /dev/null -w '%{http_code}' $url/bytes/-1)" = 404 ]

# Two requests at once, answered in order on one connection.
answers=$(printf 'GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' |
	nc -w 5 $IP 80 | grep -c '^HTTP/1.1 \(200\|404\)')
[ "$answers" = 2 ]

# What two readers could understand differently, and other nonsense.
status() {
	printf "$1" | nc -w 5 $IP 80 | head -n 1 | cut -d ' ' -f 2
}
[ "$(status 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n')" = 400 ]
[ "$(status 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd')" = 400 ]
[ "$(status 'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n')" = 400 ]
[ "$(status 'GET / HTTP/1.1\r\n\r\n')" = 400 ]
[ "$(status 'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\n0\r\n\r\n')" = 400 ]
[ "$(status 'GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\r\n\r\n')" = 400 ]
[ "$(status 'GET / HTTP/1.1\r\nHost: user@x\r\n\r\n')" = 400 ]
[ "$(status 'GET / HTTP/1\r\nHost: x\r\n\r\n')" = 400 ]
[ "$(status 'GET / HTTP/1.2\r\nHost: x\r\nConnection: close\r\n\r\n')" = 200 ]
[ "$(status 'GET / HTTP/3.0\r\nHost: x\r\n\r\n')" = 505 ]
[ "$(status 'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')" = 204 ]
path=$(head -c 7999 /dev/zero | tr '\0' a)
[ "$(status "GET /$path HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")" = 404 ]
[ "$(status "GET /a$path HTTP/1.1\r\nHost: x\r\n\r\n")" = 414 ]
[ "$(status "GET / HTTP/1.1\r\nHost: x\r\nX: $path$path\r\nConnection: close\r\n\r\n")" = 200 ]
[ "$(status "GET / HTTP/1.1\r\nHost: x\r\nX: $path$path$path\r\n\r\n")" = 431 ]

# Why, and HTTP/1.0 without chunks.
curl -s -H 'Host: a b' $url/ | grep -q '^400 Bad Request: the field Host does not hold a host'
[ "$(curl -s0 -d hello $url/echo)" = hello ]

# Many connections at a time, and it still answers.
wrk -t1 -c50 -d3s $url/health | grep -q 'requests in'
curl -sf $url/health | grep -q ok
