//! Queues requests. They outlive connections: those without a response when one ends are
//! repeated, in order, on the next one (rule B11).

use super::Op;
use super::pool::Pools;
use crate::block::ErrorKind;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use kernel::time::Instant;
use xen::memory::PAGE_SIZE;
use xen::public::io::blkif::SECTOR;

/// The age at which a request fails when a connection ends, of those that came and went without a
/// response to it (rule B10).
const OLD: Duration = Duration::from_secs(300);

/// The fewest connections that did, besides: a domain that was saved is older once it is restored.
const PARKS: u8 = 3;

/// The stage of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The entry is unused.
    Free,
    /// It is not wholly on the ring.
    Waiting,
    /// It is on the ring.
    Sent,
    Done(Result<(), ErrorKind>),
}

/// A request.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) op: Op,
    /// Its first sector, and the number of its sectors, of 512 bytes each.
    pub(super) sector: u64,
    pub(super) count: u64,
    /// The granted pages that hold its data.
    pub(super) pages: Vec<u16>,
    /// The number of them that are on the ring.
    pub(super) issued: usize,
    /// The adjacent request that was merged with this one into a slot of the ring.
    pub(super) next: Option<u16>,
    /// Whether it failed together with others, and is repeated by itself.
    pub(super) unmerged: bool,
    /// The number of writes that a flush makes durable.
    pub(super) covers: u64,
    /// A copy of its data while there is no connection.
    saved: Vec<u8>,
    stage: Stage,
    /// The number of its slots on the ring without a response.
    slots: usize,
    failed: Option<ErrorKind>,
    /// Whether its future was dropped.
    abandoned: bool,
    waker: Option<Waker>,
    /// Its sequence number.
    number: u64,
    /// When it was asked for, and the number of connections that ended without a response to it.
    asked: Instant,
    parks: u8,
}

/// All requests.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: Vec<Entry>,
    free: Vec<u16>,
    /// Requests to be put on the ring, in order.
    waiting: VecDeque<u16>,
    /// Requests of a former connection that have no pages of this one yet, in order. New ones begin
    /// behind them.
    parked: VecDeque<u16>,
    /// Wakers to call once nothing is borrowed.
    woken: Vec<Waker>,
    /// Whether pages were returned.
    pages_returned: bool,
    count: u64,
    /// The number of successful writes, and of those that a flush made durable.
    written: u64,
    flushed: u64,
    /// The number of failed writes and flushes, and of those that a flush reported.
    failures: u64,
    reported: u64,
    /// Whether writes may have been lost, and nobody was told of that yet.
    untold: bool,
    /// The number of times that writes may have been lost with the back end.
    lost: u32,
}

impl Queue {
    /// Adds a request behind all others (rule B11). Reads and writes get their pages next.
    pub(super) fn add(&mut self, op: Op, sector: u64, count: u64) -> Result<u16, ErrorKind> {
        let id = self.enter(op, sector, count)?;
        // There is room, as for all entries.
        match self.is_parked() {
            true => self.parked.push_back(id),
            false => self.waiting.push_back(id),
        }
        Ok(id)
    }

    /// Adds a flush ahead of all that waits.
    pub(super) fn add_flush(&mut self) -> Result<u16, ErrorKind> {
        let id = self.enter(Op::Flush, 0, 0)?;
        self.waiting.push_front(id);
        Ok(id)
    }

