//! UDP sockets (udp(7)).

use super::error::errno;
use super::family::{Family, or_here};
use super::host::{Datagrams, Host};
use super::mail::{LONGEST, Mail, Mailbox};
use super::options::Options;
use super::ports::is_loopback;
use crate::errno::Errno;
use crate::file::{Caller, next_inode};
use crate::memory::{Sink, Source};
use crate::socket::{Address, Form, Incoming, Outgoing, Socket, Style};
use crate::stop::Stop;
use crate::watch::{Ready, Watch};
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::{Cell, RefCell};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::task::{Context, Poll, Waker};
use linux_raw_sys::net::{
    IP_MULTICAST_IF, IP_PKTINFO, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP, IPV6_RECVPKTINFO,
    MSG_ERRQUEUE, MSG_OOB, MSG_PEEK, MSG_TRUNC, SO_BROADCAST, SO_ERROR, SOL_SOCKET,
};

/// `IPV6_PKTINFO`: the type of the control message, which is not that of the option.
const IPV6_PKTINFO: u32 = 50;

/// The number of the network interface; 1 is that of loopback.
const INTERFACE: u32 = 2;

/// A UDP socket.
pub(super) struct UdpSocket<N: Host> {
    net: Rc<N>,
    mail: Rc<Mail<N>>,
    family: Family,
    inode: u64,
    changed: Arc<Watch>,
    options: Options,
    bound: RefCell<Option<Bound>>,
    deaf: Cell<bool>,
    mute: Cell<bool>,
    error: Cell<Option<Errno>>,
    broadcasts: Cell<bool>,
    /// `IP_PKTINFO`, `IPV6_RECVPKTINFO`: each datagram says where it came to.
    tells: [Cell<bool>; 2],
}

/// What it has once it has an address.
struct Bound {
    local: SocketAddr,
    mailbox: Rc<Mailbox>,
}

impl<N: Host> UdpSocket<N> {
    pub(super) fn new(net: &Rc<N>, mail: &Rc<Mail<N>>, family: Family) -> Rc<Self> {
        Rc::new(Self {
            net: Rc::clone(net),
            mail: Rc::clone(mail),
            family,
            inode: next_inode(),
            changed: Watch::new(),
            options: Options::default(),
            bound: RefCell::new(None),
            deaf: Cell::new(false),
            mute: Cell::new(false),
            error: Cell::new(None),
            broadcasts: Cell::new(false),
            tells: Default::default(),
        })
    }

    fn given(&self, address: &Address) -> Result<SocketAddr, Errno> {
        self.family.given(address, self.options.v6_only.get())
    }

    fn is_here(&self, address: IpAddr) -> bool {
        is_loopback(address) || self.net.addresses().iter().any(|(it, _)| *it == address)
    }

    fn bind_to(&self, local: SocketAddr) -> Result<(), Errno> {
        let versions = self.family.versions(local, self.options.v6_only.get());
        let how = (self.options.shares(), !is_loopback(local.ip()));
        let (port, mailbox) = self.mail.bind(local, versions, how, &self.changed)?;
        self.bound.replace(Some(Bound { local: SocketAddr::new(local.ip(), port), mailbox }));
        Ok(())
    }

    /// Has it an address, a chosen one if it has none yet.
    fn mailbox(&self) -> Result<(SocketAddr, Rc<Mailbox>), Errno> {
        if self.bound.borrow().is_none() {
            self.bind_to(SocketAddr::new(self.family.unspecified(), 0))?;
        }
        let bound = self.bound.borrow();
        let bound = bound.as_ref().ok_or(Errno::EINVAL)?;
        Ok((bound.local, Rc::clone(&bound.mailbox)))
    }

    /// Whether a datagram to `address` goes to all of a network.
    fn is_broadcast(&self, address: IpAddr) -> bool {
        let IpAddr::V4(address) = address else { return false };
        let all = |(own, bits): &(IpAddr, u8)| match own {
            IpAddr::V4(own) if (1..31).contains(bits) => {
                own.to_bits() | u32::MAX >> bits == address.to_bits()
            }
            _ => false,
        };
        address.is_broadcast() || self.net.addresses().iter().any(all)
    }

