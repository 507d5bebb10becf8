# What fetch is tested against: busybox httpd on port 80, and on others what it never says.
mkdir -p /tmp/www/cgi-bin
printf 'first line\nsecond line\033\n' >/tmp/www/page
head -c 3000000 /dev/zero >/tmp/www/long
printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\necho without a length\n' >/tmp/www/cgi-bin/script
chmod +x /tmp/www/cgi-bin/script
busybox httpd -h /tmp/www

# Says the same to everybody who comes to port $1, once the request is there.
answer() {
	printf '#!/bin/sh\nread -r line; printf "%s"; sleep 0.2\n' "$2" >/tmp/www/answer$1
	chmod +x /tmp/www/answer$1
	busybox nc -ll -p $1 -e /tmp/www/answer$1 &
}
answer 81 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n8;a=b\r\n, world\n\r\n0\r\nTrailer: x\r\n\r\n'
answer 82 'HTTP/1.1 302 Found\r\nLocation: //www.lab/page#there\r\nContent-Length: 0\r\n\r\n'
answer 83 'HTTP/1.1 301 Moved\r\nLocation: ?again\r\nContent-Length: 0\r\n\r\n'
answer 85 'SSH-2.0-OpenSSH_9.2p1\r\n'
busybox nc -ll -p 86 -e sleep 30 &
