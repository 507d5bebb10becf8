//! Congestion control: how much may be in flight. [`Cubic`] is what connections use, and
//! [`Reno`] the second implementation of [`Control`].

mod cubic;
mod hystart;
#[cfg(test)]
mod reno;

pub(crate) use cubic::Cubic;
#[cfg(test)]
pub(crate) use reno::Reno;

use super::seq::Seq;
use core::time::Duration;
use hystart::HyStart;
use kernel::time::Instant;

/// Segments of the initial window (RFC 6928).
const INITIAL: u32 = 10;

/// The largest window: what the scale of windows allows (RFC 7323, section 2.2).
const LARGEST: u32 = 1 << 30;

/// The state of a connection when an ACK came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// The sample of this ACK, if it gives one.
    pub(crate) rtt: Option<Duration>,
    /// SRTT.
    pub(crate) smoothed: Duration,
    /// SND.UNA after the ACK, and SND.NXT.
    pub(crate) una: Seq,
    pub(crate) next: Seq,
    /// When sending last stopped, the window was why, and not the app or the peer: only then
    /// may it grow (RFC 9438, section 4.2; RFC 7661).
    pub(crate) limited: bool,
}

/// An algorithm that chooses the window. All numbers are bytes.
pub(crate) trait Control {
    /// Begins with a window of 10 segments (RFC 6928) and no threshold.
    fn new(mss: u32) -> Self
    where
        Self: Sized;

    fn base(&self) -> &Window;

    fn base_mut(&mut self) -> &mut Window;

    /// Notes that `bytes` newly arrived (`Acked::delivered`), outside of recovery by fast
    /// retransmission; also in slow start after a timeout.
    fn acked(&mut self, bytes: u32, round: &Round, now: Instant);

    /// Lowers the threshold at the start of an episode, because of a loss or a mark (RFC 3168,
    /// section 6.1.2). The window stays, for PRR lowers it step by step: until
    /// [`recovered`](Self::recovered) the caller says what it is by
    /// [`set_window`](Self::set_window). At most once a round trip.
    fn loss(&mut self);

    /// Reduces the window to one segment more than is in flight, at a retransmission timeout.
    /// `first`: nothing was reduced for these losses yet, so that the threshold falls as well.
    fn timeout(&mut self, in_flight: u32, first: bool);

    /// Takes the last [`loss`](Self::loss) or first [`timeout`](Self::timeout) back: it was
    /// needless (RFC 4015, section 3.2). More than once does nothing.
    fn undo(&mut self);

    /// Notes that nothing was sent for `idle`, which is longer than the timeout `rto`.
    fn idle(&mut self, idle: Duration, rto: Duration) {
        self.base_mut().idle(idle, rto);
    }

    /// Returns the window (`cwnd`).
    fn window(&self) -> u32 {
        self.base().window
    }

    /// Returns the threshold of slow start (`ssthresh`).
    fn threshold(&self) -> u32 {
        self.base().threshold
    }

    fn in_slow_start(&self) -> bool {
        self.base().window < self.base().threshold
    }

    /// Takes the window that PRR calculated.
    fn set_window(&mut self, bytes: u32) {
        let base = self.base_mut();
        base.window = bytes.clamp(base.mss, LARGEST);
    }

    /// Ends an episode: the window is the threshold (RFC 6937, section 3).
    fn recovered(&mut self) {
        let base = self.base_mut();
        base.window = base.threshold.min(LARGEST);
    }

    /// Takes another segment size. The window stays, in bytes, and is two segments at least.
    fn set_mss(&mut self, mss: u32) {
        let base = self.base_mut();
        base.mss = mss.clamp(1, 65_535);
        base.window = base.window.max(2 * base.mss);
    }
}

/// What the algorithms have in common: slow start, and what is restored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    mss: u32,
    window: u32,
    threshold: u32,
    /// Window and threshold before the last episode; 0 when there is nothing to take back.
    prior: (u32, u32),
    hystart: HyStart,
}

impl Window {
    fn new(mss: u32) -> Self {
        let mss = mss.clamp(1, 65_535);
        let window = INITIAL * mss;
        Self { mss, window, threshold: u32::MAX, prior: (0, 0), hystart: HyStart::new() }
    }

    /// Grows in slow start (RFC 5681, section 3.1, by bytes as RFC 3465 and without its limit,
    /// since one ACK speaks for many segments where they are merged). Returns the bytes that
    /// are left when the threshold is reached.
    ///
    /// The first slow start is `HyStart++` (RFC 9406).
    fn slow_start(&mut self, bytes: u32, round: &Round) -> u32 {
        if self.window >= self.threshold {
            return bytes;
        }
        let mut bytes = bytes;
        if self.threshold == u32::MAX {
            match self.hystart.acked(round) {
                hystart::Growth::Full => {}
                hystart::Growth::Share(divisor) => bytes /= divisor,
                hystart::Growth::End => {
                    self.threshold = self.window;
                    return bytes;
                }
            }
        }
        let grown = self.window.saturating_add(bytes).min(self.threshold).min(LARGEST);
        let left = bytes.saturating_sub(grown - self.window);
        self.window = grown;
        left
    }

    /// Sets the threshold to `share` / 1000 of the window. The window stands for what is in
    /// flight, since it does not grow while it is not used.
    fn reduce(&mut self, share: u32) {
        self.prior = (self.window, self.threshold);
        self.threshold = self.share(share).max(2 * self.mss);
    }

    fn timeout(&mut self, in_flight: u32) {
        self.window = in_flight.saturating_add(self.mss).min(LARGEST);
    }

    /// Returns `share` / 1000 of the window.
    fn share(&self, share: u32) -> u32 {
        (u64::from(self.window) * u64::from(share) / 1000) as u32
    }

    /// Returns whether there was something to take back.
    fn undo(&mut self) -> bool {
        let (window, threshold) = self.prior;
        self.prior = (0, 0);
        self.window = self.window.max(window);
        self.threshold = self.threshold.max(threshold);
        window > 0
    }

    /// Halves the window for each timeout that passed idle, down to the initial one, and keeps
    /// in the threshold what it was (RFC 2861, section 3.2, as Linux does): RFC 5681, section
    /// 4.1, forgets all of it at once, which costs slow starts after each pause of 200 ms.
    fn idle(&mut self, idle: Duration, rto: Duration) {
        let least = (INITIAL * self.mss).min(self.window);
        self.threshold = self.threshold.max(self.window / 4 * 3);
        let mut idle = idle;
        while idle > rto && self.window > least && !rto.is_zero() {
            idle -= rto;
            self.window = (self.window / 2).max(least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn at(ms: u64) -> Instant {
        kernel::testing::simulate_time();
        Instant::now().saturating_add(Duration::from_millis(ms))
    }

    pub(super) fn round(limited: bool) -> Round {
        let smoothed = Duration::from_millis(100);
        Round { rtt: None, smoothed, una: Seq(0), next: Seq(1), limited }
    }
}
