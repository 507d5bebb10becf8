//! Reads and writes the sectors of block devices.
//!
//! [`Block`] takes many requests at a time: each future is one, and they may complete in any
//! order. A write that completed is with the device, which may still hold it in a volatile
//! cache; [`Block::flush`] makes it durable.

pub mod blkfront;
pub mod conformance;
pub mod content;
pub mod fault;
#[cfg(not(target_os = "xen"))]
pub mod file;
pub mod memory;
pub mod partition;
mod signs;
pub mod verity;

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

/// Describes a device as it is now. All of it may change with the next connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The size of a sector in bytes: a power of two from 512 to 4096. Requests are of whole
    /// sectors.
    pub sector_size: u32,
    /// The number of sectors.
    pub sectors: u64,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Whether [`Block::flush`] is supported. Without it, no write is known to be durable.
    pub flush: bool,
    /// What [`Block::discard`] can be asked for, if it is supported.
    pub discard: Option<Discard>,
    /// The number of times that the device was connected. After a change the other side may
    /// be another one.
    pub generation: u32,
    /// The number of times that writes which had completed, and were not flushed, may have been
    /// lost with the other side. A flush tells one of those who share a device of that; the others
    /// compare this.
    pub lost: u32,
}

impl Info {
    /// Describes a device of `sectors` sectors of `sector_size` bytes that can be written,
    /// with neither [`flush`](Self::flush) nor [`discard`](Self::discard).
    #[must_use]
    pub const fn new(sector_size: u32, sectors: u64) -> Self {
        Self {
            sector_size,
            sectors,
            read_only: false,
            flush: false,
            discard: None,
            generation: 0,
            lost: 0,
        }
    }

    /// Checks that `length` bytes from `sector` on are whole sectors of the device.
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

    /// Checks that the device has `count` sectors from `sector` on.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`].
    pub fn check_range(&self, sector: u64, count: u64) -> Result<(), ErrorKind> {
        let fits = sector.checked_add(count).is_some_and(|end| end <= self.sectors);
        if fits { Ok(()) } else { Err(ErrorKind::OutOfRange) }
    }

    /// Checks that `count` sectors from `sector` on can be discarded.
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

/// Describes what a device can discard, in sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discard {
    /// Ranges start at a multiple of it, counted from `alignment`, and are as long as one.
    pub granularity: u64,
    /// The first sector at which a range may start.
    pub alignment: u64,
}

/// Tells why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request reaches beyond the end of the device, which may have shrunk.
    OutOfRange,
    /// The length is 0 or not a multiple of the sector size.
    Misaligned,
    /// The device is read-only.
    ReadOnly,
    /// The device does not support this request.
    Unsupported,
    /// The device reported an error.
    Failed,
    /// The device did not respond in time. A write may or may not have taken place.
    TimedOut,
    /// The device was removed, or its other side broke the protocol.
    Gone,
    /// Memory is exhausted.
    Exhausted,
    /// What was read is not what was written: it does not match its checksum or hash.
    Damaged,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfRange => "the request reaches beyond the end of the disk",
            Self::Misaligned => "the request does not consist of whole sectors",
            Self::ReadOnly => "the disk is read-only",
            Self::Unsupported => "the disk does not support this request",
            Self::Failed => "the disk reports an error",
            Self::TimedOut => "the disk does not respond",
            Self::Gone => "the disk is gone",
            Self::Exhausted => "no memory is left for the request",
            Self::Damaged => "the disk's content does not match its hash",
        })
    }
}

/// Classifies the errors of a block device.
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
/// assert_eq!(error.to_string(), "the upper half: the disk does not respond");
/// ```
pub trait Error: core::error::Error {
    /// Returns the kind of the error.
    fn kind(&self) -> ErrorKind;
}

impl core::error::Error for ErrorKind {}

impl Error for ErrorKind {
    fn kind(&self) -> ErrorKind {
        *self
    }
}

/// Stores sectors.
///
/// Dropping the future of a request abandons it: a write may or may not take place.
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
    /// The error of a request.
    type Error: Error;

    /// Returns what the device is now.
    fn info(&self) -> Info;

    /// Reads sectors from `sector` on until `to` is full.
    ///
    /// # Errors
    /// Any [`ErrorKind`] but [`ErrorKind::ReadOnly`]; the content of `to` is then unspecified.
    fn read(&self, sector: u64, to: &mut [u8]) -> impl Future<Output = Result<(), Self::Error>>;

    /// Writes `from` to the sectors from `sector` on. Of overlapping writes in flight, either
    /// may win, sector by sector.
    ///
    /// # Errors
    /// Any [`ErrorKind`]; each sector then holds its old or its new content, or a mixture if
    /// the device does not write sectors atomically.
    fn write(&self, sector: u64, from: &[u8]) -> impl Future<Output = Result<(), Self::Error>>;

    /// Makes every write that completed before this call durable: it survives a loss of power.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] without [`Info::flush`]; [`ErrorKind::Failed`] also if any
    /// write since the last flush failed or may have been lost, whether or not its caller was told
    /// (rules B8, B9). One flush tells of that: those who share the device, and have written
    /// before it, see that [`Info::lost`] has changed.
    fn flush(&self) -> impl Future<Output = Result<(), Self::Error>>;

    /// Discards the content of `count` sectors from `sector` on. Until they are written again,
    /// reads of them return unspecified bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] without [`Info::discard`]; [`ErrorKind::Misaligned`] for
    /// ranges that it does not allow; and those of a write.
    fn discard(&self, sector: u64, count: u64) -> impl Future<Output = Result<(), Self::Error>>;
}

/// Shares a disk.
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
