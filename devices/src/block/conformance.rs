//! Tests whether a block device keeps the contract of [`Block`]. The device is overwritten.
//! Guests run it on real Xen, and tests on every other implementation.
//!
//! # Example
//! ```
//! # mod xenith { pub use kernel::*; pub use xenith_devices::*; }
//!
//! use xenith::block::conformance::check;
//! use xenith::block::memory::Memory;
//! use xenith::task::block_on;
//!
//! assert_eq!(block_on(check(&Memory::new(4096, 1024))), Ok(()));
//! ```

use super::{Block, Error, ErrorKind};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::pin::pin;
use core::task::{Context, Poll};
use kernel::task::join_array;

/// The bytes of `count` sectors from `sector` on, which differ from all others and from
/// those of another `round`.
fn content(sector: u64, count: usize, size: usize, round: u64) -> Vec<u8> {
    let mut bytes = vec![0; count * size];
    let (words, _) = bytes.as_chunks_mut::<8>();
    for (word, at) in words.iter_mut().zip(sector * (size as u64 / 8)..) {
        *word = (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ round << 56).to_le_bytes();
    }
    bytes
}

/// Expects an error of this kind.
fn refused<E: Error>(
    result: Result<(), E>,
    kind: ErrorKind,
    what: &'static str,
) -> Result<(), &'static str> {
    match result {
        Err(error) if error.kind() == kind => Ok(()),
        _ => Err(what),
    }
}

/// Sends a device every kind of request, valid and invalid, and checks the results.
///
/// # Errors
/// The first breach of the contract.
pub async fn check<B: Block>(disk: &B) -> Result<(), &'static str> {
    let info = disk.info();
    let size = info.sector_size as usize;
    if !size.is_power_of_two() || !(512..=4096).contains(&size) || info.sectors == 0 {
        return Err("its sector size or its size is invalid");
    }
    limits(disk).await?;
    if info.read_only {
        return read_only(disk).await;
    }
    sizes(disk).await?;
    let flushed = disk.flush().await;
    if info.flush {
        flushed.map_err(|_| "a flush fails")?;
    } else {
        refused(flushed, ErrorKind::Unsupported, "a flush that is not supported is no error")?;
    }
    discards(disk).await?;
    if info.sectors >= 64 {
        Box::pin(many(disk)).await?;
        Box::pin(abandoned(disk)).await?;
    }
    Ok(())
}

/// What lies beyond the end, or is no whole sector, is refused.
async fn limits<B: Block>(disk: &B) -> Result<(), &'static str> {
    let info = disk.info();
    let size = info.sector_size as usize;
    let mut sector = vec![0; 2 * size];
    let end = info.sectors;
    let beyond = disk.read(end, &mut sector[..size]).await;
    refused(beyond, ErrorKind::OutOfRange, "a sector beyond the end is read")?;
    let across = disk.read(end - 1, &mut sector).await;
    refused(across, ErrorKind::OutOfRange, "sectors across the end are read")?;
    let far = disk.read(u64::MAX, &mut sector).await;
    refused(far, ErrorKind::OutOfRange, "a sector that cannot be is read")?;
    let part = disk.read(0, &mut sector[..size / 2]).await;
    refused(part, ErrorKind::Misaligned, "half a sector is read")?;
    let none = disk.read(0, &mut []).await;
    refused(none, ErrorKind::Misaligned, "nothing is read")?;
    if info.read_only {
        return Ok(());
    }
    let beyond = disk.write(end, &sector[..size]).await;
    refused(beyond, ErrorKind::OutOfRange, "a sector beyond the end is written")?;
    let part = disk.write(0, &sector[..size + 1]).await;
    refused(part, ErrorKind::Misaligned, "a part of a sector is written")
}

/// What can only be read is read.
async fn read_only<B: Block>(disk: &B) -> Result<(), &'static str> {
    let mut sector = vec![0; disk.info().sector_size as usize];
    let written = disk.write(0, &sector).await;
    refused(written, ErrorKind::ReadOnly, "a read-only device is written to")?;
    let discarded = disk.discard(0, 1).await;
    refused(discarded, ErrorKind::ReadOnly, "a read-only device discards")?;
    disk.read(0, &mut sector).await.map_err(|_| "a read-only device is not read")
}

