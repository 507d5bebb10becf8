//! UDP sockets.

use super::shared::Shared;
use super::stack::{Handle, Received};
use super::{Error, Socket};
use alloc::rc::Rc;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use kernel::time::timeout;

/// How long a datagram may wait for room in the interface, which may be gone.
const STUCK: Duration = Duration::from_secs(3);

/// Sends and receives UDP datagrams by a [`Stack`](crate::Stack): its [`Udp`](crate::Udp)
/// binds it.
///
/// Up to 64 datagrams wait in it each way, within
/// [`Limits::datagrams`](crate::Limits::datagrams) and the memory of all sockets: further ones
/// that arrive are lost, and [`send_to`](Socket::send_to) waits until the interface has taken
/// one, for 3 s at most. Datagrams to a neighbor whose Ethernet address is not known wait for it
/// elsewhere, the newest 16, and are lost if it does not answer within 3 s. What was sent goes
/// out even if the socket is dropped at once.
///
/// When a router says that a datagram was too long for its way, those after it leave in
/// fragments that are not, for ten minutes (RFC 1191, RFC 8201), or are [`Error::TooLong`] where
/// the socket [cuts nothing](Self::set_fragments). That nobody has the port that something was
/// sent to is told to who [set a peer](Self::set_peer).
pub struct UdpSocket {
    shared: Rc<Shared>,
    handle: Handle,
    local: SocketAddr,
}

/// What was ready at once, as `None` where it was not.
fn at_once<T>(polled: Poll<Result<T, Error>>) -> Result<Option<T>, Error> {
    match polled {
        Poll::Ready(result) => result.map(Some),
        Poll::Pending => Ok(None),
    }
}

impl UdpSocket {
    pub(super) fn new(shared: Rc<Shared>, addr: SocketAddr) -> Result<Self, Error> {
        let (handle, local) = shared.engine().bind(addr)?;
        Ok(Self { shared, handle, local })
    }

    /// Waits until a call of [`recv_from`](Socket::recv_from) would not wait.
    pub(super) async fn ready(&self) -> Result<(), Error> {
        poll_fn(|context| self.poll_readable(context)).await
    }

    /// Receives from `peer` alone from now on, as `connect` does in POSIX; from all with `None`,
    /// which is how it begins. When nobody there has the port that a datagram was sent to, the
    /// next call that receives or sends returns [`Error::Refused`], once. What waits already
    /// stays.
    pub fn set_peer(&self, peer: Option<SocketAddr>) {
        let peer = peer.map(|it| SocketAddr::new(it.ip().to_canonical(), it.port()));
        self.shared.engine().protocols.set_peer(self.handle, peer);
    }

    /// Cuts what is too long for the interface or its way into fragments, which it does at first,
    /// or refuses it with [`Error::TooLong`], for who looks for the length that a path takes
    /// (RFC 8899).
    pub fn set_fragments(&self, fragments: bool) {
        self.shared.engine().protocols.set_whole(self.handle, !fragments);
    }

    /// Ready when [`try_recv`](Self::try_recv) would not return `None`. Any number of tasks may
    /// wait.
    ///
    /// # Errors
    /// [`Error::Down`].
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.shared.engine().protocols.poll_arrived(self.handle, context.waker())
    }

    /// Ready when there is room for a datagram of `length` bytes. Any number of tasks may wait.
    ///
    /// # Errors
    /// [`Error::Down`].
    pub fn poll_writable(
        &self,
        context: &mut Context<'_>,
        length: usize,
    ) -> Poll<Result<(), Error>> {
        self.shared.engine().protocols.poll_room(self.handle, length, context.waker())
    }

    /// Receives without waiting: `None` where [`recv_from`](Socket::recv_from) would wait.
    ///
    /// # Errors
    /// As of [`recv_from`](Socket::recv_from).
    pub fn try_recv(&self, buf: &mut [u8]) -> Result<Option<Received>, Error> {
        at_once(self.shared.engine().protocols.poll_receive(self.handle, buf, Waker::noop()))
    }

    /// Sends without waiting: `None` where [`send_to`](Socket::send_to) would wait.
    ///
    /// # Errors
    /// As of [`send_to`](Socket::send_to).
    pub fn try_send(&self, buf: &[u8], addr: SocketAddr) -> Result<Option<()>, Error> {
        at_once(self.poll_send(buf, addr, Waker::noop()))
    }

    fn poll_send(&self, buf: &[u8], addr: SocketAddr, waker: &Waker) -> Poll<Result<(), Error>> {
        let addr = SocketAddr::new(addr.ip().to_canonical(), addr.port());
        self.shared.engine().protocols.poll_send(self.handle, buf, addr, waker)
    }
}

impl Socket for UdpSocket {
    async fn recv_from(&self, buf: &mut [u8]) -> Result<(usize, SocketAddr), Error> {
        let received = poll_fn(|context| {
            self.shared.engine().protocols.poll_receive(self.handle, buf, context.waker())
        });
        received.await.map(|it| (it.copied, it.from))
    }

    async fn send_to(&self, buf: &[u8], addr: SocketAddr) -> Result<(), Error> {
        let sent = poll_fn(|context| self.poll_send(buf, addr, context.waker()));
        if let Ok(sent) = timeout(STUCK, sent).await {
            return sent;
        }
        self.shared.engine().protocols.clear(self.handle);
        Err(Error::Unreachable)
    }

    fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        let stays = self.shared.engine().protocols.unbind(self.handle);
        if stays {
            self.shared.stay();
        }
    }
}
