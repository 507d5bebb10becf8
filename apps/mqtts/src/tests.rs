//! The whole app on a cable, beside a broker by TLS that says what the test wants.

use super::*;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use embedded_io_async::Read;
use xenith::args::Value;
use xenith::block::memory::Memory;
use xenith::ip::config::{Ipv4, Settings};
use xenith::ip::{self, Addresses, Listener, Stack, any};
use xenith::net::cable::{End, Options, cable};
use xenith::task::{block_on, join};
use xenith::time::{Instant, sleep};
use xenith::tls::{Identity, Server, ServerConfig, ServerOptions, Tls};

macro_rules! pem {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/tls/", $name))
    };
}

/// A network in which every name is that of the broker.
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

type Connection = Tls<<Stack<End> as Tcp>::Stream>;

/// The broker, with certificates one after the other.
struct Broker {
    tcp: Server<Stack<End>>,
    listener: <Server<Stack<End>> as Tcp>::Listener,
}

impl Broker {
    /// Takes a connection and lets the client in.
    async fn accept(&self) -> Connection {
        let mut stream = self.listener.accept().await.unwrap().0;
        assert_eq!(hear(&mut stream).await.0, 0x10);
        stream.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
        stream
    }

    /// Takes one of which the handshake is to fail.
    async fn refused(&self) {
        let stream = self.listener.accept().await.unwrap().0;
        assert!(stream.handshake().await.is_err());
    }
}

/// The next packet: its first byte, and what is in it.
async fn hear(stream: &mut Connection) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.unwrap();
    let mut body = alloc::vec![0; head[1].into()];
    stream.read_exact(&mut body).await.unwrap();
    (head[0], body)
}

fn config(certificate: &[u8]) -> ServerConfig {
    let identity = Identity::from_pem(certificate, pem!("server.key")).unwrap();
    ServerOptions::new(identity).build().unwrap()
}

fn args(broker: &'static str) -> Args {
    Args {
        broker,
        port: 8883,
        id: "me",
        user: Some("guest"),
        password: Some("secret"),
        publish: Several::parse("a=hi").unwrap(),
        retain: false,
        subscribe: Several::default(),
        quality: 1,
        count: 0,
        keepalive: 60,
        limit: 1024,
        patience: Duration::from_secs(30),
        sha256: Several::default(),
        tls12: false,
    }
}

/// Runs the app beside a broker: how it ends, and what it prints.
fn play(args: Args, broker: impl AsyncFnOnce(&Stack<End>)) -> (Exit, String) {
    xenith::testing::simulate_time();
    let stack = |end, last| {
        let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
        Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
    };
    block_on(async {
        let (a, b) = cable(Options::default());
        let (here, there) = (Named(stack(a, 1)), stack(b, 2));
        let mut roots = pem!("ca.pem").to_vec();
        roots.resize(roots.len().next_multiple_of(512), 0);
        let mut out = Vec::new();
        let app = start(&mut out, here, Memory::from_bytes(512, roots), args);
        let (exit, ()) = join(app, broker(&there)).await;
        (exit, String::from_utf8(out).unwrap())
    })
}

/// The same by TLS, at first with this certificate.
fn play_tls(args: Args, certificate: &[u8], broker: impl AsyncFnOnce(&Broker)) -> (Exit, String) {
    let config = config(certificate);
    play(args, async |stack| {
        let tcp = Server::new(stack.clone(), config);
        let listener = tcp.bind(any(8883)).await.unwrap();
        broker(&Broker { tcp, listener }).await;
    })
}

#[test]
fn a_broker_that_is_who_it_should_be_gets_the_message() {
    let played = play_tls(args("www.lab"), pem!("server.pem"), async |broker| {
        let mut stream = broker.accept().await;
        let published = hear(&mut stream).await;
        assert_eq!(published, (0x32, b"\0\x01a\0\x01\0hi".to_vec()));
        stream.write_all(&[0x40, 2, 0, 1]).await.unwrap();
        assert_eq!(hear(&mut stream).await.0, 0xE0);
    });
    assert_eq!(played, (Exit::SUCCESS, String::new()));
}

#[test]
fn who_is_not_is_told_nothing_and_left_at_once() {
    for (name, certificate) in [
        ("other.lab", &pem!("server.pem")[..]),
        ("www.lab", pem!("stranger.pem")),
        ("www.lab", pem!("expired.pem")),
    ] {
        let (exit, said) = play_tls(args(name), certificate, async |broker| broker.refused().await);
        assert_eq!(said, "mqtt: the peer is not to be trusted: see the log\n", "{name}");
        assert_eq!(exit, Exit(4));
    }
    // A broker without TLS says nothing that TLS takes, and hears no password.
    let (exit, _) = play(args("www.lab"), async |stack| {
        let listener = Tcp::bind(stack, any(8883)).await.unwrap();
        let mut stream = listener.accept().await.unwrap().0;
        let mut heard = [0; 512];
        let count = stream.read(&mut heard).await.unwrap();
        assert!(!heard[..count].windows(6).any(|it| it == b"secret"));
        stream.write_all(&[0x20, 3, 0, 0x84, 0]).await.unwrap();
        let _ = stream.read(&mut heard).await;
    });
    assert_eq!(exit, Exit(4));
}

#[test]
fn one_that_was_trusted_may_get_another_certificate() {
    let played = play_tls(args("www.lab"), pem!("server.pem"), async |broker| {
        let mut stream = broker.accept().await;
        hear(&mut stream).await;
        // It is back without an answer, and with a certificate that has expired: later and later.
        broker.tcp.replace(config(pem!("expired.pem")));
        drop(stream);
        for pause in [1, 2, 4, 8] {
            let begun = Instant::now();
            broker.refused().await;
            assert_eq!(begun.elapsed().as_secs(), pause);
        }
        broker.tcp.replace(config(pem!("server.pem")));
        let mut stream = broker.accept().await;
        let (kind, message) = hear(&mut stream).await;
        assert_eq!((kind, message.ends_with(b"hi")), (0x32, true));
        stream.write_all(&[0x40, 2, message[3], message[4]]).await.unwrap();
        assert_eq!(hear(&mut stream).await.0, 0xE0);
    });
    assert_eq!(played, (Exit::SUCCESS, String::new()));
}

#[test]
fn a_broker_that_is_silent_is_asked_later_and_later() {
    let (exit, _) = play(args("www.lab"), async |stack| {
        let listener = Tcp::bind(stack, any(8883)).await.unwrap();
        let mut before = Instant::now();
        for wait in [0, 11, 12, 14, 18] {
            let (stream, _) = listener.accept().await.unwrap();
            assert_eq!(before.elapsed().as_secs(), wait);
            before = Instant::now();
            xenith::task::spawn(async move {
                sleep(Duration::from_secs(100)).await;
                drop(stream);
            })
            .detach();
        }
        let mut stream = listener.accept().await.unwrap().0;
        stream.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n").await.unwrap();
        let _ = stream.read(&mut [0; 600]).await;
    });
    assert_eq!(exit, Exit(4));
}

#[test]
fn a_disk_without_roots_is_the_users_affair() {
    xenith::testing::simulate_time();
    let (one, _other) = cable(Options::default());
    let mut out = Vec::new();
    let exit = block_on(async {
        let ip = Named(Stack::start(one, Settings::default()).unwrap());
        let nothing = Memory::from_bytes(512, alloc::vec![0; 512]);
        start(&mut out, ip, nothing, args("www.lab")).await
    });
    let text = "mqtt: the disk with the roots: there is no certificate in PEM form\n";
    assert_eq!((&out[..], exit), (text.as_bytes(), Exit(5)));
}
