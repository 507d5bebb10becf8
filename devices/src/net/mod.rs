//! Network interfaces: Ethernet frames in and out.
//!
//! [`Net`] is poll-shaped: becoming ready may fail, moving a frame once ready
//! cannot. A frame is handed over inside a closure, so that it can be built in
//! the very buffer that goes out, and read from the one that came in.

pub mod cable;
pub mod fault;
pub mod loopback;
pub mod netfront;
#[cfg(not(target_os = "xen"))]
pub mod tap;
pub mod trace;

use core::task::{Context, Poll};
use kernel::device::{Class, Xl};

/// The class of network interfaces, which are counted from 0.
pub const CLASS: Class =
    Class { name: "net", xl: Some(Xl { setting: "vif", first: "0", item: "bridge=xenbr{id}" }) };

/// Bytes of an Ethernet header without VLAN tag; no frame is shorter (rule N6).
pub const HEADER: usize = 14;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl core::fmt::Display for Mac {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// What an interface is, as of now: it may change when the other side does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Its address.
    pub mac: Mac,
    /// The longest payload of a frame, in bytes, without the [`HEADER`].
    pub mtu: usize,
    /// Whether frames can get anywhere now.
    pub link: bool,
    /// How often the interface was connected. A change means that the other
    /// side may be a new one, which should be told who is here.
    pub generation: u32,
    /// [`Checksum::Blank`] may be said of TCP and UDP frames to transmit.
    pub transmit_blank: bool,
    /// The longest TCP frame to transmit, with its header, that the other side makes
    /// [segments](Meta::segment) of; 0 where it does not.
    pub transmit_large: usize,
}

/// What is known of the TCP or UDP checksum in a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// It stands in the frame, and whoever receives it has to verify it.
    #[default]
    Complete,
    /// Received only: whoever delivered the frame says that it is right.
    Verified,
    /// The field holds the sum of the pseudo header alone: the frame came from,
    /// or goes to, a peer on the same machine or hardware that fills it in.
    Blank,
}

/// What is known of a frame besides its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Its TCP or UDP checksum.
    pub checksum: Checksum,
    /// Bytes of payload of each of the TCP segments that a large frame stands for; 0 for
    /// a frame that is what it is. To be said of frames to transmit only within
    /// [`Info::transmit_large`], and with [`Checksum::Blank`].
    pub segment: u16,
}

/// What is left to the other side of an interface, if it offers that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offloads {
    /// Checksums of TCP and UDP, both ways.
    pub checksum: bool,
    /// Making segments of large TCP frames that are transmitted.
    pub transmit_large: bool,
    /// Received segments need not be cut, so that frames may be larger than the MTU says.
    pub receive_large: bool,
}

impl Default for Offloads {
    /// For a program that takes and gives frames as they are.
    fn default() -> Self {
        Self { checksum: true, transmit_large: false, receive_large: false }
    }
}

/// An interface that a manifest names and that can leave things to its other side.
///
/// A stack that opens an interface says by it what it can make use of.
///
/// # Example
/// ```
/// # mod xenith { pub use kernel::*; pub use xenith_devices::*; }
///
/// use xenith::Device;
/// use xenith::args::{self, Args};
/// use xenith::net::{Offloading, Offloads};
///
/// /// Takes the interface's arguments, and large segments both ways.
/// fn configure<N: Offloading>(args: &mut Args) -> Result<N::Settings, args::Error> {
///     let all = Offloads { checksum: true, transmit_large: true, receive_large: true };
///     Ok(N::offload(N::configure(args)?, all))
/// }
///
/// configure::<xenith::Net>(&mut Args::default())?;
/// # Ok::<(), args::Error>(())
/// ```
pub trait Offloading: kernel::Device {
    /// `settings` with these offloads.
    fn offload(settings: Self::Settings, offloads: Offloads) -> Self::Settings;
}

/// The interface can never be used again: its other side broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl core::fmt::Display for Broken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the network interface is broken")
    }
}

impl core::error::Error for Broken {}

/// Something that carries Ethernet frames.
///
/// # Example
/// ```
/// # mod xenith { pub use kernel::*; pub use xenith_devices::*; }
///
/// use core::future::poll_fn;
/// use xenith::net::cable::{Options, cable};
/// use xenith::net::{Broken, Meta, Net};
/// use xenith::task::{block_on, join};
///
/// /// Sends the next frame back to where it came from.
/// async fn reflect(net: &impl Net) -> Result<(), Broken> {
///     poll_fn(|context| net.poll_receive(context)).await?;
///     let Some(mut frame) = net.receive(|frame, _| frame.to_vec()) else { return Ok(()) };
///     // Destination and source change places.
///     let (to, from) = frame.split_at_mut(6);
///     to.swap_with_slice(&mut from[..6]);
///     poll_fn(|context| net.poll_transmit(context)).await?;
///     net.transmit(frame.len(), |buffer| (buffer.copy_from_slice(&frame), Meta::default()));
///     net.flush();
///     Ok(())
/// }
///
/// let (left, right) = cable(Options::default());
/// let answered = async {
///     left.transmit(60, |frame| {
///         frame.fill(1);
///         frame[6..12].fill(2);
///         ((), Meta::default())
///     });
///     left.flush();
///     poll_fn(|context| left.poll_receive(context)).await?;
///     Ok(left.receive(|frame, _| [frame[0], frame[6]]))
/// };
/// let (reflected, answered) = block_on(join(reflect(&right), answered));
/// reflected?;
/// assert_eq!(answered?, Some([2, 1]));
/// # Ok::<(), Broken>(())
/// ```
///
/// [`transmit`](Net::transmit) may be called from within the closure that
/// [`receive`](Net::receive) runs. Frames that are transmitted while there is
/// no link are lost, as on a cable.
pub trait Net {
    /// Returns what lines about it begin with: `net` where there is no other to be told
    /// from, else its number behind that.
    fn name(&self) -> &str {
        "net"
    }

    /// What the interface is now.
    fn info(&self) -> Info;

    /// Ready when a frame can be received. Otherwise the task is woken when
    /// that, or anything in [`info`](Net::info), may have changed.
    ///
    /// # Errors
    /// [`Broken`], from then on always.
    fn poll_receive(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>>;

    /// Receives a frame, header first, without its check sequence. `None` when
    /// there is none.
    fn receive<R>(&self, take: impl FnOnce(&[u8], Meta) -> R) -> Option<R>;

    /// Ready when a frame can be transmitted. Otherwise the task is woken when
    /// that may have changed.
    ///
    /// # Errors
    /// [`Broken`], from then on always.
    fn poll_transmit(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>>;

    /// Transmits a frame of `length` bytes, which `fill` writes: all of them,
    /// for what they held before may be an older frame. `None`, without a call
    /// of `fill`, when there is no room or the length is not that of a frame.
    fn transmit<R>(&self, length: usize, fill: impl FnOnce(&mut [u8]) -> (R, Meta)) -> Option<R>;

    /// Lets the other side know of what was transmitted since the last call:
    /// until then it may wait, so that many frames cost one notification.
    fn flush(&self);
}
