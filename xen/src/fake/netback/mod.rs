//! The back end of a network interface, as Linux's netback is to a front end.
//!
//! It maps the rings by grant, copies frames, and honours the indices for
//! notification exactly: it sleeps until it is notified. It panics when the
//! front end breaks the protocol, and breaks it itself on request.

mod connect;
mod data;
mod slots;

#[cfg(test)]
mod tests;

use super::peer::{Class, Handle};
use super::{Fake, Host, with};
use crate::evtchn::PortNumber;
use crate::public::io::netif::RxFlags;
pub(super) use connect::Backend;
pub use data::{RxSlot, Transmitted};
use std::ops::Deref;

/// What the fake calls the class.
pub(super) const CLASS: Class = "vif";

/// What to do wrong, with responses or with the rings as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misdeed {
    /// Publish an index of the transmit ring that is off by as much, and stop.
    TxIndex(i32),
    /// Answer another id.
    TxId(u16),
    /// Answer the id that was answered last.
    TxIdAgain,
    /// Answer with this status.
    TxStatus(i16),
    /// Take requests and answer none.
    TxStuck,
    /// Publish an index of the receive ring that is off by as much, and stop.
    RxIndex(i32),
    /// Answer another id.
    RxId(u16),
    /// Answer the id that was answered last.
    RxIdAgain,
    /// Answer with this status.
    RxStatus(i16),
    /// Say that the data is elsewhere.
    RxOffset(u16),
    /// Set more flags: [`RxFlags::MORE_DATA`] in the last slot never ends the frame.
    RxFlags(RxFlags),
    /// Let frames wait.
    RxStuck,
    /// Keep pages mapped after the answer, and rings after the end.
    KeepGrants,
    /// Raise each event as many times a step, for nothing.
    EventStorm(u32),
    /// Never raise one.
    LoseEvents,
}

impl Misdeed {
    /// Whether it is something in a response of the transmit ring.
    const fn is_tx(&self) -> bool {
        matches!(self, Self::TxIndex(_) | Self::TxId(_) | Self::TxIdAgain | Self::TxStatus(_))
    }

    /// Whether it is something in a response of the receive ring.
    const fn is_rx(&self) -> bool {
        matches!(
            self,
            Self::RxIndex(_)
                | Self::RxId(_)
                | Self::RxIdAgain
                | Self::RxStatus(_)
                | Self::RxOffset(_)
                | Self::RxFlags(_)
        )
    }
}

/// The handle to a back end.
#[derive(Clone, Copy, Debug)]
pub struct Netback<'a>(Handle<'a>);

impl<'a> Deref for Netback<'a> {
    type Target = Handle<'a>;

    fn deref(&self) -> &Handle<'a> {
        &self.0
    }
}

impl<'a> Netback<'a> {
    pub(super) const fn new(fake: &'a Fake, id: u32) -> Self {
        Self(Handle::new(fake, CLASS, id))
    }

    fn with<T>(self, f: impl FnOnce(&mut Backend, &mut Host) -> T) -> T {
        with(|state| {
            let backend = state.netbacks.get_mut(&self.id).expect("made by Fake::netback");
            f(backend, &mut state.host)
        })
    }

    /// Whether it works.
    #[must_use]
    pub fn is_connected(self) -> bool {
        self.with(|backend, _| !backend.queues.is_empty())
    }

    /// The ports of its queues, as the guest knows them.
    #[must_use]
    pub fn ports(self) -> Vec<PortNumber> {
        self.with(|backend, _| backend.queues.iter().flat_map(data::Queue::ports).collect())
    }

    /// Sends frames with as many bytes in front of each piece.
    ///
    /// # Panics
    /// When that leaves no room in a page.
    pub fn set_headroom(self, bytes: u16) {
        assert!(usize::from(bytes) < crate::memory::PAGE_SIZE, "no room in a page");
        self.with(|backend, _| backend.headroom = bytes);
    }

    /// A frame is to arrive at the guest. It does when there is room in the
    /// ring for all of it; a connection that ends loses it.
    pub fn deliver(self, frame: &[u8], flags: RxFlags) {
        self.with(|backend, _| backend.deliver(frame, flags));
    }

    /// A large frame is to arrive, which stands for TCP segments of `size` bytes.
    ///
    /// # Panics
    /// When the front end has not said that it takes such frames (rule N4).
    pub fn deliver_large(self, frame: &[u8], flags: RxFlags, size: u16) {
        let takes = self.guest_says("feature-gso-tcpv4");
        assert!(takes, "rule N4: the guest takes no large frames");
        self.with(|backend, _| {
            let slots = data::large(frame, backend.headroom, flags, size);
            backend.arriving.push_back(slots);
        });
    }

    /// These responses are to arrive at the guest, right or wrong: the chain
    /// ends where the last of them says.
    pub fn deliver_slots(self, slots: Vec<RxSlot>) {
        self.with(|backend, _| backend.arriving.push_back(slots));
    }

    /// Frames that did not arrive yet.
    #[must_use]
    pub fn undelivered(self) -> usize {
        self.with(|backend, _| backend.arriving.len())
    }

    /// The frames that the guest sent since the last call.
    #[must_use]
    pub fn transmitted(self) -> Vec<Transmitted> {
        self.with(|backend, _| std::mem::take(&mut backend.sent))
    }

    /// Answers what was transmitted last first, as it may.
    pub fn answer_in_reverse(self, reversed: bool) {
        self.with(|backend, _| backend.reversed = reversed);
    }

    /// Maps what was transmitted until it answers, as it may.
    pub fn map_until_answered(self, maps: bool) {
        self.with(|backend, _| backend.maps = maps);
    }

    /// Takes a grant that does not permit access for an error to answer and
    /// not for the guest's bug.
    pub fn tolerate(self) {
        self.with(|backend, _| backend.strict = false);
    }

    /// Does this wrong from now on.
    pub fn misbehave(self, misdeed: Misdeed) {
        self.with(|backend, _| backend.script.always(misdeed));
    }

    /// Does this wrong once, after `skip` responses without it.
    pub fn misbehave_at(self, skip: u32, misdeed: Misdeed) {
        self.with(|backend, _| backend.script.once(skip, misdeed));
    }

    /// Writes `bytes` into the page of the receive ring or of the transmit ring, from
    /// byte `at` on as far as they fit, and raises its event. From then on this is all
    /// that happens to the rings of the connection: the back end leaves them alone.
    pub fn scribble(self, receive: bool, at: usize, bytes: &[u8]) {
        let ports: Vec<_> = self.with(|backend, _| {
            let queues = backend.queues.iter_mut();
            queues.map(|queue| queue.scribble(receive, at, bytes)).collect()
        });
        ports.into_iter().for_each(|port| self.raise(port));
    }

    /// Writes into the page of the frame that arrived last, which it may still do.
    ///
    /// # Panics
    /// When the guest does not lend that page any more.
    pub fn rewrite(self, bytes: &[u8]) {
        self.with(|backend, host| {
            for page in backend.queues.iter().filter_map(data::Queue::last_page) {
                let Host { grants, frames, .. } = host;
                grants.copy_to(page, backend.device.domain, 0, bytes, frames).expect("it is lent");
            }
        });
    }

    /// Closes its end of all event channels, and works on (rule E8).
    pub fn close_ports(self) {
        let ports = self.ports();
        self.with(|_, host| ports.into_iter().for_each(|port| host.events.unbind(port)));
    }
}
