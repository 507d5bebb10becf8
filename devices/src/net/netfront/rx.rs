//! Receives frames in pages that are granted to the back end.
//!
//! The pages are granted once a connection. A frame is copied out of them before it is
//! examined (rule N8), so the peer may change them at any time.

use super::Violation;
use crate::frontend::pages::Pages;
use crate::net::{Checksum, HEADER, Meta};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::task::{Context, Poll};
use kernel::memory::extend_zeroed;
use xen::DomId;
use xen::evtchn::Port;
use xen::gnttab::{Error, GrantRef, ReadWriteGrant};
use xen::memory::PAGE_SIZE;
use xen::public::io::netif::{
    EXTRA_FLAG_MORE, EXTRA_TYPE_GSO, Extra, GSO_TCPV4, GSO_TCPV6, RX_SLOT, RxFlags, RxRequest,
    RxResponse, SLOTS_MAX,
};
use xen::ring::Front;

/// Slots of the ring.
const SLOTS: usize = Front::<RX_SLOT>::SIZE as usize;

/// Pages that are allocated at once.
const CHUNK: usize = 16;

/// Pages that are granted at first: enough for the largest frame, and no more, as each costs
/// time at boot.
const FIRST: usize = 32;

/// Frames that one poll may drop before other tasks run (rule N17).
const BUDGET: usize = 64;

/// The longest large frame: the longest IP packet, its header and a VLAN tag.
const LARGEST: usize = HEADER + 4 + 65535;

/// A fragment of a frame, in one of the pages.
#[derive(Clone, Copy, Debug)]
struct Fragment {
    page: u16,
    offset: u16,
    length: u16,
}

/// A received frame that was not taken yet.
#[derive(Clone, Copy, Debug)]
struct Frame {
    length: usize,
    meta: Meta,
}

