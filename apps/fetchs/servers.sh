# What fetchs is tested against: openssl's server, with certificates good and bad.
rm -rf /tmp/fetchs
mkdir -p /tmp/fetchs
cd /tmp/fetchs
export OPENSSL_CONF=/tmp/fetchs/conf
cat >conf <<-'END'
	[req]
	distinguished_name=dn
	x509_extensions=root
	[dn]
	[root]
	basicConstraints=critical,CA:true
	[ca]
	default_ca=lab
	[lab]
	database=/tmp/fetchs/index
	new_certs_dir=/tmp/fetchs
	rand_serial=yes
	unique_subject=no
	policy=any
	[any]
	commonName=supplied
	[server]
	subjectAltName=DNS:www.lab
	extendedKeyUsage=serverAuth
	[client]
	subjectAltName=DNS:www.lab
	extendedKeyUsage=clientAuth
END
: >index
openssl ecparam -name prime256v1 -genkey -noout -out p256.key
openssl ecparam -name prime256v1 -genkey -noout -out other.key
openssl ecparam -name secp384r1 -genkey -noout -out p384.key
openssl genrsa -out rsa.key 2048 2>/dev/null
openssl genrsa -out short.key 1024 2>/dev/null
for key in p256 other p384 rsa short; do
	openssl req -x509 -new -key $key.key -subj /CN=$key -days 30 -out $key-ca.pem
	openssl req -new -key $key.key -subj /CN=www.lab -out $key.csr
done
# signed NAME KEY CA HASH FROM UNTIL USE
signed() {
	openssl ca -batch -notext -in $2.csr -cert $3-ca.pem -keyfile $3.key -md $4 -startdate $5 -enddate $6 -extensions $7 -out $1.pem 2>/tmp/fetchs/said || {
		cat /tmp/fetchs/said
		exit 1
	}
}
from=20200101000000Z
until=20890101000000Z
signed good p256 p256 sha256 $from $until server
signed p384 p384 p384 sha384 $from $until server
signed rsa rsa rsa sha256 $from $until server
signed short short p256 sha256 $from $until server
signed expired p256 p256 sha256 $from 20210101000000Z server
signed early p256 p256 sha256 20880101000000Z $until server
signed unknown p256 other sha256 $from $until server
signed purpose p256 p256 sha256 $from $until client
cat p256-ca.pem p384-ca.pem rsa-ca.pem >roots
truncate -s 64K roots
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
