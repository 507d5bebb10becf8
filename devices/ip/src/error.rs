//! Tells what goes wrong on a network.

use core::fmt;
use embedded_io_async::ErrorKind;

/// Says why something on the network did not work. Each method lists those that it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Another socket has that port, on that address or on all: its number.
    InUse(u16),
    /// The address to bind to is none of this machine's.
    AddrNotAvailable,
    /// The peer refused the connection, or nobody there has the port that a datagram of a socket
    /// with one peer went to.
    Refused,
    /// The peer reset the connection.
    Reset,
    /// This side closed the stream, or the half of it, before.
    Closed,
    /// The peer did not answer in time, or was silent for so long that the connection was given
    /// up.
    TimedOut,
    /// There is no route to that address, or it is one that nothing can be sent to.
    Unreachable,
    /// A datagram is longer than the interface, its path or its peer can take.
    TooLong,
    /// No memory, port or socket is left: a limit of [`Limits`](crate::Limits), or of Linux.
    Exhausted,
    /// The name does not exist, or the name server has no address for it.
    NoSuchName,
    /// No name server is known, from arguments, DHCP or routers.
    NoServer,
    /// The name, or the answer of the name server, is malformed.
    BadName,
    /// Linux does not permit it; a line of the log says what would.
    Denied,
    /// The interface is broken for good.
    Down,
    /// This network cannot do that: no implementation here can, or not this one.
    Unsupported,
    /// The peer is not who it should be, or breaks a protocol's rules: the log says more.
    Untrusted,
    /// There is no randomness to choose ports and sequence numbers by.
    NoEntropy,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InUse(port) => return write!(f, "port {port} is in use"),
            Self::AddrNotAvailable => {
                "this machine does not have that address: bind to one of its own, or to 0.0.0.0 \
                 for all of them"
            }
            Self::Refused => "the connection was refused",
            Self::Reset => "the connection was reset",
            Self::Closed => "the connection is closed",
            Self::TimedOut => "the peer does not answer",
            Self::Unreachable => "there is no route to that address",
            Self::TooLong => "the datagram is too long",
            Self::Exhausted => "no memory, port or socket is left",
            Self::NoSuchName => "there is no address for that name",
            Self::NoServer => "no name server is known: see the argument dns=",
            Self::BadName => "that name cannot be resolved",
            Self::Denied => "the system does not permit it",
            Self::Down => "the network interface is broken",
            Self::Unsupported => "that cannot be done by this network",
            Self::Untrusted => "the peer is not to be trusted: see the log",
            Self::NoEntropy => "there is no source of randomness: see the argument seed=",
        })
    }
}

impl core::error::Error for Error {}

impl embedded_io_async::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::InUse(_) => ErrorKind::AddrInUse,
            Self::AddrNotAvailable => ErrorKind::AddrNotAvailable,
            Self::Refused => ErrorKind::ConnectionRefused,
            Self::Reset => ErrorKind::ConnectionReset,
            Self::Closed => ErrorKind::NotConnected,
            Self::TimedOut => ErrorKind::TimedOut,
            Self::TooLong | Self::BadName => ErrorKind::InvalidInput,
            Self::Exhausted => ErrorKind::OutOfMemory,
            Self::NoSuchName => ErrorKind::NotFound,
            Self::Denied => ErrorKind::PermissionDenied,
            Self::Unsupported => ErrorKind::Unsupported,
            Self::Untrusted => ErrorKind::InvalidData,
            Self::Unreachable | Self::NoServer | Self::Down | Self::NoEntropy => ErrorKind::Other,
        }
    }
}
