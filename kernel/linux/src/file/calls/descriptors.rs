//! Opens, closes and duplicates descriptors, and what is asked of one.

use super::super::{Files, Open, Place, Walk, admit};
use crate::call::{Answer, Args, Group, Outcome, calls, wait};
use crate::channel::PipeEnd;
use crate::errno::Errno;
use crate::file::Caller;
use crate::socket::{SocketFile, interface};
use crate::stop::Stop;
use crate::thread::Thread;
use alloc::rc::Rc;
use linux_raw_sys::general as abi;
use linux_raw_sys::general::{
    O_ACCMODE, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY, O_TMPFILE,
    O_TRUNC, O_WRONLY,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The calls about descriptors.
pub(crate) const CALLS: Group = calls! {
    open(Text, OPEN, Mode) = open;
    openat(Fd, Text, OPEN, Mode) = openat;
    openat2(Fd, Text, Hex, Size) = openat2;
    creat(Text, Mode) = creat;
    close(Fd) = close;
    close_range(Fd, Fd, Hex) = close_range;
    dup(Fd) = dup;
    dup2(Fd, Fd) = dup2;
    dup3(Fd, Fd, CLOEXEC) = dup3;
    fcntl(Fd, FCNTL, Hex) = fcntl;
    ioctl(Fd, IOCTL, Hex) = ioctl;
    memfd_create(Text, Hex) = memfd_create;
};

fn open(thread: &Rc<Thread>, [path, flags, mode, ..]: Args) -> Answer {
    openat(thread, [super::CWD, path, flags, mode, 0, 0])
}

fn creat(thread: &Rc<Thread>, [path, mode, ..]: Args) -> Answer {
    let flags = (O_CREAT | O_WRONLY | O_TRUNC).into();
    openat(thread, [super::CWD, path, flags, mode, 0, 0])
}

fn openat(thread: &Rc<Thread>, [fd, path, flags, mode, ..]: Args) -> Answer {
    opened(thread, fd, path, flags as u32, mode as u32 & 0o7777, Walk::empty())
}

/// `struct open_how`
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct How {
    flags: u64,
    mode: u64,
    resolve: u64,
}

fn openat2(thread: &Rc<Thread>, [fd, path, how, size, ..]: Args) -> Answer {
    if size < size_of::<How>() as u64 {
        return Err(Errno::EINVAL.into());
    }
    if size > 4096 {
        return Err(Errno::E2BIG.into());
    }
    let memory = thread.memory();
    // What a newer program knows and we do not has to be zero.
    for at in size_of::<How>() as u64..size {
        if memory.get::<u8>(how.wrapping_add(at))? != 0 {
            return Err(Errno::E2BIG.into());
        }
    }
    let How { flags, mode, resolve } = memory.get(how)?;
    let creates = flags & u64::from(O_CREAT | (O_TMPFILE & !O_DIRECTORY)) != 0;
    if flags & !u64::from(KNOWN) != 0
        || mode & !0o7777 != 0
        || mode != 0 && !creates
        || resolve & !0x3f != 0
        || resolve & 0x18 == 0x18
        || flags & u64::from(O_PATH) != 0
            && flags & !u64::from(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) != 0
    {
        return Err(Errno::EINVAL.into());
    }
    let walks = [
        (abi::RESOLVE_NO_XDEV, Walk::NO_MOUNTS),
        (abi::RESOLVE_NO_MAGICLINKS, Walk::NO_MAGIC),
        (abi::RESOLVE_NO_SYMLINKS, Walk::NO_LINKS),
        (abi::RESOLVE_BENEATH, Walk::BENEATH),
        (abi::RESOLVE_IN_ROOT, Walk::IN_ROOT),
        (abi::RESOLVE_CACHED, Walk::CACHED),
    ];
    let chosen = walks.into_iter().filter(|&(bit, _)| resolve & u64::from(bit) != 0);
    let walk = chosen.fold(Walk::empty(), |all, (_, it)| all | it);
    opened(thread, fd, path, flags as u32, mode as u32, walk)
}

/// The flags of open(2) that there are.
const KNOWN: u32 = O_ACCMODE
    | O_CREAT
    | O_EXCL
    | abi::O_NOCTTY
    | O_TRUNC
    | abi::O_APPEND
    | abi::O_NONBLOCK
    | abi::O_SYNC
    | abi::FASYNC
    | abi::O_DIRECT
    | abi::O_LARGEFILE
    | O_DIRECTORY
    | O_NOFOLLOW
    | abi::O_NOATIME
    | O_CLOEXEC
    | O_PATH
    | O_TMPFILE;

fn opened(thread: &Rc<Thread>, fd: u64, at: u64, flags: u32, mode: u32, walk: Walk) -> Answer {
    // All files may be large here, which F_GETFL says. A path alone has few flags, and the others
    // are not looked at.
    let flags = if flags & O_PATH == 0 {
        flags | abi::O_LARGEFILE
    } else {
        flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    };
    // Nobody makes a folder by opening it.
    let both = O_CREAT | O_DIRECTORY;
    // Nor is a file without a name asked for but by both bits of that.
    let half = flags & O_TMPFILE == O_TMPFILE & !O_DIRECTORY;
    if flags & both == both || half {
        return Err(Errno::EINVAL.into());
    }
    let path = super::path(thread, at)?;
    let base = match thread.process.files().get(fd) {
        // In a scope, an absolute path begins at the descriptor as well.
        Ok(open) if walk.intersects(Walk::IN_ROOT | Walk::BENEATH) => Some(open),
        _ => super::base(thread, fd, &path)?,
    };
    if flags & O_TMPFILE == O_TMPFILE {
        if flags & O_ACCMODE == O_RDONLY {
            return Err(Errno::EINVAL.into());
        }
        return nameless(thread, base.as_deref(), &path, flags, mode, walk);
    }
    // There has to be a descriptor before a file is made.
    let tree = &thread.system.tree;
    thread.process.files().reserve()?;
    let open = tree.open_walk(&**thread, base.as_deref(), &path, flags, mode, walk)?;
    if flags & O_TRUNC != 0 {
        super::cut(thread, &*open.file, 0);
    }
    let closes = flags & O_CLOEXEC != 0;
    if !open.is_nonblocking()
        && let Some(other) = open.as_kind::<PipeEnd>().and_then(PipeEnd::other_side)
    {
        let thread = Rc::clone(thread);
        return wait(async move {
            thread.interruptible(other).await?;
            thread.process.files().add(open, closes, 0)
        });
    }
    let fd = thread.process.files().add(open, closes, 0)?;
    Ok(fd.into())
}

/// Makes a file without a name in a folder (`O_TMPFILE`).
fn nameless(
    thread: &Rc<Thread>,
    base: Option<&Open>,
    path: &[u8],
    flags: u32,
    mode: u32,
    walk: Walk,
) -> Answer {
    let place = thread.system.tree.find(&**thread, base, path, walk | Walk::FOLLOW)?;
    if place.node.kind() != super::super::Type::Folder {
        return Err(Errno::ENOTDIR.into());
    }
    let (who, caller) = (thread.credentials(), &**thread);
    let above = place.node.stat();
    who.may(&above, 3)?;
    let folder = place.node.any().downcast_ref::<super::super::store::Node>();
    let folder = folder.ok_or(Errno::EOPNOTSUPP)?;
    let mode = who.mode_in(&above, mode, caller.fs().umask.get());
    let counted = admit(caller)?;
    let node = folder.nameless(mode, who.uid, who.group_in(&above))?;
    if let Some(extras) = super::super::Inode::extras(&*node) {
        extras.linkable.set(flags & O_EXCL == 0);
    }
    let place = Place { node: node.clone(), folder: None, name: (*b"/ (deleted)").into() };
    let kept = flags & (O_ACCMODE | abi::O_APPEND | abi::O_NONBLOCK | abi::O_LARGEFILE);
    let open = Open::at(counted, node, kept, place);
    Ok(thread.process.files().add(open, flags & O_CLOEXEC != 0, 0)?.into())
}

/// The longest name of a memfd in bytes.
const LONGEST: usize = 249;

fn memfd_create(thread: &Rc<Thread>, [name, flags, ..]: Args) -> Answer {
    const CLOEXEC: u64 = 1;
    const ALLOW_SEALING: u64 = 2;
    const NOEXEC_SEAL: u64 = 8;
    const EXEC: u64 = 16;
    if flags & !(CLOEXEC | ALLOW_SEALING | NOEXEC_SEAL | EXEC) != 0
        || flags & (NOEXEC_SEAL | EXEC) == NOEXEC_SEAL | EXEC
    {
        return Err(Errno::EINVAL.into());
    }
    let name = match thread.memory().text(name, LONGEST) {
        Err(Stop::Fail(Errno::ENAMETOOLONG)) => return Err(Errno::EINVAL.into()),
        other => other?,
    };
    let who = thread.credentials();
    let mode = if flags & NOEXEC_SEAL != 0 { 0o666 } else { 0o777 };
    let counted = admit(&**thread)?;
    let node = thread.system.scratch.nameless(mode, who.uid, who.gid)?;
    let seals = match flags & (ALLOW_SEALING | NOEXEC_SEAL) {
        0 => abi::F_SEAL_SEAL,
        ALLOW_SEALING => 0,
        _ => abi::F_SEAL_EXEC,
    };
    if let Some(cell) = super::super::File::seals(&*node) {
        cell.set(Some(seals));
    }
    let name = [b"/memfd:", &*name, b" (deleted)"].concat().into();
    let place = Place { node: node.clone(), folder: None, name };
    let open = Open::at(counted, node, abi::O_RDWR | abi::O_LARGEFILE, place);
    Ok(thread.process.files().add(open, flags & CLOEXEC != 0, 0)?.into())
}

fn close(thread: &Rc<Thread>, [fd, ..]: Args) -> Answer {
    let files: &Files = &thread.process.files();
    files.remove(fd)?.closed_by(files);
    Ok(Outcome::Value(0))
}

fn close_range(thread: &Rc<Thread>, [first, last, flags, ..]: Args) -> Answer {
    const UNSHARE: u64 = 2;
    const CLOEXEC: u64 = 4;
    let (first, last) = (first as u32 as usize, last as u32 as usize);
    if flags & !(UNSHARE | CLOEXEC) != 0 || first > last {
        return Err(Errno::EINVAL.into());
    }
    if flags & UNSHARE != 0 {
        thread.process.unshare()?.unshare_files()?;
    }
    let files = &thread.process.files();
    if flags & CLOEXEC != 0 {
        for fd in files.numbers().filter(|it| (first..=last).contains(it)) {
            files.set_close_on_exec(fd as u64, true)?;
        }
        return Ok(Outcome::Value(0));
    }
    files.retain(|fd, _| !(first..=last).contains(&fd));
    Ok(Outcome::Value(0))
}

fn dup(thread: &Rc<Thread>, [fd, ..]: Args) -> Answer {
    let files: &Files = &thread.process.files();
    Ok(files.add(files.get(fd)?, false, 0)?.into())
}

fn dup2(thread: &Rc<Thread>, [old, new, ..]: Args) -> Answer {
    if old as u32 == new as u32 {
        thread.process.files().get(old)?;
        return Ok((new as u32 as usize).into());
    }
    duplicate(thread, old, new, false)
}

fn dup3(thread: &Rc<Thread>, [old, new, flags, ..]: Args) -> Answer {
    if flags & !u64::from(O_CLOEXEC) != 0 || old as u32 == new as u32 {
        return Err(Errno::EINVAL.into());
    }
    duplicate(thread, old, new, flags != 0)
}

fn duplicate(thread: &Thread, old: u64, new: u64, close_on_exec: bool) -> Answer {
    let files: &Files = &thread.process.files();
    let to = new as u32 as usize;
    if let Some(gone) = files.put(to, files.get(old)?, close_on_exec)? {
        gone.closed_by(files);
    }
    Ok(to.into())
}

fn fcntl(thread: &Rc<Thread>, [fd, command, argument, ..]: Args) -> Answer {
    const F_ADD_SEALS: u32 = 1033;
    let files: &Files = &thread.process.files();
    let open = files.get(fd)?;
    let command = command as u32;
    let by_name = matches!(
        command,
        abi::F_DUPFD | abi::F_DUPFD_CLOEXEC | abi::F_GETFD | abi::F_SETFD | abi::F_GETFL
    );
    if open.flags() & O_PATH != 0 && !by_name {
        return Err(Errno::EBADF.into());
    }
    let value = match command {
        abi::F_DUPFD | abi::F_DUPFD_CLOEXEC => {
            let least = argument as u32 as usize;
            if least >= files.limit() {
                return Err(Errno::EINVAL.into());
            }
            files.add(open, command == abi::F_DUPFD_CLOEXEC, least)?
        }
        abi::F_GETFD => files.closes_on_exec(fd)?.into(),
        abi::F_SETFD => {
            files.set_close_on_exec(fd, argument & 1 != 0)?;
            0
        }
        abi::F_GETFL => open.flags() as usize,
        abi::F_SETFL => {
            open.set_flags(argument as u32);
            0
        }
        abi::F_GETLK | abi::F_OFD_GETLK => {
            return super::locks::get(thread, &open, command, argument);
        }
        abi::F_SETLK | abi::F_SETLKW | abi::F_OFD_SETLK | abi::F_OFD_SETLKW => {
            return super::locks::set(thread, &open, command, argument);
        }
        abi::F_SETPIPE_SZ | abi::F_GETPIPE_SZ => {
            return Ok(open.file.control(command, argument)?.into());
        }
        // Who is told by SIGIO is nobody.
        abi::F_GETOWN | abi::F_GETSIG => 0,
        // F_OWNER_TID 0, which is how Linux says nobody.
        abi::F_GETOWN_EX => {
            thread.memory().put(argument, &[0_i32; 2])?;
            0
        }
        abi::F_SETOWN | abi::F_SETOWN_EX | abi::F_SETSIG => 0,
        abi::F_GETLEASE => abi::F_UNLCK as usize,
        // Nobody could be told that somebody else wants the file.
        abi::F_SETLEASE => {
            let known = argument as u32 <= abi::F_UNLCK;
            let may = known && open.file.stat()?.kind == super::super::Type::Regular;
            return Err(if may { Errno::EAGAIN } else { Errno::EINVAL }.into());
        }
        abi::F_GET_SEALS => {
            let seals = open.file.seals().and_then(core::cell::Cell::get);
            seals.ok_or(Errno::EINVAL)? as usize
        }
        F_ADD_SEALS => {
            let cell = open.file.seals().ok_or(Errno::EINVAL)?;
            let seals = cell.get().ok_or(Errno::EINVAL)?;
            if argument & !0x3f != 0 {
                return Err(Errno::EINVAL.into());
            }
            if !open.can_write() || seals & abi::F_SEAL_SEAL != 0 {
                return Err(Errno::EPERM.into());
            }
            let new = argument as u32 & !seals;
            if new & abi::F_SEAL_WRITE != 0 && is_mapped_to_write(thread, &open) {
                return Err(Errno::EBUSY.into());
            }
            cell.set(Some(seals | new));
            0
        }
        _ => return Err(Errno::EINVAL.into()),
    };
    Ok(value.into())
}

/// Whether any program has it mapped so that it may write to it.
fn is_mapped_to_write(thread: &Thread, open: &Open) -> bool {
    let Ok(pages) = open.file.pages() else { return false };
    let mut memories = thread.system.processes().filter_map(|it| it.memory());
    memories.any(|it| it.may_write(&pages))
}

fn ioctl(thread: &Rc<Thread>, [fd, request, argument, ..]: Args) -> Answer {
    use linux_raw_sys::ioctl::{
        FIOASYNC, FIOCLEX, FIONBIO, FIONCLEX, FIONREAD, SIOCGIFMAP, SIOCGIFNAME,
    };
    let files: &Files = &thread.process.files();
    let open = files.get(fd)?;
    if open.flags() & O_PATH != 0 {
        return Err(Errno::EBADF.into());
    }
    let memory = thread.memory();
    let request = request as u32;
    // Any socket tells of the interfaces (netdevice(7)).
    if (SIOCGIFNAME..=SIOCGIFMAP).contains(&request) && SocketFile::of(&open).is_ok() {
        let interfaces = thread.system.network()?.interfaces();
        return Ok(interface::ioctl(&memory, &interfaces, request, argument)?.into());
    }
    match request {
        FIOCLEX | FIONCLEX => files.set_close_on_exec(fd, request == FIOCLEX)?,
        FIONBIO => {
            let on: i32 = memory.get(argument)?;
            let bit = if on != 0 { abi::O_NONBLOCK } else { 0 };
            open.set_flags(open.flags() & !abi::O_NONBLOCK | bit);
        }
        FIOASYNC => drop(memory.get::<i32>(argument)?),
        FIONREAD if open.file.pages().is_ok() => {
            let left = open.file.stat()?.size.saturating_sub(open.position.get());
            memory.put(argument, &i32::try_from(left).unwrap_or(i32::MAX))?;
        }
        _ => return Ok(open.file.ioctl(&**thread, request, argument)?.into()),
    }
    Ok(Outcome::Value(0))
}
