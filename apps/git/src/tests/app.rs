//! The whole app on a cable, beside servers that say what is written down.

use super::written::{lines, offer};
use super::*;
use crate::{Args, start};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::cell::RefCell;
use std::rc::Rc;
use xenith::args::Size;
use xenith::ip::config::{Ipv4, Settings};
use xenith::ip::{Listener, Stack, Stream, Tcp, any};
use xenith::net::cable::{End, Options, cable};
use xenith::task::{Either, select, spawn};
use xenith::time::{sleep, timeout};

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

fn stack(net: End, last: u8) -> Stack<End> {
    let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
    Stack::start(net, Settings { ipv4, ..Settings::default() }).unwrap()
}

fn args(url: &'static str, branch: &'static str) -> Args {
    Args {
        url,
        branch,
        every: 0,
        list: true,
        port: 80,
        max_age: 0,
        hidden: false,
        limit: Size(1 << 20),
        objects: 100,
        patience: Duration::from_secs(10),
        time: Duration::from_secs(60),
    }
}

/// Reads until nothing comes for so long.
async fn drain(stream: &mut impl Read, quiet: Duration) {
    let mut piece = [0; 4096];
    while let Ok(Ok(1..)) = timeout(quiet, stream.read(&mut piece)).await {}
}

/// Answers connections with `port` one after the other: each with these texts, one for whatever the
/// client says next, before it ends or, with an empty one, stays silent.
fn serve(ip: &Stack<End>, port: u16, answers: Vec<Vec<Vec<u8>>>) {
    let ip = ip.clone();
    spawn(async move {
        let listener = ip.bind(any(port)).await.unwrap();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            for text in answer {
                let mut piece = [0; 4096];
                let _ = stream.read(&mut piece).await;
                drain(&mut stream, Duration::from_millis(50)).await;
                if text.is_empty() {
                    sleep(Duration::from_secs(1000)).await;
                }
                let _ = stream.write_all(&text).await;
            }
            // What was not read would reset the connection.
            drain(&mut stream, Duration::from_secs(2)).await;
            let _ = stream.close().await;
        }
        sleep(Duration::from_secs(10_000)).await;
    })
    .detach();
}

/// What the app prints beside such a server, and its exit status.
fn run(args: Args, port: u16, answers: Vec<Vec<Vec<u8>>>) -> (String, u8) {
    xenith::testing::simulate_time();
    block_on(async {
        let (one, other) = cable(Options::default());
        let (here, there) = (stack(one, 1), stack(other, 2));
        serve(&there, port, answers);
        let paper = Paper::default();
        let said = Rc::clone(&paper.0);
        let exit = start(paper, here, args).await;
        let said = String::from_utf8(said.borrow().clone()).unwrap();
        (said, exit.0)
    })
}

/// The parts of an answer of git: what it offers, its list and the pack.
fn parts(answer: &[u8]) -> [&[u8]; 3] {
    let mut ends =
        answer.windows(4).enumerate().filter(|(_, it)| *it == b"0000").map(|(at, _)| at + 4);
    let (first, second) =
        (ends.next().unwrap(), ends.find(|&at| answer[at..].starts_with(b"0011shallow")).unwrap());
    [&answer[..first], &answer[first..second], &answer[second..]]
}

/// Such a part as an answer of HTTP.
fn http(kind: &str, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-{kind}\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), content].concat()
}

#[test]
fn files_are_listed_over_both_protocols() {
    let over_git =
        run(args("git://10.0.0.2/r", "v1-again"), 9418, std::vec![std::vec![ANSWER.into()]]);
    assert_eq!(over_git, (LISTED.into(), 0));
    let [offer, list, pack] = parts(ANSWER);
    let first = [b"001e# service=git-upload-pack\n0000", offer].concat();
    let answers = [http("advertisement", &first), http("result", list), http("result", pack)];
    // A connection for each, as POST does not go over one that has waited.
    let answers = answers.map(|answer| std::vec![answer]).to_vec();
    let over_http = run(args("http://10.0.0.2/r", "v1-again"), 80, answers);
    assert_eq!(over_http, (LISTED.into(), 0));
}

