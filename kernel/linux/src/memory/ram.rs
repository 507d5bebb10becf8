//! Gives pages to programs, as long as there is memory, and says when there is none.

use super::Memory;
use crate::errno::Errno;
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::cell::{Cell, OnceCell, RefCell};
use core::fmt;
use kernel::memory::{is_low, is_nearly_gone, is_short, stats};
use kernel::user::Frame;

/// Pages that a cache is asked for at once.
const BATCH: usize = 64;

/// Pages that are taken from programs for each that the caches are asked for: what is touched again
/// until a cache is asked once more counts as used.
const AHEAD: usize = 4;

/// Bytes of a list that take no look at the memory: what is under way asks for so much (rule S8).
const SMALL: usize = 4096;

/// Returns whether a queue of the kernel's may take `bytes` where it has to grow: up to 4 KiB are for
/// what is under way (rule S8).
#[must_use]
pub(crate) fn may_take(bytes: usize) -> bool {
    bytes <= SMALL || !is_refused()
}

/// Makes room for `more` in a list of the kernel's that is as long as programs will have it: up to
/// 4 KiB are for what is under way (rule S8), and of one that would leave too little nothing is kept.
///
/// # Errors
/// `ENOMEM`
pub(crate) fn widen<T>(list: &mut Vec<T>, more: usize) -> Result<(), Errno> {
    if list.capacity() - list.len() >= more {
        return Ok(());
    }
    let is_large = (list.len() + more).saturating_mul(size_of::<T>()) > SMALL;
    if is_large && is_refused() {
        return Err(Errno::ENOMEM);
    }
    list.try_reserve(more).map_err(|_| Errno::ENOMEM)?;
    if is_large && is_refused() {
        // To no less: the heap makes that smaller in place, and a small one may have to be moved.
        list.shrink_to(SMALL / size_of::<T>());
        return Err(Errno::ENOMEM);
    }
    Ok(())
}

/// A text of the kernel's that is as long as programs will have it: what finds no room is an
/// error.
#[derive(Debug, Default)]
pub struct Text(pub Vec<u8>);

impl fmt::Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        widen(&mut self.0, more.len()).map_err(|_| fmt::Error)?;
        self.0.extend_from_slice(more.as_bytes());
        Ok(())
    }
}

/// Entries that a cache looks at for each page that it is asked for.
const LOOKS: usize = 8;

/// Pages of caches that are not taken from programs: with fewer, each instruction would wait for
/// the disk.
const KEPT: usize = 64;

/// Free pages that suffice where the rest of the memory is short.
const SPARE: usize = 32;

/// Returns whether caches should give up pages before somebody gets one. Free pages are no room for
/// anything else, and even a page may need a table: where the rest of the memory is nearly gone, they
/// do not suffice.
#[must_use]
pub(crate) fn is_tight() -> bool {
    is_short() && !suffice(Frame::spare(), is_nearly_gone())
}

/// Whether so many free pages suffice for who needs one.
const fn suffice(pages: usize, nearly_gone: bool) -> bool {
    pages >= SPARE && !nearly_gone
}

/// Returns whether a program may have no more memory, for which [caches](Ram::has_room) were asked
/// before.
#[must_use]
pub(crate) fn is_refused() -> bool {
    is_low() && is_tight()
}

/// Bytes that a program is not refused at once, however small the machine is. Go's heap begins
/// with 64 MiB, which it touches page by page, and other runtimes are like it.
const UNDOUBTED: usize = 1 << 30;

/// Gives up pages that can be read again.
pub trait Reclaim {
    /// Drops up to about `pages` pages that nobody else has a share of and that are as their file
    /// has them. Returns how many.
    fn reclaim(&self, pages: usize) -> usize;

    /// Returns how many pages it has at most that could be given up.
    fn pages(&self) -> usize;
}

/// Gives pages to the programs of one machine.
///
/// Memory is not promised: a program gets a page when it first touches it, and is refused at once
/// only what it could never get ([`could_give`](Self::could_give)). The last sixteenth of the machine's memory is the kernel's own, so that a program
/// that is refused a page cannot take with it what is under way for others.
#[derive(Default)]
pub struct Ram {
    zeros: OnceCell<Frame>,
    caches: RefCell<Vec<Weak<dyn Reclaim>>>,
    /// How many open file descriptions there are.
    pub(crate) opens: Cell<usize>,
    /// The memories that may have pages of caches.
    memories: RefCell<Vec<Weak<Memory>>>,
    /// The number of the last memory that processes share.
    inode: Cell<u64>,
}

impl Ram {
    /// Makes one without caches.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Adds a cache, which is asked for its pages when there are no others.
    pub fn add(&self, cache: Weak<dyn Reclaim>) {
        let mut caches = self.caches.borrow_mut();
        caches.retain(|it| it.strong_count() > 0);
        caches.push(cache);
    }

    /// Adds the memory of a process, of which pages of files are taken when there are no others.
    ///
    /// # Errors
    /// `ENOMEM`
    pub(crate) fn adopt(&self, memory: &Rc<Memory>) -> Result<(), Errno> {
        let mut memories = self.memories.borrow_mut();
        memories.retain(|it| it.strong_count() > 0);
        memories.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        memories.push(Rc::downgrade(memory));
        Ok(())
    }

