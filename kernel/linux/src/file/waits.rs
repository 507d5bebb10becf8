//! Who waits for whose locks of files (`EDEADLK` of fcntl(2)).

use super::Inode;
use super::extras::{Lock, Owner};
use crate::errno::Errno;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

/// Processes that wait for locks, and whom for: two of which each waits for the other would do so
/// for ever.
#[derive(Default)]
pub struct Waits {
    all: RefCell<Vec<Wait>>,
    last: Cell<u64>,
}

/// A process wants `lock`, and waits for what `other` has of the file.
struct Wait {
    number: u64,
    lock: Lock,
    other: usize,
    node: Rc<dyn Inode>,
}

impl Wait {
    /// Whether it still does: what it waits for may be given up, without its having run since.
    fn goes_on(&self) -> bool {
        let owner = Owner::Table(self.other);
        self.node.extras().is_some_and(|it| it.is_kept_by(owner, &self.lock))
    }
}

/// One process waits for another, until this is dropped.
pub struct Waiting<'a> {
    all: &'a Waits,
    number: u64,
}

impl Waits {
    /// Notes that `lock` of a file waits for `other`, if both are those of processes.
    ///
    /// # Errors
    /// `EDEADLK` if the other one's process waits for that of `lock`, itself or by others;
    /// `ENOMEM`.
    pub fn begin(
        &self,
        lock: &Lock,
        other: &Lock,
        node: &Rc<dyn Inode>,
    ) -> Result<Option<Waiting<'_>>, Errno> {
        /// As far as Linux looks.
        const STEPS: usize = 10;
        let (Owner::Table(one), Owner::Table(two)) = (lock.owner, other.owner) else {
            return Ok(None);
        };
        let mut all = self.all.borrow_mut();
        let next = |&id: &usize| {
            let of = |it: &&Wait| it.lock.owner == Owner::Table(id) && it.goes_on();
            all.iter().find(of).map(|it| it.other)
        };
        if core::iter::successors(Some(two), next).take(STEPS + 1).any(|it| it == one) {
            return Err(Errno::EDEADLK);
        }
        all.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let number = self.last.get() + 1;
        self.last.set(number);
        all.push(Wait { number, lock: *lock, other: two, node: Rc::clone(node) });
        Ok(Some(Waiting { all: self, number }))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut all = self.all.all.borrow_mut();
        if let Some(at) = all.iter().position(|it| it.number == self.number) {
            all.swap_remove(at);
        }
    }
}
