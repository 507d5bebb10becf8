//! A request and its response, which a handler is given.

use super::body::Body;
use super::budget::Charge;
use super::head::{Method, Request, Version};
use super::matched::Matches;
use super::pace::Pace;
use super::pool::Slot;
use super::response::{Asked, Content, Head, Progress, Window, is_empty};
use super::upgrade::Upgraded;
use super::{Collected, Error, Status, date};
use alloc::rc::Rc;
use core::cell::Cell;
use core::net::SocketAddr;

/// Answers requests.
///
/// An `async fn` of one parameter is a handler, and so is an async closure:
///
/// ```
/// # use xenith_http::{Error, Exchange, Handler, Status};
/// async fn hello(exchange: &mut Exchange<'_>) -> Result<(), Error> {
///     let path = exchange.request().path();
///     exchange.respond(Status::OK, &[("Content-Type", "text/plain")], path.as_bytes()).await
/// }
/// # fn is_handler(_: impl Handler) {}
/// # is_handler(hello);
/// # is_handler(async |exchange: &mut Exchange<'_>| hello(exchange).await);
/// ```
pub trait Handler {
    /// Responds to the request of `exchange` by one of its methods. What was not read of the
    /// body is then read over or, where it is more than 64 KiB, ends the connection.
    ///
    /// An error ends the connection, never the machine: where no answer has begun, it is
    /// answered with its status, and cut off otherwise. A panic, and an allocation that
    /// fails where it cannot be told (`format!`, `Vec::push`), ends the machine. So let no
    /// request decide how much is allocated: print answers ([`Sink::print`](crate::Sink::print)),
    /// read bodies as they come or [collect](Body::collect) them, and use `try_reserve`,
    /// whose error becomes one of these by `?`.
    ///
    /// # Errors
    /// Those of the body and the connection, which end it.
    fn handle(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = Result<(), Error>>;
}

impl<F> Handler for F
where
    F: AsyncFn(&mut Exchange<'_>) -> Result<(), Error>,
{
    fn handle(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = Result<(), Error>> {
        self(exchange)
    }
}

/// Makes a handler of a function that is given some `state` as well, which several handlers may
/// share. No `RefCell` in it should be borrowed across an `await`, at which another request may
/// be answered.
///
/// ```
/// # use core::cell::Cell;
/// # use std::rc::Rc;
/// # use xenith_http::{Error, Exchange, Router, Status, with};
/// #[derive(Default)]
/// struct Counter(Cell<u64>);
///
/// impl Counter {
///     async fn show(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
///         exchange.respond(Status::OK, &[], self.0.get().to_string().as_bytes()).await
///     }
///     async fn raise(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
///         self.0.set(self.0.get() + 1);
///         self.show(exchange).await
///     }
/// }
///
/// let counter = Rc::new(Counter::default());
/// let router = Router::new()
///     .get("/", with(&counter, Counter::show))
///     .post("/", with(&counter, Counter::raise));
/// # fn is_handler(_: impl xenith_http::Handler) {}
/// # is_handler(router);
/// ```
pub fn with<S, F>(state: &Rc<S>, handler: F) -> With<S, F>
where
    F: AsyncFn(&S, &mut Exchange<'_>) -> Result<(), Error>,
{
    With { state: Rc::clone(state), handler }
}

/// Answers requests by a function with state, as [`with`] says.
#[derive(Debug)]
pub struct With<S, F> {
    state: Rc<S>,
    handler: F,
}

impl<S, F> Handler for With<S, F>
where
    F: AsyncFn(&S, &mut Exchange<'_>) -> Result<(), Error>,
{
    fn handle(&self, exchange: &mut Exchange<'_>) -> impl Future<Output = Result<(), Error>> {
        (self.handler)(&self.state, exchange)
    }
}

/// Gives a handler the request and lets it respond once.
///
/// Fields are the app's, and checked: a name is a token and a value holds no control
/// characters (RFC 9110, section 5.5). What the server says as well, `Date`, `Server`,
/// `Content-Length` and `Connection`, is said once: as the app has it if it does.
/// `Transfer-Encoding` is the server's alone.
///
/// [`respond`](Self::respond) is for content that there is as a whole. What is made for the
/// request is best [streamed](Self::stream) and [printed](crate::Sink::print): that takes no
/// memory, however much it is and however many ask for it.
#[derive(Debug)]
pub struct Exchange<'a> {
    pub(super) request: Request<'a>,
    pub(super) body: Body<'a>,
    pub(super) progress: Progress,
    /// The connection can be used again.
    pub(super) keep: bool,
    /// What the head is made in, [`ROOM`](super::response::ROOM) bytes.
    pub(super) memory: &'a mut [u8],
    pub(super) pace: Pace,
    /// The server ends: there are no more requests on this connection.
    pub(super) closing: &'a Cell<bool>,
    /// Where it is told that, and to wait for what comes late.
    pub(super) slot: &'a Slot,
    /// The number of its stream, and 0 where it has the connection to itself.
    pub(super) stream: u32,
    /// How many bytes of the path routers have dealt with, and by which routes.
    pub(super) routed: usize,
    pub(super) matched: Matches,
    /// Why a request is refused is said in JSON.
    pub(super) problems: bool,
    /// The memory of what was read of the body into values.
    pub(super) charge: Charge<'a>,
    /// What its response has besides the handler's fields.
    pub(super) added: Option<(&'static str, &'static str)>,
}

impl<'a> Exchange<'a> {
    /// Makes that of a request, whose answer has its head made in `memory`.
    pub(super) fn new(
        request: Request<'a>,
        body: Body<'a>,
        keep: bool,
        memory: &'a mut [u8],
        slot: &'a Slot,
    ) -> Self {
        let pool = &*slot.pool;
        Self {
            request,
            body,
            progress: Progress::default(),
            keep,
            memory,
            pace: pool.paces.1,
            closing: &pool.closing,
            slot,
            stream: 0,
            routed: 0,
            matched: Matches::new(),
            problems: false,
            charge: Charge::new(&pool.budget),
            added: None,
        }
    }

    /// Answers the request: `OPTIONS *` by itself, others by `handler`.
    pub(super) async fn serve(&mut self, handler: &impl Handler) -> Result<(), Error> {
        match self.request.path() {
            "*" => self.respond(Status::NO_CONTENT, &METHODS, b"").await,
            _ => handler.handle(self).await,
        }
    }

    /// Returns the request without its body. It is a copy of references, which may be kept
    /// while the response is sent.
    #[must_use]
    pub const fn request(&self) -> Request<'a> {
        self.request
    }

    /// Returns the body of the request, to be read.
    pub const fn body(&mut self) -> &mut Body<'a> {
        &mut self.body
    }

    /// Returns the address of the client, or of the proxy that it uses.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.body.link.peer()
    }

    /// Returns the address of this machine that the client connected to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.body.link.local()
    }

