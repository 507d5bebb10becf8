//! Transmits frames, which are built in pages that are granted read-only.

use super::Violation;
use crate::frontend::pages::Pages;
use crate::net::{Checksum, Meta, Part, Shared};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::task::{Context, Poll};
use kernel::time::Instant;
use xen::DomId;
use xen::evtchn::Port;
use xen::gnttab::{Error, GrantRef, ReadOnlyGrant};
use xen::memory::PAGE_SIZE;
use xen::public::io::netif::{
    EXTRA_TYPE_GSO, Extra, GSO_TCPV4, GSO_TCPV6, RSP_DROPPED, RSP_ERROR, RSP_NULL, RSP_OKAY,
    SLOTS_MAX, TX_SLOT, TxFlags, TxRequest, TxResponse,
};
use xen::ring::Front;

/// Slots of the ring.
const SLOTS: usize = Front::<TX_SLOT>::SIZE as usize;

/// Buffers that are allocated at once.
const CHUNK: usize = 16;

/// The counts of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub frames: u64,
    pub bytes: u64,
    pub dropped: u64,
}

/// Buffers of one size, in pages that are granted read-only.
#[derive(Debug)]
struct Pool {
    /// The consecutive pages of a buffer.
    size: usize,
    /// Buffers that are allocated at once.
    chunk: usize,
    /// The most buffers.
    most: usize,
    pages: Pages<ReadOnlyGrant>,
    /// Buffers without a frame in flight.
    free: Vec<u16>,
    /// The number of each buffer's requests that have no response.
    pending: Vec<u8>,
}

impl Pool {
    fn new(peer: DomId, size: usize, chunk: usize, most: usize) -> Self {
        let pages = Pages::new(peer, chunk * size);
        Self { size, chunk, most, pages, free: Vec::new(), pending: Vec::new() }
    }

    /// Allocates and grants more buffers, up to the limit.
    fn grow(&mut self) -> Result<(), Error> {
        if self.pending.len() + self.chunk > self.most {
            return Err(Error::Full);
        }
        self.pending.try_reserve(self.chunk).map_err(|_| Error::Memory)?;
        self.free.try_reserve(self.pending.len() + self.chunk).map_err(|_| Error::Memory)?;
        self.pages.grow()?;
        let first = self.pending.len() as u16;
        self.pending.resize(self.pending.len() + self.chunk, 0);
        self.free.extend((first..first + self.chunk as u16).rev());
        Ok(())
    }

    /// Returns whether a buffer is free or can be allocated.
    fn has_room(&mut self) -> bool {
        !self.free.is_empty() || self.grow().is_ok()
    }

    /// Counts a response to one of a buffer's requests.
    fn answered(&mut self, buffer: u16) {
        if let Some(pending) = self.pending.get_mut(usize::from(buffer)) {
            *pending -= 1;
            if *pending == 0 {
                self.free.push(buffer);
            }
        }
    }
}

