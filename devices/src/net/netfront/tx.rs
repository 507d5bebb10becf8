//! Transmitting: pages shown to the back end, in which frames are built.

use super::Violation;
use crate::net::{Checksum, Meta};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::task::{Context, Poll};
use kernel::time::Instant;
use xen::DomId;
use xen::evtchn::Port;
use xen::gnttab::{Error, GrantRef, Shown};
use xen::memory::PAGE_SIZE;
use xen::public::io::netif::{
    EXTRA_TYPE_GSO, Extra, GSO_TCPV4, GSO_TCPV6, RSP_DROPPED, RSP_ERROR, RSP_NULL, RSP_OKAY,
    TX_SLOT, TxFlags, TxRequest, TxResponse,
};
use xen::ring::Front;

/// Slots of the ring.
const SLOTS: usize = Front::<TX_SLOT>::SIZE as usize;

/// Buffers that are taken from the heap at once.
const CHUNK: usize = 16;

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub frames: u64,
    pub bytes: u64,
    pub dropped: u64,
}

/// Buffers of one size, in pages shown to the back end.
#[derive(Debug)]
struct Pool {
    /// Pages of a buffer, which lie one after the other.
    pages: usize,
    /// Buffers that are taken from the heap at once.
    chunk: usize,
    /// How many buffers there may be.
    most: usize,
    chunks: Vec<Shown>,
    /// Buffers that hold no frame on its way.
    free: Vec<u16>,
    /// Requests of each buffer's frame that are not answered.
    pending: Vec<u8>,
}

impl Pool {
    const fn new(pages: usize, chunk: usize, most: usize) -> Self {
        Self { pages, chunk, most, chunks: Vec::new(), free: Vec::new(), pending: Vec::new() }
    }

    /// Takes buffers from the heap, if there may be more.
    fn grow(&mut self, peer: DomId) -> Result<(), Error> {
        if self.pending.len() + self.chunk > self.most {
            return Err(Error::Full);
        }
        self.chunks.try_reserve(1).map_err(|_| Error::Memory)?;
        self.pending.try_reserve(self.chunk).map_err(|_| Error::Memory)?;
        self.free.try_reserve(self.pending.len() + self.chunk).map_err(|_| Error::Memory)?;
        self.chunks.push(Shown::new(peer, self.chunk * self.pages)?);
        let first = self.pending.len() as u16;
        self.pending.resize(self.pending.len() + self.chunk, 0);
        self.free.extend((first..first + self.chunk as u16).rev());
        Ok(())
    }

    /// Whether a buffer is free, or can be had.
    fn has_room(&mut self, peer: DomId) -> bool {
        !self.free.is_empty() || self.grow(peer).is_ok()
    }

    /// One request of a buffer is answered.
    fn answered(&mut self, buffer: u16) {
        if let Some(pending) = self.pending.get_mut(usize::from(buffer)) {
            *pending -= 1;
            if *pending == 0 {
                self.free.push(buffer);
            }
        }
    }
}

/// The buffer of a request: one of the large ones or not, and which.
#[derive(Clone, Copy, Debug)]
struct Owner {
    large: bool,
    buffer: u16,
}

/// The transmitting half of a connection.
#[derive(Debug)]
pub(super) struct Tx {
    ring: Front<TX_SLOT>,
    port: Rc<Port>,
    peer: DomId,
    /// For frames that are no longer than the MTU says.
    small: Pool,
    /// For those that stand for several segments.
    large: Pool,
    /// The buffer of each request that is not answered, by the request's id.
    owners: [Option<Owner>; SLOTS],
    /// Ids that are free.
    ids: heapless::Vec<u16, SLOTS>,
    /// Extra slots, which have no ids, that are not answered.
    extras: u32,
    /// When the back end last answered, or had nothing to answer.
    progress: Instant,
    pub counters: Counters,
}

/// What is said of a frame that stands for several segments.
fn extra(meta: Meta, frame: &[u8]) -> Option<Extra> {
    let gso_type = if frame.get(12..14) == Some(&[0x86, 0xdd]) { GSO_TCPV6 } else { GSO_TCPV4 };
    let extra = Extra { kind: EXTRA_TYPE_GSO, flags: 0, gso_size: meta.segment, gso_type };
    (meta.segment > 0).then_some(extra)
}

/// How much a transmitter may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Pages for ordinary frames, at most.
    pub pages: usize,
    /// The length of the longest ordinary frame, in bytes.
    pub longest_frame: usize,
    /// Pages of a large (GSO) frame; 0 if none is sent.
    pub large_pages: usize,
}

impl Tx {
    /// Grants the first buffers to `peer`.
    pub(super) fn new(
        ring: Front<TX_SLOT>,
        port: Rc<Port>,
        peer: DomId,
        sizes: Sizes,
    ) -> Result<Self, Error> {
        let Sizes { pages: most, longest_frame: longest, large_pages: large } = sizes;
        let pages = longest.div_ceil(PAGE_SIZE).max(1);
        // As many as the ring takes, with their extra slots.
        let most_large = (most / large.max(1)).clamp(2, SLOTS / (large + 1));
        let mut tx = Self {
            ring,
            port,
            peer,
            small: Pool::new(pages, CHUNK, most.clamp(CHUNK, SLOTS)),
            large: Pool::new(large, 1, if large > 0 { most_large } else { 0 }),
            owners: [None; SLOTS],
            ids: (0..SLOTS as u16).rev().collect(),
            extras: 0,
            progress: Instant::now(),
            counters: Counters::default(),
        };
        tx.small.grow(peer)?;
        if large > 0 {
            tx.large.grow(peer)?;
        }
        Ok(tx)
    }

