//! Why there is no page.

use super::answer;
use super::inflate;
use crate::url;
use crate::{Error as Wrong, Status};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use kernel::text::Escaped;

/// What a server is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// To take the request.
    Request,
    /// To say the first byte of an answer.
    Answer,
    /// To end the answer's head.
    Head,
    /// To go on with its body.
    Body,
    /// To be done with everything, redirects included.
    All,
}

/// Why there is no page.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The address is none.
    Url(url::Error),
    /// The server leads to this address, which is none.
    Location(String, url::Error),
    /// What was asked for cannot be sent: why.
    Request(&'static str),
    /// The host's name has no address.
    Name(ip::Error),
    /// No connection came about: with none of these addresses.
    Connect(Vec<(SocketAddr, ip::Error)>),
    /// The connection ended too early, in this part.
    Lost(Part, ip::Error),
    /// What answers does not speak HTTP/1, or breaks its rules.
    NotHttp(answer::Flaw),
    /// The content is not coded as it says.
    Coding(inflate::Flaw),
    /// The head or the body is longer than this many bytes, which are allowed.
    TooLong(Part, u64),
    /// The server takes longer than this for that part.
    TimedOut(Part, Duration),
    /// There are more redirects than this many, which are allowed.
    Redirects(usize),
    /// No memory is left.
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
                    Part::Request | Part::Answer => "the connection ends without an answer: ",
                    Part::Head => "the answer breaks off in its head: ",
                    Part::Body | Part::All => "the answer breaks off in its body: ",
                })?;
                error.fmt(f)
            }
            Self::NotHttp(flaw) => write!(f, "the answer is not one of HTTP/1: {flaw}"),
            Self::Coding(flaw) => write!(f, "the content is not coded as it says: {flaw}"),
            Self::TooLong(part, most) => {
                let part = if *part == Part::Body { "body" } else { "head" };
                write!(f, "the answer's {part} is longer than the {most} bytes allowed")
            }
            Self::TimedOut(part, time) => {
                f.write_str(match part {
                    Part::Request => "the server takes too long: it does not take the request",
                    Part::Answer => "the server takes too long: it does not answer",
                    Part::Head => "the server takes too long: it does not end the answer's head",
                    Part::Body => "the server takes too long: no more of the body comes",
                    Part::All => "it takes too long: it is not done",
                })?;
                write!(f, " within {} s", time.as_secs_f32())
            }
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
            Error::TimedOut(Part::Body, patience)
        }
        Wrong::Connection(error) => Error::Lost(Part::Body, error),
        Wrong::Request(Status::TOO_LARGE) => Error::TooLong(Part::Body, most),
        Wrong::Request(_) => Error::NotHttp(answer::Flaw::Chunk),
    }
}

/// Why there is no page, and where there is none: at the address asked for, or at that
/// of a redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The address, without a user.
    pub url: String,
    /// Why.
    pub error: Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Escaped(self.url.as_bytes()), self.error)
    }
}

impl core::error::Error for Failure {}
