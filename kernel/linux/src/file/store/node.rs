//! An inode in memory.

use super::super::extras::Extras;
use super::super::{Above, Change, File, Inode, Listing, New, Slot, Stat, Statfs, Type, now};
use super::below::{Below, kind};
use super::content::Content;
use super::folder::Folder;
use super::{Body, FIRST, Node, OVERHEAD, Store};
use crate::errno::Errno;
use crate::file::{Caller, Credentials, Handle};
use crate::stop::Stop;
use alloc::boxed::Box;
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::cell::Cell;

impl Body {
    pub(super) fn folder() -> Self {
        Self::Folder(Folder::default())
    }
}

impl Node {
    /// Makes one that is on no disk.
    pub(super) fn new(
        store: &Rc<Store>,
        kind: Type,
        mode: u32,
        (uid, gid): (u32, u32),
        special: u64,
        body: Body,
    ) -> Rc<Self> {
        let (time, links) = (now(), if kind == Type::Folder { 2 } else { 1 });
        Rc::new_cyclic(|me| Self {
            store: Rc::clone(store),
            me: Weak::clone(me),
            number: store.number(),
            kind,
            special,
            mode: Cell::new(mode & 0o7777),
            uid: Cell::new(uid),
            gid: Cell::new(gid),
            links: Cell::new(links),
            accessed: Cell::new(time),
            modified: Cell::new(time),
            changed: Cell::new(time),
            born: time,
            body,
            below: None,
            altered: Cell::new(true),
            cost: Cell::new(0),
            slot: Slot::default(),
            extras: Extras::default(),
        })
    }

    /// Makes that of something on the disk, which is no link.
    pub(super) fn of_disk(store: &Rc<Store>, below: Rc<dyn Below>) -> Rc<Self> {
        Self::of_disk_with(store, below, Box::default())
    }

