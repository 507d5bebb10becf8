//! What a process or thread is doing: `stat` and `status` (proc(5)).

use crate::memory::{Memory, Text};
use crate::process::Process;
use crate::signal::{Action, Receiver, Set, Signal};
use crate::system::System;
use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use kernel::user::PAGE;
use linux_raw_sys::general as raw;

/// Its memory, while it runs.
pub(super) fn memory(process: &Process) -> Option<Rc<Memory>> {
    process.memory()
}

/// Returns the name of a thread, of 15 bytes at most; that of the first one is the process's.
pub(super) fn name(process: &Process, thread: Option<&Receiver>) -> Vec<u8> {
    let name = thread.map_or_else(|| process.name(), |it| it.name.get());
    name.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
}

/// Returns for how many ns a thread, or all of a process, had the processor, how often it was
/// given it, and how often it was taken from it.
pub(super) fn turns(process: &Process, thread: Option<&Receiver>) -> (u64, [u64; 2]) {
    if let Some(thread) = thread {
        return (thread.cpu_time(), thread.turns());
    }
    let mut sum = [0; 2];
    for thread in process.signals.receivers().borrow().iter() {
        let [turns, preempted] = thread.turns();
        sum = [sum[0] + turns, sum[1] + preempted];
    }
    (process.cpu_time(), sum)
}

/// Time in hundredths of a second.
const fn hundredths(ns: u64) -> u64 {
    ns / 10_000_000
}

/// The state of a thread, or of the process.
fn state(process: &Process, thread: Option<&Receiver>) -> char {
    match thread {
        Some(_) => process.state_of(thread),
        None => process.state(),
    }
}

/// The signals of a process that are ignored, and those that have a handler.
fn actions(process: &Process) -> [u64; 2] {
    let mut sets = [0; 2];
    for number in 1..=Signal::COUNT as u64 {
        let Some(signal) = Signal::new(number) else { continue };
        let action = process.signals.action(signal);
        let set = Set::of(&[signal]).bits();
        if action.has_handler() {
            sets[1] |= set;
        } else if action.handler == Action::IGNORE {
            sets[0] |= set;
        }
    }
    sets
}

/// What is pending for a thread, or for the first one, and what it blocks.
fn signals(process: &Process, thread: Option<&Receiver>) -> [u64; 2] {
    let of = |it: &Receiver| [it.own_pending().bits(), it.mask().bits()];
    let first = process.signals.receivers().borrow();
    thread.or(first.first().map(|it| &**it)).map_or([0; 2], of)
}

/// Returns the text of `stat`.
pub(super) fn stat(system: &System, process: &Process, thread: Option<&Receiver>) -> Vec<u8> {
    let memory = memory(process);
    let usage = memory.as_ref().map(|it| it.usage()).unwrap_or_default();
    let parent = process.parent().map_or(0, |it| it.id);
    let (ran, _) = turns(process, thread);
    let (ran, children) = (hundredths(ran), hundredths(process.children_ran.get()));
    let terminal = system.terminals.of_session(process.terminal_session());
    // The minor number of a device is in two parts, and so it is here.
    let (terminal, foreground) =
        terminal.map_or((0, -1), |it| (it.special() as i32, it.foreground()));
    let began = process.began.as_nanos().saturating_sub(system.booted.as_nanos());
    let id = thread.map_or(process.id, Receiver::id);
    let most = process.limits.get(raw::RLIMIT_RSS).soft;
    let nice = process.controls.nice.get();
    let ([pending, blocked], [ignored, caught]) = (signals(process, thread), actions(process));
    // As numbers of 32 signals: what is above is in status.
    let [pending, blocked, ignored, caught] =
        [pending, blocked, ignored, caught].map(|it| it as u32 & 0x7fff_ffff);
    let (code, heap) = memory.as_ref().map_or((0..0, 0), |it| (it.code(&process.exe()), it.heap()));
    let (arguments, environment) = (process.arguments(), process.environment());
    let mut text = format!("{id} (").into_bytes();
    text.extend(name(process, thread));
    text.extend(
        format!(
            ") {} {parent} {} {} {terminal} {foreground} 4194304 {} 0 0 0 {ran} 0 {children} 0 {} \
             {nice} {} 0 {} {} {} {most} {} {} {} 0 0 {pending} {blocked} {ignored} {caught} 0 0 0 \
             {} 0 0 0 0 0 0 0 0 {heap} {} {} {} {} {}\n",
            state(process, thread),
            process.group(),
            process.session(),
            process.faults.get(),
            20 + nice,
            // One that has ended counts as its first thread.
            process.thread_count().max(1),
            hundredths(began),
            usage.address_space,
            usage.resident / PAGE,
            code.start,
            code.end,
            arguments.start,
            process.exit_signal.get(),
            arguments.start,
            arguments.end,
            environment.start,
            environment.end,
            process.status().map_or(0, |it| it.bits()),
        )
        .as_bytes(),
    );
    text
}

