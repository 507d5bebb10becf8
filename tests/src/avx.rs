//! AVX as a library in an image would use it.

use core::arch::global_asm;

global_asm!(
    ".globl xcr0",
    "xcr0:",
    "xor ecx, ecx",
    "xgetbv",
    "ret",
    ".globl four_times",
    "four_times:",
    // All four lanes hold the number, and are added up.
    "vmovq xmm0, rdi",
    "vpunpcklqdq xmm0, xmm0, xmm0",
    "vinsertf128 ymm0, ymm0, xmm0, 1",
    "vextractf128 xmm1, ymm0, 1",
    "vpaddq xmm0, xmm0, xmm1",
    "vpsrldq xmm1, xmm0, 8",
    "vpaddq xmm0, xmm0, xmm1",
    "vmovq rax, xmm0",
    "vzeroupper",
    "ret",
);

unsafe extern "C" {
    safe fn xcr0() -> u32;
    safe fn four_times(number: u64) -> u64;
}

/// Returns whether libraries find AVX enabled.
#[must_use]
pub fn is_enabled() -> bool {
    xcr0() & 4 != 0
}

/// Returns whether its instructions work, and not just that they are there.
#[must_use]
pub fn works() -> bool {
    is_enabled() && [1, 0x0123_4567_89ab, 1 << 61].iter().all(|&it| four_times(it) == it * 4)
}
