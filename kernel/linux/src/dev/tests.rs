//! Tests of devices and terminals, by the calls of a program.

use crate::errno::Errno;
use crate::file::Caller;
use crate::process::{Credentials, Process};
use crate::signal::{Action, Set, Signal};
use crate::testing::{perform, room, thread};
use crate::thread::Thread;
use crate::tty::{Size, TerminalFile, Whom};
use crate::watch::Ready;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use kernel::task::block_on;
use linux_raw_sys::general as abi;
use linux_raw_sys::ioctl as request;
use syscalls::Sysno;

struct Program {
    thread: Rc<Thread>,
    at: usize,
    /// Signals that terminals sent: group, or less than 0 for a leader, and number.
    signals: Rc<RefCell<Vec<(i32, u32)>>>,
}

impl Program {
    fn new() -> Self {
        let thread = thread();
        let at = room(&thread.memory(), 16 * 4096);
        block_on(super::mount(&thread, Size::default())).unwrap();
        let signals = Rc::new(RefCell::new(Vec::new()));
        let sent = Rc::clone(&signals);
        thread.system.terminals.set_signals(alloc::boxed::Box::new(move |whom, number| {
            let id = match whom {
                Whom::Group(group) => group,
                Whom::Leader(session) => -session,
            };
            sent.borrow_mut().push((id, number));
        }));
        Self { thread, at, signals }
    }

    fn call(&self, number: Sysno, args: &[u64]) -> Result<usize, Errno> {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        perform(&self.thread, number, all)
    }

    fn put(&self, bytes: &[u8]) -> u64 {
        self.thread.memory().write(self.at, bytes).unwrap();
        self.at as u64
    }

    fn got(&self, length: usize) -> Vec<u8> {
        let mut bytes = std::vec![0; length];
        self.thread.memory().read(self.at, &mut bytes).unwrap();
        bytes
    }

    fn open(&self, path: &str, flags: u32) -> Result<u64, Errno> {
        let path = self.put(&[path.as_bytes(), b"\0"].concat());
        self.call(Sysno::open, &[path, flags.into(), 0]).map(|it| it as u64)
    }

    fn read(&self, fd: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let count = self.call(Sysno::read, &[fd, self.at as u64, length as u64])?;
        Ok(self.got(count))
    }

    fn write(&self, fd: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let at = self.put(bytes);
        self.call(Sysno::write, &[fd, at, bytes.len() as u64])
    }

    /// Opens a pseudoterminal, neither side of which waits: master and slave.
    fn pty(&self) -> [u64; 2] {
        let nonblocking = abi::O_RDWR | abi::O_NONBLOCK;
        let master = self.open("/dev/ptmx", nonblocking).unwrap();
        self.call(Sysno::ioctl, &[master, request::TIOCGPTN.into(), self.at as u64]).unwrap();
        let number = self.got(4)[0];
        let path = std::format!("/dev/pts/{number}");
        assert_eq!(self.open(&path, nonblocking), Err(Errno::EIO), "it is locked");
        let zero = self.put(&[0; 4]);
        self.call(Sysno::ioctl, &[master, request::TIOCSPTLCK.into(), zero]).unwrap();
        [master, self.open(&path, nonblocking).unwrap()]
    }

    /// Changes the flags in the word of `struct termios` at `at`.
    fn set(&self, fd: u64, at: usize, clear: u32, set: u32) {
        self.call(Sysno::ioctl, &[fd, request::TCGETS.into(), self.at as u64]).unwrap();
        let mut all = self.got(36);
        let old = u32::from_le_bytes(all[at..at + 4].try_into().unwrap());
        all[at..at + 4].copy_from_slice(&(old & !clear | set).to_le_bytes());
        let new = self.put(&all);
        self.call(Sysno::ioctl, &[fd, request::TCSETS.into(), new]).unwrap();
    }
}

