//! Suspends the guest, as the toolstack does, and lets it go on: as the domain that it was, or as
//! another one in which all that was Xen's, xenstored's and the back ends' is new.

use super::frames::leaked;
use super::peer::Peer;
use super::store::{Daemon, PORT};
use super::{Fake, GUEST, State, with};
use crate::DomId;
use crate::hypercall::sched_op_suspend;
use crate::suspend::{cancel, prepare, renew};

impl Fake {
    /// Suspends the guest and resumes it: as domain `new` of another host, which may have the id of
    /// the former one, and whose devices have the same numbers; or with `None` as the same domain, as
    /// after `xl save -c`. Does what `kernel` does on Xen.
    ///
    /// # Panics
    /// If the guest cannot go on.
    pub fn suspend(&self, new: Option<DomId>) {
        self.suspend_and(new, || ());
    }

    /// Suspends and resumes it as [`suspend`](Self::suspend) does, and calls `meanwhile` when all is
    /// new and the guest does not run yet.
    ///
    /// # Panics
    /// If the guest cannot go on.
    pub fn suspend_and(&self, new: Option<DomId>, meanwhile: impl FnOnce()) {
        prepare();
        with(|state| state.resumes_as = new);
        // SAFETY: the fake's frames stay mapped.
        let same = unsafe { sched_op_suspend(0) }.expect("the fake refuses no suspension");
        meanwhile();
        if same { cancel() } else { renew(PORT) }.expect("the guest has a grant table");
    }
}

/// Ends the guest's domain, and makes another one of its memory, if that was asked for. Returns what
/// the hypercall does: 1 if it is the same domain.
pub(super) fn shut_down(state: &mut State) -> i64 {
    let Some(new) = state.resumes_as else { return 1 };
    let State { host, netbacks, blkbacks, ring, .. } = state;
    let nets = netbacks.values_mut().map(|it| it as &mut dyn Peer);
    let mut peers: Vec<_> =
        nets.chain(blkbacks.values_mut().map(|it| it as &mut dyn Peer)).collect();
    for peer in &mut peers {
        peer.disconnect(host);
        peer.let_go(host);
    }
    GUEST.set(new);
    host.events.renew();
    host.grants.renew();
    host.frames.renumber();
    host.vcpu.renew();
    host.store = Daemon::renewed(leaked(*ring));
    for peer in peers {
        if peer.is_plugged() {
            peer.plug_in(&mut host.store);
        }
    }
    0
}
