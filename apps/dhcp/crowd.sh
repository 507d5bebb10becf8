# Four times as many clients at once as there are addresses (udhcpc of busybox), beside one who
# floods the server with nonsense: each address is given once, to one of them, who gets it again;
# and the server lives.
cat >/tmp/crowd-says <<'END'
#!/bin/sh
[ $1 != bound ] || echo "$ip $interface" >>/tmp/crowd-got
END
chmod +x /tmp/crowd-says
: >/tmp/crowd-got
ip netns add crowd
clients=$(seq 10 73)
for client in $clients; do
	ip link add p$client type veth peer name c$client address 02:00:00:00:01:$client netns crowd
	ip link set p$client master xenbr1 up
	ip -n crowd link set c$client up
done
head -c 300 /dev/urandom >/tmp/nonsense
ip addr add 10.0.1.250/24 dev xenbr1
hping3 -q --udp -s 68 -k -p 67 -d 300 -E /tmp/nonsense -i u1000 10.0.1.2 >/dev/null 2>&1 &
flood=$!
asks() {
	ip netns exec crowd busybox udhcpc -i c$1 -s /tmp/crowd-says -f -n -q -t 5 -T 2 >>/tmp/said 2>&1
}
all=
for client in $clients; do
	asks $client &
	all="$all $!"
done
for one in $all; do wait $one || true; done
kill $flood
cat /tmp/crowd-got
[ "$(wc -l </tmp/crowd-got)" = 16 ]
[ "$(cut -d' ' -f1 /tmp/crowd-got | sort -u | wc -l)" = 16 ]
[ "$(grep -c '^10\.0\.1\.1[01][0-9] ' /tmp/crowd-got)" = 16 ]

# Who has one gets it again, and nobody else does.
first=$(head -n 1 /tmp/crowd-got)
asks $(echo "$first" | sed 's/.* c//')
[ "$(tail -n 1 /tmp/crowd-got)" = "$first" ]
for client in $clients; do
	grep -q " c$client\$" /tmp/crowd-got || break
done
if asks $client; then exit 1; fi
ping -c 2 -i 0.2 -q 10.0.1.2
ip addr del 10.0.1.250/24 dev xenbr1
for client in $clients; do ip link del p$client; done
ip netns del crowd
