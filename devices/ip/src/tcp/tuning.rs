//! How much a connection may buffer of what it receives: as much as it needs to be as fast as
//! its path (dynamic right-sizing, by Fisk and Feng: the receiver measures what its program
//! reads in a round trip, and allows for twice that).

use core::time::Duration;
use kernel::time::Instant;

/// Bytes that a connection may buffer at first: what a window without scaling says.
const FIRST: u32 = 0xffff;

/// Bytes that are taken for the initial window of a sender (RFC 6928).
const INITIAL: u32 = 14_600;

/// The least time over which is measured. Round trips of a network beside us are shorter, and
/// the clock of timestamps is no finer (RFC 7323, section 5.4).
const LEAST: Duration = Duration::from_millis(1);

/// The size of a receive buffer, which grows with what its connection uses. It never shrinks by
/// itself: it is what may be held, not what is.
#[derive(Debug)]
pub(crate) struct Tuning {
    size: u32,
    limit: u32,
    /// Smoothed; none until something is known about it.
    rtt: Option<Duration>,
    /// Whether `rtt` was measured, not concluded from how long a window took.
    measured: bool,
    /// When measuring began, what was read since, and the most in a round trip before.
    since: Instant,
    read: u32,
    most: u32,
}

impl Tuning {
    /// For a buffer of at most `limit` bytes.
    pub(crate) fn new(limit: u32, now: Instant) -> Self {
        Self {
            size: FIRST.min(limit),
            limit,
            rtt: None,
            measured: false,
            since: now,
            read: 0,
            most: INITIAL,
        }
    }

    /// Returns the bytes that may be held.
    pub(crate) const fn size(&self) -> u32 {
        self.size
    }

    /// Takes a measured round trip in, an eighth of it (RFC 6298, section 2, has the same
    /// weight).
    pub(crate) fn note_rtt(&mut self, rtt: Duration) {
        let known = self.rtt.filter(|_| self.measured);
        let smoothed = known.map_or(rtt, |known| (known * 7).saturating_add(rtt) / 8);
        self.rtt = Some(smoothed.clamp(LEAST, Duration::from_secs(60)));
        self.measured = true;
    }

    /// Takes note of `count` bytes that the program read.
    pub(crate) fn read(&mut self, count: u32, now: Instant) {
        self.read = self.read.saturating_add(count);
        let passed = now.saturating_duration_since(self.since);
        match self.rtt {
            Some(rtt) if passed >= rtt => self.judge(passed, now),
            // Without timestamps: no window takes less than a round trip.
            _ if !self.measured && self.read >= self.size => self.judge(passed, now),
            _ => {}
        }
    }

    /// Ends a round trip.
    fn judge(&mut self, passed: Duration, now: Instant) {
        if !self.measured && self.read >= self.size {
            self.rtt = Some(self.rtt.map_or(passed, |rtt| rtt.min(passed)).max(LEAST));
        }
        let read = self.read;
        (self.since, self.read) = (now, 0);
        if read <= self.most {
            return;
        }
        // A sender that speeds up sends as many times more in the next round trip.
        let (read, most) = (u64::from(read), u64::from(self.most));
        let more = 2 * read * (read - most).min(most) / most;
        let size = 2 * read + more + 16 * 1460;
        self.size = self.size.max(size.min(self.limit.into()) as u32);
        self.most = read as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads all that comes at `rate` bytes a millisecond, in a window's bound, for so many
    /// round trips. Returns the size in the end.
    fn run(tuning: &mut Tuning, now: &mut Instant, rate: u32, rtt: u32, rounds: u32) -> u32 {
        for _ in 0..rtt * rounds {
            *now = now.saturating_add(Duration::from_millis(1));
            tuning.read(rate.min(tuning.size() / rtt), *now);
        }
        tuning.size()
    }

    fn start(limit: u32) -> Tuning {
        kernel::testing::simulate_time();
        Tuning::new(limit, Instant::now())
    }

    #[test]
    fn it_grows_to_twice_what_the_path_holds_and_no_further() {
        for measured in [true, false] {
            for (rate, rtt) in [(10_000, 100), (10_000, 20), (100_000, 10), (1000, 300)] {
                let mut tuning = start(1 << 30);
                if measured {
                    tuning.note_rtt(Duration::from_millis(rtt.into()));
                }
                let (holds, mut now) = (rate * rtt, tuning.since);
                let size = run(&mut tuning, &mut now, rate, rtt, 12);
                assert!((holds * 2..holds * 5).contains(&size), "{rate} {rtt}: {size}");
                assert_eq!(run(&mut tuning, &mut now, rate, rtt, 20), size, "{measured}");
            }
        }
    }

    #[test]
    fn it_is_ahead_of_a_sender_that_doubles_its_window() {
        let mut tuning = start(1 << 24);
        tuning.note_rtt(Duration::from_millis(100));
        let mut now = tuning.since;
        let mut window = INITIAL;
        while window < 1 << 23 {
            assert!(window <= tuning.size(), "{window} {tuning:?}");
            for _ in 0..10 {
                now = now.saturating_add(Duration::from_millis(10));
                tuning.read(window / 10, now);
            }
            window *= 2;
        }
    }

    #[test]
    fn what_is_slow_or_idle_stays_as_small_as_it_was() {
        let mut tuning = start(1 << 30);
        tuning.note_rtt(Duration::from_millis(50));
        let mut now = tuning.since;
        assert_eq!(run(&mut tuning, &mut now, 100, 50, 1000), FIRST);
        tuning.read(40_000, tuning.since.saturating_add(Duration::from_secs(3600)));
        assert!(tuning.size() < 4 * 40_000 + 30_000);
    }

    #[test]
    fn it_keeps_to_its_limit_whatever_is_read() {
        for limit in [0, 1, 5000, 1 << 20, 0xffff << 14] {
            let mut tuning = start(limit);
            for at in 0..100 {
                let now = tuning.since.saturating_add(Duration::from_secs(at));
                tuning.read(u32::MAX, now);
                tuning.note_rtt(Duration::MAX);
                tuning.note_rtt(Duration::ZERO);
                assert!(tuning.size() <= limit);
            }
            assert_eq!(tuning.size(), limit);
        }
    }
}
