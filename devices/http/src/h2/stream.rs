//! A request and its response on a stream, as what serves HTTP/1.1 sees them.

use super::super::body::Body;
use super::super::budget::Charge;
use super::super::exchange::{Exchange, Handler};
use super::super::fields::Framing;
use super::super::head::{Bounds, Head, Parser, Request, Version};
use super::super::limits::{Limits, count};
use super::super::link::{Link, Wire};
use super::super::pace::{Pace, Patience};
use super::super::pool::{Held, Slot};
use super::super::response::{self, Window, put};
use super::super::{Error, Method, Status, date};
use super::frame::Code;
use super::state::{State, Waits};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::ops::Range;
use core::pin::pin;
use core::task::{Context, Poll};
use core::time::Duration;
use embedded_io_async::Read as _;
use ip::Shared;
use kernel::time::Instant;

/// How long content is read that nobody wanted, and how many bytes of it where these take longer.
const SKIP_TIME: Duration = Duration::from_secs(1);
const SKIP: usize = 64 * 1024;

/// What a stream needs of its connection.
pub(super) struct Within<'a> {
    pub state: &'a RefCell<State>,
    pub slot: &'a Slot,
    pub limits: &'a Limits,
    pub peer: SocketAddr,
    pub local: SocketAddr,
}

/// The bytes of a stream each way.
struct Channel<'a> {
    of: &'a Within<'a>,
    id: u32,
    /// The patience with a client that has to open this stream's window. With what all streams share,
    /// it is the connection's.
    patience: Patience,
}

impl<'a> Channel<'a> {
    fn new(of: &'a Within<'a>, id: u32) -> Self {
        let (_, takes) = of.slot.pool.paces;
        Self { of, id, patience: Patience::new(takes) }
    }

    /// Does `step` if the stream is there, and waits if that has nothing to say.
    fn poll<T>(
        &self,
        context: &Context<'_>,
        step: impl FnOnce(&mut State) -> Poll<T>,
    ) -> Poll<Result<T, ip::Error>> {
        let mut state = self.of.state.borrow_mut();
        if state.stream(self.id).is_none_or(|stream| stream.gone) {
            return Poll::Ready(Err(ip::Error::Reset));
        }
        let done = step(&mut state);
        if done.is_pending()
            && let Some(stream) = state.stream(self.id)
        {
            stream.waker = Some(context.waker().clone());
        }
        done.map(Ok)
    }
}

impl Wire for Channel<'_> {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, ip::Error>> {
        let budget = &self.of.slot.pool.budget;
        self.poll(context, |state| {
            state.read(self.id, buf, budget).map_or(Poll::Pending, Poll::Ready)
        })
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize, ip::Error>> {
        let budget = &self.of.slot.pool.budget;
        let sent = self.poll(context, |state| match state.send(self.id, buf, budget) {
            0 => Poll::Pending,
            sent => Poll::Ready(sent),
        });
        let over = {
            let mut state = self.of.state.borrow_mut();
            let tired = state.tired;
            match state.stream(self.id).map(|it| it.waits) {
                Some(Waits::Own) if sent.is_pending() => {
                    self.patience.poll_over(context).is_ready()
                }
                waits => {
                    self.patience.moved(match &sent {
                        Poll::Ready(Ok(count)) => *count,
                        _ => 0,
                    });
                    tired && sent.is_pending() && waits == Some(Waits::All)
                }
            }
        };
        if over { Poll::Ready(Err(ip::Error::TimedOut)) } else { sent }
    }

    fn poll_share(
        &mut self,
        context: &mut Context<'_>,
        shared: &Shared,
        range: Range<usize>,
    ) -> Poll<Result<usize, ip::Error>> {
        self.poll_write(context, shared.bytes().get(range).unwrap_or_default())
    }

    fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        head: &response::Head<'_>,
    ) -> Option<Poll<Result<usize, ip::Error>>> {
        let budget = &self.of.slot.pool.budget;
        let written =
            self.poll(context, |state| state.output.head(self.id, |to| head.encode(to), budget));
        Some(match written {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(Some(()))) => {
                if let Some(stream) = self.of.state.borrow_mut().stream(self.id) {
                    stream.begun = true;
                }
                Poll::Ready(Ok(1))
            }
            Poll::Ready(Ok(None)) => Poll::Ready(Err(ip::Error::Exhausted)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        })
    }

    fn peer(&self) -> SocketAddr {
        self.of.peer
    }

    fn local(&self) -> SocketAddr {
        self.of.local
    }
}

