//! The page in which programs find what the clocks show, so that the vDSO can read them.
//!
//! Xen keeps a record of its clock in the shared info page and corrects it once in a second, so that
//! the clock may step back by some ns. What programs see may not, so the page holds numbers of
//! ours: they go on where the old ones are, and are made to meet Xen's within a second.

use core::cell::{Cell, OnceCell};
use core::time::Duration;
use kernel::time::{Instant, wall_clock};
use kernel::user::{Frame, PAGE, time_ahead, time_record};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Binary digits of a fraction of [`Shown::rate`].
const FRACTION: u32 = 56;

/// ns in a second: the time in which a step back is made up for.
const SECOND: u64 = 1_000_000_000;

/// The wall clock was set if it is off by so many ns.
const SET: u64 = 1_000_000;

/// `struct vcpu_time_info` (`public/xen.h`).
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Record {
    version: u32,
    pad: u32,
    ticks: u64,
    ns: u64,
    mul: u32,
    shift: i8,
    flags: u8,
    pad2: [u8; 2],
}

/// What the vDSO reads: see `exec/vdso/vdso.s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Shown {
    version: u32,
    pad: u32,
    ticks: u64,
    ns: u64,
    /// ns a tick, times 2^56.
    rate: u64,
    /// What the wall clock is ahead, in ns.
    ahead: u64,
}

impl Record {
    /// ns a tick, times 2^56, if it is one that there can be.
    fn rate(&self) -> Option<u64> {
        // mul * 2^(shift - 32)
        let shift = u32::try_from(i32::from(self.shift) + FRACTION as i32 - 32).ok()?;
        u64::from(self.mul).checked_mul(1_u64.checked_shl(shift)?).filter(|&it| it != 0)
    }
}

impl Shown {
    fn at(&self, ticks: u64) -> u64 {
        let passed = ticks.wrapping_sub(self.ticks).cast_signed().max(0).cast_unsigned();
        let more = (u128::from(passed) * u128::from(self.rate)) >> FRACTION;
        self.ns.saturating_add(u64::try_from(more).unwrap_or(u64::MAX))
    }

    /// Returns it for a processor whose ticks are no longer those of before, as that of another
    /// domain: what it showed last stands still.
    const fn stopped(self) -> Self {
        Self { rate: 0, ..self }
    }

    /// Returns what is shown from now on, when the clock shows `now` ns and `record` is new. It
    /// goes on where it is, if that is not behind.
    fn next(&self, record: &Record, now: u64) -> Option<Self> {
        let rate = record.rate()?;
        // The record may be older than this machine, whose clock begins at 0.
        let passed = i128::from(now) - i128::from(record.ns.cast_signed());
        let passed = passed.max(0).cast_unsigned() << FRACTION;
        let ticks = record.ticks.wrapping_add(u64::try_from(passed / u128::from(rate)).ok()?);
        let before = if self.version == 0 { 0 } else { self.at(ticks) };
        let early = before.saturating_sub(now).min(SECOND / 1000);
        let less = u128::from(rate) * u128::from(early) / u128::from(SECOND);
        Some(Self {
            version: self.version.wrapping_add(1).max(1),
            ticks,
            ns: now.max(before),
            rate: rate - less as u64,
            ..*self
        })
    }
}

/// The page, once a program was begun that can read it.
#[derive(Default)]
pub struct Page {
    frames: OnceCell<Option<[Frame; 2]>>,
    shown: Cell<Shown>,
    /// The version of Xen's record that is shown.
    version: Cell<u32>,
    /// What the kernel's clock was ahead of Xen's then, which another domain changes.
    ahead: Cell<i64>,
}

impl Page {
    /// Returns the page and the one of the vDSO, whose bytes are `code`. `None`: there is none.
    pub fn frames(&self, code: &[u8]) -> Option<&[Frame; 2]> {
        let made = self.frames.get_or_init(|| {
            time_record()?;
            let frames = [Frame::new()?, Frame::new()?];
            frames[1].write(0, code.get(..PAGE.min(code.len()))?);
            Some(frames)
        });
        self.update();
        made.as_ref()
    }

