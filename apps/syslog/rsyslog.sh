# Debian's rsyslogd on UDP and on TCP with counted octets. /tmp/rsyslog/said has its messages, each with
# the way that it came.
mkdir -p /tmp/rsyslog
tar -x -f "$ROOT" -C /tmp/rsyslog
rm -f /tmp/rsyslog/said
[ -e /tmp/rsyslog/dev/urandom ] || mknod -m 666 /tmp/rsyslog/dev/urandom c 1 9
cat >/tmp/rsyslog/conf <<-END
	global(net.enableDNS="off")
	module(load="imudp")
	module(load="imtcp")
	input(type="imudp" port="514")
	input(type="imtcp" port="601")
	template(name="all" type="string"
		string="%inputname% %pri% %hostname% %app-name% %structured-data% %msg%\n")
	action(type="omfile" file="/said" template="all")
END
chroot /tmp/rsyslog rsyslogd -n -f /conf -i NONE >/tmp/rsyslog-log 2>&1 &
for try in $(seq 100); do
	! ss -lnt | grep -q ':601 ' || exit 0
	sleep 0.1
done
cat /tmp/rsyslog-log
exit 1
