//! What servers say around a pack.

use super::written::{lines, offer};
use super::*;
use crate::Place;

#[test]
fn an_answer_of_git_is_read() {
    for piece in [1, 3, 4096] {
        let mut script = Script { says: ANSWER, piece, heard: Vec::new() };
        let told = block_on(talk(&mut script, "lab:1", "/r", &wanted("v1-again"), &mut None));
        let snapshot = told.unwrap().unwrap();
        assert_eq!(listed(&snapshot), LISTED);
        assert_eq!(format!("{}", snapshot.commit().id), COMMIT);
        assert_eq!(format!("{}", snapshot.named()), TAG);
        assert_eq!(snapshot.commit().subject, "Say hello");
        assert_eq!(snapshot.commit().time, 1_700_000_000);
        let numbers =
            |from: u32| (from..from + 400).map(|it| format!("{it}\n")).collect::<String>();
        assert_eq!(content(&snapshot, "numbers").unwrap(), numbers(1).as_bytes());
        // Above the root is the root.
        assert_eq!(content(&snapshot, "circle/er/numbers").unwrap(), numbers(0).as_bytes());
        assert_eq!(content(&snapshot, "deep/er/out"), Err(fs::Error::NotFound));
        assert_eq!(content(&snapshot, "round/er/numbers").unwrap(), numbers(0).as_bytes());
        let changed = numbers(1).replace("\n200\n", "\ntwo hundred\n");
        assert_eq!(content(&snapshot, "numbers.changed").unwrap(), changed.as_bytes());
        assert_eq!(content(&snapshot, "link").unwrap(), b"h1{}\n");
        assert_eq!(content(&snapshot, "module"), Err(fs::Error::NotFile));
        // Two answers are asked for, and then there is nothing more to ask.
        let heard = String::from_utf8(script.heard).unwrap();
        let expected = format!(
            "002dgit-upload-pack /r\0host=lab:1\0\0version=2\0\
             0014command=ls-refs\n0017object-format=sha1\n0001\
             0023ref-prefix refs/heads/v1-again\n0022ref-prefix refs/tags/v1-again\n0000\
             0012command=fetch\n0017object-format=sha1\n0001\
             000eofs-delta\n0010no-progress\n000ddeepen 1\n0032want {TAG}\n0009done\n00000000"
        );
        assert_eq!(heard, expected);
    }
}

#[test]
fn objects_may_be_cut_anywhere_by_lines() {
    let title = b"000dpackfile\n";
    let at = ANSWER.windows(title.len()).position(|it| it == title).unwrap() + title.len();
    let (before, mut rest) = ANSWER.split_at(at);
    let mut pack = Vec::new();
    while !rest.starts_with(b"0000") {
        let length = std::str::from_utf8(&rest[..4]).unwrap();
        let (line, after) = rest.split_at(usize::from_str_radix(length, 16).unwrap());
        pack.extend_from_slice(&line[5..]);
        rest = after;
    }
    for size in 1..40 {
        let pieces: Vec<Vec<u8>> = pack.chunks(size).map(|it| [&[1], it].concat()).collect();
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let says = [before, &lines(&pieces, b"0000")].concat();
        assert_eq!(listed(&told(&says, &wanted("v1-again")).unwrap()), LISTED, "{size}");
    }
}

#[test]
fn what_is_known_is_not_read_again() {
    let mut script = Script { says: ANSWER, piece: 100, heard: Vec::new() };
    let mut known = Id::parse(TAG.as_bytes());
    let told = block_on(talk(&mut script, "lab", "/r", &wanted("v1-again"), &mut known));
    assert!(told.unwrap().is_none());
    assert!(script.heard.ends_with(b"0000") && !script.heard.windows(5).any(|it| it == b"fetch"));
}

#[test]
fn an_answer_that_is_cut_is_an_error_wherever_that_is() {
    for end in 0..ANSWER.len() {
        let error = told(&ANSWER[..end], &wanted("v1-again")).map(|_| ()).unwrap_err();
        assert_eq!(error, Error::Ended, "{end}");
    }
}

#[test]
fn no_bit_of_a_pack_can_change() {
    let begin = ANSWER.windows(4).position(|it| it == b"PACK").unwrap();
    for at in begin..ANSWER.len() - 4 {
        let mut changed = ANSWER.to_vec();
        changed[at] ^= 1 << (at % 8);
        assert!(told(&changed, &wanted("v1-again")).is_err(), "{at}");
    }
}

