# What blkback offers and the guest took, then a disk that becomes shorter, and longer.
ours=$(xenstore-read "/local/domain/$GUEST/device/vbd/51712/backend")
theirs=/local/domain/$GUEST/device/vbd/51712
[ "$(xenstore-read "$ours/max-ring-page-order")" -ge 2 ]
[ "$(xenstore-read "$ours/feature-max-indirect-segments")" -ge 256 ]
[ "$(xenstore-read "$theirs/ring-page-order")" = 2 ]
[ "$(xenstore-read "$theirs/feature-persistent")" = 1 ]
dmesg | grep -q "backend/vbd/$GUEST/51712: using .*persistent grants"
device=$(losetup -n -O NAME -j "$DISK" | tail -n 1)
truncate -s 4M "$DISK"
losetup -c "$device"
sleep 3
truncate -s 12M "$DISK"
losetup -c "$device"
