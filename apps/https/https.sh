# A site, and certificates for it by a CA of dom0's own: a P-256 key, and an Ed25519 one for later.
rm -rf /tmp/https /tmp/keys /tmp/ca
mkdir -p /tmp/https /tmp/keys /tmp/ca
printf '<h1>Served by TLS</h1>\n' >/tmp/https/index.html
head -c 3000000 /dev/urandom >/tmp/https/large.bin
tar -C /tmp/https -cf /tmp/https.tar .
truncate -s %4096 /tmp/https.tar 2>/dev/null || truncate -s 4M /tmp/https.tar
cd /tmp/ca
export OPENSSL_CONF=/tmp/ca/conf
printf '[req]\ndistinguished_name=dn\nx509_extensions=ca\n[dn]\n[ca]\nbasicConstraints=critical,CA:true\n' >conf
printf 'subjectAltName=DNS:www.lab,IP:10.0.0.2\nextendedKeyUsage=serverAuth\n' >names
openssl ecparam -name prime256v1 -genkey -noout -out ca.key
openssl req -x509 -new -key ca.key -subj /CN=lab -days 30 -out ca.pem
# signed NAME: a certificate for the key of that name.
signed() {
	openssl req -new -key $1.key -subj /CN=www.lab -out $1.csr
	openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out $1.pem 2>/dev/null
}
openssl ecparam -name prime256v1 -genkey -noout -out one.key
openssl genpkey -algorithm ed25519 -out two.key
signed one
signed two
cp one.pem /tmp/keys/cert.pem
cp one.key /tmp/keys/key.pem
tar -C /tmp/keys -cf /tmp/keys.tar cert.pem key.pem
truncate -s 64K /tmp/keys.tar
