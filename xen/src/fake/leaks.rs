//! Checks that the guest releases everything that it holds (rule R12).

use super::{Fake, with};
use crate::evtchn::PortNumber;
use crate::gnttab::GrantRef;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Steps after which xenstored and the back ends must have nothing left to do.
const STEPS: usize = 10_000;

/// Holds what the guest held at some time: ports, grants, watches and transactions.
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
    let mut report = |more: usize, what: &dyn std::fmt::Debug, name: &str| {
        if more > 0 {
            let _ = write!(text, "the guest leaks {more} {name}: {what:?}; ");
        }
    };
    let ports: Vec<_> = now.ports.difference(&baseline.ports).collect();
    report(ports.len(), &ports, "event channels");
    // Where a driver's pages are is its own business: their number counts.
    let grants = now.grants.len().saturating_sub(baseline.grants.len());
    let entries: Vec<_> = now.grants.difference(&baseline.grants).collect();
    report(grants, &entries, "grants");
    let watches = with(|state| state.host.store.guest_watches());
    report(now.watches.saturating_sub(baseline.watches), &watches, "watches");
    let transactions = now.transactions.saturating_sub(baseline.transactions);
    report(transactions, &transactions, "transactions");
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
    /// Returns what the guest holds now, except grants that another domain uses, as the guest
    /// cannot revoke those.
    #[must_use]
    pub fn baseline(&self) -> Baseline {
        self.settle();
        now()
    }

    /// Checks that the guest holds no more than at the time of `baseline`.
    ///
    /// # Panics
    /// If it does.
    pub fn assert_no_leaks(&self, baseline: &Baseline) {
        self.settle();
        let leaks = since(baseline);
        assert!(leaks.is_empty(), "rule R12: {leaks}");
    }

    /// Disables the check for leaks when the hypervisor is dropped.
    pub fn allow_leaks(&self) {
        with(|state| state.may_leak = true);
    }

    /// Steps until nothing happens, at most a great many times: a back end
    /// that misbehaves may never be done.
    pub(super) fn settle(&self) {
        (0..STEPS).any(|_| !self.step());
    }
}
