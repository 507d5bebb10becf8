//! The slots of both rings as the back end sees them.

use crate::gnttab::GrantRef;
use crate::public::io::netif::{RX_SLOT, RxRequest, RxResponse, TX_SLOT, TxFlags, TxRequest};

/// What the bytes of a slot of the transmit ring ask for.
pub(super) fn tx_request(slot: [u8; TX_SLOT]) -> TxRequest {
    let [g0, g1, g2, g3, o0, o1, f0, f1, i0, i1, s0, s1] = slot;
    TxRequest {
        gref: GrantRef(u32::from_le_bytes([g0, g1, g2, g3])),
        offset: u16::from_le_bytes([o0, o1]),
        flags: TxFlags::from_bits_retain(u16::from_le_bytes([f0, f1])),
        id: u16::from_le_bytes([i0, i1]),
        size: u16::from_le_bytes([s0, s1]),
    }
}

/// What the bytes of a slot of the receive ring ask for.
pub(super) fn rx_request(slot: [u8; RX_SLOT]) -> RxRequest {
    let [i0, i1, _, _, g0, g1, g2, g3] = slot;
    RxRequest {
        id: u16::from_le_bytes([i0, i1]),
        gref: GrantRef(u32::from_le_bytes([g0, g1, g2, g3])),
    }
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
