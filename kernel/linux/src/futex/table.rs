//! Who waits at which word of memory.

use crate::memory::Key;
use crate::process::grows;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::task::Waker;
use litemap::LiteMap;

/// One that waits.
pub struct Waiter {
    /// Where it waits: another waker may move it (`FUTEX_REQUEUE`).
    key: Cell<Key>,
    /// Which wakes it takes.
    bits: u32,
    woken: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Waiter {
    /// Whether it was woken.
    #[must_use]
    pub const fn is_woken(&self) -> bool {
        self.woken.get()
    }

    /// `waker` wakes its task.
    pub fn set_waker(&self, waker: &Waker) {
        let mut old = self.waker.borrow_mut();
        if !old.as_ref().is_some_and(|it| it.will_wake(waker)) {
            *old = Some(waker.clone());
        }
    }

    fn wake(&self) {
        self.woken.set(true);
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// All that wait, of all processes.
#[derive(Default)]
pub struct Futexes(RefCell<LiteMap<Key, VecDeque<Rc<Waiter>>>>);

impl Futexes {
    /// Adds one that waits at `key`. `None`: there is no memory.
    #[must_use]
    pub fn add(&self, key: Key, bits: u32) -> Option<Rc<Waiter>> {
        // Each thread waits for few, and those that run may wait, however little there is.
        crate::process::free(2 * size_of::<Waiter>() + 16 * 64).ok()?;
        let mut table = self.0.borrow_mut();
        grows::<(Key, VecDeque<Rc<Waiter>>)>(table.len()).ok()?;
        let queue = table.entry(key).or_default();
        queue.try_reserve(1).ok()?;
        let waiter = Rc::new(Waiter {
            key: Cell::new(key),
            bits,
            woken: Cell::new(false),
            waker: RefCell::new(None),
        });
        queue.push_back(Rc::clone(&waiter));
        Some(waiter)
    }

    /// Removes one that waits no more. What its wake was, another one does not get: it was woken.
    pub fn remove(&self, waiter: &Rc<Waiter>) {
        if waiter.woken.get() {
            return;
        }
        let key = waiter.key.get();
        let mut table = self.0.borrow_mut();
        if let Some(queue) = table.get_mut(&key) {
            queue.retain(|it| !Rc::ptr_eq(it, waiter));
            if queue.is_empty() {
                table.remove(&key);
            }
        }
    }

    /// Wakes up to `most` at `key` that take one of `bits`: the oldest first. Returns how many.
    pub fn wake(&self, key: Key, most: usize, bits: u32) -> usize {
        let mut table = self.0.borrow_mut();
        let Some(queue) = table.get_mut(&key) else { return 0 };
        let mut woken = 0;
        queue.retain(|it| {
            let wakes = woken < most && it.bits & bits != 0;
            if wakes {
                it.wake();
                woken += 1;
            }
            !wakes
        });
        if queue.is_empty() {
            table.remove(&key);
        }
        woken
    }

    /// Wakes up to `wake` at `from`, and moves up to `most` others to `to`. Returns how many were
    /// woken, and how many moved. `None`: there is no memory.
    pub fn requeue(&self, from: Key, to: Key, wake: usize, most: usize) -> Option<(usize, usize)> {
        let woken = self.wake(from, wake, u32::MAX);
        if from == to {
            let table = self.0.borrow();
            return Some((woken, table.get(&from).map_or(0, VecDeque::len).min(most)));
        }
        let mut table = self.0.borrow_mut();
        grows::<(Key, VecDeque<Rc<Waiter>>)>(table.len()).ok()?;
        let Some(mut source) = table.remove(&from) else { return Some((woken, 0)) };
        let count = source.len().min(most);
        let target = table.entry(to).or_default();
        let room = target.try_reserve(count).is_ok();
        if room {
            for waiter in source.drain(..count) {
                waiter.key.set(to);
                target.push_back(waiter);
            }
        }
        if target.is_empty() {
            table.remove(&to);
        }
        if !source.is_empty() {
            table.insert(from, source);
        }
        room.then_some((woken, count))
    }

    /// Returns how many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.borrow().values().map(VecDeque::len).sum()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}
