//! What is in a tree: files, folders, links and devices by name, whatever keeps them.

use super::{Caller, File, Listing, Stat, Type};
use crate::errno::Errno;
use crate::stop::Stop;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::RefCell;
use core::sync::atomic::{AtomicU64, Ordering};

/// The longest name of a file in bytes (`NAME_MAX`).
pub const LONGEST_NAME: usize = 255;

/// A file, folder, link or device that has a name in a [`Tree`](super::Tree).
///
/// Nothing here waits: what has to be read from a disk first is [`Stop::Load`].
pub trait Inode: Any {
    /// Returns the number of the file system (`st_dev`), and its own in it.
    fn id(&self) -> (u64, u64);

    /// Returns what it is.
    fn kind(&self) -> Type;

    /// Describes it.
    fn stat(&self) -> Stat;

    /// Finds `name` in this folder. Not `.` and `..`.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, and the disk's.
    fn lookup(&self, caller: &dyn Caller, name: &[u8]) -> Result<Rc<dyn Inode>, Stop> {
        let _ = (caller, name);
        Err(Errno::ENOTDIR.into())
    }

    /// Returns the folder that this folder is in, and its name there. `None` in the root of a
    /// file system, and for a folder that was removed.
    fn up(&self) -> Option<Above> {
        None
    }

    /// Returns whether this folder was removed while something had it open.
    fn is_gone(&self) -> bool {
        false
    }

    /// Lists a folder, without `.` and `..`.
    ///
    /// # Errors
    /// `ENOTDIR`, `ENOMEM`, and the disk's.
    fn list(&self, caller: &dyn Caller) -> Result<Listing, Stop> {
        let _ = caller;
        Err(Errno::ENOTDIR.into())
    }

    /// Returns the target of a symbolic link.
    ///
    /// # Errors
    /// `EINVAL` if it is none.
    fn read_link(&self, caller: &dyn Caller) -> Result<Vec<u8>, Stop> {
        let _ = caller;
        Err(Errno::EINVAL.into())
    }

    /// Returns where a link of `/proc` leads, which need not have a path. `None` for others.
    ///
    /// # Errors
    /// `ENOENT`, `EACCES`.
    fn follow(&self, caller: &dyn Caller) -> Result<Option<Place>, Stop> {
        let _ = caller;
        Ok(None)
    }

    /// Opens it.
    ///
    /// # Errors
    /// As of open(2); `ENXIO` for a device or socket that cannot be opened.
    fn open(self: Rc<Self>, caller: &dyn Caller, flags: u32) -> Result<Rc<dyn File>, Stop>;

    /// Whether it is a device or pipe that a [driver](super::Driver) opens.
    fn has_driver(&self) -> bool {
        false
    }

    /// Makes something new in this folder, which must not have that name.
    ///
    /// # Errors
    /// `EEXIST`, `ENOSPC`, `EROFS`, `EPERM`.
    fn create(
        &self,
        caller: &dyn Caller,
        name: &[u8],
        new: New<'_>,
        mode: u32,
    ) -> Result<Rc<dyn Inode>, Stop> {
        let _ = (caller, name, new, mode);
        Err(Errno::EPERM.into())
    }

    /// Gives `node` of the same file system another name, in this folder.
    ///
    /// # Errors
    /// `EEXIST`, `ENOSPC`, `EMLINK`, `EPERM`.
    fn link(&self, name: &[u8], node: &Rc<dyn Inode>) -> Result<(), Stop> {
        let _ = (name, node);
        Err(Errno::EPERM.into())
    }

    /// Removes a name from this folder: that of an empty folder, or of anything else.
    ///
    /// # Errors
    /// `ENOENT`, `EISDIR`, `ENOTDIR`, `ENOTEMPTY`, `EPERM`.
    fn remove(&self, caller: &dyn Caller, name: &[u8], folder: bool) -> Result<(), Stop> {
        let _ = (caller, name, folder);
        Err(Errno::EPERM.into())
    }

