//! RACK (RFC 8985, section 6): what was sent earlier than something that arrived, by more than
//! packets are reordered, is lost. Time tells, and no count of duplicates.

use super::rtt::Rtt;
use super::seq::Seq;
use core::time::Duration;
use kernel::time::Instant;

/// Segments that were sacked before a first loss is believed at once, as long as no reordering
/// was seen (`DupThresh`; RFC 6675).
pub(crate) const DUPLICATES: u32 = 3;

/// Recoveries for which a wider window is kept (`RACK.reo_wnd_persist`).
const PERSIST: u8 = 16;

/// How wide the window may become even where a round trip takes less. RFC 8985, section 6.2,
/// has it bounded by SRTT. Where a round trip takes less than a few ms, packets that queues
/// and schedulers delay are later than that, and to wait for them costs next to nothing: what
/// is sacked leaves room to send, and a timeout takes 50 times as long.
const ROOM: Duration = Duration::from_millis(4);

/// What is known of the last arrivals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rack {
    /// `RACK.xmit_ts` and `RACK.end_seq`: of what was sent last of all that arrived.
    latest: Option<(Instant, Seq)>,
    /// `RACK.rtt`: how long that took.
    rtt: Duration,
    /// `RACK.reordering_seen`.
    reordered: bool,
    /// `RACK.reo_wnd_mult`, less 1.
    wider: u8,
    persist: u8,
    /// `RACK.dsack_round`.
    round: Option<Seq>,
    /// Retransmissions of which no D-SACK came.
    resent: u32,
}

impl Rack {
    pub(crate) const fn new() -> Self {
        Self {
            latest: None,
            rtt: Duration::ZERO,
            reordered: false,
            wider: 0,
            persist: 0,
            round: None,
            resent: 0,
        }
    }

    /// Notes that something arrived that had been sent at `sent` up to `end` (section 6.2, step
    /// 2). The caller leaves out retransmissions of which the original may have arrived.
    pub(crate) fn arrived(&mut self, sent: Instant, end: Seq, now: Instant) {
        if !self.is_before_latest(sent, end) {
            self.latest = Some((sent, end));
            self.rtt = now.saturating_duration_since(sent);
        }
    }

    /// Returns whether what was sent at `sent` up to `end` was sent before something that
    /// arrived (`RACK_sent_after`).
    pub(crate) fn is_before_latest(&self, sent: Instant, end: Seq) -> bool {
        self.latest
            .is_some_and(|(latest, last)| sent < latest || sent == latest && end.is_before(last))
    }

    /// Returns whether packets are reordered on this path.
    pub(crate) const fn is_reordered(&self) -> bool {
        self.reordered
    }

    /// Notes that something arrived after what had been sent after it (step 3).
    pub(crate) fn reordered(&mut self) {
        self.reordered = true;
    }

    /// Counts a retransmission.
    pub(crate) fn resent(&mut self) {
        self.resent = self.resent.saturating_add(1);
    }

    /// Makes the window wider by a quarter of the least round trip, since a retransmission
    /// turned out to be needless; once a round trip (step 4). More duplicates than
    /// retransmissions are the network's, and say nothing.
    pub(crate) fn widen(&mut self, una: Seq, next: Seq) {
        if self.resent == 0 {
            return;
        }
        self.resent -= 1;
        if self.round.is_none_or(|round| !una.is_before(round)) {
            self.round = Some(next);
            self.wider = self.wider.saturating_add(1);
            self.persist = PERSIST;
        }
    }

    /// Forgets the round trip in which the window was made wider, when that is over: numbers come
    /// round again.
    pub(crate) fn passed(&mut self, una: Seq) {
        self.round = self.round.filter(|round| una.is_before(*round));
    }

