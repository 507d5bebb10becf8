//! The wiring of `linux`.
//!
//! test(hello,absent,fault,names,shell,strace,strace_here,same): program hello.c
//! test(hello,absent,fault,names,shell,strace,strace_here,same): dom0 root.sh
//! test(hello,absent,fault,names,shell,strace,strace_here,same): xl disk=["format=raw,vdev=xvda,access=ro,target=/tmp/root.tar"]
//! test: timeout 60
//! test(hello): memory 5
//! test(hello): args run="/bin/hello one 'two three'" env="GREETING=hi"
//! test(hello): console-contains "hello: one, two three; GREETING=hi; pi is 3.14159"
//! test(hello): expect exit 7
//! test(absent): args run=/bin/absent
//! test(absent): console-contains "/bin/absent: ENOENT"
//! test(absent): expect exit 127
//! test(fault): args run="/bin/hello --fault"
//! test(fault): console-contains "linux: process 1 (hello) ends: SIGSEGV (11), address 0x10, at 0x"
//! test(fault): console-contains " (/bin/hello + 0x"
//! test(fault): expect exit 139
//! test(names): args run="sh -c 'sleep 1; cat /etc/hosts /etc/resolv.conf; ping -c 1 10.0.0.1; ping -c 1 127.0.0.1'"
//! test(names): console-contains "64 bytes from 10.0.0.1: seq=0 ttl=64"
//! test(names): console-contains "64 bytes from 127.0.0.1: seq=0 ttl=64"
//! test(names): console-contains "localhost\n"
//! test(names): console-contains "nameserver 10.0.0.1\n"
//! test(shell): args run="sh -c 'echo $((6 * 7)); (exit 3); echo status $?; ls /bin | grep -c ^hello; seq 3 | while read i; do expr $i + 1; done'"
//! test(shell): console-contains "42\nstatus 3\n1\n2\n3\n4\n"
//! test(strace): args run="sh -c 'cat /etc/group; grep -m1 execve /tmp/calls; kill -9 $$'" strace=/tmp/calls
//! test(strace): console-contains "execve(\"/proc/self/exe\", [\"cat\", \"/etc/group\"], 0x"
//! test(strace): expect exit 137
//! test(strace_here): args run="/bin/cat /etc/group /absent" strace=1
//! test(strace_here): console-contains "(AT_FDCWD, \"/etc/group\", O_RDONLY, 0000) = 3"
//! test(strace_here): expect exit 1
//! test(same): program areas.c
//! test(same): program clocks.c
//! test(same): program descriptors.c
//! test(same): program epoll.c
//! test(same): program eventfd.c
//! test(same): program faults.c
//! test(same): program files.c
//! test(same): program ids.c
//! test(same): program masks.c
//! test(same): program mmap.c
//! test(same): program names.c
//! test(same): program pipe.c
//! test(same): program poll.c
//! test(same): program process.c
//! test(same): program queues.c
//! test(same): program seek.c
//! test(same): program signals.c
//! test(same): program status.c
//! test(same): program tcp.c
//! test(same): program threads.c
//! test(same): program timerfd.c
//! test(same): program unix.c
//! test(same): program waits.c
//! test(same): args run="sh -c 'mkdir /tmp/said; cd /tmp; for p in $(cat /etc/programs); do $p </dev/null >said/$p 2>&1; done; echo ready; exec httpd -f -p 80 -h said'"
//! test(same): client same.sh
//! test(same): expect exit 143
//! test(same): timeout 240
//! test(redis): disk root=debian:redis-server
//! test(redis): args run="redis-server --protected-mode no --appendonly yes --enable-debug-command yes --dir /tmp"
//! test(redis): client-when "Ready to accept connections"
//! test(redis): client redis.sh
//! test(redis-moved): disk root=debian:redis-server
//! test(redis-moved): args run="redis-server --protected-mode no --dir /tmp"
//! test(redis-moved): client-when "Ready to accept connections"
//! test(redis-moved): client redis-moved.sh
//! test(redis-moved): client-then destroy
//! test(redis-moved): timeout 240
//! test(moved): args run="sh -c 'echo ready; exec sleep 1000'"
//! test(moved): client moved.sh
//! test(moved): client-then destroy
//! test(moved): timeout 240

#![no_std]
#![no_main]

use xenith::{Block, Ip};

xenith::unikernel! {
    /// Runs a Linux program from a disk.
    name: "linux",
    memory: 32 MiB,
    devices: { ip: Ip("0"), root: Block("xvda") },
    args: {
        /// The command line of the program, split as a shell does.
        run: &'static str,
        /// Environment variables: NAME=VALUE, several split as a shell does.
        env: &'static str = "",
        /// The folder to begin in.
        cwd: &'static str = "/",
        /// The user and the group to run as, by number or by name: USER or USER:GROUP.
        user: &'static str = "0",
        /// Print system calls as strace does: 1 to the console, or the path of a file in the guest.
        strace: &'static str = "",
    },
    main: linux_app::start,
}
