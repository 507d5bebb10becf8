//! A high score on a disk: a number is drawn, and the highest so far stays in a slot,
//! which is a sector with a checksum.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use crc::{CRC_32_ISO_HDLC, Crc, Table};
use xenith::Exit;
use xenith::block::content::{self, Refused};
use xenith::block::{Block, Error, ErrorKind};
use xenith::println;

const CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

const MAGIC: [u8; 8] = *b"XLOTTERY";

/// What a slot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// The highest number so far.
    pub best: u32,
    /// How many were drawn.
    pub games: u32,
}

/// Bytes of a slot.
const LENGTH: usize = 20;

impl Slot {
    /// The slot in a sector; nothing if there is none.
    #[must_use]
    pub fn decode(sector: &[u8]) -> Option<Self> {
        let (content, sum) = sector.get(..LENGTH)?.split_last_chunk()?;
        let number = |at: usize| content.get(at..)?.first_chunk().copied().map(u32::from_le_bytes);
        let right =
            content.starts_with(&MAGIC) && u32::from_le_bytes(*sum) == CRC.checksum(content);
        right.then_some(Self { best: number(8)?, games: number(12)? })
    }

    /// The slot as the content of a sector of `size` bytes.
    #[must_use]
    pub fn encode(self, size: usize) -> Vec<u8> {
        let mut sector = MAGIC.to_vec();
        sector.extend(self.best.to_le_bytes());
        sector.extend(self.games.to_le_bytes());
        sector.extend(CRC.checksum(&sector).to_le_bytes());
        sector.resize(size, 0);
        sector
    }
}

/// Why there is no game.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There are only so many slots.
    Slot(u64),
    /// The slot holds something else, or is damaged.
    Content,
    /// The disk holds something that is no game.
    Refused(Refused),
    /// The disk fails.
    Disk(ErrorKind),
    /// There are no random numbers.
    Unseeded,
}

impl Failure {
    /// The exit status that tells of it.
    #[must_use]
    pub const fn status(self) -> Exit {
        match self {
            Self::Unseeded => Exit(4),
            Self::Slot(_) => Exit(5),
            Self::Content | Self::Refused(_) | Self::Disk(_) => Exit(6),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slot(slots) => write!(f, "the disk has {slots} slots, counted from 0"),
            Self::Content => f.write_str("there is no game in that slot: begin one with reset=on"),
            Self::Refused(refused) => refused.fmt(f),
            Self::Disk(kind) => kind.fmt(f),
            Self::Unseeded => f.write_str("there are no random numbers"),
        }
    }
}

fn disk(error: impl Error) -> Failure {
    Failure::Disk(error.kind())
}

async fn write<B: Block>(to: &B, at: u64, slot: Slot) -> Result<(), Failure> {
    let sector = slot.encode(to.info().sector_size as usize);
    to.write(at, &sector).await.map_err(disk)
}

/// Plays in slot `at` with the number `drawn`; whether it is the highest so far.
///
/// # Errors
/// See [`Failure`].
pub async fn play<B: Block>(on: &B, at: u64, drawn: u32) -> Result<bool, Failure> {
    let mut sector = vec![0; on.info().sector_size as usize];
    on.read(at, &mut sector).await.map_err(disk)?;
    let Slot { best, games } = Slot::decode(&sector).ok_or(Failure::Content)?;
    let won = drawn > best;
    write(on, at, Slot { best: best.max(drawn), games: games.saturating_add(1) }).await?;
    on.flush().await.map_err(disk)?;
    if won {
        println!("disk-lottery: won, {drawn} beats {best}");
    } else {
        println!("disk-lottery: lost, {drawn} does not beat {best}");
    }
    Ok(won)
}

/// Empties slot `at`, or all of them. On a disk that holds something else nothing is
/// written without `overwrite`.
///
/// # Errors
/// See [`Failure`].
pub async fn reset<B: Block>(on: &B, at: Option<u64>, overwrite: bool) -> Result<(), Failure> {
    let size = on.info().sector_size as usize;
    let is_own = |_, piece: &[u8]| {
        let mut sectors = piece.chunks(size);
        sectors.all(|it| it.iter().all(|&byte| byte == 0) || Slot::decode(it).is_some())
    };
    content::may_write(on, overwrite, is_own).await.map_err(Failure::Refused)?;
    let slots = at.map_or(0..on.info().sectors, |at| at..at + 1);
    let count = slots.end - slots.start;
    for slot in slots {
        write(on, slot, Slot::default()).await?;
    }
    on.flush().await.map_err(disk)?;
    println!("disk-lottery: {count} slots are empty now");
    Ok(())
}

/// Plays once in `slot`, or resets it, or all.
pub async fn start<B: Block>(
    on: B,
    slot: u64,
    reset_one: bool,
    reset_all: bool,
    overwrite: bool,
) -> Exit {
    let slots = on.info().sectors;
    let done = if slot >= slots {
        Err(Failure::Slot(slots))
    } else if reset_all {
        reset(&on, None, overwrite).await
    } else if reset_one {
        reset(&on, Some(slot), overwrite).await
    } else {
        match xenith::entropy::next_u64() {
            Ok(random) => play(&on, slot, (random >> 32) as u32).await.map(|_| ()),
            Err(_) => Err(Failure::Unseeded),
        }
    };
    match done {
        Ok(()) => Exit::SUCCESS,
        Err(failure) => {
            println!("error: {failure}");
            failure.status()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenith::block::memory::Memory;
    use xenith::task::block_on;

    #[test]
    fn the_highest_number_stays() {
        let disk = Memory::new(512, 8);
        assert_eq!(block_on(start(disk.clone(), 3, false, false, false)), Exit(6), "no game yet");
        assert_eq!(block_on(start(disk.clone(), 3, true, false, false)), Exit::SUCCESS);
        let games = [5, 3, 9, 9].map(|drawn| block_on(play(&disk, 3, drawn)).unwrap());
        assert_eq!(games, [true, false, true, false]);
        let sector = &disk.bytes()[3 * 512..4 * 512];
        assert_eq!(Slot::decode(sector), Some(Slot { best: 9, games: 4 }));
        assert_eq!(block_on(play(&disk, 2, 1)), Err(Failure::Content), "slots are apart");
        assert_eq!(block_on(start(disk.clone(), 0, false, true, false)), Exit::SUCCESS);
        assert_eq!(block_on(play(&disk, 3, 1)), Ok(true));
    }

    #[test]
    fn what_others_wrote_stays() {
        let disk = Memory::from_bytes(512, vec![7; 4096]);
        assert_eq!(block_on(start(disk.clone(), 0, true, false, false)), Exit(6));
        assert_eq!(block_on(start(disk.clone(), 0, false, true, false)), Exit(6));
        assert_eq!(disk.bytes(), [7; 4096]);
        assert_eq!(block_on(start(disk, 0, false, true, true)), Exit::SUCCESS);
    }

    #[test]
    fn what_is_wrong_has_its_status() {
        let disk = Memory::new(4096, 2);
        assert_eq!(block_on(start(disk.clone(), 2, false, false, false)), Exit(5));
        let read_only = disk.clone().read_only();
        assert_eq!(block_on(start(read_only, 0, true, false, false)), Exit(6));
        block_on(reset(&disk, None, false)).unwrap();
        let mut bytes = disk.bytes();
        for at in 0..LENGTH {
            bytes[at] ^= 4;
            let rotten = Memory::from_bytes(4096, bytes.clone());
            assert_eq!(block_on(play(&rotten, 0, 1)), Err(Failure::Content), "byte {at}");
            bytes[at] ^= 4;
        }
    }
}
