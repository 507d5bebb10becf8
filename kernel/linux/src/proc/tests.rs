//! Tests of `/proc` and `/sys`, by the calls of a program.

use crate::errno::Errno;
use crate::file::Caller;
use crate::stop::loaded;
use crate::testing::{perform, room, thread};
use crate::thread::Thread;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use kernel::task::block_on;
use linux_raw_sys::general as abi;
use std::format;
use syscalls::Sysno;

struct Program {
    thread: Rc<Thread>,
    at: usize,
}

impl Program {
    fn new() -> Self {
        let thread = thread();
        let (system, process) = (&thread.system, &thread.process);
        system.add(process);
        let at = room(&thread.memory(), 32 * 4096);
        block_on(super::mount(&thread)).unwrap();
        Self { thread, at }
    }

    fn call(&self, number: Sysno, args: &[u64]) -> Result<usize, Errno> {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        perform(&self.thread, number, all)
    }

    fn path(&self, path: &str) -> u64 {
        self.thread.memory().write(self.at, format!("{path}\0").as_bytes()).unwrap();
        self.at as u64
    }

    fn got(&self, length: usize) -> Vec<u8> {
        let mut bytes = std::vec![0; length];
        self.thread.memory().read(self.at + 4096, &mut bytes).unwrap();
        bytes
    }

    fn open(&self, path: &str, flags: u32) -> Result<u64, Errno> {
        self.call(Sysno::open, &[self.path(path), flags.into(), 0o644]).map(|it| it as u64)
    }

    fn read(&self, fd: u64) -> Result<String, Errno> {
        let count = self.call(Sysno::read, &[fd, self.at as u64 + 4096, 65_536])?;
        Ok(String::from_utf8(self.got(count)).unwrap())
    }

    fn text(&self, path: &str) -> Result<String, Errno> {
        let fd = self.open(path, abi::O_RDONLY)?;
        let text = self.read(fd);
        self.call(Sysno::close, &[fd]).unwrap();
        text
    }

    fn link(&self, path: &str) -> Result<String, Errno> {
        let (path, to) = (self.path(path), self.at as u64 + 4096);
        let count = self.call(Sysno::readlink, &[path, to, 4096])?;
        Ok(String::from_utf8(self.got(count)).unwrap())
    }

    fn names(&self, path: &str) -> Result<Vec<String>, Errno> {
        let tree = &self.thread.system.tree;
        let caller: &dyn Caller = &*self.thread;
        let walk = crate::file::Walk::FOLLOW;
        let place = block_on(loaded(|| tree.find(caller, None, path.as_bytes(), walk)))?;
        let all = block_on(loaded(|| place.node.list(caller)))?;
        Ok(all.from(0).map(|it| String::from_utf8_lossy(it.name).into_owned()).collect())
    }
}

