//! The tree of all files: what is mounted where, and how a path is walked
//! (path_resolution(7)).

use super::uses::Use;
use super::{
    Caller, Context, Counted, File, Handle, Inode, LONGEST_NAME, New, Open, Place, Type, admit,
    notify,
};
use crate::errno::Errno;
use crate::stop::{Stop, loaded};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use linux_raw_sys::general as abi;
use linux_raw_sys::general::{
    O_ACCMODE, O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOATIME, O_NOFOLLOW, O_PATH, O_RDONLY,
    O_TRUNC,
};

/// The longest path in bytes, with the NUL at its end (`PATH_MAX`).
pub const LONGEST_PATH: usize = 4096;

/// The most symbolic links that are followed for one path (`MAXSYMLINKS`).
const LINKS: u32 = 40;

/// The most mounts.
const MOUNTS: usize = 64;

bitflags::bitflags! {
    /// How a path is walked: what `AT_*`, `O_*` and `RESOLVE_*` ask for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Walk: u32 {
        /// A symbolic link at the end is followed.
        const FOLLOW = 1;
        /// An empty path is the folder, or whatever it is, itself (`AT_EMPTY_PATH`).
        const EMPTY = 2;
        /// `RESOLVE_NO_XDEV`
        const NO_MOUNTS = 4;
        /// `RESOLVE_NO_MAGICLINKS`
        const NO_MAGIC = 8;
        /// `RESOLVE_NO_SYMLINKS`
        const NO_LINKS = 16;
        /// `RESOLVE_BENEATH`
        const BENEATH = 32;
        /// `RESOLVE_IN_ROOT`
        const IN_ROOT = 64;
        /// `RESOLVE_CACHED`
        const CACHED = 128;
        /// The name at the end is what is made, removed or changed: a link there is not followed,
        /// also not with a slash behind it.
        const NAME = 256;
    }
}

/// Something mounted.
pub struct Mount {
    /// Where; `None` for the root of the tree.
    pub at: Option<Place>,
    /// The root of what is mounted.
    pub root: Rc<dyn Inode>,
    /// Its type, as `/proc/mounts` has it.
    pub kind: &'static str,
}

/// Opens a device, or a pipe with a name.
pub type Driver = Rc<dyn Fn(&dyn Caller, u32, &Place) -> Result<Rc<dyn File>, Stop>>;

/// The tree of all files.
pub struct Tree {
    mounts: RefCell<Vec<Mount>>,
    /// The drivers of character devices, by the numbers of the first and the last one.
    drivers: RefCell<Vec<(u64, u64, Driver)>>,
    pipes: RefCell<Option<Driver>>,
}

/// Where a walk ended.
pub struct Found {
    /// What is there, if there is something.
    pub node: Option<Rc<dyn Inode>>,
    /// The folder that the last name is in; `None` where the path had none.
    pub folder: Option<Rc<dyn Inode>>,
    /// The last name; empty where there is none, or where it is `.` or `..`.
    pub name: Box<[u8]>,
    /// The path ends with a slash: only a folder will do.
    pub slash: bool,
}

impl Found {
    fn at(node: Rc<dyn Inode>) -> Self {
        Self { node: Some(node), folder: None, name: Box::default(), slash: false }
    }

    /// Returns where that is.
    ///
    /// # Errors
    /// `ENOENT` if nothing is there, `ENOTDIR` if it had to be a folder.
    pub fn place(self) -> Result<Place, Errno> {
        let node = self.node.ok_or(Errno::ENOENT)?;
        if self.slash && node.kind() != Type::Folder {
            return Err(Errno::ENOTDIR);
        }
        Ok(Place { node, folder: self.folder, name: self.name })
    }
}

impl Tree {
    /// Makes one with this root.
    #[must_use]
    pub fn new(root: Rc<dyn Inode>, kind: &'static str) -> Self {
        let mounts = alloc::vec![Mount { at: None, root, kind }];
        Self {
            mounts: RefCell::new(mounts),
            drivers: RefCell::default(),
            pipes: RefCell::default(),
        }
    }

