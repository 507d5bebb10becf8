//! The calls about signals.

use super::action::Action;
use super::descriptor::SignalFile;
use super::frame::{self, flags};
use super::info::Info;
use super::receiver::{Receiver, Stack};
use super::set::{Set, Signal};
use crate::call::{Answer, Args, Group, Outcome, calls, wait};
use crate::errno::Errno;
use crate::file::calls::real;
use crate::file::{Caller, Open, admit};
use crate::process::Process;
use crate::process::descriptor::ProcessFile;
use crate::thread::Thread;
use crate::time::Timespec;
use alloc::rc::Rc;
use core::future::pending;
use kernel::task::{Either, select};
use kernel::time::{Instant, sleep_until};
use linux_raw_sys::general as raw;

/// The calls about signals.
pub(crate) const CALLS: Group = calls! {
    rt_sigaction(Signal, Action, Hex, Size) = rt_sigaction;
    rt_sigprocmask(MASK, Set, SetOut, Size) = rt_sigprocmask;
    rt_sigpending(SetOut, Size) = rt_sigpending;
    rt_sigsuspend(Set, Size) = rt_sigsuspend;
    rt_sigtimedwait(Set, Hex, Time, Size) = rt_sigtimedwait;
    rt_sigreturn() = rt_sigreturn;
    rt_sigqueueinfo(Int, Signal, Hex) = rt_sigqueueinfo;
    rt_tgsigqueueinfo(Int, Int, Signal, Hex) = rt_tgsigqueueinfo;
    sigaltstack(Hex, Hex) = sigaltstack;
    kill(Int, Signal) = kill;
    tkill(Int, Signal) = tkill;
    tgkill(Int, Int, Signal) = tgkill;
    pidfd_send_signal(Fd, Signal, Hex, Hex) = pidfd_send_signal;
    pause() = pause;
    signalfd(Fd, Set, Size) = signalfd;
    signalfd4(Fd, Set, Size, CLOEXEC) = signalfd4;
    restart_syscall() = restart_syscall;
};

/// Size of `sigset_t` in bytes.
const SIZE: u64 = 8;

fn check_size(size: u64) -> Result<(), Errno> {
    if size == SIZE { Ok(()) } else { Err(Errno::EINVAL) }
}

fn rt_sigaction(thread: &Rc<Thread>, [signal, new, old, size, ..]: Args) -> Answer {
    check_size(size)?;
    let signal = Signal::new(u64::from(signal as u32)).ok_or(Errno::EINVAL)?;
    let (memory, signals) = (thread.memory(), &thread.process.signals);
    let action = match new {
        0 => None,
        _ if Set::FORCED.has(signal) => return Err(Errno::EINVAL.into()),
        new => Some(memory.get::<Action>(new)?),
    };
    if old != 0 {
        memory.put(old, &signals.action(signal))?;
    }
    if let Some(action) = action {
        signals.set_action(signal, action);
    }
    Ok(0.into())
}

fn rt_sigprocmask(thread: &Rc<Thread>, [how, new, old, size, ..]: Args) -> Answer {
    check_size(size)?;
    let memory = thread.memory();
    let now = thread.signals.mask();
    let mask = match new {
        0 => None,
        new => {
            let set: Set = memory.get(new)?;
            Some(match how as u32 {
                raw::SIG_BLOCK => now.or(set),
                raw::SIG_UNBLOCK => now.without(set),
                raw::SIG_SETMASK => set,
                _ => return Err(Errno::EINVAL.into()),
            })
        }
    };
    if old != 0 {
        memory.put(old, &now)?;
    }
    if let Some(mask) = mask {
        thread.process.signals.set_mask(&thread.signals, mask);
    }
    Ok(0.into())
}

fn rt_sigpending(thread: &Rc<Thread>, [to, size, ..]: Args) -> Answer {
    if size > SIZE {
        return Err(Errno::EINVAL.into());
    }
    let set = thread.process.signals.pending(&thread.signals).and(thread.signals.mask());
    let bytes = set.bits().to_le_bytes();
    thread.memory().write(to as usize, bytes.get(..size as usize).unwrap_or_default())?;
    Ok(0.into())
}

