//! The SYN queue: connections that peers asked for and have not confirmed (RFC 9293, section
//! 3.10.7.4, SYN-RECEIVED of a passive open). An entry is plain data of some 150 bytes, so
//! that a flood of SYNs can fill this queue and nothing else (rule N17).

use super::connection::Offer;
use super::secret::Ends;
use super::segment::{ACK, ECE, Head, Options, SYN};
use super::seq::Seq;
use crate::{Error, random};
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::net::SocketAddr;
use core::time::Duration;
use devices::net::HEADER;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use kernel::time::Instant;

/// How often a SYN is answered, a second after it and then after twice the time each (RFC
/// 6298): the last entry goes 15 s after its SYN.
const ANSWERS: u8 = 4;

/// So many are looked through, which takes less than their hash. There are seldom more.
const FEW: usize = 8;

/// A connection that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) iss: Seq,
    pub(crate) offer: Offer,
    /// The Ethernet header of answers: back to where the SYN came from, so that SYNs with
    /// false senders cost no address resolution.
    pub(crate) header: [u8; HEADER],
    /// When it was last answered, and how often.
    pub(crate) answered: Instant,
    pub(crate) answers: u8,
}

/// What this side says of itself in its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    pub(crate) mss: u16,
    pub(crate) scale: u8,
    pub(crate) window: u16,
    /// Its timestamp.
    pub(crate) stamp: u32,
}

/// Returns the answer to a SYN.
pub(crate) fn answer(offer: &Offer, iss: Seq, own: Own) -> Head {
    Head {
        seq: iss,
        ack: offer.irs + 1,
        flags: SYN | ACK | if offer.ecn { ECE } else { 0 },
        window: own.window,
        options: Options {
            mss: Some(own.mss),
            scale: offer.scale.map(|_| own.scale),
            sack_permitted: offer.sack,
            stamps: offer.stamp.map(|stamp| (own.stamp, stamp)),
            ..Options::default()
        },
    }
}

impl Asked {
    const fn ends(&self) -> Ends {
        (self.local, self.peer)
    }

    fn is(&self, ends: Ends) -> bool {
        self.ends() == ends
    }

    fn due(&self) -> Instant {
        let seconds = 1 << self.answers.saturating_sub(1).min(ANSWERS);
        self.answered.saturating_add(Duration::from_secs(seconds))
    }

    /// Returns whether it was answered as often as it is.
    pub(crate) const fn is_last(&self) -> bool {
        self.answers >= ANSWERS
    }
}

/// All of them, in no order.
#[derive(Debug)]
pub(crate) struct SynQueue {
    entries: Vec<Asked>,
    /// Where each but the first [`FEW`] stands, by a hash that nobody can guess: a flood costs each
    /// SYN little more than the first.
    places: HashTable<u32>,
    hasher: FixedState,
    most: usize,
    /// None of them is due before.
    quiet: Option<Instant>,
}

impl SynQueue {
    /// Makes a queue for `most` at a time.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when there is no memory for them.
    pub(crate) fn new(most: usize) -> Result<Self, Error> {
        let mut entries = Vec::new();
        entries.try_reserve_exact(most).map_err(|_| Error::Exhausted)?;
        let mut places = HashTable::new();
        // Half of it is never used, so that it is put in order where it is.
        places.try_reserve(2 * most, |_| 0).map_err(|_| Error::Exhausted)?;
        let hasher = FixedState::with_seed(random()?);
        Ok(Self { entries, places, hasher, most, quiet: None })
    }

    fn find(&self, ends: Ends) -> Option<usize> {
        let few = self.entries.iter().take(FEW).position(|it| it.is(ends));
        if few.is_some() || self.places.is_empty() {
            return few;
        }
        let is = |&at: &u32| self.entries.get(at as usize).is_some_and(|it| it.is(ends));
        self.places.find(self.hasher.hash_one(Some(ends)), is).map(|&at| at as usize)
    }

    /// Returns the hash by which the one that stands at a place is found.
    fn hash(&self, at: usize) -> u64 {
        self.hasher.hash_one(self.entries.get(at).map(Asked::ends))
    }

    /// Notes where the last one stands.
    fn place_last(&mut self) {
        let Some(last) = self.entries.len().checked_sub(1).filter(|&last| last >= FEW) else {
            return;
        };
        let new = self.hash(last);
        let Self { entries, places, hasher, .. } = self;
        let hash = |at: &u32| hasher.hash_one(entries.get(*at as usize).map(Asked::ends));
        places.insert_unique(new, last as u32, hash);
    }

    /// Forgets where one stands.
    fn displace(&mut self, at: usize) {
        if at >= FEW {
            let hash = self.hash(at);
            if let Ok(place) = self.places.find_entry(hash, |&it| it as usize == at) {
                place.remove();
            }
        }
    }

    fn remove(&mut self, at: usize) -> Option<Asked> {
        let last = self.entries.len().checked_sub(1)?;
        self.displace(at);
        if at < FEW && at != last {
            self.displace(last);
        } else if at != last {
            let hash = self.hash(last);
            if let Some(place) = self.places.find_mut(hash, |&it| it as usize == last) {
                *place = at as u32;
            }
        }
        Some(self.entries.swap_remove(at))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns all of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Asked> {
        self.entries.iter()
    }

    /// Takes out the one of a connection.
    pub(crate) fn take(&mut self, ends: Ends) -> Option<Asked> {
        self.remove(self.find(ends)?)
    }

    /// Returns the one of a connection.
    pub(crate) fn get(&self, ends: Ends) -> Option<&Asked> {
        self.entries.get(self.find(ends)?)
    }

    /// Returns whether there is no room for another.
    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= self.most
    }

