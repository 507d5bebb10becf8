# Both ends of the image hold what the app says that it wrote: every 16 bytes, their
# place in decimal digits. 512 bytes of each are what all runs write.
size=$(stat -c %s "$DISK")
lines() {
	awk -v from="$1" 'BEGIN { for (at = from; at < from + 512; at += 16) printf "%015d\n", at }'
}
lines 0 >/tmp/first
lines $((size - 512)) >/tmp/last
head -c 512 "$DISK" | cmp - /tmp/first
tail -c 512 "$DISK" | cmp - /tmp/last
