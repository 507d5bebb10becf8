//! A thread: a task that runs user mode, and does what it asks for.

use crate::errno::Errno;
use crate::file::{Caller, Context as Place, Credentials};
use crate::memory::Memory;
use crate::process::{Process, Status, room};
use crate::signal::{Info, Receiver, Set, Signal, Signals};
use crate::stop::{Boxed, loaded};
use crate::system::System;
use alloc::boxed::Box;
use alloc::rc::Rc;
use core::cell::{Cell, OnceCell, Ref, RefCell};
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::Poll;
use kernel::task::try_spawn;
use kernel::user::{Context, Exit};

/// Bytes that a thread takes at most beside its registers: its task, what it is doing.
const COST: usize = 8192;

/// How an interrupted call goes on (restart_syscall(2)).
pub type Again = Box<dyn FnOnce(&Rc<Thread>) -> Boxed<Result<usize, Errno>>>;

/// Is told what threads do (`strace=`).
pub trait Tracer {
    /// A thread begins the call that its registers ask for.
    fn begins<'a>(&'a self, thread: &'a Thread) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

    /// Its call waits.
    fn waits(&self, thread: &Thread);

    /// Its call has returned.
    fn returns(&self, thread: &Thread, result: Result<usize, Errno>);

    /// Its call does not return: the thread goes on elsewhere, or ends.
    fn ends(&self, thread: &Thread);

    /// It gets a signal.
    fn signal(&self, thread: &Thread, info: &Info);

    /// It has ended.
    fn ended<'a>(&'a self, thread: &'a Thread) -> Pin<Box<dyn Future<Output = ()> + 'a>>;
}

/// A thread of a process.
pub struct Thread {
    /// Its process.
    pub process: Rc<Process>,
    /// The machine.
    pub system: Rc<System>,
    /// Its number, and its signals.
    pub signals: Rc<Receiver>,
    /// The memory of its process. The last thread takes it with it.
    memory: RefCell<Rc<Memory>>,
    context: RefCell<Context>,
    /// What its task does ([`run::body`](crate::run::body)). What a thread can do includes
    /// starting threads, so its type cannot name that.
    pub body: fn(Rc<Self>) -> Boxed<()>,
    /// Where 0 is written when it ends, and who waits there woken; 0: nowhere.
    pub clear_id: Cell<u64>,
    /// Its list of robust futexes (get_robust_list(2)); 0: none.
    pub robust: Cell<u64>,
    /// How it ends.
    status: Cell<Status>,
    /// How the call goes on that a signal interrupted.
    again: Cell<Option<Again>>,
    tracer: OnceCell<Rc<dyn Tracer>>,
}

impl Thread {
    /// Makes one that begins with these registers, and is one of its process's from now on.
    ///
    /// # Errors
    /// `ENOMEM`
    pub fn new(
        signals: Receiver,
        process: Rc<Process>,
        system: Rc<System>,
        memory: Rc<Memory>,
        context: Context,
        body: fn(Rc<Self>) -> Boxed<()>,
    ) -> Result<Rc<Self>, Errno> {
        room(memory.ram(), size_of::<Self>() + size_of::<Receiver>() + COST)?;
        let signals = Rc::new(signals);
        process.signals.add(Rc::clone(&signals)).map_err(|_| Errno::ENOMEM)?;
        system.count_threads(1);
        Ok(Rc::new(Self {
            process,
            system,
            signals,
            memory: RefCell::new(memory),
            context: RefCell::new(context),
            body,
            clear_id: Cell::new(0),
            robust: Cell::new(0),
            status: Cell::new(Status::exit(0)),
            again: Cell::new(None),
            tracer: OnceCell::new(),
        }))
    }

    /// Starts its task.
    ///
    /// # Errors
    /// `EAGAIN` without memory. It has left its process again.
    pub fn start(self: Rc<Self>) -> Result<(), Errno> {
        let body = self.body;
        match try_spawn(body(Rc::clone(&self))) {
            Some(task) => task.detach(),
            None => {
                self.withdraw();
                return Err(Errno::EAGAIN);
            }
        }
        Ok(())
    }

    /// It never began.
    pub(crate) fn withdraw(&self) {
        self.system.count_threads(-1);
        self.process.signals.remove(&self.signals);
    }

