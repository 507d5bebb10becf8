//! Tar archives: POSIX.1-1988 (ustar) and 2001 (pax), and GNU's long names.
//!
//! The archive is read once, header by header, into an index of names and places;
//! contents stay where they are. Crates for this (`tar-no-std`, `tar`) want the whole
//! archive as a slice, or a synchronous reader.
//!
//! Of a name that comes twice the later entry counts, as when it is unpacked. Hard
//! links are the file that they name, if it came before; symbolic links, devices and
//! sparse files are [`Kind::Other`]. Names that lead out of the archive are left out.

use super::{Error, Kind, Metadata, Tree, path, sectors};
use crate::block::Block;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// Bytes of a header, and what contents are padded to.
const BLOCK: u64 = 512;
/// Bytes that are read at once in search of headers.
const WINDOW: usize = 16 * 1024;
/// The longest extended header that is read.
const EXTENDED: u64 = 64 * 1024;
/// What an entry of the index takes beside its name, about.
const ENTRY: usize = 96;

/// Bytes of memory that an index may take unless another number is given.
pub const MEMORY: usize = 1 << 20;

/// An archive on the disk `B`.
#[derive(Debug)]
pub struct Tar<B> {
    disk: B,
    /// By folder, a zero byte, and the name there, so that what is in a folder
    /// stands together.
    index: BTreeMap<Box<[u8]>, Place>,
}

/// Where a content is.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u64,
    metadata: Metadata,
}

/// A file or folder of an archive.
#[derive(Clone, Debug)]
pub struct Node {
    place: Place,
    /// What keys begin with of what is in the folder.
    prefix: Rc<[u8]>,
}

/// What extended headers say of the entry that follows them.
#[derive(Debug, Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    modified: Option<u64>,
}

/// The bytes before the first zero.
fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// A number: octal digits, or, with the first bit set, binary as GNU has it.
fn number(field: &[u8]) -> Option<u64> {
    match field.split_first() {
        Some((&0x80, rest)) => rest
            .iter()
            .try_fold(0_u64, |number, &byte| Some(number.checked_mul(256)? | u64::from(byte))),
        Some((0x81.., _)) | None => None,
        Some(_) => {
            let digits = text(field).trim_ascii();
            digits.iter().try_fold(0_u64, |number, &byte| match byte {
                b'0'..=b'7' => Some(number.checked_mul(8)? | u64::from(byte - b'0')),
                _ => None,
            })
        }
    }
}

/// A decimal number, of which a fraction is cut off.
fn decimal(value: &[u8]) -> Option<u64> {
    let whole = value.split(|&byte| byte == b'.').next()?;
    core::str::from_utf8(whole).ok()?.parse().ok()
}

impl Extended {
    /// Reads the records of a pax header: `length key=value\n`.
    fn take(&mut self, mut records: &[u8]) -> Option<()> {
        while !records.is_empty() {
            let space = records.iter().position(|&byte| byte == b' ')?;
            let length = usize::try_from(decimal(&records[..space])?).ok()?;
            let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|&byte| byte == b'=')?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(decimal(value)?),
                b"mtime" => self.modified = decimal(value),
                _ => {}
            }
            records = &records[length..];
        }
        Some(())
    }
}

/// A header whose checksum is right.
struct Header<'a>(&'a [u8; BLOCK as usize]);

impl<'a> Header<'a> {
    fn new(block: &'a [u8; BLOCK as usize]) -> Option<Self> {
        let field = 148..156;
        let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
        let own: u64 = block[field.clone()].iter().map(|&byte| u64::from(byte)).sum();
        let said = number(&block[field])?;
        (sum - own + 8 * u64::from(b' ') == said).then_some(Self(block))
    }

