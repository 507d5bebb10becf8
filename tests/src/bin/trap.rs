//! Does what must not be done, each a start of its own: the domain ends with a
//! report that says what and where.
//!
//! test: no-verdict
//! test: expect exit 139
//! test(text): args act=write-text
//! test(text): console-contains "page fault writing"
//! test(text): console-contains "inlined into write at tests/src/bin/trap.rs:"
//! test(rodata): args act=write-rodata
//! test(rodata): console-contains "protected against it"
//! test(data): args act=execute-data
//! test(data): console-contains "page fault executing"
//! test(heap): args act=execute-heap
//! test(heap): console-contains "page fault executing"
//! test(null): args act=read-null
//! test(null): console-contains "page fault reading 0x0 (a null pointer)"
//! test(opcode): args act=invalid-opcode
//! test(opcode): console-contains "invalid opcode"
//! test(divide): args act=divide
//! test(divide): console-contains "divide error"
//! test(breakpoint): args act=breakpoint
//! test(breakpoint): console-contains "breakpoint"
//! test(protection): args act=privileged
//! test(protection): console-contains "general protection"
//! test(overflow): args act=overflow-stack
//! test(overflow): expect crash "stack overflow: the stack"
//! test(handler): args act=unmap-handler
//! test(handler): expect crash "page fault in the page fault handler"
//! test(text,data,heap,divide,breakpoint,handler): not-in-check

#![no_std]
#![no_main]
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "every one of them faults: that is what this guest is for"
)]

extern crate alloc;

use core::arch::asm;
use core::hint::black_box;
use xen::hypercall::update_va_mapping;
use xen::public::mmu::UVMF_INVLPG;

kernel::unikernel! {
    /// Does what must not be done.
    name: "trap",
    memory: 4 MiB,
    args: {
        /// What to do.
        act: &'static str,
    },
    main: start,
}

unsafe extern "C" {
    /// Where the kernel has page faults handled.
    #[link_name = "trap_14"]
    fn page_fault();
}

static TEXT: &str = "read-only";
static DATA: [u8; 4] = [0xC3; 4];
static mut VARIABLE: [u8; 4] = [0xC3; 4];

/// # Safety
/// Nothing is safe about it: this is what the guest is for.
unsafe fn write(to: usize) {
    unsafe { (to as *mut u8).write_volatile(1) };
}

/// # Safety
/// Nothing is safe about it: this is what the guest is for.
unsafe fn call(at: usize) {
    unsafe { asm!("call {}", in(reg) at, clobber_abi("C")) };
}

fn recurse(depth: u64) -> u64 {
    let room = black_box([depth; 64]);
    if black_box(depth) == u64::MAX { 0 } else { recurse(depth + 1) + room[7] }
}

async fn start(what: &str) -> Result<(), &'static str> {
    match what {
        "write-text" => unsafe { write(start as *const () as usize) },
        "write-rodata" => unsafe { write(TEXT.as_ptr() as usize) },
        "execute-rodata" => unsafe { call(DATA.as_ptr() as usize) },
        "execute-data" => unsafe { call(&raw const VARIABLE as usize) },
        "execute-heap" => unsafe { call(black_box(alloc::vec![0xC3_u8; 4]).as_ptr() as usize) },
        "read-null" => unsafe { asm!("mov {0}, [{0}]", inout(reg) 0_u64 => _) },
        "invalid-opcode" => unsafe { asm!("ud2") },
        "divide" => unsafe {
            asm!("div {0}", in(reg) 0_u64, inout("rax") 1_u64 => _, inout("rdx") 0_u64 => _);
        },
        "breakpoint" => unsafe { asm!("int3") },
        "privileged" => unsafe { asm!("lgdt [{0}]", in(reg) DATA.as_ptr()) },
        "unmap-handler" => {
            let _ = unsafe { update_va_mapping(page_fault as *const () as u64, 0, UVMF_INVLPG) };
            unsafe { asm!("mov {0}, [{0}]", inout(reg) 0_u64 => _) }
        }
        "overflow-stack" => return if recurse(0) == 0 { Ok(()) } else { Err("no end") },
        _ => return Err("there is no such thing to do"),
    }
    Err("nothing happened")
}
