//! Puts requests on the ring of a connection, and takes responses.

use super::pool::Pools;
use super::queue::Queue;
use super::{Op, Violation};
use crate::block::ErrorKind;
use crate::frontend::pages::Pages;
use alloc::vec::Vec;
use core::task::Context;
use core::time::Duration;
use kernel::time::Instant;
use xen::DomId;
use xen::evtchn::Port;
use xen::gnttab::{Error, ReadWriteGrant};
use xen::public::io::blkif::{
    self, INDIRECT_MAX, OP_DISCARD, OP_FLUSH_DISKCACHE, OP_INDIRECT, OP_READ, OP_WRITE,
    OP_WRITE_BARRIER, RSP_EOPNOTSUPP, RSP_OKAY, Response, SEGMENT, SEGMENTS_MAX, SLOT, Segment,
};
use xen::ring::Front;

/// The longest time that the back end may take to respond (rule B10).
const LATE: Duration = Duration::from_secs(30);

/// The same while a flush or a discard is on the ring: a host may write out all that it holds in
/// memory for one, and others wait behind it.
const LATE_FLUSH: Duration = Duration::from_secs(120);

/// The same with any number of flushes and discards ahead.
const LATEST: Duration = LATE_FLUSH.saturating_add(LATE);

/// The counts of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) requests: u64,
    pub(super) merged: u64,
    pub(super) notifications: u64,
    pub(super) copied: u64,
}

/// Sectors of 512 bytes in a page.
const PAGE_SECTORS: u64 = 8;

/// The features of the back end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Abilities {
    /// Whether it keeps pages mapped (persistent grants).
    pub persistent: bool,
    /// The most segments of a request.
    pub segments: usize,
    /// The operation that flushes, if there is one.
    pub flush: Option<u8>,
    /// Whether it can discard.
    pub discard: bool,
}

/// A slot in flight.
#[derive(Clone, Copy, Debug)]
struct Sent {
    /// The request, or the first of several merged ones.
    first: u16,
    op: u8,
    /// The page that holds its segments, if they are indirect.
    indirect: Option<u16>,
    since: Instant,
}

impl Sent {
    /// Returns whether others may have to wait long behind it.
    const fn takes_long(&self) -> bool {
        matches!(self.op, OP_FLUSH_DISKCACHE | OP_WRITE_BARRIER | OP_DISCARD)
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    ring: Front<SLOT>,
    port: Port,
    pub(super) pools: Pools,
    abilities: Abilities,
    handle: u16,
    /// The slots in flight, by id.
    sent: Vec<Option<Sent>>,
    /// Unused ids.
    ids: Vec<u16>,
    /// Pages for indirect segments, and the free ones among them.
    indirect: Pages<ReadWriteGrant>,
    indirect_free: Vec<u16>,
    /// The segments of the slot being filled.
    segments: heapless::Vec<Segment, INDIRECT_MAX>,
    /// Whether only flushes are put on the ring, as the connection is about to end.
    pub(super) draining: bool,
    /// When a flush or a discard was answered last: what waited behind it has its time from then.
    long_answered: Option<Instant>,
    counters: Counters,
}

impl Connection {
    /// Makes a connection over this ring, with at most `most` pages for data of each kind.
    pub(super) fn new(
        ring: Front<SLOT>,
        port: Port,
        peer: DomId,
        handle: u16,
        abilities: Abilities,
        most: usize,
    ) -> Result<Self, Error> {
        let size = ring.size() as usize;
        let (mut sent, mut ids) = (Vec::new(), Vec::new());
        sent.try_reserve_exact(size).map_err(|_| Error::Memory)?;
        ids.try_reserve_exact(size).map_err(|_| Error::Memory)?;
        sent.resize(size, None);
        ids.extend((0..size as u16).rev());
        Ok(Self {
            ring,
            port,
            pools: Pools::new(peer, abilities.persistent, most),
            abilities,
            handle,
            sent,
            ids,
            indirect: Pages::new(peer, 1),
            indirect_free: Vec::new(),
            segments: heapless::Vec::new(),
            draining: false,
            long_answered: None,
            counters: Counters::default(),
        })
    }

    /// Returns what it counted so far.
    pub(super) fn counters(&self) -> Counters {
        Counters { copied: self.pools.copied(), ..self.counters }
    }

    /// Returns the most segments of a request.
    pub(super) const fn segments(&self) -> usize {
        self.abilities.segments
    }

