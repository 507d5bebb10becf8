# What others than the guest see of it, with a broker that comes late, goes and comes again.
as() {
	program=$1
	shift
	"mosquitto_$program" -h 10.0.0.1 -u guest -P 'open sesame' "$@"
}
# A guest that is there before its broker waits for it.
sleep 2
/tmp/mqtt/start
as pub -t lab/kept -r -q 1 -m 'kept before'
# What the guest publishes comes at quality 2, and is kept for whoever comes later.
as sub -t 'lab/answer/#' -q 2 -C 2 -W 60 -F '%t %q %p' >/tmp/mqtt/answers
printf 'lab/answer/a 2 first\nlab/answer/b 2 x=y z\n' | cmp - /tmp/mqtt/answers
as sub -t 'lab/answer/#' -q 2 -C 2 -W 60 -F '%t %q %r %p' | sort >/tmp/mqtt/answers
printf 'lab/answer/a 2 1 first\nlab/answer/b 2 1 x=y z\n' | cmp - /tmp/mqtt/answers
until grep -q 'Sending SUBACK to xenith' /tmp/mqtt/log; do sleep 0.1; done
sleep 1
for quality in 0 1 2; do
	as pub -t lab/question/$quality -q $quality -m "by $quality"
done
printf '\033[2J\377' | as pub -t lab/question/odd -q 2 -s
# Before the broker goes the guest has all of both of quality 2: it is not kept for the next one.
until [ "$(grep -c 'Received PUBCOMP from xenith' /tmp/mqtt/log)" -ge 2 ]; do sleep 0.1; done
# The broker goes, comes again and has forgotten everything: the guest subscribes anew.
pid=$(cat /tmp/mqtt/pid)
kill "$pid"
while [ -e "/proc/$pid" ]; do sleep 0.1; done
mv /tmp/mqtt/log /tmp/mqtt/log.before
/tmp/mqtt/start
until grep -q 'Sending SUBACK to xenith' /tmp/mqtt/log; do sleep 0.1; done
sleep 1
as pub -t lab/question/late -q 1 -m 'after a new start'
# It says goodbye: a connection that just ends is logged in other words.
until grep -q 'Client xenith disconnected\.' /tmp/mqtt/log; do sleep 0.1; done
