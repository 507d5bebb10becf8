//! Images that veritysetup 2.6.1 made, by
//! `veritysetup format --data-block-size=512 --hash-block-size=512 --hash-offset=BYTES IMAGE IMAGE`:
//! `small.img` of 20 blocks, with a salt of 16 bytes, and `one.img` of one, without a salt.

use super::*;
use crate::block::memory::Memory;
use kernel::task::block_on;
use std::vec::Vec;

const SMALL: &[u8] = include_bytes!("images/small.img");
const SMALL_ROOT: &str = "4dbeab02a2bb46d51a8a5d0727fae5565102e0dbc16a205019e0841d4a75bc2a@10240";
const ONE: &[u8] = include_bytes!("images/one.img");
const ONE_ROOT: &str = "67d7a3ec2de8358dd754b45be3bb040a9589efcddf7e3d6c9213ed8dc53eda76@512";

/// The bytes of the data of `SMALL`, and those of the UUID in its superblock.
const DATA: usize = 10240;
const UUID: core::ops::Range<usize> = DATA + 16..DATA + 32;

/// Reads all blocks, one by one.
fn all(bytes: Vec<u8>, root: &str) -> Result<Vec<u8>, Error<ErrorKind>> {
    block_on(async {
        let disk = Verity::open(Memory::from_bytes(512, bytes), root.parse().unwrap()).await?;
        let mut all = alloc::vec![0; disk.info().sectors as usize * 512];
        for (sector, to) in (0..).zip(all.chunks_mut(512)) {
            disk.read(sector, to).await?;
        }
        Ok(all)
    })
}

#[test]
fn what_is_whole_is_read() {
    assert_eq!(all(SMALL.to_vec(), SMALL_ROOT).unwrap(), &SMALL[..DATA]);
    assert_eq!(all(ONE.to_vec(), ONE_ROOT).unwrap(), &ONE[..512]);
    let disk = Memory::from_bytes(512, SMALL.to_vec());
    block_on(async {
        let disk = Verity::open(disk, SMALL_ROOT.parse().unwrap()).await.unwrap();
        let mut part = [0; 7 * 512];
        disk.read(11, &mut part).await.unwrap();
        assert_eq!(part, SMALL[11 * 512..18 * 512]);
        let beyond = disk.read(20, &mut [0; 512]).await;
        assert_eq!(beyond, Err(Error::Request(ErrorKind::OutOfRange)));
        let write = disk.write(0, &[0; 512]).await;
        assert_eq!(write, Err(Error::Request(ErrorKind::ReadOnly)));
        assert!(disk.info().read_only);
    });
}

/// One bit of each byte in turn; the bit differs from byte to byte.
#[test]
fn no_flipped_bit_is_read() {
    for at in 0..SMALL.len() {
        let mut bytes = SMALL.to_vec();
        bytes[at] ^= 1 << (at % 8);
        let read = all(bytes, SMALL_ROOT);
        if UUID.contains(&at) {
            assert_eq!(read.unwrap(), &SMALL[..DATA], "the UUID has no meaning: {at}");
            continue;
        }
        let Err(Error::Flaw(flaw)) = read else { panic!("byte {at}: {read:?}") };
        match at {
            0..DATA => assert_eq!(flaw, Flaw::Data(at as u64 / 512)),
            DATA..10_752 => {}
            _ => assert_eq!(flaw, Flaw::Hashes(at as u64 / 512)),
        }
    }
}

/// Each bit of the superblock but those of the UUID.
#[test]
fn no_bit_of_the_superblock_may_change() {
    for bit in 0..8 * 512 {
        let mut bytes = SMALL.to_vec();
        bytes[DATA + bit / 8] ^= 1 << (bit % 8);
        let read = all(bytes, SMALL_ROOT);
        assert_eq!(read.is_err(), !UUID.contains(&(DATA + bit / 8)), "bit {bit}");
    }
}

/// Hashes that stand where data should be lead to the root as well, by a tree of fewer levels.
#[test]
fn hashes_are_not_read_as_data() {
    let block = |number: usize| number * 512..(number + 1) * 512;
    for (blocks, from) in [(1_u64, 21), (2, 22), (20 * 16, 0)] {
        let mut bytes = SMALL.to_vec();
        bytes[DATA + 72..DATA + 80].copy_from_slice(&blocks.to_le_bytes());
        for number in 0..blocks.min(2) as usize {
            bytes.copy_within(block(from + number), number * 512);
        }
        assert_eq!(all(bytes, SMALL_ROOT), Err(Error::Flaw(Flaw::Superblock)), "{blocks}");
    }
    // Nor are blocks of another size.
    for (at, size) in [(64, 1024_u32), (68, 1024), (64, 2048)] {
        let mut bytes = SMALL.to_vec();
        bytes[DATA + at..DATA + at + 4].copy_from_slice(&size.to_le_bytes());
        assert_eq!(all(bytes, SMALL_ROOT), Err(Error::Flaw(Flaw::Superblock)), "{size}");
    }
}

#[test]
fn a_part_of_a_disk_is_an_error() {
    for sectors in 0..SMALL.len() / 512 {
        let read = all(SMALL[..sectors * 512].to_vec(), SMALL_ROOT);
        assert_eq!(read, Err(Error::Flaw(Flaw::Short)), "{sectors} sectors");
    }
}

#[test]
fn another_root_is_an_error() {
    let wrong = SMALL_ROOT.replacen('4', "5", 1);
    assert_eq!(all(SMALL.to_vec(), &wrong), Err(Error::Flaw(Flaw::Hashes(21))));
    let wrong = ONE_ROOT.replacen('6', "5", 1);
    assert_eq!(all(ONE.to_vec(), &wrong), Err(Error::Flaw(Flaw::Data(0))));
    for offset in ["0", "512", "1", "10241", "18446744073709551104"] {
        let wrong = SMALL_ROOT.replace("10240", offset);
        assert!(all(SMALL.to_vec(), &wrong).is_err(), "{offset}");
    }
    for text in ["", "@", "00@512", "x@0", &SMALL_ROOT[..64], &SMALL_ROOT.replace('4', "x")] {
        assert_eq!(text.parse::<Root>(), Err(NotRoot), "{text}");
    }
}
