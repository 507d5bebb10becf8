# Debian's PostgreSQL, for whoever knows the password.
root=/tmp/postgres
as() {
	chroot $root chroot --userspec=65534:65534 / env HOME=/tmp "$@"
}
if [ ! -d $root ]; then
	mkdir -p $root
	# What other files may have is half of the memory.
	mount -t tmpfs -o size=80% none $root
	tar -x -f "$ROOT" -C $root
	rm -rf $root/usr/share/doc $root/usr/share/locale
	mount --bind /dev $root/dev
	bin=/usr/lib/postgresql/15/bin
	echo 'open sesame' >$root/tmp/password
	as $bin/initdb -D /tmp/data -N -U guest -A scram-sha-256 --pwfile=/tmp/password -E UTF8 \
		--locale=C.UTF-8 >/tmp/said 2>&1 || { cat /tmp/said; exit 1; }
	echo 'host all all 10.0.0.0/24 scram-sha-256' >>$root/tmp/data/pg_hba.conf
fi
rm -f $root/tmp/data/postmaster.pid
as /usr/lib/postgresql/15/bin/postgres -D /tmp/data -k /tmp -h 10.0.0.1 \
	-c dynamic_shared_memory_type=mmap -c max_connections=10 -c shared_buffers=16MB >/tmp/said 2>&1 &
for try in $(seq 300); do
	! grep -q 'ready to accept' /tmp/said || exit 0
	sleep 0.1
done
cat /tmp/said
exit 1
