//! TCP connections.

use super::half_open::HalfOpen;
use super::port::{NOWHERE, Out, Port};
use super::sets::{Handle, Key};
use super::spare::Spare;
use super::{Protocols, moment};
use crate::packet::{self, Segment};
use crate::wire::Wire;
use crate::{Error, random};
use core::net::SocketAddr;
use core::task::{Poll, Waker};
use devices::net::HEADER;
use kernel::time::Instant;
use smoltcp::socket::{Socket, tcp};

/// How a TCP connection is, for those who wait for it to come or to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is not open yet.
    Opening,
    Open,
    /// This side has ended, and the peer has not confirmed that.
    Ending,
    /// The peer has confirmed the end of this side, and has not ended itself.
    Ended,
    /// It is over; `arrived` says whether all that was written did.
    Closed {
        arrived: bool,
    },
}

impl Spare {
    /// Answers the SYN of `entry`. The initial sequence number, if it did.
    fn answer(
        &mut self,
        protocols: &Protocols,
        entry: &HalfOpen,
        wire: Option<&dyn Wire>,
        at: Instant,
    ) -> Option<u32> {
        let packet = entry.frame().get(HEADER..)?;
        let out: &Out = &protocols.out;
        out.sequence.set(None);
        let header = packet::back(entry.frame(), protocols.info.mac);
        let mut port = Port { packet: Some(packet), wire, header, out };
        let mut door = protocols.door(entry.seed, &mut port, at);
        // It is closed, and nobody listens on port 0.
        self.socket().listen(entry.local.port()).ok()?;
        door.poll_ingress_single(moment(at), &mut port, &mut self.set);
        door.poll_egress(moment(at), &mut port, &mut self.set);
        out.sequence.get()
    }
}

/// How a connection that nobody holds any more may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parting {
    /// So many bytes came that nobody will read.
    Unread(usize),
    /// The peer has not acknowledged so many bytes, or the end behind them.
    Ending(usize),
    /// The peer has all, and has not ended itself.
    Waiting,
    /// It is over, or never came about.
    Over,
}

impl Protocols {
    /// Bytes of the buffers, each way, of a connection that is opened now. `None` when
    /// there is no room for it.
    pub(crate) fn buffer_size(&self) -> Option<usize> {
        let limits = &self.limits;
        let size = limits.buffer_of(self.sets.connections);
        let fits =
            self.sets.connections < limits.connections && self.buffers + 2 * size <= limits.memory;
        fits.then_some(size)
    }

    /// Answers the SYN of `entry` with a spare socket, which the entry may `keep`;
    /// whether that took it.
    pub(crate) fn answer(
        &mut self,
        entry: &mut HalfOpen,
        keep: bool,
        wire: Option<&dyn Wire>,
        at: Instant,
    ) -> bool {
        // What answered before would count this answer as sent again.
        self.recycle(entry);
        let Ok(mut spare) = self.spares.take(entry.buffer) else { return false };
        let ours = spare.answer(self, entry, wire, at);
        let same = ours.is_some_and(|ours| entry.answers == 0 || entry.ours == ours);
        entry.ours = ours.unwrap_or(entry.ours);
        if same && keep {
            entry.socket = Some(spare);
        } else {
            self.spares.put(spare);
        }
        same
    }

    /// Takes the socket of an entry back, so that the next SYN need not make one.
    pub(crate) fn recycle(&mut self, entry: &mut HalfOpen) {
        entry.socket.take().into_iter().for_each(|spare| self.spares.put(spare));
    }

    /// Makes a connection of what a peer confirmed, with the socket that answered or by
    /// the same motions with the same seed.
    pub(crate) fn confirm(&mut self, mut entry: HalfOpen) -> Option<Handle> {
        if !self.sets.has_room() {
            self.recycle(&mut entry);
            return None;
        }
        if let Some(spare) = entry.socket.take() {
            return Some(self.join(spare, entry.local, entry.peer));
        }
        let entry = &entry;
        let mut spare = self.spares.take(entry.buffer).ok()?;
        if spare.answer(self, entry, None, entry.answered) != Some(entry.ours) {
            self.spares.put(spare);
            return None;
        }
        Some(self.join(spare, entry.local, entry.peer))
    }