#[test]
fn the_machine_is_described() {
    let it = Program::new();
    for (path, begin) in [
        ("/proc/version", "Linux version 6.1.0"),
        ("/proc/sys/kernel/osrelease", "6.1.0"),
        ("/proc/sys/net/core/somaxconn", "4096\n"),
        ("/proc/meminfo", "MemTotal:  "),
        ("/proc/cpuinfo", "processor\t: 0\nvendor_id\t: "),
        ("/proc/mounts", "tmpfs / tmpfs rw"),
        ("/proc/self/mountinfo", "1 0 0:"),
        ("/proc/stat", "cpu  "),
        ("/proc/uptime", "0."),
        ("/sys/devices/system/cpu/online", "0\n"),
        ("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152\n"),
    ] {
        let text = it.text(path).unwrap();
        assert!(text.starts_with(begin), "{path}: {text}");
    }
    assert!(it.text("/proc/mounts").unwrap().contains("\nsysfs /sys sysfs rw"));
    let uuids = [(); 2].map(|()| it.text("/proc/sys/kernel/random/uuid").unwrap());
    assert!(uuids[0] != uuids[1] && uuids[0].len() == 37, "{uuids:?}");
    let boot = [(); 2].map(|()| it.text("/proc/sys/kernel/random/boot_id").unwrap());
    assert_eq!(boot[0], boot[1]);
    for (path, errno) in [
        ("/proc/none", Errno::ENOENT),
        ("/proc/99", Errno::ENOENT),
        ("/proc/01", Errno::ENOENT),
        ("/proc/sys", Errno::EISDIR),
        ("/proc/self/fd", Errno::EISDIR),
        ("/proc/self/none", Errno::ENOENT),
        ("/proc/self/fd/77", Errno::ENOENT),
        ("/proc/version/x", Errno::ENOTDIR),
    ] {
        assert_eq!(it.text(path), Err(errno), "{path}");
    }
    assert_eq!(it.open("/proc/version", abi::O_WRONLY), Err(Errno::EACCES));
    assert_eq!(it.open("/proc/new", abi::O_WRONLY | abi::O_CREAT), Err(Errno::ENOENT));
    let (old, new) = (it.path("/proc/new"), it.at as u64 + 64);
    it.thread.memory().write(new as usize, b"/proc/newer\0").unwrap();
    assert_eq!(it.call(Sysno::mkdir, &[old, 0o700]), Err(Errno::ENOENT));
    let own = it.path("/proc/self/comm");
    assert_eq!(it.call(Sysno::rename, &[own, new]), Err(Errno::ENOENT));
    it.thread.system.host_name.replace(b"host".to_vec());
    assert_eq!(it.text("/proc/sys/kernel/hostname").as_deref(), Ok("host\n"));
    let path = it.path("/proc/version");
    assert_eq!(it.call(Sysno::unlink, &[path]), Err(Errno::EPERM));
}

#[test]
fn text_is_read_in_parts_and_anew() {
    let it = Program::new();
    let count = Rc::new(core::cell::Cell::new(0));
    let (counted, written) = (Rc::clone(&count), Rc::new(core::cell::RefCell::new(Vec::new())));
    let taken = Rc::clone(&written);
    it.thread.system.proc.add_writable(
        "sys/test",
        move || {
            counted.set(counted.get() + 1);
            format!("{}:0123456789", counted.get()).into_bytes()
        },
        move |bytes| {
            if bytes == b"no" {
                return Err(Errno::EINVAL);
            }
            *taken.borrow_mut() = bytes.to_vec();
            Ok(())
        },
    );
    let fd = it.open("/proc/sys/test", abi::O_RDWR | abi::O_TRUNC).unwrap();
    let mut parts = Vec::new();
    loop {
        let count = it.call(Sysno::read, &[fd, it.at as u64 + 4096, 5]).unwrap();
        if count == 0 {
            break;
        }
        parts.extend(it.got(count));
    }
    assert_eq!(parts, b"1:0123456789");
    assert_eq!(it.call(Sysno::lseek, &[fd, 0, 0]), Ok(0));
    assert_eq!(it.read(fd).as_deref(), Ok("2:0123456789"));
    let write = |text: &str| {
        let at = it.path(text);
        it.call(Sysno::write, &[fd, at, text.len() as u64])
    };
    assert_eq!(write("value\n"), Ok(6));
    assert_eq!(*written.borrow(), b"value");
    assert_eq!(write("no"), Err(Errno::EINVAL));
    assert_eq!(it.call(Sysno::write, &[fd, it.at as u64, 5000]), Err(Errno::EINVAL));
}

