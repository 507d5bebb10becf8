//! Commits that follow one that was read.

use super::packs::{commit, entry, judge};
use super::written::{around, whole};
use super::*;
use crate::send::pack;
use crate::{Author, Change, Draft, Unfit};

/// Paths, and what they are to hold.
pub(super) type Changes<'a> = &'a [(&'a str, Option<&'a [u8]>)];

const TIME: u64 = 1_800_000_000;

fn author() -> Author {
    Author::parse("Jane Doe <jane@lab>").unwrap()
}

pub(super) fn edit(
    snapshot: &Snapshot,
    changes: Changes<'_>,
    limits: Limits,
) -> Result<Option<Draft>, Unfit> {
    let changes: Vec<Change<'_>> = changes
        .iter()
        .map(|(path, content)| Change { path: path.as_bytes(), content: *content })
        .collect();
    block_on(snapshot.edit(&changes, (&author(), TIME), "Change it\n\nText\n", limits))
}

/// What is different by these changes, as lines that go and that come.
fn difference(changes: Changes<'_>) -> Result<Vec<String>, Unfit> {
    let before = told(ANSWER, &wanted("v1-again")).unwrap();
    let Some(draft) = edit(&before, changes, Limits::default())? else { return Ok(Vec::new()) };
    let (old, new) = (listed(&before), listed(&draft.next));
    let lacks = |text: &str, line: &str| !text.lines().any(|it| it == line);
    let gone = old.lines().filter(|line| lacks(&new, line)).map(|line| format!("-{line}"));
    let came = new.lines().filter(|line| lacks(&old, line)).map(|line| format!("+{line}"));
    Ok(gone.chain(came).collect())
}

