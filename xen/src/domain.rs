//! This domain: what it shares with Xen, once and for all.

use crate::evtchn::Events;
use crate::memory::SharedPage;

/// What a running domain holds of its hypervisor.
#[derive(Debug)]
pub struct Domain {
    /// `struct shared_info`: events and the clock.
    pub shared_info: SharedPage,
    /// The ports that are open.
    pub(crate) events: Events,
}

impl Domain {
    /// A domain without open ports.
    #[must_use]
    pub const fn new(shared_info: SharedPage) -> Self {
        Self { shared_info, events: Events::new() }
    }
}
