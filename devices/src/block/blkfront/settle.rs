//! Leaves a disk in order: before the domain is suspended, before another image of the machine goes on
//! with it, and when the back end is about to close.

use super::state::{Request, SLOW, State};
use crate::frontend::waiters::Worker;
use alloc::rc::Rc;
use core::future::poll_fn;
use core::task::Poll;
use kernel::suspend::{Outcome as Resumed, Participant};
use kernel::task::{Either, select};
use kernel::time::timeout;
use kernel::update::{Part, Phase};

/// Finishes and flushes what is under way before each suspension, so that nothing is lost with the
/// back end.
pub(super) async fn settle(state: &State) {
    let mut participant = Participant::new();
    loop {
        participant.requested().await;
        state.settling.set(true);
        let _ = timeout(SLOW, state.drain(&state.supervisor)).await;
        let outcome = participant.ready().await;
        state.settling.set(false);
        if outcome == Resumed::Cancelled {
            state.go_on();
        }
    }
}

/// Leaves the disk to the next image of the machine (`kernel::update`), for as long as there is the disk.
pub(super) async fn leave(state: Rc<State>) {
    let mut part = Part::new();
    loop {
        let mut phase = Some(part.next().await);
        while let Some(now) = phase {
            phase = leave_in(&state, &mut part, now).await;
        }
    }
}

/// Does what a phase of an update takes: once nothing changes any more, all that was written is durable,
/// and nothing but flushes is put on the ring. Returns the next phase where that comes first.
pub(super) async fn leave_in(state: &State, part: &mut Part, phase: Phase) -> Option<Phase> {
    let work = async {
        match phase {
            // So that little is left to be flushed in the phase in which nobody is served.
            Phase::Rest => state.flush_written().await,
            Phase::Save => {
                state.left.set(true);
                state.drain(&state.leaver).await;
            }
            Phase::Resume if state.left.replace(false) => state.go_on(),
            _ => {}
        }
    };
    if let Either::Second(next) = select(work, part.next()).await {
        return Some(next);
    }
    match phase {
        // The next image would read something else, or lose it with the power.
        Phase::Save if state.may_lose() => {
            log::warn!(
                "{}: not handed over, as what was written may be lost: the next flush tells",
                state.name
            );
            part.failed();
        }
        _ => part.done(None),
    }
    None
}

impl State {
    /// Puts requests on the ring again after [`drain`](Self::drain).
    fn go_on(&self) {
        if self.is_quiet() {
            return;
        }
        if let Some(connection) = self.connection.borrow_mut().as_mut() {
            connection.draining = false;
        }
        self.driver.wake();
        self.waiting.wake();
    }

    /// Waits until all requests on the ring have responses, and flushes: the back end is
    /// about to close, or the domain to be suspended or replaced. `task` is the one that waits.
    pub(super) async fn drain(&self, task: &Worker) {
        if let Some(connection) = self.connection.borrow_mut().as_mut() {
            connection.draining = true;
        }
        self.driver.wake();
        poll_fn(|context| {
            task.wait(context.waker());
            let busy = self
                .connection
                .borrow()
                .as_ref()
                .is_some_and(|connection| connection.in_flight() > 0);
            if busy { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        self.flush_written().await;
    }

    /// Returns whether something was written that is not flushed, and could be.
    fn is_dirty(&self) -> bool {
        self.queue.borrow().is_dirty() && self.info.get().flush
    }

    /// Returns whether something that was written is not durable, and could be, or may be lost where
    /// nobody was told yet: only this image knows, and tells with the next flush.
    pub(super) fn may_lose(&self) -> bool {
        self.is_dirty() || self.queue.borrow().is_untold()
    }

    /// Flushes, if something was written since the last time, ahead of what waits.
    async fn flush_written(&self) {
        let id = {
            if !self.is_dirty() {
                return;
            }
            let mut queue = self.queue.borrow_mut();
            let Ok(id) = queue.add_flush() else { return };
            id
        };
        let request = Request { state: self, id };
        self.driver.wake();
        // The queue records what remains to be flushed, and that the next flush has to tell.
        let _ = request.answer().await;
    }
}
