//! File systems in memory, which may have a disk below.
//!
//! What is on the disk is read when it is asked for, and is never written: changes stay in
//! memory. A file is copied up page by page as it is written, a folder name by name. So an
//! overlay and a file system in memory are one mechanism, and a file keeps its number when it is
//! changed.

mod below;
mod content;
mod folder;
mod node;

pub use below::{Below, OnDisk};

use super::extras::Extras;
use super::{Slot, Statfs, Type, next_device};
use crate::errno::Errno;
use crate::memory::{Ram, Reclaim, is_tight};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::{Rc, Weak};
use content::Content;
use core::cell::{Cell, RefCell};
use folder::Folder;

/// What a name, an inode and a page take beside their bytes, in bytes, roughly.
const OVERHEAD: usize = 256;

/// The most names that are kept in memory only because they were looked up.
const NAMES: usize = 8192;

/// The same where memory is scarce: names that are kept in any case, or one of a path would be looked up
/// again and again.
const FEW: usize = 256;

/// The most bytes of pages of the disk's files that are kept in memory, where the machine does
/// not say how much memory it has.
const PAGES: usize = 64 << 20;

/// The memory that all file systems in memory may take together.
pub struct Budget {
    /// Whose caches give up pages before there is no room.
    ram: Rc<Ram>,
    limit: usize,
    used: Cell<usize>,
}

impl Budget {
    /// Makes one of `limit` bytes.
    #[must_use]
    pub fn new(ram: &Rc<Ram>, limit: usize) -> Rc<Self> {
        Rc::new(Self { ram: Rc::clone(ram), limit, used: Cell::new(0) })
    }

    /// Half of the machine's memory.
    #[must_use]
    pub fn of_machine(ram: &Rc<Ram>) -> Rc<Self> {
        let total = kernel::memory::stats().total;
        Self::new(ram, if total == 0 { 256 << 20 } else { total / 2 })
    }

    /// Returns how many bytes are taken.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.used.get()
    }

    fn spend(&self, bytes: usize) -> Result<(), Errno> {
        let used = self.used.get().saturating_add(bytes);
        if used > self.limit || !self.ram.has_room() {
            return Err(Errno::ENOSPC);
        }
        self.used.set(used);
        Ok(())
    }

    fn refund(&self, bytes: usize) {
        self.used.update(|it| it.saturating_sub(bytes));
    }
}

/// What could be forgotten, and is where room is needed.
#[derive(Default)]
struct Recent {
    /// Pages that are on the disk as well.
    pages: VecDeque<(Weak<Node>, u64)>,
    /// Names that are on the disk, or that are not.
    names: VecDeque<(Weak<Node>, Box<[u8]>)>,
}

/// One file system.
pub struct Store {
    device: u64,
    magic: u64,
    budget: Rc<Budget>,
    next: Cell<u64>,
    /// Files of the disk that have more than one name, by their number there.
    linked: RefCell<BTreeMap<u64, Weak<Node>>>,
    recent: RefCell<Recent>,
    /// The most bytes of pages that are kept in memory though they are on the disk.
    room: Cell<usize>,
}

/// A file, folder, link or device in memory.
pub struct Node {
    store: Rc<Store>,
    me: Weak<Self>,
    number: u64,
    kind: Type,
    special: u64,
    mode: Cell<u32>,
    uid: Cell<u32>,
    gid: Cell<u32>,
    links: Cell<u32>,
    accessed: Cell<u64>,
    modified: Cell<u64>,
    changed: Cell<u64>,
    born: u64,
    body: Body,
    below: Option<Rc<dyn Below>>,
    /// It is no longer as it is on the disk, and must not be forgotten.
    altered: Cell<bool>,
    /// What it costs of the budget beside its pages, in bytes.
    cost: Cell<usize>,
    slot: Slot,
    extras: Extras,
}

/// What it has by its type.
enum Body {
    Folder(Folder),
    File(Content),
    Link(Box<[u8]>),
    Other,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.store.budget.refund(self.cost.get());
    }
}

impl Reclaim for Store {
    fn reclaim(&self, pages: usize) -> usize {
        self.forget_pages(pages)
    }

    fn pages(&self) -> usize {
        self.recent.borrow().pages.len()
    }
}

/// Numbers of inodes that are on no disk begin here.
const FIRST: u64 = 1 << 32;

