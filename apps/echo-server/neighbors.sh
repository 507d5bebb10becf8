# What a guest with a static address says to its neighbours, and what these may do to it.
# Who remembers the Ethernet address of a guest before it has heard of this one.
ip neigh show 10.0.0.2 dev xenbr0 | grep -q "lladdr $MAC"

answers() {
	[ "$( (echo "$1"; sleep 0.5) | nc.openbsd -u -w 1 "$1" 7)" = "$1" ]
}
answers $IP
answers fd00::2

# Datagrams from machines that are not there: each gets an echo that finds nobody.
for last in $(seq 100 160); do
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

# Questions about who listens to addresses that are no groups', from a router that is none.
python3 -S - $MAC <<'END'
import _socket as socket, sys
mac = bytes.fromhex(sys.argv[1].replace(":", ""))
net = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
net.bind(("xenbr0", 0))
own = bytes.fromhex("fe80000000000000") + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
router = bytes.fromhex("fe800000000000000000000000000077")
for target in own, bytes.fromhex("fd000000000000000000000000000002"):
    for alert in b"", bytes([58, 0, 5, 2, 0, 0, 1, 0]):
        query = bytes([130, 0, 0, 0, 0, 0, 0, 0]) + target + bytes(4)
        words = router + target + bytes([0, 0, 0, 58, 0, len(query)]) + query
        total = sum(int.from_bytes(words[at : at + 2], "big") for at in range(0, len(words), 2))
        while total > 0xFFFF:
            total = (total & 0xFFFF) + (total >> 16)
        query = query[:2] + (0xFFFF - total).to_bytes(2, "big") + query[4:]
        head = bytes([0x60, 0, 0, 0, 0, len(alert + query), 0 if alert else 58, 1])
        net.send(mac + b"\x02\0\0\0\0\x77\x86\xdd" + head + router + target + alert + query)
END
sleep 0.5
answers $IP
ping -c 1 -q $IP
