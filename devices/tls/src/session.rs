//! One connection without its streams: bytes of the network in and out, bytes of the user in and
//! out.

use crate::Error;
use alloc::vec::Vec;
use core::fmt;
use kernel::memory;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};

/// Bytes of a user's that become one record (RFC 8446, section 5.1).
pub(crate) const RECORD: usize = 16 << 10;

/// Bytes that a record is longer than what it carries, with the renewal of a key before it.
const OVERHEAD: usize = 128;

/// Bytes of the head of a record.
pub(crate) const HEAD: usize = 5;

/// Bytes of a message of a handshake that is not whole yet: what holds certificates, what does not,
/// as a client's hello or a server's tickets, and what an open server is told, as that there are new
/// keys.
pub(crate) const CHAIN: usize = 64 << 10;
pub(crate) const HELLO: usize = 16 << 10;
const NEWS: usize = 1 << 10;

/// Bytes that are asked for where the next record is not known.
const PIECE: usize = 2048;

/// The state of rustls.
pub(crate) enum Side {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// How bytes are taken from the stream below.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    Peek,
    Read,
}

/// What is to be sent.
#[derive(Clone, Copy)]
enum Task<'a> {
    Nothing,
    Bytes(&'a [u8]),
    End,
}

/// What a step led to.
enum Next {
    /// There is more to do.
    Again,
    /// More has to come from the peer.
    Wait,
    /// The user may write.
    Open,
    Failed(Error),
}

/// Buffers of a connection, which are empty while it is idle.
#[derive(Default)]
struct Buffers {
    /// Written by the user, and to become a record with what follows.
    held: Vec<u8>,
    /// To be sent.
    outgoing: Vec<u8>,
    /// To be read by the user, from `read` on.
    plain: Vec<u8>,
    read: usize,
    /// The peer has said that no more comes.
    ended: bool,
}

/// A connection.
pub(crate) struct Session {
    side: Side,
    /// What came and is no whole record, or no whole message of a handshake yet.
    incoming: Vec<u8>,
    buffers: Buffers,
    /// Bytes that a message of the handshake may have.
    longest: usize,
    open: bool,
    failed: Option<Error>,
    /// This side has ended its half.
    shut: bool,
}

/// Without what it carries, and without keys.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { open, failed, shut, .. } = self;
        let mut all = f.debug_struct("Session");
        all.field("open", open).field("failed", failed).field("shut", shut).finish_non_exhaustive()
    }
}

impl Session {
    /// Makes one that takes handshakes of messages of so many bytes.
    pub(crate) fn new(side: Side, longest: usize) -> Self {
        let (incoming, buffers) = (Vec::new(), Buffers::default());
        Self { side, incoming, buffers, longest, open: false, failed: None, shut: false }
    }

    /// Whether the handshake is done.
    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

    pub(crate) const fn failed(&self) -> Option<&Error> {
        self.failed.as_ref()
    }

    /// Ends it with `error`, if it has not failed before.
    pub(crate) fn fail(&mut self, error: Error) {
        self.failed.get_or_insert(error);
        self.incoming = Vec::new();
    }

    /// Bytes that hold what came and is not whole.
    pub(crate) const fn unfinished(&self) -> usize {
        self.incoming.capacity()
    }

    /// Whether the peer has ended its half, and all before that was read.
    pub(crate) fn is_ended(&self) -> bool {
        self.buffers.ended && self.readable() == 0
    }

    /// The protocol that both agreed on.
    pub(crate) fn protocol(&self) -> Option<&[u8]> {
        match &self.side {
            Side::Client(it) => it.alpn_protocol(),
            Side::Server(it) => it.alpn_protocol(),
        }
    }

    /// The certificate that the peer has shown, in DER form.
    pub(crate) fn certificate(&self) -> Option<&[u8]> {
        let chain = match &self.side {
            Side::Client(it) => it.peer_certificates(),
            Side::Server(it) => it.peer_certificates(),
        };
        chain?.first().map(AsRef::as_ref)
    }

