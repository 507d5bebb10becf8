//! Critical sections of the crate `critical-section`, by which other crates share what they
//! compute once, such as the tables of curves.

use critical_section::{Impl, RawRestoreState, set_impl};

/// Nothing has to be kept out: a domain has one virtual processor, a task goes on until it waits,
/// which code within a section cannot, and the only event that interrupts code is the watchdog's,
/// which enters no section and reads nothing that one guards.
struct Alone;

set_impl!(Alone);

// SAFETY: nothing else that enters a section runs between `acquire` and `release`: there is no
// second processor, a trap of the kernel's does not return, and the watchdog's event, which does,
// accesses what `watchdog.rs` lists. Sections within sections are allowed, as there is no state.
unsafe impl Impl for Alone {
    unsafe fn acquire() -> RawRestoreState {}

    unsafe fn release((): RawRestoreState) {}
}
