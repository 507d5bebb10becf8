//! The files of each process.

use super::status::{self, memory, name, turns};
use crate::errno::Errno;
use crate::memory::Memory;
use crate::process::{INFINITY, Process};
use crate::signal::Receiver;
use crate::system::System;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;
use core::ops::Range;
use linux_raw_sys::general as raw;

/// The most bytes of arguments and of the environment that are shown.
const MOST: usize = 256 * 1024;

/// Returns a process.
pub(super) fn find(system: &System, id: i32) -> Option<Rc<Process>> {
    system.process(id)
}

/// Returns the user and the group that own its files.
pub(super) fn owner(process: &Process) -> (u32, u32) {
    let it = process.credentials.borrow();
    (it.user.effective, it.group.effective)
}

/// Returns the path of the program that it runs.
pub(super) fn exe(process: &Process) -> Vec<u8> {
    process.exe().to_vec()
}

/// Adds a file whose text is made of a process, and of a thread of it where the file is one's.
fn file(
    system: &Rc<System>,
    name: &'static str,
    mode: u32,
    text: impl Fn(&System, &Process, Option<&Receiver>) -> Option<Vec<u8>> + 'static,
) {
    let here = Rc::downgrade(system);
    system.proc.add_process(name, mode, move |id, thread| {
        let system = here.upgrade()?;
        let process = find(&system, id)?;
        let thread = match thread {
            Some(id) => Some(process.thread(id)?),
            None => None,
        };
        text(&system, &process, thread.as_deref())
    });
}

/// Has a file take what is written to it by a process: the first one.
fn taker(
    system: &Rc<System>,
    name: &'static str,
    take: impl Fn(&Process, &Process, Option<i32>, &[u8]) -> Result<(), Errno> + 'static,
) {
    let here = Rc::downgrade(system);
    system.proc.take_of_process(name, move |writer, (id, thread), bytes| {
        let system = here.upgrade().ok_or(Errno::ESRCH)?;
        let find = |id| find(&system, id).ok_or(Errno::ESRCH);
        take(&*find(writer)?, &*find(id)?, thread, bytes)
    });
}

/// Returns a number as C writes it: with `0x` of base 16, with `0` of base 8.
fn number(bytes: &[u8]) -> Option<i64> {
    let text = core::str::from_utf8(bytes).ok()?.trim();
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text),
    };
    let value = match text.strip_prefix("0x") {
        Some(text) => i64::from_str_radix(text, 16),
        None if text.len() > 1 && text.starts_with('0') => i64::from_str_radix(text, 8),
        None => text.parse(),
    };
    Some(sign * value.ok()?)
}

/// Adds one of the memory of a process, which is empty once it has ended. Without memory for the
/// text there is none of it.
fn of_memory(
    system: &Rc<System>,
    name: &'static str,
    text: impl Fn(&Memory) -> Result<Vec<u8>, Errno> + 'static,
) {
    file(system, name, 0o444, move |_, process, _| {
        Some(memory(process).map_or_else(Vec::new, |it| text(&it).unwrap_or_default()))
    });
}

