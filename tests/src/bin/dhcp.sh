# A DHCP server comes up where there was none.
touch /tmp/leases
{
	echo start 10.0.1.150
	echo end 10.0.1.150
	echo interface xenbr1
	echo lease_file /tmp/leases
	echo option subnet 255.255.255.0
} >/tmp/udhcpd.conf
busybox udhcpd -f /tmp/udhcpd.conf &
