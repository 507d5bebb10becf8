//! UDP ports.

use super::drive::Shared;
use super::stack::Handle;
use super::{Datagrams, Error};
use alloc::rc::Rc;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::time::Duration;
use kernel::time::timeout;

/// How long a datagram may wait for room in the interface, which may be gone.
const STUCK: Duration = Duration::from_secs(3);

/// A port. Up to 16 datagrams wait in it each way; further ones that arrive are lost, and
/// who sends further ones waits until the interface takes those before, for 3 s at most.
/// For a machine of this network whose Ethernet address is not known, the newest 16 wait
/// for it, apart from what is for others, and are lost when it is silent for 3 s.
pub struct UdpSocket {
    shared: Rc<Shared>,
    handle: Handle,
    port: u16,
}

impl UdpSocket {
    pub(super) fn new(shared: Rc<Shared>, port: u16) -> Result<Self, Error> {
        let (handle, port) = shared.engine().bind(port)?;
        Ok(Self { shared, handle, port })
    }
}

impl Datagrams for UdpSocket {
    async fn receive(&self, to: &mut [u8]) -> Result<(usize, SocketAddr), Error> {
        poll_fn(|context| {
            self.shared.engine().protocols.poll_receive(self.handle, to, context.waker())
        })
        .await
    }

    async fn send(&self, datagram: &[u8], to: SocketAddr) -> Result<(), Error> {
        let sent = poll_fn(|context| {
            self.shared.engine().poll_send(self.handle, datagram, to, context.waker())
        });
        if let Ok(sent) = timeout(STUCK, sent).await {
            return sent;
        }
        self.shared.engine().protocols.clear(self.handle);
        Err(Error::Unreachable)
    }

    fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        self.shared.engine().protocols.remove(self.handle);
    }
}
