# Two hosts that only the bridge connects: one on each of dom0's bridges.
for host in 0 1; do
	ip netns del h$host 2>/dev/null || true
	ip netns add h$host
	ip link add port$host type veth peer name host$host netns h$host
	ip link set port$host master xenbr$host up
	ip netns exec h$host ip addr add 10.9.0.$((host + 1))/24 dev host$host
	ip netns exec h$host ip link set host$host up
done
ip netns exec h0 ping -c 20 -i 0.05 -q 10.9.0.2
ip netns exec h0 ping -c 2 -i 0.2 -q -s 1400 10.9.0.2

# Much at once, both ways: it arrives as it was sent.
head -c 8000000 /dev/urandom >/tmp/sent
for way in '0 1' '1 0'; do
	set -- $way
	ip netns exec h$2 nc.openbsd -l -N 7000 >/tmp/got </dev/null &
	server=$!
	until ip netns exec h$2 ss -ltn | grep -q :7000; do sleep 0.1; done
	ip netns exec h$1 nc.openbsd -N 10.9.0.$(($2 + 1)) 7000 </tmp/sent
	wait $server
	[ "$(sha256sum </tmp/got)" = "$(sha256sum </tmp/sent)" ]
done


# And as fast as it goes, both ways at once.
ip netns exec h1 iperf3 -s -1 -D
until ip netns exec h1 ss -ltn | grep -q :5201; do sleep 0.1; done
ip netns exec h0 iperf3 -c 10.9.0.2 -t 2 --bidir >/tmp/iperf
grep receiver /tmp/iperf
for host in 0 1; do ip netns del h$host; done
