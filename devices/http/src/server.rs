//! Connections, and the requests on them, one after the other.

use super::body::{Body, LINE};
use super::fields::Framing;
use super::head::{Bounds, Method, Parser, Request};
use super::pool::{Doing, Held, KEEP, Memory, Place, Pool, SMALL};
use super::response::{self, Progress, Response, put};
use super::{Error, Status};
use alloc::rc::Rc;
use core::cell::Cell;
use core::pin::pin;
use core::time::Duration;
use embedded_io_async::{Read, Write};
use ip::{Listener, Stream, Tcp};
use kernel::metrics::{Metric, Source};
use kernel::task::{Either, Task, select, try_spawn};
use kernel::time::{Instant, timeout};

/// What a client may ask of the server's patience and memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time. A further one takes the place of one that is idle; where none
    /// is, it is answered with 503.
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
    /// How long a head may take to arrive.
    pub request: Duration,
    /// How long a client may pause within a body. Each byte that it sends gives back of
    /// that what it takes at [`rate`](Self::rate), which it so has to keep up on average.
    pub pause: Duration,
    /// The same for a client that takes an answer.
    pub response: Duration,
    /// Bytes of a body in a second that a client has to send, and of an answer to take.
    pub rate: u32,
    /// How long a request may take from its first byte until its body was read.
    pub whole: Duration,
    /// Bytes that all connections together may hold for heads, answers and what handlers
    /// [collect](Body::collect). Who needs more is answered with 503.
    pub memory: usize,
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
            pause: Duration::from_secs(20),
            response: Duration::from_secs(30),
            rate: 500,
            whole: Duration::from_secs(3600),
            memory: memory(),
        }
    }
}

