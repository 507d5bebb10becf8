//! Xenstore: the tree of settings that all domains share, and the client of its
//! daemon (`public/io/xs_wire.h`, Xen's docs/misc/xenstore.txt).
//!
//! Requests are pipelined: each has a number, and its reply is told by number,
//! type and transaction (rule X2). Whoever waits moves the ring on for all.
//! Values are bytes (rule X9). Waits have no clock here: dropping one cancels
//! it, whose reply is then thrown away (rule X10).
//!
//! Paths are absolute or relative to the domain's own folder.

#[cfg(test)]
mod tests;
mod wire;

use crate::evtchn::{Port, PortNumber};
use crate::memory::SharedPage;
use crate::public::io::xs_wire::{
    ABS_PATH_MAX, CONNECTION, ERROR, HEADER, Kind, PAYLOAD_MAX, REQ, RSP,
};
use crate::ring::{Consumer, Producer};
use crate::{DomId, Errno};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
pub use wire::number;
use wire::{Assembler, Header};

/// The number of tries of a transaction that collides (rule X11).
const TRIES: u32 = 16;

/// Says why a xenstore request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// This domain has no xenstore.
    Missing,
    /// xenstored violated the protocol; it is not used any more.
    Broken,
    /// xenstored answered with an error (`XS_ERROR`).
    Refused(Errno),
    /// A path, or a path with its value, exceeds the 4096 bytes of a message (rule X1).
    TooLong,
    /// The reply is malformed.
    BadReply,
    /// A transaction collided with others in each of its tries (rule X11).
    Collision,
    /// xenstored did not answer in time. Only callers with a clock report it.
    Silent,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("this domain has no xenstore"),
            Self::Broken => f.write_str("xenstored violated the protocol"),
            Self::Refused(errno) => write!(f, "xenstored refused the request: {errno}"),
            Self::TooLong => f.write_str("a xenstore path with its value has more than 4096 bytes"),
            Self::BadReply => f.write_str("xenstored sent a malformed reply"),
            Self::Collision => f.write_str("a xenstore transaction kept colliding with others"),
            Self::Silent => f.write_str("xenstored does not answer"),
        }
    }
}

impl core::error::Error for Error {}

/// Counts requests, watches and stray messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests that wait for their replies.
    pub waiting: usize,
    /// Watches that are set.
    pub watches: usize,
    /// Replies and events that nobody waited for.
    pub dropped: u64,
}

/// A request on its way.
#[derive(Debug)]
struct Waiting {
    id: u32,
    kind: Kind,
    transaction: u32,
    /// Its reply; nobody is interested in it when `abandoned`.
    reply: Option<Result<Vec<u8>, Errno>>,
    abandoned: bool,
}

#[derive(Debug)]
struct Watched {
    token: u32,
    path: String,
    pending: bool,
}

/// The ring, once it is used.
#[derive(Debug)]
struct Connection {
    port: Port,
    out: Producer,
    input: Consumer,
    unsent: Vec<u8>,
    assembler: Assembler,
}

/// The client of xenstored.
#[derive(Debug)]
pub(crate) struct Client {
    page: Option<(SharedPage, PortNumber)>,
    connection: Option<Connection>,
    waiting: Vec<Waiting>,
    watches: Vec<Watched>,
    /// The latest number of a request or a watch.
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

