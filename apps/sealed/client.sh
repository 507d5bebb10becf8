# What is served is what Debian's own tools find in the image: veritysetup verifies it by the same
# hash, and fsck.erofs extracts it.
hash=24306c57c2bd8d0f175a57a0ce9d54bcd981504fb417774fad50233b4e5252c4
root=/tmp/root-$GUEST
mkdir -p $root
tar -x -f "$ROOT" -C $root
cp "$DISK" $root/image
# The tools do not start without.
for device in "random c 1 8" "urandom c 1 9"; do
    [ -e $root/dev/${device%% *} ] || mknod -m 666 $root/dev/$device
done
chroot $root veritysetup verify --hash-offset=86016 /image /image $hash
chroot $root fsck.erofs --extract=/files /image
cd $root/files
count=0
for file in $(find . -type f ! -name '* *' | cut -c3-); do
    curl -sSf "http://$IP/$file" | cmp - "$file"
    count=$((count + 1))
done
test $count -ge 10
test "$(curl -sSf "http://$IP/many/" | grep -c 'some%20length%20\|some length ')" -ge 300
