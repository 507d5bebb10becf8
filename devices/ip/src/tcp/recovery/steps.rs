//! A sender step by step: probes, timeouts, marks and what undoes them.

use super::super::congestion::Cubic;
use super::super::undo::stamp;
use super::*;
use core::time::Duration;

/// One that has sent ten segments at 0 ms, and the moment so many ms later.
fn sender() -> (Recovery<Cubic>, impl Fn(u64) -> Instant) {
    kernel::testing::simulate_time();
    let start = Instant::now();
    let at = move |ms| start.saturating_add(Duration::from_millis(ms));
    let mut sender = Recovery::<Cubic>::new(Seq(0), true, 1000, start);
    sender.rtt.sample(Duration::from_millis(50), 1, start);
    assert!(sender.sent(10_000, start));
    sender.filled();
    (sender, at)
}

fn range(start: u32, end: u32) -> Range {
    Range::new(Seq(start), Seq(end))
}

#[test]
fn a_window_grows_where_half_of_it_is_used_in_slow_start_and_all_of_it_afterwards() {
    let (mut sender, at) = sender();
    sender.acknowledge(Seq(10_000), &[], None, false, at(50));
    assert_eq!(sender.control.window(), 20_000);
    // The program is late with what it writes, and does not fill the window.
    assert!(sender.sent(11_000, at(51)));
    sender.acknowledge(Seq(21_000), &[], None, false, at(101));
    assert_eq!(sender.control.window(), 31_000);
    assert!(sender.sent(2000, at(102)));
    for round in 0..5 {
        assert!(sender.sent(2000, at(103 + round * 50)));
        let una = Seq(23_000 + round as u32 * 2000);
        sender.acknowledge(una, &[], None, false, at(150 + round * 50));
    }
    assert_eq!(sender.control.window(), 31_000, "less than half");

    let (mut sender, at) = self::sender();
    sender.reduce();
    sender.acknowledge(Seq(10_000), &[], None, false, at(50));
    let window = sender.control.window();
    for round in 0..20 {
        assert!(sender.sent(window - 1000, at(51 + round * 50)));
        let una = sender.sent.next();
        sender.acknowledge(una, &[], None, false, at(100 + round * 50));
    }
    assert_eq!(sender.control.window(), window);
    assert!(sender.sent(window, at(2000)));
    sender.filled();
    let una = sender.sent.next();
    sender.acknowledge(una, &[], None, false, at(2050));
    assert!(sender.control.window() > window);
}

#[test]
fn a_lost_tail_is_probed_for_once_and_then_waited_for() {
    let (mut sender, at) = sender();
    sender.acknowledge(Seq(9000), &[], None, false, at(50));
    // Two round trips, and what a delayed ACK takes.
    assert_eq!(sender.timer(), Some(at(50 + 250)));
    assert_eq!(sender.due(at(299)), None);
    assert_eq!(sender.due(at(300)), Some(Due::Probe), "the timeout is due as well");

    let (mut sender, at) = self::sender();
    sender.acknowledge(Seq(8000), &[], None, false, at(50));
    assert_eq!(sender.timer(), Some(at(50 + 102)));
    assert_eq!(sender.due(at(152)), Some(Due::Probe));
    let tail = sender.sent.tail(1000);
    assert_eq!(tail, Some(range(9000, 10_000)));
    sender.probed(tail, at(152));
    assert_eq!(sender.timer(), Some(at(152 + 250)), "no other probe");
    // The probe arrived; what was sent before it is lost.
    sender.acknowledge(Seq(8000), &[range(9000, 10_000)], None, true, at(202));
    assert_eq!(
        (sender.phase(), sender.sent.next_lost(1000)),
        (Phase::Fast, Some(range(8000, 9000)))
    );
}