impl Store {
    fn make(magic: u64, budget: &Rc<Budget>) -> Rc<Self> {
        let total = kernel::memory::stats().total;
        Rc::new(Self {
            device: next_device(),
            magic,
            budget: Rc::clone(budget),
            next: Cell::new(FIRST),
            linked: RefCell::default(),
            recent: RefCell::default(),
            room: Cell::new(if total == 0 { PAGES } else { total / 4 }),
        })
    }

    /// Makes an empty one, and returns its root (tmpfs(5)).
    #[must_use]
    pub fn empty(budget: &Rc<Budget>, mode: u32) -> Rc<Node> {
        let store = Self::make(u64::from(linux_raw_sys::general::TMPFS_MAGIC), budget);
        Node::new(&store, Type::Folder, mode, (0, 0), 0, Body::folder())
    }

    /// Makes one over a disk, and returns its root. `ram` takes pages of the disk back when it
    /// has no others.
    #[must_use]
    pub fn over(budget: &Rc<Budget>, ram: &Ram, root: Rc<dyn Below>) -> Rc<Node> {
        let store = Self::make(u64::from(linux_raw_sys::general::OVERLAYFS_SUPER_MAGIC), budget);
        let cache: Rc<dyn Reclaim> = Rc::<Self>::clone(&store);
        ram.add(Rc::downgrade(&cache));
        Node::of_disk(&store, root)
    }

    fn number(&self) -> u64 {
        self.next.update(|it| it + 1);
        self.next.get()
    }

    fn statfs(&self) -> Statfs {
        let Budget { limit, ref used, .. } = *self.budget;
        let free = limit.saturating_sub(used.get()) as u64;
        Statfs {
            magic: self.magic,
            size: limit as u64,
            free,
            files: (limit / OVERHEAD) as u64,
            free_files: free / OVERHEAD as u64,
            device: self.device,
        }
    }

    /// Notes that a page could be forgotten later, and forgets others where there are too many.
    fn note_page(&self, node: &Weak<Node>, index: u64) {
        let mut recent = self.recent.borrow_mut();
        if recent.pages.try_reserve(1).is_err() {
            return;
        }
        let most = self.room.get() / kernel::user::PAGE;
        // Each may be passed over once, when it was used since.
        let mut tries = 64;
        while (recent.pages.len() >= most || is_tight()) && tries > 0 {
            tries -= 1;
            let Some((node, index)) = recent.pages.pop_front() else { break };
            let forgotten = node.upgrade().and_then(|it| it.forget_page(index));
            if forgotten == Some(false) {
                recent.pages.push_back((node, index));
            }
        }
        // Not before: it would be loaded again and again where memory is scarce for good.
        recent.pages.push_back((Weak::clone(node), index));
    }

    /// Forgets pages that are on the disk as well, and returns how many.
    fn forget_pages(&self, most: usize) -> usize {
        let Ok(mut recent) = self.recent.try_borrow_mut() else { return 0 };
        let mut gone = 0;
        // Each is passed over once where it was used since.
        for _ in 0..recent.pages.len().saturating_mul(2).min(most.saturating_mul(8)) {
            let Some((node, index)) = recent.pages.pop_front() else { break };
            match node.upgrade().and_then(|it| it.forget_page(index)) {
                Some(true) => gone += 1,
                Some(false) => recent.pages.push_back((node, index)),
                None => {}
            }
            if gone >= most {
                break;
            }
        }
        gone
    }

    /// Notes that a name could be forgotten, and forgets others where there are too many.
    fn note_name(&self, folder: &Weak<Node>, name: &[u8]) {
        let dropped = {
            let mut recent = self.recent.borrow_mut();
            if recent.names.try_reserve(1).is_err() {
                return;
            }
            recent.names.push_back((Weak::clone(folder), name.into()));
            let (mut dropped, mut tries) = (None, 8);
            let most = if is_tight() { FEW } else { NAMES };
            while recent.names.len() > most && tries > 0 && dropped.is_none() {
                tries -= 1;
                let Some((folder, name)) = recent.names.pop_front() else { break };
                match folder.upgrade().map(|it| it.forget_name(&name)) {
                    Some(Ok(node)) => dropped = node,
                    Some(Err(())) => recent.names.push_back((folder, name)),
                    None => {}
                }
            }
            dropped
        };
        // What is dropped may look at the store.
        drop(dropped);
    }
}
