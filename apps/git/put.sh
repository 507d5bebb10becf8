# Files that are put to the guest and deleted, beside the repository that it pushes to: curl, and git itself.
cd /tmp/git/srv
as() {
	/tmp/as -C /srv/site.git "$@"
}
# What the guest answers to a change: the status, and the answer in /tmp/said.
answer() {
	curl -s -o /tmp/said -D /tmp/head -w '%{http_code}' -H 'Authorization: Bearer secret' "$@"
}
# The newest commit is whole, is the one that was told, and says who made it, when and why.
made() {
	[ "$(tr -d '\r' </tmp/head | sed -n 's/^[Gg]it-[Cc]ommit: //p')" = "$(as rev-parse main)" ]
	as fsck --full --strict --no-dangling >/tmp/fsck 2>&1
	[ ! -s /tmp/fsck ]
	[ "$(as log -1 --format='%an|%ae|%cn|%ce|%s' main)" = "Jane Doe|jane@lab|Jane Doe|jane@lab|$1" ]
	[ $(($(date +%s) - $(as log -1 --format=%ct main))) -lt 100 ]
}
before=$(as rev-list --count main)
# Without the token nothing is changed.
[ "$(curl -s -o /dev/null -w '%{http_code}' -T work/index.html http://$IP/index.html)" = 401 ]
[ "$(curl -s -o /dev/null -w '%{http_code}' -X DELETE -H 'Authorization: Bearer other' http://$IP/index.html)" = 401 ]
[ "$(as rev-list --count main)" = "$before" ]
# A new file in new folders, another content of one there is, and one file less.
printf 'new\n' >/tmp/new
[ "$(answer -T /tmp/new "http://$IP/some/where/new%20one")" = 201 ]
made 'Put some/where/new one'
as show 'main:some/where/new one' | cmp - /tmp/new
curl -sf "http://$IP/some/where/new%20one" | cmp - /tmp/new
head -c 500000 /dev/urandom >/tmp/new
[ "$(answer -T /tmp/new http://$IP/noise)" = 204 ]
made 'Put noise'
as show main:noise | cmp - /tmp/new
curl -sf http://$IP/noise | cmp - /tmp/new
[ "$(answer -X DELETE http://$IP/deep/er/1)" = 204 ]
made 'Delete deep/er/1'
[ -z "$(as ls-tree main deep/er/1)" ]
[ "$(answer http://$IP/deep/er/1)" = 404 ]
# What is as it is to be is no commit, and what cannot be is none.
[ "$(answer -T /tmp/new http://$IP/noise)" = 204 ]
[ "$(answer -T /tmp/new http://$IP/link)" = 409 ]
[ "$(answer -T /tmp/new http://$IP/deep)" = 409 ]
[ "$(answer -T /tmp/new http://$IP/.git/config)" = 400 ]
[ "$(answer -T /tmp/new http://$IP/git~1)" = 400 ]
[ "$(as rev-list --count main)" = $((before + 3)) ]
# Of two who change what they have read, one is told so.
tag=$(curl -sfI http://$IP/index.html | tr -d '\r' | sed -n 's/^[Ee][Tt]ag: //p')
[ "$(answer -T /tmp/as -H "If-Match: $tag" http://$IP/index.html)" = 204 ]
[ "$(answer -T /tmp/new -H "If-Match: $tag" http://$IP/index.html)" = 412 ]
# Whoever pushes meanwhile is not lost, and what was put then can be put again.
work() {
	/tmp/as -C /srv/work "$@"
}
work fetch -q site main
work reset -q --hard FETCH_HEAD
printf 'theirs\n' >work/theirs
work add theirs
work commit -q -m 'Theirs'
work push -q site main
[ "$(answer -T /tmp/as http://$IP/ours)" = 409 ]
grep -q 'the branch has moved' /tmp/said
[ "$(curl -sf http://$IP/theirs)" = theirs ]
[ "$(answer -T /tmp/as http://$IP/ours)" = 201 ]
made 'Put ours'
[ "$(as log -2 --format=%s main)" = "Put ours
Theirs" ]
# What is asked of files that are no longer the newest is not answered by these.
work fetch -q site main
work reset -q --hard FETCH_HEAD
printf 'theirs again\n' >work/ours
work add ours
work commit -q -m 'Theirs again'
work push -q site main
[ "$(answer -T /tmp/as http://$IP/ours)" = 409 ]
[ "$(curl -sf http://$IP/ours)" = 'theirs again' ]
[ "$(answer -T /tmp/as http://$IP/ours)" = 204 ]
made 'Put ours'
# A server that does not want it says why.
printf '#!/bin/sh\nexit 1\n' >site.git/hooks/pre-receive
chmod +x site.git/hooks/pre-receive
[ "$(answer -T /tmp/new http://$IP/ours)" = 502 ]
grep -q 'the server refuses the push: pre-receive hook declined' /tmp/said
curl -sf http://$IP/ours | cmp - /tmp/as
rm site.git/hooks/pre-receive
# Many, one after the other and several at once: each that was told is there.
count=$(as rev-list --count main)
for number in $(seq 8); do
	echo $number | curl -sf -H 'Authorization: Bearer secret' -T - http://$IP/many/$number
done
[ "$(as rev-list --count main)" = $((count + 8)) ]
pids=
for number in $(seq 9 12); do
	echo $number >/tmp/many.$number
	curl -sf -H 'Authorization: Bearer secret' -T /tmp/many.$number http://$IP/many/$number &
	pids="$pids $!"
done
for pid in $pids; do
	wait $pid
done
[ "$(as rev-list --count main)" = $((count + 12)) ]
# A clone has what is served.
rm -rf clone
/tmp/as clone -q /srv/site.git /srv/clone
cd clone
git_files=$(find . -type f ! -path './.git/*' | wc -l)
[ "$git_files" -ge 28 ]
find . -type f ! -path './.git/*' | sed 's/ /%20/g' | while read -r file; do
	curl -sf "http://$IP/$file" | cmp - "$(echo "$file" | sed 's/%20/ /g')"
done
as fsck --full --strict --no-dangling
