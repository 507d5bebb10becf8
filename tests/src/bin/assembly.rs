//! Assembly as others write it: a leaf that keeps data below the stack pointer, as the ABI
//! of System V allows, and a weak symbol that nobody defines, which is address 0.
//!
//! It runs for longer than the watchdog's timer needs: whatever pushed onto the stack in use
//! would change what is kept there.
//!
//! test: args watchdog=1
//! test: console-contains "the watchdog is off: this image keeps data below the stack pointer"

#![no_std]
#![no_main]

use core::arch::global_asm;
use core::time::Duration;
use tests::Verdict;

kernel::unikernel! {
    /// Runs assembly as others write it.
    name: "assembly",
    memory: 2 MiB,
    args: {
        /// How often the leaf is called.
        calls: u64 = 60,
    },
    main: start,
}

global_asm!(
    ".weak nobody_defines_it",
    ".globl leaf",
    ".type leaf, @function",
    "leaf:",
    // Spills, waits for a timer of the hypervisor to come between, and sums up.
    "mov [rsp - 8], rdi",
    "mov [rsp - 128], rdi",
    "mov ecx, 10000000",
    "2: sub ecx, 1",
    "jnz 2b",
    "mov rax, [rsp - 8]",
    "add rax, [rsp - 128]",
    // And the address of what there is not.
    "mov rcx, offset nobody_defines_it",
    "add rax, rcx",
    "ret",
    ".size leaf, . - leaf",
);

unsafe extern "C" {
    /// Twice `number`.
    safe fn leaf(number: u64) -> u64;
}

async fn start(calls: u64) -> Verdict {
    for number in 1..=calls {
        kernel::time::sleep(Duration::from_micros(100)).await;
        if leaf(number) != 2 * number {
            return Verdict::Fail("what was below the stack pointer is changed");
        }
    }
    Verdict::Pass
}
