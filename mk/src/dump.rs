//! A domain's memory and registers, as `xl dump-core` writes them: an ELF file with sections of
//! Xen's (`docs/misc/dump-core-format.txt`).
//!
//! * [`tasks`]: the tasks that are in it

pub(crate) mod tasks;

use crate::image::elf::Elf;
use anyhow::{Context, Result, ensure};
use std::collections::HashMap;

/// Bytes of a page.
const PAGE: u64 = 4096;

/// Where the flags stand in a `vcpu_guest_context` (`public/arch-x86/xen.h`), behind the registers of
/// the FPU, and the one that says that it is in the kernel (`VGCF_in_kernel`).
const FLAGS: usize = 512;
const IN_KERNEL: u64 = 1 << 2;

/// Where the registers stand: behind the flags.
const REGISTERS: usize = FLAGS + 8;

/// Where CR3 stands: behind them, the trap table, the LDT, the GDT and the kernel's stack.
const CR3: usize = REGISTERS + 200 + 256 * 16 + 16 + 17 * 8 + 16 + 3 * 8;

/// Bits of an entry of a page table: it is there, and what it names is no table.
const PRESENT: u64 = 1;
const LARGE: u64 = 1 << 7;

/// Most frames that a stack is followed for.
const DEPTH: usize = 64;

/// The registers of the vCPU that matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(crate) rip: u64,
    pub(crate) rsp: u64,
    pub(crate) rbp: u64,
    /// They are a program's that the kernel ran.
    pub(crate) user: bool,
    /// The frame of the kernel's page tables.
    pub(crate) tables: u64,
}

/// A domain of ours that was dumped.
pub(crate) struct Dump<'data> {
    pages: &'data [u8],
    /// Where in `pages` a pseudo-physical page is.
    index: HashMap<u64, usize>,
    /// The pseudo-physical page of a frame.
    frames: HashMap<u64, u64>,
    /// The address of pseudo-physical page 0.
    base: u64,
    pub(crate) registers: Registers,
}

/// The word at `at`.
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let word = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*word))
}

impl<'data> Dump<'data> {
    /// Takes the sections of `core`, which is of an image whose pseudo-physical page 0 is at
    /// `base`.
    ///
    /// # Errors
    /// When one is missing or not as it should be.
    pub(crate) fn new(core: &Elf<'data>, base: u64) -> Result<Self> {
        let section = |name: &str| {
            let found = core.sections.iter().find(|section| section.name == name);
            found.map(|it| it.data).with_context(|| format!("it has no section {name}"))
        };
        let what = "is it of `xl dump-core`, and of a PV guest?";
        let (pages, list) = (section(".xen_pages"), section(".xen_p2m"));
        let (pages, list) = (pages.context(what)?, list.context(what)?);
        let context = section(".xen_prstatus").context(what)?;
        // Each page has its number and its frame there, in the order of the pages.
        let entries = list.chunks_exact(16).enumerate();
        let index: HashMap<_, _> =
            entries.filter_map(|(at, entry)| Some((word(entry, 0)?, at))).collect();
        ensure!(!index.is_empty(), "it has no pages");
        let entries = list.chunks_exact(16);
        let frames = entries.filter_map(|entry| Some((word(entry, 8)?, word(entry, 0)?))).collect();
        let value = |at| word(context, at).context("it has no registers");
        let register = |at| value(REGISTERS + at);
        let registers = Registers {
            rip: register(128)?,
            rsp: register(152)?,
            rbp: register(32)?,
            user: value(FLAGS)? & IN_KERNEL == 0,
            tables: value(CR3)? / PAGE,
        };
        Ok(Self { pages, index, frames, base, registers })
    }

