//! Tests of execve(2): programs, scripts, and files that are neither.

use super::calls::{Wish, apply, begin};
use super::elf::tests::file;
use super::texts::Texts;
use super::*;
use crate::errno::Errno;
use crate::file::{Caller, Open};
use crate::memory::Mapped;
use crate::process::Credentials;
use crate::stop::{Boxed, Pages, Stop};
use crate::system::System;
use crate::testing::{call_of, play, room, run, thread, word};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use kernel::task::block_on;
use kernel::user::{Frame, PAGE, Space};
use linux_raw_sys::auxvec;
use syscalls::Sysno;

/// Bytes as a file, none of which are in memory at first.
struct Bytes(Vec<u8>, RefCell<BTreeMap<u64, Frame>>);

impl Pages for Bytes {
    fn frame(&self, index: u64) -> Option<Frame> {
        self.1.borrow().get(&index).cloned()
    }

    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn load(self: Rc<Self>, index: u64) -> Boxed<Result<(), Errno>> {
        Box::pin(async move {
            let frame = Frame::new().unwrap();
            let at = index as usize * PAGE;
            frame.write(0, &self.0[at..self.0.len().min(at + PAGE)]);
            self.1.borrow_mut().insert(index, frame);
            Ok(())
        })
    }

    fn dirty(&self, _: u64) -> Result<(), Errno> {
        Err(Errno::EACCES)
    }
}