#[test]
fn devices_of_memory_do_what_they_say() {
    let it = Program::new();
    let [null, zero, full, random] = ["null", "zero", "full", "urandom"]
        .map(|name| it.open(&std::format!("/dev/{name}"), 2).unwrap());
    assert_eq!(it.read(null, 10), Ok(Vec::new()));
    assert_eq!(it.write(null, b"gone"), Ok(4));
    it.put(&[1; 9000]);
    assert_eq!(it.read(zero, 9000), Ok(std::vec![0; 9000]));
    assert_eq!(it.read(full, 3), Ok(std::vec![0; 3]));
    assert_eq!(it.write(full, b"x"), Err(Errno::ENOSPC));
    let some = it.read(random, 4000).unwrap();
    assert!(some.len() == 4000 && some[..2000] != some[2000..]);
    assert_eq!(it.call(Sysno::lseek, &[zero, 5, 0]), Ok(0));
    assert_eq!(
        it.call(Sysno::ioctl, &[null, request::TCGETS.into(), it.at as u64]),
        Err(Errno::ENOTTY)
    );
    it.call(Sysno::fstat, &[null, it.at as u64]).unwrap();
    let stat = it.got(144);
    assert_eq!(stat[24..28], 0o020_666_u32.to_le_bytes());
    assert_eq!(stat[40..48], 0x103_u64.to_le_bytes());
    assert_eq!(it.open("/dev/shm", abi::O_DIRECTORY).map(|_| ()), Ok(()));
    assert_eq!(it.open("/dev/sda", 0), Err(Errno::ENOENT));
    let at = it.put(b"/tmp/x\0");
    assert_eq!(it.call(Sysno::mknod, &[at, 0o020_600, 0x4242]), Ok(0));
    assert_eq!(it.open("/tmp/x", 0), Err(Errno::ENXIO), "there is no such driver");
}

#[test]
fn lines_are_edited_before_they_are_read() {
    let it = Program::new();
    let [master, slave] = it.pty();
    assert_eq!(it.read(slave, 10), Err(Errno::EAGAIN));
    let cases: [(&[u8], &[u8], &[u8]); 9] = [
        (b"hello\r", b"hello\n", b"hello\r\n"),
        (b"ab\x7fc\n", b"ac\n", b"ab\x08 \x08c\r\n"),
        ("aé\x7f\n".as_bytes(), b"a\n", "aé\x08 \x08\r\n".as_bytes()),
        (b"a b c\x17\n", b"a b \n", b"a b c\x08 \x08\r\n"),
        (b"xy\x15z\n", b"z\n", b"xy\x08 \x08\x08 \x08z\r\n"),
        (b"\x16\x03\n", b"\x03\n", b"^\x08^C\r\n"),
        (b"\x01\x7f\n", b"\n", b"^A\x08 \x08\x08 \x08\r\n"),
        (b"\x7f\n", b"\n", b"\r\n"),
        (b"end\x04", b"end", b"end"),
    ];
    for (typed, read, shown) in cases {
        assert_eq!(it.write(master, typed), Ok(typed.len()));
        assert_eq!(it.read(slave, 100).as_deref(), Ok(read), "{typed:?}");
        assert_eq!(it.read(master, 100).as_deref(), Ok(shown), "{typed:?}");
    }
    // A read takes one line, or a part of it; an empty one is the end of the file.
    it.write(master, b"one\ntwo\n\x04").unwrap();
    for part in [&b"on"[..], b"e\n", b"two\n", b""] {
        assert_eq!(it.read(slave, if part == b"on" { 2 } else { 100 }).as_deref(), Ok(part));
    }
    assert_eq!(it.read(slave, 100), Err(Errno::EAGAIN));
    it.read(master, 100).unwrap();
    // What is too long is cut, and can still be ended.
    let long = [b'x'; 5000];
    it.set(slave, 12, abi::ECHO, 0);
    assert_eq!(it.write(master, &long), Ok(5000));
    assert_eq!(it.write(master, b"\n"), Ok(1));
    let line = it.read(slave, 8000).unwrap();
    assert_eq!((line.len(), line.last()), (4096, Some(&b'\n')));
}

