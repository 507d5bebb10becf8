//! epoll(7): a set of files that is kept, and tells which of them became ready.

use super::set::Deadline;
use crate::errno::Errno;
use crate::file::{Caller, File, Open, Stat, Type, next_inode};
use crate::memory::Text;
use crate::process::room;
use crate::stop::Stop;
use crate::thread::Thread;
use crate::watch::{Cause, Heard, Listener, Ready, Watch};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::{Rc, Weak};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::{Cell, RefCell};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};
use linux_raw_sys::general::{EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT};
use spin::Mutex;

/// How many epolls there may be, each watched by the next (epoll_ctl(2), ELOOP).
const DEPTH: usize = 5;

/// Bytes that there have to be for one more file of an epoll, in pieces.
const SIZE: usize = 4096;

/// What is asked for of a file, and what is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// Bits of [`Ready`], `EPOLLET`, `EPOLLONESHOT` and so on.
    pub events: u32,
    /// The program's own.
    pub data: u64,
}

impl Interest {
    const fn ready(self) -> Ready {
        Ready::from_bits_truncate(self.events)
    }
}

/// What `open` is ready for, to `caller`, of what is told of it.
fn ready_for(caller: &dyn Caller, open: &Open, interest: Interest) -> Ready {
    open.file.ready_by(caller) & (interest.ready() | Ready::ERR | Ready::HUP)
}

/// A file is known by its descriptor and by what was open as it then (epoll(7), Q6).
type Key = (u64, usize);

/// How many epolls stand above or below one, with it, by where its queue is: each is looked through
/// once, as one epoll may watch another by many descriptors.
type Depths = BTreeMap<usize, usize>;

/// One epoll watches another, which knows of that for as long as the entry of the one keeps this.
struct Link(alloc::sync::Weak<Queue>);

/// Those that may be ready, in the order in which they became so.
#[derive(Default)]
struct Queue {
    items: Mutex<VecDeque<Arc<Item>>>,
    /// Raised with each change of one.
    filled: Arc<Watch>,
    /// A change comes in many ways to an epoll that watches others by many descriptors: it passes
    /// it on once, or the work for one change would be the product of them all.
    heard: Heard,
    /// The epolls that watch this one.
    above: Mutex<Vec<alloc::sync::Weak<Link>>>,
}

impl Queue {
    /// How many epolls there are, one watching the other, up from this one.
    fn height(&self, known: &mut Depths) -> usize {
        let at = core::ptr::from_ref(self).addr();
        if let Some(&height) = known.get(&at) {
            return height;
        }
        let above = self.above.lock();
        let links = above.iter().filter_map(alloc::sync::Weak::upgrade);
        let height =
            1 + links.filter_map(|it| it.0.upgrade()).map(|it| it.height(known)).max().unwrap_or(0);
        known.insert(at, height);
        height
    }

    /// Knows of one more epoll that watches it.
    ///
    /// # Errors
    /// `ENOMEM`
    fn watched(&self, link: &Arc<Link>) -> Result<(), Errno> {
        let mut above = self.above.lock();
        if above.len() == above.capacity() {
            above.retain(|it| it.strong_count() > 0);
            let room = above.len().max(4);
            above.try_reserve(room).map_err(|_| Errno::ENOMEM)?;
        }
        above.push(Arc::downgrade(link));
        Ok(())
    }

    /// Has room for so many beside those that are in it: a change finds no memory that is not there.
    ///
    /// # Errors
    /// `ENOMEM`
    fn reserve(&self, more: usize) -> Result<(), Errno> {
        self.items.lock().try_reserve(more).map_err(|_| Errno::ENOMEM)
    }

    /// Drops those that are not in `entries` any more, if they may be half of all: nobody may ever
    /// wait, and so take them out.
    fn sweep(&self, entries: &BTreeMap<Key, Entry>) {
        let mut items = self.items.lock();
        if items.len() > 2 * entries.len() + 16 {
            items.retain(|it| entries.get(&it.key).is_some_and(|own| Arc::ptr_eq(&own.item, it)));
        }
    }
}

