//! Says where a program was when a signal ended it.
//!
//! Names and lines are not looked up here: a file of the program and an offset in it are what
//! `cargo mk run` and `cargo mk symbolize` make them of.

use super::info::Info;
use crate::file::Caller;
use crate::stop::loaded;
use crate::thread::Thread;
use core::fmt;
use kernel::text::Escaped;
use kernel::user::Access;

/// Most callers that are shown.
const CALLERS: usize = 16;

/// Logs which program ends, of what, where it was, and from where that was called, as far as its
/// code keeps frame pointers.
#[cold]
pub(super) async fn crash(thread: &Thread, info: &Info) {
    let process = &thread.process;
    let (at, mut frame) = {
        let context = thread.context().borrow();
        (context.registers().rip, context.registers().rbp)
    };
    let name = thread.signals.name.get();
    let name = Escaped(name.split(|&byte| byte == 0).next().unwrap_or_default());
    let (id, signal, place) = (process.id, info.signal(), Place { thread, at });
    if info.is_fault() {
        let address = info.address();
        log::error!(
            "linux: process {id} ({name}) ends: {signal:?}, address {address:#x}, at {place}"
        );
    } else {
        log::error!("linux: process {id} ({name}) ends: {signal:?}, at {place}");
    }
    let memory = thread.memory();
    for _ in 0..CALLERS {
        let Ok([next, at]) = loaded(|| memory.get::<[u64; 2]>(frame)).await else { break };
        let place = Place { thread, at };
        // Other code has anything in the register.
        if next <= frame || !place.is_code() {
            break;
        }
        log::error!("linux:   called from {place}");
        frame = next;
    }
}

/// An address, and what is mapped there.
struct Place<'a> {
    thread: &'a Thread,
    at: u64,
}

impl Place<'_> {
    fn is_code(&self) -> bool {
        let (at, mut found) = (self.at as usize, false);
        self.thread.memory().each_area(&mut |area| {
            found |= area.range.contains(&at) && area.access.contains(Access::EXECUTE);
        });
        found
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.at)?;
        let (at, mut result) = (self.at as usize, Ok(()));
        self.thread.memory().each_area(&mut |area| {
            if area.range.contains(&at) && !area.name.is_empty() {
                let offset = area.offset + (at - area.range.start) as u64;
                let name = Escaped(area.name);
                result = write!(f, " ({name} + {offset:#x})");
            }
        });
        result
    }
}