    pub(super) fn reference(&self) -> GrantRef {
        self.ring.reference()
    }

    /// Takes the answers that came.
    fn reap(&mut self) -> Result<(), Violation> {
        if self.ring.pending().map_err(|_| Violation::Index)? == 0 {
            return Ok(());
        }
        self.progress = Instant::now();
        while let Some(bytes) = self.ring.take() {
            let response = TxResponse::from_bytes(bytes);
            match response.status {
                RSP_OKAY => {}
                RSP_ERROR | RSP_DROPPED => self.counters.dropped += 1,
                // It answers an extra slot, and says nothing.
                RSP_NULL => {
                    self.extras = self.extras.checked_sub(1).ok_or(Violation::Response)?;
                    continue;
                }
                _ => return Err(Violation::Response),
            }
            let owner = self.owners.get_mut(usize::from(response.id)).and_then(Option::take);
            let owner = owner.ok_or(Violation::Response)?;
            // As many as were taken.
            let _ = self.ids.push(response.id);
            if owner.large { &mut self.large } else { &mut self.small }.answered(owner.buffer);
        }
        Ok(())
    }

    /// Whether a frame of any length can be transmitted.
    fn has_room(&mut self) -> bool {
        // With an extra slot, as `transmit` wants one as well.
        let slots = self.small.pages.max(self.large.pages) + 1;
        let large = self.large.pages == 0 || self.large.has_room(self.peer);
        large && self.ring.room() as usize >= slots && self.small.has_room(self.peer)
    }

    /// Ready when a frame can be transmitted.
    pub(super) fn poll(&mut self, context: &Context<'_>) -> Poll<Result<(), Violation>> {
        loop {
            if self.has_room() {
                return Poll::Ready(Ok(()));
            }
            self.reap()?;
            if self.has_room() {
                return Poll::Ready(Ok(()));
            }
            self.flush();
            self.port.wait(context.waker());
            // Half of what is on its way is worth a wake-up.
            if !self.ring.arm(self.ring.in_flight() / 2).map_err(|_| Violation::Index)? {
                return Poll::Pending;
            }
        }
    }

    /// Puts a frame on the ring.
    pub(super) fn transmit<R>(
        &mut self,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> (R, Meta),
    ) -> Result<Option<R>, Violation> {
        if !self.has_room() {
            self.reap()?;
        }
        let large = length > self.small.pages * PAGE_SIZE;
        let pool = if large { &mut self.large } else { &mut self.small };
        let (pages, count) = (pool.pages, length.div_ceil(PAGE_SIZE));
        if count > pages || (self.ring.room() as usize) < count + 1 || !pool.has_room(self.peer) {
            return Ok(None);
        }
        let Some(buffer) = pool.free.pop() else { return Ok(None) };
        let (chunk, place) = (usize::from(buffer) / pool.chunk, usize::from(buffer) % pool.chunk);
        let Some(shown) = pool.chunks.get_mut(chunk) else { return Ok(None) };
        let start = place * pages * PAGE_SIZE;
        let frame = &mut shown.bytes_mut()[start..start + length];
        let (result, meta) = fill(frame);
        let extra = extra(meta, frame);
        let mut flags = match meta.checksum {
            // Blank data is what its maker vouches for.
            Checksum::Blank => TxFlags::CSUM_BLANK | TxFlags::DATA_VALIDATED,
            Checksum::Verified => TxFlags::DATA_VALIDATED,
            Checksum::Complete => TxFlags::empty(),
        };
        if self.ring.in_flight() == 0 {
            self.progress = Instant::now();
        }
        flags.set(TxFlags::EXTRA_INFO, extra.is_some());
        for page in 0..count {
            let more = page + 1 < count;
            // The first says how long the frame is, the others their own part (rule N10).
            let size = match page {
                0 => length,
                _ => (length - page * PAGE_SIZE).min(PAGE_SIZE),
            };
            flags.set(TxFlags::MORE_DATA, more);
            let gref = shown.references().get(place * pages + page).copied();
            let (Some(gref), Some(id)) = (gref, self.ids.pop()) else { break };
            let request = TxRequest { gref, offset: 0, flags, id, size: size as u16 };
            self.owners[usize::from(id)] = Some(Owner { large, buffer });
            pool.pending[usize::from(buffer)] += 1;
            // There is room: that was looked at before.
            let _ = self.ring.put(request.to_bytes());
            if let Some(extra) = extra.filter(|_| page == 0) {
                let _ = self.ring.put(extra.to_bytes());
                self.extras += 1;
            }
            flags = TxFlags::empty();
        }
        self.counters.frames += 1;
        self.counters.bytes += length as u64;
        Ok(Some(result))
    }

    /// Lets the back end see what was transmitted.
    pub(super) fn flush(&mut self) {
        if self.ring.publish() {
            // The other end can only be gone, which the states will say.
            let _ = self.port.notify();
        }
    }

    /// Takes no more events.
    pub(super) fn mask(&self) {
        self.port.mask();
    }

    /// Wakes those who wait for room.
    pub(super) fn wake(&self) {
        self.port.wake();
    }

    /// Slots whose frame is on its way.
    pub(super) fn in_flight(&self) -> u32 {
        self.ring.in_flight()
    }

    /// Responses that wait.
    pub(super) fn pending(&mut self) -> Result<u32, Violation> {
        self.ring.pending().map_err(|_| Violation::Index)
    }

    /// Since when the back end owes an answer, if it does.
    pub(super) fn waiting_since(&mut self) -> Result<Option<Instant>, Violation> {
        self.reap()?;
        Ok((self.ring.in_flight() > 0).then_some(self.progress))
    }
}
