//! xenstored: the tree, and its end of the guest's ring.

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

/// Names a violation of the protocol to commit with a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misdeed {
    /// Use the id of another request.
    WrongId,
    /// Use another type.
    WrongKind(u32),
    /// Use another transaction.
    WrongTransaction,
    /// Claim this length in the header.
    Length(u32),
    /// End after this many bytes of payload.
    Truncated(usize),
    /// Use this payload.
    Payload(Vec<u8>),
    /// Reply with the error of this name.
    Refuse(String),
    /// Send it twice.
    Twice,
    /// Send nothing.
    Never,
}

/// Controls xenstored, and accesses its tree as dom0.
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
    /// If the path is invalid.
    pub fn write(&self, path: &str, value: impl AsRef<[u8]>) {
        let path = absolute(path);
        let edit = Edit::Write(path, value.as_ref().into());
        daemon(|daemon| daemon.core.edit(&edit, DomId::DOM0)).expect("dom0 may write");
    }

    /// Returns a node's value, or `None` if there is no such node.
    #[must_use]
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        let path = absolute(path);
        daemon(|daemon| daemon.core.tree.get(&path).map(|node| node.value.clone()))
    }

    /// Returns a node's value as text, which is empty if there is no such node.
    #[must_use]
    pub fn text(&self, path: &str) -> String {
        String::from_utf8_lossy(&self.read(path).unwrap_or_default()).into_owned()
    }

    /// Removes a node and everything below it.
    pub fn rm(&self, path: &str) {
        let edit = Edit::Remove(absolute(path));
        // It may be gone already.
        let _ = daemon(|daemon| daemon.core.edit(&edit, DomId::DOM0));
    }

    /// Returns the names of the children of a node.
    #[must_use]
    pub fn list(&self, path: &str) -> Vec<String> {
        let path = absolute(path);
        daemon(|daemon| daemon.core.tree.children(&path))
    }

    /// Returns a node's owner and permissions, such as `n1` and `r0`.
    #[must_use]
    pub fn permissions(&self, path: &str) -> Vec<String> {
        let path = absolute(path);
        let permissions =
            |daemon: &mut Daemon| daemon.core.tree.get(&path).map(|node| node.permissions.clone());
        daemon(permissions).unwrap_or_default()
    }

    /// Sets a node's owner and permissions.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn set_permissions(&self, path: &str, permissions: &[&str]) {
        let permissions = permissions.iter().map(|&it| it.into()).collect();
        let edit = Edit::Permissions(absolute(path), permissions);
        daemon(|daemon| daemon.core.edit(&edit, DomId::DOM0)).expect("the node is there");
    }

    /// Returns the number of watches of the guest.
    #[must_use]
    pub fn watches(&self) -> usize {
        self.guest_watches().len()
    }

    /// Returns path and token of each watch of the guest.
    #[must_use]
    pub fn guest_watches(&self) -> Vec<(String, Vec<u8>)> {
        daemon(|daemon| daemon.guest_watches())
    }

    /// Returns the number of open transactions of the guest.
    #[must_use]
    pub fn transactions(&self) -> usize {
        daemon(|daemon| daemon.transactions())
    }

    /// Sets the guest's quota.
    pub fn set_quota(&self, quota: Quota) {
        daemon(|daemon| daemon.core.quota = quota);
    }

    /// Sets the indices of both rings, before the guest uses them (rule X5).
    pub fn start_at(&self, requests: u32, responses: u32) {
        daemon(|daemon| daemon.start_at(requests, responses));
    }

    /// Rejects the commit of the next `count` transactions (`EAGAIN`).
    pub fn collide(&self, count: u32) {
        daemon(|daemon| daemon.core.collisions = count);
    }

    /// Commits this misdeed with each reply from now on.
    pub fn misbehave(&self, misdeed: Misdeed) {
        daemon(|daemon| daemon.script.always(misdeed));
    }

    /// Commits this misdeed once, after `skip` replies without it.
    pub fn misbehave_at(&self, skip: u32, misdeed: Misdeed) {
        daemon(|daemon| daemon.script.once(skip, misdeed));
    }

    /// Ends all misdeeds.
    pub fn behave(&self) {
        daemon(|daemon| {
            daemon.script.clear();
            daemon.mute = false;
            daemon.piece = usize::MAX;
        });
    }

    /// Holds back replies until [`release`](Self::release).
    pub fn hold(&self) {
        daemon(|daemon| daemon.holding = true);
    }

    /// Sends the replies that were held back.
    pub fn release(&self) {
        daemon(|daemon| daemon.release(false));
    }

    /// Sends the replies that were held back, in reverse order.
    pub fn release_reversed(&self) {
        daemon(|daemon| daemon.release(true));
    }

    /// Sends at most `bytes` bytes in each step (rule X4).
    pub fn deliver_at_most(&self, bytes: usize) {
        daemon(|daemon| daemon.piece = bytes);
    }

    /// Stops notifying the guest until [`behave`](Self::behave).
    pub fn lose_events(&self) {
        daemon(|daemon| daemon.mute = true);
    }

    /// Fires the guest's watches of `path`.
    pub fn fire(&self, path: &str) {
        let change = Change { path: absolute(path), exact: false };
        daemon(|daemon| daemon.core.fire(&change));
    }

    /// Sends a message that is no reply to a request.
    pub fn inject(&self, kind: u32, id: u32, transaction: u32, payload: &[u8]) {
        daemon(|daemon| daemon.inject_message(kind, id, transaction, payload));
    }

    /// Sends a watch event with this payload (rule X6).
    pub fn inject_event(&self, payload: &[u8]) {
        self.inject(Kind::WatchEvent as u32, 0, 0, payload);
    }

    /// Fires each watch of the guest `count` times (rule X7).
    pub fn flood(&self, count: usize) {
        for (path, token) in self.guest_watches() {
            let payload = [path.as_bytes(), b"\0", &token, b"\0"].concat();
            (0..count).for_each(|_| self.inject_event(&payload));
        }
    }

    /// Sends bytes that need not be a message.
    pub fn inject_bytes(&self, bytes: &[u8]) {
        daemon(|daemon| daemon.inject(bytes));
    }

    /// Sets the field `error` of the page (rule X15).
    pub fn set_error(&self, error: u32) {
        daemon(|daemon| daemon.set_error(error));
    }

    /// Sets the field `connection` of the page: 1 means that the ring is being reset.
    pub fn set_connection(&self, connection: u32) {
        daemon(|daemon| daemon.set_connection(connection));
    }

    /// Moves the daemon's consumer index and producer index by these distances, and stops (rule
    /// X3).
    pub fn break_indices(&self, consumer: u32, producer: u32) {
        daemon(|daemon| daemon.break_indices(consumer, producer));
    }

    /// Stops using the ring, as a daemon that crashed.
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
