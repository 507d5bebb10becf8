//! Reassembly of fragments of IPv4 (RFC 791, section 3.2; RFC 815) and IPv6 (RFC 8200, section
//! 4.5).
//!
//! What fragments may occupy is bounded in bytes, in number and in time, and shared by sender:
//! where there is no room, the oldest datagram of who occupies the most is given up (rule T3).
//! Who sends from many addresses is not kept from it (RFC 8900, section 3.7). Each fragment
//! costs its own bytes and no more, wherever in a datagram it says it belongs.
//!
//! Fragments that overlap end their datagram, of either version (RFC 5722), and what still comes
//! of it is dropped for as long as it might; the same one twice is harmless.
//!
//! What is said of a fragment's checksum says nothing: the checksum is in one of them, and about
//! all. So a datagram is verified when it is whole, whatever came with its pieces (rule N9).

use super::verdict::{Piece, Verdict};
use super::{Ends, HEADER, Packet, number, plain};
use alloc::vec::Vec;
use core::time::Duration;
use kernel::time::Instant;

/// Datagrams that are put together at a time.
const DATAGRAMS: usize = 16;

/// Fragments of one: more than a link of 576 bytes makes of the longest.
const PIECES: usize = 128;

/// What one costs beside its bytes.
const COST: usize = 64;

/// How long the rest of a datagram may take. 16 bits of a number come round early, and then what
/// is left of an old datagram is taken for a new one's (RFC 4963): so it is the least that RFC
/// 791 names, section 3.2, for IPv4. RFC 8200, section 4.5, has a minute.
const PATIENCE_V4: Duration = Duration::from_secs(15);
const PATIENCE_V6: Duration = Duration::from_secs(60);

impl Piece {
    /// The verdict on a fragment of IPv4. None makes a datagram longer than one may be.
    pub(super) fn judge_v4(frame: &[u8], packet: &Packet, ends: Ends) -> Verdict {
        let (start, end, protocol) = (packet.transport, packet.end, packet.protocol);
        let field = number(frame, HEADER + 6).unwrap_or_default();
        let (offset, more, length) = (8 * (field & 0x1fff), field & 0x2000 != 0, end - start);
        let fits = 20 + offset + length <= 0xffff;
        let Some(id) = number(frame, HEADER + 4).filter(|_| fits) else { return Verdict::Useless };
        if length == 0 || more && !length.is_multiple_of(8) {
            return Verdict::Useless;
        }
        Verdict::Fragment(ends, Self { id: id as u32, protocol, offset, more, start, end })
    }
}

/// Which datagram a fragment is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    ends: Ends,
    id: u32,
    /// 0 for IPv6.
    protocol: u8,
}

#[derive(Debug)]
struct Datagram {
    key: Key,
    until: Instant,
    /// The headers of the first fragment, and what it carries.
    head: heapless::Vec<u8, { HEADER + 40 }>,
    protocol: u8,
    /// A bit for each codepoint of ECN that came.
    marks: u8,
    /// Where it ends, if the last has come.
    total: Option<usize>,
    /// In the order of their offsets, without overlaps.
    pieces: Vec<(usize, Vec<u8>)>,
    bytes: usize,
    /// Fragments of it did not fit each other: it is over.
    broken: bool,
}

impl Datagram {
    /// What it counts for.
    fn cost(&self) -> usize {
        self.bytes + COST * (1 + self.pieces.len())
    }

    /// Where a fragment belongs among the others; `None` if it is there already.
    ///
    /// # Errors
    /// When it does not fit them.
    fn place(&self, piece: &Piece, bytes: &[u8]) -> Result<Option<usize>, ()> {
        let end = piece.offset + bytes.len();
        let at = self.pieces.partition_point(|(offset, _)| *offset < piece.offset);
        let ends = |it: Option<&(usize, Vec<u8>)>| it.map_or(0, |(offset, it)| offset + it.len());
        let last = ends(self.pieces.last());
        let fits = match self.total {
            Some(total) if piece.more => end < total,
            Some(total) => end == total,
            None => piece.more || end >= last,
        };
        match self.pieces.get(at) {
            Some((offset, same)) if fits && *offset == piece.offset && same == bytes => Ok(None),
            Some((offset, _)) if *offset < end => Err(()),
            _ if !fits || ends(self.pieces.get(at.wrapping_sub(1))) > piece.offset => Err(()),
            _ => Ok(Some(at)),
        }
    }

    /// The whole frame, if all of it is there.
    fn whole(&self) -> Option<Option<Vec<u8>>> {
        // There are no overlaps.
        (self.total == Some(self.bytes)).then(|| {
            // What is congested and what knows nothing of it do not go together (RFC 3168,
            // section 5.3).
            if self.marks & 9 == 9 {
                return None;
            }
            let mut parts: heapless::Vec<&[u8], PIECES> = heapless::Vec::new();
            for (_, piece) in &self.pieces {
                parts.push(piece).ok()?;
            }
            let mut head = self.head.clone();
            if self.marks & 8 != 0 {
                let shift = if self.key.ends.from.is_ipv4() { 0 } else { 4 };
                *head.get_mut(HEADER + 1)? |= 3 << shift;
            }
            plain::rewrite(&head, self.protocol, &parts)
        })
    }
}

