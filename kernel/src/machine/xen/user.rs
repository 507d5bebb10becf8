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
use ::xen::hypercall::vcpu_op_get_runstate_info;
use ::xen::public::vcpu::RUNSTATE_RUNNING;
use ::xen::timer;
pub use context::Context;
pub use frame::Frame;
pub use space::Space;

/// Takes from the processor what would be another frame after a suspension. The next program that
/// runs gives it back.
pub(super) fn suspend() -> Result<(), Errno> {
    processor::leave_all()
}

/// Goes on in a new domain, which does not know the timer, if it was open.
pub(super) fn resume(timed: bool) {
    if timed {
        // Without a timer a program runs until an event comes.
        let _ = timer::open();
        entry::set_slice(false);
    }
}

/// Returns for how long this domain had its processor, in ns, as Xen counts: what is not the rest
/// of the time was idle, or another domain's. `None` if Xen does not say.
#[must_use]
pub fn ran() -> Option<u64> {
    vcpu_op_get_runstate_info(0).ok().map(|it| it.time[RUNSTATE_RUNNING])
}

/// Returns what the kernel's clock is ahead of the one of that record, in ns.
#[must_use]
pub fn time_ahead() -> i64 {
    ahead()
}

/// Returns the parameters of Xen's clock, a `struct vcpu_time_info` (`public/xen.h`): for programs that
/// tell the time without a call. `None` in a process.
///
/// Xen would also keep them in a page of ours (`VCPUOP_register_vcpu_time_memory_area`). But it writes
/// there by an address, in whichever mode it finds the processor, where a program may have other memory.
#[must_use]
pub fn time_record() -> Option<[u8; 32]> {
    ::xen::attached().map(|domain| ::xen::time::record(&domain.shared_info))
}
