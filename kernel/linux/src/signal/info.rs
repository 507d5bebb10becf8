//! What is known about a signal that came: `siginfo_t`.

use super::set::Signal;
use linux_raw_sys::general::{SI_KERNEL, SI_TIMER, SI_TKILL, SI_USER};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `siginfo_t`, as sigaction(2) describes it: 128 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Info {
    /// `si_signo`
    signal: i32,
    /// `si_errno`
    errno: i32,
    /// `si_code`
    code: i32,
    pad: u32,
    /// What depends on the code, from offset 16 on.
    fields: [u64; 14],
}

const fn pair(low: i32, high: i32) -> u64 {
    low as u32 as u64 | (high as u32 as u64) << 32
}

impl Info {
    const fn new(signal: Signal, code: i32, first: [u64; 3]) -> Self {
        let mut fields = [0; 14];
        [fields[0], fields[1], fields[2]] = first;
        Self { signal: signal.number(), errno: 0, code, pad: 0, fields }
    }

    /// The kernel sends it.
    #[must_use]
    pub const fn kernel(signal: Signal) -> Self {
        Self::new(signal, SI_KERNEL as i32, [0; 3])
    }

    /// A process sends it by kill(2).
    #[must_use]
    pub const fn user(signal: Signal, process: i32, uid: u32) -> Self {
        Self::new(signal, SI_USER as i32, [pair(process, uid as i32), 0, 0])
    }

    /// A process sends it by tgkill(2).
    #[must_use]
    pub const fn tkill(signal: Signal, process: i32, uid: u32) -> Self {
        Self::new(signal, SI_TKILL, [pair(process, uid as i32), 0, 0])
    }

    /// What the program did at `address`.
    #[must_use]
    pub const fn fault(signal: Signal, code: u32, address: u64) -> Self {
        Self::new(signal, code as i32, [address, 0, 0])
    }

    /// A child changed: `SIGCHLD`, with the times that it ran, in ns.
    #[must_use]
    pub const fn child(signal: Signal, code: u32, process: i32, uid: u32, status: i32) -> Self {
        Self::new(signal, code as i32, [pair(process, uid as i32), status as u32 as u64, 0])
    }

    /// A POSIX timer expired, and `overrun` times more since.
    #[must_use]
    pub const fn timer(signal: Signal, timer: i32, overrun: i32, value: u64) -> Self {
        Self::new(signal, SI_TIMER, [pair(timer, overrun), value, 0])
    }

    /// What a program made up (rt_sigqueueinfo(2)), for `signal`.
    #[must_use]
    pub const fn queued(self, signal: Signal) -> Self {
        Self { signal: signal.number(), ..self }
    }

    /// Returns the signal.
    #[must_use]
    pub fn signal(&self) -> Signal {
        // Whatever made it had one.
        u64::try_from(self.signal).ok().and_then(Signal::new).unwrap_or(Signal::KILL)
    }

    /// Returns `si_signo` as it was said, which may be no signal's.
    #[must_use]
    pub const fn number(&self) -> i32 {
        self.signal
    }

    /// Returns `si_code`.
    #[must_use]
    pub const fn code(&self) -> i32 {
        self.code
    }

    /// Returns `si_addr` of a fault.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.fields[0]
    }

    /// Returns `si_pid` and `si_uid`.
    #[must_use]
    pub const fn sender(&self) -> (i32, u32) {
        (self.fields[0] as i32, (self.fields[0] >> 32) as u32)
    }

    /// Returns what is at offset 16 and behind.
    #[must_use]
    pub const fn fields(&self) -> &[u64; 14] {
        &self.fields
    }

    /// Whether it stands for the timer of that number.
    pub(crate) const fn is_timer(&self, timer: i32) -> bool {
        self.code == SI_TIMER && self.fields[0] as i32 == timer
    }

    /// Whether the program itself caused it, by what it did.
    pub(crate) const fn is_fault(&self) -> bool {
        self.code > 0 && self.code != SI_KERNEL as i32
    }
}