    /// Adds what opens the character devices from `first` to `last`.
    pub fn add_driver(&self, first: u64, last: u64, driver: Driver) {
        self.drivers.borrow_mut().push((first, last, driver));
    }

    /// Says what opens pipes with a name.
    pub fn set_pipes(&self, driver: Driver) {
        *self.pipes.borrow_mut() = Some(driver);
    }

    fn driver(&self, node: &Rc<dyn Inode>) -> Result<Driver, Errno> {
        match node.kind() {
            Type::Pipe => self.pipes.borrow().clone().ok_or(Errno::ENXIO),
            Type::Character => {
                let number = node.stat().special;
                let drivers = self.drivers.borrow();
                let mut fitting = drivers.iter().filter(|it| (it.0..=it.1).contains(&number));
                fitting.next().map(|(_, _, it)| Rc::clone(it)).ok_or(Errno::ENXIO)
            }
            _ => Err(Errno::ENXIO),
        }
    }

    /// Replaces the root. What was mounted is so no longer.
    pub fn set_root(&self, root: Rc<dyn Inode>, kind: &'static str) {
        let mut mounts = self.mounts.borrow_mut();
        mounts.clear();
        mounts.push(Mount { at: None, root, kind });
    }

    /// Returns the root.
    #[must_use]
    pub fn root(&self) -> Rc<dyn Inode> {
        Rc::clone(&self.mounts.borrow()[0].root)
    }

    /// Calls `each` for all mounts, with their paths.
    pub fn mounts(&self, mut each: impl FnMut(&[u8], &Mount)) {
        let context = Context::new();
        for mount in &*self.mounts.borrow() {
            let path = match &mount.at {
                None => b"/".to_vec(),
                Some(place) => self.path(&context, place).unwrap_or_default(),
            };
            each(&path, mount);
        }
    }

    /// Mounts `root` at a path, and makes the folders on the way that are not there.
    ///
    /// # Errors
    /// As of mkdir(2), and `ENOMEM` for too many.
    pub async fn mount(
        &self,
        caller: &dyn Caller,
        path: &[u8],
        root: Rc<dyn Inode>,
        kind: &'static str,
    ) -> Result<(), Errno> {
        let place = loaded(|| self.make_folders(caller, path)).await?;
        let mut mounts = self.mounts.borrow_mut();
        if mounts.len() >= MOUNTS {
            return Err(Errno::ENOMEM);
        }
        mounts.push(Mount { at: Some(place), root, kind });
        Ok(())
    }

    /// Finds a folder, and makes it and those that it is in where they are not there.
    ///
    /// # Errors
    /// As of mkdir(2).
    pub fn make_folders(&self, caller: &dyn Caller, path: &[u8]) -> Result<Place, Stop> {
        let ends = path.iter().enumerate().filter(|&(at, &byte)| at > 0 && byte == b'/');
        let ends: Vec<usize> = ends.map(|(at, _)| at).chain([path.len()]).collect();
        for &end in &ends {
            match self.make(caller, None, &path[..end], New::Folder, 0o755) {
                Ok(_) | Err(Stop::Fail(Errno::EEXIST)) => {}
                Err(stop) => return Err(stop),
            }
        }
        let place = self.find(caller, None, path, Walk::FOLLOW)?;
        if place.node.kind() == Type::Folder { Ok(place) } else { Err(Errno::ENOTDIR.into()) }
    }

    /// Returns what is mounted on `node`, or itself.
    fn mounted(&self, mut node: Rc<dyn Inode>, walk: Walk) -> Result<Rc<dyn Inode>, Errno> {
        let mounts = self.mounts.borrow();
        if mounts.len() == 1 || node.kind() != Type::Folder {
            return Ok(node);
        }
        let id = node.id();
        let on = |it: &&Mount| it.at.as_ref().is_some_and(|at| at.node.id() == id);
        if let Some(mount) = mounts.iter().rev().find(on) {
            if walk.contains(Walk::NO_MOUNTS) {
                return Err(Errno::EXDEV);
            }
            node = Rc::clone(&mount.root);
        }
        Ok(node)
    }