/// With which status a request is refused, and whether the answer has no content.
type Refusal = (Status, bool);

/// Serves the request of a stream to its end, or until the stream is gone.
pub(super) async fn run(
    of: &Within<'_>,
    id: u32,
    head: Result<Vec<u8>, Refusal>,
    over: bool,
    handler: &impl Handler,
) -> u32 {
    let mut serving = pin!(serve(of, id, head, over, handler));
    let ended = poll_fn(|context| {
        if of.state.borrow_mut().stream(id).is_none_or(|stream| stream.gone) {
            return Poll::Ready(None);
        }
        let ended = serving.as_mut().poll(context);
        if ended.is_pending()
            && let Some(stream) = of.state.borrow_mut().stream(id)
            && !stream.task.as_ref().is_some_and(|waker| waker.will_wake(context.waker()))
        {
            stream.task = Some(context.waker().clone());
        }
        ended.map(Some)
    })
    .await;
    let code = match ended {
        None => None,
        Some(Err(code)) => Some(code),
        Some(Ok(())) => {
            said(of, id, |state| state.output.finish(id, &of.slot.pool.budget)).await;
            // The rest is not needed (RFC 9113, section 8.1), but there are clients that lose the
            // answer where they are told so in the middle of what they send.
            if skip(of, id).await { None } else { Some(Code::NO_ERROR) }
        }
    };
    if let Some(code) = code {
        said(of, id, |state| state.reset(id, code, &of.slot.pool.budget)).await;
    }
    id
}

/// Says the last of a stream, as soon as there is room for it. While something is to be sent, it is the
/// connection that has patience with the client; where there is no memory in time, the connection ends.
async fn said(of: &Within<'_>, id: u32, mut say: impl FnMut(&mut State) -> Option<()>) {
    let (_, takes) = of.slot.pool.paces;
    let mut patience = Patience::new(takes);
    let told = poll_fn(|context| {
        let mut state = of.state.borrow_mut();
        if state.stream(id).is_none_or(|stream| stream.gone) || say(&mut state).is_some() {
            return Poll::Ready(true);
        }
        if let Some(stream) = state.stream(id) {
            (stream.waker, stream.ends) = (Some(context.waker().clone()), true);
        }
        if state.output.is_empty() {
            return patience.poll_over(context).map(|()| false);
        }
        patience.moved(0);
        Poll::Pending
    })
    .await;
    if !told {
        of.state.borrow_mut().stuck = true;
    }
}

