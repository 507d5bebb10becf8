//! Tests of the scoreboard. Segments have 1 000 bytes, and a round trip takes 20 ms.

use super::*;
use crate::tcp::rtt::Rtt;
use crate::tcp::undo::stamp;

const MSS: u32 = 1000;

fn at(ms: u64) -> Instant {
    kernel::testing::simulate_time();
    Instant::now().saturating_add(Duration::from_millis(ms))
}

/// A range of segments.
fn range(start: u32, end: u32) -> Range {
    Range::new(Seq(start * MSS), Seq(end * MSS))
}

struct Board {
    sent: Sent,
    rtt: Rtt,
    recovering: bool,
}

impl Board {
    /// One that sent `segments` at once, or 1 ms apart.
    fn new(segments: u32, apart: bool) -> Self {
        let mut sent = Sent::new(Seq(0), true);
        for segment in 0..segments {
            assert!(sent.sent(MSS, at(if apart { segment.into() } else { 0 })));
        }
        let mut rtt = Rtt::new();
        rtt.sample(Duration::from_millis(20), 1, at(0));
        Self { sent, rtt, recovering: false }
    }

    fn ack(&mut self, una: u32, sack: &[Range], echo: Option<u64>, ms: u64) -> Acked {
        let echo = echo.map(|ms| stamp(at(ms)));
        let ack = Ack { una: Seq(una * MSS), sack, echo, now: at(ms), mss: MSS };
        let acked = self.sent.acknowledge(&ack, &self.rtt);
        self.check();
        acked
    }

    fn detect(&mut self, ms: u64) -> Detected {
        let found = self.sent.detect(&self.rtt, self.recovering, MSS, at(ms));
        self.check();
        found
    }

    /// Sends all again that is lost, and returns it.
    fn resend(&mut self, ms: u64) -> alloc::vec::Vec<Range> {
        let mut all = alloc::vec::Vec::new();
        while let Some(piece) = self.sent.next_lost(MSS) {
            self.sent.resent(piece, at(ms), MSS);
            self.check();
            all.push(piece);
        }
        all
    }

    /// The records are in order and without gaps, and the sums are theirs.
    fn check(&self) {
        let sent = &self.sent;
        let mut end = sent.una;
        let mut sums = [0; 3];
        let mut before = None;
        for record in &sent.records {
            assert_eq!(record.range.start, end);
            assert!(!record.range.is_empty());
            end = record.range.end;
            sums[record.fate as usize] += record.range.len();
            let sacked = record.fate == Fate::Sacked;
            assert!(!(sacked && before == Some(Fate::Sacked)), "two records of an island");
            before = Some(record.fate);
        }
        assert_eq!(end, sent.next);
        assert_eq!(sums, [sent.flying, sent.sacked, sent.lost]);
        let first = sent.records.iter().find(|it| it.fate == Fate::Lost).map(|it| it.range.start);
        assert_eq!(sent.next_lost(1).map(|it| it.start), first);
    }
}

#[test]
fn what_is_sent_at_once_is_one_record_and_is_acknowledged_in_pieces() {
    let mut board = Board::new(10, false);
    assert_eq!((board.sent.records.len(), board.sent.in_flight()), (1, 10_000));
    let acked = board.ack(3, &[], None, 21);
    let rtt = Some(Duration::from_millis(21));
    let expected = Acked { acked: 3000, delivered: 3000, rtt, ..Acked::default() };
    assert_eq!(acked, Acked { original: Some(Seq(3000)), ..expected });
    assert_eq!((board.sent.una(), board.sent.outstanding()), (Seq(3000), 7000));
    assert_eq!(board.detect(21), Detected::default());
    assert_eq!(board.ack(3, &[], None, 22), Acked::default());
    assert_eq!(board.ack(2, &[], None, 22), Acked::default(), "an old one");
    assert_eq!(board.ack(10, &[], None, 30).delivered, 7000);
    assert!(board.sent.is_empty() && board.sent.in_flight() == 0);
}

#[test]
fn an_ack_beyond_what_was_sent_acknowledges_no_more_than_that() {
    let mut board = Board::new(2, true);
    assert_eq!(board.ack(9, &[], None, 20).acked, 2000);
    assert_eq!(board.sent.una(), Seq(2000));
}