/// Files by their paths.
#[derive(Default)]
struct Folder(RefCell<BTreeMap<&'static [u8], Rc<Bytes>>>);

impl Folder {
    fn add(&self, path: &'static str, bytes: &[u8]) {
        let file = Rc::new(Bytes(bytes.to_vec(), RefCell::default()));
        self.0.borrow_mut().insert(path.as_bytes(), file);
    }
}

impl Programs for Folder {
    fn open(&self, _: &dyn Caller, _: Option<&Open>, path: &[u8], _: bool) -> Result<Source, Stop> {
        let file = self.0.borrow().get(path).cloned().ok_or(Errno::ENOENT)?;
        let file = Mapped::new(file, path, 1, 1, false)?;
        let owner = match path {
            b"/hidden" => [0o711, 0, 0],
            b"/set" => [0o4755, 1000, 0],
            _ => [0o755, 0, 0],
        };
        Ok(Source { file, path: path.to_vec(), owner, place: None, runs: None })
    }
}

/// An ELF file of `size` bytes.
fn sized(kind: u16, entry: u64, headers: &[[u64; 7]], size: usize) -> Vec<u8> {
    let mut bytes = file(kind, entry, headers);
    assert!(bytes.len() <= size);
    bytes.resize(size, 0xEE);
    bytes
}

/// A program at 0x400000 with 0x100 bytes of text, and data with zeros behind.
fn fixed() -> Vec<u8> {
    let text = [1, 5, 0, 0x40_0000, 0x1000, 0x1000, 0x1000];
    let data = [1, 6, 0x1010, 0x40_2010, 0x100, 0x3000, 0x1000];
    sized(2, 0x40_0800, &[text, data], 0x1200)
}

/// One that may be anywhere, and what loads it.
fn moving(interpreter: &[u8]) -> Vec<u8> {
    let length = interpreter.len() as u64;
    let path = [3, 4, 0x800, 0x800, length, length, 1];
    let mut bytes = sized(3, 0x1040, &[path, [1, 5, 0, 0, 0x1100, 0x1100, 0x1000]], 0x1100);
    bytes[0x800..0x800 + interpreter.len()].copy_from_slice(interpreter);
    bytes
}

fn folder(system: &System) -> Rc<Folder> {
    let folder = Rc::new(Folder::default());
    folder.add("/fixed", &fixed());
    folder.add("/hidden", &fixed());
    folder.add("/set", &fixed());
    folder.add("/hidden-loader", &moving(b"/hidden\0"));
    folder.add("/moving", &moving(b"/loader\0"));
    folder.add("/loader", &sized(3, 0x40, &[[1, 5, 0, 0, 0x200, 0x200, 0x20_0000]], 0x200));
    folder.add("/script", b"#! /moving  -x y \nexit\n");
    folder.add("/again", b"#!/script\n");
    folder.add("/loop", b"#!/loop\n");
    folder.add("/text", b"hello");
    folder.add("/lost", &moving(b"/nowhere\0"));
    folder.add("/open-ended", &moving(b"/loader"));
    folder.add("/bad-loader", &moving(b"/text\0"));
    folder.add("/cut", &fixed()[..0x60]);
    folder.add("/empty", b"");
    *system.programs.borrow_mut() = Some(Rc::clone(&folder) as Rc<dyn Programs>);
    folder
}

fn first_of(path: &str, arguments: &[&[u8]]) -> Result<Rc<crate::thread::Thread>, Errno> {
    let system = System::new();
    folder(&system);
    let wish = First { path: path.as_bytes(), arguments, environment: &[b"A=1"], ids: (0, 0) };
    block_on(first(&system, wish, crate::run::body, async |_| Ok(())))
}

fn text(space: &Space, mut at: u64) -> Vec<u8> {
    let mut text = Vec::new();
    loop {
        let byte = word(space, at & !7).to_le_bytes()[at as usize % 8];
        if byte == 0 {
            return text;
        }
        text.push(byte);
        at += 1;
    }
}

/// What a program finds on its stack.
#[derive(Debug, Default)]
struct Found {
    arguments: Vec<Vec<u8>>,
    environment: Vec<Vec<u8>>,
    vector: BTreeMap<u32, u64>,
    platform: Vec<u8>,
    path: Vec<u8>,
    rip: u64,
    rsp: u64,
}

/// Lets a program begin, and looks at what it finds.
fn found(thread: Rc<crate::thread::Thread>) -> Found {
    let found = Rc::new(RefCell::new(Found::default()));
    let log = Rc::clone(&found);
    kernel::testing::play(move |space, context| {
        let rip = context.registers().rip;
        let mut at = context.registers().rsp;
        let mut next = || {
            at += 8;
            word(space, at - 8)
        };
        let mut log = log.borrow_mut();
        (log.rip, log.rsp) = (rip, context.registers().rsp);
        let count = next();
        for _ in 0..count {
            log.arguments.push(text(space, next()));
        }
        assert_eq!(next(), 0);
        loop {
            match next() {
                0 => break,
                at => log.environment.push(text(space, at)),
            }
        }
        loop {
            let (kind, value) = (next(), next());
            if kind == 0 {
                break;
            }
            log.vector.insert(kind as u32, value);
        }
        log.platform = text(space, log.vector[&auxvec::AT_PLATFORM]);
        log.path = text(space, log.vector[&auxvec::AT_EXECFN]);
        call_of(context.registers_mut(), Sysno::exit_group, &[0])
    });
    assert_eq!(run(thread), 0);
    found.take()
}

#[test]
fn a_program_finds_its_arguments_and_where_it_is() {
    let thread = first_of("/fixed", &[b"fixed", b"", b"two words"]).unwrap();
    assert_eq!(&thread.signals.name.get()[..6], b"fixed\0");
    assert_eq!(&*thread.process.exe(), b"/fixed");
    let arguments = thread.process.arguments();
    let mut bytes = alloc::vec![0; arguments.len()];
    thread.memory().read(arguments.start, &mut bytes).unwrap();
    assert_eq!(bytes, b"fixed\0\0two words\0");
    // Zeros are where the file ends.
    assert_eq!(thread.memory().get::<u8>(0x40_210f).unwrap(), 0xEE);
    assert_eq!(thread.memory().get::<u64>(0x40_2110).unwrap(), 0);
    assert_eq!(thread.memory().get::<u64>(0x40_5008).unwrap(), 0);
    let found = found(thread);
    assert_eq!(found.arguments, [&b"fixed"[..], b"", b"two words"]);
    assert_eq!(found.environment, [b"A=1"]);
    assert_eq!((found.rip, found.rsp % 16), (0x40_0800, 0));
    let says = |kind: u32| found.vector.get(&kind).copied();
    assert_eq!(says(auxvec::AT_PHDR), Some(0x40_0040));
    assert_eq!(says(auxvec::AT_PHNUM), Some(2));
    assert_eq!(says(auxvec::AT_ENTRY), Some(0x40_0800));
    assert_eq!(says(auxvec::AT_BASE), Some(0));
    assert_eq!(says(auxvec::AT_PAGESZ), Some(4096));
    assert_eq!(says(auxvec::AT_SECURE), Some(0));
    assert_eq!((found.platform, found.path), (b"x86_64".to_vec(), b"/fixed".to_vec()));
    assert_eq!(says(auxvec::AT_RANDOM).map(|it| it % 16), Some(0));
}

#[test]
fn a_program_with_other_rights_than_its_users_is_told_so() {
    let thread = first_of("/fixed", &[b"fixed"]).unwrap();
    let secure = |set: fn(&mut Credentials)| {
        let mut credentials = Credentials::new(1000, 100);
        set(&mut credentials);
        let texts = Texts::default;
        let wish = Wish {
            at: None,
            path: b"/fixed",
            follow: true,
            arguments: texts(),
            environment: texts(),
        };
        let begun = begin(&thread.system, &*thread, &thread.process, wish, credentials);
        let begun = block_on(begun).unwrap();
        let told = begun.secure;
        let memory = begun.image.memory;
        let vector = begun.image.program.auxiliary;
        let words = (vector.start..vector.end).step_by(16);
        let pairs = words.map(|at| memory.get::<[u64; 2]>(at as u64).unwrap());
        let said = pairs.into_iter().find(|it| it[0] == u64::from(auxvec::AT_SECURE)).unwrap()[1];
        assert_eq!(said == 1, told, "its parent's end and others that look into it are as it says");
        said
    };
    assert_eq!(secure(|_| ()), 0);
    assert_eq!(secure(|it| it.user.effective = 0), 1);
    assert_eq!(secure(|it| it.group.effective = 0), 1);
}

#[test]
fn a_program_that_acts_as_another_or_cannot_be_read_is_not_looked_into() {
    let looked_into = |path: &'static str, set: fn(&mut Credentials)| {
        let thread = first_of("/fixed", &[b"fixed"]).unwrap();
        let mut credentials = Credentials::new(1000, 100);
        set(&mut credentials);
        let process = &thread.process;
        process.credentials.replace(credentials.clone());
        process.controls.parent_ended.set(9);
        let (at, path) = (None, path.as_bytes());
        let (arguments, environment) = (Texts::default(), Texts::default());
        let wish = Wish { at, path, follow: true, arguments, environment };
        let begun = begin(&thread.system, &*thread, process, wish, credentials);
        apply(&thread, block_on(begun).unwrap());
        (!process.controls.undumpable.get(), process.controls.parent_ended.get() == 9)
    };
    assert_eq!(looked_into("/fixed", |_| ()), (true, true));
    assert_eq!(looked_into("/hidden", |_| ()), (false, true));
    assert_eq!(looked_into("/set", |_| ()), (true, true), "it was its user before");
    // Root may read it.
    assert_eq!(looked_into("/hidden", |it| *it = Credentials::new(0, 0)), (true, true));
    assert_eq!(looked_into("/set", |it| *it = Credentials::new(0, 0)), (false, false));
    // Who acts as another than he is, and then as himself.
    assert_eq!(looked_into("/set", |it| it.user.effective = 7), (false, false));
    assert_eq!(looked_into("/fixed", |it| it.group.effective = 7), (false, false));
    assert_eq!(looked_into("/hidden-loader", |_| ()), (false, true));
    // The first program begins as one of these, too.
    let system = System::new();
    folder(&system);
    let wish = First { path: b"/set", arguments: &[b"set"], environment: &[], ids: (7, 7) };
    let thread = block_on(first(&system, wish, crate::run::body, async |_| Ok(()))).unwrap();
    assert!(thread.process.controls.undumpable.get());
}

