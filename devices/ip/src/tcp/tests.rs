//! Two ends on a modelled cable, in simulated time.

extern crate std;

use super::congestion::Cubic;
use super::connection::{Connection, Terms};
use super::pool::Pool;
use super::segment::Segment;
use super::seq::Seq;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::time::Duration;
use kernel::time::Instant;
use std::vec::Vec;

/// Takes in a segment; `apart`: as one of which only the header is there yet, if it is the next.
pub(super) fn arrive(
    connection: &mut Connection<Cubic>,
    segment: Segment<'_>,
    apart: bool,
    pool: &Rc<Pool>,
    now: Instant,
) {
    let mut rest = segment.payload;
    if !apart || !connection.expects(segment.seq, segment.flags, rest.len()) {
        return connection.receive(&segment, pool, now);
    }
    let mut segment = Segment { payload: &[], ..segment };
    let text = rest.len();
    let mut fill = |to: &mut [u8]| {
        let (piece, later) = rest.split_at(to.len());
        to.copy_from_slice(piece);
        rest = later;
    };
    connection.receive_staged(&mut segment, text, &mut fill, pool, now);
}

/// What a cable does to packets: with 200 Mbit/s and a queue of 1 000 of them, as that of
/// `cargo mk bench loss`.
#[derive(Clone, Copy)]
struct Path {
    rtt: Duration,
    /// In thousandths.
    lost: u64,
    late: u64,
    twice: u64,
}

struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % below
    }
}

/// What is on its way, by when it arrives.
#[derive(Default)]
struct Cable {
    flying: BTreeMap<(Instant, u64), (bool, Vec<u8>)>,
    count: u64,
    /// When the last packet each way has left the queue.
    free: [Option<Instant>; 2],
}

impl Cable {
    fn put(&mut self, up: bool, frame: Vec<u8>, path: Path, random: &mut Random, now: Instant) {
        let wire = Duration::from_nanos((frame.len() as u64 + 54) * 8 * 5);
        let free = self.free[usize::from(up)].filter(|free| *free > now).unwrap_or(now);
        if free.saturating_duration_since(now) > wire * 1000 {
            return;
        }
        let left = free.saturating_add(wire);
        self.free[usize::from(up)] = Some(left);
        if random.next(1000) < path.lost {
            return;
        }
        let mut at = left.saturating_add(path.rtt / 2);
        if random.next(1000) < path.late {
            at = at.saturating_add(Duration::from_micros(1000 + random.next(2000)));
        }
        let again = random.next(1000) < path.twice;
        for _ in 0..=u64::from(again) {
            self.count += 1;
            self.flying.insert((at, self.count), (up, frame.clone()));
        }
    }
}

fn written(connection: &Connection<Cubic>, emission: &super::connection::Emission) -> Vec<u8> {
    let head = emission.head.len();
    let mut bytes = std::vec![0; emission.len()];
    emission.head.write(&mut bytes, (1, 2));
    connection.payload(emission, &mut bytes[head..]);
    bytes
}

/// Sends `length` bytes over a path. Returns the goodput in Mbit/s.
fn goodput(path: Path, length: usize, seed: u64) -> f64 {
    kernel::testing::simulate_time();
    let start = Instant::now();
    let pool = Rc::new(Pool::new(64 << 20));
    let terms = |local: &str, peer: &str| Terms {
        local: local.parse().unwrap(),
        peer: peer.parse().unwrap(),
        iss: Seq(u32::MAX - 10_000),
        own_mss: 1460,
        own_scale: 7,
        share: 4 << 20,
        most: 4 << 20,
        stamp: 12_345,
    };
    let mut a = Connection::<Cubic>::connect(&terms("10.0.0.1:1", "10.0.0.2:2"), &pool, start);
    // Simultaneous open is the shortest way to two connections.
    let mut b = Connection::<Cubic>::connect(&terms("10.0.0.2:2", "10.0.0.1:1"), &pool, start);
    let (mut now, mut random, mut cable) = (start, Random(seed), Cable::default());
    let (mut given, mut got, mut buffer) = (0, 0, std::vec![7; 65_536]);
    let mut first = None;
    while got < length {
        given += a.write(&buffer[..buffer.len().min(length - given)]);
        let mut busy = true;
        while busy {
            busy = false;
            for (end, up) in [(&mut a, true), (&mut b, false)] {
                while let Some(emission) = end.next(0, now) {
                    cable.put(up, written(end, &emission), path, &mut random, now);
                    busy = true;
                }
            }
        }
        let arrival = cable.flying.keys().next().map(|(at, _)| *at);
        let next = [arrival, a.deadline(), b.deadline()].into_iter().flatten().min();
        now = next.expect("something is due").max(now);
        while let Some(entry) = cable.flying.first_entry().filter(|it| it.key().0 <= now) {
            let (up, frame) = entry.remove();
            let segment = Segment::parse(&frame, false).unwrap();
            let end = if up { &mut b } else { &mut a };
            end.receive(&segment, &pool, now);
        }
        loop {
            let count = b.read(&mut buffer, now);
            got += count;
            if count == 0 {
                break;
            }
            first = first.or(Some(now));
        }
    }
    let took = now.saturating_duration_since(first.unwrap_or(start));
    got as f64 * 8.0 / 1e6 / took.as_secs_f64()
}

/// Half of what it was when this was written, on the worst of five seeds: a sender that waits for
/// its timer, that halves its window for what is late, or that does not undo it, has less.
#[test]
fn what_is_lost_or_late_costs_no_more_than_it_must() {
    // ms, lost, late and twice in thousandths, and the least Mbit/s.
    for (rtt, lost, late, twice, least) in [
        (1, 0, 0, 0, 90),
        (1, 0, 50, 0, 80),
        (1, 10, 0, 0, 55),
        (1, 10, 50, 0, 35),
        (1, 30, 0, 0, 35),
        (1, 0, 0, 10, 90),
        (20, 0, 0, 0, 29),
        (20, 0, 50, 0, 28),
        (20, 10, 0, 0, 3),
        (20, 10, 50, 0, 3),
        (20, 0, 0, 10, 29),
        (100, 0, 0, 0, 17),
        (100, 0, 50, 0, 15),
    ] {
        let path = Path { rtt: Duration::from_millis(rtt), lost, late, twice };
        for seed in 1..=3 {
            let got = goodput(path, 4 << 20, seed);
            assert!(got >= f64::from(least), "{rtt} ms, {lost}/{late}/{twice}, {seed}: {got:.1}");
        }
    }
}
