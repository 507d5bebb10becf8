//! What tests of calls have in common: a thread in plain memory, and files that are as a test
//! wants them.

use crate::call::Outcome;
use crate::errno::Errno;
use crate::memory::{Memory, Request};
use crate::process::Process;
use crate::signal::{Receiver, Set};
use crate::stop::{Boxed, Pages, Stop};
use crate::system::System;
use crate::table::call;
use crate::thread::Thread;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use kernel::task::block_on;
use kernel::user::{Access, Context, Exit, Frame, PAGE, Registers, Space};
use syscalls::Sysno;

/// Read and write.
pub(crate) const RW: Access = Access::READ.union(Access::WRITE);

/// Makes a machine with one process, and returns its thread.
pub(crate) fn thread() -> Rc<Thread> {
    let system = System::new();
    let memory = Rc::new(Memory::new(&system.ram).unwrap());
    let process = Process::new(system.next_id().unwrap(), &memory);
    system.add(&process);
    let context = Context::new(0, 0).unwrap();
    let signals = Receiver::new(process.id, Set::EMPTY);
    Thread::new(signals, process, system, memory, context, crate::run::body).unwrap()
}

/// Maps anonymous memory that may be read and written.
pub(crate) fn room(memory: &Memory, length: usize) -> usize {
    memory.map(&Request::anonymous(length, RW)).unwrap()
}

/// Makes a system call, to its end.
pub(crate) fn perform(thread: &Rc<Thread>, number: Sysno, args: [u64; 6]) -> Result<usize, Errno> {
    let call = call(number as u64).expect("there is such a call");
    loop {
        match (call.run)(thread, args) {
            Ok(Outcome::Value(value)) => return Ok(value),
            Ok(Outcome::Wait(future)) => return block_on(future),
            Ok(Outcome::Resume) => return Ok(0),
            Err(Stop::Fail(errno)) => return Err(errno),
            Err(Stop::Load(load)) => block_on(load.wait())?,
            Err(Stop::Wait) => return Err(Errno::EAGAIN),
        }
    }
}

/// Makes a system call, to its end, while others run.
pub(crate) async fn performed(
    thread: &Rc<Thread>,
    number: Sysno,
    args: [u64; 6],
) -> Result<usize, Errno> {
    let call = call(number as u64).expect("there is such a call");
    loop {
        match (call.run)(thread, args) {
            Ok(Outcome::Value(value)) => return Ok(value),
            Ok(Outcome::Wait(future)) => return future.await,
            Ok(Outcome::Resume) => return Ok(0),
            Err(Stop::Fail(errno)) => return Err(errno),
            Err(Stop::Load(load)) => load.wait().await?,
            Err(Stop::Wait) => return Err(Errno::EAGAIN),
        }
    }
}

/// Plays `program`: it gets the number of its next step, which an address is twice of (so that a
/// call that begins again is the same step), the registers, and the memory.
pub(crate) fn play(mut program: impl FnMut(u64, &mut Registers, &mut Space) -> Exit + 'static) {
    kernel::testing::play(move |space, context| {
        let registers = context.registers_mut();
        let step = registers.rip / 2;
        registers.rip = registers.rip.wrapping_add(2);
        program(step, registers, space)
    });
}

/// The step makes a system call.
pub(crate) fn call_of(registers: &mut Registers, number: Sysno, args: &[u64]) -> Exit {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    registers.rax = number as u64;
    let places = [
        &mut registers.rdi,
        &mut registers.rsi,
        &mut registers.rdx,
        &mut registers.r10,
        &mut registers.r8,
        &mut registers.r9,
    ];
    places.into_iter().zip(all).for_each(|(place, value)| *place = value);
    Exit::Call
}

/// Reads a word of a program's memory that is there.
pub(crate) fn word(space: &Space, at: u64) -> u64 {
    let at = at as usize;
    let mut bytes = [0; 8];
    space.frame(at / PAGE * PAGE).unwrap().0.read(at % PAGE, &mut bytes);
    u64::from_le_bytes(bytes)
}

/// Runs process 1, whose thread is `thread`, and all others to their end. Returns its exit status.
pub(crate) fn run(thread: Rc<Thread>) -> i32 {
    let system = Rc::clone(&thread.system);
    block_on(async {
        thread.start().unwrap();
        system.ended().await.code()
    })
}

/// A file whose page `n` is full of `n + 1`, and of which only those pages are in memory that were
/// loaded.
#[derive(Default)]
pub(crate) struct Numbered {
    pub(crate) size: Cell<u64>,
    pub(crate) frames: RefCell<BTreeMap<u64, Frame>>,
    pub(crate) dirty: RefCell<BTreeSet<u64>>,
    pub(crate) sealed: Cell<bool>,
    pub(crate) full: Cell<bool>,
}

impl Numbered {
    /// Makes one, with `loaded` of its pages in memory.
    pub(crate) fn new(size: u64, loaded: u64) -> Rc<Self> {
        let file = Self::default();
        file.size.set(size);
        (0..loaded).for_each(|index| file.insert(index));
        Rc::new(file)
    }

    fn insert(&self, index: u64) {
        let frame = Frame::new().unwrap();
        let length = self.size.get().saturating_sub(index * PAGE as u64).min(PAGE as u64);
        frame.fill(0, length as usize, index as u8 + 1);
        self.frames.borrow_mut().insert(index, frame);
    }
}

impl Pages for Numbered {
    fn frame(&self, index: u64) -> Option<Frame> {
        self.frames.borrow().get(&index).cloned()
    }

    fn size(&self) -> u64 {
        self.size.get()
    }

    fn load(self: Rc<Self>, index: u64) -> Boxed<Result<(), Errno>> {
        Box::pin(async move {
            self.insert(index);
            Ok(())
        })
    }

    fn dirty(&self, index: u64) -> Result<(), Errno> {
        if self.sealed.get() {
            return Err(Errno::EACCES);
        }
        if self.full.get() {
            return Err(Errno::ENOSPC);
        }
        self.dirty.borrow_mut().insert(index);
        Ok(())
    }
}
