//! Fetches pages: sends requests, reads their responses, follows redirects.
//!
//! Servers are trusted as little as clients are: everything is bounded in bytes and in time, and a
//! response that ends too early is an error, however it is framed.
//!
//! [`get`] fetches one page; a [`Client`] keeps its connection for the next request.

mod connect;
mod content;
mod error;
mod inflate;
mod request;
mod response;
#[cfg(test)]
mod tests;

pub use content::Content;
pub use error::{Error, Failure, Stage};
pub use inflate::Flaw as CodingFlaw;
pub use request::Request;
pub use response::{Flaw, Response};

use super::body::{Body, LINE};
use super::budget::Budget;
use super::fields::Framing;
use super::link::Link;
use super::pace::Pace;
use super::response::put;
use super::url::Url;
use super::{Error as Wrong, Status};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::Cell;
use core::pin::pin;
use core::time::Duration;
use embedded_io_async::Read;
use ip::{Resolve, Stream, Tcp};
use kernel::task::{Either, select};
use kernel::time::{Instant, timeout};
use response::{Coding, ResponseHead};

/// Bytes of memory that a head is first given.
const FIRST: usize = 4096;

/// Bytes and time that the rest of a body may take that nobody wants, so that its
/// connection can be used again.
const REST: usize = 64 * 1024;
const REST_TIME: Duration = Duration::from_secs(2);

/// How long a connection that is not needed may take to close in order.
const CLOSE: Duration = Duration::from_secs(1);

/// Bounds what a server may take of the client's memory and time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Redirects that are followed: 20 by default. With 0, a redirect is given to the caller as
    /// other responses are.
    pub redirects: usize,
    /// Whether redirects from `https` to `http` are followed, where nothing is encrypted: they are
    /// not by default.
    pub downgrade: bool,
    /// Bytes of a response's head, together with those of interim ones before it: 64 KiB by
    /// default.
    pub head: usize,
    /// Bytes of a response's body, both as it comes and decoded: 1 GiB by default.
    pub body: u64,
    /// Time for a connection with each address of a name: 15 s by default.
    pub connect: Duration,
    /// Time for the server to take the request, for a head to arrive, and for each further piece
    /// of a body: 30 s by default.
    pub response: Duration,
    /// Time for all of it, from the lookup of the name to the end of the last body: an hour by
    /// default.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            redirects: 20,
            downgrade: false,
            head: 64 * 1024,
            body: 1 << 30,
            connect: Duration::from_secs(15),
            response: Duration::from_secs(30),
            total: Duration::from_secs(3600),
        }
    }
}

/// What was heard of an answer.
struct Heard<S> {
    stream: S,
    head: ResponseHead,
    /// How many bytes of the buffer are filled.
    end: usize,
    /// The request was sent as a whole.
    sent: bool,
}

/// Sends requests, and keeps the connection of the last response for the next request to the
/// same server.
#[derive(Debug)]
pub struct Client<'a, N: Tcp> {
    net: &'a N,
    limits: Limits,
    /// A connection with the server of this URL that waits for a request.
    idle: Option<(Url, N::Stream)>,
    buffer: Vec<u8>,
    sends_all: bool,
}

impl<'a, N: Tcp + Resolve> Client<'a, N> {
    /// Makes a client without a connection.
    pub const fn new(net: &'a N, limits: Limits) -> Self {
        Self { net, limits, idle: None, buffer: Vec::new(), sends_all: false }
    }

    /// Has requests sent to their end also where an answer of success (2xx) has begun, whose content
    /// is read after that: as that of a program which says the type of its answer before it reads
    /// (CGI), and nothing else. A server that has more to say, and waits for that to be taken, is
    /// not heard before [`Limits::response`] is over.
    #[must_use]
    pub fn sends_all(self) -> Self {
        Self { sends_all: true, ..self }
    }

