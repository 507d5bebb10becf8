//! `public/callback.h`: the addresses at which Xen enters a guest.

/// `CALLBACKOP_register`: registers a callback.
pub const CALLBACKOP_REGISTER: u32 = 0;

/// `CALLBACKTYPE_event`: the callback for events.
pub const CALLBACKTYPE_EVENT: u16 = 0;

/// `CALLBACKTYPE_failsafe`: the callback for a return to the guest that failed.
pub const CALLBACKTYPE_FAILSAFE: u16 = 1;

/// `CALLBACKTYPE_syscall`: the callback for the instruction `syscall` in user mode.
pub const CALLBACKTYPE_SYSCALL: u16 = 2;

/// `CALLBACKF_mask_events`: masks events on entry.
pub const CALLBACKF_MASK_EVENTS: u16 = 1;

/// `struct callback_register` of a 64-bit guest: the argument of [`CALLBACKOP_REGISTER`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallbackRegister {
    /// `CALLBACKTYPE_*`.
    pub kind: u16,
    /// `CALLBACKF_*`.
    pub flags: u16,
    /// Virtual address of the callback.
    pub address: u64,
}
