//! HTTP/1.1 (RFC 9110, RFC 9112) over any [`Tcp`](ip::Tcp): a server and a client; and HTTP/2
//! (RFC 9113) in the server, where it is [asked for](Server::http2).
//!
//! Messages are parsed by the grammar and nothing else; everything that two recipients might
//! take for different requests is refused (RFC 9112, section 11.2). There are
//! keep-alive, pipelining, bodies by length and in chunks, and time limits. `httparse`,
//! the parser under hyper, was used before: it reads over line ends and blanks in chunk
//! sizes, takes an LF for a line's end and knows no form of a target, so that as much
//! code as this stood around it. `picoserve` was looked at and does not read chunked
//! bodies, nor refuse two lengths that differ.
//!
//! A [`Handler`] answers requests, each of which it is given as an [`Exchange`]; a [`Server`]
//! gives them to it. [`files`] serves files; [`client`] fetches.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod access;
mod body;
mod budget;
pub mod client;
pub mod cookie;
mod date;
pub mod events;
mod exchange;
mod fields;
pub mod files;
pub mod form;
mod h2;
mod head;
pub mod json;

mod limits;
mod link;
mod matched;
mod moving;
mod pace;
mod pool;
mod problem;
mod response;
mod router;
mod server;
mod sink;
mod syntax;
#[cfg(test)]
mod tests;
mod upgrade;
mod url;

pub mod websocket;

pub use access::AccessLog;
pub use body::Body;
pub use budget::Collected;
pub use date::{format as date, parse as parse_date};
pub use exchange::{Exchange, Handler, With, with};
pub use head::{Method, Request, Version};
pub use limits::{Limits, Stats};
pub use problem::ProblemDetails;
pub use router::{End, Route, Router, Routes};
pub use server::{Bound, Server, connection};
pub use sink::Sink;
pub use upgrade::Upgraded;
pub use url::{Error as UrlError, Url};

use alloc::collections::TryReserveError;
use core::fmt;

/// Holds a status code (RFC 9110, section 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// 101 (Switching Protocols): another protocol goes on with the connection.
    pub const SWITCHING_PROTOCOLS: Self = Self(101);
    /// 200 (OK): the request has succeeded.
    pub const OK: Self = Self(200);
    /// 201 (Created): a resource was created; the field `Location` says where.
    pub const CREATED: Self = Self(201);
    /// 204 (No Content): the request has succeeded, and the response has no content.
    pub const NO_CONTENT: Self = Self(204);
    /// 400 (Bad Request): the message breaks the rules, or makes no sense.
    pub const BAD_REQUEST: Self = Self(400);
    /// 404 (Not Found): there is no such resource.
    pub const NOT_FOUND: Self = Self(404);
    /// 405 (Method Not Allowed): the resource has other methods; the field `Allow` lists them.
    pub const METHOD_NOT_ALLOWED: Self = Self(405);
    /// 408 (Request Timeout): the request took too long to arrive.
    pub const TIMEOUT: Self = Self(408);
    /// 413 (Content Too Large): the body is longer than the server takes.
    pub const TOO_LARGE: Self = Self(413);
    /// 414 (URI Too Long): the request's target is longer than the server takes.
    pub const URI_TOO_LONG: Self = Self(414);
    /// 417 (Expectation Failed): the field `Expect` asks for something other than 100-continue.
    pub const EXPECTATION_FAILED: Self = Self(417);
    /// 431 (Request Header Fields Too Large): the head is too long or has too many fields.
    pub const HEAD_TOO_LARGE: Self = Self(431);
    /// 500 (Internal Server Error): the handler failed.
    pub const INTERNAL: Self = Self(500);
    /// 501 (Not Implemented): the server does not know the method or the transfer coding.
    pub const NOT_IMPLEMENTED: Self = Self(501);
    /// 503 (Service Unavailable): there is no memory or no room for another connection now.
    pub const UNAVAILABLE: Self = Self(503);
    /// 505 (HTTP Version Not Supported): the request is not of HTTP/1.
    pub const VERSION: Self = Self(505);

    /// Returns the reason phrase of the IANA registry of status codes, for people;
    /// `Unassigned` for a code that is not registered.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        // That of nearly all answers.
        if self == Self::OK {
            return "OK";
        }
        let class = PHRASES.get(usize::from(self.0 / 100).wrapping_sub(1));
        let phrase = class.and_then(|class| class.split('|').nth(usize::from(self.0 % 100)));
        phrase.filter(|phrase| !phrase.is_empty()).unwrap_or("Unassigned")
    }
}

/// The phrases of each class of codes, one after the other from its first code on: small, and
/// the first are the frequent ones.
const PHRASES: [&str; 5] = [
    // 1xx
    "Continue|Switching Protocols|Processing|Early Hints|Upload Resumption Supported",
    // 2xx
    "OK|Created|Accepted|Non-Authoritative Information|No Content|Reset Content|\
     Partial Content|Multi-Status|Already Reported||||||||||||||||||IM Used",
    // 3xx
    "Multiple Choices|Moved Permanently|Found|See Other|Not Modified|Use Proxy||\
     Temporary Redirect|Permanent Redirect",
    // 4xx
    "Bad Request|Unauthorized|Payment Required|Forbidden|Not Found|\
     Method Not Allowed|Not Acceptable|Proxy Authentication Required|Request Timeout|\
     Conflict|Gone|Length Required|Precondition Failed|Content Too Large|\
     URI Too Long|Unsupported Media Type|Range Not Satisfiable|Expectation Failed||||\
     Misdirected Request|Unprocessable Content|Locked|Failed Dependency|Too Early|\
     Upgrade Required||Precondition Required|Too Many Requests||\
     Request Header Fields Too Large||||||||||||||||||||Unavailable For Legal Reasons",
    // 5xx
    "Internal Server Error|Not Implemented|Bad Gateway|Service Unavailable|\
     Gateway Timeout|HTTP Version Not Supported|Variant Also Negotiates|\
     Insufficient Storage|Loop Detected||Not Extended|Network Authentication Required",
];

/// Says why a request or its response was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The connection failed.
    Connection(ip::Error),
    /// The message or its body is refused, or the handler failed: with this status.
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

/// There is no memory now: [`Status::UNAVAILABLE`].
impl From<TryReserveError> for Error {
    fn from(_: TryReserveError) -> Self {
        Self::Request(Status::UNAVAILABLE)
    }
}

impl From<ip::Error> for Error {
    fn from(error: ip::Error) -> Self {
        Self::Connection(error)
    }
}
