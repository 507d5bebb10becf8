# Names that dnsmasq tells besides those that it always has; too many addresses for a datagram
# without extensions (512 bytes) are those of many.lab.
{
	echo 10.0.9.6 six.lab
	echo fd00::6 six.lab
	for last in $(seq 100 180); do echo 10.0.9.$last many.lab; done
} >/run/lab/hosts/names
# dnsmasq notices files in that folder by itself, which takes a moment.
until busybox nslookup many.lab 10.0.0.1 >/dev/null 2>&1; do sleep 0.1; done
