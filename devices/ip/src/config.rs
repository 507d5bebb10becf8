//! Configures a stack: addresses from the command line, and limits by memory.

pub use super::dhcp::SERVERS;
use super::dhcp::{is_edge, near};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use devices::net::Offloads;
use kernel::args::Argument;
use kernel::args::{self, Args};

/// Addresses that an interface may have.
pub(super) const ADDRESSES: usize = 6;

/// Routers of IPv6 that are known at a time.
pub(super) const ROUTERS: usize = 4;

/// Chooses how the stack gets an IPv4 address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ipv4 {
    /// Not at all: it speaks IPv6 alone.
    Off,
    /// From a DHCP server (RFC 2131), as are routes and name servers.
    #[default]
    Dhcp,
    /// This one, with the length of its network's prefix in bits, from 1 to 32.
    Static(Ipv4Addr, u8),
}

/// Bounds the memory and the connections of a stack.
///
/// The buffers of all TCP connections are made of one pool of memory. Each grows with what its
/// connection uses, up to a quarter of what the pool has left and to `buffer`: one connection
/// gets the window of a fast and long path also beside thousands that say nothing, which hold
/// next to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that a buffer of a TCP connection may have, one each way.
    pub buffer: usize,
    /// The same when there is no memory left for more.
    pub least_buffer: usize,
    /// Bytes of the buffers of all TCP connections together.
    pub memory: usize,
    /// TCP connections at once; further ones are not accepted.
    pub connections: usize,
    /// TCP connections of one listener that are established and not yet accepted. What a further
    /// peer confirms its connection with, and all that it says, is dropped until there is room, so
    /// a burst of more stalls for as long as its retransmission timers take, 200 ms and more. By
    /// default a quarter of `connections`, which leaves the others to those that were accepted.
    pub backlog: usize,
    /// TCP connections that peers began and that are not established (SYN-RECEIVED), of about
    /// 150 bytes each; beyond, peers get SYN cookies (RFC 4987, section 3.6).
    pub half_open: usize,
    /// TCP connections in TIME-WAIT that nobody holds, of 64 bytes each; beyond, the oldest is
    /// forgotten.
    pub time_wait: usize,
    /// Bytes of datagrams that wait in a UDP socket, each way. Fragments of datagrams that are
    /// not whole may occupy twice as many in a stack, and 16 KiB at least.
    pub datagrams: usize,
}

/// The least buffer: two segments and a piece of a third.
const LEAST: usize = 4 << 10;

/// The largest buffer: 200 Mbit/s at 160 ms.
const MOST: usize = 4 << 20;

/// What a connection costs when it says nothing, and a little more.
const CONNECTION: usize = 4 << 10;

/// Where the backlog ends: net.core.somaxconn of Linux.
const BACKLOG: usize = 4096;

/// What a machine of unknown memory, such as one for tests, is taken for.
const PLENTY: usize = 256 << 20;

impl Limits {
    /// Returns what suits a machine with `memory` bytes, of which buffers take half at most;
    /// 0 stands for an unknown size, and is taken for 256 MiB.
    #[must_use]
    pub const fn for_memory(memory: usize) -> Self {
        let memory = if memory == 0 { PLENTY } else { memory };
        let small = memory < 32 << 20;
        let buffer = if memory / 16 < MOST { memory / 16 } else { MOST };
        let connections = memory / 2 / CONNECTION;
        Self {
            buffer,
            least_buffer: LEAST,
            memory: memory / 2,
            connections,
            backlog: if connections / 4 < BACKLOG { connections / 4 } else { BACKLOG },
            half_open: if small { 128 } else { 1024 },
            time_wait: memory / 64 / 64,
            datagrams: if small { 8 << 10 } else { 64 << 10 },
        }
    }

    /// Returns the same with buffers of up to `size` bytes.
    #[must_use]
    pub const fn with_buffer(self, size: usize) -> Self {
        let least_buffer = if size < LEAST { size } else { LEAST };
        Self { buffer: size, least_buffer, ..self }
    }
}

impl Default for Limits {
    /// Returns those that suit the memory of this machine.
    fn default() -> Self {
        Self::for_memory(kernel::memory::stats().total)
    }
}