#[test]
fn the_sample_is_of_what_was_sent_last_and_once() {
    let mut board = Board::new(4, true);
    assert_eq!(board.ack(3, &[], None, 22).rtt, Some(Duration::from_millis(20)));
    let last = board.sent.tail(MSS).unwrap();
    board.sent.resent(last, at(100), MSS);
    assert_eq!(board.ack(4, &[], None, 120).rtt, None);
}

#[test]
fn three_sacked_segments_lose_the_first_at_once_without_reordering() {
    let mut board = Board::new(10, true);
    board.ack(2, &[], None, 21);
    for last in 4..=5 {
        board.ack(2, &[range(3, last)], None, 19 + u64::from(last));
        let found = board.detect(19 + u64::from(last));
        assert_eq!(found.lost, 0);
        // Sent at 2, 20 ms of round trip, and a quarter of the least.
        assert_eq!(found.timer, Some(at(27)));
    }
    board.ack(2, &[range(3, 6)], None, 25);
    assert_eq!(board.detect(25), Detected { lost: 1000, timer: None });
    assert_eq!((board.sent.sacked(), board.sent.lost()), (3000, 1000));
    assert_eq!(board.sent.in_flight(), 4000);
    assert_eq!(board.resend(25), [range(2, 3)]);
    assert_eq!((board.sent.lost(), board.sent.in_flight()), (0, 5000));
}

#[test]
fn one_sacked_segment_loses_the_first_when_the_timer_is_due() {
    let mut board = Board::new(10, true);
    board.ack(0, &[range(1, 2)], None, 21);
    assert_eq!(board.detect(21), Detected { lost: 0, timer: Some(at(25)) });
    assert_eq!(board.detect(24).lost, 0);
    assert_eq!(board.detect(25), Detected { lost: 1000, timer: None });
}

#[test]
fn a_late_segment_is_reordering_and_then_waited_for() {
    let mut board = Board::new(10, true);
    assert!(!board.ack(0, &[range(1, 2)], None, 21).reordered);
    assert!(board.ack(2, &[], None, 22).reordered);
    assert!(board.sent.is_reordered());
    // Sacked by now are four segments, which were enough before.
    board.ack(2, &[range(3, 7)], None, 26);
    assert_eq!(board.detect(26), Detected { lost: 0, timer: Some(at(27)) });
    assert_eq!(board.detect(27).lost, 1000);
}

#[test]
fn islands_that_one_ack_reports_in_any_order_are_not_reordering() {
    let mut board = Board::new(10, true);
    assert!(!board.ack(1, &[range(6, 7), range(4, 5), range(2, 3)], None, 27).reordered);
    assert_eq!(board.sent.sacked(), 3000);
    assert_eq!(board.detect(27).lost, 3000);
}

#[test]
fn a_lost_retransmission_is_lost_by_what_was_sent_after_it() {
    let mut board = Board::new(10, true);
    board.ack(0, &[range(1, 4)], None, 23);
    assert_eq!(board.detect(23).lost, 1000);
    board.recovering = true;
    assert_eq!(board.resend(23), [range(0, 1)]);
    // What was sent before it says nothing of it.
    board.ack(0, &[range(1, 10)], None, 29);
    assert_eq!(board.detect(29).lost, 0);
    assert!(board.sent.sent(MSS, at(30)));
    board.ack(0, &[range(1, 11)], None, 50);
    assert_eq!(board.detect(50).lost, 1000);
}

#[test]
fn an_ack_too_soon_after_a_retransmission_is_the_originals() {
    for (echo, ms) in [(None, 35), (Some(1), 60)] {
        let mut board = Board::new(4, true);
        board.ack(0, &[range(1, 4)], None, 23);
        board.detect(23);
        board.resend(30);
        assert!(board.sent.sent(MSS, at(25)));
        board.recovering = true;
        board.ack(4, &[], echo, ms);
        // The retransmission, sent later, would make it lost.
        assert_eq!(board.detect(ms + 20), Detected::default(), "{echo:?}");
    }
}

#[test]
fn a_timeout_loses_the_first_segment_and_what_is_old() {
    let mut board = Board::new(4, true);
    board.ack(1, &[], None, 20);
    assert!(board.sent.sent(MSS, at(230)));
    board.sent.timeout(&board.rtt, at(240));
    board.check();
    assert_eq!((board.sent.lost(), board.sent.in_flight()), (3000, 1000));
    assert_eq!(board.resend(240), [range(1, 2), range(2, 3), range(3, 4)]);
    assert_eq!(board.sent.records.len(), 2, "one record for what was sent again at once");
}