    fn field(&self, range: Range<usize>) -> &'a [u8] {
        self.0.get(range).unwrap_or_default()
    }

    fn path(&self) -> Vec<u8> {
        let mut path = Vec::new();
        // GNU's own format has other things where POSIX has the prefix.
        if self.field(257..263) == b"ustar\0" {
            path.extend_from_slice(text(self.field(345..500)));
            if !path.is_empty() {
                path.push(b'/');
            }
        }
        path.extend_from_slice(text(self.field(0..100)));
        path
    }
}

/// A part of the disk in memory, to find headers in.
struct Window<'a, B> {
    disk: &'a B,
    size: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<B: Block> Window<'_, B> {
    /// The header at byte `at`; nothing at the disk's end.
    async fn header(&mut self, at: u64) -> Result<Option<&[u8; BLOCK as usize]>, Error> {
        if at.checked_add(BLOCK).is_none_or(|end| end > self.size) {
            return Ok(None);
        }
        if at < self.start || at + BLOCK > self.start + self.bytes.len() as u64 {
            let most = WINDOW as u64;
            self.bytes.resize((self.size - at).min(most) as usize, 0);
            self.start = at;
            sectors::read(self.disk, at, &mut self.bytes).await?;
        }
        let from = (at - self.start) as usize;
        Ok(self.bytes.get(from..).and_then(|bytes| bytes.first_chunk()))
    }
}

/// What is being indexed.
struct Builder {
    index: BTreeMap<Box<[u8]>, Place>,
    /// Bytes of memory that are left for it.
    left: usize,
    next: u64,
}

/// The key of `path`, which is [`path::normal`] and not the root.
fn key(path: &[u8]) -> Box<[u8]> {
    let (folder, name) = path::split(path);
    [folder, b"\0", name].concat().into()
}

impl Builder {
    fn add(&mut self, path: &[u8], mut place: Place, replace: bool) -> Result<(), Error> {
        let key = key(path);
        if let Some(old) = self.index.get_mut(&key) {
            if replace {
                place.metadata.id = old.metadata.id;
                *old = place;
            }
            return Ok(());
        }
        self.left = self.left.checked_sub(key.len() + ENTRY).ok_or(Error::NoMemory)?;
        self.next += 1;
        place.metadata.id = self.next;
        self.index.insert(key, place);
        Ok(())
    }

    /// Adds what is at `path`, and the folders that it is in.
    fn enter(&mut self, path: &[u8], place: Place) -> Result<(), Error> {
        let Ok(path) = path::normal(path) else { return Ok(()) };
        if path.is_empty() {
            return Ok(());
        }
        self.add(&path, place, true)?;
        let mut folder = path::split(&path).0;
        while !folder.is_empty() {
            self.add(folder, FOLDER, false)?;
            folder = path::split(folder).0;
        }
        Ok(())
    }

    /// What is at `path` so far.
    fn find(&self, path: &[u8]) -> Option<Place> {
        self.index.get(&key(&path::normal(path).ok()?)).copied()
    }
}

/// A folder that only what is in it speaks of.
const FOLDER: Place =
    Place { at: 0, metadata: Metadata { kind: Kind::Folder, size: 0, modified: 0, id: 0 } };

impl<B: Block> Tar<B> {
    /// Opens the archive that `disk` begins with.
    ///
    /// # Errors
    /// [`Error::OtherFormat`], [`Error::Damaged`], [`Error::NoMemory`], and the disk's.
    pub async fn open(disk: B) -> Result<Self, Error> {
        Self::with_memory(disk, MEMORY).await
    }

    /// Opens an archive whose index may take about `memory` bytes.
    ///
    /// # Errors
    /// As of [`Tar::open`].
    pub async fn with_memory(disk: B, memory: usize) -> Result<Self, Error> {
        let index = index(&disk, memory).await?;
        Ok(Self { disk, index })
    }
}

