//! How the back end comes and goes: its nodes in xenstore and the states, as in
//! Linux's drivers/net/xen-netback/xenbus.c.

use super::super::events::raise;
use super::super::ring::Back;
use super::super::script::Script;
use super::super::store::Daemon;
use super::super::{Host, guest};
use super::Misdeed;
use super::data::{Queue, RxSlot, Transmitted, Work, pieces};
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
    /// The domain that it is in.
    pub(super) domain: u16,
    pub(super) plugged: bool,
    probed: bool,
    pub(super) state: XenbusState,
    /// When the guest's state was last written, as far as it was looked at.
    seen: Option<u64>,
    pub(super) queues: Vec<Queue>,
    pub(super) arriving: VecDeque<Vec<RxSlot>>,
    pub(super) sent: Vec<Transmitted>,
    pub(super) script: Script<Misdeed>,
    /// Features that a test wants otherwise.
    pub(super) offers: Vec<(String, Option<String>)>,
    pub(super) error: Option<String>,
    pub(super) strict: bool,
    pub(super) reversed: bool,
    pub(super) maps: bool,
    pub(super) headroom: u16,
    pub(super) kept: Vec<(u32, bool)>,
}

impl Backend {
    /// Plugs an interface in, as `xl` does.
    pub(in crate::fake) fn plug(id: u32, host: &mut Host) -> Self {
        let mut backend = Self {
            id,
            domain: 0,
            plugged: false,
            probed: false,
            state: XenbusState::Initialising,
            seen: None,
            queues: Vec::new(),
            arriving: VecDeque::new(),
            sent: Vec::new(),
            script: Script::default(),
            offers: Vec::new(),
            error: None,
            strict: true,
            reversed: false,
            maps: false,
            headroom: 0,
            kept: Vec::new(),
        };
        backend.plug_in(host);
        backend
    }

    /// The guest's folder.
    pub(super) fn theirs(&self) -> String {
        format!("/local/domain/{}/device/vif/{}", guest(), self.id)
    }

    /// The back end's folder.
    pub(super) fn ours(&self) -> String {
        format!("/local/domain/{}/backend/vif/{}/{}", self.domain, guest(), self.id)
    }

    /// Makes the nodes that the toolstack makes.
    pub(super) fn plug_in(&mut self, host: &mut Host) {
        let (theirs, ours) = (self.theirs(), self.ours());
        let (id, domain, guest) =
            (self.id.to_string(), self.domain.to_string(), guest().to_string());
        let mac = format!("00:16:3e:00:00:{:02x}", self.id & 0xFF);
        let [owner, other] = [format!("n{domain}"), format!("r{guest}")];
        let store = &mut host.store;
        store.set_all(
            &ours,
            &[&owner, &other],
            &[
                ("frontend", &theirs),
                ("frontend-id", &guest),
                ("online", "1"),
                ("state", "1"),
                ("script", "/etc/xen/scripts/vif-bridge"),
                ("mac", &mac),
                ("bridge", "xenbr0"),
                ("handle", &id),
                ("type", "vif"),
            ],
        );
        let [owner, other] = [format!("n{guest}"), format!("r{domain}")];
        store.set_all(
            &theirs,
            &[&owner, &other],
            &[
                ("backend", &ours),
                ("backend-id", &domain),
                ("handle", &id),
                ("mac", &mac),
                ("mtu", "1500"),
                ("state", "1"),
            ],
        );
        (self.plugged, self.probed, self.seen) = (true, false, None);
        self.state = XenbusState::Initialising;
    }

    /// Everything is gone at once.
    pub(super) fn unplug(&mut self, host: &mut Host) {
        self.disconnect(host);
        self.plugged = false;
        host.store.unset(&self.theirs());
        host.store.unset(&self.ours());
    }