    /// Whether it goes on where an earlier one has ended.
    pub(crate) fn is_resumed(&self) -> bool {
        let kind = match &self.side {
            Side::Client(it) => it.handshake_kind(),
            Side::Server(it) => it.handshake_kind(),
        };
        kind == Some(rustls::HandshakeKind::Resumed)
    }

    pub(crate) const fn is_shut(&self) -> bool {
        self.shut
    }

    /// Bytes that the user can read.
    pub(crate) fn readable(&self) -> usize {
        self.buffers.plain.len() - self.buffers.read
    }

    /// What changes when something is done with what came.
    pub(crate) fn stage(&self) -> (usize, usize, [bool; 3]) {
        let flags = [self.open, self.buffers.ended, self.failed.is_some()];
        (self.readable(), self.buffers.outgoing.len(), flags)
    }

    /// Bytes that are to be sent.
    pub(crate) fn outgoing(&self) -> &[u8] {
        &self.buffers.outgoing
    }

    /// Takes note that so many of them were.
    pub(crate) fn sent(&mut self, count: usize) {
        self.buffers.outgoing.drain(..count.min(self.buffers.outgoing.len()));
    }

    /// Forgets what cannot be sent any more.
    pub(crate) fn discard(&mut self) {
        self.buffers.outgoing.clear();
    }

    /// Copies what the user reads.
    pub(crate) fn peek(&self, to: &mut [u8]) -> usize {
        let plain = self.buffers.plain.get(self.buffers.read..).unwrap_or_default();
        let count = plain.len().min(to.len());
        to[..count].copy_from_slice(&plain[..count]);
        count
    }

    /// Takes so many bytes as read.
    pub(crate) fn consume(&mut self, count: usize) {
        self.buffers.read += count;
        if self.readable() == 0 {
            self.buffers.plain.clear();
            self.buffers.read = 0;
        }
    }

    #[cfg(test)]
    pub(crate) fn buffered(&self) -> usize {
        let Buffers { held, outgoing, plain, .. } = &self.buffers;
        let buffers = [held, &self.incoming, outgoing, plain];
        buffers.map(Vec::capacity).iter().sum()
    }

    /// The number of the next record that it sends, and the keys.
    #[cfg(test)]
    pub(crate) fn into_keys(self) -> (u64, rustls::ConnectionTrafficSecrets) {
        let Side::Client(it) = self.side else { panic!("no client") };
        it.dangerous_into_kernel_connection().unwrap().0.tx
    }

    /// Renews its keys, and asks the peer to do the same (KeyUpdate, RFC 8446, section 4.6.3).
    #[cfg(test)]
    pub(crate) fn renew_keys(&mut self) {
        let Side::Client(it) = &mut self.side else { return };
        if let Ok(ConnectionState::WriteTraffic(it)) = it.process_tls_records(&mut []).state {
            it.refresh_traffic_keys().unwrap();
        }
        self.proceed();
    }

    /// Gives the memory of empty buffers back.
    pub(crate) fn rest(&mut self) {
        let Buffers { held, outgoing, plain, .. } = &mut self.buffers;
        for buffer in [&mut self.incoming, held, outgoing, plain] {
            if buffer.is_empty() {
                *buffer = Vec::new();
            }
        }
    }