/// Datagrams of which fragments have come.
#[derive(Debug)]
pub(crate) struct Reassembly {
    datagrams: Vec<Datagram>,
    /// What they may cost together.
    most: usize,
    /// Datagrams that were put together, and that were given up.
    pub(crate) done: u64,
    pub(crate) failed: u64,
}

impl Reassembly {
    /// None yet; they may hold so many bytes.
    pub(crate) const fn new(most: usize) -> Self {
        Self { datagrams: Vec::new(), most, done: 0, failed: 0 }
    }

    /// Takes in a fragment. Returns the frame that it completes.
    pub(crate) fn add(
        &mut self,
        frame: &[u8],
        ends: Ends,
        piece: &Piece,
        now: Instant,
    ) -> Option<Vec<u8>> {
        self.turn(now);
        let ipv4 = ends.from.is_ipv4();
        let bytes = frame.get(piece.start..piece.end)?;
        let protocol = if ipv4 { piece.protocol } else { 0 };
        let key = Key { ends, id: piece.id, protocol };
        let known = self.datagrams.iter().position(|it| it.key == key);
        let at = known.or_else(|| self.begin(key, now))?;
        if self.datagrams[at].broken {
            return None;
        }
        let Ok(place) = self.datagrams[at].place(piece, bytes) else {
            self.end(at);
            return None;
        };
        let place = place?;
        if self.datagrams[at].pieces.len() >= PIECES {
            self.end(at);
            return None;
        }
        let at = self.make_room(key, COST + bytes.len())?;
        let datagram = &mut self.datagrams[at];
        let mut copy = Vec::new();
        if copy.try_reserve_exact(bytes.len()).is_err() || datagram.pieces.try_reserve(1).is_err() {
            self.give_up(at);
            return None;
        }
        copy.extend_from_slice(bytes);
        datagram.bytes += copy.len();
        datagram.pieces.insert(place, (piece.offset, copy));
        let traffic = *frame.get(HEADER + 1)?;
        datagram.marks |= 1 << ((if ipv4 { traffic } else { traffic >> 4 }) & 3);
        if !piece.more {
            datagram.total = Some(piece.offset + bytes.len());
        }
        if piece.offset == 0 {
            datagram.protocol = piece.protocol;
            datagram.head.extend_from_slice(frame.get(..plain::head(frame))?).ok()?;
        }
        let whole = datagram.whole()?;
        self.datagrams.remove(at);
        self.done += u64::from(whole.is_some());
        self.failed += u64::from(whole.is_none());
        whole
    }

    /// Begins a datagram, in the place of another if need be.
    fn begin(&mut self, key: Key, now: Instant) -> Option<usize> {
        if kernel::memory::is_low() || self.datagrams.try_reserve(1).is_err() {
            return None;
        }
        if self.datagrams.len() >= DATAGRAMS {
            self.give_up(self.oldest_of_most(|_| 1)?);
        }
        let patience = if key.ends.from.is_ipv4() { PATIENCE_V4 } else { PATIENCE_V6 };
        self.datagrams.push(Datagram {
            key,
            until: now.saturating_add(patience),
            head: heapless::Vec::new(),
            protocol: key.protocol,
            marks: 0,
            total: None,
            pieces: Vec::new(),
            bytes: 0,
            broken: false,
        });
        Some(self.datagrams.len() - 1)
    }

    /// The oldest datagram of the sender that has the most of something.
    fn oldest_of_most(&self, much: impl Fn(&Datagram) -> usize) -> Option<usize> {
        let of = |it: &Datagram| {
            let from = it.key.ends.from;
            let same = self.datagrams.iter().filter(|other| other.key.ends.from == from);
            same.map(&much).sum::<usize>()
        };
        let most = self.datagrams.iter().map(of).max()?;
        // They stand in the order in which they began.
        self.datagrams.iter().position(|it| of(it) == most)
    }

    /// What all of them count for.
    pub(crate) fn cost(&self) -> usize {
        self.datagrams.iter().map(Datagram::cost).sum()
    }

    /// Makes room for so many bytes more of a datagram. Returns where that is, unless there is
    /// room only without it.
    fn make_room(&mut self, key: Key, more: usize) -> Option<usize> {
        while self.cost() + more > self.most {
            let at = self.oldest_of_most(Datagram::cost)?;
            self.give_up(at);
        }
        self.datagrams.iter().position(|it| it.key == key)
    }

    /// Forgets a datagram that is not whole.
    fn give_up(&mut self, at: usize) {
        self.failed += u64::from(!self.datagrams.remove(at).broken);
    }

    /// Drops what there is of a datagram, and what still comes of it.
    fn end(&mut self, at: usize) {
        let datagram = &mut self.datagrams[at];
        (datagram.pieces, datagram.bytes) = (Vec::new(), 0);
        datagram.broken = true;
        self.failed += 1;
    }

    /// Gives up those of which nothing came for too long.
    pub(crate) fn turn(&mut self, now: Instant) {
        while let Some(at) = self.datagrams.iter().position(|it| it.until <= now) {
            self.give_up(at);
        }
    }

    /// When the next of them is to be given up.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.datagrams.iter().map(|it| it.until).min()
    }
}
