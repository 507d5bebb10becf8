//! What an ELF file wants to be loaded (elf(5)).

use crate::errno::Errno;
use alloc::vec::Vec;
use elf::abi;
use elf::endian::LittleEndian;
use elf::file::{Class, ELF64_EHDR_TAILSIZE, FileHeader, parse_ident};
use elf::segment::SegmentTable;
use kernel::user::{Access, PAGE, TOP};

/// Length of the header in bytes.
pub(super) const HEADER: usize = abi::EI_NIDENT + ELF64_EHDR_TAILSIZE;

/// Length of a program header.
pub(super) const ENTRY: usize = 56;

/// Most bytes of program headers, as on Linux.
const MOST: usize = 65_536;

/// Most bytes of the interpreter's path, with its NUL (`PATH_MAX`).
const MOST_PATH: u64 = 4096;

/// The largest alignment that is held.
const MOST_ALIGN: u64 = 1 << 30;

/// A header that was checked: a program of x86-64, and where its program headers are.
pub(super) struct Header {
    /// Whether it may be anywhere in memory.
    pub(super) moves: bool,
    /// Where it begins.
    pub(super) entry: u64,
    /// Where its program headers are in the file.
    pub(super) table: u64,
    /// How many there are.
    pub(super) count: usize,
}

/// A piece of the file that is to be in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) at: u64,
    pub(super) offset: u64,
    /// Bytes from the file.
    pub(super) file: u64,
    /// Bytes in memory.
    pub(super) memory: u64,
    pub(super) access: Access,
}

/// What is to be loaded.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) segments: Vec<Segment>,
    /// Where in the file the path of the interpreter is, and how long it is.
    pub(super) interpreter: Option<(u64, usize)>,
    /// Where the program headers are in memory; 0: nowhere.
    pub(super) headers: u64,
    /// The addresses from the first to behind the last, whole pages.
    pub(super) range: core::ops::Range<u64>,
    /// What the first address must be a multiple of, where it may be anywhere.
    pub(super) align: u64,
}

/// Reads the header at the beginning of a file.
///
/// # Errors
/// `ENOEXEC` if it is none of a program of this machine.
pub(super) fn header(bytes: &[u8]) -> Result<Header, Errno> {
    let (ident, tail) = bytes
        .split_at_checked(abi::EI_NIDENT)
        .and_then(|(ident, rest)| Some((ident, rest.get(..ELF64_EHDR_TAILSIZE)?)))
        .ok_or(Errno::ENOEXEC)?;
    let ident = parse_ident::<LittleEndian>(ident).map_err(|_| Errno::ENOEXEC)?;
    if ident.1 != Class::ELF64 {
        return Err(Errno::ENOEXEC);
    }
    let header = FileHeader::parse_tail(ident, tail).map_err(|_| Errno::ENOEXEC)?;
    let moves = match header.e_type {
        abi::ET_EXEC => false,
        abi::ET_DYN => true,
        _ => return Err(Errno::ENOEXEC),
    };
    let count = usize::from(header.e_phnum);
    if header.e_machine != abi::EM_X86_64
        || usize::from(header.e_phentsize) != ENTRY
        || count == 0
        || count * ENTRY > MOST
    {
        return Err(Errno::ENOEXEC);
    }
    Ok(Header { moves, entry: header.e_entry, table: header.e_phoff, count })
}

