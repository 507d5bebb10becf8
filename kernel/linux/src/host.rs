//! What an app has on a host in the place of devices.

use crate::memory::Ram;
use crate::socket::Network;
use crate::socket::inet::Device;
use alloc::rc::Rc;
use devices::net::Net;
use ip::sockets::Sockets;
use ip::{OneOf, Stack};

/// Programs cannot have a host's own sockets.
impl<N: Net + 'static> Device for OneOf<Stack<N>, Sockets> {
    fn network(self, ram: &Rc<Ram>) -> Option<Rc<dyn Network>> {
        match self {
            Self::First(stack) => stack.network(ram),
            Self::Second(_) => None,
        }
    }
}
