//! `HyStart++` (RFC 9406): leaves slow start before it overflows a queue, once round trips take
//! longer, and goes back to it when that was a mistake.

use super::super::seq::Seq;
use super::Round;
use core::time::Duration;

/// `MIN_RTT_THRESH` and `MAX_RTT_THRESH`.
const LEAST: Duration = Duration::from_millis(4);
const MOST: Duration = Duration::from_millis(16);

/// `MIN_RTT_DIVISOR`.
const DIVISOR: u32 = 8;

/// `N_RTT_SAMPLE`.
const SAMPLES: u32 = 8;

/// `CSS_GROWTH_DIVISOR`.
const SLOWER: u32 = 4;

/// `CSS_ROUNDS`.
const ROUNDS: u32 = 5;

/// How the window grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// By what was acknowledged.
    Full,
    /// By a part of it (conservative slow start).
    Share(u32),
    /// No more: slow start is over.
    End,
}

/// The rounds of the first slow start.
#[derive(Clone, Copy, Debug)]
pub(super) struct HyStart {
    /// `windowEnd`.
    end: Option<Seq>,
    /// `lastRoundMinRTT`, `currentRoundMinRTT`.
    last: Duration,
    current: Duration,
    /// `rttSampleCount`.
    samples: u32,
    /// `cssBaselineMinRtt` and the rounds of conservative slow start, while it lasts.
    conservative: Option<(Duration, u32)>,
}

impl HyStart {
    pub(super) const fn new() -> Self {
        Self {
            end: None,
            last: Duration::MAX,
            current: Duration::MAX,
            samples: 0,
            conservative: None,
        }
    }

    /// Takes an ACK of slow start (RFC 9406, section 4.2).
    pub(super) fn acked(&mut self, round: &Round) -> Growth {
        let mut ended = false;
        if self.end.is_none_or(|end| !round.una.is_before(end)) {
            ended = self.end.is_some();
            self.end = Some(round.next);
            self.last = self.current;
            self.current = Duration::MAX;
            self.samples = 0;
        }
        if let Some(rtt) = round.rtt {
            self.current = self.current.min(rtt);
            self.samples += 1;
        }
        let enough = self.samples >= SAMPLES && self.current < Duration::MAX;
        match &mut self.conservative {
            None => {
                if enough && self.last < Duration::MAX {
                    let threshold = (self.last / DIVISOR).clamp(LEAST, MOST);
                    if self.current >= self.last.saturating_add(threshold) {
                        self.conservative = Some((self.current, 0));
                    }
                }
            }
            Some((baseline, rounds)) => {
                if enough && self.current < *baseline {
                    self.conservative = None;
                } else if ended {
                    *rounds += 1;
                    if *rounds >= ROUNDS {
                        return Growth::End;
                    }
                }
            }
        }
        if self.conservative.is_some() { Growth::Share(SLOWER) } else { Growth::Full }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of 20 ACKs with round trips of so many ms; how the window grew at the end of each.
    fn rounds(hystart: &mut HyStart, rtts: &[u64]) -> alloc::vec::Vec<Growth> {
        let mut una = hystart.end.map_or(0, |end| end.0);
        let round = |rtt: &u64| {
            let next = Seq(una + 20);
            let mut growth = Growth::Full;
            for _ in 0..20 {
                let smoothed = Duration::ZERO;
                let rtt = Some(Duration::from_millis(*rtt));
                growth =
                    hystart.acked(&Round { rtt, smoothed, una: Seq(una), next, limited: true });
                una += 1;
                if growth == Growth::End {
                    break;
                }
            }
            growth
        };
        rtts.iter().map(round).collect()
    }

    const SHARE: Growth = Growth::Share(SLOWER);

    #[test]
    fn steady_round_trips_end_nothing() {
        let all = rounds(&mut HyStart::new(), &[50; 30]);
        assert!(all.iter().all(|growth| *growth == Growth::Full));
        // An eighth of 50 ms is the limit; of 8 ms, 4 ms are; of 400 ms, 16 ms.
        for (rtt, more) in [(50, 6), (8, 3), (400, 15)] {
            let all = rounds(&mut HyStart::new(), &[rtt, rtt + more]);
            assert_eq!(all, [Growth::Full, Growth::Full], "{rtt}");
            let all = rounds(&mut HyStart::new(), &[rtt, rtt + more + 1]);
            assert_eq!(all, [Growth::Full, SHARE], "{rtt}");
        }
    }

    #[test]
    fn longer_round_trips_slow_down_for_five_rounds_and_end_it() {
        let all = rounds(&mut HyStart::new(), &[50, 50, 60, 60, 60, 60, 60, 60]);
        assert_eq!(all[..2], [Growth::Full; 2]);
        assert_eq!(all[2..7], [SHARE; 5]);
        assert_eq!(all[7], Growth::End);
    }

    #[test]
    fn shorter_ones_after_that_go_back_to_growing_fast() {
        let all = rounds(&mut HyStart::new(), &[50, 60, 50, 50, 50]);
        assert_eq!(all, [Growth::Full, SHARE, Growth::Full, Growth::Full, Growth::Full]);
    }

    #[test]
    fn few_samples_say_nothing() {
        let mut hystart = HyStart::new();
        let smoothed = Duration::ZERO;
        for una in 0..50 {
            let rtt = Some(Duration::from_millis(10 + u64::from(una) * 10));
            let round = Round { rtt, smoothed, una: Seq(una), next: Seq(una + 7), limited: true };
            assert_eq!(hystart.acked(&round), Growth::Full);
        }
    }
}
