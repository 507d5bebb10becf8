//! HTTP/1.1 (RFC 9110, RFC 9112) over any [`Tcp`](crate::ip::Tcp): a server and a client.
//!
//! Messages are parsed by `httparse`, the parser under hyper: it is kept, strict
//! where that matters, allocates nothing and knows nothing of connections. What
//! stands here is that: keep-alive, pipelining, bodies by length and in chunks,
//! time limits, and the refusal of everything that two readers might take for
//! different requests (RFC 9112, section 11.2). `picoserve` was looked at and
//! does not read chunked bodies, nor refuse two lengths that differ; it would
//! need this layer in front of it all the same.
//!
//! A program implements [`Handler`] and calls [`serve`]; or calls [`client::get`].

mod body;
pub mod client;
mod date;
mod head;
mod response;
mod server;
#[cfg(test)]
mod tests;
mod url;

pub use body::Body;
pub(crate) use date::civil;
pub use date::{format as date, parse as parse_date};
pub use head::{Answer, Method, Request};
pub use response::{Response, Sink};
pub use server::{Handler, Limits, Stats, connection, serve};
pub use url::Url;

use crate::ip;
use core::fmt;

/// A status code (RFC 9110, section 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// 200: here it is.
    pub const OK: Self = Self(200);
    /// 400: the request makes no sense.
    pub const BAD_REQUEST: Self = Self(400);
    /// 404: there is no such thing.
    pub const NOT_FOUND: Self = Self(404);
    /// 405: that cannot be done with it.
    pub const METHOD_NOT_ALLOWED: Self = Self(405);
    /// 408: the request took too long to arrive.
    pub const TIMEOUT: Self = Self(408);
    /// 413: the body is too long.
    pub const TOO_LARGE: Self = Self(413);
    /// 417: there is nothing to meet that expectation.
    pub const EXPECTATION_FAILED: Self = Self(417);
    /// 431: the head is too long.
    pub const HEAD_TOO_LARGE: Self = Self(431);
    /// 500: the handler failed.
    pub const INTERNAL: Self = Self(500);
    /// 501: no such method, or transfer encoding.
    pub const NOT_IMPLEMENTED: Self = Self(501);
    /// 503: there is too much to do.
    pub const UNAVAILABLE: Self = Self(503);
    /// 505: another version of HTTP.
    pub const VERSION: Self = Self(505);

    /// The phrase that goes with it, for people.
    #[must_use]
    pub const fn phrase(self) -> &'static str {
        match self.0 {
            200 => "OK",
            204 => "No Content",
            206 => "Partial Content",
            301 => "Moved Permanently",
            302 => "Found",
            304 => "Not Modified",
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            412 => "Precondition Failed",
            413 => "Content Too Large",
            416 => "Range Not Satisfiable",
            417 => "Expectation Failed",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            503 => "Service Unavailable",
            505 => "HTTP Version Not Supported",
            _ => "Other",
        }
    }
}

/// Why a request or its answer went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The connection failed.
    Connection(ip::Error),
    /// The message, or its body, is wrong: the status says how.
    Request(Status),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => error.fmt(f),
            Self::Request(status) => f.write_str(status.phrase()),
        }
    }
}

impl core::error::Error for Error {}

impl embedded_io_async::Error for Error {
    fn kind(&self) -> embedded_io_async::ErrorKind {
        match self {
            Self::Connection(error) => embedded_io_async::Error::kind(error),
            Self::Request(_) => embedded_io_async::ErrorKind::InvalidData,
        }
    }
}

impl From<ip::Error> for Error {
    fn from(error: ip::Error) -> Self {
        Self::Connection(error)
    }
}