#[test]
fn a_timeout_keeps_what_is_sacked_unless_the_peer_dropped_it() {
    let mut board = Board::new(6, true);
    board.ack(0, &[range(2, 4)], None, 25);
    board.sent.timeout(&board.rtt, at(300));
    assert_eq!((board.sent.lost(), board.sent.sacked()), (4000, 2000));
    board.resend(300);
    assert!(!board.ack(1, &[], None, 320).reneged);
    assert!(board.ack(2, &[], None, 321).reneged);
    board.sent.timeout(&board.rtt, at(600));
    board.check();
    assert_eq!((board.sent.lost(), board.sent.sacked()), (4000, 0));
}

#[test]
fn what_arrives_after_a_timeout_and_was_sent_once_is_told() {
    let mut board = Board::new(4, true);
    board.sent.timeout(&board.rtt, at(300));
    let first = board.sent.next_lost(MSS).unwrap();
    board.sent.resent(first, at(300), MSS);
    assert_eq!(board.ack(1, &[], None, 310).original, None);
    assert_eq!(board.ack(3, &[], None, 311).original, Some(Seq(2000)));
}

#[test]
fn undoing_forgets_what_is_lost_and_remembers_reordering() {
    let mut board = Board::new(10, true);
    board.ack(0, &[range(3, 6)], None, 25);
    assert_eq!(board.detect(25).lost, 3000);
    board.sent.undo();
    board.check();
    assert_eq!((board.sent.lost(), board.sent.in_flight()), (0, 7000));
    assert!(board.sent.is_reordered());
    assert_eq!(board.detect(25).lost, 1000, "what is later than a quarter of a round trip");
}

#[test]
fn duplicates_are_told_and_change_nothing() {
    let mut board = Board::new(6, true);
    board.ack(2, &[range(4, 5)], None, 25);
    let before = board.sent.in_flight();
    // Before the acknowledgment, and within the second block.
    for (sack, dsack) in [
        (&[range(0, 1), range(4, 5)][..], Some(range(0, 1))),
        (&[range(4, 5), range(4, 5)], Some(range(4, 5))),
        (&[range(4, 5)], None),
        (&[range(1, 3)], None),
    ] {
        let acked = board.ack(2, sack, None, 26);
        assert_eq!(acked.dsack, dsack);
        if dsack.is_some() {
            assert_eq!((acked.delivered, board.sent.in_flight()), (0, before));
        }
    }
    // In an old ACK it is no duplicate, only old.
    assert_eq!(board.ack(3, &[], None, 27).dsack, None);
    let old = Ack { una: Seq(0), sack: &[range(1, 2)], echo: None, now: at(28), mss: MSS };
    assert_eq!(board.sent.acknowledge(&old, &board.rtt), Acked::default());
}

#[test]
fn blocks_out_of_range_or_empty_are_ignored() {
    let mut board = Board::new(6, true);
    board.ack(2, &[], None, 25);
    let far = Range::new(Seq(3000), Seq(3000 + (1 << 31)));
    let wild = [range(5, 7), range(4, 4), range(5, 3), far];
    assert_eq!(board.ack(2, &wild, None, 26), Acked::default());
    let five = [range(9, 10), range(9, 10), range(9, 10), range(9, 10), range(3, 4)];
    assert_eq!(board.ack(2, &five, None, 26), Acked::default(), "no more than four are read");
}

#[test]
fn numbers_wrap_around() {
    let mut sent = Sent::new(Seq(u32::MAX - 1499), true);
    (0..5).for_each(|ms| assert!(sent.sent(MSS, at(ms))));
    let rtt = Rtt::new();
    let (una, next) = (sent.una(), sent.next());
    let sack = [Range::new(una + 2000, next)];
    let ack = Ack { una, sack: &sack, echo: None, now: at(20), mss: MSS };
    assert_eq!(sent.acknowledge(&ack, &rtt).delivered, 3000);
    assert_eq!(sent.detect(&rtt, false, MSS, at(20)).lost, 2000);
    let ack = Ack { una: next, sack: &[], echo: None, now: at(21), mss: MSS };
    assert_eq!(sent.acknowledge(&ack, &rtt).acked, 5000);
    assert!(sent.is_empty() && sent.records.is_empty());
}