fn rt_sigsuspend(thread: &Rc<Thread>, [set, size, ..]: Args) -> Answer {
    check_size(size)?;
    let set: Set = thread.memory().get(set)?;
    thread.suspend_mask(set.bits());
    pause(thread, [0; 6])
}

fn pause(thread: &Rc<Thread>, _: Args) -> Answer {
    let thread = Rc::clone(thread);
    wait(async move {
        let result = thread.interruptible(pending::<()>()).await;
        result.map(|()| 0).map_err(|_| Errno::ERESTARTNOHAND)
    })
}

fn rt_sigtimedwait(thread: &Rc<Thread>, [set, info, timeout, size, ..]: Args) -> Answer {
    check_size(size)?;
    let memory = thread.memory();
    let set: Set = memory.get(set)?;
    let set = set.without(Set::FORCED);
    let end = match timeout {
        0 => None,
        at => {
            let time = memory.get::<Timespec>(at)?.duration()?;
            Some(Instant::now().saturating_add(time))
        }
    };
    // So that nothing is taken that cannot be told.
    if info != 0 {
        memory.put(info, &Info::user(Signal::HUP, 0, 0))?;
    }
    if let Some(taken) = thread.process.signals.take(&thread.signals, set) {
        return told(thread, info, taken).map(Into::into);
    }
    if end.is_some_and(|end| Instant::now() >= end) {
        return Err(Errno::EAGAIN.into());
    }
    let thread = Rc::clone(thread);
    wait(async move {
        let (signals, receiver) = (&thread.process.signals, &*thread.signals);
        let taken = async {
            let taken = signals.wait_for(receiver, set);
            match end {
                None => Ok(taken.await),
                Some(end) => match select(taken, sleep_until(end)).await {
                    Either::First(info) => Ok(info),
                    Either::Second(()) => Err(Errno::EAGAIN),
                },
            }
        };
        let taken = thread.interruptible(taken).await.map_err(|_| Errno::EINTR)??;
        crate::stop::loaded(|| told(&thread, info, taken)).await
    })
}

fn told(thread: &Thread, to: u64, info: Info) -> Result<usize, crate::stop::Stop> {
    if to != 0 {
        thread.memory().put(to, &info)?;
    }
    Ok(info.signal().number() as usize)
}

/// A frame that is none ends the program, as `SIGSEGV` that it cannot handle.
fn rt_sigreturn(thread: &Rc<Thread>, _: Args) -> Answer {
    let memory = thread.memory();
    let popped = frame::pop(&memory, &mut thread.context().borrow_mut());
    match popped {
        Ok((mask, stack)) => {
            thread.process.signals.set_mask(&thread.signals, mask);
            // What is not valid any more is left as it is, as on Linux.
            let rsp = thread.context().borrow().registers().rsp;
            let _ = set_stack(&thread.signals, stack, rsp);
        }
        Err(crate::stop::Stop::Load(load)) => return Err(load.into()),
        Err(_) => thread.process.signals.force(&thread.signals, Info::kernel(Signal::SEGV)),
    }
    Ok(Outcome::Resume)
}

fn set_stack(receiver: &Receiver, new: Stack, rsp: u64) -> Result<(), Errno> {
    let old = receiver.stack.get();
    if old.flags & raw::SS_DISABLE == 0 && old.flags & raw::SS_AUTODISARM == 0 && old.has(rsp) {
        return Err(Errno::EPERM);
    }
    let mode = new.flags & !raw::SS_AUTODISARM;
    if ![0, raw::SS_DISABLE, raw::SS_ONSTACK].contains(&mode) {
        return Err(Errno::EINVAL);
    }
    let stack = if mode == raw::SS_DISABLE {
        Stack { at: 0, size: 0, ..new }
    } else if new.size < u64::from(raw::MINSIGSTKSZ) {
        return Err(Errno::ENOMEM);
    } else {
        Stack { flags: new.flags & raw::SS_AUTODISARM, ..new }
    };
    receiver.stack.set(stack);
    Ok(())
}

