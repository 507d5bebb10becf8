//! Words that processes wait for each other at: futex(2).

use super::Memory;
use super::area::Backing;
use crate::errno::Errno;
use crate::stop::Stop;
use alloc::rc::Rc;
use core::ptr;
use kernel::user::{Access, PAGE, TOP};

/// Which futex a word is. Two that are equal are one, whatever their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The memory of the process, or what processes share: its address in the kernel.
    owner: usize,
    /// Where in that.
    at: u64,
}

impl Memory {
    /// Reads the word at `at` at once.
    ///
    /// # Errors
    /// `EINVAL` if `at` is no multiple of 4; as of [`read`](Self::read).
    pub fn load_u32(&self, at: u64) -> Result<u32, Stop> {
        let at = aligned(at)?;
        self.with_page(at, Access::READ, |frame| frame.load_u32(at % PAGE))
    }

    /// Writes it at once.
    ///
    /// # Errors
    /// As of [`load_u32`](Self::load_u32).
    pub fn store_u32(&self, at: u64, value: u32) -> Result<(), Stop> {
        let at = aligned(at)?;
        self.with_page(at, Access::WRITE, |frame| frame.store_u32(at % PAGE, value))
    }

    /// Writes `new` there if it is `old`. Returns what it was: `Ok` if it was `old`.
    ///
    /// # Errors
    /// As of [`load_u32`](Self::load_u32).
    pub fn compare_exchange_u32(
        &self,
        at: u64,
        old: u32,
        new: u32,
    ) -> Result<Result<u32, u32>, Stop> {
        let at = aligned(at)?;
        self.with_page(at, Access::WRITE, |frame| frame.compare_exchange_u32(at % PAGE, old, new))
    }

    /// Returns which futex the word at `at` is. `private`: `FUTEX_PRIVATE_FLAG`, which says that it
    /// is this process's own; without it, shared memory and files decide.
    ///
    /// # Errors
    /// `EINVAL` if `at` is no multiple of 4, `EFAULT` beyond all addresses, or where nothing is
    /// mapped and it may be shared; as on Linux also where memory of no file cannot be written, which
    /// never changes.
    pub fn futex_key(&self, at: u64, private: bool) -> Result<Key, Stop> {
        let at = aligned(at)?;
        let own = Key { owner: ptr::from_ref(self).addr(), at: at as u64 };
        if private {
            return Ok(own);
        }
        let areas = self.areas.borrow();
        let (start, area) = areas.at(at).ok_or(Errno::EFAULT)?;
        let within = |first: u64| first * PAGE as u64 + (at - start) as u64;
        Ok(match &area.backing {
            Backing::Shared(shared, first) => {
                Key { owner: Rc::as_ptr(shared).addr(), at: within(*first) }
            }
            Backing::File(file, first) if area.is_shared() => {
                Key { owner: Rc::as_ptr(&file.pages).addr(), at: within(*first) }
            }
            Backing::Anonymous if !area.access.contains(Access::WRITE) => {
                return Err(Errno::EFAULT.into());
            }
            _ => own,
        })
    }
}

fn aligned(at: u64) -> Result<usize, Errno> {
    match at as usize {
        at if !at.is_multiple_of(4) => Err(Errno::EINVAL),
        at if at >= TOP => Err(Errno::EFAULT),
        at => Ok(at),
    }
}
