//! How the back end comes and goes: its nodes in xenstore and the states, as in Linux's
//! drivers/block/xen-blkback/xenbus.c.

use super::super::events::raise;
use super::super::ring::Back;
use super::super::script::Script;
use super::super::store::Daemon;
use super::super::{Host, guest};
use super::Misdeed;
use super::data::{Link, Request, Work};
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
    /// The domain that it is in.
    pub(super) domain: u16,
    plugged: bool,
    probed: bool,
    pub(super) state: XenbusState,
    /// When the guest's state was last written, as far as it was looked at.
    seen: Option<u64>,
    link: Option<Link>,
    pub(super) disk: Vec<u8>,
    pub(super) requests: Vec<Request>,
    pub(super) mappings: usize,
    pub(super) script: Script<Misdeed>,
    /// What a test wants otherwise.
    pub(super) offers: Vec<(String, Option<String>)>,
    pub(super) error: Option<String>,
    pub(super) reversed: bool,
    pub(super) slow: bool,
    kept: Vec<u32>,
}

impl Backend {
    /// Plugs a disk in that holds 16 MiB of zeros, as `xl` does.
    pub(in crate::fake) fn plug(id: u32, host: &mut Host) -> Self {
        let mut backend = Self {
            id,
            domain: 0,
            plugged: false,
            probed: false,
            state: XenbusState::Initialising,
            seen: None,
            link: None,
            disk: vec![0; 16 << 20],
            requests: Vec::new(),
            mappings: 0,
            script: Script::default(),
            offers: Vec::new(),
            error: None,
            reversed: false,
            slow: false,
            kept: Vec::new(),
        };
        backend.plug_in(host);
        backend
    }

    /// The guest's folder.
    pub(super) fn theirs(&self) -> String {
        format!("/local/domain/{}/device/vbd/{}", guest(), self.id)
    }

    /// The back end's folder.
    pub(super) fn ours(&self) -> String {
        format!("/local/domain/{}/backend/vbd/{}/{}", self.domain, guest(), self.id)
    }

    /// The port of the connection, as the guest knows it.
    pub(super) fn port(&self) -> Option<u32> {
        self.link.as_ref().map(|link| link.ring.port)
    }

