//! How long a round trip takes, and when to give up waiting for one (RFC 6298).

use core::time::Duration;
use kernel::time::Instant;

/// The timeout before the first sample (RFC 6298, section 2.1), in ns.
const INITIAL: u64 = 1_000_000_000;

/// The timeout after a handshake that took one and gave no sample (RFC 6298, section 5.7), in ns.
const AFTER_SYN: u64 = 3_000_000_000;

/// The longest timeout (RFC 6298, section 2.5), in ns.
const LONGEST: u64 = 60_000_000_000;

/// What the timeout is beyond the smoothed round trip at least. RFC 6298, section 2.4, asks for
/// a timeout of a second at least, for clocks of its time and for acknowledgments that are
/// delayed. Those come within 200 ms from every system in use, and Linux's sender waits for no
/// more; each needless second would be one in which a short flow stands still.
const SLACK: u64 = 200_000_000;

/// Samples beyond it say nothing, and would overflow.
const INSANE: u64 = 600_000_000_000;

/// How long the least round trip is remembered at least, and half of how long it is at most.
const REMEMBERED: Duration = Duration::from_secs(150);

/// Estimates the round trip time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rtt {
    /// SRTT in ns, 0 before the first sample.
    smoothed: u64,
    /// RTTVAR in ns.
    variance: u64,
    /// The least in ns of this span and of the one before it; the first span began at `since`.
    least: [u64; 2],
    since: Option<Instant>,
    /// How often the timeout was doubled.
    backed_off: u8,
    /// The timeout before the first sample.
    initial: u64,
}

fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos().into())
}

impl Rtt {
    pub(crate) const fn new() -> Self {
        Self {
            smoothed: 0,
            variance: 0,
            least: [u64::MAX; 2],
            since: None,
            backed_off: 0,
            initial: INITIAL,
        }
    }

    /// Takes a sample, when `segments` are in flight (RFC 6298, section 2.3). It must not be of
    /// what was sent twice (Karn's algorithm, section 3).
    ///
    /// With a sample for each ACK the variance would forget a bad one within a round trip, so
    /// that it falls by a share of what it would (RFC 7323, appendix G), and rises at once.
    pub(crate) fn sample(&mut self, rtt: Duration, segments: u32, now: Instant) {
        let rtt = nanos(rtt).clamp(1, INSANE);
        match self.since {
            Some(since) if now.saturating_duration_since(since) < REMEMBERED => {}
            _ => {
                self.least = [u64::MAX, self.least[0]];
                self.since = Some(now);
            }
        }
        self.least[0] = self.least[0].min(rtt);
        if self.smoothed == 0 {
            self.smoothed = rtt;
            self.variance = rtt / 2;
            return;
        }
        let error = rtt.abs_diff(self.smoothed);
        if error > self.variance {
            self.variance += (error - self.variance) / 4;
        } else {
            let samples = u64::from(segments.div_ceil(2).max(1));
            self.variance -= (self.variance - error) / (4 * samples);
        }
        self.smoothed = (self.smoothed - self.smoothed / 8 + rtt / 8).max(1);
    }

