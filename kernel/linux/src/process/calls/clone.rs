//! New threads and processes: clone(2), fork(2), vfork(2).

use crate::call::{Answer, Args, Group, Outcome, calls, wait};
use crate::errno::Errno;
use crate::file::Caller;
use crate::memory::Memory;
use crate::process::descriptor::ProcessFile;
use crate::process::{Process, room};
use crate::signal::Receiver;
use crate::stop::Stop;
use crate::thread::Thread;
use alloc::rc::Rc;
use kernel::user::Context;
use linux_raw_sys::general as raw;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// clone(2) and its kin.
pub(crate) const CALLS: Group = calls! {
    clone(CLONE, Hex, Hex, Hex, Hex) = clone;
    clone3(Hex, Size) = clone3;
    fork() = fork;
    vfork() = vfork;
    unshare(CLONE) = unshare;
};

/// What is asked of clone(2): `struct clone_args`.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Wish {
    flags: u64,
    pidfd: u64,
    child_id: u64,
    parent_id: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_id: u64,
    set_id_size: u64,
    cgroup: u64,
}

impl Wish {
    /// Returns whether it has all of `flags`.
    const fn has(&self, flags: u32) -> bool {
        self.flags & flags as u64 == flags as u64
    }
}

/// Namespaces, of which there is one each, and what else there is not.
const REFUSED: u64 = (raw::CLONE_NEWNS
    | raw::CLONE_NEWCGROUP
    | raw::CLONE_NEWUTS
    | raw::CLONE_NEWIPC
    | raw::CLONE_NEWUSER
    | raw::CLONE_NEWPID
    | raw::CLONE_NEWNET
    | raw::CLONE_NEWTIME) as u64;

/// The bits of `flags` that hold the signal.
const SIGNAL: u64 = 0xFF;

/// The first size of `struct clone_args`, and the largest that is read.
const SIZES: core::ops::RangeInclusive<u64> = 64..=4096;

fn clone(thread: &Rc<Thread>, [flags, stack, parent_id, child_id, tls, _]: Args) -> Answer {
    let wish = Wish {
        flags: u64::from(flags as u32) & !SIGNAL,
        exit_signal: flags & SIGNAL,
        stack,
        parent_id,
        child_id,
        tls,
        // The place for a pidfd is that of the thread's number.
        pidfd: parent_id,
        ..Wish::default()
    };
    make(thread, &wish)
}

fn clone3(thread: &Rc<Thread>, [at, size, ..]: Args) -> Answer {
    if !SIZES.contains(&size) {
        return Err(if size > *SIZES.end() { Errno::E2BIG } else { Errno::EINVAL }.into());
    }
    let memory = thread.memory();
    let mut wish = Wish::default();
    let known = (size as usize).min(size_of::<Wish>());
    let bytes = wish.as_mut_bytes().get_mut(..known).unwrap_or_default();
    memory.read(at as usize, bytes)?;
    // What a later Linux has, this has not: it must not be asked for.
    for offset in (known as u64..size).step_by(8) {
        let mut word = [0; 8];
        let count = (size - offset).min(8) as usize;
        memory.read((at + offset) as usize, word.get_mut(..count).unwrap_or_default())?;
        if word != [0; 8] {
            return Err(Errno::E2BIG.into());
        }
    }
    // The lower half is clone(2)'s, whatever a flag there means.
    let known = u64::from(u32::MAX) | raw::CLONE_CLEAR_SIGHAND;
    if wish.flags & !known != 0
        || wish.flags & SIGNAL & !u64::from(raw::CLONE_NEWTIME) != 0
        || wish.exit_signal > 64
        || (wish.stack == 0) != (wish.stack_size == 0)
        || wish.set_id_size != 0
        || wish.set_id != 0
        || wish.flags & u64::from(raw::CLONE_THREAD | raw::CLONE_PARENT) != 0
            && wish.exit_signal != 0
        || wish.has(raw::CLONE_DETACHED)
    {
        return Err(Errno::EINVAL.into());
    }
    wish.stack = wish.stack.wrapping_add(wish.stack_size);
    make(thread, &wish)
}

