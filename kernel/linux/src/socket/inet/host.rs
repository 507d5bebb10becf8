//! What the sockets have to know of the machine's network besides how to use it.

use alloc::vec::Vec;
use core::net::IpAddr;
use devices::net::Net;
use ip::{Stack, Tcp, Udp};

/// A network that sockets can be made of.
pub trait Host: Tcp + Udp + 'static {
    /// Returns the addresses of the interface, each with the bits of its network.
    fn addresses(&self) -> Vec<(IpAddr, u8)>;
}

impl<N: Net + 'static> Host for Stack<N> {
    fn addresses(&self) -> Vec<(IpAddr, u8)> {
        Self::addresses(self).into_iter().collect()
    }
}
