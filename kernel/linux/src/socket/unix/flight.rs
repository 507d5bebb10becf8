//! Descriptors in flight: sent to a Unix socket, and not received yet (unix(7), `SCM_RIGHTS`).
//!
//! A socket may be sent to itself, or two to each other, and then be closed: only messages hold
//! them that nobody can receive any more. As on Linux (net/unix/garbage.c), such are looked for
//! when descriptors are sent and when a socket ends, so often that it costs each the same however
//! many are in flight. What was sent over a connection that is not accepted yet, its listener holds.
//! How many a user may have in flight is bounded by `RLIMIT_NOFILE`, and all by the memory.

use super::flying::{Counts, Flying};
use super::queue::Queue;
use crate::errno::Errno;
use crate::file::{Open, most_open};
use crate::socket::SocketFile;
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use linux_raw_sys::net::AF_UNIX;

/// Descriptors that may be looked at for each that is sent, and each time that a socket ends or some are
/// refused.
const STEP: usize = 64;

/// What holds descriptors in flight: a socket with what was sent to it.
pub(super) trait Carrier {
    /// Returns whether it holds descriptors, or cannot be looked into now. It costs the same however
    /// many it holds.
    fn may_hold(&self) -> bool;

    /// Calls `each` with each descriptor that it holds. Returns whether that was all: it may be that
    /// it cannot be looked into now.
    fn each_right(&self, each: &mut dyn FnMut(&Rc<Open>)) -> bool;

    /// Takes what was sent to it away.
    fn empty(&self, lose: &mut dyn FnMut(Queue));
}

/// The descriptors in flight of a machine.
#[derive(Default)]
pub(super) struct Flight {
    /// Sockets that they were sent to.
    carriers: RefCell<Vec<Weak<dyn Carrier>>>,
    /// How many there were when they were last looked through.
    looked: Cell<usize>,
    /// How many descriptors may be looked at by now.
    credit: Cell<usize>,
    /// What nobody wants any more.
    lost: RefCell<Vec<Queue>>,
    dropping: Cell<bool>,
    counts: Rc<Counts>,
    /// How many descriptors and carriers were looked at.
    #[cfg(test)]
    pub(super) looks: Cell<usize>,
}

/// A carrier, and what is known of it.
struct Looked {
    carrier: Rc<dyn Carrier>,
    address: usize,
    /// Somebody can receive from it.
    reached: bool,
}

/// Returns the address of the Unix socket that is open, if one is.
fn socket(open: &Open) -> Option<usize> {
    let socket = SocketFile::of(open).ok()?;
    (socket.form().family == AF_UNIX).then(|| Rc::as_ptr(socket).addr())
}

impl Flight {
    /// Counts descriptors that `user` is about to send, who may have `most`.
    ///
    /// # Errors
    /// `ETOOMANYREFS` if there are too many of the user's, or of all.
    pub(super) fn begin(
        &self,
        user: u32,
        most: usize,
        rights: &[Rc<Open>],
    ) -> Result<Flying, Errno> {
        let counts = &self.counts;
        let is_full = || counts.of(user) > most || counts.all.get() + rights.len() > most_open();
        if is_full() {
            // Who sent so many has paid for a search. Each that is refused pays for a part of the next.
            self.ended(Queue::default());
            if is_full() {
                return Err(Errno::ETOOMANYREFS);
            }
        }
        self.credit.update(|it| it.saturating_add(STEP * rights.len()));
        let sockets = rights.iter().filter(|it| socket(it).is_some()).count();
        Ok(Flying::new(counts, user, rights.len(), sockets))
    }

    /// Descriptors were sent to `carrier`, which had none before.
    pub(super) fn sent(&self, carrier: Weak<dyn Carrier>) {
        let mut carriers = self.carriers.borrow_mut();
        if carriers.try_reserve(1).is_ok() {
            carriers.push(carrier);
        }
        // So that each costs the same, however many there are.
        let full = carriers.len() > 2 * self.looked.get() + 16;
        drop(carriers);
        if full {
            self.prune();
        }
        self.ended(Queue::default());
    }

