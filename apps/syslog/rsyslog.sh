# Debian's rsyslogd on UDP and on TCP with counted octets. /tmp/root/said has its messages, each with
# the way that it came.
mkdir -p /tmp/root
tar -x -f "$ROOT" -C /tmp/root
rm -f /tmp/root/said
[ -e /tmp/root/dev/urandom ] || mknod -m 666 /tmp/root/dev/urandom c 1 9
cat >/tmp/root/conf <<-END
	global(net.enableDNS="off")
	module(load="imudp")
	module(load="imtcp")
	input(type="imudp" port="514")
	input(type="imtcp" port="601")
	template(name="all" type="string"
		string="%inputname% %pri% %hostname% %app-name% %structured-data% %msg%\n")
	action(type="omfile" file="/said" template="all")
END
chroot /tmp/root rsyslogd -n -f /conf -i NONE >/tmp/rsyslog.log 2>&1 &
for try in $(seq 100); do
	! ss -lnt | grep -q ':601 ' || exit 0
	sleep 0.1
done
cat /tmp/rsyslog.log
exit 1
