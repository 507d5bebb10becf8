//! A process: what its threads share.

pub mod calls;

use crate::file::Files;
use crate::memory::Memory;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

/// A process (a thread group, as clone(2) says).
pub struct Process {
    /// Its number.
    pub id: i32,
    /// Its memory, which vfork(2) shares and execve(2) replaces.
    memory: RefCell<Rc<Memory>>,
    /// Its descriptors.
    pub files: Files,
    /// The status of wait(2), once it has ended.
    status: Cell<Option<i32>>,
}

impl Process {
    /// Makes one without threads.
    #[must_use]
    pub fn new(id: i32, memory: Rc<Memory>) -> Rc<Self> {
        Rc::new(Self {
            id,
            memory: RefCell::new(memory),
            files: Files::new(1024),
            status: Cell::new(None),
        })
    }

    /// Returns its memory.
    #[must_use]
    pub fn memory(&self) -> Rc<Memory> {
        Rc::clone(&self.memory.borrow())
    }

    /// Returns whether it has ended, or is about to.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.status.get().is_some()
    }
}
