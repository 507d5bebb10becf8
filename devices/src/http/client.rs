//! Fetching pages: one request on one connection, and redirects.
//!
//! Answers are as little trusted as requests are: heads and bodies go through the code
//! that the server's go through, and everything is bounded in bytes and in time.

use super::answer::{Answer, AnswerHead, AnswerParser};
use super::body::{Body, LINE};
use super::response::put;
use super::url::{self, Url};
use super::{Error as Wrong, Status};
use crate::ip::{self, Resolve, Stream, Tcp};
use alloc::string::String;
use core::fmt::{self, Write as _};
use core::net::SocketAddr;
use core::time::Duration;
use embedded_io_async::{ErrorType, Write};
use kernel::time::{Instant, timeout};

/// Answers before the last one, such as `100 Continue`, that are read over.
const INTERIM: usize = 8;

/// What a server may ask of the client's patience and memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Redirects that are followed.
    pub redirects: usize,
    /// Bytes of an answer's head, 65,535 at most, and of what its body is read in.
    pub head: usize,
    /// Bytes of an answer's body.
    pub body: u64,
    /// How long a connection may take to come about.
    pub connect: Duration,
    /// How long a head may take to arrive, and each further piece of a body.
    pub answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            redirects: 5,
            head: 4096,
            body: 1 << 30,
            connect: Duration::from_secs(15),
            answer: Duration::from_secs(30),
        }
    }
}

/// Why there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The address, or that of a redirect, is none.
    Url(url::Error),
    /// The host's name has no address.
    Name(ip::Error),
    /// No connection came about.
    Connect(ip::Error),
    /// The connection ended too early.
    Lost(ip::Error),
    /// What answers does not speak HTTP/1, or breaks its rules.
    NotHttp,
    /// The head or the body is longer than allowed.
    TooLong,
    /// The server takes too long.
    TimedOut,
    /// There are more redirects than allowed.
    Redirects,
    /// No memory is left.
    Memory,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url(error) => return error.fmt(f),
            Self::Name(error) | Self::Connect(error) => return error.fmt(f),
            Self::Lost(error) => return write!(f, "the answer breaks off: {error}"),
            Self::NotHttp => "the answer is not one of HTTP/1",
            Self::TooLong => "the answer is longer than allowed",
            Self::TimedOut => "the server takes too long to answer",
            Self::Redirects => "there are too many redirects",
            Self::Memory => "no memory is left",
        })
    }
}

impl core::error::Error for Error {}

impl From<Wrong> for Error {
    fn from(error: Wrong) -> Self {
        match error {
            Wrong::Connection(ip::Error::TimedOut) | Wrong::Request(Status::TIMEOUT) => {
                Self::TimedOut
            }
            Wrong::Connection(error) => Self::Lost(error),
            Wrong::Request(Status::TOO_LARGE | Status::HEAD_TOO_LARGE) => Self::TooLong,
            Wrong::Request(_) => Self::NotHttp,
        }
    }
}

/// Where a client's body would say `100 Continue`: a client has nothing to say there.
#[derive(Debug)]
pub struct Mute(());

impl ErrorType for Mute {
    type Error = ip::Error;
}

impl Write for Mute {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ip::Error> {
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), ip::Error> {
        Ok(())
    }
}