#[test]
fn a_commit_holds_what_was_changed_and_all_else() {
    let one = "d00491fd7e5bb6fa28c517a0bb32b8b506539d4d";
    let css = "f87383677e72159cd32dc27cf9e11e40b7716734";
    let run = "1a2485251c33a70432394c93fb89330ef214bfc9";
    let empty = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
    let out = "b286bc30c00b72e7d8ca18514bbd11251021661d";
    let put = Some(&b"1\n"[..]);
    let cases: &[(Changes<'_>, &[String])] = &[
        (&[("new", put)], &[format!("+100644 blob {one}\tnew")]),
        (&[("a/b/c/d", put)], &[format!("+100644 blob {one}\ta/b/c/d")]),
        (&[("deep/er/a", put)], &[format!("+100644 blob {one}\tdeep/er/a")]),
        (
            &[("css/style.css", put)],
            &[
                format!("-100644 blob {css}\tcss/style.css"),
                format!("+100644 blob {one}\tcss/style.css"),
            ],
        ),
        // A program stays one.
        (
            &[("run", put)],
            &[format!("-100755 blob {run}\trun"), format!("+100755 blob {one}\trun")],
        ),
        (&[("run", None)], &[format!("-100755 blob {run}\trun")]),
        // A folder without a file goes, and may be a file then.
        (&[("css/style.css", None)], &[format!("-100644 blob {css}\tcss/style.css")]),
        (
            &[("css/style.css", None), ("css", put)],
            &[format!("-100644 blob {css}\tcss/style.css"), format!("+100644 blob {one}\tcss")],
        ),
        (
            &[("empty", None), ("empty/one", put)],
            &[format!("-100644 blob {empty}\tempty"), format!("+100644 blob {one}\tempty/one")],
        ),
        (
            &[("deep/er/numbers", None)],
            &["-100644 blob 2dded19b666a810578b6604cc2cfbb43dce69b90\tdeep/er/numbers".into()],
        ),
        // Nothing is other than it was.
        (&[("css/style.css", Some(b"h1{}\n"))], &[]),
        (&[("new", put), ("new", None)], &[]),
        (&[("a/b", put), ("a/b", None)], &[]),
        (&[], &[]),
    ];
    for (changes, expected) in cases {
        assert_eq!(difference(changes).unwrap(), *expected, "{changes:?}");
    }
    assert!(LISTED.contains(out));
}

#[test]
fn what_cannot_be_changed_is_told() {
    let put = Some(&b"1\n"[..]);
    let cases = [
        ("link", put, Unfit::IsLink),
        ("link", None, Unfit::IsLink),
        ("round/er/numbers", put, Unfit::NotFolder),
        ("module", put, Unfit::IsModule),
        ("module/x", put, Unfit::NotFolder),
        ("css", put, Unfit::IsFolder),
        ("css", None, Unfit::IsFolder),
        ("index.html/x", put, Unfit::NotFolder),
        ("index.html/x", None, Unfit::NotFolder),
        ("nothing", None, Unfit::NotFound),
        ("nothing/at/all", None, Unfit::NotFound),
        ("deep/nothing", None, Unfit::NotFound),
        ("", put, Unfit::Path),
        ("/new", put, Unfit::Path),
        ("new/", put, Unfit::Path),
        ("a//b", put, Unfit::Path),
        ("a/../b", put, Unfit::Path),
        (".", put, Unfit::Path),
        (".git/hooks/post-update", put, Unfit::Path),
        ("a/.Git/b", put, Unfit::Path),
        ("a\0b", put, Unfit::Path),
    ];
    for (path, content, expected) in cases {
        assert_eq!(difference(&[("fine", put), (path, content)]), Err(expected), "{path}");
    }
    let path = "a/".repeat(2047) + "ab";
    assert!(difference(&[(&path, put)]).is_err());
}

#[test]
fn entries_stand_in_the_order_of_git() {
    let mut paths = ["a.b", "a/x", "a0", "a", "a-", "b/y", "Z", "\u{e9}", "b.", "b0/z"].to_vec();
    let (id, empty) = (Id::of(Kind::Commit, &commit(b"")), commit(b""));
    let start = [whole(Kind::Commit, &empty), whole(Kind::Tree, b"")];
    for _ in 0..paths.len() {
        paths.rotate_left(1);
        let mut snapshot = judge(id, &written::pack(&start), Limits::default()).unwrap();
        // One commit after the other, of which each is checked as what is read is.
        let fits = |path: &&&str| **path != "a" && **path != "b";
        for path in paths.iter().filter(fits) {
            let draft = edit(&snapshot, &[(path, Some(path.as_bytes()))], Limits::default());
            snapshot = draft.unwrap().unwrap().next;
        }
        for path in paths.iter().filter(fits) {
            assert_eq!(content(&snapshot, path).unwrap(), path.as_bytes());
        }
        for path in paths.iter().filter(fits) {
            let draft = edit(&snapshot, &[(path, None)], Limits::default());
            snapshot = draft.unwrap().unwrap().next;
        }
        assert_eq!((listed(&snapshot).as_str(), snapshot.size()), ("", (0, 0)));
        // Nothing of what is gone is kept.
        assert_eq!(snapshot.objects().len(), 1);
    }
}

#[test]
fn a_pack_has_what_the_commit_before_has_not() {
    let before = told(ANSWER, &wanted("v1-again")).unwrap();
    let noise: Vec<u8> = (0..200_000_u32).map(|it| ((it * 7919) >> 5) as u8).collect();
    let sizes = [0, 15, 16, 2047, 2048, 65_535, 65_536, 131_070, 200_000];
    for size in sizes {
        let changes = [("deep/er/new", Some(&noise[..size])), ("index.html", Some(b"h1{}\n"))];
        let draft = edit(&before, &changes, Limits::default()).unwrap().unwrap();
        let kinds: Vec<Kind> = draft.objects().map(|object| object.kind).collect();
        // The commit, three folders, and the file unless it is one that there was already; the
        // other one is the content of one that there is.
        let files = kinds.iter().filter(|&&kind| kind == Kind::Blob).count();
        let trees = kinds.iter().filter(|&&kind| kind == Kind::Tree).count();
        assert_eq!((kinds[0], files, trees), (Kind::Commit, usize::from(size > 0), 3), "{size}");
        let id = draft.id();
        assert_eq!(draft.objects().next().unwrap().id, id);
        // With all else, it is a repository that is read.
        let mut made = Vec::new();
        let all = draft.next.objects().iter().chain(draft.objects().take(1));
        pack(&mut made, all).unwrap();
        let again = told(&around(id, "HEAD", &made), &wanted("HEAD")).unwrap();
        assert_eq!(listed(&again), listed(&draft.next));
        assert_eq!(content(&again, "deep/er/new").unwrap(), &noise[..size]);
        assert_eq!((again.commit().time, &*again.commit().subject), (TIME, "Change it"));
    }
}

#[test]
fn a_commit_says_what_it_follows_who_made_it_and_when() {
    let before = told(ANSWER, &wanted("v1-again")).unwrap();
    let change = [Change { path: b"new", content: Some(b"1\n") }];
    let who = author();
    let draft = before.edit(&change, (&who, TIME), "One\0\n\nmore\n\n", Limits::default());
    let draft = block_on(draft).unwrap().unwrap();
    let text = String::from_utf8(draft.objects().next().unwrap().data.to_vec()).unwrap();
    let tree = draft.next.commit().tree;
    let expected = format!(
        "tree {tree}\nparent {COMMIT}\nauthor Jane Doe <jane@lab> {TIME} +0000\n\
         committer Jane Doe <jane@lab> {TIME} +0000\n\nOne\n\nmore\n"
    );
    assert_eq!(text, expected);
}

#[test]
fn who_makes_commits_has_a_name_and_an_address() {
    for (text, good) in [
        ("A <a@b>", true),
        ("J. R. M\u{fc}ller <j@example.org>", true),
        ("Xenith <xenith@localhost>", true),
        ("", false),
        ("A", false),
        ("<a@b>", false),
        (" <a@b>", false),
        ("A<a@b>", false),
        ("A <>", false),
        ("A <a@b> ", false),
        ("A <a b>", false),
        ("A <a@b> 1 +0000\ncommitter B <b@c>", false),
        ("A\nB <a@b>", false),
        ("A <B> <a@b>", false),
        ("A <<a@b>", false),
        ("A <a@b>>", false),
        ("A\0 <a@b>", false),
        (" A <a@b>", false),
        (&format!("{} <a@b>", "a".repeat(250)), false),
    ] {
        assert_eq!(Author::parse(text).is_some(), good, "{text:?}");
    }
}

#[test]
fn a_commit_is_within_the_limits_of_what_is_read() {
    let (blob, id) = (whole(Kind::Blob, b"old"), Id::of(Kind::Blob, b"old"));
    let tree = entry("100644", "a", id);
    let text = commit(&tree);
    let all = [whole(Kind::Commit, &text), whole(Kind::Tree, &tree), blob];
    let limits = Limits { bytes: 2000, objects: 5, ..Limits::default() };
    let before = judge(Id::of(Kind::Commit, &text), &written::pack(&all), limits).unwrap();
    let put = |changes: Changes<'_>| edit(&before, changes, limits).map(|it| it.is_some());
    assert_eq!(put(&[("b", Some(&[7; 1000]))]), Ok(true));
    let bytes = Err(Unfit::Flaw(Flaw::Bytes(2000)));
    // Alone, and with what there is.
    assert_eq!(put(&[("b", Some(&[7; 2001]))]), bytes);
    assert_eq!(put(&[("b", Some(&[7; 1900]))]), bytes);
    assert_eq!(put(&[("a", Some(&[7; 1000])), ("b", Some(&[7; 1001]))]), bytes);
    let put_many: Vec<(&str, Option<&[u8]>)> =
        ["b", "c", "d", "e"].map(|name| (name, Some(name.as_bytes()))).to_vec();
    assert_eq!(put(&put_many[..2]), Ok(true));
    assert_eq!(put(&put_many[..3]), Err(Unfit::Flaw(Flaw::Objects(5))));
    // The same content at many places is one object, but as many entries.
    let same: Vec<(&str, Option<&[u8]>)> =
        ["b", "c", "d", "e", "f"].map(|name| (name, Some(&b"x"[..]))).to_vec();
    assert_eq!(put(&same[..4]), Ok(true));
    assert_eq!(put(&same), Err(Unfit::Flaw(Flaw::Entries(5))));
}
