//! The streams of a connection, and what they may send and take.

use super::super::budget::Budget;
use super::frame::Code;
use super::output::Output;
use alloc::vec::Vec;
use core::task::Waker;

/// Bytes of content that a client may send on a stream before they were read: what it is until
/// somebody says otherwise (RFC 9113, section 6.9.2).
pub(super) const WINDOW: u32 = 65_535;

/// Bytes that it may send on all streams together before they were read, and that streams may hold
/// for it to be told that it may send more.
pub(super) const ALL: u32 = 2 * WINDOW;

/// Streams that a client may have at a time (section 5.1.2 names 100 as the least).
pub(super) const STREAMS: usize = 100;

/// The last streams that have ended, of which it is known how (section 5.1).
const ENDED: usize = 128;

/// The bit that no stream's number has (section 4.1): it was reset here.
const HERE: u32 = 1 << 31;

/// How a stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was reset here: what comes on it was under way.
    Here,
    /// Both sides know it.
    There,
    /// It was never begun, or that is long ago.
    Unknown,
}

/// What content that is to be sent waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// For nothing, or for room, which all streams share.
    Not,
    /// For its own window, or for memory.
    Own,
    /// For the window of all.
    All,
}

/// A request and its response.
pub(super) struct Stream {
    pub id: u32,
    /// Bytes that may be sent, less than none after a change of the settings (section 6.9.2).
    pub window: i64,
    /// Content that came and was not read, from `start` on.
    input: Vec<u8>,
    start: usize,
    /// Bytes that the budget has given for it.
    held: usize,
    /// Bytes that may still come before the client is told that more may.
    left: u32,
    /// The client has ended it.
    pub over: bool,
    /// Bytes that are still to come, where the length was announced (section 8.1.1).
    pub announced: Option<u64>,
    /// The client has reset it, or the connection is gone.
    pub gone: bool,
    /// The head of the response was written.
    pub begun: bool,
    /// Bytes of content that came or went.
    pub moved: usize,
    /// Its end waits for room.
    pub ends: bool,
    /// What it has to send waits for this, if it does.
    pub waits: Waits,
    /// What waits for content, for room or for a window.
    pub waker: Option<Waker>,
    /// Its task, which is told when the stream is gone.
    pub task: Option<Waker>,
}

impl Stream {
    /// Has its task look again.
    fn wake(&mut self) {
        let wakers = [self.waker.take(), self.task.take()];
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Changes how much it may send, and has its task look again if that was nothing.
    fn open(&mut self, change: i64) -> Result<(), Code> {
        if opens(&mut self.window, change)? {
            self.wake();
        }
        Ok(())
    }

    /// Bytes that came and were not read: never more than the window.
    fn unread(&self) -> u32 {
        (self.input.len() - self.start) as u32
    }

    /// Makes room for `count` bytes behind those that were not read. `None` if there is none.
    fn reserve(&mut self, count: usize, budget: &Budget) -> Option<()> {
        self.input.drain(..self.start);
        self.start = 0;
        let needed = self.input.len() + count;
        if needed > self.held {
            let size = needed.max(2 * self.held).min(WINDOW as usize);
            budget.spend(size - self.held)?;
            if self.input.try_reserve_exact(size - self.input.len()).is_err() {
                budget.put(size - self.held);
                return None;
            }
            self.held = size;
        }
        Some(())
    }
}

/// Changes a window; whether something may be sent where nothing could: nobody else waits for it,
/// and to ask everybody at each of a client's frames would cost the server more than the client.
fn opens(window: &mut i64, change: i64) -> Result<bool, Code> {
    let shut = *window <= 0;
    *window += change;
    if *window > i64::from(i32::MAX) { Err(Code::FLOW_CONTROL) } else { Ok(shut && *window > 0) }
}

/// What a connection and its streams share. It is borrowed for a moment at a time.
pub(super) struct State {
    pub output: Output,
    /// Bytes that may be sent on all streams together.
    window: i64,
    /// Bytes that may be sent on a new stream.
    initial: i64,
    /// Bytes that may still come on all streams before the client is told that more may.
    left: u32,
    streams: Vec<Stream>,
    /// Content has come or gone since somebody asked.
    pub progress: bool,
    /// The client took nothing for too long.
    pub stuck: bool,
    /// It opened the window of all streams too little for too long.
    pub tired: bool,
    /// The last ones that have ended, from `next` on the oldest, with [`HERE`] where that was so. Each
    /// connection holds them, so that they are small.
    ended: [u32; ENDED],
    next: usize,
}

impl State {
    pub(super) const fn new() -> Self {
        Self {
            output: Output::new(),
            window: WINDOW as i64,
            initial: WINDOW as i64,
            left: WINDOW,
            streams: Vec::new(),
            progress: false,
            stuck: false,
            tired: false,
            ended: [0; ENDED],
            next: 0,
        }
    }