/// Returns that text as those see it who may not look into the process: where its code, its stack
/// and the like are, and how it ended, stands there as 1 or 0 (proc_pid_stat(5), fields 26 to 30, 35, 45 to
/// 52).
pub(super) fn without_addresses(stat: &[u8]) -> Vec<u8> {
    // The name may have spaces and parentheses, and nothing behind it has.
    let behind = stat.iter().rposition(|&it| it == b')').map_or(0, |at| at + 1);
    let (name, fields) = stat.split_at(behind);
    let mut text = name.to_vec();
    let line = fields.strip_suffix(b"\n").unwrap_or(fields);
    // The first is empty, as there is a space before it.
    for (number, field) in
        line.split(|&it| it == b' ').enumerate().skip(1).map(|(at, it)| (at + 2, it))
    {
        text.push(b' ');
        text.extend_from_slice(match number {
            26 | 27 => b"1",
            28..=30 | 35 | 45..=52 => b"0",
            _ => field,
        });
    }
    text.push(b'\n');
    text
}

/// Returns the text of `status`.
///
/// # Errors
/// Without memory for it.
pub(super) fn status(process: &Process, thread: Option<&Receiver>) -> Result<Vec<u8>, fmt::Error> {
    let state = match state(process, thread) {
        'R' => "R (running)",
        'T' => "T (stopped)",
        'Z' => "Z (zombie)",
        _ => "S (sleeping)",
    };
    let mut text = Text(b"Name:\t".to_vec());
    text.0.extend(name(process, thread));
    write!(text, "\nUmask:\t{:04o}\nState:\t{state}\n", process.fs.borrow().umask.get())?;
    who(process, thread, &mut text)?;
    if memory(process).is_some() {
        sizes(process, &mut text)?;
    }
    let ([pending, blocked], [ignored, caught]) = (signals(process, thread), actions(process));
    write!(
        text,
        "Threads:\t{}\nSigQ:\t{}/{}\nSigPnd:\t{pending:016x}\nShdPnd:\t{:016x}\n\
         SigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\n",
        process.thread_count().max(1),
        process.signals.count(),
        process.limits.get(raw::RLIMIT_SIGPENDING).soft,
        process.signals.shared().bits(),
    )?;
    let root = process.credentials.borrow().is_root();
    let capabilities = if root { 0x1ff_ffff_ffff_u64 } else { 0 };
    let (_, [turns, preempted]) = turns(process, thread);
    write!(
        text,
        "CapInh:\t0000000000000000\nCapPrm:\t{capabilities:016x}\n\
         CapEff:\t{capabilities:016x}\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\n\
         NoNewPrivs:\t{}\nSeccomp:\t0\nSeccomp_filters:\t0\nCpus_allowed:\t1\n\
         Cpus_allowed_list:\t0\nMems_allowed:\t1\nMems_allowed_list:\t0\n\
         voluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t{preempted}\n",
        u8::from(process.controls.no_new_privileges.get()),
        turns.saturating_sub(preempted),
    )?;
    Ok(text.0)
}

/// Who it is.
fn who(process: &Process, thread: Option<&Receiver>, text: &mut Text) -> fmt::Result {
    let it = process.credentials.borrow();
    let (user, group) = (&it.user, &it.group);
    let used = process.files().numbers().last().map_or(0, |it| it + 1);
    write!(
        text,
        "Tgid:\t{0}\nNgid:\t0\nPid:\t{1}\nPPid:\t{2}\nTracerPid:\t0\n\
         Uid:\t{3}\t{4}\t{5}\t{6}\nGid:\t{7}\t{8}\t{9}\t{10}\nFDSize:\t{11}\nGroups:\t",
        process.id,
        thread.map_or(process.id, Receiver::id),
        process.parent().map_or(0, |it| it.id),
        user.real,
        user.effective,
        user.saved,
        user.files,
        group.real,
        group.effective,
        group.saved,
        group.files,
        used.next_power_of_two().max(64),
    )?;
    it.groups.iter().try_for_each(|it| write!(text, "{it} "))?;
    // There is a space also where there are none.
    let space = if it.groups.is_empty() { " " } else { "" };
    write!(
        text,
        "{space}\nNStgid:\t{0}\nNSpid:\t{1}\nNSpgid:\t{2}\nNSsid:\t{3}\n",
        process.id,
        thread.map_or(process.id, Receiver::id),
        process.group(),
        process.session(),
    )
}

/// How much memory it has. What there was at most is not kept: it is what there is.
fn sizes(process: &Process, text: &mut Text) -> fmt::Result {
    let Some(memory) = memory(process) else { return Ok(()) };
    let (usage, resident) = (memory.usage(), memory.resident_by_kind());
    let own = memory.code(&process.exe()).len();
    for (name, bytes) in [
        ("VmPeak", usage.address_space),
        ("VmSize", usage.address_space),
        ("VmLck", resident.locked),
        ("VmPin", 0),
        ("VmHWM", usage.resident),
        ("VmRSS", usage.resident),
        ("RssAnon", resident.anonymous * PAGE),
        ("RssFile", resident.file * PAGE),
        ("RssShmem", resident.shared_memory * PAGE),
        ("VmData", usage.data),
        ("VmStk", usage.stack),
        ("VmExe", own),
        ("VmLib", usage.code.saturating_sub(own)),
        ("VmPTE", usage.tables),
        ("VmSwap", 0),
        ("HugetlbPages", 0),
    ] {
        writeln!(text, "{name}:\t{:>8} kB", bytes / 1024)?;
    }
    text.write_str("CoreDumping:\t0\nTHP_enabled:\t0\n")
}
