# A site, a CA that speaks ACME, and disks for who asks it for a certificate.
root=/tmp/acme
if [ ! -d $root ]; then
	mkdir -p $root
	mount -t tmpfs -o size=60% none $root
	tar -x -f "$ROOT" -C $root
	mount --bind /dev $root/dev
fi
rm -f $root/srv/ready $root/srv/wrong
GUEST=$IP chroot $root /usr/bin/python3 /srv/ca.py >/tmp/ca-said 2>&1 </dev/null &
rm -rf /tmp/site
mkdir -p /tmp/site
printf '<h1>Served by TLS</h1>\n' >/tmp/site/index.html
tar -C /tmp/site -cf /tmp/site.tar .
truncate -s 64K /tmp/site.tar
rm -f /tmp/acme-store
truncate -s 1M /tmp/acme-store
for try in $(seq 3000); do
	[ ! -e $root/srv/ready ] || break
	sleep 0.1
done
[ -e $root/srv/ready ] || { cat /tmp/ca-said; exit 1; }
cp $root/srv/root.pem /tmp/acme-roots
truncate -s 4K /tmp/acme-roots