    /// Makes the nodes that the toolstack makes.
    pub(super) fn plug_in(&mut self, host: &mut Host) {
        let (theirs, ours) = (self.theirs(), self.ours());
        let (id, domain, guest) =
            (self.id.to_string(), self.domain.to_string(), guest().to_string());
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
                ("dev", "xvda"),
                ("mode", "w"),
                ("type", "phy"),
            ],
        );
        let [owner, other] = [format!("n{guest}"), format!("r{domain}")];
        store.set_all(
            &theirs,
            &[&owner, &other],
            &[
                ("backend", &ours),
                ("backend-id", &domain),
                ("virtual-device", &id),
                ("device-type", "disk"),
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
                self.probed = true;
                self.say_all(FIRST, &mut host.store);
                self.say(XenbusState::Initialising, &mut host.store);
                busy = true;
            }
            let generation = host.store.generation(&format!("{}/state", self.theirs()));
            if self.seen != generation {
                self.seen = generation;
                self.frontend_changed(host);
                busy = true;
            }
        }
        let Some(mut link) = self.link.take() else { return busy };
        for misdeed in self.script.take(|it| matches!(it, Misdeed::EventStorm(_))) {
            if let Misdeed::EventStorm(count) = misdeed
                && host.events.is_bound(link.ring.port)
            {
                (0..count).for_each(|_| raise(link.ring.port));
            }
        }
        let number = |name: &str, default| {
            let value = host.store.value(&format!("{}/{name}", self.ours()));
            value.and_then(|value| value.parse().ok()).unwrap_or(default)
        };
        let rules = [
            number("sector-size", 512),
            number("info", 0),
            number("feature-flush-cache", 0),
            number("feature-barrier", 0),
            number("feature-discard", 0),
            number("discard-granularity", 512),
            number("feature-max-indirect-segments", 0),
        ];
        busy |= link.step(&mut Work {
            host,
            script: &mut self.script,
            peer: self.domain,
            rules,
            reversed: self.reversed,
            slow: self.slow,
            disk: &mut self.disk,
            requests: &mut self.requests,
            mappings: &mut self.mappings,
        });
        self.link = Some(link);
        busy
    }

    /// Says these things, or what a test wants instead.
    fn say_all(&self, nodes: &[(&str, &str)], store: &mut Daemon) {
        let ours = self.ours();
        for (name, value) in nodes {
            store.set(&format!("{ours}/{name}"), value);
        }
        for (name, value) in &self.offers {
            let path = format!("{ours}/{name}");
            match value {
                Some(value) => store.set(&path, value),
                None => store.unset(&path),
            }
        }
    }

    fn say(&mut self, state: XenbusState, store: &mut Daemon) {
        self.state = state;
        store.set(&format!("{}/state", self.ours()), &(state as u32).to_string());
    }

    fn frontend_changed(&mut self, host: &mut Host) {
        use XenbusState::{Closed, Closing, Connected, InitWait, Initialising};
        let state = host.store.value(&format!("{}/state", self.theirs()));
        let online = host.store.value(&format!("{}/online", self.ours()));
        match (state.as_deref(), self.state) {
            (Some("1"), Initialising | Closed) => self.say(InitWait, &mut host.store),
            (Some("1"), _) => {}
            (Some("3" | "4"), InitWait) => match self.connect(host) {
                Ok(link) => {
                    self.link = Some(link);
                    self.say_all(FEATURES, &mut host.store);
                    let sectors = (self.disk.len() / 512).to_string();
                    if self.offers.iter().all(|(name, _)| name != "sectors") {
                        host.store.set(&format!("{}/sectors", self.ours()), &sectors);
                    }
                    self.say(Connected, &mut host.store);
                }
                Err(error) => {
                    self.error = Some(error);
                    self.say(Closing, &mut host.store);
                }
            },
            (Some("3" | "4"), _) => {}
            (Some("5"), _) => {
                self.disconnect(host);
                self.say(Closing, &mut host.store);
            }
            (Some("6"), _) if online.as_deref() == Some("1") => {
                self.disconnect(host);
                self.say(Closed, &mut host.store);
            }
            (Some("6" | "0") | None, _) => {
                self.disconnect(host);
                self.say(Closed, &mut host.store);
                // The device is not wanted any more; the toolstack removes it.
                self.unplug(host);
            }
            (Some(other), _) => panic!("rule X12: the guest says state {other:?}"),
        }
    }

    fn connect(&mut self, host: &mut Host) -> Result<Link, String> {
        let number = |name: &str| -> Option<u32> {
            host.store.value(&format!("{}/{name}", self.theirs()))?.parse().ok()
        };
        let protocol = host.store.value(&format!("{}/protocol", self.theirs()));
        if protocol.as_deref() != Some("x86_64-abi") {
            return Err(format!("the guest says protocol {protocol:?}"));
        }
        let value = host.store.value(&format!("{}/max-ring-page-order", self.ours()));
        let most = value.and_then(|value| value.parse().ok()).unwrap_or(0_u32);
        let order = number("ring-page-order").unwrap_or(0);
        if order > most {
            return Err(format!("the guest asks for a ring of order {order}"));
        }
        let references: Option<Vec<u32>> = match order {
            0 if most == 0 => number("ring-ref").map(|reference| vec![reference]),
            _ => (0..1 << order).map(|page| number(&format!("ring-ref{page}"))).collect(),
        };
        let references = references.ok_or("a ring-ref is missing")?;
        let port = number("event-channel").ok_or("event-channel is missing")?;
        let persistent = number("feature-persistent") == Some(1)
            && self
                .offers
                .iter()
                .rev()
                .find(|(name, _)| name == "feature-persistent")
                .is_none_or(|(_, value)| value.as_deref() == Some("1"));
        let ring = Back::attach(host, self.domain, &references, port)
            .map_err(|status| format!("rule G7: the ring cannot be mapped ({status})"))?;
        host.events.bind(port, self.domain).map_err(|_| "rule G7: the port is not ours")?;
        Ok(Link::new(ring, persistent))
    }

    /// Lets go of the ring and the pages, unless it is to keep them.
    fn disconnect(&mut self, host: &mut Host) {
        let keeps = self.script.has(|it| *it == Misdeed::KeepGrants);
        let Some(link) = self.link.take() else { return };
        host.events.unbind(link.ring.port);
        let all = link.ring.references.iter().copied().chain(link.mapped());
        if keeps {
            self.kept.extend(all);
        } else {
            all.for_each(|reference| host.grants.unmap(reference, true));
        }
    }

    /// Lets go of all that was kept.
    pub(super) fn let_go(&mut self, host: &mut Host) {
        for reference in std::mem::take(&mut self.kept) {
            host.grants.unmap(reference, true);
        }
    }
}
