# What rsyslogd has to have written of the three lines, after the port that they came to; and of a guest that ends.
said=/tmp/syslogs/said
# lines COUNT: waits for so many.
lines() {
	for try in $(seq 600); do
		[ ! -f $said ] || [ "$(wc -l <$said)" -lt "$1" ] || return 0
		sleep 0.1
	done
}
lines 3
port=$(sed -n '1s/ .*//p' $said)
cat >/tmp/wanted <<-END
	$port 27 lab syslogs sequenceId="1" syslog: the disk is full
	$port 30 lab syslogs sequenceId="2" syslog: grüße
	$port 28 lab syslogs sequenceId="3" syslog: a "b" \\ c
END
# Without the mark at the beginning of UTF-8.
same() {
	sed 's/\[meta \(sequenceId="[0-9]*"\) sysUpTime="[0-9]*"\]/\1/' $said | tr -d '\357\273\277' | diff /tmp/wanted -
}
same
# It tells of that, and then ends the connection, and not just TCP's, of which GnuTLS would complain in a line more.
xl shutdown "$GUEST"
echo "$port 30 lab syslogs sequenceId=\"4\" kernel::shutdown::xen: the toolstack asks for Poweroff" >>/tmp/wanted
lines 4
sleep 2
same
