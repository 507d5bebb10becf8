//! What there is to know of an ELF file, read once and strictly.

use anyhow::{Context, Result, bail};
use object::LittleEndian;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, Sym};

const LE: LittleEndian = LittleEndian;

/// An ELF file for x86-64.
#[derive(Debug, Default)]
pub(crate) struct Elf<'data> {
    /// `ET_EXEC` and the like.
    pub(crate) kind: u16,
    /// Where it starts.
    pub(crate) entry: u64,
    pub(crate) segments: Vec<Segment<'data>>,
    pub(crate) sections: Vec<Section<'data>>,
    /// Named symbols; a stripped file has none.
    pub(crate) symbols: Vec<Symbol<'data>>,
    pub(crate) notes: Vec<Note<'data>>,
}

/// A program header and what it covers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segment<'data> {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) address: u64,
    /// Where its bytes are in the file.
    pub(crate) offset: u64,
    pub(crate) physical: u64,
    /// Bytes in memory; those beyond `data` are zero.
    pub(crate) size: u64,
    pub(crate) align: u64,
    pub(crate) data: &'data [u8],
}

/// A section header and what it covers.
#[derive(Clone, Debug)]
pub(crate) struct Section<'data> {
    pub(crate) name: &'data str,
    pub(crate) kind: u32,
    /// Whether the running guest has it.
    pub(crate) loaded: bool,
    pub(crate) address: u64,
    pub(crate) size: u64,
    pub(crate) data: &'data [u8],
}

/// A symbol.
#[derive(Clone, Debug, Default)]
pub(crate) struct Symbol<'data> {
    pub(crate) name: &'data str,
    pub(crate) address: u64,
    pub(crate) size: u64,
    pub(crate) function: bool,
    pub(crate) undefined: bool,
    /// Whether nobody need define it.
    pub(crate) weak: bool,
}

/// A note of a `PT_NOTE` segment.
#[derive(Clone, Debug)]
pub(crate) struct Note<'data> {
    pub(crate) owner: &'data [u8],
    pub(crate) kind: u32,
    pub(crate) description: &'data [u8],
}

impl Segment<'_> {
    /// Whether it is loaded.
    pub(crate) const fn is_load(&self) -> bool {
        self.kind == elf::PT_LOAD.0
    }

    /// Whether its pages are executable.
    pub(crate) const fn is_executable(&self) -> bool {
        self.flags & elf::PF_X.0 != 0
    }

    /// Whether its pages are writable.
    pub(crate) const fn is_writable(&self) -> bool {
        self.flags & elf::PF_W.0 != 0
    }

    /// The address after its last byte.
    pub(crate) const fn end(&self) -> u64 {
        self.address.saturating_add(self.size)
    }

    /// Whether `address` lies in it.
    pub(crate) const fn holds(&self, address: u64) -> bool {
        self.address <= address && address < self.end()
    }
}

impl<'data> Elf<'data> {
    /// Reads `file`, all of it.
    ///
    /// # Errors
    /// When it is not an ELF file for x86-64, cut off, or at odds with itself.
    pub(crate) fn parse(file: &'data [u8]) -> Result<Self> {
        if file.is_empty() {
            bail!("the file is empty");
        }
        if !file.starts_with(&elf::ELFMAG) {
            bail!("this is not an ELF file: it does not start with 7f 45 4c 46");
        }
        if file.len() < size_of::<FileHeader64<LittleEndian>>() {
            bail!("the file is cut off inside the ELF header, after {} bytes", file.len());
        }
        let header = FileHeader64::<LittleEndian>::parse(file)
            .ok()
            .filter(|header| header.e_ident.class == elf::ELFCLASS64)
            .filter(|header| header.e_ident.data == elf::ELFDATA2LSB)
            .filter(|header| header.e_machine(LE) == elf::EM_X86_64)
            .context("this ELF file is not for x86-64")?;
        let mut this =
            Self { kind: header.e_type(LE).0, entry: header.e_entry(LE), ..Self::default() };
        this.read_segments(header, file)?;
        this.read_sections(header, file)?;
        Ok(this)
    }

