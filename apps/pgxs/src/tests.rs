//! The whole app on a cable, beside a server that says what the test wants, with TLS and without.

use super::*;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use embedded_io_async::Read;
use xenith::args::Value;
use xenith::block::memory::Memory;
use xenith::ip::config::{Ipv4, Settings};
use xenith::ip::{self, Addresses, Listener, Stack, Stream, any};
use xenith::net::cable::{End, Options, cable};
use xenith::task::{block_on, spawn};
use xenith::time::{Instant, sleep};
use xenith::tls::{Identity, ServerOptions, Tls};

macro_rules! pem {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/tls/", $name))
    };
}

/// A network in which every name is that of the server.
struct Named(Stack<End>);

impl Resolve for Named {
    async fn resolve(&self, _: &str) -> Result<Addresses, ip::Error> {
        Ok([IpAddr::from([10, 0, 0, 2])].into_iter().collect())
    }
}

type Connection = <Stack<End> as Tcp>::Stream;

impl Tcp for Named {
    type Listener = <Stack<End> as Tcp>::Listener;
    type Stream = Connection;

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

fn args(server: &'static str) -> Args {
    Args {
        server,
        port: 5432,
        user: "guest",
        database: "lab",
        password: Some("open sesame"),
        run: Several::parse("select 1").unwrap(),
        query: None,
        value: Several::default(),
        limit: 1000,
        patience: Duration::from_secs(20),
        sha256: Several::default(),
        tls12: false,
    }
}

/// How the app ends beside a server, what it prints, and how many seconds it takes.
fn play(args: Args, server: impl AsyncFnOnce(Connection) + 'static) -> (Exit, String, u64) {
    xenith::testing::simulate_time();
    let stack = |end, last| {
        let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
        Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
    };
    block_on(async {
        let (a, b) = cable(Options::default());
        let (here, there) = (Named(stack(a, 1)), stack(b, 2));
        let listener = Tcp::bind(&there, any(5432)).await.unwrap();
        spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 8];
            stream.read_exact(&mut request).await.unwrap();
            assert_eq!(request, *b"\0\0\0\x08\x04\xd2\x16\x2f");
            server(stream).await;
        })
        .detach();
        let mut roots = pem!("ca.pem").to_vec();
        roots.resize(roots.len().next_multiple_of(512), 0);
        let (mut out, begun) = (Vec::new(), Instant::now());
        let exit = start(&mut out, here, Memory::from_bytes(512, roots), args).await;
        (exit, String::from_utf8(out).unwrap(), begun.elapsed().as_secs())
    })
}

/// Goes on by TLS, with this certificate and as the app asks for it.
async fn secured(stream: Connection, certificate: &[u8]) -> Option<Tls<Connection>> {
    let identity = Identity::from_pem(certificate, pem!("server.key")).unwrap();
    let config = ServerOptions::new(identity).protocols(&[PROTOCOL]).build().unwrap();
    let tls = Tls::accept(stream, &config).unwrap();
    tls.handshake().await.ok()?;
    assert_eq!(tls.protocol().as_deref(), Some(PROTOCOL.as_bytes()));
    Some(tls)
}