#[test]
fn a_process_is_described() {
    let it = Program::new();
    let id = it.thread.process.id;
    assert_eq!(it.link("/proc/self"), Ok(id.to_string()));
    assert_eq!(it.link("/proc/thread-self"), Ok(format!("{id}/task/{id}")));
    assert_eq!(it.link("/proc/self/cwd").as_deref(), Ok("/"));
    assert_eq!(it.link("/proc/self/root").as_deref(), Ok("/"));
    let maps = it.text("/proc/self/maps").unwrap();
    let line = maps.lines().find(|it| it.contains("rw-p 00000000 00:00 0")).unwrap();
    let (start, _) = line.split_once('-').unwrap();
    assert_eq!(usize::from_str_radix(start, 16), Ok(it.at));
    assert!(it.text(&format!("/proc/{id}/statm")).unwrap().ends_with(" 0\n"));
    assert_eq!(it.text("/proc/thread-self/maps"), Ok(maps));
    assert!(it.names("/proc").unwrap().contains(&id.to_string()));
    assert_eq!(it.names("/proc/self/task"), Ok(std::vec![id.to_string()]));
    for name in ["maps", "fd", "task", "cwd", "mounts"] {
        assert!(it.names("/proc/self").unwrap().iter().any(|it| it == name), "{name}");
    }
}

#[test]
fn nobody_looks_into_what_is_another_users_or_wants_no_looks() {
    let it = Program::new();
    let (system, process) = (&it.thread.system, &it.thread.process);
    let memory = Rc::new(crate::memory::Memory::new(&system.ram).unwrap());
    let other = crate::process::Process::new(system.next_id().unwrap(), &memory);
    let id = other.id;
    system.add(&other);
    let private = ["auxv", "environ", "io", "maps", "personality", "smaps", "smaps_rollup"];
    let public = ["cmdline", "comm", "limits", "stat", "statm", "status"];
    let be = |who: &Rc<crate::process::Process>, user, group| {
        who.credentials.replace(crate::process::Credentials::new(user, group));
    };
    // Who the reader and the other one are, whether that lets itself be looked at, and what is seen.
    for (reader, theirs, undumpable, sees) in [
        ((0, 0), (7, 7), true, true),
        ((7, 7), (7, 7), false, true),
        ((7, 7), (7, 7), true, false),
        ((7, 7), (7, 8), false, false),
        ((7, 7), (0, 0), false, false),
        ((7, 7), (8, 8), false, false),
    ] {
        be(&other, theirs.0, theirs.1);
        be(process, reader.0, reader.1);
        other.controls.undumpable.set(undumpable);
        let denied = |it: Result<String, Errno>| it == Err(Errno::EACCES);
        for name in private {
            let text = it.text(&format!("/proc/{id}/{name}"));
            assert_eq!(denied(text), !sees, "{name}: {reader:?} of {theirs:?}");
            assert!(it.text(&format!("/proc/self/{name}")).is_ok(), "{name}");
        }
        for name in ["cwd", "root"] {
            assert_eq!(denied(it.link(&format!("/proc/{id}/{name}"))), !sees, "{name}");
            assert!(it.link(&format!("/proc/self/{name}")).is_ok());
        }
        for name in public {
            assert!(it.text(&format!("/proc/{id}/{name}")).is_ok(), "{name}");
        }
        let stat = it.text(&format!("/proc/{id}/stat")).unwrap();
        let fields: Vec<&str> = stat.trim_end().split(' ').collect();
        assert_eq!(fields.len(), 52);
        assert_eq!(fields[25] == "1" && fields[47] == "0", !sees, "{stat}");
    }
    // As one user acts who is another, he is neither.
    be(process, 7, 7);
    be(&other, 7, 7);
    other.controls.undumpable.set(false);
    other.credentials.borrow_mut().user.saved = 0;
    assert_eq!(it.text(&format!("/proc/{id}/maps")), Err(Errno::EACCES));
}

#[test]
fn addresses_are_hidden_in_stat_whatever_a_program_is_called() {
    let fields = |first: u32| (first..=52).map(|it| format!(" {it}")).collect::<String>();
    let hidden = |name: &str| {
        let text = format!("7 ({name}){}\n", fields(3));
        let text = super::status::without_addresses(text.as_bytes());
        String::from_utf8(text).unwrap()
    };
    for name in ["a", "a) b (c", ") 1 2"] {
        let text = hidden(name);
        let rest = text.strip_prefix(&format!("7 ({name})")).unwrap();
        let shown: Vec<u32> = rest.split_whitespace().map(|it| it.parse().unwrap()).collect();
        for (number, shown) in (3..).zip(shown) {
            let expected = match number {
                26 | 27 => 1,
                28..=30 | 35 | 45..=52 => 0,
                _ => number,
            };
            assert_eq!(shown, expected, "field {number}");
        }
    }
}