#[test]
fn the_first_of_the_names_is_meant() {
    let id = |letter: &str| letter.repeat(40);
    let [one, two] = [id("1"), id("2")];
    let refs = [
        format!("{two} refs/tags/v1"),
        format!("{one} refs/heads/v1 symref-target:refs/heads/x"),
        format!("{two} refs/heads/v10"),
    ];
    let refs: Vec<&[u8]> = refs.iter().map(String::as_bytes).collect();
    let says = [offer(), lines(&refs, b"0000")].concat();
    let asks = |name: &str| {
        let mut script = Script { says: &says, piece: 100, heard: Vec::new() };
        let told = block_on(talk(&mut script, "lab", "/r", &wanted(name), &mut None)).map(|_| ());
        let heard = String::from_utf8(script.heard).unwrap();
        (told.unwrap_err(), heard.split_once("want ").map(|(_, rest)| String::from(&rest[..40])))
    };
    // There is no pack behind it.
    assert_eq!(asks("v1"), (Error::Ended, Some(one)));
    assert_eq!(asks("refs/tags/v1"), (Error::Ended, Some(two)));
    assert_eq!(asks("v"), (Error::NoSuchRef, None));
    assert_eq!(asks("HEAD"), (Error::NoSuchRef, None));
}

#[test]
fn what_makes_no_sense_is_told() {
    let id = "1".repeat(40);
    let head = format!("{id} HEAD\n");
    let refs = |line: &str| [offer(), lines(&[line.as_bytes()], b"0000")].concat();
    let then = |more: Vec<u8>| [refs(&head), more].concat();
    let banded = |text: &[u8]| then(lines(&[b"packfile\n", text], b"0000"));
    let offers = |texts: &[&[u8]]| lines(texts, b"0000");
    let malformed = Error::Malformed;
    let cases: Vec<(Vec<u8>, Error<Infallible>)> = std::vec![
        (b"HTTP/1.1 400".to_vec(), malformed("length of a line")),
        (b"0003".to_vec(), malformed("length of a line")),
        (b"+00a".to_vec(), malformed("length of a line")),
        (b"fff1".to_vec(), malformed("length of a line")),
        (b"0000".to_vec(), Error::Version),
        (b"0001".to_vec(), malformed("end of a message")),
        (offers(&[head.as_bytes()]), Error::Version),
        (offers(&[b"version 1\n"]), Error::Version),
        (
            lines(&[b"# service=git-upload-pack\n", b"version 2\n"], b""),
            malformed("list of services")
        ),
        (
            offers(&[b"ERR no such\x1b repository\n"]),
            Error::Server("no such\x1b repository".into())
        ),
        (offers(&[b"version 2", b"fetch=shallow"]), Error::Lacks("its list of branches (ls-refs)")),
        (
            offers(&[b"version 2", b"ls-refs", b"fetch=filter"]),
            Error::Lacks("the newest commit alone (fetch=shallow)"),
        ),
        (offers(&[b"version 2", b"object-format=sha256"]), Error::Format),
        (refs("0123 HEAD"), malformed("ref")),
        (refs(&id), malformed("ref")),
        (refs(&format!("{} HEAD", "A".repeat(40))), malformed("ref")),
        (refs(&format!("{id} refs/heads/HEAD")), Error::NoSuchRef),
        ([offer(), b"0000".to_vec()].concat(), Error::NoSuchRef),
        (then(b"0000".to_vec()), malformed("answer, which has no pack")),
        (then(lines(&[b"shallow-info\n"], b"0000")), malformed("answer, which has no pack")),
        (then(lines(&[b"packfile\n"], b"0000")), Error::Ended),
        (
            then(lines(&[b"ERR upload-pack: not our ref"], b"")),
            Error::Server("upload-pack: not our ref".into())
        ),
        (banded(b""), malformed("band")),
        (banded(b"\x04x"), malformed("band")),
        (banded(b"\x03out of memory\n"), Error::Server("out of memory".into())),
        (banded(b"\x02Counting objects"), Error::Ended),
        (banded(b"\x01PACK"), Error::Ended),
        (then(lines(&[b"packfile\n"], b"0002")), malformed("end of a message")),
    ];
    for (says, error) in cases {
        let result = told(&says, &wanted("HEAD")).map(|_| ());
        assert_eq!(result, Err(error), "{}", says.escape_ascii());
    }
}

