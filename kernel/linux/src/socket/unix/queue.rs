//! What was sent to a Unix socket and not received yet.

use super::flying::Flying;
use crate::errno::Errno;
use crate::file::Open;
use crate::memory::{Sink, Source};
use crate::socket::address::Name;
use crate::socket::message::Credentials;
use crate::stop::Stop;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;

/// Bytes that a queue holds at most (net.core.wmem_default).
pub(super) const CAPACITY: usize = 212_992;

/// Datagrams that a queue holds at most (net.unix.max_dgram_qlen of Linux is 10; more are
/// bounded by their bytes alike).
const MESSAGES: usize = 64;

/// What a message costs besides its bytes, and each descriptor in it.
const OVERHEAD: usize = 64;

/// The longest datagram.
const LONGEST: usize = CAPACITY - OVERHEAD;

/// Bytes of a stream that are put together into one piece at most.
const PIECE: usize = 16_384;

/// One message, or a piece of a stream.
pub(super) struct Message {
    pub(super) bytes: Vec<u8>,
    /// Bytes that were received already (of a stream).
    taken: usize,
    pub(super) from: Name,
    pub(super) rights: Vec<Rc<Open>>,
    /// They count as long as they are in it.
    pub(super) flying: Option<Flying>,
    pub(super) credentials: Credentials,
}

/// Messages in their order.
#[derive(Default)]
pub(super) struct Queue {
    messages: VecDeque<Message>,
    /// Bytes, and what messages cost besides.
    size: usize,
    /// Descriptors in them.
    rights: usize,
}