/// Configures a stack: [`Stack::new`](crate::Stack::new) takes it. Apps get theirs from the
/// arguments in [`ARGUMENTS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Its IPv4 address.
    pub ipv4: Ipv4,
    /// An IPv6 address with the length of its network's prefix in bits, from 1 to 128, beside
    /// the link-local one. Without it, addresses come from routers (SLAAC, RFC 4862).
    pub ipv6: Option<(Ipv6Addr, u8)>,
    /// Default routers, at most one of IPv4 and one of IPv6. They are used rather than those
    /// that DHCP or routers themselves name.
    pub gateways: heapless::Vec<IpAddr, 2>,
    /// Name servers, used instead of those that DHCP and routers name.
    pub servers: heapless::Vec<IpAddr, SERVERS>,
    /// How much memory and how many connections it may have.
    pub limits: Limits,
    /// What it leaves to the interface: checksums and segmentation.
    pub offloads: Offloads,
}

const IP_KIND: &str = "list of dhcp, address/prefix";
const GATEWAY_KIND: &str =
    "list of routers on the link, one a version that ip= has, none of them this machine itself";
const BUFFER_KIND: &str = "number of KiB from 2 to 16384";
const DNS_KIND: &str = "list of up to 4 addresses";

/// Lists the arguments that [`Settings::configure`] takes, for an image's manifest.
pub const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "ip",
        kind: IP_KIND,
        default: Some("dhcp"),
        help: &["Addresses, such as 10.0.0.2/24 or dhcp,fd00::2/64."],
    },
    Argument {
        name: "gateway",
        kind: GATEWAY_KIND,
        default: Some("from DHCP or none"),
        help: &["Routers to all other networks, one for IPv4 and one for IPv6, in any network."],
    },
    Argument {
        name: "dns",
        kind: DNS_KIND,
        default: Some("from DHCP or none"),
        help: &["Name servers, instead of those that DHCP names."],
    },
    Argument {
        name: "net.buffer",
        kind: BUFFER_KIND,
        default: Some("by memory"),
        help: &["KiB of a TCP connection's largest buffers: 1280 each way for 10 Gbit/s at 1 ms."],
    },
    Argument {
        name: "net.csum",
        kind: <bool as args::Value>::KIND,
        default: Some("on"),
        help: &["Leave TCP and UDP checksums to the back end; net.tso and net.gro need it."],
    },
    Argument {
        name: "net.tso",
        kind: <bool as args::Value>::KIND,
        default: Some("on"),
        help: &["Transmit TCP segments of up to 64 KiB, which the back end splits."],
    },
    Argument {
        name: "net.gro",
        kind: <bool as args::Value>::KIND,
        default: Some("on"),
        help: &["Receive TCP segments of up to 64 KiB, which the back end has merged."],
    },
];

impl Settings {
    /// Takes the arguments in [`ARGUMENTS`], and returns what they say.
    ///
    /// # Errors
    /// [`args::Error::BadValue`] for a value that is malformed, an address that no machine can
    /// have, or a gateway that cannot be a router of this machine; errors of [`Args::take`].
    pub fn configure(args: &mut Args) -> Result<Self, args::Error> {
        let mut settings = Self { ipv4: Ipv4::Off, ..Self::default() };
        take(args, "ip", "dhcp", IP_KIND, &mut |item| settings.address(item))?;
        take(args, "gateway", "", GATEWAY_KIND, &mut |item| settings.gateway(item))?;
        take(args, "dns", "", DNS_KIND, &mut |item| settings.servers.push(host(item)?).ok())?;
        take(args, "net.buffer", "", BUFFER_KIND, &mut |item| {
            let size: usize = number(item).filter(|size| (2..=16 << 10).contains(size))?;
            settings.limits = settings.limits.with_buffer(size << 10);
            Some(())
        })?;
        let checksum = args.take("net.csum", Some(true))?;
        settings.offloads = Offloads::NONE;
        settings.offloads.checksum = checksum;
        settings.offloads.transmit_large = args.take("net.tso", Some(true))? && checksum;
        settings.offloads.receive_large = args.take("net.gro", Some(true))? && checksum;
        Ok(settings)
    }

