//! CUBIC (RFC 9438), in integers: the window grows by a cubic function of the time since the
//! last loss, fast, then slowly near the window at which that happened, then fast again.

use super::{Control, LARGEST, Round, Window};
use core::time::Duration;
use kernel::time::Instant;

/// `beta_cubic`, in thousandths (section 4.6).
const BETA: u32 = 700;

/// (1 + `beta_cubic`) / 2, in thousandths: fast convergence (section 4.7).
const CONVERGENCE: u32 = 850;

/// Bits of `estimate` that are a fraction.
const FRACTION: u32 = 10;

/// The longest time since the start of an epoch that is calculated with, in ms.
const LONGEST: u64 = 100_000;

/// CUBIC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cubic {
    base: Window,
    curve: Curve,
    /// The curve before the last episode.
    prior: Curve,
    /// When an ACK last came.
    last: Option<Instant>,
}

/// Where on the curve the window is.
#[derive(Clone, Copy, Debug, Default)]
struct Curve {
    /// `W_max`.
    most: u32,
    /// `cwnd_prior`: the window at the last reduction.
    before: u32,
    epoch: Option<Epoch>,
}

/// A time of congestion avoidance.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    /// `t_epoch`.
    start: Instant,
    /// `K`, in ms.
    k: u64,
    /// The window at `K`.
    origin: u32,
    /// `W_est`, with [`FRACTION`].
    estimate: u64,
    /// What the window has not grown by yet, times itself.
    credit: u64,
}

/// Returns the cube root, rounded down.
fn cube_root(of: u64) -> u64 {
    let mut root = 0_u64;
    for bit in (0..=21).rev() {
        let next = root | 1 << bit;
        if next.checked_pow(3).is_some_and(|cube| cube <= of) {
            root = next;
        }
    }
    root
}

fn milliseconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1000).saturating_add((duration.subsec_millis()).into())
}

impl Epoch {
    /// Begins with the window as it is (section 4.2).
    fn new(base: &Window, most: u32, now: Instant) -> Self {
        // K = cbrt((W_max - cwnd) / C), C = 0.4 segments a cubic second; 10^9 cubic ms.
        let missing = u64::from(most.saturating_sub(base.window));
        let k = cube_root(missing.saturating_mul(2_500_000_000) / u64::from(base.mss));
        let origin = most.max(base.window);
        let estimate = u64::from(base.window) << FRACTION;
        Self { start: now, k, origin, estimate, credit: 0 }
    }

    /// Returns `W_cubic` at `t` ms after the start (figure 1).
    fn at(&self, t: u64, mss: u32) -> u32 {
        let from = t.min(LONGEST).abs_diff(self.k.min(LONGEST));
        // 0.4 segments times a third power of at most 10^15 / 10^9.
        let off = from.pow(3) / 2_500 * u64::from(mss) / 1_000_000;
        let off = u32::try_from(off).unwrap_or(u32::MAX);
        if t < self.k { self.origin.saturating_sub(off) } else { self.origin.saturating_add(off) }
    }
}

impl Cubic {
    fn avoid(&mut self, bytes: u32, smoothed: Duration, now: Instant) {
        let Curve { most, before, .. } = self.curve;
        let base = &mut self.base;
        let epoch = self.curve.epoch.get_or_insert_with(|| Epoch::new(base, most, now));
        let window = u64::from(base.window);
        let bytes = u64::from(bytes.min(base.window));

        // What Reno would have, with a share of 0.7 left after a loss (section 4.3): alpha is
        // 3 (1 - beta) / (1 + beta) = 9 / 17 until the window is as before the loss.
        let more = (bytes * u64::from(base.mss)) << FRACTION;
        let more = more / window;
        let before = u64::from(before) << FRACTION;
        epoch.estimate += if epoch.estimate < before { more * 9 / 17 } else { more };
        epoch.estimate = epoch.estimate.min(u64::from(LARGEST) << FRACTION);

        let t = milliseconds(now.saturating_duration_since(epoch.start));
        let estimate = (epoch.estimate >> FRACTION) as u32;
        if epoch.at(t, base.mss) < estimate {
            base.window = base.window.max(estimate);
            return;
        }
        let ahead = t.saturating_add(milliseconds(smoothed));
        // At most half more in a round trip (section 4.4); at least a hundredth of a segment
        // where the curve is flat, as Linux does.
        let target = epoch.at(ahead, base.mss).min(base.window / 2 * 3);
        let growth = u64::from(target.saturating_sub(base.window).max(base.mss.div_ceil(100)));
        epoch.credit += growth * bytes;
        let grown = base.window + (epoch.credit / window) as u32;
        epoch.credit %= window;
        base.window = grown.min(LARGEST);
    }

