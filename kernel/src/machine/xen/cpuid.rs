//! Asks what the processor can do.

/// Returns eax, ebx and ecx of CPUID as Xen shows them to this domain. A plain `cpuid` in a PV
/// guest may show those of the hardware; the prefix makes Xen emulate it (`XEN_CPUID` in
/// public/arch-x86/xen.h).
pub(super) fn cpuid(leaf: u32, subleaf: u32) -> [u32; 3] {
    let (eax, ebx, ecx): (u32, u32, u32);
    // SAFETY: it writes four registers; rbx, which the compiler keeps for itself, is restored.
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
            inout("eax") leaf => eax,
            inout("ecx") subleaf => ecx,
            out("edx") _,
            options(nostack, preserves_flags),
        );
    }
    [eax, ebx, ecx]
}
