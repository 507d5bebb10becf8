//! Files that are put to the app, beside a server that says what is written down.

use super::app::{Answers, Heard, Paper, args, run, serve, stack, to_app};
use super::packs::{commit, entry};
use super::push::has;
use super::written::{around, lines, pack, whole};
use super::*;
use crate::{Args, start};
use xenith::ip::{Stack, Stream};
use xenith::net::cable::{End, Options, cable};
use xenith::task::{Either, join, select};
use xenith::time::sleep;

const MAIN: &str = "refs/heads/main";

/// What a server of git says that has a page with this text, and the id of its commit.
fn site(text: &str) -> (String, Vec<u8>) {
    let tree = entry("100644", "index.html", Id::of(Kind::Blob, text.as_bytes()));
    let commit = commit(&tree);
    let blob = whole(Kind::Blob, text.as_bytes());
    let pack = pack(&[whole(Kind::Commit, &commit), whole(Kind::Tree, &tree), blob]);
    let id = Id::of(Kind::Commit, &commit);
    (format!("{id}"), around(id, MAIN, &pack))
}

/// A connection on which something is read.
fn read(text: &str) -> Vec<Vec<u8>> {
    std::vec![site(text).1]
}

/// A connection on which a push to what is now this is answered so.
fn pushed(id: &str, report: &[&[u8]]) -> Vec<Vec<u8>> {
    std::vec![has(id, MAIN), lines(report, b"0000")]
}

const OK: &[&[u8]] = &[b"unpack ok\n", b"ok refs/heads/main\n"];

fn writing() -> Args {
    Args {
        list: false,
        write: true,
        token: Some("secret"),
        author: "Jane Doe <jane@lab>",
        ..args("git://10.0.0.2/r", "main")
    }
}

/// Plays the app with these arguments beside a server with these answers, and `then` beside that.
fn beside(args: Args, answers: Answers, then: impl AsyncFnOnce(Stack<End>, Heard)) {
    xenith::testing::simulate_time();
    block_on(async {
        let (one, other) = cable(Options::default());
        let (here, there) = (stack(one, 1), stack(other, 2));
        let heard = serve(&there, 9418, answers);
        let serving = start(Paper::default(), here, args);
        let asking = async {
            sleep(Duration::from_secs(5)).await;
            then(there, heard).await;
        };
        match select(serving, asking).await {
            Either::First(exit) => panic!("it ends with {}", exit.0),
            Either::Second(()) => {}
        }
    });
}

/// What a request is answered with: the status, and all of it.
async fn ask(ip: &Stack<End>, method: &str, path: &str, fields: &str, body: &str) -> (u16, String) {
    let mut stream = to_app(ip).await;
    let length = match body.len() {
        0 if method != "PUT" => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}{length}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut all, mut piece) = (Vec::new(), [0; 1024]);
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        all.extend_from_slice(&piece[..count]);
    }
    stream.abort();
    let all = String::from_utf8(all).unwrap();
    (all.split(' ').nth(1).unwrap().parse().unwrap(), all)
}

const TOKEN: &str = "Authorization: Bearer secret\r\n";

/// The value of a field of an answer.
fn field<'a>(answer: &'a str, name: &str) -> &'a str {
    let (_, rest) = answer.split_once(&format!("\r\n{name}: ")).unwrap();
    rest.split("\r\n").next().unwrap()
}

/// The ids of the command that was heard: what the branch was, and what it is to be.
fn command(heard: &str) -> (String, String) {
    let (before, _) = heard.split_once(&format!(" {MAIN}\0 report-status")).unwrap();
    let mut words = before.rsplit(' ');
    let new = words.next().unwrap();
    let old = words.next().unwrap();
    (old[old.len() - 40..].into(), new.into())
}

#[test]
fn a_file_that_is_put_is_served_once_it_is_pushed() {
    // The ids of what comes are known once they were heard.
    let id = site("old").0;
    let answers = std::vec![read("old"), pushed(&id, OK)];
    beside(writing(), answers, async |there, heard| {
        let (status, answer) = ask(&there, "PUT", "/a/new%20one", TOKEN, "1").await;
        assert_eq!(status, 201, "{answer}");
        let (old, new) = command(&heard.borrow()[1]);
        assert_eq!((old, field(&answer, "Git-Commit")), (id, &*new));
        let (status, answer) = ask(&there, "GET", "/a/new%20one", "", "").await;
        assert!(status == 200 && answer.ends_with("\r\n\r\n1"), "{answer}");
        assert!(ask(&there, "GET", "/", "", "").await.1.ends_with("old"));
    });
}

