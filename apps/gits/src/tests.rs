//! The whole app on a cable, beside servers that say what is written down, with TLS and without.

use super::*;
use core::convert::Infallible;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use embedded_io_async::{ErrorType, Read};
use std::cell::RefCell;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;
use xenith::block::memory::Memory;
use xenith::ip::config::{Ipv4, Settings};
use xenith::ip::{self, Addresses, Listener, Stack, Stream, any};
use xenith::net::cable::{End, Options, cable};
use xenith::task::{block_on, spawn};
use xenith::time::{sleep, timeout};
use xenith::tls::{self, Identity, ServerConfig, ServerOptions};

macro_rules! pem {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/tls/", $name))
    };
}

/// What Debian's git answers over its own protocol: see the tests of `git`.
const ANSWER: &[u8] = include_bytes!("../../git/src/tests/tag.answer");

/// A console.
#[derive(Default)]
struct Paper(Rc<RefCell<Vec<u8>>>);

impl ErrorType for Paper {
    type Error = Infallible;
}

impl Write for Paper {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
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

fn stack(net: End, last: u8) -> Stack<End> {
    let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
    Stack::start(net, Settings { ipv4, ..Settings::default() }).unwrap()
}

fn args(url: &'static str) -> Args {
    Args {
        url,
        branch: "v1-again",
        every: 0,
        list: true,
        port: 80,
        max_age: 0,
        hidden: false,
        limit: Size(1 << 20),
        objects: 100,
        patience: Duration::from_secs(10),
        time: Duration::from_secs(60),
        write: false,
        token: None,
        open: false,
        author: "",
        sha256: Several::default(),
        tls12: false,
    }
}

/// What is heard on each connection.
type Heard = Rc<RefCell<Vec<String>>>;

/// Answers connections one after the other: each, once it has said something, with one text.
fn serve<T: Tcp + 'static>(tcp: T, port: u16, answers: Vec<Vec<u8>>) -> Heard {
    let all = Heard::default();
    let heard = Rc::clone(&all);
    spawn(async move {
        let listener = tcp.bind(any(port)).await.unwrap();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut said, mut piece) = (Vec::new(), [0; 4096]);
            while let Ok(Ok(count @ 1..)) =
                timeout(Duration::from_millis(50), stream.read(&mut piece)).await
            {
                said.extend_from_slice(&piece[..count]);
            }
            if !said.is_empty() {
                heard.borrow_mut().push(String::from_utf8(said).unwrap());
                stream.write_all(&answer).await.unwrap();
            }
            let _ = stream.close().await;
        }
        sleep(Duration::from_secs(10_000)).await;
    })
    .detach();
    all
}

fn server(certificate: &[u8]) -> ServerConfig {
    let identity = Identity::from_pem(certificate, pem!("server.key")).unwrap();
    ServerOptions::new(identity).build().unwrap()
}

/// What the app prints beside these servers without TLS and with it, its exit status, and what
/// those hear.
fn run(
    url: &'static str,
    plain: Vec<Vec<u8>>,
    secure: Vec<Vec<u8>>,
    certificate: &[u8],
) -> (String, u8, [Vec<String>; 2]) {
    xenith::testing::simulate_time();
    block_on(async {
        let (one, other) = cable(Options::default());
        let (here, there) = (Named(stack(one, 1)), stack(other, 2));
        let plain = serve(there.clone(), 80, plain);
        let secure = serve(tls::Server::new(there, server(certificate)), 443, secure);
        let mut roots = pem!("ca.pem").to_vec();
        roots.resize(roots.len().next_multiple_of(512), 0);
        let paper = Paper::default();
        let said = Rc::clone(&paper.0);
        let exit = start(paper, here, Memory::from_bytes(512, roots), args(url)).await;
        let said = String::from_utf8(said.borrow().clone()).unwrap();
        let heard = [plain, secure].map(|heard| heard.borrow().clone());
        (said, exit.0, heard)
    })
}

