//! A folder in memory, and what of it is on the disk below.

use super::super::{Above, Inode, Listing, Type};
use super::{Body, Node};
use crate::errno::Errno;
use crate::stop::{Boxed, Load, Pages, Stop, boxed};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use kernel::user::Frame;

/// A name that something was made for costs that much of the budget beside its bytes.
const ENTRY: usize = 128;

/// What is known of a folder.
#[derive(Default)]
pub(super) struct Folder {
    names: RefCell<BTreeMap<Box<[u8]>, Child>>,
    /// The folder that it is in, and its name there.
    up: RefCell<Option<Up>>,
    /// It was removed.
    pub(super) is_gone: Cell<bool>,
    /// The names on the disk, from when they were read until they are listed.
    listed: RefCell<Option<Listing>>,
}

/// The folder that a folder is in, and its name there.
type Up = (Weak<Node>, Box<[u8]>);

/// What is known of a name.
enum Child {
    Here(Rc<Node>, Origin),
    /// The disk has no such name.
    Absent,
    /// What the disk has is gone, which is charged as a name that was made.
    Removed,
}

/// Where a name is from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It means what it does on the disk, and costs nothing.
    Disk,
    /// It was made here, and the disk has none.
    Here,
    /// It was made here, and hides what the disk has.
    Both,
}

/// A name that has to be looked up on the disk, or all of them.
struct Missing {
    folder: Rc<Node>,
    name: Option<Box<[u8]>>,
}

impl Missing {
    fn stop(folder: &Weak<Node>, name: Option<&[u8]>) -> Stop {
        match folder.upgrade() {
            None => Errno::ENOENT.into(),
            Some(folder) => {
                let pages = Rc::new(Self { folder, name: name.map(Into::into) });
                Stop::Load(Load { pages, index: 0 })
            }
        }
    }
}

impl Pages for Missing {
    fn frame(&self, _: u64) -> Option<Frame> {
        None
    }

    fn size(&self) -> u64 {
        0
    }

    fn load(self: Rc<Self>, _: u64) -> Boxed<Result<(), Errno>> {
        boxed(async move {
            let node = &self.folder;
            let below = node.below.clone().ok_or(Errno::ENOENT)?;
            let folder = node.folder()?;
            let Some(name) = &self.name else {
                *folder.listed.borrow_mut() = Some(below.list().await?);
                return Ok(());
            };
            let child = match below.child(name.clone()).await? {
                None => Child::Absent,
                Some(found) => {
                    let target = if super::below::kind(found.attributes().sort) == Type::Link {
                        Rc::clone(&found).target().await?
                    } else {
                        Vec::new()
                    };
                    let node = Node::of_disk_with(&node.store, found, target.into());
                    Child::Here(node, Origin::Disk)
                }
            };
            let added = {
                let mut names = folder.names.borrow_mut();
                let is_new = !names.contains_key(name);
                if is_new {
                    if let Child::Here(child, _) = &child
                        && let Body::Folder(child) = &child.body
                    {
                        *child.up.borrow_mut() = Some((Weak::clone(&node.me), name.clone()));
                    }
                    names.insert(name.clone(), child);
                }
                is_new
            };
            if added {
                node.store.note_name(&node.me, name);
            }
            Ok(())
        })
    }

    fn dirty(&self, _: u64) -> Result<(), Errno> {
        Err(Errno::EACCES)
    }
}

impl Folder {
    pub(super) fn up(&self) -> Option<Above> {
        let up = self.up.borrow();
        let (folder, name) = up.as_ref()?;
        Some((folder.upgrade()?, name.clone()))
    }
}

impl Node {
    /// Finds a name in this folder.
    pub(super) fn child(&self, name: &[u8]) -> Result<Rc<Self>, Stop> {
        let folder = self.folder()?;
        match folder.names.borrow().get(name) {
            Some(Child::Here(node, _)) => Ok(Rc::clone(node)),
            Some(Child::Absent | Child::Removed) => Err(Errno::ENOENT.into()),
            None if self.below.is_none() || folder.is_gone.get() => Err(Errno::ENOENT.into()),
            None => Err(Missing::stop(&self.me, Some(name))),
        }
    }

