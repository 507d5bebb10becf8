//! TCP sockets (tcp(7)).

mod connect;
mod state;

use self::state::State;
use super::error::errno;
use super::family::Family;
use super::host::Host;
use super::options::Options;
use super::ports::{Answer, Came, Door, PIECE, Ports};
use crate::errno::Errno;
use crate::file::{Caller, next_inode};
use crate::memory::{Sink, Source};
use crate::socket::unix::Unix;
use crate::socket::{Address, Form, Incoming, Outgoing, Socket, Style};
use crate::stop::Stop;
use crate::watch::{Ready, Watch};
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::{Cell, RefCell};
use core::net::SocketAddr;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use ip::Stream as _;
use kernel::task::{Task, try_spawn};
use kernel::time::sleep;
use linux_raw_sys::net::{
    IP_MTU, IP_TOS, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPV6_TCLASS, MSG_ERRQUEUE, MSG_OOB,
    MSG_PEEK, MSG_TRUNC, SO_ACCEPTCONN, SO_ERROR, SO_RCVLOWAT, SO_SNDBUF, SOL_SOCKET, TCP_INFO,
    TCP_MAXSEG,
};

/// What Linux tells of the buffer to send of a connection that came about: twice ten segments, with
/// what it keeps beside them, of Ethernet and of loopback.
const SENT: u32 = 87_040;
const SENT_HERE: u32 = 2_626_560;

/// `SO_RCVLOWAT` counts up to so many bytes where it is waited for: a connection over the network may
/// have room for two segments, and tells of less than one no more.
const LEAST: usize = 1024;

/// When a write is tried again to a stream that said there was room and took nothing.
const VAIN: Duration = Duration::from_millis(10);

/// A TCP socket.
pub(super) struct TcpSocket<N: Host> {
    net: Rc<N>,
    ports: Rc<Ports<N>>,
    family: Family,
    inode: u64,
    changed: Arc<Watch>,
    options: Options,
    bound: Cell<Option<SocketAddr>>,
    role: RefCell<Role<N>>,
    /// A connection was begun, and nobody knows yet whether it came about.
    connecting: Cell<bool>,
    /// A call has begun a connection, and none has told yet whether it came about.
    begun: Cell<bool>,
    error: Cell<Option<Errno>>,
    /// It was told that the connection was broken off.
    told: Cell<bool>,
    deaf: Cell<bool>,
    mute: Cell<bool>,
}

enum Role<N: Host> {
    Idle,
    Listening(Rc<Door<N::Stream>>),
    Stream(N::Stream),
    /// It waits to be let in within the machine.
    Knocking {
        end: Rc<Unix>,
        local: SocketAddr,
        peer: SocketAddr,
        answer: Answer,
        /// Gives up in its time; `None` where the answer is there.
        _patience: Option<Task<()>>,
    },
    /// Within the machine.
    Local {
        end: Rc<Unix>,
        local: SocketAddr,
        peer: SocketAddr,
    },
}

impl<N: Host> TcpSocket<N> {
    pub(super) fn new(net: &Rc<N>, ports: &Rc<Ports<N>>, family: Family) -> Rc<Self> {
        Self::with(net, ports, family, Role::Idle, Watch::new(), Options::default())
    }

    fn with(
        net: &Rc<N>,
        ports: &Rc<Ports<N>>,
        family: Family,
        role: Role<N>,
        changed: Arc<Watch>,
        options: Options,
    ) -> Rc<Self> {
        Rc::new(Self {
            net: Rc::clone(net),
            ports: Rc::clone(ports),
            family,
            inode: next_inode(),
            changed,
            options,
            bound: Cell::new(None),
            role: RefCell::new(role),
            connecting: Cell::new(false),
            begun: Cell::new(false),
            error: Cell::new(None),
            told: Cell::new(false),
            deaf: Cell::new(false),
            mute: Cell::new(false),
        })
    }