    /// Returns its number: that of the process for the first one.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.signals.id()
    }

    /// Has what it does told to `tracer`, from now on.
    pub fn trace(&self, tracer: &Rc<dyn Tracer>) {
        // It keeps the one that it has.
        let _ = self.tracer.set(Rc::clone(tracer));
    }

    /// Returns who is told what it does.
    pub(crate) fn tracer(&self) -> Option<&Rc<dyn Tracer>> {
        self.tracer.get()
    }

    /// Returns its memory, for as long as it cannot be replaced.
    #[inline(always)]
    pub(crate) fn memory_now(&self) -> Ref<'_, Memory> {
        Ref::map(self.memory.borrow(), |it| &**it)
    }

    /// Returns its registers.
    pub const fn context(&self) -> &RefCell<Context> {
        &self.context
    }

    /// Goes on in another memory with other registers (execve(2)).
    pub(crate) fn replace(&self, memory: Rc<Memory>, context: Context) {
        self.process.set_memory(&memory);
        self.context.replace(context);
        // Dropped last: the program that was there goes with it.
        drop(self.memory.replace(memory));
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
            if self.process.signals.interrupts(&self.signals) {
                return Poll::Ready(Err(Errno::ERESTARTSYS));
            }
            self.signals.set_waker(context.waker());
            Poll::Pending
        })
        .await
    }

    /// Waits for `future`, unless the thread is to end first. Then it is dropped.
    pub(crate) async fn until_killed<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        poll_fn(|context| {
            if self.signals.is_killed() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Some(value));
            }
            if self.signals.is_killed() {
                return Poll::Ready(None);
            }
            self.signals.set_waker(context.waker());
            Poll::Pending
        })
        .await
    }

    /// Whether a signal is pending that it does not block, or it is to stop or end.
    #[must_use]
    pub fn has_signal(&self) -> bool {
        self.process.signals.interrupts(&self.signals)
    }

    /// Sends it a signal.
    pub fn send(&self, info: Info) {
        // Only real-time signals can be too many.
        let _ = self.process.send_to(&self.signals, info);
    }

    /// Has it block other signals until the call that it makes has ended; if a signal ends it,
    /// until its handler has been called, which then returns to the old ones (sigsuspend(2)).
    pub fn suspend_mask(&self, mask: u64) {
        self.process.signals.set_temporary_mask(&self.signals, Set::from_bits(mask));
    }

    /// How the call goes on that returns [`Errno::ERESTART_RESTARTBLOCK`] now, if no handler
    /// runs.
    pub fn set_again(&self, again: Again) {
        self.again.set(Some(again));
    }

    /// It has written to what nobody reads.
    pub fn broken_pipe(&self) {
        self.send(Info::kernel(Signal::PIPE));
    }

    /// Returns that, once.
    pub(crate) fn take_again(&self) -> Option<Again> {
        self.again.take()
    }

    /// Ends it alone.
    pub fn exit(&self, status: Status) {
        self.status.set(status);
        self.signals.kill();
    }

    /// Returns how it ends.
    pub(crate) fn status(&self) -> Status {
        self.status.get()
    }

    /// Returns the number and the arguments of the call that its registers ask for.
    #[inline(always)]
    pub(crate) fn call(&self) -> (u64, [u64; 6]) {
        let context = self.context.borrow();
        let it = context.registers();
        (it.rax, [it.rdi, it.rsi, it.rdx, it.r10, it.r8, it.r9])
    }

    /// Puts the result of a call where the program finds it.
    #[inline(always)]
    pub(crate) fn finish_call(&self, result: Result<usize, Errno>) {
        if let Some(tracer) = self.tracer() {
            tracer.returns(self, result);
        }
        let value = result.map_or_else(Errno::result, |it| it as u64);
        self.context.borrow_mut().registers_mut().rax = value;
    }

    /// Lets it run in user mode, in its `memory`, until it makes a [call](Self::call).
    ///
    /// # Errors
    /// What else it needs, or `ENOMEM` without memory for page tables.
    #[inline(always)]
    pub(crate) fn enter(&self, memory: &Memory) -> Result<(), Result<Exit, Errno>> {
        let mut space = memory.space().borrow_mut();
        match space.run(&mut self.context.borrow_mut()) {
            Ok(Exit::Call) => Ok(()),
            other => Err(other.map_err(|_| Errno::ENOMEM)),
        }
    }

    /// Does what the end of a thread tells others in its memory: those who wait for its robust
    /// futexes, and for itself (pthread_join(3)).
    pub(crate) async fn leave_memory(&self) {
        let memory = self.memory();
        if Rc::strong_count(&memory) <= 2 && self.robust.get() == 0 {
            // Nobody else is there.
            return;
        }
        self.leave_robust(&memory).await;
        let at = self.clear_id.take();
        if at != 0 {
            let write = || memory.put(at, &0_i32);
            if loaded(write).await.is_ok() {
                self.wake_futex(&memory, at).await;
            }
        }
    }

    async fn wake_futex(&self, memory: &Memory, at: u64) {
        for private in [false, true] {
            if let Ok(key) = loaded(|| memory.futex_key(at, private)).await {
                self.system.futexes.wake(key, 1, u32::MAX);
            }
        }
    }

    /// Marks the futexes of its list that it still holds as left by a dead one (futex(2), and
    /// Documentation/locking/robust-futex-ABI.rst of Linux).
    async fn leave_robust(&self, memory: &Memory) {
        /// As many as Linux looks at.
        const MOST: usize = 2048;
        let head = self.robust.take();
        if head == 0 {
            return;
        }
        let Ok([first, offset, pending]) = loaded(|| memory.get::<[u64; 3]>(head)).await else {
            return;
        };
        let mut next = first;
        for _ in 0..MOST {
            if next & !1 == head {
                break;
            }
            let entry = next & !1;
            let following = loaded(|| memory.get::<u64>(entry)).await;
            if entry != pending & !1 {
                self.leave_futex(memory, entry.wrapping_add(offset), false).await;
            }
            match following {
                Ok(it) => next = it,
                Err(_) => break,
            }
        }
        if pending & !1 != 0 {
            self.leave_futex(memory, (pending & !1).wrapping_add(offset), pending & 1 == 0).await;
        }
    }

    /// `pending`: whether it was about to take it, or to wake who waits for it.
    async fn leave_futex(&self, memory: &Memory, at: u64, pending: bool) {
        use linux_raw_sys::general::{FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS};
        loop {
            let Ok(word) = loaded(|| memory.load_u32(at)).await else { return };
            if word & FUTEX_TID_MASK == 0 && pending {
                // It may have let go, and ended before it woke somebody.
                return self.wake_futex(memory, at).await;
            }
            if word & FUTEX_TID_MASK != self.id() as u32 {
                return;
            }
            let new = word & FUTEX_WAITERS | FUTEX_OWNER_DIED;
            match loaded(|| memory.compare_exchange_u32(at, word, new)).await {
                Ok(Ok(_)) if word & FUTEX_WAITERS != 0 => {
                    return self.wake_futex(memory, at).await;
                }
                Ok(Err(_)) => {}
                _ => return,
            }
        }
    }
}