    /// Makes that of something on the disk, with the target if it is a link.
    pub(super) fn of_disk_with(
        store: &Rc<Store>,
        below: Rc<dyn Below>,
        target: Box<[u8]>,
    ) -> Rc<Self> {
        let it = below.attributes().clone();
        let kind = kind(it.sort);
        let body = match kind {
            Type::Folder => Body::folder(),
            Type::Regular => Body::File(Content::new(it.size)),
            Type::Link => Body::Link(target),
            _ => Body::Other,
        };
        let make = || {
            Rc::new_cyclic(|me| Self {
                store: Rc::clone(store),
                me: Weak::clone(me),
                number: if it.id == 0 { FIRST } else { it.id },
                kind,
                special: it.special,
                mode: Cell::new(it.mode & 0o7777),
                uid: Cell::new(it.uid),
                gid: Cell::new(it.gid),
                links: Cell::new(it.links.max(1)),
                accessed: Cell::new(it.accessed),
                modified: Cell::new(it.modified),
                changed: Cell::new(it.changed),
                born: it.born,
                body,
                below: Some(Rc::clone(&below)),
                altered: Cell::new(false),
                cost: Cell::new(0),
                slot: Slot::default(),
                extras: Extras::default(),
            })
        };
        if kind == Type::Folder || it.links < 2 {
            return make();
        }
        let known = store.linked.borrow().get(&it.id).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let made = make();
            let mut linked = store.linked.borrow_mut();
            linked.insert(it.id, Rc::downgrade(&made));
            if linked.len().is_power_of_two() {
                linked.retain(|_, it| it.strong_count() > 0);
            }
            made
        })
    }

    /// Makes a file that has no name (memfd_create(2)).
    ///
    /// # Errors
    /// `ENOSPC`.
    pub fn nameless(&self, mode: u32, uid: u32, gid: u32) -> Result<Rc<Self>, Errno> {
        let body = Body::File(Content::new(0));
        let it = Self::new(&self.store, Type::Regular, mode, (uid, gid), 0, body);
        it.spend(OVERHEAD)?;
        it.links.set(0);
        Ok(it)
    }

    /// Gives back pages of its file system that are on the disk as well.
    #[cfg(test)]
    pub(crate) fn reclaim(&self, pages: usize) -> usize {
        crate::memory::Reclaim::reclaim(&*self.store, pages)
    }

    /// Takes bytes of the budget for as long as the inode is there.
    pub(super) fn spend(&self, bytes: usize) -> Result<(), Errno> {
        self.store.budget.spend(bytes)?;
        self.cost.update(|it| it + bytes);
        Ok(())
    }

    pub(super) fn refund(&self, bytes: usize) {
        self.store.budget.refund(bytes);
        self.cost.update(|it| it.saturating_sub(bytes));
    }

    /// It is other than on the disk from now on.
    ///
    /// # Errors
    /// `ENOSPC`: a change of something on the disk takes memory.
    pub(super) fn alter(&self) -> Result<(), Errno> {
        if !self.altered.get() {
            self.spend(OVERHEAD)?;
            self.altered.set(true);
        }
        Ok(())
    }

    /// Notes the time of a change of the inode.
    pub(super) fn touch(&self) {
        self.changed.set(now());
    }

    /// Notes the time of a change of the content.
    pub(super) fn touch_content(&self) {
        let time = now();
        self.modified.set(time);
        self.changed.set(time);
    }

    /// Notes the time of a read where the last one was before the last change, as with the mount
    /// option `relatime`. A clock that is read with each byte would cost more than the byte.
    pub(super) fn touch_access(&self) {
        let accessed = self.accessed.get();
        if accessed <= self.modified.get() || accessed <= self.changed.get() {
            self.accessed.set(now().max(accessed + 1));
        }
    }

    /// A write takes away what would give the writer the owner's rights (inode(7)).
    pub(super) fn drop_privileges(&self, who: &Credentials) {
        if !who.root {
            self.mode.set(who.mode_of_other(&Inode::stat(self)));
        }
    }

    pub(super) const fn folder(&self) -> Result<&Folder, Errno> {
        match &self.body {
            Body::Folder(folder) => Ok(folder),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub(super) const fn content(&self) -> Option<&Content> {
        match &self.body {
            Body::File(content) => Some(content),
            _ => None,
        }
    }
}

impl Inode for Node {
    fn id(&self) -> (u64, u64) {
        (self.store.device, self.number)
    }

    fn kind(&self) -> Type {
        self.kind
    }

    fn stat(&self) -> Stat {
        let (size, blocks) = match &self.body {
            Body::File(content) => (content.size(), content.blocks()),
            Body::Link(target) => (target.len() as u64, 0),
            Body::Folder(_) => (4096, 8),
            Body::Other => (0, 0),
        };
        Stat {
            device: self.store.device,
            inode: self.number,
            kind: self.kind,
            mode: self.mode.get(),
            links: self.links.get().into(),
            uid: self.uid.get(),
            gid: self.gid.get(),
            special: self.special,
            size,
            block: 4096,
            blocks,
            accessed: self.accessed.get(),
            modified: self.modified.get(),
            changed: self.changed.get(),
            born: self.born,
        }
    }

    fn lookup(&self, _: &dyn Caller, name: &[u8]) -> Result<Rc<dyn Inode>, Stop> {
        Ok(self.child(name)?)
    }

    fn up(&self) -> Option<Above> {
        self.folder().ok()?.up()
    }

    fn is_gone(&self) -> bool {
        self.folder().is_ok_and(|it| it.is_gone.get())
    }

    fn list(&self, caller: &dyn Caller) -> Result<Listing, Stop> {
        caller.memory().ram().check_under_way()?;
        let listed = self.names()?;
        self.touch_access();
        Ok(listed)
    }

    fn read_link(&self, _: &dyn Caller) -> Result<Vec<u8>, Stop> {
        match &self.body {
            Body::Link(target) => Ok(target.to_vec()),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn open(self: Rc<Self>, _: &dyn Caller, _: u32) -> Result<Rc<dyn File>, Stop> {
        match self.body {
            Body::File(_) => Ok(self),
            Body::Folder(_) => Ok(Handle::new(self, Errno::EISDIR)),
            Body::Link(_) => Err(Errno::ELOOP.into()),
            Body::Other => Err(Errno::ENXIO.into()),
        }
    }

    fn has_driver(&self) -> bool {
        matches!(self.kind, Type::Character | Type::Block | Type::Pipe)
    }

    fn create(
        &self,
        caller: &dyn Caller,
        name: &[u8],
        new: New<'_>,
        mode: u32,
    ) -> Result<Rc<dyn Inode>, Stop> {
        let who = caller.credentials();
        let above = Inode::stat(self);
        let gid = who.group_in(&above);
        let (kind, special, body, mode) = match new {
            New::File => (Type::Regular, 0, Body::File(Content::new(0)), mode),
            New::Folder => (Type::Folder, 0, Body::folder(), mode | above.mode & 0o2000),
            New::Link(target) => {
                let mut copy = Vec::new();
                copy.try_reserve_exact(target.len()).map_err(|_| Errno::ENOMEM)?;
                copy.extend_from_slice(target);
                (Type::Link, 0, Body::Link(copy.into()), 0o777)
            }
            New::Pipe => (Type::Pipe, 0, Body::Other, mode),
            New::Socket => (Type::Socket, 0, Body::Other, mode),
            New::Character(number) => (Type::Character, number, Body::Other, mode),
            New::Block(number) => (Type::Block, number, Body::Other, mode),
        };
        let extra = if let New::Link(target) = new { target.len() } else { 0 };
        let node = Self::new(&self.store, kind, mode, (who.uid, gid), special, body);
        node.spend(OVERHEAD + extra)?;
        self.insert(name, Rc::clone(&node))?;
        Ok(node)
    }

    fn link(&self, name: &[u8], node: &Rc<dyn Inode>) -> Result<(), Stop> {
        let node: &Self = node.any().downcast_ref().ok_or(Errno::EXDEV)?;
        if !Rc::ptr_eq(&node.store, &self.store) {
            return Err(Errno::EXDEV.into());
        }
        if node.links.get() >= 65_000 {
            return Err(Errno::EMLINK.into());
        }
        node.alter()?;
        self.insert(name, node.me.upgrade().ok_or(Errno::ENOENT)?)?;
        node.links.update(|it| it + 1);
        node.touch();
        Ok(())
    }

    fn remove(&self, _: &dyn Caller, name: &[u8], folder: bool) -> Result<(), Stop> {
        self.unlink(name, folder)
    }

    fn rename(
        &self,
        _: &dyn Caller,
        name: &[u8],
        to: &Rc<dyn Inode>,
        new: &[u8],
        exchange: bool,
    ) -> Result<(), Stop> {
        let to: &Self = to.any().downcast_ref().ok_or(Errno::EXDEV)?;
        if !Rc::ptr_eq(&to.store, &self.store) {
            return Err(Errno::EXDEV.into());
        }
        self.move_to(name, to, new, exchange)
    }

    fn set(&self, change: &Change) -> Result<(), Stop> {
        self.alter()?;
        if let Some(mode) = change.mode {
            self.mode.set(mode & 0o7777);
        }
        self.uid.set(change.uid.unwrap_or(self.uid.get()));
        self.gid.set(change.gid.unwrap_or(self.gid.get()));
        self.touch();
        self.accessed.set(change.accessed.unwrap_or(self.accessed.get()));
        self.modified.set(change.modified.unwrap_or(self.modified.get()));
        Ok(())
    }

    fn resize(&self, size: u64) -> Result<(), Stop> {
        self.set_size(size)
    }

    fn file(&self) -> Option<Rc<dyn File>> {
        self.content()?;
        let me = self.me.upgrade()?;
        Some(me)
    }

    fn system(&self) -> Statfs {
        self.store.statfs()
    }

    fn slot(&self) -> Option<&Slot> {
        Some(&self.slot)
    }

    fn extras(&self) -> Option<&Extras> {
        Some(&self.extras)
    }

    fn any(&self) -> &dyn Any {
        self
    }
}
