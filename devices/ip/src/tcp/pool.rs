//! The memory of all buffers of a stack, in chunks.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;

/// Bytes of a chunk. With 2 048, which would save memory where connections hold a few bytes each,
/// a segment of bulk took 1.2 times the instructions and 1.7 times the time.
pub(crate) const CHUNK: usize = 4096;

/// Chunks without use that are kept for the next one at least: a request and its answer do not
/// go to the allocator, which would fill each with zeros.
const KEPT: usize = 16;

/// The most that are kept: a stream of many megabits takes and gives as many in a round trip.
const MOST_KEPT: usize = 256;

/// What buffers are made of. Its bytes are those of its last use: whoever takes it writes
/// before it reads.
pub(crate) type Chunk = Box<[u8; CHUNK]>;

/// Gives chunks to the buffers of all connections, up to a limit in all. The chunks that it
/// keeps for later are within that limit as well.
pub(crate) struct Pool {
    limit: usize,
    used: Cell<usize>,
    kept: RefCell<Vec<Chunk>>,
    most_kept: usize,
}

impl Pool {
    /// A pool that gives at most `bytes`, rounded down to chunks. It holds none yet.
    pub(crate) fn new(bytes: usize) -> Self {
        let limit = bytes / CHUNK * CHUNK;
        // A sixteenth of the limit, so that what is kept is missed by nobody.
        let most_kept = (limit / 16 / CHUNK).clamp(KEPT, MOST_KEPT);
        Self { limit, used: Cell::new(0), kept: RefCell::default(), most_kept }
    }

    /// Takes a chunk with any bytes in it; None at the limit, or when the machine's
    /// memory is nearly gone.
    pub(crate) fn take(&self) -> Option<Chunk> {
        let used = self.used.get() + CHUNK;
        if used > self.limit {
            return None;
        }
        let chunk = self.again().or_else(fresh)?;
        self.used.set(used);
        Some(chunk)
    }

    /// Takes a chunk for what can be done without, which stops while memory [is
    /// scarce](Self::is_scarce).
    pub(crate) fn take_spare(&self) -> Option<Chunk> {
        if self.is_scarce() { None } else { self.take() }
    }

    /// Returns whether [`take`](Self::take), or [`take_spare`](Self::take_spare) if it is `spare`,
    /// would give a chunk, as far as can be told without the allocator.
    pub(crate) fn gives(&self, spare: bool) -> bool {
        let room = self.used.get() + CHUNK <= self.limit && (!spare || !self.is_scarce());
        room && (!self.kept.borrow().is_empty() || !kernel::memory::is_nearly_gone())
    }

    /// Takes a chunk that came from here back.
    pub(crate) fn give(&self, chunk: Chunk) {
        self.used.set(self.used.get().saturating_sub(CHUNK));
        let mut kept = self.kept.borrow_mut();
        if kept.len() < self.most_kept && kept.try_reserve(1).is_ok() {
            kept.push(chunk);
        }
    }

    /// Counts `bytes` that somebody else holds, unless that is beyond the limit, or memory [is
    /// scarce](Self::is_scarce) and they can be done without. Whether they may be held.
    pub(crate) fn charge(&self, bytes: usize, spare: bool) -> bool {
        let used = self.used.get() + bytes;
        let room = used <= self.limit && !(spare && self.is_scarce());
        if room {
            self.used.set(used);
        }
        room
    }

    /// Forgets `bytes` that were [charged](Self::charge).
    pub(crate) fn discharge(&self, bytes: usize) {
        self.used.set(self.used.get().saturating_sub(bytes));
    }

    /// Returns the bytes of all chunks that were taken and not given back, and of what is
    /// charged.
    pub(crate) fn used(&self) -> usize {
        self.used.get()
    }

    /// Returns the bytes that it gives at most.
    pub(crate) const fn limit(&self) -> usize {
        self.limit
    }

    /// Returns whether more than three quarters are taken: what is left is for what brings
    /// connections forward.
    pub(crate) fn is_scarce(&self) -> bool {
        self.used.get() > self.limit - self.limit / 4
    }

    /// Takes a chunk that was kept.
    fn again(&self) -> Option<Chunk> {
        self.kept.borrow_mut().pop()
    }
}

/// A chunk from the allocator, unless the machine's memory is nearly gone: who waits for a chunk
/// is served later, who needs memory at once ends the machine.
#[cold]
fn fresh() -> Option<Chunk> {
    if kernel::memory::is_nearly_gone() {
        return None;
    }
    kernel::memory::zeroed(CHUNK)?.into_boxed_slice().try_into().ok()
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} of {})", self.used.get(), self.limit)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use kernel::testing::{simulate_memory, simulate_memory_use};
    use std::vec::Vec;

    #[test]
    fn as_much_is_given_as_the_limit_says_and_again_after_it_came_back_t3() {
        let pool = Pool::new(40 * CHUNK + 1);
        assert_eq!((pool.limit(), pool.used()), (40 * CHUNK, 0));
        for _ in 0..3 {
            let all: Vec<_> = core::iter::from_fn(|| pool.take()).collect();
            assert_eq!((all.len(), pool.used()), (40, pool.limit()));
            // What is kept is nothing beyond the limit.
            assert_eq!(pool.kept.borrow().len(), 0);
            all.into_iter().for_each(|chunk| pool.give(chunk));
            assert_eq!((pool.used(), pool.kept.borrow().len()), (0, KEPT));
        }
        assert!(Pool::new(CHUNK - 1).take().is_none());
    }

    #[test]
    fn the_last_memory_of_the_machine_is_left_to_others_s8() {
        let pool = Pool::new(64 * CHUNK);
        simulate_memory(32 << 20);
        simulate_memory_use(31 << 20);
        let chunks = [pool.take(), pool.take()].map(Option::unwrap);
        simulate_memory_use((31 << 20) + 1);
        assert!(!pool.gives(false) && pool.take().is_none());
        // What is its own already is at hand.
        chunks.into_iter().for_each(|chunk| pool.give(chunk));
        assert!(
            pool.gives(false)
                && pool.take().is_some()
                && pool.take().is_some()
                && pool.take().is_none()
        );
        assert_eq!(pool.used(), 2 * CHUNK);
    }

    #[test]
    fn a_warm_pool_does_not_ask_the_allocator() {
        let pool = Pool::new(1 << 20);
        let chunks: Vec<_> = (0..KEPT).map_while(|_| pool.take()).collect();
        chunks.into_iter().for_each(|chunk| pool.give(chunk));
        let info = allocation_counter::measure(|| {
            for _ in 0..100 {
                let mut taken = [const { None }; KEPT];
                taken.fill_with(|| pool.take());
                taken.into_iter().flatten().for_each(|chunk| pool.give(chunk));
            }
        });
        assert_eq!(info.count_total, 0);
    }

    #[test]
    fn what_is_spare_ends_at_three_quarters() {
        let pool = Pool::new(16 * CHUNK);
        let spare: Vec<_> = core::iter::from_fn(|| pool.take_spare()).collect();
        assert!(spare.len() == 13 && pool.is_scarce());
        assert!(!pool.gives(true) && pool.gives(false));
        let rest: Vec<_> = core::iter::from_fn(|| pool.take()).collect();
        assert!(rest.len() == 3 && !pool.gives(false));
        rest.into_iter().chain(spare).for_each(|chunk| pool.give(chunk));
        assert!(!pool.is_scarce() && pool.take_spare().is_some());
    }
}
