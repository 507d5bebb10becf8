//! Signals that are read from a descriptor (signalfd(2)).

use super::info::Info;
use super::set::Set;
use super::signals::Signals;
use crate::errno::Errno;
use crate::file::{At, Caller, File, Open, Stat, Type, next_inode};
use crate::memory::{Sink, Text};
use crate::stop::Stop;
use crate::watch::{Ready, Watch};
use alloc::sync::Arc;
use core::any::Any;
use core::cell::Cell;
use core::fmt::{self, Write};
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

/// Signals of whoever reads it: those of that thread, and those of its process.
pub struct SignalFile {
    set: Cell<Set>,
    inode: u64,
}

impl SignalFile {
    /// Makes one for those of `set`.
    #[must_use]
    pub fn new(set: Set) -> Self {
        Self { set: Cell::new(set.without(Set::FORCED)), inode: next_inode() }
    }

    /// Changes which. Threads of `signals` that wait look again, as on Linux.
    pub fn set(&self, signals: &Signals, set: Set) {
        self.set.set(set.without(Set::FORCED));
        signals.watch().raise();
    }
}

impl File for SignalFile {
    fn label(&self) -> &'static str {
        "[signalfd]"
    }

    fn tell(&self, text: &mut Text) -> fmt::Result {
        writeln!(text, "sigmask:\t{:016x}", self.set.get().bits())
    }

    fn read_by(
        &self,
        caller: &dyn Caller,
        _: &Open,
        _: At,
        to: &mut Sink<'_>,
    ) -> Result<usize, Stop> {
        if to.left() < size_of::<Told>() {
            return Err(Errno::EINVAL.into());
        }
        let (signals, receiver) = caller.signals().ok_or(Errno::EINVAL)?;
        let mut count = 0;
        while to.left() >= size_of::<Told>() {
            let put = signals
                .take_if(receiver, self.set.get(), |info| to.put(Told::new(info).as_bytes()));
            match put {
                None => break,
                Some(Ok(more)) => count += more,
                Some(Err(stop)) if count == 0 => return Err(stop),
                Some(Err(_)) => break,
            }
        }
        if count == 0 { Err(Stop::Wait) } else { Ok(count) }
    }

    fn ready_by(&self, caller: &dyn Caller) -> Ready {
        let pending = caller.signals().is_some_and(|(signals, receiver)| {
            !signals.pending(receiver).and(self.set.get()).is_empty()
        });
        if pending { Ready::IN } else { Ready::empty() }
    }

    fn watch_by<'a>(&'a self, caller: &'a dyn Caller) -> Option<&'a Arc<Watch>> {
        caller.signals().map(|(signals, _)| signals.watch())
    }

    fn stat(&self) -> Result<Stat, Stop> {
        Ok(Stat::of(Type::Anonymous, 0o600, self.inode))
    }

    fn any(&self) -> &dyn Any {
        self
    }
}

const _: () = assert!(size_of::<Told>() == 128);
