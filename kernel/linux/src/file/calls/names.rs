//! Makes, removes and renames what has a name, and where a process is.

use super::super::{Caller, Handle, Inode, LONGEST_PATH, New, Open, Place, Type, Walk, notify};
use crate::call::{Answer, Args, Group, Outcome, calls};
use crate::errno::Errno;
use crate::stop::Stop;
use crate::thread::Thread;
use alloc::rc::Rc;
use alloc::vec::Vec;
use linux_raw_sys::general::{
    AT_EMPTY_PATH, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, IN_ATTRIB, IN_CREATE, IN_DELETE,
    IN_DELETE_SELF, IN_MOVE_SELF, IN_MOVED_FROM, IN_MOVED_TO, RENAME_EXCHANGE, RENAME_NOREPLACE,
};

/// The calls about names.
pub(crate) const CALLS: Group = calls! {
    mkdir(Text, Mode) = mkdir;
    mkdirat(Fd, Text, Mode) = mkdirat;
    mknod(Text, Mode, Hex) = mknod;
    mknodat(Fd, Text, Mode, Hex) = mknodat;
    rmdir(Text) = rmdir;
    unlink(Text) = unlink;
    unlinkat(Fd, Text, AT) = unlinkat;
    rename(Text, Text) = rename;
    renameat(Fd, Text, Fd, Text) = renameat;
    renameat2(Fd, Text, Fd, Text, Hex) = renameat2;
    link(Text, Text) = link;
    linkat(Fd, Text, Fd, Text, AT) = linkat;
    symlink(Text, Text) = symlink;
    symlinkat(Text, Fd, Text) = symlinkat;
    readlink(Text, Filled, Size) = readlink;
    readlinkat(Fd, Text, Filled, Size) = readlinkat;
    chdir(Text) = chdir;
    fchdir(Fd) = fchdir;
    chroot(Text) = chroot;
    getcwd(Filled, Size) = getcwd;
    umask(Mode) = umask;
    getdents64(Fd, Hex, Size) = getdents64;
    getdents(Fd, Hex, Size) = getdents;
};

use super::CWD;

/// Makes something at a descriptor and a path.
fn make(thread: &Rc<Thread>, fd: u64, at: u64, new: New<'_>, mode: u32) -> Answer {
    let path = super::path(thread, at)?;
    let base = super::base(thread, fd, &path)?;
    thread.system.tree.make(&**thread, base.as_deref(), &path, new, mode)?;
    Ok(Outcome::Value(0))
}

fn mkdir(thread: &Rc<Thread>, [path, mode, ..]: Args) -> Answer {
    mkdirat(thread, [CWD, path, mode, 0, 0, 0])
}

fn mkdirat(thread: &Rc<Thread>, [fd, path, mode, ..]: Args) -> Answer {
    make(thread, fd, path, New::Folder, mode as u32 & 0o1777)
}

fn mknod(thread: &Rc<Thread>, [path, mode, number, ..]: Args) -> Answer {
    mknodat(thread, [CWD, path, mode, number, 0, 0])
}

fn mknodat(thread: &Rc<Thread>, [fd, path, mode, number, ..]: Args) -> Answer {
    let new = match mode as u32 >> 12 & 0xf {
        0 | 8 => New::File,
        1 => New::Pipe,
        12 => New::Socket,
        4 => return Err(Errno::EPERM.into()),
        it @ (2 | 6) => {
            if !thread.credentials().root {
                return Err(Errno::EPERM.into());
            }
            if it == 2 { New::Character(number) } else { New::Block(number) }
        }
        _ => return Err(Errno::EINVAL.into()),
    };
    make(thread, fd, path, new, mode as u32 & 0o7777)
}

fn symlink(thread: &Rc<Thread>, [target, path, ..]: Args) -> Answer {
    symlinkat(thread, [target, CWD, path, 0, 0, 0])
}

fn symlinkat(thread: &Rc<Thread>, [target, fd, path, ..]: Args) -> Answer {
    let target = super::path(thread, target)?;
    if target.is_empty() {
        return Err(Errno::ENOENT.into());
    }
    make(thread, fd, path, New::Link(&target), 0o777)
}

fn rmdir(thread: &Rc<Thread>, [path, ..]: Args) -> Answer {
    unlinkat(thread, [CWD, path, AT_REMOVEDIR.into(), 0, 0, 0])
}

