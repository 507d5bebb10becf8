# Debian's client of SSH in a folder of its own, with a key that may log in and one that may not. /tmp/ssh/login
# is it; what the server's key has to be, it knows.
root=/tmp/ssh
if [ ! -d $root ]; then
	mkdir -p $root
	mount -t tmpfs -o size=50% none $root
	tar -x -f "$ROOT" -C $root
	rm -rf $root/usr/share
	mkdir -p $root/dev $root/etc $root/root/.ssh
	mount --bind /dev $root/dev
	echo 'root:x:0:0::/root:/bin/sh' >$root/etc/passwd
fi
cat >$root/good <<-'END'
	-----BEGIN OPENSSH PRIVATE KEY-----
	b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
	QyNTUxOQAAACCLCd5K5CfBt7cRV9UIr77ZkQXiSQ2umXKBD1yB922hPwAAAJDbRDiY20Q4
	mAAAAAtzc2gtZWQyNTUxOQAAACCLCd5K5CfBt7cRV9UIr77ZkQXiSQ2umXKBD1yB922hPw
	AAAEArQozTgPvOYLmSG2wupoTjTkfePN3KmPEK64Qv6tTSMYsJ3krkJ8G3txFX1QivvtmR
	BeJJDa6ZcoEPXIH3baE/AAAABm1lQGxhYgECAwQFBgc=
	-----END OPENSSH PRIVATE KEY-----
END
cat >$root/bad <<-'END'
	-----BEGIN OPENSSH PRIVATE KEY-----
	b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
	QyNTUxOQAAACDIP0mKdLd3uHkYM3JbSGidOKILHOFbEqzEnLcpjXXqLgAAAJClX2XQpV9l
	0AAAAAtzc2gtZWQyNTUxOQAAACDIP0mKdLd3uHkYM3JbSGidOKILHOFbEqzEnLcpjXXqLg
	AAAEB3lkeEzelFLImQCxQHwXXtlMxpn6jgu/HgFVGUAZZ06Mg/SYp0t3e4eRgzcltIaJ04
	ogsc4VsSrMSctymNdeouAAAADHN0cmFuZ2VyQGxhYgE=
	-----END OPENSSH PRIVATE KEY-----
END
chmod 600 $root/good $root/bad
echo '10.0.0.2 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBm/RAlphM3+hUG6wWfcO5bIUIaqMLa2ywxcOK1wMWbh' >$root/known
cat >$root/login <<-'END'
	#!/bin/sh
	# login KEY ARGUMENTS; KNOWN is the file with the keys of servers.
	key=$1
	shift
	exec timeout 60 chroot /tmp/ssh ssh -F none -o BatchMode=yes -o "UserKnownHostsFile=${KNOWN:-/known}" \
		-o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -i "/$key" -l admin "$@"
END
chmod +x $root/login