    /// Makes the entry of a request.
    fn enter(&mut self, op: Op, sector: u64, count: u64) -> Result<u16, ErrorKind> {
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                // The number of entries is one as well.
                let id = u16::try_from(self.entries.len()).ok().filter(|&id| id < u16::MAX);
                let id = id.ok_or(ErrorKind::Exhausted)?;
                self.entries.try_reserve(1).map_err(|_| ErrorKind::Exhausted)?;
                self.free.try_reserve(self.entries.len() + 1).map_err(|_| ErrorKind::Exhausted)?;
                self.entries.push(Entry::new());
                id
            }
        };
        // All of them may have to wait at once, and be answered at once.
        let all = self.entries.len();
        let room = self.waiting.try_reserve(all - self.waiting.len()).is_ok()
            && self.parked.try_reserve(all - self.parked.len()).is_ok()
            && self.woken.try_reserve(all.saturating_sub(self.woken.len())).is_ok();
        if !room {
            self.free.push(id);
            return Err(ErrorKind::Exhausted);
        }
        self.count += 1;
        let entry = &mut self.entries[usize::from(id)];
        (entry.op, entry.sector, entry.count) = (op, sector, count);
        entry.stage = Stage::Waiting;
        (entry.abandoned, entry.number) = (false, self.count);
        (entry.asked, entry.parks) = (Instant::now(), 0);
        entry.reset();
        Ok(id)
    }

    pub(super) fn entry(&self, id: u16) -> &Entry {
        &self.entries[usize::from(id)]
    }

    pub(super) fn entry_mut(&mut self, id: u16) -> &mut Entry {
        &mut self.entries[usize::from(id)]
    }

    /// Returns the first two waiting requests.
    pub(super) fn first_two(&self) -> (Option<u16>, Option<u16>) {
        (self.waiting.front().copied(), self.waiting.get(1).copied())
    }

    /// Returns the pages of request `next` if it may be merged with `entry`, as it starts where
    /// that ends.
    pub(super) fn follows(&self, entry: u16, next: u16) -> Option<usize> {
        let (entry, next) = (self.entry(entry), self.entry(next));
        let fits = next.op == entry.op
            && matches!(next.op, Op::Read | Op::Write)
            && next.sector == entry.sector + entry.count
            && !entry.unmerged
            && !next.unmerged
            && next.issued == 0;
        fits.then_some(next.pages.len())
    }

    /// Records that a slot of the ring holds a part of the first request, with `whole` all that
    /// was left of it.
    pub(super) fn sent(&mut self, id: u16, whole: bool) {
        let entry = &mut self.entries[usize::from(id)];
        entry.slots += 1;
        if whole {
            entry.stage = Stage::Sent;
            self.waiting.pop_front();
        }
    }

    /// Returns the number of writes that a flush issued now makes durable.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Returns whether the back end may hold writes that are not durable.
    pub(super) const fn is_dirty(&self) -> bool {
        self.written != self.flushed
    }

    /// Records the response to a slot, whose first request is `first`.
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
                // One of the merged requests may be at fault alone.
                entry.reset();
                entry.unmerged = true;
                entry.stage = Stage::Waiting;
                // There is room, as it was in the queue before.
                self.waiting.insert(again, id);
                again += 1;
                continue;
            }
            entry.slots -= 1;
            if let Err(error) = result {
                entry.failed.get_or_insert(error);
            }
            if entry.slots == 0 && entry.stage == Stage::Sent {
                let result = entry.failed.take().map_or(Ok(()), Err);
                self.finish(id, result, Some(pools));
            }
        }
    }

    /// Fails the first waiting request.
    pub(super) fn refuse(&mut self, error: ErrorKind, pools: &mut Pools) {
        if let Some(id) = self.waiting.pop_front() {
            self.finish(id, Err(error), Some(pools));
        }
    }

    /// Completes a request.
    fn finish(&mut self, id: u16, result: Result<(), ErrorKind>, mut pools: Option<&mut Pools>) {
        let entry = &mut self.entries[usize::from(id)];
        match (entry.op, result) {
            (Op::Write, Ok(())) => self.written += 1,
            (Op::Write, Err(_)) => self.failures += 1,
            (Op::Flush, Ok(())) => self.flushed = self.flushed.max(entry.covers),
            // The device may have dropped what it could not make durable, and tells once: perhaps a
            // flush of the driver's own, or one that nobody waits for any more.
            (Op::Flush, Err(ErrorKind::Failed)) if self.written != self.flushed => {
                self.failures += 1;
                self.untold = true;
                self.lost = self.lost.wrapping_add(1);
            }
            _ => {}
        }
        // Nobody reads the pages any more, also where nobody takes the result for long.
        if let Some(pools) = pools.as_deref_mut()
            && (entry.op == Op::Write || result.is_err())
        {
            self.pages_returned |= !entry.pages.is_empty();
            pools.of(entry.op).give(&mut entry.pages);
        }
        entry.stage = Stage::Done(result);
        self.woken.extend(entry.waker.take());
        if entry.abandoned {
            self.release(id, pools);
        }
    }

    /// Releases the entry of a request, and its pages.
    fn release(&mut self, id: u16, pools: Option<&mut Pools>) {
        let entry = &mut self.entries[usize::from(id)];
        self.pages_returned |= !entry.pages.is_empty();
        match pools {
            Some(pools) => pools.of(entry.op).give(&mut entry.pages),
            None => entry.pages.clear(),
        }
        entry.saved = Vec::new();
        entry.stage = Stage::Free;
        entry.waker = None;
        self.free.push(id);
    }

    /// Is ready when the request is complete.
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

    /// Copies the data that were read, once (rule B6).
    pub(super) fn copy_out(&self, id: u16, pools: Option<&mut Pools>, to: &mut [u8]) {
        let entry = self.entry(id);
        if !entry.saved.is_empty() {
            to.copy_from_slice(&entry.saved);
        } else if let Some(pools) = pools {
            pools.of(entry.op).copy_out(&entry.pages, to);
        }
    }

    /// Abandons a request whose future was dropped.
    pub(super) fn abandon(&mut self, id: u16, pools: Option<&mut Pools>) {
        let entry = &mut self.entries[usize::from(id)];
        entry.waker = None;
        entry.abandoned = true;
        match entry.stage {
            Stage::Done(_) => {}
            // A request on the ring uses its pages until the response.
            Stage::Waiting if entry.slots == 0 => {
                self.waiting.retain(|&other| other != id);
                let parked = self.parked.len();
                self.parked.retain(|&other| other != id);
                // Others may have waited behind it alone.
                self.pages_returned |= self.parked.len() != parked;
            }
            _ => return,
        }
        self.release(id, pools);
    }

    /// Returns whether pages were returned since the last call.
    pub(super) const fn pages_returned(&mut self) -> bool {
        core::mem::replace(&mut self.pages_returned, false)
    }

    /// Returns whether writes may have been lost, and nobody was told of that yet.
    pub(super) const fn is_untold(&self) -> bool {
        self.untold
    }

    /// Returns the result of a flush, which failed writes and flushes before it turn into an error
    /// (rules B8, B9).
    pub(super) const fn judge(&mut self, result: Result<(), ErrorKind>) -> Result<(), ErrorKind> {
        if self.failures == self.reported {
            return result;
        }
        self.reported = self.failures;
        self.untold = false;
        Err(ErrorKind::Failed)
    }

    /// Saves the requests without a response, and their data, for the next connection. Those that
    /// several had no response to for long fail. `can_flush` tells whether this one could flush.
    pub(super) fn park(&mut self, pools: &mut Pools, can_flush: bool) {
        self.waiting.clear();
        self.parked.clear();
        for id in 0..self.entries.len() as u16 {
            let entry = &mut self.entries[usize::from(id)];
            let wanted = match (entry.stage, entry.op) {
                (Stage::Free, _) => continue,
                // A connection ended before, and this one had no pages for it.
                _ if !entry.saved.is_empty() => 0,
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
                _ if entry.parks >= PARKS && entry.asked.elapsed() >= OLD => {
                    entry.next = None;
                    self.finish(id, Err(ErrorKind::TimedOut), None);
                }
                _ => {
                    entry.reset();
                    entry.parks = entry.parks.saturating_add(1);
                    entry.stage = Stage::Waiting;
                    // There is room, as each was in the queue before.
                    self.parked.push_back(id);
                }
            }
        }
        let entries = &self.entries;
        self.parked.make_contiguous().sort_by_key(|&id| entries[usize::from(id)].number);
        // Writes that were not flushed may be lost with the back end (rule B8).
        if self.is_dirty() {
            self.flushed = self.written;
            self.lost = self.lost.wrapping_add(1);
            // Nobody could rely on more where the disk cannot flush, which is said at open.
            self.failures += u64::from(can_flush);
            self.untold |= can_flush;
        }
    }

    /// Returns the number of times that writes may have been lost with the back end.
    pub(super) const fn lost(&self) -> u32 {
        self.lost
    }

    /// Returns whether requests of a former connection wait for pages, which no other may take.
    pub(super) fn is_parked(&self) -> bool {
        !self.parked.is_empty()
    }

    /// Lets parked requests wait for the ring, in order, as far as there are pages for them. The
    /// others get theirs when pages come back.
    pub(super) fn adopt(&mut self, pools: &mut Pools) {
        if self.parked.is_empty() {
            return;
        }
        while let Some(&id) = self.parked.front() {
            let entry = &mut self.entries[usize::from(id)];
            if matches!(entry.op, Op::Read | Op::Write) {
                let count = (entry.count as usize * SECTOR).div_ceil(PAGE_SIZE);
                let pool = pools.of(entry.op);
                while entry.pages.len() < count
                    && pool.take(count - entry.pages.len(), &mut entry.pages).is_ok()
                {
                }
                if entry.pages.len() < count {
                    if pool.used() > entry.pages.len() {
                        return;
                    }
                    // None will come back.
                    self.parked.pop_front();
                    self.finish(id, Err(ErrorKind::Exhausted), Some(pools));
                    continue;
                }
                if entry.op == Op::Write {
                    pool.copy_in(&entry.pages, &entry.saved);
                    entry.saved = Vec::new();
                }
            }
            self.parked.pop_front();
            // There is room, as each was in the queue before.
            self.waiting.push_back(id);
        }
        // What is left is for new requests, which waited for this.
        self.pages_returned = true;
    }

    /// Fails all requests that are not complete.
    pub(super) fn fail(&mut self, error: ErrorKind) {
        self.waiting.clear();
        self.parked.clear();
        for id in 0..self.entries.len() as u16 {
            let entry = &mut self.entries[usize::from(id)];
            if matches!(entry.stage, Stage::Waiting | Stage::Sent) {
                entry.next = None;
                self.finish(id, Err(error), None);
            }
        }
    }

    /// Takes the wakers to call, to be called without a borrow and given back.
    pub(super) fn take_woken(&mut self) -> Vec<Waker> {
        core::mem::take(&mut self.woken)
    }

    /// Takes the emptied list back, for its memory.
    pub(super) fn give_woken(&mut self, woken: Vec<Waker>) {
        if self.woken.is_empty() {
            self.woken = woken;
        }
    }
}