    /// Returns the folder above, across mounts; itself in the root of all.
    fn above(&self, node: &Rc<dyn Inode>, walk: Walk) -> Result<Rc<dyn Inode>, Errno> {
        let mut node = Rc::clone(node);
        loop {
            if let Some((above, _)) = node.up() {
                return Ok(above);
            }
            let mounts = self.mounts.borrow();
            let id = node.id();
            let mount = mounts.iter().rev().find(|it| it.root.id() == id);
            let Some(place) = mount.and_then(|it| it.at.as_ref()) else { return Ok(node) };
            if walk.contains(Walk::NO_MOUNTS) {
                return Err(Errno::EXDEV);
            }
            let covered = Rc::clone(&place.node);
            drop(mounts);
            node = covered;
        }
    }

    /// Returns the root of a process.
    fn root_of(&self, context: &Context) -> Rc<dyn Inode> {
        let root = context.root.borrow();
        root.as_ref().map_or_else(|| self.root(), |it| Rc::clone(&it.node))
    }

    /// Returns the working directory of a process.
    #[must_use]
    pub fn cwd(&self, context: &Context) -> Place {
        let cwd = context.cwd.borrow();
        cwd.clone().unwrap_or_else(|| Place::root(self.root_of(context)))
    }

    /// Walks along `path` from `at`, which is the working directory if there is none.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `EACCES`, `ELOOP`, `ENAMETOOLONG`, and those of `walk`: `EXDEV`,
    /// `EAGAIN`.
    pub fn walk(
        &self,
        caller: &dyn Caller,
        at: Option<&Open>,
        path: &[u8],
        walk: Walk,
    ) -> Result<Found, Stop> {
        match self.walk_on(caller, at, path, walk) {
            Err(Stop::Load(_)) if walk.contains(Walk::CACHED) => Err(Errno::EAGAIN.into()),
            other => other,
        }
    }

