//! The files of each process.

use crate::memory::Memory;
use crate::process::{INFINITY, Process};
use crate::system::System;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;
use core::ops::Range;
use kernel::user::PAGE;
use linux_raw_sys::general as raw;

/// The most bytes of arguments and of the environment that are shown.
const MOST: usize = 256 * 1024;

/// Returns a process.
pub(super) fn find(system: &System, id: i32) -> Option<Rc<Process>> {
    system.process(id)
}

/// Returns the numbers of all processes.
pub(super) fn all(system: &System) -> Vec<i32> {
    system.processes().iter().map(|it| it.id).collect()
}

/// Returns the numbers of its threads.
pub(super) fn threads(process: &Process) -> Vec<i32> {
    process.threads()
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

/// Its memory, while it runs.
fn memory(process: &Process) -> Option<Rc<Memory>> {
    process.memory()
}

/// Adds a file whose text is made of a process.
fn file(
    system: &Rc<System>,
    name: &'static str,
    mode: u32,
    text: impl Fn(&System, &Process) -> Option<Vec<u8>> + 'static,
) {
    let here = Rc::downgrade(system);
    system.proc.add_process(name, mode, move |id| {
        let system = here.upgrade()?;
        text(&system, &*find(&system, id)?)
    });
}

/// Adds them.
pub(super) fn add(system: &Rc<System>) {
    file(system, "maps", 0o444, |_, process| {
        // Without memory for the text there is none of it.
        let maps = memory(process).map(|it| it.maps().unwrap_or_default());
        Some(maps.unwrap_or_default())
    });
    file(system, "statm", 0o444, |_, process| Some(memory(process)?.statm()));
    file(system, "comm", 0o444, |_, process| Some([&*name(process), b"\n"].concat()));
    file(system, "cmdline", 0o444, |_, process| Some(bytes(process, process.arguments())));
    file(system, "environ", 0o400, |_, process| Some(bytes(process, process.environment())));
    file(system, "limits", 0o444, |_, process| Some(limits(process).into_bytes()));
    file(system, "stat", 0o444, |_, process| Some(stat(process)));
    file(system, "status", 0o444, |_, process| Some(status(process)));
    let fixed: [(&'static str, &'static str); 6] = [
        ("cgroup", "0::/\n"),
        ("oom_score", "0\n"),
        ("oom_score_adj", "0\n"),
        ("uid_map", "         0          0 4294967295\n"),
        ("gid_map", "         0          0 4294967295\n"),
        ("wchan", "0"),
    ];
    for (name, text) in fixed {
        system.proc.add_process(name, 0o444, move |_| Some(text.as_bytes().to_vec()));
    }
}

/// Returns the name of the program, of 15 bytes at most.
fn name(process: &Process) -> Vec<u8> {
    let first = process.thread(process.id).map(|it| it.name.get());
    let name = first.unwrap_or_default();
    name.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
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
        let _ = writeln!(text, "{name:<26}{soft:<21}{hard:<21}{unit:<10}");
    }
    text
}

/// Time in hundredths of a second.
const fn hundredths(ns: u64) -> u64 {
    ns / 10_000_000
}

fn stat(process: &Process) -> Vec<u8> {
    let usage = memory(process).map(|it| it.usage()).unwrap_or_default();
    let parent = process.parent().map_or(0, |it| it.id);
    let (ran, children) = (hundredths(process.cpu_time()), hundredths(process.children_ran.get()));
    let stack = process.limits.get(raw::RLIMIT_RSS).soft;
    let mut text = format!("{} (", process.id).into_bytes();
    text.extend(name(process));
    let (arguments, environment) = (process.arguments(), process.environment());
    text.extend(
        format!(
            ") {} {parent} {} {} 0 -1 0 0 0 0 0 {ran} 0 {children} 0 20 0 {} 0 0 {} {} {stack} \
             0 0 0 0 0 0 0 0 0 0 0 0 {} 0 0 0 0 0 0 0 0 0 {} {} {} {} 0\n",
            process.state(),
            process.group(),
            process.session(),
            process.threads().len(),
            usage.address_space,
            usage.resident / PAGE,
            process.exit_signal.get(),
            arguments.start,
            arguments.end,
            environment.start,
            environment.end,
        )
        .as_bytes(),
    );
    text
}

fn status(process: &Process) -> Vec<u8> {
    let usage = memory(process).map(|it| it.usage()).unwrap_or_default();
    let it = process.credentials.borrow();
    let (user, group) = (&it.user, &it.group);
    let state = match process.state() {
        'R' => "R (running)",
        'T' => "T (stopped)",
        'Z' => "Z (zombie)",
        _ => "S (sleeping)",
    };
    let parent = process.parent().map_or(0, |it| it.id);
    let mut text = b"Name:\t".to_vec();
    text.extend(name(process));
    let mut rest = String::new();
    let _ = write!(
        rest,
        "\nUmask:\t{:04o}\nState:\t{state}\nTgid:\t{1}\nNgid:\t0\nPid:\t{1}\nPPid:\t{parent}\n\
         TracerPid:\t0\nUid:\t{2}\t{3}\t{4}\t{5}\nGid:\t{6}\t{7}\t{8}\t{9}\nFDSize:\t{10}\nGroups:\t",
        process.fs.borrow().umask.get(),
        process.id,
        user.real,
        user.effective,
        user.saved,
        user.files,
        group.real,
        group.effective,
        group.saved,
        group.files,
        process.files.numbers().last().map_or(0, |it| it + 1).next_power_of_two().max(64),
    );
    for group in it.groups.iter() {
        let _ = write!(rest, "{group} ");
    }
    rest.push('\n');
    for (name, bytes) in [
        ("VmPeak", usage.address_space),
        ("VmSize", usage.address_space),
        ("VmLck", 0),
        ("VmHWM", usage.resident),
        ("VmRSS", usage.resident),
        ("VmData", usage.data),
        ("VmStk", usage.stack),
        ("VmExe", usage.code),
        ("VmLib", 0),
        ("VmPTE", usage.tables),
        ("VmSwap", 0),
    ] {
        let _ = writeln!(rest, "{name}:\t{:>8} kB", bytes / 1024);
    }
    let capabilities = if it.is_root() { 0x1ff_ffff_ffff_u64 } else { 0 };
    let _ = write!(
        rest,
        "Threads:\t{}\nCapInh:\t0000000000000000\nCapPrm:\t{capabilities:016x}\n\
         CapEff:\t{capabilities:016x}\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\n\
         NoNewPrivs:\t{}\nSeccomp:\t0\nCpus_allowed:\t1\nCpus_allowed_list:\t0\n\
         Mems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t0\n\
         nonvoluntary_ctxt_switches:\t0\n",
        process.threads().len(),
        u8::from(process.controls.no_new_privileges.get()),
    );
    text.extend(rest.into_bytes());
    text
}