impl Entry {
    fn new() -> Self {
        Self {
            op: Op::Flush,
            sector: 0,
            count: 0,
            pages: Vec::new(),
            issued: 0,
            next: None,
            unmerged: false,
            covers: 0,
            saved: Vec::new(),
            stage: Stage::Free,
            slots: 0,
            failed: None,
            abandoned: false,
            waker: None,
            number: 0,
            asked: Instant::now(),
            parks: 0,
        }
    }

    /// Resets it to a request that was never on a ring.
    const fn reset(&mut self) {
        (self.issued, self.slots, self.failed) = (0, 0, None);
        (self.next, self.unmerged) = (None, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_requests_as_there_can_be_all_fail_r8() {
        let mut queue = Queue::default();
        let mut added = 0_u64;
        while queue.add(Op::Read, added, 1).is_ok() {
            added += 1;
        }
        assert_eq!(added, 0xffff);
        queue.fail(ErrorKind::Gone);
        let context = Context::from_waker(Waker::noop());
        assert!(
            (0..0xffff).all(|id| queue.poll(id, &context) == Poll::Ready(Err(ErrorKind::Gone)))
        );
    }

    #[test]
    fn answers_allocate_nothing_s8() {
        let mut queue = Queue::default();
        let context = Context::from_waker(Waker::noop());
        let ids: Vec<_> = (0..50).map(|at| queue.add(Op::Read, at, 1).unwrap()).collect();
        ids.iter().for_each(|&id| assert!(queue.poll(id, &context).is_pending()));
        let room = queue.woken.capacity();
        queue.fail(ErrorKind::Gone);
        assert_eq!(queue.woken.len(), 50);
        assert_eq!(queue.woken.capacity(), room, "with no memory left this is the end");
    }
}