    /// Makes a connection of a socket.
    fn join(&mut self, spare: Spare, from: SocketAddr, to: SocketAddr) -> Handle {
        self.sets.connections += 1;
        self.buffers += 2 * spare.size;
        let handle = self.sets.add(spare.set, spare.handle, Some(Key::tcp(from, to)));
        self.sets.get_mut(handle).peer = Some(to.ip());
        handle
    }

    /// Begins a connection from `from`.
    pub(crate) fn connect(&mut self, to: SocketAddr, from: SocketAddr) -> Result<Handle, Error> {
        let size = self.buffer_size().ok_or(Error::Exhausted)?;
        if !self.sets.has_room() {
            return Err(Error::Exhausted);
        }
        let seed = random()?;
        let mut spare = self.spares.take(size)?;
        let header = Some(NOWHERE);
        let mut port = Port { packet: None, wire: None, header, out: &self.out };
        let mut door = self.door(seed, &mut port, Instant::now());
        let begun = spare.socket().connect(door.context(), to, from);
        if begun.is_err() {
            self.spares.put(spare);
            return Err(Error::Unreachable);
        }
        let handle = self.join(spare, from, to);
        self.kick();
        Ok(handle)
    }

    /// Whether there is a connection from `from` to `to`.
    pub(crate) fn is_connected(&self, from: SocketAddr, to: SocketAddr) -> bool {
        self.sets.find(Key::tcp(from, to)).is_some()
    }

    /// The connection that a segment is for.
    pub(crate) fn find(&mut self, segment: &Segment) -> Option<Handle> {
        let key = Key::of(segment);
        let handle = self.sets.find(key)?;
        if self.is_quiet(handle) {
            // It is over; another one may begin.
            self.sets.forget(key);
            return None;
        }
        Some(handle)
    }

    /// TCP connections, with those that are leaving.
    pub(crate) fn connections(&self) -> usize {
        self.sets.connections
    }