fn fork(thread: &Rc<Thread>, _: Args) -> Answer {
    make(thread, &Wish { exit_signal: raw::SIGCHLD.into(), ..Wish::default() })
}

fn vfork(thread: &Rc<Thread>, _: Args) -> Answer {
    let flags = u64::from(raw::CLONE_VFORK | raw::CLONE_VM);
    make(thread, &Wish { flags, exit_signal: raw::SIGCHLD.into(), ..Wish::default() })
}

fn check(wish: &Wish) -> Result<(), Errno> {
    let threads = wish.has(raw::CLONE_THREAD);
    if wish.has(raw::CLONE_FS | raw::CLONE_NEWNS) {
        return Err(Errno::EINVAL);
    }
    if wish.flags & REFUSED != 0 {
        return Err(Errno::EPERM);
    }
    if threads && !wish.has(raw::CLONE_SIGHAND)
        || wish.has(raw::CLONE_SIGHAND) && !wish.has(raw::CLONE_VM)
        || wish.has(raw::CLONE_SIGHAND) && wish.flags & raw::CLONE_CLEAR_SIGHAND != 0
        || threads && wish.has(raw::CLONE_PIDFD)
        || wish.has(raw::CLONE_PIDFD | raw::CLONE_PARENT_SETTID) && wish.pidfd == wish.parent_id
    {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

fn make(thread: &Rc<Thread>, wish: &Wish) -> Answer {
    check(wish)?;
    thread.system.ram.check()?;
    may_begin(thread)?;
    let mut context = thread.context().borrow().copy().ok_or(Errno::ENOMEM)?;
    context.registers_mut().rax = 0;
    if wish.stack != 0 {
        context.registers_mut().rsp = wish.stack;
    }
    if wish.has(raw::CLONE_SETTLS) {
        context.set_fs_base(wish.tls).map_err(|_| Errno::EPERM)?;
    }
    if wish.has(raw::CLONE_THREAD) {
        return make_thread(thread, wish, context);
    }
    make_process(thread, wish, context)
}

/// Whether its user may have one more thread.
fn may_begin(thread: &Thread) -> Result<(), Errno> {
    let limit = thread.process.limits.get(raw::RLIMIT_NPROC).soft;
    let credentials = thread.process.credentials.borrow();
    let is_bound = credentials.user.real != 0 && !credentials.is_root();
    let user = credentials.user.real;
    drop(credentials);
    if is_bound && thread.system.threads_of(user) as u64 >= limit {
        return Err(Errno::EAGAIN);
    }
    Ok(())
}

/// Writes the new number where it was asked for. Nobody has seen the new thread yet.
fn tell(thread: &Thread, memory: &Memory, wish: &Wish, id: i32) -> Result<(), Stop> {
    if wish.has(raw::CLONE_PARENT_SETTID) {
        thread.memory().put(wish.parent_id, &id)?;
    }
    if wish.has(raw::CLONE_CHILD_SETTID) {
        memory.put(wish.child_id, &id)?;
    }
    Ok(())
}

fn begin(
    thread: &Rc<Thread>,
    process: Rc<Process>,
    memory: Rc<Memory>,
    wish: &Wish,
    id: i32,
    context: Context,
) -> Result<Rc<Thread>, Stop> {
    let signals = Receiver::new(id, thread.signals.mask());
    // A process goes on on the stack that its parent is on; a thread has none.
    if !wish.has(raw::CLONE_VM) || wish.has(raw::CLONE_VFORK) {
        signals.stack.set(thread.signals.stack.get());
    }
    tell(thread, &memory, wish, id)?;
    let system = Rc::clone(&thread.system);
    let new = Thread::new(signals, process, system, memory, context, thread.body)?;
    new.signals.name.set(thread.signals.name.get());
    if let Some(tracer) = thread.tracer() {
        new.trace(tracer);
    }
    if wish.has(raw::CLONE_CHILD_CLEARTID) {
        new.clear_id.set(wish.child_id);
    }
    Ok(new)
}

fn make_thread(thread: &Rc<Thread>, wish: &Wish, context: Context) -> Answer {
    if thread.process.is_over() {
        return Err(Errno::EAGAIN.into());
    }
    let id = thread.system.next_id()?;
    let process = Rc::clone(&thread.process);
    begin(thread, process, thread.memory(), wish, id, context)?.start()?;
    Ok((id as usize).into())
}

fn make_process(thread: &Rc<Thread>, wish: &Wish, context: Context) -> Answer {
    let (own, system) = (&thread.process, &thread.system);
    if wish.has(raw::CLONE_PARENT) && own.id == 1 {
        return Err(Errno::EINVAL.into());
    }
    let id = system.next_id()?;
    let memory = match wish.has(raw::CLONE_VM) {
        true => thread.memory(),
        false => {
            let memory = Rc::new(thread.memory().copy()?);
            system.ram.adopt(&memory)?;
            memory
        }
    };
    let parent = match own.parent() {
        Some(parent) if wish.has(raw::CLONE_PARENT) => parent,
        _ => Rc::clone(own),
    };
    // The list of all grows, to twice its size.
    room(&system.ram, 64 * (system.process_count() + 1))?;
    let child = own.fork(id, &memory, wish.flags, &parent)?;
    // Who is no child of the caller ends as the caller does: its parent waits for it in that way.
    child.exit_signal.set(match wish.has(raw::CLONE_PARENT) {
        true => own.exit_signal.get(),
        false => wish.exit_signal as i32,
    });
    if wish.flags & raw::CLONE_CLEAR_SIGHAND != 0 {
        child.signals.clear();
    }
    start(thread, &child, memory, wish, context)?;
    system.add(&child);
    if !wish.has(raw::CLONE_VFORK) {
        return Ok((id as usize).into());
    }
    let answer = wait(async move {
        loop {
            let changes = child.changed.changes();
            if child.is_released() {
                return Ok(id as usize);
            }
            // Signals wait until the child has let go of the memory.
            child.changed.changed_since(changes).await;
        }
    });
    answer.or_else(|_| Ok(Outcome::Value(id as usize)))
}

/// Starts the first thread of `child`, which its parent has a descriptor for if it wants one.
fn start(
    thread: &Rc<Thread>,
    child: &Rc<Process>,
    memory: Rc<Memory>,
    wish: &Wish,
    context: Context,
) -> Result<(), Stop> {
    let files = &thread.process.files();
    let fd = match wish.has(raw::CLONE_PIDFD) {
        true => Some(files.add(ProcessFile::open(&**thread, child, 0)?, true, 0)?),
        false => None,
    };
    let started = fd
        .map_or(Ok(()), |fd| thread.memory().put(wish.pidfd, &(fd as i32)))
        .and_then(|()| begin(thread, Rc::clone(child), memory, wish, child.id, context))
        .and_then(|new| Ok(new.start()?));
    if let (Err(_), Some(fd)) = (&started, fd) {
        let _ = files.remove(fd as u64);
    }
    started
}

/// What threads share is the process's, so that one of several cannot leave it; there is one
/// namespace each.
fn unshare(thread: &Rc<Thread>, [flags, ..]: Args) -> Answer {
    let known = raw::CLONE_FS | raw::CLONE_FILES | raw::CLONE_SYSVSEM;
    let own = raw::CLONE_VM | raw::CLONE_SIGHAND | raw::CLONE_THREAD;
    match flags {
        it if it & REFUSED != 0 => Err(Errno::EPERM.into()),
        it if it & !u64::from(known | own) != 0 => Err(Errno::EINVAL.into()),
        it if it & u64::from(own) != 0 => Err(Errno::EINVAL.into()),
        flags => {
            if flags & u64::from(raw::CLONE_FILES) != 0 {
                thread.process.unshare()?.unshare_files()?;
            }
            // With several threads their folder stays one: those who ask for their own take a refusal for a
            // reason to end.
            if flags & u64::from(raw::CLONE_FS) != 0
                && let Ok(process) = thread.process.unshare()
            {
                let own = process.fs.borrow().copy();
                process.fs.replace(own);
            }
            Ok(0.into())
        }
    }
}
