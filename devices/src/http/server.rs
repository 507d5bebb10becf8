//! Connections, and the requests on them, one after the other.

use super::body::{Body, LINE};
use super::head::{self, Method, Request};
use super::response::{Line, Progress, ROOM, Response, put};
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
    /// Bytes of a request's head; 65,535 at most.
    pub head: usize,
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
            head: 4096,
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
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\
                       Connection: close\r\n\r\n";
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
                let buffer = kernel::memory::zeroed(limits.head + LINE)?;
                Memory { buffer, text: kernel::memory::zeroed(ROOM)? }
            }
        };
        self.out.set(self.out.get() + 1);
        Some(memory)
    }

    fn put(&self, memory: Memory) {
        self.out.set(self.out.get() - 1);
        self.spare.set(Some(memory));
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
    let mut end = 0;
    let result = loop {
        if end == 0 {
            match first(&mut reader, &mut held, limits).await {
                Ok(0) => break Ok(()),
                Ok(read) => end = read,
                Err(error) => break Err(error),
            }
        }
        let Some(Memory { buffer, text }) = &mut held.memory else { break Ok(()) };
        match one(&mut reader, &mut writer, buffer, end, text, limits, stats, handler).await {
            Ok(Some(rest)) => end = rest,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    if let Err(Error::Request(status)) = result {
        count(stats, |stats| stats.bad += 1);
        let mut line = Line::new();
        // The longest phrase fits.
        let _ = core::fmt::write(
            &mut line,
            format_args!(
                "HTTP/1.1 {} {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                status.0,
                status.phrase()
            ),
        );
        let _ = put(&mut writer, line.as_bytes(), limits.response).await;
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

/// Serves the request whose first `end` bytes are in the buffer. `None` at the end of the
/// connection, else how many bytes of what follows are in the buffer already.
#[allow(clippy::too_many_arguments, reason = "the parts of a connection, borrowed one by one")]
async fn one<R, W>(
    reader: &mut R,
    writer: &mut W,
    buffer: &mut [u8],
    mut end: usize,
    text: &mut [u8],
    limits: &Limits,
    stats: &Cell<Stats>,
    handler: &impl Handler,
) -> Result<Option<usize>, Error>
where
    R: Read<Error = ip::Error>,
    W: Write<Error = ip::Error>,
{
    let deadline = Instant::now().saturating_add(limits.request);
    let head = loop {
        // Line ends before a request are leftovers of older clients (RFC 9112, section 2.2).
        // What is behind the longest head is not looked at, as it may have come or not.
        if let Some(head) = head::parse(&buffer[..end.min(limits.head)]).map_err(Error::Request)? {
            break head;
        }
        if end >= limits.head {
            return Err(Error::Request(Status::HEAD_TOO_LARGE));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match timeout(left, reader.read(&mut buffer[end..])).await {
            Ok(Ok(0)) => return Err(Error::Connection(ip::Error::Reset)),
            Ok(read) => end += read?,
            Err(_) => return Err(Error::Request(Status::TIMEOUT)),
        }
    };
    if matches!(head.framing, head::Framing::Length(length) if length > limits.body) {
        return Err(Error::Request(Status::TOO_LARGE));
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
        memory: text,
        patience: limits.response,
    };
    let result = handler.handle(&request, &mut body, response).await;
    count(stats, |stats| stats.requests += 1);
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
    // A client that waits to be asked for the body may send it or not.
    if !keep || (body.is_unasked() && !body.is_over()) {
        return Ok(None);
    }
    if !body.is_over() && !body.skip(SKIP).await? {
        return Ok(None);
    }
    let (start, stop) = (body.start, body.end);
    let from = head.length + start;
    buffer.copy_within(from..head.length + stop, 0);
    Ok(Some(stop - start))
}
