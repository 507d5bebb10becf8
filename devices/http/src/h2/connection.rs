//! A connection: frames are read, those of the connection itself are answered, and streams begin
//! and end.

use super::super::budget::Charge;
use super::super::exchange::Handler;
use super::super::limits::{Limits, count};
use super::super::link::Link;
use super::super::pace::Patience;
use super::super::pool::{Doing, KEEP, Pool, Slot, brief};
use super::super::{Error, Status};
use super::frame::{Code, Frame, LARGEST, flag, kind};
use super::hpack::Decoder;
use super::input::Input;
use super::state::{STREAMS, State, WINDOW};
use super::stream::Within;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use core::time::Duration;
use futures_util::stream::{FuturesUnordered, StreamExt};
use kernel::time::{Instant, Sleep, sleep, timeout};

/// What a client sends first (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frames without which everything would go on as well, since the last request that was answered,
/// after which a client is to calm down.
const USELESS: u32 = 1000;

/// WINDOW_UPDATE frames that are as one without which everything would go on: clients whose windows are
/// large open them for each piece of a few KiB that they have read, long after it was sent.
pub(super) const UPDATES: u32 = 16;

/// Frames of one field block at most. A head that is this long has fewer.
pub(super) const PIECES: u32 = 32;

/// Requests that a client has reset and that neither an answered one nor time makes up for.
const RESETS: u32 = STREAMS as u32;

/// The time that makes up for one.
const PARDON: Duration = Duration::from_millis(100);

/// Bytes of content, either way, after which a reset costs the client as much as the server.
const FAIR: usize = 16 << 10;

/// Frames that are dealt with before streams have their turn.
const ROUND: usize = 32;

/// Rounds after which other tasks have their turn.
const ROUNDS: usize = 16;

/// When a connection that has no memory for what comes asks again.
const STARVED: Duration = Duration::from_millis(50);

/// How long the last frames may take to be sent.
const LAST: Duration = Duration::from_secs(1);

/// What serves a connection to its end.
type Serving<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;

/// Serves a connection that speaks HTTP/2: a pointer to [`serve`], by which a server that does not
/// offer it has none of this in its image.
pub(crate) type Serve<H> =
    for<'a> fn(Link<'a>, Vec<u8>, &'a Limits, &'a Slot, &'a H) -> Option<Serving<'a>>;

/// What is wrong with a frame, or what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// With a stream, which is reset.
    Stream(u32, Code),
    /// With the connection, which ends.
    Connection(Code),
}

impl From<Code> for Fault {
    fn from(code: Code) -> Self {
        Self::Connection(code)
    }
}

/// A field block that is not complete.
pub(super) struct Block<'a> {
    pub stream: u32,
    pub over: bool,
    pub bytes: Vec<u8>,
    pub pieces: u32,
    /// The memory of its bytes.
    pub charge: Charge<'a>,
}

/// Why [`Connection::poll`] comes back.
enum Turn {
    /// What the connection waits for has changed.
    Other,
    /// The client has ended it, and all is answered.
    Over,
    /// It is ended for this.
    Fault(Code),
}

/// A connection of a client.
pub(super) struct Connection<'a, H> {
    pub within: &'a Within<'a>,
    pub handler: &'a H,
    pub input: Input,
    pub decoder: Decoder,
    /// The memory of the decoder, which holds what the client has remembered for as long as it stays.
    pub remembered: Charge<'a>,
    pub block: Option<Block<'a>>,
    pub tasks: FuturesUnordered<Pin<Box<dyn Future<Output = u32> + 'a>>>,
    /// The last stream that was begun.
    pub highest: u32,
    /// The last stream that the client was told of when it was to begin no more.
    pub named: Option<u32>,
    /// Another image waits for the streams up to this one, by which note.
    pub awaited: Option<(u32, u32)>,
    /// The client's settings have come.
    pub settled: bool,
    /// The client has ended its side.
    pub ended: bool,
    /// It was told that no more requests are taken.
    pub leaving: bool,
    pub useless: u32,
    /// Windows that were opened further, of which [`UPDATES`] are as one such frame.
    pub updates: u32,
    pub resets: u32,
    /// When time made up for some of them last.
    pub pardoned: Instant,
    /// With a client that takes what is sent on all streams.
    patience: Patience,
    /// Bytes of it that it has confirmed.
    confirmed: u64,
    /// Since when there is no memory for what comes, and when it is asked for again.
    starved: Option<(Instant, Sleep)>,
    /// Rounds since other tasks had their turn.
    rounds: usize,
}

