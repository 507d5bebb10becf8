//! The back end's side of a ring of requests and responses, as the macros of
//! `public/io/ring.h` implement it.

use super::Host;
use crate::DomId;
use crate::evtchn::PortNumber;
use crate::gnttab::GrantRef;
use crate::memory::{PAGE_SIZE, SharedPage};
use crate::public::io::ring::{REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD, SLOTS, slots_in};
use std::sync::atomic::{Ordering, fence};

/// The back end's side of a ring.
pub(super) struct Back<const SLOT: usize> {
    pages: Vec<SharedPage>,
    /// References by which they are mapped.
    pub(super) references: Vec<GrantRef>,
    /// Number of slots.
    size: u32,
    /// The port that belongs to it.
    pub(super) port: PortNumber,
    req_cons: u32,
    /// `rsp_prod_pvt`.
    rsp_prod: u32,
    published: u32,
    /// The guest sent a notification, or there may be more requests.
    pub(super) awake: bool,
}

impl<const SLOT: usize> Back<SLOT> {
    /// Maps the ring that the guest granted (`BACK_RING_ATTACH`).
    pub(super) fn attach(
        host: &mut Host,
        peer: DomId,
        references: &[GrantRef],
        port: PortNumber,
    ) -> Result<Self, i16> {
        let mut pages = Vec::new();
        for &reference in references {
            match host.grants.map(reference, peer, true, &host.frames) {
                Ok(page) => pages.push(page),
                Err(status) => {
                    let mapped = references.iter().take(pages.len());
                    mapped.for_each(|&reference| host.grants.unmap(reference, true));
                    return Err(status);
                }
            }
        }
        let at = pages[0].load_u32(RSP_PROD);
        Ok(Self {
            size: slots_in(pages.len(), SLOT),
            pages,
            references: references.into(),
            port,
            req_cons: at,
            rsp_prod: at,
            published: at,
            awake: true,
        })
    }

    /// Returns the page with the indices.
    pub(super) fn page(&self) -> &SharedPage {
        &self.pages[0]
    }

    /// Returns page and offset of each byte of a slot.
    fn bytes_of(&self, index: u32) -> impl Iterator<Item = (&SharedPage, usize)> {
        let start = SLOTS + (index & (self.size - 1)) as usize * SLOT;
        (start..start + SLOT).map(|at| (&self.pages[at / PAGE_SIZE], at % PAGE_SIZE))
    }

    fn produced(&self) -> u32 {
        let prod = self.page().load_u32(REQ_PROD);
        let (asked, left) = (prod.wrapping_sub(self.rsp_prod), prod.wrapping_sub(self.req_cons));
        assert!(
            asked <= self.size && left <= self.size,
            "rule R3: the guest's producer index {prod:#x} overruns a ring of {} slots with \
             responses up to {:#x}",
            self.size,
            self.rsp_prod
        );
        prod
    }

    /// Returns the number of requests that were not taken (`RING_HAS_UNCONSUMED_REQUESTS`).
    pub(super) fn waiting(&self) -> u32 {
        self.produced().wrapping_sub(self.req_cons)
    }

    /// Takes the next request. There must be one.
    pub(super) fn take(&mut self) -> [u8; SLOT] {
        let mut slot = [0; SLOT];
        for (byte, (page, at)) in slot.iter_mut().zip(self.bytes_of(self.req_cons)) {
            page.copy_out(at, std::slice::from_mut(byte));
        }
        self.req_cons = self.req_cons.wrapping_add(1);
        slot
    }

    /// Requests an event with the next request, and returns whether there is one already
    /// (`RING_FINAL_CHECK_FOR_REQUESTS`).
    pub(super) fn final_check(&self) -> bool {
        self.page().store_u32(REQ_EVENT, self.req_cons.wrapping_add(1));
        fence(Ordering::SeqCst);
        self.waiting() > 0
    }

    /// Requests an event with the next request after those that are there, and returns whether
    /// there are `count` (Linux's `xenvif_rx_ring_slots_available`).
    pub(super) fn enough(&self, count: u32) -> bool {
        loop {
            let prod = self.produced();
            if prod.wrapping_sub(self.req_cons) >= count {
                return true;
            }
            self.page().store_u32(REQ_EVENT, prod.wrapping_add(1));
            fence(Ordering::SeqCst);
            if self.produced() == prod {
                return false;
            }
        }
    }

    /// Writes a response, which the guest sees after [`Self::publish`].
    pub(super) fn put(&mut self, response: [u8; SLOT]) {
        for (byte, (page, at)) in response.iter().zip(self.bytes_of(self.rsp_prod)) {
            page.copy_in(at, std::slice::from_ref(byte));
        }
        self.rsp_prod = self.rsp_prod.wrapping_add(1);
    }

    /// Publishes the responses, and returns whether the guest has to be notified
    /// (`RING_PUSH_RESPONSES_AND_CHECK_NOTIFY`).
    pub(super) fn publish(&mut self) -> bool {
        let old = std::mem::replace(&mut self.published, self.rsp_prod);
        self.page().store_u32(RSP_PROD, self.rsp_prod);
        fence(Ordering::SeqCst);
        let event = self.page().load_u32(RSP_EVENT);
        self.rsp_prod.wrapping_sub(event) < self.rsp_prod.wrapping_sub(old)
    }

    /// Returns whether responses were written and not published.
    pub(super) fn is_dirty(&self) -> bool {
        self.published != self.rsp_prod
    }

    /// Moves the published index, and only that, by `distance`.
    pub(super) fn lie(&self, distance: i32) {
        self.page().store_u32(RSP_PROD, self.rsp_prod.wrapping_add_signed(distance));
    }
}
