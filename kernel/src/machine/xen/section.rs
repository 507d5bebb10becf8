//! Critical sections of the crate `critical-section`, by which other crates share what they
//! compute once, such as the tables of curves.

use critical_section::{Impl, RawRestoreState, set_impl};

/// Nothing has to be kept out: a domain has one virtual processor, events do not interrupt the
/// kernel, and a task goes on until it waits, which code within a section cannot.
struct Alone;

set_impl!(Alone);

// SAFETY: nothing else runs between `acquire` and `release`: there is no second processor, no event
// is delivered while the kernel runs, and a trap of the kernel's does not return. Sections within
// sections are allowed, as there is no state.
unsafe impl Impl for Alone {
    unsafe fn acquire() -> RawRestoreState {}

    unsafe fn release((): RawRestoreState) {}
}
