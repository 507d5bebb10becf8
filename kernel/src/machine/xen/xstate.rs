//! Enables AVX, and saves and restores the state of x87, SSE and AVX by XSAVE (Intel's manual,
//! volume 1, chapter 13).
//!
//! Xen starts a PV guest with x87 and SSE alone: the guest itself sets CR4.OSXSAVE and XCR0, which
//! Xen emulates. What there is says CPUID through Xen, which may hide some of the processor's.
//!
//! This kernel is compiled for SSE2, and nothing interrupts it that uses more. But a library in its
//! image may use AVX where it finds it. So all of a program's state is saved whenever it stops. Mostly that is xmm0 to xmm15 and MXCSR,
//! which the way out of user mode stores itself: XGETBV says that nothing else is in use, and then
//! nothing else has to be saved or restored.

use super::cpuid::cpuid;
use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};
use spin::Once;

/// CR4.OSXSAVE.
const OSXSAVE: u64 = 1 << 18;

/// Bits of XCR0 and of XSTATE_BV: x87, SSE, AVX, and the three of AVX-512.
const X87: u64 = 1;
const SSE: u64 = 1 << 1;
const AVX: u64 = 1 << 2;
const AVX_512: u64 = 0b111 << 5;

/// Offset of XSTATE_BV in an area.
const XSTATE_BV: usize = 512;

/// Offset of MXCSR.
pub(super) const MXCSR: usize = 24;

/// Offset of xmm0, after which come the others.
pub(super) const XMM: usize = 160;

/// Describes what the processor saves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Units {
    /// XCR0. Without XSAVE, x87 and SSE.
    pub(super) features: u64,
    /// Those but SSE.
    others: u32,
    /// Size of an area in bytes.
    pub(super) size: usize,
    /// Whether there is XSAVE.
    xsave: bool,
    /// Whether XGETBV tells what is in use.
    tracked: bool,
}

/// XCR0 as it was set at boot; 0 without XSAVE.
static FEATURES: AtomicU32 = AtomicU32::new(0);

/// Enables x87, SSE and, if it is `wanted` and Xen shows it to this domain, AVX. Libraries ask the
/// processor once what they may use, so this comes before all of them.
pub(crate) fn start_avx(wanted: bool) {
    let wide = if wanted { AVX | AVX_512 } else { 0 };
    // What XCR0 may hold: nothing without XSAVE. Of AVX-512 Xen shows all parts or none.
    let features = cpuid(0xD, 0)[0] & (X87 | SSE | wide) as u32;
    FEATURES.store(features, Ordering::Relaxed);
    resume();
}

/// Enables in a new domain what was enabled.
pub(super) fn resume() {
    let features = FEATURES.load(Ordering::Relaxed);
    if features == 0 {
        return;
    }
    // SAFETY: Xen emulates it; nothing depends on the bit being clear.
    unsafe {
        asm!("mov {0}, cr4", "or {0}, {1}", "mov cr4, {0}", out(reg) _, in(reg) OSXSAVE);
    }
    // SAFETY: the features are offered, and each comes with those that it needs. No feature has
    // a bit beyond the low half.
    unsafe {
        asm!(
            "xsetbv",
            in("ecx") 0,
            in("eax") features,
            in("edx") 0,
            options(nomem, nostack),
        );
    }
}

/// Says what there is to save of a program.
pub(super) fn units() -> Units {
    static UNITS: Once<Units> = Once::new();
    *UNITS.call_once(|| {
        const XGETBV_1: u32 = 1 << 2;
        match FEATURES.load(Ordering::Relaxed) {
            0 => Units {
                features: X87 | SSE,
                others: X87 as u32,
                size: 576,
                xsave: false,
                tracked: false,
            },
            features => Units {
                features: features.into(),
                others: features & !(SSE as u32),
                size: (cpuid(0xD, 0)[1] as usize).clamp(576, 4096),
                xsave: true,
                tracked: cpuid(0xD, 1)[0] & XGETBV_1 != 0,
            },
        }
    })
}

