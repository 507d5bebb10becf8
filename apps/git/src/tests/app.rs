//! The whole app on a cable, beside servers that say what is written down.

use super::written::{lines, offer};
use super::*;
use crate::{Args, start};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::cell::RefCell;
use std::rc::Rc;
use xenith::args::Size;
use xenith::ip::config::{Ipv4, Settings};
use xenith::ip::{Listener, Resolve, Stack, Stream, Tcp, any};
use xenith::net::cable::{End, Options, cable};
use xenith::task::{Either, select, spawn};
use xenith::time::{sleep, timeout};

/// A console.
#[derive(Default)]
pub(super) struct Paper(Rc<RefCell<Vec<u8>>>);

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

pub(super) fn stack(net: End, last: u8) -> Stack<End> {
    let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
    Stack::start(net, Settings { ipv4, ..Settings::default() }).unwrap()
}

pub(super) fn args(url: &'static str, branch: &'static str) -> Args {
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
        write: false,
        token: None,
        open: false,
        author: "",
    }
}

/// Reads until nothing comes for so long.
async fn drain(stream: &mut impl Read, quiet: Duration) -> Vec<u8> {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(Ok(count @ 1..)) = timeout(quiet, stream.read(&mut piece)).await {
        all.extend_from_slice(&piece[..count]);
    }
    all
}

/// The answers to connections, one after the other.
pub(super) type Answers = Vec<Vec<Vec<u8>>>;

/// What is heard on each connection.
pub(super) type Heard = Rc<RefCell<Vec<String>>>;

/// Answers connections with `port` one after the other: each with these texts, one for whatever the
/// client says next, before it ends or, with an empty one, stays silent. One that begins with a zero
/// comes after so many seconds as its next byte says.
pub(super) fn serve(ip: &Stack<End>, port: u16, answers: Answers) -> Heard {
    let ip = ip.clone();
    let all = Heard::default();
    let heard = Rc::clone(&all);
    spawn(async move {
        let listener = ip.bind(any(port)).await.unwrap();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            heard.borrow_mut().push(String::new());
            let hear = |bytes: &[u8]| {
                heard.borrow_mut().last_mut().unwrap().push_str(&String::from_utf8_lossy(bytes));
            };
            for text in answer {
                let mut piece = [0; 4096];
                let count = stream.read(&mut piece).await.unwrap_or(0);
                hear(&piece[..count]);
                hear(&drain(&mut stream, Duration::from_millis(50)).await);
                if text.is_empty() {
                    sleep(Duration::from_secs(1000)).await;
                }
                let text = match &text[..] {
                    [0, seconds, rest @ ..] => {
                        sleep(Duration::from_secs(u64::from(*seconds))).await;
                        rest
                    }
                    text => text,
                };
                let _ = stream.write_all(text).await;
            }
            // What was not read would reset the connection.
            hear(&drain(&mut stream, Duration::from_secs(2)).await);
            let _ = stream.close().await;
        }
        sleep(Duration::from_secs(10_000)).await;
    })
    .detach();
    all
}

/// What the app prints beside such a server, and its exit status.
pub(super) fn run(args: Args, port: u16, answers: Answers) -> (String, u8) {
    run_on(|ip| ip, args, &mut [(port, answers, Heard::default())])
}

