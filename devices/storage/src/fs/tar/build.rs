//! Builds the index of an archive from its headers.

use super::format::{self, Extended, Header, Piece, text};
use super::{BLOCK, FOLDER, Index, Record, RecordKind, key};
use crate::fs::{Error, path, sectors};
use alloc::vec::Vec;
use devices::block::Block;
use kernel::text::Escaped;

/// The size of a read in bytes, which may hold many headers.
const WINDOW: usize = 16 * 1024;
/// The most digits of a number in a sparse map: more than 64 bits have.
const DIGITS: usize = 32;
/// The approximate size of an entry of the index beside its name, in bytes.
const ENTRY: usize = 128;

/// A window of the disk in memory, from which headers are read.
struct Window<'a, B> {
    disk: &'a B,
    size: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<B: Block> Window<'_, B> {
    /// Returns the block at byte `at`, or `None` at the disk's end.
    async fn block(&mut self, at: u64) -> Result<Option<&[u8; BLOCK as usize]>, Error> {
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

    /// Returns whether the archive ends, or a valid header begins, at byte `at`.
    async fn is_next(&mut self, at: u64) -> Result<bool, Error> {
        let block = self.block(at).await?;
        Ok(block.is_none_or(|block| is_zero(block) || Header::new(block).is_some()))
    }
}

/// What it held is not to be found in what the heap gives out next: it may be a key.
impl<B> Drop for Window<'_, B> {
    fn drop(&mut self) {
        self.bytes.fill(0);
        core::hint::black_box(&self.bytes);
    }
}

fn is_zero(block: &[u8]) -> bool {
    block.iter().all(|&byte| byte == 0)
}

/// Takes what the index leaves out: owners, modes and numbers of devices.
pub(in crate::fs) trait Notes: Default {
    /// A pax header before the next entry, or a global one before all, has this record.
    fn extended(&mut self, key: &[u8], value: &[u8], global: bool) {
        let _ = (key, value, global);
    }

    /// The header of the next entry.
    fn header(&mut self, header: &Header<'_>) {
        let _ = header;
    }

    /// What is added meanwhile are folders that the archive does not name.
    fn implied(&mut self, implied: bool) {
        let _ = implied;
    }

    /// What came before is of the record of this number: 0 for the root. `linked`: it is another
    /// name of that.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    fn entry(&mut self, id: u64, linked: bool, left: &mut usize) -> Result<(), Error> {
        let _ = (id, linked, left);
        Ok(())
    }
}

impl Notes for () {}

/// An index under construction.
struct Builder<N> {
    index: Index,
    notes: N,
    /// The memory that is left for it, in bytes.
    left: usize,
    next: u64,
}

impl<N: Notes> Builder<N> {
    fn spend(&mut self, bytes: usize) -> Result<(), Error> {
        self.left = self.left.checked_sub(bytes).ok_or(Error::NoMemory)?;
        Ok(())
    }

    /// Gives back what the numbers of a map took that goes.
    fn give_back(&mut self, numbers: Option<Vec<u64>>) {
        self.left += numbers.map_or(0, |it| it.len() * format::NUMBER);
    }

    /// Adds the entry `name` of `folder`. A later entry replaces an earlier one.
    fn add(&mut self, folder: &[u8], name: &[u8], mut record: Record) -> Result<(), Error> {
        let key = key(folder, name);
        if let Some(old) = self.index.records.get_mut(&key) {
            // The record of a hard link has its file's id already; any other keeps the id of the
            // one that it replaces.
            let linked = record.id != 0;
            if !linked {
                record.id = old.id;
            }
            *old = record;
            return self.notes.entry(record.id, linked, &mut self.left);
        }
        self.spend(key.len() + ENTRY)?;
        self.next += 1;
        let linked = record.id != 0;
        if !linked {
            record.id = self.next;
        }
        self.index.records.insert(key, record);
        self.notes.entry(record.id, linked, &mut self.left)
    }