/// Reads all headers.
async fn index<B: Block>(disk: &B, memory: usize) -> Result<BTreeMap<Box<[u8]>, Place>, Error> {
    let size = sectors::size(disk);
    let mut window = Window { disk, size, start: 0, bytes: Vec::new() };
    let mut builder = Builder { index: BTreeMap::new(), left: memory, next: 0 };
    let (mut extended, mut at) = (Extended::default(), 0);
    while let Some(block) = window.header(at).await? {
        if block.iter().all(|&byte| byte == 0) {
            break;
        }
        let wrong = if at == 0 { Error::OtherFormat } else { Error::Damaged };
        let header = Header::new(block).ok_or(wrong)?;
        let sort = header.field(156..157).first().copied().unwrap_or_default();
        // What stands before an entry is counted by its own header alone.
        let before = matches!(sort, b'x' | b'g' | b'L' | b'K');
        let said = number(header.field(124..136)).ok_or(Error::Damaged)?;
        let length = if before { said } else { extended.size.unwrap_or(said) };
        let content = at + BLOCK;
        let end = content.checked_add(length).filter(|&end| end <= size).ok_or(Error::Damaged)?;
        if before {
            if length > EXTENDED {
                return Err(Error::TooLong);
            }
            let mut bytes = vec![0; length as usize];
            sectors::read(disk, content, &mut bytes).await?;
            match sort {
                b'x' => extended.take(&bytes).ok_or(Error::Damaged)?,
                b'L' => extended.path = Some(text(&bytes).to_vec()),
                b'K' => extended.link = Some(text(&bytes).to_vec()),
                _ => {}
            }
        } else {
            let Extended { path, link, modified, .. } = core::mem::take(&mut extended);
            let path = path.unwrap_or_else(|| header.path());
            let modified = modified.or_else(|| number(header.field(136..148))).unwrap_or(0);
            let kind = match sort {
                // Before POSIX, a slash at the end was what made a folder.
                0 | b'0' if path.ends_with(b"/") => Kind::Folder,
                0 | b'0' | b'7' => Kind::File,
                b'5' => Kind::Folder,
                _ => Kind::Other,
            };
            let size = if kind == Kind::File { length } else { 0 };
            let mut place =
                Place { at: content, metadata: Metadata { kind, size, modified, id: 0 } };
            if sort == b'1' {
                let target = link.unwrap_or_else(|| text(header.field(157..257)).to_vec());
                place = builder.find(&target).unwrap_or(place);
            }
            builder.enter(&path, place)?;
        }
        at = end.next_multiple_of(BLOCK);
    }
    if at == 0 { Err(Error::OtherFormat) } else { Ok(builder.index) }
}

impl<B: Block> Tree for Tar<B> {
    type Node = Node;

    async fn lookup(&self, path: &[u8]) -> Result<Node, Error> {
        let path = path::normal(path)?;
        let place = match path.is_empty() {
            true => FOLDER,
            false => *self.index.get(&key(&path)).ok_or(Error::NotFound)?,
        };
        Ok(Node { place, prefix: [&path, &b"\0"[..]].concat().into() })
    }

    fn metadata(&self, node: &Node) -> Metadata {
        node.place.metadata
    }

    async fn read(&self, node: &Node, offset: u64, to: &mut [u8]) -> Result<usize, Error> {
        let Place { at, metadata } = node.place;
        if metadata.kind != Kind::File {
            return Err(Error::NotFile);
        }
        let left = usize::try_from(metadata.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = to.len().min(left);
        if count > 0 {
            sectors::read(&self.disk, at.saturating_add(offset), &mut to[..count]).await?;
        }
        Ok(count)
    }

    async fn list(&self, node: &Node, each: &mut dyn FnMut(&[u8], Metadata)) -> Result<(), Error> {
        if node.place.metadata.kind != Kind::Folder {
            return Err(Error::NotFolder);
        }
        let inside = self.index.range(Box::<[u8]>::from(&*node.prefix)..);
        for (key, place) in inside.take_while(|(key, _)| key.starts_with(&node.prefix)) {
            each(key.get(node.prefix.len()..).unwrap_or_default(), place.metadata);
        }
        Ok(())
    }
}
