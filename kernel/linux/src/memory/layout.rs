//! Where things go in an address space, and how much may be there.

use kernel::entropy;
use kernel::user::{PAGE, TOP};

/// The lowest address that is given to a map without `MAP_FIXED` (`vm.mmap_min_addr`).
pub(super) const LOWEST: usize = 0x1_0000;

/// Where Linux begins to look for places from below, when there is none from above.
pub(super) const BOTTOM: usize = TOP / 3 / PAGE * PAGE;

/// Where programs without a fixed address go: two thirds up, as on Linux.
const PROGRAM: usize = 0x5555_5555_4000;

/// The most that a stack's top is below [`TOP`]: 16 GiB.
const STACK_RANDOM: usize = 1 << 34;

/// Limits of a process's memory, in bytes; `usize::MAX` is none (getrlimit(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// All that is mapped (`RLIMIT_AS`).
    pub address_space: usize,
    /// Private writable memory (`RLIMIT_DATA`).
    pub data: usize,
    /// How far a stack grows (`RLIMIT_STACK`).
    pub stack: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { address_space: usize::MAX, data: usize::MAX, stack: 8 << 20 }
    }
}

/// Where things go in one address space.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Below it maps go, downwards.
    pub(super) maps: usize,
    /// The end of the stack.
    pub(super) stack: usize,
    /// Where a program without a fixed address goes.
    pub(super) program: usize,
    /// Where the heap begins, and ends (brk(2)). Both 0 before there is one.
    pub(super) heap: usize,
    pub(super) brk: usize,
    /// How far [`maps`](Self::maps) is moved at random.
    random: usize,
}

impl Layout {
    /// Chooses one: the program and the maps within 1 TiB, the stack within 16 GiB. Without
    /// entropy it is always the same.
    pub(super) fn random(stack: usize) -> Self {
        let within =
            |range: usize| (entropy::next_u64().unwrap_or(0) as usize) % range / PAGE * PAGE;
        let layout = Self {
            maps: 0,
            stack: TOP - within(STACK_RANDOM),
            program: PROGRAM + within(1 << 40),
            heap: 0,
            brk: 0,
            random: within(1 << 40),
        };
        layout.with_stack(stack)
    }

    /// Leaves room for a stack of `limit` bytes, within what is sensible.
    pub(super) fn with_stack(self, limit: usize) -> Self {
        let room = limit.saturating_add(STACK_RANDOM + super::areas::GUARD);
        let room = room.clamp(128 << 20, TOP / 6 * 5);
        Self { maps: (TOP - room - self.random) / PAGE * PAGE, ..self }
    }

    /// Sets where the heap ends.
    pub(super) const fn with_brk(self, brk: usize) -> Self {
        Self { brk, ..self }
    }

    /// Sets where the heap begins: within 32 MiB behind `end`.
    pub(super) fn with_heap(self, end: usize) -> Self {
        let random = entropy::next_u64().unwrap_or(0) as usize % (32 << 20);
        let heap = end.saturating_add(random).next_multiple_of(PAGE).min(TOP);
        Self { heap, brk: heap, ..self }
    }
}
