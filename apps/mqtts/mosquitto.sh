# Debian's broker by TLS, for who knows the password (that of guest is `open sesame`), as /tmp/mqtts/start; it
# is away at first. On port 8883 its certificate is good, 8884 asks clients for one, 8885 speaks TLS 1.2
# alone, 8886 has a certificate that nobody vouches for, 8887 one that has expired, 8888 is silent.
rm -rf /tmp/mqtts
mkdir -p /tmp/mqtts
cd /tmp/mqtts
. certificates
# One key for all: nobody is to be kept from anything here.
key key
authority ca key
authority other key
signed good key ca
signed unknown key other
signed expired key ca until=20210101000000Z
signed client key ca for=guest use=client
# Roots, and who the guest is.
roots roots ca.pem key client.pem
cat >users <<-'END'
	guest:$7$101$c2FsdHNhbHRzYWx0$DqRnw+y/qHWGiBy2O6bVFC5TD7aYLcVL3c5qs8K2yB5yDtpKbw5jf8l/a9M1N0MmpdJxCRMBIHZvUrJ3Wh1F6Q==
END
chmod 600 users
{
	cat <<-'END'
		user root
		pid_file /tmp/mqtts/pid
		log_dest file /tmp/mqtts/log
		log_type all
		per_listener_settings true
	END
	# listen PORT CERTIFICATE LINES
	listen() {
		echo "listener $1 10.0.0.1"
		[ -z "$2" ] || echo "certfile /tmp/mqtts/$2.pem
keyfile /tmp/mqtts/key"
		shift 2
		[ $# -gt 0 ] || set -- 'allow_anonymous false' 'password_file /tmp/mqtts/users'
		printf '%s\n' "$@"
	}
	listen 1883 ''
	listen 8883 good
	listen 8884 good 'cafile /tmp/mqtts/ca.pem' 'require_certificate true' 'use_identity_as_username true'
	listen 8885 good 'tls_version tlsv1.2' 'allow_anonymous false' 'password_file /tmp/mqtts/users'
	listen 8886 unknown
	listen 8887 expired
} >conf
cat >start <<-'END'
	#!/bin/sh
	mosquitto -c /tmp/mqtts/conf -d
	until mosquitto_pub -h www.lab -p 8883 --cafile /tmp/mqtts/ca.pem -u guest -P 'open sesame' -t ready -m '' 2>/dev/null; do sleep 0.1; done
END
chmod +x start
busybox nc -ll -p 8888 -e sleep 600 &
until ss -ltn | grep -q ':8888 '; do sleep 0.1; done