    /// Adds an entry at `path`, and the folders that it is in.
    ///
    /// # Errors
    /// [`Error::BadPath`] for a path that leads out of the archive, or through an entry that is
    /// no folder, and [`Error::TooLong`].
    fn enter(&mut self, path: &[u8], record: Record) -> Result<(), Error> {
        let path = path::normal(path)?;
        let (folders, name) = path::split(&path);
        let mut folder = Vec::new();
        for part in folders.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
            let record = self.index.records.get(&key(&folder, part)).map(|it| it.kind);
            if record.is_none() {
                self.notes.implied(true);
                self.add(&folder, part, FOLDER)?;
                self.notes.implied(false);
            }
            join(&mut folder, part)?;
            match record {
                None | Some(RecordKind::Folder) => {}
                Some(RecordKind::Link(_)) => match self.index.find(&folder, true) {
                    Ok((at, Record { kind: RecordKind::Folder, .. })) => folder = at,
                    _ => return Err(Error::BadPath),
                },
                Some(_) => return Err(Error::BadPath),
            }
        }
        if name.is_empty() {
            // The root itself.
            return if matches!(record.kind, RecordKind::Folder) {
                self.notes.entry(0, false, &mut self.left)
            } else {
                Err(Error::BadPath)
            };
        }
        let mut own = folder.clone();
        join(&mut own, name)?;
        if !matches!(record.kind, RecordKind::Folder) && self.index.has_inside(&own) {
            return Err(Error::BadPath);
        }
        self.add(&folder, name, record)
    }

    /// Makes the record of a symbolic link to `target`.
    fn link(&mut self, target: &[u8]) -> Result<RecordKind, Error> {
        self.spend(target.len() + ENTRY / 4)?;
        self.index.links.push(target.into());
        Ok(RecordKind::Link(self.index.links.len() - 1))
    }

    /// Makes the record of a sparse file: see [`format::pieces`].
    fn sparse(
        &mut self,
        numbers: &[u64],
        content: u64,
        stored: u64,
        size: u64,
    ) -> Result<RecordKind, Error> {
        self.spend(numbers.len() / 2 * size_of::<Piece>() + ENTRY / 4)?;
        self.index.sparse.push(format::pieces(numbers, content, stored, size)?);
        Ok(RecordKind::Sparse(self.index.sparse.len() - 1))
    }
}

/// Appends a name to a path.
///
/// # Errors
/// [`Error::TooLong`], also where links have led there.
fn join(path: &mut Vec<u8>, name: &[u8]) -> Result<(), Error> {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    if path.len() > format::LONGEST { Err(Error::TooLong) } else { Ok(()) }
}

/// An entry while its headers are read.
struct Entry {
    path: Vec<u8>,
    kind: u8,
    /// The offset of its content on the disk, and the number of bytes stored there.
    content: u64,
    stored: u64,
    gnu: Option<(Vec<u64>, u64)>,
    link: Vec<u8>,
    modified: u64,
}

