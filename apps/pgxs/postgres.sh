# Debian's PostgreSQL by TLS, for whoever knows the password, as /tmp/pgxs-start CERTIFICATE on [OPTION [VERSION]]:
# with the root and the data of pgx's test, as dom0 has no room for both.
root=/tmp/postgres
cat >/tmp/pgxs-as <<'END'
#!/bin/sh
exec chroot /tmp/postgres chroot --userspec=65534:65534 / env HOME=/tmp "$@"
END
cat >/tmp/pgxs-start <<'END'
#!/bin/sh -eu
# With the certificate of that name, or without TLS; OPTION is one of pg_hba.conf, VERSION the newest of TLS.
[ $2 = on ] && kind=hostssl || kind=host
echo "$kind all all 10.0.0.0/24 scram-sha-256 ${3-}" >/tmp/postgres/tmp/tls/pg_hba.conf
rm -f /tmp/postgres/tmp/data/postmaster.pid
/tmp/pgxs-as /usr/lib/postgresql/15/bin/postgres -D /tmp/data -k /tmp -h 10.0.0.1 -c hba_file=/tmp/tls/pg_hba.conf \
	-c ssl=$2 -c ssl_cert_file=/tmp/tls/$1.pem -c ssl_key_file=/tmp/tls/key -c ssl_ca_file=/tmp/tls/ca.pem \
	-c ssl_max_protocol_version=${4-} \
	-c dynamic_shared_memory_type=mmap -c max_connections=10 -c shared_buffers=16MB >/tmp/pgxs-said 2>&1 &
for try in $(seq 300); do
	! grep -q 'ready to accept' /tmp/pgxs-said || exit 0
	sleep 0.1
done
cat /tmp/pgxs-said
exit 1
END
chmod +x /tmp/pgxs-as /tmp/pgxs-start
if [ ! -d $root ]; then
	mkdir -p $root
	# What other files may have is half of the memory.
	mount -t tmpfs -o size=80% none $root
	tar -x -f "$ROOT" -C $root
	rm -rf $root/usr/share/doc $root/usr/share/locale
	mount --bind /dev $root/dev
	echo 'open sesame' >$root/tmp/password
	/tmp/pgxs-as /usr/lib/postgresql/15/bin/initdb -D /tmp/data -N -U guest -A scram-sha-256 \
		--pwfile=/tmp/password -E UTF8 --locale=C.UTF-8 >/tmp/pgxs-said 2>&1 || { cat /tmp/pgxs-said; exit 1; }
	echo 'host all all 10.0.0.0/24 scram-sha-256' >>$root/tmp/data/pg_hba.conf
fi
rm -rf $root/tmp/tls
mkdir -p $root/tmp/tls
cd $root/tmp/tls
. certificates
# One key for all: nobody is to be kept from anything here.
key key
authority ca key
authority other key
# The login is bound to it by the hash that it is signed by.
signed good key ca hash=sha384
signed unknown key other
signed expired key ca until=20210101000000Z
signed client key ca for=guest use=client
# Roots, and who the guest is.
roots /tmp/pgxs-roots ca.pem key client.pem
chown -R 65534:65534 $root/tmp/tls
chmod 600 key