#[test]
fn of_what_a_server_says_the_beginning_is_told() {
    let long = [&b"ERR "[..], &[b'x'; 60_000]].concat();
    let error = told(&lines(&[&long], b""), &wanted("HEAD")).map(|_| ()).unwrap_err();
    assert_eq!(error, Error::Server("x".repeat(1000)));
}

#[test]
fn a_server_is_told_no_sort_of_ids_that_it_does_not_offer() {
    // As git before 2.28, which ends for what it did not offer.
    let id = "1".repeat(40);
    let offer = lines(&[b"version 2\n", b"ls-refs\n", b"fetch=shallow\n"], b"0000");
    let says = [offer, lines(&[format!("{id} HEAD\n").as_bytes()], b"0000")].concat();
    let mut script = Script { says: &says, piece: 100, heard: Vec::new() };
    let told = block_on(talk(&mut script, "lab", "/r", &wanted("HEAD"), &mut None)).map(|_| ());
    assert_eq!(told, Err(Error::Ended));
    let heard = String::from_utf8(script.heard).unwrap();
    let (_, asked) = heard.split_once("version=2\0").unwrap();
    let expected = format!(
        "0014command=ls-refs\n00010014ref-prefix HEAD\n0000\
         0012command=fetch\n0001000eofs-delta\n0010no-progress\n000ddeepen 1\n0032want {id}\n0009done\n0000"
    );
    assert_eq!(asked, expected);
}

#[test]
fn lists_without_an_end_are_cut() {
    let line = format!("{} refs/heads/other\n", "1".repeat(40));
    let mut says = offer();
    says.extend(lines(&std::vec![line.as_bytes(); 200_000], b"0000"));
    assert_eq!(told(&says, &wanted("HEAD")).map(|_| ()), Err(Error::List));
    // What `limit=` says has no part in it.
    assert!(!format!("{}", Error::<Infallible>::List).contains("limit="));
    // Nor does a server that tells how far it got go on for ever.
    let mut says = offer();
    says.extend(lines(&[format!("{} HEAD", "1".repeat(40)).as_bytes()], b"0000"));
    let told_of = [&b"packfile\n"[..]].into_iter().chain([&b"\x02Counting"[..]].repeat(1_000_000));
    says.extend(lines(&told_of.collect::<Vec<_>>(), b"0000"));
    assert_eq!(told(&says, &wanted("HEAD")).map(|_| ()), Err(Error::TooLong));
}

#[test]
fn places_are_told_apart() {
    let git = |host: &str, port, path: &str| {
        Some(Place::Git { host: host.into(), port, path: path.into() })
    };
    let cases = [
        ("git://lab/site.git", git("lab", 9418, "/site.git")),
        ("git://10.0.0.1:99/a/b", git("10.0.0.1", 99, "/a/b")),
        ("git://[fd00::1]/a", git("fd00::1", 9418, "/a")),
        ("git://[fd00::1]:99/a", git("fd00::1", 99, "/a")),
        ("http://lab/site.git/", Some(Place::Http("http://lab/site.git".into()))),
        ("https://u:p@lab:8443/x", Some(Place::Http("https://u:p@lab:8443/x".into()))),
        ("git://lab", None),
        ("git://lab/", None),
        ("git:///x", None),
        ("git://lab:/x", None),
        ("git://lab:65536/x", None),
        ("git://user@lab/x", None),
        ("git://[fd00::1/x", None),
        ("git://[fd00::1]x/y", None),
        ("git://lab/a b", None),
        ("git://lab/a\nb", None),
        ("ssh://lab/x", None),
        ("lab:x", None),
        ("", None),
    ];
    for (url, place) in cases {
        assert_eq!(Place::parse(url), place, "{url}");
    }
    let told = |url| format!("{}", Place::parse(url).unwrap());
    assert_eq!(told("git://[fd00::1]:9418/a"), "git://[fd00::1]:9418/a");
    assert_eq!(told("git://lab:9418/a"), "git://lab/a");
    assert!(!told("https://u:secret@lab/x").contains("secret"));
}