    /// Moves `name` to the folder `to` of the same file system, as `new`. What has that name
    /// there is replaced, or with `exchange` gets the old one.
    ///
    /// # Errors
    /// As of rename(2).
    fn rename(
        &self,
        caller: &dyn Caller,
        name: &[u8],
        to: &Rc<dyn Inode>,
        new: &[u8],
        exchange: bool,
    ) -> Result<(), Stop> {
        let _ = (caller, name, to, new, exchange);
        Err(Errno::EPERM.into())
    }

    /// Changes mode, owner or times. Whether the caller may was asked before.
    ///
    /// # Errors
    /// `EPERM` if it has none that could change.
    fn set(&self, change: &Change) -> Result<(), Stop> {
        let _ = change;
        Err(Errno::EPERM.into())
    }

    /// Changes the size of a file (truncate(2)).
    ///
    /// # Errors
    /// `EISDIR`, `EINVAL`, `EFBIG`, `ENOSPC`.
    fn resize(&self, size: u64) -> Result<(), Stop> {
        let _ = size;
        Err(Errno::EINVAL.into())
    }

    /// Returns the file that it is, for what has its pages in memory.
    fn file(&self) -> Option<Rc<dyn File>> {
        None
    }

    /// Describes the file system that it is in.
    fn system(&self) -> Statfs;

    /// What the owner of a pipe or socket with a name keeps here.
    fn slot(&self) -> Option<&Slot> {
        None
    }

    /// Locks of it, and those who watch it.
    fn extras(&self) -> Option<&super::extras::Extras> {
        None
    }

    /// Itself, as one of a certain kind.
    fn any(&self) -> &dyn Any;
}

/// The folder that something is in, and its name there.
pub type Above = (Rc<dyn Inode>, Box<[u8]>);

/// What the owner of a pipe or socket with a name keeps with it.
pub type Slot = RefCell<Option<Rc<dyn Any>>>;

/// What is made in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "mknod(2) says what they are")]
pub enum New<'a> {
    File,
    Folder,
    Link(&'a [u8]),
    Pipe,
    Socket,
    /// With its number, as makedev(3) has it.
    Character(u64),
    Block(u64),
}

/// What is changed of an inode. Times are in ns since 1970.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "inode(7) says what they are")]
pub struct Change {
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub accessed: Option<u64>,
    pub modified: Option<u64>,
}

/// What statfs(2) tells of a file system. Sizes are in bytes.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "statfs(2) says what they are")]
pub struct Statfs {
    pub magic: u64,
    pub size: u64,
    pub free: u64,
    pub files: u64,
    pub free_files: u64,
    pub device: u64,
}

/// Where something was found: what it is, and the folder and name by which it was.
#[derive(Clone)]
pub struct Place {
    /// What is there.
    pub node: Rc<dyn Inode>,
    /// The folder that it was found in. `None` for a root, and for what has no name.
    pub folder: Option<Rc<dyn Inode>>,
    /// Its name there; for what has no folder, what `/proc` shows.
    pub name: Box<[u8]>,
}

impl Place {
    /// The root of a file system, or a folder by itself.
    #[must_use]
    pub fn root(node: Rc<dyn Inode>) -> Self {
        Self { node, folder: None, name: Box::default() }
    }
}

/// Who does something to files (credentials(7)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user for accesses to files.
    pub uid: u32,
    /// The group for accesses to files.
    pub gid: u32,
    /// The other groups.
    pub groups: Rc<[u32]>,
    /// Permissions are not looked at (`CAP_DAC_OVERRIDE`, `CAP_FOWNER` and `CAP_CHOWN`).
    pub root: bool,
}

impl Default for Credentials {
    /// Those of root.
    fn default() -> Self {
        Self { uid: 0, gid: 0, groups: Rc::new([]), root: true }
    }
}

impl Credentials {
    /// Returns whether it is of that group.
    #[must_use]
    pub fn is_in(&self, group: u32) -> bool {
        self.gid == group || self.groups.contains(&group)
    }

