//! How many descriptors are in flight, of each user and of all.

use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use litemap::LiteMap;

/// How many descriptors are in flight.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) all: Cell<usize>,
    /// Of them Unix sockets.
    pub(super) sockets: Cell<usize>,
    users: RefCell<LiteMap<u32, usize>>,
}

/// Descriptors in flight that count until this is dropped.
pub(super) struct Flying {
    counts: Rc<Counts>,
    user: u32,
    all: usize,
    sockets: usize,
}

impl Drop for Flying {
    fn drop(&mut self) {
        let Counts { all, sockets, users } = &*self.counts;
        all.update(|it| it.saturating_sub(self.all));
        sockets.update(|it| it.saturating_sub(self.sockets));
        let mut users = users.borrow_mut();
        if let Some(own) = users.get_mut(&self.user) {
            *own = own.saturating_sub(self.all);
            if *own == 0 {
                users.remove(&self.user);
            }
        }
    }
}

impl Counts {
    /// Returns how many are those of `user`.
    pub(super) fn of(&self, user: u32) -> usize {
        self.users.borrow().get(&user).copied().unwrap_or(0)
    }
}

impl Flying {
    /// Counts `all` of `user`, of which so many are Unix sockets.
    pub(super) fn new(counts: &Rc<Counts>, user: u32, all: usize, sockets: usize) -> Self {
        counts.all.update(|it| it + all);
        counts.sockets.update(|it| it + sockets);
        let own = counts.of(user) + all;
        counts.users.borrow_mut().insert(user, own);
        Self { counts: Rc::clone(counts), user, all, sockets }
    }
}
