//! Numbers of signals, and sets of them.

use core::fmt;
use linux_raw_sys::general as raw;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The number of a signal: 1 to 64 (signal(7)).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signal(u8);

macro_rules! names {
    ($($name:ident $raw:ident)*) => {
        impl Signal {
            $(
                #[doc = concat!("`", stringify!($raw), "`")]
                pub const $name: Self = Self(raw::$raw as u8);
            )*

            /// Returns its name, such as `SIGSEGV`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($raw),)*
                    _ => "a real-time signal",
                }
            }
        }
    };
}

names! {
    HUP SIGHUP INT SIGINT QUIT SIGQUIT ILL SIGILL TRAP SIGTRAP ABRT SIGABRT BUS SIGBUS FPE SIGFPE
    KILL SIGKILL USR1 SIGUSR1 SEGV SIGSEGV USR2 SIGUSR2 PIPE SIGPIPE ALRM SIGALRM TERM SIGTERM
    STKFLT SIGSTKFLT CHLD SIGCHLD CONT SIGCONT STOP SIGSTOP TSTP SIGTSTP TTIN SIGTTIN
    TTOU SIGTTOU URG SIGURG XCPU SIGXCPU XFSZ SIGXFSZ VTALRM SIGVTALRM PROF SIGPROF
    WINCH SIGWINCH IO SIGIO PWR SIGPWR SYS SIGSYS
}

impl Signal {
    /// The number of signals, and of the last one.
    pub const COUNT: usize = 64;

    /// Returns the signal of that number.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        match number {
            1..=64 => Some(Self(number as u8)),
            _ => None,
        }
    }

    /// Returns its number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0 as i32
    }

    /// Returns its place in a table of all.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize - 1
    }

    /// Whether each one that is sent arrives: it is a real-time signal.
    #[must_use]
    pub const fn is_queued(self) -> bool {
        self.0 >= 32
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

/// A set of signals: `sigset_t`.
#[derive(Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Set(u64);

impl Set {
    /// None.
    pub const EMPTY: Self = Self(0);
    /// All.
    pub const ALL: Self = Self(!0);
    /// Those that can be neither blocked nor caught.
    pub const FORCED: Self = Self::of(&[Signal::KILL, Signal::STOP]);
    /// Those that stop a process unless it says otherwise.
    pub const STOPS: Self = Self::of(&[Signal::STOP, Signal::TSTP, Signal::TTIN, Signal::TTOU]);
    /// Those that are ignored unless the process says otherwise.
    pub const IGNORED: Self = Self::of(&[Signal::CHLD, Signal::CONT, Signal::URG, Signal::WINCH]);
    /// Those that what the program itself did may cause.
    pub const SYNCHRONOUS: Self =
        Self::of(&[Signal::SEGV, Signal::BUS, Signal::ILL, Signal::TRAP, Signal::FPE, Signal::SYS]);

    /// Makes one of these signals.
    #[must_use]
    pub const fn of(signals: &[Signal]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < signals.len() {
            bits |= 1 << (signals[at].0 - 1);
            at += 1;
        }
        Self(bits)
    }

    /// Makes one of the bits of a `sigset_t`.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the bits of a `sigset_t`.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether `signal` is one of them.
    #[must_use]
    pub const fn has(self, signal: Signal) -> bool {
        self.0 >> (signal.0 - 1) & 1 != 0
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns those in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns those in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns those that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns the one with the lowest number.
    #[must_use]
    pub const fn first(self) -> Option<Signal> {
        match self.0 {
            0 => None,
            bits => Some(Signal(bits.trailing_zeros() as u8 + 1)),
        }
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = (1..=64).filter_map(Signal::new);
        f.debug_set().entries(all.filter(|&it| self.has(it))).finish()
    }
}