impl Units {
    /// Returns which units beside SSE are not in their initial state, as far as can be known.
    fn in_use(self) -> u32 {
        if !self.tracked {
            return self.others;
        }
        let low: u32;
        // SAFETY: CPUID says that XGETBV has this register.
        unsafe {
            asm!(
                "xgetbv",
                in("ecx") 1,
                out("eax") low,
                out("edx") _,
                options(nomem, nostack),
            );
        }
        low & self.others
    }

    /// Returns XCR0, of which no bit above 31 is ever set.
    const fn low(self) -> u32 {
        self.features as u32
    }

    /// Saves all but xmm0 to xmm15 and MXCSR, which are in the area already.
    ///
    /// # Safety
    /// `area` has [`size`](Self::size) bytes and is aligned to 64.
    pub(super) unsafe fn save(self, area: *mut u8) {
        // SAFETY: inside the area.
        let present = unsafe { area.add(XSTATE_BV) }.cast::<u64>();
        // SAFETY: as above.
        let mxcsr = unsafe { area.add(MXCSR) }.cast::<u32>();
        let in_use = self.in_use();
        let mut saved = SSE;
        if in_use != 0 && self.xsave {
            // XSAVE writes MXCSR too, which is this kernel's by now.
            // SAFETY: as above.
            let user = unsafe { mxcsr.read() };
            // SAFETY: the area is large enough, and aligned.
            unsafe {
                asm!(
                    "xsave64 [{}]",
                    in(reg) area,
                    in("eax") self.others,
                    in("edx") 0,
                    options(nostack),
                );
            }
            // SAFETY: as above.
            unsafe { mxcsr.write(user) };
            // SAFETY: as above.
            saved |= unsafe { present.read() };
        } else if in_use != 0 {
            // SAFETY: as above.
            unsafe { save_x87(area) };
            saved |= X87;
        }
        // SAFETY: as above.
        unsafe { present.write(saved) };
    }

    /// Restores all but xmm0 to xmm15 and MXCSR, which the way into user mode loads. Until then
    /// nothing may use x87 or AVX.
    ///
    /// # Safety
    /// As [`save`](Self::save); what is in the area was saved there, or checked.
    pub(super) unsafe fn restore(self, area: *const u8) {
        // SAFETY: inside the area.
        let present = unsafe { area.add(XSTATE_BV) }.cast::<u64>();
        // SAFETY: as above.
        let present = unsafe { present.read() };
        if present & !SSE == 0 && self.in_use() == 0 {
            return;
        }
        if self.xsave {
            // SAFETY: the area is large enough and aligned, and holds nothing that is refused.
            unsafe {
                asm!(
                    "xrstor64 [{}]",
                    "ldmxcsr [{}]",
                    in(reg) area,
                    in(reg) &raw const KERNEL_MXCSR,
                    in("eax") self.low(),
                    in("edx") 0,
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                    out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                    out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                    out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                    options(nostack),
                );
            }
        } else {
            // SAFETY: as above.
            unsafe {
                asm!(
                    "fxrstor64 [{}]",
                    "ldmxcsr [{}]",
                    in(reg) area,
                    in(reg) &raw const KERNEL_MXCSR,
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                    out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                    out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                    out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                    options(nostack),
                );
            }
        }
    }
}

/// Saves x87 where there is no XSAVE. Not inlined, as its 512 bytes would be its caller's.
///
/// # Safety
/// `area` has 512 bytes.
#[inline(never)]
unsafe fn save_x87(area: *mut u8) {
    #[repr(align(16))]
    struct Legacy([u8; 512]);
    let mut legacy = Legacy([0; 512]);
    // SAFETY: 512 aligned bytes.
    unsafe { asm!("fxsave64 [{}]", in(reg) &raw mut legacy, options(nostack)) };
    // What x87 has is before MXCSR, and between MXCSR_MASK and xmm0.
    for (at, length) in [(0, MXCSR), (32, XMM - 32)] {
        let from = &raw const legacy.0[at];
        // SAFETY: inside the area.
        let to = unsafe { area.add(at) };
        // SAFETY: as above, and they do not overlap.
        unsafe { to.copy_from_nonoverlapping(from, length) };
    }
}

/// MXCSR as this kernel has it: that of a reset.
pub(super) static KERNEL_MXCSR: u32 = 0x1F80;
