# Debian's rsyslogd by TLS with its driver by GnuTLS, as /tmp/syslogs-start; it runs at first. On port 6514 its
# certificate is good, 6515 lets in who is `guest`, 6516 speaks TLS 1.2 alone, 6517 has a certificate that nobody
# vouches for, 6518 one that has expired, 6519 is silent. /tmp/syslogs/said has its messages, each with the port.
root=/tmp/syslogs
if [ ! -d $root ]; then
	mkdir -p $root
	tar -x -f "$ROOT" -C $root
	[ -e $root/dev/urandom ] || mknod -m 666 $root/dev/urandom c 1 9
fi
rm -rf $root/said $root/tls
mkdir $root/tls
cd $root/tls
. certificates
key key
authority ca key
authority other key
signed good key ca
signed unknown key other
signed expired key ca until=20210101000000Z
signed client key ca for=guest use=client
# Roots, and who the guest is; and roots alone.
roots /tmp/syslogs-roots ca.pem key client.pem
roots /tmp/syslogs-roots-alone ca.pem
# begin VERSIONS: what a configuration begins with. Unless it names versions, rsyslogd speaks TLS 1.2 alone to those
# whom it does not ask for a certificate; what one input says of them is true of all.
begin() {
	cat <<-END
		global(net.enableDNS="off")
		module(load="imtcp" gnutlsPriorityString="$1")
		template(name="all" type="string"
			string="%inputname% %pri% %hostname% %app-name% %structured-data% %msg%\\n")
		action(type="omfile" file="/said" template="all")
	END
}
# listen PORT CERTIFICATE MODE [PARAMETER]
listen() {
	echo "input(type=\"imtcp\" name=\"$1\" port=\"$1\" streamDriver.name=\"gtls\" streamDriver.mode=\"1\" streamDriver.authMode=\"$3\"
	streamDriver.caFile=\"/tls/ca.pem\" streamDriver.certFile=\"/tls/$2.pem\" streamDriver.keyFile=\"/tls/key\" ${4-})"
}
{
	begin NORMAL
	listen 6514 good anon
	listen 6515 good x509/name 'permittedPeer=["guest"]'
	listen 6517 unknown anon
	listen 6518 expired anon
} >$root/conf
{
	begin NORMAL:-VERS-TLS1.3
	listen 6516 good anon
} >$root/conf-old
cat >/tmp/syslogs-start <<'END'
#!/bin/sh
rm -f /tmp/syslogs/pid
chroot /tmp/syslogs rsyslogd -n -f /conf -i /pid >/tmp/syslogs-log 2>&1 &
for try in $(seq 600); do
	! ss -lnt | grep -q ':6518 ' || exit 0
	sleep 0.1
done
cat /tmp/syslogs-log
exit 1
END
chmod +x /tmp/syslogs-start
/tmp/syslogs-start
chroot $root rsyslogd -n -f /conf-old -i /pid-old >/tmp/syslogs-log-old 2>&1 &
until ss -ltn | grep -q ':6516 '; do sleep 0.1; done
busybox nc -ll -p 6519 -e sleep 600 &
until ss -ltn | grep -q ':6519 '; do sleep 0.1; done