    fn tcp(&mut self, handle: Handle) -> &mut tcp::Socket<'static> {
        self.sets.get_mut(handle).socket_mut()
    }

    pub(crate) fn ends(&self, handle: Handle) -> Option<(SocketAddr, SocketAddr)> {
        let socket = self.sets.get(handle).socket::<tcp::Socket>();
        Some((socket.local_endpoint()?.into(), socket.remote_endpoint()?.into()))
    }

    /// How the connection is; `waker` is woken when that changes.
    pub(crate) fn state(&mut self, handle: Handle, waker: &Waker) -> Result<State, Error> {
        self.up()?;
        let socket = self.tcp(handle);
        socket.register_send_waker(waker);
        Ok(match socket.state() {
            tcp::State::SynSent | tcp::State::SynReceived | tcp::State::Listen => State::Opening,
            tcp::State::Established | tcp::State::CloseWait => State::Open,
            tcp::State::FinWait1 | tcp::State::Closing | tcp::State::LastAck => State::Ending,
            tcp::State::FinWait2 => State::Ended,
            tcp::State::TimeWait => State::Closed { arrived: true },
            tcp::State::Closed => State::Closed { arrived: socket.send_queue() == 0 },
        })
    }

    /// Reads; 0 bytes when the peer has ended.
    pub(crate) fn poll_read(
        &mut self,
        handle: Handle,
        to: &mut [u8],
        waker: &Waker,
    ) -> Poll<Result<usize, Error>> {
        let up = self.up();
        let socket = self.tcp(handle);
        match socket.recv_slice(to) {
            Ok(0) if !to.is_empty() => {
                socket.register_recv_waker(waker);
                Poll::Pending
            }
            Ok(count) => {
                // There is room that the peer may have to be told of.
                self.touch(handle);
                Poll::Ready(Ok(count))
            }
            Err(tcp::RecvError::Finished) => Poll::Ready(Ok(0)),
            Err(tcp::RecvError::InvalidState) => Poll::Ready(up.and(Err(Error::Reset))),
        }
    }

    /// Ready when reading would not wait.
    pub(crate) fn poll_readable(
        &mut self,
        handle: Handle,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        let socket = self.tcp(handle);
        if socket.can_recv() || !socket.may_recv() {
            return Poll::Ready(Ok(()));
        }
        socket.register_recv_waker(waker);
        Poll::Pending
    }

    /// Throws away what the peer sends, so that it can come to its end.
    pub(crate) fn discard(&mut self, handle: Handle, waker: &Waker) {
        let socket = self.tcp(handle);
        socket.register_recv_waker(waker);
        while socket.recv(|bytes| (bytes.len(), bytes.len())).is_ok_and(|count| count > 0) {}
        self.touch(handle);
    }

    /// Takes as much as there is room for.
    pub(crate) fn poll_write(
        &mut self,
        handle: Handle,
        bytes: &[u8],
        waker: &Waker,
    ) -> Poll<Result<usize, Error>> {
        self.up()?;
        let socket = self.tcp(handle);
        match socket.send_slice(bytes) {
            Ok(0) if !bytes.is_empty() => {
                socket.register_send_waker(waker);
                Poll::Pending
            }
            Ok(count) => {
                self.touch(handle);
                Poll::Ready(Ok(count))
            }
            Err(tcp::SendError::InvalidState) => Poll::Ready(Err(Error::Reset)),
        }
    }

    /// Ready when the peer has acknowledged all that was written.
    pub(crate) fn poll_flush(&mut self, handle: Handle, waker: &Waker) -> Poll<Result<(), Error>> {
        let up = self.up();
        let socket = self.tcp(handle);
        if socket.send_queue() == 0 {
            return Poll::Ready(Ok(()));
        }
        up?;
        if socket.state() == tcp::State::Closed {
            return Poll::Ready(Err(Error::Reset));
        }
        socket.register_send_waker(waker);
        Poll::Pending
    }

    /// How a connection that nobody holds any more may end.
    pub(crate) fn parting(&mut self, handle: Handle) -> Parting {
        let down = self.down;
        let socket = self.tcp(handle);
        let (unread, unsent) = (socket.recv_queue(), socket.send_queue());
        match socket.state() {
            _ if down => Parting::Over,
            tcp::State::Closed
            | tcp::State::Listen
            | tcp::State::SynSent
            | tcp::State::SynReceived
            | tcp::State::TimeWait => Parting::Over,
            _ if unread > 0 => Parting::Unread(unread),
            tcp::State::FinWait2 => Parting::Waiting,
            _ => Parting::Ending(unsent),
        }
    }

    /// Sends the end behind what was written.
    pub(crate) fn end(&mut self, handle: Handle) {
        self.tcp(handle).close();
        self.touch(handle);
    }

    /// Sends the end on every connection, behind what was written.
    pub(crate) fn end_all(&mut self) {
        for socket in self.sets.sockets() {
            if let Socket::Tcp(socket) = socket {
                socket.close();
            }
        }
        self.sets.touch_all();
    }

    /// Whether a peer has not confirmed yet what was written, or the end of it.
    pub(crate) fn is_ending(&mut self) -> bool {
        let down = self.down;
        self.sets.sockets().any(|socket| match socket {
            Socket::Tcp(socket) => match socket.state() {
                tcp::State::FinWait2 | tcp::State::TimeWait => false,
                // It may have a reset to send.
                tcp::State::Closed => !down && socket.remote_endpoint().is_some(),
                _ => !down,
            },
            _ => false,
        })
    }

    pub(crate) fn abort(&mut self, handle: Handle) {
        self.tcp(handle).abort();
        self.touch(handle);
    }

    /// Gives a connection up. Unless it is over, it is reset. Whether it still has
    /// something to say before it can be [dropped](Self::drop_connection).
    pub(crate) fn give_up(&mut self, handle: Handle) -> bool {
        let down = self.down;
        let socket = self.tcp(handle);
        if socket.state() != tcp::State::TimeWait {
            socket.abort();
        }
        let quiet = down || socket.remote_endpoint().is_none();
        self.touch(handle);
        !quiet
    }

    /// Whether it has said all it had to say.
    pub(crate) fn is_quiet(&self, handle: Handle) -> bool {
        self.sets.get(handle).socket::<tcp::Socket>().remote_endpoint().is_none()
    }

    /// Whether both sides may still write.
    pub(crate) fn may_write(&self, handle: Handle) -> bool {
        self.sets.get(handle).socket::<tcp::Socket>().may_send()
    }

    /// Removes a connection, whatever it is in the middle of.
    pub(crate) fn drop_connection(&mut self, handle: Handle) {
        let size = self.tcp(handle).send_capacity();
        if let Some((set, handle)) = self.sets.remove(handle) {
            self.sets.connections -= 1;
            self.buffers -= 2 * size;
            self.spares.put(Spare { set, handle, size });
        }
    }
}
