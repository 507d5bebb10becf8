//! Packs that git would not write.

use super::written::{around, back, header, object, pack, sealed, stored, whole};
use super::*;

/// An entry of a tree.
pub(super) fn entry(mode: &str, name: &str, id: Id) -> Vec<u8> {
    written::entry(mode, name.as_bytes(), id)
}

/// A commit of a tree, whose content is this.
pub(super) fn commit(tree: &[u8]) -> Vec<u8> {
    let tree = Id::of(Kind::Tree, tree);
    format!("tree {tree}\nauthor A <a@b> 5 +0000\ncommitter A <a@b> 7 +0100\n\nsubject\n\nmore\n")
        .into()
}

/// What becomes of a pack in which this is wanted.
pub(super) fn judge(id: Id, pack: &[u8], limits: Limits) -> Result<Snapshot, Error<Infallible>> {
    told(&around(id, "HEAD", pack), &Wanted { limits, ..wanted("HEAD") })
}

/// What is wrong with a pack of these objects and a commit of `tree`.
fn flaw_of(tree: &[u8], objects: &[Vec<u8>], limits: Limits) -> Option<Flaw> {
    let commit = commit(tree);
    let all = [&[whole(Kind::Commit, &commit), whole(Kind::Tree, tree)], objects].concat();
    match judge(Id::of(Kind::Commit, &commit), &pack(&all), limits) {
        Ok(_) => None,
        Err(Error::Pack(flaw)) => Some(flaw),
        Err(error) => panic!("{error}"),
    }
}

/// A delta that adds `more` to a base of `size` bytes.
fn longer(size: u8, more: &[u8]) -> Vec<u8> {
    let made = size + more.len() as u8;
    // No bytes would be 64 KiB.
    let copy: &[u8] = if size == 0 { &[] } else { &[0x90, size] };
    [&[size, made], copy, &[more.len() as u8], more].concat()
}

#[test]
fn deltas_are_found_wherever_their_base_is() {
    let [one, two, three] = [&b"one"[..], b"one, two", b"one, two, three"];
    let id = |data| Id::of(Kind::Blob, data);
    let tree = [
        entry("100644", "1", id(one)),
        entry("100644", "2", id(two)),
        entry("100644", "3", id(three)),
    ]
    .concat();
    let commit = commit(&tree);
    let (second, third) = (longer(3, b", two"), longer(8, b", three"));
    // By id and before their base, of which the third one is found by where it begins.
    let by_id = object(7, &id(one).0, &second);
    let by_place = object(6, &back(by_id.len()), &third);
    let ends = [whole(Kind::Tree, &tree), whole(Kind::Commit, &commit)];
    let mixed = [by_id, by_place, whole(Kind::Blob, one)];
    // By id in a chain, the last first.
    let chain =
        [object(7, &id(two).0, &third), object(7, &id(one).0, &second), whole(Kind::Blob, one)];
    // As git writes them, and once more.
    let base = whole(Kind::Blob, one);
    let next = object(6, &back(base.len()), &second);
    let usual = [base.clone(), next.clone(), object(6, &back(next.len()), &third), base];
    for objects in [&mixed[..], &chain, &usual] {
        let pack = pack(&[objects, &ends].concat());
        let snapshot = judge(Id::of(Kind::Commit, &commit), &pack, Limits::default()).unwrap();
        for (path, data) in [("1", one), ("2", two), ("/3", three)] {
            assert_eq!(content(&snapshot, path).unwrap(), data);
        }
        assert_eq!((snapshot.commit().time, &*snapshot.commit().subject), (7, "subject"));
    }
}

