//! Checks all that is read from a disk against one hash.
//!
//! `veritysetup format --hash-offset=BYTES IMAGE IMAGE` of cryptsetup appends a tree of SHA-256
//! hashes to an image of that many bytes, which are a multiple of a block's 4096, and prints the
//! hash at its root. Who knows that needs to trust nothing on
//! the disk: each block is verified up to the root before its content is returned, and what does
//! not match is an error that names the block. The disk is read-only.
//!
//! # Example
//! ```
//! # mod xenith { pub use kernel::*; pub use xenith_devices::*; }
//!
//! use xenith::block::memory::Memory;
//! use xenith::block::verity::{Error, Flaw, Root, Verity};
//! use xenith::task::block_on;
//!
//! // As an argument has it: the root's hash, and the byte at which the hashes begin.
//! let root: Root = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff@4096"
//!     .parse()
//!     .expect("a hash and an offset");
//! // This disk has no hashes.
//! let opened = block_on(Verity::open(Memory::new(512, 64), root));
//! assert!(matches!(opened, Err(Error::Flaw(Flaw::Signature))));
//! ```
//!
//! The format is that of dm-verity (Linux's Documentation/admin-guide/device-mapper/verity.rst)
//! with the superblock of cryptsetup (its wiki, DMVerity), version 1, hash type 1. Of the
//! superblock only the UUID, which has no meaning here, may be changed without an error: the
//! other fields decide where each block's hash is, or have to be zero. Blocks of data and of
//! hashes have one size, and the hashes begin where the data end: else a disk could pass off
//! hashes as data.

mod checked;
mod shape;

use super::{Block, Error as _, ErrorKind, Info};
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
pub use checked::Checked;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::str::FromStr;
use kernel::args::{Reason, Value};
use sha2::{Digest, Sha256};
use shape::{HASH, SUPERBLOCK, Shape};

/// The verified blocks of hashes that are kept. With 4096 bytes each, those of the lowest level
/// lead to 16 MiB of data.
const KEPT: usize = 32;

/// The lines that are logged about damage.
const LINES: u32 = 4;

/// Which disk is trusted: its root's hash, and where its hashes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// The SHA-256 at the root of the tree.
    pub hash: [u8; HASH],
    /// The byte at which the superblock of the hashes is, behind the data.
    pub offset: u64,
}

/// `HASH@OFFSET` is not that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRoot;

impl fmt::Display for NotRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("64 hexadecimal digits, @ and the offset of the hashes in bytes are expected")
    }
}

impl core::error::Error for NotRoot {}

impl FromStr for Root {
    type Err = NotRoot;

    fn from_str(text: &str) -> Result<Self, NotRoot> {
        let (digits, offset) = text.split_once('@').ok_or(NotRoot)?;
        let offset = offset.parse().map_err(|_| NotRoot)?;
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        if pairs.len() != HASH || !rest.is_empty() {
            return Err(NotRoot);
        }
        let mut hash = [0; HASH];
        for (byte, pair) in hash.iter_mut().zip(pairs) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16).ok_or(NotRoot);
            *byte = (digit(0)? << 4 | digit(1)?) as u8;
        }
        Ok(Self { hash, offset })
    }
}

impl Value for Root {
    const KIND: &'static str = "hash and the offset of the hashes in bytes (HASH@OFFSET)";

    fn parse(text: &'static str) -> Result<Self, Reason> {
        text.parse().map_err(|NotRoot| Reason::NotOfKind)
    }
}

/// What is wrong on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// There is no superblock of hashes at the offset.
    Signature,
    /// The superblock says something that is not supported, or impossible.
    Superblock,
    /// The disk ends before its hashes do.
    Short,
    /// This block of data, counted in the size that the superblock has for them, does not match.
    Data(u64),
    /// This block of hashes, counted from the beginning of the disk, does not match.
    Hashes(u64),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature => f.write_str("the disk has no hashes at this offset"),
            Self::Superblock => f.write_str(
                "the superblock of the hashes is damaged, or not one of version 1 with SHA-256",
            ),
            Self::Short => f.write_str("the disk ends before its hashes do"),
            Self::Data(block) => write!(f, "block {block} of the data does not match its hash"),
            Self::Hashes(block) => {
                write!(f, "block {block} of the disk, one of hashes, does not match its own")
            }
        }
    }
}

/// Why a disk cannot be opened or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error<E> {
    /// Something on it is not as it was made.
    Flaw(Flaw),
    /// The request is none that the disk can do.
    Request(ErrorKind),
    /// The disk below failed.
    Disk(E),
}