/// What hears of a file's changes.
struct Item {
    key: Key,
    /// It is in the queue.
    queued: AtomicBool,
    /// Weak, as the queue holds those that are in it.
    queue: alloc::sync::Weak<Queue>,
    itself: alloc::sync::Weak<Self>,
}

impl Listener for Item {
    fn changed(&self, cause: Cause) {
        let (Some(item), Some(queue)) = (self.itself.upgrade(), self.queue.upgrade()) else {
            return;
        };
        if !self.queued.swap(true, Ordering::Relaxed) {
            // There is room for each that is not in it.
            queue.items.lock().push_back(item);
        }
        // An epoll that watches this one by edges hears of each (epoll(7)).
        if queue.heard.is_new(cause) {
            queue.filled.pass_on(cause);
        }
    }
}

struct Entry {
    open: Weak<Open>,
    item: Arc<Item>,
    interest: Interest,
    /// It is an epoll.
    _link: Option<Arc<Link>>,
}

/// A set of files that is kept.
pub struct Epoll {
    entries: RefCell<BTreeMap<Key, Entry>>,
    /// How many of them were open when they were last looked through.
    looked: Cell<usize>,
    queue: Arc<Queue>,
    /// It is being looked through: whoever asks meanwhile asks in a circle.
    visited: Cell<bool>,
    inode: u64,
}

