# Debian's iperf3 as the client, in both directions, with one stream and with several.
iperf3 -c $IP -n 16M -J >/tmp/in
grep -q '"bytes":	16777216' /tmp/in
iperf3 -c $IP -n 16M -R
iperf3 -c $IP -t 1 -P 3
iperf3 -c $IP -t 3 -P 3 -R
! iperf3 -c $IP -u -n 1M
iperf3 -c $IP -n 1M