/// A retransmission with nothing after it is lost: two round trips later, not at the timeout.
#[test]
fn a_retransmission_that_is_lost_at_the_end_is_probed_for() {
    let (mut sender, at) = sender();
    sender.acknowledge(Seq(0), &[range(1000, 10_000)], None, true, at(50));
    assert_eq!(sender.phase(), Phase::Fast);
    let piece = sender.sent.next_lost(1000).unwrap();
    sender.resent(piece, at(50));
    assert_eq!(sender.timer(), Some(at(50 + 102)));
    assert_eq!(sender.due(at(152)), Some(Due::Probe));
    assert_eq!(sender.sent.tail(1000), Some(piece));
    sender.probed(Some(piece), at(152));
    sender.acknowledge(Seq(10_000), &[], None, false, at(202));
    assert!(sender.phase() == Phase::Open && sender.sent.is_empty());
}

#[test]
fn a_probe_that_repaired_a_loss_reduces_the_window_once() {
    let (mut sender, at) = sender();
    sender.acknowledge(Seq(8000), &[], None, false, at(50));
    assert_eq!(sender.due(at(152)), Some(Due::Probe));
    sender.probed(Some(range(9000, 10_000)), at(152));
    assert!(sender.sent(1000, at(153)));
    let threshold = sender.control.threshold();
    sender.acknowledge(Seq(11_000), &[], None, false, at(203));
    assert_eq!(sender.phase(), Phase::Reduced);
    assert!(sender.control.threshold() < threshold);
}

#[test]
fn a_needless_timeout_is_undone_by_what_was_sent_before_it() {
    for echo in [None, Some(0)] {
        let (mut sender, at) = sender();
        let echo = echo.map(|ms| stamp(at(ms)));
        let window = sender.control.window();
        sender.probed(None, at(100));
        assert_eq!(sender.due(at(350)), Some(Due::Timeout));
        assert_eq!((sender.phase(), sender.room()), (Phase::Timeout, 1000));
        let piece = sender.sent.next_lost(1000).unwrap();
        sender.resent(piece, at(350));
        sender.acknowledge(Seq(2000), &[], echo, false, at(360));
        assert_eq!((sender.phase(), sender.sent.lost()), (Phase::Open, 0), "{echo:?}");
        assert!(sender.control.window() >= window);
    }
}

#[test]
fn a_timeout_that_was_needed_sends_all_again_from_one_segment() {
    let (mut sender, at) = sender();
    sender.probed(None, at(100));
    assert_eq!(sender.due(at(350)), Some(Due::Timeout));
    let piece = sender.sent.next_lost(1000).unwrap();
    sender.resent(piece, at(350));
    assert_eq!((sender.room(), sender.timer()), (0, Some(at(350 + 500))));
    sender.acknowledge(Seq(1000), &[], Some(stamp(at(350))), false, at(400));
    assert_eq!((sender.phase(), sender.room()), (Phase::Timeout, 2000));
    assert_eq!(sender.timer(), Some(at(400 + 250)), "no longer backed off");
}

#[test]
fn a_needless_episode_is_undone_by_duplicates_after_it_ended() {
    let (mut sender, at) = sender();
    let window = sender.control.window();
    sender.acknowledge(Seq(0), &[range(1000, 4000)], None, true, at(50));
    assert_eq!(sender.phase(), Phase::Fast);
    let piece = sender.sent.next_lost(1000).unwrap();
    sender.resent(piece, at(50));
    sender.acknowledge(Seq(10_000), &[], None, false, at(60));
    assert_eq!(sender.phase(), Phase::Open);
    assert!(sender.control.window() < window);
    sender.acknowledge(Seq(10_000), &[range(0, 1000)], None, true, at(100));
    assert!(sender.control.window() >= window && sender.sent.is_reordered());
}

#[test]
fn a_mark_reduces_the_window_once_a_round_trip() {
    let (mut sender, at) = sender();
    sender.reduce();
    sender.reduce();
    assert_eq!((sender.phase(), sender.control.threshold()), (Phase::Reduced, 7000));
    sender.acknowledge(Seq(10_000), &[], None, false, at(50));
    // From the threshold it grows again, by what this ACK says: 9 / 17 of a segment.
    assert_eq!((sender.phase(), sender.control.window()), (Phase::Open, 7529));
}
