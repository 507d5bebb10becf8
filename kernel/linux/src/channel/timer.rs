//! Timers that are files (timerfd_create(2)).

use crate::errno::Errno;
use crate::file::{At, File, Open, Stat, Type, next_inode};
use crate::memory::{Sink, Text};
use crate::stop::Stop;
use crate::watch::{Ready, Watch};
use alloc::rc::Rc;
use alloc::sync::Arc;
use core::any::Any;
use core::cell::{Cell, RefCell};
use core::fmt::{self, Write};
use core::time::Duration;
use kernel::task::{Task, try_spawn};
use kernel::time::{Instant, sleep_until, wall_clock};

/// Which clock a timer follows. Nobody sets the clocks, so both run alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Since boot (`CLOCK_MONOTONIC`, `CLOCK_BOOTTIME`).
    Monotonic,
    /// Since 1970 (`CLOCK_REALTIME`).
    Realtime,
}

impl Clock {
    /// Returns the time that it shows.
    #[must_use]
    pub fn now(self) -> Duration {
        match self {
            Self::Monotonic => Duration::from_nanos(Instant::now().as_nanos()),
            Self::Realtime => wall_clock(),
        }
    }
}

/// What a timer is set to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// From one expiration to the next; zero: once.
    pub interval: Duration,
    /// To the next expiration; zero: it is not armed.
    pub value: Duration,
}

/// A timer that can be read: how often it expired since the last read.
pub struct Timer {
    clock: Clock,
    interval: Cell<Duration>,
    /// When it expires next; `None`: it is not armed.
    next: Rc<Cell<Option<Instant>>>,
    expired: Arc<Watch>,
    /// A read has set when it expires next.
    again: Arc<Watch>,
    /// Raises `expired` at the next expiration.
    alarm: RefCell<Option<Task<()>>>,
    inode: u64,
}

impl Timer {
    /// Makes one that is not armed.
    #[must_use]
    pub fn new(clock: Clock) -> Rc<Self> {
        Rc::new(Self {
            clock,
            interval: Cell::new(Duration::ZERO),
            next: Rc::default(),
            expired: Watch::new(),
            again: Watch::new(),
            alarm: RefCell::new(None),
            inode: next_inode(),
        })
    }

    /// Returns what is left until it expires, and its interval.
    #[must_use]
    pub fn get(&self) -> Setting {
        let (now, interval) = (Instant::now(), self.interval.get());
        let left = self.next.get().map(|next| {
            let missed = self.missed(now);
            let next = next.saturating_add(saturating_mul(interval, missed));
            // Zero would say that it is not armed.
            next.saturating_duration_since(now).max(Duration::from_nanos(1))
        });
        let once = interval.is_zero() && self.missed(now) > 0;
        Setting { interval, value: left.filter(|_| !once).unwrap_or_default() }
    }

    /// Arms it, or with a value of zero disarms it. `absolute`: the value is a time of its clock.
    ///
    /// # Errors
    /// `ENOMEM`: it is not armed.
    pub fn set(&self, setting: Setting, absolute: bool) -> Result<(), Errno> {
        self.interval.set(setting.interval);
        self.next.set(None);
        self.alarm.take();
        if setting.value.is_zero() {
            return Ok(());
        }
        let wait = match absolute {
            true => setting.value.saturating_sub(self.clock.now()),
            false => setting.value,
        };
        self.arm(Instant::now().saturating_add(wait))
    }

    fn arm(&self, next: Instant) -> Result<(), Errno> {
        let (expired, again) = (Arc::clone(&self.expired), Arc::clone(&self.again));
        let (shared, once) = (Rc::clone(&self.next), self.interval.get().is_zero());
        // That of an interval stays for the expiration behind each read, which so takes no memory.
        let alarm = try_spawn(async move {
            loop {
                let changes = again.changes();
                let Some(next) = shared.get() else { return };
                sleep_until(next).await;
                expired.raise();
                if once {
                    return;
                }
                again.changed_since(changes).await;
            }
        });
        self.alarm.replace(Some(alarm.ok_or(Errno::ENOMEM)?));
        self.next.set(Some(next));
        Ok(())
    }

    /// How often it expired and nobody has read it.
    fn missed(&self, now: Instant) -> u64 {
        match (self.next.get(), self.interval.get().as_nanos()) {
            (Some(next), 0) => u64::from(next <= now),
            (Some(next), interval) if next <= now => {
                let late = now.saturating_duration_since(next).as_nanos();
                (late / interval + 1) as u64
            }
            _ => 0,
        }
    }
}

fn saturating_mul(duration: Duration, times: u64) -> Duration {
    let nanos = duration.as_nanos().saturating_mul(times.into());
    Duration::from_nanos(nanos.min(u64::MAX.into()) as u64)
}