#[test]
fn descriptors_are_links() {
    let it = Program::new();
    let fd = it.open("/file", abi::O_RDWR | abi::O_CREAT).unwrap();
    let at = it.path("text");
    it.call(Sysno::write, &[fd, at, 4]).unwrap();
    assert_eq!(it.link(&format!("/proc/self/fd/{fd}")).as_deref(), Ok("/file"));
    assert_eq!(it.names("/proc/self/fd"), Ok(std::vec![fd.to_string()]));
    let info = it.text(&format!("/proc/self/fdinfo/{fd}")).unwrap();
    assert!(info.starts_with("pos:\t4\nflags:\t0100002\n"), "{info}");
    assert!(info.contains("\nino:\t"), "{info}");
    for (number, args, name, told) in [
        (Sysno::eventfd2, [9, 0o2000000], "[eventfd]", "flags:\t02000002\n"),
        (Sysno::eventfd2, [10, 0], "[eventfd]", "\neventfd-count:                a\n"),
        (Sysno::timerfd_create, [1, 0], "[timerfd]", "\nclockid: 1\nticks: 0\n"),
        (Sysno::epoll_create1, [0, 0], "[eventpoll]", "flags:\t02\n"),
        (Sysno::inotify_init1, [0, 0], "inotify", "flags:\t00\n"),
        (Sysno::pidfd_open, [it.thread.process.id as u64, 0], "[pidfd]", "\nPid:\t1\nNSpid:\t1\n"),
    ] {
        let fd = it.call(number, &args).unwrap() as u64;
        let link = it.link(&format!("/proc/self/fd/{fd}"));
        assert_eq!(link, Ok(format!("anon_inode:{name}")));
        let info = it.text(&format!("/proc/self/fdinfo/{fd}")).unwrap();
        assert!(info.contains(told), "{info}");
        it.call(Sysno::close, &[fd]).unwrap();
    }
    let epoll = it.call(Sysno::epoll_create1, &[0]).unwrap() as u64;
    let event = it.call(Sysno::eventfd2, &[0, 0]).unwrap() as u64;
    it.thread.memory().put(it.at as u64, &[1_u32, 0xabc, 0]).unwrap();
    it.call(Sysno::epoll_ctl, &[epoll, 1, event, it.at as u64]).unwrap();
    let info = it.text(&format!("/proc/self/fdinfo/{epoll}")).unwrap();
    let line = format!("\ntfd: {event:8} events:       19 data:              abc  pos:0 ino:");
    assert!(info.contains(&line), "{info}");
    for fd in [epoll, event] {
        it.call(Sysno::close, &[fd]).unwrap();
    }
    // Its mode says how it is open.
    for (flags, mode) in [(abi::O_RDONLY, 0o500), (abi::O_WRONLY, 0o300), (abi::O_PATH, 0)] {
        let other = it.open("/file", flags).unwrap();
        let path = it.path(&format!("/proc/self/fd/{other}"));
        it.call(Sysno::lstat, &[path, it.at as u64 + 4096]).unwrap();
        let mode_at = it.at as u64 + 4096 + 24;
        assert_eq!(it.thread.memory().get::<u32>(mode_at).unwrap(), 0o120000 | mode);
        it.call(Sysno::close, &[other]).unwrap();
    }
    // It leads to the file even when that has no name.
    let path = it.path("/file");
    it.call(Sysno::unlink, &[path]).unwrap();
    assert_eq!(it.link(&format!("/proc/self/fd/{fd}")).as_deref(), Ok("/file (deleted)"));
    assert_eq!(it.text(&format!("/proc/self/fd/{fd}")).as_deref(), Ok("text"));
    let folder = it.open("/proc/self", abi::O_RDONLY).unwrap();
    let id = it.thread.process.id;
    assert_eq!(it.link(&format!("/proc/self/fd/{folder}")), Ok(format!("/proc/{id}")));
    assert_eq!(it.link(&format!("/proc/self/fd/{folder}/self")), Err(Errno::ENOENT));
    let path = it.path("/proc/self/fd");
    it.call(Sysno::chdir, &[path]).unwrap();
    let count = it.call(Sysno::getcwd, &[it.at as u64 + 4096, 100]).unwrap();
    assert_eq!(it.got(count - 1), format!("/proc/{id}/fd").into_bytes());
    // A folder that is gone still has the name that it had.
    for number in [Sysno::mkdir, Sysno::chdir, Sysno::rmdir] {
        let path = it.path("/gone");
        it.call(number, &[path, 0o700]).unwrap();
    }
    assert_eq!(it.link("/proc/self/cwd").as_deref(), Ok("/gone (deleted)"));
}

