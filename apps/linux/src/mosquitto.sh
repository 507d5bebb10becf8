# Publishes to Debian's broker: to a subscriber, with all qualities, and what is kept.
until nc.openbsd -z "$IP" 1883; do sleep 0.2; done
# Written to a terminal, what it says of the subscription does not wait in a buffer.
script -q -f -c "mosquitto_sub -h $IP -t a/# -C 3 -W 60 -d -F 'heard %p'" /tmp/heard </dev/null >/dev/null &
sub=$!
until grep -q SUBACK /tmp/heard; do sleep 0.1; done
for qos in 0 1 2; do mosquitto_pub -h "$IP" -t a/b -q "$qos" -m "with $qos"; done
wait "$sub"
grep '^heard' /tmp/heard | tr -d '\r' >/tmp/said
printf 'heard with %s\n' 0 1 2 | diff - /tmp/said
mosquitto_pub -h "$IP" -t kept -r -m still
[ "$(mosquitto_sub -h "$IP" -t kept -C 1 -W 20)" = still ]
