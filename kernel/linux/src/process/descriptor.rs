//! Processes that are named by a descriptor, which stays theirs when their number is given to
//! another (pidfd_open(2), `CLONE_PIDFD` of clone(2)).

use super::Process;
use crate::call::{Answer, Args, Group, calls};
use crate::errno::Errno;
use crate::file::{Caller, File, Open, Stat, Type, admit, next_inode};
use crate::memory::Text;
use crate::stop::Stop;
use crate::thread::Thread;
use crate::watch::{Ready, Watch};
use alloc::rc::{Rc, Weak};
use alloc::sync::Arc;
use core::any::Any;
use core::fmt::{self, Write};
use linux_raw_sys::general::{O_NONBLOCK, O_RDWR};

/// pidfd_open(2)
pub(crate) const CALLS: Group = calls! {
    pidfd_open(Int, Hex) = pidfd_open;
    pidfd_getfd(Fd, Int, Hex) = pidfd_getfd;
};

/// A process. It can be read, as poll(2) says, once it has ended; there is nothing to be read.
pub(crate) struct ProcessFile {
    /// Nothing is left of it when its parent has waited for it.
    process: Weak<Process>,
    changed: Arc<Watch>,
    inode: u64,
}

impl ProcessFile {
    /// Opens `process`. `flags`: `O_NONBLOCK` or 0.
    ///
    /// # Errors
    /// `ENFILE`, `ENOMEM`.
    pub(crate) fn open(
        caller: &dyn Caller,
        process: &Rc<Process>,
        flags: u32,
    ) -> Result<Rc<Open>, Errno> {
        let counted = admit(caller)?;
        let changed = Arc::clone(&process.changed);
        let file = Self { process: Rc::downgrade(process), changed, inode: next_inode() };
        Ok(Open::new(counted, Rc::new(file), O_RDWR | flags))
    }

    /// Returns the process, unless its parent has waited for it.
    pub(crate) fn process(&self) -> Option<Rc<Process>> {
        self.process.upgrade()
    }
}

impl File for ProcessFile {
    fn label(&self) -> &'static str {
        "[pidfd]"
    }

    fn tell(&self, text: &mut Text) -> fmt::Result {
        // One that its parent has waited for has no number any more.
        let id = self.process().map_or(-1, |it| it.id);
        writeln!(text, "Pid:\t{id}\nNSpid:\t{id}")
    }

    fn ready(&self) -> Ready {
        let ended = self.process().is_none_or(|it| it.status().is_some());
        if ended { Ready::IN | Ready::RDNORM } else { Ready::empty() }
    }

    fn seek(&self, _: &Open, _: i64, _: u32) -> Result<u64, Stop> {
        Err(Errno::ESPIPE.into())
    }

    fn watch(&self) -> Option<&Arc<Watch>> {
        Some(&self.changed)
    }

    fn stat(&self) -> Result<Stat, Stop> {
        Ok(Stat::of(Type::Anonymous, 0o600, self.inode))
    }

    fn any(&self) -> &dyn Any {
        self
    }
}

fn pidfd_open(thread: &Rc<Thread>, [id, flags, ..]: Args) -> Answer {
    let (id, flags) = (id as i32, flags as u32);
    if flags & !O_NONBLOCK != 0 || id <= 0 {
        return Err(Errno::EINVAL.into());
    }
    let system = &thread.system;
    let Some(process) = system.process(id) else {
        // A thread that is not the first of its process has none.
        return Err(if system.thread(id).is_some() { Errno::EINVAL } else { Errno::ESRCH }.into());
    };
    Ok(thread.process.files().add(ProcessFile::open(&**thread, &process, flags)?, true, 0)?.into())
}

/// Gives a descriptor of what another process has open, to who may look into it (pidfd_getfd(2)).
fn pidfd_getfd(thread: &Rc<Thread>, [fd, theirs, flags, ..]: Args) -> Answer {
    if flags as u32 != 0 {
        return Err(Errno::EINVAL.into());
    }
    let files = thread.process.files();
    let of = files.get(fd)?.as_kind::<ProcessFile>().ok_or(Errno::EBADF)?.process();
    let of = of.filter(|it| it.status().is_none()).ok_or(Errno::ESRCH)?;
    // By its real user, as what takes hold of another process and does not only look at it.
    if !of.may_look(&**thread, &thread.real_credentials()) {
        return Err(Errno::EPERM.into());
    }
    let open = of.files().get(theirs)?;
    Ok(files.add(open, true, 0)?.into())
}
