//! Prints what programs ask for, as strace(1) does: `strace=`.
//!
//! Nothing of it is in the way of a call while it is off, but a look at whether it is on. A line
//! is printed when a call has returned. One that waits is printed up to there, ends with
//! `<unfinished ...>`, and its rest is printed when it goes on.

pub mod kind;
mod show;
#[cfg(test)]
mod tests;

use crate::errno::Errno;
use crate::file::Caller;
use crate::signal::Info;
use crate::stop::{Stop, loaded};
use crate::thread::{Thread, Tracer};
use crate::tty::Wire;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::cell::RefCell;
use core::fmt::Write;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::Poll;
use kind::{Kind, Kinds};
use linux_raw_sys::general::{__NR_brk, __NR_mmap, __NR_mremap};
use litemap::LiteMap;
use show::Arguments;

/// What a call is printed with that is not in the table.
const UNKNOWN: Kinds = [Some(Kind::Hex); 6];

/// Prints the calls of all processes.
pub struct Trace {
    to: Box<dyn Wire>,
    /// What there was no room for yet.
    left: RefCell<String>,
    /// The calls that have begun, by the address of their thread.
    begun: RefCell<LiteMap<usize, Begun>>,
}

/// A call that has begun.
struct Begun {
    number: u64,
    name: &'static str,
    kinds: Kinds,
    values: [u64; 6],
    /// The line so far.
    line: String,
}

impl Trace {
    /// Writes lines to `to`, such as a console.
    #[must_use]
    pub fn new(to: Box<dyn Wire>) -> Self {
        Self { to, left: RefCell::default(), begun: RefCell::default() }
    }

    fn line(&self, line: &str) {
        let mut left = self.left.borrow_mut();
        left.push_str(line);
        left.push('\n');
        self.write(&mut left);
    }

    fn write(&self, left: &mut String) {
        let written = self.to.write(left.as_bytes());
        // All of it is ASCII.
        left.drain(..written);
    }

    /// Waits until all lines are written: nobody has more than one that is not.
    async fn written(&self) {
        poll_fn(|context| {
            let mut left = self.left.borrow_mut();
            self.write(&mut left);
            if left.is_empty() {
                return Poll::Ready(());
            }
            self.to.wait(context.waker());
            Poll::Pending
        })
        .await;
    }
}

impl Tracer for Trace {
    /// Notes its arguments, and reads from disks what they point to.
    fn begins<'a>(&'a self, thread: &'a Thread) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(async move {
            thread.until_killed(self.written()).await;
            let (number, values) = thread.call();
            let call = crate::table::call(number);
            let known = syscalls::Sysno::new(number as usize);
            let name = known.map_or("syscall_unknown", |it| it.name());
            let kinds = call.map_or(UNKNOWN, |it| it.args);
            let memory = thread.memory();
            let arguments = Arguments { kinds, values, memory: &memory };
            let begin = format!("{} {name}(", thread.id());
            let line = thread.until_killed(loaded(|| {
                let mut line = begin.clone();
                arguments.show(&mut line, 0..arguments.inputs(), None)?;
                Ok(line)
            }));
            // What cannot be read from the disk is not shown.
            if let Some(line) = line.await.map(|it| it.unwrap_or(begin)) {
                let begun = Begun { number, name, kinds, values, line };
                self.begun.borrow_mut().insert(key(thread), begun);
            }
        })
    }

    fn waits(&self, thread: &Thread) {
        if thread.signals.is_killed() {
            return self.ends(thread);
        }
        if let Some(begun) = self.begun.borrow_mut().get_mut(&key(thread)) {
            let more = if begun.line.ends_with('(') { "" } else { " " };
            self.line(&format!("{}{more}<unfinished ...>", begun.line));
            begun.line = format!("{} <... {} resumed>", thread.id(), begun.name);
        }
    }

    fn returns(&self, thread: &Thread, result: Result<usize, Errno>) {
        let Some(mut begun) = self.begun.borrow_mut().remove(&key(thread)) else { return };
        let memory = thread.memory();
        let arguments = Arguments { kinds: begun.kinds, values: begun.values, memory: &memory };
        let range = arguments.inputs()..begun.kinds.len();
        if let Err(Stop::Load(_)) = arguments.show(&mut begun.line, range, result.ok()) {
            // It was there when the call wrote it.
            begun.line.push_str("...");
        }
        let _ = match result {
            Ok(value) if [__NR_brk, __NR_mmap, __NR_mremap].contains(&(begun.number as u32)) => {
                write!(begun.line, ") = {value:#x}")
            }
            Ok(value) => write!(begun.line, ") = {}", value as isize),
            Err(errno) if errno.is_restart() => write!(begun.line, ") = ? {errno:?}"),
            Err(errno) => write!(begun.line, ") = -1 {errno:?}"),
        };
        self.line(&begun.line);
    }

    fn ends(&self, thread: &Thread) {
        if let Some(begun) = self.begun.borrow_mut().remove(&key(thread)) {
            self.line(&format!("{}) = ?", begun.line));
        }
    }

    fn signal(&self, thread: &Thread, info: &Info) {
        let (id, signal) = (thread.id(), info.signal().name());
        let more = if info.is_fault() {
            format!(", si_addr={:#x}", info.address())
        } else if info.code() <= 0 {
            format!(", si_pid={}", info.sender().0)
        } else {
            String::new()
        };
        let code = info.code();
        self.line(&format!("{id} --- {signal} {{si_code={code}{more}}} ---"));
    }

    fn ended<'a>(&'a self, thread: &'a Thread) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        self.ends(thread);
        let (id, status) = (thread.id(), thread.process.ending().unwrap_or(thread.status()));
        self.line(&match status.killed_by() {
            Some(signal) => format!("{id} +++ killed by {} +++", signal.name()),
            None => format!("{id} +++ exited with {} +++", status.code()),
        });
        Box::pin(self.written())
    }
}

/// What a thread is known by while it lives.
fn key(thread: &Thread) -> usize {
    core::ptr::from_ref(thread).addr()
}
