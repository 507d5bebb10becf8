//! getrlimit(2) and its kin, and priorities, which are kept and mean nothing.

use crate::call::{Answer, Args, Group, calls};
use crate::errno::Errno;
use crate::file::Caller;
use crate::process::{INFINITY, Limit, Process};
use crate::thread::Thread;
use alloc::rc::Rc;
use linux_raw_sys::general as raw;

/// getrlimit(2) and its kin.
pub(crate) const CALLS: Group = calls! {
    getrlimit(LIMIT, Hex) = getrlimit;
    setrlimit(LIMIT, Hex) = setrlimit;
    prlimit64(Int, LIMIT, Hex, Hex) = prlimit64;
    getpriority(Int, Int) = getpriority;
    setpriority(Int, Int, Int) = setpriority;
};

fn getrlimit(thread: &Rc<Thread>, [resource, to, ..]: Args) -> Answer {
    prlimit64(thread, [0, resource, 0, to, 0, 0])
}

fn setrlimit(thread: &Rc<Thread>, [resource, from, ..]: Args) -> Answer {
    if from == 0 {
        return Err(Errno::EFAULT.into());
    }
    prlimit64(thread, [0, resource, from, 0, 0, 0])
}

fn prlimit64(thread: &Rc<Thread>, [id, resource, from, to, ..]: Args) -> Answer {
    let resource = resource as u32;
    if resource >= raw::RLIM_NLIMITS {
        return Err(Errno::EINVAL.into());
    }
    let process = match id as i32 {
        0 => Rc::clone(&thread.process),
        id => thread.system.process(id).ok_or(Errno::ESRCH)?,
    };
    let own = thread.process.credentials.borrow();
    if !Rc::ptr_eq(&process, &thread.process) && !own.may_limit(&process.credentials.borrow()) {
        return Err(Errno::EPERM.into());
    }
    let memory = thread.memory();
    let new = match from {
        0 => None,
        from => Some(memory.get::<Limit>(from)?),
    };
    let old = process.limits.get(resource);
    if to != 0 {
        memory.put(to, &old)?;
    }
    if let Some(new) = new {
        process.limits.set(resource, new, own.is_root())?;
        apply(&process, resource);
    }
    Ok(0.into())
}

/// Tells those who hold a limit of its change.
fn apply(process: &Process, resource: u32) {
    let soft = |resource| match process.limits.get(resource).soft {
        INFINITY => usize::MAX,
        bytes => bytes as usize,
    };
    match resource {
        raw::RLIMIT_CPU => process.apply_cpu_limit(),
        raw::RLIMIT_SIGPENDING => process.apply_signal_limit(),
        raw::RLIMIT_NOFILE => process.files().set_limit(soft(raw::RLIMIT_NOFILE)),
        raw::RLIMIT_AS | raw::RLIMIT_DATA | raw::RLIMIT_STACK => {
            process.apply_memory_limits();
        }
        _ => {}
    }
}

/// Calls `each` with the processes that getpriority(2) names.
///
/// # Errors
/// `ESRCH` if there are none, `EINVAL` for another sort.
fn named(
    thread: &Thread,
    which: u64,
    who: u64,
    mut each: impl FnMut(&Process),
) -> Result<(), Errno> {
    const PROCESS: u32 = 0;
    const GROUP: u32 = 1;
    const USER: u32 = 2;
    let (own, who) = (&thread.process, who as i32);
    let group = if who == 0 { own.group() } else { who };
    let user = if who == 0 { own.credentials.borrow().user.real } else { who as u32 };
    let is_named = |it: &Rc<Process>| match which as u32 {
        PROCESS if who == 0 => Rc::ptr_eq(it, own),
        PROCESS => it.id == who || it.thread(who).is_some(),
        GROUP => it.group() == group,
        _ => it.credentials.borrow().user.real == user,
    };
    if which as u32 > USER {
        return Err(Errno::EINVAL);
    }
    let mut any = false;
    for process in thread.system.processes().filter(is_named) {
        any = true;
        each(&process);
    }
    if any { Ok(()) } else { Err(Errno::ESRCH) }
}

/// The result is 20 less the nice value, so that it is no error.
fn getpriority(thread: &Rc<Thread>, [which, who, ..]: Args) -> Answer {
    let mut best = 0;
    named(thread, which, who, |it| best = best.max(20 - it.controls.nice.get()))?;
    Ok((best as usize).into())
}

fn setpriority(thread: &Rc<Thread>, [which, who, nice, ..]: Args) -> Answer {
    let nice = (nice as i32).clamp(-20, 19);
    let own = thread.process.credentials.borrow();
    // Those that it may change are changed, whatever the others are.
    let mut result = Ok(0.into());
    named(thread, which, who, |process| {
        if !own.may_schedule(&process.credentials.borrow()) {
            result = Err(Errno::EPERM.into());
        } else if nice < process.controls.nice.get() && !own.is_root() {
            result = Err(Errno::EACCES.into());
        } else {
            process.controls.nice.set(nice);
        }
    })?;
    result
}
