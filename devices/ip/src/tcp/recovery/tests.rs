//! A sender over a path of simulated time that loses, delays and doubles.

use super::super::congestion::{Cubic, Reno};
use super::super::undo::stamp;
use super::*;
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

const MSS: u32 = 1448;

/// ns in a µs.
const US: u64 = 1000;

/// A path, and what it does to each segment.
#[derive(Clone, Copy)]
struct Path {
    /// Both ways, without the queue.
    rtt_ms: u64,
    /// In thousandths.
    loss: u64,
    /// How many are 1 to 3 ms late, in thousandths.
    late: u64,
    doubled: u64,
    /// ACKs are late and doubled as segments are.
    both_ways: bool,
    megabits: u64,
    /// Bytes that fit into the queue before it.
    queue: u64,
    timestamps: bool,
    selective: bool,
    seed: u64,
}

const GOOD: Path = Path {
    rtt_ms: 20,
    loss: 0,
    late: 0,
    doubled: 0,
    both_ways: false,
    megabits: 100,
    queue: 500_000,
    timestamps: true,
    selective: true,
    seed: 1,
};

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Data { range: (u32, u32), stamp: u32 },
    Ack { una: u32, sack: Vec<(u32, u32)>, echo: u32 },
    DelayedAck { count: u64 },
}

/// What a transfer came to.
#[derive(Debug, Default)]
struct Outcome {
    /// In megabits a second, of what is acknowledged.
    goodput: f64,
    sent: u64,
    resent: u64,
    /// Segments that the receiver had.
    doubled: u64,
    timeouts: u64,
    probes: u64,
    episodes: u64,
    undone: u64,
    /// When all was acknowledged, in ms.
    done: Option<u64>,
}

/// A receiver as Linux's: SACK, D-SACK, timestamps and PAWS, an ACK for two segments.
#[derive(Default)]
struct Receiver {
    next: u32,
    islands: Vec<(u32, u32)>,
    recent: u32,
    pending: u32,
    acks: u64,
}

struct Transfer<C> {
    path: Path,
    state: u64,
    now: u64,
    start: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    count: u64,
    free_at: u64,
    sender: Recovery<C>,
    receiver: Receiver,
    left: u64,
    outcome: Outcome,
}

