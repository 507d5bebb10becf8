//! Provides a disk in memory, for tests and for what need not last.
//!
//! # Example
//! ```
//! # mod xenith { pub use kernel::*; pub use xenith_devices::*; }
//!
//! use xenith::block::memory::Memory;
//! use xenith::block::{Block, ErrorKind};
//! use xenith::task::block_on;
//!
//! let disk = Memory::from_bytes(512, b"boot".repeat(256));
//! assert_eq!(disk.info().sectors, 2);
//! let mut sector = [0; 512];
//! block_on(disk.read(1, &mut sector))?;
//! assert!(sector.starts_with(b"boot"));
//!
//! let locked = disk.clone().read_only();
//! assert_eq!(block_on(locked.write(0, &sector)), Err(ErrorKind::ReadOnly));
//! # Ok::<(), ErrorKind>(())
//! ```

use super::{Block, Discard, ErrorKind, Info};
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::Range;
use kernel::task::yield_now;

/// Sectors in memory. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct Memory {
    bytes: Rc<RefCell<Vec<u8>>>,
    sector_size: u32,
    read_only: bool,
}

impl Memory {
    /// Makes a disk of `sectors` zeroed sectors of `sector_size` bytes each.
    ///
    /// # Panics
    /// If `sector_size` is not a power of two from 512 to 4096.
    #[must_use]
    pub fn new(sector_size: u32, sectors: usize) -> Self {
        Self::from_bytes(sector_size, vec![0; sector_size as usize * sectors])
    }

    /// Makes a disk that holds `bytes`, without a last sector that is not whole.
    ///
    /// # Panics
    /// As [`Memory::new`].
    #[must_use]
    pub fn from_bytes(sector_size: u32, bytes: Vec<u8>) -> Self {
        assert!(
            sector_size.is_power_of_two() && (512..=4096).contains(&sector_size),
            "{sector_size} bytes are no sector: it has a power of two from 512 to 4096"
        );
        Self { bytes: Rc::new(RefCell::new(bytes)), sector_size, read_only: false }
    }

    /// Returns a read-only handle to the same disk.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }

    /// Returns a copy of its content.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.borrow().clone()
    }

    fn range(&self, sector: u64, length: usize) -> Result<Range<usize>, ErrorKind> {
        self.info().check(sector, length)?;
        let start = sector as usize * self.sector_size as usize;
        Ok(start..start + length)
    }
}

impl Block for Memory {
    type Error = ErrorKind;

    fn info(&self) -> Info {
        Info {
            sector_size: self.sector_size,
            sectors: self.bytes.borrow().len() as u64 / u64::from(self.sector_size),
            read_only: self.read_only,
            flush: true,
            discard: Some(Discard { granularity: 1, alignment: 0 }),
            generation: 1,
            lost: 0,
        }
    }

    async fn read(&self, sector: u64, to: &mut [u8]) -> Result<(), ErrorKind> {
        // As with any disk, others get their turn.
        yield_now().await;
        let range = self.range(sector, to.len())?;
        to.copy_from_slice(&self.bytes.borrow()[range]);
        Ok(())
    }

    async fn write(&self, sector: u64, from: &[u8]) -> Result<(), ErrorKind> {
        yield_now().await;
        if self.read_only {
            return Err(ErrorKind::ReadOnly);
        }
        let range = self.range(sector, from.len())?;
        self.bytes.borrow_mut()[range].copy_from_slice(from);
        Ok(())
    }

    async fn flush(&self) -> Result<(), ErrorKind> {
        yield_now().await;
        Ok(())
    }

    async fn discard(&self, sector: u64, count: u64) -> Result<(), ErrorKind> {
        yield_now().await;
        self.info().check_discard(sector, count)?;
        let size = self.sector_size as usize;
        let start = sector as usize * size;
        self.bytes.borrow_mut()[start..start + count as usize * size].fill(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance::check;
    use super::*;
    use kernel::task::block_on;

    #[test]
    fn it_is_a_block_device() {
        for size in [512, 1024, 4096] {
            let disk = Memory::new(size, (8 << 20) / size as usize);
            assert_eq!(block_on(check(&disk)), Ok(()));
            assert_eq!(block_on(check(&disk.read_only())), Ok(()));
        }
        assert_eq!(block_on(check(&Memory::new(512, 1))), Ok(()));
    }
}
