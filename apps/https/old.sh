# TLS 1.2 where it is asked for, without AVX.
ca=/tmp/ca/ca.pem
for cipher in ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-ECDSA-CHACHA20-POLY1305; do
	curl -sS --tls-max 1.2 --ciphers $cipher --cacert $ca --resolve "www.lab:443:$IP" https://www.lab/large.bin | cmp - /tmp/https/large.bin
done
curl -sS --tlsv1.3 --cacert $ca --resolve "www.lab:443:$IP" https://www.lab/large.bin | cmp - /tmp/https/large.bin
! curl -sS --tls-max 1.1 --cacert $ca --resolve "www.lab:443:$IP" https://www.lab/ 2>/dev/null