impl<E> From<Flaw> for Error<E> {
    fn from(flaw: Flaw) -> Self {
        Self::Flaw(flaw)
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flaw(flaw) => flaw.fmt(f),
            Self::Request(kind) => kind.fmt(f),
            Self::Disk(error) => error.fmt(f),
        }
    }
}

impl<E: super::Error> core::error::Error for Error<E> {}

impl<E: super::Error> super::Error for Error<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Flaw(_) => ErrorKind::Damaged,
            Self::Request(kind) => *kind,
            Self::Disk(error) => error.kind(),
        }
    }
}

/// Verified blocks of hashes, by their numbers on the disk, with that of their last use.
type Kept = BTreeMap<u64, (u64, Rc<[u8]>)>;

/// A disk `B` whose content is verified.
#[derive(Debug)]
pub struct Verity<B> {
    disk: B,
    root: [u8; HASH],
    shape: Shape,
    kept: RefCell<Kept>,
    uses: Cell<u64>,
    /// The lines that may still be logged.
    lines: Cell<u32>,
}

impl<B: Block> Verity<B> {
    /// Opens `disk`, and verifies how many blocks of data it has.
    ///
    /// # Errors
    /// [`Error::Flaw`], [`Error::Disk`], and [`ErrorKind::Exhausted`].
    pub async fn open(disk: B, root: Root) -> Result<Self, Error<B::Error>> {
        Self::opened(disk, root).await.inspect_err(|error| {
            if let Error::Flaw(flaw) = error {
                log::error!("verity: {flaw}");
            }
        })
    }

    async fn opened(disk: B, root: Root) -> Result<Self, Error<B::Error>> {
        let sector = u64::from(disk.info().sector_size);
        let mut bytes = alloc::vec![0; SUPERBLOCK.max(sector as usize)];
        if !root.offset.is_multiple_of(sector) {
            return Err(Flaw::Signature.into());
        }
        match disk.read(root.offset / sector, &mut bytes).await {
            Err(error) if error.kind() == ErrorKind::OutOfRange => return Err(Flaw::Short.into()),
            result => result.map_err(Error::Disk)?,
        }
        let shape = Shape::new(&bytes, root.offset, sector)?;
        let info = disk.info();
        if shape.end() > info.sectors.saturating_mul(sector) {
            return Err(Flaw::Short.into());
        }
        let (kept, uses) = Default::default();
        // Whoever opens it says what is wrong.
        let lines = Cell::new(0);
        let it = Self { disk, root: root.hash, shape, kept, uses, lines };
        it.verify_padding().await?;
        it.verify_size().await?;
        it.lines.set(LINES);
        Ok(it)
    }

    /// Verifies that nothing stands between the superblock and the hashes.
    async fn verify_padding(&self) -> Result<(), Error<B::Error>> {
        let (at, block) = self.shape.after_superblock();
        let mut bytes = room(block as usize)?;
        self.read_bytes(at, &mut bytes).await?;
        let rest = bytes.get(self.shape.superblock_within()..).unwrap_or_default();
        if rest.iter().any(|&byte| byte != 0) { Err(Flaw::Superblock.into()) } else { Ok(()) }
    }

    /// Verifies that the tree has hashes for as many blocks of data as the superblock says: no
    /// hash covers that number itself.
    async fn verify_size(&self) -> Result<(), Error<B::Error>> {
        for level in 0..self.shape.levels() {
            let (number, used) = self.shape.last(level);
            let hashes = self.hashes(level, number).await?;
            let (used, rest) = hashes.split_at(used.min(hashes.len()));
            let last = used.get(used.len().saturating_sub(HASH)..).unwrap_or_default();
            if rest.iter().any(|&byte| byte != 0) || last.iter().all(|&byte| byte == 0) {
                return Err(Flaw::Superblock.into());
            }
        }
        Ok(())
    }

    /// Returns the block of hashes `number` of a level, verified up to the root.
    async fn hashes(&self, level: usize, number: u64) -> Result<Rc<[u8]>, Error<B::Error>> {
        // The one above is verified before the one below it, so begin at the root or below the
        // lowest that is known.
        let mut known = None;
        let mut above = level;
        for at in level..self.shape.levels() {
            let of = self.shape.above(number, at - level);
            known = self.find(self.shape.place(at, of));
            above = at;
            if known.is_some() {
                break;
            }
        }
        if let (Some(block), true) = (&known, above == level) {
            return Ok(block.clone());
        }
        let first = if known.is_some() { above } else { above + 1 };
        for at in (level..first).rev() {
            let of = self.shape.above(number, at - level);
            let expected = match &known {
                None => self.root,
                Some(block) => self.shape.entry(block, of),
            };
            let place = self.shape.place(at, of);
            let mut bytes = room(self.shape.hash_block())?;
            self.read_bytes(place * self.shape.hash_block() as u64, &mut bytes).await?;
            if self.digest(&bytes) != expected {
                return Err(self.flawed(Flaw::Hashes(place)));
            }
            let block = Rc::<[u8]>::from(bytes);
            self.keep(place, block.clone());
            known = Some(block);
        }
        known.ok_or(Error::Flaw(Flaw::Superblock))
    }