    fn walk_on(
        &self,
        caller: &dyn Caller,
        at: Option<&Open>,
        path: &[u8],
        walk: Walk,
    ) -> Result<Found, Stop> {
        if path.len() >= LONGEST_PATH {
            return Err(Errno::ENAMETOOLONG.into());
        }
        if path.is_empty() {
            if !walk.contains(Walk::EMPTY) {
                return Err(Errno::ENOENT.into());
            }
            return match at {
                None => Ok(Found::at(self.cwd(&caller.fs()).node)),
                Some(open) => {
                    let place = open.place.clone().ok_or(Errno::ENOENT)?;
                    let Place { node, folder, name } = place;
                    Ok(Found { node: Some(node), folder, name, slash: false })
                }
            };
        }
        let context = caller.fs();
        let start = match at {
            _ if path[0] == b'/' && !walk.intersects(Walk::BENEATH | Walk::IN_ROOT) => {
                self.root_of(&context)
            }
            None => self.cwd(&context).node,
            Some(open) => {
                let place = open.place.as_ref().ok_or(Errno::ENOTDIR)?;
                Rc::clone(&place.node)
            }
        };
        let who = caller.credentials();
        // A path with RESOLVE_BENEATH or RESOLVE_IN_ROOT does not leave this folder.
        let scoped = walk.intersects(Walk::BENEATH | Walk::IN_ROOT);
        let top = if scoped { Rc::clone(&start) } else { self.root_of(&context) };
        if path[0] == b'/' && walk.contains(Walk::BENEATH) {
            return Err(Errno::EXDEV.into());
        }
        let (mut here, mut links) = (start, 0);
        let (mut text, mut from) = (Cow::Borrowed(path), 0);
        let mut found = Found::at(Rc::clone(&here));
        loop {
            let skipped = text[from..].iter().position(|&byte| byte != b'/');
            let Some(skipped) = skipped else { return Ok(found) };
            from += skipped;
            let length = text[from..].iter().position(|&byte| byte == b'/');
            let end = length.map_or(text.len(), |it| from + it);
            let name = &text[from..end];
            let (is_last, slash) = (text[end..].iter().all(|&it| it == b'/'), end < text.len());
            from = end;
            if name.len() > LONGEST_NAME {
                return Err(Errno::ENAMETOOLONG.into());
            }
            if here.kind() != Type::Folder {
                return Err(Errno::ENOTDIR.into());
            }
            if !who.root {
                who.may(&here.stat(), 1)?;
            }
            if name == b"." || name == b".." {
                if name == b".." && here.id() != top.id() {
                    here = self.above(&here, walk)?;
                } else if name == b".." && walk.contains(Walk::BENEATH) {
                    return Err(Errno::EXDEV.into());
                }
                found = Found::at(Rc::clone(&here));
                continue;
            }
            let node = match here.lookup(caller, name) {
                Ok(node) => self.mounted(node, walk)?,
                Err(Stop::Fail(Errno::ENOENT)) if is_last => {
                    let (folder, name) = (Some(here), name.into());
                    return Ok(Found { node: None, folder, name, slash });
                }
                Err(stop) => return Err(stop),
            };
            let follows = match is_last {
                true if walk.contains(Walk::NAME) => false,
                true => slash || walk.contains(Walk::FOLLOW),
                false => true,
            };
            if node.kind() != Type::Link || !follows {
                if is_last {
                    let (folder, name) = (Some(here), name.into());
                    return Ok(Found { node: Some(node), folder, name, slash });
                }
                here = node;
                continue;
            }
            links += 1;
            if links > LINKS || walk.contains(Walk::NO_LINKS) {
                return Err(Errno::ELOOP.into());
            }
            if let Some(Place { node, folder, name }) = node.follow(caller)? {
                if walk.contains(Walk::NO_MAGIC) {
                    return Err(Errno::ELOOP.into());
                }
                if scoped {
                    return Err(Errno::EXDEV.into());
                }
                here = Rc::clone(&node);
                found = Found { node: Some(node), folder, name, slash };
                continue;
            }
            let mut target = node.read_link(caller)?;
            let rest = &text[from..];
            if target.is_empty() {
                return Err(Errno::ENOENT.into());
            }
            if target.len() + rest.len() > 2 * LONGEST_PATH {
                return Err(Errno::ENAMETOOLONG.into());
            }
            if target[0] == b'/' {
                if walk.contains(Walk::BENEATH) {
                    return Err(Errno::EXDEV.into());
                }
                here = Rc::clone(&top);
                found = Found::at(Rc::clone(&here));
            }
            target.try_reserve(rest.len()).map_err(|_| Errno::ENOMEM)?;
            target.extend_from_slice(rest);
            (text, from) = (Cow::Owned(target), 0);
        }
    }

    /// Finds what a path leads to.
    ///
    /// # Errors
    /// As of [`walk`](Self::walk), `ENOENT`.
    pub fn find(
        &self,
        caller: &dyn Caller,
        at: Option<&Open>,
        path: &[u8],
        walk: Walk,
    ) -> Result<Place, Stop> {
        Ok(self.walk(caller, at, path, walk)?.place()?)
    }

    /// Makes something new (mkdir(2), mknod(2), symlink(2)). `mode` is as the program said; the
    /// umask is taken off it.
    ///
    /// # Errors
    /// `EEXIST`, `EACCES`, `ENOENT`, and those of a walk.
    pub fn make(
        &self,
        caller: &dyn Caller,
        at: Option<&Open>,
        path: &[u8],
        new: New<'_>,
        mode: u32,
    ) -> Result<Place, Stop> {
        let found = self.walk(caller, at, path, Walk::NAME)?;
        self.make_at(caller, found, new, mode)
    }

