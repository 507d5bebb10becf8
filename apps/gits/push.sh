# A push is served by itself, with what is left out of it and what is new.
as() {
	/tmp/as -C /srv/work "$@"
}
cd /tmp/gits/srv/work
printf '<h1>pushed</h1>\n' >index.html
rm deep/er/one run
printf 'new\n' >new
as add -A
as commit -q -m 'Change'
as push -q site main
until curl -sf http://$IP/ | cmp -s - index.html; do sleep 0.2; done
/tmp/same 7
[ "$(curl -s -o /dev/null -w '%{http_code}' http://$IP/run)" = 404 ]
