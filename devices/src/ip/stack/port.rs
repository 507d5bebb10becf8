//! What smoltcp receives from and sends through.

use crate::ip::drive::Wire;
use crate::ip::packet;
use crate::net::{HEADER, Info, Mac};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::net::Ipv4Addr;
use core::num::{NonZeroU16, NonZeroUsize};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium};
use smoltcp::phy::{PacketMeta, RxToken, TxToken};
use smoltcp::time::Instant as Moment;

/// What smoltcp sends through, and the one frame that it receives.
pub(super) struct Port<'a> {
    pub(super) frame: Option<&'a [u8]>,
    pub(super) wire: Option<&'a dyn Wire>,
    /// The Ethernet header of the frame, for a door, which deals in bare packets.
    pub(super) door: Option<([u8; HEADER], Mac)>,
    pub(super) out: &'a Out,
}

/// What outlives a [`Port`].
#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) mtu: usize,
    /// The longest TCP frame that the other side makes segments of.
    large: Option<NonZeroUsize>,
    /// The IPv4 address to ask from for others' Ethernet addresses.
    pub(super) own: Cell<Option<Ipv4Addr>>,
    /// Frames that were sent.
    pub(super) sent: Cell<u64>,
    /// A packet was to be sent, and has not been.
    pub(super) begun: Cell<bool>,
    /// The sequence number of what was sent last through a door.
    pub(super) sequence: Cell<Option<u32>>,
    /// For what there was no room for.
    scratch: RefCell<Vec<u8>>,
}

impl Out {
    pub(super) fn new(info: Info) -> Self {
        let mut out = Self::default();
        out.change(info);
        out
    }

    /// The interface is another one.
    pub(super) fn change(&mut self, info: Info) {
        self.mtu = info.mtu;
        self.large = NonZeroUsize::new(info.transmit_large).filter(|_| info.transmit_blank);
    }
}

pub(super) struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

/// With the size of the segments that the packet is to be made into, or 0.
pub(super) struct Sending<'a, 'b>(&'a Port<'b>, u16);

impl TxToken for Sending<'_, '_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let (port, mut fill, mut result) = (self.0, Some(fill), None);
        let lead = if port.door.is_some() { HEADER } else { 0 };
        let mut write = |frame: &mut [u8]| {
            let Some((fill, packet)) = fill.take().zip(frame.get_mut(lead..)) else { return };
            result = Some(fill(packet));
            if let Some((header, mac)) = port.door {
                port.out.sequence.set(packet::sequence_of(packet));
                packet::answer(frame, header, mac);
            } else if packet::is_request(frame) {
                packet::ask_afar(frame, port.out.own.get());
            } else {
                port.out.begun.set(false);
            }
        };
        if port.wire.is_some_and(|wire| wire.transmit(lead + length, self.1, &mut write)) {
            port.out.sent.set(port.out.sent.get() + 1);
        } else {
            // smoltcp insists on writing it.
            let mut scratch = port.out.scratch.borrow_mut();
            scratch.resize(lead + length, 0);
            write(&mut scratch);
        }
        result.expect("a wire calls what it is given")
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.1 = meta.segmentation_offload_size.map_or(0, NonZeroU16::get);
    }
}

impl Device for Port<'_> {
    type RxToken<'a>
        = Received<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Sending<'a, 'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Moment) -> Option<(Received<'_>, Sending<'_, '_>)> {
        let frame = self.frame.take()?;
        Some((Received(frame), Sending(self, 0)))
    }

    fn transmit(&mut self, _: Moment) -> Option<Sending<'_, '_>> {
        let ready = self.wire.is_none_or(|wire| wire.ready());
        self.out.begun.set(ready);
        ready.then_some(Sending(self, 0))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        // TCP and UDP have theirs verified and filled in by `packet`.
        let mut checksum = ChecksumCapabilities::ignored();
        checksum.icmpv4 = Checksum::Both;
        checksum.icmpv6 = Checksum::Both;
        // The packet that a door is given was shortened after it was verified.
        checksum.ipv4 = if self.door.is_some() { Checksum::Tx } else { Checksum::Both };
        let mut capabilities = DeviceCapabilities::default();
        capabilities.checksum = checksum;
        capabilities.medium = if self.door.is_some() { Medium::Ip } else { Medium::Ethernet };
        capabilities.max_transmission_unit =
            if self.door.is_some() { self.out.mtu } else { self.out.mtu + HEADER };
        capabilities.segmentation.tcpv4 = self.out.large.filter(|_| self.door.is_none());
        capabilities
    }
}

/// A door's way out while a connection is made that says nothing yet.
pub(super) const NOWHERE: ([u8; HEADER], Mac) = ([0; HEADER], Mac([0; 6]));
