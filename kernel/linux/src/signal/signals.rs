//! The signals of a process: who gets one that is sent, and what comes next.

use super::action::Action;
use super::info::Info;
use super::queue::{Full, Queue};
use super::receiver::Receiver;
use super::set::{Set, Signal};
use crate::watch::Watch;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::Poll;

/// Real-time signals that a thread or process has pending whatever there is no room for: the C
/// library counts on its own.
const ALWAYS: usize = 8;

/// What the threads of a process share.
pub struct Signals {
    actions: RefCell<[Action; Signal::COUNT]>,
    queue: RefCell<Queue>,
    receivers: RefCell<Vec<Rc<Receiver>>>,
    /// The signal that stopped it.
    stopped: Cell<Option<Signal>>,
    /// How many it may have pending with its threads (`RLIMIT_SIGPENDING`).
    limit: Cell<usize>,
    /// Raised whenever a signal is pending: for signalfd(2).
    watch: Arc<Watch>,
}

/// What a signal has done to the process at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// A thread will see it, or nobody.
    Later,
    /// The process goes on, which had stopped.
    Continued,
    /// The process is to end.
    Killed,
}

impl Signals {
    /// Makes those of a process that has said nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            actions: RefCell::new([Action::default(); Signal::COUNT]),
            queue: RefCell::new(Queue::new()),
            receivers: RefCell::new(Vec::new()),
            stopped: Cell::new(None),
            limit: Cell::new(usize::MAX),
            watch: Watch::new(),
        }
    }

    /// Makes those of a child: the same actions, nothing pending.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { actions: self.actions.clone(), limit: self.limit.clone(), ..Self::new() }
    }

    /// Changes how many may be pending.
    pub fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
    }

    /// Returns how many are pending for the process and its threads.
    #[must_use]
    pub fn count(&self) -> usize {
        let receivers = self.receivers.borrow();
        let own: usize = receivers.iter().map(|it| it.queue.borrow().count()).sum();
        own + self.queue.borrow().count()
    }

    /// Whether one more real-time signal may be pending in `queue`. Caches were asked for room before.
    fn is_room(&self, queue: &RefCell<Queue>, signal: Signal) -> bool {
        if !signal.is_queued() {
            return true;
        }
        let (count, limit) = (queue.borrow().count(), self.limit.get());
        count < limit.min(ALWAYS)
            || count < limit && !crate::memory::is_refused() && self.count() < limit
    }

    /// Forgets all that is pending: nobody is left to see it.
    pub(crate) fn end(&self) {
        self.queue.borrow_mut().clear();
    }

    /// Says when signals come.
    #[must_use]
    pub const fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// Adds a thread.
    ///
    /// # Errors
    /// Without memory.
    pub fn add(&self, receiver: Rc<Receiver>) -> Result<(), Full> {
        let mut receivers = self.receivers.borrow_mut();
        receivers.try_reserve(1).map_err(|_| Full)?;
        receivers.push(receiver);
        Ok(())
    }

    /// Removes a thread, and returns how many are left. What it would have taken, another may.
    pub fn remove(&self, receiver: &Receiver) -> usize {
        self.receivers.borrow_mut().retain(|it| !core::ptr::eq(&**it, receiver));
        self.retarget(self.queue.borrow().set());
        self.receivers.borrow().len()
    }

    /// Returns the threads.
    #[must_use]
    pub const fn receivers(&self) -> &RefCell<Vec<Rc<Receiver>>> {
        &self.receivers
    }

    /// Returns what happens when `signal` comes.
    #[must_use]
    pub fn action(&self, signal: Signal) -> Action {
        self.actions.borrow()[signal.index()]
    }

    /// Changes that. What is ignored now is pending no more.
    pub fn set_action(&self, signal: Signal, action: Action) {
        self.actions.borrow_mut()[signal.index()] = Action {
            flags: action.flags & Action::FLAGS,
            mask: action.mask.without(Set::FORCED),
            ..action
        };
        if action.ignores(signal) {
            let set = Set::of(&[signal]);
            self.queue.borrow_mut().discard(set);
            let receivers = self.receivers.borrow();
            receivers.iter().for_each(|it| it.queue.borrow_mut().discard(set));
        }
    }

    /// Forgets handlers, which a new program does not have (execve(2)).
    pub fn exec(&self) {
        for action in self.actions.borrow_mut().iter_mut() {
            let handler = if action.has_handler() { Action::DEFAULT } else { action.handler };
            *action = Action { handler, ..Action::default() };
        }
    }

    /// Forgets all that is said, but what is ignored (`CLONE_CLEAR_SIGHAND`).
    pub fn clear(&self) {
        self.exec();
    }

    /// Returns which signals are pending for `receiver`.
    #[must_use]
    pub fn pending(&self, receiver: &Receiver) -> Set {
        receiver.queue.borrow().set().or(self.queue.borrow().set())
    }

    /// Returns which signals are pending for the process.
    #[must_use]
    pub fn shared(&self) -> Set {
        self.queue.borrow().set()
    }

    /// Returns the signal that stopped it, if it does not go on.
    #[must_use]
    pub const fn stopped(&self) -> Option<Signal> {
        self.stopped.get()
    }

    /// Stops all threads.
    pub fn stop(&self, signal: Signal) {
        self.stopped.set(Some(signal));
        self.receivers.borrow().iter().for_each(|it| it.alert());
    }

    /// Lets stopped threads go on. Returns whether they were stopped.
    fn proceed(&self) -> bool {
        let stopped = self.stopped.take().is_some();
        if stopped {
            self.receivers.borrow().iter().for_each(|it| it.wake());
        }
        stopped
    }

    /// What a signal undoes when it is sent: one that stops, those that let go on, and the other
    /// way.
    fn undo(&self, signal: Signal) -> Sent {
        let undone = match signal {
            Signal::CONT => Set::STOPS,
            it if Set::STOPS.has(it) => Set::of(&[Signal::CONT]),
            _ => return Sent::Later,
        };
        self.queue.borrow_mut().discard(undone);
        for receiver in self.receivers.borrow().iter() {
            receiver.queue.borrow_mut().discard(undone);
        }
        match signal {
            Signal::CONT if self.proceed() => Sent::Continued,
            _ => Sent::Later,
        }
    }

    /// Sends a signal to the process: one thread that does not block it takes it.
    ///
    /// # Errors
    /// [`Full`]
    pub fn send(&self, info: Info) -> Result<Sent, Full> {
        let signal = info.signal();
        if signal == Signal::KILL {
            self.proceed();
            return Ok(Sent::Killed);
        }
        let sent = self.undo(signal);
        let receivers = self.receivers.borrow();
        // The first thread decides for all, as on Linux: what it blocks, it may want later.
        let first = receivers.first();
        let kept = first.is_none_or(|it| it.mask().has(signal) || it.waits_for.get().has(signal));
        if !kept && self.action(signal).ignores(signal) {
            return Ok(sent);
        }
        let is_room = self.is_room(&self.queue, signal);
        self.queue.borrow_mut().push(info, is_room)?;
        if let Some(it) = receivers.iter().find(|it| it.waits_for.get().has(signal)) {
            it.found();
        } else if let Some(it) = receivers.iter().find(|it| it.wants(signal)) {
            it.alert();
        }
        drop(receivers);
        self.watch.raise();
        Ok(sent)
    }

    /// Sends a signal to one thread.
    ///
    /// # Errors
    /// [`Full`]
    pub fn send_to(&self, receiver: &Receiver, info: Info) -> Result<Sent, Full> {
        let signal = info.signal();
        if signal == Signal::KILL {
            return self.send(info);
        }
        let sent = self.undo(signal);
        let waits = receiver.waits_for.get().has(signal);
        let kept = waits || receiver.mask().has(signal);
        if !kept && self.action(signal).ignores(signal) {
            return Ok(sent);
        }
        let is_room = self.is_room(&receiver.queue, signal);
        receiver.queue.borrow_mut().push(info, is_room)?;
        if waits {
            receiver.found();
        } else if receiver.wants(signal) {
            receiver.alert();
        }
        self.watch.raise();
        Ok(sent)
    }

    /// Sends what the thread itself caused, which it can neither block nor ignore: the program
    /// ends instead.
    pub fn force(&self, receiver: &Receiver, info: Info) {
        let signal = info.signal();
        let action = self.action(signal);
        if receiver.mask().has(signal) || action.handler == Action::IGNORE {
            self.actions.borrow_mut()[signal.index()] = Action::default();
            receiver.set_mask(receiver.mask().without(Set::of(&[signal])));
        }
        // A standard signal is pending even without room.
        let _ = receiver.queue.borrow_mut().push(info, true);
        receiver.alert();
    }

    /// Changes what a thread blocks.
    pub fn set_mask(&self, receiver: &Receiver, mask: Set) {
        let newly = mask.without(receiver.mask());
        receiver.set_mask(mask);
        self.retarget(self.queue.borrow().set().and(newly));
        self.refresh(receiver);
    }

    /// Gives a thread another mask until the call that it makes has ended; or, if a signal ends
    /// that, until its handler is called.
    pub fn set_temporary_mask(&self, receiver: &Receiver, mask: Set) {
        // A call that begins again, as it had to wait for a page, has given it one already.
        if receiver.saved().get().is_none() {
            receiver.saved().set(Some(receiver.mask()));
        }
        self.set_mask(receiver, mask);
        receiver.set_attention(true);
    }

    /// Ends that.
    pub fn restore_mask(&self, receiver: &Receiver) {
        if let Some(mask) = receiver.saved().take() {
            self.set_mask(receiver, mask);
        }
    }

    /// Returns the mask that is in force when the handler of a signal has returned.
    #[must_use]
    pub fn take_saved_mask(&self, receiver: &Receiver) -> Set {
        receiver.saved().take().unwrap_or_else(|| receiver.mask())
    }

    /// Finds other threads for signals of the process that one cannot take now.
    fn retarget(&self, signals: Set) {
        if signals.is_empty() {
            return;
        }
        let receivers = self.receivers.borrow();
        let wanting = receivers.iter().find(|it| !signals.without(it.mask()).is_empty());
        if let Some(it) = wanting {
            it.alert();
        }
    }

    /// Looks whether there is something to do for a thread.
    pub fn refresh(&self, receiver: &Receiver) {
        let ready = !self.pending(receiver).without(receiver.mask()).is_empty();
        let saved = receiver.saved().get().is_some();
        receiver
            .set_attention(ready || saved || receiver.is_killed() || self.stopped.get().is_some());
    }

    /// Whether a wait of that thread is over.
    #[must_use]
    pub fn interrupts(&self, receiver: &Receiver) -> bool {
        receiver.attention()
            && (receiver.is_killed()
                || self.stopped.get().is_some()
                || !self.pending(receiver).without(receiver.mask()).is_empty())
    }

    /// Takes the next signal of `of` that is pending, whatever its action is.
    #[must_use]
    pub fn take(&self, receiver: &Receiver, of: Set) -> Option<Info> {
        let own = receiver.queue.borrow_mut().take(of);
        own.or_else(|| self.queue.borrow_mut().take(of))
    }

    /// Takes the next signal of `of` that is pending if `with` can do something with it; otherwise
    /// it stays the next one, of the thread or of the process as before.
    pub(super) fn take_if<T, E>(
        &self,
        receiver: &Receiver,
        of: Set,
        with: impl FnOnce(&Info) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        let own = !receiver.queue.borrow().set().and(of).is_empty();
        let queue = if own { &receiver.queue } else { &self.queue };
        let info = queue.borrow_mut().take(of)?;
        let done = with(&info);
        if done.is_err() {
            queue.borrow_mut().put_back(info);
        }
        Some(done)
    }

    /// Takes the next signal that a thread does something about, and what that is.
    #[must_use]
    pub fn next(&self, receiver: &Receiver) -> Option<(Info, Action)> {
        loop {
            let info = self.take(receiver, Set::ALL.without(receiver.mask()))?;
            let signal = info.signal();
            let action = self.action(signal);
            if action.ignores(signal) {
                continue;
            }
            if action.has_handler() && action.has(linux_raw_sys::general::SA_RESETHAND) {
                self.actions.borrow_mut()[signal.index()].handler = Action::DEFAULT;
            }
            return Some((info, action));
        }
    }

    /// Waits for one of `of`, which the thread blocks, and takes it.
    pub async fn wait_for(&self, receiver: &Receiver, of: Set) -> Info {
        let of = of.without(Set::FORCED);
        let _awaited = Awaited(receiver);
        poll_fn(|context| {
            let Some(info) = self.take(receiver, of) else {
                // Again, if it was woken for one that another thread has taken meanwhile.
                receiver.waits_for.set(of);
                receiver.set_waker(context.waker());
                return Poll::Pending;
            };
            Poll::Ready(info)
        })
        .await
    }

    /// Forgets what a timer sent.
    pub fn discard_timer(&self, signal: Signal, timer: i32) {
        self.queue.borrow_mut().discard_timer(signal, timer);
        for receiver in self.receivers.borrow().iter() {
            receiver.queue.borrow_mut().discard_timer(signal, timer);
        }
    }

    /// Whether what a timer sent was not taken yet.
    #[must_use]
    pub fn has_timer(&self, timer: i32) -> bool {
        let receivers = self.receivers.borrow();
        self.queue.borrow().has_timer(timer)
            || receivers.iter().any(|it| it.queue.borrow().has_timer(timer))
    }
}