impl Caller for Thread {
    fn memory(&self) -> Rc<Memory> {
        Rc::clone(&self.memory.borrow())
    }

    fn process(&self) -> [i32; 3] {
        let it = &self.process;
        [it.id, it.group(), it.terminal_session()]
    }

    fn leave_terminal(&self) {
        self.process.leave_terminal();
    }

    fn user(&self) -> [u32; 2] {
        let credentials = self.process.credentials.borrow();
        [credentials.user.effective, credentials.group.effective]
    }

    fn thread(&self) -> i32 {
        self.id()
    }

    fn ignores(&self, signal: u32) -> bool {
        Signal::new(signal.into()).is_none_or(|signal| {
            let action = self.process.signals.action(signal);
            self.signals.mask().has(signal) || action.ignores(signal)
        })
    }

    fn is_orphaned(&self) -> bool {
        self.system.is_orphaned(self.process.group())
    }

    fn session_of(&self, group: i32) -> Option<i32> {
        let member = self.system.processes().find(|it| it.group() == group);
        member.or_else(|| self.system.process(group)).map(|it| it.session())
    }

    fn fs(&self) -> Rc<Place> {
        Rc::clone(&self.process.fs.borrow())
    }

    fn credentials(&self) -> Credentials {
        let it = self.process.credentials.borrow();
        let (uid, gid) = (it.user.files, it.group.files);
        Credentials { uid, gid, groups: Rc::clone(&it.groups), root: uid == 0 }
    }

    fn signals(&self) -> Option<(&Signals, &Receiver)> {
        Some((&self.process.signals, &self.signals))
    }

    fn real_credentials(&self) -> Credentials {
        let it = self.process.credentials.borrow();
        let (uid, gid) = (it.user.real, it.group.real);
        Credentials { uid, gid, groups: Rc::clone(&it.groups), root: uid == 0 }
    }
}
