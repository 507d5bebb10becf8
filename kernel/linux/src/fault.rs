//! What a program did that the processor refused: it becomes a signal, as on Linux
//! (arch/x86/kernel/traps.c, sigaction(2)).

use crate::errno::Errno;
use crate::file::Caller;
use crate::memory::Fault;
use crate::process::Status;
use crate::signal::{Info, Signal};
use crate::thread::Thread;
use kernel::user::{Access, Trap};
use linux_raw_sys::general as raw;

/// Number of the page fault.
const PAGE_FAULT: u64 = 14;

/// Where FCW, FSW and MXCSR are in an XSAVE area.
const FCW: usize = 0;
const FSW: usize = 2;
const MXCSR: usize = 24;

/// Brings the page at `address`, or has the thread get `SIGSEGV` or `SIGBUS`.
pub(crate) async fn page(
    thread: &Thread,
    address: usize,
    write: bool,
    execute: bool,
    present: bool,
) {
    let access = match (write, execute) {
        (true, _) => Access::WRITE,
        (_, true) => Access::EXECUTE,
        _ => Access::READ,
    };
    thread.process.faults.update(|it| it + 1);
    let memory = thread.memory();
    let (signal, code) = loop {
        match memory.fault(address, access) {
            Ok(()) => return,
            Err(Fault::Load(load)) => match thread.until_killed(load.wait()).await {
                None => return,
                Some(Ok(())) => {}
                Some(Err(Errno::ENOMEM)) => return out_of_memory(thread),
                Some(Err(_)) => break (Signal::BUS, raw::BUS_ADRERR),
            },
            Err(Fault::OutOfMemory) => return out_of_memory(thread),
            Err(Fault::Signal { signal, code }) => {
                let signal = u64::try_from(signal).ok().and_then(Signal::new);
                break (signal.unwrap_or(Signal::SEGV), code as u32);
            }
        }
    };
    let error = u64::from(present) | u64::from(write) << 1 | 4 | u64::from(execute) << 4;
    thread.signals.trap.set([PAGE_FAULT, error, address as u64]);
    thread.process.signals.force(&thread.signals, Info::fault(signal, code, address as u64));
}

/// Has the thread get the signal of an exception.
pub(crate) fn trap(thread: &Thread, trap: Trap) {
    let (here, units) = {
        let context = thread.context().borrow();
        let state = context.xstate();
        let word = |at: usize| u32::from(state.get(at).copied().unwrap_or_default());
        let word = |at: usize| word(at) | word(at + 1) << 8;
        let units = match trap.vector {
            16 => word(FSW) & !word(FCW),
            19 => word(MXCSR) & !(word(MXCSR) >> 7),
            _ => 0,
        };
        (context.registers().rip, units)
    };
    let info = match trap.vector {
        0 => Info::fault(Signal::FPE, raw::FPE_INTDIV, here),
        1 => Info::fault(Signal::TRAP, raw::TRAP_TRACE, here),
        3 => Info::kernel(Signal::TRAP),
        6 => Info::fault(Signal::ILL, raw::ILL_ILLOPN, here),
        11 | 12 => Info::kernel(Signal::BUS),
        16 | 19 => Info::fault(Signal::FPE, float(units), here),
        17 => Info::fault(Signal::BUS, raw::BUS_ADRALN, 0),
        // Overflow, bounds, general protection.
        _ => Info::kernel(Signal::SEGV),
    };
    thread.signals.trap.set([trap.vector.into(), trap.error, 0]);
    thread.process.signals.force(&thread.signals, info);
}

/// Returns `si_code` for the exceptions of x87 or SSE that are set and not masked.
const fn float(flags: u32) -> u32 {
    if flags & 0x01 != 0 {
        raw::FPE_FLTINV
    } else if flags & 0x04 != 0 {
        raw::FPE_FLTDIV
    } else if flags & 0x08 != 0 {
        raw::FPE_FLTOVF
    } else if flags & 0x12 != 0 {
        raw::FPE_FLTUND
    } else if flags & 0x20 != 0 {
        raw::FPE_FLTRES
    } else {
        0
    }
}

/// Ends the process, as there is no memory for a page that it may have.
#[cold]
pub(crate) fn out_of_memory(thread: &Thread) {
    let process = &thread.process;
    if !process.is_over() {
        log::error!("linux: process {} ends: out of memory", process.id);
    }
    process.end(Status::signal(Signal::KILL));
}
