//! A server on a cable that says what the test wants, in simulated time.

extern crate std;

use super::*;
use core::convert::Infallible;
use core::net::{Ipv4Addr, SocketAddr};
use embedded_io_async::ErrorType;
use std::vec::Vec;
use xenith::args::Value as _;
use xenith::ip::config::{Ipv4, Settings};
use xenith::ip::{Listener, Stack, Stream, Tcp, any};
use xenith::net::cable::{End, Options, cable};
use xenith::task::{block_on, spawn};
use xenith::time::{Instant, sleep};

#[derive(Default)]
struct Paper(Vec<u8>);

impl ErrorType for &mut Paper {
    type Error = Infallible;
}

impl Write for &mut Paper {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

fn stack(net: End, last: u8) -> Stack<End> {
    let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
    Stack::start(net, Settings { ipv4, ..Settings::default() }).unwrap()
}

/// What a server does with a connection.
#[derive(Clone, Copy)]
enum Server {
    /// Sends this, in pieces of so many bytes, and closes.
    Says(&'static str, usize),
    /// The same, and stays.
    Stays(&'static str),
    /// Sends one byte every nine seconds.
    Drips,
}

/// The server's task: answers, one connection after the other, with the next of `answers`.
fn serve(ip: &Stack<End>, answers: &'static [Server]) {
    let ip = ip.clone();
    spawn(async move {
        let listener = ip.bind(any(80)).await.unwrap();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                assert_eq!(stream.read(&mut byte).await, Ok(1), "{request:?}");
                request.extend(byte);
            }
            // The client may leave at any time.
            match answer {
                Server::Says(text, size) => {
                    for piece in text.as_bytes().chunks(*size) {
                        let _ = stream.write_all(piece).await;
                        sleep(Duration::from_millis(1)).await;
                    }
                    let _ = stream.close().await;
                }
                Server::Stays(text) => {
                    let _ = stream.write_all(text.as_bytes()).await;
                    sleep(Duration::from_secs(3600)).await;
                }
                Server::Drips => {
                    for byte in b"HTTP/1.1 200 slowly" {
                        let _ = stream.write_all(&[*byte]).await;
                        sleep(Duration::from_secs(9)).await;
                    }
                }
            }
        }
        sleep(Duration::from_secs(3600)).await;
    })
    .detach();
}

/// What fetching `url` prints, the status, and how long it took.
fn fetch(url: &'static str, limit: u64, answers: &'static [Server]) -> (String, u8, Duration) {
    fetch_by(&[url], limit, &[], answers)
}

/// The same of several, with fields, which are shown with the head.
fn fetch_by(
    urls: &[&'static str],
    limit: u64,
    fields: &[&'static str],
    answers: &'static [Server],
) -> (String, u8, Duration) {
    let several = |texts: &[&'static str]| {
        let mut several = Several::default();
        texts.iter().for_each(|text| several.add(text));
        several
    };
    let (urls, shown, fields) = (several(urls), !fields.is_empty(), several(fields));
    xenith::testing::simulate_time();
    block_on(async {
        let (one, other) = cable(Options::default());
        let (here, there) = (stack(one, 1), stack(other, 2));
        serve(&there, answers);
        let mut paper = Paper::default();
        let begun = Instant::now();
        let args = Args {
            url: urls,
            field: fields,
            head: shown,
            redirects: 2,
            limit,
            time: 300,
            ..Args::default()
        };
        let exit = start(&mut paper, here, args).await;
        (String::from_utf8(paper.0).unwrap(), exit.0, begun.elapsed())
    })
}

const URL: &str = "http://10.0.0.2/a";
const ALL: u64 = u64::MAX;

#[test]
fn a_page_is_printed_however_it_is_delimited_and_split() {
    let rest = "fetch: done, 7 bytes\n";
    for size in [1, 3, 1000] {
        for (answer, length) in [
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n5;x=y\r\n\
                 \u{e9}\r\nb\r\n1\r\n\n\r\n0\r\nA: b\r\n\r\n",
                "",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\na\u{e9}\r\nb\n", ", 7 bytes"),
            ("HTTP/1.0 200 OK\r\n\r\na\u{e9}\r\nb\n", ""),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\na\u{e9}\r\nb\n", ""),
        ] {
            let answers = Vec::from([Server::Says(answer, size)]).leak();
            let (said, status, _) = fetch(URL, ALL, answers);
            assert_eq!(said, format!("fetch: {URL}: 200{length}\na\u{e9}\nb\n{rest}"));
            assert_eq!(status, 0);
        }
    }
}

#[test]
fn control_characters_do_not_reach_the_terminal_k5() {
    let (said, status, _) = fetch(URL, ALL, &[Server::Says("HTTP/1.1 200 x\r\n\r\n\x1b[2J\r", 9)]);
    assert_eq!(said, format!("fetch: {URL}: 200\n\\x1b[2J\\x0d\nfetch: done, 5 bytes\n"));
    assert_eq!(status, 0);
}

#[test]
fn redirects_are_followed_so_far() {
    const TO: Server = Server::Says("HTTP/1.1 302 x\r\nLocation: /b\r\n\r\n", 99);
    const PAGE: Server = Server::Says("HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\nx\n", 99);
    let (said, status, _) = fetch(URL, ALL, &[TO, TO, PAGE]);
    assert!(said.starts_with("fetch: http://10.0.0.2/b: 200, 2 bytes\nx\n"), "{said}");
    assert_eq!(status, 0);
    let (said, status, _) = fetch(URL, ALL, &[TO, TO, TO, PAGE]);
    assert_eq!(said, format!("error: http://10.0.0.2/b: there are more than 2 redirects\n"));
    assert_eq!(status, 5);
    // The address that failed is said.
    let away = [Server::Says("HTTP/1.1 301 x\r\nLocation: https://a/\r\n\r\n", 99)];
    let (said, status, _) = fetch(URL, ALL, Vec::from(away).leak());
    assert!(said.contains("https is not supported"), "{said}");
    assert_eq!(status, 2);
}

#[test]
fn what_a_server_says_of_itself_is_a_status() {
    let (said, status, _) = fetch(URL, ALL, &[Server::Says("HTTP/1.1 404 x\r\n\r\nno\n", 99)]);
    assert_eq!((said, status), (format!("fetch: {URL}: 404\nno\nfetch: done, 3 bytes\n"), 7));
}

#[test]
fn answers_that_are_none_are_told_apart() {
    for (answer, limit, text, status) in [
        (Server::Says("SSH-2.0-x\r\n", 99), ALL, "is not one of HTTP/1", 5),
        (Server::Says("HTTP/1.1 101 x\r\n\r\n", 99), ALL, "is not one of HTTP/1", 5),
        (Server::Says("HTTP/1.1 200 x\r\nA", 99), ALL, "breaks off", 5),
        (Server::Says("HTTP/1.1 200 x\r\nContent-Length: 3\r\n\r\nx", 99), ALL, "breaks off", 5),
        (Server::Says("HTTP/1.1 200 x\r\nContent-Length: 3\r\n\r\nx", 99), 2, "longer than", 5),
        (Server::Says("HTTP/1.1 200 x\r\n\r\nxyz", 99), 2, "longer than", 5),
        (
            Server::Says("HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", 99),
            ALL,
            "is not one of HTTP/1",
            5,
        ),
        (Server::Stays("HTTP/1.1 200 x\r\nContent-Length: 3\r\n\r\nx"), ALL, "takes too long", 6),
        (Server::Stays("HTTP"), ALL, "takes too long", 6),
        (Server::Drips, ALL, "takes too long", 6),
    ] {
        let (said, exit, time) = fetch(URL, limit, Vec::from([answer]).leak());
        assert!(said.contains(&format!("error: {URL}: ")) && said.contains(text), "{said}");
        assert_eq!(exit, status, "{said}");
        assert!(time < Duration::from_secs(61), "{said} took {time:?}");
    }
    let long = format!("HTTP/1.1 200 x\r\nA: {}", "b".repeat(5000)).leak();
    let (said, exit, _) = fetch(URL, ALL, Vec::from([Server::Stays(long)]).leak());
    assert!(said.contains("takes too long: it does not end") && exit == 6, "{said}");
}

#[test]
fn who_is_not_there_is_told_apart() {
    for (url, text, status) in [
        ("http://10.0.0.2:81/", "/: 10.0.0.2:81: the connection was refused", 4),
        ("http://10.0.0.9/", "/: 10.0.0.9:80: ", 4),
        ("http://nobody.lab/", "no name server is known", 3),
        ("http://a..b/", "that name cannot be resolved", 3),
        ("10.0.0.2", "has to begin with http://", 2),
        ("http://10.0.0.2/\x1b", "\\x1b: the address holds a control character", 2),
    ] {
        let (said, exit, time) = fetch(url, ALL, &[]);
        assert!(said.starts_with("error: ") && said.contains(text), "{said}");
        assert_eq!(exit, status, "{said}");
        assert!(time < Duration::from_secs(61), "{said} took {time:?}");
    }
}

#[test]
fn several_pages_are_fetched_and_the_first_failure_counts() {
    const OK: Server = Server::Says("HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\nx\n", 99);
    const NO: Server = Server::Says("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n", 99);
    let (said, status, _) = fetch_by(&[URL, "https://a/", URL], ALL, &[], &[NO, OK]);
    assert_eq!(
        said,
        format!(
            "fetch: {URL}: 404, 0 bytes\nfetch: done, 0 bytes\n\
             error: https://a/: https is not supported, as there is no TLS here: only http:// is\n\
             fetch: {URL}: 200, 2 bytes\nx\nfetch: done, 2 bytes\n"
        )
    );
    assert_eq!(status, 7);
    let (said, status, _) = fetch_by(&[], ALL, &[], &[]);
    assert!(said.starts_with("error: argument url must be given") && status == 2, "{said}");
}

#[test]
fn fields_are_given_and_heads_are_shown_k5() {
    const OK: Server =
        Server::Says("HTTP/1.1 200 Fi\x1bne\r\nA:  b\x07 \r\nContent-Length: 2\r\n\r\nx\n", 9);
    let (said, status, _) = fetch_by(&[URL], ALL, &["X: y", "Accept:"], &[OK]);
    let head = "HTTP/1.1 200 Fi\\x1bne\nA: b\\x07\nContent-Length: 2\n\n";
    assert_eq!(said, format!("fetch: {URL}: 200, 2 bytes\n{head}x\nfetch: done, 2 bytes\n"));
    assert_eq!(status, 0);
    for (field, why) in [("X", "is not of the form Name: value"), ("X y: z", "the name of a field")]
    {
        let (said, status, _) = fetch_by(&[URL], ALL, &[field], &[]);
        assert!(said.contains(why) && status == 2, "{said}");
    }
}

/// A network that says that it encrypts, and does not.
struct Secret(Stack<End>);

impl Resolve for Secret {
    async fn resolve(&self, name: &str) -> Result<xenith::ip::Addresses, xenith::ip::Error> {
        self.0.resolve(name).await
    }
}

impl Tcp for Secret {
    type Listener = <Stack<End> as Tcp>::Listener;
    type Stream = <Stack<End> as Tcp>::Stream;

    const SECURE: bool = true;

    async fn bind(&self, addr: SocketAddr) -> Result<Self::Listener, xenith::ip::Error> {
        Tcp::bind(&self.0, addr).await
    }

    async fn connect(&self, addr: SocketAddr) -> Result<Self::Stream, xenith::ip::Error> {
        self.0.connect(addr).await
    }

    async fn connect_to(
        &self,
        _: &str,
        addr: SocketAddr,
        _: bool,
    ) -> Result<Self::Stream, xenith::ip::Error> {
        self.0.connect(addr).await
    }

    fn open(&self, from: SocketAddr, to: SocketAddr) -> Result<Self::Stream, xenith::ip::Error> {
        Tcp::open(&self.0, from, to)
    }
}

#[test]
fn nothing_goes_on_without_encryption_unless_that_is_allowed() {
    const TO: &str = "HTTP/1.1 302 Found\r\nLocation: http://10.0.0.2/b\r\nContent-Length: 0\r\n\
                      Connection: close\r\n\r\n";
    const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    let fetched = |downgrade| {
        xenith::testing::simulate_time();
        block_on(async {
            let (one, other) = cable(Options::default());
            let (here, there) = (stack(one, 1), stack(other, 2));
            serve(&there, &[Server::Says(TO, 500), Server::Says(PAGE, 500)]);
            let mut url = Several::default();
            url.add("https://10.0.0.2:80/a");
            let mut paper = Paper::default();
            let args = Args { url, ..Args::default() };
            let exit = run(&mut paper, Secret(here), args, downgrade).await;
            (exit, String::from_utf8(paper.0).unwrap())
        })
    };
    let (exit, text) = fetched(false);
    assert_eq!(exit, Exit(5));
    let expected = "the server redirects to http://10.0.0.2/b, where nothing is encrypted, and that is \
                    not allowed (downgrade=on allows it)\n";
    assert!(text.ends_with(expected), "{text}");
    let (exit, text) = fetched(true);
    assert_eq!(exit, Exit::SUCCESS);
    assert!(text.contains("fetch: http://10.0.0.2/b: 200, 2 bytes\nhi\n"), "{text}");
}