/// What is heard of a connection on which it is asked what the branch stands for, and nothing is pushed.
fn is_question(heard: &str) -> bool {
    heard.contains("git-receive-pack") && heard.ends_with("host=10.0.0.2\x000000")
}

#[test]
fn what_a_file_holds_already_is_so_if_the_branch_has_not_moved() {
    let (old, newer) = (site("old").0, site("newer").0);
    let cases = [
        ("PUT", "/index.html", "old", 204, 409, "newer"),
        ("PUT", "/index.html/a", "1", 409, 409, "newer"),
        ("DELETE", "/nothing", "", 404, 409, "newer"),
    ];
    for (method, path, body, same, moved, then) in cases {
        let answers = std::vec![read("old"), std::vec![has(&old, MAIN)]];
        beside(writing(), answers, async |there, heard| {
            let (status, answer) = ask(&there, method, path, TOKEN, body).await;
            assert!(status == same && !answer.contains("has moved"), "{path}: {answer}");
            if status == 204 {
                assert_eq!(field(&answer, "Git-Commit"), old);
            }
            let heard = heard.borrow();
            assert!(heard.len() == 2 && is_question(&heard[1]), "{heard:?}");
        });
        // Somebody else has pushed since it was read.
        let answers = std::vec![read("old"), std::vec![has(&newer, MAIN)], read("newer")];
        beside(writing(), answers, async |there, heard| {
            let (status, answer) = ask(&there, method, path, TOKEN, body).await;
            assert!(status == moved && answer.contains("the branch has moved"), "{path}: {answer}");
            assert!(ask(&there, "GET", "/", "", "").await.1.ends_with(then));
            let heard = heard.borrow();
            assert!(heard.len() == 3 && is_question(&heard[1]), "{heard:?}");
        });
        // Nobody says.
        beside(writing(), std::vec![read("old")], async |there, _| {
            let (status, answer) = ask(&there, method, path, TOKEN, body).await;
            assert!(status == 504 && answer.ends_with(".\n"), "{path}: {answer}");
        });
    }
}

#[test]
fn a_file_that_is_deleted_is_gone_once_that_is_pushed() {
    let id = site("old").0;
    let answers = std::vec![read("old"), pushed(&id, OK)];
    beside(writing(), answers, async |there, heard| {
        assert_eq!(ask(&there, "DELETE", "/index.html", TOKEN, "").await.0, 204);
        assert!(heard.borrow()[1].contains("\n\nDelete index.html\n"));
        assert_eq!(ask(&there, "GET", "/index.html", "", "").await.0, 404);
    });
}