/// Serves a connection whose client has said [`PREFACE`], and then `begun`; `None` if there is no
/// memory for it.
pub(crate) fn serve<'a, H: Handler>(
    link: Link<'a>,
    begun: Vec<u8>,
    limits: &'a Limits,
    slot: &'a Slot,
    handler: &'a H,
) -> Option<Serving<'a>> {
    let serving = kernel::memory::boxed(run(link, begun, limits, slot, handler)).ok()?;
    Some(Box::into_pin(serving))
}

async fn run<H: Handler>(
    mut link: Link<'_>,
    begun: Vec<u8>,
    limits: &Limits,
    slot: &Slot,
    handler: &H,
) -> Result<(), Error> {
    let pool = &*slot.pool;
    let state = RefCell::new(State::new());
    let (peer, local) = (link.peer(), link.local());
    let within = Within { state: &state, slot, limits, peer, local };
    let input = Input::new(&begun, &pool.budget).ok_or(Error::Request(Status::UNAVAILABLE))?;
    // It is not needed for as long as the connection is.
    drop(begun);
    let mut connection = Connection {
        within: &within,
        handler,
        input,
        decoder: Decoder::new(),
        remembered: Charge::new(&pool.budget),
        block: None,
        tasks: FuturesUnordered::new(),
        highest: 0,
        named: None,
        awaited: None,
        settled: false,
        ended: false,
        leaving: false,
        useless: 0,
        updates: 0,
        resets: 0,
        pardoned: Instant::now(),
        patience: Patience::new(pool.paces.1),
        confirmed: 0,
        starved: None,
        rounds: 0,
    };
    let streams = (STREAMS as u32).to_be_bytes();
    // MAX_CONCURRENT_STREAMS; the others are as they are until somebody says otherwise.
    let setting = [0, 3, streams[0], streams[1], streams[2], streams[3]];
    let greeting = (kind::SETTINGS, 0, 0);
    let _ = state.borrow_mut().output.add(greeting, &setting, &pool.budget);
    let result = connection.serve(&mut link).await;
    // Their handlers end with what they hold of the connection.
    state.borrow_mut().all_gone();
    connection.tasks.clear();
    if result.is_ok() {
        let flush = poll_fn(|context| state.borrow_mut().output.poll_flush(context, &mut link));
        let _ = timeout(LAST, flush).await;
    }
    result
}

/// Gives back all the memory that it holds, also where its task is dropped before its end.
impl<H> Drop for Connection<'_, H> {
    fn drop(&mut self) {
        self.tasks.clear();
        let budget = &self.within.slot.pool.budget;
        self.input.end(budget);
        self.within.state.borrow_mut().close(budget);
    }
}

