# What a guest with a static address says to its neighbours, and what these may do to it.
# Who remembers the Ethernet address of a guest before it has heard of this one.
ip neigh show 10.0.0.2 dev xenbr0 | grep -q "lladdr $MAC"

answers() {
	[ "$( (echo "$1"; sleep 0.5) | nc.openbsd -u -w 1 "$1" 7)" = "$1" ]
}
answers $IP
answers fd00::2

# Datagrams from machines that are not there: each gets an echo that finds nobody.
for last in $(seq 100 130); do
	hping3 -q --udp -a 10.0.0.$last -p 7 -d 5 -c 1 $IP >/dev/null 2>&1 &
done
wait
hping3 -q --udp -a 10.0.0.99 -p 7 -d 5 -c 40 -i u1000 $IP >/dev/null 2>&1 || true
answers $IP
answers fd00::2
ping -c 2 -i 0.2 -q $IP
[ "$(echo tcp | nc.openbsd -N -w 3 $IP 7)" = tcp ]

# A neighbour with another Ethernet address says so once, as Linux does when told to.
old=$(cat /sys/class/net/xenbr0/address)
echo 1 >/proc/sys/net/ipv4/conf/xenbr0/arp_notify
echo 1 >/proc/sys/net/ipv6/conf/xenbr0/ndisc_notify
for mac in 02:00:00:00:01:01 $old; do
	ip link set xenbr0 address $mac
	sleep 0.2
	answers $IP
	answers fd00::2
done
