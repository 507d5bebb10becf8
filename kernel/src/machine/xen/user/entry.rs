//! The way into user mode, and all ways back.
//!
//! Going there is a function call, [`enter`]. Xen comes back at one of the entries below with a
//! frame at the end of the thread's record, so that what it pushed and what they push is the
//! record; then they return from that call. In kernel mode the same entries lead on to those of
//! the kernel.

use super::context::{AREA, REGISTERS};
use crate::machine::program::Registers;
use crate::machine::xen::traps::push_registers;
use crate::machine::xen::xstate::{KERNEL_MXCSR, MXCSR, XMM};
use ::xen::Errno;
use ::xen::hypercall::{
    callback_op_register_event, callback_op_register_failsafe, callback_op_register_syscall,
    set_trap_table, vm_assist_m2p_strict,
};
use ::xen::public::mmu::{FLAT_KERNEL_CS, TrapInfo};
use ::xen::public::user::{FLAT_USER_CS64, FLAT_USER_SS64};
use ::xen::timer;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, Ordering};

/// What the entry of `syscall` has as a vector.
pub(super) const CALL: u64 = 0x100;

/// What the entry of events has as a vector.
pub(super) const EVENT: u64 = 0x101;

/// Prepares for user mode, the first time.
pub(super) fn open() -> Result<(), Errno> {
    static OPENED: AtomicU8 = AtomicU8::new(0);
    if OPENED.load(Ordering::Relaxed) == 0 {
        timer::open()?;
        // Programs need not know which domain has which frame. With xpti, Xen shows it in any case.
        vm_assist_m2p_strict()?;
        register()?;
        OPENED.store(1, Ordering::Relaxed);
    }
    Ok(())
}

// What the entries push is the record.
const _: () = assert!(offset_of!(Registers, vector) == 15 * 8);
const _: () = assert!(offset_of!(Registers, ss) == 21 * 8);

/// Whether the timer is set for the end of a slice. The entry of events clears it when one comes
/// in kernel mode: that may be it.
#[unsafe(export_name = "user_slice_set")]
static SLICE_SET: AtomicU8 = AtomicU8::new(0);

/// Returns whether the timer is set for the end of a slice.
pub(super) fn slice_is_set() -> bool {
    SLICE_SET.load(Ordering::Relaxed) != 0
}

/// Says whether it is.
pub(super) fn set_slice(set: bool) {
    SLICE_SET.store(set.into(), Ordering::Relaxed);
}

// Xen pushes ss, rsp, rflags, cs, rip, an error code where the exception has one, r11 and rcx
// (public/arch-x86/xen-x86_64.h). The low bits of cs are 0 for kernel mode.
macro_rules! entries {
    ($($vector:literal $name:ident $has_error:literal),* $(,)?) => {
        $(
            core::arch::global_asm!(
                ".pushsection .text.user, \"ax\", @progbits",
                concat!("user_trap_", $vector, ":"),
                concat!("test byte ptr [rsp + 24 + 8 * ", $has_error, "], 3"),
                concat!("jz trap_", $vector),
                "pop rcx",
                "pop r11",
                concat!(".if ", $has_error, " == 0"),
                "push 0",
                ".endif",
                concat!("push ", $vector),
                "jmp user_left",
                ".popsection",
            );
        )*

        unsafe extern "C" {
            $(
                #[link_name = concat!("user_trap_", $vector)]
                fn $name();
            )*
        }

        /// Registers these entries instead of the kernel's own. All mask events.
        fn register() -> Result<(), Errno> {
            // No instruction `int` may raise one: its frame has no error code. Xen does not ask
            // that for `int3` and `into`. Bit 2 masks events.
            let entry = |vector, handler: unsafe extern "C" fn()| TrapInfo {
                vector,
                flags: 1 << 2,
                cs: FLAT_KERNEL_CS,
                address: handler as *const () as u64,
            };
            let end = TrapInfo { vector: 0, flags: 0, cs: 0, address: 0 };
            let table = [$(entry($vector, $name),)* end];
            // SAFETY: the entries accept the frame that Xen pushes; the last address is 0.
            unsafe { set_trap_table(&table) }?;
            // SAFETY: it has no frame, but ends the domain with a report.
            unsafe { callback_op_register_failsafe(failsafe as *const () as u64) }?;
            // SAFETY: the entry takes the frame of a call.
            unsafe { callback_op_register_syscall(syscall as *const () as u64) }?;
            // SAFETY: in kernel mode it leads on to the watchdog's, which keeps to this contract.
            unsafe { callback_op_register_event(event as *const () as u64) }
        }
    };
}

entries! {
    0 divide_error 0,
    1 debug 0,
    3 breakpoint 0,
    4 overflow 0,
    5 bound_range 0,
    6 invalid_opcode 0,
    7 device_not_available 0,
    8 double_fault 1,
    10 invalid_tss 1,
    11 segment_not_present 1,
    12 stack_fault 1,
    13 general_protection 1,
    14 page_fault 1,
    16 x87_error 0,
    17 alignment_check 1,
    18 machine_check 0,
    19 simd_error 0,
    21 control_protection 1,
}

