//! One direction of a cable: when which frame arrives at its end, if it does. It is told the
//! time, and does nothing by itself.

use fastrand::Rng;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

/// What a cable does to frames, each share in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Faults {
    /// From end to end, for a frame without length.
    pub(super) delay: Duration,
    /// Frames that do not arrive, each for itself.
    pub(super) lost: f64,
    /// Frames that arrive 1 to 3 ms later than others, and so behind them.
    pub(super) late: f64,
    /// Frames that arrive twice.
    pub(super) repeated: f64,
    /// Frames of which a bit behind the Ethernet header is changed.
    pub(super) corrupted: f64,
    /// Bits a second, 0 for any number. Only the frame counts: no preamble, no gap.
    pub(super) rate: u64,
    /// Frames that may wait for the wire where it has a rate. One more is dropped.
    pub(super) queue: usize,
}

/// By how much a late frame is late, in microseconds.
const LATE: std::ops::RangeInclusive<u64> = 1000..=3000;
/// The bytes of an Ethernet header.
const HEADER: usize = 14;
/// ARP, as the Ethernet header has it.
const ARP: [u8; 2] = [0x08, 0x06];

/// What became of the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) lost: u64,
    pub(super) late: u64,
    pub(super) repeated: u64,
    pub(super) corrupted: u64,
    /// Found the queue full.
    pub(super) dropped: u64,
}

/// A direction.
pub(super) struct Link {
    faults: Faults,
    random: Rng,
    /// When the wire has nothing more to send.
    free: Duration,
    /// When each frame that waits or is being sent will be on the wire.
    waiting: VecDeque<Duration>,
    /// What will arrive, by time, and by number where the time is the same.
    flying: BinaryHeap<Reverse<(Duration, u64, Vec<u8>)>>,
    number: u64,
    counts: Counts,
}

impl Link {
    /// The same `seed` does the same to the same frames: what happens to a frame depends on how
    /// many came before it, and not on what happened to those.
    pub(super) fn new(faults: Faults, seed: u64) -> Self {
        Self {
            faults,
            random: Rng::with_seed(seed),
            free: Duration::ZERO,
            waiting: VecDeque::new(),
            flying: BinaryHeap::new(),
            number: 0,
            counts: Counts::default(),
        }
    }

    /// Does something else to the frames that come from now on.
    pub(super) const fn set(&mut self, faults: Faults) {
        self.faults = faults;
    }

    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes a frame at `now`. ARP is delayed and nothing else: a lost question costs a second,
    /// which says nothing of TCP.
    pub(super) fn offer(&mut self, now: Duration, frame: &[u8]) {
        self.counts.frames += 1;
        self.counts.bytes += frame.len() as u64;
        while self.waiting.front().is_some_and(|done| *done <= now) {
            self.waiting.pop_front();
        }
        let exempt = frame.get(HEADER - 2..HEADER) == Some(&ARP[..]);
        // All are drawn for each frame, so that none shifts the fate of those behind it.
        let mut falls = |share: f64| self.random.f64() * 100.0 < share && !exempt;
        let lost = falls(self.faults.lost);
        let late = falls(self.faults.late);
        let repeated = falls(self.faults.repeated);
        let corrupted = falls(self.faults.corrupted);
        let (lateness, bit) = (self.random.u64(LATE), self.random.u64(..));
        if self.faults.rate > 0 && self.waiting.len() > self.faults.queue {
            self.counts.dropped += 1;
            return;
        }
        let bits = frame.len() as u64 * 8;
        let sending = (bits * 1_000_000_000).checked_div(self.faults.rate).unwrap_or(0);
        self.free = self.free.max(now) + Duration::from_nanos(sending);
        if self.faults.rate > 0 {
            self.waiting.push_back(self.free);
        }
        // A lost frame has taken its time on the wire.
        if lost {
            self.counts.lost += 1;
            return;
        }
        let mut due = self.free + self.faults.delay;
        if late {
            self.counts.late += 1;
            due += Duration::from_micros(lateness);
        }
        let mut frame = frame.to_vec();
        let bits = frame.len().saturating_sub(HEADER) as u64 * 8;
        if corrupted && bits > 0 {
            self.counts.corrupted += 1;
            let bit = bit % bits;
            if let Some(byte) = frame.get_mut(HEADER + (bit / 8) as usize) {
                *byte ^= 1 << (bit % 8);
            }
        }
        if repeated {
            self.counts.repeated += 1;
            self.fly(due, frame.clone());
        }
        self.fly(due, frame);
    }

