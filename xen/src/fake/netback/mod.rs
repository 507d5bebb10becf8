//! The back end of a network interface, which behaves as Linux's netback.
//!
//! It maps the rings by grant, copies frames, and heeds the event indices exactly: it does nothing
//! until it is notified. It panics if the front end violates the protocol, and violates it on
//! request.

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

/// Names a violation of the protocol to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misdeed {
    /// Publish a producer index of the transmit ring that is wrong by this much, and stop.
    TxIndex(i32),
    /// Respond with this id.
    TxId(u16),
    /// Respond with the id of the last response.
    TxIdAgain,
    /// Respond with this status.
    TxStatus(i16),
    /// Take requests and never respond.
    TxStuck,
    /// Publish a producer index of the receive ring that is wrong by this much, and stop.
    RxIndex(i32),
    /// Respond with this id.
    RxId(u16),
    /// Respond with the id of the last response.
    RxIdAgain,
    /// Respond with this status.
    RxStatus(i16),
    /// Respond with this offset.
    RxOffset(u16),
    /// Set more flags: [`RxFlags::MORE_DATA`] in the last slot never ends the frame.
    RxFlags(RxFlags),
    /// Deliver no frames.
    RxStuck,
    /// Keep pages mapped after the response, and rings after the connection ends.
    KeepGrants,
    /// Raise this many events in each step, without a reason.
    EventStorm(u32),
    /// Never raise an event.
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

/// Controls the back end of a network interface.
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

    /// Returns whether it is connected.
    #[must_use]
    pub fn is_connected(self) -> bool {
        self.with(|backend, _| !backend.queues.is_empty())
    }

    /// Returns the guest's ports of its queues.
    #[must_use]
    pub fn ports(self) -> Vec<PortNumber> {
        self.with(|backend, _| backend.queues.iter().flat_map(data::Queue::ports).collect())
    }

    /// Leaves `bytes` bytes free at the start of each page that it fills.
    ///
    /// # Panics
    /// If `bytes` is a page or more.
    pub fn set_headroom(self, bytes: u16) {
        assert!(usize::from(bytes) < crate::memory::PAGE_SIZE, "no room in a page");
        self.with(|backend, _| backend.headroom = bytes);
    }

    /// Delivers a frame to the guest as soon as the ring has room for all of it. It is lost if the
    /// connection ends before.
    pub fn deliver(self, frame: &[u8], flags: RxFlags) {
        self.with(|backend, _| backend.deliver(frame, flags));
    }

    /// Delivers a large frame with GSO: it stands for TCP segments of `size` bytes.
    ///
    /// # Panics
    /// If the front end did not announce `feature-gso-tcpv4` (rule N4).
    pub fn deliver_large(self, frame: &[u8], flags: RxFlags, size: u16) {
        let takes = self.guest_says("feature-gso-tcpv4");
        assert!(takes, "rule N4: the guest takes no large frames");
        self.with(|backend, _| {
            let slots = data::large(frame, backend.headroom, flags, size);
            backend.arriving.push_back(slots);
        });
    }

    /// Delivers these responses, which need not be well-formed, one after the other.
    pub fn deliver_slots(self, slots: Vec<RxSlot>) {
        self.with(|backend, _| backend.arriving.push_back(slots));
    }

    /// Returns the number of frames that are not delivered yet.
    #[must_use]
    pub fn undelivered(self) -> usize {
        self.with(|backend, _| backend.arriving.len())
    }

    /// Returns the frames that the guest transmitted since the last call.
    #[must_use]
    pub fn transmitted(self) -> Vec<Transmitted> {
        self.with(|backend, _| std::mem::take(&mut backend.sent))
    }

    /// Answers requests in reverse order, which the protocol allows.
    pub fn answer_in_reverse(self, reversed: bool) {
        self.with(|backend, _| backend.reversed = reversed);
    }

    /// Maps transmitted pages until the response, instead of copying from them.
    pub fn map_until_answered(self, maps: bool) {
        self.with(|backend, _| backend.maps = maps);
    }

    /// Responds with an error to a grant that does not permit access, instead of panicking.
    pub fn tolerate(self) {
        self.with(|backend, _| backend.strict = false);
    }

    /// Commits this misdeed at each opportunity from now on.
    pub fn misbehave(self, misdeed: Misdeed) {
        self.with(|backend, _| backend.script.always(misdeed));
    }

    /// Commits this misdeed once, after `skip` opportunities without it.
    pub fn misbehave_at(self, skip: u32, misdeed: Misdeed) {
        self.with(|backend, _| backend.script.once(skip, misdeed));
    }

    /// Writes `bytes` into the page of the receive or the transmit ring, from byte `at` on as
    /// far as they fit, and raises its event. From then on the back end does not touch the rings
    /// of this connection.
    pub fn scribble(self, receive: bool, at: usize, bytes: &[u8]) {
        let ports: Vec<_> = self.with(|backend, _| {
            let queues = backend.queues.iter_mut();
            queues.map(|queue| queue.scribble(receive, at, bytes)).collect()
        });
        ports.into_iter().for_each(|port| self.raise(port));
    }

    /// Overwrites the page of the frame that was delivered last.
    ///
    /// # Panics
    /// If the guest has revoked the grant.
    pub fn rewrite(self, bytes: &[u8]) {
        self.with(|backend, host| {
            for page in backend.queues.iter().filter_map(data::Queue::last_page) {
                let Host { grants, frames, .. } = host;
                grants.copy_to(page, backend.device.domain, 0, bytes, frames).expect("it is lent");
            }
        });
    }

    /// Closes its end of all event channels, and keeps working (rule E8).
    pub fn close_ports(self) {
        let ports = self.ports();
        self.with(|_, host| ports.into_iter().for_each(|port| host.events.unbind(port)));
    }
}