    /// Lists this folder.
    pub(super) fn names(&self) -> Result<Listing, Stop> {
        let folder = self.folder()?;
        if folder.is_gone.get() {
            return Ok(Listing::default());
        }
        let mut all = match (folder.listed.take(), &self.below) {
            (Some(listed), _) => listed,
            (None, Some(_)) => return Err(Missing::stop(&self.me, None)),
            (None, None) => Listing::default(),
        };
        let names = folder.names.borrow();
        all.retain(|it| !matches!(names.get(it), Some(Child::Here(..) | Child::Removed)));
        for (name, child) in &*names {
            if let Child::Here(node, _) = child {
                let (_, number) = node.id();
                all.push(name, number, Some(node.kind()))?;
            }
        }
        all.sort();
        Ok(all)
    }

    /// Adds something to this folder, where nothing has that name.
    pub(super) fn insert(&self, name: &[u8], node: Rc<Self>) -> Result<(), Stop> {
        let folder = self.folder()?;
        match self.child(name) {
            Ok(_) => return Err(Errno::EEXIST.into()),
            Err(Stop::Fail(Errno::ENOENT)) => {}
            Err(stop) => return Err(stop),
        }
        if folder.is_gone.get() {
            return Err(Errno::ENOENT.into());
        }
        self.alter()?;
        self.charge(name)?;
        if let Body::Folder(_) = &node.body {
            self.count_folder(1);
        }
        Ok(self.replace(name, &node)?)
    }

    /// Takes what a name that is made here or removed costs of the budget, unless that is taken
    /// already. Returns how much it was.
    fn charge(&self, name: &[u8]) -> Result<usize, Errno> {
        let price = match self.folder()?.names.borrow().get(name) {
            Some(Child::Removed | Child::Here(_, Origin::Here | Origin::Both)) => 0,
            Some(Child::Absent | Child::Here(_, Origin::Disk)) | None => ENTRY + name.len(),
        };
        self.spend(price)?;
        Ok(price)
    }

    /// A folder in it was added or removed. On disks that do not count them there is one link.
    fn count_folder(&self, by: i32) {
        if self.links.get() > 1 {
            self.links.update(|it| it.saturating_add_signed(by));
        }
    }

    /// Takes a name out of this folder, whatever it is.
    fn take(&self, name: &[u8]) -> Result<(), Errno> {
        let folder = self.folder()?;
        self.alter()?;
        let is_here = {
            let names = folder.names.borrow();
            matches!(names.get(name), Some(Child::Here(_, Origin::Here)))
        };
        if is_here {
            let mut names = folder.names.borrow_mut();
            match self.below.is_some() {
                true => names.insert(name.into(), Child::Absent),
                false => names.remove(name),
            };
            drop(names);
            self.refund(ENTRY + name.len());
            if self.below.is_some() {
                self.store.note_name(&self.me, name);
            }
        } else {
            // What the disk has by that name stays hidden.
            self.charge(name)?;
            folder.names.borrow_mut().insert(name.into(), Child::Removed);
        }
        self.touch_content();
        Ok(())
    }

    /// Whether nothing is in this folder.
    fn is_empty(&self) -> Result<bool, Stop> {
        let folder = self.folder()?;
        let here = folder.names.borrow().values().any(|it| matches!(it, Child::Here(..)));
        Ok(!here && self.names()?.is_empty())
    }

    /// Removes a name.
    pub(super) fn unlink(&self, name: &[u8], is_folder: bool) -> Result<(), Stop> {
        let node = self.child(name)?;
        match (is_folder, node.kind() == Type::Folder) {
            (true, false) => return Err(Errno::ENOTDIR.into()),
            (false, true) => return Err(Errno::EISDIR.into()),
            (true, true) if !node.is_empty()? => return Err(Errno::ENOTEMPTY.into()),
            _ => {}
        }
        self.take(name)?;
        self.dropped(&node);
        Ok(())
    }

    /// One name less leads to `node`.
    fn dropped(&self, node: &Self) {
        if let Body::Folder(folder) = &node.body {
            folder.is_gone.set(true);
            *folder.up.borrow_mut() = None;
            node.links.set(0);
            self.count_folder(-1);
        } else {
            node.links.update(|it| it.saturating_sub(1));
        }
        node.touch();
    }

