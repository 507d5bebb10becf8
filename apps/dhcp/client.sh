# Two hosts on the second bridge, by udhcpc of busybox: they get addresses, renew them, and
# give them back.
cat >/tmp/udhcpc <<'END'
#!/bin/sh
# Writes down what it was told, and takes the address.
case $1 in
bound | renew)
	echo "$1 $ip/$mask router=$router dns=$dns domain=$domain lease=$lease serverid=$serverid" >>/tmp/$interface
	busybox ip addr flush dev $interface
	busybox ip addr add $ip/$mask dev $interface
	;;
deconfig) busybox ip link set $interface up ;;
nak) echo nak >>/tmp/$interface ;;
esac
END
chmod +x /tmp/udhcpc
for host in 1 2 3; do
	rm -f /tmp/host$host
	ip netns del h$host 2>/dev/null || true
	ip netns add h$host
	ip link add port$host type veth peer name host$host address 02:00:00:00:00:0$host netns h$host
	ip link set port$host master xenbr1 up
done
asks() {
	ip netns exec h$1 busybox udhcpc -i host$1 -s /tmp/udhcpc -p /tmp/pid$1 -f -n -t 4 -T 2 "$2" ${3-} ${4-} >>/tmp/said 2>&1
}

asks 1 -q
grep -q '^bound 10.0.1.100/24 router=10.0.1.1 dns=10.0.1.1 10.0.1.9 domain=lab lease=20 serverid=10.0.1.2$' /tmp/host1
ip netns exec h1 ping -c 2 -i 0.2 -q 10.0.1.2
# The same again for who comes again, and the address that it wishes for.
asks 1 -q -r 10.0.1.101
[ "$(grep -c '^bound 10.0.1.100/24' /tmp/host1)" = 2 ]

# The second one stays, and renews after half of its lease; a third gets none.
asks 2 -R &
second=$!
until grep -q '^bound 10.0.1.101/24' /tmp/host2; do sleep 0.1; done
if asks 3 -q; then exit 1; fi
until grep -q '^renew 10.0.1.101/24' /tmp/host2; do sleep 0.5; done

# It gives it back, and then the third gets that.
kill $(cat /tmp/pid2)
wait $second || true
asks 3 -q
grep -q '^bound 10.0.1.101/24' /tmp/host3
for host in 1 2 3; do ip netns del h$host; done
