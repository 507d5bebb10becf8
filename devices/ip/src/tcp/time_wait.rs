//! TIME-WAIT of connections that nobody holds (RFC 9293, section 3.6.1): what has to be known
//! to answer what is left of one, in 60 bytes.
//!
//! All wait for as long, so that the first that came is the first that goes, by time or when
//! there are too many. An entry is found by a hash of its ends: each bucket is a list of
//! numbers, the latest first, which ends where one is older than the oldest that is left.

use super::segment::{ACK, FIN, Head, Options, RST, SYN, Segment};
use super::seq::Seq;
use super::undo::stamp;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use kernel::time::Instant;

/// How long TIME-WAIT lasts: what Linux waits, and what half of the two minutes is that RFC
/// 9293, section 3.4.1, takes for the life of a segment. What one costs is so little that more
/// memory than time decides how many there are: a peer that connects 10 000 times a second
/// fills the table in seconds, and nothing else.
pub(crate) const TIME_WAIT: Duration = Duration::from_secs(60);

/// The age from which this side may connect anew between the same ends, by later timestamps
/// (RFC 6191, section 2): theirs are of a millisecond, and those of others may be of a second.
const REUSED: u32 = 1000;

/// What is known of a connection that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    /// SND.NXT and RCV.NXT.
    pub(crate) seq: Seq,
    pub(crate) ack: Seq,
    /// The window, as it stands in a header.
    pub(crate) window: u16,
    /// TS.Recent.
    pub(crate) recent: Option<u32>,
}

/// What becomes of a segment in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Nothing.
    Nothing,
    /// It is acknowledged.
    Answer,
    /// It is a FIN whose acknowledgement was lost: it is acknowledged, and waited for anew.
    Again,
    /// It asks for a new connection, which is later than all of this one.
    Anew,
}

impl Rest {
    /// Returns whether a SYN is later than all of this connection, by its timestamp or its number
    /// (RFC 6191, section 2).
    pub(crate) fn gives_way_to(&self, seq: Seq, stamp: Option<u32>) -> bool {
        match (self.recent, stamp) {
            (Some(recent), Some(stamp)) if stamp != recent => {
                stamp.wrapping_sub(recent).cast_signed() > 0
            }
            _ => seq.is_after(self.ack),
        }
    }

    /// Judges a segment (RFC 9293, section 3.10.7.4). A reset is none of the peer's, which has
    /// said that it has ended; it would let what is left under way into the next connection
    /// (RFC 1337, section 3).
    pub(crate) fn judge(&self, segment: &Segment<'_>) -> Judgement {
        let stamp = segment.options.stamps.map(|(value, _)| value);
        match segment.flags & (SYN | ACK | RST | FIN) {
            flags if flags & RST != 0 => Judgement::Nothing,
            SYN if self.gives_way_to(segment.seq, stamp) => Judgement::Anew,
            flags if flags & (FIN | SYN) == FIN && segment.seq + segment.len() == self.ack => {
                Judgement::Again
            }
            ACK if segment.seq == self.ack && segment.text() == 0 => Judgement::Nothing,
            _ => Judgement::Answer,
        }
    }

    /// Returns what acknowledges all that came, with this side's timestamp.
    pub(crate) fn answer(&self, clock: u32) -> Head {
        let stamps = self.recent.map(|recent| (clock, recent));
        let options = Options { stamps, ..Options::default() };
        Head { seq: self.seq, ack: self.ack, flags: ACK, window: self.window, options }
    }
}

/// The length of the ends of a connection, in bytes.
pub(super) const ENDS: usize = 36;

/// Returns the ends of a connection as bytes: addresses, of IPv4 as those of IPv6 that stand for
/// them, and ports.
pub(super) fn in_bytes((local, peer): (SocketAddr, SocketAddr)) -> [u8; ENDS] {
    let mut ends = [0; ENDS];
    for (end, to) in [local, peer].into_iter().zip(ends.chunks_exact_mut(18)) {
        let ip = match end.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        to[..16].copy_from_slice(&ip.octets());
        to[16..].copy_from_slice(&end.port().to_be_bytes());
    }
    ends
}

/// The ends of a connection, and a hash of them that nobody can guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id {
    ends: [u8; ENDS],
    hash: u32,
}

impl Id {
    pub(crate) fn new(ends: (SocketAddr, SocketAddr), hash: impl FnOnce(&[u8]) -> u64) -> Self {
        let ends = in_bytes(ends);
        Self { ends, hash: hash(&ends) as u32 }
    }
}

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Entry {
    id: Id,
    /// The number of the one before it in its bucket.
    before: u32,
    seq: Seq,
    ack: Seq,
    recent: u32,
    /// When it came, in milliseconds.
    since: u32,
    window: u16,
    stamped: bool,
    /// Another connection took its place.
    gone: bool,
}