impl<'a, H: Handler> Connection<'a, H> {
    pub(super) fn pool(&self) -> &'a Pool {
        &self.within.slot.pool
    }

    /// Serves until the client ends, does something wrong, or has to leave. The last words are
    /// then to be sent.
    ///
    /// # Errors
    /// Those of the network.
    async fn serve(&mut self, link: &mut Link<'_>) -> Result<(), Error> {
        let Within { state, slot, limits, .. } = self.within;
        loop {
            let busy = state.borrow().count() > 0;
            let half = self.block.is_some();
            if !busy && (self.leaving || self.ended) {
                return self.last(link).await;
            }
            if !busy && !half {
                self.rest();
            }
            let leaving = self.leaving;
            let turn = pin!(poll_fn(|context| self.poll(context, link, (busy, half))));
            let turn = if leaving {
                Some(turn.await)
            } else {
                let (doing, limit) = match (half, busy) {
                    (true, false) => (Doing::Head, limits.request),
                    (true, true) => (Doing::Work, limits.request),
                    (false, true) => (Doing::Work, Duration::MAX),
                    (false, false) => (Doing::Idle, limits.idle),
                };
                slot.wait(doing, limit, turn).await
            };
            match turn {
                Some(Err(error)) => return Err(Error::Connection(error)),
                Some(Ok(Turn::Over)) => return self.flush(link).await,
                Some(Ok(Turn::Fault(code))) => {
                    count(&self.pool().stats, |stats| stats.bad += 1);
                    self.go_away(code);
                    return Ok(());
                }
                Some(Ok(Turn::Other)) if !slot.leaves() => {}
                None if half && !self.pool().is_moving() => {
                    self.go_away(Code::CALM);
                    return Ok(());
                }
                // It has been idle for too long, or another needs its place, or the server ends.
                Some(Ok(Turn::Other)) | None => self.leave(),
            }
        }
    }

    /// The same, in the time that there is.
    async fn last(&self, link: &mut Link<'_>) -> Result<(), Error> {
        let slot = self.within.slot;
        if !slot.makes_room() {
            return self.flush(link).await;
        }
        let brief = brief(self.within.state.borrow().output.len());
        let flushed = slot.wait(Doing::Leaving, brief, pin!(self.flush(link))).await;
        flushed.unwrap_or(Err(Error::Connection(ip::Error::TimedOut)))
    }

    /// Sends what is left of answers, to a client that takes it in time.
    async fn flush(&self, link: &mut Link<'_>) -> Result<(), Error> {
        let (_, mut pace) = self.pool().paces;
        loop {
            let before = self.within.state.borrow().output.len();
            if before == 0 {
                return Ok(());
            }
            let before = before + link.unconfirmed();
            let step = pin!(poll_fn(|context| {
                let mut state = self.within.state.borrow_mut();
                let flushed = state.output.poll_flush(context, link);
                let left = state.output.len() + link.unconfirmed();
                match (flushed, before.saturating_sub(left)) {
                    (Poll::Ready(Err(error)), _) => Poll::Ready(Err(error)),
                    (Poll::Pending, 0) => Poll::Pending,
                    (_, sent) => Poll::Ready(Ok(sent)),
                }
            }));
            match pace.wait(step).await {
                Ok(sent) => sent.map(drop).map_err(Error::Connection)?,
                Err(_) => return Err(Error::Connection(ip::Error::TimedOut)),
            }
        }
    }

    /// Gives back what a connection needs only at work.
    fn rest(&mut self) {
        let budget = &self.pool().budget;
        self.input.rest(self.pool().stats.get().open > KEEP, budget);
        self.decoder.rest();
        // It is less than before, or what was kept without memory for it.
        let _ = self.remembered.follow(self.decoder.holds());
        self.within.state.borrow_mut().rest(budget);
    }

    /// Takes no more requests, and tells the client which was the last.
    pub(super) fn leave(&mut self) {
        if !self.leaving {
            self.leaving = true;
            self.go_away(Code::NO_ERROR);
            // Those that wait for what may come late end as well.
            self.within.state.borrow_mut().wake();
        }
    }

    /// Adds GOAWAY (section 6.8). What a client was told not to be served it may have begun
    /// elsewhere.
    fn go_away(&mut self, Code(code): Code) {
        let mut payload = [0; 8];
        let last = *self.named.get_or_insert(self.highest);
        payload[..4].copy_from_slice(&last.to_be_bytes());
        payload[4..].copy_from_slice(&code.to_be_bytes());
        let mut state = self.within.state.borrow_mut();
        // Where there is no memory for it, the end of the connection has to say it.
        let _ = state.output.add((kind::GOAWAY, 0, 0), &payload, &self.pool().budget);
    }

    /// Does what there is to do, or as much of it as is fair.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        link: &mut Link<'_>,
        (busy, half): (bool, bool),
    ) -> Poll<Result<Turn, ip::Error>> {
        let (state, budget) = (self.within.state, &self.pool().budget);
        let leaving = self.leaving;
        while self.rounds < ROUNDS {
            self.rounds += 1;
            let mut moved = false;
            while let Poll::Ready(Some(id)) = self.tasks.poll_next_unpin(context) {
                // One that was answered makes up for others.
                if state.borrow_mut().end(id, budget) {
                    (self.useless, self.resets) = (0, self.resets.saturating_sub(1));
                }
                moved = true;
            }
            if core::mem::take(&mut state.borrow_mut().progress) {
                self.useless = 0;
            }
            if state.borrow().stuck {
                return Poll::Ready(Err(ip::Error::TimedOut));
            }
            state.borrow_mut().credit(budget);
            let waits = state.borrow().output.len();
            // Also where there is nothing, as a layer beneath may hold some of it back.
            let flushed = state.borrow_mut().output.poll_flush(context, link)?;
            moved |= self.poll_patience(context, link, flushed.is_pending())?;
            let left = state.borrow().output.len();
            if left < waits && left == 0 {
                // Whoever waited for room has it now.
                state.borrow_mut().wake();
                moved = true;
            } else if left < waits {
                moved |= state.borrow_mut().wake_ends();
            }
            match self.read(context, link) {
                Ok(Poll::Ready(Err(error))) => return Poll::Ready(Err(error)),
                Ok(Poll::Ready(Ok(()))) => moved = true,
                Ok(Poll::Pending) => {}
                Err(code) => return Poll::Ready(Ok(Turn::Fault(code))),
            }
            self.settle();
            let now = state.borrow().count() > 0;
            if self.ended && !now {
                return Poll::Ready(Ok(Turn::Over));
            }
            let ends = self.pool().closing.get() && !self.leaving;
            if ends || self.leaving != leaving || (now, self.block.is_some()) != (busy, half) {
                return Poll::Ready(Ok(Turn::Other));
            }
            if !moved {
                self.rounds = 0;
                return Poll::Pending;
            }
        }
        self.rounds = 0;
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Judges how fast the client takes what is sent, on all streams together: each alone may be slow,
    /// where there are many. Returns whether streams that wait for a window have to give up.
    ///
    /// # Errors
    /// [`ip::Error::TimedOut`]: it takes too little.
    fn poll_patience(
        &mut self,
        context: &mut Context<'_>,
        link: &Link<'_>,
        full: bool,
    ) -> Result<bool, ip::Error> {
        let mut state = self.within.state.borrow_mut();
        let shut = state.waits();
        let confirmed = state.output.taken.saturating_sub(link.unconfirmed() as u64);
        let more = confirmed.saturating_sub(self.confirmed);
        self.confirmed += more;
        if more > 0 || !(full || shut) {
            self.patience.moved(usize::try_from(more).unwrap_or(usize::MAX));
            state.tired = false;
        }
        let known = state.tired && !full;
        if !(full || shut) || known || self.patience.poll_over(context).is_pending() {
            return Ok(false);
        }
        if full {
            return Err(ip::Error::TimedOut);
        }
        // For what these streams have to say at their end.
        self.patience = Patience::new(self.pool().paces.1);
        state.tired = true;
        state.wake();
        Ok(true)
    }

    /// Says so when the requests have been served that another image waits for: those of streams
    /// that there were when it was noted, and that do not just wait for what may come late.
    fn settle(&mut self) {
        let slot = self.within.slot;
        let Some(round) = slot.awaited() else { return };
        let (_, last) = match self.awaited {
            Some(noted) if noted.0 == round => noted,
            _ => *self.awaited.insert((round, self.highest)),
        };
        if !self.within.state.borrow().any(|id| id <= last && !slot.is_late(id)) {
            slot.settle();
        }
    }

    /// Deals with the frames that are there, or reads more.
    ///
    /// # Errors
    /// Why the connection is to be ended.
    fn read(
        &mut self,
        context: &mut Context<'_>,
        link: &mut Link<'_>,
    ) -> Result<Poll<Result<(), ip::Error>>, Code> {
        let (state, budget) = (self.within.state, &self.pool().budget);
        let mut dealt = 0;
        // Out of its place, as the payload stays there.
        let mut input = core::mem::take(&mut self.input);
        let result = loop {
            if dealt == ROUND || !state.borrow().output.answers() {
                break Ok(());
            }
            let frame = match input.frame() {
                Ok(Some((frame, payload))) => match self.frame(frame, payload) {
                    Ok(()) => frame,
                    Err(Fault::Stream(id, code)) => {
                        // Making the server reset requests is as good an attack as resetting them.
                        let moved =
                            state.borrow_mut().stream(id).filter(|it| !it.gone).map(|it| it.moved);
                        moved.into_iter().for_each(|it| self.count_reset(it));
                        if state.borrow_mut().reset(id, code, budget).is_none() {
                            break Err(code);
                        }
                        self.useless += 1;
                        frame
                    }
                    Err(Fault::Connection(code)) => break Err(code),
                },
                Ok(None) => break Ok(()),
                Err(code) => break Err(code),
            };
            input.next(frame);
            dealt += 1;
        };
        self.input = input;
        result?;
        if self.useless > USELESS || self.resets > RESETS {
            return Err(Code::CALM);
        }
        if dealt > 0 {
            return Ok(Poll::Ready(Ok(())));
        }
        if self.ended || !state.borrow().output.answers() {
            return Ok(Poll::Pending);
        }
        let filled = self.input.poll_fill(context, link, budget);
        if let Poll::Ready(Ok(None)) = filled {
            self.starve(context);
            return Ok(Poll::Pending);
        }
        self.starved = None;
        Ok(filled.map_ok(|count| {
            if count == Some(0) {
                self.ended = true;
                state.borrow_mut().cut();
            }
        }))
    }

    /// Waits for memory, until a request would have had to be there. Then no more are taken.
    fn starve(&mut self, context: &mut Context<'_>) {
        let (since, again) = self.starved.get_or_insert_with(|| (Instant::now(), sleep(STARVED)));
        *again = sleep(STARVED);
        let _ = Pin::new(again).poll(context);
        if since.elapsed() >= self.within.limits.request {
            self.leave();
        }
    }

    /// Counts a request that was reset after so much of its content had moved.
    pub(super) fn count_reset(&mut self, moved: usize) {
        if moved < FAIR {
            let pardons = self.pardoned.elapsed().as_millis() / PARDON.as_millis();
            if pardons > 0 {
                let pardons = u32::try_from(pardons).unwrap_or(u32::MAX);
                self.resets = self.resets.saturating_sub(pardons);
                // What is left of the time counts for the next one.
                let until = self.pardoned.saturating_add(PARDON.saturating_mul(pardons));
                self.pardoned = if self.resets == 0 { Instant::now() } else { until };
            }
            self.resets += 1;
        }
    }

    /// Deals with a frame.
    fn frame(&mut self, frame: Frame, payload: &[u8]) -> Result<(), Fault> {
        // A field block is not interrupted (section 4.3), and settings come first (section 3.4).
        let goes_on =
            |block: &Block| frame.kind == kind::CONTINUATION && block.stream == frame.stream;
        if self.block.as_ref().is_some_and(|block| !goes_on(block))
            || (!self.settled && (frame.kind != kind::SETTINGS || frame.has(flag::ACK)))
        {
            return Err(Code::PROTOCOL.into());
        }
        match frame.kind {
            kind::DATA => self.data(frame, payload),
            kind::HEADERS => {
                self.client_stream(frame.stream)?;
                let block = frame.block(payload)?;
                self.piece(frame, block)
            }
            kind::CONTINUATION => self.piece(frame, payload),
            kind::PRIORITY => self.priority(frame, payload),
            kind::RST_STREAM => self.reset(frame, payload),
            kind::SETTINGS => self.settings(frame, payload),
            kind::PING => self.ping(frame, payload),
            kind::WINDOW_UPDATE => self.window_update(frame, payload),
            // Nobody has anything to push to a server (section 8.4).
            kind::PUSH_PROMISE => Err(Code::PROTOCOL.into()),
            // It ends when it has its answers.
            kind::GOAWAY if frame.stream != 0 => Err(Code::PROTOCOL.into()),
            kind::GOAWAY if payload.len() < 8 => Err(Code::FRAME_SIZE.into()),
            // Others are for others (section 4.1).
            _ => {
                self.useless += 1;
                Ok(())
            }
        }
    }
}

// The window of a stream is what clients take for granted.
const _: () = assert!(WINDOW as usize >= LARGEST);
