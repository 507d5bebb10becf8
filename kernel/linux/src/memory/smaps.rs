//! How much of each area is in memory: `/proc/self/smaps` and `smaps_rollup` (proc(5)).

use super::Memory;
use super::area::{Backing, Flags};
use super::ram::widen;
use super::view::View;
use crate::errno::Errno;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use kernel::user::{Access, PAGE};

/// Pages of an area, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    /// Pages of no file: what the process wrote, or never had a file.
    pub anonymous: usize,
    /// Pages that are those of a file.
    pub file: usize,
    /// Pages of memory that processes share.
    pub shared_memory: usize,
    /// Those of all that somebody else has a share of, such as the cache of a file.
    shared: usize,
    /// Those of them that may be written, and so may differ from a file.
    dirty: [usize; 2],
    /// All, as if those that are shared were two processes' each: nobody counts more.
    half: usize,
    /// Addresses that are locked (mlock(2)), in bytes.
    pub locked: usize,
}

impl Resident {
    const fn pages(&self) -> usize {
        self.anonymous + self.file + self.shared_memory
    }

    fn add(&mut self, other: &Self) {
        self.anonymous += other.anonymous;
        self.file += other.file;
        self.shared_memory += other.shared_memory;
        self.shared += other.shared;
        self.dirty[0] += other.dirty[0];
        self.dirty[1] += other.dirty[1];
        self.half += other.half;
        self.locked += other.locked;
    }

    /// Its lines, which `smaps` and `smaps_rollup` have in common.
    fn lines(&self, text: &mut String) {
        let pages = self.pages();
        let [own_dirty, shared_dirty] = self.dirty;
        for (name, pages) in [
            ("Rss", pages),
            ("Shared_Clean", self.shared - shared_dirty),
            ("Shared_Dirty", shared_dirty),
            ("Private_Clean", pages - self.shared - own_dirty),
            ("Private_Dirty", own_dirty),
            ("Referenced", pages),
            ("Anonymous", self.anonymous),
            ("LazyFree", 0),
            ("AnonHugePages", 0),
            ("ShmemPmdMapped", 0),
            ("FilePmdMapped", 0),
            ("Shared_Hugetlb", 0),
            ("Private_Hugetlb", 0),
            ("Swap", 0),
            ("SwapPss", 0),
        ] {
            if name == "Shared_Clean" {
                let half = self.half * PAGE / 2048;
                let _ = writeln!(text, "Pss:            {half:>8} kB");
                let dirty = (2 * own_dirty + shared_dirty) * PAGE / 2048;
                let _ = writeln!(text, "Pss_Dirty:      {dirty:>8} kB");
            }
            let (name, size) = (format!("{name}:"), pages * PAGE / 1024);
            let _ = writeln!(text, "{name:<16}{size:>8} kB");
        }
        let locked = self.locked / 1024;
        let _ = writeln!(text, "Locked:         {locked:>8} kB");
    }
}

impl Memory {
    /// Returns how many pages there are of each kind.
    #[must_use]
    pub fn resident_by_kind(&self) -> Resident {
        let mut all = Resident::default();
        for (start, _) in self.areas.borrow().iter() {
            all.add(&self.resident_of(start));
        }
        all
    }

    /// Returns what there is of the area that begins at `start`.
    fn resident_of(&self, start: usize) -> Resident {
        let (space, areas) = (self.space.borrow(), self.areas.borrow());
        let mut it = Resident::default();
        let Some((start, area)) = areas.at(start) else { return it };
        if area.flags.contains(Flags::LOCKED) {
            it.locked = area.end - start;
        }
        for (_, frame, access) in space.pages(start..area.end) {
            let shared = frame.is_shared();
            let kind = match &area.backing {
                Backing::Anonymous => &mut it.anonymous,
                // A private page that nobody shares was written.
                Backing::File(..) if !shared && !area.is_shared() => &mut it.anonymous,
                Backing::Shared(..) => &mut it.shared_memory,
                Backing::File(..) | Backing::Special(..) => &mut it.file,
            };
            *kind += 1;
            it.shared += usize::from(shared);
            // What is private to all who have it came from a write as well.
            let anonymous = matches!(area.backing, Backing::Anonymous);
            let dirty = access.contains(Access::WRITE) || anonymous;
            it.dirty[usize::from(shared)] += usize::from(dirty);
            it.half += if shared { 1 } else { 2 };
        }
        it
    }

    /// Returns the text of `/proc/self/smaps`.
    ///
    /// # Errors
    /// `ENOMEM`
    pub fn smaps(&self) -> Result<Vec<u8>, Errno> {
        let (mut text, mut result) = (Vec::new(), Ok(()));
        self.each_area(&mut |view| {
            if result.is_ok() {
                result = self.smap(view, &mut text);
            }
        });
        result.map(|()| text)
    }

    fn smap(&self, view: &View<'_>, text: &mut Vec<u8>) -> Result<(), Errno> {
        view.line(text)?;
        let mut lines = String::new();
        let size = view.range.len() / 1024;
        let _ = writeln!(lines, "Size:           {size:>8} kB");
        lines.push_str("KernelPageSize:        4 kB\nMMUPageSize:           4 kB\n");
        self.resident_of(view.range.start).lines(&mut lines);
        lines.push_str("THPeligible:    0\nVmFlags:");
        for (access, flags) in
            [(Access::READ, " rd"), (Access::WRITE, " wr"), (Access::EXECUTE, " ex")]
        {
            lines.push_str(if view.access.contains(access) { flags } else { "" });
        }
        lines.push_str(if view.shared { " sh" } else { "" });
        lines.push_str(" mr mw me");
        lines.push_str(if view.grows_down { " gd\n" } else { "\n" });
        widen(text, lines.len())?;
        text.extend_from_slice(lines.as_bytes());
        Ok(())
    }

    /// Returns the text of `/proc/self/smaps_rollup`.
    #[must_use]
    pub fn rollup(&self) -> Vec<u8> {
        let areas = self.areas.borrow();
        let first = areas.iter().next().map_or(0, |(start, _)| start);
        let last = areas.iter().map(|(_, area)| area.end).max().unwrap_or(0);
        drop(areas);
        let mut text = format!("{first:08x}-{last:08x} ---p 00000000 00:00 0 ");
        text.extend(core::iter::repeat_n(' ', 73_usize.saturating_sub(text.len())));
        text.push_str("[rollup]\n");
        self.resident_by_kind().lines(&mut text);
        text.into_bytes()
    }
}