    /// A number that nothing else has.
    fn number(&mut self) -> u32 {
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

    fn connect(&mut self) -> Result<(), Error> {
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

    /// Queues a request, which goes out with the next [`pump`](Self::pump), so that several
    /// go out together; its number.
    fn send(&mut self, kind: Kind, transaction: u32, payload: &[&[u8]]) -> Result<u32, Error> {
        self.connect()?;
        let length: usize = payload.iter().map(|part| part.len()).sum();
        if length > PAYLOAD_MAX {
            return Err(Error::TooLong);
        }
        let id = self.number();
        self.waiting.push(Waiting { id, kind, transaction, reply: None, abandoned: false });
        let header = Header { kind: kind as u32, id, transaction, length: length as u32 };
        if let Some(connection) = &mut self.connection {
            connection.unsent.extend_from_slice(&header.to_bytes());
            payload.iter().for_each(|part| connection.unsent.extend_from_slice(part));
        }
        Ok(id)
    }

    /// Moves bytes both ways as far as they go.
    fn pump(&mut self) -> Result<(), Error> {
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
        // Rule X15. While the daemon reconnects, the ring rests.
        if page.load_u32(ERROR) != 0 {
            return Err(Error::Broken);
        }
        if page.load_u32(CONNECTION) != 0 {
            return Ok(());
        }
        let mut moved = false;
        while !connection.unsent.is_empty() {
            let unsent = &connection.unsent;
            let count = connection.out.write(page, unsent).map_err(|_| Error::Broken)?;
            if count == 0 {
                break;
            }
            moved = true;
            connection.unsent.drain(..count);
        }
        let mut piece = [0; 256];
        let mut messages = Vec::new();
        // As much as there is now: what comes meanwhile brings an event of its own.
        let mut left = connection.input.available(page).map_err(|_| Error::Broken)? as usize;
        while left > 0 {
            let room = left.min(piece.len());
            let (piece, _) = piece.split_at_mut(room);
            left -= connection.input.read(page, piece).map_err(|_| Error::Broken)?;
            moved = true;
            connection.assembler.feed(piece, |header, payload| messages.push((header, payload)))?;
        }
        if moved {
            // Either it has something to read, or it may wait for room.
            let _ = connection.port.notify();
        }
        for (header, payload) in messages {
            self.take(header, payload);
        }
        Ok(())
    }

    /// A message has come.
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
            let kind = self.waiting.swap_remove(at).kind;
            self.discard(kind, &payload);
        } else if header.kind == Kind::Error as u32 {
            self.waiting[at].reply = Some(Err(wire::errno(&payload)));
        } else {
            self.waiting[at].reply = Some(Ok(payload));
        }
    }

    /// At most one event a watch is remembered: it says "look again" (rule X7).
    fn event(&mut self, path: &[u8], token: u32) {
        match self.watches.iter_mut().find(|watch| watch.token == token) {
            Some(watch) if wire::is_below(path, watch.path.as_bytes()) => watch.pending = true,
            _ => self.dropped += 1,
        }
    }

    /// Wakes the task at the next event.
    fn wait(&self, context: &Context<'_>) {
        if let Some(connection) = &self.connection {
            connection.port.wait(context.waker());
        }
    }

    /// Nobody waits for the reply to `id` any more. The request goes out all the same.
    fn abandon(&mut self, id: u32) {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.id == id) else { return };
        match self.waiting[at].reply.take() {
            Some(reply) => {
                let kind = self.waiting.swap_remove(at).kind;
                self.discard(kind, &reply.unwrap_or_default());
            }
            None => {
                self.waiting[at].abandoned = true;
                // Without a daemon there is nobody to tell.
                let _ = self.pump();
            }
        }
    }

    /// A reply came that nobody takes: a transaction that was begun by it is ended.
    fn discard(&mut self, kind: Kind, reply: &[u8]) {
        if kind == Kind::TransactionStart
            && let Some(id) = wire::transaction(reply)
        {
            self.tell(Kind::TransactionEnd, id, &[b"F\0"]);
        }
    }

    /// Sends a request whose reply nobody waits for.
    fn tell(&mut self, kind: Kind, transaction: u32, payload: &[&[u8]]) {
        if let Ok(id) = self.send(kind, transaction, payload) {
            self.abandon(id);
        }
    }
}

/// Says where xenstored's ring is: its page, and its port. Until then there is
/// no xenstore.
pub fn attach(page: SharedPage, port: PortNumber) {
    crate::domain().store.lock().page = Some((page, port));
}

/// Returns the state of the connection to xenstored.
#[must_use]
pub fn stats() -> Stats {
    let client = crate::domain().store.lock();
    Stats { waiting: client.waiting.len(), watches: client.watches.len(), dropped: client.dropped }
}

/// A pending xenstore request; awaiting it yields the reply.
///
/// Creating one only queues it. The queue is sent, in order and with one notification, as soon
/// as any request is polled or dropped. Dropping a request does not cancel it: it is sent and
/// its reply is discarded.
///
/// Requests are types and not `async fn`s, which would put a state machine and its clean-up
/// into the code of every caller.
#[derive(Debug)]
#[must_use = "the reply of a request that is not awaited is discarded"]
pub struct Reply(Result<u32, Error>);

