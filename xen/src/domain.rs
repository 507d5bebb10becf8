//! This domain: what it shares with Xen, once and for all.

use crate::evtchn::Events;
use crate::gnttab::Table;
use crate::memory::{Frames, SharedPage};
use crate::xenstore::Client;
use core::fmt;
use spin::Mutex;

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

/// What a running domain holds of its hypervisor.
#[derive(Debug)]
pub struct Domain {
    /// `struct shared_info`: events and the clock.
    pub shared_info: SharedPage,
    /// Which machine frame is behind which page.
    pub frames: Frames,
    /// The ports that are open.
    pub(crate) events: &'static Events,
    /// The pages that others may use.
    pub(crate) grants: Mutex<Table>,
    /// Xenstore.
    pub(crate) store: Mutex<Client>,
}

impl Domain {
    /// A domain with these ports, of which there are none yet. They are too large to be
    /// moved.
    #[must_use]
    pub(crate) const fn new(
        shared_info: SharedPage,
        frames: Frames,
        events: &'static Events,
    ) -> Self {
        Self {
            shared_info,
            frames,
            events,
            grants: Mutex::new(Table::new()),
            store: Mutex::new(Client::new()),
        }
    }
}