impl Entry {
    const fn rest(&self) -> Rest {
        let Self { seq, ack, window, .. } = *self;
        Rest { seq, ack, window, recent: if self.stamped { Some(self.recent) } else { None } }
    }
}

/// All of them, the first that came first.
#[derive(Debug)]
pub(crate) struct TimeWait {
    entries: VecDeque<Entry>,
    /// The number of the first one.
    first: u32,
    /// The number of the last of each bucket; a power of two of them.
    buckets: Vec<u32>,
    most: usize,
}

impl TimeWait {
    /// None yet, and at most so many at a time.
    pub(crate) const fn new(most: usize) -> Self {
        Self { entries: VecDeque::new(), first: 0, buckets: Vec::new(), most }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.iter().filter(|entry| !entry.gone).count()
    }

    /// Returns where a number stands, if it still does.
    fn place(&self, number: u32) -> Option<usize> {
        let at = number.wrapping_sub(self.first) as usize;
        (at < self.entries.len()).then_some(at)
    }

    fn bucket(&self, id: Id) -> usize {
        id.hash as usize & self.buckets.len().wrapping_sub(1)
    }

    fn find(&self, id: Id) -> Option<usize> {
        let mut at = self.place(*self.buckets.get(self.bucket(id))?)?;
        loop {
            let entry = self.entries.get(at)?;
            if entry.id == id && !entry.gone {
                return Some(at);
            }
            // One that is not before it is another, as numbers come again.
            at = self.place(entry.before).filter(|before| *before < at)?;
        }
    }

    /// Returns what is known of a connection.
    pub(crate) fn get(&self, id: Id) -> Option<Rest> {
        self.find(id).and_then(|at| self.entries.get(at)).map(Entry::rest)
    }

    /// Returns whether this side may connect between these ends.
    pub(crate) fn allows(&self, id: Id, now: Instant) -> bool {
        let entry = self.find(id).and_then(|at| self.entries.get(at));
        entry.is_none_or(|it| it.stamped && stamp(now).wrapping_sub(it.since) >= REUSED)
    }

    /// Forgets a connection, whose place another one takes.
    pub(crate) fn remove(&mut self, id: Id) {
        if let Some(entry) = self.find(id).and_then(|at| self.entries.get_mut(at)) {
            entry.gone = true;
        }
    }

    /// Adds a connection. When there is no room, or no memory, the oldest is forgotten.
    pub(crate) fn add(&mut self, id: Id, rest: Rest, now: Instant) {
        self.remove(id);
        if self.entries.len() >= self.most || !self.has_room() {
            self.forget();
            if self.entries.len() == self.entries.capacity() || self.buckets.is_empty() {
                return;
            }
        }
        let Rest { seq, ack, window, recent } = rest;
        let number = self.first.wrapping_add(self.entries.len() as u32);
        let bucket = self.bucket(id);
        let Some(last) = self.buckets.get_mut(bucket) else { return };
        let before = core::mem::replace(last, number);
        let (stamped, recent, since) = (recent.is_some(), recent.unwrap_or(0), stamp(now));
        let entry = Entry { id, before, seq, ack, recent, since, window, stamped, gone: false };
        self.entries.push_back(entry);
    }

    /// Returns whether there is memory for one more; as many buckets are made as there are entries.
    fn has_room(&mut self) -> bool {
        if self.entries.try_reserve(1).is_err() {
            return false;
        }
        if self.entries.len() < self.buckets.len() {
            return true;
        }
        let count = (self.buckets.len() * 2).max(16);
        let mut buckets = Vec::new();
        if buckets.try_reserve_exact(count).is_err() {
            return !self.buckets.is_empty();
        }
        // A number that no entry has.
        buckets.resize(count, self.first.wrapping_sub(1));
        let mut number = self.first;
        for entry in &mut self.entries {
            let bucket = entry.id.hash as usize & (count - 1);
            entry.before = core::mem::replace(&mut buckets[bucket], number);
            number = number.wrapping_add(1);
        }
        self.buckets = buckets;
        true
    }

    fn forget(&mut self) {
        if self.entries.pop_front().is_some() {
            self.first = self.first.wrapping_add(1);
        }
    }

    /// Forgets those that have waited for long enough. Returns when to look again, which is a
    /// second late so that many go at once.
    pub(crate) fn turn(&mut self, now: Instant) -> Option<Instant> {
        const WAIT: u32 = TIME_WAIT.as_millis() as u32;
        loop {
            let entry = self.entries.front()?;
            let waited = stamp(now).wrapping_sub(entry.since);
            if waited < WAIT && !entry.gone {
                let left = Duration::from_millis(u64::from(WAIT - waited) + 1000);
                return Some(now.saturating_add(left));
            }
            self.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};

    const REST: Rest = Rest { seq: Seq(500), ack: Seq(1000), window: 9, recent: Some(77) };

    /// Ends, and a hash of which many are alike.
    fn id(port: u16) -> Id {
        let local = SocketAddr::new(Ipv4Addr::new(10, 0, 0, 1).into(), 80);
        let peer = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port);
        Id::new((local, peer), |ends| u64::from(ends[35]) % 7)
    }