    fn read_segments(
        &mut self,
        header: &'data FileHeader64<LittleEndian>,
        file: &'data [u8],
    ) -> Result<()> {
        let headers = header
            .program_headers(LE, file)
            .context("the file is cut off or broken: its program headers cannot be read")?;
        for (number, header) in headers.iter().enumerate() {
            let data = header.data(LE, file).ok().with_context(|| {
                let end = header.p_offset(LE).saturating_add(header.p_filesz(LE));
                let length = file.len();
                format!("the file is cut off: segment {number} ends at byte {end} of {length}")
            })?;
            self.segments.push(Segment {
                kind: header.p_type(LE).0,
                flags: header.p_flags(LE).0,
                address: header.p_vaddr(LE),
                offset: header.p_offset(LE),
                physical: header.p_paddr(LE),
                size: header.p_memsz(LE),
                align: header.p_align(LE),
                data,
            });
            let notes = header.notes(LE, file);
            let Some(mut notes) = notes.with_context(|| format!("segment {number}, notes"))? else {
                continue;
            };
            while let Some(note) =
                notes.next().with_context(|| format!("segment {number}, broken note"))?
            {
                self.notes.push(Note {
                    owner: note.name(),
                    kind: note.n_type(LE).0,
                    description: note.desc(),
                });
            }
        }
        Ok(())
    }

    fn read_sections(
        &mut self,
        header: &'data FileHeader64<LittleEndian>,
        file: &'data [u8],
    ) -> Result<()> {
        const CUT: &str = "the file is cut off or broken: its sections cannot be read";
        let sections = header.sections(LE, file).context(CUT)?;
        for section in sections.iter().skip(1) {
            self.sections.push(Section {
                name: utf8(sections.section_name(LE, section).context(CUT)?)?,
                kind: section.sh_type(LE).0,
                loaded: section.sh_flags(LE).0 & elf::SHF_ALLOC.0 != 0,
                address: section.sh_addr(LE),
                size: section.sh_size(LE),
                data: section.data(LE, file).context(CUT)?,
            });
        }
        let symbols = sections.symbols(LE, file, elf::SHT_SYMTAB).context(CUT)?;
        for symbol in symbols.iter().skip(1) {
            let name = utf8(symbols.symbol_name(LE, symbol).context(CUT)?)?;
            let (kind, undefined) = (symbol.st_type(), symbol.is_undefined(LE));
            if name.is_empty() || kind == elf::STT_FILE || kind == elf::STT_SECTION {
                continue;
            }
            self.symbols.push(Symbol {
                name,
                address: symbol.st_value(LE),
                size: symbol.st_size(LE),
                function: kind == elf::STT_FUNC,
                undefined,
                weak: symbol.st_bind() == elf::STB_WEAK,
            });
        }
        Ok(())
    }

    /// The segments that are loaded.
    pub(crate) fn loads(&self) -> impl Iterator<Item = &Segment<'data>> {
        self.segments.iter().filter(|segment| segment.is_load())
    }

    /// The lowest address and the one after the highest, of what is loaded.
    pub(crate) fn extent(&self) -> Option<(u64, u64)> {
        let low = self.loads().map(|segment| segment.address).min()?;
        let high = self.loads().map(Segment::end).max()?;
        Some((low, high))
    }

    /// The description of the first note of that owner and type.
    pub(crate) fn note(&self, owner: &[u8], kind: u32) -> Option<&'data [u8]> {
        self.notes
            .iter()
            .find(|note| note.owner == owner && note.kind == kind)
            .map(|note| note.description)
    }

    /// The `size` bytes at `address`, if the file has them.
    pub(crate) fn bytes_at(&self, address: u64, size: u64) -> Option<&'data [u8]> {
        let segment = self.loads().find(|segment| segment.holds(address))?;
        let start = usize::try_from(address - segment.address).ok()?;
        segment.data.get(start..start.checked_add(usize::try_from(size).ok()?)?)
    }
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).context("a name in the ELF file is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_elf_file_is_named() {
        let error = |file: &[u8]| Elf::parse(file).unwrap_err().to_string();
        assert_eq!(error(b""), "the file is empty");
        assert!(error(b"#!/bin/sh\n").contains("not an ELF file"));
        assert!(error(b"\x7fELF\x02").contains("cut off inside the ELF header, after 5 bytes"));
        let mut arm = super::super::pack::tests::image();
        arm[18] = 183;
        assert!(error(&arm).contains("not for x86-64"));
    }

    #[test]
    fn a_truncated_file_is_refused_wherever_it_is_cut() {
        let image = super::super::pack::tests::image();
        Elf::parse(&image).unwrap();
        for length in 0..image.len() {
            let error = Elf::parse(&image[..length]).expect_err("cut");
            assert!(!format!("{error:#}").is_empty());
        }
        let error = Elf::parse(&image[..image.len() - 1]).unwrap_err().to_string();
        assert!(error.contains("the file is cut off: segment"), "{error}");
    }
}
