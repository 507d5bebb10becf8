//! Why a request failed.

use crate::Errno;
use core::fmt;

/// Says why a xenstore request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// This domain has no xenstore.
    Missing,
    /// xenstored violated the protocol. Every further request fails with this error.
    Broken,
    /// xenstored answered with an error (`XS_ERROR`).
    Refused(Errno),
    /// A path, or a path with its value, exceeds the 4096 bytes of a message (rule X1).
    TooLong,
    /// The reply is malformed.
    BadReply,
    /// A transaction collided with others in each of its tries (rule X11).
    Collision,
    /// xenstored did not answer in time. This crate has no clock: drivers that bound their waits
    /// report it.
    Silent,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("this domain has no xenstore"),
            Self::Broken => f.write_str("xenstored violated the protocol"),
            Self::Refused(errno) => write!(f, "xenstored refused the request: {errno}"),
            Self::TooLong => f.write_str("a xenstore path with its value has more than 4096 bytes"),
            Self::BadReply => f.write_str("xenstored sent a malformed reply"),
            Self::Collision => f.write_str("a xenstore transaction kept colliding with others"),
            Self::Silent => f.write_str("xenstored does not answer"),
        }
    }
}

impl core::error::Error for Error {}