/// The answers of git over HTTP: what it offers, its list and the pack.
fn answers() -> [Vec<u8>; 3] {
    let mut ends =
        ANSWER.windows(4).enumerate().filter(|(_, it)| *it == b"0000").map(|(at, _)| at + 4);
    let first = ends.next().unwrap();
    let second = ends.find(|&at| ANSWER[at..].starts_with(b"0011shallow")).unwrap();
    let http = |kind: &str, content: &[u8]| {
        let length = content.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-{kind}\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        [head.as_bytes(), content].concat()
    };
    [
        http("advertisement", &ANSWER[..first]),
        http("result", &ANSWER[first..second]),
        http("result", &ANSWER[second..]),
    ]
}

fn moved(to: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 301 Moved\r\nLocation: {to}/info/refs?service=git-upload-pack\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .into_bytes()
}

#[test]
fn a_repository_is_read_by_tls_also_where_http_leads_there() {
    for url in ["https://www.lab/r", "http://www.lab/r", "http://me:secret@www.lab/r"] {
        let plain = std::vec![moved("https://www.lab/r")];
        let (said, exit, heard) = run(url, plain, answers().to_vec(), pem!("server.pem"));
        assert_eq!((said.lines().count(), exit), (12, 0), "{url}: {said}");
        assert!(said.starts_with("120000 blob b679a409b1e1ae654361a119ba92142f6ee5e7c7\tcircle\n"));
        let [plain, secure] = heard;
        assert_eq!(plain.len(), usize::from(url.starts_with("http:")), "{url}");
        let starts: Vec<_> = secure.iter().map(|it| it.lines().next().unwrap()).collect();
        let post = "POST /r/git-upload-pack HTTP/1.1";
        let get = "GET /r/info/refs?service=git-upload-pack HTTP/1.1";
        assert_eq!(starts, [get, post, post], "{url}");
        // Whom a user and a password were given for is who is asked without TLS.
        assert!(secure.iter().all(|it| !it.contains("Authorization")), "{secure:?}");
    }
}

#[test]
fn a_user_is_told_to_the_server_that_was_verified() {
    let url = "https://me:secret@www.lab/r";
    let (_, exit, [_, secure]) = run(url, Vec::new(), answers().to_vec(), pem!("server.pem"));
    assert_eq!(exit, 0);
    let basic = "Authorization: Basic bWU6c2VjcmV0\r\n";
    assert!(secure.len() == 3 && secure.iter().all(|it| it.contains(basic)), "{secure:?}");
}

#[test]
fn who_is_not_to_be_trusted_is_asked_nothing() {
    for (host, certificate) in [
        ("other.lab", &pem!("server.pem")[..]),
        ("www.lab", pem!("stranger.pem")),
        ("www.lab", pem!("expired.pem")),
    ] {
        let url = format!("https://me:secret@{host}/r").leak();
        let (said, exit, heard) = run(url, Vec::new(), answers().to_vec(), certificate);
        let expected = format!(
            "error: https://{host}/r: https://{host}/r/info/refs?service=git-upload-pack: \
             10.0.0.2:443: the peer is not to be trusted: see the log\n"
        );
        assert_eq!((said, exit), (expected, 3));
        assert_eq!(heard, [const { Vec::<String>::new() }; 2]);
    }
}

#[test]
fn nobody_leads_to_where_nothing_is_encrypted() {
    let secure = std::vec![moved("http://www.lab/r")];
    let (said, exit, [plain, _]) =
        run("https://www.lab/r", answers().to_vec(), secure, pem!("server.pem"));
    let end = "the server redirects to http://www.lab/r/info/refs?service=git-upload-pack, where \
               nothing is encrypted, and that is not allowed\n";
    assert!(said.ends_with(end) && exit == 5, "{exit}: {said}");
    assert_eq!(plain, [""; 0]);
}

#[test]
fn a_disk_without_roots_is_the_users_affair() {
    xenith::testing::simulate_time();
    let (one, _other) = cable(Options::default());
    let paper = Paper::default();
    let said = Rc::clone(&paper.0);
    let nothing = Memory::from_bytes(512, std::vec![0; 512]);
    let exit = block_on(async {
        start(paper, Named(stack(one, 1)), nothing, args("https://www.lab/r")).await
    });
    let text = "error: the disk with the roots: there is no certificate in PEM form\n";
    assert_eq!((&said.borrow()[..], exit), (text.as_bytes(), Exit::USAGE));
}
