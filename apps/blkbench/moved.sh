# Saved and restored in the middle of its reads, writes and flushes, and ends well. The guest that is
# there is made anew, in domains of this script's own.
name=moved-blkbench kernel=/tmp/moved-blkbench file=/tmp/moved-blkbench.saved
log=/var/log/xen/console/guest-$name.log
# Whatever comes: dom0 has little memory, which its files are in.
trap 'xl destroy $name 2>/dev/null || :; rm -f $kernel $file' EXIT
cp "$(find /guests -type f -name blkbench | head -n 1)" $kernel
xl destroy "$GUEST"
xl create -q -e /dev/null "name='$name'" "kernel='$kernel'" memory=32 "tsc_mode='native'" \
	"extra='count=4000 overwrite=true'" "disk=['format=raw,vdev=$VDEV,access=rw,target=$TARGET']"
ended() {
	xl list $name | grep -q ' [r-][b-]-s'
}
cycles=0
until ended; do
	sleep 1
	ended && break
	xl save $name $file 2>/tmp/xl.log && xl restore -e $file 2>>/tmp/xl.log || {
		# It may have ended meanwhile.
		ended && break
		cat /tmp/xl.log $log
		exit 1
	}
	cycles=$((cycles + 1))
	[ $cycles -lt 60 ] || { cat $log; echo 'it does not end'; exit 1; }
done
cat $log
[ $cycles -ge 2 ]
grep -q 'bench: flush' $log
! grep -q 'error\|exit status\|panic' $log
echo "blkbench: $cycles cycles"
