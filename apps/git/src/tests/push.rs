//! What servers say to a push.

use super::app::{Answers, Heard, http_of, serve, stack};
use super::edit::edit;
use super::written::lines;
use super::*;
use crate::remote::give;
use crate::send::Push;
use crate::{Draft, Failure, Place};
use core::cell::Cell;
use xenith::http::Status;
use xenith::net::cable::{Options, cable};

const MAIN: &str = "refs/heads/main";

/// What a server has that takes pushes: this branch.
pub(super) fn has(id: &str, name: &str) -> Vec<u8> {
    let first = format!("{id} {name}\0report-status delete-refs side-band-64k agent=git/2.47.3\n");
    let other = format!("{} refs/heads/other\n", "2".repeat(40));
    lines(&[first.as_bytes(), other.as_bytes()], b"0000")
}

fn draft() -> Draft {
    let before = told(ANSWER, &wanted("v1-again")).unwrap();
    let changes = [("new", Some(&b"1\n"[..]))];
    edit(&before, &changes, Limits::default()).unwrap().unwrap()
}

fn push() -> Push {
    Push::new(MAIN, &draft()).unwrap()
}

type Given = Result<Result<Option<Id>, String>, Error<Infallible>>;

/// What becomes of a push to a server that says this, whether it may have been done, and what that
/// hears.
fn give_to(says: &[u8], push: &Push) -> (Given, bool, Vec<u8>) {
    let mut script = Script { says, piece: 7, heard: Vec::new() };
    let sent = Cell::new(false);
    let wanted = wanted(MAIN);
    let told = give(&mut script, "lab", "/r", MAIN, &wanted, Some((push, &sent)));
    let told = block_on(told);
    (told, sent.get(), script.heard)
}

const HELLO: &[u8] = b"0021git-receive-pack /r\0host=lab\0";

#[test]
fn a_branch_is_changed_from_what_it_was_read_as() {
    let push = push();
    let done = lines(&[b"unpack ok\n", b"ok refs/heads/main\n"], b"0000");
    let says = [has(COMMIT, MAIN), done].concat();
    let (told, sent, heard) = give_to(&says, &push);
    assert_eq!((told, sent), (Ok(Ok(Some(push.new))), true));
    let command = format!("{COMMIT} {} {MAIN}\0 report-status", push.new);
    let asked =
        [HELLO, &lines(&[command.as_bytes()], b"0000"), b"PACK\0\0\0\x02\0\0\0\x03"].concat();
    assert!(heard.starts_with(&asked), "{}", heard.escape_ascii());
    assert_eq!(heard, [HELLO, &push.request].concat());
}

#[test]
fn nothing_is_sent_to_a_branch_that_has_moved() {
    let push = push();
    let other = "1".repeat(40);
    let none = lines(
        &[format!("{} capabilities^{{}}\0report-status", "0".repeat(40)).as_bytes()],
        b"0000",
    );
    let tagged = has(COMMIT, "refs/tags/main");
    let shallow = lines(
        &[
            format!("{COMMIT} refs/heads/mainly\0report-status object-format=sha1").as_bytes(),
            format!("{COMMIT} .have").as_bytes(),
            format!("shallow {COMMIT}").as_bytes(),
        ],
        b"0000",
    );
    let moved = Id::parse(other.as_bytes());
    let cases = [(has(&other, MAIN), moved), (none, None), (tagged, None), (shallow, None)];
    for (says, tip) in cases {
        let (told, sent, heard) = give_to(&says, &push);
        assert_eq!((told, sent), (Ok(Ok(tip)), false), "{}", says.escape_ascii());
        assert_eq!(heard, [HELLO, b"0000"].concat());
    }
}

