//! The paravirtual clocks: `vcpu_time_info` and `wc_*` in the shared info page.

pub use crate::hypercall::rdtsc;
use crate::memory::SharedPage;
use crate::public::{shared_info, vcpu_info, vcpu_time_info};
use core::mem::offset_of;
use core::time::Duration;

/// How often a torn reading is tried again. Xen writes the record in well
/// under a microsecond, so more means that it is not being written at all (S4).
const TRIES: u32 = 1000;

/// `vcpu_time_info`: at TSC `tsc_timestamp` the system time was `system_time`
/// ns; from there on it runs at `mul * 2^(shift - 32)` ns a tick.
#[derive(Clone, Copy, Debug)]
struct Sample {
    tsc_timestamp: u64,
    system_time: u64,
    mul: u32,
    shift: i8,
}

impl Sample {
    /// System time in ns when the time stamp counter reads `tsc`.
    fn at(self, tsc: u64) -> u64 {
        // The stamp of a young domain whose TSC Xen emulates is below zero, so
        // the difference wraps; but the TSC may also have been read just before
        // the record was renewed, and then no time has passed.
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

/// What `read` gives between two equal, even versions: a record that Xen did
/// not write meanwhile. After [`TRIES`] torn readings, the last one as it is.
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

/// vCPU 0's record, and the time stamp counter with it.
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

/// System time: ns since Xen started, on vCPU 0. It may step back by a little
/// between two readings; `kernel::time` makes it monotonic.
#[must_use]
pub fn system_time(shared_info: &SharedPage) -> u64 {
    let (sample, tsc) = sample(shared_info);
    sample.at(tsc)
}

/// The wall clock: time since 1970-01-01 00:00:00 UTC. Xen tells what it was at
/// system time 0.
#[must_use]
pub fn wall_clock(shared_info: &SharedPage) -> Duration {
    let word = |offset| u64::from(shared_info.load_u32(offset));
    let zero = untorn(shared_info, offset_of!(shared_info, wc_version), || {
        let seconds =
            word(offset_of!(shared_info, wc_sec_hi)) << 32 | word(offset_of!(shared_info, wc_sec));
        // Xen keeps the rest below a second; whatever it is, it must not overflow.
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