    pub(super) const fn count(&self) -> usize {
        self.streams.len()
    }

    /// Whether streams wait for the window of all of them.
    pub(super) fn waits(&self) -> bool {
        self.window <= 0 && self.streams.iter().any(|it| it.waits == Waits::All && !it.gone)
    }

    /// Those of them that have not been reset, which count for the limit (section 5.1.2).
    pub(super) fn live(&self) -> usize {
        self.streams.iter().filter(|stream| !stream.gone).count()
    }

    /// Whether there is a stream whose number is as `is` asks.
    pub(super) fn any(&self, is: impl Fn(u32) -> bool) -> bool {
        self.streams.iter().any(|stream| is(stream.id))
    }

    pub(super) fn stream(&mut self, id: u32) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.id == id)
    }

    /// Begins a stream. `None` if there is no memory for it.
    pub(super) fn begin(&mut self, id: u32, over: bool, announced: Option<u64>) -> Option<()> {
        self.streams.try_reserve(1).ok()?;
        self.streams.push(Stream {
            id,
            window: self.initial,
            input: Vec::new(),
            start: 0,
            held: 0,
            left: WINDOW,
            over,
            announced,
            gone: false,
            begun: false,
            moved: 0,
            ends: false,
            waits: Waits::Not,
            waker: None,
            task: None,
        });
        Some(())
    }

    /// Forgets a stream, and what came on it and was not read; whether it was answered.
    pub(super) fn end(&mut self, id: u32, budget: &Budget) -> bool {
        let Some(at) = self.streams.iter().position(|stream| stream.id == id) else { return false };
        let stream = self.streams.swap_remove(at);
        budget.put(stream.held);
        if self.ended(id) == Ended::Unknown {
            self.note(id, Ended::There);
        }
        stream.begun && !stream.gone
    }

    fn note(&mut self, id: u32, how: Ended) {
        self.ended[self.next] = if how == Ended::Here { id | HERE } else { id };
        self.next = (self.next + 1) % ENDED;
    }

    /// Resets a stream for what the client did, or does not need to do any more.
    pub(super) fn reset(&mut self, id: u32, code: Code, budget: &Budget) -> Option<()> {
        self.output.reset(id, code, budget)?;
        self.note(id, Ended::Here);
        self.gone(id);
        Some(())
    }

    /// How a stream has ended that is not there.
    pub(super) fn ended(&self, id: u32) -> Ended {
        match self.ended.iter().find(|&known| known & !HERE == id) {
            None | Some(0) => Ended::Unknown,
            Some(known) if known & HERE != 0 => Ended::Here,
            Some(_) => Ended::There,
        }
    }

    /// The stream is no more, which its task is told.
    pub(super) fn gone(&mut self, id: u32) {
        if let Some(stream) = self.stream(id) {
            stream.gone = true;
            stream.wake();
        }
    }

    /// The connection is gone.
    pub(super) fn all_gone(&mut self) {
        for stream in &mut self.streams {
            stream.gone = true;
            stream.wake();
        }
    }

    /// Has the tasks look again that wait for room or for a window.
    pub(super) fn wake(&mut self) {
        self.streams.iter_mut().for_each(Stream::wake);
        // So that each is the first to be asked once in a while.
        if self.streams.len() > 1 {
            self.streams.rotate_left(1);
        }
    }

    /// Has those look again whose end waits for room, if there is some; whether there were any.
    pub(super) fn wake_ends(&mut self) -> bool {
        let mut any = false;
        if self.output.ends() {
            for stream in &mut self.streams {
                if core::mem::take(&mut stream.ends) {
                    stream.wake();
                    any = true;
                }
            }
        }
        any
    }

    /// Applies another initial window to all streams (section 6.9.2).
    pub(super) fn resize(&mut self, window: u32) -> Result<(), Code> {
        let change = i64::from(window) - self.initial;
        self.initial = window.into();
        self.streams.iter_mut().try_for_each(|stream| stream.open(change))
    }

    /// The client takes so many bytes more, on all streams.
    pub(super) fn allowed(&mut self, more: u32) -> Result<(), Code> {
        if opens(&mut self.window, more.into())? {
            self.wake();
        }
        Ok(())
    }

    /// The client takes so many bytes more on a stream, if that is there.
    pub(super) fn allowed_on(&mut self, id: u32, more: u32) -> Result<(), Code> {
        self.stream(id).map_or(Ok(()), |stream| stream.open(more.into()))
    }

    /// The client has ended a stream.
    pub(super) fn finish(&mut self, id: u32) {
        if let Some(stream) = self.stream(id) {
            stream.over = true;
            stream.wake();
        }
    }

    /// The client sends nothing more: requests that are not complete are gone.
    pub(super) fn cut(&mut self) {
        for stream in self.streams.iter_mut().filter(|stream| !stream.over) {
            stream.gone = true;
            stream.wake();
        }
    }

    /// Streams that there is room for.
    #[cfg(test)]
    pub(super) const fn spare(&self) -> usize {
        self.streams.capacity()
    }

    /// Gives back what a connection needs only at work.
    pub(super) fn rest(&mut self, budget: &Budget) {
        if self.streams.is_empty() {
            self.streams = Vec::new();
        }
        self.output.rest(budget);
    }

    /// Gives all memory back.
    pub(super) fn close(&mut self, budget: &Budget) {
        for stream in core::mem::take(&mut self.streams) {
            budget.put(stream.held);
        }
        self.output.close(budget);
    }

    /// Sends as much of `content` as there is room and windows for: how many bytes; 0 if it has to
    /// wait.
    pub(super) fn send(&mut self, id: u32, content: &[u8], budget: &Budget) -> usize {
        let all = self.window;
        let Some(stream) = self.stream(id) else { return 0 };
        let window = usize::try_from(stream.window.min(all)).unwrap_or(0);
        let sent = self.output.data(id, content, window, budget);
        self.window -= sent as i64;
        self.progress |= sent > 0;
        let empty = self.output.is_empty();
        if let Some(stream) = self.stream(id) {
            stream.waits = match (sent, stream.window, all) {
                (0, ..=0, _) => Waits::Own,
                (0, _, ..=0) => Waits::All,
                (0, ..) if empty => Waits::Own,
                _ => Waits::Not,
            };
            stream.window -= sent as i64;
            stream.moved = stream.moved.saturating_add(sent);
        }
        sent
    }

    /// A frame of DATA takes so much of the connection's window, whatever becomes of it.
    pub(super) fn came(&mut self, length: usize) -> Result<(), Code> {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.left = self.left.checked_sub(length).ok_or(Code::FLOW_CONTROL)?;
        Ok(())
    }

    /// `bytes` of content came on a stream, in a frame that has `length` bytes with its padding.
    ///
    /// # Errors
    /// Why the stream is reset: more than its window, or than was announced, or no memory.
    pub(super) fn take(
        &mut self,
        id: u32,
        (bytes, length): (&[u8], usize),
        over: bool,
        budget: &Budget,
    ) -> Result<(), Code> {
        let Some(stream) = self.stream(id) else { return Ok(()) };
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        stream.left = stream.left.checked_sub(length).ok_or(Code::FLOW_CONTROL)?;
        if let Some(announced) = &mut stream.announced {
            let less = announced.checked_sub(bytes.len() as u64);
            *announced = less.filter(|&less| !over || less == 0).ok_or(Code::PROTOCOL)?;
        }
        stream.reserve(bytes.len(), budget).ok_or(Code::CALM)?;
        stream.input.extend_from_slice(bytes);
        stream.moved = stream.moved.saturating_add(bytes.len());
        stream.over = over;
        stream.wake();
        self.progress |= !bytes.is_empty();
        Ok(())
    }

    /// Tells the client that it may send what was read meanwhile (section 6.9). On all streams
    /// together, that is less by what these hold, which a stream of which a little is left unread
    /// does not give back: a client decides when answers go on, and so when bodies are read.
    pub(super) fn credit(&mut self, budget: &Budget) {
        let mut held = 0;
        for stream in &mut self.streams {
            held += stream.held as u32;
            let more = WINDOW.saturating_sub(stream.left).saturating_sub(stream.unread());
            if more >= WINDOW / 2
                && !stream.over
                && self.output.answers()
                && self.output.allow(stream.id, more, budget).is_some()
            {
                stream.left += more;
            }
        }
        let more = ALL.saturating_sub(self.left).saturating_sub(held);
        if more >= ALL / 4 && self.output.answers() && self.output.allow(0, more, budget).is_some()
        {
            self.left += more;
        }
    }

    /// Reads what came on a stream: how many bytes; `None` if it has to wait. What is empty holds no
    /// memory, as the client may have many streams that are, for as long as a request may take.
    pub(super) fn read(&mut self, id: u32, to: &mut [u8], budget: &Budget) -> Option<usize> {
        let stream = self.stream(id)?;
        let input = stream.input.get(stream.start..).unwrap_or_default();
        if input.is_empty() {
            return stream.over.then_some(0);
        }
        let count = input.len().min(to.len());
        to[..count].copy_from_slice(&input[..count]);
        stream.start += count;
        if stream.unread() == 0 {
            (stream.input, stream.start) = (Vec::new(), 0);
            budget.put(core::mem::take(&mut stream.held));
        }
        Some(count)
    }
}