/// A quarter of the machine's, where that is known.
fn memory() -> usize {
    match kernel::memory::stats().total {
        0 => 64 << 20,
        total => total / 4,
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
    /// An error ends the connection, never the machine: where no answer has begun, it is
    /// answered with its status, and cut off otherwise. A panic, and an allocation that
    /// fails where it cannot be told (`format!`, `Vec::push`), ends the machine. So let no
    /// request decide how much is allocated: print answers ([`Sink::print`](super::Sink::print)),
    /// read bodies as they come or [collect](Body::collect) them, and use `try_reserve`,
    /// whose error becomes one of these by `?`.
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

/// Bytes of a body that the handler did not read which are worth the connection.
const SKIP: usize = 64 * 1024;

/// How long a client may take to end after the last answer.
const LINGER: Duration = Duration::from_secs(2);

/// The same where another needs its place.
const BRIEF: Duration = Duration::from_millis(250);

/// Bytes of an answer of the server's own at most.
const ANSWER: usize = 512;

/// Serves on `port` until the network is down, or until the toolstack asks for the end
/// (`xl shutdown`; SIGTERM). Then nobody new is let in, idle connections are closed at once,
/// and requests that are under way are answered and their connections closed, for which
/// there is [`grace`](kernel::shutdown::grace). What is left then is reset.
///
/// Where all connections that there may be are open, or memory is about to be short, the
/// one that has been idle for longest makes room for a new one.
///
/// # Errors
/// [`ip::Error::InUse`] and others of [`Tcp::bind`].
pub async fn serve<T: Tcp>(
    tcp: &T,
    port: u16,
    limits: Limits,
    stats: Rc<Cell<Stats>>,
    handler: Rc<impl Handler + 'static>,
    ready: impl FnOnce(u16),
) -> Result<(), ip::Error> {
    let listener = tcp.bind(ip::any(port)).await?;
    let pool = Rc::new(Pool::new(&limits, stats));
    ready(listener.local_addr().port());
    loop {
        match select(listener.accept(), kernel::shutdown_requested()).await {
            Either::First(Ok((stream, _))) => admit(stream, limits, &pool, &handler),
            Either::First(Err(ip::Error::Exhausted)) => {
                count(&pool.stats, |stats| stats.refused += 1);
                kernel::task::yield_now().await;
            }
            Either::First(Err(error)) => return Err(error),
            Either::Second(_) => break,
        }
    }
    // Those that came before it.
    while let Either::First(Ok((stream, _))) = select(listener.accept(), async {}).await {
        admit(stream, limits, &pool, &handler);
    }
    drop(listener);
    pool.close();
    if timeout(kernel::shutdown::grace(), pool.empty()).await.is_err() {
        log::warn!("http: {} connections are cut off", pool.stats.get().open);
        pool.end();
        // Until it is done, and told the clients.
        let _ = timeout(Duration::from_secs(1), pool.empty()).await;
        kernel::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Begins to serve a connection, if there is room for it.
fn admit<S: Stream + 'static>(
    stream: S,
    limits: Limits,
    pool: &Rc<Pool>,
    handler: &Rc<impl Handler + 'static>,
) {
    let full = pool.staying() >= limits.connections;
    let made = (full || kernel::memory::is_scarce()) && pool.make_room();
    let place = if (full && !made) || kernel::memory::is_low() { None } else { pool.sit() };
    let Some(place) = place else {
        count(&pool.stats, |stats| stats.refused += 1);
        return refuse(stream);
    };
    let (number, handler) = (place.number(), Rc::clone(handler));
    let task = try_spawn(async move {
        pooled(stream, &limits, &place, &*handler).await;
    });
    // Without memory for it, the connection is reset.
    task.into_iter().for_each(|task| Place::run_by(pool, number, task));
}

pub(super) fn count(stats: &Cell<Stats>, f: impl FnOnce(&mut Stats)) {
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
    let refusal = try_spawn(async move {
        let Some(mut memory) = kernel::memory::zeroed(ANSWER) else { return };
        let answer = response::refusal(&mut memory, Status::UNAVAILABLE, "", false);
        let done = async {
            stream.write_all(answer).await?;
            stream.close().await
        };
        // It is gone either way.
        let _ = timeout(Duration::from_secs(1), done).await;
    });
    refusal.into_iter().for_each(Task::detach);
}

/// Serves one connection to its end.
pub async fn connection<S: Stream>(
    stream: S,
    limits: &Limits,
    stats: &Cell<Stats>,
    handler: &impl Handler,
) {
    let shared = Rc::new(Cell::new(stats.get()));
    let pool = Rc::new(Pool::new(limits, Rc::clone(&shared)));
    if let Some(place) = pool.sit() {
        pooled(stream, limits, &place, handler).await;
    }
    stats.set(shared.get());
}

/// As [`connection`], which shares its memory with others.
pub(super) async fn pooled<S: Stream>(
    mut stream: S,
    limits: &Limits,
    place: &Place,
    handler: &impl Handler,
) {
    let pool = &*place.pool;
    let mut held = Held { pool, memory: None };
    let (mut reader, mut writer) = stream.split();
    let (mut end, mut note) = (0, Note::default());
    let result = loop {
        if end == 0 {
            match first(&mut reader, &mut held, limits, place).await {
                Ok(0) => break Ok(()),
                Ok(read) => end = read,
                Err(error) => break Err(error),
            }
        }
        let Some(memory) = &mut held.memory else { break Ok(()) };
        match one(&mut reader, &mut writer, memory, end, &mut note, limits, place, handler).await {
            Ok(Some(rest)) => end = rest,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    if let Err(Error::Request(status)) = result {
        count(&pool.stats, |stats| stats.bad += 1);
        if let Some(mut memory) = kernel::memory::zeroed(ANSWER) {
            let answer = response::refusal(&mut memory, status, note.why, note.headless);
            let (_, mut takes) = pool.paces;
            let _ = put(&mut writer, answer, &mut takes).await;
        }
    }
    drop((reader, writer));
    held.put();
    if let Err(Error::Connection(_)) = result {
        return stream.abort();
    }
    // What the client still sends is read for a moment, or the answer that it
    // has not read yet would be lost with the reset (RFC 9112, section 9.6).
    let ending = async {
        let lingering = async {
            stream.shutdown().await?;
            let mut scratch = [0; 256];
            while stream.read(&mut scratch).await? > 0 {}
            Ok::<_, ip::Error>(())
        };
        let _ = timeout(LINGER, lingering).await;
        // It is over, in order or not.
        let _ = stream.close().await;
    };
    match place.leaves() {
        // The server waits for it.
        true if pool.closing.get() => ending.await,
        // Another one needs the memory.
        true => drop(timeout(BRIEF, ending).await),
        false => drop(place.wait(Doing::Ending, Duration::MAX, pin!(ending)).await),
    }
}

/// Waits for a request to begin, without memory if many connections wait. How many bytes
/// of it there are; 0 when none come.
async fn first<R: Read<Error = ip::Error>>(
    reader: &mut R,
    held: &mut Held<'_>,
    limits: &Limits,
    place: &Place,
) -> Result<usize, Error> {
    let (many, mut byte) = (held.pool.out.get() > KEEP, [0]);
    let to = if many {
        held.put();
        &mut byte[..]
    } else {
        held.take(limits)?
    };
    let read = place.wait(Doing::Idle, limits.idle, pin!(reader.read(to))).await;
    let read = read.unwrap_or(Ok(0))?;
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

/// Serves the request whose first `end` bytes are in the buffer. `None` at the end of the
/// connection, else how many bytes of what follows are in the buffer already.
#[allow(clippy::too_many_arguments, reason = "the parts of a connection, borrowed one by one")]
async fn one<R, W>(
    reader: &mut R,
    writer: &mut W,
    memory: &mut Memory,
    mut end: usize,
    note: &mut Note,
    limits: &Limits,
    place: &Place,
    handler: &impl Handler,
) -> Result<Option<usize>, Error>
where
    R: Read<Error = ip::Error>,
    W: Write<Error = ip::Error>,
{
    let pool = &*place.pool;
    let begun = Instant::now();
    let deadline = begun.saturating_add(limits.request);
    let bounds = Bounds { target: limits.target, fields: limits.fields };
    let mut parser = Parser::default();
    let head = loop {
        // What is behind the longest head is not looked at, as it may have come or not.
        let within = &memory.buffer[..end.min(limits.head)];
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
        if end == memory.buffer.len() {
            memory.resize(limits.head + LINE, &pool.budget)?;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let read = pin!(reader.read(&mut memory.buffer[end..]));
        match place.wait(Doing::Head, left, read).await {
            Some(Ok(0)) => return Err(Error::Connection(ip::Error::Reset)),
            Some(read) => end += read?,
            None => return Err(Error::Request(Status::TIMEOUT)),
        }
    };
    if matches!(head.framing, Framing::Length(length) if length > limits.body) {
        return Err(Error::Request(Status::TOO_LARGE));
    }
    // The rest is for those whose answers have begun.
    if kernel::memory::is_low() {
        return Err(Error::Request(Status::UNAVAILABLE));
    }
    if head.length + LINE > memory.buffer.len() {
        memory.resize(limits.head + LINE, &pool.budget)?;
    }
    let (of_head, rest) = memory.buffer.split_at_mut(head.length);
    let request = Request::new(of_head, &head);
    let (sends, mut takes) = pool.paces;
    let pace = sends.until(begun.saturating_add(limits.whole));
    let mut body = Body::new(
        (reader, writer),
        rest,
        end - head.length,
        head.framing,
        head.expects,
        (limits.body, pace, &pool.budget),
    );
    if matches!(request.method(), Method::Get | Method::Head) {
        // Nobody reads a body there, as a rule.
        let checked = body.check().await;
        note.why = body.why;
        checked?;
    }
    let (mut progress, mut keep) = (Progress::default(), head.keep);
    let response = Response {
        progress: &mut progress,
        headless: request.method() == Method::Head,
        keep: &mut keep,
        newest: head.is_newest(),
        memory: &mut memory.text,
        pace: &mut takes,
        closing: &pool.closing,
    };
    let result = match request.path() {
        "*" => response.send(&mut body, Status::NO_CONTENT, &METHODS, b"").await,
        _ => handler.handle(&request, &mut body, response).await,
    };
    count(&pool.stats, |stats| stats.requests += 1);
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
    if !keep || place.leaves() || (!body.is_over() && !matches!(body.skip(SKIP).await, Ok(true))) {
        return Ok(None);
    }
    let (start, stop) = (body.start, body.end);
    let from = head.length + start;
    memory.buffer.copy_within(from..head.length + stop, 0);
    if memory.buffer.len() > SMALL + LINE && stop - start <= SMALL {
        // Where there is no memory for less, more is kept.
        let _ = memory.resize(SMALL + LINE, &pool.budget);
    }
    Ok(Some(stop - start))
}

/// What `OPTIONS *` is told.
const METHODS: [(&str, &str); 1] = [("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH")];