/// The value of a line `NAME: value` of a text.
fn value(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.map(|it| it.trim().to_string())
}

#[test]
fn memory_is_counted_alike_everywhere() {
    let it = Program::new();
    // All that texts are read to, so that no read needs a page more.
    it.thread.memory().write(it.at, &[1; 32 * 4096]).unwrap();
    let status = it.text("/proc/self/status").unwrap();
    let rollup = it.text("/proc/self/smaps_rollup").unwrap();
    let smaps = it.text("/proc/self/smaps").unwrap();
    let kib = |text: &str| text.strip_suffix(" kB").unwrap().parse::<u64>().unwrap();
    let resident = kib(&value(&status, "VmRSS").unwrap());
    assert!(resident >= 128, "{status}");
    assert_eq!(value(&status, "RssAnon"), value(&status, "VmRSS"));
    assert_eq!(value(&rollup, "Rss").map(|it| kib(&it)), Some(resident));
    assert_eq!(value(&rollup, "Anonymous").map(|it| kib(&it)), Some(resident));
    // Nobody else has a share of what it wrote, which is thus counted once.
    assert_eq!(value(&rollup, "Pss"), value(&rollup, "Rss"));
    let each = smaps.lines().filter_map(|line| line.strip_prefix("Rss:"));
    assert_eq!(each.map(|line| kib(line.trim())).sum::<u64>(), resident, "{smaps}");
    assert!(rollup.lines().next().unwrap().ends_with("[rollup]"));
    assert!(smaps.contains("\nVmFlags: rd wr mr mw me\n"), "{smaps}");
}

#[test]
fn signals_and_what_was_moved_are_told() {
    use crate::signal::{Action, Info, Set, Signal};
    let it = Program::new();
    let process = &it.thread.process;
    let handled = Action { handler: 4096, ..Action::default() };
    process.signals.set_action(Signal::USR1, handled);
    process.signals.set_action(Signal::PIPE, Action { handler: Action::IGNORE, ..handled });
    process.signals.set_mask(&it.thread.signals, Set::of(&[Signal::USR1, Signal::USR2]));
    process.send(Info::user(Signal::USR1, 1, 0)).unwrap();
    it.thread.send(Info::user(Signal::USR2, 1, 0));
    let status = it.text("/proc/self/status").unwrap();
    for (name, bits) in [
        ("SigPnd", 1_u64 << 11),
        ("ShdPnd", 1 << 9),
        ("SigBlk", 1 << 9 | 1 << 11),
        ("SigIgn", 1 << 12),
        ("SigCgt", 1 << 9),
    ] {
        assert_eq!(value(&status, name), Some(format!("{bits:016x}")), "{name}");
    }
    let number = |text: &str, name| value(text, name).unwrap().parse::<u64>().unwrap();
    let before = it.text("/proc/self/io").unwrap();
    let fd = it.open("/file", abi::O_RDWR | abi::O_CREAT).unwrap();
    let at = it.path("text");
    assert_eq!(it.call(Sysno::write, &[fd, at, 4]), Ok(4));
    let after = it.text("/proc/self/io").unwrap();
    assert_eq!(number(&after, "wchar"), number(&before, "wchar") + 4);
    assert_eq!(number(&after, "syscw"), number(&before, "syscw") + 1);
    assert_eq!(number(&after, "rchar"), number(&before, "rchar") + before.len() as u64);
}