core::arch::global_asm!(
    ".pushsection .text.user, \"ax\", @progbits",
    "user_syscall:",
    "pop rcx",
    "pop r11",
    "push 0",
    "push {CALL}",
    "jmp user_left",
    "user_event:",
    "test byte ptr [rsp + 24], 3",
    "jnz 2f",
    "mov byte ptr [rip + user_slice_set], 0",
    "jmp watchdog_upcall",
    "2:",
    "pop rcx",
    "pop r11",
    "push 0",
    "push {EVENT}",
    "user_left:",
    push_registers!(),
    "cld",
    "movaps [rsp + {XMM} + 0 * 16], xmm0",
    "movaps [rsp + {XMM} + 1 * 16], xmm1",
    "movaps [rsp + {XMM} + 2 * 16], xmm2",
    "movaps [rsp + {XMM} + 3 * 16], xmm3",
    "movaps [rsp + {XMM} + 4 * 16], xmm4",
    "movaps [rsp + {XMM} + 5 * 16], xmm5",
    "movaps [rsp + {XMM} + 6 * 16], xmm6",
    "movaps [rsp + {XMM} + 7 * 16], xmm7",
    "movaps [rsp + {XMM} + 8 * 16], xmm8",
    "movaps [rsp + {XMM} + 9 * 16], xmm9",
    "movaps [rsp + {XMM} + 10 * 16], xmm10",
    "movaps [rsp + {XMM} + 11 * 16], xmm11",
    "movaps [rsp + {XMM} + 12 * 16], xmm12",
    "movaps [rsp + {XMM} + 13 * 16], xmm13",
    "movaps [rsp + {XMM} + 14 * 16], xmm14",
    "movaps [rsp + {XMM} + 15 * 16], xmm15",
    "stmxcsr [rsp + {MXCSR}]",
    "mov rsp, [rip + user_kernel_rsp]",
    "ldmxcsr [rip + {KERNEL_MXCSR}]",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
    // rdi is the record, rsi the flags of iret_context.
    "user_enter:",
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov [rip + user_kernel_rsp], rsp",
    "movaps xmm0, [rdi + {XMM} + 0 * 16]",
    "movaps xmm1, [rdi + {XMM} + 1 * 16]",
    "movaps xmm2, [rdi + {XMM} + 2 * 16]",
    "movaps xmm3, [rdi + {XMM} + 3 * 16]",
    "movaps xmm4, [rdi + {XMM} + 4 * 16]",
    "movaps xmm5, [rdi + {XMM} + 5 * 16]",
    "movaps xmm6, [rdi + {XMM} + 6 * 16]",
    "movaps xmm7, [rdi + {XMM} + 7 * 16]",
    "movaps xmm8, [rdi + {XMM} + 8 * 16]",
    "movaps xmm9, [rdi + {XMM} + 9 * 16]",
    "movaps xmm10, [rdi + {XMM} + 10 * 16]",
    "movaps xmm11, [rdi + {XMM} + 11 * 16]",
    "movaps xmm12, [rdi + {XMM} + 12 * 16]",
    "movaps xmm13, [rdi + {XMM} + 13 * 16]",
    "movaps xmm14, [rdi + {XMM} + 14 * 16]",
    "movaps xmm15, [rdi + {XMM} + 15 * 16]",
    "ldmxcsr [rdi + {MXCSR}]",
    "push {USER_SS}",
    "push [rdi + {RSP}]",
    "push [rdi + {RFLAGS}]",
    "push {USER_CS}",
    "push [rdi + {RIP}]",
    "push rsi",
    "mov r15, [rdi + {R15}]",
    "mov r14, [rdi + {R14}]",
    "mov r13, [rdi + {R13}]",
    "mov r12, [rdi + {R12}]",
    "mov r11, [rdi + {R11}]",
    "mov r10, [rdi + {R10}]",
    "mov r9, [rdi + {R9}]",
    "mov r8, [rdi + {R8}]",
    "mov rbp, [rdi + {RBP}]",
    "mov rsi, [rdi + {RSI}]",
    "mov rdx, [rdi + {RDX}]",
    "mov rcx, [rdi + {RCX}]",
    "mov rbx, [rdi + {RBX}]",
    "mov rax, [rdi + {RAX}]",
    "mov rdi, [rdi + {RDI}]",
    "jmp hypercall_iret_flags",
    // Xen cannot return to what `enter` passed, all of which was checked.
    "user_failsafe:",
    "ud2",
    ".popsection",
    ".pushsection .bss.user, \"aw\", @nobits",
    ".balign 8",
    "user_kernel_rsp: .skip 8",
    ".popsection",
    CALL = const CALL,
    EVENT = const EVENT,
    KERNEL_MXCSR = sym KERNEL_MXCSR,
    XMM = const AREA - REGISTERS + XMM,
    MXCSR = const AREA - REGISTERS + MXCSR,
    USER_SS = const FLAT_USER_SS64,
    RSP = const offset_of!(Registers, rsp),
    RFLAGS = const offset_of!(Registers, rflags),
    USER_CS = const FLAT_USER_CS64,
    RIP = const offset_of!(Registers, rip),
    R15 = const offset_of!(Registers, r15),
    R14 = const offset_of!(Registers, r14),
    R13 = const offset_of!(Registers, r13),
    R12 = const offset_of!(Registers, r12),
    R11 = const offset_of!(Registers, r11),
    R10 = const offset_of!(Registers, r10),
    R9 = const offset_of!(Registers, r9),
    R8 = const offset_of!(Registers, r8),
    RBP = const offset_of!(Registers, rbp),
    RDI = const offset_of!(Registers, rdi),
    RSI = const offset_of!(Registers, rsi),
    RDX = const offset_of!(Registers, rdx),
    RCX = const offset_of!(Registers, rcx),
    RBX = const offset_of!(Registers, rbx),
    RAX = const offset_of!(Registers, rax),
);

unsafe extern "C" {
    /// Goes to user mode with the registers of `record`, and returns when it is left, with the
    /// new ones there. `flags` are those of `iret_context`.
    #[link_name = "user_enter"]
    pub(super) fn enter(record: *mut Registers, flags: u64);
    #[link_name = "user_syscall"]
    fn syscall();
    #[link_name = "user_event"]
    fn event();
    #[link_name = "user_failsafe"]
    fn failsafe();
}
