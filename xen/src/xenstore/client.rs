//! The client's end of the ring: what was asked for, what is watched, and messages both ways.

use super::error::Error;
use super::wire::{self, Assembler, Header};
use crate::Errno;
use crate::evtchn::{Port, PortNumber};
use crate::memory::SharedPage;
use crate::public::io::xs_wire::{CONNECTION, ERROR, Kind, PAYLOAD_MAX, REQ, RSP};
use crate::ring::{Consumer, Producer};
use alloc::string::String;
use alloc::vec::Vec;
use core::pin::Pin;
use core::task::{Context, Poll};

/// Counts requests, watches and unexpected messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests that are not answered, or whose reply was not taken.
    pub waiting: usize,
    /// Watches that are set.
    pub watches: usize,
    /// Replies and events that matched no request and no watch, since boot.
    pub dropped: u64,
}

/// A request that xenstored has not answered, or whose reply nobody took yet.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: u32,
    kind: Kind,
    transaction: u32,
    pub(super) reply: Option<Result<Vec<u8>, Errno>>,
    /// The future was dropped, so the reply is discarded.
    abandoned: bool,
    /// What was asked, where it can be asked again in another domain: it changes nothing.
    question: Vec<u8>,
    /// The watch that it sets again in another domain.
    renews: Option<u32>,
}

/// Whether a request changes nothing and is about this domain or what all see, so that it may be
/// made again.
const fn is_question(kind: Kind) -> bool {
    matches!(kind, Kind::Read | Kind::Directory | Kind::GetPerms | Kind::GetDomainPath)
}

/// A watch that is set.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) token: u32,
    pub(super) path: String,
    /// An event came that nobody has seen.
    pub(super) pending: bool,
    /// Why it could not be set again in another domain.
    pub(super) lost: Option<Errno>,
}

/// The ring, from the first request on.
#[derive(Debug)]
struct Connection {
    port: Port,
    out: Producer,
    input: Consumer,
    unsent: Vec<u8>,
    assembler: Assembler,
}

/// The client of xenstored: one for each domain.
#[derive(Debug)]
pub(crate) struct Client {
    page: Option<(SharedPage, PortNumber)>,
    connection: Option<Connection>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) watches: Vec<Watched>,
    /// The latest id of a request or token of a watch.
    last: u32,
    dropped: u64,
    broken: bool,
}

impl Client {
    pub(crate) const fn new() -> Self {
        Self {
            page: None,
            connection: None,
            waiting: Vec::new(),
            watches: Vec::new(),
            last: 0,
            dropped: 0,
            broken: false,
        }
    }

    /// Returns a number that no pending request and no watch has.
    pub(super) fn number(&mut self) -> u32 {
        loop {
            self.last = self.last.wrapping_add(1);
            let last = self.last;
            let taken = self.waiting.iter().any(|waiting| waiting.id == last)
                || self.watches.iter().any(|watch| watch.token == last);
            if last != 0 && !taken {
                return last;
            }
        }
    }

    pub(super) fn connect(&mut self) -> Result<(), Error> {
        if self.broken {
            return Err(Error::Broken);
        }
        if self.connection.is_none() {
            let (page, port) = self.page.as_ref().ok_or(Error::Missing)?;
            // The indices stand where an earlier user of the ring left them (rule X5).
            self.connection = Some(Connection {
                port: Port::adopt(*port).ok_or(Error::Missing)?,
                out: Producer::new(page, REQ).map_err(|_| Error::Broken)?,
                input: Consumer::new(page, RSP).map_err(|_| Error::Broken)?,
                unsent: Vec::new(),
                assembler: Assembler::new(),
            });
        }
        Ok(())
    }

    /// Queues a request and returns its id. The next [`pump`](Self::pump) sends the queue, so
    /// several requests cost one notification.
    pub(super) fn send(
        &mut self,
        kind: Kind,
        transaction: u32,
        payload: &[&[u8]],
    ) -> Result<u32, Error> {
        self.connect()?;
        let length: usize = payload.iter().map(|part| part.len()).sum();
        if length > PAYLOAD_MAX {
            return Err(Error::TooLong);
        }
        let id = self.number();
        let question =
            if transaction == 0 && is_question(kind) { payload.concat() } else { Vec::new() };
        let waiting = Waiting {
            id,
            kind,
            transaction,
            reply: None,
            abandoned: false,
            question,
            renews: None,
        };
        self.waiting.push(waiting);
        self.queue(Header { kind: kind as u32, id, transaction, length: length as u32 }, payload);
        Ok(id)
    }

