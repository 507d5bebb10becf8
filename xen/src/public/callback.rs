//! `public/callback.h`: where Xen enters a guest.

/// `CALLBACKOP_register`: sets an entry.
pub const CALLBACKOP_REGISTER: u32 = 0;

/// `CALLBACKTYPE_event`: the entry for events.
pub const CALLBACKTYPE_EVENT: u16 = 0;

/// `callback_register` of a 64-bit guest.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallbackRegister {
    /// `CALLBACKTYPE_*`.
    pub kind: u16,
    /// `CALLBACKF_*`.
    pub flags: u16,
    /// The virtual address.
    pub address: u64,
}