    /// A socket has ended that held `queue`. Such are dropped one after the other, however deep
    /// sockets lie in the queues of others.
    pub(super) fn ended(&self, queue: Queue) {
        self.credit.update(|it| it.saturating_add(STEP));
        self.lose(queue);
        if !self.dropping.replace(true) {
            loop {
                let lost = self.lost.borrow_mut().pop();
                if let Some(queue) = lost {
                    drop(queue);
                    continue;
                }
                // Who is in no queue is no part of a ring.
                let cost = self.counts.all.get() + self.carriers.borrow().len();
                if self.counts.sockets.get() == 0 || self.credit.get() < cost {
                    break;
                }
                self.credit.set(0);
                // Without memory for that it is done another time.
                if self.collect().is_none() || self.lost.borrow().is_empty() {
                    break;
                }
            }
            self.dropping.set(false);
        }
    }

    fn lose(&self, queue: Queue) {
        let mut lost = self.lost.borrow_mut();
        if queue.has_rights() && lost.try_reserve(1).is_ok() {
            lost.push(queue);
        }
    }

    /// Counts a look at a descriptor or a carrier.
    fn look(&self) {
        #[cfg(test)]
        self.looks.update(|it| it + 1);
    }

    /// Forgets carriers that hold none any more.
    fn prune(&self) {
        let mut carriers = self.carriers.borrow_mut();
        carriers.sort_unstable_by_key(|it| it.as_ptr().addr());
        carriers.dedup_by(|one, other| one.ptr_eq(other));
        carriers.retain(|it| {
            self.look();
            it.upgrade().is_some_and(|it| it.may_hold())
        });
        self.looked.set(carriers.len());
    }

    /// Takes away what nobody can receive. Returns `None` without memory for the search.
    fn collect(&self) -> Option<()> {
        self.prune();
        let mut all: Vec<Looked> = Vec::new();
        // Of each socket in flight how often it is in messages, and how often anywhere.
        let mut flying: Vec<(usize, usize, usize)> = Vec::new();
        flying.try_reserve_exact(self.counts.sockets.get()).ok()?;
        all.try_reserve_exact(self.carriers.borrow().len()).ok()?;
        for it in &*self.carriers.borrow() {
            let Some(carrier) = it.upgrade() else { continue };
            let mut each = |open: &Rc<Open>| {
                self.look();
                if let Some(address) = socket(open)
                    && flying.len() < flying.capacity()
                {
                    flying.push((address, Rc::as_ptr(open).addr(), Rc::strong_count(open)));
                }
            };
            let reached = !carrier.each_right(&mut each);
            all.push(Looked { carrier, address: it.as_ptr().addr(), reached });
        }
        flying.sort_unstable();
        let mut next: Vec<usize> = Vec::new();
        next.try_reserve_exact(all.len()).ok()?;
        for (at, it) in all.iter_mut().enumerate() {
            let from = flying.partition_point(|other| other.0 < it.address);
            let to = flying.partition_point(|other| other.0 <= it.address);
            let opens = &flying[from..to];
            // One that is in no message is held by somebody else.
            let mut opens_held = opens.chunk_by(|one, next| one.1 == next.1);
            it.reached |= opens.is_empty() || opens_held.any(|it| it[0].2 > it.len());
            if it.reached {
                next.push(at);
            }
        }
        while let Some(at) = next.pop() {
            let carrier = Rc::clone(&all[at].carrier);
            carrier.each_right(&mut |open| {
                self.look();
                if let Some(address) = socket(open)
                    && let Ok(found) = all.binary_search_by_key(&address, |it| it.address)
                    && !core::mem::replace(&mut all[found].reached, true)
                {
                    next.push(found);
                }
            });
        }
        for it in all.iter().filter(|it| !it.reached) {
            it.carrier.empty(&mut |queue| self.lose(queue));
        }
        Some(())
    }
}