    /// Queues the bytes of a request.
    fn queue(&mut self, header: Header, payload: &[&[u8]]) {
        if let Some(connection) = &mut self.connection {
            connection.unsent.extend_from_slice(&header.to_bytes());
            payload.iter().for_each(|part| connection.unsent.extend_from_slice(part));
        }
    }

    /// Writes and reads as much as the rings allow now.
    pub(super) fn pump(&mut self) -> Result<(), Error> {
        let result = self.try_pump();
        if result.is_err() {
            self.broken = true;
        }
        result
    }

    fn try_pump(&mut self) -> Result<(), Error> {
        self.connect()?;
        let (Some((page, _)), Some(connection)) = (&self.page, &mut self.connection) else {
            return Err(Error::Missing);
        };
        // Rule X15. The ring is not usable while xenstored reconnects (xs_wire.h).
        if page.load_u32(ERROR) != 0 {
            return Err(Error::Broken);
        }
        if page.load_u32(CONNECTION) != 0 {
            return Ok(());
        }
        let mut sent = false;
        while !connection.unsent.is_empty() {
            let unsent = &connection.unsent;
            let count = connection.out.write(page, unsent).map_err(|_| Error::Broken)?;
            if count == 0 {
                break;
            }
            sent = true;
            connection.unsent.drain(..count);
        }
        let mut piece = [0; 256];
        let mut messages = Vec::new();
        // Only what is there now, so that a daemon that keeps writing cannot keep us here:
        // what comes meanwhile raises another event.
        let available = connection.input.available(page).map_err(|_| Error::Broken)?;
        let mut left = available as usize;
        while left > 0 {
            let room = left.min(piece.len());
            let (piece, _) = piece.split_at_mut(room);
            left -= connection.input.read(page, piece).map_err(|_| Error::Broken)?;
            connection.assembler.feed(piece, |header, payload| messages.push((header, payload)))?;
        }
        // xenstored may have requests to read, or may wait for room for its replies.
        if sent || (available > 0 && connection.input.was_full(page, available)) {
            let _ = connection.port.notify();
        }
        for (header, payload) in messages {
            self.take(header, payload);
        }
        Ok(())
    }

    /// Handles a message from xenstored.
    fn take(&mut self, header: Header, payload: Vec<u8>) {
        if header.kind == Kind::WatchEvent as u32 {
            match wire::watch_event(&payload) {
                Some((path, token)) => self.event(path, token),
                None => self.dropped += 1,
            }
            return;
        }
        let found = self.waiting.iter_mut().position(|waiting| {
            waiting.id == header.id
                && waiting.reply.is_none()
                && waiting.transaction == header.transaction
                && (waiting.kind as u32 == header.kind || Kind::Error as u32 == header.kind)
        });
        let Some(at) = found else {
            self.dropped += 1;
            return;
        };
        if self.waiting[at].abandoned {
            let Waiting { kind, renews, .. } = self.waiting.swap_remove(at);
            let watch = self.watches.iter_mut().find(|watch| Some(watch.token) == renews);
            match watch {
                Some(watch) if header.kind == Kind::Error as u32 => {
                    watch.lost = Some(wire::errno(&payload));
                }
                _ => self.discard(kind, &payload),
            }
        } else if header.kind == Kind::Error as u32 {
            self.waiting[at].reply = Some(Err(wire::errno(&payload)));
        } else {
            self.waiting[at].reply = Some(Ok(payload));
        }
    }

    /// Marks a watch as fired. One flag per watch is enough, as an event only says that the
    /// node may have changed, and no flood of events takes memory (rule X7).
    fn event(&mut self, path: &[u8], token: u32) {
        match self.watches.iter_mut().find(|watch| watch.token == token) {
            Some(watch) if wire::is_below(path, watch.path.as_bytes()) => watch.pending = true,
            _ => self.dropped += 1,
        }
    }

    /// Wakes the task at the next event of xenstored's port.
    pub(super) fn wait(&self, context: &Context<'_>) {
        if let Some(connection) = &self.connection {
            connection.port.wait(context.waker());
        }
    }

