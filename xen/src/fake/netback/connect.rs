//! How the back end comes and goes: its nodes in xenstore and the states, as in
//! Linux's drivers/net/xen-netback/xenbus.c.

use super::super::Host;
use super::super::events::raise;
use super::super::peer::{Device, Peer};
use super::super::ring::Back;
use super::super::script::Script;
use super::super::store::Daemon;
use super::Misdeed;
use super::data::{Queue, RxSlot, Transmitted, Work, pieces};
use crate::evtchn::PortNumber;
use crate::gnttab::GrantRef;
use crate::public::io::netif::RxFlags;
use crate::public::io::xenbus::XenbusState;
use std::collections::VecDeque;

/// What Linux's back end offers.
const FEATURES: &[(&str, &str)] = &[
    ("feature-sg", "1"),
    ("feature-gso-tcpv4", "1"),
    ("feature-gso-tcpv6", "1"),
    ("feature-ipv6-csum-offload", "1"),
    ("feature-rx-copy", "1"),
    ("feature-xdp-headroom", "1"),
    ("feature-rx-flip", "0"),
    ("feature-multicast-control", "1"),
    ("feature-dynamic-multicast-control", "1"),
    ("feature-split-event-channels", "1"),
    ("multi-queue-max-queues", "2"),
    ("feature-ctrl-ring", "1"),
    ("hotplug-status", "connected"),
];

/// A back end of a network interface.
pub(in crate::fake) struct Backend {
    id: u32,
    pub(super) device: Device,
    pub(super) queues: Vec<Queue>,
    pub(super) arriving: VecDeque<Vec<RxSlot>>,
    pub(super) sent: Vec<Transmitted>,
    pub(super) script: Script<Misdeed>,
    pub(super) strict: bool,
    pub(super) reversed: bool,
    pub(super) maps: bool,
    pub(super) headroom: u16,
}

impl Backend {
    /// Plugs an interface in, as `xl` does.
    pub(in crate::fake) fn plug(id: u32, host: &mut Host) -> Self {
        let mut backend = Self {
            id,
            device: Device::new(super::CLASS, id),
            queues: Vec::new(),
            arriving: VecDeque::new(),
            sent: Vec::new(),
            script: Script::default(),
            strict: true,
            reversed: false,
            maps: false,
            headroom: 0,
        };
        backend.plug_in(&mut host.store);
        backend
    }

    /// Goes to `to` by the way that Linux takes.
    fn go(&mut self, to: XenbusState, host: &mut Host) {
        use XenbusState::{Closed, Closing, Connected, InitWait, Initialising};
        while self.device.state != to {
            let next = match (self.device.state, to) {
                (Initialising, Closed) => Closed,
                (Initialising, _) => InitWait,
                (Closed, Closing) => Closing,
                (Closed, _) => InitWait,
                (InitWait, Connected) => {
                    if let Err(error) = self.connect(host) {
                        self.device.error = Some(error);
                        self.disconnect(host);
                        self.device.say(Closing, &mut host.store);
                        return;
                    }
                    Connected
                }
                (InitWait, _) => Closing,
                (Connected, _) => {
                    self.disconnect(host);
                    Closing
                }
                _ => Closed,
            };
            self.device.say(next, &mut host.store);
        }
    }

    fn connect(&mut self, host: &mut Host) -> Result<(), String> {
        let count = self.device.number("multi-queue-num-queues", &host.store).unwrap_or(1);
        let most = self.device.said("multi-queue-max-queues", &host.store).unwrap_or(1);
        if !(1..=most.max(1)).contains(&count.into()) {
            return Err(format!("the guest asks for {count} queues of {most}"));
        }
        if self.device.number("request-rx-copy", &host.store) != Some(1) {
            return Err("the guest does not request rx-copy".into());
        }
        for queue in 0..count {
            let folder = if count == 1 { String::new() } else { format!("queue-{queue}/") };
            let number = |name: &str| {
                let name = format!("{folder}{name}");
                self.device.number(&name, &host.store).ok_or(format!("{name} is missing"))
            };
            let (tx, rx) = (number("tx-ring-ref")?, number("rx-ring-ref")?);
            let split =
                number("event-channel-tx").and_then(|tx| Ok((tx, number("event-channel-rx")?)));
            let (tx_port, rx_port) = match split {
                Ok(ports) => ports,
                Err(_) => number("event-channel").map(|port| (port, port))?,
            };
            let (tx_port, rx_port) = (PortNumber(tx_port), PortNumber(rx_port));
            self.map(host, GrantRef(tx), GrantRef(rx), tx_port, rx_port)?;
        }
        Ok(())
    }

