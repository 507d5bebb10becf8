//! What a thread has of signals: its mask, those sent to it alone, its alternate stack.

use super::queue::Queue;
use super::set::{Set, Signal};
use core::cell::{Cell, RefCell};
use core::task::Waker;
use kernel::time::Instant;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `stack_t` (sigaltstack(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Stack {
    /// Its lowest address.
    pub at: u64,
    /// `SS_*`
    pub flags: u32,
    /// Nothing.
    pub pad: u32,
    /// Its size in bytes.
    pub size: u64,
}

impl Stack {
    /// There is none.
    pub const NONE: Self =
        Self { at: 0, flags: linux_raw_sys::general::SS_DISABLE, pad: 0, size: 0 };

    /// Whether the stack pointer `rsp` is within.
    #[must_use]
    pub const fn has(&self, rsp: u64) -> bool {
        rsp > self.at && rsp - self.at <= self.size
    }
}

/// What a thread has of signals.
pub struct Receiver {
    /// The number of the thread.
    id: Cell<i32>,
    mask: Cell<Set>,
    /// The mask as it is outside of a call that has one of its own.
    saved: Cell<Option<Set>>,
    pub(super) queue: RefCell<Queue>,
    /// The alternate stack.
    pub stack: Cell<Stack>,
    /// Something is to be done before the program goes on.
    attention: Cell<bool>,
    killed: Cell<bool>,
    /// What it waits for although it is blocked (sigwait(3)).
    pub(super) waits_for: Cell<Set>,
    task: RefCell<Option<Waker>>,
    /// Time that the thread ran, in ns, before it was last given the processor.
    ran: Cell<u64>,
    /// When that was; 0 while it waits.
    since: Cell<u64>,
    /// How often it was given the processor, and how often it was taken from it.
    turns: Cell<u64>,
    preempted: Cell<u64>,
    /// Whether it could go on, since then.
    ready: Cell<bool>,
    /// The name of the thread, which ends with NUL (`PR_SET_NAME`).
    pub name: Cell<[u8; 16]>,
    /// Number, error code and address of the last exception that it caused.
    pub trap: Cell<[u64; 3]>,
}

impl Receiver {
    /// Makes that of thread `id`, which blocks `mask`.
    #[must_use]
    pub const fn new(id: i32, mask: Set) -> Self {
        Self {
            id: Cell::new(id),
            mask: Cell::new(mask),
            saved: Cell::new(None),
            queue: RefCell::new(Queue::new()),
            stack: Cell::new(Stack::NONE),
            attention: Cell::new(false),
            killed: Cell::new(false),
            waits_for: Cell::new(Set::EMPTY),
            task: RefCell::new(None),
            ran: Cell::new(0),
            since: Cell::new(0),
            turns: Cell::new(0),
            preempted: Cell::new(0),
            ready: Cell::new(false),
            name: Cell::new([0; 16]),
            trap: Cell::new([0; 3]),
        }
    }

    /// Returns the number of the thread.
    #[must_use]
    pub const fn id(&self) -> i32 {
        self.id.get()
    }

    /// Changes it (execve(2) in another thread than the first).
    pub fn set_id(&self, id: i32) {
        self.id.set(id);
    }

    /// Returns which signals it blocks.
    #[must_use]
    pub const fn mask(&self) -> Set {
        self.mask.get()
    }

    pub(super) fn set_mask(&self, mask: Set) {
        self.mask.set(mask.without(Set::FORCED));
    }

    /// The mask to come back to, while a call has another.
    pub(super) const fn saved(&self) -> &Cell<Option<Set>> {
        &self.saved
    }

    /// Whether something is to be done before the program goes on.
    #[must_use]
    pub const fn attention(&self) -> bool {
        self.attention.get()
    }

    pub(super) fn set_attention(&self, attention: bool) {
        self.attention.set(attention);
    }

    /// Whether it is to end.
    #[must_use]
    pub const fn is_killed(&self) -> bool {
        self.killed.get()
    }

    /// It is to end, whatever it waits for.
    pub fn kill(&self) {
        self.killed.set(true);
        self.alert();
    }

    /// Ends its wait, so that it looks for what is to be done.
    pub(super) fn alert(&self) {
        self.attention.set(true);
        self.wake();
    }

    /// Lets its task look again.
    pub fn wake(&self) {
        let waker = self.task.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// There is one that it [waits for](Self::waits_for): it wakes for that alone, and the next
    /// one is another thread's.
    pub(super) fn found(&self) {
        self.waits_for.set(Set::EMPTY);
        self.wake();
    }

    /// `waker` wakes its task from now on.
    pub fn set_waker(&self, waker: &Waker) {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|it| it.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }

    /// The thread has the processor from now on.
    pub fn begin_slice(&self) {
        self.turns.update(|it| it + 1);
        self.ready.set(false);
        self.since.set(Instant::now().as_nanos());
    }

    /// The thread leaves the processor. Returns for how many ns it had it.
    pub fn end_slice(&self) -> u64 {
        let since = self.since.take();
        let ran = Instant::now().as_nanos().saturating_sub(since);
        self.ran.update(|it| it + ran);
        ran
    }

    /// The processor is taken from it, as others wait.
    pub fn preempt(&self) {
        self.preempted.update(|it| it + 1);
        self.ready.set(true);
    }

    /// Returns how often it was given the processor, and how often it was taken from it.
    #[must_use]
    pub const fn turns(&self) -> [u64; 2] {
        [self.turns.get(), self.preempted.get()]
    }

    /// Returns which signals are pending for it alone.
    #[must_use]
    pub fn own_pending(&self) -> Set {
        self.queue.borrow().set()
    }

    /// Returns whether it has the processor, or had it taken from it.
    #[must_use]
    pub const fn is_runnable(&self) -> bool {
        self.since.get() != 0 || self.ready.get()
    }

    /// Returns the time for which it ran, in ns.
    #[must_use]
    pub fn cpu_time(&self) -> u64 {
        let now = match self.since.get() {
            0 => 0,
            since => Instant::now().as_nanos().saturating_sub(since),
        };
        self.ran.get() + now
    }

    /// Whether a signal that is sent now would reach it.
    pub(super) fn wants(&self, signal: Signal) -> bool {
        !self.killed.get() && !self.mask.get().has(signal)
    }
}
