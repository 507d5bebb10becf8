# Four times as many clients as there may be: some are refused, and it lives.
url=http://$IP:9100/metrics
wrk -t1 -c1024 -d2s $url | grep -q 'requests in' || { echo "no answers to a crowd"; exit 1; }
curl -sf -m 20 $url | grep -q '^xenith_tcp_accepted [1-9]' || { echo "no answer after a crowd"; exit 1; }
