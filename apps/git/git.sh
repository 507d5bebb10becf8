# Debian's git, which serves /tmp/git/srv by its own protocol, and by HTTP through busybox httpd; `as` is it.
root=/tmp/git
cat >/tmp/as <<'END'
#!/bin/sh
export HOME=/tmp GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@lab GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@lab
exec chroot /tmp/git /usr/bin/git "$@"
END
chmod +x /tmp/as
if [ ! -d $root ]; then
	mkdir -p $root
	mount -t tmpfs -o size=60% none $root
	tar -x -f "$ROOT" -C $root
	mount --bind /dev $root/dev
fi
rm -rf $root/srv
mkdir -p $root/srv/work $root/tmp
as() {
	/tmp/as -C /srv/work "$@"
}
as init -q -b main
as config gc.auto 0
cd $root/srv/work
mkdir -p css deep/er
printf '<h1>hello</h1>\n' >index.html
printf 'h1{}\n' >css/style.css
ln -s css/style.css link
printf 'x\n' >deep/er/file
as add .
as commit -q -m 'Say hello'
as tag -a -m 'The first' v1
# Files of which each is the one before and a little more, and one that is not compressed.
for number in $(seq 12); do
	seq 1000 $((1100 + number)) >deep/er/$number
done
head -c 400000 /dev/urandom >noise
as add .
as commit -q -m 'Grow'
as clone -q --bare . /srv/site.git
as -C /srv/site.git repack -q -a -d -f
as remote add site /srv/site.git
mkdir -p /tmp/git-www/cgi-bin
cat >/tmp/git-www/cgi-bin/git <<'END'
#!/bin/sh
export HOME=/tmp GIT_PROJECT_ROOT=/srv GIT_HTTP_EXPORT_ALL=1
exec chroot /tmp/git /usr/lib/git-core/git-http-backend
END
chmod +x /tmp/git-www/cgi-bin/git
# Who has logged in may push.
cp /tmp/git-www/cgi-bin/git /tmp/git-www/cgi-bin/push
echo '/cgi-bin/push:me:secret' >/tmp/git-httpd.conf
busybox httpd -h /tmp/git-www -c /tmp/git-httpd.conf
HOME=/tmp chroot $root /usr/lib/git-core/git-daemon --listen=10.0.0.1 --base-path=/srv --export-all --enable=receive-pack \
	--reuseaddr --log-destination=none >/dev/null 2>&1 </dev/null &
until ss -ltn | grep -q ':9418 '; do usleep 100000; done
