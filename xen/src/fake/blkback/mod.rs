//! The back end of a block device, as Linux's blkback is to a front end.
//!
//! It maps the ring and the data by grant, keeps the latter mapped if both ends agree
//! on that, and honours the indices for notification exactly. It panics when the front
//! end breaks the protocol, and breaks it itself on request.

mod connect;
mod data;

use super::{Fake, Host, with};
use crate::public::io::xenbus::XenbusState;
pub(super) use connect::Backend;
pub use data::Request;

/// What to do wrong, with responses or with the ring as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misdeed {
    /// Publish an index that is off by as much, and stop.
    Index(i32),
    /// Answer another id.
    Id(u64),
    /// Answer the id that was answered last.
    IdAgain,
    /// Answer as if it had been another operation.
    Operation(u8),
    /// Answer with this status, whatever was done.
    Status(i16),
    /// Do nothing, and answer with this status.
    Refuse(i16),
    /// Take requests and answer none.
    Stuck,
    /// Change pages of the guest after the answer.
    Scribble,
    /// Keep pages mapped after the end.
    KeepGrants,
    /// Raise the event as many times a step, for nothing.
    EventStorm(u32),
    /// Never raise one.
    LoseEvents,
}

impl Misdeed {
    /// Whether it is something in a response.
    const fn is_response(&self) -> bool {
        matches!(
            self,
            Self::Index(_)
                | Self::Id(_)
                | Self::IdAgain
                | Self::Operation(_)
                | Self::Status(_)
                | Self::Scribble
        )
    }
}

/// The handle to a back end.
#[derive(Clone, Copy, Debug)]
pub struct Blkback<'a> {
    fake: &'a Fake,
    id: u32,
}

impl<'a> Blkback<'a> {
    pub(super) const fn new(fake: &'a Fake, id: u32) -> Self {
        Self { fake, id }
    }

    fn with<T>(self, f: impl FnOnce(&mut Backend, &mut Host) -> T) -> T {
        with(|state| {
            let backend = state.blkbacks.get_mut(&self.id).expect("made by Fake::blkback");
            f(backend, &mut state.host)
        })
    }

    /// Its folder in xenstore.
    #[must_use]
    pub fn path(self) -> String {
        self.with(|backend, _| backend.ours())
    }

    /// The front end's folder in xenstore.
    #[must_use]
    pub fn front_path(self) -> String {
        self.with(|backend, _| backend.theirs())
    }

    /// The state that it is in, whatever it says.
    #[must_use]
    pub fn state(self) -> XenbusState {
        self.with(|backend, _| backend.state)
    }

    /// Why it could not connect.
    #[must_use]
    pub fn error(self) -> Option<String> {
        self.with(|backend, _| backend.error.clone())
    }

    /// Says something in its folder, now and whenever it is plugged in.
    pub fn offer(self, name: &str, value: &str) {
        self.with(|backend, _| backend.offers.push((name.into(), Some(value.into()))));
        self.fake.store().write(&format!("{}/{name}", self.path()), value);
    }

    /// Does not say something in its folder, now and whenever it is plugged in.
    pub fn withhold(self, name: &str) {
        self.with(|backend, _| backend.offers.push((name.into(), None)));
        self.fake.store().rm(&format!("{}/{name}", self.path()));
    }

    /// Says a state, whatever it is in (rule X12).
    pub fn say_state(self, state: &str) {
        self.fake.store().write(&format!("{}/state", self.path()), state);
    }

    /// Has another size from now on, in units of 512 bytes, and says so.
    pub fn resize(self, sectors: u64) {
        self.with(|backend, _| backend.disk.resize(sectors as usize * 512, 0));
        self.fake.store().write(&format!("{}/sectors", self.path()), sectors.to_string());
        self.say_state("4");
    }

    /// What is on the disk.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        self.with(|backend, _| backend.disk.clone())
    }

    /// The requests that were done since the last call, in order.
    #[must_use]
    pub fn requests(self) -> Vec<Request> {
        self.with(|backend, _| std::mem::take(&mut backend.requests))
    }

    /// Times that it mapped a page of data.
    #[must_use]
    pub fn mappings(self) -> usize {
        self.with(|backend, _| backend.mappings)
    }

    /// Answers what was asked last first, as it may.
    pub fn answer_in_reverse(self, reversed: bool) {
        self.with(|backend, _| backend.reversed = reversed);
    }

    /// Takes requests only one a step.
    pub fn take_one_at_a_time(self, slow: bool) {
        self.with(|backend, _| backend.slow = slow);
    }

    /// Does this wrong from now on.
    pub fn misbehave(self, misdeed: Misdeed) {
        self.with(|backend, _| backend.script.always(misdeed));
    }

    /// Does this wrong once, after `skip` responses without it.
    pub fn misbehave_at(self, skip: u32, misdeed: Misdeed) {
        self.with(|backend, _| backend.script.once(skip, misdeed));
    }

    /// Does no wrong any more, and lets go of what it kept.
    pub fn behave(self) {
        self.with(|backend, host| {
            backend.script.clear();
            backend.let_go(host);
        });
    }

    /// Begins an orderly end, as `xl block-detach` does. The nodes vanish when both
    /// ends are closed.
    pub fn detach(self) {
        self.fake.store().write(&format!("{}/online", self.path()), "0");
        self.say_state("5");
        self.with(|backend, _| backend.state = XenbusState::Closing);
    }

    /// Lets go of everything and removes all nodes at once. What is on the disk stays.
    pub fn unplug(self) {
        self.with(Backend::unplug);
    }

    /// Makes the nodes anew, as `xl block-attach` does.
    pub fn plug(self) {
        self.with(Backend::plug_in);
    }

    /// Dies and comes back in domain `domain`.
    pub fn restart_in(self, domain: u16) {
        self.with(|backend, host| {
            backend.unplug(host);
            backend.domain = domain;
            backend.plug_in(host);
        });
    }

    /// Closes its end of the event channel, and works on (rule E8).
    pub fn close_port(self) {
        self.with(|backend, host| {
            if let Some(port) = backend.port() {
                host.events.unbind(port);
            }
        });
    }
}
