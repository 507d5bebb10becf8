//! Errors of the client.

use super::inflate;
use super::response;
use crate::url;
use crate::{Error as Wrong, Status};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use kernel::text::Escaped;

/// Names the stage of an exchange in which a limit was exceeded or the connection lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// The server takes the request.
    Request,
    /// The server sends the first byte of a response.
    Response,
    /// The server sends the rest of the head.
    Head,
    /// The server sends the body.
    Body,
    /// The whole exchange, redirects included.
    All,
}

/// Says why a page could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The address is not a URL that can be fetched.
    Url(url::Error),
    /// The server redirects to this address, which is not a URL that can be fetched.
    Location(String, url::Error),
    /// The request cannot be sent, for this reason.
    Request(&'static str),
    /// The host's name has no address.
    Name(ip::Error),
    /// No connection could be made with any of these addresses.
    Connect(Vec<(SocketAddr, ip::Error)>),
    /// The connection ended too early, at this stage.
    Lost(Stage, ip::Error),
    /// The response is not one of HTTP/1, or breaks its rules.
    NotHttp(response::Flaw),
    /// The content is not coded as it says.
    Coding(inflate::Flaw),
    /// The head or the body is longer than this limit, in bytes.
    TooLong(Stage, u64),
    /// The server takes longer than this limit at that stage.
    TimedOut(Stage, Duration),
    /// The server redirects from `https` to this address, where nothing is encrypted.
    Downgrade(String),
    /// There are more redirects than this limit.
    Redirects(usize),
    /// There is no memory for it.
    Memory,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => error.fmt(f),
            Self::Location(to, error) => {
                write!(f, "the server leads to {}: {error}", Escaped(to.as_bytes()))
            }
            Self::Request(why) => f.write_str(why),
            Self::Name(error) => error.fmt(f),
            Self::Connect(tried) => {
                for (at, (address, error)) in tried.iter().enumerate() {
                    let between = if at == 0 { "" } else { "; " };
                    write!(f, "{between}{address}: {error}")?;
                }
                Ok(())
            }
            Self::Lost(part, error) => {
                f.write_str(match part {
                    Stage::Request | Stage::Response => "the connection ends without an answer: ",
                    Stage::Head => "the answer breaks off in its head: ",
                    Stage::Body | Stage::All => "the answer breaks off in its body: ",
                })?;
                error.fmt(f)
            }
            Self::NotHttp(flaw) => write!(f, "the answer is not one of HTTP/1: {flaw}"),
            Self::Coding(flaw) => write!(f, "the content is not coded as it says: {flaw}"),
            Self::TooLong(part, most) => {
                let part = if *part == Stage::Body { "body" } else { "head" };
                write!(f, "the answer's {part} is longer than the {most} bytes allowed")
            }
            Self::TimedOut(part, time) => {
                f.write_str(match part {
                    Stage::Request => "the server takes too long: it does not take the request",
                    Stage::Response => "the server takes too long: it does not answer",
                    Stage::Head => "the server takes too long: it does not end the answer's head",
                    Stage::Body => "the server takes too long: no more of the body comes",
                    Stage::All => "it takes too long: it is not done",
                })?;
                write!(f, " within {} s", time.as_secs_f32())
            }
            Self::Downgrade(to) => write!(
                f,
                "the server redirects to {to}, where nothing is encrypted, and that is not allowed"
            ),
            Self::Redirects(most) => write!(f, "there are more than {most} redirects"),
            Self::Memory => f.write_str("no memory is left"),
        }
    }
}

impl core::error::Error for Error {}

impl embedded_io_async::Error for Error {
    fn kind(&self) -> embedded_io_async::ErrorKind {
        use embedded_io_async::ErrorKind;
        match self {
            Self::Lost(_, error) => embedded_io_async::Error::kind(error),
            Self::TimedOut(..) => ErrorKind::TimedOut,
            Self::Memory => ErrorKind::OutOfMemory,
            _ => ErrorKind::InvalidData,
        }
    }
}

/// What becomes of an error of a body that may have so many bytes and take that long for
/// each piece.
pub(super) fn of_body(error: Wrong, most: u64, patience: Duration) -> Error {
    match error {
        Wrong::Connection(ip::Error::TimedOut) | Wrong::Request(Status::TIMEOUT) => {
            Error::TimedOut(Stage::Body, patience)
        }
        Wrong::Connection(error) => Error::Lost(Stage::Body, error),
        Wrong::Request(Status::TOO_LARGE) => Error::TooLong(Stage::Body, most),
        Wrong::Request(_) => Error::NotHttp(response::Flaw::Chunk),
    }
}

/// Says why a page could not be fetched, and at which address: the one asked for, or that of a
/// redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The address, without user and password.
    pub url: String,
    /// The error.
    pub error: Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Escaped(self.url.as_bytes()), self.error)
    }
}

impl core::error::Error for Failure {}
