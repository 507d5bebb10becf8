//! Connections, and the requests on them, one after the other.

use super::body::{Body, LINE};
use super::fields::Framing;
use super::head::{Bounds, Method, Parser, Request};
use super::response::{self, Progress, ROOM, Response, put};
use super::{Error, Status};
use crate::ip::{self, Listener, Stream, Tcp};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::time::Duration;
use embedded_io_async::{Read, Write};
use kernel::metrics::{Metric, Source};
use kernel::task::spawn;
use kernel::time::{Instant, timeout};

/// What a client may ask of the server's patience and memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; further ones are answered with 503.
    pub connections: usize,
    /// Bytes of a request's head.
    pub head: usize,
    /// Bytes of a request's target, which are a part of its head (RFC 9112, section 3).
    pub target: usize,
    /// Fields of a request's head.
    pub fields: usize,
    /// Bytes of a request's body.
    pub body: u64,
    /// How long a connection may be idle between requests.
    pub idle: Duration,
    /// How long a head may take to arrive, and each further piece of a body.
    pub request: Duration,
    /// How long a piece of an answer may take to be taken.
    pub response: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            head: 16 * 1024,
            target: 8000,
            fields: 128,
            body: 1 << 30,
            idle: Duration::from_secs(30),
            request: Duration::from_secs(10),
            response: Duration::from_secs(30),
        }
    }
}

/// What a server did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections that are open.
    pub open: usize,
    /// Connections accepted.
    pub connections: u64,
    /// Connections refused because there were too many, or no memory.
    pub refused: u64,
    /// Requests answered by the handler.
    pub requests: u64,
    /// Requests refused because they were wrong or too slow.
    pub bad: u64,
}

impl Source for Stats {
    fn metrics(&self, each: &mut dyn FnMut(Metric)) {
        kernel::metrics! { each;
            gauge("http_connections_open", "Connections open.", self.open as u64),
            counter("http_connections", "Connections accepted.", self.connections),
            counter("http_refused", "Connections refused.", self.refused),
            counter("http_requests", "Requests answered.", self.requests),
            counter("http_bad_requests", "Requests refused.", self.bad),
        }
    }
}

/// What answers requests.
pub trait Handler {
    /// Answers `request` by one of the ways that `response` has. What it leaves
    /// of `body` is thrown away.
    ///
    /// # Errors
    /// Those of the body and the connection, which end it.
    fn handle<R, W>(
        &self,
        request: &Request<'_>,
        body: &mut Body<'_, R, W>,
        response: Response<'_>,
    ) -> impl Future<Output = Result<(), Error>>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>;
}

/// Connections that keep their memory while they wait for the next request. Beyond
/// these, each gives it back meanwhile.
pub(super) const KEEP: usize = 64;

/// Bytes of a body that the handler did not read which are worth the connection.
const SKIP: usize = 64 * 1024;

/// Bytes of a buffer before a longer head needs it all.
const SMALL: usize = 4096;

/// Bytes of an answer of the server's own at most.
const ANSWER: usize = 512;

/// Serves on `port` until the network is down.
///
/// # Errors
/// [`ip::Error::InUse`] and others of [`Tcp::listen`].
pub async fn serve<T: Tcp>(
    tcp: &T,
    port: u16,
    limits: Limits,
    stats: Rc<Cell<Stats>>,
    handler: Rc<impl Handler + 'static>,
    ready: impl FnOnce(u16),
) -> Result<(), ip::Error> {
    let mut listener = tcp.listen(port).await?;
    let pool = Rc::new(Pool::default());
    ready(listener.port());
    loop {
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(ip::Error::Exhausted) => {
                count(&stats, |stats| stats.refused += 1);
                kernel::task::yield_now().await;
                continue;
            }
            Err(error) => return Err(error),
        };
        let (stats, handler) = (stats.clone(), handler.clone());
        let full = stats.get().open >= limits.connections || kernel::memory::is_low();
        count(&stats, |stats| {
            if full {
                stats.refused += 1;
            } else {
                stats.connections += 1;
                stats.open += 1;
            }
        });
        if full {
            refuse(stream);
            continue;
        }
        let pool = Rc::clone(&pool);
        spawn(async move {
            pooled(stream, &limits, &stats, &pool, &*handler).await;
            count(&stats, |stats| stats.open -= 1);
        })
        .detach();
    }
}

fn count(stats: &Cell<Stats>, f: impl FnOnce(&mut Stats)) {
    let mut all = stats.get();
    f(&mut all);
    stats.set(all);
}

