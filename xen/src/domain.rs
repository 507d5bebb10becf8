//! This domain: what it shares with Xen, once and for all.

use crate::evtchn::Events;
use crate::gnttab::Table;
use crate::memory::{Frames, SharedPage};
use crate::xenstore::Client;
use spin::Mutex;

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
