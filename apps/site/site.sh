# The folder that is served, packed by dom0's tar.
mkdir -p /tmp/www/pictures
printf '<h1>Served from a disk</h1>\n' >/tmp/www/index.html
printf 'body{}\n' >/tmp/www/style.css
head -c 1048576 /dev/urandom >/tmp/www/pictures/large.png
head -c 5000001 /dev/urandom >/tmp/www/pictures/beyond-the-cache.bin
printf 'spaces\n' >'/tmp/www/pictures/a b.txt'
tar -C /tmp/www -cf /tmp/site.tar .
truncate -s %4096 /tmp/site.tar 2>/dev/null || truncate -s 8M /tmp/site.tar