impl Default for Signals {
    fn default() -> Self {
        Self::new()
    }
}

/// A thread waits for signals.
struct Awaited<'a>(&'a Receiver);

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.waits_for.set(Set::EMPTY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(masks: &[Set]) -> (Signals, Vec<Rc<Receiver>>) {
        let signals = Signals::new();
        let threads = (1..).zip(masks).map(|(id, &it)| Rc::new(Receiver::new(id, it)));
        let threads: Vec<_> = threads.collect();
        threads.iter().for_each(|it| signals.add(it.clone()).unwrap());
        (signals, threads)
    }

    const HANDLED: Action = Action { handler: 4096, flags: 0, restorer: 0, mask: Set::EMPTY };

    #[test]
    fn a_thread_that_does_not_block_it_takes_it() {
        let usr1 = Set::of(&[Signal::USR1]);
        let (signals, threads) = process(&[usr1, Set::EMPTY, Set::EMPTY]);
        signals.set_action(Signal::USR1, HANDLED);
        assert_eq!(signals.send(Info::user(Signal::USR1, 1, 0)), Ok(Sent::Later));
        let seen: Vec<_> = threads.iter().map(|it| signals.interrupts(it)).collect();
        assert_eq!(seen, [false, true, false]);
        // It blocks the signal before it takes it: the third gets it.
        signals.set_mask(&threads[1], usr1);
        let seen: Vec<_> = threads.iter().map(|it| signals.interrupts(it)).collect();
        assert_eq!(seen, [false, false, true]);
        assert_eq!(signals.next(&threads[2]).unwrap().1, HANDLED);
        assert_eq!(signals.next(&threads[2]), None);
    }

    #[test]
    fn real_time_signals_of_all_threads_are_bounded_together() {
        let (signals, threads) = process(&[Set::ALL, Set::ALL]);
        signals.set_limit(20);
        let real = Info::kernel(Signal::new(40).unwrap());
        (0..10).for_each(|_| assert!(signals.send_to(&threads[0], real).is_ok()));
        (0..10).for_each(|_| assert!(signals.send(real).is_ok()));
        assert_eq!(signals.send(real), Err(Full));
        assert_eq!(signals.send_to(&threads[0], real), Err(Full));
        // What each thread may have in any case, and standard ones.
        assert!(signals.send_to(&threads[1], real).is_ok());
        assert!(signals.send(Info::user(Signal::INT, 5, 0)).is_ok());
        assert_eq!(signals.count(), 22);
        assert!(signals.fork().send(real).is_ok());
    }

    #[test]
    fn without_memory_a_thread_has_few_real_time_signals() {
        kernel::testing::simulate_memory(1 << 26);
        kernel::testing::simulate_memory_use((1 << 26) - 4096);
        let (signals, threads) = process(&[Set::ALL]);
        let real = Info::kernel(Signal::new(40).unwrap());
        (0..ALWAYS).for_each(|_| assert!(signals.send_to(&threads[0], real).is_ok()));
        assert_eq!(signals.send_to(&threads[0], real), Err(Full));
        assert!(signals.send_to(&threads[0], Info::kernel(Signal::INT)).is_ok());
    }

    #[test]
    fn two_signals_end_the_waits_of_two_threads() {
        use kernel::task::{block_on, spawn, yield_now};
        let (signals, threads) = process(&[Set::ALL, Set::ALL, Set::ALL]);
        let signals = Rc::new(signals);
        let both = Set::of(&[Signal::USR1, Signal::USR2]);
        let taken = Rc::new(RefCell::new(Vec::new()));
        // Each is a task, which runs when it is woken alone.
        let wait = |thread: &Rc<Receiver>| {
            let (signals, thread) = (Rc::clone(&signals), Rc::clone(thread));
            let taken = Rc::clone(&taken);
            spawn(async move {
                let info = signals.wait_for(&thread, both).await;
                taken.borrow_mut().push((thread.id(), info.signal()));
            })
        };
        block_on(async {
            let _waits: Vec<_> = threads.iter().map(wait).collect();
            yield_now().await;
            signals.send(Info::kernel(Signal::USR1)).unwrap();
            signals.send(Info::kernel(Signal::USR2)).unwrap();
            // The third is woken for one that is gone when it looks, and for another one later.
            signals.send_to(&threads[2], Info::kernel(Signal::USR2)).unwrap();
            assert!(threads[2].queue.borrow_mut().take(both).is_some());
            yield_now().await;
            assert_eq!(taken.take(), [(1, Signal::USR1), (2, Signal::USR2)]);
            signals.send(Info::kernel(Signal::USR2)).unwrap();
            yield_now().await;
            assert_eq!(taken.take(), [(3, Signal::USR2)]);
        });
        assert!(threads.iter().all(|it| it.waits_for.get().is_empty()));
    }

    #[test]
    fn what_is_ignored_is_not_kept_unless_it_is_blocked() {
        let (signals, threads) = process(&[Set::EMPTY]);
        signals.send(Info::kernel(Signal::CHLD)).unwrap();
        assert!(signals.pending(&threads[0]).is_empty() && !threads[0].attention());
        signals.set_mask(&threads[0], Set::ALL);
        signals.send(Info::kernel(Signal::CHLD)).unwrap();
        signals.send(Info::kernel(Signal::USR1)).unwrap();
        assert_eq!(signals.pending(&threads[0]), Set::of(&[Signal::CHLD, Signal::USR1]));
        let ignored = Action { handler: Action::IGNORE, ..HANDLED };
        signals.set_action(Signal::USR1, ignored);
        assert_eq!(signals.pending(&threads[0]), Set::of(&[Signal::CHLD]));
    }

    #[test]
    fn stop_and_continue_undo_each_other() {
        let (signals, threads) = process(&[Set::EMPTY, Set::EMPTY]);
        signals.send(Info::kernel(Signal::TSTP)).unwrap();
        assert_eq!(signals.send(Info::kernel(Signal::CONT)), Ok(Sent::Later));
        assert!(signals.pending(&threads[0]).is_empty());
        signals.stop(Signal::STOP);
        assert!(threads.iter().all(|it| signals.interrupts(it)));
        assert_eq!(signals.send(Info::kernel(Signal::CONT)), Ok(Sent::Continued));
        assert_eq!(signals.stopped(), None);
        signals.stop(Signal::STOP);
        assert_eq!(signals.send(Info::kernel(Signal::KILL)), Ok(Sent::Killed));
        assert_eq!(signals.stopped(), None);
    }

    #[test]
    fn what_a_thread_caused_cannot_be_blocked_or_ignored() {
        let (signals, threads) = process(&[Set::ALL]);
        signals.set_action(Signal::SEGV, HANDLED);
        signals.force(&threads[0], Info::fault(Signal::SEGV, 1, 5));
        let (info, action) = signals.next(&threads[0]).unwrap();
        assert_eq!((info.address(), action), (5, Action::default()));
        signals.set_action(Signal::BUS, HANDLED);
        signals.set_mask(&threads[0], Set::EMPTY);
        signals.force(&threads[0], Info::fault(Signal::BUS, 1, 5));
        assert_eq!(signals.next(&threads[0]).unwrap().1, HANDLED);
    }

    #[test]
    fn a_mask_for_one_call_is_in_force_until_its_end() {
        let (signals, threads) = process(&[Set::ALL]);
        signals.set_action(Signal::USR1, HANDLED);
        signals.send(Info::kernel(Signal::USR1)).unwrap();
        assert!(!signals.interrupts(&threads[0]));
        // Twice, as a call does that begins again.
        signals.set_temporary_mask(&threads[0], Set::EMPTY);
        signals.set_temporary_mask(&threads[0], Set::EMPTY);
        assert!(signals.interrupts(&threads[0]));
        signals.restore_mask(&threads[0]);
        assert!(!signals.interrupts(&threads[0]));
        assert_eq!(threads[0].mask(), Set::ALL.without(Set::FORCED));
    }
}
