# What clients see of the repository: curl, beside git itself.
/tmp/same 8
/tmp/as -C /srv/site.git show main:index.html >/tmp/shown
curl -sf http://$IP/ | cmp - /tmp/shown
# Who comes to git without TLS is sent to it, and nothing else is there.
[ "$(curl -s -o /dev/null -w '%{http_code} %{redirect_url}' http://www.lab/git/site.git/info/refs)" = '301 https://www.lab/git/site.git/info/refs' ]