    fn fly(&mut self, due: Duration, frame: Vec<u8>) {
        self.number += 1;
        self.flying.push(Reverse((due, self.number, frame)));
    }

    /// When the next frame arrives.
    pub(super) fn due(&self) -> Option<Duration> {
        self.flying.peek().map(|Reverse((due, ..))| *due)
    }

    /// Takes out what has arrived at `now`, one at a time, and when it did.
    pub(super) fn arrived(&mut self, now: Duration) -> Option<(Duration, Vec<u8>)> {
        if self.due()? > now {
            return None;
        }
        self.flying.pop().map(|Reverse((due, _, frame))| (due, frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A frame that says its number, of `length` bytes.
    fn frame(number: u32, length: usize) -> Vec<u8> {
        let mut frame = vec![0; length];
        frame[HEADER..HEADER + 4].copy_from_slice(&number.to_be_bytes());
        frame
    }

    /// Lets so many frames go, one each `gap`: when which arrives.
    fn sent(link: &mut Link, count: u32, gap: Duration) -> Vec<(Duration, Vec<u8>)> {
        for number in 0..count {
            link.offer(gap * number, &frame(number, 1000));
        }
        std::iter::from_fn(|| link.arrived(Duration::MAX)).collect()
    }

    fn numbers(arrived: &[(Duration, Vec<u8>)]) -> Vec<u32> {
        let number = |frame: &[u8]| frame[HEADER..HEADER + 4].try_into().map(u32::from_be_bytes);
        arrived.iter().map(|(_, frame)| number(frame).unwrap()).collect()
    }

    #[test]
    fn a_frame_arrives_after_the_delay_and_not_before() {
        let mut link = Link::new(Faults { delay: 10 * MS, ..Faults::default() }, 1);
        link.offer(5 * MS, &frame(7, 60));
        assert_eq!(link.due(), Some(15 * MS));
        assert_eq!(link.arrived(15 * MS - Duration::from_nanos(1)), None);
        assert_eq!(link.arrived(15 * MS), Some((15 * MS, frame(7, 60))));
        assert_eq!(link.arrived(Duration::MAX), None);
    }

    #[test]
    fn a_rate_spaces_frames_and_its_queue_is_bounded() {
        // 1 000 bytes take 40 us at 200 Mbit/s.
        let faults = Faults { rate: 200_000_000, queue: 10, delay: MS, ..Faults::default() };
        let mut link = Link::new(faults, 1);
        let arrived = sent(&mut link, 100, Duration::ZERO);
        // One is on the wire, and ten wait.
        assert_eq!((arrived.len(), link.counts().dropped), (11, 89));
        for (at, (due, _)) in arrived.iter().enumerate() {
            assert_eq!(*due, MS + Duration::from_micros(40) * (at as u32 + 1));
        }
        // What is no faster than the wire is not delayed, and none of it dropped.
        let mut link = Link::new(faults, 1);
        let arrived = sent(&mut link, 100, Duration::from_micros(40));
        assert_eq!((arrived.len(), link.counts().dropped), (100, 0));
        assert_eq!(arrived[99].0, MS + Duration::from_micros(4000));
    }

    #[test]
    fn the_share_that_is_lost_is_that_asked_for() {
        for lost in [0.1, 1.0, 3.0, 50.0] {
            let mut link = Link::new(Faults { lost, ..Faults::default() }, 3);
            let count = 200_000;
            let arrived = sent(&mut link, count, Duration::ZERO).len() as f64;
            let share = 100.0 - arrived * 100.0 / f64::from(count);
            // Four standard deviations.
            let deviation = (lost * (100.0 - lost) / f64::from(count)).sqrt();
            assert!((share - lost).abs() < 4.0 * deviation, "{share} % for {lost} %");
            assert_eq!(link.counts().lost + arrived as u64, u64::from(count));
        }
    }

    #[test]
    fn a_seed_says_what_happens_and_one_fault_does_not_shift_another() {
        let all =
            Faults { lost: 3.0, late: 5.0, repeated: 1.0, corrupted: 1.0, ..Faults::default() };
        let gap = Duration::from_micros(100);
        let run = |faults, seed| sent(&mut Link::new(faults, seed), 5000, gap);
        assert_eq!(run(all, 9), run(all, 9));
        assert_ne!(run(all, 9), run(all, 10));
        // The same are lost whether or not something else happens to others.
        let only = numbers(&run(Faults { lost: 3.0, ..Faults::default() }, 9));
        let mut among = numbers(&run(Faults { corrupted: 0.0, ..all }, 9));
        among.sort_unstable();
        among.dedup();
        assert_eq!(only, among);
    }

    #[test]
    fn order_is_kept_but_for_late_frames_which_are_one_to_three_ms_late() {
        let gap = Duration::from_micros(100);
        let in_order = sent(&mut Link::new(Faults::default(), 1), 1000, gap);
        assert!(numbers(&in_order).is_sorted());
        let mut link = Link::new(Faults { late: 5.0, ..Faults::default() }, 1);
        let arrived = sent(&mut link, 20_000, gap);
        assert!(!numbers(&arrived).is_sorted());
        let mut late = 0;
        for ((due, _), number) in arrived.iter().zip(numbers(&arrived)) {
            let lateness = *due - gap * number;
            assert!(lateness.is_zero() || (MS..=3 * MS).contains(&lateness), "{lateness:?}");
            late += u64::from(!lateness.is_zero());
        }
        assert_eq!(late, link.counts().late);
        assert!((880..1120).contains(&late), "{late} of 1000");
    }

    #[test]
    fn a_repeated_frame_follows_itself_and_a_corrupted_one_has_a_wrong_bit() {
        let mut link = Link::new(Faults { repeated: 100.0, ..Faults::default() }, 1);
        assert_eq!(numbers(&sent(&mut link, 3, MS)), [0, 0, 1, 1, 2, 2]);
        let mut link = Link::new(Faults { corrupted: 100.0, ..Faults::default() }, 1);
        for number in 0..1000 {
            let before = frame(number, 100);
            link.offer(Duration::ZERO, &before);
            let (_, after) = link.arrived(Duration::ZERO).unwrap();
            let changed: u32 = before.iter().zip(&after).map(|(a, b)| (a ^ b).count_ones()).sum();
            assert_eq!((changed, &before[..HEADER]), (1, &after[..HEADER]));
        }
        // A frame without content has nothing to change.
        link.offer(Duration::ZERO, &[0; HEADER]);
        assert_eq!(link.arrived(Duration::ZERO).unwrap().1, [0; HEADER]);
    }

    #[test]
    fn arp_is_delayed_and_nothing_else() {
        let always = Faults { delay: MS, lost: 100.0, late: 100.0, ..Faults::default() };
        let always = Faults { repeated: 100.0, corrupted: 100.0, ..always };
        let mut link = Link::new(always, 1);
        let mut arp = frame(1, 42);
        arp[HEADER - 2..HEADER].copy_from_slice(&ARP);
        link.offer(Duration::ZERO, &arp);
        assert_eq!(link.arrived(Duration::MAX), Some((MS, arp)));
        link.offer(Duration::ZERO, &frame(1, 42));
        assert_eq!((link.arrived(Duration::MAX), link.counts().lost), (None, 1));
    }
}
