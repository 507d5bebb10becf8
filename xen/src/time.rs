//! Reads the clocks that Xen keeps in the shared info page: system time (`vcpu_time_info`) and
//! wall clock (`wc_*`), both of `public/xen.h`.

pub use crate::hypercall::rdtsc;
use crate::memory::SharedPage;
use crate::public::{shared_info, vcpu_info, vcpu_time_info};
use core::mem::offset_of;
use core::time::Duration;

/// Number of readings of a record whose version says that Xen is writing it. Xen is done in well
/// under a microsecond, so after this many the version is wrong, and waiting would not end
/// (rule S4).
const TRIES: u32 = 1000;

/// The fields of `vcpu_time_info`: at TSC `tsc_timestamp` the system time was `system_time` ns;
/// since then it advances by `mul * 2^(shift - 32)` ns per tick.
#[derive(Clone, Copy, Debug)]
struct Sample {
    tsc_timestamp: u64,
    system_time: u64,
    mul: u32,
    shift: i8,
}

impl Sample {
    /// Returns the system time in ns when the time stamp counter reads `tsc`.
    fn at(self, tsc: u64) -> u64 {
        // Modulo 2^64, as `tsc_timestamp` of a new domain with an emulated TSC is below zero. A
        // negative difference means that the TSC was read just before the record was updated:
        // no time has passed.
        let ticks = tsc.wrapping_sub(self.tsc_timestamp).cast_signed().max(0).cast_unsigned();
        let scaled = if self.shift < 0 {
            ticks.checked_shr(u32::from(self.shift.unsigned_abs())).unwrap_or(0)
        } else {
            ticks.checked_shl(u32::from(self.shift.unsigned_abs())).unwrap_or(u64::MAX)
        };
        let elapsed = (u128::from(scaled) * u128::from(self.mul)) >> 32;
        self.system_time.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }
}

/// Calls `read` until `version` is even and the same before and after, so that Xen did not write
/// meanwhile; after [`TRIES`] calls, returns the last result anyway.
fn untorn<T>(page: &SharedPage, version: usize, read: impl Fn() -> T) -> T {
    let mut tries = 0;
    loop {
        let before = page.load_u32(version);
        let value = read();
        tries += 1;
        if (before.is_multiple_of(2) && before == page.load_u32(version)) || tries == TRIES {
            return value;
        }
        core::hint::spin_loop();
    }
}

/// Reads vCPU 0's record, and the time stamp counter at that time.
fn sample(page: &SharedPage) -> (Sample, u64) {
    let base = offset_of!(shared_info, vcpu_info) + offset_of!(vcpu_info, time);
    untorn(page, base + offset_of!(vcpu_time_info, version), || {
        let scale = page.load_u64(base + offset_of!(vcpu_time_info, tsc_to_system_mul));
        let sample = Sample {
            tsc_timestamp: page.load_u64(base + offset_of!(vcpu_time_info, tsc_timestamp)),
            system_time: page.load_u64(base + offset_of!(vcpu_time_info, system_time)),
            mul: scale as u32,
            shift: (scale >> 32) as i8,
        };
        (sample, rdtsc())
    })
}

/// Returns vCPU 0's record, a `struct vcpu_time_info` (`public/xen.h`).
#[must_use]
pub fn record(shared_info: &SharedPage) -> [u8; size_of::<vcpu_time_info>()] {
    let base = offset_of!(shared_info, vcpu_info) + offset_of!(vcpu_info, time);
    untorn(shared_info, base + offset_of!(vcpu_time_info, version), || {
        let mut record = [0; size_of::<vcpu_time_info>()];
        for (at, word) in record.as_chunks_mut().0.iter_mut().enumerate() {
            *word = shared_info.load_u64(base + 8 * at).to_le_bytes();
        }
        record
    })
}