#[test]
fn a_thread_has_files_of_its_own() {
    let it = Program::new();
    let id = it.thread.process.id;
    let process = &it.thread.process;
    let other = crate::signal::Receiver::new(id + 7, crate::signal::Set::EMPTY);
    other.name.set(*b"second\0\0\0\0\0\0\0\0\0\0");
    process.signals.add(Rc::new(other)).unwrap();
    let folder = format!("/proc/self/task/{}", id + 7);
    assert_eq!(it.text(&format!("{folder}/comm")).as_deref(), Ok("second\n"));
    let stat = it.text(&format!("{folder}/stat")).unwrap();
    assert!(stat.starts_with(&format!("{} (second) S ", id + 7)), "{stat}");
    // What the processor was taken from could go on, and a process does what its first thread does.
    let second = process.thread(id + 7).unwrap();
    let states = || {
        let state =
            |path: &str| it.text(path).unwrap().split(") ").nth(1).unwrap()[..1].to_string();
        let load = it.text("/proc/loadavg").unwrap().split(' ').nth(3).unwrap().to_string();
        (
            state(&format!("{folder}/stat")),
            state("/proc/self/stat"),
            load.split('/').next().unwrap().to_string(),
        )
    };
    let told = |second: &str, first: &str, load: &str| {
        (second.to_string(), first.to_string(), load.to_string())
    };
    second.begin_slice();
    assert_eq!(states(), told("R", "S", "1"));
    second.preempt();
    second.end_slice();
    it.thread.signals.begin_slice();
    assert_eq!(states(), told("R", "R", "2"));
    second.begin_slice();
    second.end_slice();
    assert_eq!(states(), told("S", "R", "1"));
    it.thread.signals.end_slice();
    assert_eq!(stat.split(' ').count(), 52, "{stat}");
    let write = |path: &str, text: &str| {
        let fd = it.call(Sysno::open, &[it.path(path), abi::O_WRONLY.into()])?;
        it.thread.memory().write(it.at, text.as_bytes()).unwrap();
        let result = it.call(Sysno::write, &[fd as u64, it.at as u64, text.len() as u64]);
        it.call(Sysno::close, &[fd as u64]).unwrap();
        result
    };
    assert_eq!(write(&format!("{folder}/comm"), "a-name-that-is-long"), Ok(19));
    assert_eq!(it.text(&format!("{folder}/comm")).as_deref(), Ok("a-name-that-is-\n"));
    assert_eq!(write("/proc/self/oom_score_adj", "-500\n"), Ok(5));
    assert_eq!(it.text("/proc/self/oom_score_adj").as_deref(), Ok("-500\n"));
    assert_eq!(write("/proc/self/oom_score_adj", "1001"), Err(Errno::EINVAL));
    assert_eq!(write("/proc/self/coredump_filter", "0x7f"), Ok(4));
    assert_eq!(it.text("/proc/self/coredump_filter").as_deref(), Ok("0000007f\n"));
    assert_eq!(write("/proc/self/status", "x"), Err(Errno::EACCES));
    let status = it.text(&format!("{folder}/status")).unwrap();
    assert_eq!(value(&status, "Pid"), Some((id + 7).to_string()));
    assert_eq!(value(&status, "Tgid"), Some(id.to_string()));
    assert_eq!(value(&it.text("/proc/self/status").unwrap(), "Pid"), Some(id.to_string()));
}

