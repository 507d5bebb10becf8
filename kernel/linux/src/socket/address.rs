//! The addresses of sockets, and their forms in a program's memory (`struct sockaddr`).

use crate::errno::Errno;
use crate::memory::Memory;
use crate::stop::Stop;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use linux_raw_sys::net::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, AF_UNSPEC};

/// Bytes of `struct sockaddr_storage`: no address is longer.
pub const LONGEST: usize = 128;

/// Bytes of a path in `struct sockaddr_un`.
const PATH: usize = 108;

/// Where a socket is, or whom it speaks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// None (`AF_UNSPEC`): connect(2) takes it to forget the peer.
    None,
    /// Of IPv4 or IPv6 (ip(7), ipv6(7)).
    Inet(SocketAddr),
    /// Of this machine (unix(7)).
    Unix(Name),
    /// Of the kernel's messages about the network: port and groups (netlink(7)).
    Netlink(u32, u32),
}

/// The name of a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// It has none.
    Unnamed,
    /// A file of the tree, which names it.
    Path(Vec<u8>),
    /// A name of its own, which is no file's. It may hold NUL.
    Abstract(Vec<u8>),
}

impl Address {
    /// Reads `length` bytes at `at`.
    ///
    /// # Errors
    /// `EINVAL` for a length that does not fit the family, `EAFNOSUPPORT`, `EFAULT`.
    pub fn read(memory: &Memory, at: u64, length: u64) -> Result<Self, Stop> {
        let length = usize::try_from(length as u32 as i32).ok().filter(|it| *it <= LONGEST);
        let length = length.ok_or(Errno::EINVAL)?;
        let mut bytes = [0; LONGEST];
        memory.read(at as usize, &mut bytes[..length])?;
        Ok(Self::parse(&bytes[..length])?)
    }

    fn parse(bytes: &[u8]) -> Result<Self, Errno> {
        let (family, rest) = bytes.split_first_chunk().ok_or(Errno::EINVAL)?;
        let port = |rest: &[u8]| rest.first_chunk().map(|it| u16::from_be_bytes(*it));
        let word = |at: usize| {
            let bytes = rest.get(at..at + 4)?.first_chunk()?;
            Some(u32::from_ne_bytes(*bytes))
        };
        let address = match u32::from(u16::from_ne_bytes(*family)) {
            AF_UNSPEC => Some(Self::None),
            // The struct has 16 bytes, of which the last 8 are unused.
            AF_INET if bytes.len() >= 16 => port(rest).and_then(|port| {
                let address: [u8; 4] = *rest.get(2..6)?.first_chunk()?;
                Some(Self::Inet(SocketAddr::new(Ipv4Addr::from(address).into(), port)))
            }),
            // Without the scope, as old programs have it.
            AF_INET6 if bytes.len() >= 24 => port(rest).and_then(|port| {
                let address: [u8; 16] = *rest.get(6..22)?.first_chunk()?;
                let (flow, scope) = (u32::from_be(word(2)?), word(22).unwrap_or_default());
                let address = SocketAddrV6::new(Ipv6Addr::from(address), port, flow, scope);
                Some(Self::Inet(address.into()))
            }),
            AF_UNIX if rest.len() <= PATH => Some(Self::Unix(match rest {
                [] => Name::Unnamed,
                [0, name @ ..] => Name::Abstract(name.to_vec()),
                path => {
                    let end = path.iter().position(|&it| it == 0).unwrap_or(path.len());
                    Name::Path(path[..end].to_vec())
                }
            })),
            AF_NETLINK => word(2).zip(word(6)).map(|(port, groups)| Self::Netlink(port, groups)),
            AF_INET | AF_INET6 | AF_UNIX => None,
            _ => return Err(Errno::EAFNOSUPPORT),
        };
        address.ok_or(Errno::EINVAL)
    }

