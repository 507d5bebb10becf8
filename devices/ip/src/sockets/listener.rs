//! TCP listeners.

use super::{Sockets, TcpStream, bound, error, unbound};
use crate::tcp::would_wait;
use crate::{Error, Listener, Stream};
use core::future::poll_fn;
use core::net::SocketAddr;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use kernel::machine::watch::{Interest, Watched};
use kernel::time::sleep;
use rustix::io::Errno;
use rustix::net::{self, SocketFlags, SocketType};
use std::os::fd::OwnedFd;

/// Connections that nobody accepted yet.
const BACKLOG: i32 = 128;

/// How long to wait for a descriptor to become free, when there is none for a connection.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Accepts TCP connections by a listening socket of Linux, of up to 128 that wait.
#[derive(Debug)]
pub struct TcpListener {
    of: Sockets,
    socket: Watched<OwnedFd>,
    local: SocketAddr,
}

impl TcpListener {
    pub(super) fn new(of: Sockets, addr: SocketAddr) -> Result<Self, Error> {
        let (socket, local) = bound(SocketType::STREAM, addr)?;
        net::listen(&socket, BACKLOG).map_err(|errno| unbound(errno, local.port()))?;
        Ok(Self { of, socket: Watched::new(socket), local })
    }

    fn poll_accept(&self, context: &Context<'_>) -> Poll<Result<(TcpStream, SocketAddr), Error>> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        loop {
            let accept = |it: &OwnedFd| net::accept_with(it, flags);
            let accepted = match self.socket.poll(Interest::Read, context, accept) {
                Poll::Pending => return Poll::Pending,
                // Of the connection that was to be: Linux passes these on, see accept(2).
                Poll::Ready(Err(
                    Errno::CONNABORTED
                    | Errno::NETDOWN
                    | Errno::PROTO
                    | Errno::NOPROTOOPT
                    | Errno::HOSTDOWN
                    | Errno::NONET
                    | Errno::HOSTUNREACH
                    | Errno::OPNOTSUPP
                    | Errno::NETUNREACH
                    | Errno::PERM,
                )) => continue,
                Poll::Ready(accepted) => accepted.map_err(error)?,
            };
            // A connection that is over already is not worth an error.
            if let Ok(stream) = TcpStream::accepted(self.of.clone(), Watched::new(accepted)) {
                self.of.count(|stats| stats.accepted += 1);
                let peer = stream.peer_addr();
                return Poll::Ready(Ok((stream, peer)));
            }
        }
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> Result<(TcpStream, SocketAddr), Error> {
        let accepted = poll_fn(|context| self.poll_accept(context)).await;
        if matches!(accepted, Err(Error::Exhausted)) {
            // The connection waits on: who calls again at once is not to spin.
            sleep(EXHAUSTED).await;
        }
        accepted
    }

    fn try_accept(&self) -> Result<Option<(TcpStream, SocketAddr)>, Error> {
        would_wait(self.poll_accept(&Context::from_waker(Waker::noop())))
    }

    fn poll_acceptable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.socket.is_ready(Interest::Read) {
            return Poll::Ready(Ok(()));
        }
        self.socket.wait(Interest::Read, context.waker());
        Poll::Pending
    }

    fn local_addr(&self) -> SocketAddr {
        self.local
    }
}
