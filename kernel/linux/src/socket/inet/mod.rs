//! Sockets of the internet (ip(7), ipv6(7), tcp(7), udp(7)): over this project's IP stack, and
//! within the machine (127.0.0.0/8, ::1 and its own addresses) without one.

mod echo;
mod error;
mod family;
mod host;
mod mail;
mod netlink;
mod options;
mod ports;
mod tcp;
mod udp;

use crate::errno::Errno;
use crate::memory::Ram;
use crate::socket::{Form, Interface, Network, Socket, Style};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::net::IpAddr;
use devices::net::Net;
use echo::{EchoSocket, Echoes};
use family::Family;
pub use host::{Datagrams, Host};
use ip::Stack;
use linux_raw_sys::net::{AF_NETLINK, IPPROTO_IP, IPPROTO_MAX, IPPROTO_TCP, IPPROTO_UDP};
use mail::Mail;
use netlink::Netlink;
use ports::Ports;
use tcp::TcpSocket;
use udp::UdpSocket;

#[cfg(test)]
pub(crate) mod tests;

const IP: u32 = IPPROTO_IP as u32;
const TCP: u32 = IPPROTO_TCP as u32;
const UDP: u32 = IPPROTO_UDP as u32;

/// The interface of the network; the other one is loopback.
const ETHERNET: &str = "eth0";

/// Makes the sockets of one IP stack.
pub struct Inet<N: Host> {
    net: Rc<N>,
    ports: Rc<Ports<N>>,
    mail: Rc<Mail<N>>,
    echoes: Rc<Echoes>,
}

impl<N: Host> Inet<N> {
    /// Makes sockets of `net`, for which what comes is kept in `ram`.
    #[must_use]
    pub fn new(net: Rc<N>, ram: &Rc<Ram>) -> Rc<Self> {
        let (ports, mail) = (Ports::new(Rc::clone(&net), ram), Mail::new(Rc::clone(&net), ram));
        Rc::new(Self { net, ports, mail, echoes: Rc::default() })
    }
}

/// What an app gets as its IP stack.
pub trait Device {
    /// Makes sockets of it, if programs can have some, whose datagrams take of `ram`.
    fn network(self, ram: &Rc<Ram>) -> Option<Rc<dyn Network>>;
}

impl<N: Net + 'static> Device for Stack<N> {
    fn network(self, ram: &Rc<Ram>) -> Option<Rc<dyn Network>> {
        Some(Inet::new(Rc::new(self), ram))
    }
}

/// The interfaces of the machine as they are now.
fn interfaces(net: &impl Host) -> Vec<Interface> {
    let (mac, mtu) = net.link();
    let addresses = net.addresses();
    let ethernet = Interface { index: 2, name: ETHERNET, mac, mtu, addresses };
    alloc::vec![Interface::loopback(), ethernet]
}

impl<N: Host> Network for Inet<N> {
    fn socket(&self, form: Form) -> Result<Rc<dyn Socket>, Errno> {
        if form.family == AF_NETLINK {
            let net = Rc::clone(&self.net);
            return Ok(Netlink::new(form, Rc::new(move || interfaces(&*net)))?);
        }
        let family = Family::new(form.family)?;
        if form.protocol >= IPPROTO_MAX as u32 {
            return Err(Errno::EINVAL);
        }
        match (form.style, form.protocol) {
            (Style::Stream, IP | TCP) => Ok(TcpSocket::new(&self.net, &self.ports, family)),
            (Style::Datagram, IP | UDP) => Ok(UdpSocket::new(&self.net, &self.mail, family)),
            (style @ (Style::Datagram | Style::Raw), protocol)
                if protocol == EchoSocket::<N>::protocol(family) =>
            {
                Ok(EchoSocket::new(&self.net, &self.echoes, family, style))
            }
            (Style::Stream | Style::Datagram, _) => Err(Errno::EPROTONOSUPPORT),
            // A raw socket of other protocols is for who may see all packets.
            (Style::Raw, _) => Err(Errno::EPERM),
            (Style::Sequence, _) => Err(Errno::ESOCKTNOSUPPORT),
        }
    }

    fn servers(&self) -> Vec<IpAddr> {
        self.net.servers()
    }

    fn interfaces(&self) -> Vec<Interface> {
        interfaces(&*self.net)
    }
}
