# What clients see of site: curl, beside the files themselves.
url=http://$IP:80
status() {
	curl -s -o /dev/null -w '%{http_code}' --path-as-is "$@"
}

# Files are what they are on the disk, the first time and out of the cache.
for _ in 1 2; do
	for file in index.html style.css pictures/large.png pictures/beyond-the-cache.bin; do
		curl -sf $url/$file | cmp - /tmp/site/$file
	done
done
curl -sf "$url/pictures/a%20b.txt" | cmp - '/tmp/site/pictures/a b.txt'
curl -sf $url/ | cmp - /tmp/site/index.html
curl -sfI $url/style.css | grep -qi '^content-type: text/css'

# What the client has already is not sent again.
tag=$(curl -sfI $url/style.css | sed -n 's/^ETag: \(.*\)\r$/\1/p')
[ "$(status -H "If-None-Match: $tag" $url/style.css)" = 304 ]
[ "$(status -H 'If-None-Match: "x"' $url/style.css)" = 200 ]
date=$(curl -sfI $url/style.css | sed -n 's/^Last-Modified: \(.*\)\r$/\1/p')
[ "$(status -H "If-Modified-Since: $date" $url/style.css)" = 304 ]

[ "$(status -H 'If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT' $url/style.css)" = 200 ]
[ "$(status -H 'If-Unmodified-Since: Sun Nov  6 08:49:37 1994' $url/style.css)" = 412 ]

# The packed form, as curl unpacks it.
curl -sf --compressed $url/style.css | cmp - /tmp/site/style.css
curl -sfI -H 'Accept-Encoding: gzip' $url/style.css | grep -qi '^content-encoding: gzip'

# Parts of a file, and an interrupted download that goes on.
curl -sf -r 65530-131080 $url/pictures/large.png >/tmp/part
dd if=/tmp/site/pictures/large.png bs=1 skip=65530 count=65551 2>/dev/null | cmp - /tmp/part
head -c 300000 /tmp/site/pictures/large.png >/tmp/resumed
curl -sf -C - -o /tmp/resumed $url/pictures/large.png
cmp /tmp/resumed /tmp/site/pictures/large.png

[ "$(curl -sf -r 0-0,-1 $url/style.css | grep -c '^Content-Range: ')" = 2 ]

# The same by HTTP/2, which clients may know of beforehand: one request a connection, as curl 7.88 cannot
# send a second one there (nghttpd sees the same), and many at a time by h2load.
two() {
	curl -sf --http2-prior-knowledge "$@"
}
[ "$(two -o /dev/null -w %{http_version} $url/)" = 2 ]
two $url/pictures/beyond-the-cache.bin | cmp - /tmp/site/pictures/beyond-the-cache.bin
two --compressed $url/style.css | cmp - /tmp/site/style.css
[ "$(two -r 0-0,-1 $url/style.css | grep -c '^Content-Range: ')" = 2 ]
head -c 200000 /dev/urandom >/tmp/body
[ "$(status --http2-prior-knowledge -X PUT --data-binary @/tmp/body $url/new)" = 405 ]
h2load -n 300 -c 10 -m 10 $url/many/link.html | grep 'requests: .* 300 succeeded'
h2load -n 40 -c 4 -m 10 $url/pictures/large.png | grep 'requests: .* 40 succeeded'

# Folders.
[ "$(status $url/pictures)" = 301 ]
curl -sfL $url/pictures | grep -q 'href="./a%20b.txt">a b.txt<'

curl -s -o /dev/null -w '%{redirect_url}' "$url/pictures?a=b" | grep -q '/pictures/?a=b$'
[ "$(curl -sf $url/many/ | grep -c '<a href="./[0-9]')" = 2000 ]
curl -sf $url/many/link.html | cmp - /tmp/site/index.html

# Nothing outside, and nothing hidden.
[ "$(status $url/nothing)" = 404 ]
[ "$(status $url/../../etc/passwd)" = 404 ]
[ "$(status $url/%2e%2e/%2e%2e/etc/passwd)" = 404 ]
[ "$(status $url/outside)" = 404 ]
[ "$(status $url/.git/config)" = 404 ]
[ "$(status $url/%zz)" = 400 ]
[ "$(status -X PUT -d x $url/new)" = 405 ]

# Many at once, also of what is long.
wrk -t1 -c80 -d2s $url/many/ | grep -q 'requests in'
wrk -t1 -c80 -d2s $url/pictures/beyond-the-cache.bin | grep -q 'requests in'
wrk -t1 -c20 -d3s $url/pictures/large.png | grep -q 'requests in'
wrk -t1 -c50 -d3s $url/ | grep 'Requests/sec'