    /// Shows what Xen's record says now, if that is new. For whenever a program has not run for a
    /// while.
    pub fn update(&self) {
        let Some(Some(frames)) = self.frames.get() else { return };
        let Some(record) = time_record() else { return };
        let mut record: Record = zerocopy::transmute!(record);
        let moved = self.ahead.get() != time_ahead();
        // Odd: it is being written, which this processor cannot see.
        if record.version == self.version.get() && !moved || record.version % 2 == 1 {
            return;
        }
        record.ns = record.ns.wrapping_add_signed(time_ahead());
        let shown = self.shown.get();
        let old = if moved { shown.stopped() } else { shown };
        let (now, wall) = (Instant::now(), wall_clock());
        let Some(mut new) = old.next(&record, now.as_nanos()) else { return };
        let ahead = super::nanos(wall.saturating_sub(Duration::from_nanos(now.as_nanos())));
        new.ahead = if old.ahead.abs_diff(ahead) > SET { ahead } else { old.ahead };
        self.version.set(record.version);
        self.ahead.set(time_ahead());
        self.shown.set(new);
        frames[0].write(0, new.as_bytes());
    }
}

const _: () = assert!(size_of::<Record>() == 32 && size_of::<Shown>() == 40);

#[cfg(test)]
mod tests {
    use super::*;

    const fn record(ticks: u64, ns: u64) -> Record {
        // 2 GHz: half a ns a tick.
        Record { version: 2, pad: 0, ticks, ns, mul: 1 << 31, shift: 0, flags: 0, pad2: [0; 2] }
    }

    #[test]
    fn it_begins_with_the_record() {
        let shown = Shown::default().next(&record(1000, 5000), 5500).unwrap();
        assert_eq!((shown.version, shown.ticks, shown.ns), (1, 2000, 5500));
        assert_eq!((shown.at(1000), shown.at(4000)), (5500, 6500));
        let slow = Record { shift: 3, ..record(0, 0) };
        assert_eq!(Shown::default().next(&slow, 0).unwrap().at(10), 40);
        let fast = Record { shift: -2, ..record(0, 0) };
        assert_eq!(Shown::default().next(&fast, 0).unwrap().at(80), 10);
    }

    #[test]
    fn it_never_steps_back_and_meets_the_record_within_a_second() {
        let first = Shown::default().next(&record(0, 0), 0).unwrap();
        // After a second by the old record, Xen says that it was 400 ns less.
        let new = record(2_000_000_000, 999_999_600);
        let second = first.next(&new, 999_999_700).unwrap();
        let ticks = second.ticks;
        assert!(second.at(ticks) >= first.at(ticks));
        assert!(second.at(ticks) - first.at(ticks) <= 1);
        let later = ticks + 2_000_000_000;
        let due = 999_999_700 + 1_000_000_000;
        assert!(second.at(later).abs_diff(due) <= 2, "{}", second.at(later));
    }

    #[test]
    fn a_step_forward_is_made_at_once() {
        let first = Shown::default().next(&record(0, 0), 0).unwrap();
        let second = first.next(&record(2000, 5000), 5000).unwrap();
        assert_eq!(second.at(2000), 5000);
        assert_ne!(second.version, first.version);
    }

    #[test]
    fn ticks_of_another_domain_do_not_count() {
        let first = Shown::default().next(&record(0, 0), 700).unwrap();
        // Saved for 50 s, in which the processor counted and the kernel's clock stood still.
        let new = record(100_000_000_000, 900);
        let second = first.stopped().next(&new, 1000).unwrap();
        assert_eq!(second.at(second.ticks), 1000);
        assert_eq!(second.at(second.ticks + 2_000_000_000), 1000 + SECOND);
        // What was shown last is not taken back.
        let ahead = first.stopped().next(&new, 600).unwrap();
        assert!(ahead.at(ahead.ticks) == 700);
    }

    #[test]
    fn a_record_may_be_older_than_the_machine() {
        let old = record(0, (-900_i64).cast_unsigned());
        let shown = Shown::default().next(&old, 100).unwrap();
        assert_eq!((shown.at(shown.ticks), shown.ticks), (100, 2 * 1000));
    }

    #[test]
    fn a_record_that_makes_no_sense_is_not_shown() {
        for (mul, shift) in [(0, 0), (1 << 31, 127), (1 << 31, -128), (1, -40), (u32::MAX, 9)] {
            let record = Record { mul, shift, ..record(0, 0) };
            assert_eq!(Shown::default().next(&record, 7), None, "{mul} {shift}");
        }
        assert_eq!(Shown::default().next(&record(0, 0), u64::MAX), None, "584 years ahead");
    }
}
