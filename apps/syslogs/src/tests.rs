//! A server by TLS on a cable, in simulated time.

use super::*;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::Cell;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use embedded_io_async::Read;
use syslog::Way;
use xenith::args::Value;
use xenith::block::memory::Memory;
use xenith::ip::config::{Ipv4, Settings};
use xenith::ip::{self, Addresses, Listener, Stack, Stream, any};
use xenith::net::cable::{End, Options, cable};
use xenith::task::{block_on, join};
use xenith::time::{Instant, sleep, timeout};
use xenith::tls::{self, Identity, ServerConfig, ServerOptions};

macro_rules! pem {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/tls/", $name)).as_slice()
    };
}

/// A network in which every name is that of the server.
struct Named(Stack<End>);

impl Resolve for Named {
    async fn resolve(&self, _: &str) -> Result<Addresses, ip::Error> {
        Ok([IpAddr::from([10, 0, 0, 2])].into_iter().collect())
    }
}

impl Tcp for Named {
    type Listener = <Stack<End> as Tcp>::Listener;
    type Stream = <Stack<End> as Tcp>::Stream;

    async fn bind(&self, addr: SocketAddr) -> Result<Self::Listener, ip::Error> {
        Tcp::bind(&self.0, addr).await
    }

    async fn connect(&self, addr: SocketAddr) -> Result<Self::Stream, ip::Error> {
        self.0.connect(addr).await
    }

    fn open(&self, from: SocketAddr, to: SocketAddr) -> Result<Self::Stream, ip::Error> {
        Tcp::open(&self.0, from, to)
    }
}

type Connection = tls::Tls<<Stack<End> as Tcp>::Stream>;

/// What stands on a disk.
fn disk(content: &[&[u8]]) -> Memory {
    let mut sectors = content.concat();
    sectors.resize(sectors.len().next_multiple_of(512), 0);
    Memory::from_bytes(512, sectors)
}

fn options(certificate: &[u8]) -> ServerOptions {
    ServerOptions::new(Identity::from_pem(certificate, pem!("server.key")).unwrap())
}

fn config(certificate: &[u8]) -> ServerConfig {
    options(certificate).build().unwrap()
}

/// The server, with certificates one after the other.
struct Server {
    tcp: tls::Server<Stack<End>>,
    listener: <tls::Server<Stack<End>> as Tcp>::Listener,
}

impl Server {
    async fn accept(&self) -> Connection {
        self.listener.accept().await.unwrap().0
    }

    /// Takes a connection of which the handshake is to fail.
    async fn refused(&self) {
        assert!(self.accept().await.handshake().await.is_err());
    }
}

/// The text of the next message, and nothing at the end, which has to be TLS's own.
async fn hear(stream: &mut Connection) -> Option<String> {
    let (mut length, mut byte) = (0, [0]);
    loop {
        if stream.read(&mut byte).await.unwrap() == 0 {
            return None;
        }
        match byte[0] {
            b' ' => break,
            digit => length = length * 10 + usize::from(digit - b'0'),
        }
    }
    let mut text = alloc::vec![0; length];
    stream.read_exact(&mut text).await.unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with('<') && text.contains("Z lab - - - [meta sequenceId="), "{text}");
    Some(text.rsplit(": ").next().unwrap().to_string())
}

/// Hears so many.
async fn heard(stream: &mut Connection, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(hear(stream).await.unwrap());
    }
    all
}

/// A server at 10.0.0.2, and what an app logs at 10.0.0.1 that trusts `roots`.
fn play(
    roots: &[&[u8]],
    certificate: &[u8],
    serve: impl AsyncFnOnce(&Server) + Send,
    app: impl AsyncFnOnce(&Cell<Option<Log>>) + Send,
) {
    // On a machine of its own.
    std::thread::scope(|scope| scope.spawn(|| play_here(roots, certificate, serve, app)).join())
        .unwrap();
}

fn play_here(
    roots: &[&[u8]],
    certificate: &[u8],
    serve: impl AsyncFnOnce(&Server),
    app: impl AsyncFnOnce(&Cell<Option<Log>>),
) {
    xenith::testing::simulate_time();
    xenith::testing::start_log("info");
    let stack = |end, last| {
        let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
        Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
    };
    let to = crate::Server { host: "www.lab", port: 6514 };
    block_on(async {
        let (a, b) = cable(Options::default());
        let (here, there) = (Named(stack(a, 1)), stack(b, 2));
        let tcp = tls::Server::new(there, config(certificate));
        let listener = tcp.bind(any(6514)).await.unwrap();
        let server = Server { tcp, listener };
        let log = send(here, &disk(roots), to, "lab", &[], false).await.unwrap();
        let log = Cell::new(Some(log));
        join(serve(&server), app(&log)).await;
    });
}

const CA: &[&[u8]] = &[pem!("ca.pem")];

