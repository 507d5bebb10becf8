# A root for programs: busybox under all its names, and what was compiled.
rm -rf /tmp/root /tmp/root.tar
mkdir -p /tmp/root/bin /tmp/root/etc
cp /usr/bin/busybox /tmp/root/bin/
for name in $(busybox --list); do ln -s busybox "/tmp/root/bin/$name" 2>/dev/null || true; done
cp /programs/* /tmp/root/bin/
# Those whose words are compared.
ls /programs | grep -v '^hello$' >/tmp/root/etc/programs || true
printf 'root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/bin/sh\n' >/tmp/root/etc/passwd
printf 'root:x:0:\ndaemon:x:1:\n' >/tmp/root/etc/group
tar -C /tmp/root -cf /tmp/root.tar .
truncate -s $((($(stat -c %s /tmp/root.tar) + 1048575) / 1048576))M /tmp/root.tar