impl Future for Reply {
    type Output = Result<Vec<u8>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let id = self.0?;
        let mut client = crate::domain().store.lock();
        // Registered before the look, so that no event falls between.
        client.wait(context);
        let broken = client.pump();
        let at = client.waiting.iter().position(|waiting| waiting.id == id);
        let done = at.is_some_and(|at| client.waiting[at].reply.is_some());
        match at {
            Some(at) if done => {
                let waiting = client.waiting.swap_remove(at);
                let reply = waiting.reply.unwrap_or(Err(Errno::EINVAL));
                Poll::Ready(reply.map_err(Error::Refused))
            }
            _ => match broken {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            },
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Ok(id) = self.0 {
            crate::domain().store.lock().abandon(id);
        }
    }
}

/// A request whose reply says that it is done, and nothing else.
#[derive(Debug)]
#[must_use = "the reply of a request that is not awaited is discarded"]
pub struct Done(Reply);

impl Future for Done {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|reply| reply.map(drop))
    }
}

/// Sends a request.
fn request(kind: Kind, transaction: u32, payload: &[&[u8]]) -> Reply {
    Reply(crate::domain().store.lock().send(kind, transaction, payload))
}

/// Sends a request about `path`.
fn about(path: &str, kind: Kind, transaction: u32, value: &[u8]) -> Reply {
    match checked(path) {
        Ok(path) => request(kind, transaction, &[path, b"\0", value]),
        Err(error) => Reply(Err(error)),
    }
}

/// A path as it stands in a message: without a zero byte, which would end it early.
fn checked(path: &str) -> Result<&[u8], Error> {
    let path = path.as_bytes();
    if path.is_empty() || path.contains(&0) {
        return Err(Error::Refused(Errno::EINVAL));
    }
    if path.len() > ABS_PATH_MAX { Err(Error::TooLong) } else { Ok(path) }
}

/// The value at `path`.
///
/// # Errors
/// `Refused(ENOENT)` when there is none.
pub fn read(path: &str) -> Reply {
    about(path, Kind::Read, 0, b"")
}

/// Sets the value at `path`; makes the node and those above it if need be.
///
/// # Errors
/// `Refused(EACCES)` where this domain may not write.
pub fn write(path: &str, value: &[u8]) -> Done {
    Done(about(path, Kind::Write, 0, value))
}

/// Makes a node without a value, unless it is there.
///
/// # Errors
/// `Refused(EACCES)` where this domain may not write.
pub fn mkdir(path: &str) -> Done {
    Done(about(path, Kind::Mkdir, 0, b""))
}

/// Removes a node and everything below it.
///
/// # Errors
/// `Refused(ENOENT)` when there is none and nothing above it either.
pub fn remove(path: &str) -> Done {
    Done(about(path, Kind::Rm, 0, b""))
}

/// The names below `path`; those that are not UTF-8 are left out.
///
/// # Errors
/// `Refused(ENOENT)` when there is no such node.
pub async fn directory(path: &str) -> Result<Vec<String>, Error> {
    let reply = about(path, Kind::Directory, 0, b"").await?;
    let mut names = Vec::new();
    for name in reply.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        names.extend(core::str::from_utf8(name).ok().map(String::from));
    }
    Ok(names)
}

/// The owner and the permissions of `path`, as xenstore writes them, such as
/// `n0` and `r3` (Xen's docs/misc/xenstore.txt).
///
/// # Errors
/// `Refused(ENOENT)` when there is no such node.
pub async fn permissions(path: &str) -> Result<Vec<String>, Error> {
    let list = about(path, Kind::GetPerms, 0, b"").await?;
    let list = list.split(|&byte| byte == 0).filter(|item| !item.is_empty());
    list.map(|item| Ok(core::str::from_utf8(item).map_err(|_| Error::BadReply)?.into())).collect()
}

/// Sets them.
///
/// # Errors
/// `Refused(EACCES)` when this domain does not own the node.
pub async fn set_permissions(path: &str, permissions: &[&str]) -> Result<(), Error> {
    let mut payload = Vec::from(checked(path)?);
    payload.push(0);
    for item in permissions {
        payload.extend(checked(item)?);
        payload.push(0);
    }
    request(Kind::SetPerms, 0, &[&payload]).await.map(drop)
}

