//! What the stack, its sockets and its task share.

use super::engine::Engine;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell, RefMut};
use kernel::task::Task;

/// One stack. Its task ends with the last of them,
/// and when connections that nobody holds have said what they had to say.
pub(super) struct Shared {
    pub(super) engine: RefCell<Engine>,
    pub(super) task: RefCell<Option<Task<()>>>,
    /// Itself, as long as there are such connections.
    pub(super) stays: Cell<Option<Rc<Self>>>,
}

impl Shared {
    /// The protocols, of which anything may change. Not to be held while awaiting or calling a
    /// closure of others.
    pub(super) fn engine(&self) -> RefMut<'_, Engine> {
        let mut engine = self.engine.borrow_mut();
        engine.stir();
        engine
    }

    /// Stays until the connections that nobody holds are gone.
    pub(super) fn stay(self: &Rc<Self>) {
        self.stays.set(Some(Rc::clone(self)));
    }
}
