# What clients see of a repository: curl, beside the files of a working tree.
cd /tmp/git/srv/work
as() {
	/tmp/as -C /srv/work "$@"
}
# What is served is what git has.
same() {
	for file in index.html css/style.css link noise deep/er/1 deep/er/7 deep/er/12; do
		curl -sf http://$IP/$file | cmp - $file
	done
}
same
curl -sfI http://$IP/css/style.css | grep -qi '^content-type: text/css'
[ "$(curl -s -o /dev/null -w '%{http_code}' http://$IP/.git/config)" = 404 ]
# A push is served by itself, with what is left out of it and what is new.
printf '<h1>pushed</h1>\n' >index.html
rm deep/er/2
printf 'new\n' >new
as add -A
as commit -q -m 'Change'
as push -q site main
until curl -sf http://$IP/ | cmp -s - index.html; do sleep 0.2; done
same
[ "$(curl -sf http://$IP/new)" = new ]
[ "$(curl -s -o /dev/null -w '%{http_code}' http://$IP/deep/er/2)" = 404 ]
# A repository that is away for a while is no reason to end.
mv /tmp/git/srv/site.git /tmp/git/srv/away
sleep 2
same