    /// Sends `request`, follows redirects, and calls `take` with the URL, the response and the
    /// content of the last one. Content that `take` does not read may cost the connection.
    ///
    /// Once an answer has begun, no more of the request's body is sent: a server that answers while
    /// it reads gets what was sent by then, and its connection is not used again; but see
    /// [`sends_all`](Self::sends_all).
    ///
    /// A request is sent again on a new connection if the kept one turns out to be closed, but
    /// only one whose method is idempotent (RFC 9110, section 9.2.2).
    ///
    /// # Errors
    /// A [`Failure`]: the address, and the error there. Those of `take` are passed on.
    pub async fn fetch<T>(
        &mut self,
        request: &Request<'_>,
        take: impl AsyncFnOnce(&Url, Response<'_>, &mut Content<'_>) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        let mut at = String::from(request.url);
        let total = self.limits.total;
        let result = timeout(total, self.follow(request, &mut at, take)).await;
        let result = result.unwrap_or(Err(Error::TimedOut(Stage::All, total)));
        result.map_err(|error| Failure { url: at, error })
    }

    /// Closes the connection that is kept, in order.
    pub async fn close(&mut self) {
        if let Some((_, mut stream)) = self.idle.take() {
            // The page is there, however the connection ends.
            let _ = timeout(CLOSE, stream.close()).await;
        }
    }

