//! `public/io/netif.h`: the two rings of a network interface. Slots are bytes
//! with fields at the offsets of the header's structures, little-endian as x86
//! is: they are made and taken apart here, outside of shared memory.

use crate::gnttab::GrantRef;
use bitflags::bitflags;

/// `XEN_NETIF_NR_SLOTS_MIN`: slots of one frame that every back end takes.
pub const SLOTS_MAX: usize = 18;

/// Bytes of a slot of the transmit ring.
pub const TX_SLOT: usize = 12;

/// Bytes of a slot of the receive ring.
pub const RX_SLOT: usize = 8;

bitflags! {
    /// `NETTXF_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct TxFlags: u16 {
        /// The protocol's checksum field holds the pseudo header's sum only.
        const CSUM_BLANK = 1;
        /// The data has been validated.
        const DATA_VALIDATED = 2;
        /// The frame goes on in the next request.
        const MORE_DATA = 4;
        /// An extra slot follows.
        const EXTRA_INFO = 8;
    }

    /// `NETRXF_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RxFlags: u16 {
        /// The checksum has been verified.
        const DATA_VALIDATED = 1;
        /// The checksum field is not filled in.
        const CSUM_BLANK = 2;
        /// The frame goes on in the next response.
        const MORE_DATA = 4;
        /// An extra slot follows.
        const EXTRA_INFO = 8;
        /// A prefix that describes a large frame; old and unused.
        const GSO_PREFIX = 16;
        const _ = !0;
    }
}

/// `struct netif_tx_request`: a piece of a frame to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxRequest {
    /// The grant of the page that holds it.
    pub gref: GrantRef,
    /// Where in the page it starts.
    pub offset: u16,
    /// What is said of the frame.
    pub flags: TxFlags,
    /// Echoed in the response.
    pub id: u16,
    /// In the first request of a frame its whole size, else the piece's.
    pub size: u16,
}

impl TxRequest {
    /// The bytes of the slot.
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

/// `NETIF_RSP_NULL`: the status of a slot that gets no answer of its own.
pub const RSP_NULL: i16 = 1;
/// `NETIF_RSP_OKAY`.
pub const RSP_OKAY: i16 = 0;
/// `NETIF_RSP_ERROR`.
pub const RSP_ERROR: i16 = -1;
/// `NETIF_RSP_DROPPED`.
pub const RSP_DROPPED: i16 = -2;

/// `struct netif_tx_response`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxResponse {
    /// That of the request.
    pub id: u16,
    /// `NETIF_RSP_*`.
    pub status: i16,
}

impl TxResponse {
    /// What the bytes of a slot say.
    #[must_use]
    pub const fn from_bytes(slot: [u8; TX_SLOT]) -> Self {
        let [i0, i1, s0, s1, ..] = slot;
        Self { id: u16::from_le_bytes([i0, i1]), status: i16::from_le_bytes([s0, s1]) }
    }
}

/// `struct netif_rx_request`: a page for a piece of a frame to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxRequest {
    /// Echoed in the response.
    pub id: u16,
    /// The grant of the page.
    pub gref: GrantRef,
}

impl RxRequest {
    /// The bytes of the slot.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; RX_SLOT] {
        let [i0, i1] = self.id.to_le_bytes();
        let [g0, g1, g2, g3] = self.gref.0.to_le_bytes();
        [i0, i1, 0, 0, g0, g1, g2, g3]
    }
}

/// `struct netif_rx_response`: a piece of a frame that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxResponse {
    /// That of the request.
    pub id: u16,
    /// Where in the page it starts.
    pub offset: u16,
    /// What is said of the frame.
    pub flags: RxFlags,
    /// Its size in bytes, or one of `NETIF_RSP_*` below 0.
    pub status: i16,
}

impl RxResponse {
    /// What the bytes of a slot say.
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

/// `XEN_NETIF_EXTRA_TYPE_GSO`: the extra slot of a large frame.
pub const EXTRA_TYPE_GSO: u8 = 1;

/// `XEN_NETIF_GSO_TYPE_TCPV4`: it stands for TCP segments over IPv4.
pub const GSO_TCPV4: u8 = 1;

/// `XEN_NETIF_GSO_TYPE_TCPV6`.
pub const GSO_TCPV6: u8 = 2;

/// `XEN_NETIF_EXTRA_TYPE_MAX`: types from here on are unknown.
pub const EXTRA_TYPE_MAX: u8 = 5;

/// `XEN_NETIF_EXTRA_FLAG_MORE`: another extra slot follows.
pub const EXTRA_FLAG_MORE: u8 = 1;

/// `struct netif_extra_info`, in the place of a request or a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extra {
    /// `XEN_NETIF_EXTRA_TYPE_*`.
    pub kind: u8,
    /// `XEN_NETIF_EXTRA_FLAG_*`.
    pub flags: u8,
    /// For GSO: the size of a segment's payload.
    pub gso_size: u16,
    /// For GSO: `XEN_NETIF_GSO_TYPE_*`.
    pub gso_type: u8,
}

impl Extra {
    /// What the bytes of a slot of the receive ring say.
    #[must_use]
    pub const fn from_bytes(slot: [u8; RX_SLOT]) -> Self {
        let [kind, flags, s0, s1, gso_type, ..] = slot;
        Self { kind, flags, gso_size: u16::from_le_bytes([s0, s1]), gso_type }
    }

    /// The bytes of a slot of the transmit ring.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; TX_SLOT] {
        let [s0, s1] = self.gso_size.to_le_bytes();
        [self.kind, self.flags, s0, s1, self.gso_type, 0, 0, 0, 0, 0, 0, 0]
    }
}
