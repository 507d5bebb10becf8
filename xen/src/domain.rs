//! The state that this domain shares with Xen.

use crate::evtchn::{self, Events};
use crate::gnttab::Table;
use crate::memory::{Frames, SharedPage};
use crate::xenstore::Client;
use spin::Mutex;

/// Holds what a running domain shares with Xen. There is one, which [`domain()`](crate::domain())
/// returns.
#[derive(Debug)]
pub struct Domain {
    /// The page with `struct shared_info`: events and the clocks.
    pub shared_info: SharedPage,
    /// The machine frames of this domain.
    pub frames: Frames,
    /// The open ports.
    pub(crate) events: &'static Events,
    /// The grant table.
    pub(crate) grants: Mutex<Table>,
    /// The client of xenstored.
    pub(crate) store: Mutex<Client>,
}

impl Domain {
    /// Makes a domain. `events` is a reference because it is too large to be moved onto the stack.
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

    /// Unmasks the ports that are scanned, so that their events make an upcall pending. Returns
    /// whether one of them is pending already, for which there will be none. For the time in user
    /// mode.
    #[inline(always)]
    #[must_use]
    pub fn unmask_events(&self) -> bool {
        evtchn::unmask_all(&self.shared_info, self.events)
    }

    /// Masks them again.
    #[inline(always)]
    pub fn mask_events(&self) {
        evtchn::mask_all(&self.shared_info, self.events);
    }
}
