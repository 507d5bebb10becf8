//! The front end's side of a ring of requests and responses
//! (`public/io/ring.h`).
//!
//! Slots are bytes: a request is written whole, and a response is copied out whole before the
//! driver interprets it (rule R1).

use super::Broken;
use crate::gnttab::{GrantRef, ReadWriteGrant};
use crate::memory::SharedPage;
use crate::public::io::ring::{REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD, SLOTS, slots, slots_in};
use core::sync::atomic::{Ordering, fence};

/// Sends requests to a back end and takes its responses, by a ring with slots of `SLOT` bytes.
///
/// The front end [puts](Self::put) requests and [publishes](Self::publish) them together; the back
/// end answers each with a response in the slot of some request, in any order. So requests carry
/// an id, which the driver assigns and the response repeats. Before the driver waits for an event,
/// it [arms](Self::arm) the ring.
#[derive(Debug)]
pub struct Front<const SLOT: usize> {
    pages: ReadWriteGrant,
    /// Number of slots.
    size: u32,
    /// Index of the next request (`req_prod_pvt`).
    req_prod: u32,
    /// Index up to which requests are published (`sring->req_prod`).
    published: u32,
    /// Index of the next response (`rsp_cons`).
    rsp_cons: u32,
    /// Index up to which responses are known (`sring->rsp_prod`, checked).
    rsp_prod: u32,
    broken: bool,
}

impl<const SLOT: usize> Front<SLOT> {
    /// Number of slots in a ring of one page.
    pub const SIZE: u32 = slots(SLOT);

    /// Initialises an empty ring on `pages` (`SHARED_RING_INIT`, `FRONT_RING_INIT`).
    #[must_use]
    pub fn new(pages: ReadWriteGrant) -> Self {
        Self::starting_at(pages, 0)
    }

    /// Initialises an empty ring with all indices at `index`: for tests of the wrap at 2^32.
    #[must_use]
    pub fn starting_at(pages: ReadWriteGrant, index: u32) -> Self {
        let size = slots_in(pages.pages().len(), SLOT);
        let shared = pages.page();
        shared.store_u32(REQ_PROD, index);
        shared.store_u32(RSP_PROD, index);
        shared.store_u32(REQ_EVENT, index.wrapping_add(1));
        shared.store_u32(RSP_EVENT, index.wrapping_add(1));
        Self {
            pages,
            size,
            req_prod: index,
            published: index,
            rsp_cons: index,
            rsp_prod: index,
            broken: false,
        }
    }

    /// Returns the first page's grant reference.
    #[must_use]
    pub fn reference(&self) -> GrantRef {
        self.pages.reference()
    }

    /// Returns the grant references of all pages, in order.
    #[must_use]
    pub fn references(&self) -> &[GrantRef] {
        self.pages.references()
    }

    /// Returns the number of slots (`RING_SIZE`).
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// Returns the page with the indices.
    fn shared(&self) -> &SharedPage {
        self.pages.page()
    }

    const fn slot(&self, index: u32) -> usize {
        SLOTS + (index & (self.size - 1)) as usize * SLOT
    }

    /// Returns the number of free slots (`RING_FREE_REQUESTS`).
    #[must_use]
    pub const fn room(&self) -> u32 {
        self.size - self.in_flight()
    }

