//! Tests of the lines of `strace=`, of programs that are played.

use super::Trace;
use super::kind::Kind;
use crate::file::Caller;
use crate::testing::{call_of, play, room, run, thread};
use crate::thread::{Thread, Tracer};
use crate::tty::Wire;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::task::Waker;
use kernel::user::Exit;
use linux_raw_sys::general as raw;
use syscalls::Sysno;

/// What takes the lines, a few bytes at a time.
#[derive(Clone, Default)]
struct Paper(Rc<RefCell<Vec<u8>>>);

impl Wire for Paper {
    fn write(&self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(20);
        self.0.borrow_mut().extend(&bytes[..count]);
        count
    }

    fn room(&self) -> Option<usize> {
        None
    }

    fn wait(&self, waker: &Waker) {
        waker.wake_by_ref();
    }
}

impl Paper {
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.take()).unwrap();
        text.lines().map(String::from).collect()
    }
}

/// Traces the machine of `thread`.
fn trace(thread: &Thread) -> Paper {
    let paper = Paper::default();
    let tracer: Rc<dyn Tracer> = Rc::new(Trace::new(Box::new(paper.clone())));
    thread.trace(&tracer);
    paper
}

/// Plays calls one after the other, and ends. Returns what was printed.
fn lines(thread: Rc<Thread>, calls: Vec<(Sysno, Vec<u64>)>) -> Vec<String> {
    let lines = trace(&thread);
    play(move |step, registers, _| match calls.get(step as usize) {
        Some((number, args)) => call_of(registers, *number, args),
        None => call_of(registers, Sysno::exit_group, &[3]),
    });
    run(thread);
    lines.lines()
}

#[test]
fn arguments_have_names_and_results_too() {
    let first = thread();
    let at = room(&first.memory(), 4096) as u64;
    first.memory().write(at as usize, b"/no/such\0").unwrap();
    let flags = u64::from(raw::O_RDWR | raw::O_CREAT | raw::O_CLOEXEC);
    let lines = lines(
        first,
        [
            (Sysno::openat, [raw::AT_FDCWD as u64, at, flags, 0o644].to_vec()),
            (Sysno::open, [1, 0, 0].to_vec()),
            (Sysno::pipe2, [at, 0].to_vec()),
            (Sysno::write, [1, at, 8].to_vec()),
            (Sysno::read, [0, at + 100, 50].to_vec()),
            (Sysno::mmap, [0, 4096, 3, 0x8022, u64::MAX, 0].to_vec()),
            (Sysno::io_uring_setup, [1, 2, 3, 4, 5, 6].to_vec()),
        ]
        .to_vec(),
    );
    let (map, rest): (Vec<_>, Vec<_>) = lines.into_iter().partition(|it| it.contains("mmap"));
    let map = map[0].strip_prefix(
        "1 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_POPULATE, -1, NULL) = 0x",
    );
    assert!(map.is_some_and(|it| it.ends_with("000")));
    assert_eq!(
        rest,
        [
            r#"1 openat(AT_FDCWD, "/no/such", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = -1 ENOENT"#,
            r"1 open(0x1, O_RDONLY, 0000) = -1 EFAULT",
            "1 pipe2([0, 1], 0x0) = 0",
            r#"1 write(1, "\x00\x00\x00\x00\x01\x00\x00\x00", 8) = 8"#,
            r#"1 read(0, "\x00\x00\x00\x00\x01\x00\x00\x00", 50) = 8"#,
            "1 io_uring_setup(0x1, 0x2, 0x3, 0x4, 0x5, 0x6) = -1 ENOSYS",
            "1 exit_group(3) = ?",
            "1 +++ exited with 3 +++",
        ]
    );
}

#[test]
fn a_call_that_waits_has_two_lines_and_others_come_between() {
    let first = thread();
    let at = room(&first.memory(), 4096) as u64;
    let lines = trace(&first);
    play(move |step, registers, _| {
        let result = registers.rax;
        match step {
            0 => call_of(registers, Sysno::pipe, &[at]),
            1 => call_of(registers, Sysno::fork, &[]),
            // The child writes what its parent waits for.
            2 if result == 0 => call_of(registers, Sysno::write, &[1, at, 3]),
            2 => call_of(registers, Sysno::read, &[0, at, 100]),
            _ => call_of(registers, Sysno::exit_group, &[0]),
        }
    });
    run(first);
    let lines = lines.lines();
    let at = |text: &str| lines.iter().position(|it| it == text).unwrap();
    let wait = at("1 read(0 <unfinished ...>");
    let write = at(r#"2 write(1, "\x00\x00\x00", 3) = 3"#);
    let rest = at(r#"1 <... read resumed>, "\x00\x00\x00", 100) = 3"#);
    assert!(wait < write && write < rest, "{lines:#?}");
}

#[test]
fn signals_and_deaths_are_told() {
    let first = thread();
    let lines = trace(&first);
    play(move |_, registers, _| call_of(registers, Sysno::kill, &[1, 15]));
    assert_eq!(run(first), 143);
    assert_eq!(
        lines.lines(),
        [
            "1 kill(1, SIGTERM) = 0",
            "1 --- SIGTERM {si_code=0, si_pid=1} ---",
            "1 +++ killed by SIGTERM +++",
        ]
    );
    let first = thread();
    let lines = trace(&first);
    play(|_, _, _| Exit::Page { address: 0x10, write: true, execute: false, present: false });
    assert_eq!(run(first), 139);
    assert_eq!(
        lines.lines(),
        ["1 --- SIGSEGV {si_code=1, si_addr=0x10} ---", "1 +++ killed by SIGSEGV +++"]
    );
}

#[test]
fn a_count_follows_what_is_counted() {
    let mut counted = 0;
    for (number, call) in crate::table::TABLE.iter().enumerate() {
        let Some(call) = call else { continue };
        let name = Sysno::new(number).unwrap();
        for (at, kind) in call.args.iter().enumerate() {
            if matches!(kind, Some(Kind::Data | Kind::Parts | Kind::Polls)) {
                let next = call.args.get(at + 1).copied().flatten();
                assert!(matches!(next, Some(Kind::Size | Kind::Int)), "{name}: {next:?}");
                counted += 1;
            }
        }
    }
    assert!(counted > 5, "{counted}");
}

#[test]
fn what_is_known_of_a_call_takes_two_words() {
    assert_eq!(size_of::<Option<Kind>>(), 1);
    assert_eq!(size_of::<Option<crate::call::Call>>(), 16);
}