#[test]
fn bytes_are_read_where_lines_are_off() {
    let it = Program::new();
    let [master, slave] = it.pty();
    it.write(master, b"typed").unwrap();
    it.set(slave, 12, abi::ICANON | abi::ECHO | abi::ISIG, 0);
    assert_eq!(it.read(slave, 3), Ok(b"typ".to_vec()));
    it.write(master, b"\x03\x7f").unwrap();
    assert_eq!(it.read(slave, 9), Ok(b"ed\x03\x7f".to_vec()));
    it.set(slave, 0, abi::ICRNL, 0);
    it.write(master, b"\r").unwrap();
    assert_eq!(it.read(slave, 9), Ok(b"\r".to_vec()));
    it.set(slave, 4, abi::OPOST, 0);
    it.read(master, 100).unwrap();
    it.write(slave, b"a\nb").unwrap();
    assert_eq!(it.read(master, 9), Ok(b"a\nb".to_vec()));
    // VMIN of 0 and no time: a read never waits.
    it.call(Sysno::ioctl, &[slave, request::TCGETS.into(), it.at as u64]).unwrap();
    let mut all = it.got(36);
    all[17 + abi::VMIN as usize] = 0;
    let new = it.put(&all);
    it.call(Sysno::ioctl, &[slave, request::TCSETS.into(), new]).unwrap();
    assert_eq!(it.read(slave, 9), Ok(Vec::new()));
}

#[test]
fn a_terminal_has_a_session_and_sends_signals() {
    let it = Program::new();
    let ioctl = |fd: u64, number: u32, value: i32| {
        let at = it.put(&value.to_le_bytes());
        it.call(Sysno::ioctl, &[fd, number.into(), at])
    };
    let id = it.thread.process.id;
    // The console is that of the first process.
    let console = it.thread.process.files().get(0).unwrap();
    let console = console.as_kind::<TerminalFile>().unwrap().terminal().clone();
    assert_eq!((console.session(), console.foreground()), (id, id));
    console.typed(b"\x03");
    console.typed(b"\x1a\x1c");
    assert_eq!(it.signals.take(), [(id, 2), (id, 20), (id, 3)]);
    assert_eq!(ioctl(0, request::TIOCGPGRP, 0), Ok(0));
    assert_eq!(it.got(4), id.to_le_bytes());
    assert_eq!(ioctl(0, request::TIOCSPGRP, -4), Err(Errno::EINVAL));
    for group in [0, 44] {
        assert_eq!(ioctl(0, request::TIOCSPGRP, group), Err(Errno::ESRCH));
    }
    let other = Process::new(44, &it.thread.memory());
    it.thread.system.add(&other);
    other.set_group(44, 44);
    assert_eq!(ioctl(0, request::TIOCSPGRP, 44), Err(Errno::EPERM), "it is in another session");
    other.set_group(44, id);
    assert_eq!(ioctl(0, request::TIOCSPGRP, 44), Ok(0));
    assert_eq!(console.foreground(), 44);
    // Nobody could let it go on from there.
    assert_eq!(ioctl(0, request::TIOCSPGRP, id), Err(Errno::ENOTTY));
    // Now the process is in the background, and nobody could let it go on if it were stopped.
    assert_eq!(it.read(0, 1), Err(Errno::EIO));
    assert!(it.signals.take().is_empty());
    assert_eq!(it.write(0, b""), Ok(0));
    console.control(id, id);
    assert_eq!(ioctl(0, request::TIOCSWINSZ, 0x0050_0018), Ok(0));
    assert_eq!(it.signals.take(), [(id, 28)]);
    it.call(Sysno::ioctl, &[0, request::TIOCGWINSZ.into(), it.at as u64]).unwrap();
    assert_eq!(it.got(4), [24, 0, 80, 0]);
    let tty = it.open("/dev/tty", 2).unwrap();
    assert_eq!(ioctl(tty, request::TIOCGSID, 0), Ok(0));
    assert_eq!(it.got(4), id.to_le_bytes());
    // Another terminal does not become the session's as well, and is not asked for groups.
    let [master, slave] = it.pty();
    assert_eq!(ioctl(slave, request::TIOCGPGRP, 0), Err(Errno::ENOTTY));
    assert_eq!(ioctl(master, request::TIOCGSID, 0), Err(Errno::ENOTTY));
    assert_eq!(ioctl(master, request::TIOCGPGRP, 9), Ok(0));
    assert_eq!(it.got(4), [0; 4]);
    assert_eq!(ioctl(slave, request::TIOCSPGRP, id), Err(Errno::ENOTTY));
    assert_eq!(ioctl(tty, request::TIOCNOTTY, 0), Ok(0));
    assert_eq!(it.signals.take(), [(id, 1), (id, 18)]);
    assert_eq!(it.open("/dev/tty", 2), Err(Errno::ENXIO));
    assert_eq!(it.call(Sysno::ioctl, &[slave, request::TIOCSCTTY.into(), 0]), Ok(0));
    for number in [request::TIOCGSID, request::TIOCGPGRP] {
        assert_eq!(ioctl(master, number, 0), Ok(0));
        assert_eq!(it.got(4), id.to_le_bytes());
    }
    // Root alone takes one from another session.
    let steal = || it.call(Sysno::ioctl, &[0, request::TIOCSCTTY.into(), 1]);
    console.control(9, 9);
    assert_eq!(steal(), Err(Errno::EPERM), "it has one");
    assert_eq!(ioctl(slave, request::TIOCNOTTY, 0), Ok(0));
    let root = it.thread.process.credentials.replace(Credentials::new(1000, 100));
    assert_eq!(steal(), Err(Errno::EPERM));
    it.thread.process.credentials.replace(root);
    assert_eq!((steal(), console.session()), (Ok(0), id));
    console.release();
    assert_eq!(it.call(Sysno::ioctl, &[slave, request::TIOCSCTTY.into(), 0]), Ok(0));
    it.signals.take();
    // By its other name it is open as well.
    let tty = it.open("/dev/tty", 2).unwrap();
    it.call(Sysno::close, &[slave]).unwrap();
    assert_eq!(it.read(master, 9), Err(Errno::EAGAIN));
    it.call(Sysno::close, &[tty]).unwrap();
    assert_eq!(it.read(master, 9), Err(Errno::EIO));
    // Who leads the session hears that the other side is gone.
    let slave = it.open("/dev/tty", 2).unwrap();
    assert_eq!(ioctl(master, request::TIOCSPGRP, 44), Ok(0));
    it.call(Sysno::close, &[master]).unwrap();
    assert_eq!(it.signals.take(), [(-id, 1), (-id, 18)]);
    // Nothing is left of the line.
    assert_eq!(it.open("/dev/tty", 2), Err(Errno::ENXIO));
    for (number, errno) in [(request::TCGETS, Errno::EIO), (request::TIOCSPGRP, Errno::ENOTTY)] {
        assert_eq!(it.call(Sysno::ioctl, &[slave, number.into(), it.at as u64]), Err(errno));
    }
    assert_eq!(it.read(slave, 9), Ok(Vec::new()));
}

