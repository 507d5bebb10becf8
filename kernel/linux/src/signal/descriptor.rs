//! Signals that are read from a descriptor (signalfd(2)).

use super::info::Info;
use super::set::Set;
use super::signals::Signals;
use crate::errno::Errno;
use crate::file::{At, File, Open, Stat, Type, next_inode};
use crate::memory::Sink;
use crate::stop::Stop;
use crate::watch::{Ready, Watch};
use alloc::rc::{Rc, Weak};
use alloc::sync::Arc;
use core::any::Any;
use core::cell::Cell;
use linux_raw_sys::general::SI_TIMER;
use zerocopy::{Immutable, IntoBytes};

/// `struct signalfd_siginfo`: 128 bytes.
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C)]
struct Told {
    signal: u32,
    errno: i32,
    code: i32,
    process: u32,
    uid: u32,
    fd: i32,
    timer: u32,
    band: u32,
    overrun: u32,
    trap: u32,
    status: i32,
    int: i32,
    value: u64,
    user_time: u64,
    system_time: u64,
    address: u64,
    others: [u8; 48],
}

impl Told {
    fn new(info: &Info) -> Self {
        let [first, second, ..] = *info.fields();
        let (low, high) = (first as u32, (first >> 32) as u32);
        let timer = info.code() == SI_TIMER;
        let child = info.signal() == super::set::Signal::CHLD && info.code() > 0;
        let fault = info.is_fault() && Set::SYNCHRONOUS.has(info.signal());
        Self {
            signal: info.signal().number() as u32,
            errno: 0,
            code: info.code(),
            process: if timer || fault { 0 } else { low },
            uid: if timer || fault { 0 } else { high },
            fd: 0,
            timer: if timer { low } else { 0 },
            band: 0,
            overrun: if timer { high } else { 0 },
            trap: 0,
            status: if child { second as i32 } else { 0 },
            int: if child { 0 } else { second as i32 },
            value: if child { 0 } else { second },
            user_time: 0,
            system_time: 0,
            address: if fault { first } else { 0 },
            others: [0; 48],
        }
    }
}

/// Signals of the process that made it. Those that were sent to one of its threads are read as
/// well, by whichever reads.
pub struct SignalFile {
    signals: Weak<Signals>,
    watch: Arc<Watch>,
    set: Cell<Set>,
    inode: u64,
}

impl SignalFile {
    /// Makes one for those of `set`.
    #[must_use]
    pub fn new(signals: &Rc<Signals>, set: Set) -> Self {
        Self {
            signals: Rc::downgrade(signals),
            watch: Arc::clone(signals.watch()),
            set: Cell::new(set.without(Set::FORCED)),
            inode: next_inode(),
        }
    }

    /// Changes which.
    pub fn set(&self, set: Set) {
        self.set.set(set.without(Set::FORCED));
        self.watch.raise();
    }

    fn take(&self) -> Option<Info> {
        let signals = self.signals.upgrade()?;
        let receivers = signals.receivers().borrow();
        let set = self.set.get();
        receivers.iter().find_map(|it| signals.take(it, set))
    }

    fn put_back(&self, info: Info) {
        if let Some(signals) = self.signals.upgrade() {
            signals.put_back(info);
        }
    }

    fn is_pending(&self) -> bool {
        self.signals.upgrade().is_some_and(|signals| {
            let receivers = signals.receivers().borrow();
            let set = self.set.get();
            receivers.iter().any(|it| !signals.pending(it).and(set).is_empty())
        })
    }
}

impl File for SignalFile {
    fn read(&self, _: &Open, _: At, to: &mut Sink<'_>) -> Result<usize, Stop> {
        if to.left() < size_of::<Told>() {
            return Err(Errno::EINVAL.into());
        }
        let mut count = 0;
        while to.left() >= size_of::<Told>() && self.is_pending() {
            let Some(info) = self.take() else { break };
            match to.put(Told::new(&info).as_bytes()) {
                Ok(more) => count += more,
                Err(stop) => {
                    self.put_back(info);
                    return if count > 0 { Ok(count) } else { Err(stop) };
                }
            }
        }
        if count == 0 { Err(Stop::Wait) } else { Ok(count) }
    }

    fn ready(&self) -> Ready {
        if self.is_pending() { Ready::IN | Ready::RDNORM } else { Ready::empty() }
    }

    fn watch(&self) -> Option<&Arc<Watch>> {
        Some(&self.watch)
    }

    fn stat(&self) -> Result<Stat, Stop> {
        Ok(Stat::of(Type::Anonymous, 0o600, self.inode))
    }

    fn any(&self) -> &dyn Any {
        self
    }
}

const _: () = assert!(size_of::<Told>() == 128);
