# Opens as many idle connections for the memory of the guest as 10 000 are for 192 MiB, by HTTP/1.1 and by HTTP/2.
count=1000
root=/tmp/many
mkdir -p $root
mount -t tmpfs -o size=60% none $root
tar -x -f "$ROOT" -C $root
cp /tmp/ca/ca.pem $root/srv
cd /tmp
mkfifo in
for protocol in http/1.1 h2; do
	chroot $root /usr/bin/python3 /srv/many.py $IP $protocol $count <in >said 2>&1 &
	client=$!
	exec 9>in
	until grep -q open said; do
		sleep 1
		kill -0 $client || {
			cat said
			exit 1
		}
	done
	sleep 20
	# Somebody new, besides.
	curl -sS --cacert ca/ca.pem --resolve "www.lab:443:$IP" https://www.lab/ | cmp - https/index.html
	echo >&9
	wait $client || {
		cat said
		exit 1
	}
	grep -q 'all are there' said
	exec 9>&-
done
