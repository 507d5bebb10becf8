//! What a server of git sends: packs of objects, deltas and trees of any sort, in pieces of any
//! size.

#![no_main]

#[path = "../../../git/pack.rs"]
#[allow(dead_code, reason = "others are for tests")]
mod pack;

use git::{Id, Kind, Limits, Snapshot, Wanted, talk};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use pack::{around, back, entry, header, object, sealed, stored};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use xenith::fs::Tree;
use xenith_fuzz::on_machine;
use xenith_fuzz::stream::{Pieces, Script, split, whole};

/// A step of a delta.
#[derive(Arbitrary, Debug)]
enum Step {
    Copy(u8, u8),
    Insert(Vec<u8>),
    Raw(u8),
}

/// An object. Others are named by their number, of those that came before.
#[derive(Arbitrary, Debug)]
enum Part {
    Blob(Vec<u8>),
    Tree(Vec<(u8, Vec<u8>, u8)>),
    Commit(u8),
    Tag(u8),
    /// By where the base begins.
    Near(u8, Vec<Step>),
    /// By its id.
    Named(u8, Vec<Step>),
    /// Of a base that begins so far back.
    Back(u16, Vec<u8>),
    /// Of this type and size, whatever they are, and with these data.
    Odd(u8, u16, Vec<u8>),
    Raw(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
struct Input {
    parts: Vec<Part>,
    wanted: u8,
    sizes: [u8; 3],
    /// What is there instead of all that, if there is something.
    raw: Option<Vec<u8>>,
}

const MODES: [&str; 6] = ["100644", "100755", "120000", "40000", "160000", "1"];

const LIMITS: Limits = Limits { bytes: 1 << 16, objects: 40, depth: 4 };

/// What was written.
struct Written {
    at: usize,
    kind: Kind,
    data: Vec<u8>,
}

impl Written {
    fn id(&self) -> Id {
        Id::of(self.kind, &self.data)
    }
}

/// A length, seven bits a byte.
fn length(mut size: usize) -> Vec<u8> {
    let mut to = Vec::new();
    while size > 0x7f {
        to.push(size as u8 | 0x80);
        size >>= 7;
    }
    to.push(size as u8);
    to
}

/// The steps as git writes them, and what comes of them where they make sense.
fn delta(base: &[u8], steps: &[Step]) -> (Vec<u8>, Vec<u8>) {
    let (mut made, mut said) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Copy(at, count) => {
                said.extend([0x91, *at, *count]);
                let count = if *count == 0 { 0x1_0000 } else { usize::from(*count) };
                let rest = base.get(usize::from(*at)..).unwrap_or_default();
                made.extend_from_slice(rest.get(..count).unwrap_or_default());
            }
            Step::Insert(bytes) => {
                let bytes = &bytes[..bytes.len().min(127)];
                said.push(bytes.len() as u8);
                said.extend_from_slice(bytes);
                made.extend_from_slice(bytes);
            }
            Step::Raw(byte) => said.push(*byte),
        }
    }
    ([length(base.len()), length(made.len()), said].concat(), made)
}

/// The pack, and the ids in it.
fn written(parts: &[Part]) -> (Vec<u8>, Vec<Id>) {
    let mut to = b"PACK\0\0\0\x02".to_vec();
    to.extend((parts.len() as u32).to_be_bytes());
    let mut all: Vec<Written> = Vec::new();
    for part in parts {
        let at = to.len();
        let other = |number: u8| all.get(usize::from(number) % all.len().max(1));
        let id = |number| other(number).map_or(Id([number; 20]), Written::id);
        let (kind, data) = match part {
            Part::Blob(data) => (Kind::Blob, data.clone()),
            Part::Tree(entries) => {
                let entries = entries.iter().map(|(mode, name, number)| {
                    let mode = MODES[usize::from(*mode) % MODES.len()];
                    entry(mode, name, id(*number))
                });
                (Kind::Tree, entries.flatten().collect())
            }
            Part::Commit(number) => {
                (Kind::Commit, format!("tree {}\n\nsubject\n", id(*number)).into_bytes())
            }
            Part::Tag(number) => (Kind::Tag, format!("object {}\n", id(*number)).into_bytes()),
            Part::Near(number, steps) | Part::Named(number, steps) => {
                let Some(base) = other(*number) else { continue };
                let (said, made) = delta(&base.data, steps);
                to.extend(match part {
                    Part::Near(..) => object(6, &back(at - base.at), &said),
                    _ => object(7, &base.id().0, &said),
                });
                let kind = base.kind;
                all.push(Written { at, kind, data: made });
                continue;
            }
            Part::Back(by, data) => {
                to.extend(object(6, &back((*by).into()), data));
                continue;
            }
            Part::Odd(kind, size, data) => {
                to.extend([header(kind & 7, (*size).into()), stored(data)].concat());
                continue;
            }
            Part::Raw(bytes) => {
                to.extend(bytes);
                continue;
            }
        };
        to.extend(pack::whole(kind, &data));
        all.push(Written { at, kind, data });
    }
    (sealed(to), all.iter().map(Written::id).collect())
}

/// What becomes of a server that says this.
fn told(says: Pieces) -> Result<Snapshot, String> {
    let time = Duration::from_secs(10);
    let wanted = Wanted { name: "HEAD".into(), limits: LIMITS, patience: time, time };
    on_machine(async {
        let mut stream = Script::new(says, Rc::new(RefCell::new(Vec::new())));
        match talk(&mut stream, "lab", "/r", &wanted, &mut None).await {
            Ok(snapshot) => Ok(snapshot.expect("nothing was known before")),
            Err(error) => Err(error.to_string()),
        }
    })
}

fuzz_target!(|input: Input| {
    let (pack, ids) = written(&input.parts);
    let last = Id([0; 20]);
    let id = ids.get(usize::from(input.wanted) % ids.len().max(1)).unwrap_or(&last);
    let says = input.raw.unwrap_or_else(|| around(*id, "HEAD", &pack));
    let sizes = input.sizes.map(|size| usize::from(size) + 1);
    let result = told(whole(&says));
    let in_pieces = told(split(&says, &sizes));
    assert_eq!(result.as_ref().err(), in_pieces.as_ref().err());
    let Ok(snapshot) = result else { return };
    let (files, bytes) = snapshot.size();
    assert!(bytes <= LIMITS.bytes && files <= LIMITS.objects as usize);
    on_machine(async {
        let root = snapshot.lookup(b"/").await.expect("there is a root");
        let mut names = Vec::new();
        let listed = snapshot.list(&root, &mut |name, _| names.push(name.to_vec())).await;
        assert!(listed.is_ok());
        for name in names {
            assert!(!name.is_empty() && !name.contains(&b'/') && name != b".." && name != b".git");
            // Links may lead nowhere; what is found is as long as it says.
            let Ok(node) = snapshot.lookup(&name).await else { continue };
            let size = snapshot.metadata(&node).size;
            let mut content = vec![0; size as usize + 1];
            if let Ok(count) = snapshot.read(&node, 0, &mut content).await {
                assert_eq!(count as u64, size);
            }
        }
        let mut lines = snapshot.lines(200);
        let mut count = 0;
        while let Some(line) = lines.next().await {
            // An error is the last thing that comes.
            assert!(line.map_or(count <= 200, |line| line.contains('\t')));
            count += 1;
        }
        assert!(count <= 201);
    });
});
