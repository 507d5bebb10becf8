//! User mode: programs in address spaces of their own, below this kernel.
//!
//! A PV guest has two sets of page tables. In user mode the processor uses those of
//! `MMUEXT_NEW_USER_BASEPTR`, in which are a program's pages and nothing of this kernel, which is
//! at the same low addresses. The hypercall `iret` goes there. A `syscall`, an exception or an event
//! comes back: Xen changes the tables, pushes a frame where `HYPERVISOR_stack_switch` said, and
//! enters one of ours ([`entry`]).
//!
//! Nothing of this is in an image that makes no [`Space`]: the first one registers entries that know
//! of user mode.

mod context;
mod entry;
mod frame;
mod processor;
mod run;
mod space;
mod table;

use super::clock::ahead;
use ::xen::Errno;
use ::xen::hypercall::{vcpu_op_get_runstate_info, vcpu_op_register_vcpu_time_memory_area};
use ::xen::public::vcpu::RUNSTATE_RUNNING;
use ::xen::timer;
pub use context::Context;
use core::cell::RefCell;
pub use frame::Frame;
pub use space::Space;

/// The page in which Xen keeps the clock's parameters.
struct TimePage(RefCell<Option<Frame>>);

// SAFETY: there is one thread, and what interrupts it does not use this.
unsafe impl Sync for TimePage {}

static TIME: TimePage = TimePage(RefCell::new(None));

/// Takes from the processor what would be another frame after a suspension. The next program that
/// runs gives it back.
pub(super) fn suspend() -> Result<(), Errno> {
    processor::leave_all()
}

/// Goes on in a new domain, which knows neither the timer, if it was open, nor the page of the
/// clock.
pub(super) fn resume(timed: bool) {
    if timed {
        // Without a timer a program runs until an event comes.
        let _ = timer::open();
        entry::set_slice(false);
    }
    if let Some(page) = TIME.0.borrow().as_ref() {
        // If Xen refuses, programs see a clock that is as good as the last record.
        let _ = register(page);
    }
}

/// Returns for how long this domain had its processor, in ns, as Xen counts: what is not the rest
/// of the time was idle, or another domain's. `None` if Xen does not say.
#[must_use]
pub fn ran() -> Option<u64> {
    vcpu_op_get_runstate_info(0).ok().map(|it| it.time[RUNSTATE_RUNNING])
}

/// Returns what the kernel's clock is ahead of the one in that page, in ns.
#[must_use]
pub fn time_ahead() -> i64 {
    ahead()
}

fn register(page: &Frame) -> Result<(), Errno> {
    // SAFETY: the page is never dropped.
    unsafe { vcpu_op_register_vcpu_time_memory_area(0, page.page().as_ptr() as u64) }
}

/// Returns the page in which Xen keeps the parameters of the clock, a `struct vcpu_time_info`
/// (`public/xen.h`) at its beginning: for programs that tell the time without a call. `None` if
/// there is no memory, or Xen refuses.
#[must_use]
pub fn time_page() -> Option<Frame> {
    let mut page = TIME.0.borrow_mut();
    if page.is_none() {
        let new = Frame::new()?;
        register(&new).ok()?;
        *page = Some(new);
    }
    page.clone()
}