#[test]
fn a_server_that_is_who_it_should_be_is_asked() {
    let args = Args { password: None, ..args("www.lab") };
    let (exit, said, _) = play(args, async |mut stream| {
        stream.write_all(b"S").await.unwrap();
        let mut stream = secured(stream, pem!("server.pem")).await.unwrap();
        let mut heard = [0; 100];
        let count = stream.read(&mut heard).await.unwrap();
        assert!(heard[4..count].starts_with(b"\0\x03\0\0user\0guest\0database\0lab\0"));
        stream.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await.unwrap();
        let count = stream.read(&mut heard).await.unwrap();
        assert_eq!(heard[..count], *b"Q\0\0\0\x0dselect 1\0");
        let row =
            b"T\0\0\0\x1a\0\x01a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0D\0\0\0\x0b\0\x01\0\0\0\x011";
        stream.write_all(row).await.unwrap();
        stream.write_all(b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I").await.unwrap();
        let count = stream.read(&mut heard).await.unwrap();
        assert_eq!(heard[..count], *b"X\0\0\0\x04");
        let _ = stream.close().await;
    });
    assert_eq!((&*said, exit), ("1\nSELECT 1\n", Exit::SUCCESS));
}

#[test]
fn the_login_is_bound_to_its_certificate() {
    let (exit, said, _) = play(args("www.lab"), async |mut stream| {
        stream.write_all(b"S").await.unwrap();
        let mut stream = secured(stream, pem!("server.pem")).await.unwrap();
        let mut heard = [0; 200];
        let _ = stream.read(&mut heard).await.unwrap();
        let offer = b"R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
        stream.write_all(offer).await.unwrap();
        let count = stream.read(&mut heard).await.unwrap();
        let heard = String::from_utf8_lossy(&heard[..count]).into_owned();
        let plus = heard.contains("SCRAM-SHA-256-PLUS\0");
        assert!(plus && heard.contains("p=tls-server-end-point,,n=,r="), "{heard}");
        let _ = stream.close().await;
    });
    assert_eq!((&*said, exit), ("error: the server closed the connection\n", Exit(4)));
}

#[test]
fn who_is_not_is_told_nothing_else() {
    for (name, certificate, why) in [
        ("other.lab", &pem!("server.pem")[..], "the certificate is not for other.lab, but for "),
        ("www.lab", pem!("stranger.pem"), "the certificate is signed by nobody who is trusted"),
        ("www.lab", pem!("expired.pem"), "the certificate has expired: it was valid until "),
    ] {
        let (exit, said, _) = play(args(name), async move |mut stream| {
            stream.write_all(b"S").await.unwrap();
            assert!(secured(stream, certificate).await.is_none());
        });
        assert!(said.starts_with(&format!("error: {why}")), "{said}");
        assert_eq!(exit, Exit(4));
    }
}

#[test]
fn without_tls_nothing_goes_on() {
    let no =
        "error: the server does not speak TLS: set ssl = on there, as nothing is sent in clear\n";
    let old = "error: the server answers by an error when asked for TLS\n";
    let early = "error: something in clear came before TLS, perhaps not by the server\n";
    for (says, expected) in [
        (&b"N"[..], no),
        (b"E\0\0\0\x05\0", old),
        // What is to be taken for the first answer by TLS.
        (b"SR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I", early),
    ] {
        let (exit, said, _) = play(args("www.lab"), async move |mut stream| {
            stream.write_all(says).await.unwrap();
            // Nothing comes, and no alert either.
            let mut more = [0; 100];
            let heard = stream.read(&mut more).await;
            assert!(matches!(heard, Ok(0) | Err(_)), "{heard:?}");
        });
        assert_eq!((&*said, exit), (expected, Exit(4)));
    }
    // The same a little later is not TLS.
    let (exit, said, _) = play(args("www.lab"), async |mut stream| {
        stream.write_all(b"S").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        stream.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await.unwrap();
        sleep(Duration::from_secs(1)).await;
    });
    assert!(said.starts_with("error: the peer breaks the rules of TLS: "), "{said}");
    assert_eq!(exit, Exit(4));
}

#[test]
fn a_server_that_is_silent_or_leaves_is_given_up() {
    let (exit, said, time) = play(args("www.lab"), async |stream| {
        sleep(Duration::from_secs(100)).await;
        drop(stream);
    });
    assert_eq!((&*said, exit, time), ("error: the peer does not answer\n", Exit(3), 20));
    let (exit, said, time) = play(args("www.lab"), async |mut stream| {
        stream.write_all(b"S").await.unwrap();
        sleep(Duration::from_secs(100)).await;
        drop(stream);
    });
    assert_eq!((&*said, exit, time), ("error: the handshake takes too long\n", Exit(3), 10));
    let (exit, said, _) = play(args("www.lab"), async |mut stream| {
        let _ = stream.close().await;
    });
    let ended = "error: the server closed the connection when asked for TLS\n";
    assert_eq!((&*said, exit), (ended, Exit(3)));
}
