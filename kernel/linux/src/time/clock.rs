//! The clocks of clock_gettime(2).

use super::nanos;
use crate::errno::Errno;
use crate::process::Process;
use crate::signal::Receiver;
use crate::system::System;
use alloc::rc::Rc;
use core::time::Duration;
use kernel::time::{Instant, wall_clock};
use linux_raw_sys::general as raw;

/// A clock.
#[derive(Clone)]
pub enum Clock {
    /// The time since 1970.
    Realtime,
    /// The time since the machine's clock began.
    Monotonic,
    /// What a process ran.
    Process(Rc<Process>),
    /// What a thread ran.
    Thread(Rc<Receiver>),
}

/// Bits of the clock of a process or thread: which of its times it shows.
const KIND: i32 = 3;
const SCHEDULED: i32 = 2;
const OF_THREAD: i32 = 4;

impl Clock {
    /// Returns the clock of that number (`CLOCK_*`, clock_getcpuclockid(3)), as the thread `own`
    /// of `process` names it.
    ///
    /// # Errors
    /// `EINVAL`
    pub fn of(
        id: i32,
        system: &System,
        process: &Rc<Process>,
        own: &Rc<Receiver>,
    ) -> Result<Self, Errno> {
        if id < 0 {
            let number = !(id >> 3);
            let thread = id & OF_THREAD != 0;
            if id & KIND > SCHEDULED {
                return Err(Errno::EINVAL);
            }
            return match (thread, number) {
                (true, 0) => Ok(Self::Thread(Rc::clone(own))),
                (true, id) => process.thread(id).map(Self::Thread).ok_or(Errno::EINVAL),
                (false, 0) => Ok(Self::Process(Rc::clone(process))),
                (false, id) => system.process(id).map(Self::Process).ok_or(Errno::EINVAL),
            };
        }
        match id as u32 {
            raw::CLOCK_REALTIME
            | raw::CLOCK_REALTIME_COARSE
            | raw::CLOCK_REALTIME_ALARM
            | raw::CLOCK_TAI => Ok(Self::Realtime),
            raw::CLOCK_MONOTONIC
            | raw::CLOCK_MONOTONIC_RAW
            | raw::CLOCK_MONOTONIC_COARSE
            | raw::CLOCK_BOOTTIME
            | raw::CLOCK_BOOTTIME_ALARM => Ok(Self::Monotonic),
            raw::CLOCK_PROCESS_CPUTIME_ID => Ok(Self::Process(Rc::clone(process))),
            raw::CLOCK_THREAD_CPUTIME_ID => Ok(Self::Thread(Rc::clone(own))),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Returns the clock of that number, which something waits for.
    ///
    /// # Errors
    /// Those of [`of`](Self::of), and `EOPNOTSUPP` for one that has no timers on Linux.
    pub fn timed(
        id: i32,
        system: &System,
        process: &Rc<Process>,
        own: &Rc<Receiver>,
    ) -> Result<Self, Errno> {
        const WITHOUT: [u32; 3] =
            [raw::CLOCK_MONOTONIC_RAW, raw::CLOCK_MONOTONIC_COARSE, raw::CLOCK_REALTIME_COARSE];
        let clock = Self::of(id, system, process, own)?;
        if WITHOUT.contains(&(id as u32)) { Err(Errno::EOPNOTSUPP) } else { Ok(clock) }
    }

    /// Returns the time that it shows, in ns.
    #[must_use]
    pub fn now(&self) -> u64 {
        match self {
            Self::Realtime => nanos(wall_clock()),
            Self::Monotonic => Instant::now().as_nanos(),
            Self::Process(process) => process.cpu_time(),
            Self::Thread(thread) => thread.cpu_time(),
        }
    }

    /// Whether it shows what something ran, and so stands while that waits.
    #[must_use]
    pub const fn counts(&self) -> bool {
        matches!(self, Self::Process(_) | Self::Thread(_))
    }

    /// Returns when it will show `ns`, if nobody sets it.
    #[must_use]
    pub fn instant(&self, ns: u64) -> Instant {
        Instant::now().saturating_add(Duration::from_nanos(ns.saturating_sub(self.now())))
    }
}