#[test]
fn what_a_server_says_to_a_push_is_judged() {
    let push = push();
    let offers = |words: &str| lines(&[format!("{COMMIT} {MAIN}\0{words}").as_bytes()], b"0000");
    let reports = |texts: &[&[u8]], end: &[u8]| [has(COMMIT, MAIN), lines(texts, end)].concat();
    let refused = |why: &str| Ok(Err(why.into()));
    let malformed = |what| Err(Error::Malformed(what));
    let report = "report on a push";
    // What it says, what becomes of it, and whether it may have been done.
    let cases = [
        (b"0000".to_vec(), malformed("list of refs"), false),
        (b"".to_vec(), Err(Error::Ended), false),
        (
            lines(&[b"ERR service not enabled: /r"], b""),
            Err(Error::Server("service not enabled: /r".into())),
            false,
        ),
        (
            lines(&[b"unpack ok"], b"0000"),
            Err(Error::Lacks("to tell what became of a push (report-status)")),
            false,
        ),
        (
            offers("delete-refs report-status-v2"),
            Err(Error::Lacks("to tell what became of a push (report-status)")),
            false,
        ),
        (offers("report-status object-format=sha256"), Err(Error::Format), false),
        (lines(&[b"x\0report-status"], b"0000"), malformed("ref"), false),
        (lines(&[format!("{COMMIT}\0report-status").as_bytes()], b"0000"), malformed("ref"), false),
        (
            lines(&[format!("{COMMIT}x{MAIN}\0report-status").as_bytes()], b"0000"),
            malformed("ref"),
            false,
        ),
        (
            lines(&[b"# service=git-receive-pack\n", b"x"], b"0000"),
            malformed("list of services"),
            false,
        ),
        (offers("report-status"), Err(Error::Ended), true),
        (reports(&[], b"0000"), malformed(report), true),
        (reports(&[b"unpacked"], b"0000"), malformed(report), true),
        (reports(&[b"unpack ok"], b"0000"), malformed(report), true),
        (reports(&[b"unpack ok"], b""), Err(Error::Ended), true),
        (reports(&[b"unpack ok", b"ok refs/heads/main"], b""), Err(Error::Ended), true),
        (reports(&[b"unpack ok", b"ok refs/heads/other"], b"0000"), malformed(report), true),
        (reports(&[b"unpack ok", b"ok refs/heads/main2"], b"0000"), malformed(report), true),
        (reports(&[b"unpack ok", b"so"], b"0000"), malformed(report), true),
        (
            reports(&[b"unpack index-pack abnormal exit\n"], b"0000"),
            refused("index-pack abnormal exit"),
            true,
        ),
        (
            reports(&[b"unpack ok\n", b"ng refs/heads/main pre-receive hook declined\n"], b"0000"),
            refused("pre-receive hook declined"),
            true,
        ),
        (
            reports(
                &[b"unpack ok\n", &[b"ng refs/heads/main ", &[b'x'; 5000][..]].concat()],
                b"0000",
            ),
            refused(&"x".repeat(1000)),
            true,
        ),
    ];
    for (says, expected, sent) in cases {
        let (told, was_sent, _) = give_to(&says, &push);
        assert_eq!((told, was_sent), (expected, sent), "{}", says.escape_ascii());
    }
}

#[test]
fn a_list_of_refs_may_be_longer_than_one_that_was_asked_for_by_name() {
    let push = push();
    let first = format!("{COMMIT} {MAIN}\0report-status");
    let other = format!("{} refs/heads/other", "2".repeat(40));
    let many = |count| {
        let mut all = std::vec![first.as_bytes()];
        all.resize(count, other.as_bytes());
        lines(&all, b"0000")
    };
    let done = lines(&[b"unpack ok\n", b"ok refs/heads/main\n"], b"0000");
    let (told, ..) = give_to(&[many(20_000), done].concat(), &push);
    assert_eq!(told, Ok(Ok(Some(push.new))));
    // But it is bounded.
    let (told, sent, _) = give_to(&many(200_000), &push);
    assert_eq!((told, sent), (Err(Error::TooLong), false));
}

/// What becomes of a push to a server at this place with these answers, and what that hears.
fn push_to(url: &str, answers: Answers) -> (Result<Snapshot, Failure>, Vec<String>) {
    xenith::testing::simulate_time();
    block_on(async {
        let (one, other) = cable(Options::default());
        let (here, there) = (stack(one, 1), stack(other, 2));
        let port = if url.starts_with("git:") { 9418 } else { 80 };
        let heard: Heard = serve(&there, port, answers);
        let place = Place::parse(url).unwrap();
        let wanted = Wanted { patience: Duration::from_secs(10), ..wanted(MAIN) };
        let told = crate::push(&here, &place, MAIN, &wanted, draft()).await;
        let heard = heard.borrow().clone();
        (told, heard)
    })
}

#[test]
fn what_became_of_a_push_is_asked_for_where_the_server_has_not_said_so() {
    let (old, new) = (has(COMMIT, MAIN), has(&format!("{}", draft().id()), MAIN));
    let other = has(&"1".repeat(40), MAIN);
    // The connection ends before the report, or in it.
    for cut in [&b""[..], b"000eunpack ok\n0019ok ref", b"0000"] {
        let first = std::vec![old.clone(), cut.to_vec()];
        let then = |says: &Vec<u8>| {
            let answers = std::vec![first.clone(), std::vec![says.clone()]];
            push_to("git://10.0.0.2/r", answers)
        };
        if cut.is_empty() {
            // Silence, after which there is nobody to ask.
            let told = then(&new).0;
            assert!(matches!(&told, Err(Failure::Unknown(why)) if why.is_late()), "{told:?}");
            continue;
        }
        let (told, heard) = then(&new);
        assert_eq!(told.unwrap().commit().id, draft().id());
        // It was asked, and told nothing.
        assert!(
            heard[0].contains("PACK") && heard[1].ends_with("host=10.0.0.2\x000000"),
            "{heard:?}"
        );
        // It may be done yet, or was, and others have pushed since.
        for tip in [&other, &old] {
            let Err(Failure::Unknown(why)) = then(tip).0 else { panic!("{tip:?}") };
            assert!(matches!(*why, Failure::Git(Error::Ended | Error::Malformed(_))), "{why:?}");
        }
    }
}

