# Connections that are no clients of it: far more than there is memory for that say nonsense,
# and silent ones that stay. A client is served beside them, with as many streams as there
# may be too.
wrk -t1 -c1024 -d2s http://$IP:5201/ >/dev/null || true
iperf3 -c $IP -n 1M
for _ in $(seq 100); do
	sleep 60 | nc $IP 5201 >/dev/null &
done
sleep 2
timeout 60 iperf3 -c $IP -n 1M
# iperf3 itself may give up before all its streams are there.
timeout 30 iperf3 -c $IP -t 2 -P 128 >/dev/null || true
timeout 60 iperf3 -c $IP -n 1M
