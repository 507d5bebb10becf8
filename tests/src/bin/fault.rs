//! Faults before anything catches faults: the hypervisor ends the domain, and
//! its own message says where.
//!
//! test: expect crash "invalid opcode"

#![no_std]
#![no_main]

kernel::unikernel! {
    /// Faults.
    name: "fault",
    memory: 1 MiB,
    main: start,
}

async fn start() {
    // SAFETY: an invalid opcode touches nothing; the domain ends.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}
