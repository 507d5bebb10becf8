//! A disk that fails, is slow, and loses power, for tests. The same seed makes the same
//! trouble.
//!
//! With a volatile cache, what is written stays there until a flush. When the power
//! fails, each sector that is still in it was written or was not, whatever the order,
//! and the one that is just being written may be torn: a part of it is new.
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

/// How often what goes wrong, in thousandths of all requests, and what else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Reads that fail.
    pub read: u32,
    /// Writes that fail, and may or may not be done.
    pub write: u32,
    /// Flushes that fail.
    pub flush: u32,
    /// The least and the most time that a request takes.
    pub delay: (Duration, Duration),
    /// What is written stays in a volatile cache until a flush.
    pub cache: bool,
    /// Sectors are torn when the power fails.
    pub tear: bool,
}

/// A [`Block`] with [`Faults`].
#[derive(Debug)]
pub struct Fault<B> {
    disk: B,
    faults: Cell<Faults>,
    random: Cell<u64>,
    /// Sectors that are written and not flushed, in order.
    cache: RefCell<Vec<(u64, Vec<u8>)>>,
    off: Cell<bool>,
    /// Writes until the power fails.
    left: Cell<Option<u64>>,
    failures: Cell<bool>,
}

impl<B: Block> Fault<B> {
    /// `disk` with `faults`, by the random numbers that `seed` makes.
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

    /// Goes on with other faults.
    pub fn set(&self, faults: Faults) {
        self.faults.set(faults);
    }

    /// The power fails in the middle of the write after `writes` more.
    pub fn fail_after(&self, writes: u64) {
        self.left.set(Some(writes));
    }

    /// Whether the power has failed.
    pub fn is_off(&self) -> bool {
        self.off.get()
    }

    /// The power fails: what is in the cache is lost, or not, sector by sector.
    ///
    /// # Errors
    /// Those of the disk beneath.
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

    /// The power is back.
    pub fn power_on(&self) {
        self.off.set(false);
        self.failures.set(false);
    }

    /// The disk beneath.
    pub const fn disk(&self) -> &B {
        &self.disk
    }

    /// A number that need not be unpredictable (splitmix64).
    fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mut number = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ number >> 31
    }

    /// Lets a request begin: it takes its time, and may fail.
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