    /// Asks for permissions: 4 to read, 2 to write, 1 to execute or to go through a folder.
    ///
    /// # Errors
    /// `EACCES`.
    pub fn may(&self, stat: &Stat, want: u32) -> Result<(), Errno> {
        let bits = match () {
            () if self.root => {
                // Nobody executes what is executable for nobody.
                if stat.kind == Type::Folder || stat.mode & 0o111 != 0 { 7 } else { 6 }
            }
            () if self.uid == stat.uid => stat.mode >> 6 & 7,
            () if self.is_in(stat.gid) => stat.mode >> 3 & 7,
            () => stat.mode & 7,
        };
        if want & !bits == 0 { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// Returns whether it owns that, or may do what owners may.
    #[must_use]
    pub const fn owns(&self, stat: &Stat) -> bool {
        self.root || self.uid == stat.uid
    }

    /// Returns the mode of what is made in `folder`: without what the umask takes, and a program
    /// that runs as the folder's group is made by its members alone (inode(7), `S_ISGID`), which
    /// is asked of the mode as it was said.
    #[must_use]
    pub fn mode_in(&self, folder: &Stat, mode: u32, umask: u32) -> u32 {
        let runs_as_group = mode & 0o2010 == 0o2010 && folder.mode & 0o2000 != 0;
        let strips = runs_as_group && !self.root && !self.is_in(folder.gid);
        mode & !umask & !(if strips { 0o2000 } else { 0 })
    }

    /// Returns the mode of a file that is another than it was: without the bits by which who
    /// executes it acts as its user or group. That of a group without a right to execute stays,
    /// if the group is one of the caller's.
    #[must_use]
    pub fn mode_of_other(&self, stat: &Stat) -> u32 {
        let by_group = stat.mode & 0o10 != 0 || !self.root && !self.is_in(stat.gid);
        stat.mode & !(if by_group { 0o6000 } else { 0o4000 })
    }

    /// Returns the group of what is made in `folder`: that of the folder, if it has the
    /// set-group-ID bit.
    #[must_use]
    pub const fn group_in(&self, folder: &Stat) -> u32 {
        if folder.mode & 0o2000 != 0 { folder.gid } else { self.gid }
    }

    /// Asks whether a file may get another name: what it owns, or could change and nobody gains
    /// rights by (fs.protected_hardlinks of proc(5)).
    ///
    /// # Errors
    /// `EPERM`.
    pub fn may_link(&self, node: &Stat) -> Result<(), Errno> {
        let gains = node.mode & 0o4000 != 0 || node.mode & 0o2010 == 0o2010;
        let safe = node.kind == Type::Regular && !gains && self.may(node, 6).is_ok();
        if self.owns(node) || safe { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// Asks whether a name may be removed from `folder`, or replaced there: it is writable, and
    /// if it is sticky, one of both is the caller's.
    ///
    /// # Errors
    /// `EACCES`, `EPERM`.
    pub fn may_remove(&self, folder: &Stat, node: &Stat) -> Result<(), Errno> {
        self.may(folder, 3)?;
        let sticky = folder.mode & 0o1000 != 0;
        let own = self.owns(node) || self.owns(folder);
        if sticky && !own { Err(Errno::EPERM) } else { Ok(()) }
    }
}

/// Returns a number for a file system: unique in the machine.
pub fn next_device() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0x10);
    LAST.fetch_add(1, Ordering::Relaxed)
}

/// Returns the number of a device, as makedev(3) has it.
#[must_use]
pub const fn device(major: u32, minor: u32) -> u64 {
    let (major, minor) = (major as u64, minor as u64);
    (major & 0xffff_f000) << 32 | (major & 0xfff) << 8 | (minor & 0xffff_ff00) << 12 | minor & 0xff
}

/// Returns the time in ns since 1970.
#[must_use]
pub fn now() -> u64 {
    u64::try_from(kernel::time::wall_clock().as_nanos()).unwrap_or(u64::MAX)
}