    /// Discards the reply to request `id`, now or when it comes. The request is sent all the same.
    pub(super) fn abandon(&mut self, id: u32) {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.id == id) else { return };
        match self.waiting[at].reply.take() {
            Some(reply) => {
                let kind = self.waiting.swap_remove(at).kind;
                self.discard(kind, &reply.unwrap_or_default());
            }
            None => {
                self.waiting[at].abandoned = true;
                // It can fail only if xenstore is missing or broken; then nothing is to be sent.
                let _ = self.pump();
            }
        }
    }

    /// Drops a reply. If it started a transaction, aborts that, as nobody else would.
    fn discard(&mut self, kind: Kind, reply: &[u8]) {
        if kind == Kind::TransactionStart
            && let Some(id) = wire::transaction(reply)
        {
            self.tell(Kind::TransactionEnd, id, &[b"F\0"]);
        }
    }

    /// Sends a request whose reply is not needed.
    pub(super) fn tell(&mut self, kind: Kind, transaction: u32, payload: &[&[u8]]) {
        if let Ok(id) = self.send(kind, transaction, payload) {
            self.abandon(id);
        }
    }
}

/// Sets the page of xenstored's ring and its port, as `start_info` gives them. Until then every
/// request fails with [`Error::Missing`].
pub fn attach(page: SharedPage, port: PortNumber) {
    crate::domain().store.lock().page = Some((page, port));
}

/// Goes on with the ring of a new domain, whose port is `port`: what was asked for and changes
/// nothing is asked for again, what else was to be sent is void, and every watch is set again and
/// fires, as anything may have changed. Where the ring cannot be used, all who wait are told.
pub(crate) fn reattach(port: PortNumber) {
    let mut client = crate::domain().store.lock();
    let Some((page, known)) = &mut client.page else { return };
    *known = port;
    // What is left are answers to the former domain, and requests of it.
    page.store_u32(RSP.cons, page.load_u32(RSP.prod));
    page.store_u32(REQ.prod, page.load_u32(REQ.cons));
    (client.connection, client.broken) = (None, false);
    client.waiting.retain(|waiting| !waiting.abandoned);
    if client.connect().is_err() {
        client.broken = true;
        return;
    }
    for at in 0..client.waiting.len() {
        client.ask_again(at);
    }
    for at in 0..client.watches.len() {
        let watch = &mut client.watches[at];
        watch.pending = true;
        let (path, number) = (watch.path.clone(), watch.token);
        let token = wire::decimal(number);
        let set = client.send(Kind::Watch, 0, &[path.as_bytes(), b"\0", &token, b"\0"]);
        if let Ok(id) = set {
            if let Some(waiting) = client.waiting.last_mut() {
                waiting.renews = Some(number);
            }
            client.abandon(id);
        }
    }
}

impl Client {
    /// Makes a request of the former domain again, or answers it.
    fn ask_again(&mut self, at: usize) {
        let Waiting { id, kind, transaction, ref mut reply, ref mut question, .. } =
            self.waiting[at];
        if reply.is_some() {
            return;
        }
        if kind == Kind::Watch {
            // As all that there are.
            *reply = Some(Ok(Vec::new()));
        } else if question.is_empty() {
            *reply = Some(Err(Errno::EAGAIN));
        } else {
            let question = question.clone();
            let length = question.len() as u32;
            self.queue(Header { kind: kind as u32, id, transaction, length }, &[&question]);
        }
    }
}

/// Waits until xenstored has answered all requests; see [`quiet`].
#[derive(Debug)]
#[must_use = "a wait does nothing unless it is awaited"]
pub struct Quiet(());

/// Waits until nothing is on the way to xenstored or from it, so that no half of a message is in the
/// ring.
///
/// # Errors
/// [`Error::Broken`] if no more answers can come.
pub const fn quiet() -> Quiet {
    Quiet(())
}

impl Future for Quiet {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut client = crate::domain().store.lock();
        client.wait(context);
        client.pump()?;
        let answered = client.waiting.iter().all(|waiting| waiting.reply.is_some());
        let busy = |it: &Connection| !it.unsent.is_empty() || it.assembler.is_within();
        match answered && !client.connection.as_ref().is_some_and(busy) {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }
}

/// Returns the counters of this domain's client, as of now.
#[must_use]
pub fn stats() -> Stats {
    let client = crate::domain().store.lock();
    Stats { waiting: client.waiting.len(), watches: client.watches.len(), dropped: client.dropped }
}
