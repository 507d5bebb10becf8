//! Counts connections: those that have not logged in, and those that have.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use xenith::sync::Signal;

/// Connections at a time that have not logged in.
pub(crate) const WAITING: usize = 8;

/// All connections.
#[derive(Default)]
pub(crate) struct Places {
    /// What tells those that have not logged in that another takes their place, the oldest first.
    waiting: RefCell<VecDeque<Rc<Signal<()>>>>,
    /// How many are logged in.
    inside: Cell<usize>,
}

/// The place of a connection, until it is dropped.
pub(crate) struct Place {
    places: Rc<Places>,
    lost: Rc<Signal<()>>,
    inside: bool,
}

impl Place {
    /// Takes a place among those that have not logged in: that of the oldest if all are taken, so
    /// that who only waits keeps nobody out. `None` without memory for it.
    pub(crate) fn take(places: &Rc<Places>) -> Option<Self> {
        if xenith::memory::is_low() {
            return None;
        }
        let mut waiting = places.waiting.borrow_mut();
        while waiting.len() >= WAITING {
            waiting.pop_front()?.signal(());
        }
        waiting.try_reserve(1).ok()?;
        let lost = Rc::new(Signal::new());
        waiting.push_back(Rc::clone(&lost));
        drop(waiting);
        Some(Self { places: Rc::clone(places), lost, inside: false })
    }

    /// What is signalled when another connection has taken this place.
    pub(crate) fn lost(&self) -> Rc<Signal<()>> {
        Rc::clone(&self.lost)
    }

    /// Goes from those that wait to the others, unless there are `most`.
    pub(crate) fn enter(&mut self, most: usize) -> bool {
        if self.inside || self.places.inside.get() >= most {
            return self.inside;
        }
        self.leave();
        self.places.inside.update(|count| count + 1);
        self.inside = true;
        true
    }

    pub(crate) const fn is_inside(&self) -> bool {
        self.inside
    }

    fn leave(&self) {
        if self.inside {
            self.places.inside.update(|count| count - 1);
        } else {
            self.places.waiting.borrow_mut().retain(|it| !Rc::ptr_eq(it, &self.lost));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}
