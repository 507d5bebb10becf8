//! Descriptors in flight: sent to a Unix socket, and not received yet (unix(7), `SCM_RIGHTS`).
//!
//! A socket may be sent to itself, or two to each other, and then be closed: only messages hold
//! them that nobody can receive any more. As on Linux (net/unix/garbage.c), such are looked for
//! when descriptors are sent and when a socket ends. What was sent over a connection that is not
//! accepted yet, its listener holds.

use crate::file::Open;
use crate::socket::SocketFile;
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

/// What holds descriptors in flight: a socket with what was sent to it.
pub(super) trait Carrier {
    /// Returns the descriptors that it holds. `None`: it cannot be looked into now.
    fn rights(&self) -> Option<Vec<Rc<Open>>>;

    /// Takes them away.
    fn take_rights(&self) -> Vec<Rc<Open>>;
}

/// The descriptors in flight of a machine.
#[derive(Default)]
pub(super) struct Flight {
    /// Sockets that they were sent to.
    carriers: RefCell<Vec<Weak<dyn Carrier>>>,
    /// How many there were when they were last looked through.
    looked: Cell<usize>,
    /// Those that nobody wants any more.
    lost: RefCell<Vec<Vec<Rc<Open>>>>,
    dropping: Cell<bool>,
}

/// A carrier, and what is known of it.
struct Looked {
    carrier: Rc<dyn Carrier>,
    address: usize,
    rights: Vec<Rc<Open>>,
    /// Somebody can receive from it.
    reached: bool,
}

impl Flight {
    /// Descriptors are sent to `carrier`, which has none yet.
    pub(super) fn sent(&self, carrier: Weak<dyn Carrier>) {
        let mut carriers = self.carriers.borrow_mut();
        if carriers.try_reserve(1).is_ok() {
            carriers.push(carrier);
        }
        // So that each costs the same, however many there are.
        let full = carriers.len() > 2 * self.looked.get() + 16;
        drop(carriers);
        if full {
            self.ended(Vec::new());
        }
    }

    /// A socket has ended that held `rights`. They are dropped one after the other, however deep
    /// sockets lie in the queues of others.
    pub(super) fn ended(&self, rights: Vec<Rc<Open>>) {
        self.lose(rights);
        if !self.dropping.replace(true) {
            loop {
                let Some(rights) = self.lost.borrow_mut().pop() else {
                    self.collect();
                    if self.lost.borrow().is_empty() {
                        break;
                    }
                    continue;
                };
                drop(rights);
            }
            self.dropping.set(false);
        }
    }

    fn lose(&self, rights: Vec<Rc<Open>>) {
        let mut lost = self.lost.borrow_mut();
        if !rights.is_empty() && lost.try_reserve(1).is_ok() {
            lost.push(rights);
        }
    }

    /// Takes away what nobody can receive.
    fn collect(&self) {
        if self.carriers.borrow().is_empty() {
            return;
        }
        let mut all = Vec::new();
        let mut carriers = self.carriers.borrow_mut();
        carriers.sort_unstable_by_key(|it| it.as_ptr().addr());
        carriers.dedup_by(|one, other| one.ptr_eq(other));
        carriers.retain(|it| {
            let Some(carrier) = it.upgrade() else { return false };
            let (rights, reached) = match carrier.rights() {
                Some(rights) if rights.is_empty() => return false,
                Some(rights) => (rights, false),
                None => (Vec::new(), true),
            };
            let address = it.as_ptr().addr();
            if all.try_reserve(1).is_ok() {
                all.push(Looked { carrier, address, rights, reached });
            }
            true
        });
        self.looked.set(carriers.len());
        drop(carriers);
        // Of each socket in flight how often it is, here and in the messages.
        let flying = all.iter().flat_map(|it| &it.rights).filter_map(|open| {
            let address = Rc::as_ptr(SocketFile::of(open).ok()?).addr();
            Some((address, Rc::as_ptr(open).addr(), Rc::strong_count(open)))
        });
        let mut flying: Vec<_> = flying.collect();
        flying.sort_unstable();
        for it in &mut all {
            let from = flying.partition_point(|other| other.0 < it.address);
            let to = flying.partition_point(|other| other.0 <= it.address);
            let opens = &flying[from..to];
            // One that is in no message is held by somebody else.
            // Each is counted twice: in its message, and here.
            let mut opens_held = opens.chunk_by(|one, next| one.1 == next.1);
            it.reached |= opens.is_empty() || opens_held.any(|it| it[0].2 > 2 * it.len());
        }
        let mut next: Vec<usize> = (0..all.len()).filter(|&it| all[it].reached).collect();
        while let Some(at) = next.pop() {
            for open in core::mem::take(&mut all[at].rights) {
                let Ok(socket) = SocketFile::of(&open) else { continue };
                let address = Rc::as_ptr(socket).addr();
                if let Ok(found) = all.binary_search_by_key(&address, |it| it.address)
                    && !core::mem::replace(&mut all[found].reached, true)
                {
                    next.push(found);
                }
            }
        }
        for it in all.iter().filter(|it| !it.reached) {
            self.lose(it.carrier.take_rights());
        }
    }
}
