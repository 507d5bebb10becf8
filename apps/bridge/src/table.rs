//! Which machine is on which side.

use alloc::vec::Vec;
use core::time::Duration;
use xenith::net::Mac;
use xenith::time::Instant;

/// How long a machine that is silent is remembered (IEEE 802.1Q, section 8.8.3).
pub(crate) const AGE: Duration = Duration::from_secs(300);

/// Machines that are known at most: so many buckets of so many places.
const BUCKETS: usize = 256;
const PLACES: usize = 4;

/// One of the two interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    One,
    Other,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    mac: Mac,
    side: Side,
    seen: Instant,
}

/// A table of a fixed size. Where a machine stands in it nobody can tell from outside, so
/// that who floods it pushes out others at random; they are then sent to both sides, as
/// machines are that were not heard of.
#[derive(Debug)]
pub(crate) struct Table {
    secret: u64,
    buckets: Vec<[Option<Entry>; PLACES]>,
}

impl Table {
    /// An empty table. `None` without memory for it.
    pub(crate) fn new(secret: u64) -> Option<Self> {
        let mut buckets = Vec::new();
        buckets.try_reserve_exact(BUCKETS).ok()?;
        buckets.resize(BUCKETS, [None; PLACES]);
        Some(Self { secret, buckets })
    }

    fn bucket(&mut self, mac: Mac) -> &mut [Option<Entry>; PLACES] {
        let [a, b, c, d, e, f] = mac.0;
        let number = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        // The highest 8 bits of a product depend on all bits of the number.
        let at = (number ^ self.secret).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        &mut self.buckets[at as usize % BUCKETS]
    }

    /// `mac` was heard of on `side`; whether it was on the other one before.
    pub(crate) fn learn(&mut self, mac: Mac, side: Side, now: Instant) -> bool {
        let bucket = self.bucket(mac);
        let entry = Entry { mac, side, seen: now };
        if let Some(known) = bucket.iter_mut().flatten().find(|known| known.mac == mac) {
            let moved = known.side != side;
            *known = entry;
            return moved;
        }
        // A free place, or that of whom was silent for longest.
        if let Some(place) = bucket.iter_mut().min_by_key(|place| place.map(|it| it.seen)) {
            *place = Some(entry);
        }
        false
    }

    /// Where `mac` is, if that is known.
    pub(crate) fn find(&mut self, mac: Mac, now: Instant) -> Option<Side> {
        let entry = self.bucket(mac).iter().flatten().find(|known| known.mac == mac)?;
        (now.saturating_duration_since(entry.seen) < AGE).then_some(entry.side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(number: u32) -> Mac {
        let [a, b, c, d] = number.to_be_bytes();
        Mac([2, 0, a, b, c, d])
    }

    #[test]
    fn machines_are_remembered_move_and_are_forgotten() {
        xenith::testing::simulate_time();
        let (mut table, now) = (Table::new(7).unwrap(), Instant::now());
        assert_eq!(table.find(mac(1), now), None);
        assert!(!table.learn(mac(1), Side::One, now));
        assert_eq!(table.find(mac(1), now), Some(Side::One));
        assert!(table.learn(mac(1), Side::Other, now));
        assert_eq!(table.find(mac(1), now), Some(Side::Other));
        let late = now.saturating_add(AGE);
        assert_eq!(table.find(mac(1), late), None);
        table.learn(mac(1), Side::Other, late);
        assert_eq!(table.find(mac(1), late), Some(Side::Other));
    }

    #[test]
    fn a_flood_takes_no_more_than_the_table() {
        xenith::testing::simulate_time();
        let (mut table, now) = (Table::new(0x1234_5678_9abc_def0).unwrap(), Instant::now());
        for number in 0..100_000 {
            let now = now.saturating_add(Duration::from_micros(number.into()));
            table.learn(mac(number), Side::One, now);
            assert_eq!(table.find(mac(number), now), Some(Side::One));
        }
        let known = (0..100_000).filter(|&it| table.find(mac(it), now).is_some()).count();
        assert!((BUCKETS * PLACES / 2..=BUCKETS * PLACES).contains(&known), "{known}");
    }
}
