//! What somebody who sends whatever he likes makes a connection hold, do and say: no more than
//! it is bound to.

extern crate std;

use super::congestion::Cubic;
use super::connection::{Connection, Offer, State, Terms};
use super::pool::{CHUNK, Pool};
use super::segment::{ACK, FIN, Options, PSH, RST, SYN, Segment};
use super::seq::{Range, Seq};
use alloc::rc::Rc;
use core::time::Duration;
use kernel::time::Instant;

pub(super) const IRS: Seq = Seq(0xffff_ff00);
pub(super) const ISS: Seq = Seq(0x7fff_ff00);

pub(super) struct Victim {
    pub(super) connection: Connection<Cubic>,
    pub(super) pool: Rc<Pool>,
    pub(super) now: Instant,
    said: u64,
}

impl Victim {
    /// A connection of a peer that takes segments of `mss` bytes.
    pub(super) fn new(mss: u16, scale: Option<u8>) -> Self {
        kernel::testing::simulate_time();
        let now = Instant::now();
        let pool = Rc::new(Pool::new(16 << 20));
        let terms = Terms {
            local: "10.0.0.1:1".parse().unwrap(),
            peer: "10.0.0.2:2".parse().unwrap(),
            iss: ISS,
            own_mss: 1460,
            own_scale: 7,
            share: 4 << 20,
            most: 4 << 20,
            stamp: 0,
        };
        let window = 0xffff;
        let offer = Offer { irs: IRS, mss, scale, sack: true, stamp: None, ecn: false, window };
        let mut connection = Connection::connect(&terms, &pool, now);
        connection.accept(&offer, Some(now), &pool, now);
        let mut new = Self { connection, pool, now, said: 0 };
        new.segment(IRS + 1, ISS + 1, ACK, 0xffff, &[], &[]);
        assert_eq!(new.connection.state(), State::Established);
        new
    }

    pub(super) fn segment(
        &mut self,
        seq: Seq,
        ack: Seq,
        flags: u8,
        window: u16,
        sack: &[Range],
        payload: &[u8],
    ) {
        let sack = sack.iter().copied().collect();
        let options = Options { sack, ..Options::default() };
        let segment =
            Segment { seq, ack, flags, window, options, payload, staged: 0, marked: false };
        let pool = Rc::clone(&self.pool);
        self.connection.receive(&segment, &pool, self.now);
        self.drain();
    }

    pub(super) fn drain(&mut self) {
        for _ in 0..20_000 {
            if self.connection.next(0, self.now).is_none() {
                return;
            }
            self.said += 1;
        }
        panic!("it does not stop to send");
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now.saturating_add(time);
        self.drain();
    }

    /// Has so much in flight as is possible.
    fn fill(&mut self, count: usize) {
        let bytes = std::vec![7; 1 << 16];
        while self.connection.recovery.sent.outstanding() < count as u32 {
            self.pass(Duration::from_micros(10));
            if self.connection.write(&bytes) == 0 {
                let next = self.connection.snd_next();
                self.segment(IRS + 1, next, ACK, 0xffff, &[], &[]);
            }
            self.drain();
        }
    }
}

#[test]
fn floods_of_sacks_make_few_records_and_little_work() {
    for mss in [88, 1460] {
        let mut victim = Victim::new(mss, Some(7));
        victim.fill(1 << 20);
        let una = victim.connection.una();
        let began = std::time::Instant::now();
        for round in 0..20_000_u32 {
            let at = |block: u32| {
                let start = una + (round * 4 + block) * 13 % (1 << 20);
                Range::new(start, start + 1)
            };
            let sack = [at(0), at(1), at(2), at(3)];
            victim.now = victim.now.saturating_add(Duration::from_micros(1));
            victim.segment(IRS + 1, una, ACK, 0xffff, &sack, &[]);
        }
        let most = victim.connection.recovery.sent.records();
        assert!(most <= 2 * 4096, "{most}");
        // Some 100 us each without optimization, on a busy machine.
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
}

#[test]
fn what_acknowledges_too_much_or_guesses_is_answered_twice_a_second_at_most() {
    let mut victim = Victim::new(1460, None);
    let before = victim.said;
    for guess in 0..10_000_u32 {
        victim.now = victim.now.saturating_add(Duration::from_micros(100));
        let far = Seq(guess.wrapping_mul(0x9e37_79b9));
        victim.segment(IRS + 1, ISS + 1 + 1000 + guess, ACK, 9, &[], &[]);
        victim.segment(IRS + 2 + guess, ISS + 1, ACK | RST, 9, &[], &[]);
        victim.segment(far, ISS + 1, ACK | SYN, 9, &[], &[]);
        victim.segment(IRS + 1, ISS - 100_000 - guess, ACK, 9, &[], b"injected");
        victim.segment(IRS, ISS + 1, ACK, 9, &[], &[]);
    }
    assert_eq!(victim.connection.state(), State::Established);
    assert_eq!(victim.connection.readable(), 0);
    assert!(victim.said - before <= 3, "{}", victim.said - before);
}

#[test]
fn tiny_segments_hold_little_more_than_their_bytes() {
    let mut victim = Victim::new(1460, Some(7));
    // In order.
    for at in 0..20_000 {
        victim.segment(IRS + 1 + at, ISS + 1, ACK | PSH, 0xffff, &[], &[1]);
    }
    assert!(victim.pool.used() <= 20_000 + 2 * CHUNK, "{}", victim.pool.used());
    victim.connection.discard(victim.now);
    assert_eq!(victim.pool.used(), 0);
    // Each second byte of a window, from behind.
    let mut victim = Victim::new(1460, Some(7));
    for at in (1..32_000).rev() {
        victim.segment(IRS + 1 + at * 2, ISS + 1, ACK | PSH, 0xffff, &[], &[1]);
    }
    assert!(victim.pool.used() <= 65_535 + 2 * CHUNK, "{}", victim.pool.used());
    victim.connection.abort();
    drop(victim.connection);
    assert_eq!(victim.pool.used(), 0);
}

#[test]
fn old_duplicates_are_answered_and_change_nothing() {
    let mut victim = Victim::new(1460, None);
    victim.segment(IRS + 1, ISS + 1, ACK, 0xffff, &[], &[1; 1000]);
    for at in 0..2000_u32 {
        victim.segment(
            IRS + 1 - at,
            ISS + 1,
            ACK | PSH,
            0xffff,
            &[],
            &[2; 1000][..at as usize % 999],
        );
        victim.segment(IRS - 5 - at, ISS + 1, ACK | FIN, 0xffff, &[], &[]);
    }
    let mut to = [0; 2000];
    assert_eq!(victim.connection.read(&mut to, victim.now), 1000);
    assert!(to[..1000].iter().all(|&it| it == 1));
    assert_eq!(victim.connection.state(), State::Established);
}

#[test]
fn a_window_that_stays_shut_costs_a_probe_a_minute() {
    let mut victim = Victim::new(1460, None);
    victim.segment(IRS + 1, ISS + 1, ACK, 0, &[], &[]);
    assert!(victim.connection.write(&[1; 100_000]) > 0);
    victim.drain();
    let before = victim.said;
    for _ in 0..24 * 60 * 60 {
        victim.pass(Duration::from_secs(1));
        let una = victim.connection.una();
        victim.segment(IRS + 1, una, ACK, 0, &[], &[]);
    }
    assert_eq!(victim.connection.state(), State::Established);
    assert!(victim.said - before < 1500, "{}", victim.said - before);
    assert!(victim.pool.used() <= 100_000 + CHUNK);
}
