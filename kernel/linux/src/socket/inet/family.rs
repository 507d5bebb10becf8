//! The version of IP that a socket speaks, and the form that its addresses have.

use crate::errno::Errno;
use crate::socket::{Address, mapped};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use linux_raw_sys::net::{AF_INET, AF_INET6};

/// `AF_INET`, or `AF_INET6`, which speaks IPv4 by mapped addresses as well (RFC 3493, section
/// 3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// # Errors
    /// `EAFNOSUPPORT` for any other.
    pub(super) const fn new(number: u32) -> Result<Self, Errno> {
        match number {
            AF_INET => Ok(Self::V4),
            AF_INET6 => Ok(Self::V6),
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    pub(super) const fn number(self) -> u32 {
        match self {
            Self::V4 => AF_INET,
            Self::V6 => AF_INET6,
        }
    }

    /// All addresses.
    pub(super) const fn unspecified(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// An address as a program is told it.
    pub(super) fn told(self, address: SocketAddr) -> Address {
        Address::Inet(if self == Self::V6 { mapped(address) } else { address })
    }

    /// An address that a program gave, as the stack has it. `v6_only`: `IPV6_V6ONLY` is set.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` for one of another family, `ENETUNREACH` for IPv4 where that is not spoken.
    pub(super) fn given(self, address: &Address, v6_only: bool) -> Result<SocketAddr, Errno> {
        let address = address.inet()?;
        match (self, address) {
            (Self::V4, SocketAddr::V4(_)) => Ok(address),
            (Self::V6, SocketAddr::V6(it)) => match it.ip().to_ipv4_mapped() {
                Some(_) if v6_only => Err(Errno::ENETUNREACH),
                Some(ip) => Ok(SocketAddr::new(ip.into(), it.port())),
                None => Ok(address),
            },
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    /// Whether a socket that is bound to `local` takes IPv4, and IPv6.
    pub(super) fn versions(self, local: SocketAddr, v6_only: bool) -> [bool; 2] {
        let both = self == Self::V6 && !v6_only && local.ip().is_unspecified();
        [local.is_ipv4() || both, local.is_ipv6()]
    }
}

/// Returns `to`, or this machine where it stands for none (connect(2) of Linux).
pub(super) const fn or_here(to: SocketAddr) -> SocketAddr {
    if !to.ip().is_unspecified() {
        return to;
    }
    let here = match to {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(here, to.port())
}