    /// The router of IPv6 that was told.
    pub(super) fn router(&self) -> Option<Ipv6Addr> {
        self.gateways.iter().find_map(|it| match it {
            IpAddr::V6(it) => Some(*it),
            IpAddr::V4(_) => None,
        })
    }

    fn address(&mut self, item: &str) -> Option<()> {
        if item == "dhcp" {
            let first = self.ipv4 == Ipv4::Off;
            self.ipv4 = Ipv4::Dhcp;
            return first.then_some(());
        }
        let (address, prefix) = split(item, b'/')?;
        let bits: u8 = number(prefix)?;
        match host(address)? {
            IpAddr::V4(address) if self.ipv4 == Ipv4::Off && (1..=32).contains(&bits) => {
                self.ipv4 = Ipv4::Static(address, bits);
                (!is_edge(address, bits)).then_some(())
            }
            IpAddr::V6(address) if self.ipv6.is_none() && (1..=128).contains(&bits) => {
                self.ipv6 = Some((address, bits));
                Some(())
            }
            _ => None,
        }
    }

    fn gateway(&mut self, item: &str) -> Option<()> {
        let gateway = host(item)?;
        // It is on the link, whatever networks there are: some hosts give their guests
        // networks of one address.
        let router = match (gateway, self.ipv4) {
            (IpAddr::V4(gateway), Ipv4::Static(address, bits)) => {
                let edge = near(address, bits, gateway) && is_edge(gateway, bits);
                gateway != address && !edge
            }
            (IpAddr::V4(_), Ipv4::Dhcp) => true,
            (IpAddr::V4(_), Ipv4::Off) => false,
            (IpAddr::V6(gateway), _) => self.ipv6.is_none_or(|(address, _)| address != gateway),
        };
        let other = |it: &IpAddr| it.is_ipv4() != gateway.is_ipv4();
        (router && self.gateways.iter().all(other)).then_some(())?;
        self.gateways.push(gateway).ok()
    }
}

/// Takes a list out of the arguments and gives each item to `each`.
fn take(
    args: &mut Args,
    name: &'static str,
    default: &'static str,
    kind: &'static str,
    each: &mut dyn FnMut(&str) -> Option<()>,
) -> Result<(), args::Error> {
    let value: &'static str = args.take(name, Some(default))?;
    let bad = args::Error::BadValue { name, value, kind };
    let mut rest = (!value.is_empty()).then_some(value);
    while let Some(list) = rest {
        let (item, after) = split(list, b',').map_or((list, None), |(a, b)| (a, Some(b)));
        each(item).ok_or(bad.clone())?;
        rest = after;
    }
    Ok(())
}

/// What stands before and behind the first `at`. By bytes, as `str`'s own searchers
/// are larger than all the rest of this.
fn split(text: &str, at: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == at)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// A number, without the plus sign that Rust lets stand before it.
fn number<N: core::str::FromStr>(text: &str) -> Option<N> {
    if text.as_bytes().first() == Some(&b'+') { None } else { text.parse().ok() }
}