/// What the app prints on such a network and beside several servers, and its exit status.
fn run_on<I: Tcp + Resolve>(
    network: impl FnOnce(Stack<End>) -> I,
    args: Args,
    servers: &mut [(u16, Answers, Heard)],
) -> (String, u8) {
    xenith::testing::simulate_time();
    block_on(async {
        let (one, other) = cable(Options::default());
        let (here, there) = (network(stack(one, 1)), stack(other, 2));
        for (port, answers, heard) in servers {
            *heard = serve(&there, *port, core::mem::take(answers));
        }
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
    http_of(&format!("git-upload-pack-{kind}"), content)
}

/// An answer of HTTP of this type of git's.
pub(super) fn http_of(kind: &str, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-{kind}\r\nContent-Length: {length}\r\n\r\n"
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

/// A connection with the app.
pub(super) async fn to_app(ip: &Stack<End>) -> <Stack<End> as Tcp>::Stream {
    ip.connect(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 80)).await.unwrap()
}

/// What a request of HTTP is answered with.
async fn get(ip: &Stack<End>, path: &str) -> String {
    let mut stream = to_app(ip).await;
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
            // After one that failed, the pause is twice as long.
            sleep(Duration::from_secs(100)).await;
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

/// Plays the app beside a server with these answers, and `then` beside that.
fn beside(every: u32, answers: Answers, then: impl AsyncFnOnce(Stack<End>, Heard)) {
    xenith::testing::simulate_time();
    block_on(async {
        let (one, other) = cable(Options::default());
        let (here, there) = (stack(one, 1), stack(other, 2));
        let heard = serve(&there, 9418, answers);
        let args = Args { list: false, every, ..args("git://10.0.0.2/r", "refs/tags/v1-again") };
        let serving = start(Paper::default(), here, args);
        match select(serving, then(there, heard)).await {
            Either::First(exit) => panic!("it ends with {}", exit.0),
            Either::Second(()) => {}
        }
    });
}

#[test]
fn a_commit_that_cannot_be_used_is_read_once() {
    let bad = packs::page_named("..", "x");
    let answers = [ANSWER.to_vec(), bad.clone(), bad, packs::page("newer")];
    let answers = answers.map(|answer| std::vec![answer]).to_vec();
    beside(100, answers, async |there, heard| {
        // It is asked after 100 s, 200 s more, and 100 s more.
        sleep(Duration::from_secs(380)).await;
        assert!(get(&there, "/").await.ends_with("<h1>hello</h1>\n"));
        let wants = |heard: &Heard| -> Vec<bool> {
            heard.borrow().iter().map(|it| it.contains("want ")).collect()
        };
        assert_eq!(wants(&heard), [true, true, false]);
        sleep(Duration::from_secs(100)).await;
        assert_eq!(wants(&heard), [true, true, false, true]);
        assert!(get(&there, "/").await.ends_with("newer"));
    });
}

#[test]
fn no_third_commit_is_read_while_a_client_takes_the_first() {
    let big = packs::page(&"x".repeat(600_000));
    let answers = [big, packs::page("second"), packs::page("third")];
    let answers = answers.map(|answer| std::vec![answer]).to_vec();
    beside(8, answers, async |there, heard| {
        sleep(Duration::from_secs(5)).await;
        let mut slow = to_app(&there).await;
        slow.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        // It is asked after 8 s, and the next times not, until the client has waited for 30 s.
        sleep(Duration::from_secs(22)).await;
        assert_eq!(heard.borrow().len(), 2);
        assert!(get(&there, "/").await.ends_with("second"));
        slow.abort();
        sleep(Duration::from_secs(15)).await;
        assert_eq!(heard.borrow().len(), 3);
        assert!(get(&there, "/").await.ends_with("third"));
    });
}

#[test]
fn a_user_is_told_to_the_same_server_alone() {
    let [offer, list, pack] = parts(ANSWER);
    let questions = |first: Vec<Vec<u8>>| {
        std::vec![first, std::vec![http("result", list)], std::vec![http("result", pack)],]
    };
    let to = |server: &str| {
        format!(
            "HTTP/1.1 301 Moved\r\nLocation: http://{server}/s/info/refs?service=git-upload-pack\r\n\
             Content-Length: 0\r\n\r\n"
        )
        .into_bytes()
    };
    let offered = http("advertisement", offer);
    let url = "http://me:secret@10.0.0.2/r";
    let basic = "Authorization: Basic bWU6c2VjcmV0\r\n";
    let answers = questions(std::vec![to("10.0.0.2"), offered.clone()]);
    let mut servers = [(80, answers, Heard::default())];
    let said = run_on(|ip| ip, args(url, "v1-again"), &mut servers);
    assert_eq!(said, (LISTED.into(), 0));
    let heard = servers[0].2.borrow();
    let told: Vec<_> = heard.iter().map(|it| it.matches(basic).count()).collect();
    assert_eq!(told, [2, 1, 1], "{heard:?}");
    assert!(heard[2].starts_with("POST /s/git-upload-pack HTTP/1.1\r\n"), "{heard:?}");
    // To another one, whose port is another, all goes on without.
    let first = std::vec![std::vec![to("10.0.0.2:81")]];
    let others = questions(std::vec![offered]);
    let mut servers = [(80, first, Heard::default()), (81, others, Heard::default())];
    let said = run_on(|ip| ip, args(url, "v1-again"), &mut servers);
    assert_eq!(said, (LISTED.into(), 0));
    let told = |at: usize| -> Vec<bool> {
        servers[at].2.borrow().iter().map(|it| it.contains("Authorization")).collect()
    };
    assert_eq!((told(0), told(1)), (std::vec![true], std::vec![false; 3]));
}

#[test]
fn redirects_are_followed_for_the_first_question_alone() {
    let [offer, list, pack] = parts(ANSWER);
    for (at, status) in [(0, "301 Moved"), (0, "307 Temporary Redirect"), (1, "302 Found")] {
        let moved = format!(
            "HTTP/1.1 {status}\r\nLocation: http://10.0.0.2:81/r\r\nContent-Length: 0\r\n\r\n"
        );
        let mut later = [http("result", list), http("result", pack)];
        let elsewhere = later.clone();
        later[at] = moved.into_bytes();
        let answers = [http("advertisement", offer)].into_iter().chain(later);
        let answers = answers.map(|answer| std::vec![answer]).collect();
        let elsewhere = elsewhere.map(|answer| std::vec![answer]).to_vec();
        let mut servers = [(80, answers, Heard::default()), (81, elsewhere, Heard::default())];
        let (said, exit) = run_on(|ip| ip, args("http://10.0.0.2/r", "v1-again"), &mut servers);
        let code = status.split(' ').next().unwrap();
        let expected = format!("error: http://10.0.0.2/r: the server answers with {code} ");
        assert!(said.starts_with(&expected) && exit == 4, "{exit}: {said}");
        assert_eq!(servers[0].2.borrow().len(), at + 2);
        assert!(servers[1].2.borrow().is_empty());
    }
}

/// A network in which a name has two addresses, of which the first is silent.
struct Two(Stack<End>);

impl Resolve for Two {
    async fn resolve(&self, _: &str) -> Result<xenith::ip::Addresses, xenith::ip::Error> {
        Ok([[10, 0, 0, 9], [10, 0, 0, 2]].into_iter().map(Into::into).collect())
    }
}

impl Tcp for Two {
    type Listener = <Stack<End> as Tcp>::Listener;
    type Stream = <Stack<End> as Tcp>::Stream;

    async fn bind(&self, addr: SocketAddr) -> Result<Self::Listener, xenith::ip::Error> {
        Tcp::bind(&self.0, addr).await
    }

    async fn connect(&self, addr: SocketAddr) -> Result<Self::Stream, xenith::ip::Error> {
        if addr.ip() == IpAddr::from([10, 0, 0, 9]) {
            core::future::pending::<()>().await;
        }
        self.0.connect(addr).await
    }

    fn open(&self, from: SocketAddr, to: SocketAddr) -> Result<Self::Stream, xenith::ip::Error> {
        Tcp::open(&self.0, from, to)
    }
}

#[test]
fn each_address_of_a_name_has_its_own_time() {
    let answers = std::vec![std::vec![ANSWER.to_vec()]];
    let mut servers = [(9418, answers, Heard::default())];
    let said = run_on(Two, args("git://lab/r", "v1-again"), &mut servers);
    assert_eq!(said, (LISTED.into(), 0));
}