/// Gets the page at `url`, and where redirects lead to from there, and gives the last
/// answer with its body to `take`. What `take` leaves of the body is not waited for.
///
/// # Errors
/// See [`Error`]. A status that tells of an error is none.
pub async fn get<N: Tcp + Resolve, T>(
    net: &N,
    url: &str,
    limits: &Limits,
    take: impl AsyncFnOnce(&Url, Answer<'_>, &mut Body<'_, N::Stream, Mute>) -> Result<T, Wrong>,
) -> Result<T, Error> {
    // With room for the lines between chunks behind the longest head.
    let mut buffer = kernel::memory::zeroed(limits.head + LINE).ok_or(Error::Memory)?;
    let mut url = Url::parse(url).map_err(Error::Url)?;
    for _ in 0..=limits.redirects {
        let mut stream = connect(net, &url, limits).await?;
        ask(&mut stream, &url, limits).await?;
        let (head, end) = hear(&mut stream, &mut buffer, limits).await?;
        let (of_head, rest) = buffer.split_at_mut(head.length);
        let answer = Answer::new(of_head, &head);
        if let Some(to) = redirect(&answer) {
            url = url.join(to).map_err(Error::Url)?;
            stream.abort();
            continue;
        }
        if answer.length().is_some_and(|length| length > limits.body) {
            stream.abort();
            return Err(Error::TooLong);
        }
        let mut mute = Mute(());
        let mut body = Body::new(
            (&mut stream, &mut mute),
            rest,
            end - head.length,
            head.framing,
            false,
            (limits.body, limits.answer),
        );
        let result = take(&url, answer, &mut body).await;
        if body.is_over() {
            // The page is there, however the connection ends.
            let _ = timeout(Duration::from_secs(1), stream.close()).await;
        } else {
            stream.abort();
        }
        return result.map_err(Error::from);
    }
    Err(Error::Redirects)
}

/// Connects to one of the addresses that the URL's host has.
async fn connect<N: Tcp + Resolve>(
    net: &N,
    url: &Url,
    limits: &Limits,
) -> Result<N::Stream, Error> {
    let mut last = Error::Name(ip::Error::NoSuchName);
    for address in net.resolve(url.host()).await.map_err(Error::Name)? {
        let to = SocketAddr::new(address, url.port());
        match timeout(limits.connect, net.connect(to)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = Error::Connect(error),
            Err(_) => last = Error::Connect(ip::Error::TimedOut),
        }
    }
    Err(last)
}

/// Sends the request.
async fn ask<S: Stream>(stream: &mut S, url: &Url, limits: &Limits) -> Result<(), Error> {
    let mut request = String::new();
    let (slash, target) = (if url.has_path() { "" } else { "/" }, url.target());
    // Writing to a string does not fail.
    let _ = write!(
        request,
        "GET {slash}{target} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Xenith\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n",
        url.authority()
    );
    Ok(put(stream, request.as_bytes(), limits.answer).await?)
}

/// Reads the head of the answer; how many bytes are in `buffer` then.
async fn hear<S: Stream>(
    stream: &mut S,
    buffer: &mut [u8],
    limits: &Limits,
) -> Result<(AnswerHead, usize), Error> {
    let deadline = Instant::now().saturating_add(limits.answer);
    let (mut end, mut interim) = (0, 0);
    let mut parser = AnswerParser::default();
    loop {
        match parser.parse(&mut buffer[..end]).map_err(Wrong::Request)? {
            Some(head) if (100..200).contains(&head.status.0) => {
                interim += 1;
                // Another protocol was not asked for.
                if head.status.0 == 101 || interim > INTERIM {
                    return Err(Error::NotHttp);
                }
                buffer.copy_within(head.length..end, 0);
                end -= head.length;
                parser = AnswerParser::default();
                continue;
            }
            Some(head) if head.length > limits.head => return Err(Error::TooLong),
            Some(head) => return Ok((head, end)),
            None if end >= limits.head => return Err(Error::TooLong),
            None => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match timeout(left, stream.read(&mut buffer[end..])).await {
            Ok(Ok(0)) => return Err(Error::Lost(ip::Error::Closed)),
            Ok(Ok(count)) => end += count,
            Ok(Err(error)) => return Err(Wrong::Connection(error).into()),
            Err(_) => return Err(Error::TimedOut),
        }
    }
}

/// Where the answer leads to, if it is a redirect.
fn redirect<'a>(answer: &Answer<'a>) -> Option<&'a str> {
    if !matches!(answer.status().0, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    // One that says nothing of that is a page like others.
    let to = answer.field("location").filter(|to| !to.is_empty())?;
    // What is not text becomes no URL.
    Some(core::str::from_utf8(to).unwrap_or(" "))
}
