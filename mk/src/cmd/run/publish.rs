//! Which ports of this machine lead to a guest.

use crate::cmd::build::Image;
use crate::image::manifest::Manifest;
use anyhow::{Context, Result, bail, ensure};
use lab::{Forward, Protocol};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};

/// What `port` has to be for an app to get a port without asking for one.
const PORT_KIND: &str = "number from 0 to 65535";

/// A `--publish`: `[ADDRESS:][PORT:]GUEST-PORT[/udp]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Publish {
    protocol: Protocol,
    address: Ipv4Addr,
    /// Any free port without one.
    port: Option<u16>,
    guest: u16,
}

/// Reads a `--publish`.
pub(super) fn parse(text: &str) -> Result<Publish, String> {
    let (ports, protocol) = match text.split_once('/') {
        None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Protocol::Tcp),
        Some((ports, "udp")) => (ports, Protocol::Udp),
        Some((_, other)) => return Err(format!("{other} is neither tcp nor udp")),
    };
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port @ 1..) => Ok(port),
        _ => Err(format!("{text} is not a port, a number from 1 to 65535")),
    };
    let address = |text: &str| match text.parse::<Ipv4Addr>() {
        Ok(address) => Ok(address),
        Err(_) => Err(format!("{text} is not an IPv4 address, such as 127.0.0.1")),
    };
    let parts: Vec<_> = ports.split(':').collect();
    let local = Ipv4Addr::LOCALHOST;
    let (address, from, guest) = match parts[..] {
        [guest] => (local, None, port(guest)?),
        [from, guest] => (local, Some(port(from)?), port(guest)?),
        [at, "", guest] => (address(at)?, None, port(guest)?),
        [at, from, guest] => (address(at)?, Some(port(from)?), port(guest)?),
        _ => return Err("expected [ADDRESS:][PORT:]GUEST-PORT[/udp], such as 8080:80".into()),
    };
    Ok(Publish { protocol, address, port: from, guest })
}

