# What fetch is tested against: busybox httpd on port 80, and on others what it never says.
mkdir -p /tmp/www/cgi-bin
printf 'first line\nsecond line\033\n' >/tmp/www/page
head -c 3000000 /dev/zero >/tmp/www/long
printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\necho without a length\n' >/tmp/www/cgi-bin/script
printf '#!/bin/sh\nprintf "\\r\\n$REQUEST_METHOD $CONTENT_TYPE $HTTP_X_SAID: "\ncat\necho .\n' >/tmp/www/cgi-bin/echo
chmod +x /tmp/www/cgi-bin/*
mkdir -p /tmp/www/private
echo for one user >/tmp/www/private/page
echo '/private:some:secret' >/tmp/httpd.conf
busybox httpd -h /tmp/www -c /tmp/httpd.conf

# Gives the file /tmp/www/said$1 to everybody who comes to port $1, once the request is
# there as a whole: what is left unread would reset the connection.
say() {
	cat >/tmp/www/answer$1 <<-END
		#!/bin/sh
		while read -r line && [ \${#line} -gt 1 ]; do :; done
		cat /tmp/www/said$1
		sleep 0.2
	END
	chmod +x /tmp/www/answer$1
	busybox nc -ll -p $1 -e /tmp/www/answer$1 &
}
answer() {
	printf "$2" >/tmp/www/said$1
	say $1
}
answer 81 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n8;a=b\r\n, world\n\r\n0\r\nTrailer: x\r\n\r\n'
answer 82 'HTTP/1.1 302 Found\r\nLocation: //www.lab/page#there\r\nContent-Length: 0\r\n\r\n'
answer 83 'HTTP/1.1 301 Moved\r\nLocation: ?again\r\nContent-Length: 0\r\n\r\n'
answer 85 'SSH-2.0-OpenSSH_9.2p1\r\n'
busybox nc -ll -p 86 -e sleep 30 &
answer 87 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'
answer 88 "HTTP/1.1 200 OK\r\nA: $(head -c 60000 /dev/zero | tr '\0' x)\r\n\r\nafter a long head"
answer 89 'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n'
head -c 100000 /dev/zero | tr '\0' x | gzip >>/tmp/www/said89
