//! The numbers by which Xen knows domains, granted pages and ports.

use core::fmt;

/// Identifies a domain (`domid_t`, `public/xen.h`).
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct DomId(pub u16);

impl DomId {
    /// The control domain, which runs the toolstack and usually xenstored.
    pub const DOM0: Self = Self(0);

    /// Stands for the calling domain in hypercalls (`DOMID_SELF`).
    pub const SELF: Self = Self(0x7FF0);

    /// Returns the id that `number` stands for, if a domain can have it: ids from `0x7FF0`
    /// (`DOMID_FIRST_RESERVED`) on have special meanings.
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

/// A grant reference (`grant_ref_t`): the index of an entry of this domain's grant table, by
/// which the peer names a page.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct GrantRef(pub u32);

impl fmt::Display for GrantRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a port, by which hypercalls and xenstore know it (`evtchn_port_t`).
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct PortNumber(pub u32);

impl PortNumber {
    /// The index of its word among the pending and mask bits.
    pub(crate) const fn word(self) -> u32 {
        self.0 / 64
    }

    /// Its bit in that word.
    pub(crate) const fn bit(self) -> u64 {
        1 << (self.0 % 64)
    }
}

impl fmt::Display for PortNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
