# Files come whole from the disk, past the cache, while the guest is saved, restored and copied in place.
file=pictures/beyond-the-cache.bin
files=0
while cycling; do
	curl -sf -m 120 --limit-rate 1500k "http://$IP/$file" | cmp - "/tmp/site/$file"
	[ "$(curl -sf -m 60 "http://$IP/index.html")" = '<h1>Served from a disk</h1>' ]
	files=$((files + 1))
done
echo "$files files"
