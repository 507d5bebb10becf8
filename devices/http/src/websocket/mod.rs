//! WebSockets (RFC 6455): messages in both directions over a connection of HTTP's.
//!
//! [`accept`](WebSocket::accept) answers a request by a [`WebSocket`], from which a handler
//! [receives](WebSocket::receive) messages and to which it [sends](WebSocket::send) them.
//! Pings are answered and a client that is silent is asked for a sign of life; a client that
//! breaks the protocol is told by a close frame and gone.
//!
//! ```
//! use xenith_http::websocket::{Message, Options, WebSocket};
//! use xenith_http::{Error, Exchange};
//!
//! /// Says how long each text is.
//! async fn measure(exchange: &mut Exchange<'_>) -> Result<(), Error> {
//!     let options = Options { message: 4096, ..Options::default() };
//!     let Some(mut socket) = WebSocket::accept(exchange, &options).await? else {
//!         return Ok(()); // It was told why not.
//!     };
//!     while let Some(message) = socket.receive().await? {
//!         let Message::Text(text) = message else { continue };
//!         let length = text.len().to_string();
//!         socket.send(&*length).await?;
//!     }
//!     Ok(())
//! }
//! # fn is_handler(_: impl xenith_http::Handler) {}
//! # is_handler(measure);
//! ```
//!
//! No extension is agreed on, so that nothing is compressed. The framing is our own: of the
//! crates without the standard library, `edge-ws` drops the bit by which a control frame in
//! fragments would be seen, `websocketz` adds a length of 64 bits to another and slices by the
//! sum, `ws-framer` takes frames without a mask and wants the memory of the longest message
//! before the first byte of it, and `embedded-websocket` judges no text of several frames.

mod frame;
mod handshake;
mod incoming;
mod socket;
#[cfg(test)]
mod tests;

pub use handshake::Origin;
pub use socket::WebSocket;

use crate::Status;
use core::fmt;
use core::time::Duration;

/// Why a connection is closed (RFC 6455, section 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u16);

impl Code {
    /// 1000: what it was for is done.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server ends, or the browser left the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// 1003: data of this sort are not taken.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1007: the text is not UTF-8, or the data are not what the message says.
    pub const INVALID: Self = Self(1007);
    /// 1008: it is against the rules, where no other code says which.
    pub const POLICY: Self = Self(1008);
    /// 1009: the message is too long.
    pub const TOO_BIG: Self = Self(1009);
    /// 1011: the server failed.
    pub const INTERNAL: Self = Self(1011);
    /// 1013: there is too much to do.
    pub const TRY_AGAIN: Self = Self(1013);

    /// Whether it may stand in a close frame: a registered code, or one for the use of
    /// libraries and apps.
    #[must_use]
    pub const fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// What a client sent that it may not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// What it was told.
    pub code: Code,
    /// What is wrong, for people.
    pub why: &'static str,
}

/// Why there are no more messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The connection failed, or ended without a close frame.
    Connection(ip::Error),
    /// The client broke the protocol, and was told so.
    Violation(Violation),
    /// The client gave no sign of life, or is too slow with a message.
    Silent,
    /// The connection was closed before, or a message was cut off when its sending was
    /// dropped; there is nothing that may follow it.
    Closed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => error.fmt(f),
            Self::Violation(Violation { code, why }) => {
                write!(f, "the client broke the WebSocket protocol ({}): {why}", code.0)
            }
            Self::Silent => f.write_str("the client gave no sign of life in time"),
            Self::Closed => f.write_str("the WebSocket is closed, and nothing can be sent"),
        }
    }
}

impl core::error::Error for Error {}

impl From<ip::Error> for Error {
    fn from(error: ip::Error) -> Self {
        Self::Connection(error)
    }
}

/// A handler that passes one of these on ends the connection in order, where it did not fail.
impl From<Error> for crate::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Connection(error) => Self::Connection(error),
            Error::Violation(_) | Error::Silent | Error::Closed => {
                Self::Request(Status::BAD_REQUEST)
            }
        }
    }
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        match error {
            crate::Error::Connection(error) => Self::Connection(error),
            crate::Error::Request(_) => Self::Closed,
        }
    }
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes)
    }
}

/// What a client may do, and which clients.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Bytes of a message at most, in all of its fragments together. A longer one is
    /// answered with [`Code::TOO_BIG`] when its length is announced.
    pub message: usize,
    /// After so long without a byte from the client it is pinged, and after as long again it
    /// is given up.
    pub idle: Duration,
    /// Which sites' pages may open it.
    pub origin: Origin<'a>,
    /// Subprotocols that are spoken here. Of those that the client names, the first that
    /// is among them is chosen; where none is, there is none.
    pub protocols: &'a [&'a str],
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            message: 64 * 1024,
            idle: Duration::from_secs(30),
            origin: Origin::Same,
            protocols: &[],
        }
    }
}