    /// Returns SRTT. `None` before the first sample.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        (self.smoothed > 0).then(|| Duration::from_nanos(self.smoothed))
    }

    /// Returns RTTVAR.
    #[cfg(test)]
    pub(crate) fn variance(&self) -> Duration {
        Duration::from_nanos(self.variance)
    }

    /// Returns the least of the last 150 to 300 seconds (`RACK.min_RTT` of RFC 8985, section
    /// 6.2). `None` before the first sample.
    pub(crate) fn least(&self) -> Option<Duration> {
        let least = self.least[0].min(self.least[1]);
        (least < u64::MAX).then(|| Duration::from_nanos(least))
    }

    /// Returns the retransmission timeout, doubled for each time it backed off (RFC 6298,
    /// sections 2 and 5.5).
    pub(crate) fn timeout(&self) -> Duration {
        let timeout = if self.smoothed == 0 {
            self.initial
        } else {
            self.smoothed + SLACK.max(self.variance * 4)
        };
        // It is of 42 bits at most, as samples are.
        Duration::from_nanos((timeout << self.backed_off).min(LONGEST))
    }

    /// Doubles the timeout, since it went off (RFC 6298, section 5.5).
    pub(crate) fn back_off(&mut self) {
        self.backed_off = (self.backed_off + 1).min(16);
    }

    /// The handshake is over. Where it gave no sample its SYN was sent again, so that a timeout of
    /// a second is too short for this path.
    pub(crate) const fn established(&mut self) {
        self.initial = AFTER_SYN;
    }

    /// Ends backing off: something new was acknowledged, so that packets arrive.
    pub(crate) fn acknowledged(&mut self) {
        self.backed_off = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn now() -> Instant {
        kernel::testing::simulate_time();
        Instant::now()
    }

    #[test]
    fn the_timeout_is_a_second_then_a_round_trip_and_200_ms() {
        let now = now();
        let mut rtt = Rtt::new();
        assert_eq!((rtt.timeout(), rtt.smoothed(), rtt.least()), (ms(1000), None, None));
        rtt.sample(ms(20), 1, now);
        assert_eq!((rtt.timeout(), rtt.smoothed()), (ms(220), Some(ms(20))));
        assert_eq!(rtt.variance(), ms(10));
        // A variance of 150 ms counts four times.
        let mut rtt = Rtt::new();
        rtt.sample(ms(300), 1, now);
        assert_eq!(rtt.timeout(), ms(900));
    }

    #[test]
    fn it_backs_off_to_a_minute_and_begins_anew() {
        let mut rtt = Rtt::new();
        rtt.sample(ms(300), 1, now());
        let mut timeouts = [0; 9];
        for timeout in &mut timeouts {
            *timeout = rtt.timeout().as_millis();
            rtt.back_off();
        }
        assert_eq!(timeouts, [900, 1800, 3600, 7200, 14_400, 28_800, 57_600, 60_000, 60_000]);
        (0..1000).for_each(|_| rtt.back_off());
        assert_eq!(rtt.timeout(), Duration::from_nanos(LONGEST));
        rtt.acknowledged();
        assert_eq!(rtt.timeout(), ms(900));
    }

    #[test]
    fn a_bad_sample_is_remembered_for_round_trips_and_not_for_samples() {
        let now = now();
        let [mut few, mut many] = [Rtt::new(); 2];
        for (rtt, segments) in [(&mut few, 2), (&mut many, 100)] {
            rtt.sample(ms(100), segments, now);
            (0..200).for_each(|_| rtt.sample(ms(100), segments, now));
            rtt.sample(ms(1000), segments, now);
            (0..50).for_each(|_| rtt.sample(ms(100), segments, now));
        }
        assert!(few.timeout() < ms(310), "{few:?}");
        assert!(many.timeout() > ms(700), "{many:?}");
    }

    #[test]
    fn the_least_is_forgotten_after_minutes() {
        let start = now();
        let mut rtt = Rtt::new();
        rtt.sample(ms(10), 1, start);
        for second in 0..150 {
            rtt.sample(ms(30), 1, start.saturating_add(ms(second * 1000)));
        }
        assert_eq!(rtt.least(), Some(ms(10)));
        rtt.sample(ms(30), 1, start.saturating_add(ms(150_000)));
        assert_eq!(rtt.least(), Some(ms(10)));
        rtt.sample(ms(30), 1, start.saturating_add(ms(300_000)));
        assert_eq!(rtt.least(), Some(ms(30)));
    }

    #[test]
    fn no_sample_is_too_short_or_too_long() {
        let now = now();
        let mut rtt = Rtt::new();
        rtt.sample(Duration::ZERO, 0, now);
        assert!(rtt.smoothed().is_some() && rtt.timeout() >= ms(200));
        for _ in 0..100 {
            rtt.sample(Duration::MAX, u32::MAX, now);
        }
        assert_eq!(rtt.timeout(), Duration::from_nanos(LONGEST));
    }
}