#[test]
fn a_pack_that_is_malformed_is_refused() {
    let commit = commit(b"");
    let good = [whole(Kind::Commit, &commit), whole(Kind::Tree, b"")];
    let id = Id::of(Kind::Commit, &commit);
    let with = |more: Vec<u8>| pack(&[&good[..], &[more]].concat());
    let other = Id([7; 20]);
    let two = with(object(7, &other.0, &longer(3, b"x")));
    let mut wrong_sum = pack(&good);
    *wrong_sum.last_mut().unwrap() ^= 1;
    let mut counted = pack(&good);
    counted.truncate(counted.len() - 20);
    counted[11] = 1;
    let mut deflated = whole(Kind::Blob, b"text");
    deflated[1] ^= 0x40;
    let mut adler = whole(Kind::Blob, b"text");
    *adler.last_mut().unwrap() ^= 1;
    let cases: [(&str, Vec<u8>, Flaw); 19] = [
        ("another format", sealed(b"PUCK\0\0\0\x02\0\0\0\0".to_vec()), Flaw::Signature),
        ("version 3", sealed(b"PACK\0\0\0\x03\0\0\0\0".to_vec()), Flaw::Signature),
        ("nothing", sealed(b"PACK\0\0\0\x02\0\0\0\0".to_vec()), Flaw::Missing(id)),
        ("too many", sealed(b"PACK\0\0\0\x02\xff\xff\xff\xff".to_vec()), Flaw::Objects(20_000)),
        ("wrong sum", wrong_sum, Flaw::Sum),
        ("more than counted", sealed(counted), Flaw::Sum),
        ("after the end", [pack(&good), b"x".to_vec()].concat(), Flaw::Trailing),
        ("type 0", with(object(0, &[], b"")), Flaw::Kind(0)),
        ("type 5", with(object(5, &[], b"")), Flaw::Kind(5)),
        ("no zlib", with(deflated), Flaw::Deflate),
        ("zlib's sum", with(adler), Flaw::Deflate),
        ("longer", with([header(3, 3), stored(b"text")].concat()), Flaw::Length),
        ("shorter", with([header(3, 5), stored(b"text")].concat()), Flaw::Length),
        ("empty", with([header(3, 0), stored(b"text")].concat()), Flaw::Length),
        ("a huge size", with([&[0xbf], &[0xff; 9][..]].concat()), Flaw::Number),
        ("no base", two, Flaw::Base(other)),
        ("before the pack", with(object(6, &back(1000), &longer(0, b"x"))), Flaw::Offset),
        ("within an object", with(object(6, &[1], &longer(0, b"x"))), Flaw::Offset),
        ("itself", with(object(6, &[0], &longer(0, b"x"))), Flaw::Offset),
    ];
    for (name, pack, flaw) in cases {
        let error = judge(id, &pack, Limits::default()).map(|_| ()).unwrap_err();
        assert_eq!(error, Error::Pack(flaw), "{name}");
    }
    assert!(judge(id, &pack(&good), Limits::default()).is_ok());
    let mut beyond = back(usize::MAX);
    *beyond.last_mut().unwrap() |= 0x80;
    beyond.push(0);
    for place in [[0xff; 10].to_vec(), beyond] {
        let long = with(object(6, &place, &longer(0, b"x")));
        assert_eq!(judge(id, &long, Limits::default()).unwrap_err(), Error::Pack(Flaw::Number));
    }
    // Deltas of each other have no base that is whole.
    let (a, b) = (Id([1; 20]), Id([2; 20]));
    let circle = [object(7, &b.0, &longer(1, b"x")), object(7, &a.0, &longer(1, b"x"))];
    let flaw = judge(id, &pack(&[&good[..], &circle].concat()), Limits::default()).unwrap_err();
    assert!(matches!(flaw, Error::Pack(Flaw::Base(_))), "{flaw}");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let blob = Id::of(Kind::Blob, b"x");
    for name in ["", ".", "..", ".git", ".GIT", ".Git", "a/b", "/", "../x"] {
        let tree = entry("100644", name, blob);
        let flaw = flaw_of(&tree, &[whole(Kind::Blob, b"x")], Limits::default());
        let id = Id::of(Kind::Tree, &tree);
        assert_eq!(flaw, Some(Flaw::Name(id, name.as_bytes().into())), "{name}");
    }
    let tree = entry("100644", &"n".repeat(256), blob);
    let flaw = flaw_of(&tree, &[whole(Kind::Blob, b"x")], Limits::default());
    // Only the beginning of it is kept.
    assert_eq!(flaw, Some(Flaw::Name(Id::of(Kind::Tree, &tree), [b'n'; 64].into())));
    let longest = "n".repeat(255);
    for name in ["...", ".gitignore", "git", "a\\b", "\x1b[2J", "ä", ".git ", &longest] {
        let tree = entry("100644", name, blob);
        assert_eq!(flaw_of(&tree, &[whole(Kind::Blob, b"x")], Limits::default()), None, "{name}");
    }
}

