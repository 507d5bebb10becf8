//! What the guest holds, and whether it gave all of it back (rule R12).

use super::{Fake, with};
use crate::evtchn::PortNumber;
use crate::gnttab::GrantRef;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Steps after which xenstored and the back ends must have nothing left to do.
const STEPS: usize = 10_000;

/// What the guest held at some time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// Ports that it made.
    pub ports: BTreeSet<PortNumber>,
    /// Pages that it lends and that no other domain uses.
    pub grants: BTreeSet<GrantRef>,
    /// Watches that it set.
    pub watches: usize,
    /// Transactions that it started.
    pub transactions: usize,
}

/// What is more than at the time of `baseline`, in words; empty when nothing is.
pub(super) fn since(baseline: &Baseline) -> String {
    let now = now();
    let mut text = String::new();
    let mut say = |more: usize, what: &dyn std::fmt::Debug, name: &str| {
        if more > 0 {
            let _ = write!(text, "the guest leaks {more} {name}: {what:?}; ");
        }
    };
    let ports: Vec<_> = now.ports.difference(&baseline.ports).collect();
    say(ports.len(), &ports, "event channels");
    // Where a driver's pages are is its own business: their number counts.
    let grants = now.grants.len().saturating_sub(baseline.grants.len());
    let entries: Vec<_> = now.grants.difference(&baseline.grants).collect();
    say(grants, &entries, "grants");
    let watches = with(|state| state.host.store.guest_watches());
    say(now.watches.saturating_sub(baseline.watches), &watches, "watches");
    let transactions = now.transactions.saturating_sub(baseline.transactions);
    say(transactions, &transactions, "transactions");
    text
}

fn now() -> Baseline {
    with(|state| {
        let host = &state.host;
        let used = host.grants.used();
        Baseline {
            ports: host.events.open(),
            grants: host.grants.lent().difference(&used).copied().collect(),
            watches: host.store.guest_watches().len(),
            transactions: host.store.transactions(),
        }
    })
}

impl Fake {
    /// What the guest holds now. Grants that another domain uses are not
    /// counted, as the guest cannot take them back.
    #[must_use]
    pub fn baseline(&self) -> Baseline {
        self.settle();
        now()
    }

    /// Panics when the guest holds more than at the time of `baseline`.
    ///
    /// # Panics
    /// When it does.
    pub fn assert_no_leaks(&self, baseline: &Baseline) {
        self.settle();
        let leaks = since(baseline);
        assert!(leaks.is_empty(), "rule R12: {leaks}");
    }

    /// Dropping the hypervisor does not look for leaks.
    pub fn allow_leaks(&self) {
        with(|state| state.may_leak = true);
    }

    /// Steps until nothing happens, at most a great many times: a back end
    /// that misbehaves may never be done.
    pub(super) fn settle(&self) {
        (0..STEPS).any(|_| !self.step());
    }
}
