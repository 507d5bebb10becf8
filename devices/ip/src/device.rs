//! The stack as a device that a manifest names, on the interface below it.

use super::config::{ARGUMENTS, Settings};
use super::{Error, Stack, Stats};
use core::fmt;
use devices::net::{Net, Offloading};
use kernel::Device;
use kernel::args::{self, Args, Argument};
use kernel::device::Class;
use kernel::metrics::{Metric, Source};

/// Says why a stack cannot be opened as a device.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError<E> {
    /// The interface below cannot be opened.
    Net(E),
    /// The stack does not start on it: [`Stack::new`].
    Ip(Error),
}

impl<E: fmt::Display> fmt::Display for OpenError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(error) => error.fmt(f),
            Self::Ip(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error> core::error::Error for OpenError<E> {}

impl<N: Net + Offloading + 'static> Device for Stack<N> {
    const CLASS: Class = N::CLASS;

    const NEEDS: &'static str = N::NEEDS;

    const ARGUMENTS: &'static [Argument] = ARGUMENTS;

    const TAKES_OVER: bool = true;

    type Settings = (N::Settings, Settings);

    type Error = OpenError<N::Error>;

    fn configure(args: &mut Args) -> Result<Self::Settings, args::Error> {
        let (net, settings) = (N::configure(args)?, Settings::configure(args)?);
        Ok((N::offload(net, settings.offloads), settings))
    }

    async fn open(id: &'static str, settings: Self::Settings) -> Result<Self, Self::Error> {
        let net = N::open(id, settings.0).await.map_err(OpenError::Net)?;
        if kernel::update::is_active() {
            return Self::inherit(net, settings.1).await.map_err(OpenError::Ip);
        }
        Self::new(net, settings.1).await.map_err(OpenError::Ip)
    }
}

impl<N: Net + Source + 'static> Source for Stack<N> {
    fn metrics(&self, each: &mut dyn FnMut(Metric)) {
        let stats: Stats = self.stats();
        kernel::metrics! { each;
            counter("ip_received_frames", "Frames taken in.", stats.received),
            counter("ip_sent_frames", "Frames sent.", stats.sent),
            counter("ip_useless_frames", "Frames that made no sense.", stats.useless),
            counter("ip_corrupt_frames", "Frames with wrong checksums.", stats.corrupt),
            counter("ip_unsent_frames", "Frames lost for want of room.", stats.unsent),
            counter("ip_reassembled", "Datagrams put together of fragments.", stats.reassembled),
            counter("ip_unassembled", "Fragmented datagrams given up.", stats.unassembled),
            gauge("tcp_open", "TCP connections open.", stats.open as u64),
            gauge("tcp_half_open", "TCP connections asked for.", stats.half_open as u64),
            counter("tcp_accepted", "TCP connections that peers opened.", stats.accepted),
            counter("tcp_connected", "TCP connections opened here.", stats.connected),
            counter("tcp_refused", "TCP connections refused.", stats.refused),
            counter("tcp_cookies", "SYN cookies given.", stats.cookies),
            counter("tcp_dropped", "TCP connections that came to nothing.", stats.dropped),
        }
        self.net().metrics(each);
    }
}