/// Reads over what is left of the content, for [`SKIP_TIME`], or [`SKIP`] bytes of it where these
/// take longer; whether that was all, or the stream is gone.
async fn skip(of: &Within<'_>, id: u32) -> bool {
    let (sends, _) = of.slot.pool.paces;
    let (begun, mut skipped) = (Instant::now(), 0);
    let mut pace = sends.until(begun.saturating_add(of.limits.whole));
    let mut channel = Channel::new(of, id);
    let (mut link, mut scratch) = (Link::to(&mut channel), [0; 256]);
    loop {
        if skipped > SKIP && begun.elapsed() > SKIP_TIME {
            return false;
        }
        match pace.wait(pin!(link.read(&mut scratch))).await {
            Ok(Ok(count @ 1..)) => skipped += count,
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
}

/// Serves a request.
///
/// # Errors
/// Why the stream is to be reset.
async fn serve(
    of: &Within<'_>,
    id: u32,
    head: Result<Vec<u8>, Refusal>,
    over: bool,
    handler: &impl Handler,
) -> Result<(), Code> {
    let pool = &*of.slot.pool;
    let mut channel = Channel::new(of, id);
    let mut link = Link::to(&mut channel);
    let mut charge = Charge::new(&pool.budget);
    let refused = match &head {
        Err((status, headless)) => Err((*status, "", *headless)),
        Ok(bytes) => match judge(bytes, over, of.limits) {
            Ok(head) => {
                charge.add(bytes.len() + ROOM).map_err(|_| Code::REFUSED_STREAM)?;
                exchange((of, id), link.reborrow(), bytes, &head, handler).await?
            }
            Err(refused) => Err(refused),
        },
    };
    let Err((status, why, headless)) = refused else { return Ok(()) };
    count(&pool.stats, |stats| stats.bad += 1);
    refuse(&mut link, status, why, headless).await.map_err(|_| Code::INTERNAL)
}

/// Bytes that a stream takes beside what is counted elsewhere: its future.
const ROOM: usize = 4096;

/// Why a request is refused: the status, the reason, and whether it is HEAD.
type Refused = (Status, &'static str, bool);

/// Judges the head of a request as that of HTTP/1.1 is judged.
fn judge(bytes: &[u8], over: bool, limits: &Limits) -> Result<Head, Refused> {
    let mut parser = Parser::default();
    let bounds = Bounds { target: limits.target, fields: limits.fields };
    let parsed = parser.parse(bytes, bounds);
    let headless = parser.is_head(bytes);
    let mut head = match parsed {
        Ok(Some(head)) => head,
        Ok(None) => return Err((Status::BAD_REQUEST, "the head has no end", headless)),
        Err(refusal) => return Err((refusal.status, refusal.why, headless)),
    };
    head.came_by(Version::Http2);
    match head.framing {
        _ if over => head.framing = Framing::Length(0),
        // The end of the stream is the end of the content.
        Framing::Length(0) => head.framing = Framing::Close,
        Framing::Length(length) if length > limits.body => {
            return Err((Status::TOO_LARGE, "", headless));
        }
        _ => {}
    }
    Ok(head)
}

/// Has the handler answer. Outside, why the stream is reset; inside, why the request is refused
/// where no answer has begun.
async fn exchange(
    (of, id): (&Within<'_>, u32),
    mut link: Link<'_>,
    bytes: &[u8],
    head: &Head,
    handler: &impl Handler,
) -> Result<Result<(), Refused>, Code> {
    let pool = &*of.slot.pool;
    let mut held = Held { pool, memory: None };
    held.take(of.limits).map_err(|_| Code::REFUSED_STREAM)?;
    let Some(memory) = &mut held.memory else { return Err(Code::REFUSED_STREAM) };
    let request = Request::new(bytes, head);
    let (sends, _) = pool.paces;
    let pace = sends.until(Instant::now().saturating_add(of.limits.whole));
    let most = (of.limits.body, pace, &pool.budget);
    let body = Body::new(link.reborrow(), &mut memory.buffer, 0, head.framing, false, most);
    let mut exchange = Exchange::new(request, body, head.keep, &mut memory.text, of.slot);
    exchange.stream = id;
    exchange.pace = Pace::endless();
    let result = exchange.serve(handler).await;
    count(&pool.stats, |stats| stats.requests += 1);
    let why = exchange.body.why;
    let headless = request.method() == Method::Head;
    match result {
        Ok(()) if exchange.progress.done => Ok(Ok(())),
        Err(Error::Request(status)) if !exchange.progress.begun => Ok(Err((status, why, headless))),
        Ok(()) if !exchange.progress.begun => Ok(Err((Status::INTERNAL, why, headless))),
        _ => Err(Code::INTERNAL),
    }
}

/// Answers with a status and why.
async fn refuse(
    link: &mut Link<'_>,
    status: Status,
    why: &str,
    headless: bool,
) -> Result<(), Error> {
    let mut pace = Pace::endless();
    let date = date::format(kernel::time::wall_clock().as_secs());
    link.head(&response::Head::refusal(status, why, &date), &mut pace).await?;
    if headless {
        return Ok(());
    }
    let mut memory = [0; 256];
    let mut window = Window::new(&mut memory, 0);
    response::explain(&mut window, status, why);
    let length = window.filled;
    put(link, &memory[..length], &mut pace).await
}