    /// The address of an interface that is given by `struct in_addr`, `ip_mreq` or `ip_mreqn`.
    fn multicast_interface(&self, value: &[u8]) -> Result<Ipv4Addr, Errno> {
        let word = |at| value.get(at..).and_then(<[u8]>::first_chunk::<4>);
        let address = word(if value.len() < 8 { 0 } else { 4 }).ok_or(Errno::EINVAL)?;
        let address = Ipv4Addr::from_octets(*address);
        match word(8).map_or(0, |it| u32::from_ne_bytes(*it)) {
            0 if address.is_unspecified() || self.is_here(address.into()) => Ok(address),
            0 => Err(Errno::EADDRNOTAVAIL),
            1 | INTERFACE => Ok(address),
            _ => Err(Errno::EADDRNOTAVAIL),
        }
    }

    /// The error of what was sent before, which the next call is told.
    fn fail(&self) -> Result<(), Errno> {
        let bound = self.bound.borrow();
        let told = bound.as_ref().and_then(|it| it.mailbox.error.take());
        self.error.take().or(told).map_or(Ok(()), Err)
    }

    /// What a control message says about where a datagram came to.
    fn packet_info(&self, from: SocketAddr, local: SocketAddr) -> Vec<(u32, u32, Vec<u8>)> {
        let alike = |(it, _): &&(IpAddr, u8)| it.is_ipv4() == from.is_ipv4();
        let own = self.net.addresses().iter().find(alike).map_or(local.ip(), |(it, _)| *it);
        let (to, interface) =
            if self.is_here(from.ip()) { (from.ip(), 1) } else { (own, INTERFACE) };
        let mut told = Vec::new();
        match to {
            IpAddr::V4(to) if self.tells[0].get() => {
                let parts = [interface.to_ne_bytes(), to.octets(), to.octets()];
                told.push((IPPROTO_IP as u32, IP_PKTINFO, parts.concat()));
            }
            IpAddr::V6(to) if self.tells[1].get() => {
                let mut bytes = to.octets().to_vec();
                bytes.extend(interface.to_ne_bytes());
                told.push((IPPROTO_IPV6 as u32, IPV6_PKTINFO, bytes));
            }
            _ => {}
        }
        told
    }
}

impl<N: Host> Drop for UdpSocket<N> {
    fn drop(&mut self) {
        if let Some(bound) = self.bound.take() {
            let port = bound.local.port();
            drop(bound);
            self.mail.close(port);
        }
    }
}

impl<N: Host> Socket for UdpSocket<N> {
    fn form(&self) -> Form {
        Form { family: self.family.number(), style: Style::Datagram, protocol: IPPROTO_UDP as u32 }
    }

    fn bind(&self, _: &dyn Caller, address: &Address) -> Result<(), Stop> {
        if self.bound.borrow().is_some() {
            return Err(Errno::EINVAL.into());
        }
        let local = self.given(address)?;
        // A broadcast or multicast address receives what is sent to all (ip(7)).
        let group = local.ip().is_multicast() || self.is_broadcast(local.ip());
        if group {
            return Ok(self.bind_to(SocketAddr::new(self.family.unspecified(), local.port()))?);
        }
        if !local.ip().is_unspecified() && !self.is_here(local.ip()) {
            return Err(Errno::EADDRNOTAVAIL.into());
        }
        Ok(self.bind_to(local)?)
    }

    fn connect(&self, _: &dyn Caller, address: &Address) -> Result<(), Stop> {
        if *address == Address::None {
            if let Some(bound) = &*self.bound.borrow() {
                bound.mailbox.peer.set(None);
                self.mail.set_peer(bound.local.port(), None);
            }
            return Ok(());
        }
        let to = or_here(self.given(address)?);
        if self.is_broadcast(to.ip()) && !self.broadcasts.get() {
            return Err(Errno::EACCES.into());
        }
        let (local, mailbox) = self.mailbox()?;
        mailbox.peer.set(Some(to));
        if !self.is_here(to.ip()) {
            self.mail.set_peer(local.port(), Some(to));
        }
        Ok(())
    }

