//! What a process does when a signal comes (sigaction(2)).

use super::set::{Set, Signal};
use linux_raw_sys::general as raw;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct kernel_sigaction`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Action {
    /// The address of the handler, or 0 (`SIG_DFL`), or 1 (`SIG_IGN`).
    pub handler: u64,
    /// `SA_*`
    pub flags: u64,
    /// What the handler returns to.
    pub restorer: u64,
    /// What is blocked while the handler runs.
    pub mask: Set,
}

/// What happens if a process has not said anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// It ends.
    End,
    /// It ends, and Linux would write a core file.
    Core,
    /// Nothing.
    Ignore,
    /// It stops.
    Stop,
}

/// Signals that leave a core file.
const CORE: Set = Set::of(&[
    Signal::QUIT,
    Signal::ILL,
    Signal::TRAP,
    Signal::ABRT,
    Signal::BUS,
    Signal::FPE,
    Signal::SEGV,
    Signal::XCPU,
    Signal::XFSZ,
    Signal::SYS,
]);

impl Default {
    /// Returns that of `signal`.
    #[must_use]
    pub const fn of(signal: Signal) -> Self {
        if Set::IGNORED.has(signal) {
            Self::Ignore
        } else if Set::STOPS.has(signal) {
            Self::Stop
        } else if CORE.has(signal) {
            Self::Core
        } else {
            Self::End
        }
    }
}

impl Action {
    /// `SIG_DFL`
    pub const DEFAULT: u64 = 0;
    /// `SIG_IGN`
    pub const IGNORE: u64 = 1;

    /// Whether it does nothing, so that the signal need not even be kept.
    #[must_use]
    pub const fn ignores(&self, signal: Signal) -> bool {
        match self.handler {
            Self::IGNORE => !Set::FORCED.has(signal),
            Self::DEFAULT => Set::IGNORED.has(signal),
            _ => false,
        }
    }

    /// Whether it calls a handler.
    #[must_use]
    pub const fn has_handler(&self) -> bool {
        self.handler > Self::IGNORE
    }

    /// Whether it has that flag.
    #[must_use]
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag as u64 != 0
    }

    /// Flags that Linux keeps; others are cleared, so that a program finds out which exist.
    pub(crate) const FLAGS: u64 = (raw::SA_NOCLDSTOP
        | raw::SA_NOCLDWAIT
        | raw::SA_SIGINFO
        | raw::SA_ONSTACK
        | raw::SA_RESTART
        | raw::SA_NODEFER
        | raw::SA_RESETHAND
        | raw::SA_RESTORER) as u64;
}