/// An address that a machine on the network can have.
fn host(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    let other = match address {
        IpAddr::V4(address) => address.is_broadcast() || address.octets()[0] == 0,
        IpAddr::V6(address) => address.to_ipv4_mapped().is_some(),
    };
    let nobody = address.is_unspecified() || address.is_multicast() || address.is_loopback();
    (!nobody && !other).then_some(address)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::string::ToString;

    fn read(line: &'static str) -> Result<Settings, args::Error> {
        let items = line.split(' ').filter(|it| !it.is_empty()).map(str::as_bytes);
        let mut args = Args::new(items).unwrap();
        let settings = Settings::configure(&mut args);
        args.finish().unwrap();
        settings
    }

    #[test]
    fn nothing_is_dhcp() {
        let settings = read("").unwrap();
        assert_eq!((settings.ipv4, settings.ipv6), (Ipv4::Dhcp, None));
        assert!(settings.gateways.is_empty() && settings.servers.is_empty());
    }

    #[test]
    fn addresses_routers_and_servers_are_read() {
        let settings =
            read("ip=10.0.0.2/24,fd00::2/64 gateway=10.0.0.1,fe80::1 dns=10.0.0.1,1.1.1.1,fd00::1")
                .unwrap();
        assert_eq!(settings.ipv4, Ipv4::Static(Ipv4Addr::new(10, 0, 0, 2), 24));
        assert_eq!(settings.ipv6, Some(("fd00::2".parse().unwrap(), 64)));
        assert_eq!(settings.gateways.len(), 2);
        assert_eq!(settings.servers.len(), 3);
        assert!(read("ip=dhcp,fd00::2/64 gateway=10.0.0.1").is_ok());
        assert!(read("ip=10.0.0.0/31").is_ok());
        for outside in [
            "ip=10.9.0.50/32 gateway=172.31.1.1",
            "ip=10.0.0.0/31 gateway=10.0.0.1",
            "ip=10.0.0.2/24 gateway=10.0.1.255",
            "ip=2001:db8::2/128 gateway=fe80::1",
            "ip=2001:db8::2/128 gateway=2001:db8:1::1",
        ] {
            assert_eq!(read(outside).unwrap().gateways.len(), 1, "{outside}");
        }
        assert_eq!(read("ip=fd00::2/64").unwrap().ipv4, Ipv4::Off);
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_named() {
        for line in [
            "ip=",
            "ip=10.0.0.2",
            "ip=10.0.0.2/33",
            "ip=10.0.0.2/+24",
            "ip=10.0.0.2/0",
            "ip=10.0.0.0/24",
            "ip=10.0.0.255/24",
            "ip=127.0.0.1/8",
            "ip=224.0.0.1/8",
            "ip=0.0.0.1/8",
            "net.buffer=0",
            "net.buffer=1",
            "net.buffer=16385",
            "net.buffer=18446744073709551615",
            "ip=::/64",
            "ip=fd00::2/129",
            "ip=dhcp,10.0.0.2/24",
            "ip=10.0.0.2/24,",
            "ip=10.0.0.2/24,10.0.1.2/24",
            "ip=DHCP",
            "ip=10.0.0.2/24 gateway=10.0.0.2",
            "ip=10.0.0.2/24 gateway=10.0.0.0",
            "ip=10.0.0.2/24 gateway=10.0.0.255",
            "ip=10.0.0.2/24 gateway=224.0.0.1",
            "ip=10.0.0.2/24 gateway=127.0.0.1",
            "ip=10.0.0.2/24 gateway=0.0.0.0",
            "ip=10.0.0.2/24 gateway=255.255.255.255",
            "ip=10.0.0.2/32 gateway=10.0.0.2",
            "ip=fd00::2/64 gateway=fd00::2",
            "ip=fd00::2/64 gateway=ff02::1",
            "ip=fd00::2/64 gateway=::1",
            "ip=fd00::2/64 gateway=::ffff:10.0.0.1",
            "gateway=224.0.0.1",
            "ip=10.0.0.2/24 gateway=10.0.0.1,10.0.0.3",
            "ip=fd00::2/64 gateway=10.0.0.1",
            "dns=here",
            "dns=1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4,1.1.1.5",
        ] {
            // Nothing at all for the address is nothing to say: no address.
            let result = read(line);
            if line == "ip=" {
                assert_eq!(result.unwrap().ipv4, Ipv4::Off);
                continue;
            }
            let error = result.expect_err(line).to_string();
            let value = line.rsplit_once('=').unwrap().1;
            let kind = if line.starts_with("net.buffer") { "number of KiB" } else { "list of" };
            assert!(error.contains(value) && error.contains(kind), "{line}: {error}");
        }
    }

    #[test]
    fn limits_fit_small_machines() {
        for mib in [1, 4, 8, 64, 512, 4096] {
            let limits = Limits::for_memory(mib << 20);
            assert!(limits.connections * CONNECTION <= limits.memory);
            assert!(limits.memory <= mib << 19 || mib == 0);
            assert!((limits.least_buffer..=limits.memory / 8).contains(&limits.buffer), "{mib}");
            assert!(limits.half_open * 256 <= (mib << 20) / 16, "{limits:?}");
            assert!(limits.connections >= 32);
            assert!((32..=limits.connections / 4).contains(&limits.backlog), "{limits:?}");
        }
        assert!(
            Limits::for_memory(128 << 20).connections > 10_000,
            "{:?}",
            Limits::for_memory(128 << 20)
        );
    }
}
