//! Receiving: pages lent to the back end, and the frames that it puts into them.
//!
//! The pages are lent once a connection. A frame is copied out of them before
//! anyone looks at it (rule N8), so the peer may do to them what it likes.

use super::Violation;
use crate::net::{Checksum, HEADER, Meta};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::task::{Context, Poll};
use xen::DomId;
use xen::evtchn::Port;
use xen::gnttab::{Error, GrantRef, Shared};
use xen::memory::PAGE_SIZE;
use xen::public::io::netif::{
    EXTRA_FLAG_MORE, EXTRA_TYPE_GSO, Extra, GSO_TCPV4, GSO_TCPV6, RX_SLOT, RxFlags, RxRequest,
    RxResponse, SLOTS_MAX,
};
use xen::ring::Front;

/// Slots of the ring.
const SLOTS: usize = Front::<RX_SLOT>::SIZE as usize;

/// Pages that are taken from the heap at once.
const CHUNK: usize = 16;

/// Pages that are lent to begin with: enough for the largest frame, as boots should not
/// wait for more than that.
const FIRST: usize = 32;

/// Frames that one poll may throw away before others get their turn (rule N17).
const BUDGET: usize = 64;

/// The longest large frame: the longest IP packet, its header and a VLAN tag.
const LARGEST: usize = HEADER + 4 + 65535;

/// A part of a frame in one of the pages.
#[derive(Clone, Copy, Debug)]
struct Piece {
    page: u16,
    offset: u16,
    length: u16,
}

/// A frame that waits to be taken.
#[derive(Debug)]
struct Frame {
    pieces: heapless::Vec<Piece, SLOTS_MAX>,
    length: usize,
    meta: Meta,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub frames: u64,
    pub bytes: u64,
    pub dropped: u64,
}

/// The receiving half of a connection.
#[derive(Debug)]
pub(super) struct Rx {
    ring: Front<RX_SLOT>,
    port: Rc<Port>,
    peer: DomId,
    chunks: Vec<Shared>,
    /// Which page was posted in each slot.
    posted: [Option<u16>; SLOTS],
    /// How many pages there should be, and may be.
    wanted: usize,
    most: usize,
    frame: Option<Frame>,
    /// The longest frame that makes sense here.
    longest: usize,
    /// Large frames were agreed on.
    large: bool,
    pub counters: Counters,
}

/// How much a receiver may hold and accept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Pages to receive into, at most.
    pub pages: usize,
    /// The length of the longest ordinary frame, in bytes.
    pub longest_frame: usize,
    /// Large (GSO) frames were negotiated.
    pub large: bool,
}

impl Rx {
    /// Grants a few pages to `peer`; [`poll`](Self::poll) grants more as they are used, up to
    /// the number in `sizes`, the ring's size, or what memory allows.
    pub(super) fn new(
        ring: Front<RX_SLOT>,
        port: Rc<Port>,
        peer: DomId,
        sizes: Sizes,
    ) -> Result<Self, Error> {
        let Sizes { pages: most, longest_frame: longest, large } = sizes;
        let mut rx = Self {
            ring,
            port,
            peer,
            chunks: Vec::new(),
            posted: [None; SLOTS],
            wanted: FIRST.min(most),
            most: most.min(SLOTS),
            frame: None,
            longest,
            large,
            counters: Counters::default(),
        };
        rx.refill()?;
        Ok(rx)
    }

    pub(super) fn reference(&self) -> GrantRef {
        self.ring.reference()
    }

    /// Lends more pages while there are too few (rule N12).
    pub(super) fn refill(&mut self) -> Result<(), Error> {
        while self.chunks.len() * CHUNK < self.wanted {
            self.chunks.try_reserve(1).map_err(|_| Error::Memory)?;
            match Shared::new(self.peer, CHUNK) {
                Ok(chunk) => self.chunks.push(chunk),
                // Better a few than none.
                Err(_) if !self.chunks.is_empty() => break,
                Err(error) => return Err(error),
            }
            let first = ((self.chunks.len() - 1) * CHUNK) as u16;
            (first..first + CHUNK as u16).for_each(|page| self.post(page));
        }
        Ok(())
    }

    /// Slots that wait for a frame.
    pub(super) fn in_flight(&self) -> u32 {
        self.ring.in_flight()
    }

    /// Whether fewer pages than wanted could be had.
    pub(super) fn is_short(&self) -> bool {
        self.chunks.len() * CHUNK < self.wanted
    }

    /// Gives a page to the back end.
    fn post(&mut self, page: u16) {
        let slot = self.ring.next_request() as usize % SLOTS;
        let references = self.chunks.get(usize::from(page) / CHUNK).map(Shared::references);
        let gref = references.and_then(|all| all.get(usize::from(page) % CHUNK));
        if let Some(&gref) = gref
            && self.ring.put(RxRequest { id: slot as u16, gref }.to_bytes())
        {
            self.posted[slot] = Some(page);
        }
    }

    /// Lets the back end see the pages; whether it wants to be notified.
    pub(super) fn publish(&mut self) -> bool {
        self.ring.publish()
    }

    pub(super) fn notify(&self) {
        // The other end can only be gone, which the states will say.
        let _ = self.port.notify();
    }

    /// Takes no more events.
    pub(super) fn mask(&self) {
        self.port.mask();
    }

    /// Wakes those who wait for frames.
    pub(super) fn wake(&self) {
        self.port.wake();
    }