    /// Verifies block `number` of the data.
    async fn verify(&self, number: u64, bytes: &[u8]) -> Result<(), Error<B::Error>> {
        let expected = if self.shape.levels() == 0 {
            self.root
        } else {
            let hashes = self.hashes(0, self.shape.above(number, 1)).await?;
            self.shape.entry(&hashes, number)
        };
        if self.digest(bytes) == expected { Ok(()) } else { Err(self.flawed(Flaw::Data(number))) }
    }

    fn digest(&self, block: &[u8]) -> [u8; HASH] {
        Sha256::new().chain_update(self.shape.salt()).chain_update(block).finalize().into()
    }

    /// Logs the first few flaws: the errors of file systems name no block.
    fn flawed(&self, flaw: Flaw) -> Error<B::Error> {
        if let Some(left) = self.lines.get().checked_sub(1) {
            self.lines.set(left);
            log::error!("verity: {flaw}");
        }
        flaw.into()
    }

    fn find(&self, place: u64) -> Option<Rc<[u8]>> {
        let mut kept = self.kept.borrow_mut();
        let (used, block) = kept.get_mut(&place)?;
        self.uses.set(self.uses.get() + 1);
        *used = self.uses.get();
        Some(block.clone())
    }

    fn keep(&self, place: u64, block: Rc<[u8]>) {
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= KEPT {
            let oldest = kept.iter().min_by_key(|(_, (used, _))| *used).map(|(&place, _)| place);
            oldest.and_then(|oldest| kept.remove(&oldest));
        }
        self.uses.set(self.uses.get() + 1);
        kept.insert(place, (self.uses.get(), block));
    }

    /// Reads from the disk below, whose size may have changed since it was opened.
    async fn read_bytes(&self, at: u64, to: &mut [u8]) -> Result<(), Error<B::Error>> {
        let sector = u64::from(self.disk.info().sector_size);
        if sector != self.shape.sector() {
            return Err(Flaw::Short.into());
        }
        self.disk.read(at / sector, to).await.map_err(Error::Disk)
    }
}

/// Makes room for a block, the size of which the disk says.
fn room<E>(length: usize) -> Result<Vec<u8>, Error<E>> {
    kernel::memory::zeroed(length).ok_or(Error::Request(ErrorKind::Exhausted))
}

impl<B: Block> Block for Verity<B> {
    type Error = Error<B::Error>;

    fn info(&self) -> Info {
        let sectors = self.shape.data() / self.shape.sector();
        let Info { generation, lost, .. } = self.disk.info();
        let info = Info::new(self.shape.sector() as u32, sectors);
        Info { read_only: true, generation, lost, ..info }
    }

    async fn read(&self, sector: u64, to: &mut [u8]) -> Result<(), Self::Error> {
        self.info().check(sector, to.len()).map_err(Error::Request)?;
        let (size, mut at) = (self.shape.data_block(), sector * self.shape.sector());
        let mut rest = to;
        while !rest.is_empty() {
            let within = (at % size as u64) as usize;
            let whole = if within == 0 { rest.len() / size * size } else { 0 };
            let length = if whole > 0 { whole } else { rest.len().min(size - within) };
            let (part, behind) = rest.split_at_mut(length);
            let first = at / size as u64;
            if whole > 0 {
                self.read_bytes(at, part).await?;
                for (number, block) in (first..).zip(part.chunks_exact(size)) {
                    self.verify(number, block).await?;
                }
            } else {
                let mut block = room(size)?;
                self.read_bytes(first * size as u64, &mut block).await?;
                self.verify(first, &block).await?;
                let from = block.get(within..within + length).unwrap_or_default();
                part.copy_from_slice(from);
            }
            at += length as u64;
            rest = behind;
        }
        Ok(())
    }

    async fn write(&self, _: u64, _: &[u8]) -> Result<(), Self::Error> {
        Err(Error::Request(ErrorKind::ReadOnly))
    }

    async fn flush(&self) -> Result<(), Self::Error> {
        Err(Error::Request(ErrorKind::Unsupported))
    }

    async fn discard(&self, _: u64, _: u64) -> Result<(), Self::Error> {
        Err(Error::Request(ErrorKind::ReadOnly))
    }
}

#[cfg(test)]
mod tests;
