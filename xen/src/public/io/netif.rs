//! `public/io/netif.h`: requests and responses of a network interface, in the transmit ring (tx)
//! and in the receive ring (rx).
//!
//! They are encoded to and decoded from the bytes of a slot here, outside of shared memory.
//! Fields are at the offsets of the header's structures, little-endian. A frame that does not
//! fit into one page takes several slots, which `MORE_DATA` chains.

use crate::gnttab::GrantRef;
use bitflags::bitflags;

/// `XEN_NETIF_NR_SLOTS_MIN`: number of slots of a frame that every back end accepts.
pub const SLOTS_MAX: usize = 18;

/// Size of a slot of the transmit ring in bytes.
pub const TX_SLOT: usize = 12;

/// Size of a slot of the receive ring in bytes.
pub const RX_SLOT: usize = 8;

bitflags! {
    /// `NETTXF_*`: flags of a transmit request.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct TxFlags: u16 {
        /// The checksum field holds only the sum of the pseudo header (`NETTXF_csum_blank`).
        const CSUM_BLANK = 1;
        /// The checksum is known to be right (`NETTXF_data_validated`).
        const DATA_VALIDATED = 2;
        /// The frame continues in the next request.
        const MORE_DATA = 4;
        /// An [`Extra`] slot follows.
        const EXTRA_INFO = 8;
    }

    /// `NETRXF_*`: flags of a receive response.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RxFlags: u16 {
        /// The checksum has been verified (`NETRXF_data_validated`).
        const DATA_VALIDATED = 1;
        /// The checksum field holds only the sum of the pseudo header (`NETRXF_csum_blank`).
        const CSUM_BLANK = 2;
        /// The frame continues in the next response.
        const MORE_DATA = 4;
        /// An [`Extra`] slot follows.
        const EXTRA_INFO = 8;
        /// Obsolete (`NETRXF_gso_prefix`).
        const GSO_PREFIX = 16;
        const _ = !0;
    }
}

/// `struct netif_tx_request`: a piece of a frame to transmit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxRequest {
    /// Grant reference of the page that holds it.
    pub gref: GrantRef,
    /// Offset of the piece in the page, in bytes.
    pub offset: u16,
    /// Flags; those about the frame are in its first slot.
    pub flags: TxFlags,
    /// Id, which the response repeats.
    pub id: u16,
    /// In the first request of a frame, the size of the frame in bytes; else that of the piece.
    pub size: u16,
}

impl TxRequest {
    /// Encodes the slot.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; TX_SLOT] {
        let [g0, g1, g2, g3] = self.gref.0.to_le_bytes();
        let [o0, o1] = self.offset.to_le_bytes();
        let [f0, f1] = self.flags.bits().to_le_bytes();
        let [i0, i1] = self.id.to_le_bytes();
        let [s0, s1] = self.size.to_le_bytes();
        [g0, g1, g2, g3, o0, o1, f0, f1, i0, i1, s0, s1]
    }
}

/// `NETIF_RSP_NULL`: the status of the response to an extra slot.
pub const RSP_NULL: i16 = 1;
/// `NETIF_RSP_OKAY`: the frame was transmitted.
pub const RSP_OKAY: i16 = 0;
/// `NETIF_RSP_ERROR`: the request is invalid.
pub const RSP_ERROR: i16 = -1;
/// `NETIF_RSP_DROPPED`: the frame was dropped.
pub const RSP_DROPPED: i16 = -2;

/// `struct netif_tx_response`: the result of a transmit request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxResponse {
    /// Id of the request.
    pub id: u16,
    /// `NETIF_RSP_*`.
    pub status: i16,
}

impl TxResponse {
    /// Decodes a slot.
    #[must_use]
    pub const fn from_bytes(slot: [u8; TX_SLOT]) -> Self {
        let [i0, i1, s0, s1, ..] = slot;
        Self { id: u16::from_le_bytes([i0, i1]), status: i16::from_le_bytes([s0, s1]) }
    }
}

/// `struct netif_rx_request`: a page for received data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxRequest {
    /// Id, which the response repeats.
    pub id: u16,
    /// Grant reference of the page.
    pub gref: GrantRef,
}

impl RxRequest {
    /// Encodes the slot.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; RX_SLOT] {
        let [i0, i1] = self.id.to_le_bytes();
        let [g0, g1, g2, g3] = self.gref.0.to_le_bytes();
        [i0, i1, 0, 0, g0, g1, g2, g3]
    }
}

/// `struct netif_rx_response`: a piece of a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxResponse {
    /// Id of the request.
    pub id: u16,
    /// Offset of the piece in the page, in bytes.
    pub offset: u16,
    /// Flags; those about the frame are in its first slot.
    pub flags: RxFlags,
    /// Size of the piece in bytes, or one of `NETIF_RSP_*` below 0.
    pub status: i16,
}

impl RxResponse {
    /// Decodes a slot.
    #[must_use]
    pub const fn from_bytes(slot: [u8; RX_SLOT]) -> Self {
        let [i0, i1, o0, o1, f0, f1, s0, s1] = slot;
        Self {
            id: u16::from_le_bytes([i0, i1]),
            offset: u16::from_le_bytes([o0, o1]),
            flags: RxFlags::from_bits_retain(u16::from_le_bytes([f0, f1])),
            status: i16::from_le_bytes([s0, s1]),
        }
    }
}

/// `XEN_NETIF_EXTRA_TYPE_GSO`: describes a large frame that stands for several segments.
pub const EXTRA_TYPE_GSO: u8 = 1;

/// `XEN_NETIF_GSO_TYPE_TCPV4`: TCP segments over IPv4.
pub const GSO_TCPV4: u8 = 1;

/// `XEN_NETIF_GSO_TYPE_TCPV6`: TCP segments over IPv6.
pub const GSO_TCPV6: u8 = 2;

/// `XEN_NETIF_EXTRA_TYPE_MAX`: the first unknown type.
pub const EXTRA_TYPE_MAX: u8 = 5;

/// `XEN_NETIF_EXTRA_FLAG_MORE`: another extra slot follows.
pub const EXTRA_FLAG_MORE: u8 = 1;

/// `struct netif_extra_info`: more about a frame, in a slot between its others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extra {
    /// `XEN_NETIF_EXTRA_TYPE_*`.
    pub kind: u8,
    /// `XEN_NETIF_EXTRA_FLAG_*`.
    pub flags: u8,
    /// For GSO: most bytes of payload of a segment.
    pub gso_size: u16,
    /// For GSO: `XEN_NETIF_GSO_TYPE_*`.
    pub gso_type: u8,
}

impl Extra {
    /// Decodes a slot of the receive ring.
    #[must_use]
    pub const fn from_bytes(slot: [u8; RX_SLOT]) -> Self {
        let [kind, flags, s0, s1, gso_type, ..] = slot;
        Self { kind, flags, gso_size: u16::from_le_bytes([s0, s1]), gso_type }
    }

    /// Encodes a slot of the transmit ring.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; TX_SLOT] {
        let [s0, s1] = self.gso_size.to_le_bytes();
        [self.kind, self.flags, s0, s1, self.gso_type, 0, 0, 0, 0, 0, 0, 0]
    }
}