#[test]
fn a_server_that_is_who_it_should_be_gets_the_lines_and_the_end() {
    let serve = async |server: &Server| {
        let mut stream = server.accept().await;
        assert_eq!(heard(&mut stream, 3).await, ["one", "zwei ß", "three"]);
        // Not by the connection's end alone, which anybody could make.
        assert_eq!(hear(&mut stream).await, None);
    };
    play(CA, pem!("server.pem"), serve, async |log: &Cell<Option<Log>>| {
        log::info!("one");
        log::info!("zwei ß");
        sleep(Duration::from_secs(5)).await;
        log::warn!("three");
        // What is logged last is sent as well.
        log.take().unwrap().finish().await;
    });
}

#[test]
fn one_that_is_not_hears_nothing_and_is_asked_later_and_later_t5() {
    for certificate in [pem!("stranger.pem"), pem!("expired.pem"), pem!("second.pem")] {
        let serve = async |server: &Server| {
            server.refused().await;
            for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
                let begun = Instant::now();
                server.refused().await;
                assert_eq!(begun.elapsed().as_secs(), pause);
            }
            // It gets another one.
            server.tcp.replace(config(pem!("server.pem")));
            assert_eq!(heard(&mut server.accept().await, 1).await, ["one"]);
        };
        play(CA, certificate, serve, async |_: &Cell<Option<Log>>| log::info!("one"));
    }
}

#[test]
fn what_tls_logs_takes_no_place_of_the_apps_lines_t3() {
    let serve = async |server: &Server| {
        // Some 300 times.
        let refused = async {
            loop {
                server.refused().await;
            }
        };
        assert!(timeout(Duration::from_hours(5), refused).await.is_err());
        server.tcp.replace(config(pem!("server.pem")));
        assert_eq!(heard(&mut server.accept().await, 2).await, ["first", "last"]);
    };
    play(CA, pem!("stranger.pem"), serve, async |_: &Cell<Option<Log>>| {
        log::info!("first");
        sleep(Duration::from_hours(4)).await;
        log::info!("last");
    });
}

#[test]
fn what_a_server_does_not_take_is_bounded_and_counted_t3() {
    let serve = async |server: &Server| {
        for _ in 0..5 {
            server.refused().await;
        }
        server.tcp.replace(config(pem!("server.pem")));
        let mut stream = server.accept().await;
        let (mut count, mut lost) = (0, None);
        while let Ok(Some(text)) = timeout(Duration::from_secs(300), hear(&mut stream)).await {
            match text.strip_suffix(" lines were lost, as the server did not take them") {
                Some(number) => assert_eq!(lost.replace(number.parse::<usize>().unwrap()), None),
                None => count += 1,
            }
        }
        assert_eq!(count + lost.unwrap(), 2000);
        assert!((1000..2000).contains(&lost.unwrap()), "{lost:?}");
    };
    play(CA, pem!("expired.pem"), serve, async |_: &Cell<Option<Log>>| {
        (0..2000).for_each(|at| log::info!("line {at}"));
    });
}

#[test]
fn a_server_that_leaves_and_comes_again_gets_all_in_order() {
    let serve = async |server: &Server| {
        for texts in [["a", "b"], ["c", "d"], ["e", "f"]] {
            let mut stream = server.accept().await;
            assert_eq!(heard(&mut stream, 2).await, texts);
            match texts[0] {
                "a" => stream.close().await.unwrap(),
                // Without TLS's end.
                _ => stream.abort(),
            }
            sleep(Duration::from_secs(5)).await;
        }
    };
    play(CA, pem!("server.pem"), serve, async |_: &Cell<Option<Log>>| {
        for text in ["a", "b", "c", "d", "e", "f"] {
            log::info!("{text}");
            sleep(Duration::from_secs(20)).await;
        }
    });
}

#[test]
fn a_server_that_is_back_by_the_end_gets_what_waits_t5() {
    // After 0, 1, 3, 7, 15 and 31 s; at the end, which comes before 63 s; and a second later.
    for attempts in [6, 7] {
        let serve = async |server: &Server| {
            for _ in 0..attempts {
                server.refused().await;
            }
            server.tcp.replace(config(pem!("server.pem")));
            let mut stream = server.accept().await;
            assert_eq!(heard(&mut stream, 2).await, ["one", "two"]);
            assert_eq!(hear(&mut stream).await, None);
            stream.close().await.unwrap();
        };
        play(CA, pem!("expired.pem"), serve, async |log: &Cell<Option<Log>>| {
            log::info!("one");
            log::info!("two");
            sleep(Duration::from_secs(45)).await;
            let begun = Instant::now();
            log.take().unwrap().finish().await;
            assert!(begun.elapsed() < FAREWELL, "{:?}", begun.elapsed());
        });
    }
}

#[test]
fn a_server_that_wants_to_know_who_it_is_is_shown_that_and_loses_nothing_before() {
    let roots = &[pem!("ca.pem"), pem!("client.key"), pem!("client.pem")];
    let asks = || options(pem!("server.pem")).clients(pem!("ca.pem")).unwrap().build().unwrap();
    for (roots, refuses) in [(&roots[..], false), (CA, true)] {
        let serve = async |server: &Server| {
            server.tcp.replace(asks());
            if refuses {
                server.refused().await;
                server.refused().await;
                server.tcp.replace(config(pem!("server.pem")));
            }
            assert_eq!(heard(&mut server.accept().await, 2).await, ["one", "two"]);
        };
        play(roots, pem!("server.pem"), serve, async |_: &Cell<Option<Log>>| {
            // Later than the server's first configuration.
            sleep(Duration::from_secs(1)).await;
            log::info!("one");
            log::info!("two");
        });
    }
}