    /// What wakes who watches this socket.
    fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.changed))
    }

    fn given(&self, address: &Address) -> Result<SocketAddr, Errno> {
        self.family.given(address, self.options.v6_only.get())
    }

    /// The error that the stack gives: of a connection that came about it is told once.
    fn failed(&self, error: ip::Error) -> Errno {
        let errno = errno(error);
        if self.connecting.replace(false) {
            self.role.replace(Role::Idle);
        }
        errno
    }

    /// How the connection was broken off, if it was and nobody was told: as with Linux, who waits
    /// is told so before what came was read.
    fn broken(&self, stream: &N::Stream) -> Option<Errno> {
        if self.told.get() || !stream.progress().ended {
            return None;
        }
        let over = match self.mute.get() {
            true => stream.try_peek(&mut [0]).err(),
            false => stream.try_write(&[]).err(),
        };
        over.map(errno).and_then(|it| self.cause(it, stream))
    }

    /// What Linux calls it when the stack says that a connection was broken off: a reset behind
    /// the peer's end is a broken pipe, to who has not ended as well (`tcp_reset`).
    fn cause(&self, errno: Errno, stream: &N::Stream) -> Option<Errno> {
        match errno {
            Errno::ECONNRESET if stream.progress().finished && !self.mute.get() => {
                Some(Errno::EPIPE)
            }
            Errno::ECONNRESET | Errno::ETIMEDOUT => Some(errno),
            _ => None,
        }
    }

    /// That was told, once. Nothing is sent from now on.
    fn tell(&self) {
        self.told.set(true);
        self.mute.set(true);
    }

    /// Writes what is in `from` as far as there is room.
    fn write(&self, stream: &N::Stream, from: &mut Source<'_>) -> Result<usize, Stop> {
        let (mut written, mut piece) = (0, self.ports.piece.borrow_mut());
        let mut again = false;
        while from.left() > 0 {
            let count = match from.peek(&mut piece) {
                Ok(count) => count,
                Err(_) if written > 0 => break,
                Err(stop) => return Err(stop),
            };
            match stream.try_write(&piece[..count]) {
                Ok(Some(count)) => {
                    from.skip(count);
                    written += count;
                }
                Ok(None) if written > 0 => break,
                Ok(None) => {
                    // Armed, and looked at again: room may have come in between.
                    match stream.poll_writable(&mut Context::from_waker(&self.waker())) {
                        Poll::Ready(Ok(())) if again => {
                            // There is, and nothing is taken: others run before the next look.
                            let waker = self.waker();
                            let later = async move {
                                sleep(VAIN).await;
                                waker.wake();
                            };
                            try_spawn(later).ok_or(Errno::ENOMEM)?.detach();
                            return Err(Stop::Wait);
                        }
                        Poll::Ready(Ok(())) => again = true,
                        Poll::Ready(Err(error)) => return Err(self.failed(error).into()),
                        Poll::Pending => return Err(Stop::Wait),
                    }
                }
                Err(_) if written > 0 => break,
                Err(error) => return Err(self.failed(error).into()),
            }
        }
        Ok(written)
    }

    /// Receives from a peer within the machine. `MSG_TRUNC` discards (tcp(7)).
    fn take(end: &Unix, flags: u32, to: &mut Sink<'_>) -> Result<usize, Stop> {
        if flags & MSG_TRUNC == 0 {
            return Ok(end.receive(flags, to)?.length);
        }
        let (flags, mut lost) = (flags & !MSG_TRUNC, Vec::new());
        let mut total = 0;
        while to.left() > 0 {
            lost.clear();
            let most = to.left().min(PIECE);
            let length = match end.receive(flags, &mut Sink::kernel(&mut lost, most)) {
                Ok(came) if flags & MSG_PEEK != 0 && came.length > 0 => {
                    end.queued()[0].min(to.left())
                }
                Ok(came) => came.length,
                Err(_) if total > 0 => break,
                Err(stop) => return Err(stop),
            };
            to.skip(length);
            total += length;
            if length == 0 || flags & MSG_PEEK != 0 {
                break;
            }
        }
        Ok(total)
    }

    /// Reads as much as there is and `to` has room for.
    fn read(&self, stream: &N::Stream, to: &mut Sink<'_>, flags: u32) -> Result<usize, Stop> {
        if to.left() == 0 {
            return Ok(0);
        }
        let (peek, discards) = (flags & MSG_PEEK != 0, flags & MSG_TRUNC != 0);
        let (mut read, mut piece) = (0, self.ports.piece.borrow_mut());
        let mut long = Vec::new();
        let there = if peek { to.left().min(stream.progress().readable) } else { 0 };
        if there > PIECE {
            // What is looked at is there again the next time: it is one piece.
            long = kernel::memory::zeroed(there).unwrap_or_default();
        }
        let piece = if long.is_empty() { &mut piece[..] } else { &mut long[..] };
        loop {
            let room = to.left().min(piece.len());
            // A page of the program that is not there must not lose what was read.
            let held = !peek && !discards && to.check(room).is_err();
            let came = match peek || held {
                true => stream.try_peek(&mut piece[..room]),
                false => stream.try_read(&mut piece[..room]),
            };
            match came {
                Ok(Some(0)) => return Ok(read),
                Ok(Some(mut count)) => {
                    if discards {
                        to.skip(count);
                    } else {
                        count = match to.put(&piece[..count]) {
                            Ok(count) => count,
                            Err(_) if read > 0 => return Ok(read),
                            Err(stop) => return Err(stop),
                        };
                    }
                    if held {
                        // As much as the pages took that are there.
                        let _ = stream.try_read(&mut piece[..count]);
                    }
                    read += count;
                    if peek || count < PIECE || to.left() == 0 {
                        break;
                    }
                }
                // What came is read all the same.
                Ok(None) if self.deaf.get() => return Ok(read),
                Ok(None) => {
                    let polled = stream.poll_readable(&mut Context::from_waker(&self.waker()));
                    match polled {
                        Poll::Ready(Ok(())) => continue,
                        Poll::Ready(Err(error)) if read == 0 => {
                            return Err(self.failed(error).into());
                        }
                        _ if read == 0 => return Err(Stop::Wait),
                        _ => return Ok(read),
                    }
                }
                Err(_) if read > 0 => return Ok(read),
                Err(ip::Error::Closed) => return Ok(0),
                Err(error) => return Err(self.failed(error).into()),
            }
        }
        // Who reads less than there was room for waits for more without another call (epoll(7)).
        let _ = stream.poll_readable(&mut Context::from_waker(&self.waker()));
        Ok(read)
    }
}