fn sigaltstack(thread: &Rc<Thread>, [new, old, ..]: Args) -> Answer {
    let memory = thread.memory();
    let rsp = thread.context().borrow().registers().rsp;
    let now = thread.signals.stack.get();
    let new = match new {
        0 => None,
        at => Some(memory.get::<Stack>(at)?),
    };
    if old != 0 {
        let on_stack = now.size != 0 && now.has(rsp);
        memory.put(old, &Stack { flags: flags(&now, on_stack), pad: 0, ..now })?;
    }
    if let Some(new) = new {
        set_stack(&thread.signals, new, rsp)?;
    }
    Ok(0.into())
}

/// A signal that a program names: `None` is 0, which only asks whether one could be sent.
fn named(signal: u64) -> Result<Option<Signal>, Errno> {
    match signal as u32 {
        0 => Ok(None),
        number => Signal::new(number.into()).map(Some).ok_or(Errno::EINVAL),
    }
}

fn may(thread: &Thread, to: &Process, signal: Option<Signal>) -> bool {
    let sender = thread.process.credentials.borrow();
    let same_session = signal == Some(Signal::CONT) && to.session() == thread.process.session();
    same_session || sender.may_signal(&to.credentials.borrow())
}

fn kill(thread: &Rc<Thread>, [target, signal, ..]: Args) -> Answer {
    let signal = named(signal)?;
    let (own, target) = (&thread.process, target as i32);
    let uid = own.credentials.borrow().user.real;
    let send = |to: &Rc<Process>| match signal {
        _ if !may(thread, to, signal) => Err(Errno::EPERM),
        Some(signal) => to.send(Info::user(signal, own.id, uid)),
        None => Ok(()),
    };
    if target > 0 {
        let process = thread.system.process(target);
        let process = process.or_else(|| thread.system.thread(target).map(|it| it.0));
        send(&process.ok_or(Errno::ESRCH)?)?;
        return Ok(0.into());
    }
    let group = match target {
        0 => Some(own.group()),
        -1 => None,
        i32::MIN => return Err(Errno::ESRCH.into()),
        group => Some(-group),
    };
    let members = thread.system.processes().filter(|it| match group {
        Some(group) => it.group() == group,
        None => it.id != 1 && it.id != own.id,
    });
    // One that can be sent is enough.
    let results = members.map(|it| send(&it)).reduce(|one, other| one.or(other));
    results.unwrap_or(Err(Errno::ESRCH))?;
    Ok(0.into())
}

fn pidfd_send_signal(thread: &Rc<Thread>, [fd, signal, info, flags, ..]: Args) -> Answer {
    if flags as u32 != 0 {
        return Err(Errno::EINVAL.into());
    }
    let open = thread.process.files().get(fd)?;
    let to = open.as_kind::<ProcessFile>().ok_or(Errno::EBADF)?.process();
    let to = to.ok_or(Errno::ESRCH)?;
    let (own, signal) = (&thread.process, named(signal)?);
    let info = match info {
        0 => signal.map(|it| Info::user(it, own.id, own.credentials.borrow().user.real)),
        at => {
            // It says whose number it has (pidfd_send_signal(2)).
            let said: Info = thread.memory().get(at)?;
            if said.number() != signal.map_or(0, Signal::number) {
                return Err(Errno::EINVAL.into());
            }
            made_up(thread, to.id, signal, at)?
        }
    };
    if !may(thread, &to, signal) {
        return Err(Errno::EPERM.into());
    }
    if let Some(info) = info {
        to.send(info)?;
    }
    Ok(0.into())
}

fn tkill(thread: &Rc<Thread>, [id, signal, ..]: Args) -> Answer {
    send_to_thread(thread, None, id as i32, named(signal)?, None)
}