#[test]
fn an_interpreter_begins_a_program_that_moves() {
    let found = found(first_of("/moving", &[b"m"]).unwrap());
    let (base, entry) = (found.vector[&auxvec::AT_BASE], found.vector[&auxvec::AT_ENTRY]);
    assert_eq!(found.rip, base + 0x40);
    assert_eq!(base % 0x20_0000, 0, "as it is aligned");
    assert_eq!(entry % 0x1000, 0x40);
    assert_eq!(found.vector[&auxvec::AT_PHDR], entry - 0x1000);
}

#[test]
fn a_script_is_an_argument_of_its_interpreter() {
    let one = found(first_of("/script", &[b"name", b"arg"]).unwrap());
    assert_eq!(one.arguments, [&b"/moving"[..], b"-x y", b"/script", b"arg"]);
    assert_eq!(one.path, b"/script", "AT_EXECFN");
    let two = found(first_of("/again", &[b"name"]).unwrap());
    assert_eq!(two.path, b"/again");
    assert_eq!(two.arguments, [&b"/moving"[..], b"-x y", b"/script", b"/again"]);
}

#[test]
fn files_that_are_no_programs_are_refused() {
    let cases = [
        ("/missing", Errno::ENOENT),
        ("/text", Errno::ENOEXEC),
        ("/empty", Errno::ENOEXEC),
        ("/cut", Errno::ENOEXEC),
        ("/lost", Errno::ENOENT),
        ("/open-ended", Errno::ENOEXEC),
        ("/bad-loader", Errno::ELIBBAD),
        ("/loop", Errno::ELOOP),
    ];
    for (path, errno) in cases {
        assert_eq!(first_of(path, &[b"x"]).err(), Some(errno), "{path}");
    }
}

#[test]
fn no_flipped_bit_of_a_program_panics_or_takes_what_is_not_there() {
    let bytes = moving(b"/loader\0");
    for bit in 0..176 * 8 {
        let system = System::new();
        let folder = folder(&system);
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        folder.add("/moving", &bytes);
        let wish = First { path: b"/moving", arguments: &[], environment: &[], ids: (0, 0) };
        if let Ok(thread) = block_on(first(&system, wish, crate::run::body, async |_| Ok(()))) {
            assert!(thread.memory().usage().resident < 1 << 20);
        }
    }
}

