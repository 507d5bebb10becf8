//! What smoltcp receives from and sends through: bare IP packets.

use crate::wire::Wire;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use devices::net::{HEADER, Info};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium};
use smoltcp::phy::{RxToken, TxToken};
use smoltcp::time::Instant as Moment;

/// What smoltcp sends through, and the one packet that it receives.
pub(super) struct Port<'a> {
    pub(super) packet: Option<&'a [u8]>,
    pub(super) wire: Option<&'a dyn Wire>,
    /// The Ethernet header of all that is sent. Without it, packets are
    /// [held](Out::held) until somebody looks where they go.
    pub(super) header: Option<[u8; HEADER]>,
    pub(super) out: &'a Out,
}

/// What outlives a [`Port`].
#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) mtu: usize,
    /// The longest TCP frame that the other side makes segments of.
    large: usize,
    /// Frames that were sent.
    pub(super) sent: Cell<u64>,
    /// Frames whose Ethernet headers are missing.
    pub(super) held: RefCell<Vec<Vec<u8>>>,
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
        self.large = if info.transmit_blank { info.transmit_large } else { 0 };
    }

    /// The longest TCP frame that the other side makes segments of; 0 when it does not.
    pub(super) const fn large(&self) -> usize {
        self.large
    }

    /// Keeps a packet of which nobody knows yet where it goes.
    fn hold<R>(&self, length: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let (mut held, mut scratch) = (self.held.borrow_mut(), self.scratch.borrow_mut());
        let mut frame = kernel::memory::zeroed(length).filter(|_| held.try_reserve(1).is_ok());
        // Without memory it is lost: smoltcp insists on writing it.
        let to = frame.as_mut().unwrap_or(&mut scratch);
        to.resize(length, 0);
        let result = fill(&mut to[HEADER..]);
        held.extend(frame);
        result
    }
}

pub(super) struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

pub(super) struct Sending<'a, 'b>(&'a Port<'b>);

impl TxToken for Sending<'_, '_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let port = self.0;
        let (out, length) = (port.out, HEADER + length);
        let Some(header) = port.header else { return out.hold(length, fill) };
        let (mut fill, mut result) = (Some(fill), None);
        let mut write = |frame: &mut [u8]| {
            let Some((head, packet)) = frame.split_first_chunk_mut() else { return };
            *head = header;
            if let Some(fill) = fill.take() {
                result = Some(fill(packet));
            }
        };
        if port.wire.is_some_and(|wire| wire.transmit(length, 0, &mut write)) {
            out.sent.set(out.sent.get() + 1);
        } else {
            let mut scratch = out.scratch.borrow_mut();
            scratch.resize(length, 0);
            write(&mut scratch);
        }
        result.expect("a wire calls what it is given")
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
        let packet = self.packet.take()?;
        Some((Received(packet), Sending(self)))
    }

    fn transmit(&mut self, _: Moment) -> Option<Sending<'_, '_>> {
        self.wire.is_none_or(|wire| wire.ready()).then_some(Sending(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        // All that comes was verified by `packet`, which also fills in those of TCP and UDP.
        let mut checksum = ChecksumCapabilities::ignored();
        checksum.icmpv4 = Checksum::Tx;
        checksum.icmpv6 = Checksum::Tx;
        checksum.ipv4 = Checksum::Tx;
        let mut capabilities = DeviceCapabilities::default();
        capabilities.checksum = checksum;
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.out.mtu;
        capabilities
    }
}