fn unlink(thread: &Rc<Thread>, [path, ..]: Args) -> Answer {
    unlinkat(thread, [CWD, path, 0, 0, 0, 0])
}

/// The last name of a path, which is neither `.` nor `..`.
fn last(path: &[u8]) -> &[u8] {
    let mut names = path.rsplit(|&byte| byte == b'/');
    names.find(|it| !it.is_empty()).unwrap_or_default()
}

fn unlinkat(thread: &Rc<Thread>, [fd, at, flags, ..]: Args) -> Answer {
    if flags & !u64::from(AT_REMOVEDIR) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let folder = flags != 0;
    let path = super::path(thread, at)?;
    let base = super::base(thread, fd, &path)?;
    let found = thread.system.tree.walk(&**thread, base.as_deref(), &path, Walk::NAME)?;
    let node = found.node.ok_or(Errno::ENOENT)?;
    let Some(parent) = found.folder else {
        return Err(match (folder, last(&path)) {
            (false, _) => Errno::EISDIR,
            (true, b".") => Errno::EINVAL,
            (true, b"..") => Errno::ENOTEMPTY,
            (true, _) => Errno::EBUSY,
        }
        .into());
    };
    match (folder, node.kind() == Type::Folder) {
        (true, false) => return Err(Errno::ENOTDIR.into()),
        (false, true) => return Err(Errno::EISDIR.into()),
        (false, false) if found.slash => return Err(Errno::ENOTDIR.into()),
        _ => {}
    }
    if node.id().0 != parent.id().0 {
        return Err(Errno::EBUSY.into());
    }
    thread.credentials().may_remove(&parent.stat(), &node.stat())?;
    parent.remove(&**thread, &found.name, folder)?;
    if !folder {
        notify::itself(&node, IN_ATTRIB);
    }
    gone(&node);
    notify::named(&parent, &found.name, IN_DELETE, 0, folder);
    Ok(Outcome::Value(0))
}

/// A name of `node` is gone, and with the last one it.
fn gone(node: &Rc<dyn Inode>) {
    if node.stat().links == 0 {
        notify::itself(node, IN_DELETE_SELF);
    }
}

fn rename(thread: &Rc<Thread>, [from, to, ..]: Args) -> Answer {
    renameat2(thread, [CWD, from, CWD, to, 0, 0])
}

fn renameat(thread: &Rc<Thread>, [from_fd, from, to_fd, to, ..]: Args) -> Answer {
    renameat2(thread, [from_fd, from, to_fd, to, 0, 0])
}

fn renameat2(thread: &Rc<Thread>, [from_fd, from, to_fd, to, flags, _]: Args) -> Answer {
    let known = RENAME_NOREPLACE | RENAME_EXCHANGE;
    if flags & !u64::from(known) != 0 || flags == known.into() {
        return Err(Errno::EINVAL.into());
    }
    let exchange = flags & u64::from(RENAME_EXCHANGE) != 0;
    let tree = &thread.system.tree;
    let (from, to) = (super::path(thread, from)?, super::path(thread, to)?);
    let base = super::base(thread, from_fd, &from)?;
    let old = tree.walk(&**thread, base.as_deref(), &from, Walk::NAME)?;
    let base = super::base(thread, to_fd, &to)?;
    let new = tree.walk(&**thread, base.as_deref(), &to, Walk::NAME)?;
    // A path to `.`, `..` or a root has no name to change.
    let (Some(folder), Some(target)) = (old.folder, new.folder) else {
        return Err(if old.node.is_none() { Errno::ENOENT } else { Errno::EBUSY }.into());
    };
    let node = old.node.ok_or(Errno::ENOENT)?;
    if flags & u64::from(RENAME_NOREPLACE) != 0 && new.node.is_some() {
        return Err(Errno::EEXIST.into());
    }
    if node.kind() != Type::Folder && (old.slash || new.slash && !exchange) {
        return Err(Errno::ENOTDIR.into());
    }
    let device = folder.id().0;
    if target.id().0 != device {
        return Err(Errno::EXDEV.into());
    }
    if [Some(&node), new.node.as_ref()].into_iter().flatten().any(|it| it.id().0 != device) {
        return Err(Errno::EBUSY.into());
    }
    let who = thread.credentials();
    who.may_remove(&folder.stat(), &node.stat())?;
    match &new.node {
        Some(other) => who.may_remove(&target.stat(), &other.stat())?,
        None => who.may(&target.stat(), 3)?,
    }
    folder.rename(&**thread, &old.name, &target, &new.name, exchange)?;
    // Two names of one file stay as they are (rename(2)).
    if new.node.as_ref().is_some_and(|it| it.id() == node.id()) {
        return Ok(Outcome::Value(0));
    }
    // The two halves of a move have one number, unlike others.
    let cookie = thread.system.next_move();
    let is_folder = node.kind() == Type::Folder;
    notify::named(&folder, &old.name, IN_MOVED_FROM, cookie, is_folder);
    notify::named(&target, &new.name, IN_MOVED_TO, cookie, is_folder);
    if let Some(other) = new.node.as_ref().filter(|_| !exchange) {
        notify::itself(other, IN_ATTRIB);
    }
    notify::itself(&node, IN_MOVE_SELF);
    if let Some(other) = new.node {
        if exchange {
            let (cookie, is_folder) = (thread.system.next_move(), other.kind() == Type::Folder);
            notify::named(&target, &new.name, IN_MOVED_FROM, cookie, is_folder);
            notify::named(&folder, &old.name, IN_MOVED_TO, cookie, is_folder);
            notify::itself(&other, IN_MOVE_SELF);
        } else {
            gone(&other);
        }
    }
    Ok(Outcome::Value(0))
}

