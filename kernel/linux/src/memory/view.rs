//! Describes the memory of a process, for `/proc` and for reports.

use super::Memory;
use super::area::Backing;
use core::ops::Range;
use kernel::user::{Access, PAGE};

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
    /// Page tables (`VmPTE`).
    pub tables: usize,
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
                grows_down: area.flags.contains(super::area::Flags::GROWS_DOWN),
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
                    view.name = b"/dev/zero (deleted)";
                    (view.device, view.inode) = (1, shared.inode);
                    view.offset = first * PAGE as u64;
                }
                Backing::File(file, first) => {
                    view.name = &file.name;
                    (view.device, view.inode) = (file.device, file.inode);
                    view.offset = first * PAGE as u64;
                }
                Backing::Special(special, _) => view.name = special.name.as_bytes(),
            }
            each(&view);
        }
    }

    /// Returns how many pages of `range` are there.
    #[must_use]
    pub fn resident(&self, range: Range<usize>) -> usize {
        self.space.borrow().pages(range).count()
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
            usage.code += if view.access.contains(Access::EXECUTE) { length } else { 0 };
        });
        usage
    }
}
