# Four times as many clients as there may be: some are refused, and it lives.
url=http://$IP:9100/metrics
wrk -t1 -c1024 -d2s $url | grep -q 'requests in' || { echo "no answers to a crowd"; exit 1; }
# It may still turn somebody away while the crowd leaves.
curl -sf -m 20 --retry 5 --retry-delay 1 --retry-all-errors $url | grep -q '^xenith_tcp_accepted [1-9]' || { echo "no answer after a crowd"; exit 1; }
