//! Where randomness comes from: RDSEED or RDRAND.

use ::xen::time::rdtsc;

/// How often an instruction that has no number ready is tried again: ten times
/// is what Intel's guide asks for RDRAND; RDSEED may be slower.
const TRIES: u32 = 100;

/// A number that is hard to predict by a few bits.
pub(crate) fn jitter() -> u64 {
    rdtsc()
}

/// Four numbers of the processor's generator, if it has one that works and
/// that the toolstack lets this domain see.
pub(crate) fn hardware_seed() -> Option<[u64; 4]> {
    let (_, rdrand, _) = cpuid(1, 0);
    let (rdseed, _, _) = cpuid(7, 0);
    let draw: fn() -> Option<u64> = if rdseed >> 18 & 1 != 0 {
        || draw(rdseed_step)
    } else if rdrand >> 30 & 1 != 0 {
        || draw(rdrand_step)
    } else {
        return None;
    };
    Some([draw()?, draw()?, draw()?, draw()?])
}

fn draw(step: fn() -> Option<u64>) -> Option<u64> {
    (0..TRIES).find_map(|_| step())
}

/// CPUID as Xen shows it to this domain: ebx, ecx and edx. A plain `cpuid` in a
/// PV guest may show the processor itself; the prefix asks Xen to emulate it
/// (`XEN_CPUID` in public/arch-x86/xen.h).
fn cpuid(leaf: u32, subleaf: u32) -> (u32, u32, u32) {
    let (ebx, ecx, edx): (u32, u32, u32);
    // SAFETY: reads nothing but registers; rbx, which the compiler keeps for
    // itself, is saved.
    unsafe {
        core::arch::asm!(
            "mov {saved}, rbx",
            "ud2",
            ".ascii \"xen\"",
            "cpuid",
            "mov {ebx:e}, ebx",
            "mov rbx, {saved}",
            saved = out(reg) _,
            ebx = out(reg) ebx,
            inout("eax") leaf => _,
            inout("ecx") subleaf => ecx,
            out("edx") edx,
            options(nostack, preserves_flags),
        );
    }
    (ebx, ecx, edx)
}

macro_rules! step {
    ($name:ident, $instruction:literal) => {
        /// A number, if one is ready.
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
