//! How a process has ended, or stopped.

use crate::signal::Signal;
use linux_raw_sys::general::{CLD_CONTINUED, CLD_EXITED, CLD_KILLED, CLD_STOPPED};

/// How a process has ended: the status of wait(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(i32);

impl Status {
    /// It exited with this status, of which 8 bits count.
    #[must_use]
    pub const fn exit(status: i32) -> Self {
        Self((status & 0xFF) << 8)
    }

    /// A signal ended it.
    #[must_use]
    pub const fn signal(signal: Signal) -> Self {
        Self(signal.number())
    }

    /// Returns it as wait(2) has it.
    #[must_use]
    pub const fn bits(self) -> i32 {
        self.0
    }

    /// Returns it as a shell has it: the exit status, or 128 and the signal's number.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self.0 & 0x7F {
            0 => self.0 >> 8,
            signal => 128 + signal,
        }
    }

    /// Returns the signal that ended it.
    #[must_use]
    pub const fn killed_by(self) -> Option<Signal> {
        Signal::new((self.0 & 0x7F) as u64)
    }

    /// Returns `si_code` and `si_status` of `SIGCHLD`.
    #[must_use]
    pub const fn child(self) -> (u32, i32) {
        match self.0 & 0x7F {
            0 => (CLD_EXITED, self.0 >> 8),
            signal => (CLD_KILLED, signal),
        }
    }
}

/// What a process did that still exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// It stopped, because of this signal.
    Stopped(Signal),
    /// It goes on.
    Continued,
}

impl Report {
    /// Returns it as wait(2) has it.
    #[must_use]
    pub const fn bits(self) -> i32 {
        match self {
            Self::Stopped(signal) => signal.number() << 8 | 0x7F,
            Self::Continued => 0xFFFF,
        }
    }

    /// Returns `si_code` and `si_status` of `SIGCHLD`.
    #[must_use]
    pub const fn child(self) -> (u32, i32) {
        match self {
            Self::Stopped(signal) => (CLD_STOPPED, signal.number()),
            Self::Continued => (CLD_CONTINUED, Signal::CONT.number()),
        }
    }
}
