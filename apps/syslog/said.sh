# What rsyslogd has to have written of the three lines, after the way that they came.
said=/tmp/rsyslog/said
for try in $(seq 100); do
	[ ! -f $said ] || [ "$(wc -l <$said)" -lt 3 ] || break
	sleep 0.1
done
way=$(sed -n '1s/ .*//p' $said)
cat >/tmp/wanted <<-END
	$way 27 lab syslog sequenceId="1" syslog: the disk is full
	$way 30 lab syslog sequenceId="2" syslog: grüße
	$way 28 lab syslog sequenceId="3" syslog: a "b" \\ c
END
# Without the mark at the beginning of UTF-8.
sed 's/\[meta \(sequenceId="[0-9]*"\) sysUpTime="[0-9]*"\]/\1/' $said | tr -d '\357\273\277' |
	diff /tmp/wanted -
