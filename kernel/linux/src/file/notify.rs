//! Tells what happens to files (inotify(7)).

use super::extras::{Watcher, are_watched};
use super::{At, Caller, File, Inode, Open, Place, Stat, Type, next_inode};
use crate::errno::Errno;
use crate::memory::{Ram, Sink, Source};
use crate::process::grows;
use crate::stop::Stop;
use crate::watch::{Ready, Watch};
use alloc::collections::VecDeque;
use alloc::rc::{Rc, Weak};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::{Cell, RefCell};
use linux_raw_sys::general as abi;
use litemap::LiteMap;

/// The most events that wait to be read (/proc/sys/fs/inotify/max_queued_events).
const EVENTS: usize = 16_384;

/// The most watches (/proc/sys/fs/inotify/max_user_watches).
const WATCHES: usize = 65_536;

/// The length of `struct inotify_event` without a name, to a multiple of which that is padded.
const HEAD: usize = 16;

/// The event that tells that others found no room.
const OVERFLOW: [u8; HEAD] = {
    let mut event = [0; HEAD];
    let (watch, mask) = ([0xff; 4], abi::IN_Q_OVERFLOW.to_le_bytes());
    let mut at = 0;
    while at < 4 {
        (event[at], event[4 + at]) = (watch[at], mask[at]);
        at += 1;
    }
    event
};

/// Returns what a program reads of an event that waits.
const fn told(event: &Vec<u8>) -> &[u8] {
    if event.is_empty() { &OVERFLOW } else { event.as_slice() }
}

/// What is watched, and the mask of that.
type Watched = (Rc<dyn Inode>, u32);

/// An open inotify instance.
pub struct Inotify {
    me: Weak<Self>,
    /// Those that wait to be read; an empty one says that others found no room. There is room for
    /// one of these.
    events: RefCell<VecDeque<Vec<u8>>>,
    ram: Rc<Ram>,
    /// What is watched, by the number of the watch, with the mask.
    watches: RefCell<LiteMap<i32, Watched>>,
    last: Cell<i32>,
    changed: Arc<Watch>,
    inode: u64,
}

impl Inotify {
    /// Makes one that watches nothing, whose events take of `ram`.
    pub fn new(ram: &Rc<Ram>) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            events: RefCell::new(VecDeque::with_capacity(1)),
            ram: Rc::clone(ram),
            watches: RefCell::default(),
            last: Cell::new(0),
            changed: Watch::new(),
            inode: next_inode(),
        })
    }

    /// Watches `node`, and returns the number of the watch (inotify_add_watch(2)).
    ///
    /// # Errors
    /// `EEXIST` with `IN_MASK_CREATE`, `ENOSPC` for too many, `ENOMEM`.
    pub fn add(&self, node: &Rc<dyn Inode>, mask: u32) -> Result<i32, Errno> {
        let kept = mask & (abi::IN_ALL_EVENTS | abi::IN_ONESHOT | abi::IN_EXCL_UNLINK);
        let extras = node.extras().ok_or(Errno::ENOSPC)?;
        let me: Weak<dyn Watcher> = Weak::<Self>::clone(&self.me);
        let mut watches = self.watches.borrow_mut();
        let id = node.id();
        let there = watches.iter_mut().find(|(_, (it, _))| it.id() == id);
        if let Some((&watch, (_, old))) = there {
            if mask & abi::IN_MASK_CREATE != 0 {
                return Err(Errno::EEXIST);
            }
            *old = if mask & abi::IN_MASK_ADD != 0 { *old | kept } else { kept };
            extras.watch(me, watch, *old)?;
            return Ok(watch);
        }
        if watches.len() >= WATCHES {
            return Err(Errno::ENOSPC);
        }
        self.ram.check()?;
        grows::<(i32, Watched)>(watches.len())?;
        let watch = self.last.get().checked_add(1).ok_or(Errno::ENOSPC)?;
        extras.watch(me, watch, kept)?;
        self.last.set(watch);
        watches.insert(watch, (Rc::clone(node), kept));
        Ok(watch)
    }

    /// Ends a watch (inotify_rm_watch(2)).
    ///
    /// # Errors
    /// `EINVAL` if there is none of that number.
    pub fn remove(&self, watch: i32) -> Result<(), Errno> {
        let gone = self.watches.borrow_mut().remove(&watch).ok_or(Errno::EINVAL)?;
        if let Some(extras) = gone.0.extras() {
            let me: Weak<dyn Watcher> = Weak::<Self>::clone(&self.me);
            extras.unwatch(&me, watch);
        }
        self.queue(watch, abi::IN_IGNORED, 0, b"");
        Ok(())
    }

    /// Adds an event, unless it is as the last one.
    fn queue(&self, watch: i32, mask: u32, cookie: u32, name: &[u8]) {
        let padded = if name.is_empty() { 0 } else { (name.len() + 1).next_multiple_of(HEAD) };
        let mut event = Vec::new();
        // Caches are asked for what may be taken alone.
        let has_room = self.events.borrow().len() < EVENTS && self.ram.has_room();
        let mut events = self.events.borrow_mut();
        // With room for one that says that there was none.
        let fits = has_room && events.try_reserve(2).is_ok();
        if !fits || event.try_reserve_exact(HEAD + padded).is_err() {
            if events.back().is_none_or(|it| !it.is_empty()) {
                events.push_back(Vec::new());
            }
        } else {
            event.extend_from_slice(&watch.to_le_bytes());
            event.extend_from_slice(&mask.to_le_bytes());
            event.extend_from_slice(&cookie.to_le_bytes());
            event.extend_from_slice(&(padded as u32).to_le_bytes());
            event.extend_from_slice(name);
            event.resize(HEAD + padded, 0);
            if events.back() != Some(&event) {
                events.push_back(event);
            }
        }
        drop(events);
        self.changed.raise();
    }
}