    /// Adds one, for which there is room, unless it is there already.
    pub(crate) fn add(&mut self, new: Asked) {
        if !self.is_full() && self.find(new.ends()).is_none() {
            self.quiet = self.quiet.into_iter().chain([new.due()]).min();
            self.entries.push(new);
            self.place_last();
        }
    }

    /// Forgets those that ask for one of these addresses.
    pub(crate) fn forget(&mut self, one: impl Fn(SocketAddr) -> bool) {
        let mut at = 0;
        while let Some(entry) = self.entries.get(at) {
            if one(entry.local) {
                self.remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// Returns a time before which none is [due](Self::due).
    pub(crate) const fn next(&self) -> Option<Instant> {
        self.quiet
    }

    /// Takes out one whose answer is due again at `now`, or whose time is over: the answer may
    /// have been lost, or what confirmed it, and not every peer speaks first.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Asked> {
        if self.quiet? > now {
            return None;
        }
        let Some(at) = self.entries.iter().position(|entry| entry.due() <= now) else {
            self.quiet = self.entries.iter().map(Asked::due).min();
            return None;
        };
        self.remove(at)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use core::net::Ipv4Addr;

    fn asked(port: u16) -> Asked {
        let offer = Offer {
            irs: Seq(1),
            mss: 1460,
            scale: None,
            sack: false,
            stamp: None,
            ecn: false,
            window: 1,
        };
        Asked {
            peer: SocketAddr::new(Ipv4Addr::new(10, 0, 0, 1).into(), port),
            local: SocketAddr::new(Ipv4Addr::new(10, 0, 0, 2).into(), 80),
            iss: Seq(5),
            offer,
            header: [0; HEADER],
            answered: Instant::now(),
            answers: 0,
        }
    }

    #[test]
    fn a_full_queue_takes_no_more_n17() {
        let mut queue = SynQueue::new(2).unwrap();
        [1, 2, 3].into_iter().for_each(|port| queue.add(asked(port)));
        assert!(queue.is_full());
        assert!(queue.entries.iter().map(|it| it.peer.port()).eq([1, 2]));
    }

    #[test]
    fn each_is_found_whatever_came_and_went() {
        kernel::testing::simulate_time();
        let (mut queue, mut random) = (SynQueue::new(64).unwrap(), 1_u64);
        let mut model = std::collections::BTreeMap::new();
        for step in 0..20_000_u32 {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let new = Asked { iss: Seq(step), ..asked((random >> 33) as u16 % 100) };
            let (port, ends) = (new.peer.port(), new.ends());
            assert_eq!(queue.get(ends).map(|it| it.iss), model.get(&port).copied());
            match random >> 60 {
                0..8 => {
                    queue.add(new);
                    if model.len() < 64 {
                        model.entry(port).or_insert(Seq(step));
                    }
                }
                8..14 => assert_eq!(queue.take(ends).map(|it| it.iss), model.remove(&port)),
                14 => {
                    let due = queue.due(Instant::now().saturating_add(Duration::from_secs(9)));
                    let due = due.map(|it| (it.peer.port(), it.iss));
                    assert_eq!(due.map(|it| it.1), due.and_then(|it| model.remove(&it.0)));
                }
                _ if step % 50 == 0 => {
                    queue.forget(|_| true);
                    model.clear();
                }
                _ => queue.forget(|_| false),
            }
            let placed = model.len().saturating_sub(FEW);
            assert_eq!((queue.len(), queue.places.len()), (model.len(), placed));
        }
    }

    #[test]
    fn answers_are_due_after_longer_and_longer_times() {
        kernel::testing::simulate_time();
        let now = Instant::now();
        let mut queue = SynQueue::new(2).unwrap();
        for (answers, seconds) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
            queue.add(Asked { answers, ..asked(1) });
            let due = now.saturating_add(Duration::from_secs(seconds));
            assert_eq!(queue.next(), Some(due));
            assert!(queue.due(now).is_none());
            assert!(queue.due(due).is_some());
            assert!(queue.due(due).is_none() && queue.next().is_none());
        }
    }

    #[test]
    fn an_answer_offers_what_was_offered() {
        let own = Own { mss: 1440, scale: 7, window: 512, stamp: 9 };
        let plain = answer(&asked(1).offer, Seq(5), own);
        let options = Options { mss: Some(1440), ..Options::default() };
        let head = Head { seq: Seq(5), ack: Seq(2), flags: SYN | ACK, window: 512, options };
        assert_eq!(plain, head);
        let offer =
            Offer { scale: Some(0), sack: true, stamp: Some(3), ecn: true, ..asked(1).offer };
        let full = answer(&offer, Seq(5), own);
        assert_eq!(full.flags, SYN | ACK | ECE);
        let options = &full.options;
        assert_eq!((options.scale, options.sack_permitted), (Some(7), true));
        assert_eq!(options.stamps, Some((9, 3)));
    }
}
