# Four times as many clients as there may be, at each kind of path, first alone and then
# beside 250 who read so slowly that nearly all places are taken: what is answered is as it
# should be, who finds no room gets 503, and site lives.
url=http://$IP:80
cat >/tmp/count.lua <<'END'
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init(args) wanted, good, busy, other = tonumber(args[1]), 0, 0, 0 end
function response(status)
	if status == wanted then good = good + 1
	elseif status == 503 then busy = busy + 1
	else other = status end
end
function done()
	for _, thread in ipairs(threads) do
		print("good=" .. thread:get("good") .. " busy=" .. thread:get("busy") .. " other=" .. thread:get("other"))
	end
end
END
# What a crowd is answered: some of it as it should be, if not at once. On a machine that is busy it takes
# longer until all are connected.
seconds=4
crowd() {
	wanted=$1 path=$2
	shift 2
	for _ in $(seq 8); do
		wrk -t1 -c1024 -d${seconds}s --timeout 20s -s /tmp/count.lua "$@" $url$path -- $wanted >/tmp/crowd
		good=0 busy=0 other=0
		eval "$(grep '^good=' /tmp/crowd)"
		echo "$path: $good of $wanted, $busy of 503"
		[ $other = 0 ] || { cat /tmp/crowd; exit 1; }
		all=$((all + busy))
		[ $good -lt $least ] || return 0
		seconds=$((seconds + 4))
	done
	cat /tmp/crowd
	exit 1
}
crowds() {
	all=0
	# All in turn, so that in this time perhaps none is done with what is long.
	least=0
	crowd 200 /many/
	crowd 200 /pictures/large.png
	least=1
	crowd 200 /pictures/
	crowd 200 /index.html
	crowd 404 /nothing
	crowd 206 /pictures/large.png -H 'Range: bytes=65530-65599'
	crowd 206 /pictures/large.png -H 'Range: bytes=0-0,-1'
}
crowds
curl -sZ --no-progress-meter --parallel-immediate --parallel-max 250 --limit-rate 2k -o /dev/null "$url/pictures/beyond-the-cache.bin?[1-250]" &
sleep 5
crowds
[ $all -gt 0 ] || { echo "nobody was refused"; exit 1; }
kill $!
for _ in $(seq 30); do
	[ "$(curl -s -m 20 $url/style.css)" = 'body{}' ] && exit 0
	sleep 1
done
echo "no answer after the crowds"
exit 1
