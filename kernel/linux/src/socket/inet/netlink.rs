//! The kernel's messages about the network (netlink(7), rtnetlink(7)), as far as programs ask
//! which interfaces and addresses there are (getifaddrs(3), if_nametoindex(3)).

use crate::errno::Errno;
use crate::file::{Caller, next_inode};
use crate::memory::{Sink, Source};
use crate::socket::{Address, Form, Incoming, Interface, Outgoing, Socket, Style};
use crate::stop::Stop;
use crate::watch::{Ready, Watch};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::RefCell;
use core::net::IpAddr;
use linux_raw_sys::net::{AF_INET, AF_INET6, AF_NETLINK, MSG_PEEK, MSG_TRUNC};

/// The only protocol that is spoken: routes, links and addresses.
const NETLINK_ROUTE: u32 = 0;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;

const NLM_F_MULTI: u16 = 2;
const NLM_F_DUMP: u16 = 0x300;

/// Bytes of a request that are read at most, and of answers that wait.
const REQUEST: usize = 4096;
const WAITING: usize = 65_536;

/// A socket that asks about the network.
pub(super) struct Netlink {
    inode: u64,
    changed: Arc<Watch>,
    interfaces: Rc<dyn Fn() -> Vec<Interface>>,
    port: core::cell::Cell<u32>,
    answers: RefCell<VecDeque<Vec<u8>>>,
}

impl Netlink {
    pub(super) fn new(
        form: Form,
        interfaces: Rc<dyn Fn() -> Vec<Interface>>,
    ) -> Result<Rc<Self>, Errno> {
        if form.protocol != NETLINK_ROUTE {
            return Err(Errno::EPROTONOSUPPORT);
        }
        if !matches!(form.style, Style::Raw | Style::Datagram) {
            return Err(Errno::ESOCKTNOSUPPORT);
        }
        let (inode, changed) = (next_inode(), Watch::new());
        let (port, answers) = (core::cell::Cell::new(0), RefCell::default());
        Ok(Rc::new(Self { inode, changed, interfaces, port, answers }))
    }

    fn answer(&self, request: &[u8]) -> Result<(), Errno> {
        let word =
            |at: usize| request.get(at..at + 4)?.first_chunk().map(|it| u32::from_ne_bytes(*it));
        let half =
            |at: usize| request.get(at..at + 2)?.first_chunk().map(|it| u16::from_ne_bytes(*it));
        let header = word(0).zip(half(4)).zip(half(6)).zip(word(8));
        let Some((((length, kind), flags), sequence)) = header else { return Err(Errno::EINVAL) };
        if (length as usize) < 16 || length as usize > request.len() {
            return Err(Errno::EINVAL);
        }
        let mut answers = Answers { bytes: Vec::new(), sequence, port: self.port.get() };
        let all = flags & NLM_F_DUMP != 0;
        let family = request.get(16).copied().unwrap_or_default();
        match kind {
            RTM_GETLINK => {
                // The number of the interface that is asked for stands in `struct ifinfomsg`.
                let asked = word(20).filter(|_| !all).unwrap_or(0);
                let found =
                    (self.interfaces)().into_iter().filter(|it| asked == 0 || it.index == asked);
                let before = answers.bytes.len();
                found.for_each(|it| answers.link(&it, all));
                if !all && answers.bytes.len() == before {
                    answers.error(Errno::ENODEV, request);
                }
            }
            RTM_GETADDR => {
                for interface in (self.interfaces)() {
                    for (address, bits) in &interface.addresses {
                        let kind = if address.is_ipv4() { AF_INET } else { AF_INET6 };
                        if family == 0 || u32::from(family) == kind {
                            answers.address(&interface, *address, *bits);
                        }
                    }
                }
            }
            // Nothing of routes is told: a list without any.
            RTM_GETROUTE if all => {}
            _ => answers.error(Errno::EOPNOTSUPP, request),
        }
        if all {
            answers.message(NLMSG_DONE, NLM_F_MULTI, &0_u32.to_ne_bytes());
        }
        let mut waiting = self.answers.borrow_mut();
        if waiting.iter().map(Vec::len).sum::<usize>() + answers.bytes.len() > WAITING {
            return Err(Errno::ENOBUFS);
        }
        waiting.push_back(answers.bytes);
        drop(waiting);
        self.changed.raise();
        Ok(())
    }
}

/// Messages that answer one request.
struct Answers {
    bytes: Vec<u8>,
    sequence: u32,
    port: u32,
}