#[test]
fn what_goes_wrong_is_told_with_a_status() {
    let git = |answer: &[u8]| {
        run(args("git://10.0.0.2/r", "v1-again"), 9418, std::vec![std::vec![answer.into()]])
    };
    let denied = lines(&[b"ERR access denied or repository not exported: /r"], b"");
    assert_eq!(
        git(&denied),
        ("error: git://10.0.0.2/r: the server says: access denied or repository not exported: /r\n".into(), 4)
    );
    let none = [offer(), b"0000".to_vec()].concat();
    assert_eq!(git(&none), ("error: git://10.0.0.2/r: there is no such branch or tag\n".into(), 4));
    let cut = git(&ANSWER[..1000]);
    assert_eq!(cut, ("error: git://10.0.0.2/r: the answer ends too early\n".into(), 5));
    assert_eq!(git(b"").1, 6);
    let few = Args { objects: 3, ..args("git://10.0.0.2/r", "v1-again") };
    let (said, exit) = run(few, 9418, std::vec![std::vec![ANSWER.into()]]);
    assert!(said.contains("more than 3 objects (objects= allows more)") && exit == 5, "{said}");
    let answer = std::vec![std::vec![folders::folders_alone()]];
    let (said, exit) =
        run(Args { objects: 200, ..args("git://10.0.0.2/r", "v1-again") }, 9418, answer);
    assert!(said.contains("more than 200 entries (objects= allows more)") && exit == 5, "{said}");
    let (said, exit) = run(args("git://10.0.0.2:1/r", "HEAD"), 2, Vec::new());
    assert!(said.contains("refused") && exit == 3, "{said}");
    let http = |answer: &[u8]| {
        run(args("http://10.0.0.2/r", "HEAD"), 80, std::vec![std::vec![answer.into()]])
    };
    let (said, exit) = http(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    assert!(said.ends_with("the server answers with 404 Not Found\n") && exit == 4, "{said}");
    let (said, exit) = http(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert!(said.ends_with("there is no server of git's smart HTTP\n") && exit == 5, "{said}");
    for url in ["https://10.0.0.2/r", "ssh://10.0.0.2/r"] {
        let (said, exit) = run(args(url, "HEAD"), 1, Vec::new());
        assert!(said.starts_with("error: ") && exit == 2, "{url}: {exit}: {said}");
    }
    assert_eq!(run(args("git://10.0.0.2/r", "a b"), 1, Vec::new()).1, 2);
}

/// What a request of HTTP is answered with.
async fn get(ip: &Stack<End>, path: &str) -> String {
    let at = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 80);
    let mut stream = ip.connect(at).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut all, mut piece) = (Vec::new(), [0; 1024]);
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        all.extend_from_slice(&piece[..count]);
    }
    String::from_utf8(all).unwrap()
}

#[test]
fn a_newer_commit_is_served_once_it_is_there() {
    xenith::testing::simulate_time();
    let newer = packs::page("<h1>newer</h1>");
    block_on(async {
        let (one, other) = cable(Options::default());
        let (here, there) = (stack(one, 1), stack(other, 2));
        // It is asked again: the same, then nobody who makes sense, then the newer one.
        let same = ANSWER.to_vec();
        let answers = [ANSWER.to_vec(), same, b"what?".to_vec(), newer];
        serve(&there, 9418, answers.map(|answer| std::vec![answer]).to_vec());
        let args =
            Args { list: false, every: 100, ..args("git://10.0.0.2/r", "refs/tags/v1-again") };
        let serving = start(Paper::default(), here, args);
        let asking = async {
            sleep(Duration::from_secs(5)).await;
            let answer = get(&there, "/").await;
            assert!(
                answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("<h1>hello</h1>\n"),
                "{answer}"
            );
            assert!(answer.contains("\r\nContent-Type: text/html"), "{answer}");
            assert!(get(&there, "/link").await.ends_with("\r\n\r\nh1{}\n"));
            assert!(get(&there, "/css/").await.contains("style.css"));
            for path in ["/nothing", "/module", "/.git", "/../r"] {
                assert!(get(&there, path).await.starts_with("HTTP/1.1 404 "), "{path}");
            }
            sleep(Duration::from_secs(250)).await;
            assert!(get(&there, "/").await.ends_with("<h1>hello</h1>\n"));
            sleep(Duration::from_secs(100)).await;
            assert!(get(&there, "/").await.ends_with("<h1>newer</h1>"));
            assert!(get(&there, "/link").await.starts_with("HTTP/1.1 404 "));
        };
        match select(serving, asking).await {
            Either::First(exit) => panic!("it ends with {}", exit.0),
            Either::Second(()) => {}
        }
    });
}
