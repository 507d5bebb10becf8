//! Handshakes of a listener that are under way, of which there are so many at most: one more makes
//! the oldest fail. So clients that never finish theirs keep nobody out who needs less time than
//! so many others take to come. What all of them hold of messages that are not whole is bounded as
//! well: beyond that, the one fails that holds the most.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::task::{Context, Waker};

/// The part of the machine's memory that handshakes may hold, and the bytes where its size is not
/// known, on Linux.
const PART: usize = 32;
const BYTES: usize = 2 << 20;

/// Those that are under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handshakes(Rc<All>);

#[derive(Debug, Default)]
struct All {
    /// The oldest first.
    places: RefCell<VecDeque<Rc<Place>>>,
    /// Bytes that they hold.
    held: Cell<usize>,
}

/// What the listener knows of one.
#[derive(Debug, Default)]
struct Place {
    lost: Cell<bool>,
    /// Bytes that it holds.
    held: Cell<usize>,
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
        let mut places = self.0.places.borrow_mut();
        while places.len() >= most.max(1) {
            self.0.lose(&*places.pop_front()?);
        }
        places.try_reserve(1).ok()?;
        let place = Rc::new(Place::default());
        places.push_back(Rc::clone(&place));
        Some(Slot { all: self.clone(), place })
    }
}

impl All {
    /// Tells a handshake that it has no place any more.
    fn lose(&self, place: &Place) {
        self.hold(place, 0);
        place.lost.set(true);
        place.waker.take().into_iter().for_each(Waker::wake);
    }

    fn hold(&self, place: &Place, bytes: usize) {
        let before = place.held.replace(bytes);
        self.held.set(self.held.get().saturating_sub(before).saturating_add(bytes));
    }

    /// Has those fail that hold the most, the oldest of them first, until all hold no more than they
    /// may.
    fn shrink(&self) {
        let most = match kernel::memory::stats().total {
            0 => BYTES,
            total => total / PART,
        };
        let mut places = self.places.borrow_mut();
        while self.held.get() > most {
            let Some(held) = places.iter().map(|it| it.held.get()).max() else { return };
            let first = places.iter().position(|it| it.held.get() == held);
            let Some(place) = first.and_then(|at| places.remove(at)) else { return };
            self.lose(&place);
        }
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

    /// Notes that the handshake holds so many bytes; whether it may.
    pub(crate) fn hold(&self, bytes: usize) -> bool {
        if !self.place.lost.get() && self.place.held.get() != bytes {
            self.all.0.hold(&self.place, bytes);
            self.all.0.shrink();
        }
        !self.place.lost.get()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.place.lost.get() {
            self.all.0.hold(&self.place, 0);
            self.all.0.places.borrow_mut().retain(|place| !Rc::ptr_eq(place, &self.place));
        }
    }
}