    /// How many pages it has, and how many of them the file holds.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.index.len(), self.pages.len() / PAGE as usize)
    }

    /// The page that `address` is in, by where the domain builder put it. The kernel may use memory at
    /// other addresses: see [`holds`](Self::holds).
    fn page(&self, address: u64) -> Option<&'data [u8]> {
        self.numbered(address.checked_sub(self.base)? / PAGE)
    }

    /// Whether the kernel has memory at `address`. It moves all but the image where code and data are
    /// in the same 2 MiB, so its page tables tell.
    pub(crate) fn holds(&self, address: u64) -> bool {
        let mut table = self.registers.tables;
        for level in (0..4).rev() {
            let Some(page) = self.frames.get(&table).and_then(|&number| self.numbered(number))
            else {
                // Without tables, nothing was moved.
                return level == 3 && self.page(address).is_some();
            };
            let at = address >> (12 + 9 * level) & 511;
            let entry = word(page, at as usize * 8).unwrap_or(0);
            if entry & PRESENT == 0 {
                return false;
            }
            table = entry >> 12 & ((1 << 40) - 1);
            if entry & LARGE != 0 {
                break;
            }
        }
        true
    }

    /// The pseudo-physical page of this number.
    fn numbered(&self, number: u64) -> Option<&'data [u8]> {
        let at = *self.index.get(&number)?;
        let start = at.checked_mul(PAGE as usize)?;
        self.pages.get(start..start.checked_add(PAGE as usize)?)
    }

    /// The word at `address`, which is a multiple of 8.
    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        if !address.is_multiple_of(8) {
            return None;
        }
        word(self.page(address)?, (address % PAGE) as usize)
    }

    /// All pages, by their addresses and in their order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u64, &'data [u8])> {
        let mut numbers: Vec<_> = self.index.keys().copied().collect();
        numbers.sort_unstable();
        numbers.into_iter().filter_map(|number| {
            let address = self.base.checked_add(number.checked_mul(PAGE)?)?;
            Some((address, self.page(address)?))
        })
    }

    /// The addresses of the code that the vCPU was in, from the innermost function on. One that
    /// waits for Xen is in the hypercall page, whose entries keep two registers on the stack and no
    /// frame pointer; `is_hypercall` says whether an address is in that.
    pub(crate) fn stack(&self, is_hypercall: impl Fn(u64) -> bool) -> Vec<u64> {
        let Registers { rip, rsp, rbp, .. } = self.registers;
        let mut addresses = vec![rip];
        if is_hypercall(rip) {
            addresses.extend(rsp.checked_add(16).and_then(|at| self.word(at)));
        }
        let mut frame = rbp;
        while addresses.len() < DEPTH {
            let above = frame.checked_add(8).and_then(|above| self.word(above));
            let (Some(caller), Some(address)) = (self.word(frame), above) else { break };
            if address == 0 {
                break;
            }
            addresses.push(address);
            // Callers' frames are at higher addresses.
            if caller <= frame {
                break;
            }
            frame = caller;
        }
        addresses
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::image::elf::Section;

    pub(crate) const BASE: u64 = 0x20_0000;

    /// A dump of as many pages as there are numbers, with these words at these addresses. The
    /// pages stand in the file in the order of `numbers`.
    pub(crate) fn dumped(
        numbers: &[u64],
        words: &[(u64, u64)],
        registers: Registers,
    ) -> Dump<'static> {
        let mut pages = vec![0; numbers.len() * PAGE as usize];
        for (address, word) in words {
            let number = (address - BASE) / PAGE;
            let at = numbers.iter().position(|it| *it == number).expect("a page");
            let at = at * PAGE as usize + (address % PAGE) as usize;
            pages[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        let list: Vec<u8> =
            numbers.iter().flat_map(|it| [*it, it + 1000]).flat_map(u64::to_le_bytes).collect();
        let mut context = vec![0; 5168];
        for (at, word) in [
            (REGISTERS + 128, registers.rip),
            (REGISTERS + 152, registers.rsp),
            (REGISTERS + 32, registers.rbp),
            (FLAGS, if registers.user { 1 } else { 1 | IN_KERNEL }),
            (CR3, registers.tables * PAGE),
        ] {
            context[at..][..8].copy_from_slice(&word.to_le_bytes());
        }
        let section = |name, data: Vec<u8>| {
            let data: &'static [u8] = data.leak();
            Section { name, kind: 1, loaded: false, address: 0, size: data.len() as u64, data }
        };
        let sections = vec![
            section(".xen_prstatus", context),
            section(".xen_pages", pages),
            section(".xen_p2m", list),
        ];
        Dump::new(&Elf { sections, ..Elf::default() }, BASE).expect("a dump")
    }

    #[test]
    fn words_are_found_by_the_numbers_of_pages() {
        let words = [(BASE, 1), (BASE + 5 * PAGE + 8, 2)];
        let dump = dumped(&[5, 0], &words, Registers::default());
        assert_eq!((dump.word(BASE), dump.word(BASE + 5 * PAGE + 8)), (Some(1), Some(2)));
        for address in [BASE - 8, BASE + PAGE, BASE + 4, u64::MAX - 7] {
            assert_eq!(dump.word(address), None, "{address:#x}");
        }
        assert_eq!(dump.all().map(|(at, _)| at).collect::<Vec<_>>(), [BASE, BASE + 5 * PAGE]);
        assert_eq!(dump.counts(), (2, 2));
        let error = Dump::new(&Elf::default(), BASE).err().expect("no sections");
        assert!(format!("{error:#}").contains(".xen_p"), "{error:#}");
    }

    /// The entries by which the frames of pages `tables`, from the highest on, map `address` to the page
    /// `to`. Page N is frame N + 1000.
    pub(crate) fn mapped(address: u64, tables: [u64; 4], to: u64) -> Vec<(u64, u64)> {
        let below = tables.into_iter().skip(1).chain([to]);
        let entry = |(level, (table, below)): (u64, (u64, u64))| {
            let at = address >> (12 + 9 * (3 - level)) & 511;
            (BASE + table * PAGE + at * 8, (below + 1000) << 12 | 0x63 | 1 << 63)
        };
        (0..).zip(tables.into_iter().zip(below)).map(entry).collect()
    }

    #[test]
    fn memory_is_where_the_page_tables_say() {
        let moved = BASE + 0x20_0000 + 2 * PAGE;
        let words = mapped(moved, [4, 5, 6, 7], 2);
        let numbers = [0, 1, 2, 4, 5, 6, 7];
        let registers = Registers { tables: 1004, ..Registers::default() };
        let dump = dumped(&numbers, &words, registers);
        assert!(dump.holds(moved) && dump.holds(moved + 8));
        for address in [BASE, moved + PAGE, moved - PAGE, moved + (1 << 30), moved + (1 << 39)] {
            assert!(!dump.holds(address), "{address:#x}");
        }
        // Without tables, it is where it was put.
        let dump = dumped(&numbers, &[], Registers::default());
        assert!(dump.holds(BASE) && !dump.holds(BASE + 3 * PAGE) && !dump.holds(0));
    }

    #[test]
    fn a_stack_is_followed_from_the_hypercall_page_on() {
        let registers =
            Registers { rip: 0x10, rsp: BASE + 0x100, rbp: BASE + 0x200, ..Registers::default() };
        let words = [
            (BASE + 0x110, 0x20),
            (BASE + 0x200, BASE + 0x300),
            (BASE + 0x208, 0x30),
            // It leads down again, as no frame does.
            (BASE + 0x300, BASE + 0x200),
            (BASE + 0x308, 0x40),
        ];
        let dump = dumped(&[0], &words, registers);
        assert_eq!(dump.stack(|at| at == 0x10), [0x10, 0x20, 0x30, 0x40]);
        assert_eq!(dump.stack(|_| false), [0x10, 0x30, 0x40]);
    }
}
