//! Sockets of the internet (ip(7), ipv6(7), tcp(7), udp(7)): over this project's IP stack, and
//! within the machine (127.0.0.0/8, ::1 and its own addresses) without one.

mod error;
mod host;
mod options;
mod ports;
mod tcp;

use crate::errno::Errno;
use crate::socket::{Form, Network, Socket, Style};
use alloc::rc::Rc;
use linux_raw_sys::net::{AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_TCP};
use ports::Ports;
use tcp::TcpSocket;

#[cfg(test)]
mod tests;

pub use host::Host;

/// Makes the sockets of one IP stack.
pub struct Inet<N: Host> {
    net: Rc<N>,
    ports: Rc<Ports<N>>,
}

impl<N: Host> Inet<N> {
    /// Makes sockets of `net`.
    #[must_use]
    pub fn new(net: Rc<N>) -> Rc<Self> {
        let ports = Ports::new(Rc::clone(&net));
        Rc::new(Self { net, ports })
    }
}

impl<N: Host> Network for Inet<N> {
    fn socket(&self, form: Form) -> Result<Rc<dyn Socket>, Errno> {
        if !matches!(form.family, AF_INET | AF_INET6) {
            return Err(Errno::EAFNOSUPPORT);
        }
        match (form.style, form.protocol) {
            (Style::Stream, protocol)
                if protocol == IPPROTO_IP as u32 || protocol == IPPROTO_TCP as u32 =>
            {
                Ok(TcpSocket::new(&self.net, &self.ports, form.family))
            }
            (Style::Stream | Style::Datagram, _) => Err(Errno::EPROTONOSUPPORT),
            // A raw socket is for who may see all packets.
            (Style::Raw, _) => Err(Errno::EPERM),
            (Style::Sequence, _) => Err(Errno::ESOCKTNOSUPPORT),
        }
    }
}
