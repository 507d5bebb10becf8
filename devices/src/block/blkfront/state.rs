//! What the driver and its tasks share, and what a caller's request is to it.

use super::link::{Counters, Link};
use super::queue::{Op, Queue};
use super::{PIECE, Stats, Violation};
use crate::block::{ErrorKind, Info};
use crate::frontend;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::Waker;
use xen::memory::PAGE_SIZE;
use xen::public::io::blkif::SECTOR;

/// What the driver and its tasks share.
#[derive(Debug)]
pub(super) struct State {
    /// What it is called.
    pub(super) name: String,
    pub(super) info: Cell<Info>,
    /// It cannot be used any more, and why.
    pub(super) over: Cell<Option<ErrorKind>>,
    /// The disk was taken away; another one may come.
    pub(super) away: Cell<bool>,
    /// The back end closed its port.
    pub(super) deaf: Cell<bool>,
    /// Why it cannot be connected.
    pub(super) trouble: Cell<Option<frontend::Error>>,
    pub(super) queue: RefCell<Queue>,
    pub(super) link: RefCell<Option<Link>>,
    /// Those who wait for pages, or for a connection.
    pub(super) waiting: RefCell<Vec<Waker>>,
    /// The task that moves the queue on.
    pub(super) mover: RefCell<Option<Waker>>,
    /// The tasks that look after the connection and the time, when they should act.
    pub(super) keeper: RefCell<Option<Waker>>,
    pub(super) patrol: RefCell<Option<Waker>>,
    pub(super) stats: Cell<Stats>,
}

/// Wakes the task in `place`, once.
pub(super) fn wake(place: &RefCell<Option<Waker>>) {
    let waker = place.take();
    waker.into_iter().for_each(Waker::wake);
}

impl State {
    pub(super) fn new(name: String) -> Self {
        let info = Info {
            sector_size: SECTOR as u32,
            sectors: 0,
            read_only: true,
            flush: false,
            discard: None,
            generation: 0,
        };
        Self {
            name,
            trouble: Cell::new(None),
            info: Cell::new(info),
            over: Cell::new(None),
            away: Cell::new(false),
            deaf: Cell::new(false),
            queue: RefCell::default(),
            link: RefCell::default(),
            waiting: RefCell::default(),
            mover: RefCell::default(),
            keeper: RefCell::default(),
            patrol: RefCell::default(),
            stats: Cell::default(),
        }
    }

    /// Why nothing can be asked for now.
    pub(super) fn refusal(&self) -> Option<ErrorKind> {
        self.over.get().or(self.away.get().then_some(ErrorKind::Gone))
    }

    pub(super) fn wait(&self, waker: &Waker) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|other| other.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    /// Pages came back, or something about the connection changed.
    pub(super) fn wake(&self) {
        let waiting = self.waiting.take();
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Wakes whoever's requests are over, or can begin, with nothing borrowed.
    pub(super) fn wake_answered(&self) {
        let mut queue = self.queue.borrow_mut();
        let (mut woken, gave) = (queue.take_woken(), queue.gave());
        drop(queue);
        woken.drain(..).for_each(Waker::wake);
        self.queue.borrow_mut().give_woken(woken);
        if gave {
            self.wake();
        }
    }

    /// Ends all requests, now and, if it is `over`, also later.
    pub(super) fn fail(&self, error: ErrorKind, over: bool) {
        if over {
            self.over.set(self.over.get().or(Some(error)));
        } else {
            self.away.set(true);
        }
        self.queue.borrow_mut().fail(error);
        self.wake_answered();
        self.wake();
        wake(&self.keeper);
    }

    /// The back end broke the protocol: the disk is over.
    pub(super) fn broken(&self, violation: Violation) {
        if self.over.get().is_none() {
            log::error!("{}: the back end is not used any more: {violation}", self.name);
        }
        self.fail(ErrorKind::Gone, true);
    }

    pub(super) fn count(&self, f: impl FnOnce(&mut Stats)) {
        let mut stats = self.stats.get();
        f(&mut stats);
        self.stats.set(stats);
    }

    pub(super) fn add(stats: &mut Stats, counters: Counters) {
        stats.requests += counters.requests;
        stats.merged += counters.merged;
        stats.notifications += counters.notifications;
        stats.copied_bytes += counters.copied;
    }

    /// Begins as much of a transfer as there are pages for: the request and its bytes.
    /// `None` when there are none now, or too few to be worth it where `eager` is not.
    pub(super) fn begin(
        &self,
        op: Op,
        sector: u64,
        length: usize,
        from: Option<&[u8]>,
        eager: bool,
    ) -> Result<Option<(Request<'_>, usize)>, ErrorKind> {
        if let Some(error) = self.refusal() {
            return Err(error);
        }
        let mut link = self.link.borrow_mut();
        let Some(link) = link.as_mut().filter(|link| !link.draining) else { return Ok(None) };
        let most = link.segments();
        let pool = link.pools.of(op);
        let wanted = length.div_ceil(PAGE_SIZE).min(most);
        let count = wanted.min(pool.available());
        if count == 0 || (!eager && count < wanted.min(PIECE)) {
            return Ok(None);
        }
        let mut queue = self.queue.borrow_mut();
        // The length of a request is known when it has its pages.
        let id = queue.add(op, sector, 0)?;
        let entry = queue.entry_mut(id);
        if pool.take(count, &mut entry.pages).is_err() {
            // Those that there are come back.
            let none = pool.is_empty();
            queue.abandon(id, None);
            return if none { Err(ErrorKind::Exhausted) } else { Ok(None) };
        }
        let length = length.min(entry.pages.len() * PAGE_SIZE);
        entry.count = (length / SECTOR) as u64;
        if let Some(from) = from {
            pool.copy_in(&entry.pages, &from[..length]);
        }
        Ok(Some((Request { state: self, id }, length)))
    }
}

/// A request that is under way. Dropping it abandons it.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) state: &'a State,
    pub(super) id: u16,
}

impl Request<'_> {
    /// What the device answered.
    pub(super) async fn answer(&self) -> Result<(), ErrorKind> {
        poll_fn(|context| self.state.queue.borrow_mut().poll(self.id, context)).await
    }

    /// Copies what a read brought.
    pub(super) fn copy_out(&self, to: &mut [u8]) {
        let mut link = self.state.link.borrow_mut();
        let pools = link.as_mut().map(|link| &mut link.pools);
        self.state.queue.borrow().copy_out(self.id, pools, to);
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        let mut link = self.state.link.borrow_mut();
        let pools = link.as_mut().map(|link| &mut link.pools);
        let mut queue = self.state.queue.borrow_mut();
        queue.abandon(self.id, pools);
        let gave = queue.gave();
        drop((link, queue));
        if gave {
            self.state.wake();
        }
    }
}