    fn make_at(
        &self,
        caller: &dyn Caller,
        found: Found,
        new: New<'_>,
        mode: u32,
    ) -> Result<Place, Stop> {
        let Found { node: None, folder: Some(folder), name, slash } = found else {
            return Err(Errno::EEXIST.into());
        };
        if slash && new != New::Folder {
            return Err(Errno::ENOENT.into());
        }
        caller.credentials().may(&folder.stat(), 3)?;
        if folder.is_gone() {
            return Err(Errno::ENOENT.into());
        }
        let umask = caller.fs().umask.get();
        let mode = match new {
            New::Folder => mode & !umask,
            _ => caller.credentials().mode_in(&folder.stat(), mode, umask),
        };
        let node = folder.create(caller, &name, new, mode)?;
        notify::named(&folder, &name, abi::IN_CREATE, 0, new == New::Folder);
        Ok(Place { node, folder: Some(folder), name })
    }

    /// Opens a file (open(2)): `flags` are `O_*`, `mode` is that of a new file.
    ///
    /// # Errors
    /// As of open(2).
    pub fn open(
        &self,
        caller: &dyn Caller,
        at: Option<&Open>,
        path: &[u8],
        flags: u32,
        mode: u32,
    ) -> Result<Rc<Open>, Stop> {
        self.open_walk(caller, at, path, flags, mode, Walk::empty())
    }

