//! What the stack, its sockets and its task share.

use super::engine::Engine;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell, RefMut};
use kernel::task::Task;

/// One stack. Its task ends with the last of them,
/// and when connections that nobody holds have said what they had to say.
pub(super) struct Shared {
    pub(super) engine: RefCell<Engine>,
    pub(super) task: RefCell<Option<Task<()>>>,
    /// Itself, as long as there are such connections.
    pub(super) stays: Cell<Option<Rc<Self>>>,
    /// Nothing is taken in and nothing sent: another image is about to go on with all of it.
    pub(super) frozen: Cell<bool>,
    /// Frames that arrived at the image before this one.
    pub(super) late: RefCell<Vec<u8>>,
}

impl Shared {
    /// The protocols, of which anything may change. Not to be held while awaiting or calling a
    /// closure of others.
    pub(super) fn engine(&self) -> RefMut<'_, Engine> {
        let mut engine = self.engine.borrow_mut();
        engine.stir();
        engine
    }

    /// Goes on after [`frozen`](Self::frozen).
    pub(super) fn thaw(&self) {
        self.frozen.set(false);
        self.engine().protocols.kick();
    }

    /// Stays until the connections that nobody holds are gone.
    pub(super) fn stay(self: &Rc<Self>) {
        self.stays.set(Some(Rc::clone(self)));
    }
}
