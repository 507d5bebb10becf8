//! The bytes that one image hands to the next: a head, and sections with names and versions.
//!
//! ```text
//! 0   "XENITHUP"
//! 8   version of this format, 32 bits, as all numbers in the order of x86
//! 12  CRC-32C of what follows
//! 16  sections by `postcard`: name, version, bytes
//! ```

use super::Section;
use alloc::borrow::ToOwned;
use alloc::vec::Vec;
use crc::{CRC_32_ISCSI, Crc, Table};

/// The version of the format of sections, of what the kernel's own parts write, and of who does what
/// when: images before 3 know nothing of disks that are handed over, and would write to them beside the
/// new one.
pub(super) const FORMAT: u32 = 3;

const MAGIC: [u8; 8] = *b"XENITHUP";

/// Bytes of the head.
const HEAD: usize = 16;

/// Sections at most.
const SECTIONS: usize = 16;

static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);

/// Writes sections. `None` if there is no memory.
pub(super) fn pack(sections: &[Section]) -> Option<Vec<u8>> {
    let length: usize = sections.iter().map(|it| it.bytes.len() + it.name.len() + 16).sum();
    let mut all = Vec::new();
    all.try_reserve_exact(HEAD + length).ok()?;
    all.resize(HEAD, 0);
    for Section { name, version, bytes } in sections {
        all = super::encode(&(name.as_str(), *version, bytes.as_slice()), all)?;
    }
    let sum = CRC.checksum(all.get(HEAD..)?).to_le_bytes();
    let head = all.get_mut(..HEAD)?;
    head[..8].copy_from_slice(&MAGIC);
    head[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    head[12..].copy_from_slice(&sum);
    Some(all)
}

/// Reads sections. `None` if anything of them is not as [`pack`] writes it.
pub(super) fn unpack(all: &[u8]) -> Option<Vec<Section>> {
    let (head, mut rest) = all.split_at_checked(HEAD)?;
    let sum = CRC.checksum(rest).to_le_bytes();
    if head[..8] != MAGIC || head[8..12] != FORMAT.to_le_bytes() || head[12..] != sum {
        return None;
    }
    let mut sections = Vec::new();
    while !rest.is_empty() {
        let ((name, version, content), behind): ((&str, u32, &[u8]), _) =
            postcard::take_from_bytes(rest).ok()?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(content.len()).ok()?;
        bytes.extend_from_slice(content);
        if sections.len() == SECTIONS {
            return None;
        }
        sections.push(Section { name: name.to_owned(), version, bytes });
        rest = behind;
    }
    Some(sections)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn sections() -> Vec<Section> {
        let section = |name: &str, version, length| {
            let bytes = (0..length).map(|at: usize| at as u8).collect();
            Section { name: name.to_string(), version, bytes }
        };
        Vec::from([section("app", 7, 3), section("", 0, 0), section("net 0", u32::MAX, 300)])
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let packed = pack(&sections()).unwrap();
        let unpacked = unpack(&packed).unwrap();
        assert_eq!(unpacked.len(), 3);
        for (one, other) in unpacked.iter().zip(sections()) {
            assert_eq!(
                (&one.name, one.version, &one.bytes),
                (&other.name, other.version, &other.bytes)
            );
        }
        assert!(unpack(&pack(&[]).unwrap()).unwrap().is_empty());
    }

    #[test]
    fn anything_else_is_refused() {
        let packed = pack(&sections()).unwrap();
        for length in 0..packed.len() {
            assert!(unpack(&packed[..length]).is_none(), "{length} bytes");
        }
        for bit in 0..packed.len() * 8 {
            let mut other = packed.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(unpack(&other).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn a_right_sum_of_nonsense_is_refused_as_well() {
        for content in [&[0xff; 20][..], &[3, b'a', b'p', 0xff], &[0, 0, 0xff, 0xff, 0x7f, 1]] {
            let mut all = pack(&[]).unwrap();
            all.extend_from_slice(content);
            let sum = CRC.checksum(&all[HEAD..]).to_le_bytes();
            all[12..HEAD].copy_from_slice(&sum);
            assert!(unpack(&all).is_none(), "{content:?}");
        }
    }
}
