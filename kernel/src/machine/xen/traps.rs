//! The handlers of exceptions, which report them.
//!
//! Nothing in a Xenith image is supposed to fault, so every exception ends the domain. Xen pushes
//! the frame of an exception on the stack in use. If that has overflowed, or if the handler faults
//! until it has, Xen cannot; it then ends the domain with a register dump, which `cargo mk`
//! explains.

use super::console::Sink;
use super::end::end_after;
use super::report::{backtrace, begin, fault_address, print};
use crate::machine::FAULT;
use ::xen::hypercall::set_trap_table;
use ::xen::public::mmu::{FLAT_KERNEL_CS, TrapInfo};

/// The vector of page faults.
const PAGE_FAULT: u64 = 14;

/// Defines the structure of saved registers, and the instructions that save and restore them, from
/// their names in the order of the structure.
macro_rules! registers {
    ($($name:ident)*) => {
        /// What the stubs leave on the stack: the registers, then the frame that Xen pushed.
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        pub(super) struct Registers {
            $(pub $name: u64,)*
            pub vector: u64,
            pub error: u64,
            pub rip: u64,
            pub cs: u64,
            pub rflags: u64,
            pub rsp: u64,
            pub ss: u64,
        }

        /// The instructions that push all registers, in the layout of `Registers`.
        macro_rules! push_registers {
            () => { $crate::machine::xen::traps::pushes!([$($name)*]) };
        }

        /// The instructions that pop them.
        macro_rules! pop_registers {
            () => { concat!($("pop ", stringify!($name), "\n"),*) };
        }
    };
}

/// The instructions that push registers, the last one first.
macro_rules! pushes {
    ([] $($name:ident)*) => { concat!($("push ", stringify!($name), "\n"),*) };
    ([$first:ident $($rest:ident)*] $($name:ident)*) => {
        $crate::machine::xen::traps::pushes!([$($rest)*] $first $($name)*)
    };
}

registers! { r15 r14 r13 r12 r11 r10 r9 r8 rbp rdi rsi rdx rcx rbx rax }
pub(super) use {pop_registers, push_registers, pushes};

// On an exception Xen pushes ss, rsp, rflags, cs, rip, an error code where the
// exception has one, r11 and rcx (public/arch-x86/xen-x86_64.h). Each stub
// completes that to the layout of `Registers`. Handlers never return, so the
// SSE state need not be saved.
macro_rules! stubs {
    ($($vector:literal $name:ident $has_error:literal),* $(,)?) => {
        $(
            core::arch::global_asm!(
                ".pushsection .text.traps, \"ax\", @progbits",
                concat!(".global trap_", $vector),
                concat!("trap_", $vector, ":"),
                "pop rcx",
                "pop r11",
                concat!(".if ", $has_error, " == 0"),
                "push 0",
                ".endif",
                concat!("push ", $vector),
                "jmp trap_common",
                ".popsection",
            );
        )*

        unsafe extern "C" {
            $(
                #[link_name = concat!("trap_", $vector)]
                fn $name();
            )*
        }

        /// Registers the handlers of all exceptions.
        pub(super) fn open() {
            // Privilege 3 in the flags: breakpoints are raised by an instruction of
            // the kernel, which runs in ring 3. Bit 2 masks events, so that the
            // watchdog does not interrupt the report.
            let entry = |vector, handler: unsafe extern "C" fn()| TrapInfo {
                vector,
                flags: 3 | 1 << 2,
                cs: FLAT_KERNEL_CS,
                address: handler as *const () as u64,
            };
            let end = TrapInfo { vector: 0, flags: 0, cs: 0, address: 0 };
            let table = [$(entry($vector, $name),)* end];
            // SAFETY: the stubs accept the frame that Xen pushes; the last address is 0.
            unsafe { set_trap_table(&table) }
                .unwrap_or_else(|error| panic!("cannot set the trap table: {error}"));
        }
    };
}

stubs! {
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
    ".pushsection .text.traps, \"ax\", @progbits",
    "trap_common:",
    push_registers!(),
    "cld",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {trap}",
    "ud2",
    ".popsection",
    trap = sym trap,
);

/// Returns the name of an exception (Intel's manual, volume 3, chapter 6).
const fn name(vector: u64) -> &'static str {
    match vector {
        0 => "divide error",
        1 => "debug exception",
        3 => "breakpoint",
        4 => "overflow",
        5 => "bound range exceeded",
        6 => "invalid opcode",
        7 => "device not available",
        8 => "double fault",
        10 => "invalid TSS",
        11 => "segment not present",
        12 => "stack fault",
        13 => "general protection",
        14 => "page fault",
        16 => "x87 floating-point error",
        17 => "alignment check",
        18 => "machine check",
        19 => "SIMD floating-point error",
        _ => "control protection",
    }
}

/// # Safety
/// Called only by the stubs, with the address of the registers that they pushed.
unsafe extern "C" fn trap(registers: *const Registers) -> ! {
    // SAFETY: pushed by the stubs; the stack above does not change while this runs.
    let registers = unsafe { &*registers };
    report(name(registers.vector), registers)
}

/// Prints what the exception was, where, all registers and the return addresses; then ends.
fn report(name: &str, r: &Registers) -> ! {
    begin();
    if r.vector == PAGE_FAULT {
        let address = fault_address();
        let what = match r.error & 0b1_0011 {
            e if e & 0b1_0000 != 0 => "executing",
            e if e & 0b10 != 0 => "writing",
            _ => "reading",
        };
        let why = match r.error & 1 {
            0 if address < 0x1000 => "a null pointer",
            0 => "nothing is mapped there",
            _ => "protected against it",
        };
        print(format_args!("xenith: {name} {what} {address:#x} ({why}) at {:#x}", r.rip));
    } else {
        print(format_args!("xenith: {name} (error code {:#x}) at {:#x}", r.error, r.rip));
    }
    for (names, values) in [
        (["rax", "rbx", "rcx", "rdx"], [r.rax, r.rbx, r.rcx, r.rdx]),
        (["rsi", "rdi", "rbp", "rsp"], [r.rsi, r.rdi, r.rbp, r.rsp]),
        (["r8 ", "r9 ", "r10", "r11"], [r.r8, r.r9, r.r10, r.r11]),
        (["r12", "r13", "r14", "r15"], [r.r12, r.r13, r.r14, r.r15]),
    ] {
        let [a, b, c, d] = names;
        let [v, w, x, y] = values;
        print(format_args!("xenith: {a} {v:016x} {b} {w:016x} {c} {x:016x} {d} {y:016x}"));
    }
    backtrace(r.rbp);
    end_after(Sink::Patient, FAULT)
}
