//! Folders of a snapshot, and paths in it.

use super::packs::{commit, entry, judge};
use super::written::{around, pack, whole};
use super::*;

/// Ten folders in each of which are ten, and so on, with this in the last of them.
fn nested(last: (&str, Id), object: Vec<u8>) -> (Id, Vec<u8>) {
    let mut objects = Vec::from([object]);
    let (mut mode, mut below) = last;
    for _ in 0..12 {
        let names = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        let tree: Vec<u8> = names.iter().flat_map(|name| entry(mode, name, below)).collect();
        (mode, below) = ("40000", Id::of(Kind::Tree, &tree));
        objects.push(whole(Kind::Tree, &tree));
    }
    let commit = format!("tree {below}\n\n").into_bytes();
    objects.push(whole(Kind::Commit, &commit));
    (Id::of(Kind::Commit, &commit), pack(&objects))
}

/// What a server says of which the tag `v1-again` is any number of folders, and no file.
pub(super) fn folders_alone() -> Vec<u8> {
    let (id, pack) = nested(("40000", Id::of(Kind::Tree, b"")), whole(Kind::Tree, b""));
    around(id, "refs/tags/v1-again", &pack)
}

#[test]
fn few_objects_that_are_many_files_do_no_harm() {
    // 10^12 files.
    let (id, pack) = nested(("100644", Id::of(Kind::Blob, b"x")), whole(Kind::Blob, b"x"));
    let snapshot = judge(id, &pack, Limits::default()).unwrap();
    assert_eq!(content(&snapshot, "9/8/7/6/5/4/3/2/1/0/1/2").unwrap(), b"x");
    let lines = listed_up_to(&snapshot, 1000);
    assert_eq!(lines.last(), Some(&Err(Flaw::Entries(1000))));
    // One folder for ten files, one for ten of those, and so on up to the root.
    assert_eq!(lines.iter().filter(|line| line.is_ok()).count(), 1000 - 90 - 9 - 9);
    assert_eq!(snapshot.size(), (1, 1));
}

#[test]
fn folders_without_files_are_listed_to_an_end() {
    let says = folders_alone();
    let snapshot = told(&says, &wanted("v1-again")).unwrap();
    assert_eq!(listed_up_to(&snapshot, 30_000), [Err(Flaw::Entries(30_000))]);
    // Others have their turn meanwhile.
    let polls = polls(async {
        let _ = snapshot.lines(30_000).next().await;
    });
    assert!(polls > 100, "{polls}");
}

/// How often a future that always goes on by itself has to be asked.
fn polls(future: impl Future<Output = ()>) -> usize {
    let mut future = core::pin::pin!(future);
    let mut context = core::task::Context::from_waker(core::task::Waker::noop());
    let mut polls = 1;
    while future.as_mut().poll(&mut context).is_pending() {
        polls += 1;
    }
    polls
}

#[test]
fn a_path_of_many_names_is_not_followed_to_its_end() {
    // Each link is up and down 1000 times, and then the next one.
    let targets: Vec<String> =
        (1..=5).map(|next| format!("{}{next}", "f/../".repeat(800))).collect();
    let empty = Id::of(Kind::Tree, b"");
    let mut tree: Vec<u8> = (0_usize..)
        .zip(&targets)
        .flat_map(|(at, target)| {
            entry("120000", &format!("{at}"), Id::of(Kind::Blob, target.as_bytes()))
        })
        .collect();
    let long = format!("{}f", "./".repeat(2048));
    let file = Id::of(Kind::Blob, b"x");
    tree.extend(entry("100644", "5", file));
    tree.extend(entry("40000", "f", empty));
    tree.extend(entry("120000", "long", Id::of(Kind::Blob, long.as_bytes())));
    let commit = commit(&tree);
    let mut objects =
        Vec::from([whole(Kind::Commit, &commit), whole(Kind::Tree, &tree), whole(Kind::Tree, b"")]);
    objects.push(whole(Kind::Blob, b"x"));
    objects.push(whole(Kind::Blob, long.as_bytes()));
    objects.extend(targets.iter().map(|target| whole(Kind::Blob, target.as_bytes())));
    let id = Id::of(Kind::Commit, &commit);
    let snapshot = judge(id, &pack(&objects), Limits::default()).unwrap();
    assert_eq!(content(&snapshot, "3").as_deref(), Ok(&b"x"[..]));
    // 1 + 3 * 1601 names, and a target of 4097 bytes.
    assert_eq!(content(&snapshot, "2"), Err(fs::Error::NotFound));
    assert_eq!(content(&snapshot, "long"), Err(fs::Error::NotFound));
    let polls = polls(async {
        let _ = snapshot.lookup(b"3").await;
    });
    assert!(polls > 40, "{polls}");
}

