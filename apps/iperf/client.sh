# Debian's iperf3 as the client, each way and with several streams.
iperf3 -c $IP -n 16M -J >/tmp/in
grep -q '"bytes":	16777216' /tmp/in
iperf3 -c $IP -n 16M -R
iperf3 -c $IP -t 1 -P 3
! iperf3 -c $IP -u -n 1M
iperf3 -c $IP -n 1M
