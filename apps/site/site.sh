# The folder that is served, packed by dom0's tar.
# Each test of site makes it anew.
rm -rf /tmp/site /tmp/site.tar
mkdir -p /tmp/site/pictures
printf '<h1>Served from a disk</h1>\n' >/tmp/site/index.html
printf 'body{}\n' >/tmp/site/style.css
head -c 1048576 /dev/urandom >/tmp/site/pictures/large.png
head -c 5000001 /dev/urandom >/tmp/site/pictures/beyond-the-cache.bin
printf 'spaces\n' >'/tmp/site/pictures/a b.txt'
gzip -c /tmp/site/style.css >/tmp/site/style.css.gz
mkdir -p /tmp/site/many /tmp/site/.git
(cd /tmp/site/many && seq -w 2000 | sed 's,$,.txt,' | xargs touch)
printf secret >/tmp/site/.git/config
ln -s ../index.html /tmp/site/many/link.html
ln -s ../../../../etc/passwd /tmp/site/outside
tar -C /tmp/site -cf /tmp/site.tar .
truncate -s %4096 /tmp/site.tar 2>/dev/null || truncate -s 8M /tmp/site.tar