impl<N: Host> Drop for TcpSocket<N> {
    fn drop(&mut self) {
        let closed = self.state() == State::Closed;
        match self.role.replace(Role::Idle) {
            // What is over on both sides is reset by nothing.
            Role::Local { end, .. } if closed => end.forget(),
            Role::Listening(door) => self.close(door),
            Role::Stream(stream) if self.options.linger.get() == Some(0) => stream.abort(),
            Role::Local { end, .. } if self.options.linger.get() == Some(0) => end.reset(),
            _ => {}
        }
    }
}

impl<N: Host> Socket for TcpSocket<N> {
    fn form(&self) -> Form {
        Form { family: self.family.number(), style: Style::Stream, protocol: IPPROTO_TCP as u32 }
    }

    fn bind(&self, _: &dyn Caller, address: &Address) -> Result<(), Stop> {
        if self.bound.get().is_some() || !matches!(*self.role.borrow(), Role::Idle) {
            return Err(Errno::EINVAL.into());
        }
        let mut address = self.given(address)?;
        if !address.ip().is_unspecified() && !self.ports.is_here(address.ip()) {
            return Err(Errno::EADDRNOTAVAIL.into());
        }
        if address.port() == 0 {
            address.set_port(self.ports.choose()?);
        }
        let versions = self.family.versions(address, self.options.v6_only.get());
        self.ports.may_bind(address, versions, self.options.reuse_port.get())?;
        self.bound.set(Some(address));
        Ok(())
    }

    fn connect(&self, _: &dyn Caller, address: &Address) -> Result<(), Stop> {
        self.begin(address)
    }

    fn connected(&self) -> Result<(), Stop> {
        let result = self.came_about();
        self.begun.set(matches!(result, Err(Stop::Wait)));
        result
    }

