//! TCP, UDP, ping and name resolution over IPv4 and IPv6, for apps.
//!
//! What an app asks for are traits: [`Tcp`], [`Udp`], [`Ping`] and [`Resolve`], all in one
//! or each alone. [`Stack`] implements them over any network interface
//! ([`Net`](devices::net::Net)); on Linux, `sockets::Sockets` implements them by the system's
//! own sockets, and [`Ip`] is what a manifest names to get the one that fits.
//!
//! Methods have the names and the meaning of `std::net`, addresses are those of
//! [`core::net`], and streams implement `embedded-io-async`. For crates that are written for
//! `edge-nal`, see [`nal`].
//!
//! # Names
//! [`Listener`], [`Stream`] and [`Socket`] are traits, named as the associated types that
//! they bound: `Tcp::Listener`, `Tcp::Stream`, `Udp::Socket`. The names that `std::net` gives
//! to types, [`TcpListener`], [`TcpStream`] and [`UdpSocket`], are types here as well: those
//! of [`Stack`]. A library is generic over the traits, and the types are for who stores a
//! connection of a known stack. Linux's, in `sockets`, have the same names.
//!
//! Where a type is both [`Tcp`] and [`Udp`], a call of `bind` says which of them it means:
//! `Tcp::bind(&ip, addr)` or `Udp::bind(&ip, addr)`.
//!
//! # Standards
//! [`Stack`] speaks IPv4 with ARP and address conflict detection (RFC 791, RFC 826, RFC 5227) and
//! IPv6 with neighbor discovery, several routers, SLAAC, source address selection and MLDv2 (RFC
//! 8200, RFC 4861, RFC 4191, RFC 4862, RFC 6724, RFC 3810); ICMP with path MTUs (RFC 792, RFC
//! 4443, RFC 1191, RFC 8201), UDP (RFC 768) and TCP (RFC 9293) with window scaling, timestamps
//! (RFC 7323), SACK (RFC 2018), RACK-TLP (RFC 8985) and CUBIC (RFC 9438); DHCPv4 (RFC 2131) and
//! DNS (RFC 1035), with servers from routers (RFC 8106). It puts fragments together within a
//! bound of memory (RFC 815, RFC 5722), sends datagrams that are too long for the interface or
//! their way in fragments, passes over IPv6 extension headers as RFC 8200 says, and drops source
//! routes. It uses an address from the beginning, as it asks only then whether another machine
//! has it (RFC 4429), and joins no multicast groups for apps.
//!
//! The DHCP client is its own: of those in other crates, `edge-dhcp` takes padding for an option,
//! `dhcproto` brings a DNS library, and both leave to their users to judge what a server says.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(not(target_os = "xen"))]
extern crate std;

mod announce;
pub mod config;
mod device;
pub mod dhcp;
mod dns;
mod drive;
mod engine;
mod error;
mod handover;
#[cfg(not(target_os = "xen"))]
mod host;
mod late;
mod leaving;
mod limit;
pub mod nal;
mod ndisc;
mod neighbor;
mod one_of;
mod packet;
mod routers;
mod shared;
#[cfg(not(target_os = "xen"))]
pub mod sockets;
mod stack;
mod tcp;
mod traits;
mod udp;
mod wire;
mod with;

pub use config::{Limits, Settings};
pub use device::OpenError;
pub use devices::net::Shared;
pub use drive::Stack;
pub use engine::Stats;
pub use error::Error;
pub use one_of::OneOf;
pub use packet::{fill_checksum, has_checksum};
pub use stack::Received;
pub use tcp::{TcpHalf, TcpListener, TcpStream};
pub use traits::{Addresses, Listener, Ping, Progress, Resolve, Socket, Stream};
pub use traits::{Tcp, TcpOptions, Udp};
pub use udp::UdpSocket;
pub use with::{Service, With};

/// Names the IP of an app in its manifest: [`Stack`] on the network interface of that number.
#[cfg(target_os = "xen")]
pub type Ip = Stack<devices::Net>;

/// Names the IP of an app in its manifest: on Linux, [`Stack`] on the tap that `--net` names,
/// or Linux's own sockets without one.
#[cfg(not(target_os = "xen"))]
pub type Ip = OneOf<Stack<devices::Net>, sockets::Sockets>;

use core::hash::Hasher;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use kernel::time::Instant;
use siphasher::sip::SipHasher24;

/// Returns a number that nobody can guess.
fn random() -> Result<u64, Error> {
    kernel::entropy::next_u64().map_err(|_| Error::NoEntropy)
}

/// Returns a hash of `bytes` that nobody can guess without the keys (SipHash-2-4).
#[inline(never)]
fn keyed(keys: [u64; 2], bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(keys[0], keys[1]);
    hasher.write(bytes);
    hasher.finish()
}

/// Returns the earliest of some times.
#[inline(never)]
fn earliest(times: &[Option<Instant>]) -> Option<Instant> {
    let mut first = None;
    for &time in times {
        if let Some(time) = time
            && first.is_none_or(|first| time < first)
        {
            first = Some(time);
        }
    }
    first
}

/// Returns `port` if it is `free`, or, for 0, a free one of the dynamic range (RFC 6335,
/// section 6), chosen at random (RFC 6056, section 3.3.1).
fn choose(port: u16, free: impl Fn(u16) -> bool) -> Result<u16, Error> {
    if port != 0 {
        return if free(port) { Ok(port) } else { Err(Error::InUse(port)) };
    }
    for _ in 0..256 {
        let port = 0xc000 | random()? as u16;
        if free(port) {
            return Ok(port);
        }
    }
    Err(Error::Exhausted)
}

/// Returns the address to bind to for `port` on all addresses of this machine, of IPv4 and of
/// IPv6: `0.0.0.0:port`. [`Tcp::bind`] and [`Udp::bind`] take `[::]:port` for the same.
#[must_use]
pub const fn any(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

/// Returns the one address that a socket bound to `addr` is for; `None` if it is for all.
fn only(addr: SocketAddr) -> Option<IpAddr> {
    Some(addr.ip().to_canonical()).filter(|it| !it.is_unspecified())
}

#[cfg(test)]
mod tests;
