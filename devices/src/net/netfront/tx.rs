//! Transmitting: pages shown to the back end, in which frames are built.

use super::Violation;
use crate::net::{Checksum, Meta};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::task::{Context, Poll};
use kernel::time::Instant;
use xen::evtchn::Port;
use xen::gnttab::{Error, Shown};
use xen::memory::PAGE_SIZE;
use xen::public::io::netif::{
    RSP_DROPPED, RSP_ERROR, RSP_OKAY, TX_SLOT, TxFlags, TxRequest, TxResponse,
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

/// The transmitting half of a connection.
#[derive(Debug)]
pub(super) struct Tx {
    ring: Front<TX_SLOT>,
    port: Rc<Port>,
    peer: u16,
    /// Pages of one buffer: enough for the longest frame.
    pages: usize,
    chunks: Vec<Shown>,
    /// How many buffers there may be.
    most: usize,
    /// Buffers that hold no frame on its way.
    free: Vec<u16>,
    /// Requests of each buffer's frame that are not answered.
    pending: Vec<u8>,
    /// The buffer of each request that is not answered, by the request's id.
    owners: [Option<u16>; SLOTS],
    /// Ids that are free.
    ids: heapless::Vec<u16, SLOTS>,
    /// When the back end last answered, or had nothing to answer.
    progress: Instant,
    pub counters: Counters,
}

impl Tx {
    pub(super) fn new(
        ring: Front<TX_SLOT>,
        port: Rc<Port>,
        peer: u16,
        most: usize,
        longest: usize,
    ) -> Result<Self, Error> {
        let mut tx = Self {
            ring,
            port,
            peer,
            pages: longest.div_ceil(PAGE_SIZE).max(1),
            chunks: Vec::new(),
            most: most.clamp(CHUNK, SLOTS),
            free: Vec::new(),
            pending: Vec::new(),
            owners: [None; SLOTS],
            ids: (0..SLOTS as u16).rev().collect(),
            progress: Instant::now(),
            counters: Counters::default(),
        };
        tx.more_buffers()?;
        Ok(tx)
    }

    pub(super) fn reference(&self) -> u32 {
        self.ring.reference()
    }

    /// Takes buffers from the heap, if there may be more.
    fn more_buffers(&mut self) -> Result<(), Error> {
        if self.pending.len() + CHUNK > self.most {
            return Err(Error::Full);
        }
        self.chunks.try_reserve(1).map_err(|_| Error::Memory)?;
        self.pending.try_reserve(CHUNK).map_err(|_| Error::Memory)?;
        self.free.try_reserve(self.pending.len() + CHUNK).map_err(|_| Error::Memory)?;
        self.chunks.push(Shown::new(self.peer, CHUNK * self.pages)?);
        let first = self.pending.len() as u16;
        self.pending.resize(self.pending.len() + CHUNK, 0);
        self.free.extend((first..first + CHUNK as u16).rev());
        Ok(())
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
                // Nothing without an answer of its own is ever asked.
                _ => return Err(Violation::Response),
            }
            let owner = self.owners.get_mut(usize::from(response.id)).and_then(Option::take);
            let buffer = owner.ok_or(Violation::Response)?;
            // As many as were taken.
            let _ = self.ids.push(response.id);
            let pending = &mut self.pending[usize::from(buffer)];
            *pending -= 1;
            if *pending == 0 {
                self.free.push(buffer);
            }
        }
        Ok(())
    }

    /// Whether a frame of any length can be transmitted.
    fn has_room(&mut self) -> bool {
        self.ring.room() as usize >= self.pages
            && (!self.free.is_empty() || self.more_buffers().is_ok())
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
        if length > self.pages * PAGE_SIZE || !self.has_room() {
            return Ok(None);
        }
        let Some(buffer) = self.free.pop() else { return Ok(None) };
        let (chunk, place) = (usize::from(buffer) / CHUNK, usize::from(buffer) % CHUNK);
        let Some(shown) = self.chunks.get_mut(chunk) else { return Ok(None) };
        let start = place * self.pages * PAGE_SIZE;
        let (result, meta) = fill(&mut shown.bytes_mut()[start..start + length]);
        let mut flags = match meta.checksum {
            // Blank data is what its maker vouches for.
            Checksum::Blank => TxFlags::CSUM_BLANK | TxFlags::DATA_VALIDATED,
            Checksum::Verified => TxFlags::DATA_VALIDATED,
            Checksum::Complete => TxFlags::empty(),
        };
        if self.ring.in_flight() == 0 {
            self.progress = Instant::now();
        }
        let count = length.div_ceil(PAGE_SIZE);
        for page in 0..count {
            let more = page + 1 < count;
            // The first says how long the frame is, the others their own part (rule N10).
            let size = match page {
                0 => length,
                _ => (length - page * PAGE_SIZE).min(PAGE_SIZE),
            };
            flags.set(TxFlags::MORE_DATA, more);
            let gref = shown.references().get(place * self.pages + page).copied();
            let (Some(gref), Some(id)) = (gref, self.ids.pop()) else { break };
            let request = TxRequest { gref, offset: 0, flags, id, size: size as u16 };
            self.owners[usize::from(id)] = Some(buffer);
            self.pending[usize::from(buffer)] += 1;
            // There is room: that was looked at before.
            let _ = self.ring.put(request.to_bytes());
            flags -= TxFlags::CSUM_BLANK | TxFlags::DATA_VALIDATED;
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