    /// Sets `W_max` (section 4.7), and ends the epoch.
    fn reduce(&mut self) {
        self.prior = self.curve;
        let window = self.base.window;
        let converging = window < self.curve.most;
        let most = if converging { self.base.share(CONVERGENCE) } else { window };
        self.curve = Curve { most, before: window, epoch: None };
        self.base.reduce(BETA);
    }

    /// Leaves out time in which the window was not used (section 4.2).
    fn pause(&mut self, pause: Duration) {
        if let Some(epoch) = &mut self.curve.epoch {
            epoch.start = epoch.start.saturating_add(pause);
        }
    }
}

impl Control for Cubic {
    fn new(mss: u32) -> Self {
        let curve = Curve::default();
        Self { base: Window::new(mss), curve, prior: curve, last: None }
    }

    fn base(&self) -> &Window {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Window {
        &mut self.base
    }

    fn acked(&mut self, bytes: u32, round: &Round, now: Instant) {
        let last = self.last.replace(now).unwrap_or(now);
        if !round.limited {
            self.pause(now.saturating_duration_since(last));
            return;
        }
        let left = self.base.slow_start(bytes, round);
        if left > 0 && !self.in_slow_start() {
            self.avoid(left, round.smoothed, now);
        }
    }

    fn loss(&mut self) {
        self.reduce();
    }

    /// Begins the next curve where slow start ends (section 4.8).
    fn timeout(&mut self, in_flight: u32, first: bool) {
        if first {
            self.reduce();
        }
        self.curve.most = 0;
        self.base.timeout(in_flight);
    }

    /// Goes on with the curve as it was (section 4.9.1).
    fn undo(&mut self) {
        if self.base.undo() {
            self.curve = self.prior;
        }
    }

    fn idle(&mut self, idle: Duration, rto: Duration) {
        self.pause(idle);
        self.base.idle(idle, rto);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, round};
    use super::*;

    const MSS: u32 = 1000;

    /// One with a window of so many segments, which is `limit`ed to that, after a loss there.
    fn after_loss(segments: u32) -> Cubic {
        let mut cubic = Cubic::new(MSS);
        cubic.set_window(segments * MSS);
        cubic.loss();
        cubic.recovered();
        cubic
    }

    /// Acknowledges a window each round trip of `rtt` ms from `from` to `to`.
    fn run(cubic: &mut Cubic, from: u64, to: u64, rtt: u64) {
        let mut now = from;
        while now < to {
            for _ in 0..10 {
                now += rtt / 10;
                let smoothed = Duration::from_millis(rtt);
                cubic.acked(cubic.window() / 10, &Round { smoothed, ..round(true) }, at(now));
            }
        }
    }

    #[test]
    fn cube_roots_are_whole() {
        for root in [0, 1, 2, 1000, 99_999, 2_642_245_u64] {
            let cube = root.pow(3);
            assert_eq!(cube_root(cube), root);
            assert_eq!(cube_root(cube.saturating_add(1)), root.max(u64::from(cube == 0)));
            assert_eq!(cube_root(cube.saturating_sub(1)), root.saturating_sub(1));
        }
        assert_eq!(cube_root(u64::MAX), 2_642_245);
    }

    /// RFC 9438, section 4.2: K is the cube root of 300 / 0.4 s.
    #[test]
    fn the_window_is_as_before_after_k_and_grows_slowly_there() {
        let mut cubic = after_loss(1000);
        assert_eq!(cubic.window(), 700_000);
        let k = 9086;
        run(&mut cubic, 0, k / 2, 100);
        // 0.4 * (K / 2)^3 is an eighth of 300 segments.
        let half = cubic.window() / MSS;
        assert!((955..=966).contains(&half), "{half}");
        run(&mut cubic, k / 2, k, 100);
        let all = cubic.window() / MSS;
        assert!((998..=1002).contains(&all), "{all}");
        run(&mut cubic, k, k + k / 2, 100);
        let beyond = cubic.window() / MSS;
        assert!((1034..=1046).contains(&beyond), "{beyond}");
    }

    /// Section 4.3: where round trips are short, it is as fast as Reno.
    #[test]
    fn the_window_grows_as_renos_where_that_is_faster() {
        let mut cubic = after_loss(20);
        assert_eq!(cubic.window(), 14_000);
        run(&mut cubic, 0, 110, 10);
        // 9 / 17 of a segment in each of 11 round trips.
        let window = cubic.window();
        assert!((19_000..=20_500).contains(&window), "{window}");
        run(&mut cubic, 110, 210, 10);
        // A segment in each of 10.
        let more = cubic.window() - window;
        assert!((8500..=10_500).contains(&more), "{more}");
    }

    #[test]
    fn a_second_loss_before_the_window_was_reached_makes_room() {
        let mut cubic = after_loss(100);
        assert_eq!(cubic.curve.most, 100_000);
        cubic.loss();
        assert_eq!((cubic.curve.most, cubic.threshold()), (59_500, 49_000));
    }

    #[test]
    fn undoing_restores_window_threshold_and_curve_once() {
        let mut cubic = after_loss(1000);
        run(&mut cubic, 0, 3000, 100);
        let (window, threshold) = (cubic.window(), cubic.threshold());
        cubic.loss();
        cubic.set_window(30 * MSS);
        cubic.recovered();
        assert!(cubic.window() < window);
        cubic.undo();
        assert_eq!((cubic.window(), cubic.threshold()), (window, threshold));
        assert!(cubic.curve.epoch.is_some() && cubic.curve.most == 1_000_000);
        cubic.timeout(0, true);
        assert_eq!((cubic.window(), cubic.in_slow_start()), (MSS, true));
        cubic.timeout(0, false);
        cubic.undo();
        assert_eq!(cubic.window(), window);
        cubic.set_window(MSS);
        cubic.undo();
        assert_eq!(cubic.window(), MSS, "only once");
    }

    #[test]
    fn a_timeout_begins_with_a_segment_and_lowers_the_threshold_once() {
        let mut cubic = Cubic::new(MSS);
        cubic.set_window(100 * MSS);
        cubic.timeout(3 * MSS, true);
        assert_eq!((cubic.window(), cubic.threshold()), (4000, 70_000));
        cubic.timeout(0, false);
        assert_eq!((cubic.window(), cubic.threshold()), (1000, 70_000));
        cubic.acked(1000, &round(true), at(0));
        assert_eq!(cubic.window(), 2000);
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut cubic = Cubic::new(MSS);
        cubic.acked(10_000, &round(false), at(0));
        assert_eq!(cubic.window(), 10_000);
        // The curve waits meanwhile.
        let mut cubic = after_loss(1000);
        run(&mut cubic, 0, 3000, 100);
        let window = cubic.window();
        cubic.acked(1000, &round(false), at(60_000));
        cubic.acked(1000, &round(true), at(60_010));
        assert!(cubic.window() - window < 2000);
    }

    #[test]
    fn idle_time_halves_the_window_down_to_the_first_one() {
        let second = Duration::from_secs(1);
        let mut cubic = Cubic::new(MSS);
        cubic.set_window(100 * MSS);
        cubic.idle(second * 2, second);
        assert_eq!(cubic.window(), 50_000);
        cubic.idle(Duration::MAX, second);
        assert_eq!(cubic.window(), 10_000);
        cubic.set_window(3 * MSS);
        cubic.idle(Duration::MAX, second);
        assert_eq!(cubic.window(), 3000, "it never grows by that");
    }

    #[test]
    fn no_number_overflows() {
        for mss in [0, 1, 536, 65_535, u32::MAX] {
            let mut cubic = Cubic::new(mss);
            for step in 0..200_u64 {
                cubic.acked(u32::MAX, &round(true), at(step << 30));
                match step % 7 {
                    0 => cubic.loss(),
                    1 => cubic.recovered(),
                    2 => cubic.timeout(u32::MAX, step % 2 == 0),
                    3 => cubic.undo(),
                    4 => cubic.idle(Duration::MAX, Duration::from_secs(9)),
                    _ => cubic.set_window(u32::MAX),
                }
                assert!((1..=LARGEST).contains(&cubic.window()), "{mss} {step}");
            }
        }
    }
}