    /// Returns the number of requests whose responses have not been taken.
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        self.req_prod.wrapping_sub(self.rsp_cons)
    }

    /// Returns the index of the next request.
    #[must_use]
    pub const fn next_request(&self) -> u32 {
        self.req_prod
    }

    /// Returns the index of the response that [`take`](Self::take) returns next.
    #[must_use]
    pub const fn next_response(&self) -> u32 {
        self.rsp_cons
    }

    /// Writes a request, which the back end sees after [`publish`](Self::publish). Returns
    /// false, and writes nothing, if there is no free slot.
    #[must_use]
    pub fn put(&mut self, request: [u8; SLOT]) -> bool {
        if self.room() == 0 {
            return false;
        }
        self.pages.copy_in(self.slot(self.req_prod), &request);
        self.req_prod = self.req_prod.wrapping_add(1);
        true
    }

    /// Publishes all requests that were written, and returns whether the back end has to be
    /// notified (`RING_PUSH_REQUESTS_AND_CHECK_NOTIFY`).
    #[must_use]
    pub fn publish(&mut self) -> bool {
        if self.published == self.req_prod {
            return false;
        }
        let old = self.published;
        self.published = self.req_prod;
        self.shared().store_u32(REQ_PROD, self.req_prod);
        // The back end sets `req_event` and then looks for requests. The index must be visible
        // before `req_event` is loaded, or both sides could wait for each other (rule R2).
        fence(Ordering::SeqCst);
        let event = self.shared().load_u32(REQ_EVENT);
        self.req_prod.wrapping_sub(event) < self.req_prod.wrapping_sub(old)
    }

    /// Loads the back end's index, and returns how many responses can be taken now
    /// (`RING_HAS_UNCONSUMED_RESPONSES`).
    ///
    /// # Errors
    /// [`Broken`], and from then on, if there are more responses than requests, or fewer than
    /// before (rules R3 and R4).
    pub fn pending(&mut self) -> Result<u32, Broken> {
        if self.broken {
            return Err(Broken);
        }
        let new = self.shared().load_u32(RSP_PROD);
        let (known, may) =
            (self.rsp_prod.wrapping_sub(self.rsp_cons), self.published.wrapping_sub(self.rsp_cons));
        let count = new.wrapping_sub(self.rsp_cons);
        if count < known || count > may {
            self.broken = true;
            return Err(Broken);
        }
        self.rsp_prod = new;
        Ok(count)
    }

    /// Takes the next response that the last [`pending`](Self::pending) or [`arm`](Self::arm)
    /// found.
    #[must_use]
    pub fn take(&mut self) -> Option<[u8; SLOT]> {
        if self.broken || self.rsp_cons == self.rsp_prod {
            return None;
        }
        let mut response = [0; SLOT];
        self.pages.copy_out(self.slot(self.rsp_cons), &mut response);
        self.rsp_cons = self.rsp_cons.wrapping_add(1);
        Some(response)
    }

    /// Requests an event after `count` more responses, at least one. Returns whether that many are
    /// there already: then take them instead of waiting, as no event may come
    /// (`RING_FINAL_CHECK_FOR_RESPONSES`, rule R13).
    ///
    /// # Errors
    /// Those of [`pending`](Self::pending).
    pub fn arm(&mut self, count: u32) -> Result<bool, Broken> {
        let count = count.clamp(1, self.size);
        self.shared().store_u32(RSP_EVENT, self.rsp_cons.wrapping_add(count));
        // As in `publish`, from the other side.
        fence(Ordering::SeqCst);
        Ok(self.pending()? >= count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    const SLOT: usize = 8;

    fn at(index: u32) -> (Fake, Front<SLOT>) {
        let fake = Fake::new();
        let ring = Front::starting_at(ReadWriteGrant::new(crate::DomId::DOM0, 1).unwrap(), index);
        (fake, ring)
    }

    /// What the back end does to the ring: answers, and says that there are so many.
    fn answer(ring: &Front<SLOT>, index: u32, answer: [u8; SLOT]) {
        ring.shared().copy_in(ring.slot(index), &answer);
        ring.shared().store_u32(RSP_PROD, index.wrapping_add(1));
    }

    #[test]
    fn a_slot_is_copied_whole_once_and_stays_as_it_was_r1() {
        let (_fake, mut ring) = at(0);
        assert!(ring.put([1; SLOT]) && ring.put([2; SLOT]) && ring.publish());
        answer(&ring, 0, *b"original");
        assert_eq!(ring.pending(), Ok(1));
        let copy = ring.take().unwrap();
        answer(&ring, 0, *b"switched");
        assert_eq!(&copy, b"original");
        assert_eq!(ring.take(), None, "and is not to be had again");
    }

    #[test]
    fn nothing_that_the_peer_can_write_is_read_back_r5() {
        let (_fake, mut ring) = at(7);
        assert!(ring.put([1; SLOT]) && ring.publish());
        for offset in [REQ_PROD, REQ_EVENT, RSP_EVENT] {
            ring.shared().store_u32(offset, 0xDEAD_BEEF);
        }
        assert_eq!((ring.in_flight(), ring.next_request(), ring.next_response()), (1, 8, 7));
        answer(&ring, 7, [3; SLOT]);
        assert_eq!((ring.pending(), ring.take()), (Ok(1), Some([3; SLOT])));
        assert!(ring.put([2; SLOT]));
        let _ = ring.publish();
        assert_eq!(ring.shared().load_u32(REQ_PROD), 9);
    }

    #[test]
    fn nothing_of_what_was_in_a_slot_is_left_r10() {
        let (_fake, mut ring) = at(0);
        ring.shared().copy_in(SLOTS, &[0xEE; 4096 - SLOTS]);
        for _ in 0..Front::<SLOT>::SIZE {
            assert!(ring.put([0; SLOT]));
        }
        assert!(!ring.put([1; SLOT]), "there is no room");
        let mut all = [1; SLOT * Front::<SLOT>::SIZE as usize];
        ring.shared().copy_out(SLOTS, &mut all);
        assert!(all.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn indices_that_cannot_be_break_it_at_any_start_r3_r4_r11() {
        for start in [0, 0xFFFF_FFF0, 0xFFFF_FFFF] {
            for (by, after) in [(2, 0), (u32::MAX, 0), (0x8000_0000, 0), (0, 1), (u32::MAX, 1)] {
                let (_fake, mut ring) = at(start);
                assert!(ring.put([1; SLOT]) && ring.publish());
                if after == 1 {
                    answer(&ring, start, [2; SLOT]);
                    assert_eq!(ring.pending(), Ok(1));
                }
                ring.shared().store_u32(RSP_PROD, start.wrapping_add(by));
                assert_eq!(ring.pending(), Err(Broken), "{start:#x} {by:#x}");
                assert_eq!((ring.take(), ring.arm(1)), (None, Err(Broken)), "and stays broken");
            }
        }
    }

    #[test]
    fn what_comes_while_the_event_is_asked_for_is_found_r13() {
        let (_fake, mut ring) = at(0xFFFF_FFFE);
        for _ in 0..4 {
            assert!(ring.put([1; SLOT]));
        }
        assert!(ring.publish());
        assert_eq!(ring.arm(1), Ok(false));
        assert_eq!(ring.shared().load_u32(RSP_EVENT), 0xFFFF_FFFF);
        answer(&ring, 0xFFFF_FFFE, [2; SLOT]);
        assert_eq!((ring.arm(1), ring.arm(2)), (Ok(true), Ok(false)));
        answer(&ring, 0xFFFF_FFFF, [2; SLOT]);
        assert_eq!((ring.arm(2), ring.arm(0)), (Ok(true), Ok(true)));
    }
}