    fn at(ms: u64) -> Instant {
        kernel::testing::simulate_time();
        Instant::now().saturating_add(Duration::from_millis(ms))
    }

    fn get(table: &TimeWait, port: u16) -> Option<Rest> {
        table.get(id(port))
    }

    fn segment(seq: u32, flags: u8, payload: &[u8], stamp: Option<u32>) -> Segment<'_> {
        let options = Options { stamps: stamp.map(|it| (it, 0)), ..Options::default() };
        let (seq, ack) = (Seq(seq), Seq(500));
        Segment { seq, ack, flags, window: 1, options, payload, staged: 0, marked: false }
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Entry>() <= 64);
    }

    #[test]
    fn each_is_found_until_it_has_waited_or_there_are_too_many() {
        let mut table = TimeWait::new(100);
        for port in 0..250 {
            let rest = Rest { seq: Seq(port.into()), ..REST };
            table.add(id(port), rest, at(port.into()));
            assert!(table.len() <= 100);
            for known in port.saturating_sub(99)..=port {
                assert_eq!(get(&table, known).map(|it| it.seq), Some(Seq(known.into())));
            }
            assert!(port < 100 || get(&table, port - 100).is_none());
        }
        assert_eq!(table.turn(at(60_149)), Some(at(60_150 + 1000)));
        assert_eq!((table.len(), get(&table, 150).is_some()), (100, true));
        assert_eq!(table.turn(at(60_200)), Some(at(60_201 + 1000)));
        assert_eq!((table.len(), get(&table, 200), get(&table, 201).is_some()), (49, None, true));
        assert_eq!((table.turn(at(70_000)), table.is_empty()), (None, true));
    }

    #[test]
    fn one_takes_the_place_of_another() {
        let mut table = TimeWait::new(4);
        table.add(id(1), REST, at(0));
        table.add(id(8), REST, at(0));
        table.remove(id(1));
        assert_eq!((get(&table, 1), get(&table, 8)), (None, Some(REST)));
        for n in 0..20 {
            table.add(id(8), Rest { seq: Seq(n), ..REST }, at(0));
            assert_eq!((get(&table, 8).unwrap().seq, table.len()), (Seq(n), 1));
        }
        assert!(table.entries.len() <= 4);
    }

    #[test]
    fn a_port_is_used_again_by_later_timestamps_alone() {
        let mut table = TimeWait::new(4);
        table.add(id(1), REST, at(0));
        table.add(id(2), Rest { recent: None, ..REST }, at(0));
        let allows = |port, ms| table.allows(id(port), at(ms));
        assert!(!allows(1, 999) && allows(1, 1000) && !allows(2, 59_000) && allows(3, 0));
    }

    #[test]
    fn a_table_for_none_keeps_none() {
        let mut table = TimeWait::new(0);
        table.add(id(1), REST, at(0));
        assert!(table.len() <= 1 && table.entries.len() <= 1);
        assert_eq!(table.turn(at(60_000)), None);
    }

    #[test]
    fn what_is_left_of_it_is_answered_and_resets_are_not_heard() {
        let judge = |seq, flags, payload, stamp| REST.judge(&segment(seq, flags, payload, stamp));
        let now = Some(78);
        assert_eq!(judge(1000, ACK, b"", now), Judgement::Nothing);
        assert_eq!(judge(999, ACK, b"", now), Judgement::Answer);
        assert_eq!(judge(990, ACK, b"0123456789", now), Judgement::Answer);
        assert_eq!(judge(999, ACK | FIN, b"", now), Judgement::Again);
        assert_eq!(judge(989, ACK | FIN, b"0123456789", now), Judgement::Again);
        assert_eq!(judge(500, ACK | FIN, b"", now), Judgement::Answer);
        for seq in [999, 1000, 1001, 0] {
            assert_eq!(judge(seq, RST, b"", now), Judgement::Nothing);
            assert_eq!(judge(seq, RST | ACK, b"", None), Judgement::Nothing);
        }
        assert_eq!(judge(5, SYN, b"", Some(78)), Judgement::Anew);
        assert_eq!(judge(5000, SYN, b"", Some(76)), Judgement::Answer);
        assert_eq!(judge(5000, SYN, b"", None), Judgement::Anew);
        assert_eq!(judge(5000, SYN | ACK, b"", now), Judgement::Answer);
        let answer = REST.answer(7);
        assert_eq!((answer.seq, answer.ack, answer.flags), (Seq(500), Seq(1000), ACK));
        assert_eq!((answer.window, answer.options.stamps), (9, Some((7, 77))));
    }
}