#[test]
fn sockets_are_listed_once() {
    let it = Program::new();
    let (unix, stream) = (1, 1);
    let pair = it.at as u64 + 8192;
    it.call(Sysno::socketpair, &[unix, stream, 0, pair]).unwrap();
    let fd = it.call(Sysno::socket, &[unix, stream, 0]).unwrap() as u64;
    let mut address = std::vec![1_u8, 0, 0];
    address.extend(b"name");
    it.thread.memory().write(it.at, &address).unwrap();
    it.call(Sysno::bind, &[fd, it.at as u64, address.len() as u64]).unwrap();
    it.call(Sysno::listen, &[fd, 5]).unwrap();
    it.call(Sysno::dup, &[fd]).unwrap();
    let text = it.text("/proc/net/unix").unwrap();
    assert_eq!(text.lines().count(), 4, "{text}");
    let listens = text.lines().find(|line| line.ends_with(" @name")).unwrap();
    assert!(listens.contains(" 00010000 0001 01 "), "{listens}");
    assert_eq!(text.matches(" 00000000 0001 03 ").count(), 2, "{text}");
    let counts = it.text("/proc/net/sockstat").unwrap();
    assert!(counts.starts_with("sockets: used 3\nTCP: inuse 0 "), "{counts}");
    let head = it.text("/proc/net/tcp").unwrap();
    assert!(head.starts_with("  sl  local_address rem_address   st tx_queue "), "{head}");
}

#[test]
fn nothing_is_copied_to_another_file_system_but_by_write() {
    let it = Program::new();
    let from = it.open("/from", abi::O_RDWR | abi::O_CREAT).unwrap();
    it.thread.memory().write(it.at, b"name").unwrap();
    assert_eq!(it.call(Sysno::write, &[from, it.at as u64, 4]), Ok(4));
    it.call(Sysno::lseek, &[from, 0, 0]).unwrap();
    let to = it.open("/proc/self/comm", abi::O_RDWR).unwrap();
    for (from, to) in [(from, to), (to, from)] {
        let copied = it.call(Sysno::copy_file_range, &[from, 0, to, 0, 4, 0]);
        assert_eq!(copied, Err(Errno::EXDEV));
    }
}

#[test]
fn folders_and_texts_of_a_process_are_refused_while_memory_is_low_u4() {
    kernel::testing::simulate_memory(1 << 22);
    let it = Program::new();
    let epoll = it.call(Sysno::epoll_create1, &[0]).unwrap() as u64;
    it.thread.memory().put(it.at as u64, &[1_u32, 0, 0]).unwrap();
    let low = |low: bool| {
        kernel::testing::simulate_memory_use(if low { (1 << 22) - (1 << 22) / 24 } else { 0 });
    };
    let fdinfo = format!("/proc/self/fdinfo/{epoll}");
    let looks = || {
        let lines = it.text(&fdinfo).map(|it| it.lines().count());
        (it.names("/proc/self/fd").map(|it| it.len()), lines)
    };
    assert_eq!(looks(), (Ok(1), Ok(4)));
    low(true);
    assert_eq!(it.names("/proc/self/fd").map(|it| it.len()), Ok(1), "what is short is there");
    low(false);
    for _ in 0..500 {
        let event = it.call(Sysno::eventfd2, &[0, 0]).unwrap() as u64;
        it.call(Sysno::epoll_ctl, &[epoll, 1, event, it.at as u64]).unwrap();
        it.thread.memory().put(it.at as u64, &[1_u32, 0, 0]).unwrap();
    }
    assert_eq!(looks(), (Ok(501), Ok(504)));
    let fd = it.open(&fdinfo, abi::O_RDONLY).unwrap();
    let folder = it.open("/proc/self/fd", abi::O_RDONLY).unwrap();
    low(true);
    assert_eq!(it.read(fd), Err(Errno::ENOMEM));
    assert_eq!(it.names("/proc/self/fd"), Err(Errno::ENOMEM));
    assert_eq!(
        it.call(Sysno::getdents64, &[folder, it.at as u64 + 4096, 4096]),
        Err(Errno::ENOMEM)
    );
    low(false);
    assert_eq!(it.names("/proc/self/fd").map(|it| it.len()), Ok(503));
}
