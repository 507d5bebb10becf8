# Debian's chronyd, which tells everybody the time of this host, and does not change it.
mkdir -p /tmp/chrony
tar -x -f "$ROOT" -C /tmp/chrony
mount --bind /dev /tmp/chrony/dev
printf 'local stratum 8\nallow all\ncmdport 0\nbindcmdaddress /\npidfile /tmp/pid\n' >/tmp/chrony/tmp/conf
chroot /tmp/chrony chronyd -x -d -u root -f /tmp/conf >/tmp/chrony.log 2>&1 &
for try in $(seq 100); do
	! ss -lnu | grep -q ':123 ' || exit 0
	sleep 0.1
done
cat /tmp/chrony.log
exit 1