#[test]
fn trees_that_make_no_sense_are_refused() {
    let blob = Id::of(Kind::Blob, b"x");
    let empty = Id::of(Kind::Tree, b"");
    let file = |name| entry("100644", name, blob);
    let folder = |name| entry("40000", name, empty);
    let objects = [whole(Kind::Blob, b"x"), whole(Kind::Tree, b"")];
    let fine = [
        [file("a"), file("b")].concat(),
        // A folder is as if a slash followed.
        [file("a.b"), folder("a"), file("a0")].concat(),
        entry("160000", "module", Id([9; 20])),
        [entry("100755", "a", blob), entry("120000", "b", blob)].concat(),
        // As git wrote them once, or others do.
        [entry("100664", "a", blob), entry("100600", "b", blob), entry("040000", "c", empty)]
            .concat(),
    ];
    for tree in fine {
        assert_eq!(flaw_of(&tree, &objects, Limits::default()), None, "{tree:?}");
    }
    type Wrong = fn(Id) -> Flaw;
    let wrong: [(Vec<u8>, Wrong); 14] = [
        ([file("b"), file("a")].concat(), Flaw::Order),
        ([file("a"), file("a")].concat(), Flaw::Order),
        ([folder("a"), file("a.b")].concat(), Flaw::Order),
        // A file and a folder of the same name: beside each other, and not.
        ([file("a"), folder("a")].concat(), Flaw::Order),
        ([file("a"), file("a.b"), folder("a")].concat(), Flaw::Order),
        (b"100644 a".to_vec(), Flaw::Tree),
        (b"100644 a\0too short".to_vec(), Flaw::Tree),
        (b"x".to_vec(), Flaw::Tree),
        (entry("010644", "a", blob), Flaw::Tree),
        (entry("100648", "a", blob), Flaw::Tree),
        (entry("00100644", "a", blob), Flaw::Tree),
        (entry("", "a", blob), Flaw::Tree),
        (entry("100644", "a", Id([7; 20])), |_| Flaw::Missing(Id([7; 20]))),
        (entry("40000", "a", Id::of(Kind::Blob, b"x")), |_| {
            Flaw::Mistaken(Id::of(Kind::Blob, b"x"))
        }),
    ];
    for (tree, flaw) in wrong {
        let flaw = flaw(Id::of(Kind::Tree, &tree));
        assert_eq!(flaw_of(&tree, &objects, Limits::default()), Some(flaw), "{tree:?}");
    }
}

#[test]
fn what_is_no_commit_is_refused() {
    let tag = |id: Id| format!("object {id}\ntype commit\ntag t\n").into_bytes();
    let blob = whole(Kind::Blob, b"x");
    let id = Id::of(Kind::Blob, b"x");
    let judge = |id, objects: &[Vec<u8>]| judge(id, &pack(objects), Limits::default());
    let flaw = |id, objects: &[Vec<u8>]| judge(id, objects).unwrap_err();
    assert_eq!(flaw(id, core::slice::from_ref(&blob)), Error::Pack(Flaw::NoCommit(id)));
    let of_blob = tag(id);
    let named = Id::of(Kind::Tag, &of_blob);
    assert_eq!(flaw(named, &[blob, whole(Kind::Tag, &of_blob)]), Error::Pack(Flaw::NoCommit(id)));
    assert_eq!(flaw(named, &[whole(Kind::Tag, &of_blob)]), Error::Pack(Flaw::Missing(id)));
    let odd = Id::of(Kind::Tag, b"tag of nothing");
    assert_eq!(flaw(odd, &[whole(Kind::Tag, b"tag of nothing")]), Error::Pack(Flaw::Tag(odd)));
    for text in [&b""[..], b"tree 12\n", b"parent 0123\n"] {
        let id = Id::of(Kind::Commit, text);
        assert_eq!(flaw(id, &[whole(Kind::Commit, text)]), Error::Pack(Flaw::Commit(id)));
    }
    // Tags of tags: few are followed.
    let commit = commit(b"");
    let mut objects = Vec::from([whole(Kind::Commit, &commit), whole(Kind::Tree, b"")]);
    let mut at = Id::of(Kind::Commit, &commit);
    for depth in 1..10 {
        let tag = tag(at);
        at = Id::of(Kind::Tag, &tag);
        objects.push(whole(Kind::Tag, &tag));
        let result = judge(at, &objects).map(|_| ());
        let expected = if depth < 8 { Ok(()) } else { Err(Error::Pack(Flaw::Tags)) };
        assert_eq!(result, expected, "{depth}");
    }
}

#[test]
fn of_a_long_first_line_the_beginning_is_kept() {
    let subject = |text: &[u8]| {
        let head = format!("tree {}\n\n", Id::of(Kind::Tree, b"")).into_bytes();
        let commit = [&head, text].concat();
        let objects = [whole(Kind::Commit, &commit), whole(Kind::Tree, b"")];
        let snapshot = judge(Id::of(Kind::Commit, &commit), &pack(&objects), Limits::default());
        snapshot.unwrap().commit().subject.clone()
    };
    assert_eq!(subject(&[b's'; 1 << 20]), "s".repeat(200));
    assert_eq!(subject(&[b's'; 200]), "s".repeat(200));
    // The character that would be cut is left out.
    assert_eq!(subject(format!("{}\u{20ac}x", "s".repeat(198)).as_bytes()), "s".repeat(198));
    assert_eq!(subject(&[0x80; 1000]).chars().count(), 200);
}