    async fn follow<T>(
        &mut self,
        request: &Request<'_>,
        at: &mut String,
        take: impl AsyncFnOnce(&Url, Response<'_>, &mut Content<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let limits = self.limits;
        let mut url = Url::parse(request.url).map_err(Error::Url)?;
        *at = url.to_string();
        possible::<N>(&url).map_err(Error::Url)?;
        let mut sending = request::Sending::new(request, &url)?;
        let mut hops = 0;
        loop {
            let heard = self.exchange(&url, &sending).await?;
            let head = &heard.head;
            let answer = Response::new(self.buffer.get(..head.length).unwrap_or_default(), head);
            let Some(to) = redirect(&answer).filter(|_| limits.redirects > 0) else {
                if matches!(head.framing, Framing::Length(length) if length > limits.body) {
                    return Err(Error::TooLong(Stage::Body, limits.body));
                }
                let coding = match (head.transfer, head.content) {
                    (transfer, content) if !request.decode || content == Coding::Identity => {
                        transfer
                    }
                    (Coding::Identity, content) => content,
                    _ => Coding::Other,
                };
                let take = async |answer: Response<'_>, content: &mut Content<'_>| {
                    take(&url, answer, content).await
                };
                return self.content(heard, &url, coding, take).await;
            };
            if hops == limits.redirects {
                return Err(Error::Redirects(hops));
            }
            hops += 1;
            // What is not text becomes text that is no reference to anything of use.
            let to = String::from_utf8_lossy(to);
            let next = url.join(&to).and_then(|next| possible::<N>(&next).map(|()| next));
            let next = next.map_err(|error| Error::Location(to.into(), error))?;
            if url.is_secure() && !next.is_secure() && !limits.downgrade {
                return Err(Error::Downgrade(next.to_string()));
            }
            sending.redirect(head.status, url.is_same_origin(&next));
            self.content(heard, &url, Coding::Identity, async |_, _| Ok(())).await?;
            url = next;
            *at = url.to_string();
        }
    }

    /// Gives an answer from the server of `url` and its content to `take`, and keeps the
    /// connection if it can be used again.
    async fn content<T>(
        &mut self,
        heard: Heard<N::Stream>,
        url: &Url,
        coding: Coding,
        take: impl AsyncFnOnce(Response<'_>, &mut Content<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Heard { mut stream, head, end, sent } = heard;
        let bounds = (self.limits.body, self.limits.response);
        let (of_head, rest) = self.buffer.split_at_mut_checked(head.length).ok_or(Error::Memory)?;
        // What is collected of it is the program's own affair.
        let budget = Budget::new(usize::MAX);
        let counted = (bounds.0, Pace::each(bounds.1), &budget);
        let rest_of_head = end - head.length;
        let body =
            Body::new(Link::new(&mut stream), rest, rest_of_head, head.framing, false, counted);
        let mut content = Content::new(body, coding, bounds)?;
        let result = take(Response::new(of_head, &head), &mut content).await;
        let keep = head.keep && sent;
        if keep && result.is_ok() {
            // It is over already where the content was read to its end.
            let _ = timeout(REST_TIME, content.body.skip(REST)).await;
        }
        // What follows a body is no answer to anything.
        let (over, quiet) = (content.is_over(), content.body.start == content.body.end);
        if over && keep && quiet {
            self.idle = Some((url.clone(), stream));
        } else if over {
            // The page is there, however the connection ends.
            let _ = timeout(CLOSE, stream.close()).await;
        } else {
            stream.abort();
        }
        result
    }

    /// Sends a request to the server of `url` and hears the head of the answer: on the
    /// connection that is there, if there is one and it still is.
    async fn exchange(
        &mut self,
        url: &Url,
        sending: &request::Sending<'_>,
    ) -> Result<Heard<N::Stream>, Error> {
        // What must not be done twice begins on a new connection: on one that waited, one
        // would not know whether it was done (RFC 9110, section 9.2.2).
        if let Some(mut stream) = self.waiting(url).await
            && sending.is_idempotent()
        {
            match self.ask(&mut stream, url, sending).await {
                Ok((head, end, sent)) => return Ok(Heard { stream, head, end, sent }),
                // The server has closed it meanwhile.
                Err(Error::Lost(Stage::Response, _)) => {}
                Err(error) => return Err(error),
            }
        }
        let mut stream = connect::connect(self.net, url, &self.limits).await?;
        let (head, end, sent) = self.ask(&mut stream, url, sending).await?;
        Ok(Heard { stream, head, end, sent })
    }

    /// The connection that waits, if it is one with the server of `url` and still quiet.
    async fn waiting(&mut self, url: &Url) -> Option<N::Stream> {
        let (of, mut stream) = self.idle.take()?;
        if !of.is_same_origin(url) {
            let _ = timeout(CLOSE, stream.close()).await;
            return None;
        }
        // Its end, or something that nobody asked for, which is no answer to what comes.
        let quiet = timeout(Duration::ZERO, stream.read(&mut [0])).await.is_err();
        quiet.then_some(stream)
    }

    /// Sends a request and hears the head of the answer, how many bytes came, and whether
    /// all was sent by then.
    async fn ask(
        &mut self,
        stream: &mut N::Stream,
        url: &Url,
        sending: &request::Sending<'_>,
    ) -> Result<(ResponseHead, usize, bool), Error> {
        let patience = self.limits.response;
        let head = sending.head(url);
        let (mut reader, mut writer) = stream.split();
        let since = Cell::new(Instant::now());
        // A server may answer before it has heard all, and need not listen then (RFC 9112,
        // section 9.6), so both go on side by side until it does. Nothing more is sent from then
        // on: one that goes on reading while it answers does not hear all.
        let send = async {
            for piece in [head.as_bytes(), sending.body()] {
                for piece in piece.chunks(FIRST) {
                    put(&mut writer, piece, &mut Pace::each(patience)).await?;
                    since.set(Instant::now());
                }
            }
            Ok(())
        };
        let hear = hear(&mut reader, &mut self.buffer, &self.limits, sending.is_head(), &since);
        let (mut send, mut hear) = (pin!(send), pin!(hear));
        let (heard, sent) = match select(send.as_mut(), hear.as_mut()).await {
            Either::Second(Ok(heard)) if self.sends_all && matches!(heard.0.status.0, 200..300) => {
                (Ok(heard), send.await.is_ok())
            }
            Either::Second(heard) => (heard, false),
            Either::First(Err(Wrong::Connection(ip::Error::TimedOut))) => {
                return Err(Error::TimedOut(Stage::Request, patience));
            }
            // Why the server does not want it, it may have said before.
            Either::First(sent) => (hear.await, sent.is_ok()),
        };
        heard.map(|(head, end)| (head, end, sent))
    }
}

/// Fetches the page at `url` by a client of its own, and calls `take` as [`Client::fetch`] does.
///
/// # Errors
/// Those of [`Client::fetch`].
pub async fn get<N: Tcp + Resolve, T>(
    net: &N,
    url: &str,
    limits: &Limits,
    take: impl AsyncFnOnce(&Url, Response<'_>, &mut Content<'_>) -> Result<T, Error>,
) -> Result<T, Failure> {
    let mut client = Client::new(net, *limits);
    let result = client.fetch(&Request::get(url), take).await;
    client.close().await;
    result
}

/// Reads the head of the answer; how many bytes are in `buffer` then. The time that it
/// may take counts from `since` on.
async fn hear<R: Read<Error = ip::Error>>(
    reader: &mut R,
    buffer: &mut Vec<u8>,
    limits: &Limits,
    to_head: bool,
    since: &Cell<Instant>,
) -> Result<(ResponseHead, usize), Error> {
    let (mut end, mut seen, mut before) = (0, 0, 0);
    loop {
        let head = buffer.get_mut(..end).unwrap_or_default();
        match response::parse(head, seen, to_head).map_err(Error::NotHttp)? {
            // Another protocol was not asked for.
            Some(head) if head.status == Status(101) => {
                return Err(Error::NotHttp(Flaw::Switch));
            }
            Some(head) if head.length + before > limits.head => {
                return Err(Error::TooLong(Stage::Head, limits.head as u64));
            }
            Some(head) if (100..200).contains(&head.status.0) => {
                buffer.copy_within(head.length..end, 0);
                (end, seen) = (end - head.length, 0);
                before += head.length;
                continue;
            }
            Some(head) => {
                // The body is read into what is behind the head.
                grow(buffer, head.length + FIRST.max(LINE))?;
                return Ok((head, end));
            }
            None if end + before > limits.head => {
                return Err(Error::TooLong(Stage::Head, limits.head as u64));
            }
            None => seen = end,
        }
        if end == buffer.len() {
            grow(buffer, (2 * end).clamp(FIRST, limits.head.max(FIRST) + FIRST))?;
        }
        let deadline = since.get().saturating_add(limits.response);
        let left = deadline.saturating_duration_since(Instant::now());
        match timeout(left, reader.read(&mut buffer[end..])).await {
            Ok(Ok(0)) => return Err(Error::Lost(part(before + end), ip::Error::Closed)),
            Ok(Ok(count)) => end += count,
            Ok(Err(error)) => return Err(Error::Lost(part(before + end), error)),
            // More of the request was sent meanwhile.
            Err(_) if since.get().saturating_add(limits.response) > deadline => {}
            Err(_) => return Err(Error::TimedOut(part(before + end), limits.response)),
        }
    }
}

/// Whether this network can connect as the URL's scheme says.
fn possible<N: Tcp>(url: &Url) -> Result<(), super::url::Error> {
    if url.is_secure() && !N::SECURE { Err(super::url::Error::Https) } else { Ok(()) }
}

/// What is waited for when so many bytes have come.
const fn part(come: usize) -> Stage {
    if come == 0 { Stage::Response } else { Stage::Head }
}

/// Makes the buffer at least so long.
fn grow(buffer: &mut Vec<u8>, length: usize) -> Result<(), Error> {
    if buffer.len() < length {
        buffer.try_reserve_exact(length - buffer.len()).map_err(|_| Error::Memory)?;
        buffer.resize(length, 0);
    }
    Ok(())
}

/// Where the answer leads to, if it is a redirect. One that does not say is a page as
/// others are.
fn redirect<'a>(answer: &Response<'a>) -> Option<&'a [u8]> {
    let redirects = matches!(answer.status().0, 301 | 302 | 303 | 307 | 308);
    answer.field("location").filter(|to| redirects && !to.is_empty())
}
