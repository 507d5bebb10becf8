//! The numbers of domains, grants and ports.

use core::fmt;

/// Identifies a domain on its host (`domid_t`, `public/xen.h`).
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct DomId(pub u16);

impl DomId {
    /// The control domain, which runs the toolstack and usually xenstored.
    pub const DOM0: Self = Self(0);

    /// Stands for the calling domain in hypercalls (`DOMID_SELF`).
    pub const SELF: Self = Self(0x7FF0);

    /// Returns `number` as the id of a domain, or `None` from `0x7FF0` (`DOMID_FIRST_RESERVED`)
    /// on: those have special meanings.
    #[must_use]
    pub const fn of_domain(number: u64) -> Option<Self> {
        if number < Self::SELF.0 as u64 { Some(Self(number as u16)) } else { None }
    }
}

impl fmt::Display for DomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identifies a granted page to the peer: the index of an entry in this domain's grant table
/// (`grant_ref_t`, `public/grant_table.h`).
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct GrantRef(pub u32);

impl fmt::Display for GrantRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identifies a port, the local end of an event channel, in hypercalls and in xenstore
/// (`evtchn_port_t`, `public/event_channel.h`).
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct PortNumber(pub u32);

impl PortNumber {
    /// Returns the index of its word among the pending or mask bits.
    pub(crate) const fn word(self) -> u32 {
        self.0 / 64
    }

    /// Returns its bit in that word.
    pub(crate) const fn bit(self) -> u64 {
        1 << (self.0 % 64)
    }
}

impl fmt::Display for PortNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
