//! Xenstored: the tree that all domains share, behind the guest's ring.

mod daemon;
mod tree;
mod wire;

use super::{Fake, with};
use crate::DomId;
use crate::evtchn::PortNumber;
use crate::public::io::xs_wire::Kind;
pub use daemon::Quota;
use tree::{Change, Edit};
pub(super) use wire::Daemon;

/// The guest's port to xenstored.
pub const PORT: PortNumber = PortNumber(1);

/// What to do wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misdeed {
    /// It has the number of another request.
    WrongId,
    /// It is of another type.
    WrongKind(u32),
    /// It belongs to another transaction.
    WrongTransaction,
    /// Its header says that it has this length.
    Length(u32),
    /// It ends after as many bytes of payload.
    Truncated(usize),
    /// It says something else.
    Payload(Vec<u8>),
    /// It is an error with this name.
    Refuse(String),
    /// It comes twice.
    Twice,
    /// It does not come.
    Never,
}

/// What dom0, the toolstack and a test see of xenstored.
#[derive(Clone, Copy, Debug)]
pub struct Store<'a> {
    _fake: &'a Fake,
}

fn daemon<T>(f: impl FnOnce(&mut Daemon) -> T) -> T {
    with(|state| f(&mut state.host.store))
}

impl<'a> Store<'a> {
    pub(super) const fn new(fake: &'a Fake) -> Self {
        Self { _fake: fake }
    }

    /// Sets a node's value, as dom0.
    ///
    /// # Panics
    /// When the path is no path.
    pub fn write(&self, path: &str, value: impl AsRef<[u8]>) {
        let path = absolute(path);
        let edit = Edit::Write(path, value.as_ref().into());
        daemon(|daemon| daemon.core.edit(&edit, DomId::DOM0)).expect("dom0 may write");
    }

