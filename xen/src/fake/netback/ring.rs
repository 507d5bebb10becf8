//! The back end's side of a ring of requests and responses, exactly as the
//! macros of `public/io/ring.h` do it, and the slots as that side sees them.

use super::super::Host;
use crate::memory::SharedPage;
use crate::public::io::netif::{RX_SLOT, RxRequest, RxResponse, TX_SLOT, TxFlags, TxRequest};
use crate::public::io::ring::{REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD, SLOTS, slots};
use std::sync::atomic::{Ordering, fence};

/// The back end's side of a ring.
pub(super) struct Back<const SLOT: usize> {
    page: SharedPage,
    /// By which it is mapped.
    pub(super) reference: u32,
    /// The port that belongs to it.
    pub(super) port: u32,
    req_cons: u32,
    /// `rsp_prod_pvt`.
    rsp_prod: u32,
    published: u32,
    /// The guest notified us, or there may be more.
    pub(super) awake: bool,
}

impl<const SLOT: usize> Back<SLOT> {
    const SIZE: u32 = slots(SLOT);

    /// Maps the ring that the guest lends (`BACK_RING_ATTACH`).
    pub(super) fn attach(
        host: &mut Host,
        peer: u16,
        reference: u32,
        port: u32,
    ) -> Result<Self, i16> {
        let page = host.grants.map(reference, peer, true, &host.frames)?;
        let at = page.load_u32(RSP_PROD);
        Ok(Self { page, reference, port, req_cons: at, rsp_prod: at, published: at, awake: true })
    }

    /// The page that the ring is in.
    pub(super) const fn page(&self) -> &SharedPage {
        &self.page
    }

    const fn slot(index: u32) -> usize {
        SLOTS + (index & (Self::SIZE - 1)) as usize * SLOT
    }

    fn produced(&self) -> u32 {
        let prod = self.page.load_u32(REQ_PROD);
        let (asked, left) = (prod.wrapping_sub(self.rsp_prod), prod.wrapping_sub(self.req_cons));
        assert!(
            asked <= Self::SIZE && left <= Self::SIZE,
            "rule R3: the guest's producer index {prod:#x} overruns a ring of {} slots with \
             responses up to {:#x}",
            Self::SIZE,
            self.rsp_prod
        );
        prod
    }

    /// Requests that wait (`RING_HAS_UNCONSUMED_REQUESTS`).
    pub(super) fn waiting(&self) -> u32 {
        self.produced().wrapping_sub(self.req_cons)
    }

    /// Takes the next request, which is there.
    pub(super) fn take(&mut self) -> [u8; SLOT] {
        let mut slot = [0; SLOT];
        self.page.copy_out(Self::slot(self.req_cons), &mut slot);
        self.req_cons = self.req_cons.wrapping_add(1);
        slot
    }

    /// Asks for an event with the next request; whether there is one already
    /// (`RING_FINAL_CHECK_FOR_REQUESTS`).
    pub(super) fn final_check(&self) -> bool {
        self.page.store_u32(REQ_EVENT, self.req_cons.wrapping_add(1));
        fence(Ordering::SeqCst);
        self.waiting() > 0
    }

    /// Asks for an event with the next request beyond those that are there;
    /// whether there are `count` already (Linux's `xenvif_rx_ring_slots_available`).
    pub(super) fn enough(&self, count: u32) -> bool {
        loop {
            let prod = self.produced();
            if prod.wrapping_sub(self.req_cons) >= count {
                return true;
            }
            self.page.store_u32(REQ_EVENT, prod.wrapping_add(1));
            fence(Ordering::SeqCst);
            if self.produced() == prod {
                return false;
            }
        }
    }

    /// Writes a response; the guest sees it by [`Self::publish`].
    pub(super) fn put(&mut self, response: [u8; SLOT]) {
        self.page.copy_in(Self::slot(self.rsp_prod), &response);
        self.rsp_prod = self.rsp_prod.wrapping_add(1);
    }

    /// Lets the guest see the responses; whether it wants to be notified
    /// (`RING_PUSH_RESPONSES_AND_CHECK_NOTIFY`).
    pub(super) fn publish(&mut self) -> bool {
        let old = std::mem::replace(&mut self.published, self.rsp_prod);
        self.page.store_u32(RSP_PROD, self.rsp_prod);
        fence(Ordering::SeqCst);
        let event = self.page.load_u32(RSP_EVENT);
        self.rsp_prod.wrapping_sub(event) < self.rsp_prod.wrapping_sub(old)
    }

    /// Whether responses were written and not published.
    pub(super) fn is_dirty(&self) -> bool {
        self.published != self.rsp_prod
    }

    /// Moves the published index, and only that, by `distance`.
    pub(super) fn lie(&self, distance: i32) {
        self.page.store_u32(RSP_PROD, self.rsp_prod.wrapping_add_signed(distance));
    }
}

/// What the bytes of a slot of the transmit ring ask for.
pub(super) fn tx_request(slot: [u8; TX_SLOT]) -> TxRequest {
    let [g0, g1, g2, g3, o0, o1, f0, f1, i0, i1, s0, s1] = slot;
    TxRequest {
        gref: u32::from_le_bytes([g0, g1, g2, g3]),
        offset: u16::from_le_bytes([o0, o1]),
        flags: TxFlags::from_bits_retain(u16::from_le_bytes([f0, f1])),
        id: u16::from_le_bytes([i0, i1]),
        size: u16::from_le_bytes([s0, s1]),
    }
}

/// What the bytes of a slot of the receive ring ask for.
pub(super) fn rx_request(slot: [u8; RX_SLOT]) -> RxRequest {
    let [i0, i1, _, _, g0, g1, g2, g3] = slot;
    RxRequest { id: u16::from_le_bytes([i0, i1]), gref: u32::from_le_bytes([g0, g1, g2, g3]) }
}

/// The bytes of an answer in the transmit ring.
pub(super) fn tx_response(id: u16, status: i16) -> [u8; TX_SLOT] {
    let ([i0, i1], [s0, s1]) = (id.to_le_bytes(), status.to_le_bytes());
    [i0, i1, s0, s1, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// The bytes of an answer in the receive ring.
pub(super) fn rx_response(response: RxResponse) -> [u8; RX_SLOT] {
    let RxResponse { id, offset, flags, status } = response;
    let ([i0, i1], [o0, o1]) = (id.to_le_bytes(), offset.to_le_bytes());
    let ([f0, f1], [s0, s1]) = (flags.bits().to_le_bytes(), status.to_le_bytes());
    [i0, i1, o0, o1, f0, f1, s0, s1]
}
