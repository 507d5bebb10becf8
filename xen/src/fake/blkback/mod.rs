//! The back end of a block device, as Linux's blkback is to a front end.
//!
//! It maps the ring and the data by grant, keeps the latter mapped if both ends agree
//! on that, and honours the indices for notification exactly. It panics when the front
//! end breaks the protocol, and breaks it itself on request.

mod connect;
mod data;

use super::peer::{Class, Handle};
use super::{Fake, Host, with};
pub(super) use connect::Backend;
pub use data::Request;
use std::ops::Deref;

/// What the fake calls the class.
pub(super) const CLASS: Class = "vbd";

/// What to do wrong, with responses or with the ring as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

    /// Has another size from now on, in units of 512 bytes, and says so.
    pub fn resize(self, sectors: u64) {
        self.with(|backend, _| backend.disk.resize(sectors as usize * 512, 0));
        self.write("sectors", &sectors.to_string());
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

    /// Closes its end of the event channel, and works on (rule E8).
    pub fn close_port(self) {
        self.with(|backend, host| {
            if let Some(port) = backend.port() {
                host.events.unbind(port);
            }
        });
    }
}