/// What a request shows.
#[derive(Debug)]
enum Owner {
    /// A buffer, of one of the pools.
    Small(u16),
    Large(u16),
    /// What lives until then.
    Shared(#[allow(dead_code, reason = "it is held")] Shared),
}

/// The transmitting half of a connection.
#[derive(Debug)]
pub(super) struct Tx {
    ring: Front<TX_SLOT>,
    port: Rc<Port>,
    peer: DomId,
    /// Buffers for frames within the MTU.
    small: Pool,
    /// Buffers for large frames (GSO).
    large: Pool,
    /// The buffer of each request in flight, by the request's id.
    owners: Vec<Option<Owner>>,
    /// Unused request ids, with room for all.
    ids: Vec<u16>,
    /// Extra slots in flight, which have no ids.
    extras: u32,
    /// When the last response came, or the ring was last empty.
    progress: Instant,
    /// Whether there was a response on this connection.
    pub answered: bool,
    pub counters: Counters,
}

/// Makes the extra slot of a large frame.
fn extra(meta: Meta, frame: &[u8]) -> Option<Extra> {
    let gso_type = if frame.get(12..14) == Some(&[0x86, 0xdd]) { GSO_TCPV6 } else { GSO_TCPV4 };
    let extra = Extra { kind: EXTRA_TYPE_GSO, flags: 0, gso_size: meta.segment, gso_type };
    (meta.segment > 0).then_some(extra)
}

/// One request of a frame: where in a page, of the buffer or of what is shared.
struct Piece<'a> {
    shown: Option<(GrantRef, &'a Shared)>,
    offset: u16,
    length: u16,
}

/// Divides a frame into requests: what is copied, one run behind the other, goes into one page.
/// Returns how many bytes are copied, or `None` where it has to be all of them.
fn plan<'a, const N: usize>(
    parts: &'a [Part<'a>],
    peer: DomId,
    pieces: &mut heapless::Vec<Piece<'a>, N>,
) -> Option<usize> {
    let mut copied = 0;
    for part in parts {
        match part {
            Part::Bytes(bytes) => {
                let (offset, length) = (copied as u16, bytes.len() as u16);
                copied += bytes.len();
                if copied > PAGE_SIZE {
                    return None;
                }
                match pieces.last_mut() {
                    Some(last) if last.shown.is_none() => last.length += length,
                    _ => pieces.push(Piece { shown: None, offset, length }).ok()?,
                }
            }
            Part::Shared(shared, range) => {
                let references = shared.show(peer)?;
                let mut at = range.start;
                while at < range.end {
                    let (page, offset) = (at / PAGE_SIZE, at % PAGE_SIZE);
                    let length = (PAGE_SIZE - offset).min(range.end - at);
                    let shown = Some((*references.get(page)?, *shared));
                    let (offset, length) = (offset as u16, length as u16);
                    pieces.push(Piece { shown, offset, length }).ok()?;
                    at += usize::from(length);
                }
            }
        }
    }
    // The header is in the first one.
    pieces.first()?.shown.is_none().then_some(copied)
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
        // As many large frames as the ring takes, each with an extra slot.
        let most_large = (most / large.max(1)).clamp(2, SLOTS / (large + 1));
        let mut id = SLOTS as u16;
        let ids = super::table(SLOTS, || {
            id -= 1;
            id
        })?;
        let mut tx = Self {
            ring,
            port,
            peer,
            small: Pool::new(peer, pages, CHUNK, most.clamp(CHUNK, SLOTS)),
            large: Pool::new(peer, large, 1, if large > 0 { most_large } else { 0 }),
            owners: super::table(SLOTS, || None)?,
            ids,
            extras: 0,
            progress: Instant::now(),
            answered: false,
            counters: Counters::default(),
        };
        tx.small.grow()?;
        if large > 0 {
            tx.large.grow()?;
        }
        Ok(tx)
    }

    pub(super) fn reference(&self) -> GrantRef {
        self.ring.reference()
    }

    /// Takes the pending responses.
    fn reap(&mut self) -> Result<(), Violation> {
        if self.ring.pending().map_err(|_| Violation::Index)? == 0 {
            return Ok(());
        }
        self.progress = Instant::now();
        self.answered = true;
        while let Some(bytes) = self.ring.take() {
            let response = TxResponse::from_bytes(bytes);
            match response.status {
                RSP_OKAY => {}
                RSP_ERROR | RSP_DROPPED => self.counters.dropped += 1,
                // The response to an extra slot, which has no content.
                RSP_NULL => {
                    self.extras = self.extras.checked_sub(1).ok_or(Violation::Response)?;
                    continue;
                }
                _ => return Err(Violation::Response),
            }
            let owner = self.owners.get_mut(usize::from(response.id)).and_then(Option::take);
            let owner = owner.ok_or(Violation::Response)?;
            self.ids.push(response.id);
            match owner {
                Owner::Small(buffer) => self.small.answered(buffer),
                Owner::Large(buffer) => self.large.answered(buffer),
                Owner::Shared(_) => {}
            }
        }
        Ok(())
    }

    /// Returns whether a frame of any length can be transmitted.
    fn has_room(&mut self) -> bool {
        // One more for an extra slot, as in `transmit`.
        let most = if self.large.size > 0 { SLOTS_MAX } else { self.small.size };
        let slots = most.max(self.large.size) + 1;
        let large = self.large.size == 0 || self.large.has_room();
        large && self.ring.room() as usize >= slots && self.small.has_room()
    }

    /// Is ready when a frame can be transmitted.
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
            // An event after half of the responses saves wake-ups.
            if !self.ring.arm(self.ring.in_flight() / 2).map_err(|_| Violation::Index)? {
                return Poll::Pending;
            }
        }
    }

    /// Puts a frame on the ring.
    pub(super) fn transmit(
        &mut self,
        length: usize,
        fill: &mut dyn FnMut(&mut [u8]) -> Meta,
    ) -> Result<Option<()>, Violation> {
        if !self.has_room() {
            self.reap()?;
        }
        let large = length > self.small.size * PAGE_SIZE;
        let pool = if large { &mut self.large } else { &mut self.small };
        let (size, count) = (pool.size, length.div_ceil(PAGE_SIZE));
        if count > size || (self.ring.room() as usize) < count + 1 || !pool.has_room() {
            return Ok(None);
        }
        let Some(buffer) = pool.free.pop() else { return Ok(None) };
        let first = usize::from(buffer) * size;
        let Some(frame) = pool.pages.bytes_mut(first, length) else { return Ok(None) };
        let meta = fill(frame);
        let extra = extra(meta, frame);
        let mut flags = self.begin(meta);
        flags.set(TxFlags::EXTRA_INFO, extra.is_some());
        let pool = if large { &mut self.large } else { &mut self.small };
        for page in 0..count {
            let more = page + 1 < count;
            // The first request has the length of the frame, the others their own (rule N10).
            let bytes = match page {
                0 => length,
                _ => (length - page * PAGE_SIZE).min(PAGE_SIZE),
            };
            flags.set(TxFlags::MORE_DATA, more);
            let gref = pool.pages.reference(first + page);
            let (Some(gref), Some(id)) = (gref, self.ids.pop()) else { break };
            let request = TxRequest { gref, offset: 0, flags, id, size: bytes as u16 };
            let owner = if large { Owner::Large(buffer) } else { Owner::Small(buffer) };
            self.owners[usize::from(id)] = Some(owner);
            pool.pending[usize::from(buffer)] += 1;
            // There is room, as was checked above.
            let _ = self.ring.put(request.to_bytes());
            if let Some(extra) = extra.filter(|_| page == 0) {
                let _ = self.ring.put(extra.to_bytes());
                self.extras += 1;
            }
            flags = TxFlags::empty();
        }
        self.counters.frames += 1;
        self.counters.bytes += length as u64;
        Ok(Some(()))
    }

    /// Begins a frame: the flags of its first request.
    fn begin(&mut self, meta: Meta) -> TxFlags {
        if self.ring.in_flight() == 0 {
            self.progress = Instant::now();
        }
        match meta.checksum {
            // Data with a partial checksum are validated by definition.
            Checksum::Blank => TxFlags::CSUM_BLANK | TxFlags::DATA_VALIDATED,
            Checksum::Verified => TxFlags::DATA_VALIDATED,
            Checksum::Complete => TxFlags::empty(),
        }
    }

    /// Puts a frame of `length` bytes on the ring, which begins with a header that is copied,
    /// and shows what of it is shared. Returns `None` where the frame has to be copied: what is
    /// copied has no room in one page, or it takes more slots than every back end bears (rule
    /// N10).
    pub(super) fn transmit_parts(
        &mut self,
        length: usize,
        parts: &[Part<'_>],
        meta: Meta,
    ) -> Result<Option<()>, Violation> {
        if !self.has_room() {
            self.reap()?;
        }
        if !self.has_room() {
            return Ok(None);
        }
        let mut pieces = heapless::Vec::<Piece, SLOTS_MAX>::new();
        let Some(copied) = plan(parts, self.peer, &mut pieces) else { return Ok(None) };
        let Some(buffer) = self.small.free.pop() else { return Ok(None) };
        let first = usize::from(buffer) * self.small.size;
        let own = self.small.pages.reference(first);
        let Some((page, own)) = self.small.pages.bytes_mut(first, copied).zip(own) else {
            self.small.free.push(buffer);
            return Ok(None);
        };
        let mut at = 0;
        for part in parts {
            if let Part::Bytes(bytes) = part {
                page[at..at + bytes.len()].copy_from_slice(bytes);
                at += bytes.len();
            }
        }
        let mut extra = extra(meta, page);
        let mut flags = self.begin(meta);
        flags.set(TxFlags::EXTRA_INFO, extra.is_some());
        for (index, piece) in pieces.iter().enumerate() {
            flags.set(TxFlags::MORE_DATA, index + 1 < pieces.len());
            let (gref, owner) = match piece.shown {
                None => {
                    self.small.pending[usize::from(buffer)] += 1;
                    (own, Owner::Small(buffer))
                }
                Some((gref, shared)) => (gref, Owner::Shared(shared.clone())),
            };
            // There is room, as was checked above.
            let Some(id) = self.ids.pop() else { break };
            self.owners[usize::from(id)] = Some(owner);
            let size = if index == 0 { length as u16 } else { piece.length };
            let request = TxRequest { gref, offset: piece.offset, flags, id, size };
            let _ = self.ring.put(request.to_bytes());
            if let Some(extra) = extra.take() {
                let _ = self.ring.put(extra.to_bytes());
                self.extras += 1;
            }
            flags = TxFlags::empty();
        }
        self.counters.frames += 1;
        self.counters.bytes += length as u64;
        Ok(Some(()))
    }

    /// Publishes the requests, and notifies the back end if it asked for that.
    pub(super) fn flush(&mut self) {
        if self.ring.publish() {
            // It fails only if the other end is closed, which its state will tell.
            let _ = self.port.notify();
        }
    }

    /// Masks the event channel.
    pub(super) fn mask(&self) {
        self.port.mask();
    }

    /// Wakes the tasks that wait for room.
    pub(super) fn wake(&self) {
        self.port.wake();
    }

    /// Returns the number of requests in flight.
    pub(super) fn in_flight(&self) -> u32 {
        self.ring.in_flight()
    }

    /// Returns the number of pending responses.
    pub(super) fn pending(&mut self) -> Result<u32, Violation> {
        self.ring.pending().map_err(|_| Violation::Index)
    }

    /// Returns since when the back end owes a response, if it does.
    pub(super) fn waiting_since(&mut self) -> Result<Option<Instant>, Violation> {
        self.reap()?;
        Ok((self.ring.in_flight() > 0).then_some(self.progress))
    }
}
