//! What a program has open: files of all kinds, and the table of descriptors.

pub mod alone;
pub mod calls;
mod context;
mod count;
pub mod extras;
mod handle;
mod inode;
mod listing;
pub mod notify;
pub mod store;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod text;
pub mod texts;
mod tree;
pub mod uses;
pub mod waits;

pub use context::Context;
pub use count::{Counted, admit, most as most_open};
pub use handle::Handle;
pub use inode::{
    Above, Change, Credentials, Inode, LONGEST_NAME, New, Place, Slot, Statfs, device, next_device,
    now,
};
pub use listing::{Listed, Listing};
pub use table::Files;
pub use tree::{Driver, Found, LONGEST_PATH, Mount, Tree, Walk};

use crate::errno::Errno;
use crate::memory::{Memory, Sink, Source, Text};
use crate::signal::{Receiver, Signals};
use crate::stop::{Pages, Stop};
use crate::watch::{Ready, Watch};
use alloc::rc::Rc;
use alloc::sync::Arc;
use core::any::Any;
use core::cell::Cell;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use extras::Owner;
use linux_raw_sys::general::{IN_CLOSE_NOWRITE, IN_CLOSE_WRITE, O_PATH};

/// What a file is: the bits of `S_IFMT` (inode(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "inode(7) says what they are")]
pub enum Type {
    Socket,
    Link,
    Regular,
    Block,
    Folder,
    Character,
    Pipe,
    /// Such as an eventfd: it has no type.
    Anonymous,
}

impl Type {
    /// Returns its bits in a mode (`S_IFMT`).
    #[must_use]
    pub const fn bits(self) -> u32 {
        let four = match self {
            Self::Socket => 12,
            Self::Link => 10,
            Self::Regular => 8,
            Self::Block => 6,
            Self::Folder => 4,
            Self::Character => 2,
            Self::Pipe => 1,
            Self::Anonymous => 0,
        };
        four << 12
    }
}

/// What stat(2) tells. Sizes in bytes, times in ns since 1970.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "stat(2) says what they are")]
pub struct Stat {
    pub device: u64,
    pub inode: u64,
    pub kind: Type,
    /// The permissions alone: 0 to 0o7777.
    pub mode: u32,
    pub links: u64,
    pub uid: u32,
    pub gid: u32,
    /// The device that a device file is, as makedev(3) has it.
    pub special: u64,
    pub size: u64,
    pub block: u64,
    /// In units of 512 bytes.
    pub blocks: u64,
    pub accessed: u64,
    pub modified: u64,
    pub changed: u64,
    /// 0: not known.
    pub born: u64,
}

impl Stat {
    /// Describes what has no content on a disk and belongs to root.
    #[must_use]
    pub const fn of(kind: Type, mode: u32, inode: u64) -> Self {
        Self {
            device: 1,
            inode,
            kind,
            mode,
            links: 1,
            uid: 0,
            gid: 0,
            special: 0,
            size: 0,
            block: 4096,
            blocks: 0,
            accessed: 0,
            modified: 0,
            changed: 0,
            born: 0,
        }
    }
}

/// Returns a number that no other file without a file system has (pipes, sockets).
#[must_use]
pub fn next_inode() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// Where in a file something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// At the position of the open file, which moves.
    Position,
    /// There (pread(2)); the position stays.
    Offset(u64),
}

/// Who asks something of a file: what it may have to know of a thread and its process.
pub trait Caller {
    /// The memory that arguments point into.
    fn memory(&self) -> Rc<Memory>;

    /// The numbers of its process, process group and session; 0 for that of one that has given up
    /// the session's terminal.
    fn process(&self) -> [i32; 3];

    /// The terminal of its session is its own no more (`TIOCNOTTY`).
    fn leave_terminal(&self) {}

    /// The numbers of the user and the group that it acts for (credentials(7), effective).
    fn user(&self) -> [u32; 2] {
        [0; 2]
    }

    /// The number of the thread.
    fn thread(&self) -> i32 {
        self.process()[0]
    }

    /// Where its process is in the tree.
    fn fs(&self) -> Rc<Context> {
        Context::new()
    }

