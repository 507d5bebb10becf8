//! Waiting for children: wait4(2) and waitid(2).

use crate::call::{Answer, Args, Group, calls, wait};
use crate::errno::Errno;
use crate::file::Caller;
use crate::process::descriptor::ProcessFile;
use crate::process::{Process, Report, Status};
use crate::signal::{Info, Signal};
use crate::stop::{Stop, loaded};
use crate::system::System;
use crate::thread::Thread;
use crate::time::calls::Usage;
use alloc::rc::Rc;
use linux_raw_sys::general as raw;

/// wait4(2) and waitid(2).
pub(crate) const CALLS: Group = calls! {
    wait4(Int, Status, WAIT, Hex) = wait4;
    waitid(Int, Int, Hex, WAIT, Hex) = waitid;
};

/// Linux's own options for threads: children of other threads of the process are the same here.
const NOTHREAD: u32 = 0x2000_0000;
const ALL: u32 = 0x4000_0000;
const CLONE: u32 = 0x8000_0000;

/// Which children.
#[derive(Clone, Copy)]
enum Which {
    Any,
    Process(i32),
    Group(i32),
}

/// What a child did.
enum Found {
    Ended(Status),
    Changed(Report),
}

/// Looks for a child that did something of `options`.
///
/// # Errors
/// `ECHILD` if there is no such child.
fn find(
    system: &System,
    process: &Process,
    which: Which,
    options: u32,
) -> Result<Option<(Rc<Process>, Found)>, Errno> {
    let take = options & raw::WNOWAIT == 0;
    let (stops, continues) = (options & raw::WSTOPPED != 0, options & raw::WCONTINUED != 0);
    let mut any = false;
    let mut look = |child: Rc<Process>| {
        // A child that sends something else than SIGCHLD is one that was made by clone(2).
        let clone = child.exit_signal.get() != Signal::CHLD.number();
        if options & ALL == 0 && clone != (options & CLONE != 0) {
            return None;
        }
        any = true;
        let found = match child.status() {
            Some(status) => (options & raw::WEXITED != 0).then_some(Found::Ended(status)),
            None => child.report(stops, continues, take).map(Found::Changed),
        };
        found.map(|found| (child, found))
    };
    let found = match which {
        Which::Process(id) => {
            system.process(id).filter(|it| it.is_child_of(process)).and_then(look)
        }
        Which::Any => system.children(process).find_map(look),
        Which::Group(group) => {
            system.children(process).filter(|it| it.group() == group).find_map(&mut look)
        }
    };
    if any || found.is_some() { Ok(found) } else { Err(Errno::ECHILD) }
}

/// Waits for a child that does something of `options`. `tell` says what it did to the program;
/// a child that has ended is then forgotten. With `WNOHANG`, 0 if there is none.
fn wait_for(
    thread: &Rc<Thread>,
    which: Which,
    options: u32,
    tell: impl Fn(&Thread, Option<(&Process, &Found)>) -> Result<usize, Stop> + 'static,
) -> Answer {
    let process = Rc::clone(&thread.process);
    let end = move |system: &System, child: &Process, found: &Found| {
        if matches!(found, Found::Ended(_)) && options & raw::WNOWAIT == 0 {
            system.reap(child);
        }
    };
    if let Some((child, found)) = find(&thread.system, &process, which, options | raw::WNOWAIT)?
        && matches!(found, Found::Ended(_))
    {
        let result = tell(thread, Some((&child, &found)));
        // It is gone also where it could not be told of, as on Linux.
        if matches!(result, Ok(_) | Err(Stop::Fail(_))) {
            end(&thread.system, &child, &found);
        }
        return Ok(result?.into());
    }
    let thread = Rc::clone(thread);
    wait(async move {
        loop {
            let changes = process.changed.changes();
            if let Some((child, found)) = find(&thread.system, &process, which, options)? {
                let result = loaded(|| tell(&thread, Some((&child, &found)))).await;
                end(&thread.system, &child, &found);
                return result;
            }
            if options & raw::WNOHANG != 0 {
                return loaded(|| tell(&thread, None)).await;
            }
            thread.interruptible(process.changed.changed_since(changes)).await?;
        }
    })
}

fn wait4(thread: &Rc<Thread>, [id, to, options, usage, ..]: Args) -> Answer {
    let options = options as u32;
    let known = raw::WNOHANG | raw::WUNTRACED | raw::WCONTINUED | NOTHREAD | ALL | CLONE;
    if options & !known != 0 {
        return Err(Errno::EINVAL.into());
    }
    let which = match id as i32 {
        -1 => Which::Any,
        0 => Which::Group(thread.process.group()),
        i32::MIN => return Err(Errno::ESRCH.into()),
        id @ ..0 => Which::Group(-id),
        id => Which::Process(id),
    };
    wait_for(thread, which, options | raw::WEXITED, move |thread, found| {
        let Some((child, found)) = found else { return Ok(0) };
        let memory = thread.memory();
        if to != 0 {
            let status = match found {
                Found::Ended(status) => status.bits(),
                Found::Changed(report) => report.bits(),
            };
            memory.put(to, &status)?;
        }
        if usage != 0 {
            memory.put(usage, &Usage::of(child))?;
        }
        Ok(child.id as usize)
    })
}

fn waitid(thread: &Rc<Thread>, [kind, id, to, options, usage, _]: Args) -> Answer {
    let options = options as u32;
    let kinds = raw::WEXITED | raw::WSTOPPED | raw::WCONTINUED;
    let known = kinds | raw::WNOHANG | raw::WNOWAIT | NOTHREAD | ALL | CLONE;
    if options & !known != 0 || options & kinds == 0 {
        return Err(Errno::EINVAL.into());
    }
    // A descriptor that does not wait says so in words of its own.
    let mut asks_again = false;
    let which = match (kind as u32, id as i32) {
        (raw::P_ALL, _) => Which::Any,
        (raw::P_PID, id @ 1..) => Which::Process(id),
        (raw::P_PGID, 0) => Which::Group(thread.process.group()),
        (raw::P_PGID, id @ 1..) => Which::Group(id),
        (raw::P_PIDFD, 0..) => {
            let open = thread.process.files().get(id)?;
            let process = open.as_kind::<ProcessFile>().ok_or(Errno::EBADF)?.process();
            asks_again = open.is_nonblocking() && options & raw::WNOHANG == 0;
            Which::Process(process.ok_or(Errno::ECHILD)?.id)
        }
        _ => return Err(Errno::EINVAL.into()),
    };
    let options = if asks_again { options | raw::WNOHANG } else { options };
    wait_for(thread, which, options, move |thread, found| {
        let memory = thread.memory();
        let Some((child, found)) = found else {
            if asks_again {
                return Err(Errno::EAGAIN.into());
            }
            if to != 0 {
                // All up to si_status is 0.
                memory.put(to, &[0_i32; 7])?;
            }
            return Ok(0);
        };
        let (code, status) = match found {
            Found::Ended(status) => status.child(),
            Found::Changed(report) => report.child(),
        };
        if to != 0 {
            let uid = child.credentials.borrow().user.real;
            memory.put(to, &Info::child(Signal::CHLD, code, child.id, uid, status))?;
        }
        if usage != 0 {
            memory.put(usage, &Usage::of(child))?;
        }
        Ok(0)
    })
}