/// The forwards to a guest that has this address unless its arguments give it
/// another one: those that were asked for, or else the one to its own port.
///
/// # Errors
/// When a port of this machine cannot be had.
pub(super) fn forwards(
    asked: &[Publish],
    image: &Image,
    items: &[String],
    ip: &str,
) -> Result<Vec<Forward>> {
    let Image { manifest, name, .. } = image;
    if manifest.vifs() == 0 {
        ensure!(
            asked.is_empty(),
            "{name} has no network interface: --publish has nothing to forward to"
        );
        return Ok(Vec::new());
    }
    let ip = own_address(items).map_or_else(|| ip.parse(), Ok).context("a bad address")?;
    let to = |port| SocketAddrV4::new(ip, port);
    if asked.is_empty() {
        let Some(port) = own_port(manifest, items) else { return Ok(Vec::new()) };
        let preferred = SocketAddrV4::new(Ipv4Addr::LOCALHOST, preferred(port));
        let from = match free(Protocol::Tcp, preferred) {
            Ok(from) => from,
            Err(_) => free(Protocol::Tcp, SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?,
        };
        return Ok(vec![Forward { protocol: Protocol::Tcp, from, to: to(port) }]);
    }
    let forward = |publish: &Publish| {
        let Publish { protocol, address, port, guest } = *publish;
        let from = SocketAddrV4::new(address, port.unwrap_or(0));
        Ok(Forward { protocol, from: free(protocol, from)?, to: to(guest) })
    };
    asked.iter().map(forward).collect()
}

/// The address that an argument `ip=` gives to the guest.
fn own_address(items: &[String]) -> Option<Ipv4Addr> {
    let address = items.iter().rev().find_map(|item| item.strip_prefix("ip="))?;
    address.split('/').next()?.parse().ok()
}

/// The port that the app listens at, by its argument of that name.
fn own_port(manifest: &Manifest, items: &[String]) -> Option<u16> {
    let arg = manifest.args.iter().find(|arg| arg.name == "port" && arg.kind == PORT_KIND)?;
    let given = items.iter().rev().find_map(|item| item.strip_prefix("port="));
    let port = given.or(arg.default.as_deref())?.replace('_', "").parse().ok()?;
    (port > 0).then_some(port)
}

/// The port of this machine for one of a guest, where everybody may listen.
fn preferred(port: u16) -> u16 {
    match port {
        0..65 => port * 1000,
        65..1024 => port + 8000,
        _ => port,
    }
}

/// Makes sure that QEMU can listen there, or finds a port for port 0.
fn free(protocol: Protocol, at: SocketAddrV4) -> Result<SocketAddrV4> {
    let bound = match protocol {
        Protocol::Tcp => TcpListener::bind(at).and_then(|socket| socket.local_addr()),
        Protocol::Udp => UdpSocket::bind(at).and_then(|socket| socket.local_addr()),
    };
    match bound {
        Ok(bound) => Ok(SocketAddrV4::new(*at.ip(), bound.port())),
        Err(error) => bail!(
            "{protocol} port {} of {} cannot be published: {error}; choose another one, or let one \
             be found with --publish GUEST-PORT",
            at.port(),
            at.ip()
        ),
    }
}

/// How a user reaches the guest by a forward.
pub(super) fn shown(forward: &Forward, app: &str) -> String {
    let Forward { protocol, from, to } = forward;
    let web =
        *protocol == Protocol::Tcp && (app.contains("http") || matches!(to.port(), 80 | 8080));
    if web { format!("http://{from}/") } else { format!("{protocol} {from} -> {to}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::manifest::Arg;

    #[test]
    fn ports_are_published_as_written() {
        let publish = |address: [u8; 4], port, guest, protocol| {
            Ok(Publish { protocol, address: address.into(), port, guest })
        };
        let local = [127, 0, 0, 1];
        assert_eq!(parse("80"), publish(local, None, 80, Protocol::Tcp));
        assert_eq!(parse("8080:80"), publish(local, Some(8080), 80, Protocol::Tcp));
        assert_eq!(parse("7000:7/udp"), publish(local, Some(7000), 7, Protocol::Udp));
        assert_eq!(parse("0.0.0.0:81:80/tcp"), publish([0; 4], Some(81), 80, Protocol::Tcp));
        assert_eq!(parse("0.0.0.0::80"), publish([0; 4], None, 80, Protocol::Tcp));
        for (text, expected) in [
            ("http", "http is not a port"),
            ("0:80", "0 is not a port"),
            ("70000:80", "70000 is not a port"),
            ("80/sctp", "sctp is neither"),
            ("localhost:80:80", "localhost is not an IPv4 address"),
            ("1:2:3:4", "such as 8080:80"),
        ] {
            assert!(parse(text).unwrap_err().contains(expected), "{text}");
        }
    }

    #[test]
    fn an_app_s_own_port_is_found() {
        let mut manifest = Manifest::default();
        let items = |items: &[&str]| items.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
        assert_eq!(own_port(&manifest, &items(&["port=7"])), None);
        let (name, kind, default) = ("port".into(), PORT_KIND.into(), Some("8_000".into()));
        manifest.args.push(Arg { name, kind, default, help: Vec::new() });
        assert_eq!(own_port(&manifest, &[]), Some(8000));
        assert_eq!(own_port(&manifest, &items(&["port=7", "x"])), Some(7));
        assert_eq!(own_address(&items(&["ip=10.0.0.9/24"])), Some(Ipv4Addr::new(10, 0, 0, 9)));
        assert_eq!(own_address(&items(&["ip=dhcp"])), None);
        assert_eq!([7, 80, 443, 5000].map(preferred), [7000, 8080, 8443, 5000]);
    }

    #[test]
    fn a_busy_port_is_an_error() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let error = free(Protocol::Tcp, at).unwrap_err().to_string();
        assert!(error.contains(&format!("tcp port {port} of 127.0.0.1 cannot be")), "{error}");
        assert!(error.contains("choose another one"), "{error}");
        assert_ne!(free(Protocol::Udp, SocketAddrV4::new(*at.ip(), 0)).unwrap().port(), 0);
    }

    #[test]
    fn forwards_are_shown_as_one_uses_them() {
        let from = "127.0.0.1:8080".parse().unwrap();
        let to = |port| SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), port);
        let forward = |protocol, port| Forward { protocol, from, to: to(port) };
        assert_eq!(shown(&forward(Protocol::Tcp, 80), "x"), "http://127.0.0.1:8080/");
        let echo = shown(&forward(Protocol::Udp, 7), "echo");
        assert_eq!(echo, "udp 127.0.0.1:8080 -> 10.0.0.2:7");
    }
}
