//! The back end of a block device, which behaves as Linux's blkback.
//!
//! It maps the ring and the data by grant, keeps data pages mapped if both ends support persistent
//! grants, and heeds the event indices exactly. It panics if the front end violates the protocol,
//! and violates it on request.

mod connect;
mod data;

use super::peer::{Class, Handle};
use super::{Fake, Host, with};
pub(super) use connect::Backend;
pub use data::Request;
use std::ops::Deref;

/// What the fake calls the class.
pub(super) const CLASS: Class = "vbd";

/// Names a violation of the protocol to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misdeed {
    /// Publish a producer index that is wrong by this much, and stop.
    Index(i32),
    /// Respond with this id.
    Id(u64),
    /// Respond with the id of the last response.
    IdAgain,
    /// Respond with this operation.
    Operation(u8),
    /// Carry out the request, and respond with this status.
    Status(i16),
    /// Do not carry out the request, and respond with this status.
    Refuse(i16),
    /// Take requests and never respond.
    Stuck,
    /// Change the guest's pages after the response.
    Scribble,
    /// Keep pages mapped after the connection ends.
    KeepGrants,
    /// Raise this many events in each step, without a reason.
    EventStorm(u32),
    /// Never raise an event.
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

/// Controls the back end of a block device.
#[derive(Clone, Copy, Debug)]
pub struct Blkback<'a>(Handle<'a>);

impl<'a> Deref for Blkback<'a> {
    type Target = Handle<'a>;

    fn deref(&self) -> &Handle<'a> {
        &self.0
    }
}

impl<'a> Blkback<'a> {
    pub(super) const fn new(fake: &'a Fake, id: u32) -> Self {
        Self(Handle::new(fake, CLASS, id))
    }

    fn with<T>(self, f: impl FnOnce(&mut Backend, &mut Host) -> T) -> T {
        with(|state| {
            let backend = state.blkbacks.get_mut(&self.id).expect("made by Fake::blkback");
            f(backend, &mut state.host)
        })
    }

    /// Changes the size to `sectors` of 512 bytes, and announces it.
    pub fn resize(self, sectors: u64) {
        self.with(|backend, _| backend.disk.resize(sectors as usize * 512, 0));
        self.write("sectors", &sectors.to_string());
        self.say_state("4");
    }

    /// Returns the content of the disk.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        self.with(|backend, _| backend.disk.clone())
    }

    /// Returns the requests that were carried out since the last call, in order.
    #[must_use]
    pub fn requests(self) -> Vec<Request> {
        self.with(|backend, _| std::mem::take(&mut backend.requests))
    }

    /// Returns how often it mapped a data page.
    #[must_use]
    pub fn mappings(self) -> usize {
        self.with(|backend, _| backend.mappings)
    }

    /// Answers requests in reverse order, which the protocol allows.
    pub fn answer_in_reverse(self, reversed: bool) {
        self.with(|backend, _| backend.reversed = reversed);
    }

    /// Answers `count` of the requests that it owes an answer, although it is stuck.
    pub fn answer(self, count: usize) {
        self.with(|backend, _| backend.answers += count);
    }

    /// Takes only one request in each step.
    pub fn take_one_at_a_time(self, slow: bool) {
        self.with(|backend, _| backend.slow = slow);
    }

    /// Commits this misdeed at each opportunity from now on.
    pub fn misbehave(self, misdeed: Misdeed) {
        self.with(|backend, _| backend.script.always(misdeed));
    }

    /// Commits this misdeed once, after `skip` opportunities without it.
    pub fn misbehave_at(self, skip: u32, misdeed: Misdeed) {
        self.with(|backend, _| backend.script.once(skip, misdeed));
    }

    /// Closes its end of the event channel, and keeps working (rule E8).
    pub fn close_port(self) {
        self.with(|backend, host| {
            if let Some(port) = backend.port() {
                host.events.unbind(port);
            }
        });
    }
}
