//! Numbers of processes, groups and sessions, and the end of threads.

use crate::call::{Answer, Args, Group, calls, wait};
use crate::errno::Errno;
use crate::process::{Process, Status};
use crate::thread::Thread;
use alloc::rc::Rc;
use core::future::pending;

/// Numbers of processes, groups and sessions, and the end of threads.
pub(crate) const CALLS: Group = calls! {
    getpid() = getpid;
    gettid() = gettid;
    getppid() = getppid;
    getpgid(Int) = getpgid;
    getpgrp() = getpgrp;
    setpgid(Int, Int) = setpgid;
    getsid(Int) = getsid;
    setsid() = setsid;
    set_tid_address(Hex) = set_tid_address;
    exit(Int) = exit;
    exit_group(Int) = exit_group;
};

fn getpid(thread: &Rc<Thread>, _: Args) -> Answer {
    Ok((thread.process.id as usize).into())
}

fn gettid(thread: &Rc<Thread>, _: Args) -> Answer {
    Ok((thread.id() as usize).into())
}

fn getppid(thread: &Rc<Thread>, _: Args) -> Answer {
    Ok(thread.process.parent().map_or(0, |it| it.id as usize).into())
}

/// The process of that number; 0: the caller's.
fn named(thread: &Thread, id: u64) -> Result<Rc<Process>, Errno> {
    match id as i32 {
        0 => Ok(Rc::clone(&thread.process)),
        id => thread.system.process(id).ok_or(Errno::ESRCH),
    }
}

fn getpgid(thread: &Rc<Thread>, [id, ..]: Args) -> Answer {
    Ok((named(thread, id)?.group() as usize).into())
}

fn getpgrp(thread: &Rc<Thread>, _: Args) -> Answer {
    Ok((thread.process.group() as usize).into())
}

fn getsid(thread: &Rc<Thread>, [id, ..]: Args) -> Answer {
    Ok((named(thread, id)?.session() as usize).into())
}

fn setpgid(thread: &Rc<Thread>, [id, group, ..]: Args) -> Answer {
    let own = &thread.process;
    // Where no group is given it has the number of the process.
    let wanted = if group as i32 == 0 { id } else { group };
    if (wanted as i32) < 0 {
        return Err(Errno::EINVAL.into());
    }
    let process = named(thread, id)?;
    if !Rc::ptr_eq(&process, own) {
        if !process.is_child_of(own) {
            return Err(Errno::ESRCH.into());
        }
        if process.session() != own.session() {
            return Err(Errno::EPERM.into());
        }
        if process.program.borrow().executed {
            return Err(Errno::EACCES.into());
        }
    }
    if process.session() == process.id {
        return Err(Errno::EPERM.into());
    }
    let group = if group as i32 == 0 { process.id } else { group as i32 };
    if group != process.id {
        let mut all = thread.system.processes();
        if !all.any(|it| it.group() == group && it.session() == own.session()) {
            return Err(Errno::EPERM.into());
        }
    }
    process.set_group(group, process.session());
    Ok(0.into())
}

fn setsid(thread: &Rc<Thread>, _: Args) -> Answer {
    let own = &thread.process;
    if thread.system.processes().any(|it| it.group() == own.id) {
        return Err(Errno::EPERM.into());
    }
    own.set_group(own.id, own.id);
    Ok((own.id as usize).into())
}

fn set_tid_address(thread: &Rc<Thread>, [at, ..]: Args) -> Answer {
    thread.clear_id.set(at);
    gettid(thread, [0; 6])
}

fn exit(thread: &Rc<Thread>, [status, ..]: Args) -> Answer {
    thread.exit(Status::exit(status as i32));
    // The thread is killed while it waits for ever.
    wait(pending())
}

fn exit_group(thread: &Rc<Thread>, [status, ..]: Args) -> Answer {
    thread.process.end(Status::exit(status as i32));
    wait(pending())
}
