//! What tests of calls have in common: a thread in plain memory, and files that are as a test
//! wants them.

use crate::call::Outcome;
use crate::errno::Errno;
use crate::memory::{Memory, Request};
use crate::process::Process;
use crate::stop::{Boxed, Pages, Stop};
use crate::system::System;
use crate::table::call;
use crate::thread::Thread;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use kernel::task::block_on;
use kernel::user::{Access, Context, Frame, PAGE};
use syscalls::Sysno;

/// Read and write.
pub(crate) const RW: Access = Access::READ.union(Access::WRITE);

/// Makes a machine with one process, and returns its thread.
pub(crate) fn thread() -> Rc<Thread> {
    let system = System::new();
    let memory = Rc::new(Memory::new(&system.ram).unwrap());
    let process = Process::new(system.next_id(), memory);
    let context = Box::new(Context::new(0, 0).unwrap());
    Thread::new(process.id, process, system, context, |_| Box::pin(async {}))
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

/// A file whose page `n` is full of `n + 1`, and of which only those pages are in memory that were
/// loaded.
#[derive(Default)]
pub(crate) struct Numbered {
    pub(crate) size: Cell<u64>,
    pub(crate) frames: RefCell<BTreeMap<u64, Frame>>,
    pub(crate) dirty: RefCell<BTreeSet<u64>>,
    pub(crate) sealed: Cell<bool>,
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
        self.dirty.borrow_mut().insert(index);
        Ok(())
    }
}