    /// Opens a file as openat2(2) does, which restricts the walk.
    ///
    /// # Errors
    /// As of openat2(2).
    pub fn open_walk(
        &self,
        caller: &dyn Caller,
        at: Option<&Open>,
        path: &[u8],
        flags: u32,
        mode: u32,
        walk: Walk,
    ) -> Result<Rc<Open>, Stop> {
        // Before anything is made or cut off, as on Linux.
        let counted = admit(caller)?;
        let flags =
            if flags & O_PATH == 0 { flags } else { flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW) };
        let exclusive = flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL;
        let follow =
            if flags & O_NOFOLLOW != 0 || exclusive { Walk::empty() } else { Walk::FOLLOW };
        let found = self.walk(caller, at, path, walk | follow)?;
        if flags & O_CREAT != 0 {
            if exclusive && found.node.is_some() {
                return Err(Errno::EEXIST.into());
            }
            if found.node.is_none() {
                if found.slash {
                    return Err(Errno::EISDIR.into());
                }
                let place = self.make_at(caller, found, New::File, mode)?;
                return self.opened(caller, counted, place, flags);
            }
            if found.slash {
                return Err(Errno::EISDIR.into());
            }
        }
        let place = found.place()?;
        Self::judge(caller, &place, flags)?;
        self.opened(caller, counted, place, flags)
    }

    /// Asks whether what is at `place` may be opened so.
    fn judge(caller: &dyn Caller, place: &Place, flags: u32) -> Result<(), Stop> {
        let kind = place.node.kind();
        if flags & O_DIRECTORY != 0 && kind != Type::Folder {
            return Err(Errno::ENOTDIR.into());
        }
        if flags & O_PATH != 0 {
            return Ok(());
        }
        if kind == Type::Link {
            return Err(Errno::ELOOP.into());
        }
        let truncates = flags & O_TRUNC != 0;
        let want = match flags & O_ACCMODE {
            O_RDONLY if truncates => 6,
            O_RDONLY => 4,
            linux_raw_sys::general::O_WRONLY => 2,
            _ => 6,
        };
        if kind == Type::Folder && (want & 2 != 0 || flags & O_CREAT != 0) {
            return Err(Errno::EISDIR.into());
        }
        if kind == Type::Socket {
            return Err(Errno::ENXIO.into());
        }
        let who = caller.credentials();
        if !who.root {
            let stat = place.node.stat();
            who.may(&stat, want)?;
            if flags & O_NOATIME != 0 && !who.owns(&stat) {
                return Err(Errno::EPERM.into());
            }
        }
        if truncates && kind == Type::Regular {
            if let Some(extras) = place.node.extras() {
                extras.uses().may_write()?;
                extras.writing.check()?;
            }
            place.node.resize(0)?;
            if let Some(file) = place.node.file() {
                file.written(caller);
            }
            notify::happened(place, abi::IN_MODIFY);
        }
        Ok(())
    }

    fn opened(
        &self,
        caller: &dyn Caller,
        counted: Counted,
        place: Place,
        flags: u32,
    ) -> Result<Rc<Open>, Stop> {
        let writes = match flags & (O_PATH | 3) {
            abi::O_WRONLY | abi::O_RDWR if place.node.kind() == Type::Regular => {
                Use::write(&place.node)?
            }
            _ => None,
        };
        let file: Rc<dyn File> = if flags & O_PATH != 0 {
            Handle::new(Rc::clone(&place.node), Errno::EBADF)
        } else if place.node.has_driver() {
            self.driver(&place.node)?(caller, flags, &place)?
        } else {
            Rc::clone(&place.node).open(caller, flags)?
        };
        if flags & O_PATH == 0 {
            notify::happened(&place, abi::IN_OPEN);
        }
        Ok(Open::used(counted, file, flags & KEPT, Some(place), writes))
    }

    /// Opens a program: a regular file that the caller may execute.
    ///
    /// # Errors
    /// `EACCES`, and those of a walk.
    pub fn open_exec(
        &self,
        caller: &dyn Caller,
        at: Option<&Open>,
        path: &[u8],
        walk: Walk,
    ) -> Result<Rc<Open>, Stop> {
        let counted = admit(caller)?;
        let place = self.find(caller, at, path, walk)?;
        if place.node.kind() == Type::Link {
            return Err(Errno::ELOOP.into());
        }
        if place.node.kind() != Type::Regular {
            return Err(Errno::EACCES.into());
        }
        caller.credentials().may(&place.node.stat(), 1)?;
        self.opened(caller, counted, place, O_RDONLY)
    }

    /// Returns the path of `place` as seen from a process's root; ` (deleted)` is behind that of
    /// something that is there no longer.
    ///
    /// # Errors
    /// `ENOENT` if its folder was removed.
    pub fn path(&self, context: &Context, place: &Place) -> Result<Vec<u8>, Errno> {
        let is_folder = place.node.kind() == Type::Folder;
        let Some(folder) = &place.folder else {
            if is_folder {
                return self.folder_path(context, &place.node);
            }
            return Ok(place.name.to_vec());
        };
        if is_folder && !place.node.is_gone() {
            return self.folder_path(context, &place.node);
        }
        let mut path = self.folder_path(context, folder)?;
        if path.len() > 1 {
            path.push(b'/');
        }
        path.extend_from_slice(&place.name);
        if is_folder || place.node.stat().links == 0 {
            path.extend_from_slice(b" (deleted)");
        }
        Ok(path)
    }

    /// Returns the path of a folder.
    ///
    /// # Errors
    /// `ENOENT` if it was removed.
    pub fn folder_path(&self, context: &Context, node: &Rc<dyn Inode>) -> Result<Vec<u8>, Errno> {
        let (top, mut here) = (self.root_of(context).id(), Rc::clone(node));
        // From the last name to the first, each with its letters in reverse.
        let mut path = Vec::new();
        while here.id() != top {
            if here.is_gone() {
                return Err(Errno::ENOENT);
            }
            if let Some((above, name)) = here.up() {
                path.try_reserve(name.len() + 1).map_err(|_| Errno::ENOMEM)?;
                path.extend(name.iter().rev());
                path.push(b'/');
                here = above;
                continue;
            }
            let id = here.id();
            let mounts = self.mounts.borrow();
            let mount = mounts.iter().rev().find(|it| it.root.id() == id);
            let Some(place) = mount.and_then(|it| it.at.as_ref()) else { break };
            let covered = Rc::clone(&place.node);
            drop(mounts);
            here = covered;
        }
        if path.is_empty() {
            path.push(b'/');
        }
        path.reverse();
        Ok(path)
    }
}

/// The flags that an open file keeps, as `F_GETFL` shows them.
const KEPT: u32 = O_ACCMODE
    | O_APPEND
    | O_PATH
    | O_NOATIME
    | O_DIRECTORY
    | O_NOFOLLOW
    | linux_raw_sys::general::O_NONBLOCK
    | linux_raw_sys::general::O_DIRECT
    | linux_raw_sys::general::O_SYNC
    | linux_raw_sys::general::O_LARGEFILE;
