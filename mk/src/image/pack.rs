//! Writes the file that Xen boots.
//!
//! Xen's loader copies segments by file offset and size, so nothing has to be
//! aligned in the file: headers and segments stand back to back, and there is
//! no section left.

use super::elf::{Elf, Segment};
use anyhow::{Context, Result};
use object::Endianness;
use object::elf;
use object::write::elf::{FileHeader, ProgramHeader, Writer};

/// Where a segment's bytes may start in the file. Notes need 4; 8 keeps
/// readers happy that map the file and read words of it.
const ALIGN: u64 = 8;

/// The same program as `image` in as few bytes as an ELF file can have.
///
/// # Errors
/// When a segment lies inside none that is loaded but has bytes of its own.
pub(crate) fn pack(image: &Elf<'_>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(Endianness::Little, true, &mut bytes);
    writer.reserve_file_header();
    writer.reserve_program_headers(u32::try_from(image.segments.len())?);
    // What is loaded takes room; anything else points into it.
    let mut placed: Vec<(&Segment<'_>, u64)> = Vec::new();
    for segment in image.loads() {
        let offset = match segment.data.len() as u64 {
            0 => writer.reserve(0, 1),
            size => writer.reserve(size, ALIGN),
        };
        placed.push((segment, offset));
    }
    let offset_of = |segment: &Segment<'_>| {
        if segment.data.is_empty() && !segment.is_load() {
            return Some(0);
        }
        let (home, offset) = placed.iter().find(|(home, _)| {
            home.holds(segment.address)
                && segment.address - home.address + segment.data.len() as u64
                    <= home.data.len() as u64
                && (!segment.is_load() || home.address == segment.address)
        })?;
        Some(offset + (segment.address - home.address))
    };
    writer.write_file_header(&FileHeader {
        os_abi: elf::ELFOSABI_SYSV,
        abi_version: 0,
        e_type: elf::FileType(image.kind),
        e_machine: elf::EM_X86_64,
        e_entry: image.entry,
        e_flags: elf::FileFlags(0),
    })?;
    writer.write_align_program_headers();
    for (number, segment) in image.segments.iter().enumerate() {
        let offset = offset_of(segment)
            .with_context(|| format!("segment {number} has bytes outside what is loaded"))?;
        writer.write_program_header(&ProgramHeader {
            p_type: elf::ProgramType(segment.kind),
            p_flags: elf::ProgramFlags(segment.flags),
            p_offset: offset,
            p_vaddr: segment.address,
            p_paddr: segment.physical,
            p_filesz: segment.data.len() as u64,
            p_memsz: segment.size,
            // The ABI wants address and offset equal modulo the alignment.
            p_align: segment.align.min(if segment.is_load() { 1 } else { 4 }),
        });
    }
    for &(segment, offset) in &placed {
        if !segment.data.is_empty() {
            writer.pad_until(offset);
            writer.write(segment.data);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A small but complete image: text, notes, data, bss, stack.
    pub(crate) fn sample() -> Elf<'static> {
        let load = |flags, address, data: &'static [u8], size| Segment {
            kind: elf::PT_LOAD.0,
            flags,
            address,
            offset: 0,
            physical: address,
            size,
            align: 4096,
            data,
        };
        // One note: owner "Xen", type 3 (VIRT_BASE), 8 bytes.
        const NOTES: &[u8] = b"\x04\0\0\0\x08\0\0\0\x03\0\0\0Xen\0\0\0\x30\0\0\0\0\0rodata";
        Elf {
            kind: elf::ET_EXEC.0,
            entry: 0x30_0000,
            segments: vec![
                load(5, 0x30_0000, b"\xf4\xeb\xfd", 3),
                load(4, 0x30_1000, NOTES, NOTES.len() as u64),
                load(6, 0x30_2000, b"", 0x3000),
                Segment {
                    kind: elf::PT_NOTE.0,
                    flags: 4,
                    address: 0x30_1000,
                    offset: 0,
                    physical: 0x30_1000,
                    size: 24,
                    align: 4,
                    data: &NOTES[..24],
                },
                Segment { kind: elf::PT_GNU_STACK.0, flags: 6, ..Segment::default() },
            ],
            ..Elf::default()
        }
    }

    /// The sample as a file.
    pub(crate) fn image() -> Vec<u8> {
        pack(&sample()).unwrap()
    }

    #[test]
    fn what_was_packed_reads_back_the_same() {
        let (before, file) = (sample(), image());
        let after = Elf::parse(&file).unwrap();
        assert_eq!((after.kind, after.entry), (before.kind, before.entry));
        assert_eq!(after.segments.len(), before.segments.len());
        for (after, before) in after.segments.iter().zip(&before.segments) {
            assert_eq!(after.data, before.data);
            assert_eq!(
                (after.kind, after.flags, after.address, after.physical, after.size),
                (before.kind, before.flags, before.address, before.physical, before.size)
            );
        }
        assert_eq!(after.note(b"Xen", 3), Some(&[0, 0, 0x30, 0, 0, 0, 0, 0][..]));
        assert!(after.sections.is_empty());
    }

    #[test]
    fn nothing_is_padded() {
        let expected = 64 + 5 * 56 + 8 + 30;
        assert_eq!(image().len(), expected);
    }

    #[test]
    fn bytes_that_are_not_loaded_cannot_be_packed() {
        let mut sample = sample();
        sample.segments[3].address = 0x90_0000;
        let error = pack(&sample).unwrap_err().to_string();
        assert_eq!(error, "segment 3 has bytes outside what is loaded");
    }
}
