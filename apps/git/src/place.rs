//! Where a repository is, what is wanted of it, and what can go wrong on the way there.

use crate::error::Error;
use crate::pack::Limits;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::time::Duration;
use xenith::http::client;
use xenith::http::{Status, Url};
use xenith::ip;
use xenith::text::Escaped;

/// The port of git's own protocol.
const PORT: u16 = 9418;

/// Says where a repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At a server of git's own protocol.
    Git {
        /// Its name or address.
        host: String,
        /// Its TCP port.
        port: u16,
        /// The repository's path there.
        path: String,
    },
    /// At this URL, over HTTP or HTTPS.
    Http(String),
}

impl Place {
    /// Reads `git://HOST[:PORT]/PATH`, or a URL of HTTP. Returns `None` for anything else.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let Some(rest) = url.strip_prefix("git://") else {
            return Url::parse(url).ok().map(|_| Self::Http(url.trim_end_matches('/').into()));
        };
        let (authority, path) = rest.split_at_checked(rest.find('/')?)?;
        let (host, port) = match authority.strip_prefix('[') {
            // An address of IPv6.
            Some(rest) => rest.split_once(']')?,
            None => authority.split_at_checked(authority.find(':').unwrap_or(authority.len()))?,
        };
        let port = match port.strip_prefix(':') {
            Some(digits) => digits.parse().ok()?,
            None if port.is_empty() => PORT,
            None => return None,
        };
        // So that no line ends early.
        let plain = |text: &str| text.bytes().all(|byte| byte > b' ' && byte != 0x7f);
        let fits = url.len() <= 4096 && plain(url) && !host.is_empty() && !host.contains('@');
        (fits && path.len() > 1).then(|| Self::Git { host: host.into(), port, path: path.into() })
    }
}

/// Says why a repository could not be read, or written to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// There is no connection with the server.
    Connect(ip::Error),
    /// What came over git's own protocol is wrong.
    Git(Error<ip::Error>),
    /// What came over HTTP is wrong.
    Http(Error<client::Error>),
    /// There is no answer of HTTP.
    Fetch(client::Failure),
    /// The server answers with this status.
    Status(Status),
    /// The server answers with something else than git would.
    NotGit,
    /// It takes longer than this.
    TimedOut(Duration),
    /// The branch no longer stands for the commit that was read, and stays what it is.
    Moved,
    /// A push was sent, and what became of it is not known: this came in place of a report, and the
    /// branch did not stand for what was pushed when it was asked for. It may do so yet.
    Unknown(Box<Self>),
    /// The server does not take a push, and says why, of which the beginning is kept.
    Refused(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Git(error) => error.fmt(f),
            Self::Http(error) => error.fmt(f),
            Self::Fetch(failure) => failure.fmt(f),
            Self::Status(status) => {
                write!(f, "the server answers with {} {}", status.0, status.phrase())
            }
            Self::NotGit => f.write_str("there is no server of git's smart HTTP"),
            Self::TimedOut(time) => write!(f, "it is not done within {} s", time.as_secs_f32()),
            Self::Moved => f.write_str("the branch has moved: there is another commit by now"),
            Self::Unknown(why) => {
                write!(f, "it is not known whether the change was made: {why}")
            }
            Self::Refused(why) => {
                write!(f, "the server refuses the push: {}", Escaped(why.as_bytes()))
            }
        }
    }
}

impl core::error::Error for Failure {}

impl Failure {
    /// Whether the server took too long.
    pub(crate) fn is_late(&self) -> bool {
        match self {
            Self::Git(Error::Stream(ip::Error::TimedOut)) | Self::TimedOut(_) => true,
            Self::Http(Error::Stream(error)) => matches!(error, client::Error::TimedOut(..)),
            Self::Fetch(failure) => matches!(failure.error, client::Error::TimedOut(..)),
            Self::Unknown(failure) => failure.is_late(),
            _ => false,
        }
    }

    /// Whether a push that ends so was not done: nothing of it was sent, or the server says so.
    pub(crate) const fn is_told(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            // Who says 408 may be somebody on the way.
            Self::Status(status) => matches!(status.0, 400..=407 | 409..=499),
            Self::Fetch(failure) => matches!(
                failure.error,
                client::Error::Url(_)
                    | client::Error::Request(_)
                    | client::Error::Name(_)
                    | client::Error::Connect(_)
            ),
            _ => false,
        }
    }

    /// Whether the same commit would fail again.
    pub(crate) const fn lasts(&self) -> bool {
        match self {
            Self::Git(error) => error.lasts(),
            Self::Http(error) => error.lasts(),
            _ => false,
        }
    }
}

impl From<client::Failure> for Failure {
    fn from(failure: client::Failure) -> Self {
        Self::Fetch(failure)
    }
}

/// Says what is wanted, and within which bounds.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// A branch or tag by its name (`main`, `v1`), a ref by its whole name, or `HEAD`.
    pub name: String,
    /// What it may take of the memory.
    pub limits: Limits,
    /// The longest silence of the server, and of each of its addresses; it may think about a push
    /// for all of `time`.
    pub patience: Duration,
    /// The time for all of it.
    pub time: Duration,
}

/// The server as a client names it.
pub(crate) fn host_line(host: &str, port: u16) -> String {
    match (host.contains(':'), port) {
        (true, port) => format!("[{host}]:{port}"),
        (false, PORT) => host.into(),
        (false, port) => format!("{host}:{port}"),
    }
}

/// A place as it is told to people.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Git { host, port, path } => {
                write!(f, "git://{}{}", host_line(host, *port), Escaped(path.as_bytes()))
            }
            // Without the password that may be in it.
            Self::Http(url) => match Url::parse(url) {
                Ok(url) => url.fmt(f),
                Err(error) => error.fmt(f),
            },
        }
    }
}
