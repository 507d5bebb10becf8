# Debian's iperf3 as the client, in both directions, with one stream and with several.
iperf3 -c $IP -n 16M -J >/tmp/in
grep -q '"bytes":	16777216' /tmp/in
iperf3 -c $IP -n 16M -R
iperf3 -c $IP -t 1 -P 3
iperf3 -c $IP -t 3 -P 3 -R
! iperf3 -c $IP -u -n 1M
iperf3 -c $IP -n 1M
# By IPv6, in large frames both ways: in frames of the MTU, 16 MiB are 11 700.
echo 0 >/proc/sys/net/ipv6/conf/$BRIDGE/disable_ipv6
ip addr replace fd00::1/64 dev $BRIDGE nodad
count() { cat /sys/class/net/$VIF/statistics/$1_packets; }
few() { [ $(($(count $1) - before)) -lt 1200 ]; }
before=$(count rx)
iperf3 -6 -c fd00::2 -n 16M -R
few rx
before=$(count tx)
iperf3 -6 -c fd00::2 -n 16M
few tx