    /// Returns the number of slots in flight.
    pub(super) const fn in_flight(&self) -> u32 {
        self.ring.in_flight()
    }

    /// Returns the number of pending responses.
    pub(super) fn pending(&mut self) -> Result<u32, Violation> {
        self.ring.pending().map_err(|_| Violation::Index)
    }

    /// Returns whether a response took longer than the back end may (rule B10).
    pub(super) fn is_overdue(&self) -> bool {
        let limit =
            if self.sent.iter().flatten().any(Sent::takes_long) { LATE_FLUSH } else { LATE };
        self.sent.iter().flatten().any(|sent| {
            let from = self.long_answered.map_or(sent.since, |at| at.max(sent.since));
            from.elapsed() >= limit || sent.since.elapsed() >= LATEST
        })
    }

    /// Returns how long the oldest slot in flight has been without a response.
    pub(super) fn oldest(&self) -> Duration {
        let all = self.sent.iter().flatten().map(|sent| sent.since.elapsed());
        all.max().unwrap_or_default()
    }

    /// Wakes the tasks that wait for an event, as if one had come.
    pub(super) fn wake(&self) {
        self.port.wake();
    }

    /// Notifies the back end again, as a notification may have been lost. Returns whether its
    /// port is open.
    pub(super) fn notify_again(&self) -> bool {
        self.port.notify().is_ok() && self.port.is_bound()
    }

    /// Takes responses and puts requests on the ring until neither is possible; the task is
    /// woken when it may be again.
    pub(super) fn poll(
        &mut self,
        queue: &mut Queue,
        context: &Context<'_>,
    ) -> Result<(), Violation> {
        self.port.wait(context.waker());
        // A back end that responds without end must not starve other tasks (rule R9).
        for _ in 0..4 {
            self.reap(queue)?;
            self.issue(queue);
            if self.ring.publish() {
                self.counters.notifications += 1;
                // It fails only if the other end is closed, which its state will tell.
                let _ = self.port.notify();
            }
            if !self.ring.arm(1).map_err(|_| Violation::Index)? {
                return Ok(());
            }
        }
        context.waker().wake_by_ref();
        Ok(())
    }

    /// Takes the pending responses.
    pub(super) fn reap(&mut self, queue: &mut Queue) -> Result<(), Violation> {
        self.pending()?;
        while let Some(bytes) = self.ring.take() {
            let response = Response::from_bytes(bytes);
            let place = usize::try_from(response.id).ok().and_then(|id| self.sent.get_mut(id));
            let sent = place.and_then(Option::take).ok_or(Violation::Response)?;
            // Linux echoes the inner operation, the header asks for the outer one (rule B1).
            let is_echo = response.operation == sent.op
                || (sent.indirect.is_some() && response.operation == OP_INDIRECT);
            if !is_echo {
                return Err(Violation::Operation);
            }
            if sent.takes_long() {
                self.long_answered = Some(Instant::now());
            }
            self.ids.push(response.id as u16);
            self.indirect_free.extend(sent.indirect);
            let result = match (response.status, sent.op) {
                (RSP_OKAY, _) => Ok(()),
                (RSP_EOPNOTSUPP, OP_FLUSH_DISKCACHE | OP_WRITE_BARRIER) => {
                    self.abilities.flush = None;
                    Err(ErrorKind::Unsupported)
                }
                (RSP_EOPNOTSUPP, OP_DISCARD) => {
                    self.abilities.discard = false;
                    Err(ErrorKind::Unsupported)
                }
                // This includes unknown statuses (rule B2).
                _ => Err(ErrorKind::Failed),
            };
            queue.answered(sent.first, result, &mut self.pools);
        }
        Ok(())
    }

    /// Returns the features that the back end turned out to have.
    pub(super) const fn abilities(&self) -> Abilities {
        self.abilities
    }

