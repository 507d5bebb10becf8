//! How the back end comes and goes: its nodes in xenstore and the states, as in Linux's
//! drivers/block/xen-blkback/xenbus.c.

use super::super::Host;
use super::super::events::raise;
use super::super::peer::{Device, Peer};
use super::super::ring::Back;
use super::super::script::Script;
use super::super::store::Daemon;
use super::Misdeed;
use super::data::{Link, Request, Work};
use crate::evtchn::PortNumber;
use crate::gnttab::GrantRef;
use crate::public::io::xenbus::XenbusState;

/// What Linux's back end says from the start.
const FIRST: &[(&str, &str)] = &[
    ("max-ring-page-order", "4"),
    ("multi-queue-max-queues", "1"),
    ("hotplug-status", "connected"),
];

/// What it says when it connects, besides the size.
const FEATURES: &[(&str, &str)] = &[
    ("feature-flush-cache", "1"),
    ("feature-barrier", "0"),
    ("feature-discard", "1"),
    ("discard-granularity", "4096"),
    ("discard-alignment", "0"),
    ("feature-persistent", "1"),
    ("feature-max-indirect-segments", "256"),
    ("sector-size", "512"),
    ("info", "0"),
];

/// A back end of a block device.
pub(in crate::fake) struct Backend {
    id: u32,
    device: Device,
    link: Option<Link>,
    pub(super) disk: Vec<u8>,
    pub(super) requests: Vec<Request>,
    pub(super) mappings: usize,
    pub(super) script: Script<Misdeed>,
    pub(super) reversed: bool,
    pub(super) slow: bool,
    pub(super) answers: usize,
}

impl Backend {
    /// Plugs a disk in that holds 16 MiB of zeros, as `xl` does.
    pub(in crate::fake) fn plug(id: u32, host: &mut Host) -> Self {
        let mut backend = Self {
            id,
            device: Device::new(super::CLASS, id),
            link: None,
            disk: vec![0; 16 << 20],
            requests: Vec::new(),
            mappings: 0,
            script: Script::default(),
            reversed: false,
            slow: false,
            answers: 0,
        };
        backend.plug_in(&mut host.store);
        backend
    }

    /// The port of the connection, as the guest knows it.
    pub(super) fn port(&self) -> Option<PortNumber> {
        self.link.as_ref().map(|link| link.ring.port)
    }

    fn connect(&mut self, host: &mut Host) -> Result<Link, String> {
        let number = |name: &str| self.device.number(name, &host.store);
        let protocol = host.store.value(&format!("{}/protocol", self.device.theirs()));
        if protocol.as_deref() != Some("x86_64-abi") {
            return Err(format!("the guest says protocol {protocol:?}"));
        }
        let most = self.device.said("max-ring-page-order", &host.store).unwrap_or(0);
        let order = number("ring-page-order").unwrap_or(0);
        if u64::from(order) > most {
            return Err(format!("the guest asks for a ring of order {order}"));
        }
        let references: Option<Vec<GrantRef>> = match order {
            0 if most == 0 => number("ring-ref").map(|reference| vec![GrantRef(reference)]),
            _ => (0..1 << order)
                .map(|page| number(&format!("ring-ref{page}")).map(GrantRef))
                .collect(),
        };
        let references = references.ok_or("a ring-ref is missing")?;
        let port = number("event-channel").map(PortNumber).ok_or("event-channel is missing")?;
        let persistent = number("feature-persistent") == Some(1)
            && self.device.said("feature-persistent", &host.store) == Some(1);
        let domain = self.device.domain;
        let ring = Back::attach(host, domain, &references, port)
            .map_err(|status| format!("rule G7: the ring cannot be mapped ({status})"))?;
        host.events.bind(port, domain).map_err(|_| "rule G7: the port is not ours")?;
        Ok(Link::new(ring, persistent))
    }
}

impl Peer for Backend {
    fn device(&mut self) -> &mut Device {
        &mut self.device
    }

    fn first(&self) -> &'static [(&'static str, &'static str)] {
        FIRST
    }

    fn plug_in(&mut self, store: &mut Daemon) {
        let id = self.id.to_string();
        let theirs = [("virtual-device", &*id), ("device-type", "disk")];
        let ours = [("dev", "xvda"), ("mode", "w"), ("type", "phy")];
        self.device.plug_in(&ours, &theirs, store);
    }

    fn frontend_changed(&mut self, state: Option<&str>, host: &mut Host) {
        use XenbusState::{Closed, Closing, Connected, InitWait, Initialising};
        match (state, self.device.state) {
            (Some("1"), Initialising | Closed) => self.device.say(InitWait, &mut host.store),
            (Some("1"), _) => {}
            (Some("3" | "4"), InitWait) => {
                self.device.say_all(FEATURES, &mut host.store);
                match self.connect(host) {
                    Ok(link) => {
                        self.link = Some(link);
                        if !self.device.is_told("sectors") {
                            let sectors = (self.disk.len() / 512).to_string();
                            let path = format!("{}/sectors", self.device.ours());
                            host.store.set(&path, &sectors);
                        }
                        self.device.say(Connected, &mut host.store);
                    }
                    Err(error) => {
                        self.device.error = Some(error);
                        self.device.say(Closing, &mut host.store);
                    }
                }
            }
            (Some("3" | "4"), _) => {}
            (Some("5"), _) => {
                self.disconnect(host);
                self.device.say(Closing, &mut host.store);
            }
            (Some("6"), _) if self.device.said("online", &host.store) == Some(1) => {
                self.disconnect(host);
                self.device.say(Closed, &mut host.store);
            }
            (Some("6" | "0") | None, _) => {
                self.disconnect(host);
                self.device.say(Closed, &mut host.store);
                // The device is not wanted any more; the toolstack removes it.
                self.unplug(host);
            }
            (Some(other), _) => panic!("rule X12: the guest says state {other:?}"),
        }
    }

    fn work(&mut self, host: &mut Host) -> bool {
        let Some(mut link) = self.link.take() else { return false };
        for misdeed in self.script.take(|it| matches!(it, Misdeed::EventStorm(_))) {
            if let Misdeed::EventStorm(count) = misdeed
                && host.events.is_bound(link.ring.port)
            {
                (0..count).for_each(|_| raise(link.ring.port));
            }
        }
        let number = |name, default| self.device.said(name, &host.store).unwrap_or(default);
        let rules = [
            number("sector-size", 512),
            number("info", 0),
            number("feature-flush-cache", 0),
            number("feature-barrier", 0),
            number("feature-discard", 0),
            number("discard-granularity", 512),
            number("feature-max-indirect-segments", 0),
        ];
        let busy = link.step(&mut Work {
            host,
            script: &mut self.script,
            peer: self.device.domain,
            rules,
            reversed: self.reversed,
            slow: self.slow,
            answers: &mut self.answers,
            disk: &mut self.disk,
            requests: &mut self.requests,
            mappings: &mut self.mappings,
        });
        self.link = Some(link);
        busy
    }

    fn disconnect(&mut self, host: &mut Host) {
        let keeps = self.script.has(|it| *it == Misdeed::KeepGrants);
        let Some(link) = self.link.take() else { return };
        host.events.unbind(link.ring.port);
        let ring = link.ring.references.iter().copied();
        let all = ring.chain(link.mapped()).map(|reference| (reference, true));
        self.device.unmap(all, keeps, &mut host.grants);
    }

    fn forget(&mut self) {
        self.script.clear();
    }
}