fn tgkill(thread: &Rc<Thread>, [process, id, signal, ..]: Args) -> Answer {
    if process as i32 <= 0 {
        return Err(Errno::EINVAL.into());
    }
    send_to_thread(thread, Some(process as i32), id as i32, named(signal)?, None)
}

fn send_to_thread(
    thread: &Rc<Thread>,
    process: Option<i32>,
    id: i32,
    signal: Option<Signal>,
    info: Option<Info>,
) -> Answer {
    if id <= 0 {
        return Err(Errno::EINVAL.into());
    }
    let (to, receiver) = match process {
        Some(process) => {
            let process = thread.system.process(process).ok_or(Errno::ESRCH)?;
            let receiver = process.thread(id).ok_or(Errno::ESRCH)?;
            (process, receiver)
        }
        None => thread.system.thread(id).ok_or(Errno::ESRCH)?,
    };
    if !may(thread, &to, signal) {
        return Err(Errno::EPERM.into());
    }
    if let Some(signal) = signal {
        let uid = thread.process.credentials.borrow().user.real;
        let info = info.unwrap_or(Info::tkill(signal, thread.process.id, uid));
        to.send_to(&receiver, info)?;
    }
    Ok(0.into())
}

/// Reads what a program made up, which others may not take for what the kernel says.
fn made_up(
    thread: &Thread,
    to: i32,
    signal: Option<Signal>,
    at: u64,
) -> Result<Option<Info>, crate::stop::Stop> {
    let info: Info = thread.memory().get(at)?;
    if (info.code() >= 0 || info.code() == raw::SI_TKILL) && to != thread.id() {
        return Err(Errno::EPERM.into());
    }
    Ok(signal.map(|signal| info.queued(signal)))
}

fn rt_sigqueueinfo(thread: &Rc<Thread>, [process, signal, info, ..]: Args) -> Answer {
    let signal = named(signal)?;
    let info = made_up(thread, process as i32, signal, info)?;
    let to = thread.system.process(process as i32).ok_or(Errno::ESRCH)?;
    if !may(thread, &to, signal) {
        return Err(Errno::EPERM.into());
    }
    if let Some(info) = info {
        to.send(info)?;
    }
    Ok(0.into())
}

fn rt_tgsigqueueinfo(thread: &Rc<Thread>, [process, id, signal, info, ..]: Args) -> Answer {
    if process as i32 <= 0 || id as i32 <= 0 {
        return Err(Errno::EINVAL.into());
    }
    let signal = named(signal)?;
    let info = made_up(thread, id as i32, signal, info)?;
    send_to_thread(thread, Some(process as i32), id as i32, signal, info)
}

fn signalfd(thread: &Rc<Thread>, [fd, set, size, ..]: Args) -> Answer {
    signalfd4(thread, [fd, set, size, 0, 0, 0])
}

fn signalfd4(thread: &Rc<Thread>, [fd, set, size, flags, ..]: Args) -> Answer {
    let flags = flags as u32;
    if size != SIZE || flags & !(raw::O_CLOEXEC | raw::O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let set: Set = thread.memory().get(set)?;
    let files = &thread.process.files();
    if fd as i32 != -1 {
        let open = real(thread, fd)?;
        let file = open.as_kind::<SignalFile>().ok_or(Errno::EINVAL)?;
        file.set(&thread.process.signals, set);
        return Ok((fd as u32 as usize).into());
    }
    let counted = admit(&**thread)?;
    let file = Rc::new(SignalFile::new(set));
    let open = Open::new(counted, file, flags & raw::O_NONBLOCK | raw::O_RDWR);
    Ok(files.add(open, flags & raw::O_CLOEXEC != 0, 0)?.into())
}

/// Goes on with the call that a signal without a handler interrupted.
fn restart_syscall(thread: &Rc<Thread>, _: Args) -> Answer {
    match thread.take_again() {
        Some(again) => Ok(Outcome::Wait(again(thread))),
        None => Err(Errno::EINTR.into()),
    }
}
