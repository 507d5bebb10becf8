//! Sends and receives Ethernet frames.
//!
//! [`Net`] is polled: becoming ready may fail, moving a frame once ready cannot. A frame is
//! passed to a closure, so that it is built in the buffer that is transmitted, and read from
//! the one that was received.

pub mod cable;
pub mod fault;
mod frame;
pub mod loopback;
pub mod netfront;
mod shared;
#[cfg(not(target_os = "xen"))]
pub mod tap;
pub mod trace;

use core::task::{Context, Poll};
use kernel::device::{Class, Xl};

pub use frame::{Frame, Rest};
pub use shared::{Part, Shared};

/// The class of network interfaces, which are counted from 0.
pub const CLASS: Class =
    Class { name: "net", xl: Some(Xl { setting: "vif", first: "0", item: "bridge=xenbr{id}" }) };

/// The size of an Ethernet header without VLAN tag, in bytes; no frame is shorter (rule N6).
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

/// Describes an interface as it is now. All of it may change with the next connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The Ethernet address of this side.
    pub mac: Mac,
    /// The longest payload of a frame, in bytes, without the [`HEADER`].
    pub mtu: usize,
    /// Whether the interface is connected. Without a link, frames are dropped.
    pub link: bool,
    /// The number of times that the interface was connected. After a change the peer may be
    /// another one, to which addresses should be announced again.
    pub generation: u32,
    /// Whether TCP and UDP frames may be transmitted with [`Checksum::Blank`].
    pub transmit_blank: bool,
    /// The longest TCP frame, in bytes with its header, that the other side
    /// [segments](Meta::segment); 0 if it does not (TSO).
    pub transmit_large: usize,
}

/// States how far the TCP or UDP checksum of a frame can be relied on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checksum {
    /// The checksum is in the frame, and the receiver has to verify it.
    #[default]
    Complete,
    /// The other side has verified the checksum. For received frames only.
    Verified,
    /// The field holds the sum of the pseudo header alone (a partial checksum): the peer is
    /// on the same machine, or hardware completes it.
    Blank,
}

/// Describes a frame besides its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meta {
    /// The state of its TCP or UDP checksum.
    pub checksum: Checksum,
    /// The payload in bytes of each TCP segment that a large frame stands for (its MSS); 0
    /// for an ordinary frame. To transmit one, its length must be within
    /// [`Info::transmit_large`] and its checksum [`Checksum::Blank`].
    pub segment: u16,
}

impl Meta {
    /// Describes a frame with this checksum that stands for segments of `segment` bytes, or
    /// for itself if that is 0.
    #[must_use]
    pub const fn new(checksum: Checksum, segment: u16) -> Self {
        Self { checksum, segment }
    }
}

/// Selects the work that is left to the other side of an interface, as far as it offers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offloads {
    /// TCP and UDP checksums, in both directions (checksum offload).
    pub checksum: bool,
    /// Segmentation of large TCP frames that are transmitted (TSO).
    pub transmit_large: bool,
    /// Received TCP segments may come coalesced, in frames larger than the MTU (GRO).
    pub receive_large: bool,
}

impl Offloads {
    /// Leaves everything to the other side.
    pub const ALL: Self = Self { checksum: true, transmit_large: true, receive_large: true };

    /// Leaves nothing to it.
    pub const NONE: Self = Self { checksum: false, transmit_large: false, receive_large: false };
}

impl Default for Offloads {
    /// Selects checksums alone, for a program that handles frames one by one.
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
///     Ok(N::offload(N::configure(args)?, Offloads::ALL))
/// }
///
/// configure::<xenith::Net>(&mut Args::default())?;
/// # Ok::<(), args::Error>(())
/// ```
pub trait Offloading: kernel::Device {
    /// Returns `settings` with these offloads.
    fn offload(settings: Self::Settings, offloads: Offloads) -> Self::Settings;
}

/// Reports that the interface is unusable for good: its other side broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl core::fmt::Display for Broken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the network interface is broken")
    }
}

impl core::error::Error for Broken {}

/// Carries Ethernet frames.
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
/// [`transmit`](Net::transmit) may be called within the closure of
/// [`receive`](Net::receive). Frames that are transmitted while there is no link are dropped,
/// as on a cable.
pub trait Net {
    /// Returns the name of the interface in log lines: `net` for the first one, `net 1` for the
    /// second.
    fn name(&self) -> &str {
        "net"
    }

    /// Returns what the interface is now.
    fn info(&self) -> Info;

    /// Is ready when a frame can be received. Otherwise the task is woken when that, or
    /// anything in [`info`](Net::info), may have changed.
    ///
    /// # Errors
    /// [`Broken`], and then with every later call.
    fn poll_receive(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>>;

    /// Passes the next received frame to `take`, from its header on and without its frame
    /// check sequence. Returns `None` if there is none.
    fn receive<R>(&self, take: impl FnOnce(&[u8], Meta) -> R) -> Option<R>;

    /// Does the same for a program that sees by the first bytes of a [`Frame`] where the rest
    /// belongs. An interface whose other side puts frames into this domain's memory copies them
    /// from there to where they stay, by one copy; others pass what they
    /// [receive](Self::receive).
    fn receive_apart<R>(&self, take: impl FnOnce(Frame<'_>, Meta) -> R) -> Option<R> {
        self.receive(|frame, meta| take(Frame::new(frame), meta))
    }

    /// Is ready when a frame can be transmitted. Otherwise the task is woken when that may
    /// have changed.
    ///
    /// # Errors
    /// [`Broken`], and then with every later call.
    fn poll_transmit(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>>;

    /// Queues a frame of `length` bytes for transmission. `fill` must write all of them, as
    /// the buffer may hold an older frame. Returns `None`, without calling `fill`, if there is
    /// no room or `length` is not that of a frame: less than [`HEADER`], or more than the MTU
    /// and [`Info::transmit_large`] allow.
    fn transmit<R>(&self, length: usize, fill: impl FnOnce(&mut [u8]) -> (R, Meta)) -> Option<R>;

    /// Queues a frame that consists of `parts`, of which the first is its header at least. Where
    /// that is possible, the other side reads what is [`Shared`] from where it is. Returns
    /// whether it did, as [`transmit`](Self::transmit) says.
    fn transmit_parts(&self, parts: &[Part<'_>], meta: Meta) -> bool {
        let fill = |frame: &mut [u8]| (shared::gather(parts, frame), meta);
        self.transmit(shared::length(parts), fill).is_some()
    }

    /// Notifies the other side of the frames that were queued since the last call, so that
    /// many frames cost one notification. Without it they may wait for ever.
    fn flush(&self);
}