#[test]
fn names_are_found_and_listed_in_their_own_order() {
    let blob = Id::of(Kind::Blob, b"x");
    let empty = Id::of(Kind::Tree, b"");
    // A folder is in a tree as if a slash followed.
    let names = ["a-b", "a", "a0", "b"];
    let tree = [
        entry("100644", names[0], blob),
        entry("40000", names[1], empty),
        entry("100644", names[2], blob),
        entry("160000", names[3], Id([9; 20])),
    ]
    .concat();
    let commit = commit(&tree);
    let objects = [
        whole(Kind::Commit, &commit),
        whole(Kind::Tree, &tree),
        whole(Kind::Tree, b""),
        whole(Kind::Blob, b"x"),
    ];
    let id = Id::of(Kind::Commit, &commit);
    let snapshot = judge(id, &pack(&objects), Limits::default()).unwrap();
    block_on(async {
        let root = snapshot.lookup(b"").await.unwrap();
        for name in names {
            assert!(snapshot.lookup(name.as_bytes()).await.is_ok(), "{name}");
        }
        for name in ["a-", "A", "aa", "a.b", "c"] {
            assert_eq!(snapshot.lookup(name.as_bytes()).await.err(), Some(fs::Error::NotFound));
        }
        for (after, expected) in [
            ("", &["a", "a-b", "a0"][..]),
            ("a", &["a-b", "a0", "b"]),
            ("a.", &["a0", "b"]),
            ("b", &[]),
        ] {
            let mut found = Vec::new();
            let mut each = |name: &[u8], _| {
                found.push(String::from_utf8(name.into()).unwrap());
                found.len() < 3
            };
            snapshot.list_after(&root, after.as_bytes(), &mut each).await.unwrap();
            assert_eq!(found, expected, "{after}");
        }
        let file = snapshot.lookup(b"a0").await.unwrap();
        let listed = snapshot.list_after(&file, b"", &mut |_, _| true).await;
        assert_eq!(listed, Err(fs::Error::NotFolder));
    });
}

#[test]
fn a_path_without_an_end_is_not_listed() {
    let name = "n".repeat(200);
    let mut objects = Vec::from([whole(Kind::Blob, b"x")]);
    let (mut mode, mut below) = ("100644", Id::of(Kind::Blob, b"x"));
    for _ in 0..30 {
        let tree = entry(mode, &name, below);
        (mode, below) = ("40000", Id::of(Kind::Tree, &tree));
        objects.push(whole(Kind::Tree, &tree));
    }
    let commit = format!("tree {below}\n\n").into_bytes();
    objects.push(whole(Kind::Commit, &commit));
    let id = Id::of(Kind::Commit, &commit);
    let snapshot = judge(id, &pack(&objects), Limits::default()).unwrap();
    assert_eq!(listed_up_to(&snapshot, 100), [Err(Flaw::Path([b'n'; 64].into()))]);
}

#[test]
fn links_are_followed_within() {
    let link = |target: &str| {
        (Id::of(Kind::Blob, target.as_bytes()), whole(Kind::Blob, target.as_bytes()))
    };
    let targets = ["a", "../../../b/a", "/b/a", "circle", "", "b/..", "nothing"];
    let (a, in_b, rooted, circle, empty, up, nothing) = (0, 1, 2, 3, 4, 5, 6);
    let links = targets.map(link);
    let inner = entry("100644", "a", links[a].0);
    let id = |number: usize| links[number].0;
    let tree = [
        entry("100644", "a", id(a)),
        entry("40000", "b", Id::of(Kind::Tree, &inner)),
        entry("120000", "circle", id(circle)),
        entry("120000", "empty", id(empty)),
        entry("120000", "far", id(in_b)),
        entry("120000", "near", id(a)),
        entry("120000", "nothing", id(nothing)),
        entry("120000", "rooted", id(rooted)),
        entry("120000", "up", id(up)),
    ]
    .concat();
    let commit = commit(&tree);
    let objects: Vec<Vec<u8>> = [whole(Kind::Commit, &commit), whole(Kind::Tree, &tree)]
        .into_iter()
        .chain([whole(Kind::Tree, &inner)])
        .chain(links.map(|(_, object)| object))
        .collect();
    let id = Id::of(Kind::Commit, &commit);
    let snapshot = judge(id, &pack(&objects), Limits::default()).unwrap();
    for path in ["a", "b/a", "far", "near", "rooted", "up/a", "up/up/near", "b//./a/"] {
        assert_eq!(content(&snapshot, path).as_deref(), Ok(&b"a"[..]), "{path}");
    }
    for path in ["circle", "empty", "nothing", "a/a", "near/a", "c", "b/b"] {
        assert_eq!(content(&snapshot, path), Err(fs::Error::NotFound), "{path}");
    }
    for path in ["..", "b/../a", "a\0"] {
        assert_eq!(content(&snapshot, path), Err(fs::Error::BadPath), "{path}");
    }
    assert_eq!(content(&snapshot, "b"), Err(fs::Error::NotFile));
}
