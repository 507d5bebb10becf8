//! A thread: a task that runs user mode, and does what it asks for.

use crate::errno::Errno;
use crate::file::Caller;
use crate::memory::Memory;
use crate::process::Process;
use crate::stop::Boxed;
use crate::system::System;
use alloc::boxed::Box;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use kernel::sync::Wakers;
use kernel::task::spawn;
use kernel::user::{Context, Exit};

/// A thread of a process.
pub struct Thread {
    /// Its number: that of the process for the first one.
    pub id: i32,
    /// Its process.
    pub process: Rc<Process>,
    /// The machine.
    pub system: Rc<System>,
    context: RefCell<Box<Context>>,
    /// What its task does ([`run::body`](crate::run::body)). What a thread can do includes
    /// starting threads, so its type cannot name that.
    pub body: fn(Rc<Self>) -> Boxed<()>,
    /// A signal is pending that is not blocked, or the process ends.
    interrupted: Cell<bool>,
    waiting: RefCell<Wakers>,
}

impl Thread {
    /// Makes one that begins with these registers.
    #[must_use]
    pub fn new(
        id: i32,
        process: Rc<Process>,
        system: Rc<System>,
        context: Box<Context>,
        body: fn(Rc<Self>) -> Boxed<()>,
    ) -> Rc<Self> {
        Rc::new(Self {
            id,
            process,
            system,
            body,
            context: RefCell::new(context),
            interrupted: Cell::new(false),
            waiting: RefCell::new(Wakers::new()),
        })
    }

    /// Starts its task.
    pub fn start(self: Rc<Self>) {
        let body = self.body;
        spawn(body(self)).detach();
    }

    /// Returns its registers.
    pub const fn context(&self) -> &RefCell<Box<Context>> {
        &self.context
    }

    /// Waits for `future`, unless a signal comes first.
    ///
    /// # Errors
    /// [`Errno::ERESTARTSYS`] if one does.
    pub async fn interruptible<T>(&self, future: impl Future<Output = T>) -> Result<T, Errno> {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(value));
            }
            if self.interrupted.get() {
                return Poll::Ready(Err(Errno::ERESTARTSYS));
            }
            self.waiting.borrow_mut().add(context.waker());
            Poll::Pending
        })
        .await
    }

    /// Sets the mask of blocked signals until the thread returns to user mode (sigsuspend(2)).
    pub fn suspend_mask(&self, mask: u64) {
        let _ = mask;
    }

    /// It has written to what nobody reads: SIGPIPE.
    pub fn broken_pipe(&self) {}

    /// A signal came that is not blocked: whatever it waits for ends.
    pub fn interrupt(&self) {
        self.interrupted.set(true);
        self.waiting.borrow_mut().wake();
    }

    /// Returns the number and the arguments of the call that its registers ask for.
    pub(crate) fn call(&self) -> (u64, [u64; 6]) {
        let context = self.context.borrow();
        let it = context.registers();
        (it.rax, [it.rdi, it.rsi, it.rdx, it.r10, it.r8, it.r9])
    }

    /// Puts the result of a call where the program finds it.
    pub(crate) fn finish_call(&self, result: Result<usize, Errno>) {
        let value = result.map_or_else(Errno::result, |it| it as u64);
        self.context.borrow_mut().registers_mut().rax = value;
    }

    /// Lets it run in user mode until it needs something.
    ///
    /// # Errors
    /// `ENOMEM` without memory for page tables.
    pub(crate) fn enter(&self) -> Result<Exit, Errno> {
        let memory = Caller::memory(self);
        let mut space = memory.space().borrow_mut();
        space.run(&mut self.context.borrow_mut()).map_err(|_| Errno::ENOMEM)
    }
}

impl Caller for Thread {
    fn memory(&self) -> Rc<Memory> {
        self.process.memory()
    }

    fn process(&self) -> [i32; 3] {
        [self.process.id; 3]
    }
}