impl Answers {
    fn message(&mut self, kind: u16, flags: u16, body: &[u8]) {
        self.bytes.extend((16 + body.len() as u32).to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend(self.port.to_ne_bytes());
        self.bytes.extend(body);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn error(&mut self, errno: Errno, request: &[u8]) {
        let mut body = (-i32::from(errno.number().cast_signed())).to_ne_bytes().to_vec();
        body.extend(request.iter().take(16));
        self.message(NLMSG_ERROR, 0, &body);
    }

    /// `struct ifinfomsg` and its attributes.
    fn link(&mut self, interface: &Interface, all: bool) {
        let mut body = alloc::vec![0, 0];
        body.extend(interface.hardware().to_ne_bytes());
        body.extend(interface.index.to_ne_bytes());
        body.extend(interface.flags().to_ne_bytes());
        body.extend(0_u32.to_ne_bytes());
        let broadcast = if interface.is_loopback() { [0; 6] } else { [0xff; 6] };
        attribute(&mut body, 3, &[interface.name.as_bytes(), &[0]].concat());
        attribute(&mut body, 1, &interface.mac);
        attribute(&mut body, 2, &broadcast);
        attribute(&mut body, 4, &interface.mtu.to_ne_bytes());
        self.message(RTM_NEWLINK, if all { NLM_F_MULTI } else { 0 }, &body);
    }

    /// `struct ifaddrmsg` and its attributes.
    fn address(&mut self, interface: &Interface, address: IpAddr, bits: u8) {
        let octets = match address {
            IpAddr::V4(it) => it.octets().to_vec(),
            IpAddr::V6(it) => it.octets().to_vec(),
        };
        let (family, link_local) = match address {
            IpAddr::V4(_) => (AF_INET, false),
            IpAddr::V6(it) => (AF_INET6, it.is_unicast_link_local()),
        };
        // RT_SCOPE_HOST, RT_SCOPE_LINK, RT_SCOPE_UNIVERSE; IFA_F_PERMANENT.
        let scope = if interface.is_loopback() {
            254
        } else if link_local {
            253
        } else {
            0
        };
        let mut body = alloc::vec![family as u8, bits, 0x80, scope];
        body.extend(interface.index.to_ne_bytes());
        attribute(&mut body, 1, &octets);
        if let IpAddr::V4(own) = address {
            attribute(&mut body, 2, &octets);
            if let Some(all) = interface.broadcast(own, bits) {
                attribute(&mut body, 4, &all.octets());
            }
            attribute(&mut body, 3, &[interface.name.as_bytes(), &[0]].concat());
        }
        self.message(RTM_NEWADDR, NLM_F_MULTI, &body);
    }
}

/// `struct rtattr`.
fn attribute(body: &mut Vec<u8>, kind: u16, data: &[u8]) {
    body.extend((4 + data.len() as u16).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(data);
    body.resize(body.len().next_multiple_of(4), 0);
}

impl Socket for Netlink {
    fn form(&self) -> Form {
        Form { family: AF_NETLINK, style: Style::Raw, protocol: NETLINK_ROUTE }
    }

    fn bind(&self, caller: &dyn Caller, address: &Address) -> Result<(), Stop> {
        let Address::Netlink(port, groups) = *address else { return Err(Errno::EINVAL.into()) };
        // Nothing is told of what changes.
        if groups != 0 {
            return Err(Errno::EPERM.into());
        }
        self.port.set(if port == 0 { caller.process()[0] as u32 } else { port });
        Ok(())
    }

    fn connect(&self, _: &dyn Caller, address: &Address) -> Result<(), Stop> {
        match address {
            Address::Netlink(0, 0) | Address::None => Ok(()),
            Address::Netlink(..) => Err(Errno::ECONNREFUSED.into()),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn shutdown(&self, _: bool, _: bool) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn local(&self) -> Address {
        Address::Netlink(self.port.get(), 0)
    }

    fn peer(&self) -> Result<Address, Errno> {
        Ok(Address::Netlink(0, 0))
    }

    fn send(&self, _: &mut Outgoing<'_>, from: &mut Source<'_>) -> Result<usize, Stop> {
        let length = from.left();
        if length > REQUEST {
            return Err(Errno::EMSGSIZE.into());
        }
        // Its answers wait for as long as nobody reads them.
        if !from.has_room() {
            return Err(Errno::ENOBUFS.into());
        }
        let mut request = kernel::memory::zeroed(length).ok_or(Errno::ENOBUFS)?;
        let count = from.take(&mut request)?;
        self.answer(&request[..count])?;
        Ok(length)
    }

    fn receive(&self, flags: u32, to: &mut Sink<'_>) -> Result<Incoming, Stop> {
        let mut answers = self.answers.borrow_mut();
        let first = answers.front().ok_or(Stop::Wait)?;
        let (room, length) = (to.left(), first.len());
        let mut put = 0;
        while put < length.min(room) {
            put += to.put(&first[put..length.min(room)])?;
        }
        if flags & MSG_PEEK == 0 {
            answers.pop_front();
        }
        Ok(Incoming {
            length: if flags & MSG_TRUNC != 0 { length } else { length.min(room) },
            from: Some(Address::Netlink(0, 0)),
            flags: if length > room { MSG_TRUNC } else { 0 },
            ..Incoming::default()
        })
    }

    fn ready(&self) -> Ready {
        let mut ready = Ready::OUT | Ready::WRNORM;
        ready.set(Ready::IN | Ready::RDNORM, !self.answers.borrow().is_empty());
        ready
    }

    fn watch(&self) -> &Arc<Watch> {
        &self.changed
    }

    fn inode(&self) -> u64 {
        self.inode
    }

    fn queued(&self) -> [usize; 2] {
        [self.answers.borrow().front().map_or(0, Vec::len), 0]
    }

    fn any(&self) -> &dyn Any {
        self
    }

    fn set_option(&self, _: u32, _: u32, _: &[u8]) -> Result<(), Errno> {
        // Sizes of buffers, and that requests are checked strictly.
        Ok(())
    }
}