    /// Moves `name` to the folder `to`, as `new`.
    pub(super) fn move_to(
        &self,
        name: &[u8],
        to: &Self,
        new: &[u8],
        exchange: bool,
    ) -> Result<(), Stop> {
        let node = self.child(name)?;
        let other = match to.child(new) {
            Ok(other) => Some(other),
            Err(Stop::Fail(Errno::ENOENT)) => None,
            Err(stop) => return Err(stop),
        };
        if other.as_ref().is_some_and(|it| Rc::ptr_eq(it, &node)) {
            return Ok(());
        }
        if exchange && other.is_none() {
            return Err(Errno::ENOENT.into());
        }
        // A folder does not go into itself.
        if to.is_within(&node) || exchange && other.as_ref().is_some_and(|it| self.is_within(it)) {
            return Err(Errno::EINVAL.into());
        }
        if to.folder()?.is_gone.get() {
            return Err(Errno::ENOENT.into());
        }
        let is_folder = node.kind() == Type::Folder;
        if let Some(other) = other.as_ref().filter(|_| !exchange) {
            match (is_folder, other.kind() == Type::Folder) {
                (true, false) => return Err(Errno::ENOTDIR.into()),
                (false, true) => return Err(Errno::EISDIR.into()),
                (true, true) if !other.is_empty()? => return Err(Errno::ENOTEMPTY.into()),
                _ => {}
            }
        }
        for it in [Some(&node), other.as_ref()].into_iter().flatten() {
            it.alter()?;
        }
        self.alter()?;
        to.alter()?;
        let charged = to.charge(new)?;
        if exchange && let Some(other) = other {
            self.charge(name).inspect_err(|_| to.refund(charged))?;
            self.replace(name, &other)?;
            to.replace(new, &node)?;
            return Ok(());
        }
        self.take(name).inspect_err(|_| to.refund(charged))?;
        if is_folder {
            self.count_folder(-1);
            to.count_folder(1);
        }
        to.replace(new, &node)?;
        node.touch();
        if let Some(other) = other {
            to.dropped(&other);
        }
        Ok(())
    }

    /// Puts `node` at a name that was charged, whatever was there.
    fn replace(&self, name: &[u8], node: &Rc<Self>) -> Result<(), Errno> {
        if let Body::Folder(folder) = &node.body {
            *folder.up.borrow_mut() = Some((Weak::clone(&self.me), name.into()));
        }
        let mut names = self.folder()?.names.borrow_mut();
        let from = match names.get(name) {
            Some(Child::Removed | Child::Here(_, Origin::Disk | Origin::Both)) => Origin::Both,
            Some(Child::Absent | Child::Here(_, Origin::Here)) | None => Origin::Here,
        };
        let old = names.insert(name.into(), Child::Here(Rc::clone(node), from));
        drop(names);
        // What is dropped may look at the store.
        drop(old);
        self.touch_content();
        Ok(())
    }

    /// Whether this folder is `other`, or somewhere in it.
    fn is_within(&self, other: &Rc<Self>) -> bool {
        let mut here = self.me.upgrade();
        while let Some(node) = here {
            if Rc::ptr_eq(&node, other) {
                return true;
            }
            here = node
                .folder()
                .ok()
                .and_then(|it| it.up.borrow().as_ref().and_then(|(folder, _)| folder.upgrade()));
        }
        false
    }

    /// Forgets a name that is as on the disk, and returns what it meant.
    ///
    /// # Errors
    /// It is in use.
    pub(super) fn forget_name(&self, name: &[u8]) -> Result<Option<Rc<Self>>, ()> {
        let Ok(folder) = self.folder() else { return Ok(None) };
        let mut names = folder.names.borrow_mut();
        let is_used = match names.get(name) {
            Some(Child::Here(node, _)) => {
                // What was made or changed here never was on the list, or no longer is.
                if node.altered.get() || node.below.is_none() {
                    return Ok(None);
                }
                Rc::strong_count(node) > 1
                    || node.folder().is_ok_and(|it| !it.names.borrow().is_empty())
            }
            Some(Child::Absent) => false,
            Some(Child::Removed) | None => return Ok(None),
        };
        if is_used {
            return Err(());
        }
        Ok(match names.remove(name) {
            Some(Child::Here(node, _)) => Some(node),
            _ => None,
        })
    }
}
