//! Gives a server a commit that is its branch's from then on: git's protocol of receive-pack, which has
//! no version 2.

use crate::edit::Draft;
use crate::error::{Error, Flaw, beginning};
use crate::id::{Id, Kind};
use crate::pack::Object;
use crate::packet::{FLUSH, Packets, SAID, put};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use embedded_io_async::Read;
use miniz_oxide::mz_adler32_oxide;
use sha1::{Digest, Sha1};
use xenith::memory::is_low;

/// The longest block of data that are not compressed.
const BLOCK: usize = 65_535;

/// What a server is asked for: that its branch, which stands for `old`, stands for `new`.
#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) old: Id,
    pub(crate) new: Id,
    /// The command, and the pack.
    pub(crate) request: Vec<u8>,
}

impl Push {
    pub(crate) fn new(branch: &str, draft: &Draft) -> Result<Self, Flaw> {
        let (old, new) = (draft.old, draft.id());
        let mut request = Vec::new();
        put(&mut request, format!("{old} {new} {branch}\0 report-status").as_bytes());
        request.extend_from_slice(FLUSH);
        pack(&mut request, draft.objects())?;
        Ok(Self { old, new, request })
    }
}

/// Adds a pack of these objects.
///
/// They are in zlib's format, but not compressed: a server compresses anew what it keeps, and what
/// does so here makes arrays of 64 KiB on a stack of 64 KiB, which it cannot be told not to.
pub(crate) fn pack<'a>(
    to: &mut Vec<u8>,
    objects: impl Iterator<Item = &'a Object> + Clone,
) -> Result<(), Flaw> {
    // What stands around data: the header, zlib's, and its sum.
    let around = |data: &[u8]| 32 + data.len() / BLOCK * 5;
    let bytes = objects.clone().map(|object| object.data.len() + around(&object.data));
    to.try_reserve_exact(64 + bytes.sum::<usize>()).map_err(|_| Flaw::Memory)?;
    if is_low() {
        return Err(Flaw::Memory);
    }
    let begin = to.len();
    let count = u32::try_from(objects.clone().count()).map_err(|_| Flaw::Memory)?;
    to.extend_from_slice(b"PACK\0\0\0\x02");
    to.extend_from_slice(&count.to_be_bytes());
    for object in objects {
        header(to, object.kind, object.data.len());
        stored(to, &object.data);
    }
    let sum = Sha1::digest(to.get(begin..).unwrap_or_default());
    to.extend_from_slice(&sum);
    Ok(())
}

/// Adds the type and the length of an object: of that four bits, and then seven a byte.
fn header(to: &mut Vec<u8>, kind: Kind, length: usize) {
    let number = match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    };
    let (mut next, mut rest) = (number << 4 | (length & 15) as u8, length >> 4);
    while rest > 0 {
        to.push(next | 0x80);
        next = (rest & 0x7f) as u8;
        rest >>= 7;
    }
    to.push(next);
}

/// Adds data in zlib's format as they are (RFC 1950; RFC 1951, section 3.2.4).
fn stored(to: &mut Vec<u8>, data: &[u8]) {
    to.extend_from_slice(&[0x78, 0x01]);
    let mut rest = data;
    loop {
        let (block, after) = rest.split_at(rest.len().min(BLOCK));
        let length = block.len() as u16;
        to.push(after.is_empty().into());
        to.extend_from_slice(&length.to_le_bytes());
        to.extend_from_slice(&(!length).to_le_bytes());
        to.extend_from_slice(block);
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    to.extend_from_slice(&mz_adler32_oxide(1, data).to_be_bytes());
}

/// Reads what a server has, and what it can do: what `branch` stands for, if there is one.
pub(crate) async fn tip<R: Read>(
    packets: &mut Packets<R>,
    branch: &str,
) -> Result<Option<Id>, Error<R::Error>> {
    let mut found = packets.next_line().await?;
    // Over HTTP it says first for what it says it.
    if found && packets.line().starts_with(b"# service=") {
        if packets.next_line().await? {
            return Err(Error::Malformed("list of services"));
        }
        found = packets.next_line().await?;
    }
    let (mut tip, mut first) = (None, true);
    while found {
        let mut parts = packets.line().split(|&byte| byte == 0);
        let (line, words) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if core::mem::take(&mut first) {
            let has = |word: &[u8]| words.split(|&byte| byte == b' ').any(|it| it == word);
            let format =
                words.split(|&byte| byte == b' ').find(|it| it.starts_with(b"object-format="));
            if format.is_some_and(|it| it != b"object-format=sha1") {
                return Err(Error::Format);
            }
            if !has(b"report-status") {
                return Err(Error::Lacks("to tell what became of a push (report-status)"));
            }
        }
        if !line.starts_with(b"shallow ") {
            let (id, name) = line.split_at_checked(40).ok_or(Error::Malformed("ref"))?;
            let id = Id::parse(id).ok_or(Error::Malformed("ref"))?;
            match name.strip_prefix(b" ").ok_or(Error::Malformed("ref"))? {
                name if name == branch.as_bytes() => tip = Some(id),
                _ => {}
            }
        }
        found = packets.next_line().await?;
    }
    // It says what it can do even if it has nothing.
    if first { Err(Error::Malformed("list of refs")) } else { Ok(tip) }
}

/// Reads what became of a push: why it was refused, or nothing if the branch is what it should be.
pub(crate) async fn report<R: Read>(
    packets: &mut Packets<R>,
    branch: &str,
) -> Result<Option<String>, Error<R::Error>> {
    const WRONG: &str = "report on a push";
    if !packets.next_line().await? {
        return Err(Error::Malformed(WRONG));
    }
    match packets.line().strip_prefix(b"unpack ").ok_or(Error::Malformed(WRONG))? {
        b"ok" => {}
        why => return Ok(Some(beginning(why, SAID))),
    }
    let mut done = None;
    while packets.next_line().await? {
        let line = packets.line();
        let (word, rest) = line.split_at_checked(3).ok_or(Error::Malformed(WRONG))?;
        let about = rest.strip_prefix(branch.as_bytes());
        match (word, about) {
            (b"ok ", Some(b"")) => done = Some(None),
            (b"ng ", Some([b' ', why @ ..])) => done = Some(Some(beginning(why, SAID))),
            _ => return Err(Error::Malformed(WRONG)),
        }
    }
    done.ok_or(Error::Malformed(WRONG))
}
