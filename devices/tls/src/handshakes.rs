//! Handshakes of a listener that are under way, of which there are so many at most: one more makes
//! the oldest fail. So clients that never finish theirs keep nobody out who needs less time than
//! so many others take to come.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::task::{Context, Waker};

/// Those that are under way, the oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handshakes(Rc<RefCell<VecDeque<Rc<Place>>>>);

/// What the listener knows of one.
#[derive(Debug, Default)]
struct Place {
    lost: Cell<bool>,
    /// Who waits for it.
    waker: RefCell<Option<Waker>>,
}

/// The place of a handshake, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    all: Handshakes,
    place: Rc<Place>,
}

impl Handshakes {
    /// Takes a place, that of the oldest if `most` are taken. `None` without memory for it.
    pub(crate) fn begin(&self, most: usize) -> Option<Slot> {
        let mut all = self.0.borrow_mut();
        while all.len() >= most.max(1) {
            let oldest = all.pop_front()?;
            oldest.lost.set(true);
            oldest.waker.take().into_iter().for_each(Waker::wake);
        }
        all.try_reserve(1).ok()?;
        let place = Rc::new(Place::default());
        all.push_back(Rc::clone(&place));
        Some(Slot { all: self.clone(), place })
    }
}

impl Slot {
    /// Whether another has taken its place. If not, `context` is woken when one does.
    pub(crate) fn poll_lost(&self, context: &Context<'_>) -> bool {
        let lost = self.place.lost.get();
        if !lost {
            self.place.waker.replace(Some(context.waker().clone()));
        }
        lost
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.place.lost.get() {
            self.all.0.borrow_mut().retain(|place| !Rc::ptr_eq(place, &self.place));
        }
    }
}
