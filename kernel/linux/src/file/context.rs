//! Where a process is in the tree.

use super::Place;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

/// The root, the working directory and the umask of a process, which `CLONE_FS` shares.
#[derive(Clone)]
pub struct Context {
    /// `None`: the root of the tree.
    pub root: RefCell<Option<Place>>,
    /// `None`: its root.
    pub cwd: RefCell<Option<Place>>,
    /// Permissions that new files do not get (umask(2)).
    pub umask: Cell<u32>,
}

impl Context {
    /// Begins in the root of the tree, with umask 022.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::new(Self { root: RefCell::new(None), cwd: RefCell::new(None), umask: Cell::new(0o22) })
    }

    /// Copies it, for fork(2).
    #[must_use]
    pub fn copy(&self) -> Rc<Self> {
        Rc::new(self.clone())
    }
}