impl<C: Control> Transfer<C> {
    fn new(path: Path, bytes: u64) -> Self {
        kernel::testing::simulate_time();
        let start = Instant::now().as_nanos();
        Self {
            path,
            state: path.seed,
            now: start,
            start,
            events: BinaryHeap::new(),
            count: 0,
            free_at: 0,
            sender: Recovery::new(Seq(0), path.selective, MSS, Instant::now()),
            receiver: Receiver::default(),
            left: bytes,
            outcome: Outcome::default(),
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
        (self.state >> 33) % below
    }

    fn instant(&self) -> Instant {
        // The clock of the test stands; moments are made from it.
        Instant::now().saturating_add(Duration::from_nanos(self.now - self.start))
    }

    fn push(&mut self, at: u64, event: Event) {
        self.count += 1;
        self.events.push(Reverse((at, self.count, event)));
    }

    fn transmit(&mut self, range: Range) {
        let stamp = stamp(self.instant());
        let mut start = range.start;
        while start.is_before(range.end) {
            let end = range.end.min(start + MSS);
            let size = u64::from(end.since(start)) + 66;
            self.outcome.sent += 1;
            let begin = self.free_at.max(self.now);
            let queued = (begin - self.now) * self.path.megabits / 8000;
            let lost = queued > self.path.queue || self.random(1000) < self.path.loss;
            if queued <= self.path.queue {
                self.free_at = begin + size * 8000 / self.path.megabits;
            }
            let copies = 1 + u64::from(self.random(1000) < self.path.doubled);
            for _ in 0..if lost { 0 } else { copies } {
                let late = self.random(1000) < self.path.late;
                let late = if late { 1_000_000 + self.random(2_000_000) } else { 0 };
                let at = self.free_at + self.path.rtt_ms * 500 * US + late;
                self.push(at, Event::Data { range: (start.0, end.0), stamp });
            }
            start = end;
        }
    }

    fn output(&mut self) {
        let now = self.instant();
        loop {
            let room = self.sender.room();
            if room < MSS {
                if self.left > 0 {
                    self.sender.filled();
                }
                return;
            }
            if let Some(piece) = self.sender.sent.next_lost(MSS) {
                self.outcome.resent += 1;
                self.sender.resent(piece, now);
                self.transmit(piece);
                continue;
            }
            // The peer's window is of 6 MB.
            let most = 6_000_000_u32.saturating_sub(self.sender.sent.outstanding());
            let length = self.left.min((room / MSS * MSS).min(45 * MSS).min(most).into()) as u32;
            if length == 0 {
                return;
            }
            let start = self.sender.sent.next();
            assert!(self.sender.sent(length, now));
            self.left -= u64::from(length);
            self.transmit(Range::new(start, start + length));
        }
    }

    fn arrive(&mut self, range: (u32, u32), stamp: u32) {
        let receiver = &mut self.receiver;
        if self.path.timestamps && stamp + 1 < receiver.recent {
            // PAWS, as Linux with a tick to spare: an ACK, and the segment is dropped.
            return self.acknowledge(None);
        }
        if range.0 <= receiver.next {
            receiver.recent = receiver.recent.max(stamp);
        }
        let had = range.1 <= receiver.next
            || receiver.islands.iter().any(|it| it.0 <= range.0 && range.1 <= it.1);
        if had {
            self.outcome.doubled += 1;
            return self.acknowledge(Some(range));
        }
        // What fills a gap is acknowledged at once as well (RFC 5681, section 4.2).
        let gap = !receiver.islands.is_empty() || range.0 > receiver.next;
        let mut island = range;
        receiver.islands.retain(|it| {
            let apart = it.1 < island.0 || island.1 < it.0;
            if !apart {
                island = (island.0.min(it.0), island.1.max(it.1));
            }
            apart
        });
        if island.0 <= receiver.next {
            receiver.next = island.1;
        } else {
            receiver.islands.insert(0, island);
        }
        receiver.pending += 1;
        if gap || receiver.pending >= 2 || receiver.next < 16 * MSS {
            self.acknowledge(None);
        } else {
            let count = receiver.acks;
            self.push(self.now + 40_000 * US, Event::DelayedAck { count });
        }
    }

    fn acknowledge(&mut self, dsack: Option<(u32, u32)>) {
        let receiver = &mut self.receiver;
        receiver.pending = 0;
        receiver.acks += 1;
        let mut sack = Vec::new();
        if self.path.selective {
            sack.extend(dsack);
            sack.extend(receiver.islands.iter().take(3 - sack.len()));
        }
        let ack = Event::Ack { una: receiver.next, sack, echo: receiver.recent };
        let Path { late, doubled, both_ways, rtt_ms, .. } = self.path;
        let doubled = both_ways && self.random(1000) < doubled;
        let late = both_ways && self.random(1000) < late;
        let late = if late { 1_000_000 + self.random(2_000_000) } else { 0 };
        for _ in 0..=u64::from(doubled) {
            self.push(self.now + rtt_ms * 500 * US + late, ack.clone());
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Data { range, stamp } => self.arrive(range, stamp),
            Event::DelayedAck { count } => {
                if self.receiver.pending > 0 && self.receiver.acks == count {
                    self.acknowledge(None);
                }
            }
            Event::Ack { una, sack, echo } => {
                let sack: Vec<Range> =
                    sack.iter().map(|it| Range::new(Seq(it.0), Seq(it.1))).collect();
                let sender = &mut self.sender;
                let before = (sender.phase(), sender.sent.una());
                let duplicate = Seq(una) == sender.sent.una() && !sender.sent.is_empty();
                let echo = self.path.timestamps.then_some(echo);
                let now =
                    Instant::now().saturating_add(Duration::from_nanos(self.now - self.start));
                let window = sender.control.window();
                sender.acknowledge(Seq(una), &sack, echo, duplicate, now);
                let after = sender.phase();
                self.outcome.episodes += u64::from(before.0 == Phase::Open && after == Phase::Fast);
                self.outcome.undone += u64::from(
                    sender.control.window() > window + 60 * MSS
                        || before.0 == Phase::Fast
                            && after == Phase::Open
                            && sender.sent.una().is_before(sender.recover),
                );
                self.output();
            }
        }
    }

    fn due(&mut self) {
        match self.sender.due(self.instant()) {
            Some(Due::Probe) => {
                self.outcome.probes += 1;
                let now = self.instant();
                let length = self.left.min(MSS.into()) as u32;
                let start = self.sender.sent.next();
                if length > 0 {
                    assert!(self.sender.sent(length, now));
                    self.left -= u64::from(length);
                    self.sender.probed(None, now);
                    self.transmit(Range::new(start, start + length));
                } else if let Some(tail) = self.sender.sent.tail(MSS) {
                    self.outcome.resent += 1;
                    self.sender.probed(Some(tail), now);
                    self.transmit(tail);
                }
            }
            Some(Due::Timeout) => self.outcome.timeouts += 1,
            Some(Due::Reordering) | None => {}
        }
        self.output();
    }

    /// Runs for so many seconds, or until all is acknowledged.
    fn run(mut self, seconds: u64) -> Outcome {
        self.output();
        let end = self.start + seconds * 1_000_000_000;
        while self.now < end {
            if self.left == 0 && self.sender.sent.is_empty() {
                self.outcome.done = Some((self.now - self.start) / 1_000_000);
                break;
            }
            let offset = Instant::now().as_nanos() - self.start;
            let timer = self.sender.timer().map(|timer| timer.as_nanos() - offset);
            let next = self.events.peek().map(|event| event.0.0);
            match (timer, next) {
                (Some(timer), next) if next.is_none_or(|next| timer < next) => {
                    self.now = self.now.max(timer);
                    self.due();
                }
                (_, Some(_)) => {
                    if let Some(Reverse((at, _, event))) = self.events.pop() {
                        self.now = self.now.max(at);
                        self.handle(event);
                    }
                }
                (_, None) => panic!("neither a timer nor a packet is under way"),
            }
        }
        let time = (self.now - self.start).max(1) as f64 / 1e9;
        self.outcome.goodput = f64::from(self.sender.sent.una().0) * 8.0 / 1e6 / time;
        self.outcome
    }
}

fn endless(path: Path) -> Outcome {
    Transfer::<Cubic>::new(path, u64::MAX).run(10)
}

#[test]
fn reordering_alone_costs_little_and_no_timeout() {
    for rtt_ms in [1, 20] {
        for timestamps in [true, false] {
            let path = Path { rtt_ms, timestamps, ..GOOD };
            let clean = endless(path);
            let late = endless(Path { late: 50, ..path });
            assert!(clean.goodput > 90.0 && clean.timeouts + late.timeouts == 0);
            assert!(late.goodput > 0.95 * clean.goodput, "{late:?} instead of {clean:?}");
            assert!(late.doubled < late.sent / 300, "{late:?}");
        }
    }
}

#[test]
fn losses_cost_hardly_a_timeout_and_no_more_than_cubic_allows() {
    // RFC 9438, section 5.1, gives 1.2 / sqrt(p) segments a round trip for small windows.
    for (rtt_ms, loss, least) in [(1, 10, 70.0), (1, 30, 45.0), (20, 10, 5.9), (20, 30, 3.2)] {
        for late in [0, 50] {
            let all = endless(Path { rtt_ms, loss, late, ..GOOD });
            assert!(all.timeouts <= 3, "{all:?}");
            assert!(all.goodput > least, "{rtt_ms} ms, {loss}: {all:?}");
            if late == 0 {
                assert!(all.doubled <= 1, "{all:?}");
            }
        }
    }
}

#[test]
fn what_the_network_doubles_neither_slows_down_nor_widens() {
    let all = endless(Path { doubled: 100, ..GOOD });
    assert!(all.goodput > 90.0 && all.timeouts == 0, "{all:?}");
}

/// 100 transfers of so many bytes: the median and the worst but one, in ms.
fn short(path: Path, bytes: u64) -> (u64, u64) {
    let one = |seed| Transfer::<Cubic>::new(Path { seed, ..path }, bytes).run(60);
    let mut times: Vec<u64> = (1..=100).filter_map(|seed| one(seed * 977).done).collect();
    times.sort_unstable();
    assert_eq!(times.len(), 100, "each ends");
    (times[50], times[98])
}

/// Slow start goes on where packets are late: a needless episode is undone, and `HyStart++`
/// goes by the least round trip of several.
#[test]
fn what_is_late_or_doubled_both_ways_costs_a_transfer_two_round_trips_at_most() {
    let path = Path { megabits: 200, queue: 1_500_000, both_ways: true, ..GOOD };
    let (clean, worst) = short(path, 4 << 20);
    // Five round trips fill the path, then 2 897 segments leave at its rate.
    assert!((275..285).contains(&clean) && worst < 285, "{clean} {worst}");
    for path in [Path { late: 50, ..path }, Path { doubled: 10, ..path }] {
        let (median, _) = short(path, 4 << 20);
        assert!(median <= clean + 42, "{median} instead of {clean}");
    }
}

#[test]
fn short_transfers_are_repaired_within_round_trips() {
    let path = Path { rtt_ms: 50, ..GOOD };
    let (median, worst) = short(path, 10_240);
    assert!(median <= 51 && worst <= 51, "{median} {worst}");
    let (median, worst) = short(Path { loss: 30, ..path }, 10_240);
    assert!(median <= 51 && worst <= 400, "{median} {worst}");
    let (median, worst) = short(Path { loss: 30, ..path }, 102_400);
    assert!(median <= 300 && worst <= 900, "{median} {worst}");
}

#[test]
fn transfers_end_on_terrible_paths() {
    let path = Path { loss: 200, late: 300, doubled: 200, queue: 30_000, ..GOOD };
    for timestamps in [true, false] {
        for selective in [true, false] {
            for seed in 1..20 {
                let path = Path { timestamps, selective, seed, ..path };
                let all = Transfer::<Cubic>::new(path, 200_000).run(3600);
                assert!(all.done.is_some(), "{all:?}");
                let all = Transfer::<Reno>::new(path, 200_000).run(3600);
                assert!(all.done.is_some(), "{all:?}");
            }
        }
    }
}

#[test]
fn without_sack_losses_are_repaired_by_duplicates() {
    let path = Path { selective: false, timestamps: false, loss: 1, ..GOOD };
    let all = endless(path);
    assert!(all.goodput > 10.0, "{all:?}");
    assert!(all.timeouts < all.episodes, "{all:?}");
}