    /// Returns how many bytes caches could give up at most.
    #[must_use]
    pub fn cached(&self) -> usize {
        self.pages() * kernel::user::PAGE
    }

    fn pages(&self) -> usize {
        let caches = self.caches.borrow();
        caches.iter().filter_map(Weak::upgrade).map(|it| it.pages()).sum()
    }

    /// Returns whether something may be allocated for a program, for which caches give up pages if
    /// need be.
    #[must_use]
    pub fn has_room(&self) -> bool {
        // What was given up may suffice, though there is no more.
        !is_refused() || self.reclaim() || !is_refused()
    }

    /// Has caches give up pages before memory is low. Returns whether something may be allocated for
    /// a program.
    pub(super) fn prepare(&self) -> bool {
        !is_tight() || self.reclaim() || !is_low()
    }

    /// Fails where a program may have no more memory.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn check(&self) -> Result<(), Errno> {
        if self.has_room() { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// Fails where what is under way may have no more memory: the last sixteenth is for that (rule
    /// S8), but the half of it that is for what cannot fail.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn check_under_way(&self) -> Result<(), Errno> {
        if self.has_room() || !is_nearly_gone() { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// Fails where a program may have no more memory, unless it asks for little: what is under way
    /// does (rule S8).
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn check_size(&self, bytes: usize) -> Result<(), Errno> {
        if bytes <= SMALL { Ok(()) } else { self.check() }
    }

    /// Makes a list with room for `count`, whose length a program chose.
    ///
    /// # Errors
    /// `ENOMEM`, also where one of more than 4 KiB would leave too little.
    pub fn sized<T>(&self, count: usize) -> Result<Vec<T>, Errno> {
        let bytes = count.saturating_mul(size_of::<T>());
        self.check_size(bytes)?;
        let mut list = Vec::new();
        list.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
        self.check_size(bytes)?;
        Ok(list)
    }

    /// Fails for writable memory of more bytes at once than there could ever be, as Linux does if
    /// `vm.overcommit_memory` is 0: so what asks for far too much can say so.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn could_give(&self, bytes: usize) -> Result<(), Errno> {
        if bytes > stats().total.max(UNDOUBTED) { Err(Errno::ENOMEM) } else { Ok(()) }
    }

    /// Returns a page of zeros for a program.
    #[must_use]
    pub fn frame(&self) -> Option<Frame> {
        if self.has_room() { Frame::new() } else { None }
    }

    /// Returns a page with the same bytes for a program.
    pub(super) fn copy(&self, frame: &Frame) -> Option<Frame> {
        match self.has_room() {
            true if self.zeros.get().is_some_and(|it| frame.same(it)) => Frame::new(),
            true => frame.copy(),
            false => None,
        }
    }

    /// Returns a number for memory that processes share.
    pub(super) fn next_inode(&self) -> u64 {
        self.inode.update(|it| it + 1);
        self.inode.get()
    }

    /// Returns the page of zeros that all share who have only read theirs.
    pub(super) fn zeros(&self) -> Option<Frame> {
        match self.zeros.get() {
            Some(frame) => Some(frame.clone()),
            None => {
                let frame = self.frame()?;
                Some(self.zeros.get_or_init(|| frame).clone())
            }
        }
    }

    /// Has caches give up pages, and takes pages of files from programs, which find them again by a
    /// fault, until there is room. Returns whether there is.
    #[cold]
    fn reclaim(&self) -> bool {
        let mut left = 2 * self.pages();
        loop {
            let gone = {
                let caches = self.caches.borrow();
                let each = caches.iter().filter_map(Weak::upgrade);
                each.map(|it| it.reclaim(BATCH)).sum::<usize>()
            };
            if !is_tight() {
                return true;
            }
            if gone == 0 {
                if left == 0 || self.pages() < KEPT {
                    return false;
                }
                // A cache that was asked has looked at a part of what it has.
                left = left.saturating_sub(LOOKS * BATCH);
                let memories = self.memories.borrow();
                for memory in memories.iter().filter_map(Weak::upgrade) {
                    memory.let_go(AHEAD * BATCH);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write;
    use kernel::testing::{simulate_memory, simulate_memory_use};

    #[test]
    fn free_pages_are_no_reason_to_take_the_last_of_the_memory_s8() {
        assert!(suffice(SPARE, false) && !suffice(SPARE - 1, false));
        assert!(!suffice(SPARE, true) && !suffice(usize::MAX, true));
    }

    #[test]
    fn lists_of_programs_grow_to_4_kib_and_no_further_while_memory_is_low_u4() {
        simulate_memory(1 << 20);
        let fill = || {
            let (mut list, mut text) = (Vec::new(), Text::default());
            let listed = (0..5000_u64)
                .take_while(|_| widen(&mut list, 1).map(|()| list.push(0_u64)).is_ok());
            let told = (0..5000).take_while(|it| writeln!(text, "{it:7}").is_ok());
            (listed.count(), told.count())
        };
        assert_eq!(fill(), (5000, 5000));
        simulate_memory_use((1 << 20) - 4096);
        assert_eq!(fill(), (512, 512));
        // What is there already is used.
        let mut list: Vec<u64> = Vec::with_capacity(1000);
        assert_eq!((widen(&mut list, 1000), widen(&mut list, 1001)), (Ok(()), Err(Errno::ENOMEM)));
    }
}