impl Epoll {
    /// Makes an empty one.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            entries: RefCell::default(),
            looked: Cell::new(0),
            queue: Arc::default(),
            visited: Cell::new(false),
            inode: next_inode(),
        })
    }

    /// Adds `open`, which is the descriptor `fd`. Where what it is ready for is not the same for
    /// all, changes are those for `caller`, whoever waits (signalfd(2)).
    ///
    /// # Errors
    /// `EEXIST` if it is there, `EPERM` for a file that is always ready, `ELOOP` for epolls that
    /// watch each other in a circle or too deep, `ENOMEM`.
    pub fn add(
        &self,
        caller: &dyn Caller,
        fd: u64,
        open: &Rc<Open>,
        interest: Interest,
    ) -> Result<(), Errno> {
        let watch = open.file.watch_by(caller).ok_or(Errno::EPERM)?;
        let other = open.as_kind::<Self>();
        if let Some(other) = other {
            self.visited.set(true);
            let below = other.depth(&mut Depths::new());
            self.visited.set(false);
            // A chain may be made from either end, or joined from two.
            let above = self.queue.height(&mut Depths::new());
            if below.is_none_or(|below| below + above > DEPTH) {
                return Err(Errno::ELOOP);
            }
        }
        let key = (fd, Rc::as_ptr(open).addr());
        if self.entries.borrow().contains_key(&key) {
            return Err(Errno::EEXIST);
        }
        room(caller.memory().ram(), SIZE)?;
        self.queue.reserve(self.entries.borrow().len() + 1)?;
        let queue = Arc::downgrade(&self.queue);
        let item = Arc::new_cyclic(|itself| Item {
            key,
            queued: AtomicBool::new(false),
            queue,
            itself: alloc::sync::Weak::clone(itself),
        });
        let listener: alloc::sync::Weak<dyn Listener> =
            Arc::downgrade(&(Arc::clone(&item) as Arc<dyn Listener>));
        let link = match other {
            Some(other) => {
                let link = Arc::new(Link(Arc::downgrade(&self.queue)));
                other.queue.watched(&link)?;
                Some(link)
            }
            None => None,
        };
        watch.listen(listener)?;
        // What is ready already is told by the next wait; to ask has its watch armed for the rest.
        if !ready_for(caller, open, interest).is_empty() {
            item.changed(Cause::another());
        }
        let mut entries = self.entries.borrow_mut();
        entries.insert(key, Entry { open: Rc::downgrade(open), item, interest, _link: link });
        // A file that is closed does not say so. So that each costs the same, however many there
        // are, they are looked for whenever there are twice as many as were open.
        if entries.len() > 2 * self.looked.get() + 16 {
            entries.retain(|_, it| it.open.strong_count() > 0);
            self.looked.set(entries.len());
            self.queue.sweep(&entries);
        }
        Ok(())
    }

    /// Asks for something else of `open`.
    ///
    /// # Errors
    /// `ENOENT` if it is not there, `EINVAL` if it is there exclusively.
    pub fn modify(
        &self,
        caller: &dyn Caller,
        fd: u64,
        open: &Rc<Open>,
        interest: Interest,
    ) -> Result<(), Errno> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(&(fd, Rc::as_ptr(open).addr())).ok_or(Errno::ENOENT)?;
        if entry.interest.events & EPOLLEXCLUSIVE != 0 {
            return Err(Errno::EINVAL);
        }
        entry.interest = interest;
        let item = Arc::clone(&entry.item);
        drop(entries);
        if !ready_for(caller, open, interest).is_empty() {
            item.changed(Cause::another());
        }
        Ok(())
    }

    /// Removes `open`.
    ///
    /// # Errors
    /// `ENOENT` if it is not there.
    pub fn remove(&self, fd: u64, open: &Rc<Open>) -> Result<(), Errno> {
        let key = (fd, Rc::as_ptr(open).addr());
        let mut entries = self.entries.borrow_mut();
        entries.remove(&key).ok_or(Errno::ENOENT)?;
        self.queue.sweep(&entries);
        Ok(())
    }

    /// Takes up to `most` that are ready, and calls `each` with what they are ready for and what
    /// is told of them. Those that stay ready go to the end of the queue.
    pub fn take(
        &self,
        caller: &dyn Caller,
        most: usize,
        each: &mut dyn FnMut(Ready, u64),
    ) -> usize {
        let mut told = 0;
        let count = self.queue.items.lock().len();
        for _ in 0..count {
            if told == most {
                break;
            }
            let Some(item) = self.queue.items.lock().pop_front() else { break };
            // Before it is asked, so that a change while it is asked counts.
            item.queued.store(false, Ordering::Relaxed);
            let Some((ready, interest)) = self.ask(caller, &item) else { continue };
            if ready.is_empty() {
                continue;
            }
            each(ready, interest.data);
            told += 1;
            if interest.events & EPOLLONESHOT != 0 {
                if let Some(entry) = self.entries.borrow_mut().get_mut(&item.key) {
                    entry.interest.events = EPOLLONESHOT;
                }
            } else if interest.events & EPOLLET == 0 && !item.queued.swap(true, Ordering::Relaxed) {
                // Behind all that are looked at now.
                self.queue.items.lock().push_back(item);
            }
        }
        told
    }

    /// What a file is ready for. `None`: it is not there any more.
    fn ask(&self, caller: &dyn Caller, item: &Arc<Item>) -> Option<(Ready, Interest)> {
        let (open, interest) = {
            let entries = self.entries.borrow();
            let entry = entries.get(&item.key).filter(|it| Arc::ptr_eq(&it.item, item))?;
            (entry.open.upgrade(), entry.interest)
        };
        let Some(open) = open else {
            self.entries.borrow_mut().remove(&item.key);
            return None;
        };
        if interest.events == EPOLLONESHOT {
            // It was told, and not asked for again.
            return Some((Ready::empty(), interest));
        }
        Some((ready_for(caller, &open, interest), interest))
    }

    /// Waits until there may be one that is ready. `false`: the time is over.
    ///
    /// # Errors
    /// `ERESTARTSYS` if a signal comes before.
    pub async fn filled(&self, thread: &Thread, deadline: Deadline) -> Result<bool, Errno> {
        let changes = self.queue.filled.changes();
        if !self.queue.items.lock().is_empty() {
            return Ok(true);
        }
        let filled = self.queue.filled.changed_since(changes);
        Ok(deadline.wait(thread, filled).await?.is_some())
    }

    /// How many epolls there are, one watched by the other, beginning with this one. `None`: they
    /// watch each other in a circle.
    fn depth(&self, known: &mut Depths) -> Option<usize> {
        let at = Arc::as_ptr(&self.queue).addr();
        if let Some(&depth) = known.get(&at) {
            return Some(depth);
        }
        if self.visited.replace(true) {
            return None;
        }
        let entries = self.entries.borrow();
        let mut others = entries.values().filter_map(|it| it.open.upgrade());
        let below = others.try_fold(0, |most, open| match open.as_kind::<Self>() {
            Some(other) => other.depth(known).map(|it| most.max(it)),
            None => Some(most),
        });
        self.visited.set(false);
        let depth = below? + 1;
        known.insert(at, depth);
        Some(depth)
    }

    /// Whether one is ready, without taking it. Those in the queue that are not ready leave it, so
    /// that their next change is heard.
    fn any_ready(&self, caller: &dyn Caller) -> bool {
        let count = self.queue.items.lock().len();
        for _ in 0..count {
            let Some(item) = self.queue.items.lock().pop_front() else { break };
            item.queued.store(false, Ordering::Relaxed);
            if self.ask(caller, &item).is_some_and(|(ready, _)| !ready.is_empty()) {
                if !item.queued.swap(true, Ordering::Relaxed) {
                    self.queue.items.lock().push_front(item);
                }
                return true;
            }
        }
        false
    }
}

