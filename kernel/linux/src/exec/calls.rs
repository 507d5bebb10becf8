//! execve(2) and execveat(2).

use super::image::{self, DEPTH, Image, Kind};
use super::source::Source;
use super::texts::Texts;
use crate::call::{Answer, Args, Group, calls, wait};
use crate::errno::Errno;
use crate::file::{Caller, Open};
use crate::memory::Memory;
use crate::process::{Credentials, Ids, Process};
use crate::signal::{Signal, Stack};
use crate::stop::loaded;
use crate::system::System;
use crate::thread::Thread;
use alloc::rc::Rc;
use alloc::vec::Vec;
use linux_raw_sys::general as raw;

/// execve(2) and execveat(2).
pub(crate) const CALLS: Group = calls! {
    execve(Text, Texts, Hex) = execve;
    execveat(Fd, Text, Texts, Hex, AT) = execveat;
};

/// Most bytes of a path (`PATH_MAX`, without NUL).
const MOST_PATH: usize = 4095;

fn execve(thread: &Rc<Thread>, [path, arguments, environment, ..]: Args) -> Answer {
    let here = raw::AT_FDCWD as u64;
    execveat(thread, [here, path, arguments, environment, 0, 0])
}

fn execveat(thread: &Rc<Thread>, [fd, path, arguments, environment, flags, _]: Args) -> Answer {
    let flags = flags as u32;
    if flags & !(raw::AT_EMPTY_PATH | raw::AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let memory = thread.memory();
    let path = memory.text(path, MOST_PATH)?;
    if path.is_empty() && flags & raw::AT_EMPTY_PATH == 0 {
        return Err(Errno::ENOENT.into());
    }
    let most = Texts::most(thread.process.memory_limits().stack);
    let mut arguments = Texts::read(&memory, arguments, 0, most)?;
    let environment = Texts::read(&memory, environment, arguments.size(), most)?;
    // As Linux has it: a program may count on a name.
    if arguments.count == 0 {
        arguments.push(b"")?;
    }
    drop(memory);
    let at = match (path.as_slice(), fd as i32) {
        ([b'/', ..], _) | (_, raw::AT_FDCWD) => None,
        _ => Some(thread.process.files().get(fd)?),
    };
    let follow = flags & raw::AT_SYMLINK_NOFOLLOW == 0;
    let thread = Rc::clone(thread);
    wait(async move {
        let wish = Wish { at: at.as_deref(), path: &path, follow, arguments, environment };
        let credentials = thread.process.credentials.borrow().clone();
        let process = &thread.process;
        let begun = begin(&thread.system, &*thread, process, wish, credentials).await?;
        // What it closes, those who share its descriptors keep.
        process.unshare_files()?;
        become_program(&thread, begun).await;
        // What a program finds in rax.
        Ok(0)
    })
}

/// What is to run, and how.
pub(super) struct Wish<'a> {
    pub(super) at: Option<&'a Open>,
    pub(super) path: &'a [u8],
    pub(super) follow: bool,
    pub(super) arguments: Texts,
    pub(super) environment: Texts,
}

/// A program that is ready to run.
pub(super) struct Begun {
    pub(super) image: Image,
    pub(super) credentials: Credentials,
    /// Its name, which ends with NUL.
    pub(super) name: [u8; 16],
    /// It has rights that who starts it need not have.
    pub(super) secure: bool,
    /// It acts as another than who executed it did.
    pub(super) other: bool,
    /// It is not for others to look into (`PR_GET_DUMPABLE`).
    pub(super) undumpable: bool,
}

