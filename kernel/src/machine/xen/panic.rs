//! The report of a panic.

use super::console::Sink;
use super::end::end_after;
use super::report::{backtrace, begin, print};
use crate::machine::PANIC;
use core::panic::PanicInfo;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    begin();
    match info.location() {
        Some(at) => print(format_args!("xenith: panic at {at}: {}", info.message())),
        None => print(format_args!("xenith: panic: {}", info.message())),
    }
    let (rbp, rsp): (u64, u64);
    // SAFETY: copies two registers.
    unsafe {
        core::arch::asm!("mov {}, rbp", "mov {}, rsp", out(reg) rbp, out(reg) rsp,
            options(nomem, nostack, preserves_flags));
    }
    print(format_args!("xenith: rsp {rsp:#x} rbp {rbp:#x}"));
    backtrace(rbp);
    end_after(Sink::Patient, PANIC)
}
