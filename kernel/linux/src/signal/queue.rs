//! Signals that came and were not taken yet.

use super::info::Info;
use super::set::{Set, Signal};
use alloc::collections::VecDeque;

/// Signals for which an empty queue keeps its memory.
const SPARE: usize = 32;

/// Pending signals, of a thread or of a process.
#[derive(Debug, Default)]
pub struct Queue {
    set: Set,
    infos: VecDeque<Info>,
}

/// There is no room for one more real-time signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Queue {
    /// Makes an empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self { set: Set::EMPTY, infos: VecDeque::new() }
    }

    /// Returns which signals are pending.
    #[must_use]
    pub const fn set(&self) -> Set {
        self.set
    }

    /// Returns how many are pending.
    #[must_use]
    pub fn count(&self) -> usize {
        self.infos.len()
    }

    /// Adds one. Below the real-time ones, a signal that is pending already is not added again; and
    /// it is pending even if there is no memory for what is known about it. Of others there are
    /// to be no more unless there `is_room`.
    ///
    /// # Errors
    /// [`Full`]: a real-time signal is lost.
    pub fn push(&mut self, info: Info, is_room: bool) -> Result<(), Full> {
        let signal = info.signal();
        if !signal.is_queued() && self.set.has(signal) {
            return Ok(());
        }
        let may = is_room || !signal.is_queued();
        if may && self.infos.try_reserve(1).is_ok() {
            self.infos.push_back(info);
        } else if signal.is_queued() {
            return Err(Full);
        }
        self.set = self.set.or(Set::of(&[signal]));
        Ok(())
    }

    /// Takes the next one of `of`: what the program itself caused first, then by number, and the
    /// oldest of equal ones.
    pub fn take(&mut self, of: Set) -> Option<Info> {
        let ready = self.set.and(of);
        let signal = ready.and(Set::SYNCHRONOUS).first().or_else(|| ready.first())?;
        let at = self.infos.iter().position(|it| it.signal() == signal);
        let info = at.and_then(|at| self.infos.remove(at));
        if !self.infos.iter().any(|it| it.signal() == signal) {
            self.set = self.set.without(Set::of(&[signal]));
        }
        if self.infos.is_empty() && self.infos.capacity() > SPARE {
            self.infos = VecDeque::new();
        }
        Some(info.unwrap_or(Info::user(signal, 0, 0)))
    }

    /// Makes one that was taken the oldest of its number again. There is room: it had one.
    pub(super) fn put_back(&mut self, info: Info) {
        self.infos.push_front(info);
        self.set = self.set.or(Set::of(&[info.signal()]));
    }

    /// Removes all, and gives up their memory.
    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    /// Removes all of `of`.
    pub fn discard(&mut self, of: Set) {
        if !self.set.and(of).is_empty() {
            self.set = self.set.without(of);
            self.infos.retain(|it| !of.has(it.signal()));
        }
    }

    /// Removes what a timer left, which is gone or set anew.
    pub fn discard_timer(&mut self, signal: Signal, timer: i32) {
        let before = self.infos.len();
        self.infos.retain(|it| !it.is_timer(timer));
        if self.infos.len() != before && !self.infos.iter().any(|it| it.signal() == signal) {
            self.set = self.set.without(Set::of(&[signal]));
        }
    }

    /// Whether the signal of that timer is pending.
    #[must_use]
    pub fn has_timer(&self, timer: i32) -> bool {
        self.infos.iter().any(|it| it.is_timer(timer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_signals_come_once_and_real_time_ones_each_in_order() {
        let mut queue = Queue::new();
        let real = Signal::new(40).unwrap();
        for process in 1..=3 {
            queue.push(Info::user(Signal::USR1, process, 0), true).unwrap();
            queue.push(Info::user(real, process, 0), true).unwrap();
        }
        queue.push(Info::fault(Signal::SEGV, 1, 8), true).unwrap();
        let order: alloc::vec::Vec<_> = core::iter::from_fn(|| queue.take(Set::ALL))
            .map(|it| (it.signal().number(), it.sender().0))
            .collect();
        assert_eq!(order, [(11, 8), (10, 1), (40, 1), (40, 2), (40, 3)]);
        assert!(queue.set().is_empty());
    }

    #[test]
    fn a_full_queue_loses_no_standard_signal_and_says_so_of_others() {
        let mut queue = Queue::new();
        queue.push(Info::kernel(Signal::HUP), false).unwrap();
        assert_eq!(queue.push(Info::kernel(Signal::new(34).unwrap()), false), Err(Full));
        queue.push(Info::user(Signal::INT, 5, 0), false).unwrap();
        assert_eq!(queue.take(Set::ALL).unwrap().signal(), Signal::HUP);
        let int = queue.take(Set::ALL).unwrap();
        assert_eq!((int.signal(), int.sender()), (Signal::INT, (5, 0)));
        assert_eq!(queue.take(Set::ALL), None);
    }

    #[test]
    fn what_is_discarded_is_gone() {
        let mut queue = Queue::new();
        queue.push(Info::timer(Signal::ALRM, 3, 0, 0), true).unwrap();
        queue.push(Info::kernel(Signal::TSTP), true).unwrap();
        assert!(queue.has_timer(3) && !queue.has_timer(2));
        queue.discard_timer(Signal::ALRM, 3);
        assert_eq!(queue.set(), Set::of(&[Signal::TSTP]));
        queue.discard(Set::STOPS);
        assert!(queue.set().is_empty() && queue.infos.is_empty());
    }
}
