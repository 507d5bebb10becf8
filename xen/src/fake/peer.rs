//! The common behaviour of all back ends: their nodes in xenstore, attaching and detaching, and
//! what a test can make any of them do.

use super::grants::Grants;
use super::store::Daemon;
use super::{Fake, Host, guest, with};
use crate::DomId;
use crate::evtchn::PortNumber;
use crate::gnttab::GrantRef;
use crate::public::io::xenbus::XenbusState;

/// A class of devices, which has one kind of back end: its folder in xenstore, such as `vif`.
pub(super) type Class = &'static str;

/// A device, as xenstore knows it.
pub(super) struct Device {
    class: Class,
    id: u32,
    /// The domain that its back end is in.
    pub(super) domain: DomId,
    pub(super) state: XenbusState,
    /// Why it could not connect.
    pub(super) error: Option<String>,
    plugged: bool,
    probed: bool,
    /// It has no turn.
    asleep: bool,
    /// When the guest's state was last written, as far as it was looked at.
    seen: Option<u64>,
    /// What a test wants said otherwise.
    offers: Vec<(String, Option<String>)>,
    /// Grants that stay mapped against the rules, and whether for writing.
    pub(super) kept: Vec<(GrantRef, bool)>,
}

impl Device {
    pub(super) const fn new(class: Class, id: u32) -> Self {
        Self {
            class,
            id,
            domain: DomId::DOM0,
            state: XenbusState::Initialising,
            error: None,
            plugged: false,
            probed: false,
            asleep: false,
            seen: None,
            offers: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// The guest's folder.
    pub(super) fn theirs(&self) -> String {
        format!("/local/domain/{}/device/{}/{}", guest(), self.class, self.id)
    }

    /// The back end's folder.
    pub(super) fn ours(&self) -> String {
        format!("/local/domain/{}/backend/{}/{}/{}", self.domain, self.class, guest(), self.id)
    }

    /// Makes the nodes that the toolstack makes: those that all devices have, and these
    /// in the folders of the back end and of the guest.
    pub(super) fn plug_in(
        &mut self,
        ours: &[(&str, &str)],
        theirs: &[(&str, &str)],
        store: &mut Daemon,
    ) {
        let (back, front) = (self.ours(), self.theirs());
        let [domain, guest] = [self.domain, guest()].map(|domain| domain.to_string());
        let rights = |owner, other| [format!("n{owner}"), format!("r{other}")];
        let [owner, other] = rights(&domain, &guest);
        let all = [("frontend", &*front), ("frontend-id", &guest), ("online", "1"), ("state", "1")];
        store.set_all(&back, &[&owner, &other], &[&all, ours].concat());
        let [owner, other] = rights(&guest, &domain);
        let all = [("backend", &*back), ("backend-id", &domain), ("state", "1")];
        store.set_all(&front, &[&owner, &other], &[&all, theirs].concat());
        (self.plugged, self.probed, self.seen) = (true, false, None);
        self.state = XenbusState::Initialising;
    }

    /// Says these things, or what a test wants instead.
    pub(super) fn say_all(&self, nodes: &[(&str, &str)], store: &mut Daemon) {
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

    /// Goes to a state.
    pub(super) fn say(&mut self, state: XenbusState, store: &mut Daemon) {
        self.state = state;
        store.set(&format!("{}/state", self.ours()), &(state as u32).to_string());
    }

    /// A number that the guest says.
    pub(super) fn number(&self, name: &str, store: &Daemon) -> Option<u32> {
        store.value(&format!("{}/{name}", self.theirs()))?.parse().ok()
    }

    /// A number that the back end said.
    pub(super) fn said(&self, name: &str, store: &Daemon) -> Option<u64> {
        store.value(&format!("{}/{name}", self.ours()))?.parse().ok()
    }

    /// Whether a test decides what it says of this.
    pub(super) fn is_told(&self, name: &str) -> bool {
        self.offers.iter().any(|(other, _)| other == name)
    }

    /// Lets go of the grants of a connection, or keeps them.
    pub(super) fn unmap(
        &mut self,
        mapped: impl Iterator<Item = (GrantRef, bool)>,
        keeps: bool,
        grants: &mut Grants,
    ) {
        if keeps {
            self.kept.extend(mapped);
        } else {
            mapped.for_each(|(reference, write)| grants.unmap(reference, write));
        }
    }
}

/// A back end, of whichever class.
pub(super) trait Peer {
    fn device(&mut self) -> &mut Device;

    /// What it says from the start.
    fn first(&self) -> &'static [(&'static str, &'static str)];

    /// Makes its nodes.
    fn plug_in(&mut self, store: &mut Daemon);

    /// The guest says a state, or nothing any more.
    fn frontend_changed(&mut self, state: Option<&str>, host: &mut Host);

    /// Moves the rings on; whether anything happened.
    fn work(&mut self, host: &mut Host) -> bool;

    /// Ends the connection.
    fn disconnect(&mut self, host: &mut Host);

    /// Does no wrong any more.
    fn forget(&mut self);

    /// Lets go of all that was kept.
    fn let_go(&mut self, host: &mut Host) {
        let kept = std::mem::take(&mut self.device().kept);
        kept.into_iter().for_each(|(reference, write)| host.grants.unmap(reference, write));
    }

    /// Whether the domain has the device.
    fn is_plugged(&mut self) -> bool {
        self.device().plugged
    }

    /// Everything is gone at once.
    fn unplug(&mut self, host: &mut Host) {
        self.disconnect(host);
        let device = self.device();
        device.plugged = false;
        host.store.unset(&device.theirs());
        host.store.unset(&device.ours());
    }

    /// Lets go of everything and says nothing.
    fn die(&mut self, host: &mut Host) {
        self.forget();
        self.disconnect(host);
        self.let_go(host);
    }

    /// Does what there is to do; whether anything happened.
    fn step(&mut self, host: &mut Host) -> bool {
        let first = self.first();
        let device = self.device();
        let mut busy = false;
        if device.asleep {
            return false;
        }
        if device.plugged {
            if !device.probed {
                device.probed = true;
                device.say_all(first, &mut host.store);
                device.say(XenbusState::Initialising, &mut host.store);
                busy = true;
            }
            let path = format!("{}/state", device.theirs());
            let generation = host.store.generation(&path);
            if device.seen != generation {
                device.seen = generation;
                let state = host.store.value(&path);
                self.frontend_changed(state.as_deref(), host);
                busy = true;
            }
        }
        self.work(host) | busy
    }
}

/// Controls a back end of any class: the common part of [`Netback`](super::netback::Netback) and
/// [`Blkback`](super::blkback::Blkback).
#[derive(Clone, Copy, Debug)]
pub struct Handle<'a> {
    fake: &'a Fake,
    class: Class,
    pub(super) id: u32,
}

impl<'a> Handle<'a> {
    pub(super) const fn new(fake: &'a Fake, class: Class, id: u32) -> Self {
        Self { fake, class, id }
    }

    fn with<T>(self, f: impl FnOnce(&mut dyn Peer, &mut Host) -> T) -> T {
        with(|state| {
            let (peer, host) = state.peer(self.class, self.id);
            f(peer.expect("it was plugged in"), host)
        })
    }

    /// Returns the back end's directory in xenstore.
    #[must_use]
    pub fn path(self) -> String {
        self.with(|peer, _| peer.device().ours())
    }

    /// Returns the front end's directory in xenstore.
    #[must_use]
    pub fn front_path(self) -> String {
        self.with(|peer, _| peer.device().theirs())
    }

    /// Returns the state that it is in, which [`say_state`](Self::say_state) does not change.
    #[must_use]
    pub fn state(self) -> XenbusState {
        self.with(|peer, _| peer.device().state)
    }

    /// Returns why it could not connect.
    #[must_use]
    pub fn error(self) -> Option<String> {
        self.with(|peer, _| peer.device().error.clone())
    }

    /// Writes a node of its directory, now and whenever it is attached.
    pub fn offer(self, name: &str, value: &str) {
        self.with(|peer, _| peer.device().offers.push((name.into(), Some(value.into()))));
        self.fake.store().write(&format!("{}/{name}", self.path()), value);
    }

    /// Leaves out a node of its directory, now and whenever it is attached.
    pub fn withhold(self, name: &str) {
        self.with(|peer, _| peer.device().offers.push((name.into(), None)));
        self.fake.store().rm(&format!("{}/{name}", self.path()));
    }

    /// Announces any state, even `"77"` or `"x"` (rule X12).
    pub fn say_state(self, state: &str) {
        self.fake.store().write(&format!("{}/state", self.path()), state);
    }

    /// Writes into its own folder, without a word about it to itself.
    pub(super) fn write(self, name: &str, value: &str) {
        self.fake.store().write(&format!("{}/{name}", self.path()), value);
    }

    /// Writes a node of the front end's directory, as the toolstack may.
    pub fn write_front(self, name: &str, value: &str) {
        self.fake.store().write(&format!("{}/{name}", self.front_path()), value);
    }

    /// Raises an event of the guest.
    pub(super) fn raise(self, port: PortNumber) {
        self.fake.raise(port);
    }

    /// Whether the guest's folder says that it is able to do this.
    pub(super) fn guest_says(self, name: &str) -> bool {
        let value = self.fake.store().read(&format!("{}/{name}", self.front_path()));
        value.as_deref() == Some(b"1")
    }

    /// Ends all misdeeds, and releases what it kept.
    pub fn behave(self) {
        self.with(|peer, host| {
            peer.forget();
            peer.let_go(host);
        });
    }

    /// Stops it, as if its domain got no processor.
    pub fn sleep(self) {
        self.with(|peer, _| peer.device().asleep = true);
    }

    /// Continues after [`sleep`](Self::sleep).
    pub fn wake(self) {
        self.with(|peer, _| peer.device().asleep = false);
    }

    /// Detaches the device as `xl network-detach` and `xl block-detach` do. Its nodes are
    /// removed when both ends are closed.
    pub fn detach(self) {
        self.write("online", "0");
        self.say_state("5");
    }

    /// Releases everything and removes all nodes at once, without waiting for the front end.
    pub fn unplug(self) {
        self.with(|peer, host| peer.unplug(host));
    }

    /// Attaches the device again, as `xl network-attach` and `xl block-attach` do.
    pub fn plug(self) {
        self.with(|peer, host| peer.plug_in(&mut host.store));
    }

    /// Crashes, and starts again in domain `domain`.
    pub fn restart_in(self, domain: DomId) {
        self.with(|peer, host| {
            peer.unplug(host);
            peer.device().domain = domain;
            peer.plug_in(&mut host.store);
        });
    }

    /// Removes its directory, and keeps working (rule X12).
    pub fn vanish(self) {
        self.fake.store().rm(&self.path());
    }
}
