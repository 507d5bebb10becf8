//! Describes the memory of a process, for `/proc` and for reports.

use super::Memory;
use super::area::{Backing, Flags};
use super::ram::widen;
use crate::errno::Errno;
use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;
use kernel::user::{Access, PAGE};

/// The column of the names in `/proc/self/maps`.
const NAMES: usize = 73;

/// An area as `/proc/self/maps` shows it (proc(5)).
pub struct View<'a> {
    /// Its addresses.
    pub range: Range<usize>,
    /// What the program may do there.
    pub access: Access,
    /// Whether others see what is written.
    pub shared: bool,
    /// From where on the file is shown, in bytes.
    pub offset: u64,
    /// The device of the file, as stat(2) has it.
    pub device: u64,
    /// The number of the file.
    pub inode: u64,
    /// The path of the file, `[heap]`, `[stack]` or the like; empty if it has none.
    pub name: &'a [u8],
    /// Whether it grows down.
    pub grows_down: bool,
}

/// How much memory a process has, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Addresses that are mapped (`VmSize`).
    pub address_space: usize,
    /// Private writable ones (`VmData`).
    pub data: usize,
    /// Those of stacks (`VmStk`).
    pub stack: usize,
    /// Those that can be executed (`VmExe` and `VmLib`).
    pub code: usize,
    /// Pages that are there (`VmRSS`).
    pub resident: usize,
    /// Those of them that files or shared memory have as well (`RssFile` and `RssShmem`).
    pub shared: usize,
    /// Page tables (`VmPTE`).
    pub tables: usize,
}

impl View<'_> {
    /// Appends its line of `/proc/self/maps`.
    ///
    /// # Errors
    /// `ENOMEM`
    pub(super) fn line(&self, text: &mut Vec<u8>) -> Result<(), Errno> {
        let bit = |access, letter| if self.access.contains(access) { letter } else { '-' };
        let Range { start, end } = self.range;
        let (major, minor) =
            (self.device >> 8 & 0xfff, self.device & 0xff | self.device >> 12 & !0xff);
        let head = format!(
            "{start:08x}-{end:08x} {}{}{}{} {:08x} {major:02x}:{minor:02x} {} ",
            bit(Access::READ, 'r'),
            bit(Access::WRITE, 'w'),
            bit(Access::EXECUTE, 'x'),
            if self.shared { 's' } else { 'p' },
            self.offset,
            self.inode,
        );
        // Each byte of a name takes four at most.
        let most = head.len().max(NAMES) + 4 * self.name.len() + 1;
        widen(text, most)?;
        let begun = text.len();
        text.extend_from_slice(head.as_bytes());
        if !self.name.is_empty() {
            text.resize(text.len().max(begun + NAMES), b' ');
        }
        for &byte in self.name {
            match byte {
                b'\n' => text.extend_from_slice(b"\\012"),
                byte => text.push(byte),
            }
        }
        text.push(b'\n');
        Ok(())
    }
}

impl Memory {
    /// Calls `each` for each area by ascending address. It must not change the memory.
    pub fn each_area(&self, each: &mut dyn FnMut(&View<'_>)) {
        let areas = self.areas.borrow();
        let layout = self.layout.get();
        for (start, area) in areas.iter() {
            let mut view = View {
                range: start..area.end,
                access: area.access,
                shared: area.is_shared(),
                offset: 0,
                device: 0,
                inode: 0,
                name: b"",
                grows_down: area.flags.contains(Flags::GROWS_DOWN),
            };
            match &area.backing {
                Backing::Anonymous if start <= layout.brk && area.end > layout.heap => {
                    view.name = b"[heap]";
                }
                Backing::Anonymous if (start..area.end).contains(&(layout.stack - 1)) => {
                    view.name = b"[stack]";
                }
                Backing::Anonymous => {}
                Backing::Shared(shared, first) => {
                    view.name = &shared.name;
                    (view.device, view.inode) = (1, shared.inode);
                    view.offset = first * PAGE as u64;
                }
                Backing::File(file, first) => {
                    view.name = &file.name;
                    (view.device, view.inode) = (file.device, file.inode);
                    view.offset = first * PAGE as u64;
                }
                // The first page of the vDSO's is what its code reads, as long as they are two areas.
                Backing::Special(special, first) => {
                    let apart = area.end - start < special.frames.len() * PAGE;
                    let data = special.name == "[vdso]" && *first == 0 && apart;
                    view.name = if data { "[vvar]" } else { special.name }.as_bytes();
                }
            }
            each(&view);
        }
    }

    /// Returns the text of `/proc/self/maps` (proc(5)).
    ///
    /// # Errors
    /// `ENOMEM`
    pub fn maps(&self) -> Result<Vec<u8>, Errno> {
        let (mut text, mut result) = (Vec::new(), Ok(()));
        self.each_area(&mut |view| {
            if result.is_ok() {
                result = view.line(&mut text);
            }
        });
        result.map(|()| text)
    }

    /// Returns the text of `/proc/self/statm` (proc(5)).
    #[must_use]
    pub fn statm(&self) -> Vec<u8> {
        let it = self.usage();
        let pages = |bytes: usize| bytes / PAGE;
        let [size, resident, shared] = [it.address_space, it.resident, it.shared].map(pages);
        let [code, data] = [it.code, it.data + it.stack].map(pages);
        format!("{size} {resident} {shared} {code} 0 {data} 0\n").into_bytes()
    }

    /// Returns where the code of the program is whose file has this path: the first area of it that
    /// can be executed.
    #[must_use]
    pub fn code(&self, path: &[u8]) -> Range<usize> {
        let mut code = 0..0;
        self.each_area(&mut |view| {
            if code.is_empty() && view.access.contains(Access::EXECUTE) && view.name == path {
                code = view.range.clone();
            }
        });
        code
    }

    /// Returns where the heap begins (brk(2)).
    #[must_use]
    pub fn heap(&self) -> usize {
        self.layout.get().heap
    }

    /// Returns how many pages of `range` are there.
    #[must_use]
    pub fn resident(&self, range: Range<usize>) -> usize {
        self.space.borrow().pages(range).count()
    }

    /// Returns how many bytes of it are in memory.
    #[must_use]
    pub fn resident_bytes(&self) -> usize {
        self.space.borrow().stats().pages * PAGE
    }

    /// Returns how much there is.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let stats = self.space.borrow().stats();
        let areas = self.areas.borrow();
        let mut usage = Usage {
            address_space: areas.total,
            data: areas.data,
            resident: stats.pages * PAGE,
            tables: stats.tables * PAGE,
            ..Usage::default()
        };
        drop(areas);
        self.each_area(&mut |view| {
            let length = view.range.len();
            usage.stack += if view.grows_down { length } else { 0 };
            if view.shared || view.inode != 0 {
                usage.shared += self.resident(view.range.clone()) * PAGE;
            }
            usage.code += if view.access.contains(Access::EXECUTE) { length } else { 0 };
        });
        usage
    }
}