#[test]
fn a_server_may_think_about_a_push_for_longer_than_it_may_be_silent() {
    // The patience is 10 s, and the time 30 s.
    let report = lines(&[b"unpack ok\n", b"ok refs/heads/main\n"], b"0000");
    for (seconds, done) in [(20, true), (40, false)] {
        let late = [&[0, seconds], &report[..]].concat();
        let answers = std::vec![std::vec![has(COMMIT, MAIN), late]];
        let told = push_to("git://10.0.0.2/r", answers).0;
        assert_eq!(told.is_ok(), done, "{told:?}");
        let http = |kind: &str, text: &[u8]| http_of(&format!("git-receive-pack-{kind}"), text);
        let first = [b"001f# service=git-receive-pack\n0000", &has(COMMIT, MAIN)[..]].concat();
        let late = [&[0, seconds], &http("result", &report)[..]].concat();
        let answers = std::vec![std::vec![http("advertisement", &first)], std::vec![late]];
        let told = push_to("http://10.0.0.2/r", answers).0;
        assert_eq!(told.is_ok(), done, "{told:?}");
        if !done {
            assert!(matches!(&told, Err(Failure::Unknown(why)) if why.is_late()), "{told:?}");
        }
    }
    // But before it is sent one, that is another matter.
    let silent = std::vec![std::vec![[&[0, 20], &has(COMMIT, MAIN)[..]].concat()]];
    let told = push_to("git://10.0.0.2/r", silent).0;
    assert!(
        matches!(&told, Err(failure) if failure.is_late() && !matches!(failure, Failure::Unknown(_)))
    );
}

#[test]
fn a_push_goes_over_http_as_git_has_it() {
    let url = "http://me:secret@10.0.0.2/r";
    let answer = |kind: &str, text: &[u8]| http_of(&format!("git-receive-pack-{kind}"), text);
    let offer = |id: &str| {
        let first = [b"001f# service=git-receive-pack\n0000", &has(id, MAIN)[..]].concat();
        answer("advertisement", &first)
    };
    let report = |texts: &[&[u8]]| answer("result", &lines(texts, b"0000"));
    let connections =
        |all: &[Vec<u8>]| -> Answers { all.iter().map(|it| std::vec![it.clone()]).collect() };
    let done = report(&[b"unpack ok\n", b"ok refs/heads/main\n"]);
    let (told, heard) = push_to(url, connections(&[offer(COMMIT), done]));
    assert_eq!(told.unwrap().commit().id, draft().id());
    assert!(heard[0].starts_with("GET /r/info/refs?service=git-receive-pack HTTP/1.1\r\n"));
    assert!(heard[1].starts_with("POST /r/git-receive-pack HTTP/1.1\r\n"), "{heard:?}");
    assert!(heard[1].contains("\r\nContent-Type: application/x-git-receive-pack-request\r\n"));
    assert!(heard[1].contains(&format!("\r\n\r\n0074{COMMIT} {} {MAIN}\0", draft().id())));
    for text in &heard {
        assert!(text.contains("\r\nAuthorization: Basic bWU6c2VjcmV0\r\n"), "{text}");
        assert!(!text.contains("Git-Protocol"), "{text}");
    }
    // One that is no longer what it was is asked for nothing.
    let (told, heard) = push_to(url, connections(&[offer(&"1".repeat(40))]));
    assert!(matches!(told, Err(Failure::Moved)) && heard.len() == 1);
    // Who may not push is told so by a status, or as a report.
    let status = |line: &str| format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").into_bytes();
    for code in ["401 Unauthorized", "403 Forbidden", "404 Not Found"] {
        let (told, _) = push_to(url, connections(&[status(code)]));
        let told = told.unwrap_err();
        assert_eq!(format!("{told}"), format!("the server answers with {code}"));
        let asked = [offer(COMMIT), status(code), offer(COMMIT)];
        let (told, heard) = push_to(url, connections(&asked));
        assert!(matches!(told, Err(Failure::Status(Status(400..500)))) && heard.len() == 3);
    }
    // Of others, and of those who stand between, it is not known.
    for code in ["408 Request Timeout", "500 Internal Server Error", "504 Gateway Timeout"] {
        let asked = [offer(COMMIT), status(code), offer(COMMIT)];
        let (told, heard) = push_to(url, connections(&asked));
        let told = told.unwrap_err();
        assert!(matches!(&told, Failure::Unknown(_)) && heard.len() == 3, "{told}");
        let expected = "it is not known whether the change was made: the server answers with ";
        assert_eq!(format!("{told}"), format!("{expected}{code}"));
    }
    let declined =
        report(&[b"unpack ok\n", b"ng refs/heads/main protected branch hook declined\n"]);
    let (told, _) = push_to(url, connections(&[offer(COMMIT), declined, offer(COMMIT)]));
    let text = "the server refuses the push: protected branch hook declined";
    assert_eq!(format!("{}", told.unwrap_err()), text);
    let (told, _) = push_to(url, connections(&[http_of("git-upload-pack-advertisement", b"0000")]));
    assert!(matches!(told, Err(Failure::NotGit)));
}