    /// Who it is, to files.
    fn credentials(&self) -> Credentials {
        Credentials::default()
    }

    /// Whether a signal would do nothing: it is ignored or blocked.
    fn ignores(&self, signal: u32) -> bool {
        let _ = signal;
        false
    }

    /// Whether its process group has nobody who could let it go on once it is stopped.
    fn is_orphaned(&self) -> bool {
        false
    }

    /// Returns the session of a process group, or of the process of that number, if there is one.
    fn session_of(&self, group: i32) -> Option<i32> {
        let _ = group;
        None
    }

    /// Its signals and those of its process, which signalfd(2) reads.
    fn signals(&self) -> Option<(&Signals, &Receiver)> {
        None
    }

    /// Who it is by the real user and group, which access(2) asks for.
    fn real_credentials(&self) -> Credentials {
        self.credentials()
    }
}

/// One kind of file: a regular one, a pipe, a socket, a device.
///
/// Nothing here waits. What would have to returns [`Stop::Wait`], and the [`Watch`] tells when
/// to try again; what is on a disk and not in memory returns [`Stop::Load`]. Either comes
/// before anything was changed.
pub trait File: Any {
    /// Reads into a program's memory, and returns how many bytes: 0 at the end.
    ///
    /// # Errors
    /// As of read(2).
    fn read(&self, open: &Open, at: At, to: &mut Sink<'_>) -> Result<usize, Stop> {
        let _ = (open, at, to);
        Err(Errno::EINVAL.into())
    }

    /// Reads what is there for a certain thread, where that is not the same for all.
    ///
    /// # Errors
    /// As of read(2).
    fn read_by(
        &self,
        caller: &dyn Caller,
        open: &Open,
        at: At,
        to: &mut Sink<'_>,
    ) -> Result<usize, Stop> {
        let _ = caller;
        self.read(open, at, to)
    }

    /// Writes from a program's memory, and returns how many bytes.
    ///
    /// # Errors
    /// As of write(2).
    fn write(&self, open: &Open, at: At, from: &mut Source<'_>) -> Result<usize, Stop> {
        let _ = (open, at, from);
        Err(Errno::EINVAL.into())
    }

    /// Returns what can be done now without waiting.
    fn ready(&self) -> Ready {
        Ready::IN | Ready::OUT | Ready::RDNORM | Ready::WRNORM
    }

    /// Returns what a certain thread can do now without waiting.
    fn ready_by(&self, caller: &dyn Caller) -> Ready {
        let _ = caller;
        self.ready()
    }

    /// Tells when that changes. `None`: never, as with regular files, which epoll(7) refuses.
    fn watch(&self) -> Option<&Arc<Watch>> {
        None
    }

    /// Tells when that changes for a certain thread.
    fn watch_by<'a>(&'a self, caller: &'a dyn Caller) -> Option<&'a Arc<Watch>> {
        let _ = caller;
        self.watch()
    }

    /// Returns how long a read and a write wait at most; `None`: for ever.
    fn timeouts(&self) -> [Option<Duration>; 2] {
        [None; 2]
    }

    /// Describes it.
    ///
    /// # Errors
    /// As of fstat(2).
    fn stat(&self) -> Result<Stat, Stop>;

