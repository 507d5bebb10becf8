# Debian's broker, for who knows the password (that of guest is `open sesame`), as /tmp/mqtt/start; it is
# away at first. /tmp/mqtt/answers has what the guest publishes, as a subscriber to it sees that.
rm -rf /tmp/mqtt
mkdir -p /tmp/mqtt
cat >/tmp/mqtt/users <<-'END'
	guest:$7$101$c2FsdHNhbHRzYWx0$DqRnw+y/qHWGiBy2O6bVFC5TD7aYLcVL3c5qs8K2yB5yDtpKbw5jf8l/a9M1N0MmpdJxCRMBIHZvUrJ3Wh1F6Q==
END
chmod 600 /tmp/mqtt/users
cat >/tmp/mqtt/conf <<-END
	user root
	pid_file /tmp/mqtt/pid
	log_dest file /tmp/mqtt/log
	log_type all
	listener 1883 10.0.0.1
	allow_anonymous false
	password_file /tmp/mqtt/users
END
cat >/tmp/mqtt/start <<-'END'
	#!/bin/sh
	mosquitto -c /tmp/mqtt/conf -d
	until mosquitto_pub -h 10.0.0.1 -u guest -P 'open sesame' -t ready -m '' 2>/dev/null; do sleep 0.1; done
END
chmod +x /tmp/mqtt/start