impl File for Timer {
    fn label(&self) -> &'static str {
        "[timerfd]"
    }

    fn tell(&self, text: &mut Text) -> fmt::Result {
        let (clock, ticks) =
            (u8::from(self.clock == Clock::Monotonic), self.missed(Instant::now()));
        let Setting { interval, value } = self.get();
        writeln!(
            text,
            "clockid: {clock}\nticks: {ticks}\nsettime flags: 00\nit_value: ({}, {})\n\
             it_interval: ({}, {})",
            value.as_secs(),
            value.subsec_nanos(),
            interval.as_secs(),
            interval.subsec_nanos(),
        )
    }

    fn read(&self, _: &Open, _: At, to: &mut Sink<'_>) -> Result<usize, Stop> {
        if to.left() < 8 {
            return Err(Errno::EINVAL.into());
        }
        let count = self.missed(Instant::now());
        if count == 0 {
            return Err(Stop::Wait);
        }
        let (next, interval) = (self.next.get(), self.interval.get());
        to.put(&count.to_le_bytes())?;
        match next {
            Some(next) if !interval.is_zero() => {
                self.next.set(Some(next.saturating_add(saturating_mul(interval, count))));
                self.again.raise();
            }
            _ => self.next.set(None),
        }
        Ok(8)
    }

    fn ready(&self) -> Ready {
        let mut ready = Ready::empty();
        ready.set(Ready::IN, self.missed(Instant::now()) > 0);
        ready
    }

    fn watch(&self) -> Option<&Arc<Watch>> {
        Some(&self.expired)
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
    use alloc::vec::Vec;
    use kernel::task::block_on;
    use kernel::time::sleep;

    const MS: Duration = Duration::from_millis(1);

    fn read(timer: &Rc<Timer>) -> Result<u64, Stop> {
        let open = Open::uncounted(Rc::clone(timer) as Rc<dyn File>, 0);
        let mut read = Vec::new();
        open.file.read(&open, At::Position, &mut Sink::kernel(&mut read, 8))?;
        Ok(u64::from_le_bytes(read.try_into().unwrap()))
    }

    #[test]
    fn expirations_are_counted_until_they_are_read() {
        kernel::testing::simulate_time();
        block_on(async {
            let timer = Timer::new(Clock::Monotonic);
            timer.set(Setting { interval: 10 * MS, value: 5 * MS }, false).unwrap();
            assert!(matches!(read(&timer), Err(Stop::Wait)));
            sleep(26 * MS).await;
            assert_eq!(read(&timer).unwrap(), 3);
            assert!(timer.ready().is_empty());
            let left = timer.get();
            assert_eq!((left.interval, left.value), (10 * MS, 9 * MS));
            // The watch tells of the next one, too.
            let changes = timer.expired.changes();
            timer.expired.changed_since(changes).await;
            assert_eq!(read(&timer).unwrap(), 1);
        });
    }

    #[test]
    fn a_read_of_one_that_goes_on_takes_no_memory() {
        kernel::testing::simulate_time();
        kernel::testing::simulate_memory(1 << 22);
        block_on(async {
            let timer = Timer::new(Clock::Monotonic);
            timer.set(Setting { interval: 10 * MS, value: 5 * MS }, false).unwrap();
            sleep(6 * MS).await;
            kernel::testing::simulate_memory_use(1 << 22);
            assert!(timer.set(Setting { interval: MS, value: MS }, false).is_err());
            kernel::testing::simulate_memory_use(0);
            timer.set(Setting { interval: 10 * MS, value: 5 * MS }, false).unwrap();
            kernel::testing::simulate_memory_use(1 << 22);
            for count in [1, 1, 3] {
                let changes = timer.expired.changes();
                timer.expired.changed_since(changes).await;
                sleep(10 * MS * (count - 1)).await;
                assert_eq!(read(&timer).unwrap(), count.into());
                assert!(timer.ready().is_empty());
            }
        });
    }

    #[test]
    fn one_shot_expires_once_and_can_be_disarmed() {
        kernel::testing::simulate_time();
        block_on(async {
            let timer = Timer::new(Clock::Monotonic);
            timer.set(Setting { interval: Duration::ZERO, value: 5 * MS }, false).unwrap();
            sleep(50 * MS).await;
            assert_eq!(timer.get(), Setting::default());
            assert_eq!(read(&timer).unwrap(), 1);
            assert!(matches!(read(&timer), Err(Stop::Wait)));
            timer.set(Setting { interval: MS, value: MS }, false).unwrap();
            timer.set(Setting::default(), false).unwrap();
            sleep(50 * MS).await;
            assert!(timer.ready().is_empty());
        });
    }

    #[test]
    fn a_time_that_is_past_expires_at_once() {
        kernel::testing::simulate_time();
        block_on(async {
            sleep(9 * MS).await;
            let timer = Timer::new(Clock::Monotonic);
            timer.set(Setting { interval: Duration::ZERO, value: MS }, true).unwrap();
            assert_eq!(read(&timer).unwrap(), 1);
        });
    }
}