impl Watcher for Inotify {
    fn happened(&self, watch: i32, mask: u32, cookie: u32, name: &[u8]) -> bool {
        let Some((_, wanted)) = self.watches.borrow().get(&watch).map(|it| (it.0.id(), it.1))
        else {
            return false;
        };
        if mask & wanted & abi::IN_ALL_EVENTS != 0 {
            self.queue(watch, mask, cookie, name);
        }
        let ends = wanted & abi::IN_ONESHOT != 0 || mask & abi::IN_DELETE_SELF != 0;
        if ends {
            // The caller goes through the watchers of that inode, which it may be the last of.
            let gone = self.watches.borrow_mut().remove(&watch);
            self.queue(watch, abi::IN_IGNORED, 0, b"");
            drop(gone);
        }
        !ends
    }
}

impl File for Inotify {
    fn label(&self) -> &'static str {
        "inotify"
    }

    fn read(&self, _: &Open, _: At, to: &mut Sink<'_>) -> Result<usize, Stop> {
        let mut events = self.events.borrow_mut();
        let Some(first) = events.front() else { return Err(Stop::Wait) };
        if to.left() < told(first).len() {
            return Err(Errno::EINVAL.into());
        }
        let mut done = 0;
        while let Some(event) = events.front().map(told).filter(|it| it.len() <= to.left()) {
            match to.put(event) {
                Ok(count) if count == event.len() => done += count,
                Ok(_) => return Err(Errno::EFAULT.into()),
                Err(stop) if done == 0 => return Err(stop),
                Err(_) => break,
            }
            events.pop_front();
        }
        Ok(done)
    }

    fn write(&self, _: &Open, _: At, _: &mut Source<'_>) -> Result<usize, Stop> {
        Err(Errno::EBADF.into())
    }

    fn ready(&self) -> Ready {
        let there = !self.events.borrow().is_empty();
        if there { Ready::IN | Ready::RDNORM } else { Ready::empty() }
    }

    fn watch(&self) -> Option<&Arc<Watch>> {
        Some(&self.changed)
    }

    fn stat(&self) -> Result<Stat, Stop> {
        Ok(Stat::of(Type::Anonymous, 0o600, self.inode))
    }

    fn ioctl(&self, caller: &dyn Caller, request: u32, argument: u64) -> Result<usize, Stop> {
        const FIONREAD: u32 = 0x541b;
        if request != FIONREAD {
            return Err(Errno::ENOTTY.into());
        }
        let length: usize = self.events.borrow().iter().map(|it| told(it).len()).sum();
        caller.memory().put(argument, &i32::try_from(length).unwrap_or(i32::MAX))?;
        Ok(0)
    }

    fn any(&self) -> &dyn Any {
        self
    }
}

/// Something happened to what is at `place`: those who watch the folder that it is in hear of it,
/// and then those who watch it.
#[inline(always)]
pub fn happened(place: &Place, mask: u32) {
    if are_watched() {
        tell(place, mask);
    }
}

#[inline(never)]
fn tell(place: &Place, mask: u32) {
    let folder = || if place.node.kind() == Type::Folder { abi::IN_ISDIR } else { 0 };
    let above = place.folder.as_ref().and_then(|it| it.extras());
    if let Some(extras) = above.filter(|it| it.is_watched()) {
        extras.happened(mask | folder(), 0, &place.name);
    }
    if let Some(extras) = place.node.extras().filter(|it| it.is_watched()) {
        extras.happened(mask | folder(), 0, b"");
    }
}

/// A name in `folder` was made or removed, or moved with that cookie: that of a folder if
/// `is_folder`.
pub fn named(folder: &Rc<dyn Inode>, name: &[u8], mask: u32, cookie: u32, is_folder: bool) {
    if let Some(extras) = folder.extras() {
        let kind = if is_folder { abi::IN_ISDIR } else { 0 };
        extras.happened(mask | kind, cookie, name);
    }
}

/// Something happened to `node` itself. That it was moved or is gone is told of a folder as of a
/// file, as Linux does.
pub fn itself(node: &Rc<dyn Inode>, mask: u32) {
    if let Some(extras) = node.extras() {
        let plain = mask & (abi::IN_MOVE_SELF | abi::IN_DELETE_SELF) != 0;
        let kind = if node.kind() == Type::Folder && !plain { abi::IN_ISDIR } else { 0 };
        extras.happened(mask | kind, 0, b"");
    }
}
