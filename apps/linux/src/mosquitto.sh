# Publishes to Debian's broker: to a subscriber, with all qualities, and what is kept.
until nc.openbsd -z "$IP" 1883; do sleep 0.2; done
mosquitto_sub -h "$IP" -t 'a/#' -C 3 -W 20 >/tmp/heard &
sub=$!
sleep 1
for qos in 0 1 2; do mosquitto_pub -h "$IP" -t a/b -q "$qos" -m "with $qos"; done
wait "$sub"
printf 'with %s\n' 0 1 2 | diff - /tmp/heard
mosquitto_pub -h "$IP" -t kept -r -m still
[ "$(mosquitto_sub -h "$IP" -t kept -C 1 -W 20)" = still ]