#[test]
fn exec_leaves_one_thread_and_nothing_of_the_old_program() {
    let first = thread();
    folder(&first.system);
    let at = room(&first.memory(), 4096) as u64;
    let memory = first.memory();
    memory.write(at as usize, b"/fixed\0").unwrap();
    memory.put(at + 16, &[at, 0, 0]).unwrap();
    let old = Rc::downgrade(&memory);
    drop(memory);
    let (process, system) = (Rc::clone(&first.process), Rc::clone(&first.system));
    let usr1 = crate::signal::Signal::USR1;
    let action = crate::signal::Action { handler: 99, ..crate::signal::Action::default() };
    process.signals.set_action(usr1, action);
    let flags = u64::from(
        linux_raw_sys::general::CLONE_VM
            | linux_raw_sys::general::CLONE_SIGHAND
            | linux_raw_sys::general::CLONE_THREAD,
    );
    let done = Rc::new(RefCell::new(false));
    let log = Rc::clone(&done);
    play(move |step, registers, _| match (step, registers.rax) {
        (0, _) => call_of(registers, Sysno::clone, &[flags, 0]),
        // The second thread becomes the program, the first waits for ever.
        (1, 0) => call_of(registers, Sysno::execve, &[at, at + 16, at + 24]),
        (1, _) => call_of(registers, Sysno::pause, &[]),
        (0x20_0400, _) => {
            assert_eq!((process.thread_count(), system.threads()), (1, 1));
            assert_eq!(process.signals.action(usr1), crate::signal::Action::default());
            assert!(old.upgrade().is_none(), "its memory is gone");
            *log.borrow_mut() = true;
            call_of(registers, Sysno::gettid, &[])
        }
        (_, id) => call_of(registers, Sysno::exit_group, &[id]),
    });
    assert_eq!(run(first), 1);
    assert!(done.take());
}

#[test]
fn execve_has_its_errors() {
    let thread = thread();
    folder(&thread.system);
    let at = room(&thread.memory(), 8192) as u64;
    let memory = thread.memory();
    memory.write(at as usize, b"/text\0").unwrap();
    let exec = |path: u64, arguments: u64| {
        crate::testing::perform(&thread, Sysno::execve, [path, arguments, 0, 0, 0, 0])
    };
    assert_eq!(exec(8, 0), Err(Errno::EFAULT));
    assert_eq!(exec(at, 8), Err(Errno::EFAULT));
    assert_eq!(exec(at, 0), Err(Errno::ENOEXEC));
    memory.put(at + 16, &[8_u64, 0]).unwrap();
    assert_eq!(exec(at, at + 16), Err(Errno::EFAULT), "an argument");
    memory.write(at as usize, &[b'a'; 4200]).unwrap();
    assert_eq!(exec(at, 0), Err(Errno::ENAMETOOLONG));
    let long = room(&memory, 200_000);
    memory.write(long, &alloc::vec![b'a'; 150_000]).unwrap();
    memory.write(at as usize, b"/text\0").unwrap();
    memory.put(at + 16, &[long as u64, 0]).unwrap();
    assert_eq!(exec(at, at + 16), Err(Errno::E2BIG), "one that is too long");
    memory.write(long + 100_000, &[0]).unwrap();
    // One of 100 000 bytes is not too long, but 30 of them are.
    let list = room(&memory, 4096) as u64;
    memory.put(list, &[long as u64; 30]).unwrap();
    assert_eq!(exec(at, list), Err(Errno::E2BIG));
    let flags =
        |flags: u64| crate::testing::perform(&thread, Sysno::execveat, [0, at, 0, 0, flags, 0]);
    assert_eq!(flags(0x8000), Err(Errno::EINVAL));
}

#[test]
fn a_vforked_child_lets_go_of_its_parent_by_exec() {
    let first = thread();
    folder(&first.system);
    let at = room(&first.memory(), 4096) as u64;
    first.memory().write(at as usize, b"/fixed\0").unwrap();
    first.memory().put(at + 16, &[at, 0, 0]).unwrap();
    let order = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&order);
    play(move |step, registers, _| match (step, registers.rax) {
        (0, _) => call_of(registers, Sysno::vfork, &[]),
        (1, 0) => call_of(registers, Sysno::execve, &[at, at + 16, at + 24]),
        (1, child) => {
            log.borrow_mut().push("the parent goes on");
            call_of(registers, Sysno::wait4, &[child, at + 64, 0, 0])
        }
        (2, _) => call_of(registers, Sysno::exit_group, &[0]),
        (0x20_0400, _) => {
            log.borrow_mut().push("the program begins");
            call_of(registers, Sysno::exit_group, &[0])
        }
        other => unreachable!("{other:?}"),
    });
    assert_eq!(run(first), 0);
    let mut order = order.take();
    order.sort_unstable();
    assert_eq!(order, ["the parent goes on", "the program begins"]);
}
