//! Says what happened where the guest itself cannot.
//!
//! Xen puts the frame of an exception on the stack in use. When that is the one
//! that overflowed, it cannot, and ends the domain; its register dump shows it.

use crate::ending::{Ending, exit_status};
use crate::image::stack::Stack;
use crate::symbols::Symbols;
use lab::{End, Reason};

/// Bytes above the stack's lower end where the frame that Xen pushes for an
/// exception has no room any more: seven to nine words.
const FRAME: u64 = 72;

/// The registers of Xen's dump that tell something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(crate) rip: u64,
    pub(crate) rsp: u64,
    /// Where the last page fault was.
    pub(crate) cr2: u64,
}

impl Registers {
    /// Reads them from the hypervisor's message.
    pub(crate) fn find<'a>(log: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut found = [None; 3];
        for line in log {
            let values =
                [after(line, "RIP:    e033:[<"), after(line, "rsp: "), after(line, "cr2: ")];
            for (found, value) in found.iter_mut().zip(values) {
                *found = found.or(value);
            }
        }
        let [rip, rsp, cr2] = found;
        Some(Self { rip: rip?, rsp: rsp?, cr2: cr2? })
    }

    /// Whether these are of a stack that ended.
    const fn overflowed(&self, stack: Stack) -> bool {
        let Stack { guard, low, .. } = stack;
        (guard <= self.rsp && self.rsp < low + FRAME) || (guard <= self.cr2 && self.cr2 < low)
    }
}

/// The number that stands behind `mark`.
fn after(line: &str, mark: &str) -> Option<u64> {
    let (_, rest) = line.split_once(mark)?;
    let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
    u64::from_str_radix(&rest[..end], 16).ok()
}

/// What became of a domain, if its own report does not say it.
pub(crate) fn explain(end: &End, symbols: &Symbols) -> Option<String> {
    match Ending::of(end) {
        Ending::Crash(Reason::Watchdog) => Some(
            "its watchdog ended it: a task ran for longer than its watchdog= seconds without \
             awaiting"
                .to_owned(),
        ),
        Ending::Crash(Reason::Crash) => Some(crash(end, symbols)),
        _ => None,
    }
}

/// What a domain crashed of that told no exit status.
fn crash(end: &End, symbols: &Symbols) -> String {
    debug_assert!(exit_status(&end.console).is_none());
    let registers = Registers::find(end.hypervisor_log.iter().map(String::as_str));
    if let Some(text) = registers.and_then(|it| overflow(it, symbols)) {
        return text;
    }
    let at = registers.map_or_else(String::new, |it| place(it.rip, symbols));
    match end.console.is_empty() {
        true => format!(
            "it crashed without any output{at}: it probably failed before its console was ready"
        ),
        false => format!("it crashed without a report{at}"),
    }
}

/// Says what ended the stack, if the registers are of a stack that ended.
///
/// A page fault never returns to what faulted, so `cr2` is 0 or the address of the page fault
/// that was handled last. Is that outside the guard page, then it was handling this fault that
/// used up the stack: mostly because the handler faults itself, and again while that is handled.
pub(crate) fn overflow(registers: Registers, symbols: &Symbols) -> Option<String> {
    let stack = symbols.stack().filter(|stack| registers.overflowed(*stack))?;
    let size = format!(" of {} KiB", stack.size / 1024);
    let Registers { rip, cr2, .. } = registers;
    let at = place(rip, symbols);
    Some(if cr2 == 0 || (stack.guard..stack.low).contains(&cr2) {
        format!(
            "stack overflow: the stack{size} ran into its guard page{at}; an app that needs more has \
             `stack:` in its manifest"
        )
    } else if rip == cr2 {
        format!(
            "page fault in the page fault handler: its own code at {rip:#x} cannot be executed{at}; \
             the faults repeated until the stack{size} was full"
        )
    } else {
        format!(
            "page fault at {cr2:#x} with no stack left to report it{at}: the handler faulted \
             again and again, or the stack{size} was nearly full before"
        )
    })
}

/// Such as `, in app::start at src/lib.rs:7`.
fn place(address: u64, symbols: &Symbols) -> String {
    symbols.places(address).first().map_or_else(String::new, |place| format!(", in {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::tests::symbols;

    fn end(reason: Reason, console: &str, rsp: u64, cr2: u64) -> End {
        let log = format!(
            "(XEN) Domain 1 (vcpu#0) crashed on cpu#0:\n\
             (XEN) RIP:    e033:[<0000000000300104>]\n\
             (XEN) rbp: 000000000030d070   rsp: {rsp:016x}   r8:  000000000030d280\n\
             (XEN) cr3: 0000000087024000   cr2: {cr2:016x}"
        );
        let hypervisor_log = log.lines().map(str::to_owned).collect();
        End { reason, console: console.into(), hypervisor_log, cpu_time: None }
    }

    #[test]
    fn an_overflow_is_seen_in_the_stack_pointer_or_the_fault_address() {
        let text = "stack overflow: the stack of 64 KiB ran into its guard page, in app::start; an \
                    app that needs more has `stack:` in its manifest";
        for (rsp, cr2) in [(0x30_cc70, 0x30_ce70), (0x30_d010, 0), (0x31_0000, 0x30_cff8)] {
            let explained = explain(&end(Reason::Crash, "hello\n", rsp, cr2), &symbols());
            assert_eq!(explained.as_deref(), Some(text), "{rsp:#x} {cr2:#x}");
        }
        for (rsp, cr2) in [(0x31_0000, 0), (0x30_bff8, 0x30_bff8), (0x30_d800, 0x30_d000)] {
            let explained = explain(&end(Reason::Crash, "hello\n", rsp, cr2), &symbols());
            assert_eq!(explained.as_deref(), Some("it crashed without a report, in app::start"));
        }
    }

    #[test]
    fn a_fault_handler_that_faults_is_no_overflow_of_the_app() {
        let log = |cr2: u64| end(Reason::Crash, "hello\n", 0x30_d010, cr2);
        let own = explain(&log(0x30_0104), &symbols()).unwrap();
        assert_eq!(
            own,
            "page fault in the page fault handler: its own code at 0x300104 cannot be executed, \
             in app::start; the faults repeated until the stack of 64 KiB was full"
        );
        let other = explain(&log(0x1234), &symbols()).unwrap();
        assert!(
            other.starts_with("page fault at 0x1234 with no stack left to report it, in app::")
        );
    }

    #[test]
    fn silence_and_the_watchdog_are_explained() {
        let explained = explain(&end(Reason::Crash, "", 0, 0), &symbols()).unwrap();
        assert!(explained.starts_with("it crashed without any output, in app::start: it probably"));
        let silent = End {
            reason: Reason::Crash,
            console: Vec::new(),
            hypervisor_log: Vec::new(),
            cpu_time: None,
        };
        assert!(
            explain(&silent, &symbols()).unwrap().starts_with("it crashed without any output: it")
        );
        let explained = explain(&end(Reason::Watchdog, "", 0, 0), &symbols()).unwrap();
        assert!(explained.starts_with("its watchdog ended it"));
    }

    #[test]
    fn who_has_said_it_needs_no_explanation() {
        let said = end(Reason::Crash, "xenith: exit status 139\r\n", 0x30_cc70, 0);
        assert_eq!(explain(&said, &symbols()), None);
        assert_eq!(explain(&end(Reason::Poweroff, "", 0, 0), &symbols()), None);
        assert_eq!(explain(&end(Reason::Destroyed, "", 0, 0), &symbols()), None);
    }
}