/// The counts of a connection.
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
    pages: Pages<ReadWriteGrant>,
    /// The page that was posted in each slot.
    posted: Vec<Option<u16>>,
    /// The number of pages aimed at, and its limit.
    wanted: usize,
    most: usize,
    frame: Option<Frame>,
    /// What it consists of, or what was taken of the next one: beside it, as that is not moved.
    fragments: heapless::Vec<Fragment, SLOTS_MAX>,
    /// The fragment that is read, and how many of its bytes were.
    reading: (usize, usize),
    /// The longest ordinary frame.
    longest: usize,
    /// Whether large frames (GSO) were negotiated.
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
            pages: Pages::new(peer, CHUNK),
            posted: super::table(SLOTS, || None)?,
            wanted: FIRST.min(most),
            most: most.min(SLOTS),
            frame: None,
            fragments: heapless::Vec::new(),
            reading: (0, 0),
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

    /// Grants more pages while there are fewer than wanted (rule N12).
    pub(super) fn refill(&mut self) -> Result<(), Error> {
        while self.is_short() {
            match self.pages.grow() {
                Ok(pages) => pages.for_each(|page| self.post(page)),
                // Better a few than none.
                Err(_) if self.pages.len() > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns the number of requests that wait for a frame.
    pub(super) fn in_flight(&self) -> u32 {
        self.ring.in_flight()
    }

    /// Returns whether fewer pages than wanted could be granted.
    pub(super) fn is_short(&self) -> bool {
        self.pages.len() < self.wanted
    }

    /// Puts a request for a frame in `page` on the ring.
    fn post(&mut self, page: u16) {
        let slot = self.ring.next_request() as usize % SLOTS;
        if let Some(gref) = self.pages.reference(page.into())
            && self.ring.put(RxRequest { id: slot as u16, gref }.to_bytes())
        {
            self.posted[slot] = Some(page);
        }
    }

    /// Publishes the requests; returns whether the back end wants a notification.
    pub(super) fn publish(&mut self) -> bool {
        self.ring.publish()
    }

    pub(super) fn notify(&self) {
        // It fails only if the other end is closed, which its state will tell.
        let _ = self.port.notify();
    }

    /// Masks the event channel.
    pub(super) fn mask(&self) {
        self.port.mask();
    }

    /// Wakes the tasks that wait for frames.
    pub(super) fn wake(&self) {
        self.port.wake();
    }

    /// Takes the next response: its slot, the page that was posted there, and its bytes.
    fn take(&mut self) -> Result<Option<(u16, u16, [u8; RX_SLOT])>, Violation> {
        let slot = self.ring.next_response() as usize % SLOTS;
        let Some(bytes) = self.ring.take() else { return Ok(None) };
        let page = self.posted[slot].take().ok_or(Violation::Response)?;
        Ok(Some((slot as u16, page, bytes)))
    }

    /// Posts the pages of the fragments again.
    fn post_again(&mut self) {
        for at in 0..self.fragments.len() {
            if let Some(&Fragment { page, .. }) = self.fragments.get(at) {
                self.post(page);
            }
        }
        self.fragments.clear();
    }

    /// Takes the responses of one frame. Returns `None` for a frame that was dropped.
    fn next_frame(&mut self) -> Result<Option<Frame>, Violation> {
        let (mut good, mut meta, mut length, mut segment) = (true, None, 0, 0);
        loop {
            let Some((slot, page, bytes)) = self.take()? else {
                // The last response announced another one, which is missing (rule N3).
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
            let fragment = Fragment { page, offset: response.offset, length: size as u16 };
            // An error of the back end's, an empty fragment, or too many of them.
            if size == 0 || self.fragments.push(fragment).is_err() {
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
            return Ok(Some(Frame { length, meta }));
        }
        self.post_again();
        self.counters.dropped += 1;
        Ok(None)
    }

    /// Takes the extra slot behind a frame's first one: the size of its segments. No other
    /// kind was negotiated (rules N4 and N5). Returns `None` if the slot is missing.
    fn extra(&mut self) -> Result<Option<u16>, Violation> {
        let Some((_, page, bytes)) = self.take()? else { return Ok(None) };
        self.post(page);
        let extra = Extra::from_bytes(bytes);
        let known = matches!(extra.gso_type, GSO_TCPV4 | GSO_TCPV6) && extra.kind == EXTRA_TYPE_GSO;
        let right = known && extra.flags & EXTRA_FLAG_MORE == 0 && extra.gso_size > 0;
        if right { Ok(Some(extra.gso_size)) } else { Err(Violation::Extra) }
    }

    /// Doubles the number of pages if half of them were filled since the last poll. Without
    /// memory this is retried with the next check of the rings.
    fn grow(&mut self) -> Result<(), Violation> {
        if self.wanted < self.most && self.pending()? as usize * 2 >= self.wanted {
            self.wanted = self.most.min(self.wanted * 2);
            let _ = self.refill();
        }
        Ok(())
    }

    /// Is ready when a frame can be taken.
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
                self.frame = self.next_frame()?;
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

    /// Returns the number of pending responses.
    pub(super) fn pending(&mut self) -> Result<u32, Violation> {
        self.ring.pending().map_err(|_| Violation::Index)
    }

    /// Copies the next frame into `to`, posts its pages again, and returns its length.
    pub(super) fn receive(&mut self, to: &mut Vec<u8>) -> Option<(usize, Meta)> {
        let (length, meta) = self.begin()?;
        // How long it is, others decide.
        let room = extend_zeroed(to, length.saturating_sub(to.len()));
        let came = room.and_then(|()| to.get_mut(..length)).map(|to| self.read(to)).is_some();
        self.end(length, came);
        came.then_some((length, meta))
    }

    /// Takes the next frame, which is there to be [read](Self::read) until its [end](Self::end)
    /// is told. Returns its length.
    pub(super) fn begin(&mut self) -> Option<(usize, Meta)> {
        let frame = self.frame.take()?;
        self.reading = (0, 0);
        Some((frame.length, frame.meta))
    }

    /// Copies the next bytes of the frame to `to`, which has room for no more than are left.
    pub(super) fn read(&mut self, mut to: &mut [u8]) {
        while let Some(fragment) = self.fragments.get(self.reading.0)
            && !to.is_empty()
        {
            let left = usize::from(fragment.length) - self.reading.1;
            let (head, after) = to.split_at_mut(left.min(to.len()));
            if let Some(page) = self.pages.page(fragment.page.into()) {
                page.copy_out(usize::from(fragment.offset) + self.reading.1, head);
            }
            self.reading.1 += head.len();
            if head.len() == left {
                self.reading = (self.reading.0 + 1, 0);
            }
            to = after;
        }
    }

    /// Posts the pages of the frame again, whose length it was. Without `came` it was dropped.
    pub(super) fn end(&mut self, length: usize, came: bool) {
        self.post_again();
        if !came {
            self.counters.dropped += 1;
            return;
        }
        self.counters.frames += 1;
        self.counters.bytes += length as u64;
    }
}

/// Translates the back end's flags for a frame's checksum (rule N9).
fn checksum(flags: RxFlags) -> Checksum {
    if flags.intersects(RxFlags::CSUM_BLANK) {
        Checksum::Blank
    } else if flags.intersects(RxFlags::DATA_VALIDATED) {
        Checksum::Verified
    } else {
        Checksum::Complete
    }
}
