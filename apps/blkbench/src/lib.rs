//! Measures a disk, and writes over a blank one.
//!
//! A line a measurement, for people and for programs:
//!
//! ```text
//! bench: seq-read size=1048576 depth=4 ops=64 bytes=67108864 ns=123456789
//! ```
//!
//! The name is one of `seq-read`, `seq-write`, `rand-read`, `rand-write` and `flush`
//! (which writes 4096 bytes before each flush); `size` is that of a request in bytes,
//! `depth` how many are under way at once, `ops` how many were done in `ns`
//! nanoseconds. On a disk that can only be read, writes and flushes are left out.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;
use core::pin::Pin;
use core::task::Poll;
use xenith::block::content::{self, Refused};
use xenith::block::{Block, Error, ErrorKind};
use xenith::println;
use xenith::time::Instant;

/// What is written.
const WRITTEN: u8 = 0x5A;

/// Bytes of a random request.
const SMALL: usize = 4096;

/// Bytes of a sequential one.
const LARGE: usize = 1 << 20;

/// Why nothing was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The disk fails.
    Disk(ErrorKind),
    /// It holds something.
    Refused(Refused),
    /// It has less than a mebibyte.
    Small,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Refused(refused) => refused.fmt(f),
            Self::Small => f.write_str("the disk is too small to be measured: give it a mebibyte"),
        }
    }
}

/// One sort of requests.
#[derive(Clone, Copy, Debug)]
struct Work {
    name: &'static str,
    size: usize,
    depth: usize,
    count: u64,
    write: bool,
    random: bool,
}

/// The place of request `number` among `places`, each once before any comes twice if
/// those are a power of two.
const fn place(number: u64, places: u64, random: bool) -> u64 {
    if random { number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % places } else { number % places }
}

/// Does the work with `depth` requests under way, and says how long it took.
async fn run<B: Block>(disk: &B, work: Work) -> Result<(), Failure> {
    let info = disk.info();
    let sectors = (work.size / info.sector_size as usize) as u64;
    let places = info.sectors / sectors;
    let next = Cell::new(0);
    // Each worker takes the next request when its last one is over.
    let worker = || async {
        let mut buffer = vec![WRITTEN; work.size];
        while next.get() < work.count {
            let number = next.replace(next.get() + 1);
            let sector = place(number, places, work.random) * sectors;
            let result = match work.write {
                true => disk.write(sector, &buffer).await,
                false => disk.read(sector, &mut buffer).await,
            };
            result.map_err(|error| Failure::Disk(error.kind()))?;
        }
        Ok(())
    };
    let begun = Instant::now();
    all((0..work.depth).map(|_| Box::pin(worker())).collect()).await?;
    let Work { name, size, depth, count, .. } = work;
    report(name, size, depth, count, begun);
    Ok(())
}

fn report(name: &str, size: usize, depth: usize, count: u64, begun: Instant) {
    let (bytes, ns) = (count * size as u64, begun.elapsed().as_nanos());
    println!("bench: {name} size={size} depth={depth} ops={count} bytes={bytes} ns={ns}");
}

/// Waits for all of them, or for the first that fails.
async fn all<F: Future<Output = Result<(), Failure>>>(
    mut futures: Vec<Pin<Box<F>>>,
) -> Result<(), Failure> {
    core::future::poll_fn(|context| {
        let mut failed = None;
        futures.retain_mut(|future| match future.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(result) => {
                failed = failed.or(result.err());
                false
            }
        });
        match failed {
            Some(error) => Poll::Ready(Err(error)),
            None if futures.is_empty() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    })
    .await
}

/// Measures `disk`: `count` random requests and flushes, and as many bytes in a row, at
/// each depth. On one that holds something nothing is written without `overwrite`.
///
/// # Errors
/// See [`Failure`].
pub async fn start<B: Block>(disk: B, count: u32, overwrite: bool) -> Result<(), Failure> {
    let info = disk.info();
    if info.sectors * u64::from(info.sector_size) < LARGE as u64 {
        return Err(Failure::Small);
    }
    if !info.read_only {
        let is_own = |_, piece: &[u8]| piece.iter().all(|&byte| byte == WRITTEN);
        content::may_write(&disk, overwrite, is_own).await.map_err(Failure::Refused)?;
    }
    let count = u64::from(count).max(1);
    let large = (count * SMALL as u64).div_ceil(LARGE as u64);
    let writes: &[bool] = if info.read_only { &[false] } else { &[true, false] };
    for &write in writes {
        let names = if write { ["seq-write", "rand-write"] } else { ["seq-read", "rand-read"] };
        for depth in [1, 4] {
            let [name, _] = names;
            let work = Work { name, size: LARGE, depth, count: large, write, random: false };
            run(&disk, work).await?;
        }
        for depth in [1, 2, 4, 8, 16, 32] {
            let [_, name] = names;
            let work = Work { name, size: SMALL, depth, count, write, random: true };
            run(&disk, work).await?;
        }
    }
    if info.flush && !info.read_only {
        let count = count.min(64);
        let begun = Instant::now();
        for _ in 0..count {
            let failed = |error: B::Error| Failure::Disk(error.kind());
            disk.write(0, &[WRITTEN; SMALL]).await.map_err(failed)?;
            disk.flush().await.map_err(failed)?;
        }
        report("flush", SMALL, 1, count, begun);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenith::block::memory::Memory;
    use xenith::task::block_on;

    #[test]
    fn a_disk_is_measured_and_a_small_one_is_not() {
        xenith::testing::simulate_time();
        let disk = Memory::new(512, 2048);
        assert_eq!(block_on(start(disk.clone(), 64, false)), Ok(()));
        // It knows its own, and nothing else.
        assert_eq!(block_on(start(disk.clone(), 64, false)), Ok(()));
        let read_only = Memory::new(4096, 512).read_only();
        assert_eq!(block_on(start(read_only, 1, false)), Ok(()));
        assert_eq!(block_on(start(Memory::new(512, 2047), 1, false)), Err(Failure::Small));
    }

    #[test]
    fn what_others_wrote_stays() {
        xenith::testing::simulate_time();
        let disk = Memory::from_bytes(512, vec![1; 1 << 20]);
        let result = block_on(start(disk.clone(), 1, false));
        assert!(matches!(result, Err(Failure::Refused(_))), "{result:?}");
        assert_eq!(disk.bytes(), [1; 1 << 20]);
        assert_eq!(block_on(start(disk, 1, true)), Ok(()));
    }

    #[test]
    fn random_places_are_all_different() {
        let mut places: Vec<_> = (0..256).map(|number| place(number, 256, true)).collect();
        assert_ne!(places[..4], [0, 1, 2, 3]);
        places.sort_unstable();
        assert!(places.into_iter().eq(0..256));
    }
}