#[test]
fn what_is_not_to_be_is_refused_before_anything_is_pushed() {
    let all = |path: &str| format!("/{path}");
    let cases = [
        // Nobody who has not the token.
        ("PUT", all("a"), "", "1", 401),
        ("PUT", all("a"), "Authorization: Bearer secre\r\n", "1", 401),
        ("PUT", all("a"), "Authorization: Bearer Secret\r\n", "1", 401),
        ("PUT", all("a"), "Authorization: Basic secret\r\n", "1", 401),
        ("PUT", all("a"), "Authorization: Bearer \r\n", "1", 401),
        (
            "PUT",
            all("a"),
            "Authorization: Bearer secret\r\nAuthorization: Bearer other\r\n",
            "1",
            401,
        ),
        ("DELETE", all("index.html"), "", "", 401),
        ("PUT", all(""), TOKEN, "1", 400),
        ("PUT", all("a/"), TOKEN, "1", 400),
        ("PUT", all("a//b"), TOKEN, "1", 400),
        ("PUT", all("a/%2e%2e/b"), TOKEN, "1", 400),
        ("PUT", all("a%2Fb"), TOKEN, "1", 400),
        ("PUT", all("a%00"), TOKEN, "1", 400),
        ("PUT", all(".git/config"), TOKEN, "1", 400),
        ("PUT", all("a/git~1"), TOKEN, "1", 400),
        ("PUT", all("a%5Cb"), TOKEN, "1", 400),
        ("PUT", all(".htaccess"), TOKEN, "1", 403),
        (
            "PUT",
            all("a"),
            "Authorization: Bearer secret\r\nContent-Range: bytes 0-0/2\r\n",
            "1",
            400,
        ),
        ("PUT", all("a"), "Authorization: Bearer secret\r\nContent-Encoding: gzip\r\n", "1", 400),
        ("POST", all("a"), TOKEN, "1", 405),
        ("PATCH", all("a"), TOKEN, "1", 405),
        (
            "PUT",
            all("index.html"),
            "Authorization: Bearer secret\r\nIf-None-Match: *\r\n",
            "1",
            412,
        ),
        ("PUT", all("a"), "Authorization: Bearer secret\r\nIf-Match: *\r\n", "1", 412),
        ("PUT", all("a"), "Authorization: Bearer secret\r\nIf-None-Match: x\r\n", "1", 412),
        ("PUT", all("index.html"), "Authorization: Bearer secret\r\nIf-Match: \"x\"\r\n", "1", 412),
        (
            "DELETE",
            all("index.html"),
            "Authorization: Bearer secret\r\nIf-Match: \"x\"\r\n",
            "",
            412,
        ),
    ];
    let answers = std::vec![read("old"), std::vec![has(&site("old").0, MAIN)]];
    beside(writing(), answers, async |there, heard| {
        for (method, path, fields, body, expected) in cases {
            let (status, answer) = ask(&there, method, &path, fields, body).await;
            assert_eq!(status, expected, "{method} {path} {fields}: {answer}");
            let field = match status {
                401 => "\r\nWWW-Authenticate: Bearer\r\n",
                405 => "\r\nAllow: GET, HEAD, PUT, DELETE, OPTIONS\r\n",
                _ => "\r\nContent-Type: text/plain",
            };
            assert!(answer.contains(field) && answer.ends_with(".\n"), "{answer}");
        }
        let large = "x".repeat((1 << 20) + 1);
        let (status, answer) = ask(&there, "PUT", "/a", TOKEN, &large).await;
        assert!(status == 413 && answer.contains("limit= allows more"), "{answer}");
        assert_eq!(heard.borrow().len(), 1);
        // With all else it would be too large, by what there is.
        let (status, answer) = ask(&there, "PUT", "/a", TOKEN, &large[..1 << 20]).await;
        assert!(status == 413 && answer.contains("limit= allows more"), "{answer}");
        assert_eq!(ask(&there, "OPTIONS", "/a", "", "").await.0, 204);
        assert!(ask(&there, "GET", "/", "", "").await.1.ends_with("old"));
        let heard = heard.borrow();
        assert!(heard.len() == 2 && is_question(&heard[1]), "{heard:?}");
    });
}