#[test]
fn a_server_that_is_silent_is_asked_later_and_delays_no_end_t5() {
    xenith::testing::simulate_time();
    xenith::testing::start_log("info");
    let stack = |end, last| {
        let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
        Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
    };
    let to = crate::Server { host: "www.lab", port: 6514 };
    block_on(async {
        let (a, b) = cable(Options::default());
        let (here, there) = (Named(stack(a, 1)), stack(b, 2));
        let listener = Tcp::bind(&there, any(6514)).await.unwrap();
        let log = send(here, &disk(CA), to, "lab", &[], false).await.unwrap();
        log::info!("one");
        let mut kept = Vec::new();
        let mut before = Instant::now();
        for wait in [0, 11, 12, 14, 18] {
            kept.push(listener.accept().await.unwrap().0);
            assert_eq!(before.elapsed().as_secs(), wait);
            before = Instant::now();
        }
        let begun = Instant::now();
        log.finish().await;
        assert_eq!(begun.elapsed().as_secs(), 3);
    });
}

/// Why there is no connection to a server with this certificate, of this name.
fn told(host: &'static str, certificate: &[u8], fingerprints: &[&'static str]) -> String {
    let told = Rc::new(Cell::new(String::new()));
    let said = Rc::clone(&told);
    xenith::testing::simulate_time();
    let stack = |end, last| {
        let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
        Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
    };
    block_on(async {
        let (a, b) = cable(Options::default());
        let (ip, there) = (Named(stack(a, 1)), stack(b, 2));
        let tcp = tls::Server::new(there, config(certificate));
        let listener = tcp.bind(any(6514)).await.unwrap();
        let options = trust::options(&disk(CA), fingerprints, false).await.unwrap();
        let server = crate::Server { host, port: 6514 };
        let way = Secure::new(ip, server, options.build().unwrap(), Rc::default());
        let client = async {
            said.set(way.connect().await.err().unwrap().to_string());
        };
        join(async { drop(listener.accept().await.unwrap().0.handshake().await) }, client).await;
    });
    told.take()
}

#[test]
fn what_is_wrong_is_told() {
    let digits: &str = "0".repeat(64).leak();
    for (host, certificate, fingerprints, text) in [
        (
            "other.lab",
            pem!("server.pem"),
            &[][..],
            "the certificate is not for other.lab, but for ",
        ),
        (
            "www.lab",
            pem!("stranger.pem"),
            &[],
            "the certificate is signed by nobody who is trusted here",
        ),
        ("www.lab", pem!("expired.pem"), &[], "the certificate has expired: it was valid until "),
        ("www.lab", pem!("server.pem"), &[digits], "the certificate has another fingerprint"),
    ] {
        let told = told(host, certificate, fingerprints);
        assert!(told.starts_with(text), "{told}");
    }
}

#[test]
fn a_disk_without_roots_is_the_users_affair() {
    xenith::testing::simulate_time();
    let (one, _other) = cable(Options::default());
    let exit = block_on(async {
        let ip = Named(Stack::start(one, Settings::default()).unwrap());
        let syslog = crate::Server { host: "www.lab", port: 6514 };
        let (line, sha256) = (Several::default(), Several::default());
        let args = Args { syslog, host: "-", line, pause: Duration::ZERO, sha256, tls12: false };
        start(ip, disk(&[&[0; 512]]), args).await
    });
    assert_eq!(exit, Exit::USAGE);
}

#[test]
fn a_log_that_is_read_already_is_not_said_to_be_sent() {
    xenith::testing::simulate_time();
    let (one, _other) = cable(Options::default());
    let to = crate::Server { host: "www.lab", port: 6514 };
    block_on(async {
        let stack = Stack::start(one, Settings::default()).unwrap();
        let ip = || Named(stack.clone());
        let roots = disk(CA);
        let log = send(ip(), &roots, to, "lab", &[], false).await.unwrap();
        assert_eq!(send(ip(), &roots, to, "lab", &[], false).await.err(), Some(Error::Taken));
        drop(log);
        assert!(send(ip(), &roots, to, "lab", &[], false).await.is_ok());
    });
}

#[test]
fn servers_are_read() {
    for (text, host, port) in [
        ("tls://10.0.0.1", "10.0.0.1", 6514),
        ("tls://log.example:601", "log.example", 601),
        ("tls://[fd00::1]", "fd00::1", 6514),
        ("tls://[fd00::1]:5", "fd00::1", 5),
    ] {
        assert_eq!(crate::Server::parse(text), Ok(crate::Server { host, port }), "{text}");
    }
    for text in
        ["", "10.0.0.1", "tls://", "tls://a:", "tls://a:0", "tcp://a", "udp://a", "tls://[::1"]
    {
        assert!(crate::Server::parse(text).is_err(), "{text}");
    }
}