/// Makes a program of a file, or of the interpreter that a script names.
///
/// # Errors
/// Those of execve(2).
pub(super) async fn begin(
    system: &System,
    caller: &dyn Caller,
    process: &Process,
    mut wish: Wish<'_>,
    credentials: Credentials,
) -> Result<Begun, Errno> {
    let mut source = open(system, caller, wish.at, wish.path, wish.follow).await?;
    let name = name_of(wish.path, &source);
    // What a script is for its interpreter has to be found without a descriptor.
    let given = match wish.at {
        Some(_) => source.path.clone(),
        None => wish.path.to_vec(),
    };
    let mut shown = given.clone();
    for depth in 0.. {
        let Kind::Script(interpreter, argument) = image::kind(&source).await? else { break };
        if depth == DEPTH {
            return Err(Errno::ELOOP);
        }
        let script = shown;
        let first = [interpreter.as_slice()];
        let all = first.into_iter().chain(argument.as_deref()).chain([script.as_slice()]);
        let all: Vec<&[u8]> = all.collect();
        wish.arguments.replace_first(&all)?;
        source = open(system, caller, None, &interpreter, true).await?;
        shown = interpreter;
    }
    let loader = match image::interpreter(&source).await? {
        Some(path) => Some(open(system, caller, None, &path, true).await?),
        None => None,
    };
    let old = credentials.clone();
    let credentials = owned(&source, credentials, process.controls.no_new_privileges.get());
    // What a program with the rights of another executes is not safe either.
    let secure = credentials.user.effective != old.user.real
        || credentials.group.effective != old.group.real;
    let [was, is] = [&old, &credentials].map(|it| [it.user, it.group]);
    let acts = |all: [Ids; 2]| all.map(|it| [it.effective, it.files]);
    let other = acts(was) != acts(is);
    // Nobody looks into a program that may be executed but not read, nor into one that somebody
    // executed who acted as another.
    let hidden = [Some(&source), loader.as_ref()];
    let hidden = hidden.into_iter().flatten().any(|it| !it.is_readable(caller));
    let undumpable = other || hidden || was.iter().any(|it| it.real != it.effective);
    let memory = Rc::new(Memory::new(&system.ram)?);
    system.ram.adopt(&memory)?;
    let texts = (given.as_slice(), &wish.arguments, &wish.environment);
    let limits = (process.memory_limits(), &system.clocks);
    let image =
        image::load(memory, limits, &source, loader.as_ref(), texts, &credentials, secure).await?;
    Ok(Begun { image, credentials, name, secure, other, undumpable })
}

/// Opens the file of a program.
async fn open(
    system: &System,
    caller: &dyn Caller,
    at: Option<&Open>,
    path: &[u8],
    follow: bool,
) -> Result<Source, Errno> {
    let programs = system.programs.borrow().clone().ok_or(Errno::ENOENT)?;
    let source = loaded(|| programs.open(caller, at, path, follow)).await?;
    // Root too needs somebody who may.
    if source.owner[0] & 0o111 == 0 { Err(Errno::EACCES) } else { Ok(source) }
}

/// As whom a program runs whose file has the bits for that.
fn owned(source: &Source, mut credentials: Credentials, no_more: bool) -> Credentials {
    let [mode, user, group] = source.owner;
    if !no_more && mode & raw::S_ISUID != 0 {
        credentials.user.effective = user;
    }
    if !no_more && mode & (raw::S_ISGID | raw::S_IXGRP) == raw::S_ISGID | raw::S_IXGRP {
        credentials.group.effective = group;
    }
    for ids in [&mut credentials.user, &mut credentials.group] {
        (ids.saved, ids.files) = (ids.effective, ids.effective);
    }
    credentials
}

/// The last part of the path, as much as a name has.
fn name_of(path: &[u8], source: &Source) -> [u8; 16] {
    let path = if path.is_empty() { &source.path } else { path };
    let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let mut name = [0; 16];
    for (to, &from) in name.iter_mut().zip(last.iter().take(15)) {
        *to = from;
    }
    name
}

/// The thread becomes the only one of its process, and the program what the process runs.
async fn become_program(thread: &Rc<Thread>, begun: Begun) {
    let process = &thread.process;
    process.end_others(&thread.signals);
    loop {
        let changes = process.changed.changes();
        if process.signals.receivers().borrow().len() <= 1 {
            break;
        }
        process.changed.changed_since(changes).await;
    }
    thread.leave_memory().await;
    thread.clear_id.set(0);
    thread.robust.set(0);
    // From here on there is no wait.
    thread.signals.set_id(process.id);
    thread.signals.stack.set(Stack::NONE);
    process.signals.exec();
    process.timers.clear();
    process.controls.keeps_capabilities.set(false);
    process.exit_signal.set(Signal::CHLD.number());
    apply(thread, begun);
    process.files().exec();
    process.release();
}

/// Gives a thread its program.
pub(super) fn apply(thread: &Thread, begun: Begun) {
    let Begun { image, credentials, name, secure, other, undumpable } = begun;
    // What runs with the rights of another is not for who started it to look into or to end.
    thread.process.controls.undumpable.set(undumpable);
    if secure || other {
        thread.process.controls.parent_ended.set(0);
    }
    thread.process.credentials.replace(credentials);
    thread.process.program.replace(image.program);
    thread.signals.name.set(name);
    thread.replace(image.memory, image.context);
}