    /// What its link in `/proc/self/fd` says behind `anon_inode:`, where it has no path and is no
    /// pipe or socket.
    fn label(&self) -> &'static str {
        "[unknown]"
    }

    /// Tells what is particular to its kind, in lines of `/proc/self/fdinfo` (proc(5)).
    ///
    /// # Errors
    /// Without memory for them.
    fn tell(&self, text: &mut Text) -> fmt::Result {
        let _ = text;
        Ok(())
    }

    /// Moves the position (lseek(2)).
    ///
    /// # Errors
    /// `ESPIPE` if it has none.
    fn seek(&self, open: &Open, offset: i64, whence: u32) -> Result<u64, Stop> {
        let _ = (offset, whence);
        match self.stat()?.kind {
            // It has a position that nothing moves, as on Linux.
            Type::Anonymous => Ok(open.position.get()),
            _ => Err(Errno::ESPIPE.into()),
        }
    }

    /// Does what is particular to its kind (ioctl(2)).
    ///
    /// # Errors
    /// `ENOTTY` if it knows no such request.
    fn ioctl(&self, caller: &dyn Caller, request: u32, argument: u64) -> Result<usize, Stop> {
        let _ = (caller, request, argument);
        Err(Errno::ENOTTY.into())
    }

    /// Opens it again by its link in `/proc/self/fd`, where it is in no tree.
    ///
    /// # Errors
    /// `ENXIO` if that cannot be.
    fn reopen(&self, flags: u32) -> Result<Rc<dyn File>, Errno> {
        let _ = flags;
        Err(Errno::ENXIO)
    }

    /// Asks whether the caller may read it (or write) now, as one in the background of a terminal
    /// may not.
    ///
    /// # Errors
    /// `EIO`, `ERESTARTSYS`.
    fn judge(&self, caller: &dyn Caller, write: bool) -> Result<(), Stop> {
        let _ = (caller, write);
        Ok(())
    }

    /// Whether [`judge`](Self::judge) has anything to say, ever.
    fn judges(&self) -> bool {
        false
    }

    /// Does what fcntl(2) has for its kind alone (`F_SETPIPE_SZ`).
    ///
    /// # Errors
    /// `EBADF` for another kind.
    fn control(&self, command: u32, argument: u64) -> Result<usize, Stop> {
        let _ = (command, argument);
        Err(Errno::EBADF.into())
    }

    /// Returns its pages, to be mapped into memory (mmap(2)).
    ///
    /// # Errors
    /// `ENODEV` if it cannot be mapped.
    fn pages(&self) -> Result<Rc<dyn Pages>, Errno> {
        Err(Errno::ENODEV)
    }

    /// Changes its size (ftruncate(2)).
    ///
    /// # Errors
    /// `EINVAL` if it has none.
    fn truncate(&self, size: u64) -> Result<(), Stop> {
        let _ = size;
        Err(Errno::EINVAL.into())
    }

    /// Makes room in it, or a hole (fallocate(2)).
    ///
    /// # Errors
    /// `ENODEV` if it is no regular file.
    fn allocate(&self, mode: u32, offset: u64, length: u64) -> Result<(), Stop> {
        let _ = (mode, offset, length);
        Err(Errno::ENODEV.into())
    }

    /// Somebody wrote to it: what would give them the owner's rights is taken away.
    fn written(&self, caller: &dyn Caller) {
        let _ = caller;
    }

    /// The seals of a memfd; `None` in it: none can be added (fcntl(2)).
    fn seals(&self) -> Option<&Cell<Option<u32>>> {
        None
    }

    /// The last descriptor of an [`Open`] is gone: what the other side of it can notice. Called
    /// before that is dropped.
    fn closed(&self, open: &Open) {
        let _ = open;
    }

    /// Itself, for calls that are for one kind of file alone (`accept`, `epoll_ctl`).
    fn any(&self) -> &dyn Any;
}

/// An open file description (open(2)): what `dup` and `fork` share.
pub struct Open {
    /// What is open.
    pub file: Rc<dyn File>,
    /// `O_APPEND`, `O_NONBLOCK` and the access mode, as fcntl(2) has them.
    flags: Cell<u32>,
    /// Where the next read or write happens.
    pub position: Cell<u64>,
    /// Who moves much has the position alone.
    moving: alone::Alone,
    /// What `file` says of itself: nearly all are no terminals, and asked for each call.
    judges: bool,
    /// Where in the tree it is; `None` for pipes and the like.
    pub place: Option<Place>,
    /// Keeps it from being run, if it is open to be written.
    _writes: Option<uses::Use>,
    /// It is one of those of the machine, but in a test.
    _counted: Option<Counted>,
}

impl Open {
    /// Opens `file` with flags of open(2).
    #[must_use]
    pub fn new(counted: Counted, file: Rc<dyn File>, flags: u32) -> Rc<Self> {
        Self::used(counted, file, flags, None, None)
    }