    /// Takes the next response: the page that was posted in its slot, and its bytes.
    fn take(&mut self) -> Result<Option<(u16, u16, [u8; RX_SLOT])>, Violation> {
        let slot = self.ring.next_response() as usize % SLOTS;
        let Some(bytes) = self.ring.take() else { return Ok(None) };
        let page = self.posted[slot].take().ok_or(Violation::Response)?;
        Ok(Some((slot as u16, page, bytes)))
    }

    /// Takes the slots of one frame. `None` when it is none to be had.
    fn chain(&mut self) -> Result<Option<Frame>, Violation> {
        let mut pieces = heapless::Vec::<Piece, SLOTS_MAX>::new();
        let (mut good, mut meta, mut length, mut segment) = (true, None, 0, 0);
        loop {
            let Some((slot, page, bytes)) = self.take()? else {
                // It says that more follows, and nothing does (rule N3).
                good = false;
                break;
            };
            let response = RxResponse::from_bytes(bytes);
            if response.id != slot {
                return Err(Violation::Response);
            }
            let (offset, flags) = (usize::from(response.offset), response.flags);
            meta.get_or_insert_with(|| checksum(flags));
            let size = usize::try_from(response.status).unwrap_or(0);
            if offset + size > PAGE_SIZE {
                return Err(Violation::Size);
            }
            let piece = Piece { page, offset: response.offset, length: size as u16 };
            // An error of its own, an empty piece, or more of them than may be.
            if size == 0 || pieces.push(piece).is_err() {
                good = false;
                self.post(page);
            }
            length += size;
            if flags.intersects(RxFlags::EXTRA_INFO) {
                // It is said once, of the whole frame.
                if !self.large || segment != 0 || length > size {
                    return Err(Violation::Extra);
                }
                match self.extra()? {
                    Some(size) => segment = size,
                    None => {
                        good = false;
                        break;
                    }
                }
            }
            if !flags.intersects(RxFlags::MORE_DATA) {
                break;
            }
        }
        let longest = if segment > 0 { LARGEST } else { self.longest };
        if good && (HEADER..=longest).contains(&length) {
            let meta = Meta { checksum: meta.unwrap_or_default(), segment };
            return Ok(Some(Frame { pieces, length, meta }));
        }
        pieces.iter().for_each(|piece| self.post(piece.page));
        self.counters.dropped += 1;
        Ok(None)
    }

    /// Takes the extra slot behind a frame's first one: the size of its segments. Nothing
    /// else was agreed on (rules N4 and N5). `None` when there is none to be had.
    fn extra(&mut self) -> Result<Option<u16>, Violation> {
        let Some((_, page, bytes)) = self.take()? else { return Ok(None) };
        self.post(page);
        let extra = Extra::from_bytes(bytes);
        let known = matches!(extra.gso_type, GSO_TCPV4 | GSO_TCPV6) && extra.kind == EXTRA_TYPE_GSO;
        let right = known && extra.flags & EXTRA_FLAG_MORE == 0 && extra.gso_size > 0;
        if right { Ok(Some(extra.gso_size)) } else { Err(Violation::Extra) }
    }

    /// Lends twice as many pages when half of them came back at once. Without memory that
    /// is tried again in the next round.
    fn grow(&mut self) -> Result<(), Violation> {
        if self.wanted < self.most && self.pending()? as usize * 2 >= self.wanted {
            self.wanted = self.most.min(self.wanted * 2);
            let _ = self.refill();
        }
        Ok(())
    }

    /// Ready when a frame can be taken.
    pub(super) fn poll(&mut self, context: &Context<'_>) -> Poll<Result<(), Violation>> {
        let mut budget = BUDGET;
        self.grow()?;
        loop {
            while self.frame.is_none() && self.pending()? > 0 {
                if budget == 0 {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                budget -= 1;
                self.frame = self.chain()?;
            }
            if self.frame.is_some() {
                return Poll::Ready(Ok(()));
            }
            if self.publish() {
                self.notify();
            }
            self.port.wait(context.waker());
            if !self.ring.arm(1).map_err(|_| Violation::Index)? {
                return Poll::Pending;
            }
        }
    }

    /// Responses that wait.
    pub(super) fn pending(&mut self) -> Result<u32, Violation> {
        // What is known needs no look at the shared index.
        self.ring.pending().map_err(|_| Violation::Index)
    }

    /// Copies the frame that waits into `to` and gives its pages back. Its length there.
    pub(super) fn receive(&mut self, to: &mut Vec<u8>) -> Option<(usize, Meta)> {
        let frame = self.frame.take()?;
        if to.len() < frame.length {
            to.resize(frame.length, 0);
        }
        let mut rest = to.as_mut_slice();
        for piece in &frame.pieces {
            let (part, after) = rest.split_at_mut(usize::from(piece.length).min(rest.len()));
            let chunk = self.chunks.get(usize::from(piece.page) / CHUNK);
            if let Some(page) =
                chunk.and_then(|chunk| chunk.pages().get(usize::from(piece.page) % CHUNK))
            {
                page.copy_out(usize::from(piece.offset), part);
            }
            rest = after;
        }
        frame.pieces.iter().for_each(|piece| self.post(piece.page));
        self.counters.frames += 1;
        self.counters.bytes += frame.length as u64;
        Some((frame.length, frame.meta))
    }
}

/// What the back end claims of a frame (rule N9).
fn checksum(flags: RxFlags) -> Checksum {
    if flags.intersects(RxFlags::CSUM_BLANK) {
        Checksum::Blank
    } else if flags.intersects(RxFlags::DATA_VALIDATED) {
        Checksum::Verified
    } else {
        Checksum::Complete
    }
}