/// Reads all headers into an index, which may take about `memory` bytes.
///
/// # Errors
/// Those of [`Tar::open`](super::Tar::open).
pub(super) async fn index<B: Block, N: Notes>(
    disk: &B,
    memory: usize,
) -> Result<(Index, N), Error> {
    let size = sectors::size(disk);
    let mut window = Window { disk, size, start: 0, bytes: Vec::new() };
    let mut builder =
        Builder { index: Index::default(), notes: N::default(), left: memory, next: 0 };
    let (mut global, mut extended, mut at) = (Extended::default(), None::<Extended>, 0);
    loop {
        let Some(block) = window.block(at).await? else {
            if at == 0 {
                return Err(Error::OtherFormat);
            }
            log::warn!("tar: the archive is truncated");
            return Err(Error::Damaged);
        };
        if is_zero(block) {
            break;
        }
        let wrong = if at == 0 { Error::OtherFormat } else { Error::Damaged };
        let header = Header::new(block).ok_or(wrong)?;
        let kind = header.kind();
        // The blocks of extended headers are counted by their own headers.
        let before = matches!(kind, b'x' | b'X' | b'g' | b'L' | b'K');
        let said = format::number(header.field(124..136)).ok_or(Error::Damaged)?;
        if before {
            let content = at + BLOCK;
            let bytes = value(disk, &mut builder, content, said, size).await?;
            let own = || global.clone();
            match kind {
                b'g' => {
                    let Builder { notes, left, .. } = &mut builder;
                    global.take(&bytes, left, |key, value| notes.extended(key, value, true))?;
                    // No two files have the same, and it would be copied for each entry.
                    if global.sparse.numbers.is_some() {
                        return Err(Error::Unsupported);
                    }
                }
                b'L' => {
                    extended.get_or_insert_with(own).path = Some(format::path(text(&bytes))?);
                }
                b'K' => {
                    extended.get_or_insert_with(own).link = Some(format::path(text(&bytes))?);
                }
                _ => {
                    let Builder { notes, left, .. } = &mut builder;
                    let own = extended.get_or_insert_with(own);
                    own.take(&bytes, left, |key, value| notes.extended(key, value, false))?;
                }
            }
            builder.left += bytes.len();
            at = (content + said).next_multiple_of(BLOCK);
            continue;
        }
        builder.notes.header(&header);
        let Extended { path, link, size: real, modified, mut sparse } =
            extended.take().unwrap_or_else(|| global.clone());
        let mut entry = Entry {
            path: sparse.name.clone().or(path).unwrap_or_else(|| header.path()),
            kind,
            content: at + BLOCK,
            stored: real.unwrap_or(said),
            gnu: None,
            link: link.unwrap_or_else(|| text(header.field(157..257)).to_vec()),
            modified: modified.or_else(|| format::number(header.field(136..148))).unwrap_or(0),
        };
        let result = take(&mut window, &mut builder, &mut entry, &mut sparse, at).await;
        if let Err(error) = result {
            let (path, kind) = (Escaped(&entry.path), Escaped(core::slice::from_ref(&kind)));
            log::warn!("tar: {path}, of type {kind}: {error}");
            return Err(error);
        }
        // A map that the entry has no use for, such as one of a folder.
        builder.give_back(sparse.numbers.take());
        at = entry.content.saturating_add(entry.stored).next_multiple_of(BLOCK);
    }
    if at == 0 {
        return Err(Error::OtherFormat);
    }
    let second = window.block(at + BLOCK).await?;
    if extended.is_some() || second.is_some_and(|block| !is_zero(block)) {
        log::warn!("tar: the archive ends within an entry, or continues after a zero block");
        return Err(Error::Damaged);
    }
    Ok((builder.index, builder.notes))
}

/// Reads the content of an extended header.
async fn value<B: Block, N: Notes>(
    disk: &B,
    builder: &mut Builder<N>,
    at: u64,
    length: u64,
    size: u64,
) -> Result<Vec<u8>, Error> {
    if at.checked_add(length).is_none_or(|end| end > size) {
        return Err(Error::Damaged);
    }
    let length = usize::try_from(length).map_err(|_| Error::NoMemory)?;
    builder.spend(length)?;
    let mut bytes = kernel::memory::zeroed(length).ok_or(Error::NoMemory)?;
    sectors::read(disk, at, &mut bytes).await?;
    Ok(bytes)
}

