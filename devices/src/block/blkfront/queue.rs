//! Requests: what callers want and how far it is. They outlive connections: what was
//! not answered when one ends is asked again on the next one, in order (rule B11).

use super::pool::Pool;
use crate::block::ErrorKind;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::task::{Context, Poll, Waker};
use xen::DomId;
use xen::memory::PAGE_SIZE;
use xen::public::io::blkif::SECTOR;

/// What a request is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Read,
    Write,
    Flush,
    Discard,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// There is none.
    Free,
    /// Some of it is to be put on the ring.
    Waiting,
    /// All of it is there.
    Sent,
    Done(Result<(), ErrorKind>),
}

/// A request.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) op: Op,
    /// The first of its sectors, and how many there are, of 512 bytes.
    pub(super) sector: u64,
    pub(super) count: u64,
    /// Pages of the connection that hold its data.
    pub(super) pages: Vec<u16>,
    /// How many of them were put on the ring.
    pub(super) issued: usize,
    /// The request that goes on where this one ends, in the same slot of the ring.
    pub(super) next: Option<u16>,
    /// It failed together with others, and is asked again by itself.
    pub(super) alone: bool,
    /// How many writes a flush makes last.
    pub(super) covers: u64,
    /// Its data while there is no connection.
    saved: Vec<u8>,
    stage: Stage,
    /// Slots of the ring that are not answered.
    parts: usize,
    failed: Option<ErrorKind>,
    /// Nobody waits for it any more.
    abandoned: bool,
    waker: Option<Waker>,
    /// Its place among all.
    number: u64,
}

/// All requests.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: Vec<Entry>,
    free: Vec<u16>,
    /// Those that are to be put on the ring, in order.
    waiting: VecDeque<u16>,
    /// Whoever is to be woken once nothing is borrowed.
    woken: Vec<Waker>,
    /// Pages came back.
    gave: bool,
    count: u64,
    /// Writes that the back end answered well, and how many of them a flush made last.
    written: u64,
    flushed: u64,
    /// Writes that failed, and as of when a flush has said so.
    failures: u64,
    reported: u64,
}

/// The pages of a connection.
#[derive(Debug)]
pub(super) struct Pools {
    /// For what the back end writes, and for all where it is to keep them mapped.
    shared: Pool,
    /// For what it only reads.
    shown: Option<Pool>,
}

impl Pools {
    /// At most `most` pages for domain `peer`.
    pub(super) const fn new(peer: DomId, persistent: bool, most: usize) -> Self {
        if persistent {
            return Self { shared: Pool::new(peer, false, most), shown: None };
        }
        Self { shared: Pool::new(peer, false, most), shown: Some(Pool::new(peer, true, most)) }
    }

    /// Bytes that were copied into these pages and out of them.
    pub(super) fn copied(&self) -> u64 {
        self.shared.copied() + self.shown.as_ref().map_or(0, Pool::copied)
    }

    /// Those for requests of this sort.
    pub(super) const fn of(&mut self, op: Op) -> &mut Pool {
        match (&mut self.shown, op) {
            (Some(shown), Op::Write) => shown,
            _ => &mut self.shared,
        }
    }
}

