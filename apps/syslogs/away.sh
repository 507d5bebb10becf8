# The server goes and comes again twice, the second time as one that is killed: what it had not got comes then, in
# order.
said=/tmp/syslogs/said
# until_line LINE: waits for that line.
until_line() {
	for try in $(seq 600); do
		! grep -qs "syslog: line $1\$" $said || return 0
		sleep 0.1
	done
	cat $said
	exit 1
}
# quiet: waits until nothing has come for a second: what a server has not written when it ends is lost, and lines that
# waited for it come at once. The next one comes 10 s after the last.
quiet() {
	lines=
	while [ "$lines" != "$(wc -l <$said)" ]; do
		lines=$(wc -l <$said)
		sleep 1
	done
}
for line in 1 3; do
	until_line $line
	quiet
	pid=$(cat /tmp/syslogs/pid)
	[ $line = 1 ] && kill "$pid" || kill -9 "$pid"
	while [ -e "/proc/$pid" ]; do sleep 0.1; done
	# Longer than the guest takes for its next line.
	sleep 12
	/tmp/syslogs-start
done
until_line 6
grep -o 'sequenceId="[0-9]*".*' $said | sed 's/ sysUpTime="[0-9]*"\]//' >/tmp/got
for line in 1 2 3 4 5 6; do
	echo "sequenceId=\"$line\" syslog: line $line"
done | diff - /tmp/got