    /// Returns the status of the response; `None` until it has begun.
    #[must_use]
    pub const fn status(&self) -> Option<Status> {
        self.progress.status
    }

    /// Returns how many bytes of content were sent so far, without the framing of chunks.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.progress.sent
    }

    /// Sends the head of the response, and says how its content is delimited. With `more`, content
    /// follows at once, or the end of a sink.
    pub(super) async fn begin(
        &mut self,
        status: Status,
        fields: &[(&str, &str)],
        length: Option<u64>,
        more: bool,
    ) -> Result<Content, Error> {
        if self.progress.begun {
            return Err(Error::Request(Status::INTERNAL));
        }
        self.keep &= !self.closing.get();
        let asked = Asked {
            headless: self.request.method() == Method::Head,
            newest: self.request.version() == Version::Http11,
            waiting: self.body.answered(),
        };
        let mut head = Head::new(&asked, &mut self.keep, status, fields, length)?;
        let date = date::format(kernel::time::wall_clock().as_secs());
        head.added = self.added;
        head.date = core::str::from_utf8(&date).unwrap_or_default();
        self.progress.begun = true;
        self.progress.status = Some(status);
        let silent = asked.headless || is_empty(status);
        let content = if silent { Content::Silent } else { head.content };
        if self.body.link.head(&head, &mut self.pace).await? {
            return Ok(content);
        }
        let mut sent = 0;
        loop {
            let mut window = Window::new(self.memory, sent);
            head.write(&mut window);
            let (count, last) = (window.filled, !window.full);
            let part = self.memory.get(..count).unwrap_or_default();
            if more && !silent {
                self.body.link.put_more(part, &mut self.pace).await?;
            } else {
                self.body.link.put(part, &mut self.pace).await?;
            }
            sent += count;
            if last {
                return Ok(content);
            }
        }
    }

    /// Adds a field to the response that is to begin, which its name must not have otherwise. A
    /// handler around another one says so what holds for all, such as
    /// `Strict-Transport-Security`.
    pub const fn add_field(&mut self, field: (&'static str, &'static str)) {
        self.added = Some(field);
    }

    /// Responds with `content` as a whole, and its length.
    ///
    /// For HEAD and for a status without content (1xx, 204, 205, 304), the content is not sent.
    ///
    /// # Errors
    /// Those of the connection; [`Status::INTERNAL`] for a second response, and for fields that
    /// are not valid or say another length; [`Status::BAD_REQUEST`] for chunks of the body that
    /// have arrived and are wrong.
    pub async fn respond(
        &mut self,
        status: Status,
        fields: &[(&str, &str)],
        content: &[u8],
    ) -> Result<(), Error> {
        // What follows a wrong body may be anything, so that it is not worth an answer.
        self.body.check().await?;
        let (length, more) = (Some(content.len() as u64), !content.is_empty());
        let how = self.begin(status, fields, length, more).await?;
        if how != Content::Silent {
            self.body.link.put(content, &mut self.pace).await?;
            self.progress.sent += content.len() as u64;
        }
        self.progress.done = true;
        Ok(())
    }

    /// Responds with 101 and returns the connection for another protocol (RFC 9110, section
    /// 7.8), which `fields` name: `Upgrade`, and `Connection` with the value `Upgrade`.
    /// The connection is closed when the handler has returned.
    ///
    /// # Errors
    /// As of [`respond`](Self::respond); [`Status::BAD_REQUEST`] where the request has a body
    /// that was not read, or comes from a client of HTTP/1.0.
    pub async fn upgrade(&mut self, fields: &[(&str, &str)]) -> Result<Upgraded<'_, 'a>, Error> {
        self.switch(fields).await?;
        Ok(Upgraded::new(&mut self.body, self.pace))
    }

    /// Responds with 101, after which the connection is another protocol's.
    pub(super) async fn switch(&mut self, fields: &[(&str, &str)]) -> Result<(), Error> {
        if !self.body.is_over() || self.request.version() != Version::Http11 {
            return Err(Error::Request(Status::BAD_REQUEST));
        }
        self.begin(Status::SWITCHING_PROTOCOLS, fields, None, false).await?;
        (self.keep, self.progress.done) = (false, true);
        Ok(())
    }

    /// Collects a body of this media type. One of another, or that is longer, is refused, and
    /// there is `None`.
    pub(super) async fn collect_as(
        &mut self,
        kind: &str,
        limit: usize,
    ) -> Result<Option<Collected<'a>>, Error> {
        let field = self.request.field("Content-Type").unwrap_or_default();
        if !is_kind(field, kind) {
            let status = Status(415);
            self.refuse(status, format_args!("the body must be of the type {kind}")).await?;
            return Ok(None);
        }
        match self.body.collect(limit).await {
            Ok(all) => Ok(Some(all)),
            Err(Error::Request(Status::TOO_LARGE)) => {
                let why = format_args!("the body must have no more than {limit} bytes");
                self.refuse(Status::TOO_LARGE, why).await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// What `OPTIONS *` is told.
const METHODS: [(&str, &str); 1] = [("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH")];

/// Whether the value of a field Content-Type says that it is of this media type, or of one
/// that is built on it (`application/problem+json`; RFC 6839).
fn is_kind(field: &[u8], kind: &str) -> bool {
    let end = field.iter().position(|&byte| byte == b';').unwrap_or(field.len());
    let found = field[..end].trim_ascii();
    let sub = kind.split_once('/').map_or(kind, |(_, sub)| sub).as_bytes();
    let built = found.iter().rposition(|&byte| byte == b'+').map(|at| &found[at + 1..]);
    found.eq_ignore_ascii_case(kind.as_bytes())
        || built.is_some_and(|suffix| suffix.eq_ignore_ascii_case(sub))
}
