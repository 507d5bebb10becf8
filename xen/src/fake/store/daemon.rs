//! What xenstored does with a request: nodes, watches and transactions
//! (Xen's docs/misc/xenstore.txt and tools/xenstored).

use super::super::guest;
use super::tree::{Change, Edit, Error, Tree, absolute, is_below};
use crate::DomId;
use crate::public::io::xs_wire::Kind;
use std::collections::BTreeMap;

/// `XS_RESET_WATCHES`.
const RESET_WATCHES: u32 = 21;

/// Limits what a guest may have, and the error beyond.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Watches (`E2BIG`).
    pub watches: usize,
    /// Open transactions (`ENOSPC`).
    pub transactions: usize,
    /// Nodes (`ENOSPC`).
    pub nodes: usize,
    /// Bytes of a value (`ENOSPC`).
    pub value: usize,
}

impl Default for Quota {
    /// Those of Xen 4.17.
    fn default() -> Self {
        Self { watches: 128, transactions: 10, nodes: 1000, value: 2048 }
    }
}

struct Watch {
    /// As the guest wrote it.
    path: String,
    absolute: String,
    token: Vec<u8>,
}

struct Transaction {
    tree: Tree,
    /// The generations of all that was looked at, before it was changed.
    seen: BTreeMap<String, Option<u64>>,
    edits: Vec<Edit>,
}

/// The state of xenstored, without its ring.
pub(super) struct Core {
    pub(super) tree: Tree,
    watches: Vec<Watch>,
    transactions: BTreeMap<u32, Transaction>,
    last_transaction: u32,
    pub(super) quota: Quota,
    /// Events of watches that are to be sent: payloads.
    pub(super) events: Vec<Vec<u8>>,
    /// Transactions that end in a collision, whatever they did.
    pub(super) collisions: u32,
}

/// A request's answer.
type Answer = Result<Vec<u8>, Error>;

/// Splits a payload into strings that end in a zero byte.
fn strings(payload: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let payload = payload.strip_suffix(b"\0").ok_or("EINVAL")?;
    Ok(payload.split(|&byte| byte == 0).collect())
}

fn ok() -> Answer {
    Ok(b"OK\0".into())
}

fn lines(items: &[String]) -> Vec<u8> {
    items.iter().flat_map(|item| [item.as_bytes(), b"\0"].concat()).collect()
}

impl Core {
    pub(super) fn new() -> Self {
        Self {
            tree: Tree::new(guest()),
            watches: Vec::new(),
            transactions: BTreeMap::new(),
            last_transaction: 0,
            quota: Quota::default(),
            events: Vec::new(),
            collisions: 0,
        }
    }

    /// The guest's watches: path and token.
    pub(super) fn watches(&self) -> Vec<(String, Vec<u8>)> {
        self.watches.iter().map(|watch| (watch.path.clone(), watch.token.clone())).collect()
    }

    pub(super) fn transactions(&self) -> usize {
        self.transactions.len()
    }

    /// Changes the tree and tells those who watch.
    pub(super) fn edit(&mut self, edit: &Edit, domain: DomId) -> Result<(), Error> {
        let changes = self.tree.edit(edit, domain)?;
        changes.iter().for_each(|change| self.fire(change));
        Ok(())
    }

    /// Tells those who watch.
    pub(super) fn fire(&mut self, change: &Change) {
        let Change { path, exact } = change;
        for watch in &self.watches {
            let concerns =
                if *exact { watch.absolute == *path } else { is_below(path, &watch.absolute) };
            if concerns {
                self.events.push(event(watch, path));
            }
        }
    }

    /// Carries out a request of the guest.
    pub(super) fn request(&mut self, kind: u32, transaction: u32, payload: &[u8]) -> Answer {
        let is = |known: Kind| kind == known as u32;
        if is(Kind::Watch) {
            return self.watch(payload);
        }
        if is(Kind::Unwatch) {
            let [path, token] = strings(payload)?[..] else { return Err("EINVAL") };
            let same = |it: &Watch| it.path.as_bytes() == path && it.token == token;
            let at = self.watches.iter().position(same).ok_or("ENOENT")?;
            self.watches.remove(at);
            return ok();
        }
        if kind == RESET_WATCHES {
            self.watches.clear();
            self.transactions.clear();
            return ok();
        }
        if is(Kind::GetDomainPath) {
            let [domain] = strings(payload)?[..] else { return Err("EINVAL") };
            let domain = std::str::from_utf8(domain).ok().and_then(|it| it.parse::<u16>().ok());
            let domain = domain.ok_or("EINVAL")?;
            return Ok(format!("/local/domain/{domain}\0").into());
        }
        if is(Kind::TransactionStart) {
            return self.start(transaction);
        }
        if is(Kind::TransactionEnd) {
            return self.end(transaction, payload);
        }
        if transaction != 0 && !self.transactions.contains_key(&transaction) {
            return Err("ENOENT");
        }
        if is(Kind::Write) {
            let at = payload.iter().position(|&byte| byte == 0).ok_or("EINVAL")?;
            let (path, value) = (&payload[..at], &payload[at + 1..]);
            let path = absolute(path, guest())?;
            if value.len() > self.quota.value {
                return Err("ENOSPC");
            }
            return self.change(transaction, Edit::Write(path, value.into()));
        }
        let mut fields = strings(payload)?;
        if fields.len() != 1 && !is(Kind::SetPerms) {
            return Err("EINVAL");
        }
        let path = absolute(fields.remove(0), guest())?;
        if is(Kind::Read) {
            Ok(self.readable(transaction, &path)?.get(&path).ok_or("ENOENT")?.value.clone())
        } else if is(Kind::Directory) {
            Ok(lines(&self.readable(transaction, &path)?.children(&path)))
        } else if is(Kind::GetPerms) {
            let tree = self.readable(transaction, &path)?;
            Ok(lines(&tree.get(&path).ok_or("ENOENT")?.permissions))
        } else if is(Kind::Mkdir) {
            self.change(transaction, Edit::Mkdir(path))
        } else if is(Kind::Rm) {
            self.change(transaction, Edit::Remove(path))
        } else if is(Kind::SetPerms) {
            let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
            let permissions = fields.into_iter().map(text).collect();
            self.change(transaction, Edit::Permissions(path, permissions))
        } else {
            Err("ENOSYS")
        }
    }

