# What fetchs is tested against: openssl's server, with certificates good and bad.
rm -rf /tmp/fetchs
mkdir -p /tmp/fetchs
cd /tmp/fetchs
. certificates
key p256.key
key other.key
openssl ecparam -name secp384r1 -genkey -noout -out p384.key
openssl genrsa -out rsa.key 2048 2>/dev/null
openssl genrsa -out short.key 1024 2>/dev/null
for name in p256 other p384 rsa; do
	authority $name-ca $name.key
done
signed good p256.key p256-ca
signed p384 p384.key p384-ca hash=sha384
signed rsa rsa.key rsa-ca
signed short short.key p256-ca
signed expired p256.key p256-ca until=20210101000000Z
signed early p256.key p256-ca from=20880101000000Z
signed unknown p256.key other-ca
signed purpose p256.key p256-ca use=client
roots roots p256-ca.pem p384-ca.pem rsa-ca.pem
printf 'over TLS\n' >page
head -c 3000000 /dev/zero >large
# serve PORT CERTIFICATE KEY ARGUMENTS
serve() {
	port=$1 certificate=$2 key=$3
	shift 3
	openssl s_server -accept $port -cert $certificate.pem -key $key.key -WWW -quiet "$@" >/dev/null 2>&1 </dev/null &
}
serve 443 good p256
serve 444 good p256 -ciphersuites TLS_CHACHA20_POLY1305_SHA256
serve 445 p384 p384
serve 446 rsa rsa
serve 447 rsa rsa -tls1_2
serve 448 expired p256
serve 449 early p256
serve 450 unknown p256
serve 451 purpose p256
# A page that is elsewhere, where nothing is encrypted.
printf 'HTTP/1.1 302 Found\r\nLocation: http://www.lab/\r\nContent-Length: 0\r\n\r\n' >moved
openssl s_server -accept 454 -cert good.pem -key p256.key -HTTP -quiet >/dev/null 2>&1 </dev/null &
serve 455 short short -cipher DEFAULT@SECLEVEL=0
busybox nc -ll -p 452 -e echo 'SSH-2.0-OpenSSH_9.2p1' &
# Half of a page, and then nobody is there any more who could say that it was all.
(
	(
		printf 'HTTP/1.1 200 OK\r\n\r\nhalf of it\n'
		sleep 600
	) | openssl s_server -accept 453 -cert good.pem -key p256.key -quiet >cut 2>&1 &
	until grep -q '^GET ' cut 2>/dev/null; do usleep 100000; done
	sleep 1
	kill -9 $!
) >/dev/null 2>&1 &
mkdir -p www
echo plain >www/index.html
busybox httpd -h /tmp/fetchs/www
for port in 80 443 444 445 446 447 448 449 450 451 452 453 454 455; do
	until ss -ltn | grep -q ":$port "; do usleep 100000; done
done
