# What clients see of httpd by IPv6: of its address, and of that of its link.
# With the port, as dom0 has no /etc/services to find one in.
url="http://[fd00::2]:80"
echo 0 >/proc/sys/net/ipv6/conf/$BRIDGE/disable_ipv6
ip addr replace fd00::1/64 dev $BRIDGE nodad
ping -6 -c 3 fd00::2 >/dev/null
curl -gsf $url/ | grep -q 'Hello from a unikernel'
[ "$(curl -gsf $url/health $url/health $url/health -w '%{num_connects} ' -o /dev/null -o /dev/null -o /dev/null)" = '1 0 0 ' ]

# Bodies in both directions are what they were.
head -c 300000 /dev/urandom >/tmp/body
curl -gsf --data-binary @/tmp/body $url/echo | cmp - /tmp/body
curl -gsf -H 'Transfer-Encoding: chunked' -T /tmp/body -X POST $url/echo | cmp - /tmp/body
[ "$(curl -gsf $url/bytes/3000000 | tr -d x | wc -c)" = 0 ]

# The address that every interface has, by its MAC address.
own=fe80::216:3eff:fe$(echo ${MAC#00:16:3e:} | tr -d : | sed 's/^\(..\)/\1:/')
ping -6 -c 1 "$own%$BRIDGE" >/dev/null
curl -gsf "http://[$own%$BRIDGE]/health" | grep -q ok

# Many connections at a time, each for one request or for many, and it still answers.
wrk -t1 -c50 -d3s $url/health | grep -q 'requests in'
wrk -t1 -c20 -d3s -H 'Connection: close' $url/health | grep -q 'requests in'
curl -gsf $url/health | grep -q ok
# IPv4 is served beside it.
curl -sf http://$IP/health | grep -q ok
