//! Makes a disk fail, delay requests and lose power, for tests. Equal seeds give equal faults.
//!
//! With a volatile cache, writes stay in it until a flush. When the power fails, each cached
//! sector was written or not, in no order, and the one being written may be torn: its head is
//! new and its tail is old.
//!
//! # Example
//! ```
//! # mod xenith { pub use kernel::*; pub use xenith_devices::*; }
//!
//! use xenith::block::fault::{Fault, Faults};
//! use xenith::block::memory::Memory;
//! use xenith::block::{Block, ErrorKind};
//! use xenith::task::block_on;
//!
//! let cached = Faults { cache: true, tear: true, ..Faults::default() };
//! let disk = Fault::new(Memory::new(512, 8), cached, 42);
//! block_on(async {
//!     disk.write(0, &[1; 512]).await?;
//!     disk.flush().await?;
//!     // The power fails in the middle of the next write.
//!     disk.fail_after(0);
//!     assert_eq!(disk.write(1, &[2; 512]).await, Err(ErrorKind::Gone));
//!     disk.power_on();
//!     let mut sector = [0; 512];
//!     disk.read(0, &mut sector).await?;
//!     assert_eq!(sector, [1; 512], "what was flushed is there");
//!     Ok::<(), ErrorKind>(())
//! })?;
//! # Ok::<(), ErrorKind>(())
//! ```

use super::{Block, Error, ErrorKind, Info};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::time::Duration;
use kernel::time::sleep;

/// Sets how often each fault occurs, in requests of a thousand, and how the disk behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Reads that fail.
    pub read: u32,
    /// Writes that fail, and may or may not have taken place.
    pub write: u32,
    /// Flushes that fail.
    pub flush: u32,
    /// The shortest and the longest time that a request takes.
    pub delay: (Duration, Duration),
    /// Whether writes stay in a volatile cache until a flush.
    pub cache: bool,
    /// Whether a sector may be torn when the power fails.
    pub tear: bool,
}

/// Wraps a [`Block`] whose requests suffer [`Faults`].
#[derive(Debug)]
pub struct Fault<B> {
    disk: B,
    faults: Cell<Faults>,
    random: Cell<u64>,
    /// The sectors that were written and not flushed, in order.
    cache: RefCell<Vec<(u64, Vec<u8>)>>,
    off: Cell<bool>,
    /// The number of writes until the power fails.
    left: Cell<Option<u64>>,
    failures: Cell<bool>,
}

impl<B: Block> Fault<B> {
    /// Wraps `disk`; `seed` determines which requests are affected.
    pub const fn new(disk: B, faults: Faults, seed: u64) -> Self {
        Self {
            disk,
            faults: Cell::new(faults),
            random: Cell::new(seed),
            cache: RefCell::new(Vec::new()),
            off: Cell::new(false),
            left: Cell::new(None),
            failures: Cell::new(false),
        }
    }

    /// Replaces the faults.
    pub fn set(&self, faults: Faults) {
        self.faults.set(faults);
    }

    /// Lets the power fail during the write that follows `writes` more.
    pub fn fail_after(&self, writes: u64) {
        self.left.set(Some(writes));
    }

    /// Returns whether the power has failed.
    pub fn is_off(&self) -> bool {
        self.off.get()
    }

    /// Lets the power fail: each cached sector is written or lost.
    ///
    /// # Errors
    /// Those of the wrapped disk.
    pub async fn power_off(&self) -> Result<(), B::Error> {
        self.off.set(true);
        self.left.set(None);
        let cache = self.cache.take();
        let last = cache.len().checked_sub(1);
        for (number, (sector, mut bytes)) in cache.into_iter().enumerate() {
            if self.random() & 1 == 0 {
                continue;
            }
            if self.faults.get().tear && Some(number) == last {
                let mut old = vec![0; bytes.len()];
                self.disk.read(sector, &mut old).await?;
                let new = self.random() as usize % (bytes.len() + 1);
                bytes[new..].copy_from_slice(&old[new..]);
            }
            self.disk.write(sector, &bytes).await?;
        }
        Ok(())
    }

    /// Switches the power on again.
    pub fn power_on(&self) {
        self.off.set(false);
        self.failures.set(false);
    }

    /// Returns the wrapped disk.
    pub const fn disk(&self) -> &B {
        &self.disk
    }

    /// Returns a pseudo-random number (splitmix64).
    fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mut number = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ number >> 31
    }

    /// Delays a request; returns whether it is to fail.
    async fn begin(&self, thousandths: u32) -> Result<bool, ErrorKind> {
        let (least, most) = self.faults.get().delay;
        if most > Duration::ZERO {
            let range = most.saturating_sub(least).as_nanos() as u64 + 1;
            sleep(least + Duration::from_nanos(self.random() % range)).await;
        }
        if self.off.get() {
            return Err(ErrorKind::Gone);
        }
        Ok(self.random() % 1000 < thousandths.into())
    }

    fn size(&self) -> usize {
        self.disk.info().sector_size as usize
    }

    /// Writes to the cache, or through to the disk where there is none.
    async fn put(&self, sector: u64, from: &[u8]) -> Result<(), ErrorKind> {
        if !self.faults.get().cache {
            return self.disk.write(sector, from).await.map_err(|error| error.kind());
        }
        let sectors = from.chunks(self.size()).zip(sector..);
        self.cache.borrow_mut().extend(sectors.map(|(bytes, sector)| (sector, bytes.to_vec())));
        Ok(())
    }
}

