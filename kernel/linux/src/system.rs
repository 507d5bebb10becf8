//! What all processes share: the devices, the tree of files, the processes themselves.

use crate::errno::Errno;
use crate::memory::Ram;
use crate::process::Process;
use crate::socket::Network;
use crate::socket::unix::Registry;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::{Rc, Weak};
use core::cell::{Cell, RefCell};

/// The machine as its programs see it.
#[derive(Default)]
pub struct System {
    /// Where programs get their pages from.
    pub ram: Rc<Ram>,
    /// All processes, by number; those that nobody has waited for as well.
    pub processes: RefCell<BTreeMap<i32, Weak<Process>>>,
    /// The names of Unix sockets.
    pub unix: Rc<Registry>,
    /// What makes sockets of the internet, if there is a network.
    pub network: RefCell<Option<Rc<dyn Network>>>,
    /// The last number that was given to a process or thread.
    last: Cell<i32>,
    /// Unknown calls that were logged.
    unknown: RefCell<BTreeSet<u64>>,
}

impl System {
    /// Makes one without processes.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Returns what makes sockets of the internet.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` without a network.
    pub fn network(&self) -> Result<Rc<dyn Network>, Errno> {
        self.network.borrow().clone().ok_or(Errno::EAFNOSUPPORT)
    }

    /// Returns a number for a new process or thread: 1 for the first.
    #[must_use]
    pub fn next_id(&self) -> i32 {
        self.last.update(|it| it + 1);
        self.last.get()
    }

    /// Says once in the log that a program made a call that is not there.
    pub(crate) fn unknown_call(&self, number: u64) -> Errno {
        if self.unknown.borrow().len() < 64 && self.unknown.borrow_mut().insert(number) {
            let call = syscalls::Sysno::new(number as usize);
            let name = call.map_or("no call of Linux", |it| it.name());
            log::warn!("linux: call {number} ({name}) is not there: ENOSYS");
        }
        Errno::ENOSYS
    }
}
