# Files that are put to the guest and deleted, beside the repository that it pushes to: curl, and git itself.
as() {
	/tmp/as -C /srv/site.git "$@"
}
put() {
	curl -sf -H 'Authorization: Bearer secret' "$@"
}
head -c 300000 /dev/urandom >/tmp/new
put -T /tmp/new http://$IP/a/b/new
printf '#!/bin/sh\necho\n' >/tmp/run
put -T /tmp/run http://$IP/run
put -X DELETE http://$IP/deep/er/two
[ "$(as log -3 --format='%an <%ae> %s' main)" = "Jane Doe <jane@lab> Delete deep/er/two
Jane Doe <jane@lab> Put run
Jane Doe <jane@lab> Put a/b/new" ]
as fsck --full --strict --no-dangling
as show main:a/b/new | cmp - /tmp/new
# A program stays one.
[ "$(as ls-tree main run | cut -d ' ' -f 1)" = 100755 ]
/tmp/same 8
