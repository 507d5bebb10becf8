//! The network of the lab's guests: who has which address.
//!
//! A guest has a number, and its interfaces get their addresses by it: number 2
//! is 00:16:3e:00:00:02 and 10.0.0.2 on the bridge xenbr0, and its second
//! interface 00:16:3e:00:01:02 and 10.0.1.2 on xenbr1. Dom0 is number 1. On
//! xenbr0 it gives the addresses by DHCP and tells them by DNS; on xenbr1 nobody
//! does.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{SocketAddrV4, TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

/// The numbers that guests may have. Those above are for who comes with a MAC
/// address of its own.
pub(crate) const NUMBERS: Range<u8> = 2..200;

/// Bridges that there are.
const BRIDGES: u8 = 2;

/// The MAC address of a guest's interface, in the range that is Xen's.
pub(crate) fn mac(index: u8, number: u8) -> String {
    format!("00:16:3e:00:{index:02x}:{number:02x}")
}

/// The address on a bridge of the guest with this number.
pub(crate) fn ip(bridge: u8, number: u8) -> String {
    format!("10.0.{bridge}.{number}")
}

/// Predicts the IPv4 address that a guest gets on a host without other guests, when
/// `before` numbers were taken before its own.
pub fn address(before: u8) -> String {
    ip(0, NUMBERS.start + before)
}

/// The numbers that are in use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers(Arc<Mutex<BTreeSet<u8>>>);

/// Reserves a guest's number, and with it its addresses, until this is dropped.
/// Whoever holds one knows the guest's address before the guest is created.
#[derive(Debug)]
pub struct Number {
    number: u8,
    all: Numbers,
}

impl Numbers {
    /// The least that is free.
    pub(crate) fn take(&self) -> Result<Number> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = NUMBERS.clone().find(|number| !used.contains(number));
        let number = number.context("there are more guests than addresses for them")?;
        used.insert(number);
        Ok(Number { number, all: self.clone() })
    }
}

impl Number {
    /// Returns the guest's IPv4 address on the first bridge.
    pub fn ip(&self) -> String {
        ip(0, self.number)
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

/// Says which protocol a forward is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// Forwards a port of this machine to one of a guest: QEMU forwards it to a port of
/// dom0, and dom0 to the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The protocol whose port it is.
    pub protocol: Protocol,
    /// Where this machine listens.
    pub from: SocketAddrV4,
    /// The address and port of the guest.
    pub to: SocketAddrV4,
}

/// The port of dom0 for the forward with this index.
pub(crate) fn dom0_port(index: usize) -> usize {
    20_000 + index
}

/// The forwards as QEMU's user network takes them, after other settings.
pub(crate) fn qemu_forwards(forwards: &[Forward]) -> String {
    let rules = forwards.iter().enumerate().map(|(index, Forward { protocol, from, .. })| {
        let (address, port) = (from.ip(), from.port());
        format!(",hostfwd={protocol}:{address}:{port}-10.0.2.15:{}", dom0_port(index))
    });
    rules.collect()
}

/// Whether there are forwards of datagrams among them.
pub(crate) fn answers_datagrams(forwards: &[Forward]) -> bool {
    forwards.iter().any(|forward| forward.protocol == Protocol::Udp)
}

/// Says which port QEMU could not listen at.
pub(crate) fn check(forwards: &[Forward]) -> Result<()> {
    for (index, Forward { protocol, from, .. }) in forwards.iter().enumerate() {
        let mut before = forwards[..index].iter();
        ensure!(
            !before.any(|other| (other.protocol, other.from) == (*protocol, *from)),
            "{protocol} {from} cannot lead to two guests"
        );
        match protocol {
            Protocol::Tcp => TcpListener::bind(from).map(drop),
            Protocol::Udp => UdpSocket::bind(from).map(drop),
        }
        .with_context(|| format!("{protocol} {from} cannot be listened at"))?;
    }
    Ok(())
}

/// The command that makes dom0 pass them on.
pub(crate) fn publish(forwards: &[Forward]) -> String {
    let rules = forwards.iter().enumerate().map(|(index, Forward { protocol, to, .. })| {
        format!(" {protocol} {} {} {}", dom0_port(index), to.ip(), to.port())
    });
    format!("publish{}", rules.collect::<String>())
}

/// Describes one network interface of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vif {
    /// The MAC address.
    pub mac: String,
    /// The bridge of dom0 that it is plugged into.
    pub bridge: String,
    /// The address that it gets by DHCP, or should take where there is none.
    /// Nothing when its MAC address or its bridge is not one of ours.
    pub ip: Option<String>,
    /// As the configuration has it, completed.
    pub(crate) spec: String,
}