#[test]
fn a_session_whose_terminal_was_hung_up_gets_another_one() {
    let it = Program::new();
    let id = it.thread.process.id;
    let control = |fd| it.call(Sysno::ioctl, &[fd, request::TIOCSCTTY.into(), 0]);
    assert_eq!(it.call(Sysno::ioctl, &[0, request::TIOCNOTTY.into()]), Ok(0));
    let [[first, slave], [second, other], [_, third]] = [it.pty(), it.pty(), it.pty()];
    assert_eq!(control(slave), Ok(0));
    it.signals.take();
    it.call(Sysno::close, &[first]).unwrap();
    assert_eq!(it.signals.take(), [(-id, 1), (-id, 18)]);
    assert_eq!(it.open("/dev/tty", 2), Err(Errno::ENXIO));
    assert_eq!(control(other), Ok(0));
    assert_eq!(control(third), Err(Errno::EPERM), "it has one");
    it.call(Sysno::ioctl, &[second, request::TIOCGSID.into(), it.at as u64]).unwrap();
    assert_eq!(it.got(4), id.to_le_bytes());
    let tty = it.open("/dev/tty", 2).unwrap();
    it.call(Sysno::close, &[tty]).unwrap();
    // Of the first one nobody is told any more.
    it.thread.system.terminals.end_session(id);
    assert_eq!(it.signals.take(), [(id, 1)]);
    assert_eq!(control(slave), Err(Errno::EIO));
    // One that was hung up and has no successor is told of at the end.
    assert_eq!(control(other), Ok(0));
    it.call(Sysno::close, &[second]).unwrap();
    it.signals.take();
    it.thread.system.terminals.end_session(id);
    assert_eq!(it.signals.take(), [(id, 1), (id, 18)]);
}