/// Reads the program headers.
///
/// # Errors
/// `ENOEXEC` for what cannot be; `EINVAL` for segments that cannot be where they say; `ENOMEM`.
pub(super) fn plan(header: &Header, table: &[u8]) -> Result<Plan, Errno> {
    let mut plan = Plan { align: PAGE as u64, ..Plan::default() };
    plan.segments.try_reserve_exact(header.count).map_err(|_| Errno::ENOMEM)?;
    for it in SegmentTable::new(LittleEndian, Class::ELF64, table) {
        match it.p_type {
            abi::PT_INTERP if plan.interpreter.is_none() => {
                if !(2..=MOST_PATH).contains(&it.p_filesz) {
                    return Err(Errno::ENOEXEC);
                }
                plan.interpreter = Some((it.p_offset, it.p_filesz as usize));
            }
            abi::PT_LOAD if it.p_memsz > 0 => {
                let end = it.p_vaddr.checked_add(it.p_memsz);
                end.filter(|&end| end <= TOP as u64).ok_or(Errno::EINVAL)?;
                if it.p_filesz > it.p_memsz
                    || it.p_offset.checked_add(it.p_filesz).is_none()
                    || (it.p_vaddr ^ it.p_offset) % PAGE as u64 != 0
                {
                    return Err(Errno::EINVAL);
                }
                if it.p_align.is_power_of_two() && it.p_align <= MOST_ALIGN {
                    plan.align = plan.align.max(it.p_align);
                }
                let within = header.table.wrapping_sub(it.p_offset);
                if plan.headers == 0 && within < it.p_filesz {
                    plan.headers = it.p_vaddr + within;
                }
                let mut access = Access::empty();
                access.set(Access::READ, it.p_flags & abi::PF_R != 0);
                access.set(Access::WRITE, it.p_flags & abi::PF_W != 0);
                access.set(Access::EXECUTE, it.p_flags & abi::PF_X != 0);
                plan.segments.push(Segment {
                    at: it.p_vaddr,
                    offset: it.p_offset,
                    file: it.p_filesz,
                    memory: it.p_memsz,
                    access,
                });
            }
            _ => {}
        }
    }
    let page = |at: u64| at / PAGE as u64 * PAGE as u64;
    let first = plan.segments.iter().map(|it| page(it.at)).min().ok_or(Errno::ENOEXEC)?;
    let last = plan.segments.iter().map(|it| it.at + it.memory).max().unwrap_or(first);
    plan.range = first..page(last + PAGE as u64 - 1);
    Ok(plan)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use alloc::vec;

    /// Makes an ELF file: `kind`, the entry, and program headers (type, flags, offset, address,
    /// bytes in the file, bytes in memory, alignment).
    pub(crate) fn file(kind: u16, entry: u64, headers: &[[u64; 7]]) -> Vec<u8> {
        let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
        bytes.resize(16, 0);
        bytes.extend(kind.to_le_bytes());
        bytes.extend(62_u16.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend([entry, 64, 0].iter().flat_map(|it| it.to_le_bytes()));
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend(
            [64, 56, headers.len() as u16, 64, 0, 0].iter().flat_map(|it| it.to_le_bytes()),
        );
        for &[kind, flags, offset, at, file, memory, align] in headers {
            bytes.extend([kind as u32, flags as u32].iter().flat_map(|it| it.to_le_bytes()));
            let rest = [offset, at, at, file, memory, align];
            bytes.extend(rest.iter().flat_map(|it| it.to_le_bytes()));
        }
        bytes
    }

    fn planned(bytes: &[u8]) -> Result<Plan, Errno> {
        let header = header(bytes)?;
        let end = 64 + header.count * ENTRY;
        plan(&header, bytes.get(64..end).ok_or(Errno::ENOEXEC)?)
    }

    #[test]
    fn a_program_is_read() {
        let bytes = file(
            3,
            0x1040,
            &[
                [3, 4, 0x200, 0x200, 28, 28, 1],
                [1, 4, 0, 0, 0x600, 0x600, 0x1000],
                [1, 5, 0x1000, 0x1000, 0x200, 0x200, 0x20_0000],
                [1, 6, 0x2df0, 0x3df0, 0x220, 0x3000, 0x1000],
            ],
        );
        let plan = planned(&bytes).unwrap();
        assert_eq!(plan.segments.len(), 3);
        assert_eq!(plan.segments[1].access, Access::READ | Access::EXECUTE);
        assert_eq!((plan.range, plan.headers, plan.align), (0..0x7000, 64, 0x20_0000));
        assert_eq!(plan.interpreter, Some((0x200, 28)));
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let good = [1, 5, 0, 0x40_0000, 0x100, 0x100, 0x1000];
        let cases: [(Vec<u8>, Errno); 10] = [
            (Vec::new(), Errno::ENOEXEC),
            (b"#!/bin/sh".to_vec(), Errno::ENOEXEC),
            (file(1, 0, &[good]), Errno::ENOEXEC),
            (file(2, 0, &[]), Errno::ENOEXEC),
            (file(2, 0, &[[6, 4, 0, 0, 0, 0, 0]]), Errno::ENOEXEC),
            (file(2, 0, &[[1, 5, 0, 0x40_0000, 2, 1, 0]]), Errno::EINVAL),
            (file(2, 0, &[[1, 5, 1, 0x40_0000, 2, 3, 0]]), Errno::EINVAL),
            (file(2, 0, &[[1, 5, 0, TOP as u64, 0, 1, 0]]), Errno::EINVAL),
            (file(2, 0, &[[1, 5, 0, u64::MAX - 4095, 0, 4096, 0]]), Errno::EINVAL),
            (file(2, 0, &[[3, 4, 0, 0, 5000, 5000, 1], good]), Errno::ENOEXEC),
        ];
        for (at, (bytes, errno)) in cases.iter().enumerate() {
            assert_eq!(planned(bytes).err(), Some(*errno), "case {at}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_ends_well() {
        let bytes = file(
            2,
            0x40_0040,
            &[[3, 4, 0xb0, 0xb0, 9, 9, 1], [1, 5, 0, 0x40_0000, 0x100, 0x2000, 0x1000]],
        );
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(plan) = planned(&bytes) {
                assert!(plan.range.end <= TOP as u64 && plan.range.start <= plan.range.end);
            }
        }
        for length in 0..bytes.len() {
            assert!(planned(&bytes[..length]).is_err());
        }
    }
}
