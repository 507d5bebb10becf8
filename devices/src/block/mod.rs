//! Block devices: sectors that are read and written.
//!
//! [`Block`] takes many requests at a time: each future is one, and they may be
//! answered in any order. A write whose future is ready is with the device, which
//! may still hold it in a volatile cache; [`Block::flush`] is what makes it last.

pub mod blkfront;
pub mod conformance;
pub mod content;
pub mod fault;
#[cfg(not(target_os = "xen"))]
pub mod file;
pub mod memory;
pub mod partition;
mod signs;

use core::fmt;
use kernel::device::{Class, Xl};

/// The class of disks, which have the names that Xen gives them.
pub const CLASS: Class = Class {
    name: "block",
    xl: Some(Xl {
        setting: "disk",
        first: "xvda",
        item: "format=raw,vdev={id},access=rw,target={name}-{id}.img",
    }),
};

/// What a device is, as of now: it may change when the other side does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Bytes of a sector: a power of two from 512 to 4096. Requests begin and end
    /// at sectors.
    pub sector_size: u32,
    /// How many sectors there are.
    pub sectors: u64,
    /// Nothing can be written.
    pub read_only: bool,
    /// [`Block::flush`] is supported. Without it, nobody knows when a write is safe.
    pub flush: bool,
    /// [`Block::discard`] is supported, and what it can be asked for.
    pub discard: Option<Discard>,
    /// How often the device was connected. A change means that the other side may
    /// be a new one.
    pub generation: u32,
}

impl Info {
    /// Whether `length` bytes from `sector` on are whole sectors of the device.
    ///
    /// # Errors
    /// [`ErrorKind::Misaligned`] or [`ErrorKind::OutOfRange`].
    pub fn check(&self, sector: u64, length: usize) -> Result<(), ErrorKind> {
        let size = self.sector_size as usize;
        if length == 0 || !length.is_multiple_of(size) {
            return Err(ErrorKind::Misaligned);
        }
        self.check_range(sector, (length / size) as u64)
    }

    /// Whether the device has `count` sectors from `sector` on.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`].
    pub fn check_range(&self, sector: u64, count: u64) -> Result<(), ErrorKind> {
        let fits = sector.checked_add(count).is_some_and(|end| end <= self.sectors);
        if fits { Ok(()) } else { Err(ErrorKind::OutOfRange) }
    }

    /// Whether `count` sectors from `sector` on can be discarded.
    ///
    /// # Errors
    /// [`ErrorKind::ReadOnly`], [`ErrorKind::Unsupported`], [`ErrorKind::Misaligned`] or
    /// [`ErrorKind::OutOfRange`].
    pub fn check_discard(&self, sector: u64, count: u64) -> Result<(), ErrorKind> {
        if self.read_only {
            return Err(ErrorKind::ReadOnly);
        }
        let Discard { granularity, alignment } = self.discard.ok_or(ErrorKind::Unsupported)?;
        let aligned = |number: u64| number.checked_rem(granularity) == Some(0);
        if count == 0 || !sector.checked_sub(alignment).is_some_and(aligned) || !aligned(count) {
            return Err(ErrorKind::Misaligned);
        }
        self.check_range(sector, count)
    }
}

/// What a device can discard, in sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discard {
    /// Ranges have to begin at a multiple of it, and have to be as long as one.
    pub granularity: u64,
    /// The offset of the first such multiple.
    pub alignment: u64,
}

/// Why a request was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It goes beyond the device's end, which may have moved.
    OutOfRange,
    /// Its length is not one of whole sectors, or nothing.
    Misaligned,
    /// The device can only be read.
    ReadOnly,
    /// The device does not know such requests.
    Unsupported,
    /// The device says that it failed.
    Failed,
    /// The device did not answer in time, and is not used any more.
    TimedOut,
    /// The device is gone for good, or its other side broke the protocol.
    Gone,
    /// No memory is left for it.
    Exhausted,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfRange => "the request goes beyond the end of the disk",
            Self::Misaligned => "the request does not consist of whole sectors",
            Self::ReadOnly => "the disk can only be read",
            Self::Unsupported => "the disk does not support that",
            Self::Failed => "the disk reports an error",
            Self::TimedOut => "the disk does not answer",
            Self::Gone => "the disk is gone",
            Self::Exhausted => "no memory is left for the request",
        })
    }
}

