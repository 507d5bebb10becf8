//! Sources of randomness: RDSEED, RDRAND and the time stamp counter.

use super::cpuid::cpuid;
use ::xen::time::rdtsc;

/// Number of tries of an instruction that has no number ready. Intel's guide asks for ten for
/// RDRAND; RDSEED may need more.
const TRIES: u32 = 100;

/// Returns a number of which a few bits are hard to predict.
pub(crate) fn jitter() -> u64 {
    rdtsc()
}

/// Returns four numbers of the processor's generator. `None` if it has none, if the toolstack
/// hides it from this domain, or if it does not work.
pub(crate) fn hardware_seed() -> Option<[u64; 4]> {
    let [_, _, rdrand] = cpuid(1, 0);
    let [_, rdseed, _] = cpuid(7, 0);
    let (rdseed, rdrand) = (rdseed >> 18 & 1 != 0, rdrand >> 30 & 1 != 0);
    // Processors share what RDSEED draws from, so that a neighbour may leave it empty; RDRAND goes on.
    let draw = || draw(rdseed, rdseed_step).or_else(|| draw(rdrand, rdrand_step));
    Some([draw()?, draw()?, draw()?, draw()?])
}

/// Draws by an instruction, if the processor has it.
fn draw(has: bool, step: fn() -> Option<u64>) -> Option<u64> {
    let tries = if has { TRIES } else { 0 };
    (0..tries).find_map(|_| {
        let drawn = step();
        if drawn.is_none() {
            core::hint::spin_loop();
        }
        drawn
    })
}

macro_rules! step {
    ($name:ident, $instruction:literal) => {
        /// Returns a number, if one is ready.
        fn $name() -> Option<u64> {
            let (value, ready): (u64, u8);
            // SAFETY: CPUID said that the instruction exists.
            unsafe {
                core::arch::asm!(
                    concat!($instruction, " {value}"),
                    "setc {ready}",
                    value = out(reg) value,
                    ready = out(reg_byte) ready,
                    options(nomem, nostack),
                );
            }
            (ready != 0).then_some(value)
        }
    };
}

step!(rdseed_step, "rdseed");
step!(rdrand_step, "rdrand");