    /// Receives by `read`, which fills a buffer, and leaves there what it was asked to peek at; how many
    /// bytes came.
    ///
    /// # Errors
    /// That of `read`.
    pub(crate) fn receive<E>(
        &mut self,
        mut read: impl FnMut(Take, &mut [u8]) -> Result<Option<usize>, E>,
    ) -> Result<Option<usize>, E> {
        // What rustls keeps of it is the same again, and cannot fail. What is open is work that has
        // begun, and waits for memory that is nearly gone.
        if !self.open && memory::is_low() {
            self.fail(Error::Memory);
            return Ok(None);
        }
        let have = self.incoming.len();
        let mut head = [0; HEAD];
        let begun = if have == 0 {
            // Of a record that is short no more memory is taken than it has bytes, and none for nothing.
            let Some(count) = read(Take::Peek, &mut head)? else { return Ok(None) };
            head.get(..count)
        } else {
            self.incoming.get(..HEAD)
        };
        let whole = match begun {
            Some(&[_, _, _, high, low]) => HEAD + usize::from(u16::from_be_bytes([high, low])),
            _ => 0,
        };
        let more = match (have, whole) {
            // A part of a head, or the end.
            (..HEAD, 0) => HEAD - have,
            (_, HEAD..PIECE) if have < whole => whole - have,
            (0, _) => PIECE,
            _ => whole.saturating_sub(have).max(PIECE),
        };
        // A whole record that is still here begins a message that goes on in further ones.
        let longest = match (&self.side, self.open) {
            (_, false) => self.longest,
            (_, true) if whole == 0 || have < whole => CHAIN,
            (Side::Server(_), true) => NEWS,
            (Side::Client(_), true) => HELLO,
        };
        if have + more > longest + HEAD + PIECE {
            self.fail(Error::TooLong);
            return Ok(None);
        }
        let incoming = &mut self.incoming;
        if incoming.try_reserve_exact(more).is_err()
            || memory::extend_zeroed(incoming, more).is_none()
        {
            self.fail(Error::Memory);
            return Ok(None);
        }
        let count = read(Take::Read, &mut self.incoming[have..]);
        let come = count.as_ref().ok().copied().flatten().unwrap_or(0);
        self.incoming.truncate(have + come);
        count
    }

    /// Whether something may be done before more comes: a handshake begins, or goes on with what
    /// came already.
    pub(crate) const fn has_work(&self) -> bool {
        !self.open || !self.incoming.is_empty()
    }

    /// Does what can be done with what came.
    pub(crate) fn proceed(&mut self) {
        self.run(Task::Nothing);
    }