/// An error of a block device.
///
/// # Example
/// ```
/// # mod xenith { pub use kernel::*; pub use xenith_devices::*; }
///
/// use core::fmt;
/// use xenith::block::{Error, ErrorKind};
///
/// /// An error of a disk that is split over two others.
/// #[derive(Debug)]
/// struct Half<E> {
///     upper: bool,
///     error: E,
/// }
///
/// impl<E: Error> fmt::Display for Half<E> {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         let half = if self.upper { "upper" } else { "lower" };
///         write!(f, "the {half} half: {}", self.error)
///     }
/// }
///
/// impl<E: Error> core::error::Error for Half<E> {}
///
/// impl<E: Error> Error for Half<E> {
///     fn kind(&self) -> ErrorKind {
///         self.error.kind()
///     }
/// }
///
/// let error = Half { upper: true, error: ErrorKind::TimedOut };
/// assert_eq!(error.kind(), ErrorKind::TimedOut);
/// assert_eq!(error.to_string(), "the upper half: the disk does not answer");
/// ```
pub trait Error: core::error::Error {
    /// What sort of error it is.
    fn kind(&self) -> ErrorKind;
}

impl core::error::Error for ErrorKind {}

impl Error for ErrorKind {
    fn kind(&self) -> ErrorKind {
        *self
    }
}

/// Something that holds sectors.
///
/// Dropping the future of a request abandons it: a write may or may not be done.
///
/// # Example
/// ```
/// # mod xenith { pub use kernel::*; pub use xenith_devices::*; }
///
/// use xenith::block::memory::Memory;
/// use xenith::block::{Block, Error, ErrorKind};
/// use xenith::task::{block_on, join};
///
/// /// Counts a start in the first sector of a disk, and returns how many there were.
/// async fn count_start<B: Block>(disk: &B) -> Result<u64, B::Error> {
///     let mut sector = vec![0; disk.info().sector_size as usize];
///     disk.read(0, &mut sector).await?;
///     let (number, _) = sector.split_first_chunk_mut::<8>().expect("a sector has 512 bytes");
///     let starts = u64::from_le_bytes(*number) + 1;
///     *number = starts.to_le_bytes();
///     disk.write(0, &sector).await?;
///     // Until then the device may hold it in a volatile cache.
///     disk.flush().await?;
///     Ok(starts)
/// }
///
/// let disk = Memory::new(512, 8);
/// block_on(async {
///     assert_eq!(count_start(&disk).await?, 1);
///     assert_eq!(count_start(&disk).await?, 2);
///
///     // Requests run at the same time.
///     let (mut first, mut last) = ([0; 512], [0; 512]);
///     let (first, last) = join(disk.read(0, &mut first), disk.read(8, &mut last)).await;
///     assert!(first.is_ok());
///     assert_eq!(last.map_err(|error| error.kind()), Err(ErrorKind::OutOfRange));
///     Ok::<(), ErrorKind>(())
/// })?;
/// # Ok::<(), ErrorKind>(())
/// ```
pub trait Block {
    /// What goes wrong with it.
    type Error: Error;

    /// What the device is now.
    fn info(&self) -> Info;

    /// Reads as many sectors as `to` has room for, from `sector` on.
    ///
    /// # Errors
    /// Any of [`ErrorKind`] but [`ErrorKind::ReadOnly`]; what `to` holds then says nothing.
    fn read(&self, sector: u64, to: &mut [u8]) -> impl Future<Output = Result<(), Self::Error>>;

    /// Writes the sectors in `from`, from `sector` on. Of writes that overlap and are
    /// under way at once, either may win, sector by sector.
    ///
    /// # Errors
    /// Any of [`ErrorKind`]; each sector then holds what it held, or what it should, or,
    /// if the device does not promise whole sectors, something else.
    fn write(&self, sector: u64, from: &[u8]) -> impl Future<Output = Result<(), Self::Error>>;

    /// Makes every write that was ready before this call last through a loss of power.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where [`Info::flush`] is not said; [`ErrorKind::Failed`]
    /// also when a write since the last flush failed, whoever was told of it (rule B8, B9).
    fn flush(&self) -> impl Future<Output = Result<(), Self::Error>>;

    /// Says that the content of `count` sectors from `sector` on is not needed any more.
    /// What is read there until they are written again is not defined.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where [`Info::discard`] is not said, and others.
    fn discard(&self, sector: u64, count: u64) -> impl Future<Output = Result<(), Self::Error>>;
}

/// A disk that several use.
impl<B: Block> Block for alloc::rc::Rc<B> {
    type Error = B::Error;

    fn info(&self) -> Info {
        (**self).info()
    }

    fn read(&self, sector: u64, to: &mut [u8]) -> impl Future<Output = Result<(), Self::Error>> {
        (**self).read(sector, to)
    }

    fn write(&self, sector: u64, from: &[u8]) -> impl Future<Output = Result<(), Self::Error>> {
        (**self).write(sector, from)
    }

    fn flush(&self) -> impl Future<Output = Result<(), Self::Error>> {
        (**self).flush()
    }

    fn discard(&self, sector: u64, count: u64) -> impl Future<Output = Result<(), Self::Error>> {
        (**self).discard(sector, count)
    }
}