#[test]
fn without_the_argument_nothing_is_written() {
    let args = Args { write: false, ..writing() };
    beside(args, std::vec![read("old")], async |there, heard| {
        for method in ["PUT", "DELETE", "POST"] {
            let (status, answer) = ask(&there, method, "/index.html", TOKEN, "").await;
            assert_eq!(status, 405, "{answer}");
            assert!(answer.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n"), "{answer}");
        }
        assert_eq!(heard.borrow().len(), 1);
    });
}

#[test]
fn who_comes_may_write_if_that_is_said() {
    let args = Args { token: None, open: true, hidden: true, ..writing() };
    let answers = std::vec![read("old"), pushed(&site("old").0, OK)];
    beside(args, answers, async |there, _| {
        assert_eq!(ask(&there, "PUT", "/.a/.b", "", "1").await.0, 201);
        assert!(ask(&there, "GET", "/.a/.b", "", "").await.1.ends_with("1"));
    });
}

#[test]
fn arguments_that_cannot_write_are_told_at_once() {
    let start = |args: Args| run(args, 1, Vec::new());
    for (args, expected) in [
        (Args { branch: "HEAD", ..writing() }, "write=on needs a branch by its name"),
        (Args { branch: "refs/tags/v1", ..writing() }, "write=on needs a branch by its name"),
        (Args { token: None, ..writing() }, "write=on needs token=SECRET"),
        (Args { token: Some(""), ..writing() }, "token= is empty"),
        (Args { token: Some(""), open: true, ..writing() }, "token= is empty"),
        (Args { open: true, ..writing() }, "open=on is for whoever comes"),
        (Args { author: "Jane", ..writing() }, "author=Jane is not of the form \"Name <mail>\""),
    ] {
        let (said, exit) = start(args);
        assert!(said.starts_with(&format!("error: {expected}")) && exit == 2, "{exit}: {said}");
    }
}

#[test]
fn a_branch_that_has_moved_is_told_and_read_again() {
    let (old, newer) = (site("old").0, site("newer").0);
    let ng: &[&[u8]] = &[b"unpack ok\n", b"ng refs/heads/main failed to update ref\n"];
    // Before anything is sent, or while it is.
    let before = std::vec![std::vec![has(&newer, MAIN)]];
    let meanwhile = std::vec![pushed(&old, ng), std::vec![has(&newer, MAIN)]];
    for lost in [before, meanwhile] {
        let answers = [std::vec![read("old")], lost, std::vec![read("newer"), pushed(&newer, OK)]];
        beside(writing(), answers.concat(), async |there, _| {
            let (status, answer) = ask(&there, "PUT", "/a", TOKEN, "1").await;
            assert!(status == 409 && answer.contains("the branch has moved"), "{answer}");
            assert!(ask(&there, "GET", "/", "", "").await.1.ends_with("newer"));
            assert_eq!(ask(&there, "GET", "/a", "", "").await.0, 404);
            assert_eq!(ask(&there, "PUT", "/a", TOKEN, "1").await.0, 201);
            assert!(ask(&there, "GET", "/a", "", "").await.1.ends_with("1"));
        });
    }
}

#[test]
fn what_a_server_refuses_is_told_and_not_served() {
    let old = site("old").0;
    let ng: &[&[u8]] = &[b"unpack ok\n", b"ng refs/heads/main pre-receive hook declined\n"];
    let denied = std::vec![lines(&[b"ERR access denied or repository not exported: /r"], b"")];
    let refused = std::vec![pushed(&old, ng), std::vec![has(&old, MAIN)]];
    // The connection ends, or there is silence, and nothing was done.
    let ended = std::vec![std::vec![has(&old, MAIN)], std::vec![has(&old, MAIN)]];
    let silent = std::vec![std::vec![has(&old, MAIN), Vec::new()]];
    for (answers, expected, text) in [
        (
            std::vec![denied],
            502,
            "the server says: access denied or repository not exported: /r.\n",
        ),
        (refused, 502, "the server refuses the push: pre-receive hook declined.\n"),
        (ended, 502, "it is not known whether the change was made: the answer ends too early.\n"),
        (silent, 504, "it is not known whether the change was made: it is not done within 60 s.\n"),
    ] {
        let answers = [std::vec![read("old")], answers].concat();
        beside(writing(), answers, async |there, _| {
            let (status, answer) = ask(&there, "PUT", "/index.html", TOKEN, "1").await;
            assert!(status == expected && answer.ends_with(&format!("\r\n\r\n{text}")), "{answer}");
            assert!(ask(&there, "GET", "/", "", "").await.1.ends_with("old"));
        });
    }
}

#[test]
fn what_became_of_a_push_is_seen_after_a_while() {
    let (old, newer) = (site("old").0, site("newer").0);
    // The connection ends, and what was pushed, or something else, is there later.
    for tip in [&old, &newer] {
        let lost = std::vec![std::vec![has(&old, MAIN)], std::vec![has(tip, MAIN)]];
        let answers = [std::vec![read("old")], lost, std::vec![read("old"), read("newer")]];
        beside(writing(), answers.concat(), async |there, heard| {
            let (status, answer) = ask(&there, "PUT", "/index.html", TOKEN, "newer").await;
            assert!(status == 502 && answer.contains("it is not known whether"), "{answer}");
            assert_eq!(heard.borrow().len(), 3);
            assert!(ask(&there, "GET", "/", "", "").await.1.ends_with("old"));
            sleep(Duration::from_secs(30)).await;
            assert!(ask(&there, "GET", "/", "", "").await.1.ends_with("newer"));
            // And then it is left alone, as every= is 0.
            sleep(Duration::from_secs(1000)).await;
            assert_eq!(heard.borrow().len(), 5);
        });
    }
}

#[test]
fn the_server_is_asked_again_however_many_changes_come() {
    let (old, newer) = (site("old").0, site("newer").0);
    let same = std::vec![has(&old, MAIN)];
    let then = std::vec![has(&newer, MAIN)];
    // Each is answered by a question; they come more often than it is asked.
    let answers = std::vec![
        read("old"),
        same.clone(),
        same.clone(),
        same.clone(),
        read("newer"),
        then.clone(),
        then,
    ];
    beside(Args { every: 10, ..writing() }, answers, async |there, heard| {
        for _ in 0..5 {
            ask(&there, "DELETE", "/nothing", TOKEN, "").await;
            sleep(Duration::from_secs(2)).await;
        }
        let heard = heard.borrow();
        let read =
            heard.iter().position(|it| it.contains("git-upload-pack") && it.contains("want"));
        let later = heard.iter().skip(1).position(|it| it.contains("git-upload-pack"));
        assert!(read == Some(0) && later.is_some_and(|at| at < 5), "{later:?}: {heard:?}");
    });
}

#[test]
fn a_tag_of_what_was_read_is_asked_for_by_writers() {
    let id = site("old").0;
    let answers = std::vec![read("old"), pushed(&id, OK)];
    beside(writing(), answers, async |there, _| {
        let answer = ask(&there, "GET", "/index.html", "", "").await.1;
        let condition = format!("{TOKEN}If-Match: {}\r\n", field(&answer, "ETag"));
        assert_eq!(ask(&there, "PUT", "/index.html", &condition, "new").await.0, 204);
        assert!(ask(&there, "GET", "/", "", "").await.1.ends_with("new"));
        // Of the same length, but another one.
        assert_eq!(ask(&there, "PUT", "/index.html", &condition, "too").await.0, 412);
        let other = format!("{TOKEN}If-None-Match: *\r\n");
        assert_eq!(ask(&there, "PUT", "/index.html", &other, "too").await.0, 412);
    });
}

#[test]
fn two_who_write_at_once_are_served_one_after_the_other() {
    let id = site("old").0;
    // The server is not told what comes second before it has answered what comes first; it has then
    // another id, which is none that is known here.
    let answers = std::vec![read("old"), pushed(&id, OK), std::vec![has(&id, MAIN)], read("old")];
    beside(writing(), answers, async |there, heard| {
        let (one, other) =
            join(ask(&there, "PUT", "/one", TOKEN, "1"), ask(&there, "PUT", "/other", TOKEN, "2"))
                .await;
        assert_eq!([one.0, other.0], [201, 409], "{other:?}");
        let heard = heard.borrow();
        let (_, first) = command(&heard[1]);
        assert!(!heard[2].contains("report-status") && heard.len() == 4, "{first}: {heard:?}");
    });
}

#[test]
fn four_who_write_at_once_are_served_one_after_the_other() {
    let id = site("old").0;
    // Each second one finds what is none that is known here, and has the old one read.
    let moved = [std::vec![has(&id, MAIN)], read("old")];
    let one = [std::vec![pushed(&id, OK)], moved.to_vec()].concat();
    let answers = [std::vec![read("old")], one.clone(), one].concat();
    beside(writing(), answers, async |there, heard| {
        let put = async |path: &str| ask(&there, "PUT", path, TOKEN, "1").await.0;
        let (one, other) = join(join(put("/1"), put("/2")), join(put("/3"), put("/4"))).await;
        let mut told = [one.0, one.1, other.0, other.1];
        told.sort_unstable();
        assert_eq!((told, heard.borrow().len()), ([201, 201, 409, 409], 7));
    });
}

#[test]
fn who_reads_slowly_holds_nobody_up_who_writes() {
    let big = "x".repeat(400_000);
    let id = site(&big).0;
    let moved = std::vec![std::vec![has(&id, MAIN)], read(&big)];
    let answers = [std::vec![read(&big), pushed(&id, OK)], moved].concat();
    beside(writing(), answers, async |there, heard| {
        let mut slow = to_app(&there).await;
        slow.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(ask(&there, "PUT", "/index.html", TOKEN, "1").await.0, 204);
        // It goes to the server, which has none of what is pushed here.
        assert_eq!(ask(&there, "PUT", "/index.html", TOKEN, "2").await.0, 409);
        assert_eq!(heard.borrow().len(), 4);
        slow.abort();
    });
}

#[test]
fn who_writes_waits_for_a_client_that_is_sent_the_commit_before_for_a_while() {
    let big = "x".repeat(600_000);
    let id = site(&big).0;
    let answers = std::vec![read(&big), pushed(&id, OK)];
    beside(writing(), answers, async |there, heard| {
        // Together they are more than one commit may be.
        let new = "y".repeat(500_000);
        let mut slow = to_app(&there).await;
        slow.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(ask(&there, "PUT", "/index.html", TOKEN, &new).await.0, 204);
        let (status, answer) = ask(&there, "PUT", "/index.html", TOKEN, "2").await;
        assert!(status == 503 && answer.contains("\r\nRetry-After: "), "{answer}");
        assert_eq!(heard.borrow().len(), 2);
        slow.abort();
    });
}
