//! The lab tested whole, on real Xen. The guest is what the lab itself has: dom0's
//! kernel, which runs as a domU too, finds no file system there and panics.
//!
//! It takes QEMU, once a network, and a minute or more where Xen is emulated, so plain
//! `cargo test` leaves it out. `cargo mk check` runs it; so does
//! `cargo test -p xenith-lab --test on_xen`.

use lab::{Forward, GuestSpec, Host, Options, Progress, Protocol, Reason};
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Nobody hears.
struct Quiet;

impl Progress for Quiet {
    fn step(&self, _: &str) {}
    fn bytes(&self, _: u64, _: u64) {}
    fn note(&self, _: &str) {}
}

const SOON: Duration = Duration::from_secs(60);

#[test]
fn guests_come_and_go() {
    let cache = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/xenith/lab");
    let work = tempfile::tempdir().expect("a folder");
    let options = Options::new(&cache, work.path().join("run"));
    let host = Host::boot(&options, &Quiet).expect("boots");

    // Scripts: output, errors, status, limits, and files of any bytes and size.
    let output = host.shell("echo out; echo error >&2; exit 7").expect("runs");
    assert_eq!(output.stdout, b"out\n");
    assert_eq!((output.status, output.stderr.as_str()), (7, "error\n"));
    let error = output.success().expect_err("status 7");
    assert!(error.to_string().contains("status 7"), "{error}");
    let start = Instant::now();
    let error = host.shell_within("sleep 60", Duration::from_secs(1)).expect_err("it sleeps");
    assert!(start.elapsed() < Duration::from_secs(10));
    let error = format!("{error:#}");
    assert!(error.contains("Domain-0") && error.contains("xenconsoled --log"), "{error}");
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| (n.wrapping_mul(n) >> 5) as u8).collect();
    host.upload(&bytes, "/tmp/a folder/it's").expect("uploads");
    let output = host.shell("cat '/tmp/a folder/it'\\''s'").expect("runs");
    assert!(output.stdout == bytes, "a file changes on its way");
    let full = host.upload(&vec![0; 600 << 20], "/tmp/full").expect_err("dom0 is small");
    assert!(format!("{full:#}").contains("no room"), "{full:#}");

    // With a lazy Xen, one program of dom0 in a thousand got a guest's registers.
    let log = host.shell("xl dmesg").expect("runs").stdout;
    assert!(String::from_utf8_lossy(&log).contains("EAGER_FPU"), "QEMU and a lazy Xen disagree");

    // Guests. The end of one is told also when the script of another has left.
    host.shell("mkfifo /run/lab/events/nobody").expect("runs").success().expect("is made");
    let kernel = fs::read_dir(&cache)
        .expect("prepared")
        .map(|entry| entry.expect("readable").path().join("linux"))
        .find(|path| path.exists())
        .expect("an image");
    std::os::unix::fs::symlink(fs::canonicalize(kernel).expect("there"), work.path().join("linux"))
        .expect("links");
    let config = work.path().join("guest.xl");
    let text = "name=\"guest\"\nkernel=\"linux\"\nmemory=128\nextra=\"console=hvc0\"\n";
    fs::write(&config, text).expect("writes");
    let spec = GuestSpec::new(&config);

    let mut guest = host.create(&spec).expect("is created");
    assert_eq!(guest.name(), "guest");
    let mut shown = Vec::new();
    let mut sink = |bytes: &[u8]| shown.extend_from_slice(bytes);
    let end = guest.wait(SOON, &mut sink).expect("waits").expect("ends");
    assert_eq!(end.reason, Reason::Crash);
    assert_eq!(end.console, shown);
    let console = String::from_utf8_lossy(&end.console);
    assert!(console.contains("Linux version"), "{console}");
    assert!(console.contains("Kernel panic"), "{console}");

    // The same again has a name of its own, waits for its start, and then for a
    // disk. Meanwhile another one comes and goes.
    let mut hanging = host
        .create(&GuestSpec {
            overrides: vec!["extra=\"console=hvc0 root=/dev/xvda rootwait\"".into()],
            paused: true,
            ..spec.clone()
        })
        .expect("is created");
    assert_eq!(hanging.name(), "guest-2");
    let wait = hanging.wait(Duration::from_millis(300), &mut |_| ());
    assert!(wait.expect("waits").is_none());
    assert!(hanging.console().is_empty(), "it was to be paused");
    hanging.unpause().expect("starts");
    let (sender, lines) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut other = host.create(&spec).expect("is created");
            let end = other.wait(SOON, &mut |_| ()).expect("waits").expect("ends");
            sender.send(end.reason).expect("a listener");
        });
        let wait = hanging.wait(Duration::from_secs(20), &mut |_| ());
        assert!(wait.expect("waits").is_none());
    });
    assert_eq!(lines.recv().expect("a reason"), Reason::Crash);
    assert!(hanging.registers().expect("shows").contains("rip"));
    assert_eq!(hanging.destroy().expect("destroys").reason, Reason::Destroyed);

    // What xl refuses, it says why.
    fs::write(work.path().join("broken"), b"\x7fELF").expect("writes");
    let broken = vec!["kernel=\"broken\"".into()];
    let refused = host.create(&GuestSpec { overrides: broken, ..spec.clone() });
    let error = format!("{:#}", refused.err().expect("no kernel"));
    assert!(error.contains("Invalid kernel"), "{error}");

    // When xl itself fails, nothing waits for ever and nothing stays.
    let crash = "xl=$(readlink -f /usr/sbin/xl); rm /usr/sbin/xl
        printf '#!/bin/sh\n[ \"$1 $2\" != \"list guest-5\" ] || kill -SEGV $$\nexec %s \"$@\"' \
        \"$xl\" >/usr/sbin/xl; chmod +x /usr/sbin/xl";
    host.shell(crash).expect("runs").success().expect("replaces xl");
    let error = format!("{:#}", host.create(&spec).err().expect("xl crashes"));
    assert!(error.contains("xl list: status 139"), "{error}");
    let list = host.shell("xl list").expect("runs").success().expect("lists").stdout;
    assert!(!String::from_utf8_lossy(&list).contains("guest-5"), "the domain stays");

    let id = host.create(&spec).expect("is created").id();
    let output = host.shell(&format!("xl list {id}")).expect("runs");
    assert_ne!(output.status, 0, "a dropped guest lives");
    host.shutdown().expect("turns off");
}