/// Says that there is too much to do, if that takes no time.
fn refuse<S: Stream + 'static>(mut stream: S) {
    if kernel::memory::is_low() {
        // Not even for that.
        return;
    }
    spawn(async move {
        let Some(mut memory) = kernel::memory::zeroed(ANSWER) else { return };
        let answer = response::refusal(&mut memory, Status::UNAVAILABLE, "", false);
        let done = async {
            stream.write_all(answer).await?;
            stream.close().await
        };
        // It is gone either way.
        let _ = timeout(Duration::from_secs(1), done).await;
    })
    .detach();
}

/// What a connection needs while it is at work.
struct Memory {
    /// What came and is not dealt with.
    buffer: Vec<u8>,
    /// What the head of an answer is made in.
    text: Vec<u8>,
}

/// The memory of a server's connections.
#[derive(Default)]
pub(super) struct Pool {
    /// What the last to give its back leaves for the next.
    spare: Cell<Option<Memory>>,
    /// How many have theirs.
    pub(super) out: Cell<usize>,
}

impl Pool {
    fn take(&self, limits: &Limits) -> Option<Memory> {
        let memory = match self.spare.take() {
            Some(memory) => memory,
            None => {
                // Behind the longest head there is room for the lines between chunks.
                let buffer = kernel::memory::zeroed(limits.head.min(SMALL) + LINE)?;
                Memory { buffer, text: kernel::memory::zeroed(ROOM)? }
            }
        };
        self.out.set(self.out.get() + 1);
        Some(memory)
    }

    fn put(&self, memory: Memory) {
        self.out.set(self.out.get() - 1);
        // What a long head took is not kept.
        if memory.buffer.len() <= SMALL + LINE {
            self.spare.set(Some(memory));
        }
    }
}

/// The memory of a connection, when it has one.
struct Held<'a> {
    pool: &'a Pool,
    memory: Option<Memory>,
}

impl Held<'_> {
    /// Its buffer.
    fn take(&mut self, limits: &Limits) -> Result<&mut [u8], Error> {
        if self.memory.is_none() {
            self.memory = self.pool.take(limits);
        }
        let memory = self.memory.as_mut().ok_or(Error::Request(Status::UNAVAILABLE))?;
        Ok(&mut memory.buffer)
    }

    fn put(&mut self) {
        self.memory.take().into_iter().for_each(|memory| self.pool.put(memory));
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.put();
    }
}

/// Serves one connection to its end.
pub async fn connection<S: Stream>(
    stream: S,
    limits: &Limits,
    stats: &Cell<Stats>,
    handler: &impl Handler,
) {
    pooled(stream, limits, stats, &Pool::default(), handler).await;
}