#[test]
fn who_gives_up_the_terminal_of_its_session_has_none_and_the_others_keep_it() {
    let it = Program::new();
    let (process, id) = (&it.thread.process, it.thread.process.id);
    let leader = Process::new(77, &it.thread.memory());
    it.thread.system.add(&leader);
    leader.set_group(77, 77);
    process.set_group(id, 77);
    let console = process.files().get(0).unwrap();
    let console = console.as_kind::<TerminalFile>().unwrap().terminal().clone();
    console.release();
    console.control(77, 77);
    let ioctl = |number: u32| it.call(Sysno::ioctl, &[0, number.into(), it.at as u64]);
    assert_eq!(ioctl(request::TIOCGSID), Ok(0));
    assert_eq!(ioctl(request::TIOCNOTTY), Ok(0));
    assert_eq!(
        (ioctl(request::TIOCGSID), ioctl(request::TIOCNOTTY)),
        (Err(Errno::ENOTTY), Err(Errno::ENOTTY))
    );
    assert_eq!(it.open("/dev/tty", 2), Err(Errno::ENXIO));
    assert_eq!((console.session(), it.signals.take()), (77, Vec::new()));
    // It is in nobody's background.
    assert_eq!(it.read(0, 1), Ok(Vec::new()));
}

#[test]
fn a_master_throws_away_what_came_to_it_whoever_is_in_the_background() {
    let it = Program::new();
    let [master, slave] = it.pty();
    let id = it.thread.process.id;
    assert_eq!(it.call(Sysno::ioctl, &[0, request::TIOCNOTTY.into()]), Ok(0));
    it.call(Sysno::ioctl, &[slave, request::TIOCSCTTY.into(), 0]).unwrap();
    let file = it.thread.process.files().get(slave).unwrap();
    it.write(slave, b"printed").unwrap();
    it.write(master, b"typed\n").unwrap();
    let terminals = &it.thread.system.terminals;
    terminals.of_session(id).unwrap().control(id, 44);
    it.signals.take();
    let flush = |fd, what| it.call(Sysno::ioctl, &[fd, request::TCFLSH.into(), what]);
    assert_eq!(flush(slave, 0), Err(Errno::EIO));
    assert_eq!((flush(master, 9), flush(master, 1)), (Err(Errno::EINVAL), Ok(0)));
    assert_eq!(it.read(master, 7).unwrap(), b"printed");
    assert_eq!(flush(master, 2), Ok(0));
    assert_eq!(it.read(master, 99), Err(Errno::EAGAIN), "the echo");
    assert!(file.file.ready().contains(Ready::IN), "what was typed is there");
}

#[test]
fn who_is_in_the_background_gets_a_signal_or_an_error() {
    let it = Program::new();
    let (process, id) = (&it.thread.process, it.thread.process.id);
    let console = process.files().get(0).unwrap();
    let console = console.as_kind::<TerminalFile>().unwrap().terminal().clone();
    it.set(0, 12, 0, abi::TOSTOP);
    console.control(id, 44);
    let tried = |handler| {
        for signal in [Signal::TTIN, Signal::TTOU] {
            process.signals.set_action(signal, Action { handler, ..Action::default() });
        }
        [it.read(0, 1).map(|it| it.len()), it.write(0, b"")]
    };
    // Nobody could let it go on if it were stopped, so it is not, and no handler is called.
    for handler in [Action::DEFAULT, 4096] {
        assert_eq!(tried(handler), [Err(Errno::EIO), Err(Errno::EIO)]);
    }
    assert_eq!(tried(Action::IGNORE), [Err(Errno::EIO), Ok(0)]);
    // A parent of the same session could.
    let parent = Process::new(77, &it.thread.memory());
    parent.set_group(77, id);
    process.set_parent(&parent);
    assert!(it.signals.take().is_empty());
    for handler in [Action::DEFAULT, 4096] {
        assert_eq!(tried(handler), [Err(Errno::ERESTARTSYS), Err(Errno::ERESTARTSYS)]);
        assert_eq!(it.signals.take(), [(id, 21), (id, 22)]);
        let flush = it.call(Sysno::ioctl, &[0, request::TCFLSH.into(), 0]);
        assert_eq!((flush, it.signals.take().len()), (Err(Errno::ERESTARTSYS), 1));
    }
    process.signals.set_mask(&it.thread.signals, Set::ALL);
    assert_eq!(tried(Action::DEFAULT), [Err(Errno::EIO), Ok(0)]);
}