impl Vif {
    /// Completes what a configuration says of the interface with this index: who
    /// names no MAC address gets one, and who names no bridge the one of its index.
    pub(crate) fn complete(given: &str, index: u8, number: &Number) -> Vif {
        let mut spec = given.to_owned();
        let mut field = |key: &str, default: String| {
            let fields = given.split(',').map(str::trim);
            let value = fields.filter_map(|it| it.strip_prefix(key)?.strip_prefix('=')).next();
            value.map(str::to_owned).unwrap_or_else(|| {
                if !spec.is_empty() {
                    spec.push(',');
                }
                spec += &format!("{key}={default}");
                default
            })
        };
        let own = mac(index, number.number);
        let mac = field("mac", own.clone());
        let bridge = field("bridge", format!("xenbr{}", index.min(BRIDGES - 1)));
        let known = (0..BRIDGES).find(|bridge_number| bridge == format!("xenbr{bridge_number}"));
        // Two interfaces on one bridge share no address.
        let ip = known.filter(|&known| own == mac && known == index);
        Vif { mac, bridge, ip: ip.map(|bridge| ip_of(bridge, number)), spec }
    }
}

fn ip_of(bridge: u8, number: &Number) -> String {
    ip(bridge, number.number)
}

/// The strings of a setting of an xl configuration that is a list of strings,
/// such as `vif = ["bridge=xenbr0", ""]`. As with xl, the last one counts. A list
/// may go on over lines.
pub(crate) fn list<'a>(config: &'a str, key: &str) -> Option<Vec<&'a str>> {
    let mut found = None;
    let mut at = 0;
    for line in config.split_inclusive('\n') {
        let rest = line.trim_start().strip_prefix(key).map(str::trim_start);
        if let Some(rest) = rest.and_then(|rest| rest.strip_prefix('=')) {
            let offset = at + line.len() - rest.len();
            found = config[offset..].trim_start().strip_prefix('[').or(found);
        }
        at += line.len();
    }
    let mut rest = found?;
    let mut items = Vec::new();
    loop {
        let start = rest.find(['"', '\'', ']'])?;
        let quote = rest[start..].chars().next()?;
        if quote == ']' {
            return Some(items);
        }
        let (item, after) = rest[start + 1..].split_once(quote)?;
        items.push(item);
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn ports_that_are_taken_are_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let to = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 80);
        let port = taken.local_addr().expect("its address").port();
        let from = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let forward = Forward { protocol: Protocol::Tcp, from, to };
        let error = check(std::slice::from_ref(&forward)).expect_err("taken").to_string();
        assert!(error.contains(&format!("tcp {from} cannot")), "{error}");
        drop(taken);
        check(std::slice::from_ref(&forward)).expect("free");
        let error = check(&[forward.clone(), forward]).expect_err("twice").to_string();
        assert!(error.contains("two guests"), "{error}");
    }

    #[test]
    fn lists_are_found() {
        let config =
            "vif=['a=1']\n# vif=[\"no\"]\nvif = [ \"bridge=xenbr0,mac=x\",\n  '' ]\nvifs=[]\n";
        assert_eq!(list(config, "vif"), Some(vec!["bridge=xenbr0,mac=x", ""]));
        assert_eq!(list(config, "disk"), None);
        assert_eq!(list("vif=[]", "vif"), Some(Vec::new()));
        assert_eq!(list("vif=[\"x", "vif"), None);
    }

    #[test]
    fn interfaces_get_what_they_lack() {
        let numbers = Numbers::default();
        let first = numbers.take().expect("free");
        let second = numbers.take().expect("free");
        let vif = Vif::complete("bridge=xenbr0", 0, &second);
        assert_eq!(vif.spec, "bridge=xenbr0,mac=00:16:3e:00:00:03");
        assert_eq!(vif.ip.as_deref(), Some("10.0.0.3"));
        let vif = Vif::complete("", 1, &first);
        assert_eq!(vif.spec, "mac=00:16:3e:00:01:02,bridge=xenbr1");
        assert_eq!(vif.ip.as_deref(), Some("10.0.1.2"));
        let vif = Vif::complete("mac=00:16:3e:01:01:01", 0, &first);
        assert_eq!((vif.mac.as_str(), &vif.ip), ("00:16:3e:01:01:01", &None));
        assert_eq!(Vif::complete("bridge=xenbr0", 1, &first).ip, None);
        // The least number that is free.
        drop(first);
        assert_eq!(numbers.take().expect("free").ip(), "10.0.0.2");
    }
}