    fn shutdown(&self, read: bool, write: bool) -> Result<(), Errno> {
        // What is not connected has these ends as well, as on Linux, besides the error: that is how
        // a thread that receives is told to end.
        self.deaf.set(self.deaf.get() || read);
        self.mute.set(self.mute.get() || write);
        self.changed.raise();
        let bound = self.bound.borrow();
        let connected = bound.as_ref().is_some_and(|it| it.mailbox.peer.get().is_some());
        if connected { Ok(()) } else { Err(Errno::ENOTCONN) }
    }

    fn local(&self) -> Address {
        let bound = self.bound.borrow();
        let Some(Bound { local, mailbox }) = bound.as_ref() else {
            return self.family.told(SocketAddr::new(self.family.unspecified(), 0));
        };
        // Who is connected is told the address that leads to the peer.
        let ip = match mailbox.peer.get() {
            Some(peer) if local.ip().is_unspecified() && is_loopback(peer.ip()) => peer.ip(),
            Some(peer) if local.ip().is_unspecified() => {
                let own = self.net.addresses();
                let alike = own.iter().find(|(it, _)| it.is_ipv4() == peer.is_ipv4());
                alike.map_or(local.ip(), |(it, _)| *it)
            }
            _ => local.ip(),
        };
        self.family.told(SocketAddr::new(ip, local.port()))
    }

    fn peer(&self) -> Result<Address, Errno> {
        let bound = self.bound.borrow();
        let peer = bound.as_ref().and_then(|it| it.mailbox.peer.get()).ok_or(Errno::ENOTCONN)?;
        Ok(self.family.told(peer))
    }

