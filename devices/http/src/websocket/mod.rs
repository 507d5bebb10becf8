//! WebSockets (RFC 6455): messages in both directions over a connection of HTTP's.
//!
//! [`accept`](WebSocket::accept) answers a request by a [`WebSocket`], from which a handler
//! [receives](WebSocket::receive) messages and to which it [sends](WebSocket::send) them.
//! Pings are answered, and a client that is silent is pinged; a client that violates the protocol
//! is sent a close frame that says how.
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

/// Holds the status code of a close frame (RFC 6455, section 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u16);

impl Code {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server ends, or the user left the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer violated the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// 1003: data of this type are not accepted, such as binary messages.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1007: a text is not UTF-8, or the data do not fit the type of the message.
    pub const INVALID: Self = Self(1007);
    /// 1008: a message violates the server's policy, where no other code fits.
    pub const POLICY: Self = Self(1008);
    /// 1009: the message is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// 1011: the server failed unexpectedly.
    pub const INTERNAL: Self = Self(1011);
    /// 1013: the server is overloaded; try again later.
    pub const TRY_AGAIN: Self = Self(1013);

    /// Returns whether the code may be sent in a close frame: a registered one that is not
    /// reserved, or one of 3000 to 4999, which are for libraries and apps (section 7.4.2).
    #[must_use]
    pub const fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// Says how a client violated the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The code that it was sent.
    pub code: Code,
    /// The reason that it was sent, for people.
    pub why: &'static str,
}

/// Says why there are no more messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The connection failed, or ended without a close frame.
    Connection(ip::Error),
    /// The client violated the protocol, and was sent a close frame that says how.
    Violation(Violation),
    /// The client did not answer a ping, or is too slow with a message.
    Silent,
    /// The WebSocket was closed before, or a call of [`send`](WebSocket::send) was dropped in the
    /// middle of a message, which nothing can follow.
    Closed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => error.fmt(f),
            Self::Violation(Violation { code, why }) => {
                write!(f, "the client violated the WebSocket protocol ({}): {why}", code.0)
            }
            Self::Silent => f.write_str("the client did not answer in time"),
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

/// Holds a message (RFC 6455, section 5.6).
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

/// Chooses the clients of a WebSocket and bounds what they may do.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The most bytes of a message, in all of its fragments together: 64 KiB by default. A longer
    /// one closes the connection with [`Code::TOO_BIG`], before its content is read.
    pub message: usize,
    /// Time without a byte from the client after which it is pinged, and after which, once more,
    /// the connection is given up: 30 s by default.
    pub idle: Duration,
    /// The sites whose pages may open it: this server's own by default.
    pub origin: Origin<'a>,
    /// Subprotocols that the handler speaks: none by default. Of those that the client offers, the
    /// first that is among them is chosen; without one, the connection has none (RFC 6455, section
    /// 4.2.2).
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