    /// Encrypts `bytes`, at most [`RECORD`] of them, once the handshake is done; whether they are
    /// taken.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> bool {
        self.run(Task::Bytes(bytes))
    }

    /// Holds `bytes` back, which more follows; whether there is room for them beside what is held,
    /// and for a byte of what follows, as who writes something has some of it taken.
    pub(crate) fn hold(&mut self, bytes: &[u8]) -> bool {
        let held = &mut self.buffers.held;
        let fits = held.len() + bytes.len() < RECORD && held.try_reserve(bytes.len()).is_ok();
        if fits {
            held.extend_from_slice(bytes);
        }
        fits
    }

    /// Bytes that are held back.
    pub(crate) fn held(&self) -> usize {
        self.buffers.held.len()
    }

    /// Encrypts what is held back, with as many of `bytes` as the record has room for; how many
    /// these are, or `None` if it is not taken.
    pub(crate) fn release(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut held = core::mem::take(&mut self.buffers.held);
        let count = bytes.len().min(RECORD.saturating_sub(held.len()));
        if held.is_empty() {
            return self.write(&bytes[..count]).then_some(count);
        }
        held.try_reserve_exact(count).ok()?;
        held.extend_from_slice(&bytes[..count]);
        let taken = self.write(&held).then_some(count);
        held.clear();
        self.buffers.held = held;
        taken
    }

    /// Ends this half.
    pub(crate) fn end(&mut self) {
        if self.open && !self.shut && self.failed.is_none() {
            if self.held() > 0 {
                self.release(&[]);
            }
            self.run(Task::End);
        }
        self.shut = true;
    }

    /// Works until there is nothing to do but to wait; whether the task is done.
    fn run(&mut self, task: Task<'_>) -> bool {
        if self.failed.is_some() {
            return false;
        }
        loop {
            match self.step(task) {
                Next::Again => {}
                Next::Wait => return false,
                Next::Open => {
                    self.open = true;
                    return !matches!(task, Task::Nothing);
                }
                Next::Failed(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        // Nothing follows the end of a half, not even an alert (RFC 8446, section 6.1).
        if !self.shut {
            self.tell();
        }
        self.incoming = Vec::new();
        false
    }

    /// Takes the alert that tells the peer of a failure, which comes with one of the next steps.
    /// After it, what the peer sent must not be looked at again: it would fail again.
    fn tell(&mut self) {
        loop {
            let from = self.buffers.outgoing.len();
            let next = self.step(Task::Nothing);
            let chunk = self.buffers.outgoing.get(from..).unwrap_or_default();
            if !matches!(next, Next::Again) || is_alert(chunk) {
                return;
            }
        }
    }

    fn step(&mut self, task: Task<'_>) -> Next {
        let Self { side, incoming, buffers, .. } = self;
        let (discard, next) = match side {
            Side::Client(it) => buffers.step(it.process_tls_records(incoming), task),
            Side::Server(it) => buffers.step(it.process_tls_records(incoming), task),
        };
        incoming.drain(..discard.min(incoming.len()));
        next
    }
}

impl Buffers {
    /// Takes what rustls has come to; how many of the incoming bytes are done with.
    fn step<D>(&mut self, status: UnbufferedStatus<'_, '_, D>, task: Task<'_>) -> (usize, Next) {
        let UnbufferedStatus { discard, state } = status;
        let state = match state {
            Ok(state) => state,
            Err(error) => return (discard, Next::Failed(error.into())),
        };
        let mut more = 0;
        let next = match state {
            ConnectionState::ReadTraffic(mut traffic) => {
                let mut next = Next::Again;
                while let Some(record) = traffic.next_record() {
                    match record {
                        Ok(record) => {
                            more += record.discard;
                            if self.plain.try_reserve(record.payload.len()).is_err() {
                                next = Next::Failed(Error::Memory);
                                break;
                            }
                            self.plain.extend_from_slice(record.payload);
                        }
                        Err(error) => next = Next::Failed(error.into()),
                    }
                }
                next
            }
            ConnectionState::EncodeTlsData(mut data) => {
                self.append(0, |to| match data.encode(to) {
                    Ok(count) => Ok(count),
                    Err(EncodeError::InsufficientSize(size)) => Err(Some(size.required_size)),
                    Err(EncodeError::AlreadyEncoded) => Err(None),
                })
            }
            ConnectionState::TransmitTlsData(data) => {
                data.done();
                Next::Again
            }
            ConnectionState::PeerClosed => {
                self.ended = true;
                Next::Again
            }
            ConnectionState::BlockedHandshake => Next::Wait,
            ConnectionState::WriteTraffic(mut traffic) => {
                let next = match task {
                    Task::Nothing => Next::Open,
                    Task::Bytes(bytes) => {
                        self.append(bytes.len(), |to| needs(traffic.encrypt(bytes, to)))
                    }
                    Task::End => self.append(0, |to| needs(traffic.queue_close_notify(to))),
                };
                if matches!(next, Next::Again) { Next::Open } else { next }
            }
            ConnectionState::Closed => Next::Wait,
            // Early data is not accepted: anybody may send it again.
            _ => Next::Failed(Error::Protocol("early data".into())),
        };
        (discard + more, next)
    }

    /// Appends what `encode` writes: some more than `length` bytes, or it says how many.
    fn append(
        &mut self,
        length: usize,
        mut encode: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
    ) -> Next {
        let have = self.outgoing.len();
        let mut room = length + OVERHEAD;
        for _ in 0..2 {
            if memory::extend_zeroed(&mut self.outgoing, room).is_none() {
                return Next::Failed(Error::Memory);
            }
            let written = encode(&mut self.outgoing[have..]);
            self.outgoing.truncate(have + written.unwrap_or(0));
            match written {
                Ok(_) => return Next::Again,
                Err(Some(size)) => room = size,
                Err(None) => break,
            }
        }
        Next::Failed(Error::Protocol("no more records can be sent".into()))
    }
}

/// Whether a record is an alert: by its type or, where that is encrypted, by its length, which
/// nothing else of a handshake has.
fn is_alert(record: &[u8]) -> bool {
    const ALERT: u8 = 21;
    const ENCRYPTED: u8 = 23;
    matches!(record, [ALERT, ..] | [ENCRYPTED, _, _, 0, 19, ..])
}

/// The size of the buffer that was too small.
fn needs(encrypted: Result<usize, EncryptError>) -> Result<usize, Option<usize>> {
    encrypted.map_err(|error| match error {
        EncryptError::InsufficientSize(size) => Some(size.required_size),
        EncryptError::EncryptExhausted => None,
    })
}
