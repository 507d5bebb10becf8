# Debian's git, whose repository lighttpd serves by HTTPS with certificates good and bad, and sends
# those there who come without; `as` is git, and `same` compares what the guest at IP serves with it.
root=/tmp/gits
cat >/tmp/as <<'END'
#!/bin/sh
export HOME=/tmp GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@lab GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@lab
exec chroot /tmp/gits /usr/bin/git "$@"
END
# Each of the COUNT files of the newest commit is what git's own archive of it has.
cat >/tmp/same <<'END'
#!/bin/sh -eu
rm -rf /tmp/archive
mkdir /tmp/archive
/tmp/as -C /srv/site.git archive main | tar -x -C /tmp/archive
cd /tmp/archive
find . -type f -o -type l >/tmp/files
[ "$(wc -l </tmp/files)" = "$1" ]
while read -r file; do
	curl -sf http://$IP/$file | cmp - $file
done </tmp/files
END
chmod +x /tmp/as /tmp/same
if [ ! -d $root ]; then
	mkdir -p $root
	mount -t tmpfs -o size=60% none $root
	tar -x -f "$ROOT" -C $root
	mount --bind /dev $root/dev
fi
rm -rf $root/srv
mkdir -p $root/srv/work $root/srv/tls $root/srv/www $root/tmp
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
seq 1000 2000 >deep/er/one
seq 1000 2001 >deep/er/two
printf '#!/bin/sh\n' >run
chmod +x run
head -c 400000 /dev/urandom >noise
as add .
as commit -q -m 'Grow'
as clone -q --bare . /srv/site.git
as -C /srv/site.git repack -q -a -d -f
as -C /srv/site.git config http.receivepack true
as remote add site /srv/site.git
cd $root/srv/tls
. certificates
key key
key other-key
authority ca key
authority other other-key
signed good key ca
signed unknown key other
signed expired key ca until=20210101000000Z
# One of elsewhere.lab that nobody has signed, which expired with 2020, and its key, which protects nothing:
# its fingerprint is known before.
cat >known-key <<'END'
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIIhOlEpV9/cj2r//MICQXq/WR2ij/sP9SnPO2mzLt4fV
-----END PRIVATE KEY-----
END
cat >known.pem <<'END'
-----BEGIN CERTIFICATE-----
MIIBJDCB16ADAgECAhQptvEfolWt0Prx+XKOZuM6QnEgVDAFBgMrZXAwFDESMBAG
A1UEAwwJZWxzZXdoZXJlMB4XDTIwMDEwMTAwMDAwMFoXDTIxMDEwMTAwMDAwMFow
FDESMBAGA1UEAwwJZWxzZXdoZXJlMCowBQYDK2VwAyEAYIryzi5NyqDVAHCXaZKG
I07bFvTxFaU2b4F2Jvf1F1ajOzA5MBgGA1UdEQQRMA+CDWVsc2V3aGVyZS5sYWIw
HQYDVR0OBBYEFDIrjDKzOy4aLxqJ6g9g7WTQcQH7MAUGAytlcANBAMAuHXJ9SHNN
acn04uurlwCOxoNkBMb+38bET3iQKrnRbfdWQlLTQCzXm+NVkvg1p3uuD7qs0HcB
szz6S4HFYQs=
-----END CERTIFICATE-----
END
roots /tmp/gits-roots ca.pem
{
	cat <<-'END'
		server.modules = ("mod_alias", "mod_setenv", "mod_cgi", "mod_redirect", "mod_openssl")
		server.document-root = "/srv/www"
		server.bind = "10.0.0.1"
		server.port = 80
		server.errorlog = "/srv/log"
		alias.url = ("/git" => "/usr/lib/git-core/git-http-backend")
		$HTTP["url"] =~ "^/git/" {
			cgi.assign = ("" => "")
			setenv.add-environment = ("GIT_PROJECT_ROOT" => "/srv", "GIT_HTTP_EXPORT_ALL" => "1", "HOME" => "/tmp")
		}
		$HTTP["scheme"] == "http" {
			url.redirect = ("" => "https://${url.authority}${url.path}${qsa}")
		}
	END
	# listen PORT CERTIFICATE KEY
	listen() {
		echo "\$SERVER[\"socket\"] == \"10.0.0.1:$1\" { ssl.engine = \"enable\" ssl.pemfile = \"/srv/tls/$2.pem\" ssl.privkey = \"/srv/tls/$3\" }"
	}
	listen 443 good key
	listen 444 unknown key
	listen 445 expired key
	listen 446 known known-key
} >lighttpd.conf
# It comes back once it listens, and else with what is wrong.
chroot $root /usr/sbin/lighttpd -f /srv/tls/lighttpd.conf