/// Adds the entry whose header is at byte `at`, and sets the end of its content in `entry`.
async fn take<B: Block, N: Notes>(
    window: &mut Window<'_, B>,
    builder: &mut Builder<N>,
    entry: &mut Entry,
    sparse: &mut format::Sparse,
    at: u64,
) -> Result<(), Error> {
    match entry.kind {
        // A hard link with a size may have content in a pax archive, and has none in others.
        b'1' if entry.stored > 0 && !window.is_next(entry.content).await? => entry.kind = b'0',
        // These types have no content, whatever their size field says (POSIX.1-2001, pax,
        // ustar).
        b'1'..=b'6' => entry.stored = 0,
        b'S' => entry.gnu = Some(old_sparse(window, builder, entry, at).await?),
        _ => {}
    }
    let end = entry.content.checked_add(entry.stored).filter(|&end| end <= window.size);
    end.ok_or(Error::Damaged)?;
    let mut size = 0;
    let kind = match entry.kind {
        // Before POSIX, a file whose name ends with a slash was a folder.
        0 | b'0' if entry.path.ends_with(b"/") => RecordKind::Folder,
        0 | b'0' | b'7' | b'S' => {
            let (mut content, mut stored) = (entry.content, entry.stored);
            let numbers = match (sparse.major, sparse.numbers.take(), entry.gnu.take()) {
                (_, unused, Some((numbers, real))) => {
                    builder.give_back(unused);
                    Some((numbers, real))
                }
                (Some(1), unused, None) => {
                    builder.give_back(unused);
                    let (numbers, length) = map(window, builder, content, stored).await?;
                    (content, stored) = (content + length, stored - length);
                    Some((numbers, sparse.size.ok_or(Error::Damaged)?))
                }
                (None | Some(0), Some(numbers), None) => {
                    Some((numbers, sparse.size.ok_or(Error::Damaged)?))
                }
                (None, None, None) => None,
                _ => return Err(Error::Unsupported),
            };
            match numbers {
                None => {
                    size = stored;
                    RecordKind::File(content)
                }
                Some((numbers, real)) => {
                    size = real;
                    let kind = builder.sparse(&numbers, content, stored, real)?;
                    builder.give_back(Some(numbers));
                    kind
                }
            }
        }
        b'1' => {
            // The target may come later or never: it is resolved on lookup.
            let record = match builder.index.find(&entry.link, false) {
                Ok((_, record)) if !matches!(record.kind, RecordKind::Folder) => record,
                _ => {
                    let target = [&b"/"[..], &entry.link].concat();
                    Record { kind: builder.link(&target)?, modified: entry.modified, ..FOLDER }
                }
            };
            return builder.enter(&entry.path, record);
        }
        b'2' => {
            let link = core::mem::take(&mut entry.link);
            builder.link(&link)?
        }
        b'3' | b'4' | b'6' => RecordKind::Other,
        // GNU's dump directory, whose content is a list of names.
        b'5' | b'D' => RecordKind::Folder,
        // A volume label.
        b'V' => return Ok(()),
        _ => return Err(Error::Unsupported),
    };
    let record = Record { kind, size, modified: entry.modified, id: 0 };
    builder.enter(&entry.path, record)
}

/// Reads the sparse map of GNU's old format, and the size of the file. The map may continue in
/// blocks before the content.
async fn old_sparse<B: Block, N: Notes>(
    window: &mut Window<'_, B>,
    builder: &mut Builder<N>,
    entry: &mut Entry,
    at: u64,
) -> Result<(Vec<u64>, u64), Error> {
    let block = window.block(at).await?.ok_or(Error::Damaged)?;
    let header = Header::new(block).filter(Header::is_gnu).ok_or(Error::Unsupported)?;
    let size = format::number(header.field(483..495)).ok_or(Error::Damaged)?;
    let mut numbers = Vec::new();
    let mut more = Header::sparse(block, 386, 4, &mut numbers, &mut builder.left)?;
    while more {
        let block = window.block(entry.content).await?.ok_or(Error::Damaged)?;
        more = Header::sparse(block, 0, 21, &mut numbers, &mut builder.left)?;
        entry.content += BLOCK;
    }
    Ok((numbers, size))
}

/// Reads the sparse map before the content in GNU's format 1.0, and its length in bytes.
async fn map<B: Block, N: Notes>(
    window: &mut Window<'_, B>,
    builder: &mut Builder<N>,
    content: u64,
    stored: u64,
) -> Result<(Vec<u64>, u64), Error> {
    let (mut numbers, mut length) = (Vec::new(), 0);
    let (mut count, mut digits) = (None, Vec::new());
    while count.is_none_or(|count| (numbers.len() as u64) < count) {
        if length >= stored {
            return Err(Error::Damaged);
        }
        let block = window.block(content + length).await?.ok_or(Error::Damaged)?;
        length += BLOCK;
        for &byte in block {
            if byte != b'\n' {
                if digits.len() >= DIGITS {
                    return Err(Error::Damaged);
                }
                digits.push(byte);
                continue;
            }
            let number = format::decimal(&digits).ok_or(Error::Damaged)?;
            digits.clear();
            match count {
                None => count = Some(number.checked_mul(2).ok_or(Error::Damaged)?),
                Some(_) => format::push(&mut numbers, number, &mut builder.left)?,
            }
            if count == Some(numbers.len() as u64) {
                break;
            }
        }
    }
    // The map is padded to whole blocks.
    let length = length.min(stored);
    Ok((numbers, length))
}