    fn listen(&self, backlog: u32) -> Result<(), Errno> {
        let mut role = self.role.borrow_mut();
        match &*role {
            Role::Listening(door) => door.set_backlog(backlog),
            Role::Idle => {
                let bound = match self.bound.get() {
                    Some(bound) => bound,
                    None => SocketAddr::new(self.family.unspecified(), self.ports.choose()?),
                };
                let versions = self.family.versions(bound, self.options.v6_only.get());
                let shares = self.options.reuse_port.get();
                let door = self.ports.listen(bound, versions, shares, &self.changed)?;
                door.set_backlog(backlog);
                self.bound.set(Some(bound));
                *role = Role::Listening(door);
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    fn accept(&self) -> Result<(Rc<dyn Socket>, Address), Stop> {
        let door = match &*self.role.borrow() {
            Role::Listening(door) => Rc::clone(door),
            _ => return Err(Errno::EINVAL.into()),
        };
        let came = door.take().ok_or(Stop::Wait)?;
        let (options, changed) = (self.options.inherit(), Watch::new());
        let (role, peer) = match came {
            Came::Stream(stream, peer) => {
                // Before the first byte, as it may end the connection later.
                let _ = stream.set_options(options.of_stack());
                (Role::Stream(stream), peer)
            }
            Came::Local { end, local, peer } => {
                end.forward(&changed);
                (Role::Local { end, local, peer }, peer)
            }
        };
        let new = Self::with(&self.net, &self.ports, self.family, role, changed, options);
        Ok((new, self.family.told(peer)))
    }

    fn shutdown(&self, read: bool, write: bool) -> Result<(), Errno> {
        self.look();
        let over = self.state() == State::Closed;
        let begins = match &*self.role.borrow() {
            Role::Listening(_) if !read => return Ok(()),
            Role::Listening(_) | Role::Knocking { .. } => true,
            Role::Stream(_) => self.connecting.get(),
            _ => false,
        };
        if begins {
            // As on Linux, who listens or is about to be connected is neither any more.
            self.disconnect();
            return Ok(());
        }
        // What is not connected has these ends as well, as on Linux, besides the error.
        self.deaf.set(self.deaf.get() || read);
        self.mute.set(self.mute.get() || write);
        let result = match &*self.role.borrow() {
            Role::Stream(stream) => {
                if write {
                    // It queues the end and does not wait.
                    let mut ended = pin!(stream.shutdown());
                    let _ = ended.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                }
                Ok(())
            }
            // The peer of one that is deaf may go on writing.
            Role::Local { end, .. } => end.shutdown(false, write),
            _ => Err(Errno::ENOTCONN),
        };
        let result = if over { Err(Errno::ENOTCONN) } else { result };
        self.changed.raise();
        result
    }

    fn local(&self) -> Address {
        let unspecified = SocketAddr::new(self.family.unspecified(), 0);
        let local = match &*self.role.borrow() {
            Role::Stream(stream) => stream.local_addr(),
            Role::Local { local, .. } | Role::Knocking { local, .. } => *local,
            _ => self.bound.get().unwrap_or(unspecified),
        };
        self.family.told(local)
    }

    fn peer(&self) -> Result<Address, Errno> {
        self.look();
        if self.state() == State::Closed {
            return Err(Errno::ENOTCONN);
        }
        match &*self.role.borrow() {
            Role::Stream(_) if self.connecting.get() => Err(Errno::ENOTCONN),
            Role::Stream(stream) => Ok(self.family.told(stream.peer_addr())),
            Role::Local { peer, .. } => Ok(self.family.told(*peer)),
            _ => Err(Errno::ENOTCONN),
        }
    }

    fn send(&self, message: &mut Outgoing<'_>, from: &mut Source<'_>) -> Result<usize, Stop> {
        if let Some(error) = self.error.take() {
            return Err(error.into());
        }
        if message.flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        message.rights.clear();
        if self.mute.get() {
            return Err(Errno::EPIPE.into());
        }
        self.look();
        let role = self.role.borrow();
        let result = match &*role {
            Role::Stream(_) if self.connecting.get() => {
                drop(role);
                self.came_about()?;
                return self.send(message, from);
            }
            Role::Stream(stream) => self.write(stream, from),
            Role::Local { end, .. } if end.is_orphaned() => match self.failure(end) {
                Some(errno) => Err(errno.into()),
                // What comes after the peer's end is lost, and answered by a reset.
                None => {
                    let lost = from.peek(&mut [0; PIECE])?;
                    self.mute.set(true);
                    self.error.set(Some(Errno::EPIPE));
                    self.changed.raise();
                    Ok(lost)
                }
            },
            Role::Local { end, .. } => end.send_to(None, &mut Outgoing::default(), from),
            Role::Knocking { .. } => return Err(Stop::Wait),
            _ => return Err(self.error.take().unwrap_or(Errno::EPIPE).into()),
        };
        // Where it was broken off, the first call learns of that and the next ones of EPIPE.
        let cause = match (&result, &*role) {
            (&Err(Stop::Fail(errno)), Role::Stream(stream)) => self.cause(errno, stream),
            (&Err(Stop::Fail(errno @ (Errno::ECONNRESET | Errno::EPIPE))), _) => Some(errno),
            _ => None,
        };
        let Some(cause) = cause else { return result };
        self.tell();
        Err(cause.into())
    }

    fn least(&self) -> usize {
        self.options.least() as usize
    }

    fn receive(&self, flags: u32, to: &mut Sink<'_>) -> Result<Incoming, Stop> {
        // No error is kept with what caused it.
        if flags & MSG_ERRQUEUE != 0 {
            return Err(Errno::EAGAIN.into());
        }
        // Behind the peer's end there is nothing, whatever became of the connection then.
        if !self.is_ended()
            && let Some(error) = self.error.take()
        {
            return Err(error.into());
        }
        if flags & MSG_OOB != 0 {
            return Err(Errno::EINVAL.into());
        }
        self.look();
        let role = self.role.borrow();
        let length = match &*role {
            Role::Stream(_) if self.connecting.get() => {
                drop(role);
                self.came_about()?;
                return self.receive(flags, to);
            }
            Role::Stream(stream) => match self.read(stream, to, flags) {
                Err(Stop::Fail(Errno::ECONNRESET | Errno::ETIMEDOUT)) if self.told.get() => 0,
                Err(Stop::Fail(errno @ (Errno::ECONNRESET | Errno::ETIMEDOUT))) => {
                    self.tell();
                    return Err(errno.into());
                }
                read => read?,
            },
            Role::Local { end, .. }
                if end.has_shut() && end.has_failed() && end.queued()[0] == 0 =>
            {
                0
            }
            Role::Local { end, .. } => match Self::take(end, flags, to) {
                Err(Stop::Wait) if self.deaf.get() => 0,
                Err(Stop::Fail(errno)) => {
                    if errno == Errno::ECONNRESET {
                        self.tell();
                    }
                    return Err(errno.into());
                }
                received => received?,
            },
            Role::Knocking { .. } => return Err(Stop::Wait),
            _ => return Err(self.error.take().unwrap_or(Errno::ENOTCONN).into()),
        };
        Ok(Incoming { length, ..Incoming::default() })
    }

    fn ready(&self) -> Ready {
        self.look();
        let mut ready = Ready::empty();
        let waker = self.waker();
        let mut context = Context::from_waker(&waker);
        match &*self.role.borrow() {
            Role::Idle => {
                ready |= Ready::OUT | Ready::WRNORM | Ready::HUP;
                // One that did not come about has both ends until it is begun again.
                let failed = self.error.get().is_some() || self.begun.get();
                let ended = self.deaf.get() || failed;
                ready.set(Ready::IN | Ready::RDNORM | Ready::RDHUP, ended);
            }
            Role::Listening(door) => ready.set(Ready::IN | Ready::RDNORM, !door.is_empty()),
            Role::Knocking { .. } => {}
            Role::Local { end, .. } => {
                ready = end.ready();
                let least = self.least();
                if least > 1 && !ready.intersects(Ready::RDHUP | Ready::ERR) && !end.has(least) {
                    ready.remove(Ready::IN | Ready::RDNORM);
                }
                if self.deaf.get() {
                    ready |= Ready::IN | Ready::RDNORM | Ready::RDHUP;
                }
                // The peer's end alone leaves this one open (tcp(7)).
                let open = !self.mute.get() && !ready.contains(Ready::ERR);
                ready.set(Ready::HUP, !open && ready.contains(Ready::RDHUP));
            }
            Role::Stream(stream) => {
                // What comes behind what was not read yet is a change as well (epoll(7)).
                stream.follow(&mut context);
                let out = stream.poll_writable(&mut context);
                let failed = matches!(out, Poll::Ready(Err(_)));
                let is_out = out.is_ready() || self.mute.get();
                ready.set(Ready::OUT | Ready::WRNORM, is_out);
                if self.connecting.get() && !out.is_ready() {
                    return ready;
                }
                let ended = stream.progress().ended;
                let least = self.least().min(LEAST);
                let has = stream.poll_readable(&mut context).is_ready()
                    && (least == 1 || stream.progress().readable >= least);
                let is_in = has || self.deaf.get();
                ready.set(Ready::IN | Ready::RDNORM, is_in || ended);
                ready.set(Ready::RDHUP, ended || self.deaf.get());
                let over = failed && !self.mute.get();
                let broken = self.broken(stream).is_some();
                let hangs = over || broken || self.told.get();
                ready.set(Ready::HUP, ended && self.mute.get() || hangs);
                ready.set(Ready::ERR, over && self.connecting.get() || broken);
            }
        }
        ready.set(Ready::ERR, ready.contains(Ready::ERR) || self.error.get().is_some());
        ready
    }

    fn watch(&self) -> &Arc<Watch> {
        &self.changed
    }

    fn inode(&self) -> u64 {
        self.inode
    }

    fn queued(&self) -> [usize; 2] {
        match &*self.role.borrow() {
            Role::Stream(stream) => {
                let progress = stream.progress();
                [progress.readable, progress.unacknowledged]
            }
            Role::Local { end, .. } => end.queued(),
            _ => [0; 2],
        }
    }

    fn any(&self) -> &dyn Any {
        self
    }

    fn option(&self, level: u32, name: u32) -> Result<Vec<u8>, Errno> {
        let number: u32 = match (level, name) {
            (SOL_SOCKET, SO_ERROR) => {
                // Asking is how one learns how a connection ended that was begun (connect(2)).
                self.look();
                if self.connecting.get()
                    && let Err(Stop::Fail(errno)) = self.came_about()
                {
                    self.error.set(Some(errno));
                }
                let error = match &*self.role.borrow() {
                    Role::Local { end, .. } => {
                        let failed = self.failure(end);
                        if failed.is_some() {
                            self.tell();
                        }
                        failed
                    }

                    Role::Stream(stream) if !self.connecting.get() => {
                        let broken = self.broken(stream);
                        if broken.is_some() {
                            self.tell();
                        }
                        broken
                    }
                    _ => None,
                };
                self.error.take().or(error).map_or(0, |it| it.number().into())
            }
            (SOL_SOCKET, SO_ACCEPTCONN) => matches!(*self.role.borrow(), Role::Listening(_)).into(),
            (SOL_SOCKET, SO_SNDBUF) if !self.options.has_send_buffer() => {
                match &*self.role.borrow() {
                    Role::Local { .. } => SENT_HERE,
                    Role::Stream(_) if !self.connecting.get() => SENT,
                    _ => return self.options.get(self.form(), level, name),
                }
            }
            // A connection has what it sends, whatever was set.
            (level, TCP_MAXSEG) if level == IPPROTO_TCP as u32 => match self.segment() {
                Some(segment) => segment,
                None => return self.options.get(self.form(), level, name),
            },
            (level, TCP_INFO) if level == IPPROTO_TCP as u32 => return Ok(self.info()),
            (level, IP_MTU) if level == IPPROTO_IP as u32 => match &*self.role.borrow() {
                Role::Local { .. } => 65_535,
                Role::Stream(_) if !self.connecting.get() => 1_500,
                _ => return Err(Errno::ENOTCONN),
            },
            _ => return self.options.get(self.form(), level, name),
        };
        Ok(number.to_ne_bytes().to_vec())
    }

    fn set_option(&self, level: u32, name: u32, value: &[u8]) -> Result<(), Errno> {
        if !self.form().has_level(level) {
            return Err(Errno::ENOPROTOOPT);
        }
        // Two bits of it are TCP's own (RFC 3168).
        let most = match (level, name) {
            (level, IP_TOS) if level == IPPROTO_IP as u32 => u32::MAX,
            (level, IPV6_TCLASS) if level == IPPROTO_IPV6 as u32 => 255,
            _ => 0,
        };
        if let Some(number) = value.first_chunk().map(|it| u32::from_ne_bytes(*it))
            && (1..=most).contains(&number)
        {
            return self.options.set(level, name, &(number & 0xFC).to_ne_bytes());
        }
        if let (SOL_SOCKET, SO_RCVLOWAT, Some(number)) = (level, name, value.first_chunk()) {
            self.options.set_least(u32::from_ne_bytes(*number))?;
            // Who waits may have enough now.
            self.changed.raise();
            return Ok(());
        }
        self.options.set(level, name, value)?;
        if let Role::Stream(stream) = &*self.role.borrow() {
            // A connection that is over heeds none.
            let _ = stream.set_options(self.options.of_stack());
        }
        Ok(())
    }
}