    /// Returns its bytes.
    #[must_use]
    pub fn bytes(&self) -> heapless::Vec<u8, LONGEST> {
        let mut bytes = heapless::Vec::new();
        // The longest has 110 bytes.
        let mut add = |part: &[u8]| drop(bytes.extend_from_slice(part));
        let family = match self {
            Self::None => AF_UNSPEC,
            Self::Inet(it) if it.is_ipv4() => AF_INET,
            Self::Inet(_) => AF_INET6,
            Self::Unix(_) => AF_UNIX,
            Self::Netlink(..) => AF_NETLINK,
        };
        add(&(family as u16).to_ne_bytes());
        match self {
            Self::None | Self::Unix(Name::Unnamed) => {}
            Self::Inet(SocketAddr::V4(it)) => {
                add(&it.port().to_be_bytes());
                add(&it.ip().octets());
                add(&[0; 8]);
            }
            Self::Inet(SocketAddr::V6(it)) => {
                add(&it.port().to_be_bytes());
                add(&it.flowinfo().to_be_bytes());
                add(&it.ip().octets());
                add(&it.scope_id().to_ne_bytes());
            }
            Self::Unix(Name::Path(path)) => {
                add(&path[..path.len().min(PATH)]);
                if path.len() < PATH {
                    add(&[0]);
                }
            }
            Self::Unix(Name::Abstract(name)) => {
                add(&[0]);
                add(&name[..name.len().min(PATH - 1)]);
            }
            Self::Netlink(port, groups) => {
                add(&[0; 2]);
                add(&port.to_ne_bytes());
                add(&groups.to_ne_bytes());
            }
        }
        bytes
    }

    /// Writes it to `at`, cut to the length that stands at `length`, where its whole length
    /// stands afterwards (accept(2)). Address 0: it is not asked for.
    ///
    /// # Errors
    /// `EINVAL` for a negative length, `EFAULT`.
    pub fn write(&self, memory: &Memory, at: u64, length: u64) -> Result<(), Stop> {
        if at == 0 {
            return Ok(());
        }
        let room = usize::try_from(memory.get::<i32>(length)?).map_err(|_| Errno::EINVAL)?;
        let bytes = self.bytes();
        memory.write(at as usize, &bytes[..bytes.len().min(room)])?;
        memory.put(length, &(bytes.len() as u32))
    }

    /// Returns the address of the internet that it is.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` if it is of another family.
    pub fn inet(&self) -> Result<SocketAddr, Errno> {
        match self {
            Self::Inet(it) => Ok(*it),
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }
}

/// Returns `address` as a socket of IPv6 that speaks IPv4 as well sees it: mapped (RFC 4291,
/// section 2.5.5.2).
#[must_use]
pub fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(it) => SocketAddr::new(it.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(address: &Address) -> bool {
        Address::parse(&address.bytes()).as_ref() == Ok(address)
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        assert!(same(&Address::None));
        assert!(same(&Address::Inet("10.0.0.2:80".parse().unwrap())));
        assert!(same(&Address::Inet("[fe80::1%3]:443".parse().unwrap())));
        assert!(same(&Address::Unix(Name::Unnamed)));
        assert!(same(&Address::Unix(Name::Path(b"/run/x".to_vec()))));
        assert!(same(&Address::Unix(Name::Abstract(b"a\0b".to_vec()))));
        assert!(same(&Address::Netlink(7, 1)));
    }

    #[test]
    fn bytes_stand_where_headers_have_them() {
        let bytes = Address::Inet("1.2.3.4:258".parse().unwrap()).bytes();
        assert_eq!(bytes, [2, 0, 1, 2, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
        let bytes = Address::Unix(Name::Path(b"/a".to_vec())).bytes();
        assert_eq!(bytes, [1, 0, b'/', b'a', 0]);
        assert_eq!(Address::Inet("[::1]:1".parse().unwrap()).bytes().len(), 28);
    }

    #[test]
    fn bad_lengths_and_families_are_refused() {
        for (bytes, error) in [
            (&[][..], Errno::EINVAL),
            (&[2], Errno::EINVAL),
            (&[2, 0, 0, 80, 1, 2, 3, 4], Errno::EINVAL),
            (&[10, 0, 0, 80, 0, 0, 0, 0, 1, 2, 3, 4], Errno::EINVAL),
            (&[99, 0, 0, 0], Errno::EAFNOSUPPORT),
            (&[16, 0, 0, 0], Errno::EINVAL),
        ] {
            assert_eq!(Address::parse(bytes), Err(error), "{bytes:?}");
        }
        let mut long = [1; 2 + PATH];
        long[1] = 0;
        assert!(
            matches!(Address::parse(&long), Ok(Address::Unix(Name::Path(it))) if it.len() == PATH)
        );
        // The longest path has no room for its NUL, and is whole without.
        assert!(same(&Address::Unix(Name::Path(alloc::vec![b'a'; PATH]))));
    }
}
