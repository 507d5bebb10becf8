# The folder that is served, packed by dom0's tar.
mkdir -p /tmp/site/pictures
printf '<h1>Served from a disk</h1>\n' >/tmp/site/index.html
printf 'body{}\n' >/tmp/site/style.css
head -c 1048576 /dev/urandom >/tmp/site/pictures/large.png
head -c 5000001 /dev/urandom >/tmp/site/pictures/beyond-the-cache.bin
printf 'spaces\n' >'/tmp/site/pictures/a b.txt'
tar -C /tmp/site -cf /tmp/site.tar .
truncate -s %4096 /tmp/site.tar 2>/dev/null || truncate -s 8M /tmp/site.tar
