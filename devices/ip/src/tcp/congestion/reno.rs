//! Reno (RFC 5681, section 3.1): a segment more each round trip, half after a loss.

use super::{Control, LARGEST, Round, Window};
use kernel::time::Instant;

/// The share of the window that is left after a loss, in thousandths.
const BETA: u32 = 500;

/// Reno.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reno {
    base: Window,
    /// Bytes acknowledged since it last grew.
    credit: u32,
}

impl Control for Reno {
    fn new(mss: u32) -> Self {
        Self { base: Window::new(mss), credit: 0 }
    }

    fn base(&self) -> &Window {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Window {
        &mut self.base
    }

    fn acked(&mut self, bytes: u32, round: &Round, _now: Instant) {
        if !round.limited {
            return;
        }
        self.credit = self.credit.saturating_add(self.base.slow_start(bytes, round));
        if self.credit >= self.base.window {
            self.credit -= self.base.window;
            self.credit = self.credit.min(self.base.window);
            self.base.window = self.base.window.saturating_add(self.base.mss).min(LARGEST);
        }
    }

    fn loss(&mut self) {
        self.base.reduce(BETA);
        self.credit = 0;
    }

    fn timeout(&mut self, in_flight: u32, first: bool) {
        if first {
            self.loss();
        }
        self.base.timeout(in_flight);
    }

    fn undo(&mut self) {
        self.base.undo();
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, round};
    use super::*;

    #[test]
    fn it_doubles_then_grows_by_a_segment_a_round_trip_and_halves() {
        let mut reno = Reno::new(1000);
        reno.acked(10_000, &round(true), at(0));
        assert_eq!((reno.window(), reno.in_slow_start()), (20_000, true));
        reno.loss();
        assert_eq!((reno.window(), reno.threshold()), (20_000, 10_000));
        reno.recovered();
        assert_eq!(reno.window(), 10_000);
        for ack in 1..=10 {
            reno.acked(1000, &round(true), at(ack));
        }
        assert_eq!(reno.window(), 11_000);
        (0..5).for_each(|_| reno.loss());
        assert_eq!(reno.threshold(), 5500, "of the window, which PRR lowers");
    }

    #[test]
    fn an_ack_of_everything_grows_it_by_no_more_than_acks_of_each_segment() {
        let mut reno = Reno::new(1000);
        reno.loss();
        reno.recovered();
        reno.acked(1 << 30, &round(true), at(0));
        assert_eq!(reno.window(), 6000);
        (0..3).for_each(|_| reno.acked(1000, &round(true), at(0)));
        assert_eq!(reno.window(), 7000, "no more is kept than one window");
    }
}
