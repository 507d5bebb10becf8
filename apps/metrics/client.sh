# What Prometheus would read: each sort of number, with a value that makes sense.
curl -sf http://$IP:9100/metrics >/tmp/metrics
value() {
	sed -n "s/^xenith_$1 //p" /tmp/metrics
}
for some in uptime_milliseconds memory_bytes heap_used_bytes heap_allocations tasks hypercalls events \
	event_channels grants net_received_frames net_transmitted_bytes net_receive_slots \
	ip_received_frames tcp_accepted; do
	[ "$(value $some)" -gt 0 ] || { echo "$some is $(value $some)"; exit 1; }
done
for none in heap_failures net_received_dropped net_transmitted_dropped net_resets ip_corrupt_frames \
	ip_unsent_frames tcp_dropped console_dropped_bytes grants_quarantined xenstore_dropped; do
	[ "$(value $none)" = 0 ] || { echo "$none is $(value $none)"; exit 1; }
done
[ -n "$(value net_transmit_slots)" ] && [ -n "$(value tasks_ready)" ]
[ "$(value memory_bytes)" -gt "$(value heap_used_bytes)" ]