    fn map(
        &mut self,
        host: &mut Host,
        tx: GrantRef,
        rx: GrantRef,
        tx_port: PortNumber,
        rx_port: PortNumber,
    ) -> Result<(), String> {
        let domain = self.device.domain;
        let refused = |what: &str, number: u32| {
            let text = format!("domain {domain} cannot use {what} {number} that the guest names");
            assert!(!self.strict, "rule G7: {text}");
            text
        };
        let tx =
            Back::attach(host, domain, &[tx], tx_port).map_err(|_| refused("tx-ring-ref", tx.0))?;
        let Ok(rx) = Back::attach(host, domain, &[rx], rx_port) else {
            host.grants.unmap(tx.references[0], true);
            return Err(refused("rx-ring-ref", rx.0));
        };
        let queue = Queue::new(tx, rx);
        let mut unbound = None;
        for port in queue.ports() {
            if host.events.bind(port, domain).is_err() {
                unbound = Some(refused("event channel", port.0));
            }
        }
        self.queues.push(queue);
        unbound.map_or(Ok(()), Err)
    }

    /// A frame is to arrive.
    pub(super) fn deliver(&mut self, frame: &[u8], flags: RxFlags) {
        self.arriving.push_back(pieces(frame, self.headroom, flags));
    }
}

impl Peer for Backend {
    fn device(&mut self) -> &mut Device {
        &mut self.device
    }

    fn first(&self) -> &'static [(&'static str, &'static str)] {
        FEATURES
    }

    fn plug_in(&mut self, store: &mut Daemon) {
        let (id, mac) = (self.id.to_string(), format!("00:16:3e:00:00:{:02x}", self.id & 0xFF));
        let both = [("handle", &*id), ("mac", &mac)];
        let ours =
            [("script", "/etc/xen/scripts/vif-bridge"), ("bridge", "xenbr0"), ("type", "vif")];
        let ours = [&both, &ours[..]].concat();
        self.device.plug_in(&ours, &[both[0], both[1], ("mtu", "1500")], store);
    }

    fn frontend_changed(&mut self, state: Option<&str>, host: &mut Host) {
        match state {
            Some("1") => self.go(XenbusState::InitWait, host),
            Some("3") => {}
            Some("4") => self.go(XenbusState::Connected, host),
            Some("5") => self.go(XenbusState::Closing, host),
            Some("6") if self.device.said("online", &host.store) == Some(1) => {
                self.go(XenbusState::Closed, host);
            }
            Some("6" | "0") | None => {
                self.go(XenbusState::Closed, host);
                // The device is not wanted any more; the toolstack removes it.
                self.unplug(host);
            }
            Some(other) => panic!("rule X12: the guest says state {other:?}"),
        }
    }

    fn work(&mut self, host: &mut Host) -> bool {
        let mut busy = false;
        let mut queues = std::mem::take(&mut self.queues);
        for (number, queue) in queues.iter_mut().enumerate() {
            let storm = self.script.take(|it| matches!(it, Misdeed::EventStorm(_)));
            for misdeed in storm {
                let Misdeed::EventStorm(count) = misdeed else { continue };
                for port in queue.ports() {
                    if !host.events.is_bound(port) {
                        continue;
                    }
                    (0..count).for_each(|_| raise(port));
                }
            }
            busy |= queue.step(&mut Work {
                host,
                script: &mut self.script,
                peer: self.device.domain,
                number,
                reversed: self.reversed,
                maps: self.maps,
                strict: self.strict,
                arriving: &mut self.arriving,
                sent: &mut self.sent,
                kept: &mut self.device.kept,
            });
        }
        self.queues = queues;
        busy
    }

    fn disconnect(&mut self, host: &mut Host) {
        let keeps = self.script.has(|it| *it == Misdeed::KeepGrants);
        for mut queue in std::mem::take(&mut self.queues) {
            let rings = [queue.tx.references[0], queue.rx.references[0]].map(|it| (it, true));
            let pages = queue.mapped().into_iter().map(|it| (it, false));
            self.device.unmap(rings.into_iter().chain(pages), keeps, &mut host.grants);
            queue.ports().into_iter().for_each(|port| host.events.unbind(port));
        }
        self.arriving.clear();
    }

    fn forget(&mut self) {
        self.script.clear();
    }
}
