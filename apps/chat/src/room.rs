//! What was said, and who listens.

use alloc::collections::{BTreeMap, TryReserveError, VecDeque};
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};

/// Lines that are kept: who comes is told these, and who is slower misses some.
const KEPT: usize = 32;

/// Lines in their order, as JSON.
#[derive(Default)]
pub(crate) struct Room {
    lines: RefCell<VecDeque<Rc<String>>>,
    /// Lines that were said and are no longer kept.
    gone: Cell<u64>,
    members: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, Waker>>,
}

impl Room {
    /// Says a line to all.
    pub(crate) fn say(&self, line: String) -> Result<(), TryReserveError> {
        let mut lines = self.lines.borrow_mut();
        lines.try_reserve(1)?;
        lines.push_back(Rc::new(line));
        if lines.len() > KEPT {
            lines.pop_front();
            self.gone.set(self.gone.get() + 1);
        }
        drop(lines);
        // Woken without the borrow.
        let waiting = core::mem::take(&mut *self.waiting.borrow_mut());
        waiting.into_values().for_each(Waker::wake);
        Ok(())
    }

    /// The lines that are kept.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Rc<String>> {
        (0..KEPT).map_while(|at| self.lines.borrow().get(at).cloned())
    }

    /// Comes in.
    pub(crate) fn join(self: &Rc<Self>) -> Member {
        let number = self.members.get();
        self.members.set(number + 1);
        Member { room: Rc::clone(self), number, heard: 0 }
    }
}

/// One who listens, until it is dropped.
pub(crate) struct Member {
    room: Rc<Room>,
    number: u64,
    /// The number of the next line.
    heard: u64,
}

impl Member {
    /// The next line, and its number. It may be dropped at any moment.
    pub(crate) async fn next(&mut self) -> (u64, Rc<String>) {
        poll_fn(|context| {
            let gone = self.room.gone.get();
            let number = self.heard.max(gone);
            let at = usize::try_from(number - gone).unwrap_or(usize::MAX);
            if let Some(line) = self.room.lines.borrow().get(at) {
                self.heard = number + 1;
                return Poll::Ready((number, Rc::clone(line)));
            }
            self.room.waiting.borrow_mut().insert(self.number, context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let waker = self.room.waiting.borrow_mut().remove(&self.number);
        drop(waker);
    }
}