    /// A node's value.
    #[must_use]
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        let path = absolute(path);
        daemon(|daemon| daemon.core.tree.get(&path).map(|node| node.value.clone()))
    }

    /// A node's value as text, which is empty when there is none.
    #[must_use]
    pub fn text(&self, path: &str) -> String {
        String::from_utf8_lossy(&self.read(path).unwrap_or_default()).into_owned()
    }

    /// Removes a node and all below it.
    pub fn rm(&self, path: &str) {
        let edit = Edit::Remove(absolute(path));
        // It may be gone already.
        let _ = daemon(|daemon| daemon.core.edit(&edit, DomId::DOM0));
    }

    /// The names below a node.
    #[must_use]
    pub fn list(&self, path: &str) -> Vec<String> {
        let path = absolute(path);
        daemon(|daemon| daemon.core.tree.children(&path))
    }

    /// A node's owner and permissions, such as `n1` and `r0`.
    #[must_use]
    pub fn permissions(&self, path: &str) -> Vec<String> {
        let path = absolute(path);
        let permissions =
            |daemon: &mut Daemon| daemon.core.tree.get(&path).map(|node| node.permissions.clone());
        daemon(permissions).unwrap_or_default()
    }

    /// Sets them.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn set_permissions(&self, path: &str, permissions: &[&str]) {
        let permissions = permissions.iter().map(|&it| it.into()).collect();
        let edit = Edit::Permissions(absolute(path), permissions);
        daemon(|daemon| daemon.core.edit(&edit, DomId::DOM0)).expect("the node is there");
    }

    /// How many watches the guest has.
    #[must_use]
    pub fn watches(&self) -> usize {
        self.guest_watches().len()
    }

    /// The guest's watches: path and token.
    #[must_use]
    pub fn guest_watches(&self) -> Vec<(String, Vec<u8>)> {
        daemon(|daemon| daemon.guest_watches())
    }

    /// How many transactions the guest has open.
    #[must_use]
    pub fn transactions(&self) -> usize {
        daemon(|daemon| daemon.transactions())
    }

    /// What the guest may have.
    pub fn set_quota(&self, quota: Quota) {
        daemon(|daemon| daemon.core.quota = quota);
    }

    /// Lets the ring's indices start here, before the guest uses it (rule X5).
    pub fn start_at(&self, requests: u32, responses: u32) {
        daemon(|daemon| daemon.start_at(requests, responses));
    }

    /// Lets the next `count` transactions collide.
    pub fn collide(&self, count: u32) {
        daemon(|daemon| daemon.core.collisions = count);
    }

    /// Does this wrong with every answer from now on.
    pub fn misbehave(&self, misdeed: Misdeed) {
        daemon(|daemon| daemon.script.always(misdeed));
    }

    /// Does this wrong once, after `skip` answers without it.
    pub fn misbehave_at(&self, skip: u32, misdeed: Misdeed) {
        daemon(|daemon| daemon.script.once(skip, misdeed));
    }

    /// Does no wrong any more.
    pub fn behave(&self) {
        daemon(|daemon| {
            daemon.script.clear();
            daemon.mute = false;
            daemon.piece = usize::MAX;
        });
    }

    /// Holds answers back until they are released.
    pub fn hold(&self) {
        daemon(|daemon| daemon.holding = true);
    }

    /// Sends the answers that were held back.
    pub fn release(&self) {
        daemon(|daemon| daemon.release(false));
    }

    /// Sends them in the opposite order.
    pub fn release_reversed(&self) {
        daemon(|daemon| daemon.release(true));
    }

    /// Sends at most `bytes` in one step (rule X4).
    pub fn deliver_at_most(&self, bytes: usize) {
        daemon(|daemon| daemon.piece = bytes);
    }

    /// Never notifies the guest, until it is told to [behave](Self::behave).
    pub fn lose_events(&self) {
        daemon(|daemon| daemon.mute = true);
    }

    /// Tells the guest, if it watches, that something at `path` changed.
    pub fn fire(&self, path: &str) {
        let change = Change { path: absolute(path), exact: false };
        daemon(|daemon| daemon.core.fire(&change));
    }

    /// Sends a message that answers nothing.
    pub fn inject(&self, kind: u32, id: u32, transaction: u32, payload: &[u8]) {
        daemon(|daemon| daemon.inject_message(kind, id, transaction, payload));
    }

    /// Sends an event of a watch with this payload (rule X6).
    pub fn inject_event(&self, payload: &[u8]) {
        self.inject(Kind::WatchEvent as u32, 0, 0, payload);
    }

    /// Sends `count` events for each of the guest's watches (rule X7).
    pub fn flood(&self, count: usize) {
        for (path, token) in self.guest_watches() {
            let payload = [path.as_bytes(), b"\0", &token, b"\0"].concat();
            (0..count).for_each(|_| self.inject_event(&payload));
        }
    }

    /// Sends bytes that may be no message.
    pub fn inject_bytes(&self, bytes: &[u8]) {
        daemon(|daemon| daemon.inject(bytes));
    }

    /// Sets the ring's error word (rule X15).
    pub fn set_error(&self, error: u32) {
        daemon(|daemon| daemon.set_error(error));
    }

    /// Sets the ring's connection word: 1 is that it is being connected anew.
    pub fn set_connection(&self, connection: u32) {
        daemon(|daemon| daemon.set_connection(connection));
    }

    /// Moves the daemon's consumer index and its producer index by these
    /// distances and stops (rule X3).
    pub fn break_indices(&self, consumer: u32, producer: u32) {
        daemon(|daemon| daemon.break_indices(consumer, producer));
    }

    /// Uses the ring no more, as a daemon that died.
    pub fn die(&self) {
        daemon(|daemon| daemon.stopped = true);
    }
}

/// For what is below `super`: the same as dom0's without a handle.
impl Daemon {
    pub(super) fn set(&mut self, path: &str, value: &str) {
        let edit = Edit::Write(path.into(), value.into());
        self.core.edit(&edit, DomId::DOM0).expect("dom0 may write");
    }

    pub(super) fn set_all(&mut self, path: &str, permissions: &[&str], values: &[(&str, &str)]) {
        self.set(path, "");
        let permissions = permissions.iter().map(|&it| it.into()).collect();
        self.core
            .edit(&Edit::Permissions(path.into(), permissions), DomId::DOM0)
            .expect("it is there");
        values.iter().for_each(|(name, value)| self.set(&format!("{path}/{name}"), value));
    }

    pub(super) fn unset(&mut self, path: &str) {
        // It may be gone already.
        let _ = self.core.edit(&Edit::Remove(path.into()), DomId::DOM0);
    }

    pub(super) fn value(&self, path: &str) -> Option<String> {
        let node = self.core.tree.get(path)?;
        Some(String::from_utf8_lossy(&node.value).into_owned())
    }

    /// When a node was last changed.
    pub(super) fn generation(&self, path: &str) -> Option<u64> {
        self.core.tree.generation(path)
    }
}

/// Tests may write the guest's paths as the guest does.
fn absolute(path: &str) -> String {
    tree::absolute(path.as_bytes(), super::guest()).expect("a path of xenstore")
}