/// Returns the system time of vCPU 0: ns since Xen started. It may step back by some ns when Xen
/// corrects the rate; `kernel::time` makes it monotonic.
#[must_use]
pub fn system_time(shared_info: &SharedPage) -> u64 {
    let (sample, tsc) = sample(shared_info);
    sample.at(tsc)
}

/// Returns the wall clock: the time since 1970-01-01 00:00:00 UTC, as dom0 set it. Xen publishes
/// what it was at system time 0, so this is that plus [`system_time`].
#[must_use]
pub fn wall_clock(shared_info: &SharedPage) -> Duration {
    let word = |offset| u64::from(shared_info.load_u32(offset));
    let zero = untorn(shared_info, offset_of!(shared_info, wc_version), || {
        let seconds =
            word(offset_of!(shared_info, wc_sec_hi)) << 32 | word(offset_of!(shared_info, wc_sec));
        // `wc_nsec` is below 10^9; if it is not, saturate rather than overflow.
        Duration::from_secs(seconds)
            .saturating_add(Duration::from_nanos(word(offset_of!(shared_info, wc_nsec))))
    });
    zero.saturating_add(Duration::from_nanos(system_time(shared_info)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{leaked_page, set_tsc};

    #[test]
    fn ticks_scale_both_ways() {
        // 2 GHz: half a ns a tick.
        let sample = Sample { tsc_timestamp: 1000, system_time: 5, mul: 1 << 31, shift: 0 };
        assert_eq!(sample.at(1000), 5);
        assert_eq!(sample.at(3000), 1005);
        assert_eq!(sample.at(10), 5, "a tick before the record is no time");
        assert_eq!(Sample { shift: 1, ..sample }.at(3000), 2005);
        assert_eq!(Sample { shift: -1, ..sample }.at(3000), 505);
    }

    #[test]
    fn nonsense_saturates() {
        let sample = Sample { tsc_timestamp: 0, system_time: u64::MAX - 9, mul: !0, shift: 127 };
        assert_eq!(sample.at(u64::MAX >> 1), u64::MAX);
        assert_eq!(Sample { shift: -128, ..sample }.at(u64::MAX >> 1), u64::MAX - 9);
    }

    #[test]
    fn a_stamp_below_zero_is_in_the_past() {
        let stamp = 0_u64.wrapping_sub(1000);
        let sample = Sample { tsc_timestamp: stamp, system_time: 5, mul: 1 << 31, shift: 0 };
        assert_eq!(sample.at(1000), 1005);
    }

    #[test]
    fn time_runs_with_the_tsc() {
        let page = leaked_page();
        let base = offset_of!(shared_info, vcpu_info) + offset_of!(vcpu_info, time);
        page.store_u32(base + offset_of!(vcpu_time_info, tsc_to_system_mul), 1 << 31);
        set_tsc(5000);
        assert_eq!(system_time(&page), 2500);
        set_tsc(7000);
        assert_eq!(system_time(&page), 3500);
    }

    #[test]
    fn a_record_that_is_never_whole_does_not_hang_s4() {
        let page = leaked_page();
        let base = offset_of!(shared_info, vcpu_info) + offset_of!(vcpu_info, time);
        page.store_u32(base, 1);
        page.copy_in(base + offset_of!(vcpu_time_info, system_time), &7_u64.to_le_bytes());
        assert_eq!(system_time(&page), 7);
    }

    #[test]
    fn the_wall_clock_is_what_it_was_plus_the_time_since() {
        let page = leaked_page();
        page.store_u32(offset_of!(shared_info, wc_sec), 5);
        page.store_u32(offset_of!(shared_info, wc_sec_hi), 1);
        page.store_u32(offset_of!(shared_info, wc_nsec), 999_999_999);
        let base = offset_of!(shared_info, vcpu_info) + offset_of!(vcpu_info, time);
        page.copy_in(base + offset_of!(vcpu_time_info, system_time), &1_u64.to_le_bytes());
        assert_eq!(wall_clock(&page), Duration::from_secs((1 << 32) + 6));
    }
}
