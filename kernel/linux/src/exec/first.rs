//! The first process.

use super::calls::{Wish, apply, begin};
use super::texts::Texts;
use crate::errno::Errno;
use crate::file::Caller;
use crate::memory::Memory;
use crate::process::{Credentials, Process};
use crate::signal::{Receiver, Set};
use crate::stop::Boxed;
use crate::system::System;
use crate::thread::Thread;
use alloc::rc::Rc;
use kernel::user::Context;

/// What the first process is to run.
#[derive(Clone, Copy, Debug)]
pub struct First<'a> {
    /// The path of the program.
    pub path: &'a [u8],
    /// Its arguments, its name first.
    pub arguments: &'a [&'a [u8]],
    /// Its environment: `NAME=VALUE` each.
    pub environment: &'a [&'a [u8]],
    /// Its user and group.
    pub ids: (u32, u32),
}

/// Makes the first process, which does not run yet: [`Thread::start`] begins it. `body` is
/// [`run::body`](crate::run::body). What is to be set before the program is looked for (where it
/// begins in the tree, its descriptors) `prepare` sets.
///
/// # Errors
/// Those of execve(2).
pub async fn first(
    system: &Rc<System>,
    first: First<'_>,
    body: fn(Rc<Thread>) -> Boxed<()>,
    prepare: impl AsyncFnOnce(&Rc<Thread>) -> Result<(), Errno>,
) -> Result<Rc<Thread>, Errno> {
    let memory = Rc::new(Memory::new(&system.ram)?);
    system.ram.adopt(&memory)?;
    let process = Process::new(system.next_id()?, &memory);
    let signals = Receiver::new(process.id, Set::EMPTY);
    let context = Context::new(0, 0).ok_or(Errno::ENOMEM)?;
    let (process_too, system_too) = (Rc::clone(&process), Rc::clone(system));
    let thread = Thread::new(signals, process_too, system_too, memory, context, body)?;
    if let Err(errno) = prepare(&thread).await {
        thread.withdraw();
        return Err(errno);
    }
    // Devices are root's to make, and the console to open.
    process.credentials.replace(Credentials::new(first.ids.0, first.ids.1));
    let texts = |all: &[&[u8]]| {
        let mut texts = Texts::default();
        all.iter().try_for_each(|it| texts.push(it)).map(|()| texts)
    };
    let wish = Wish {
        at: None,
        path: first.path,
        follow: true,
        arguments: texts(first.arguments)?,
        environment: texts(first.environment)?,
    };
    let credentials = process.credentials.borrow().clone();
    let caller: &dyn Caller = &*thread;
    match begin(system, caller, &process, wish, credentials).await {
        Ok(begun) => {
            apply(&thread, begun);
            system.add(&process);
            Ok(thread)
        }
        Err(errno) => {
            thread.withdraw();
            Err(errno)
        }
    }
}