fn link(thread: &Rc<Thread>, [from, to, ..]: Args) -> Answer {
    linkat(thread, [CWD, from, CWD, to, 0, 0])
}

fn linkat(thread: &Rc<Thread>, [from_fd, from, to_fd, to, flags, _]: Args) -> Answer {
    if flags & !u64::from(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    // Who was only given a descriptor must not keep the file by a name (linkat(2)).
    if flags & u64::from(AT_EMPTY_PATH) != 0 && !thread.credentials().root {
        return Err(Errno::ENOENT.into());
    }
    let follow = flags & u64::from(AT_SYMLINK_FOLLOW) != 0;
    let walk = if follow { Walk::FOLLOW } else { Walk::empty() };
    let place = super::find(thread, from_fd, from, flags as u32, walk)?;
    let path = super::path(thread, to)?;
    let base = super::base(thread, to_fd, &path)?;
    let found = thread.system.tree.walk(&**thread, base.as_deref(), &path, Walk::NAME)?;
    let (None, Some(folder)) = (&found.node, &found.folder) else {
        return Err(Errno::EEXIST.into());
    };
    if place.node.kind() == Type::Folder {
        return Err(Errno::EPERM.into());
    }
    if found.slash {
        return Err(Errno::ENOENT.into());
    }
    if folder.id().0 != place.node.id().0 {
        return Err(Errno::EXDEV.into());
    }
    let who = thread.credentials();
    who.may_link(&place.node.stat())?;
    who.may(&folder.stat(), 3)?;
    let linkable = place.node.extras().map(|it| &it.linkable);
    if place.node.stat().links == 0 && !linkable.is_some_and(|it| it.get()) {
        return Err(Errno::ENOENT.into());
    }
    folder.link(&found.name, &place.node)?;
    if let Some(linkable) = linkable {
        linkable.set(false);
    }
    notify::itself(&place.node, IN_ATTRIB);
    notify::named(folder, &found.name, IN_CREATE, 0, false);
    Ok(Outcome::Value(0))
}

fn readlink(thread: &Rc<Thread>, [path, to, size, ..]: Args) -> Answer {
    readlinkat(thread, [CWD, path, to, size, 0, 0])
}

fn readlinkat(thread: &Rc<Thread>, [fd, at, to, size, ..]: Args) -> Answer {
    let size = i32::try_from(size as u32).ok().filter(|&it| it > 0).ok_or(Errno::EINVAL)?;
    // A descriptor of a link itself (O_PATH) is read with an empty path.
    let path = super::path(thread, at)?;
    let base = super::base(thread, fd, &path)?;
    let walk = if base.is_some() { Walk::EMPTY } else { Walk::empty() };
    let place = thread.system.tree.find(&**thread, base.as_deref(), &path, walk)?;
    let mut target = match place.node.follow(&**thread)? {
        Some(to) => thread.system.tree.path(&thread.fs(), &to)?,
        None => place.node.read_link(&**thread)?,
    };
    target.truncate(size as usize);
    thread.memory().write(to as usize, &target)?;
    Ok(target.len().into())
}

/// Goes to a folder that the caller may go through.
fn enter(thread: &Thread, place: Place) -> Result<Place, Stop> {
    if place.node.kind() != Type::Folder {
        return Err(Errno::ENOTDIR.into());
    }
    thread.credentials().may(&place.node.stat(), 1)?;
    Ok(place)
}

fn chdir(thread: &Rc<Thread>, [path, ..]: Args) -> Answer {
    let place = enter(thread, super::find(thread, CWD, path, 0, Walk::FOLLOW)?)?;
    *thread.fs().cwd.borrow_mut() = Some(place);
    Ok(Outcome::Value(0))
}

fn fchdir(thread: &Rc<Thread>, [fd, ..]: Args) -> Answer {
    let open: Rc<Open> = thread.process.files().get(fd)?;
    let place = enter(thread, open.place.clone().ok_or(Errno::ENOTDIR)?)?;
    *thread.fs().cwd.borrow_mut() = Some(place);
    Ok(Outcome::Value(0))
}

fn chroot(thread: &Rc<Thread>, [path, ..]: Args) -> Answer {
    let place = enter(thread, super::find(thread, CWD, path, 0, Walk::FOLLOW)?)?;
    if !thread.credentials().root {
        return Err(Errno::EPERM.into());
    }
    let context = thread.fs();
    // The working directory stays where it is.
    let cwd = thread.system.tree.cwd(&context);
    *context.cwd.borrow_mut() = Some(cwd);
    *context.root.borrow_mut() = Some(place);
    Ok(Outcome::Value(0))
}

fn getcwd(thread: &Rc<Thread>, [to, size, ..]: Args) -> Answer {
    let context = thread.fs();
    let tree = &thread.system.tree;
    let mut path = tree.folder_path(&context, &tree.cwd(&context).node)?;
    if path.len() >= LONGEST_PATH {
        return Err(Errno::ENAMETOOLONG.into());
    }
    path.push(0);
    if path.len() as u64 > size {
        return Err(Errno::ERANGE.into());
    }
    thread.memory().write(to as usize, &path)?;
    Ok(path.len().into())
}

fn umask(thread: &Rc<Thread>, [mask, ..]: Args) -> Answer {
    let context = thread.fs();
    let old = context.umask.replace(mask as u32 & 0o777);
    Ok((old as usize).into())
}

/// What is written of an entry before its name: its inode, the offset of the next one, the
/// length of the whole.
const HEAD: usize = 8 + 8 + 2;

fn getdents64(thread: &Rc<Thread>, args: Args) -> Answer {
    list(thread, args, true)
}

/// The old layout has the type at the very end.
fn getdents(thread: &Rc<Thread>, args: Args) -> Answer {
    list(thread, args, false)
}

fn list(thread: &Rc<Thread>, [fd, to, size, ..]: Args, new: bool) -> Answer {
    let open = thread.process.files().get(fd)?;
    let handle = open.as_kind::<Handle>().ok_or(Errno::ENOTDIR)?;
    let memory = thread.memory();
    // Caches give up pages for it first.
    let _ = memory.ram().has_room();
    let listing = handle.listing(&**thread)?;
    // What is read at once: more calls read the rest.
    let room = (size as u32 as usize).min(32 * 1024);
    memory.ram().check_under_way()?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(room).map_err(|_| Errno::ENOMEM)?;
    let begin = usize::try_from(open.position.get()).unwrap_or(usize::MAX);
    let mut next = begin;
    for entry in listing.from(begin) {
        let length = (HEAD + entry.name.len() + 2).next_multiple_of(8);
        if bytes.len() + length > room {
            if bytes.is_empty() {
                return Err(Errno::EINVAL.into());
            }
            break;
        }
        next += 1;
        let end = bytes.len() + length;
        let kind = entry.kind.map_or(0, |it| (it.bits() >> 12) as u8);
        bytes.extend_from_slice(&entry.number.to_le_bytes());
        bytes.extend_from_slice(&(next as u64).to_le_bytes());
        bytes.extend_from_slice(&(length as u16).to_le_bytes());
        if new {
            bytes.push(kind);
        }
        bytes.extend_from_slice(entry.name);
        bytes.resize(end, 0);
        if !new && let Some(last) = bytes.last_mut() {
            *last = kind;
        }
    }
    memory.write(to as usize, &bytes)?;
    open.position.set(next as u64);
    super::accessed(&open, 1);
    if bytes.is_empty() {
        // At the end: it is looked at anew when it is read from the beginning.
        handle.rewind();
    }
    Ok(bytes.len().into())
}