#[test]
fn who_waits_for_room_hears_of_what_is_thrown_away() {
    let it = Program::new();
    let [master, slave] = it.pty();
    it.call(Sysno::ioctl, &[slave, request::TCGETS.into(), it.at as u64]).unwrap();
    let settings = it.got(36);
    for (flush, argument) in [(request::TCFLSH, None), (request::TCSETSF, Some(&settings))] {
        while it.write(master, &[b'\n'; 1000]).is_ok() {}
        let file = Rc::clone(&it.thread.process.files().get(master).unwrap().file);
        let before = file.watch().unwrap().changes();
        let argument = argument.map_or(0, |all: &Vec<u8>| it.put(all));
        assert_eq!(it.call(Sysno::ioctl, &[slave, flush.into(), argument]), Ok(0));
        assert_ne!(file.watch().unwrap().changes(), before);
        assert_eq!(it.write(master, b"x"), Ok(1));
    }
}

#[test]
fn what_a_pseudoterminal_holds_is_little_while_memory_is_low_u4() {
    kernel::testing::simulate_memory(1 << 22);
    let it = Program::new();
    let fill = |fd: u64, bytes: &[u8]| {
        let mut all = 0;
        while let Ok(count @ 1..) = it.write(fd, bytes) {
            all += count;
        }
        all
    };
    let held = |used: usize| {
        let [master, slave] = it.pty();
        it.set(slave, 12, abi::ECHO, 0);
        kernel::testing::simulate_memory_use(used);
        let output = fill(slave, &[b'x'; 1000]);
        let typed = fill(master, &[b'\n'; 1000]);
        // What cannot be written is not said to be.
        let ready = |fd: u64| it.thread.process.files().get(fd).unwrap().file.ready();
        assert!([master, slave].iter().all(|it| !ready(*it).contains(Ready::OUT)), "{used}");
        let lines = core::iter::from_fn(|| it.read(slave, 9).ok()).count();
        // Who reads makes room.
        let read = it.read(master, 1000).map(|it| it.len());
        assert!([master, slave].iter().all(|it| ready(*it).contains(Ready::OUT)), "{used}");
        assert_eq!((read, it.write(slave, &[b'y'; 500])), (Ok(1000), Ok(500)));
        kernel::testing::simulate_memory_use(0);
        (output, typed, lines)
    };
    assert_eq!(held(0), (8192, 4096, 4096));
    // Of lines, 4 KiB are their lengths, and no byte is taken whose line could not end.
    assert_eq!(held((1 << 22) - 4096), (4096, 512, 512));
    // Of a line feed that becomes two bytes, not one alone is written.
    let [master, slave] = it.pty();
    kernel::testing::simulate_memory_use((1 << 22) - 4096);
    assert_eq!(it.write(slave, &[b'x'; 4095]), Ok(4095));
    assert_eq!(it.write(slave, b"\n"), Err(Errno::EAGAIN));
    assert_eq!(it.read(master, 5000).map(|it| it.len()), Ok(4095));
    assert_eq!(it.write(slave, b"\n"), Ok(1));
    assert_eq!(it.read(master, 9), Ok(b"\r\n".to_vec()));
}