/// Writes of many sizes at both ends are read back, and do not touch their neighbours.
async fn sizes<B: Block>(disk: &B) -> Result<(), &'static str> {
    let info = disk.info();
    let size = info.sector_size as usize;
    let mut round = 0;
    // Up to more than any device takes at once.
    for bytes in [1, size, 3 * size, 4096, 8192 + size, 45_056, 49_152, 300_000, 1 << 20, 1_200_000]
    {
        let count = bytes.div_ceil(size);
        if count as u64 + 2 > info.sectors {
            continue;
        }
        for first in [1, info.sectors - count as u64 - 1] {
            round += 1;
            let around = content(first - 1, count + 2, size, round);
            disk.write(first - 1, &around).await.map_err(|_| "a write fails")?;
            let inner = content(first, count, size, round + 100);
            disk.write(first, &inner).await.map_err(|_| "a write fails")?;
            let mut back = vec![0xAA; (count + 2) * size];
            disk.read(first - 1, &mut back).await.map_err(|_| "a read fails")?;
            let (before, rest) = back.split_at(size);
            let (middle, after) = rest.split_at(count * size);
            if before != &around[..size] || after != &around[(count + 1) * size..] {
                return Err("a write changes its neighbours");
            }
            if middle != inner {
                return Err("something else is read than was written");
            }
        }
    }
    Ok(())
}

/// Discards what may be discarded, and nothing else.
async fn discards<B: Block>(disk: &B) -> Result<(), &'static str> {
    let info = disk.info();
    let Some(can) = info.discard else {
        let result = disk.discard(0, 1).await;
        return refused(result, ErrorKind::Unsupported, "a discard is not refused");
    };
    let size = info.sector_size as usize;
    let (first, count) = (can.alignment, can.granularity);
    let result = disk.discard(first, 0).await;
    refused(result, ErrorKind::Misaligned, "nothing is discarded")?;
    if can.granularity > 1 {
        let result = disk.discard(first + 1, count).await;
        refused(result, ErrorKind::Misaligned, "a discard that is not aligned is done")?;
    }
    let beyond = first + info.sectors.next_multiple_of(can.granularity);
    let result = disk.discard(beyond, count).await;
    refused(result, ErrorKind::OutOfRange, "what is beyond the end is discarded")?;
    if first + count >= info.sectors {
        return Ok(());
    }
    let next = content(first + count, 1, size, 7);
    disk.write(first + count, &next).await.map_err(|_| "a write fails")?;
    disk.discard(first, count).await.map_err(|_| "a discard fails")?;
    let mut back = vec![0; size];
    disk.read(first + count, &mut back).await.map_err(|_| "a read fails")?;
    if back != next {
        return Err("a discard changes its neighbours");
    }
    // What was discarded can be used again.
    disk.write(first, &next).await.map_err(|_| "a write fails")?;
    disk.read(first, &mut back).await.map_err(|_| "a read fails")?;
    if back == next { Ok(()) } else { Err("what was discarded does not hold what is written") }
}

/// Many requests at once, next to each other and apart.
async fn many<B: Block>(disk: &B) -> Result<(), &'static str> {
    let size = disk.info().sector_size as usize;
    for step in [1, 2] {
        let sectors: [u64; 32] = core::array::from_fn(|number| number as u64 * step);
        let writes = sectors.map(|sector| {
            let bytes = content(sector, 1, size, 8 + step);
            // Guests have small stacks.
            Box::pin(async move { disk.write(sector, &bytes).await })
        });
        let written = join_array(writes).await;
        if written.iter().any(Result::is_err) {
            return Err("one of many writes at once fails");
        }
        let reads = sectors.map(|sector| {
            Box::pin(async move {
                let mut back = vec![0; size];
                let result = disk.read(sector, &mut back).await;
                result.is_ok() && back == content(sector, 1, size, 8 + step)
            })
        });
        if !join_array(reads).await.into_iter().all(|right| right) {
            return Err("of many requests at once, one goes wrong");
        }
    }
    let mut whole = vec![0; 32 * size];
    disk.read(0, &mut whole).await.map_err(|_| "a read fails")?;
    let right = (0..32)
        .step_by(2)
        .all(|sector| whole[sector * size..][..size] == content(sector as u64, 1, size, 10));
    if right { Ok(()) } else { Err("what many wrote is not read as one") }
}

/// A request that nobody waits for any more does no harm.
async fn abandoned<B: Block>(disk: &B) -> Result<(), &'static str> {
    let size = disk.info().sector_size as usize;
    let (old, new) = (content(40, 8, size, 11), content(40, 8, size, 12));
    for polls in 0..3 {
        disk.write(40, &old).await.map_err(|_| "a write fails")?;
        {
            let mut write = pin!(disk.write(40, &new));
            let mut left = polls;
            core::future::poll_fn(|context: &mut Context<'_>| {
                if left == 0 || write.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                left -= 1;
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
        // It is behind the abandoned one wherever order is kept, and may not be elsewhere.
        let other = content(48, 8, size, 13 + polls);
        disk.write(48, &other).await.map_err(|_| "a write after an abandoned one fails")?;
        let mut back = vec![0; 16 * size];
        disk.read(40, &mut back).await.map_err(|_| "a read after an abandoned write fails")?;
        let (first, second) = back.split_at(8 * size);
        let sectors = first.chunks(size).zip(old.chunks(size).zip(new.chunks(size)));
        if second != other || sectors.into_iter().any(|(is, (old, new))| is != old && is != new) {
            return Err("an abandoned write spoils what is there");
        }
    }
    Ok(())
}
