//! Connections, and the requests on them, one after the other.

use super::body::{Body, LINE};
use super::exchange::{Exchange, Handler};
use super::fields::Framing;
use super::head::{Bounds, Method, Parser, Request};
use super::limits::{Limits, Stats, count};
use super::link::Link;
use super::moving::{next_phase, update};
use super::pool::{BRIEF, Doing, Held, KEEP, Memory, Pool, SMALL, Slot, brief};
use super::response;
use super::{Error, Status, h2};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::pin::pin;
use core::time::Duration;
use embedded_io_async::Read;
use ip::{Listener, Stream, Tcp};
use kernel::task::{Either3, Task, select3, try_spawn};
use kernel::time::{Instant, timeout};
use kernel::update::Part;

/// Bytes of a body that the handler did not read which are worth the connection.
const SKIP: usize = 64 * 1024;

/// How long a client may take to end after the last answer.
const LINGER: Duration = Duration::from_secs(2);

/// Bytes of an answer of the server's own at most.
const ANSWER: usize = 512;

/// Configures a server: its handler, its limits, and where it counts.
///
/// ```no_run
/// # use xenith_http::{Exchange, Limits, Server, Status};
/// # async fn start(tcp: impl ip::Tcp) -> Result<(), ip::Error> {
/// Server::new(async |exchange: &mut Exchange<'_>| {
///     exchange.respond(Status::OK, &[], b"hello").await
/// })
/// .limits(Limits { connections: 64, ..Limits::default() })
/// .serve(&tcp, ip::any(80))
/// .await
/// # }
/// ```
#[derive(Debug)]
pub struct Server<H> {
    handler: Rc<H>,
    limits: Limits,
    stats: Rc<Cell<Stats>>,
    second: Option<h2::Serve<H>>,
}

impl<H: Handler + 'static> Server<H> {
    /// Makes a server with the default limits, whose requests `handler` answers.
    pub fn new(handler: H) -> Self {
        Self {
            handler: Rc::new(handler),
            limits: Limits::default(),
            stats: Rc::default(),
            second: None,
        }
    }

    /// Sets what clients may take of the server's memory and time.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Sets the cell in which the server counts what it does. It may be read at any time.
    #[must_use]
    pub fn stats(self, stats: Rc<Cell<Stats>>) -> Self {
        Self { stats, ..self }
    }

    /// Serves clients of HTTP/2 as well (RFC 9113): those that begin to speak it, be it because a
    /// layer beneath has agreed on it with them, as TLS does by ALPN, or because they know it
    /// beforehand (section 3.3). Their requests run side by side.
    #[must_use]
    pub fn http2(self) -> Self {
        Self { second: Some(h2::serve), ..self }
    }

    /// Listens on `addr`, which [`ip::any`] makes of a port. Clients may connect from then
    /// on, and are answered once [`Bound::serve`] runs.
    ///
    /// # Errors
    /// [`ip::Error::InUse`] and others of [`Tcp::bind`].
    pub async fn bind<T: Tcp>(
        self,
        tcp: &T,
        addr: SocketAddr,
    ) -> Result<Bound<T::Listener, H>, ip::Error> {
        Ok(Bound { listener: tcp.bind(addr).await?, server: self })
    }

    /// Serves one connection to its end, with memory for it alone: a stream that no [`Tcp`] accepts.
    pub async fn connection<S: Stream>(&self, stream: S) {
        let pool = Rc::new(Pool::new(&self.limits, Rc::clone(&self.stats)));
        if let Some(slot) = pool.sit() {
            pooled(stream, &self.limits, &slot, &*self.handler, self.second).await;
        }
    }

    /// Serves on `addr`: [`bind`](Self::bind) and [`Bound::serve`] in one.
    ///
    /// # Errors
    /// Those of the two.
    pub async fn serve(self, tcp: &impl Tcp, addr: SocketAddr) -> Result<(), ip::Error> {
        self.bind(tcp, addr).await?.serve().await
    }
}