    /// Puts waiting requests on the ring, as far as there is room.
    fn issue(&mut self, queue: &mut Queue) {
        queue.adopt(&mut self.pools);
        while let (Some(first), second) = queue.first_two()
            && let Some(&id) = self.ids.last()
        {
            let entry = queue.entry(first);
            if self.draining && entry.op != Op::Flush {
                break;
            }
            let (sector, count) = (entry.sector, entry.count);
            let (op, indirect, slot) = match entry.op {
                Op::Flush => {
                    let Some(op) = self.abilities.flush else {
                        queue.refuse(ErrorKind::Unsupported, &mut self.pools);
                        continue;
                    };
                    queue.entry_mut(first).covers = queue.written();
                    queue.sent(first, true);
                    (op, None, blkif::direct(op, self.handle, id.into(), 0, &[]))
                }
                Op::Discard => {
                    if !self.abilities.discard {
                        queue.refuse(ErrorKind::Unsupported, &mut self.pools);
                        continue;
                    }
                    queue.sent(first, true);
                    (OP_DISCARD, None, blkif::discard(self.handle, id.into(), sector, count))
                }
                op @ (Op::Read | Op::Write) => {
                    let code = if op == Op::Read { OP_READ } else { OP_WRITE };
                    let (sector, indirect) = self.gather(queue, op, first, second);
                    let page = indirect.and_then(|page| {
                        let page = usize::from(page);
                        self.indirect.page(page).zip(self.indirect.reference(page))
                    });
                    let slot = match page {
                        None => blkif::direct(code, self.handle, id.into(), sector, &self.segments),
                        Some((page, gref)) => {
                            for (segment, at) in self.segments.iter().zip((0..).step_by(SEGMENT)) {
                                page.copy_in(at, &segment.to_bytes());
                            }
                            let count = self.segments.len() as u16;
                            blkif::indirect(code, self.handle, id.into(), sector, count, gref)
                        }
                    };
                    (code, indirect, slot)
                }
            };
            self.ids.pop();
            let since = Instant::now();
            self.sent[usize::from(id)] = Some(Sent { first, op, indirect, since });
            self.counters.requests += 1;
            // There are as many ids as slots.
            let _ = self.ring.put(slot);
        }
    }

    /// Collects the segments of request `first` that fit into one slot, and of adjacent
    /// requests behind it. Returns their first sector, and the page for indirect segments if
    /// they do not fit into the slot itself.
    fn gather(
        &mut self,
        queue: &mut Queue,
        op: Op,
        first: u16,
        second: Option<u16>,
    ) -> (u64, Option<u16>) {
        let entry = queue.entry(first);
        let left = entry.pages.len() - entry.issued;
        // A request that has other slots is not merged.
        let merges = entry.issued == 0;
        let long = left > SEGMENTS_MAX
            || second.is_some_and(|second| queue.follows(first, second).is_some());
        let indirect = if long { self.indirect_page() } else { None };
        let limit = if indirect.is_some() { self.abilities.segments } else { SEGMENTS_MAX };
        let sector = entry.sector + entry.issued as u64 * PAGE_SECTORS;
        self.segments.clear();
        self.add(queue, op, first, limit);
        let mut last = first;
        while merges
            && let Some(next) = queue.first_two().0
            && queue.entry(last).issued == queue.entry(last).pages.len()
            && let Some(pages) = queue.follows(last, next)
            && self.segments.len() + pages <= limit
        {
            self.add(queue, op, next, limit);
            queue.entry_mut(last).next = Some(next);
            self.counters.merged += 1;
            last = next;
        }
        match indirect {
            // They fit into the slot after all.
            Some(page) if self.segments.len() <= SEGMENTS_MAX => {
                self.indirect_free.push(page);
                (sector, None)
            }
            indirect => (sector, indirect),
        }
    }

    /// Adds the segments of request `id`, up to `limit` in all.
    fn add(&mut self, queue: &mut Queue, op: Op, id: u16, limit: usize) {
        let entry = queue.entry_mut(id);
        let pool = self.pools.of(op);
        while let Some(&page) = entry.pages.get(entry.issued)
            && self.segments.len() < limit
        {
            let sectors = (entry.count - entry.issued as u64 * PAGE_SECTORS).min(PAGE_SECTORS);
            let Some(gref) = pool.reference(page) else { break };
            // The limit is at most the capacity.
            let _ = self.segments.push(Segment { gref, first: 0, last: sectors as u8 - 1 });
            entry.issued += 1;
        }
        let whole = entry.issued == entry.pages.len();
        queue.sent(id, whole);
    }

    /// Returns a free page for indirect segments, if the back end supports them and memory
    /// suffices.
    fn indirect_page(&mut self) -> Option<u16> {
        if self.abilities.segments <= SEGMENTS_MAX {
            return None;
        }
        self.indirect_free.pop().or_else(|| {
            self.indirect_free.try_reserve(self.indirect.len() + 1).ok()?;
            self.indirect.grow().ok()?.next()
        })
    }
}