#[test]
fn a_read_with_a_time_ends_though_the_one_before_found_no_memory() {
    kernel::testing::simulate_time();
    kernel::testing::simulate_memory(1 << 22);
    let it = Program::new();
    let [_, slave] = it.pty();
    it.set(slave, 12, abi::ICANON, 0);
    // The last two bytes of that word are VTIME and VMIN.
    it.set(slave, 20, 0xffff_0000, 0x0001_0000);
    it.call(Sysno::fcntl, &[slave, abi::F_SETFL.into(), abi::O_RDWR.into()]).unwrap();
    kernel::testing::simulate_memory_use(1 << 22);
    assert_eq!(it.read(slave, 9), Err(Errno::ENOMEM));
    kernel::testing::simulate_memory_use(0);
    assert_eq!(it.read(slave, 9), Ok(Vec::new()));
}

#[test]
fn a_pseudoterminal_ends_with_either_side() {
    let it = Program::new();
    let [master, slave] = it.pty();
    it.write(slave, b"last").unwrap();
    it.call(Sysno::close, &[slave]).unwrap();
    assert_eq!(it.read(master, 9), Ok(b"last".to_vec()));
    assert_eq!(it.read(master, 9), Err(Errno::EIO));
    let [master, slave] = it.pty();
    it.call(Sysno::close, &[master]).unwrap();
    assert_eq!(it.read(slave, 9), Ok(Vec::new()));
    assert_eq!(it.write(slave, b"x"), Err(Errno::EIO));
    // What nobody reads has a bound, and goes on where somebody does.
    let [master, slave] = it.pty();
    let count = it.write(slave, &[b'x'; 20_000]).unwrap();
    assert!(count < 10_000);
    assert_eq!(it.write(slave, b"x"), Err(Errno::EAGAIN));
    assert_eq!(it.read(master, 100).unwrap().len(), 100);
    assert_eq!(it.write(slave, b"x"), Ok(1));
}

#[test]
fn a_pipe_with_a_name_joins_who_opens_it() {
    let it = Program::new();
    let path = it.put(b"/tmp/fifo\0");
    assert_eq!(it.call(Sysno::mknod, &[path, (abi::S_IFIFO | 0o600).into(), 0]), Ok(0));
    let nonblocking = abi::O_NONBLOCK;
    assert_eq!(it.open("/tmp/fifo", abi::O_WRONLY | nonblocking), Err(Errno::ENXIO));
    let reader = it.open("/tmp/fifo", abi::O_RDONLY | nonblocking).unwrap();
    assert_eq!(it.read(reader, 9), Ok(Vec::new()), "nobody writes");
    let writer = it.open("/tmp/fifo", abi::O_WRONLY).unwrap();
    assert_eq!(it.write(writer, b"through"), Ok(7));
    assert_eq!(it.read(reader, 99), Ok(b"through".to_vec()));
    it.call(Sysno::fstat, &[reader, it.at as u64]).unwrap();
    assert_eq!(it.got(28)[24..], (abi::S_IFIFO | 0o600).to_le_bytes());
}

#[test]
fn names_are_found_unless_the_root_says_how() {
    let it = Program::new();
    let text = |path: &str| it.read(it.open(path, 0).unwrap(), 99).unwrap();
    // As images of containers have it.
    it.open("/etc", abi::O_RDONLY).unwrap_err();
    block_on(super::provide(&it.thread)).unwrap();
    assert!(text("/etc/hosts").starts_with(b"127.0.0.1\tlocalhost\n"));
    let link = it.put(b"/etc/resolv.conf\0");
    let count = it.call(Sysno::readlink, &[link, it.at as u64, 99]).unwrap();
    assert_eq!(it.got(count), b"/proc/net/pnp");
    // What is empty is replaced, what is not stays.
    for (path, content) in [("/etc/resolv.conf", &b""[..]), ("/etc/hosts", b"own")] {
        let name = it.put(&[path.as_bytes(), b"\0"].concat());
        it.call(Sysno::unlink, &[name]).unwrap();
        let file = it.open(path, abi::O_WRONLY | abi::O_CREAT).unwrap();
        it.write(file, content).unwrap();
    }
    block_on(super::provide(&it.thread)).unwrap();
    assert_eq!(text("/etc/hosts"), b"own");
    let link = it.put(b"/etc/resolv.conf\0");
    assert!(it.call(Sysno::readlink, &[link, it.at as u64, 99]).is_ok());
}
