# The broker of Debian, for anybody on the guests' network, and what it keeps for who subscribes later.
cat >/tmp/mosquitto.conf <<-END
	user root
	listener 1883 10.0.0.1
	allow_anonymous true
	log_dest file /tmp/mosquitto.log
END
mosquitto -c /tmp/mosquitto.conf &
until mosquitto_pub -h 10.0.0.1 -t lab/question/kept -r -q 1 -m kept 2>/dev/null; do sleep 0.1; done
