//! Exceptions: a table for all of them, and one readable report.
//!
//! Nothing in a Xenith image is supposed to fault, so every exception ends the
//! domain. Xen pushes its frame on the stack that is in use, so there is no
//! report for a stack that is broken itself; then Xen ends the domain with a
//! register dump, in which `cargo mk` finds the guard page.

use super::console::Sink;
use super::end::end_after;
use super::report::{backtrace, fault_address, once, say};
use crate::machine::FAULT;
use ::xen::hypercall::set_trap_table;
use ::xen::public::mmu::{FLAT_KERNEL_CS, TrapInfo};

/// The vector of page faults.
const PAGE_FAULT: u64 = 14;

/// Makes of the registers' names, in the order in which they lie in memory, the structure
/// and the instructions that put them there and take them back.
macro_rules! registers {
    ($($name:ident)*) => {
        /// What the stubs leave on the stack: registers, then what Xen pushed.
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

        /// Leaves all registers on the stack, as `Registers` has them.
        macro_rules! push_registers {
            () => { $crate::machine::xen::traps::pushes!([$($name)*]) };
        }

        /// Takes them from there.
        macro_rules! pop_registers {
            () => { concat!($("pop ", stringify!($name), "\n"),*) };
        }
    };
}

/// Pushes registers, the last one first.
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
// brings that into one form. They never return, so nothing has to be saved for
// a return, the SSE state included.
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

        /// Takes every exception from here on.
        pub(super) fn open() {
            // Ring 3 in the flags: a breakpoint is raised by an instruction of
            // ours, and a PV guest's kernel runs in ring 3. Bit 2: events are
            // masked from there on, so that the watchdog lets us report.
            let entry = |vector, handler: unsafe extern "C" fn()| TrapInfo {
                vector,
                flags: 3 | 1 << 2,
                cs: FLAT_KERNEL_CS,
                address: handler as *const () as u64,
            };
            let end = TrapInfo { vector: 0, flags: 0, cs: 0, address: 0 };
            let table = [$(entry($vector, $name),)* end];
            // SAFETY: the stubs take the frame that Xen pushes; the table ends
            // with its end mark.
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

/// The name of an exception, as Intel's manual (volume 3, chapter 6) has it.
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
/// Called by the stubs alone, with the address of what they left on the stack.
unsafe extern "C" fn trap(registers: *const Registers) -> ! {
    // SAFETY: the stubs filled it, and it stays: they wait for our return.
    let registers = unsafe { &*registers };
    report(name(registers.vector), registers)
}

/// Says what an exception was, where, and how it came there.
fn report(name: &str, r: &Registers) -> ! {
    once();
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
        say(format_args!("xenith: {name} {what} {address:#x} ({why}) at {:#x}", r.rip));
    } else {
        say(format_args!("xenith: {name} (error code {:#x}) at {:#x}", r.error, r.rip));
    }
    for (names, values) in [
        (["rax", "rbx", "rcx", "rdx"], [r.rax, r.rbx, r.rcx, r.rdx]),
        (["rsi", "rdi", "rbp", "rsp"], [r.rsi, r.rdi, r.rbp, r.rsp]),
        (["r8 ", "r9 ", "r10", "r11"], [r.r8, r.r9, r.r10, r.r11]),
        (["r12", "r13", "r14", "r15"], [r.r12, r.r13, r.r14, r.r15]),
    ] {
        let [a, b, c, d] = names;
        let [v, w, x, y] = values;
        say(format_args!("xenith: {a} {v:016x} {b} {w:016x} {c} {x:016x} {d} {y:016x}"));
    }
    backtrace(r.rbp);
    end_after(Sink::Patient, FAULT)
}
