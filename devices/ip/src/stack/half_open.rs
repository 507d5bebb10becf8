//! Connections that a peer asked for and has not confirmed yet.
//!
//! A SYN costs an entry of a few hundred bytes. The first few keep the socket that
//! answered, which the connection then has. The others keep none: the answer comes from
//! a socket that is used again, and the same socket is made again, from the same SYN and
//! the same seed, when the peer confirms. So a flood of SYNs (rule N17) can fill this
//! table and nothing else.

use super::spare::Spare;
use crate::Error;
use crate::packet::Segment;
use alloc::vec::Vec;
use core::net::SocketAddr;
use devices::net::HEADER;
use kernel::time::Instant;

/// The longest frame that an entry keeps: Ethernet, IPv4 or IPv6 and TCP, each with
/// as many options as fit into its header. (IPv6 has them in headers of their own;
/// SYNs with these are too rare to be served.)
pub(crate) const LONGEST: usize = HEADER + 60 + 60;

/// Entries that keep their sockets.
const KEEP: usize = 8;

/// A connection that was asked for.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// The peer's first sequence number, and ours.
    pub(crate) theirs: u32,
    pub(crate) ours: u32,
    /// What our sequence number was chosen by.
    pub(crate) seed: u64,
    /// Bytes of the buffers that the connection will have, each way.
    pub(crate) buffer: usize,
    /// When the answer was last sent, and how often.
    pub(crate) answered: Instant,
    pub(crate) answers: u8,
    /// What answered, if it is kept.
    pub(crate) socket: Option<Spare>,
    frame: [u8; LONGEST],
    length: u8,
}

impl HalfOpen {
    /// What the SYN `segment` in `frame`, without its payload, asks for. `None` when it
    /// is too long.
    pub(crate) fn new(
        frame: &[u8],
        segment: &Segment,
        (seed, buffer): (u64, usize),
        now: Instant,
    ) -> Option<Self> {
        let from = frame.get(..segment.payload)?;
        let mut kept = [0; LONGEST];
        kept.get_mut(..from.len())?.copy_from_slice(from);
        crate::packet::cut(&mut kept, from.len());
        Some(Self {
            peer: segment.peer,
            local: segment.local,
            theirs: segment.sequence,
            ours: 0,
            seed,
            buffer,
            answered: now,
            answers: 0,
            socket: None,
            frame: kept,
            length: from.len() as u8,
        })
    }

    /// The frame of the SYN.
    pub(crate) fn frame(&self) -> &[u8] {
        self.frame.get(..self.length.into()).unwrap_or_default()
    }

    fn is(&self, segment: &Segment) -> bool {
        self.peer == segment.peer && self.local == segment.local
    }
}

/// All of them, in no order.
#[derive(Debug)]
pub(crate) struct Table {
    entries: Vec<HalfOpen>,
    most: usize,
    /// None of them is due before.
    quiet: Option<Instant>,
}

impl Table {
    /// For `most` at a time.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when there is no memory for them.
    pub(crate) fn new(most: usize) -> Result<Self, Error> {
        let mut entries = Vec::new();
        entries.try_reserve_exact(most).map_err(|_| Error::Exhausted)?;
        Ok(Self { entries, most, quiet: None })
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes out the one that `segment` belongs to.
    pub(crate) fn take(&mut self, segment: &Segment) -> Option<HalfOpen> {
        let at = self.entries.iter().position(|entry| entry.is(segment))?;
        Some(self.entries.swap_remove(at))
    }

    /// Looks at the one that `segment` belongs to.
    pub(crate) fn get(&self, segment: &Segment) -> Option<&HalfOpen> {
        self.entries.iter().find(|entry| entry.is(segment))
    }

    /// Whether there is no room for another.
    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= self.most
    }

    /// Whether the next entry may keep its socket.
    pub(crate) fn keeps(&self) -> bool {
        self.entries.len() < KEEP
    }

    /// Adds one, for which there is room.
    pub(crate) fn add(&mut self, new: HalfOpen) {
        if !self.is_full() {
            self.quiet = self.quiet.into_iter().chain([new.due()]).min();
            self.entries.push(new);
        }
    }

    /// Forgets those that ask for an address that is `one` of these.
    pub(crate) fn forget(&mut self, one: impl Fn(SocketAddr) -> bool) {
        self.entries.retain(|entry| !one(entry.local));
    }

    /// None of them is [due](Self::due) before.
    pub(crate) const fn next(&self) -> Option<Instant> {
        self.quiet
    }

    /// Takes out one whose answer is due again at `now`, or whose time is over. The
    /// answer may have been lost, or what confirmed it, and not every peer speaks
    /// first.
    pub(crate) fn due(&mut self, now: Instant) -> Option<HalfOpen> {
        if self.quiet? > now {
            return None;
        }
        let Some(at) = self.entries.iter().position(|entry| entry.due() <= now) else {
            self.quiet = self.entries.iter().map(HalfOpen::due).min();
            return None;
        };
        Some(self.entries.swap_remove(at))
    }
}

/// How often an answer is sent, a second after the SYN and then after twice the time
/// each (RFC 6298): the last entry goes 15 s after its SYN.
pub(crate) const ANSWERS: u8 = 4;

impl HalfOpen {
    fn due(&self) -> Instant {
        let seconds = 1 << self.answers.saturating_sub(1).min(ANSWERS);
        self.answered.saturating_add(core::time::Duration::from_secs(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    fn syn(port: u16) -> HalfOpen {
        let peer = SocketAddr::new(Ipv4Addr::new(10, 0, 0, 1).into(), port);
        let local = SocketAddr::new(Ipv4Addr::new(10, 0, 0, 2).into(), 80);
        let frame = [0; 54];
        let (sequence, acknowledgement) = (1, 0);
        let segment = Segment { peer, local, flags: 2, sequence, acknowledgement, payload: 54 };
        HalfOpen::new(&frame, &segment, (0, 0), Instant::now()).unwrap()
    }

    #[test]
    fn a_full_table_takes_no_more_n17() {
        let mut table = Table::new(2).unwrap();
        [1, 2, 3].into_iter().for_each(|port| table.add(syn(port)));
        assert!(table.is_full());
        let ports = table.entries.iter().map(|it| it.peer.port());
        assert!(ports.eq([1, 2]));
    }

    #[test]
    fn answers_are_due_after_longer_and_longer_times() {
        kernel::testing::simulate_time();
        let now = Instant::now();
        let mut table = Table::new(2).unwrap();
        for (answers, seconds) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
            table.add(HalfOpen { answers, ..syn(1) });
            let due = now.saturating_add(core::time::Duration::from_secs(seconds));
            assert_eq!(table.next(), Some(due));
            assert!(table.due(now).is_none());
            assert!(table.due(due).is_some());
            assert!(table.due(due).is_none() && table.next().is_none());
        }
    }
}
