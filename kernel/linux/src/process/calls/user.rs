//! As whom a process runs: getuid(2) and its kin (credentials(7)).

use crate::call::{Answer, Args, Group, calls};
use crate::errno::Errno;
use crate::file::Caller;
use crate::process::{Credentials, Ids};
use crate::thread::Thread;
use alloc::rc::Rc;
use alloc::vec::Vec;

/// getuid(2) and its kin.
pub(crate) const CALLS: Group = calls! {
    getuid() = getuid;
    geteuid() = geteuid;
    getgid() = getgid;
    getegid() = getegid;
    setuid(Int) = setuid;
    setgid(Int) = setgid;
    setreuid(Int, Int) = setreuid;
    setregid(Int, Int) = setregid;
    setresuid(Int, Int, Int) = setresuid;
    setresgid(Int, Int, Int) = setresgid;
    getresuid(Hex, Hex, Hex) = getresuid;
    getresgid(Hex, Hex, Hex) = getresgid;
    setfsuid(Int) = setfsuid;
    setfsgid(Int) = setfsgid;
    getgroups(Int, Hex) = getgroups;
    setgroups(Int, Hex) = setgroups;
    capget(Hex, Hex) = capget;
    capset(Hex, Hex) = capset;
};

/// Groups that a user can be in (`NGROUPS_MAX`).
const MOST_GROUPS: u64 = 65_536;

/// No change.
const SAME: u32 = u32::MAX;

/// User or group: where its numbers are.
type Part = fn(&mut Credentials) -> &mut Ids;
const USER: Part = |it| &mut it.user;
const GROUP: Part = |it| &mut it.group;

fn read(thread: &Thread, value: impl Fn(&Credentials) -> u32) -> Answer {
    Ok((value(&thread.process.credentials.borrow()) as usize).into())
}

fn getuid(thread: &Rc<Thread>, _: Args) -> Answer {
    read(thread, |it| it.user.real)
}

fn geteuid(thread: &Rc<Thread>, _: Args) -> Answer {
    read(thread, |it| it.user.effective)
}

fn getgid(thread: &Rc<Thread>, _: Args) -> Answer {
    read(thread, |it| it.group.real)
}

fn getegid(thread: &Rc<Thread>, _: Args) -> Answer {
    read(thread, |it| it.group.effective)
}

/// Gives a process other numbers. One that acts or opens files as another than before may know what
/// that one is not to see: nobody looks into it any more, and its parent's end is no signal to it
/// (`PR_SET_DUMPABLE` of prctl(2)).
fn put(thread: &Thread, ids: &mut Ids, new: Ids) {
    if (new.effective, new.files) != (ids.effective, ids.files) {
        let controls = &thread.process.controls;
        controls.undumpable.set(true);
        controls.parent_ended.set(0);
    }
    *ids = new;
}

/// Changes one part by `change`, which gets whether the process is root.
fn change(
    thread: &Thread,
    part: Part,
    change: impl Fn(&mut Ids, bool) -> Result<(), Errno>,
) -> Answer {
    let mut all = thread.process.credentials.borrow_mut();
    let root = all.is_root();
    let ids = part(&mut all);
    let mut new = *ids;
    change(&mut new, root)?;
    put(thread, ids, new);
    Ok(0.into())
}

fn set(thread: &Thread, part: Part, id: u64) -> Answer {
    let id = id as u32;
    if id == SAME {
        return Err(Errno::EINVAL.into());
    }
    change(thread, part, |ids, root| {
        if root {
            *ids = Ids::all(id);
        } else if id == ids.real || id == ids.saved {
            (ids.effective, ids.files) = (id, id);
        } else {
            return Err(Errno::EPERM);
        }
        Ok(())
    })
}

fn setuid(thread: &Rc<Thread>, [id, ..]: Args) -> Answer {
    set(thread, USER, id)
}

fn setgid(thread: &Rc<Thread>, [id, ..]: Args) -> Answer {
    set(thread, GROUP, id)
}

fn set_two(thread: &Thread, part: Part, [real, effective, ..]: Args) -> Answer {
    let (real, effective) = (real as u32, effective as u32);
    change(thread, part, |ids, root| {
        let old = *ids;
        if real != SAME {
            if !root && real != old.real && real != old.effective {
                return Err(Errno::EPERM);
            }
            ids.real = real;
        }
        if effective != SAME {
            if !root && !old.has(effective) {
                return Err(Errno::EPERM);
            }
            ids.effective = effective;
        }
        if real != SAME || effective != SAME && effective != old.real {
            ids.saved = ids.effective;
        }
        ids.files = ids.effective;
        Ok(())
    })
}

fn setreuid(thread: &Rc<Thread>, args: Args) -> Answer {
    set_two(thread, USER, args)
}

fn setregid(thread: &Rc<Thread>, args: Args) -> Answer {
    set_two(thread, GROUP, args)
}

fn set_three(thread: &Thread, part: Part, [real, effective, saved, ..]: Args) -> Answer {
    let new = [real, effective, saved].map(|it| it as u32);
    change(thread, part, |ids, root| {
        let old = *ids;
        if !root && new.iter().any(|&it| it != SAME && !old.has(it)) {
            return Err(Errno::EPERM);
        }
        let [real, effective, saved] = new;
        let or = |new: u32, old: u32| if new == SAME { old } else { new };
        ids.real = or(real, old.real);
        ids.effective = or(effective, old.effective);
        ids.saved = or(saved, old.saved);
        ids.files = ids.effective;
        Ok(())
    })
}

