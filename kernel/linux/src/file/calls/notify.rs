//! inotify(7).

use super::super::notify::Inotify;
use super::super::{Caller, Open, Type, Walk, admit};
use crate::call::{Answer, Args, Group, Outcome, calls};
use crate::errno::Errno;
use crate::thread::Thread;
use alloc::rc::Rc;
use linux_raw_sys::general as abi;

/// The calls of inotify(7).
pub(crate) const CALLS: Group = calls! {
    inotify_init() = inotify_init;
    inotify_init1(CLOEXEC) = inotify_init1;
    inotify_add_watch(Fd, Text, Hex) = inotify_add_watch;
    inotify_rm_watch(Fd, Int) = inotify_rm_watch;
};

fn inotify_init(thread: &Rc<Thread>, _: Args) -> Answer {
    inotify_init1(thread, [0; 6])
}

fn inotify_init1(thread: &Rc<Thread>, [flags, ..]: Args) -> Answer {
    let flags = u32::try_from(flags).unwrap_or(u32::MAX);
    if flags & !(abi::IN_CLOEXEC | abi::IN_NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let counted = admit(&**thread)?;
    let open = Open::new(counted, Inotify::new(&thread.system.ram), flags & abi::IN_NONBLOCK);
    Ok(thread.process.files().add(open, flags & abi::IN_CLOEXEC != 0, 0)?.into())
}

fn inotify_add_watch(thread: &Rc<Thread>, [fd, path, mask, ..]: Args) -> Answer {
    let mask = mask as u32;
    let known = abi::IN_ALL_EVENTS
        | abi::IN_ONLYDIR
        | abi::IN_DONT_FOLLOW
        | abi::IN_EXCL_UNLINK
        | abi::IN_MASK_CREATE
        | abi::IN_MASK_ADD
        | abi::IN_ONESHOT;
    let both = abi::IN_MASK_CREATE | abi::IN_MASK_ADD;
    if mask & known == 0 || mask & both == both {
        return Err(Errno::EINVAL.into());
    }
    let open = thread.process.files().get(fd)?;
    let inotify = open.as_kind::<Inotify>().ok_or(Errno::EINVAL)?;
    let walk = if mask & abi::IN_DONT_FOLLOW != 0 { Walk::empty() } else { Walk::FOLLOW };
    let place = super::find(thread, super::CWD, path, 0, walk)?;
    if mask & abi::IN_ONLYDIR != 0 && place.node.kind() != Type::Folder {
        return Err(Errno::ENOTDIR.into());
    }
    thread.credentials().may(&place.node.stat(), 4)?;
    Ok((inotify.add(&place.node, mask)? as usize).into())
}

fn inotify_rm_watch(thread: &Rc<Thread>, [fd, watch, ..]: Args) -> Answer {
    let open = thread.process.files().get(fd)?;
    let inotify = open.as_kind::<Inotify>().ok_or(Errno::EINVAL)?;
    inotify.remove(watch as i32)?;
    Ok(Outcome::Value(0))
}