/// The folder of domain `domain`, such as `/local/domain/7`.
///
/// # Errors
/// When xenstore fails: see [`Error`].
pub async fn domain_path(domain: DomId) -> Result<String, Error> {
    let path = request(Kind::GetDomainPath, 0, &[alloc::format!("{domain}\0").as_bytes()]).await?;
    let path = path.strip_suffix(b"\0").unwrap_or(&path);
    Ok(core::str::from_utf8(path).map_err(|_| Error::BadReply)?.into())
}

/// Tells of changes at a path and below it. Dropping it ends that.
#[derive(Debug)]
pub struct Watch {
    token: u32,
}

/// Watches `path`. The first event comes at once.
///
/// # Errors
/// `Refused(E2BIG)` and others when there are too many.
pub async fn watch(path: &str) -> Result<Watch, Error> {
    let bytes = checked(path)?;
    let mut client = crate::domain().store.lock();
    client.connect()?;
    let token = client.number();
    client.watches.push(Watched { token, path: path.into(), pending: false });
    drop(client);
    // From here on, dropping this cleans up, also while the reply is on its way.
    let watch = Watch { token };
    let text = wire::decimal(token);
    request(Kind::Watch, 0, &[bytes, b"\0", &text, b"\0"]).await?;
    Ok(watch)
}

impl Watch {
    /// Waits until something may have changed since the last call returned.
    ///
    /// # Errors
    /// [`Error::Broken`] when there will be no more events.
    pub const fn changed(&self) -> Changed<'_> {
        Changed(self)
    }
}

/// The wait for an event of a watch.
#[derive(Debug)]
#[must_use = "a wait does nothing unless it is awaited"]
pub struct Changed<'a>(&'a Watch);

impl Future for Changed<'_> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut client = crate::domain().store.lock();
        client.wait(context);
        let broken = client.pump();
        let watch = client.watches.iter_mut().find(|watch| watch.token == self.0.token);
        if watch.is_some_and(|watch| core::mem::take(&mut watch.pending)) {
            return Poll::Ready(Ok(()));
        }
        match broken {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut client = crate::domain().store.lock();
        let Some(at) = client.watches.iter().position(|watch| watch.token == self.token) else {
            return;
        };
        let watch = client.watches.swap_remove(at);
        let token = wire::decimal(self.token);
        client.tell(Kind::Unwatch, 0, &[watch.path.as_bytes(), b"\0", &token, b"\0"]);
    }
}

/// Changes that others see all together or not at all.
#[derive(Debug)]
pub struct Transaction {
    id: u32,
}

impl Transaction {
    /// See [`read()`].
    ///
    /// # Errors
    /// As there.
    pub fn read(&self, path: &str) -> Reply {
        about(path, Kind::Read, self.id, b"")
    }

    /// See [`write()`].
    ///
    /// # Errors
    /// As there.
    pub fn write(&self, path: &str, value: &[u8]) -> Done {
        Done(about(path, Kind::Write, self.id, value))
    }

    /// See [`remove()`].
    ///
    /// # Errors
    /// As there.
    pub fn remove(&self, path: &str) -> Done {
        Done(about(path, Kind::Rm, self.id, b""))
    }

    fn commit(mut self) -> Done {
        let id = core::mem::take(&mut self.id);
        Done(request(Kind::TransactionEnd, id, &[b"T\0"]))
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.id != 0 {
            crate::domain().store.lock().tell(Kind::TransactionEnd, self.id, &[b"F\0"]);
        }
    }
}

/// Does `work` in a transaction, again when others changed the same nodes
/// meanwhile.
///
/// # Errors
/// Those of `work`, whose changes are then lost, and [`Error::Collision`].
pub async fn transaction<T>(
    mut work: impl AsyncFnMut(&Transaction) -> Result<T, Error>,
) -> Result<T, Error> {
    for _ in 0..TRIES {
        let id = request(Kind::TransactionStart, 0, &[b"\0"]).await?;
        let transaction = Transaction { id: wire::transaction(&id).ok_or(Error::BadReply)? };
        let result = work(&transaction).await?;
        match transaction.commit().await {
            Ok(()) => return Ok(result),
            Err(Error::Refused(Errno::EAGAIN)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Collision)
}