impl File for Epoll {
    fn label(&self) -> &'static str {
        "[eventpoll]"
    }

    fn tell(&self, text: &mut Text) -> fmt::Result {
        for (&(fd, _), entry) in &*self.entries.borrow() {
            let Some(open) = entry.open.upgrade() else { continue };
            let (inode, device) = open.file.stat().map_or((0, 0), |it| (it.inode, it.device));
            // What is always told of is among what is wanted.
            let events = entry.interest.events | (Ready::ERR | Ready::HUP).bits();
            writeln!(
                text,
                "tfd: {fd:8} events: {events:8x} data: {:16x}  pos:{} ino:{inode:x} sdev:{device:x}",
                entry.interest.data,
                open.position.get(),
            )?;
        }
        Ok(())
    }

    fn ready_by(&self, caller: &dyn Caller) -> Ready {
        // A circle is refused when it is made.
        if self.any_ready(caller) { Ready::IN | Ready::RDNORM } else { Ready::empty() }
    }

    fn watch(&self) -> Option<&Arc<Watch>> {
        Some(&self.queue.filled)
    }

    fn stat(&self) -> Result<Stat, Stop> {
        Ok(Stat::of(Type::Anonymous, 0o600, self.inode))
    }

    fn any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{Event, Pipe};
    use crate::file::At;
    use crate::memory::{Sink, Source};
    use crate::testing::thread;
    use linux_raw_sys::general::O_RDWR;

    const IN: u32 = 1;
    const OUT: u32 = 4;

    fn told(epoll: &Epoll, most: usize) -> Vec<(u32, u64)> {
        let mut told = Vec::new();
        epoll.take(&*thread(), most, &mut |ready, data| told.push((ready.bits(), data)));
        told
    }

    fn add(epoll: &Epoll, open: &Rc<Open>, events: u32, data: u64) -> Result<(), Errno> {
        epoll.add(&*thread(), data, open, Interest { events, data })
    }

    fn event(count: u64) -> Rc<Open> {
        Open::uncounted(Event::new(count, false), O_RDWR)
    }

    fn signal(open: &Open) {
        open.file.write(open, At::Position, &mut Source::kernel(&1_u64.to_le_bytes())).unwrap();
    }

    fn drain(open: &Open) {
        open.file.read(open, At::Position, &mut Sink::kernel(&mut Vec::new(), 8)).unwrap();
    }

    #[test]
    fn a_level_is_told_for_as_long_as_it_lasts_and_an_edge_once_a_change() {
        let (epoll, level, edge) = (Epoll::new(), event(0), event(0));
        add(&epoll, &level, IN, 1).unwrap();
        add(&epoll, &edge, IN | EPOLLET, 2).unwrap();
        assert_eq!(told(&epoll, 9), []);
        signal(&edge);
        signal(&level);
        assert_eq!(told(&epoll, 9), [(IN, 2), (IN, 1)]);
        assert_eq!(told(&epoll, 9), [(IN, 1)]);
        // A further change is an edge, though it was ready before.
        signal(&edge);
        assert_eq!(told(&epoll, 9), [(IN, 1), (IN, 2)]);
        drain(&level);
        assert_eq!(told(&epoll, 9), []);
    }

    #[test]
    fn what_is_told_once_is_asked_for_again() {
        let (epoll, once) = (Epoll::new(), event(1));
        add(&epoll, &once, IN | EPOLLONESHOT, 1).unwrap();
        assert_eq!(told(&epoll, 9), [(IN, 1)]);
        signal(&once);
        assert_eq!(told(&epoll, 9), []);
        epoll.modify(&*thread(), 1, &once, Interest { events: IN | OUT, data: 7 }).unwrap();
        assert_eq!(told(&epoll, 9), [(IN | OUT, 7)]);
    }

    #[test]
    fn those_that_are_ready_take_turns() {
        let epoll = Epoll::new();
        let all: Vec<_> = (0..3).map(|_| event(1)).collect();
        for (data, open) in (0..).zip(&all) {
            add(&epoll, open, IN, data).unwrap();
        }
        let seen: Vec<_> = (0..6).flat_map(|_| told(&epoll, 1)).map(|(_, data)| data).collect();
        assert_eq!(seen, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn what_is_closed_or_removed_is_told_no_more() {
        let (epoll, closed, removed) = (Epoll::new(), event(1), event(1));
        add(&epoll, &closed, IN, 1).unwrap();
        add(&epoll, &removed, IN, 2).unwrap();
        assert_eq!(add(&epoll, &removed, IN, 2), Err(Errno::EEXIST));
        epoll.remove(2, &removed).unwrap();
        assert_eq!(epoll.remove(2, &removed), Err(Errno::ENOENT));
        drop(closed);
        assert_eq!(told(&epoll, 9), []);
        assert!(epoll.entries.borrow().is_empty() && epoll.queue.items.lock().is_empty());
    }

    #[test]
    fn files_that_are_closed_or_removed_take_no_memory_though_nobody_waits() {
        let (epoll, stays) = (Epoll::new(), event(1));
        add(&epoll, &stays, IN, 1000).unwrap();
        for fd in 0..500 {
            // Ready, which nobody asks for, and never ready.
            add(&epoll, &event(fd & 1), IN, fd).unwrap();
        }
        let (entries, items) = (epoll.entries.borrow().len(), epoll.queue.items.lock().len());
        assert!(entries <= 20 && items <= 60, "{entries} entries, {items} in the queue");
        assert_eq!(told(&epoll, 99), [(IN, 1000)]);
        for fd in 0..500 {
            add(&epoll, &stays, IN, fd).unwrap();
            epoll.remove(fd, &stays).unwrap();
        }
        let items = epoll.queue.items.lock().len();
        assert!(items <= 60, "{items} in the queue");
        assert_eq!(told(&epoll, 99), [(IN, 1000)]);
    }

    #[test]
    fn the_end_of_the_other_side_is_always_told() {
        let [reader, writer] = Pipe::pair();
        let (epoll, reader) = (Epoll::new(), Open::uncounted(reader, 0));
        add(&epoll, &reader, 0, 1).unwrap();
        assert_eq!(told(&epoll, 9), []);
        drop(writer);
        assert_eq!(told(&epoll, 9), [(Ready::HUP.bits(), 1)]);
    }

    #[test]
    fn circles_are_refused_and_chains_work() {
        let all: Vec<_> = (0..6).map(|_| Open::uncounted(Epoll::new(), O_RDWR)).collect();
        let set = |at: usize| all[at].as_kind::<Epoll>().unwrap();
        let ready = event(0);
        add(set(0), &ready, IN, 9).unwrap();
        for at in 1..5 {
            assert_eq!(add(set(at), &all[at - 1], IN, at as u64), Ok(()), "{at}");
        }
        assert_eq!(add(set(5), &all[4], IN, 5), Err(Errno::ELOOP), "too deep");
        assert_eq!(add(set(0), &all[3], IN, 1), Err(Errno::ELOOP), "a circle");
        assert_eq!(told(set(4), 9), []);
        signal(&ready);
        assert_eq!(told(set(4), 9), [(IN, 4)]);
    }

    #[test]
    fn an_epoll_hears_of_each_edge_of_one_that_is_ready() {
        let (inner, outer, open) = (Open::uncounted(Epoll::new(), O_RDWR), Epoll::new(), event(0));
        add(inner.as_kind().unwrap(), &open, IN, 1).unwrap();
        add(&outer, &inner, IN | EPOLLET, 2).unwrap();
        for _ in 0..2 {
            signal(&open);
            assert_eq!(told(&outer, 9), [(IN, 2)]);
            assert_eq!(told(&outer, 9), []);
        }
    }

    #[test]
    fn chains_are_as_short_when_they_are_built_from_the_top() {
        let all: Vec<_> = (0..6).map(|_| Open::uncounted(Epoll::new(), O_RDWR)).collect();
        let set = |at: usize| all[at].as_kind::<Epoll>().unwrap();
        for at in (2..6).rev() {
            assert_eq!(add(set(at), &all[at - 1], IN, 1), Ok(()), "{at}");
        }
        assert_eq!(add(set(1), &all[0], IN, 1), Err(Errno::ELOOP), "too deep");
        // Neither what is removed nor what is closed counts.
        set(3).remove(1, &all[2]).unwrap();
        assert_eq!(add(set(1), &all[0], IN, 1), Ok(()));
        assert_eq!(add(set(3), &all[2], IN, 1), Err(Errno::ELOOP), "from its middle");
        let above = Open::uncounted(Epoll::new(), O_RDWR);
        add(above.as_kind().unwrap(), &all[5], IN, 1).unwrap();
        assert_eq!(add(set(3), &event(0), IN, 7), Ok(()), "no epoll");
        drop(above);
        set(1).remove(1, &all[0]).unwrap();
        assert_eq!(add(set(3), &all[2], IN, 1), Ok(()));
    }

    #[test]
    fn a_change_is_heard_once_however_many_ways_it_comes() {
        let (ready, count) = (event(0), 30);
        let all: Vec<_> = (0..5).map(|_| Open::uncounted(Epoll::new(), O_RDWR)).collect();
        let set = |at: usize| all[at].as_kind::<Epoll>().unwrap();
        add(set(0), &ready, IN, 0).unwrap();
        for (at, fd) in (1..5).flat_map(|at| (0..count).map(move |fd| (at, fd))) {
            add(set(at), &all[at - 1], IN | EPOLLET, fd).unwrap();
        }
        for _ in 0..2 {
            let before = set(4).queue.filled.changes();
            signal(&ready);
            assert_eq!(set(4).queue.filled.changes() - before, 1);
            assert_eq!(told(set(4), 99).len(), count as usize);
        }
    }

    #[test]
    fn a_change_finds_room_that_is_there_already_u4() {
        let epoll = Epoll::new();
        let all: Vec<_> = (0..100).map(|_| event(0)).collect();
        for (fd, open) in (0..).zip(&all) {
            add(&epoll, open, IN, fd).unwrap();
        }
        let room = || epoll.queue.items.lock().capacity();
        for _ in 0..2 {
            let before = room();
            assert!(before >= all.len());
            all.iter().for_each(|it| signal(it));
            // Some are told, stay ready, and become so again.
            assert_eq!(told(&epoll, 70).len(), 70);
            all.iter().for_each(|it| signal(it));
            assert_eq!(told(&epoll, 200).len(), 100);
            for (fd, open) in (0..50).zip(&all) {
                epoll.remove(fd, open).unwrap();
            }
            all.iter().for_each(|it| signal(it));
            assert_eq!(room(), before);
            for (fd, open) in (0..50).zip(&all) {
                add(&epoll, open, IN, fd).unwrap();
                assert!(room() >= 100);
            }
        }
    }

    #[test]
    fn an_epoll_that_is_dropped_takes_what_is_ready_with_it() {
        let (epoll, open) = (Epoll::new(), event(1));
        add(&epoll, &open, IN, 1).unwrap();
        let queue = Arc::downgrade(&epoll.queue);
        drop(epoll);
        assert!(queue.upgrade().is_none());
    }
}