    /// Does what there is to do; whether anything happened.
    pub(in crate::fake) fn step(&mut self, host: &mut Host) -> bool {
        let mut busy = false;
        if self.plugged {
            if !self.probed {
                self.probe(&mut host.store);
                busy = true;
            }
            let generation = host.store.generation(&format!("{}/state", self.theirs()));
            if self.seen != generation {
                self.seen = generation;
                self.frontend_changed(host);
                busy = true;
            }
        }
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
                peer: self.domain,
                number,
                reversed: self.reversed,
                maps: self.maps,
                strict: self.strict,
                arriving: &mut self.arriving,
                sent: &mut self.sent,
                kept: &mut self.kept,
            });
        }
        self.queues = queues;
        busy
    }

    fn probe(&mut self, store: &mut Daemon) {
        self.probed = true;
        let ours = self.ours();
        for (name, value) in FEATURES {
            store.set(&format!("{ours}/{name}"), value);
        }
        for (name, value) in &self.offers {
            let path = format!("{ours}/{name}");
            match value {
                Some(value) => store.set(&path, value),
                None => store.unset(&path),
            }
        }
        self.say(XenbusState::Initialising, store);
    }

    fn say(&mut self, state: XenbusState, store: &mut Daemon) {
        self.state = state;
        store.set(&format!("{}/state", self.ours()), &(state as u32).to_string());
    }

    fn frontend_changed(&mut self, host: &mut Host) {
        let state = host.store.value(&format!("{}/state", self.theirs()));
        let online = host.store.value(&format!("{}/online", self.ours()));
        match state.as_deref() {
            Some("1") => self.go(XenbusState::InitWait, host),
            Some("3") => {}
            Some("4") => self.go(XenbusState::Connected, host),
            Some("5") => self.go(XenbusState::Closing, host),
            Some("6") if online.as_deref() == Some("1") => self.go(XenbusState::Closed, host),
            Some("6" | "0") | None => {
                self.go(XenbusState::Closed, host);
                // The device is not wanted any more; the toolstack removes it.
                self.unplug(host);
            }
            Some(other) => panic!("rule X12: the guest says state {other:?}"),
        }
    }

    /// Goes to `to` by the way that Linux takes.
    fn go(&mut self, to: XenbusState, host: &mut Host) {
        use XenbusState::{Closed, Closing, Connected, InitWait, Initialising};
        while self.state != to {
            let next = match (self.state, to) {
                (Initialising, Closed) => Closed,
                (Initialising, _) => InitWait,
                (Closed, Closing) => Closing,
                (Closed, _) => InitWait,
                (InitWait, Connected) => {
                    if let Err(error) = self.connect(host) {
                        self.error = Some(error);
                        self.disconnect(host);
                        self.say(Closing, &mut host.store);
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
            self.say(next, &mut host.store);
        }
    }

    fn number(&self, store: &Daemon, name: &str) -> Option<u32> {
        store.value(&format!("{}/{name}", self.theirs()))?.parse().ok()
    }

    fn connect(&mut self, host: &mut Host) -> Result<(), String> {
        let count = self.number(&host.store, "multi-queue-num-queues").unwrap_or(1);
        let most = host.store.value(&format!("{}/multi-queue-max-queues", self.ours()));
        let most = most.and_then(|most| most.parse().ok()).unwrap_or(1_u32);
        if !(1..=most.max(1)).contains(&count) {
            return Err(format!("the guest asks for {count} queues of {most}"));
        }
        if self.number(&host.store, "request-rx-copy") != Some(1) {
            return Err("the guest does not request rx-copy".into());
        }
        for queue in 0..count {
            let folder = if count == 1 { String::new() } else { format!("queue-{queue}/") };
            let number = |name: &str| {
                let name = format!("{folder}{name}");
                self.number(&host.store, &name).ok_or(format!("{name} is missing"))
            };
            let (tx, rx) = (number("tx-ring-ref")?, number("rx-ring-ref")?);
            let split =
                number("event-channel-tx").and_then(|tx| Ok((tx, number("event-channel-rx")?)));
            let (tx_port, rx_port) = match split {
                Ok(ports) => ports,
                Err(_) => number("event-channel").map(|port| (port, port))?,
            };
            self.map(host, tx, rx, tx_port, rx_port)?;
        }
        Ok(())
    }

    fn map(
        &mut self,
        host: &mut Host,
        tx: u32,
        rx: u32,
        tx_port: u32,
        rx_port: u32,
    ) -> Result<(), String> {
        let domain = self.domain;
        let refused = |what: &str, number: u32| {
            let text = format!("domain {domain} cannot use {what} {number} that the guest names");
            assert!(!self.strict, "rule G7: {text}");
            text
        };
        let tx =
            Back::attach(host, domain, &[tx], tx_port).map_err(|_| refused("tx-ring-ref", tx))?;
        let Ok(rx) = Back::attach(host, domain, &[rx], rx_port) else {
            host.grants.unmap(tx.references[0], true);
            return Err(refused("rx-ring-ref", rx));
        };
        let queue = Queue::new(tx, rx);
        let mut unbound = None;
        for port in queue.ports() {
            if host.events.bind(port, domain).is_err() {
                unbound = Some(refused("event channel", port));
            }
        }
        self.queues.push(queue);
        unbound.map_or(Ok(()), Err)
    }

    /// Lets go of the rings, unless it is to keep them.
    pub(super) fn disconnect(&mut self, host: &mut Host) {
        let keeps = self.script.has(|it| *it == Misdeed::KeepGrants);
        for mut queue in std::mem::take(&mut self.queues) {
            let rings = [queue.tx.references[0], queue.rx.references[0]].map(|it| (it, true));
            let pages = queue.mapped().into_iter().map(|it| (it, false));
            let all = rings.into_iter().chain(pages);
            if keeps {
                self.kept.extend(all);
            } else {
                all.for_each(|(reference, write)| host.grants.unmap(reference, write));
            }
            queue.ports().into_iter().for_each(|port| host.events.unbind(port));
        }
        self.arriving.clear();
    }

    /// Lets go of everything and says nothing.
    pub(in crate::fake) fn die(&mut self, host: &mut Host) {
        self.script.clear();
        self.disconnect(host);
        self.let_go(host);
    }

    /// Lets go of all that was kept.
    pub(super) fn let_go(&mut self, host: &mut Host) {
        for (reference, write) in std::mem::take(&mut self.kept) {
            host.grants.unmap(reference, write);
        }
    }

    /// A frame is to arrive.
    pub(super) fn deliver(&mut self, frame: &[u8], flags: RxFlags) {
        self.arriving.push_back(pieces(frame, self.headroom, flags));
    }
}