    /// Opens `file` without a machine.
    #[cfg(test)]
    pub(crate) fn uncounted(file: Rc<dyn File>, flags: u32) -> Rc<Self> {
        Self::made(None, file, flags, None, None)
    }

    /// A descriptor in a table is closed: locks of its processes on the file end with it (fcntl(2)).
    pub(crate) fn closed_by(&self, files: &Files) {
        if let Some(extras) = self.place.as_ref().and_then(|it| it.node.extras())
            && extras.is_locked()
        {
            extras.unlock_all(files.owner());
        }
    }

    /// Opens what was found at `place`.
    #[must_use]
    pub fn at(counted: Counted, file: Rc<dyn File>, flags: u32, place: Place) -> Rc<Self> {
        Self::used(counted, file, flags, Some(place), None)
    }

    /// Opens what was found at `place`, to be written if there is such a use of it.
    pub(super) fn used(
        counted: Counted,
        file: Rc<dyn File>,
        flags: u32,
        place: Option<Place>,
        writes: Option<uses::Use>,
    ) -> Rc<Self> {
        Self::made(Some(counted), file, flags, place, writes)
    }

    fn made(
        counted: Option<Counted>,
        file: Rc<dyn File>,
        flags: u32,
        place: Option<Place>,
        writes: Option<uses::Use>,
    ) -> Rc<Self> {
        let (flags, position, judges) = (Cell::new(flags), Cell::new(0), file.judges());
        let moving = alone::Alone::default();
        let (_writes, _counted) = (writes, counted);
        Rc::new(Self { file, flags, position, moving, judges, place, _writes, _counted })
    }

    /// Asks whether `caller` may read or write it now ([`File::judge`]).
    ///
    /// # Errors
    /// `EIO`, `ERESTARTSYS`.
    pub fn judge(&self, caller: &dyn Caller, write: bool) -> Result<(), Stop> {
        if self.judges { self.file.judge(caller, write) } else { Ok(()) }
    }

    /// Returns the flags, as `F_GETFL` does.
    #[must_use]
    pub fn flags(&self) -> u32 {
        self.flags.get()
    }

    /// Changes them, as `F_SETFL` does.
    pub fn set_flags(&self, flags: u32) {
        const SETTABLE: u32 = {
            use linux_raw_sys::general::{O_APPEND, O_DIRECT, O_NOATIME, O_NONBLOCK};
            O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME
        };
        self.flags.update(|old| old & !SETTABLE | flags & SETTABLE);
    }

    /// Whether it never waits.
    #[must_use]
    pub fn is_nonblocking(&self) -> bool {
        self.flags.get() & linux_raw_sys::general::O_NONBLOCK != 0
    }

    /// Whether it may be read.
    #[must_use]
    pub fn can_read(&self) -> bool {
        use linux_raw_sys::general::{O_RDONLY, O_RDWR};
        // 3 is for neither: such a descriptor is for ioctl(2) alone (open(2)).
        matches!(self.flags.get() & 3, O_RDONLY | O_RDWR)
    }

    /// Whether it may be written.
    #[must_use]
    pub fn can_write(&self) -> bool {
        use linux_raw_sys::general::{O_RDWR, O_WRONLY};
        matches!(self.flags.get() & 3, O_WRONLY | O_RDWR)
    }

    /// Returns the file as one of a certain kind.
    #[must_use]
    pub fn as_kind<F: File>(&self) -> Option<&F> {
        self.file.any().downcast_ref()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        Rc::clone(&self.file).closed(self);
        if let Some(place) = self.place.as_ref().filter(|_| self.flags() & O_PATH == 0) {
            notify::happened(
                place,
                if self.can_write() { IN_CLOSE_WRITE } else { IN_CLOSE_NOWRITE },
            );
        }
        if let Some(extras) = self.place.as_ref().and_then(|it| it.node.extras())
            && extras.is_locked()
        {
            let address = core::ptr::from_ref(self).addr();
            extras.unlock_all(Owner::Open(address));
            extras.unlock_all(Owner::Whole(address));
        }
    }
}