/// Somebody on the bridge who stands for a guest: a network namespace of dom0 with
/// the MAC address of guest 2, which gets its address by DHCP, and has servers.
const NEIGHBOUR: &str = "
    ip netns add n
    ip link add v type veth peer name e netns n
    ip link set v master xenbr0 up
    ip -n n link set e address 00:16:3e:00:00:02 up
    cat >/tmp/got <<'END'
#!/bin/sh
[ $1 != bound ] || {
    echo $ip $router $dns $domain >/tmp/lease
    /usr/sbin/ip addr add $ip/24 dev e
}
END
    chmod +x /tmp/got
    ip netns exec n busybox udhcpc -q -n -i e -s /tmp/got >&2
    cat /tmp/lease
    mkdir /tmp/web; echo served >/tmp/web/index.html
    ip netns exec n busybox httpd -p 80 -h /tmp/web
    mkfifo /tmp/echo
    (ip netns exec n nc.openbsd -u -l 7 </tmp/echo | cat >/tmp/echo) >/dev/null 2>&1 &
";

#[test]
fn a_guest_is_reached_and_reaches_nobody() {
    let cache = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/xenith/lab");
    let work = tempfile::tempdir().expect("a folder");
    let free = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        let Ok(std::net::SocketAddr::V4(address)) = listener.local_addr() else { panic!("IPv4") };
        address
    };
    let (web, echo) = (free(), free());
    let to = |port| format!("10.0.0.2:{port}").parse().expect("an address");
    let options = Options {
        network: true,
        forwards: vec![
            Forward { protocol: Protocol::Tcp, from: web, to: to(80) },
            Forward { protocol: Protocol::Udp, from: echo, to: to(7) },
        ],
        ..Options::new(&cache, work.path().join("run"))
    };
    let host = Host::boot(&options, &Quiet).expect("boots");
    let dash = |script: &str| {
        host.upload(script.as_bytes(), "/tmp/script").expect("uploads");
        let output = host.shell("dash -eu /tmp/script </dev/null").expect("runs");
        let output = output.success().expect(script);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(dash(NEIGHBOUR).trim(), "10.0.0.2 10.0.0.1 10.0.0.1 lab");

    // From this machine by TCP.
    let mut stream = std::net::TcpStream::connect(web).expect("connects");
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.0\r\n\r\n").expect("sends");
    let answer = std::io::read_to_string(stream).expect("is answered");
    assert!(answer.contains("served"), "{answer}");
    // And by UDP.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
    // The neighbour may be about to listen only.
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a limit");
    let mut buffer = [0; 16];
    let answered = (0..10).find_map(|_| {
        socket.send_to(b"word", echo).expect("sends");
        socket.recv_from(&mut buffer).ok()
    });
    let (count, from) = answered.expect("is answered");
    assert_eq!((&buffer[..count], from), (&b"word"[..], echo.into()));

    // Nothing gets out, though QEMU would let it: neither from dom0 nor from a guest.
    let host_port = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = host_port.local_addr().expect("bound").port();
    dash(&format!("! nc.openbsd -z -w 2 10.0.2.2 {port}"));
    dash(&format!(
        "ip -n n route add default via 10.0.0.1; ! ip netns exec n nc.openbsd -z -w 2 10.0.2.2 {port}"
    ));
}
