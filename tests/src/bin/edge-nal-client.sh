# Asks by each quality of service and at length, and takes the answers of the guest from the broker.
mosquitto_sub -h 10.0.0.1 -t 'lab/answer/#' -q 2 -C 5 -W 60 -F '%t %q %x' >/tmp/answers &
asking=$!
# The retained message was answered before there was anybody to hear it; that answer is retained as well.
until grep -q '^lab/answer/kept' /tmp/answers; do sleep 0.1; done
for quality in 0 1 2; do
	mosquitto_pub -h 10.0.0.1 -t lab/question/$quality -q $quality -m "by $quality"
done
head -c 20000 /dev/urandom >/tmp/long
mosquitto_pub -h 10.0.0.1 -t lab/question/long -q 2 -f /tmp/long
wait $asking
hex() { od -An -v -tx1 | tr -d ' \n'; }
{
	echo "lab/answer/0 0 $(printf 'by 0' | hex)"
	echo "lab/answer/1 1 $(printf 'by 1' | hex)"
	echo "lab/answer/2 2 $(printf 'by 2' | hex)"
	echo "lab/answer/kept 1 $(printf kept | hex)"
	echo "lab/answer/long 2 $(hex </tmp/long)"
} >/tmp/expected
sort /tmp/answers | cmp - /tmp/expected
mosquitto_pub -h 10.0.0.1 -t lab/question/end -q 1 -m ''
# It says goodbye: a connection that just ends is logged in other words.
until grep -q 'Client mqtt disconnected\.' /tmp/mosquitto.log; do sleep 0.1; done