    /// Notes the end of a recovery: after 16 the window is as it was at first (step 4).
    pub(crate) fn recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.wider = 0;
        }
    }

    /// Returns how long after a later one a packet may arrive (`RACK_update_reo_wnd`, step 4).
    /// `eager`: recovery has begun, or as many segments were sacked as are enough to begin it.
    fn window(&self, rtt: &Rtt, eager: bool) -> Duration {
        if !self.reordered && eager {
            return Duration::ZERO;
        }
        let quarter = rtt.least().unwrap_or_default() / 4;
        let most = rtt.smoothed().unwrap_or_default().max(ROOM);
        (quarter * (u32::from(self.wider) + 1)).min(most)
    }

    /// Returns how long after its transmission a packet is lost (step 5).
    pub(crate) fn patience(&self, rtt: &Rtt, eager: bool) -> Duration {
        self.rtt.saturating_add(self.window(rtt, eager))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn at(count: u64) -> Instant {
        kernel::testing::simulate_time();
        Instant::now().saturating_add(ms(count))
    }

    fn rtt(count: u64) -> Rtt {
        let mut rtt = Rtt::new();
        rtt.sample(ms(count), 1, at(0));
        rtt
    }

    #[test]
    fn the_latest_is_by_time_and_then_by_number() {
        let mut rack = Rack::new();
        assert!(!rack.is_before_latest(at(0), Seq(0)));
        rack.arrived(at(5), Seq(2000), at(25));
        rack.arrived(at(4), Seq(9000), at(99));
        rack.arrived(at(5), Seq(1000), at(99));
        assert_eq!((rack.latest.map(|(sent, _)| sent), rack.rtt), (Some(at(5)), ms(20)));
        assert!(rack.is_before_latest(at(5), Seq(1000)));
        assert!(!rack.is_before_latest(at(5), Seq(2000)));
        assert!(!rack.is_before_latest(at(6), Seq(1000)));
    }

    #[test]
    fn the_window_is_nothing_before_reordering_and_a_quarter_after() {
        let mut rack = Rack::new();
        assert_eq!(rack.window(&rtt(20), true), ms(0));
        assert_eq!(rack.window(&rtt(20), false), ms(5));
        rack.reordered();
        assert_eq!(rack.window(&rtt(20), true), ms(5));
        rack.arrived(at(0), Seq(0), at(22));
        assert_eq!(rack.patience(&rtt(20), true), ms(27));
    }

    #[test]
    fn the_window_widens_also_when_numbers_come_round_again() {
        let mut rack = Rack::new();
        (0..3).for_each(|_| rack.resent());
        rack.widen(Seq(0), Seq(100));
        rack.passed(Seq(99));
        rack.widen(Seq(99), Seq(150));
        assert_eq!(rack.wider, 1);
        rack.passed(Seq(100));
        let again = Seq(1 << 31);
        rack.widen(again, again + 100);
        assert_eq!(rack.wider, 2);
    }

    #[test]
    fn the_window_widens_once_a_round_trip_up_to_one_and_for_16_recoveries() {
        let mut rack = Rack::new();
        rack.reordered();
        rack.widen(Seq(0), Seq(100));
        assert_eq!(rack.window(&rtt(20), true), ms(5), "nothing had been sent again");
        (0..20).for_each(|_| rack.resent());
        rack.widen(Seq(0), Seq(100));
        rack.widen(Seq(99), Seq(150));
        assert_eq!(rack.window(&rtt(20), true), ms(10));
        rack.widen(Seq(100), Seq(200));
        assert_eq!(rack.window(&rtt(20), true), ms(15));
        for round in 2..10 {
            rack.widen(Seq(round * 100), Seq(round * 100 + 100));
        }
        assert_eq!(rack.window(&rtt(20), true), ms(20));
        assert_eq!(rack.window(&rtt(1), true), ms(11) / 4, "beyond a round trip of 1 ms");
        (0..15).for_each(|_| rack.recovered());
        assert_eq!(rack.window(&rtt(20), true), ms(20));
        rack.recovered();
        assert_eq!(rack.window(&rtt(20), true), ms(5));
    }

    #[test]
    fn no_round_trip_overflows() {
        let mut rack = Rack { wider: u8::MAX, reordered: true, ..Rack::new() };
        let mut rtt = Rtt::new();
        rtt.sample(Duration::MAX, 1, at(0));
        rack.arrived(at(0), Seq(0), at(1 << 40));
        assert!(rack.patience(&rtt, false) > ms(1 << 40));
    }
}