#[test]
fn a_flood_of_blocks_makes_no_more_records_than_two_a_segment_and_some() {
    let mut board = Board::new(100, false);
    for byte in 0..20_000 {
        let start = Seq((byte * 4 + 1) % 100_000);
        board.sent.acknowledge(
            &Ack {
                una: Seq(0),
                sack: &[Range::new(start, start + 1)],
                echo: None,
                now: at(20),
                mss: MSS,
            },
            &board.rtt,
        );
    }
    board.check();
    assert!(board.sent.records.len() <= 264, "{}", board.sent.records.len());
    assert_eq!(board.ack(100, &[], None, 30).acked, 100_000);
    assert!(board.sent.records.capacity() <= KEPT, "memory is given back");
}

#[test]
fn without_sack_three_duplicates_lose_the_first_segment_and_a_partial_ack_the_next() {
    let mut board = Board::new(10, false);
    board.sent.selective = false;
    for count in 1..=3 {
        assert_eq!(board.detect(20).lost, 0);
        assert_eq!(board.sent.duplicate(MSS), MSS);
        assert_eq!(board.sent.in_flight(), 10_000 - count * MSS);
    }
    assert_eq!(board.detect(20).lost, 1000);
    assert_eq!(board.detect(20).lost, 0);
    board.recovering = true;
    assert_eq!(board.resend(20), [range(0, 1)]);
    assert_eq!(board.sent.in_flight(), 7000);
    // Segment 2 was lost as well: 1 and one of the duplicates are acknowledged.
    let acked = board.ack(2, &[], None, 40);
    assert_eq!((acked.acked, acked.delivered), (2000, 1000));
    assert_eq!(board.detect(40).lost, 1000);
    assert_eq!(board.resend(40), [range(2, 3)]);
    assert_eq!(board.ack(10, &[range(4, 5)], None, 60).acked, 8000);
    assert_eq!((board.sent.in_flight(), board.sent.sacked()), (0, 0));
}

#[test]
fn a_flood_of_duplicates_counts_no_more_than_what_is_in_flight() {
    let mut board = Board::new(10, false);
    board.sent.selective = false;
    let all: u32 = (0..1000).map(|_| board.sent.duplicate(MSS)).sum();
    assert_eq!((all, board.sent.in_flight()), (9000, 1000));
    board.detect(20);
    assert_eq!(board.sent.in_flight(), 0);
}

/// Any ACKs, retransmissions, timeouts and undoings in any order leave the sums right.
#[test]
fn random_acks_keep_the_records_whole() {
    let mut state = 7_u64;
    let mut random = |below: u32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
        ((state >> 33) as u32) % below.max(1)
    };
    for round in 0..40 {
        let mut board = Board::new(0, false);
        board.sent.selective = round % 8 > 0;
        for ms in 0..400 {
            let out = board.sent.outstanding();
            let una = board.sent.una();
            match random(8) {
                0..3 if out < 60_000 => assert!(board.sent.sent(1 + random(9000), at(ms))),
                3 => drop(board.resend(ms)),
                4 => {
                    let acked = una + random(out + 1) - random(2000);
                    let ack = Ack { una: acked, sack: &[], echo: None, now: at(ms), mss: MSS };
                    board.sent.acknowledge(&ack, &board.rtt);
                }
                5 if random(9) == 0 => board.sent.timeout(&board.rtt, at(ms)),
                5 if random(9) == 0 => board.sent.undo(),
                5 => drop(board.sent.duplicate(MSS)),
                6 => {
                    board.recovering = random(2) == 0;
                    board.detect(ms);
                }
                _ => {
                    let mut sack = [Range::default(); 3];
                    for block in &mut sack {
                        let start = una + random(out + 2) - random(500);
                        *block = Range::new(start, start + random(5000));
                    }
                    let ack = Ack { una, sack: &sack, echo: None, now: at(ms), mss: MSS };
                    board.sent.acknowledge(&ack, &board.rtt);
                }
            }
            board.check();
            if let Some(last) = board.sent.tail(MSS).filter(|_| random(20) == 0) {
                board.sent.resent(last, at(ms), MSS);
                board.check();
            }
        }
    }
}