impl<B: Block> Block for Fault<B> {
    type Error = ErrorKind;

    fn info(&self) -> Info {
        self.disk.info()
    }

    async fn read(&self, sector: u64, to: &mut [u8]) -> Result<(), ErrorKind> {
        if self.begin(self.faults.get().read).await? {
            return Err(ErrorKind::Failed);
        }
        self.disk.read(sector, to).await.map_err(|error| error.kind())?;
        let sectors = to.len() / self.size();
        for (cached, bytes) in self.cache.borrow().iter() {
            if (sector..sector + sectors as u64).contains(cached) {
                let at = (cached - sector) as usize * bytes.len();
                to[at..at + bytes.len()].copy_from_slice(bytes);
            }
        }
        Ok(())
    }

    async fn write(&self, sector: u64, from: &[u8]) -> Result<(), ErrorKind> {
        let info = self.info();
        let fails = self.begin(self.faults.get().write).await?;
        if info.read_only {
            return Err(ErrorKind::ReadOnly);
        }
        info.check(sector, from.len())?;
        if let Some(left) = self.left.get() {
            self.left.set(left.checked_sub(1));
            if left == 0 {
                self.put(sector, from).await?;
                self.power_off().await.map_err(|error| error.kind())?;
                return Err(ErrorKind::Gone);
            }
        }
        if !fails || self.random() & 1 == 0 {
            self.put(sector, from).await?;
        }
        if fails {
            self.failures.set(true);
            return Err(ErrorKind::Failed);
        }
        Ok(())
    }

    async fn flush(&self) -> Result<(), ErrorKind> {
        let fails = self.begin(self.faults.get().flush).await?;
        if !self.info().flush {
            return Err(ErrorKind::Unsupported);
        }
        if fails {
            return Err(ErrorKind::Failed);
        }
        loop {
            // It stays there until it is written, for whoever reads meanwhile.
            let Some((sector, bytes)) = self.cache.borrow().first().cloned() else { break };
            self.disk.write(sector, &bytes).await.map_err(|error| error.kind())?;
            let mut cache = self.cache.borrow_mut();
            if cache.first().is_some_and(|(first, _)| *first == sector) {
                cache.remove(0);
            }
        }
        self.disk.flush().await.map_err(|error| error.kind())?;
        if self.failures.replace(false) { Err(ErrorKind::Failed) } else { Ok(()) }
    }

    async fn discard(&self, sector: u64, count: u64) -> Result<(), ErrorKind> {
        self.begin(0).await?;
        self.info().check_discard(sector, count)?;
        let kept = |&(cached, _): &(u64, Vec<u8>)| !(sector..sector + count).contains(&cached);
        self.cache.borrow_mut().retain(kept);
        self.disk.discard(sector, count).await.map_err(|error| error.kind())
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance::check;
    use super::super::memory::Memory;
    use super::*;
    use kernel::task::block_on;

    fn disk() -> Memory {
        Memory::new(512, 8192)
    }

    #[test]
    fn without_faults_it_is_a_block_device() {
        kernel::testing::simulate_time();
        let delay = (Duration::from_micros(1), Duration::from_millis(9));
        for cache in [false, true] {
            let faults = Faults { cache, delay, ..Faults::default() };
            assert_eq!(block_on(check(&Fault::new(disk(), faults, 1))), Ok(()));
        }
    }

    #[test]
    fn a_flush_tells_of_writes_that_failed_b9() {
        let fault = Fault::new(disk(), Faults { write: 1000, ..Faults::default() }, 1);
        block_on(async {
            assert_eq!(fault.write(0, &[1; 512]).await, Err(ErrorKind::Failed));
            fault.set(Faults::default());
            assert_eq!(fault.write(0, &[2; 512]).await, Ok(()));
            assert_eq!(fault.flush().await, Err(ErrorKind::Failed));
            assert_eq!(fault.flush().await, Ok(()));
        });
    }

    #[test]
    fn what_was_flushed_survives_and_the_rest_may() {
        let (mut kept, mut lost, mut torn) = (0, 0, 0);
        for seed in 0..200 {
            let faults = Faults { cache: true, tear: true, ..Faults::default() };
            let memory = disk();
            let fault = Fault::new(memory.clone(), faults, seed);
            block_on(async {
                fault.write(0, &[1; 1024]).await.unwrap();
                fault.flush().await.unwrap();
                fault.write(1, &[2; 1024]).await.unwrap();
                fault.fail_after(0);
                assert_eq!(fault.write(3, &[3; 512]).await, Err(ErrorKind::Gone));
                assert_eq!(fault.read(0, &mut [0; 512]).await, Err(ErrorKind::Gone));
                fault.power_on();
                let mut back = vec![0; 2048];
                fault.read(0, &mut back).await.unwrap();
                assert_eq!(back[..512], [1; 512]);
                match back[512] {
                    1 => lost += 1,
                    2 => kept += 1,
                    other => panic!("{other}"),
                }
                let last = &back[1536..];
                torn += u32::from(last.contains(&3) && last.contains(&0));
            });
            assert_eq!(memory.bytes()[..512], [1; 512]);
        }
        assert!(kept > 50 && lost > 50 && torn > 50, "{kept} {lost} {torn}");
    }
}
