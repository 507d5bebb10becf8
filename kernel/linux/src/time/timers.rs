//! The timers of a process: what is armed, and when it expires.

use crate::signal::Signal;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use kernel::task::Task;
use litemap::LiteMap;

/// A time at which something happens, and how often then. In ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// When, by the timer's clock; 0: never.
    pub next: u64,
    /// The time from one to the next; 0: once.
    pub interval: u64,
}

/// The three timers of setitimer(2).
#[derive(Default)]
pub struct Intervals {
    /// `ITIMER_REAL`, by the monotonic clock.
    pub real: Cell<Setting>,
    pub(super) task: RefCell<Option<Task<()>>>,
    /// `ITIMER_VIRTUAL` and `ITIMER_PROF`, by the time that the process ran.
    pub ran: [Cell<Setting>; 2],
    /// When `SIGXCPU` comes, and `SIGKILL`, by the time that the process ran (`RLIMIT_CPU`).
    pub most: Cell<Option<(u64, u64)>>,
}

impl Intervals {
    /// Stops all.
    pub fn clear(&self) {
        self.real.take();
        self.ran.iter().for_each(|it| it.set(Setting::default()));
        drop(self.task.take());
    }

    /// Whether something may expire by what the process ran.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.most.get().is_some() || self.ran.iter().any(|it| it.get().next != 0)
    }
}

/// A timer of timer_create(2).
pub struct Timer {
    /// Its number.
    pub id: i32,
    /// Its clock (`CLOCK_*`).
    pub clock: i32,
    /// The thread whose running time it follows; 0: its process's; `None`: a clock of the machine.
    pub counted: Option<i32>,
    /// What it sends.
    pub signal: Option<Signal>,
    /// To which thread; 0: to the process.
    pub thread: i32,
    /// `si_value`
    pub value: u64,
    /// When it expires.
    pub setting: Cell<Setting>,
    /// How often it has expired while its signal was pending.
    pub overrun: Cell<i32>,
    pub(super) task: RefCell<Option<Task<()>>>,
}

/// Those of a process.
#[derive(Default)]
pub struct Timers {
    all: RefCell<LiteMap<i32, Rc<Timer>>>,
    last: Cell<i32>,
    /// How many run by what the process or a thread ran.
    pub(super) counting: Cell<usize>,
}

/// Timers that a process has at most.
const MOST: usize = 1024;

impl Timers {
    /// Adds one, or none if there are too many.
    pub fn add(&self, make: impl FnOnce(i32) -> Timer) -> Option<i32> {
        let mut all = self.all.borrow_mut();
        if all.len() >= MOST {
            return None;
        }
        while all.contains_key(&self.last.get()) {
            self.last.update(|it| it.wrapping_add(1) & i32::MAX);
        }
        let id = self.last.get();
        self.last.set(id.wrapping_add(1) & i32::MAX);
        all.insert(id, Rc::new(make(id)));
        Some(id)
    }

    /// Returns the one of that number.
    #[must_use]
    pub fn get(&self, id: i32) -> Option<Rc<Timer>> {
        self.all.borrow().get(&id).cloned()
    }

    /// Removes it.
    pub fn remove(&self, id: i32) -> Option<Rc<Timer>> {
        let timer = self.all.borrow_mut().remove(&id)?;
        drop(timer.task.take());
        Some(timer)
    }

    /// Removes all.
    pub fn clear(&self) {
        let all = self.all.take();
        all.values().for_each(|it| drop(it.task.take()));
        self.counting.set(0);
    }

    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.all.borrow().len()
    }

    /// Whether something may expire by what a thread ran.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.counting.get() != 0
    }

    /// Returns all, each when it is asked for: others may come and go.
    pub fn all(&self) -> impl Iterator<Item = Rc<Timer>> {
        let mut next = 0;
        core::iter::from_fn(move || {
            let all = self.all.borrow();
            let at = all.find_index(&next).unwrap_or_else(|it| it);
            let (&id, timer) = all.get_indexed(at)?;
            next = id.checked_add(1)?;
            Some(Rc::clone(timer))
        })
    }
}
