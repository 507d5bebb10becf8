//! What execve(2) makes of an empty memory: segments of programs, the heap, the stack, the
//! kernel's own pages.

use super::Memory;
use super::area::{Area, Backing, Flags, Mapped, Special};
use crate::errno::Errno;
use crate::stop::{Load, Stop};
use alloc::rc::Rc;
use alloc::vec::Vec;
use kernel::user::{Access, Frame, PAGE, TOP};

/// Bytes of a new stack. It grows when they are used.
const STACK: usize = 33 * PAGE;

impl Memory {
    /// Maps a segment of a program (`PT_LOAD`): `file_length` bytes of `file` from `offset` on, and
    /// zeros up to `memory_length`, at `at`, instead of what was there.
    ///
    /// # Errors
    /// `EINVAL` if `at` and `offset` are not equal modulo a page, or `memory_length` is smaller
    /// than `file_length`, or the file ends before; `ENOMEM` beyond all addresses, or beyond a limit; [`Stop::Load`] if the
    /// page in which the file's part ends is not in memory: nothing is changed then.
    pub fn place(
        &self,
        at: usize,
        file: &Rc<Mapped>,
        offset: u64,
        file_length: usize,
        memory_length: usize,
        access: Access,
    ) -> Result<(), Stop> {
        let within = at % PAGE;
        if offset % PAGE as u64 != within as u64 || memory_length < file_length {
            return Err(Errno::EINVAL.into());
        }
        let end = at.checked_add(memory_length).filter(|&end| end <= TOP).ok_or(Errno::ENOMEM)?;
        let first = (offset / PAGE as u64).checked_add((TOP / PAGE) as u64);
        let first = first.ok_or(Errno::EINVAL)? - (TOP / PAGE) as u64;
        self.ram.check()?;
        let start = at - within;
        let file_end = at + file_length;
        let clear =
            file_length > 0 && memory_length > file_length && !file_end.is_multiple_of(PAGE);
        if clear {
            let index = first + ((file_end - start) / PAGE) as u64;
            if index >= file.pages.size().div_ceil(PAGE as u64) {
                return Err(Errno::EINVAL.into());
            }
            if file.pages.frame(index).is_none() {
                let load = Load { pages: Rc::clone(&file.pages), index };
                return Err(Stop::Load(load));
            }
        }
        let all = start..end.next_multiple_of(PAGE);
        let data = access.contains(Access::WRITE);
        self.check_limits(&all, all.len(), if data { all.len() } else { 0 })?;
        let middle = match file_length {
            0 => start,
            _ => file_end.next_multiple_of(PAGE),
        };
        if middle > start {
            // The zeros behind the file's part are written whatever the program may do.
            let access = if clear { access | Access::WRITE } else { access };
            let backing = Backing::File(Rc::clone(file), first);
            let area = Area::new(middle, access, self.lock_flag(), backing);
            self.replace(&(start..middle), area);
        }
        if clear {
            // To the end of the page, as Linux does: ld.so takes its first memory from there, and
            // expects zeros.
            let zeroed = self.clear(file_end, middle - file_end);
            if !data {
                self.protect(start, middle - start, access)?;
            }
            zeroed?;
        }
        if all.end > middle {
            let area = Area::new(all.end, access, self.lock_flag(), Backing::Anonymous);
            self.replace(&(middle..all.end), area);
        }
        Ok(())
    }

    /// Returns where a program without a fixed address goes.
    #[must_use]
    pub const fn program_base(&self) -> usize {
        self.layout.get().program
    }

    /// Says that the program's memory ends at `end`: the heap begins behind it.
    pub fn set_brk_start(&self, end: usize) {
        self.layout.update(|it| it.with_heap(end));
    }

    /// Maps a stack, and returns its end. It grows down as far as its limit.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn map_stack(&self) -> Result<usize, Errno> {
        self.ram.check()?;
        let top = self.layout.get().stack;
        let range = top - STACK..top;
        if !self.areas.borrow().is_free(range.clone()) {
            return Err(Errno::ENOMEM);
        }
        self.check_limits(&range, range.len(), 0)?;
        let access = Access::READ | Access::WRITE;
        let flags = Flags::GROWS_DOWN | self.lock_flag();
        self.replace(&range, Area::new(top, access, flags, Backing::Anonymous));
        Ok(top)
    }

    /// Shows pages of the kernel's own under `name`, such as `[vdso]`, and returns where. The
    /// program cannot write them; where it makes them writable, it gets copies.
    ///
    /// # Errors
    /// `EINVAL` for no pages, `ENOMEM`.
    pub fn map_frames(
        &self,
        frames: &[Frame],
        access: Access,
        name: &'static str,
    ) -> Result<usize, Errno> {
        self.ram.check()?;
        let start = self.find(frames.len() * PAGE)?;
        let range = start..start + frames.len() * PAGE;
        self.check_limits(&range, range.len(), 0)?;
        let mut copies = Vec::new();
        copies.try_reserve_exact(frames.len()).map_err(|_| Errno::ENOMEM)?;
        copies.extend_from_slice(frames);
        let special = Rc::new(Special { name, frames: copies });
        let backing = Backing::Special(special, 0);
        self.replace(&range, Area::new(range.end, access, Flags::empty(), backing));
        Ok(start)
    }
}
