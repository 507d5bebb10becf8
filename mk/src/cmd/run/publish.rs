//! Which ports of this machine lead to a guest.

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

/// An app that ports of this machine may lead to.
pub(super) struct Asking<'a> {
    pub(super) publish: &'a [Publish],
    pub(super) name: &'a str,
    pub(super) manifest: &'a Manifest,
    pub(super) items: &'a [String],
    /// The guest's address, unless its arguments give it another one.
    pub(super) ip: String,
}

/// The forwards to each of the apps: those that were asked for, or else the one to its own port, from
/// a port that none of the others has.
///
/// # Errors
/// When a port of this machine cannot be had, or is asked for twice.
pub(super) fn plan(apps: &[Asking<'_>]) -> Result<Vec<Vec<Forward>>> {
    let mut ports = Ports::default();
    let mut planned = Vec::new();
    for app in apps {
        planned.push(app.asked(&mut ports)?);
    }
    // What was asked for by number goes first.
    for (app, forwards) in apps.iter().zip(&mut planned).filter(|(app, _)| app.publish.is_empty()) {
        forwards.extend(app.own(&mut ports)?);
    }
    Ok(planned)
}

/// What users are told of ports that others had already, so that those of apps lead there from elsewhere.
pub(super) fn elsewhere(apps: &[Asking<'_>], planned: &[Vec<Forward>]) -> Vec<String> {
    let asked = apps.iter().zip(planned).filter(|(app, _)| app.publish.is_empty());
    let all = asked.flat_map(|(app, forwards)| forwards.iter().map(move |it| (app, it)));
    let moved = all.filter(|(_, it)| it.from.port() != preferred(it.to.port()));
    let line = |(app, it): (&Asking<'_>, &Forward)| {
        let (wanted, port) = (preferred(it.to.port()), it.from.port());
        format!(
            "port {wanted} is in use: port {port} leads to {}, unless --publish says another",
            app.name
        )
    };
    moved.map(line).collect()
}

impl Asking<'_> {
    /// What leads to a port of the guest.
    fn to(&self, port: u16) -> Result<SocketAddrV4> {
        let ip = own_address(self.items).map_or_else(|| self.ip.parse(), Ok);
        Ok(SocketAddrV4::new(ip.context("a bad address")?, port))
    }

    fn asked(&self, ports: &mut Ports) -> Result<Vec<Forward>> {
        ensure!(
            self.publish.is_empty() || self.manifest.vifs() > 0,
            "{} has no network interface: --publish has nothing to forward to",
            self.name
        );
        let forward = |publish: &Publish| {
            let Publish { protocol, address, port, guest } = *publish;
            let from = SocketAddrV4::new(address, port.unwrap_or(0));
            Ok(Forward {
                protocol,
                from: ports.take(protocol, from, self.name)?,
                to: self.to(guest)?,
            })
        };
        self.publish.iter().map(forward).collect()
    }

    fn own(&self, ports: &mut Ports) -> Result<Option<Forward>> {
        let port = own_port(self.manifest, self.items).filter(|_| self.manifest.vifs() > 0);
        let Some(port) = port else { return Ok(None) };
        let protocol = Protocol::Tcp;
        let at = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let from = match ports.take(protocol, at(preferred(port)), self.name) {
            Ok(from) => from,
            Err(_) => ports.take(protocol, at(0), self.name)?,
        };
        Ok(Some(Forward { protocol, from, to: self.to(port)? }))
    }
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

/// Ports of this machine that are to lead to guests. All are held until the last one is found, so
/// that none is found twice; QEMU takes them a moment later.
#[derive(Default)]
struct Ports {
    tcp: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
    /// Who gets which.
    taken: Vec<(Protocol, SocketAddrV4, String)>,
}

impl Ports {
    /// Makes sure that QEMU can listen there, or finds a port for port 0.
    fn take(&mut self, protocol: Protocol, at: SocketAddrV4, name: &str) -> Result<SocketAddrV4> {
        let overlaps =
            |ip: &Ipv4Addr| ip == at.ip() || ip.is_unspecified() || at.ip().is_unspecified();
        let other = self.taken.iter().find(|(other, from, _)| {
            *other == protocol && from.port() == at.port() && overlaps(from.ip())
        });
        if let Some((_, from, other)) = other {
            bail!(
                "{protocol} port {} is to lead to {name}, and from {} to {other} already: give one of \
                 the two another port, as --publish PORT:GUEST-PORT",
                at.port(),
                from.ip()
            );
        }
        let bound = match protocol {
            Protocol::Tcp => TcpListener::bind(at).and_then(|socket| {
                let bound = socket.local_addr();
                self.tcp.push(socket);
                bound
            }),
            Protocol::Udp => UdpSocket::bind(at).and_then(|socket| {
                let bound = socket.local_addr();
                self.udp.push(socket);
                bound
            }),
        };
        let port = match bound {
            Ok(bound) => bound.port(),
            Err(error) => bail!(
                "{protocol} port {} of {} cannot be published: {error}; choose another one, or let one \
                 be found with --publish GUEST-PORT",
                at.port(),
                at.ip()
            ),
        };
        let from = SocketAddrV4::new(*at.ip(), port);
        self.taken.push((protocol, from, name.to_owned()));
        Ok(from)
    }
}

/// How a user reaches the guest by a forward.
pub(super) fn shown(forward: &Forward, app: &str) -> String {
    let Forward { protocol, from, to } = forward;
    let scheme = match to.port() {
        _ if *protocol != Protocol::Tcp => None,
        80 | 8080 => Some("http"),
        443 | 8443 => Some("https"),
        _ if app.contains("https") => Some("https"),
        _ => app.contains("http").then_some("http"),
    };
    match scheme {
        Some(scheme) => format!("{scheme}://{from}/"),
        None => format!("{protocol} {from} -> {to}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::manifest::{Arg, Device, Xl};

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
    fn a_site_is_shown_by_its_scheme() {
        let shown = |app, protocol, to| {
            let from = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7000);
            let to = SocketAddrV4::new([10, 0, 0, 2].into(), to);
            shown(&Forward { protocol, from, to }, app)
        };
        for (app, port, begins) in [
            ("https", 443, "https://127.0.0.1:7000/"),
            ("https", 80, "http://127.0.0.1:7000/"),
            ("https", 4433, "https://"),
            ("acme", 443, "https://"),
            ("httpd", 81, "http://"),
            ("api", 8080, "http://"),
            ("echo-server", 7, "tcp 127.0.0.1:7000 -> 10.0.0.2:7"),
        ] {
            assert!(shown(app, Protocol::Tcp, port).starts_with(begins), "{app} {port}");
        }
        assert!(shown("https", Protocol::Udp, 443).starts_with("udp "));
    }

    #[test]
    fn a_busy_port_is_an_error() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let mut ports = Ports::default();
        let error = ports.take(Protocol::Tcp, at, "x").unwrap_err().to_string();
        assert!(error.contains(&format!("tcp port {port} of 127.0.0.1 cannot be")), "{error}");
        assert!(error.contains("choose another one"), "{error}");
        let any = SocketAddrV4::new(*at.ip(), 0);
        assert_ne!(ports.take(Protocol::Udp, any, "x").unwrap().port(), 0);
    }

    #[test]
    fn no_port_leads_to_two_apps() {
        // One that is free, as far as that is known.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (name, kind, default) = ("port".into(), PORT_KIND.into(), Some(port.to_string()));
        let mut manifest = Manifest::default();
        manifest.args.push(Arg { name, kind, default, help: Vec::new() });
        let xl = Some(Xl { setting: "vif".into(), first: "0".into(), item: String::new() });
        let (field, class) = ("net".into(), "net".into());
        manifest.devices.push(Device { field, class, id: String::new(), xl });
        let asking = |publish, name| Asking {
            publish,
            name,
            manifest: &manifest,
            items: &[],
            ip: "10.0.0.2".into(),
        };
        let asked = [parse(&format!("{port}:81")).unwrap()];
        let from = |apps: &[Asking<'_>]| {
            let ports = |forwards: Vec<Forward>| forwards.iter().map(|it| it.from.port()).collect();
            plan(apps).map(|it| it.into_iter().map(ports).collect::<Vec<Vec<u16>>>())
        };
        let own = from(&[asking(&[], "one"), asking(&[], "two")]).unwrap();
        assert_eq!(own[0], [port]);
        let apps = [asking(&[], "one"), asking(&[], "two")];
        let told = elsewhere(&apps, &plan(&apps).unwrap());
        assert!(told.len() == 1 && told[0].contains("leads to two"), "{told:?}");
        assert!(own[1].len() == 1 && own[1] != own[0], "{own:?}");
        // Who asks for it gets it, wherever it stands.
        let own = from(&[asking(&[], "one"), asking(&asked, "two")]).unwrap();
        assert_eq!(own[1], [port]);
        assert!(own[0].len() == 1 && own[0] != own[1], "{own:?}");
        let twice = [asked[0].clone(), parse(&format!("0.0.0.0:{port}:82")).unwrap()];
        let error = from(&[asking(&twice, "one")]).unwrap_err().to_string();
        assert!(error.contains(&format!("tcp port {port} is to lead to one, and")), "{error}");
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