/// Adds them.
pub(super) fn add(system: &Rc<System>) {
    of_memory(system, "maps", Memory::maps);
    of_memory(system, "smaps", Memory::smaps);
    of_memory(system, "smaps_rollup", |it| Ok(it.rollup()));
    file(system, "statm", 0o444, |_, process, _| {
        Some(memory(process).map_or_else(|| b"0 0 0 0 0 0 0\n".to_vec(), |it| it.statm()))
    });
    file(system, "comm", 0o644, |_, process, thread| {
        Some([&*name(process, thread), b"\n"].concat())
    });
    taker(system, "comm", |writer, process, thread, bytes| {
        // Names are given within a process alone (pthread_setname_np(3)).
        if writer.id != process.id {
            return Err(Errno::EINVAL);
        }
        let receiver = process.thread(thread.unwrap_or(process.id)).ok_or(Errno::ESRCH)?;
        let mut name = [0; 16];
        let text = bytes.split(|&it| it == 0).next().unwrap_or_default();
        name.iter_mut().zip(text.iter().take(15)).for_each(|(to, &from)| *to = from);
        receiver.name.set(name);
        Ok(())
    });
    file(system, "oom_score_adj", 0o644, |_, process, _| {
        Some(format!("{}\n", process.controls.out_of_memory.get()).into_bytes())
    });
    taker(system, "oom_score_adj", |writer, process, _, bytes| {
        let new = number(bytes).filter(|it| (-1000..=1000).contains(it)).ok_or(Errno::EINVAL)?;
        let old = i64::from(process.controls.out_of_memory.get());
        if new < old && !writer.credentials.borrow().is_root() {
            return Err(Errno::EACCES);
        }
        process.controls.out_of_memory.set(new as i32);
        Ok(())
    });
    file(system, "coredump_filter", 0o644, |_, process, _| {
        Some(format!("{:08x}\n", process.controls.dumped.get()).into_bytes())
    });
    taker(system, "coredump_filter", |_, process, _, bytes| {
        let new = number(bytes).and_then(|it| u32::try_from(it).ok()).ok_or(Errno::EINVAL)?;
        process.controls.dumped.set(new & 0x1ff);
        Ok(())
    });
    file(system, "cmdline", 0o444, |_, process, _| Some(bytes(process, process.arguments())));
    file(system, "environ", 0o400, |_, process, _| Some(bytes(process, process.environment())));
    file(system, "auxv", 0o400, |_, process, _| {
        let range = process.program.borrow().auxiliary.clone();
        Some(bytes(process, range))
    });
    file(system, "limits", 0o444, |_, process, _| Some(limits(process).into_bytes()));
    file(system, "io", 0o400, |_, process, _| Some(io(process).into_bytes()));
    file(system, "schedstat", 0o444, |_, process, thread| {
        let (ran, [turns, _]) = turns(process, thread);
        // How long a thread waited for its turn is not counted.
        Some(format!("{ran} 0 {turns}\n").into_bytes())
    });
    file(system, "stat", 0o444, |system, process, thread| {
        Some(status::stat(system, process, thread))
    });
    file(system, "status", 0o444, |_, process, thread| status::status(process, thread).ok());
    let fixed: [(&'static str, &'static str); 9] = [
        ("cgroup", "0::/\n"),
        ("loginuid", "4294967295"),
        ("oom_adj", "0\n"),
        ("oom_score", "0\n"),
        ("sessionid", "4294967295"),
        ("setgroups", "allow\n"),
        ("uid_map", "         0          0 4294967295\n"),
        ("gid_map", "         0          0 4294967295\n"),
        ("wchan", "0"),
    ];
    file(system, "personality", 0o400, |_, _, _| Some(b"00000000\n".to_vec()));
    for (name, text) in fixed {
        system.proc.add_process(name, 0o444, move |_, _| Some(text.as_bytes().to_vec()));
    }
}

/// What read(2), write(2) and the like moved.
fn io(process: &Process) -> String {
    let [read, written] = [0, 1].map(|at: usize| process.moved[at].get());
    let [reads, writes] = [0, 1].map(|at: usize| process.moves[at].get());
    // What a disk below the tree was asked for is nobody's.
    format!(
        "rchar: {read}\nwchar: {written}\nsyscr: {reads}\nsyscw: {writes}\nread_bytes: 0\n\
         write_bytes: 0\ncancelled_write_bytes: 0\n"
    )
}

/// Returns what is at some addresses of its memory, as far as that is there without waiting.
fn bytes(process: &Process, range: Range<usize>) -> Vec<u8> {
    let Some(memory) = memory(process) else { return Vec::new() };
    let length = range.len().min(MOST);
    let Some(mut bytes) = kernel::memory::zeroed(length) else { return Vec::new() };
    if memory.read(range.start, &mut bytes).is_err() {
        bytes.clear();
    }
    bytes
}

/// What getrlimit(2) tells, in words.
fn limits(process: &Process) -> String {
    const ALL: [(&str, u32, &str); 16] = [
        ("Max cpu time", raw::RLIMIT_CPU, "seconds"),
        ("Max file size", raw::RLIMIT_FSIZE, "bytes"),
        ("Max data size", raw::RLIMIT_DATA, "bytes"),
        ("Max stack size", raw::RLIMIT_STACK, "bytes"),
        ("Max core file size", raw::RLIMIT_CORE, "bytes"),
        ("Max resident set", raw::RLIMIT_RSS, "bytes"),
        ("Max processes", raw::RLIMIT_NPROC, "processes"),
        ("Max open files", raw::RLIMIT_NOFILE, "files"),
        ("Max locked memory", raw::RLIMIT_MEMLOCK, "bytes"),
        ("Max address space", raw::RLIMIT_AS, "bytes"),
        ("Max file locks", raw::RLIMIT_LOCKS, "locks"),
        ("Max pending signals", raw::RLIMIT_SIGPENDING, "signals"),
        ("Max msgqueue size", raw::RLIMIT_MSGQUEUE, "bytes"),
        ("Max nice priority", raw::RLIMIT_NICE, ""),
        ("Max realtime priority", raw::RLIMIT_RTPRIO, ""),
        ("Max realtime timeout", raw::RLIMIT_RTTIME, "us"),
    ];
    let mut text = String::new();
    let _ =
        writeln!(text, "{:<26}{:<21}{:<21}{:<10}", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (name, resource, unit) in ALL {
        let limit = process.limits.get(resource);
        let [soft, hard] = [limit.soft, limit.hard]
            .map(|it| if it == INFINITY { "unlimited".to_string() } else { it.to_string() });
        let _ = write!(text, "{name:<26}{soft:<21}{hard:<21}");
        let _ = if unit.is_empty() { writeln!(text) } else { writeln!(text, "{unit:<10}") };
    }
    text
}
