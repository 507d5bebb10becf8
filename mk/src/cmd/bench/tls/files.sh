# What the servers have: pages, and a key of each kind with its certificate.
set -e
rm -rf /tmp/tls
mkdir -p /tmp/tls/www/bytes
cd /tmp/tls
for length in 1024 1048576; do
	head -c $length /dev/zero | tr '\0' x >www/bytes/$length
done
tar -C www -cf www.tar .
truncate -s 2M www.tar
openssl ecparam -name prime256v1 -genkey -noout -out p256.key
openssl genpkey -algorithm ed25519 -out ed25519.key
# With an extension it is of version 3, which alone is read.
printf '[req]\ndistinguished_name=dn\nx509_extensions=v3\n[dn]\n[v3]\nsubjectAltName=DNS:www.lab\n' >conf
for kind in p256 ed25519; do
	OPENSSL_CONF=conf openssl req -x509 -new -key $kind.key -subj /CN=www.lab -days 30 -out $kind.pem
	mkdir $kind
	cp $kind.pem $kind/cert.pem
	cp $kind.key $kind/key.pem
	tar -C $kind -cf $kind.tar cert.pem key.pem
	truncate -s 64K $kind.tar
done
httpd -p 8098 -h /tmp/tls
