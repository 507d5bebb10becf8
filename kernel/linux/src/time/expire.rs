//! What happens when a timer expires.

use super::clock::Clock;
use super::timers::{Setting, Timer};
use crate::errno::Errno;
use crate::process::Process;
use crate::signal::{Info, Receiver, Signal};
use alloc::rc::Rc;
use core::cell::Cell;
use kernel::task::try_spawn;
use kernel::time::sleep_until;

/// A timer expires no more often than once in so many ns; what it should have more, it counts.
const LEAST: u64 = 100_000;

/// ns in a second.
const SECOND: u64 = 1_000_000_000;

/// Moves a setting to its next time after `now`. Returns how many it has missed.
fn advance(setting: &Cell<Setting>, now: u64) -> u64 {
    let Setting { next, interval } = setting.get();
    if interval == 0 {
        setting.set(Setting::default());
        return 0;
    }
    let missed = (now + LEAST).saturating_sub(next) / interval;
    let next = next.saturating_add(interval.saturating_mul(missed + 1));
    setting.set(Setting { next, interval });
    missed
}

/// Arms `ITIMER_REAL`, or stops it.
///
/// # Errors
/// `ENOMEM`
pub(super) fn arm_real(process: &Rc<Process>, setting: Setting) -> Result<(), Errno> {
    let intervals = &process.intervals;
    intervals.real.set(setting);
    drop(intervals.task.take());
    if setting.next == 0 {
        return Ok(());
    }
    let weak = Rc::downgrade(process);
    let task = try_spawn(async move {
        let mut next = setting.next;
        while next != 0 {
            sleep_until(Clock::Monotonic.instant(next)).await;
            let Some(process) = weak.upgrade() else { return };
            advance(&process.intervals.real, Clock::Monotonic.now());
            next = process.intervals.real.get().next;
            let _ = process.send(Info::kernel(Signal::ALRM));
        }
    });
    intervals.task.replace(Some(task.ok_or(Errno::ENOMEM)?));
    Ok(())
}

/// Arms a timer that follows a clock of the machine, or stops it.
///
/// # Errors
/// `ENOMEM`
pub(super) fn arm(
    process: &Rc<Process>,
    timer: &Rc<Timer>,
    clock: Clock,
    setting: Setting,
) -> Result<(), Errno> {
    let counted = timer.setting.get().next != 0 && clock.counts();
    timer.setting.set(setting);
    timer.overrun.set(0);
    drop(timer.task.take());
    if let Some(signal) = timer.signal {
        process.signals.discard_timer(signal, timer.id);
    }
    if clock.counts() {
        let change = isize::from(setting.next != 0) - isize::from(counted);
        process.timers.counting.update(|it| it.saturating_add_signed(change));
        return Ok(());
    }
    if setting.next == 0 {
        return Ok(());
    }
    let (weak, timer_weak) = (Rc::downgrade(process), Rc::downgrade(timer));
    let task = try_spawn(async move {
        let mut next = setting.next;
        while next != 0 {
            // The clock may have been set meanwhile.
            while clock.now() < next {
                sleep_until(clock.instant(next)).await;
            }
            let (Some(process), Some(timer)) = (weak.upgrade(), timer_weak.upgrade()) else {
                return;
            };
            send(&process, &timer, clock.now());
            next = timer.setting.get().next;
        }
    });
    timer.task.replace(Some(task.ok_or(Errno::ENOMEM)?));
    Ok(())
}

/// Sends what a timer sends that has expired.
fn send(process: &Process, timer: &Timer, now: u64) {
    let missed = i32::try_from(advance(&timer.setting, now)).unwrap_or(i32::MAX);
    let Some(signal) = timer.signal else { return };
    if process.signals.has_timer(timer.id) {
        timer.overrun.update(|it| it.saturating_add(missed).saturating_add(1));
        return;
    }
    timer.overrun.set(missed);
    let info = Info::timer(signal, timer.id, missed, timer.value);
    let _ = match process.thread(timer.thread) {
        Some(thread) => process.send_to(&thread, info),
        None if timer.thread == 0 => process.send(info),
        None => Ok(()),
    };
}

/// Looks for timers that expire by what a thread of `process` has just run.
pub fn expire(process: &Rc<Process>, thread: &Rc<Receiver>) {
    let ran = process.cpu_time();
    for (timer, signal) in process.intervals.ran.iter().zip([Signal::VTALRM, Signal::PROF]) {
        let next = timer.get().next;
        if next != 0 && ran >= next {
            advance(timer, ran);
            let _ = process.send(Info::kernel(signal));
        }
    }
    if let Some((soft, hard)) = process.intervals.most.get() {
        if ran >= hard {
            let _ = process.send(Info::kernel(Signal::KILL));
        } else if ran >= soft {
            // Again each second, as on Linux.
            process.intervals.most.set(Some((soft.saturating_add(SECOND), hard)));
            let _ = process.send(Info::kernel(Signal::XCPU));
        }
    }
    if !process.timers.counts() {
        return;
    }
    for timer in process.timers.all() {
        let next = timer.setting.get().next;
        let now = match timer.counted {
            _ if next == 0 => continue,
            Some(0) => ran,
            Some(id) if id == thread.id() => thread.cpu_time(),
            _ => continue,
        };
        if now >= next {
            send(process, &timer, now);
            if timer.setting.get().next == 0 {
                process.timers.counting.update(|it| it.saturating_sub(1));
            }
        }
    }
}