impl Queue {
    /// Bytes that can be received.
    pub(super) fn bytes(&self) -> usize {
        self.messages.iter().map(|it| it.bytes.len() - it.taken).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether descriptors wait with what can be received.
    pub(super) const fn has_rights(&self) -> bool {
        self.rights > 0
    }

    /// Calls `each` with each of them.
    pub(super) fn each_right(&self, each: &mut dyn FnMut(&Rc<Open>)) {
        let all = self.messages.iter().flat_map(|it| &it.rights);
        all.take(self.rights).for_each(each);
    }

    /// Returns how many bytes the next message has.
    pub(super) fn next(&self) -> usize {
        self.messages.front().map_or(0, |it| it.bytes.len())
    }

    /// Whether there is room for something.
    pub(super) fn has_room(&self) -> bool {
        self.size < CAPACITY / 2 && self.messages.len() < MESSAGES
    }

    /// Appends a message as a whole.
    ///
    /// # Errors
    /// `EMSGSIZE` if it never fits, `ENOBUFS` when memory is low, [`Stop::Wait`] if it does not
    /// fit now.
    pub(super) fn put(
        &mut self,
        mut message: Message,
        from: &mut Source<'_>,
    ) -> Result<usize, Stop> {
        let length = from.left();
        if length > LONGEST {
            return Err(Errno::EMSGSIZE.into());
        }
        let more = length + message.overhead();
        let full = self.messages.len() >= MESSAGES || self.size + more > CAPACITY;
        if full && !self.messages.is_empty() {
            return Err(Stop::Wait);
        }
        message.bytes = copy(from, length)?;
        self.messages.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.size += more;
        self.rights += message.rights.len();
        self.messages.push_back(message);
        Ok(length)
    }

    /// Appends bytes of a stream, as many as there is room for.
    ///
    /// # Errors
    /// `ENOBUFS` when memory is low, [`Stop::Wait`] without room.
    pub(super) fn append(
        &mut self,
        mut message: Message,
        from: &mut Source<'_>,
    ) -> Result<usize, Stop> {
        let room = CAPACITY.saturating_sub(self.size + message.overhead());
        let length = from.left().min(room).min(PIECE);
        if length == 0 {
            return if from.left() == 0 { Ok(0) } else { Err(Stop::Wait) };
        }
        let plain = message.rights.is_empty();
        if let Some(last) = self.messages.back_mut()
            && plain
            && last.rights.is_empty()
            && last.credentials == message.credentials
            && last.bytes.len() + length <= PIECE
        {
            if !from.has_room() {
                return Err(Errno::ENOBUFS.into());
            }
            let old = last.bytes.len();
            kernel::memory::extend_zeroed(&mut last.bytes, length).ok_or(Errno::ENOMEM)?;
            let taken = from.take(&mut last.bytes[old..]);
            last.bytes.truncate(old + taken.as_ref().copied().unwrap_or(0));
            self.size += taken.as_ref().copied().unwrap_or(0);
            return taken;
        }
        message.bytes = copy(from, length)?;
        self.messages.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let length = message.bytes.len();
        self.size += length + message.overhead();
        self.rights += message.rights.len();
        self.messages.push_back(message);
        Ok(length)
    }

    /// Receives the next message, or leaves it there (`peek`). What finds no room is lost. Returns
    /// its length, and what came with it.
    ///
    /// # Errors
    /// [`Stop::Wait`] without one.
    pub(super) fn take(&mut self, to: &mut Sink<'_>, peek: bool) -> Result<(usize, Message), Stop> {
        let next = self.messages.front().ok_or(Stop::Wait)?;
        to.put(&next.bytes)?;
        let length = next.bytes.len();
        if peek {
            return Ok((length, next.likeness()));
        }
        let message = self.messages.pop_front().ok_or(Stop::Wait)?;
        self.size -= length + message.overhead();
        self.rights -= message.rights.len();
        Ok((length, message))
    }

    /// Receives bytes of a stream: at most up to the end of what was sent with descriptors, which
    /// come with its first byte (unix(7)). Returns how many, and what came with them.
    ///
    /// # Errors
    /// [`Stop::Wait`] without any.
    pub(super) fn read(&mut self, to: &mut Sink<'_>, peek: bool) -> Result<(usize, Message), Stop> {
        let mut came: Option<Message> = None;
        let mut count = 0;
        let mut at = 0;
        while to.left() > 0
            && let Some(next) = self.messages.get_mut(at)
        {
            if came.as_ref().is_some_and(|first| next.credentials != first.credentials) {
                break;
            }
            let part = match to.put(&next.bytes[next.taken..]) {
                Ok(part) => part,
                Err(stop) if count == 0 => return Err(stop),
                Err(_) => break,
            };
            count += part;
            let had_rights = !next.rights.is_empty();
            let with = next.likeness();
            came.get_or_insert_with(|| Message::new(with.from, Vec::new(), with.credentials))
                .rights = with.rights;
            if !peek {
                self.size -= next.rights.len() * OVERHEAD;
                self.rights -= next.rights.len();
                next.rights.clear();
                next.flying = None;
            }
            if peek {
                at += 1;
            } else {
                next.taken += part;
                if next.taken < next.bytes.len() {
                    break;
                }
                self.size -= next.bytes.len() + OVERHEAD;
                self.messages.pop_front();
            }
            if had_rights {
                break;
            }
        }
        came.map(|it| (count, it)).ok_or(Stop::Wait)
    }
}

impl Message {
    pub(super) const fn new(from: Name, rights: Vec<Rc<Open>>, credentials: Credentials) -> Self {
        Self { bytes: Vec::new(), taken: 0, from, rights, flying: None, credentials }
    }

    /// What it costs besides its bytes.
    const fn overhead(&self) -> usize {
        OVERHEAD + self.rights.len() * OVERHEAD
    }

    /// What came with its bytes.
    fn likeness(&self) -> Self {
        let rights = self.rights.iter().map(Rc::clone).collect();
        Self::new(self.from.clone(), rights, self.credentials)
    }
}

/// Copies the next `length` bytes.
fn copy(from: &mut Source<'_>, length: usize) -> Result<Vec<u8>, Stop> {
    if !from.has_room() {
        return Err(Errno::ENOBUFS.into());
    }
    let mut bytes = kernel::memory::zeroed(length).ok_or(Errno::ENOMEM)?;
    let mut done = 0;
    while done < length {
        match from.take(&mut bytes[done..]) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(stop) if done == 0 => return Err(stop),
            Err(_) => break,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}
