# A DHCP server gives a network of one address, with a router that is outside of it, for
# less than a machine asks for.
busybox ip addr add 172.31.1.1/32 dev xenbr1
busybox ip route add 10.9.0.51/32 dev xenbr1
rm -f /tmp/odd-leases
touch /tmp/odd-leases
{
	echo start 10.9.0.51
	echo end 10.9.0.51
	echo interface xenbr1
	echo lease_file /tmp/odd-leases
	echo option subnet 255.255.255.255
	echo option router 172.31.1.1 172.31.1.2
	echo option lease 1
} >/tmp/odd.conf
busybox udhcpd -f /tmp/odd.conf &