/// As [`connection`], which shares its memory with others.
pub(super) async fn pooled<S: Stream>(
    mut stream: S,
    limits: &Limits,
    stats: &Cell<Stats>,
    pool: &Pool,
    handler: &impl Handler,
) {
    let mut held = Held { pool, memory: None };
    let (mut reader, mut writer) = stream.split();
    let (mut end, mut note) = (0, Note::default());
    let result = loop {
        if end == 0 {
            match first(&mut reader, &mut held, limits).await {
                Ok(0) => break Ok(()),
                Ok(read) => end = read,
                Err(error) => break Err(error),
            }
        }
        let Some(Memory { buffer, text }) = &mut held.memory else { break Ok(()) };
        let memory = (buffer, &mut text[..]);
        match one(&mut reader, &mut writer, memory, end, &mut note, limits, stats, handler).await {
            Ok(Some(rest)) => end = rest,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    if let Err(Error::Request(status)) = result {
        count(stats, |stats| stats.bad += 1);
        if let Some(mut memory) = kernel::memory::zeroed(ANSWER) {
            let answer = response::refusal(&mut memory, status, note.why, note.headless);
            let _ = put(&mut writer, answer, limits.response).await;
        }
    }
    drop((reader, writer));
    held.put();
    if let Err(Error::Connection(_)) = result {
        return stream.abort();
    }
    // What the client still sends is read for a moment, or the answer that it
    // has not read yet would be lost with the reset (RFC 9112, section 9.6).
    let lingering = async {
        stream.shutdown().await?;
        let mut scratch = [0; 256];
        while stream.read(&mut scratch).await? > 0 {}
        Ok::<_, ip::Error>(())
    };
    let _ = timeout(Duration::from_secs(2), lingering).await;
    // It is over, in order or not.
    let _ = stream.close().await;
}

/// Waits for a request to begin, without memory if many connections wait. How many bytes
/// of it there are; 0 when none come.
async fn first<R: Read<Error = ip::Error>>(
    reader: &mut R,
    held: &mut Held<'_>,
    limits: &Limits,
) -> Result<usize, Error> {
    let (many, mut byte) = (held.pool.out.get() > KEEP, [0]);
    let to = if many {
        held.put();
        &mut byte[..]
    } else {
        held.take(limits)?
    };
    let read = timeout(limits.idle, reader.read(to)).await.unwrap_or(Ok(0))?;
    if many && read > 0 {
        held.take(limits)?[..1].copy_from_slice(&byte);
    }
    Ok(read)
}

/// What is to be known of a request that is refused.
#[derive(Default)]
struct Note {
    /// Why it is, for people.
    why: &'static str,
    /// It is HEAD, whose answer has no content.
    headless: bool,
}

/// Gives a buffer another size: that of the longest head and the lines between chunks
/// behind it, or that of most.
fn resize(buffer: &mut Vec<u8>, size: usize) -> Result<(), Error> {
    let mut other = kernel::memory::zeroed(size).ok_or(Error::Request(Status::UNAVAILABLE))?;
    let kept = size.min(buffer.len());
    other[..kept].copy_from_slice(&buffer[..kept]);
    *buffer = other;
    Ok(())
}

/// Serves the request whose first `end` bytes are in the buffer. `None` at the end of the
/// connection, else how many bytes of what follows are in the buffer already.
#[allow(clippy::too_many_arguments, reason = "the parts of a connection, borrowed one by one")]
async fn one<R, W>(
    reader: &mut R,
    writer: &mut W,
    (buffer, text): (&mut Vec<u8>, &mut [u8]),
    mut end: usize,
    note: &mut Note,
    limits: &Limits,
    stats: &Cell<Stats>,
    handler: &impl Handler,
) -> Result<Option<usize>, Error>
where
    R: Read<Error = ip::Error>,
    W: Write<Error = ip::Error>,
{
    let deadline = Instant::now().saturating_add(limits.request);
    let bounds = Bounds { target: limits.target, fields: limits.fields };
    let mut parser = Parser::default();
    let head = loop {
        // What is behind the longest head is not looked at, as it may have come or not.
        let within = &buffer[..end.min(limits.head)];
        let parsed = parser.parse(within, bounds);
        *note = Note { why: "", headless: parser.is_head(within) };
        let parsed = match parsed {
            Ok(None) if end >= limits.head => Err(parser.too_long(within)),
            parsed => parsed,
        };
        match parsed {
            Ok(Some(head)) => break head,
            Ok(None) => {}
            Err(refusal) => {
                note.why = refusal.why;
                return Err(Error::Request(refusal.status));
            }
        }
        if end == buffer.len() {
            resize(buffer, limits.head + LINE)?;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match timeout(left, reader.read(&mut buffer[end..])).await {
            Ok(Ok(0)) => return Err(Error::Connection(ip::Error::Reset)),
            Ok(read) => end += read?,
            Err(_) => return Err(Error::Request(Status::TIMEOUT)),
        }
    };
    if matches!(head.framing, Framing::Length(length) if length > limits.body) {
        return Err(Error::Request(Status::TOO_LARGE));
    }
    if head.length + LINE > buffer.len() {
        resize(buffer, limits.head + LINE)?;
    }
    let (of_head, rest) = buffer.split_at_mut(head.length);
    let request = Request::new(of_head, &head);
    let mut body = Body::new(
        (reader, writer),
        rest,
        end - head.length,
        head.framing,
        head.expects,
        (limits.body, limits.request),
    );
    let (mut progress, mut keep) = (Progress::default(), head.keep);
    let response = Response {
        progress: &mut progress,
        headless: request.method() == Method::Head,
        keep: &mut keep,
        newest: head.is_newest(),
        memory: text,
        patience: limits.response,
    };
    let result = match request.path() {
        "*" => response.send(&mut body, Status::NO_CONTENT, &METHODS, b"").await,
        _ => handler.handle(&request, &mut body, response).await,
    };
    count(stats, |stats| stats.requests += 1);
    note.why = body.why;
    match result {
        // Once an answer has begun, all that can be done is to cut it off.
        Err(Error::Request(_)) if progress.begun => {
            return Err(Error::Connection(ip::Error::Reset));
        }
        Err(error) => return Err(error),
        Ok(()) if !progress.begun => return Err(Error::Request(Status::INTERNAL)),
        Ok(()) if !progress.done => return Err(Error::Connection(ip::Error::Reset)),
        Ok(()) => {}
    }
    // What is wrong with a body that nobody wanted is not worth a second answer.
    if !keep || (!body.is_over() && !matches!(body.skip(SKIP).await, Ok(true))) {
        return Ok(None);
    }
    let (start, stop) = (body.start, body.end);
    let from = head.length + start;
    buffer.copy_within(from..head.length + stop, 0);
    if buffer.len() > SMALL + LINE && stop - start <= SMALL {
        // Where there is no memory for less, more is kept.
        let _ = resize(buffer, SMALL + LINE);
    }
    Ok(Some(stop - start))
}

/// What `OPTIONS *` is told.
const METHODS: [(&str, &str); 1] = [("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH")];