#[test]
fn limits_are_kept() {
    let tree = entry("100644", "a", Id::of(Kind::Blob, &[7; 1000]));
    let objects = [whole(Kind::Blob, &[7; 1000])];
    let exact = commit(&tree).len() + tree.len() + 1000 + 3 * 128;
    let bytes = |bytes: usize| Limits { bytes: bytes as u64, ..Limits::default() };
    assert_eq!(flaw_of(&tree, &objects, bytes(exact)), None);
    let flaw = flaw_of(&tree, &objects, bytes(exact - 1));
    assert_eq!(flaw, Some(Flaw::Bytes(exact as u64 - 1)));
    let few = Limits { objects: 2, ..Limits::default() };
    assert_eq!(flaw_of(&tree, &objects, few), Some(Flaw::Objects(2)));
    // Entries count by themselves, as each may be of the same object.
    let blob = Id::of(Kind::Blob, &[7; 1000]);
    let three = ["a", "b", "c"].map(|name| entry("100644", name, blob)).concat();
    let few = |objects| Limits { objects, ..Limits::default() };
    assert_eq!(flaw_of(&three, &objects, few(3)), None);
    let four = [three, entry("100644", "d", blob)].concat();
    assert_eq!(flaw_of(&four, &objects, few(3)), Some(Flaw::Entries(3)));
    // Nor is all memory taken.
    let big = Limits { bytes: 1 << 30, ..Limits::default() };
    xenith::testing::simulate_memory(64 << 20);
    assert_eq!(flaw_of(&tree, &objects, big), None);
    xenith::testing::simulate_memory_use(61 << 20);
    assert_eq!(flaw_of(&tree, &objects, big), Some(Flaw::Memory));
    xenith::testing::simulate_memory_use(0);
    xenith::testing::simulate_memory(0);
    // What a delta becomes counts as well, before there is any memory for it.
    let huge = [0, 0xff, 0xff, 0xff, 0xff, 0x0f];
    let base = whole(Kind::Blob, b"");
    let delta = object(6, &back(base.len()), &huge);
    let flaw = flaw_of(b"", &[base, delta], bytes(1 << 20));
    assert_eq!(flaw, Some(Flaw::Bytes(1 << 20)));
    // A size that is said, and no byte of which comes.
    let said = [header(3, 1 << 40), stored(b"")].concat();
    assert_eq!(flaw_of(b"", &[said], Limits::default()), Some(Flaw::Bytes(8 << 20)));
    // Deltas of deltas.
    let base = whole(Kind::Blob, b"");
    let mut before = base.len();
    let mut chain = Vec::from([base]);
    for size in 0..5 {
        let delta = object(6, &back(before), &longer(size, b"x"));
        before = delta.len();
        chain.push(delta);
    }
    let depth = |depth| Limits { depth, ..Limits::default() };
    assert_eq!(flaw_of(b"", &chain, depth(5)), None);
    assert_eq!(flaw_of(b"", &chain, depth(4)), Some(Flaw::Depth(4)));
}

#[test]
fn zlib_that_goes_on_without_a_byte_ends() {
    let commit = commit(b"");
    let mut pack = b"PACK\0\0\0\x02\0\0\0\x01".to_vec();
    pack.extend(header(3, 1));
    pack.extend([0x78, 1]);
    // Blocks of no bytes.
    pack.extend([0, 0, 0, 0xff, 0xff].repeat(100_000));
    let limits = Limits { bytes: 1 << 16, ..Limits::default() };
    let error = judge(Id::of(Kind::Commit, &commit), &pack, limits).unwrap_err();
    assert_eq!(error, Error::TooLong);
}

/// What a server says of which the tag `v1-again` is a commit with this page alone.
pub(super) fn page(text: &str) -> Vec<u8> {
    page_named("index.html", text)
}

/// The same of a page with this name.
pub(super) fn page_named(name: &str, text: &str) -> Vec<u8> {
    let tree = entry("100644", name, Id::of(Kind::Blob, text.as_bytes()));
    let commit = commit(&tree);
    let blob = whole(Kind::Blob, text.as_bytes());
    let pack = pack(&[whole(Kind::Commit, &commit), whole(Kind::Tree, &tree), blob]);
    around(Id::of(Kind::Commit, &commit), "refs/tags/v1-again", &pack)
}
