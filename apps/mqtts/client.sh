# What others than the guest see of it, by TLS as well, with a broker that comes late, goes and comes again.
as() {
	program=$1
	shift
	"mosquitto_$program" -h www.lab -p 8883 --cafile /tmp/mqtts/ca.pem -u guest -P 'open sesame' "$@"
}
# A guest that is there before its broker waits for it.
sleep 1
/tmp/mqtts/start
as sub -t 'lab/answer/#' -q 2 -C 1 -W 60 -F '%t %q %p' >/tmp/mqtts/answers
echo 'lab/answer/a 2 first' | cmp - /tmp/mqtts/answers
until grep -q 'Sending SUBACK to xenith' /tmp/mqtts/log; do sleep 0.1; done
as pub -t lab/question/1 -q 1 -m 'by TLS'
until grep -q 'Received PUBACK from xenith\|Received PUBCOMP from xenith' /tmp/mqtts/log; do sleep 0.1; done
# The broker goes, comes again and has forgotten everything: the guest subscribes anew.
pid=$(cat /tmp/mqtts/pid)
kill "$pid"
while [ -e "/proc/$pid" ]; do sleep 0.1; done
mv /tmp/mqtts/log /tmp/mqtts/log.before
/tmp/mqtts/start
until grep -q 'Sending SUBACK to xenith' /tmp/mqtts/log; do sleep 0.1; done
as pub -t lab/question/late -q 1 -m 'after a new start'
# It says goodbye: a connection that just ends is logged in other words.
until grep -q 'Client xenith disconnected\.' /tmp/mqtts/log; do sleep 0.1; done