fn setresuid(thread: &Rc<Thread>, args: Args) -> Answer {
    set_three(thread, USER, args)
}

fn setresgid(thread: &Rc<Thread>, args: Args) -> Answer {
    set_three(thread, GROUP, args)
}

fn get_three(thread: &Thread, ids: Ids, [real, effective, saved, ..]: Args) -> Answer {
    let memory = thread.memory();
    memory.put(real, &ids.real)?;
    memory.put(effective, &ids.effective)?;
    memory.put(saved, &ids.saved)?;
    Ok(0.into())
}

fn getresuid(thread: &Rc<Thread>, args: Args) -> Answer {
    let ids = thread.process.credentials.borrow().user;
    get_three(thread, ids, args)
}

fn getresgid(thread: &Rc<Thread>, args: Args) -> Answer {
    let ids = thread.process.credentials.borrow().group;
    get_three(thread, ids, args)
}

/// Returns the old number, whether it could be changed or not (setfsuid(2)).
fn set_files(thread: &Thread, part: Part, id: u64) -> Answer {
    let mut all = thread.process.credentials.borrow_mut();
    let root = all.is_root();
    let ids = part(&mut all);
    let old = ids.files;
    let id = id as u32;
    if id != SAME && (root || ids.has(id) || id == old) {
        put(thread, ids, Ids { files: id, ..*ids });
    }
    Ok((old as usize).into())
}

fn setfsuid(thread: &Rc<Thread>, [id, ..]: Args) -> Answer {
    set_files(thread, USER, id)
}

fn setfsgid(thread: &Rc<Thread>, [id, ..]: Args) -> Answer {
    set_files(thread, GROUP, id)
}

fn getgroups(thread: &Rc<Thread>, [count, to, ..]: Args) -> Answer {
    let groups = Rc::clone(&thread.process.credentials.borrow().groups);
    let count = count as i32;
    if count < 0 || count != 0 && (count as usize) < groups.len() {
        return Err(Errno::EINVAL.into());
    }
    if count != 0 {
        for (index, group) in (0..).zip(groups.iter()) {
            thread.memory().put(to.wrapping_add(4 * index), group)?;
        }
    }
    Ok(groups.len().into())
}

fn setgroups(thread: &Rc<Thread>, [count, from, ..]: Args) -> Answer {
    if !thread.process.credentials.borrow().is_root() {
        return Err(Errno::EPERM.into());
    }
    if count > MOST_GROUPS {
        return Err(Errno::EINVAL.into());
    }
    let mut groups = Vec::new();
    crate::process::room(&thread.system.ram, count as usize * 8)?;
    groups.try_reserve_exact(count as usize).map_err(|_| Errno::ENOMEM)?;
    for index in 0..count {
        groups.push(thread.memory().get::<u32>(from.wrapping_add(index * 4))?);
    }
    thread.process.credentials.borrow_mut().groups = Rc::from(groups);
    Ok(0.into())
}

/// Versions of `struct __user_cap_header_struct`, and how many words of capabilities each has.
const VERSIONS: [(u32, usize); 3] = [(0x1998_0330, 1), (0x2007_1026, 2), (0x2008_0522, 2)];

/// All capabilities that Linux 6.1 has.
const ALL: u64 = (1 << 41) - 1;

fn cap_header(thread: &Thread, at: u64) -> Result<(usize, i32), crate::stop::Stop> {
    let memory = thread.memory();
    let [version, process]: [u32; 2] = memory.get(at)?;
    match VERSIONS.iter().find(|it| it.0 == version) {
        Some(&(_, words)) => Ok((words, process as i32)),
        None => {
            memory.put(at, &VERSIONS[2].0)?;
            Err(Errno::EINVAL.into())
        }
    }
}

/// Root has all, and nobody else any.
fn capget(thread: &Rc<Thread>, [header, data, ..]: Args) -> Answer {
    let (words, id) = match cap_header(thread, header) {
        // To ask for the version alone is no error.
        Err(crate::stop::Stop::Fail(Errno::EINVAL)) if data == 0 => return Ok(0.into()),
        other => other?,
    };
    let process = match id {
        0 => Rc::clone(&thread.process),
        ..0 => return Err(Errno::EINVAL.into()),
        id => thread.system.process(id).ok_or(Errno::ESRCH)?,
    };
    let all = if process.credentials.borrow().is_root() { ALL } else { 0 };
    if data != 0 {
        for word in 0..words {
            let part = (all >> (32 * word)) as u32;
            thread.memory().put(data.wrapping_add(12 * word as u64), &[part, part, 0])?;
        }
    }
    Ok(0.into())
}

/// Capabilities can be asked for that it has; giving them up changes nothing.
fn capset(thread: &Rc<Thread>, [header, data, ..]: Args) -> Answer {
    let (words, id) = cap_header(thread, header)?;
    if id != 0 && id != thread.process.id {
        return Err(Errno::EPERM.into());
    }
    let all = if thread.process.credentials.borrow().is_root() { ALL } else { 0 };
    for word in 0..words {
        let asked: [u32; 3] = thread.memory().get(data.wrapping_add(12 * word as u64))?;
        let part = (all >> (32 * word)) as u32;
        if asked.iter().take(2).any(|it| it & !part != 0) {
            return Err(Errno::EPERM.into());
        }
    }
    Ok(0.into())
}