    fn send(&self, message: &mut Outgoing<'_>, from: &mut Source<'_>) -> Result<usize, Stop> {
        if message.flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        self.fail()?;
        if self.mute.get() {
            return Err(Errno::EPIPE.into());
        }
        message.rights.clear();
        let length = from.left();
        if length > LONGEST {
            return Err(Errno::EMSGSIZE.into());
        }
        let given = message.to.map(|it| self.given(it)).transpose()?.map(or_here);
        let (local, mailbox) = self.mailbox()?;
        let to = given.or(mailbox.peer.get()).ok_or(Errno::EDESTADDRREQ)?;
        if to.port() == 0 {
            return Err(Errno::EINVAL.into());
        }
        if self.is_broadcast(to.ip()) && !self.broadcasts.get() {
            return Err(Errno::EACCES.into());
        }
        let mut bytes = kernel::memory::zeroed(length).ok_or(Errno::ENOBUFS)?;
        // As a whole, or not at all.
        if from.peek(&mut bytes)? < length {
            return Err(Errno::EFAULT.into());
        }
        if self.is_here(to.ip()) {
            let source = if local.ip().is_unspecified() { to.ip() } else { local.ip() };
            let source = SocketAddr::new(source, local.port());
            let heard = self.mail.deliver(&bytes, source, to);
            if !heard && mailbox.peer.get() == Some(to) {
                self.error.set(Some(Errno::ECONNREFUSED));
                self.changed.raise();
            }
            from.skip(length);
            return Ok(length);
        }
        let socket = self.mail.socket(local.port()).ok_or(Errno::ENETUNREACH)?;
        loop {
            match socket.try_send(&bytes, to) {
                Ok(Some(())) => {
                    from.skip(length);
                    return Ok(length);
                }
                Err(error) => return Err(errno(error).into()),
                Ok(None) => {
                    let waker = Waker::from(Arc::clone(&self.changed));
                    match socket.poll_writable(&mut Context::from_waker(&waker), length) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(error)) => return Err(errno(error).into()),
                        Poll::Pending => return Err(Stop::Wait),
                    }
                }
            }
        }
    }

    fn receive(&self, flags: u32, to: &mut Sink<'_>) -> Result<Incoming, Stop> {
        // No error is kept with what caused it.
        if flags & MSG_ERRQUEUE != 0 {
            return Err(Errno::EAGAIN.into());
        }
        self.fail()?;
        if flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let (local, mailbox) = self.mailbox()?;
        let room = to.left();
        let opened = mailbox.open(true, |letter| {
            let length = letter.bytes.len().min(room);
            let mut put = 0;
            while put < length {
                put += to.put(&letter.bytes[put..length])?;
            }
            Ok::<_, Stop>((letter.bytes.len(), letter.from))
        });
        let (length, from) = match opened {
            Some((result, _)) => result?,
            None if self.deaf.get() => return Ok(Incoming::default()),
            None => return Err(Stop::Wait),
        };
        if flags & MSG_PEEK == 0 {
            mailbox.open(false, |_| ());
        }
        Ok(Incoming {
            length: if flags & MSG_TRUNC != 0 { length } else { length.min(room) },
            from: Some(self.family.told(from)),
            flags: if length > room { MSG_TRUNC } else { 0 },
            control: self.packet_info(from, local),
            ..Incoming::default()
        })
    }

    fn ready(&self) -> Ready {
        let mut ready = Ready::OUT | Ready::WRNORM;
        let bound = self.bound.borrow();
        let came = bound.as_ref().is_some_and(|it| it.mailbox.next().is_some());
        ready.set(Ready::IN | Ready::RDNORM, came || self.deaf.get());
        let told = bound.as_ref().is_some_and(|it| it.mailbox.error.get().is_some());
        ready.set(Ready::ERR, told || self.error.get().is_some());
        ready.set(Ready::RDHUP, self.deaf.get());
        ready.set(Ready::HUP, self.deaf.get() && self.mute.get());
        ready
    }

    fn watch(&self) -> &Arc<Watch> {
        &self.changed
    }

    fn inode(&self) -> u64 {
        self.inode
    }

    fn queued(&self) -> [usize; 2] {
        let bound = self.bound.borrow();
        [bound.as_ref().and_then(|it| it.mailbox.next()).unwrap_or(0), 0]
    }

    fn any(&self) -> &dyn Any {
        self
    }

    fn option(&self, level: u32, name: u32) -> Result<Vec<u8>, Errno> {
        self.form().judge_level(level)?;
        let number = match (level, name) {
            (SOL_SOCKET, SO_ERROR) => self.fail().err().map_or(0, |it| u32::from(it.number())),
            (SOL_SOCKET, SO_BROADCAST) => self.broadcasts.get().into(),
            (level, IP_PKTINFO) if level == IPPROTO_IP as u32 => self.tells[0].get().into(),
            (level, IPV6_RECVPKTINFO) if level == IPPROTO_IPV6 as u32 => self.tells[1].get().into(),
            _ => return self.options.get(self.form(), level, name),
        };
        Ok(number.to_ne_bytes().to_vec())
    }

    fn set_option(&self, level: u32, name: u32, value: &[u8]) -> Result<(), Errno> {
        if !self.form().has_level(level) {
            return Err(Errno::ENOPROTOOPT);
        }
        let on = || value.first_chunk().map(|it| u32::from_ne_bytes(*it) != 0).ok_or(Errno::EINVAL);
        match (level, name) {
            (SOL_SOCKET, SO_BROADCAST) => self.broadcasts.set(on()?),
            (level, IP_PKTINFO) if level == IPPROTO_IP as u32 => self.tells[0].set(on()?),
            (level, IPV6_RECVPKTINFO) if level == IPPROTO_IPV6 as u32 => self.tells[1].set(on()?),
            (level, IP_MULTICAST_IF) if level == IPPROTO_IP as u32 => {
                let address = self.multicast_interface(value)?;
                self.options.set_flag(level, name, u32::from_ne_bytes(address.octets()))?;
            }
            _ => self.options.set(level, name, value)?,
        }
        Ok(())
    }
}
