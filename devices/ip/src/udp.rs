//! UDP sockets.

use super::shared::Shared;
use super::stack::{Handle, Protocols};
use super::{Error, Socket};
use alloc::rc::Rc;
use core::cell::RefCell;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::task::{Poll, Waker};
use core::time::Duration;
use kernel::sync::Wakers;
use kernel::time::timeout;

/// How long a datagram may wait for room in the interface, which may be gone.
const STUCK: Duration = Duration::from_secs(3);

/// Sends and receives UDP datagrams by a [`Stack`](crate::Stack): its [`Udp`](crate::Udp)
/// binds it.
///
/// Up to 16 datagrams wait in it each way, within
/// [`Limits::datagrams`](crate::Limits::datagrams): further ones that arrive are lost, and
/// [`send_to`](Socket::send_to) waits until the interface has taken one, for 3 s at most.
/// Datagrams to a neighbor whose Ethernet address is not known wait for it elsewhere, the
/// newest 16, and are lost if it does not answer within 3 s. What was sent goes out even if
/// the socket is dropped at once.
pub struct UdpSocket {
    shared: Rc<Shared>,
    handle: Handle,
    local: SocketAddr,
    receivers: Receivers,
}

/// The tasks that wait for a datagram. A socket of smoltcp wakes the last one that asked:
/// when that one is served, or gives up, it lets the others ask again.
#[derive(Default)]
struct Receivers(RefCell<Wakers>);

impl Receivers {
    fn add(&self, waker: &Waker) {
        self.0.borrow_mut().add(waker);
    }

    fn remove(&self, waker: &Waker) {
        self.0.borrow_mut().remove(waker);
    }
}

/// A task that asks for a datagram, until it is served or gives up.
struct Asking<'a>(&'a Receivers);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.0.borrow_mut().wake();
    }
}

impl UdpSocket {
    pub(super) fn new(shared: Rc<Shared>, addr: SocketAddr) -> Result<Self, Error> {
        let (handle, local) = shared.engine().bind(addr)?;
        Ok(Self { shared, handle, local, receivers: Receivers::default() })
    }

    /// Waits until a call of [`recv_from`](Socket::recv_from) would not wait.
    pub(super) async fn ready(&self) -> Result<(), Error> {
        self.ask(|protocols, waker| protocols.poll_arrived(self.handle, waker)).await
    }

    /// Waits for a datagram by `poll`, as one of the tasks that do.
    async fn ask<T>(
        &self,
        mut poll: impl FnMut(&mut Protocols, &Waker) -> Poll<Result<T, Error>>,
    ) -> Result<T, Error> {
        let _asking = Asking(&self.receivers);
        poll_fn(|context| {
            let waker = context.waker();
            let polled = poll(&mut self.shared.engine().protocols, waker);
            match polled {
                Poll::Pending => self.receivers.add(waker),
                Poll::Ready(_) => self.receivers.remove(waker),
            }
            polled
        })
        .await
    }
}

impl Socket for UdpSocket {
    async fn recv_from(&self, buf: &mut [u8]) -> Result<(usize, SocketAddr), Error> {
        self.ask(|protocols, waker| protocols.poll_receive(self.handle, buf, waker)).await
    }

    async fn send_to(&self, buf: &[u8], addr: SocketAddr) -> Result<(), Error> {
        let sent = poll_fn(|context| {
            self.shared.engine().poll_send(self.handle, buf, addr, context.waker())
        });
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
