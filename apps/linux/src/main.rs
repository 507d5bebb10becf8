//! The wiring of `linux`.
//!
//! test(hello,console,absent,fault,names,shell,strace,strace_here,same,same-more,hungry,moved): program hello.c
//! test(hello,console,absent,fault,names,shell,strace,strace_here,same,same-more,hungry,moved): dom0 root.sh
//! test(hello,console,absent,fault,names,shell,strace,strace_here,same,same-more,hungry,moved): xl disk=["format=raw,vdev=xvda,access=ro,target=/tmp/root.tar"]
//! test: timeout 60
//! test(hello): memory 5
//! test(hello): args run="/bin/hello one 'two three'" env="GREETING=hi"
//! test(hello): console-contains "hello: one, two three; GREETING=hi; pi is 3.14159"
//! test(hello): expect exit 7
//! test(console): args run=sh terminal=33x99
//! test(console): timeout 120
//! test(console): client console.sh
//! test(console): client-when "/ # "
//! test(console): client-then wait
//! test(console): expect exit 7
//! test(absent): args run=/bin/absent
//! test(absent): console-contains "/bin/absent: ENOENT"
//! test(absent): expect exit 127
//! test(applets): args run="uname -a"
//! test(applets): disk root=debian:busybox-static
//! test(applets): console-contains "in the folders of PATH; busybox is there and may have it"
//! test(applets): expect exit 127
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
//! test(same): timeout 480
//! test(same-more): not-in-check
//! test(same-more): program births.c
//! test(same-more): program dents.c
//! test(same-more): program ends.c
//! test(same-more): program events.c
//! test(same-more): program futex.c
//! test(same-more): program inet.c
//! test(same-more): program opens.c
//! test(same-more): program perms.c
//! test(same-more): program proc.c
//! test(same-more): program records.c
//! test(same-more): program remaps.c
//! test(same-more): program sends.c
//! test(same-more): program shm.c
//! test(same-more): program starts.c
//! test(same-more): program terminals.c
//! test(same-more): program timers.c
//! test(same-more): program vectors.c
//! test(same-more): args run="sh -c 'mkdir /tmp/said; cd /tmp; for p in $(cat /etc/programs); do $p </dev/null >said/$p 2>&1; done; echo ready; exec httpd -f -p 80 -h said'"
//! test(same-more): client same.sh
//! test(same-more): expect exit 143
//! test(same-more): timeout 480
//! test(hungry): not-in-check
//! test(hungry): program hungry.c
//! test(hungry): memory 64
//! test(hungry): args run=/bin/hungry
//! test(hungry): console-contains "a user: many sockets, none in flight: ENFILE\n"
//! test(hungry): console-contains "all live\n"
//! test(hungry): timeout 120
//! test(redis): disk root=debian:redis-server
//! test(redis): args run="redis-server --protected-mode no --appendonly yes --enable-debug-command yes --dir /tmp"
//! test(redis): client-when "Ready to accept connections"
//! test(redis): client redis.sh
//! test(redis-moved): disk root=debian:redis-server
//! test(redis-moved): args run="redis-server --protected-mode no --dir /tmp"
//! test(redis-moved): client-when "Ready to accept connections"
//! test(redis-moved): cycles 10
//! test(redis-moved): client redis-moved.sh
//! test(redis-moved): client-then destroy
//! test(redis-moved): timeout 480
//! test(moved): args log=warn run="sh -c '(i=0; while sleep 0.2; do i=$((i+1)); echo tick $i; done) & ymm >/tmp/said & echo ready; exec httpd -f -p 80 -h /'"
//! test(moved): program ymm.c
//! test(moved): cycles 5
//! test(moved): client moved.sh
//! test(moved): client-then destroy
//! test(moved): console-contains "tick 1\ntick 2\ntick 3\ntick 4\ntick 5\ntick 6\ntick 7\ntick 8\ntick 9\ntick 10\ntick 11\ntick 12\ntick 13\ntick 14\ntick 15\n"
//! test(moved): timeout 240
//! test(nginx,memcached,dnsmasq,mosquitto,haproxy,openssl,bash,perl,sqlite,procps): disk root=debian:nginx,iproute2-,memcached,perl-,dnsmasq-base,mosquitto,haproxy,openssl,curl,bash,coreutils,diffutils,grep,dash,perl-base,sqlite3,procps,lsof
//! test(nginx,memcached,dnsmasq,mosquitto,haproxy): client-when ""
//! test(nginx): args run="sh -c 'mkdir -p /var/www/html; cd /var/www/html; cp /usr/share/nginx/html/index.html .; ln -s /usr/lib/x86_64-linux-gnu/libcrypto.so.3 big; ln -s /var/log/nginx/access.log log; cd /etc/nginx; ln -s ../sites-available/default sites-enabled; exec nginx -g \"daemon off;\"'"
//! test(nginx): client nginx.sh
//! test(memcached): args run="memcached -u nobody -v"
//! test(memcached): client memcached.sh
//! test(dnsmasq): args run="dnsmasq --keep-in-foreground --user=nobody --no-resolv --no-hosts --address=/xenith.test/10.9.8.7 --log-facility=-"
//! test(dnsmasq): client-when "cleared cache"
//! test(dnsmasq): client "nslookup xenith.test $IP | grep 10.9.8.7"
//! test(mosquitto): args run="sh -c 'mkdir /run/mosquitto; printf \"user root\\nlistener 1883\\nallow_anonymous true\\n\" >/etc/mosquitto/conf.d/own.conf; exec mosquitto -c /etc/mosquitto/mosquitto.conf'"
//! test(mosquitto): client mosquitto.sh
//! test(haproxy): dom0 "mkdir -p /tmp/www; echo behind >/tmp/www/page; httpd -p 8081 -h /tmp/www"
//! test(haproxy): args run="sh -c 'cd /etc; echo haproxy:x:90:90::/:/bin/false >>passwd; echo haproxy:x:90: >>group; mkdir /run/haproxy; printf \"listen web\\n bind :80\\n server dom0 10.0.0.1:8081 check\\n\" >>haproxy/haproxy.cfg; exec haproxy -W -db -f haproxy/haproxy.cfg'"
//! test(haproxy): client haproxy.sh
//! test(haproxy): expect exit 143
//! test(openssl): args run="sh -c 'cd /tmp; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=guest -addext subjectAltName=DNS:guest -keyout key -out cert 2>/dev/null; openssl s_server -key key -cert cert -accept 443 -www -quiet & curl -sS --retry 9 --retry-connrefused --cacert cert --resolve guest:443:127.0.0.1 https://guest/ | grep -o TLSv1.3 | head -1; wait'"
//! test(openssl): client "curl -sSk --retry 20 --retry-connrefused --retry-delay 1 https://$IP/ | grep TLS_AES_256_GCM_SHA384"
//! test(openssl): client-when "TLSv1.3"
//! test(openssl): client-then destroy
//! test(sqlite): args run="sqlite3 /tmp/a.db 'pragma journal_mode=wal; create table t(a integer primary key, b); with recursive n(i) as (select 1 union all select i+1 from n where i<20000) insert into t select i, i from n; create index x on t(b); update t set b=a*a; select count(*), sum(b) from t; pragma integrity_check;'"
//! test(sqlite): console-contains "wal\n20000|2666866670000\nok\n"
//! test(procps): args run="sh -c 'sleep 50 & ps; ps -eLo pid,lwp,tty,stat,comm; free -k; vmstat; uptime; pgrep -l sleep; pmap -x $$; lsof -p $$; memcached -u nobody -l 127.0.0.1 -s /tmp/socket & memcached -u nobody -l 127.0.0.1 & until grep -q \":2BCB .* 0A \" /proc/net/tcp && grep -q /tmp/socket /proc/net/unix; do sleep 0.1; done; lsof -P -i -U; kill $!; grep SigCgt /proc/$$/status'"
//! test(procps): console-contains "    1 console  00:00:00 sh\n"
//! test(procps): console-contains " console  S+   sleep\n"
//! test(procps): console-contains "2 sleep\n"
//! test(procps): console-contains "/usr/bin/dash\n"
//! test(procps): console-contains "total kB "
//! test(procps): console-contains " TCP localhost:11211 (LISTEN)\n"
//! test(procps): console-contains "/tmp/socket type=STREAM (LISTEN)\n"
//! test(caddy): disk root=debian:caddy,dash
//! test(caddy): args run="sh -c 'printf \"{\\n skip_install_trust\\n}\\nhttps://10.0.0.2 {\\n tls internal\\n respond unchanged\\n}\\n\" >/tmp/Caddyfile; exec caddy run --config /tmp/Caddyfile --adapter caddyfile'"
//! test(caddy): client "curl -sSk --retry 30 --retry-all-errors --retry-delay 1 https://$IP/ | grep unchanged"
//! test(caddy): memory 96
//! test(postgres): disk root=debian:postgresql-15,libllvm14-,postgresql-common-,postgresql-client-common-,ssl-cert-,locales-,dash,coreutils
//! test(postgres): memory 192
//! test(postgres): timeout 300
//! test(postgres): args user=nobody env=HOME=/tmp cwd=/tmp run="sh -c 'P=/usr/lib/postgresql/15/bin; $P/initdb -D data -N -A trust -E UTF8 --locale=C.UTF-8 >said || cat said; $P/pg_ctl -D data -w -l log -o \"-k /tmp -h 127.0.0.1\" start >/dev/null || cat log; q() { $P/psql -h \"$1\" -d postgres -P pager=off -Atc \"$2\"; }; q /tmp \"create table t (a int primary key, b text); insert into t select i, md5(i::text) from generate_series(1, 5000) i\"; q 127.0.0.1 \"update t set b = a where a > 10\" & q /tmp \"select pg_sleep(0.2), count(*) from pg_stat_activity\"; wait; q /tmp \"select count(*), sum(b::int) from t where a > 10\"; $P/pg_ctl -D data -w stop >/dev/null; tail -1 log'"
//! test(postgres): console-contains "INSERT 0 5000\n"
//! test(postgres): console-contains "4990|12502445\n"
//! test(postgres): console-contains "database system is shut down"
//! test(caddy): client-when ""
//! test(bash): args run="bash -c 'cat /etc/resolv.conf; set -m; sort <(printf %s\\\\n three one two) | paste -sd,; (sleep 0.2; exit 3) & wait $! || echo status $?; printf -v h %s abc; sha256sum <<<$h | cut -c-8; trap \"echo trapped\" USR1; kill -USR1 $$; sleep 9 & kill %1; wait %1; echo $?; seq 1000 | tac | sort -n | tail -1; mkdir -p /tmp/d/e; cp -a /usr/share/base-files /tmp/d/e; diff -r /usr/share/base-files /tmp/d/e/base-files && echo same; du -s /tmp/d >/dev/null && rm -r /tmp/d && stat -c %A /tmp'"
//! test(bash): console-contains "nameserver 10.0.0.1\n"
//! test(bash): console-contains "one,three,two\n"
//! test(bash): console-contains "status 3\nedeaaff3\ntrapped\n"
//! test(bash): console-contains "143\n1000\nsame\ndrwxrwxrwt\n"
//! test(perl): args run="perl -e 'use IO::Socket::INET; use POSIX qw(:sys_wait_h); my $s = IO::Socket::INET->new(Listen=>5, LocalAddr=>q(127.0.0.1)); my $p = fork; if (!$p) { my $c = IO::Socket::INET->new(PeerAddr=>q(127.0.0.1), PeerPort=>$s->sockport); print $c qq(hello\\n); exit 5 } my $c = $s->accept; my $l = <$c>; waitpid $p, 0; chomp $l; printf qq(%s %d %d\\n), $l, $? >> 8, scalar(() = join(q(), 1..9999) =~ /7(?=8)/g); $SIG{ALRM} = sub { die qq(alarm\\n) }; alarm 1; eval { 1 while 1 }; print $@; print `uname -s`'"
//! test(perl): console-contains "hello 5 "
//! test(perl): console-contains "alarm\nLinux\n"
//! test(node,ruby,erlang,java): long
//! test(node,ruby,erlang,java): disk root=debian:dash,coreutils,nodejs,ruby,erlang-base,openjdk-17-jdk-headless,./runtimes
//! test(node,ruby,erlang,java): memory 512
//! test(node,ruby,erlang,java): timeout 900
//! test(node): args env=NO_COLOR=1 run="node /node.js"
//! test(node): client-when "node: serving"
//! test(node): client "curl -sf -m 60 http://$IP/path | grep 'GET /path'"
//! test(node): console-contains "node: primes 148933\nnode: wasm 42\nnode: workers 9592 17984\nnode: child a pipe 3\n"
//! test(node): console-contains "node: zlib true 27d796eb848ff0dd\nnode: signed true\nnode: file true file\n"
//! test(ruby): args run="ruby /ruby.rb"
//! test(ruby): console-contains "ruby: LINE 0 LINE 1 LINE 2\nruby: child 3\nruby: from a fork 4\nruby: signal\nruby: too deep\nruby: e5ae4e6d24b0a9e9\n"
//! test(erlang): args run="sh /erlang.sh"
//! test(erlang): console-contains "erlang: pong\nerlang: sum 333833500\nerlang: child of a shell\n"
//! test(java): args run="/usr/lib/jvm/java-17-openjdk-amd64/bin/java -Xmx256m /Main.java"
//! test(java): console-contains "java: primes 148933\njava: null\njava: too deep true\njava: pool 40425\njava: child 3\njava: served\n"
//! test(languages): disk root=debian:dash,python3,perl-base,lua5.4,ripgrep,jsonnet,shellcheck,webhook,./languages
//! test(languages): memory 128
//! test(languages): args run="sh /languages.sh"
//! test(languages): client-when "serving hooks"
//! test(languages): client languages.sh
//! test(languages): console-contains "python: threads 28\npython: subprocess b'a pipe\\n' 3\npython: pool [0, 1, 4, 9, 16]\n"
//! test(languages): console-contains "python: sqlite3 (499500,)\npython: asyncio b'LINE 4\\n' b'child\\n'\npython: alarm\n"
//! test(languages): console-contains "python: pidfd\npython: MemoryError\n"
//! test(languages): console-contains "perl: alarm\nperl: child\n"
//! test(languages): console-contains "lua: child caught\n"
//! test(languages): console-contains "rust: 1\n"
//! test(languages): console-contains "c++: 42\nc++: RUNTIME ERROR: thrown\n"
//! test(languages): console-contains "haskell: script:2:6: note: Double quote to prevent globbing"
//! test(languages): timeout 120
//! test(absent,fault,strace_here,moved,redis-moved,memcached,dnsmasq,mosquitto,haproxy,openssl,bash,perl,procps): not-in-check

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
        /// The size of the terminal that the console is: rows and columns, as 24x80.
        terminal: &'static str = "",
    },
    main: linux_app::start,
}