impl Queue {
    /// Adds a request that waits for its turn. Reads and writes get their pages next.
    pub(super) fn add(&mut self, op: Op, sector: u64, count: u64) -> Result<u16, ErrorKind> {
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                let id = u16::try_from(self.entries.len()).map_err(|_| ErrorKind::Exhausted)?;
                self.entries.try_reserve(1).map_err(|_| ErrorKind::Exhausted)?;
                self.free.try_reserve(self.entries.len() + 1).map_err(|_| ErrorKind::Exhausted)?;
                self.entries.push(Entry::new());
                id
            }
        };
        // All of them may have to wait at once.
        let more = self.entries.len() - self.waiting.len();
        if self.waiting.try_reserve(more).is_err() {
            self.free.push(id);
            return Err(ErrorKind::Exhausted);
        }
        self.waiting.push_back(id);
        self.count += 1;
        let entry = &mut self.entries[usize::from(id)];
        (entry.op, entry.sector, entry.count) = (op, sector, count);
        entry.stage = Stage::Waiting;
        (entry.abandoned, entry.number) = (false, self.count);
        entry.again();
        Ok(id)
    }

    /// Makes the last one that waits the first one.
    pub(super) fn hurry(&mut self) {
        self.waiting.rotate_right(1);
    }

    pub(super) fn entry(&self, id: u16) -> &Entry {
        &self.entries[usize::from(id)]
    }

    pub(super) fn entry_mut(&mut self, id: u16) -> &mut Entry {
        &mut self.entries[usize::from(id)]
    }

    /// The request whose turn it is, and the one after it.
    pub(super) fn first_two(&self) -> (Option<u16>, Option<u16>) {
        (self.waiting.front().copied(), self.waiting.get(1).copied())
    }

    /// A slot of the ring holds a part of the first request: the whole rest, or not.
    pub(super) fn sent(&mut self, id: u16, whole: bool) {
        let entry = &mut self.entries[usize::from(id)];
        entry.parts += 1;
        if whole {
            entry.stage = Stage::Sent;
            self.waiting.pop_front();
        }
    }

    /// How many writes a flush that is issued now makes last.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Whether the back end may hold something that a flush would make last.
    pub(super) const fn is_dirty(&self) -> bool {
        self.written != self.flushed
    }

    /// A slot was answered that begins with request `first`.
    pub(super) fn answered(
        &mut self,
        first: u16,
        result: Result<(), ErrorKind>,
        pools: &mut Pools,
    ) {
        let many = self.entries[usize::from(first)].next.is_some();
        let mut again = 0;
        let mut next = Some(first);
        while let Some(id) = next {
            let entry = &mut self.entries[usize::from(id)];
            next = entry.next.take();
            if many && result.is_err() {
                // Not each of them need be at fault.
                entry.again();
                entry.alone = true;
                entry.stage = Stage::Waiting;
                // There was room for it before.
                self.waiting.insert(again, id);
                again += 1;
                continue;
            }
            entry.parts -= 1;
            if let Err(error) = result {
                entry.failed.get_or_insert(error);
            }
            if entry.parts == 0 && entry.stage == Stage::Sent {
                let result = entry.failed.take().map_or(Ok(()), Err);
                self.finish(id, result, Some(pools));
            }
        }
    }

    /// Takes the first request out of those that wait, and ends it.
    pub(super) fn refuse(&mut self, error: ErrorKind, pools: &mut Pools) {
        if let Some(id) = self.waiting.pop_front() {
            self.finish(id, Err(error), Some(pools));
        }
    }

    /// A request is over.
    fn finish(&mut self, id: u16, result: Result<(), ErrorKind>, pools: Option<&mut Pools>) {
        let entry = &mut self.entries[usize::from(id)];
        match (entry.op, result) {
            (Op::Write, Ok(())) => self.written += 1,
            (Op::Write, Err(_)) => self.failures += 1,
            (Op::Flush, Ok(())) => self.flushed = self.flushed.max(entry.covers),
            _ => {}
        }
        entry.stage = Stage::Done(result);
        self.woken.extend(entry.waker.take());
        if entry.abandoned {
            self.release(id, pools);
        }
    }

    /// Forgets a request that is over.
    fn release(&mut self, id: u16, pools: Option<&mut Pools>) {
        let entry = &mut self.entries[usize::from(id)];
        self.gave |= !entry.pages.is_empty();
        match pools {
            Some(pools) => pools.of(entry.op).give(&mut entry.pages),
            None => entry.pages.clear(),
        }
        entry.saved = Vec::new();
        entry.stage = Stage::Free;
        entry.waker = None;
        self.free.push(id);
    }

    /// Ready when the request is over.
    pub(super) fn poll(&mut self, id: u16, context: &Context<'_>) -> Poll<Result<(), ErrorKind>> {
        let entry = &mut self.entries[usize::from(id)];
        if let Stage::Done(result) = entry.stage {
            return Poll::Ready(result);
        }
        match &mut entry.waker {
            Some(waker) => waker.clone_from(context.waker()),
            waker => *waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Copies what a read brought, once (rule B6).
    pub(super) fn copy_out(&self, id: u16, pools: Option<&mut Pools>, to: &mut [u8]) {
        let entry = self.entry(id);
        if !entry.saved.is_empty() {
            to.copy_from_slice(&entry.saved);
        } else if let Some(pools) = pools {
            pools.of(entry.op).copy_out(&entry.pages, to);
        }
    }

    /// Nobody waits for the request any more.
    pub(super) fn abandon(&mut self, id: u16, pools: Option<&mut Pools>) {
        let entry = &mut self.entries[usize::from(id)];
        entry.waker = None;
        entry.abandoned = true;
        match entry.stage {
            Stage::Done(_) => {}
            // What is on the ring uses its pages until it is answered.
            Stage::Waiting if entry.parts == 0 => self.waiting.retain(|&other| other != id),
            _ => return,
        }
        self.release(id, pools);
    }

    /// Whether pages came back since the last call.
    pub(super) const fn gave(&mut self) -> bool {
        core::mem::replace(&mut self.gave, false)
    }

    /// The result of a flush, in the light of what was written before it (rules B8, B9).
    pub(super) const fn judge(&mut self, result: Result<(), ErrorKind>) -> Result<(), ErrorKind> {
        if self.failures == self.reported {
            return result;
        }
        self.reported = self.failures;
        Err(ErrorKind::Failed)
    }

    /// The connection ends: what was not answered waits for the next one, with its data.
    pub(super) fn park(&mut self, pools: &mut Pools) {
        self.waiting.clear();
        for id in 0..self.entries.len() as u16 {
            let entry = &mut self.entries[usize::from(id)];
            let wanted = match (entry.stage, entry.op) {
                (Stage::Free, _) => continue,
                (Stage::Waiting | Stage::Sent, Op::Write) | (Stage::Done(Ok(())), Op::Read) => {
                    entry.count as usize * SECTOR
                }
                _ => 0,
            };
            let kept = entry.abandoned || entry.saved.try_reserve_exact(wanted).is_ok();
            if kept && !entry.abandoned && wanted > 0 {
                entry.saved.resize(wanted, 0);
                pools.of(entry.op).copy_out(&entry.pages, &mut entry.saved);
            }
            entry.pages.clear();
            match entry.stage {
                Stage::Done(_) if !kept => entry.stage = Stage::Done(Err(ErrorKind::Exhausted)),
                Stage::Done(_) => {}
                _ if entry.abandoned => self.release(id, None),
                _ if !kept => self.finish(id, Err(ErrorKind::Exhausted), None),
                _ => {
                    entry.again();
                    entry.stage = Stage::Waiting;
                    // Each was in there, or had been.
                    self.waiting.push_back(id);
                }
            }
        }
        let entries = &self.entries;
        self.waiting.make_contiguous().sort_by_key(|&id| entries[usize::from(id)].number);
        // What the back end had and did not make last may be lost with it (rule B8).
        if self.is_dirty() {
            self.flushed = self.written;
            self.failures += 1;
        }
    }

    /// A new connection: those that wait get pages of it, before anyone else does.
    pub(super) fn adopt(&mut self, pools: &mut Pools) {
        for at in (0..self.waiting.len()).rev() {
            let id = self.waiting[at];
            let entry = &mut self.entries[usize::from(id)];
            if !matches!(entry.op, Op::Read | Op::Write) {
                continue;
            }
            let count = (entry.count as usize * SECTOR).div_ceil(PAGE_SIZE);
            let pool = pools.of(entry.op);
            while entry.pages.len() < count
                && pool.take(count - entry.pages.len(), &mut entry.pages).is_ok()
            {}
            if entry.pages.len() < count {
                self.waiting.remove(at);
                self.finish(id, Err(ErrorKind::Exhausted), Some(pools));
            } else if entry.op == Op::Write {
                pool.copy_in(&entry.pages, &entry.saved);
                entry.saved = Vec::new();
            }
        }
    }

    /// Ends all requests that are not over.
    pub(super) fn fail(&mut self, error: ErrorKind) {
        self.waiting.clear();
        for id in 0..self.entries.len() as u16 {
            let entry = &mut self.entries[usize::from(id)];
            if matches!(entry.stage, Stage::Waiting | Stage::Sent) {
                entry.next = None;
                self.finish(id, Err(error), None);
            }
        }
    }

    /// Whoever is to be woken, to be done without a borrow and given back.
    pub(super) fn take_woken(&mut self) -> Vec<Waker> {
        core::mem::take(&mut self.woken)
    }

    /// Takes the list back for its memory.
    pub(super) fn give_woken(&mut self, woken: Vec<Waker>) {
        if self.woken.is_empty() {
            self.woken = woken;
        }
    }
}

impl Entry {
    const fn new() -> Self {
        Self {
            op: Op::Flush,
            sector: 0,
            count: 0,
            pages: Vec::new(),
            issued: 0,
            next: None,
            alone: false,
            covers: 0,
            saved: Vec::new(),
            stage: Stage::Free,
            parts: 0,
            failed: None,
            abandoned: false,
            waker: None,
            number: 0,
        }
    }

    /// As if none of it had been put on a ring.
    const fn again(&mut self) {
        (self.issued, self.parts, self.failed) = (0, 0, None);
        (self.next, self.alone) = (None, false);
    }
}