/// Serves on a port that is bound.
#[derive(Debug)]
pub struct Bound<L, H> {
    listener: L,
    server: Server<H>,
}

impl<L: Listener, H: Handler + 'static> Bound<L, H>
where
    L::Stream: 'static,
{
    /// Returns the address that the server listens on, with the port that it got for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Serves until the network is down, or until the toolstack asks for the end
    /// (`xl shutdown`; SIGTERM). Then no connection is accepted, idle ones are closed at once,
    /// and requests that are under way are answered and their connections closed, for which there
    /// is [`grace`](kernel::shutdown::grace). What is left then is reset.
    ///
    /// When [`Limits::connections`] are open, or memory is about to be short, the connection
    /// that has been idle for longest is closed for a new one.
    ///
    /// When a new image [takes over](kernel::update), requests that are under way are answered, and
    /// connections go on there with the next one. WebSockets and streams of events end.
    ///
    /// # Errors
    /// Those of [`Listener::accept`], but for [`ip::Error::Exhausted`], by which one connection is
    /// lost.
    pub async fn serve(self) -> Result<(), ip::Error> {
        let Self { listener, server: Server { handler, limits, stats, second } } = self;
        let pool = Rc::new(Pool::new(&limits, stats));
        let mut part = kernel::update::is_active().then(Part::new);
        loop {
            // Not by `accept`, whose future and its like would hand the stream on and on.
            let came = poll_fn(|context| listener.poll_acceptable(context));
            let news =
                select3(came, kernel::shutdown_requested(), next_phase(&mut part, &pool)).await;
            if let (Either3::Third(phase), Some(part)) = (&news, &mut part) {
                update(part, *phase, &pool).await;
                continue;
            }
            match listener.try_accept() {
                Ok(Some((stream, _))) => admit(stream, limits, &pool, &handler, second),
                // At the end, those that came before it are served.
                Ok(None) if matches!(news, Either3::Second(_)) => break,
                Ok(None) => {}
                Err(ip::Error::Exhausted) => {
                    count(&pool.stats, |stats| stats.refused += 1);
                    kernel::task::yield_now().await;
                }
                Err(error) => return Err(error),
            }
        }
        drop(listener);
        pool.close();
        if timeout(kernel::shutdown::grace(), pool.empty()).await.is_err() {
            log::warn!(
                "http: the time for the shutdown is over; {} connections are reset",
                pool.stats.get().open
            );
            pool.end();
            // Until it is done, and told the clients.
            let _ = timeout(Duration::from_secs(1), pool.empty()).await;
            kernel::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

/// Begins to serve a connection, if there is room for it.
fn admit<S: Stream + 'static, H: Handler + 'static>(
    stream: S,
    limits: Limits,
    pool: &Rc<Pool>,
    handler: &Rc<H>,
    second: Option<h2::Serve<H>>,
) {
    let full = pool.staying() >= limits.connections;
    let made = (full || kernel::memory::is_scarce()) && pool.make_room();
    let slot = if (full && !made) || kernel::memory::is_low() { None } else { pool.sit() };
    let Some(slot) = slot else {
        count(&pool.stats, |stats| stats.refused += 1);
        return refuse(stream);
    };
    let (number, handler) = (slot.number(), Rc::clone(handler));
    let task = try_spawn(async move {
        pooled(stream, &limits, &slot, &*handler, second).await;
    });
    // Without memory for it, the connection is closed.
    task.into_iter().for_each(|task| Slot::run_by(pool, number, task));
}

/// Says that there is too much to do, if that takes no time, which a handshake does: it would cost
/// more than the request.
pub(super) fn refuse<S: Stream + 'static>(mut stream: S) {
    if kernel::memory::is_low() || stream.in_handshake() {
        // Not even for that.
        return stream.abort();
    }
    let refusal = try_spawn(async move {
        let Some(mut memory) = kernel::memory::zeroed(ANSWER) else { return };
        let answer = response::refusal(&mut memory, Status::UNAVAILABLE, "", false);
        let done = async {
            stream.write_all(answer).await?;
            stream.close().await
        };
        if timeout(Duration::from_secs(1), done).await.is_err() {
            stream.abort();
        }
    });
    refusal.into_iter().for_each(Task::detach);
}

/// Serves one connection to its end, with the memory of `limits` for it alone. This is for tests
/// and for streams that no [`Tcp`] accepts.
pub async fn connection<S: Stream>(
    stream: S,
    limits: &Limits,
    stats: &Cell<Stats>,
    handler: &impl Handler,
) {
    let shared = Rc::new(Cell::new(stats.get()));
    let pool = Rc::new(Pool::new(limits, Rc::clone(&shared)));
    if let Some(slot) = pool.sit() {
        pooled(stream, limits, &slot, handler, None).await;
    }
    stats.set(shared.get());
}

/// As [`connection`], which shares its memory with others.
pub(super) async fn pooled<S: Stream, H: Handler>(
    stream: S,
    limits: &Limits,
    slot: &Slot,
    handler: &H,
    second: Option<h2::Serve<H>>,
) {
    let pool = &*slot.pool;
    let mut held = Held { pool, memory: None };
    let mut cut = Cut { stream, ended: false };
    let stream = &mut cut.stream;
    let mut link = Link::new(&mut *stream);
    let (mut end, mut note) = (0, Note::default());
    let mut second = second;
    // Whether a request may begin, of which `end` bytes have come.
    let mut between = true;
    // Whether the client is to speak HTTP/2.
    let mut other = false;
    let result = loop {
        if end == 0 {
            match first(&mut link, &mut held, limits, slot).await {
                Ok(0) => break Ok(()),
                Ok(read) => end = read,
                Err(error) => break Err(error),
            }
        }
        let begun = Instant::now();
        if let Some(serve) = second.take() {
            // What was agreed on beneath is spoken (RFC 9113, section 3.2); where nothing was, what a
            // client says first tells whether that is HTTP/2.
            let agreed = link.agreed_on(b"h2");
            let rest = match agreed {
                Some(false) => Ok(None),
                _ => preface(&mut link, &mut held, &mut end, begun, limits, slot).await,
            };
            match rest {
                Ok(Some(rest)) => {
                    (between, other) = (false, true);
                    match serve(link.reborrow(), rest, limits, slot, handler) {
                        Some(serving) => break serving.await,
                        None => break Err(Error::Connection(ip::Error::Exhausted)),
                    }
                }
                Ok(None) if agreed == Some(true) => {
                    between = false;
                    break Err(Error::Request(Status::BAD_REQUEST));
                }
                Ok(None) => {}
                Err(error) => break Err(error),
            }
        }
        let Some(memory) = &mut held.memory else { break Ok(()) };
        between = false;
        // On the heap for as long as it is served, so that a connection that waits for one holds
        // no room for it.
        let come = (begun, end);
        let serving = one(link.reborrow(), memory, come, &mut note, limits, slot, handler);
        let Ok(serving) = kernel::memory::boxed(serving) else {
            break Err(Error::Request(Status::UNAVAILABLE));
        };
        match Box::into_pin(serving).await {
            Ok(Some(rest)) => end = rest,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
        between = true;
        if pool.is_moving() {
            break Ok(());
        }
    };
    if between && pool.is_moving() {
        let unread = held.memory.as_ref().and_then(|it| it.buffer.get(..end));
        return cut.leave(unread.unwrap_or_default());
    }
    if let Err(Error::Request(status)) = result {
        count(&pool.stats, |stats| stats.bad += 1);
        // No answer of HTTP/1.1 to who is to speak HTTP/2 (RFC 9113, section 3.4).
        other |= link.agreed_on(b"h2") == Some(true);
        if let Some(mut memory) = kernel::memory::zeroed(ANSWER).filter(|_| !other) {
            let answer = response::refusal(&mut memory, status, note.why, note.headless);
            let (_, mut takes) = pool.paces;
            let put = link.put(answer, &mut takes);
            match slot.makes_room() {
                true => drop(timeout(BRIEF, put).await),
                false => drop(put.await),
            }
        }
    }
    held.put();
    match result {
        // An alert of TLS says why, which a reset would overtake. Nobody takes what came before it for
        // all, as that ends by `close_notify`.
        Ok(()) | Err(Error::Request(_) | Error::Connection(ip::Error::Untrusted)) => {}
        Err(Error::Connection(_)) => return stream.abort(),
    }
    if pool.is_moving() {
        // As long as another image can be waited for.
        let _ = timeout(BRIEF, stream.shutdown()).await;
        return cut.leave(&[]);
    }
    match ends(stream, slot).await {
        Some(ended) => cut.ended = ended,
        None => cut.leave(&[]),
    }
}

/// Ends a connection in order, if that takes no longer than it may. Whether it has ended so; `None` where
/// it is left to another image.
async fn ends<S: Stream>(stream: &mut S, slot: &Slot) -> Option<bool> {
    let brief = brief(stream.progress().unacknowledged);
    // What the client still sends is read for a moment, or the answer that it
    // has not read yet would be lost with the reset (RFC 9112, section 9.6).
    let mut ending = pin!(async {
        let lingering = async {
            stream.shutdown().await?;
            let mut scratch = [0; 256];
            while stream.read(&mut scratch).await? > 0 {}
            Ok::<_, ip::Error>(())
        };
        let _ = timeout(LINGER, lingering).await;
        // It is over, in order or not.
        let _ = stream.close().await;
    });
    if slot.pool.closing.get() {
        // The server waits for it.
        ending.await;
        return Some(true);
    }
    let mut ended = None;
    if !slot.leaves() {
        ended = slot.wait(Doing::Ending, Duration::MAX, ending.as_mut()).await;
    }
    if ended.is_none() && !slot.pool.is_moving() {
        ended = slot.wait(Doing::Leaving, brief, ending).await;
    }
    if ended.is_none() && slot.pool.is_moving() { None } else { Some(ended.is_some()) }
}

/// A connection that is reset when it is dropped before its end, so that nobody takes an
/// answer that was cut off for a whole one, and its memory is free at once.
struct Cut<S: Stream> {
    stream: S,
    ended: bool,
}

impl<S: Stream> Cut<S> {
    /// Leaves the connection to another image, which is to read `unread` first.
    fn leave(&mut self, unread: &[u8]) {
        self.ended = true;
        self.stream.leave(unread);
    }
}

impl<S: Stream> Drop for Cut<S> {
    fn drop(&mut self) {
        if !self.ended {
            self.stream.abort();
        }
    }
}

/// Waits for a request to begin, without memory if many connections wait. How many bytes of it there
/// are; 0 when none come.
async fn first(
    link: &mut Link<'_>,
    held: &mut Held<'_>,
    limits: &Limits,
    slot: &Slot,
) -> Result<usize, Error> {
    let (many, mut byte) = (held.pool.out.get() > KEEP, [0]);
    let to = if many {
        held.put();
        &mut byte[..]
    } else {
        held.take(limits)?
    };
    let read = slot.wait(Doing::Idle, limits.idle, pin!(link.read(to))).await;
    let read = read.unwrap_or(Ok(0))?;
    if many && read > 0 {
        held.take(limits)?[..1].copy_from_slice(&byte);
    }
    Ok(read)
}

/// Reads the rest of the preface of HTTP/2, if the first `end` bytes begin it: what follows it.
/// `None` if the client speaks another version.
async fn preface(
    link: &mut Link<'_>,
    held: &mut Held<'_>,
    end: &mut usize,
    begun: Instant,
    limits: &Limits,
    slot: &Slot,
) -> Result<Option<Vec<u8>>, Error> {
    let deadline = begun.saturating_add(limits.request);
    let buffer = held.take(limits)?;
    loop {
        let come = buffer.get(..*end).unwrap_or_default();
        if let Some(begun) = come.strip_prefix(h2::PREFACE) {
            let mut copy = Vec::new();
            copy.try_reserve_exact(begun.len())?;
            copy.extend_from_slice(begun);
            // A connection of HTTP/2 has its own.
            held.put();
            return Ok(Some(copy));
        }
        if !h2::PREFACE.starts_with(come) {
            return Ok(None);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let read = pin!(link.read(&mut buffer[*end..]));
        match slot.wait(Doing::Head, left, read).await {
            Some(Ok(0)) => return Ok(None),
            Some(read) => *end += read?,
            None => return Err(Error::Request(Status::TIMEOUT)),
        }
    }
}

/// What is to be known of a request that is refused.
#[derive(Default)]
struct Note {
    /// Why it is, for people.
    why: &'static str,
    /// It is HEAD, whose answer has no content.
    headless: bool,
}

/// Serves the request whose first `end` bytes are in the buffer, and which began then. `None` at the end of the
/// connection, else how many bytes of what follows are in the buffer already.
async fn one(
    mut link: Link<'_>,
    memory: &mut Memory,
    (begun, mut end): (Instant, usize),
    note: &mut Note,
    limits: &Limits,
    slot: &Slot,
    handler: &impl Handler,
) -> Result<Option<usize>, Error> {
    let pool = &*slot.pool;
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
        let read = pin!(link.read(&mut memory.buffer[end..]));
        match slot.wait(Doing::Head, left, read).await {
            Some(Ok(0)) => return Err(Error::Connection(ip::Error::Reset)),
            Some(read) => end += read?,
            None if pool.is_moving() => return Ok(Some(end)),
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
    let (start, stop) = {
        let (of_head, rest) = memory.buffer.split_at_mut(head.length);
        let request = Request::new(of_head, &head);
        let (sends, _) = pool.paces;
        let pace = sends.until(begun.saturating_add(limits.whole));
        let body = Body::new(
            link.reborrow(),
            rest,
            end - head.length,
            head.framing,
            head.expects,
            (limits.body, pace, &pool.budget),
        );
        let mut exchange = Exchange::new(request, body, head.keep, &mut memory.text, slot);
        if matches!(request.method(), Method::Get | Method::Head) {
            // Nobody reads a body there, as a rule.
            let checked = exchange.body.check().await;
            note.why = exchange.body.why;
            checked?;
        }
        let result = exchange.serve(handler).await;
        count(&pool.stats, |stats| stats.requests += 1);
        let (body, progress) = (&mut exchange.body, &exchange.progress);
        note.why = body.why;
        // Once an answer has begun, be it an interim one, all that can be done is to cut it off.
        let begun = progress.begun || body.link.is_torn();
        match result {
            // Another protocol has said what there is to say.
            Err(Error::Request(_)) if progress.status == Some(Status::SWITCHING_PROTOCOLS) => {
                return Ok(None);
            }
            Err(Error::Request(_)) if begun => return Err(Error::Connection(ip::Error::Reset)),
            Err(error) => return Err(error),
            Ok(()) if !begun => return Err(Error::Request(Status::INTERNAL)),
            Ok(()) if !progress.done => return Err(Error::Connection(ip::Error::Reset)),
            Ok(()) => {}
        }
        // What is wrong with a body that nobody wanted is not worth a second answer.
        if !exchange.keep
            || slot.leaves()
            || (!body.is_over() && !matches!(body.skip(SKIP).await, Ok(true)))
        {
            return Ok(None);
        }
        (body.start, body.end)
    };
    let from = head.length + start;
    memory.buffer.copy_within(from..head.length + stop, 0);
    if memory.buffer.len() > SMALL + LINE && stop - start <= SMALL {
        // Where there is no memory for less, more is kept.
        let _ = memory.resize(SMALL + LINE, &pool.budget);
    }
    Ok(Some(stop - start))
}