    fn watch(&mut self, payload: &[u8]) -> Answer {
        let [path, token] = strings(payload)?[..] else { return Err("EINVAL") };
        let absolute = absolute(path, guest())?;
        let path = String::from_utf8_lossy(path).into_owned();
        if self.watches.iter().any(|it| it.path == path && it.token == token) {
            return Err("EEXIST");
        }
        if self.watches.len() >= self.quota.watches {
            return Err("E2BIG");
        }
        let watch = Watch { path, absolute, token: token.into() };
        // The first event comes at once, behind the answer.
        self.events.push(event(&watch, &watch.absolute));
        self.watches.push(watch);
        ok()
    }

    fn start(&mut self, transaction: u32) -> Answer {
        if transaction != 0 {
            return Err("EBUSY");
        }
        if self.transactions.len() >= self.quota.transactions {
            return Err("ENOSPC");
        }
        self.last_transaction += 1;
        let (tree, seen) = (self.tree.clone(), BTreeMap::new());
        let edits = Vec::new();
        self.transactions.insert(self.last_transaction, Transaction { tree, seen, edits });
        Ok(format!("{}\0", self.last_transaction).into())
    }

    fn end(&mut self, transaction: u32, payload: &[u8]) -> Answer {
        let commit = match payload {
            b"T\0" => true,
            b"F\0" => false,
            _ => return Err("EINVAL"),
        };
        let transaction = self.transactions.remove(&transaction).ok_or("ENOENT")?;
        if !commit {
            return ok();
        }
        if self.collisions > 0 {
            self.collisions -= 1;
            return Err("EAGAIN");
        }
        let same =
            |(path, generation): (&String, &Option<u64>)| self.tree.generation(path) == *generation;
        if !transaction.seen.iter().all(same) {
            return Err("EAGAIN");
        }
        for edit in &transaction.edits {
            self.edit(edit, guest())?;
        }
        ok()
    }

    /// Returns the tree as the transaction sees it, if the guest may read `path`.
    fn readable(&mut self, transaction: u32, path: &str) -> Result<&Tree, Error> {
        let tree = match self.transactions.get_mut(&transaction) {
            Some(transaction) => {
                let generation = transaction.tree.generation(path);
                transaction.seen.entry(path.into()).or_insert(generation);
                &transaction.tree
            }
            None => &self.tree,
        };
        let node = tree.get(path).ok_or("ENOENT")?;
        if Tree::allows(node, guest(), 'r') { Ok(tree) } else { Err("EACCES") }
    }

    fn change(&mut self, transaction: u32, edit: Edit) -> Answer {
        let full = self.tree.owned(guest()) >= self.quota.nodes;
        if let Edit::Write(path, _) | Edit::Mkdir(path) = &edit
            && full
            && self.tree.get(path).is_none()
        {
            return Err("ENOSPC");
        }
        match self.transactions.get_mut(&transaction) {
            Some(transaction) => {
                for path in transaction.tree.touched(&edit) {
                    let generation = transaction.tree.generation(&path);
                    transaction.seen.entry(path).or_insert(generation);
                }
                transaction.tree.edit(&edit, guest())?;
                transaction.edits.push(edit);
            }
            None => self.edit(&edit, guest())?,
        }
        ok()
    }
}

/// The payload of an event, whose path is relative if the watch's is.
fn event(watch: &Watch, path: &str) -> Vec<u8> {
    let home = format!("/local/domain/{}/", guest());
    let is_relative = watch.path != watch.absolute;
    let path = path.strip_prefix(&home).filter(|_| is_relative).unwrap_or(path);
    [path.as_bytes(), b"\0", &watch.token, b"\0"].concat()
}
