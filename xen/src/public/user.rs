//! `public/arch-x86/xen-x86_64.h`: user mode of 64-bit PV guests.

/// `FLAT_USER_CS64`: the code selector of user mode. Xen tells it from the kernel's by the
/// privilege level in its low bits.
pub const FLAT_USER_CS64: u64 = 0xE033;

/// `FLAT_USER_SS64`: the stack selector of user mode, and the kernel's.
pub const FLAT_USER_SS64: u64 = 0xE02B;

/// `VMASST_CMD_enable` (`public/xen.h`): switches a kind of assistance on.
pub const VMASST_CMD_ENABLE: u64 = 0;

/// `VMASST_TYPE_m2p_strict` (`public/xen.h`): keeps the machine-to-physical table out of user mode.
pub const VMASST_TYPE_M2P_STRICT: u64 = 32;

/// `VGCF_in_syscall`, a flag of `iret_context`: return by `sysret`, which takes `rcx` and `r11`.
pub const VGCF_IN_SYSCALL: u64 = 1 << 8;

/// `SEGBASE_FS`: the base of FS.
pub const SEGBASE_FS: u64 = 0;

/// `SEGBASE_GS_USER`: the base that GS has in user mode.
pub const SEGBASE_GS_USER: u64 = 1;
