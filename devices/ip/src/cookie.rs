//! SYN cookies (RFC 4987, section 3.6): how a full table of half-open connections still
//! lets clients in.
//!
//! A SYN that finds no room is answered as if it had no options but the least segment
//! size, by a seed that a keyed hash makes of its addresses and the time, and is then
//! forgotten. When its peer confirms, the same SYN is made of the confirmation, and
//! answered by the same seed: the sequence numbers agree only if we gave this answer.

use super::packet::{self, SYN, Segment};
use super::stack::LONGEST;
use super::{Error, random};
use core::hash::Hasher;
use core::net::IpAddr;
use kernel::time::Instant;
use siphasher::sip::SipHasher24;

/// Seconds for which one answer is given; it is good for as long again.
const SPAN: u64 = 64;

/// Where the flags, the length of the header and more stand in a TCP header (RFC 9293).
const SEQUENCE: usize = 4;
const ACKNOWLEDGEMENT: usize = 8;
const LENGTH: usize = 12;
const FLAGS: usize = 13;
const OPTIONS: usize = 20;

/// The keys, and whether there is anything to redeem.
pub(super) struct Cookies {
    keys: [u64; 2],
    last: Option<u64>,
}

/// The span that `now` is in.
fn span(now: Instant) -> u64 {
    now.as_nanos() / 1_000_000_000 / SPAN
}

impl Cookies {
    /// # Errors
    /// [`Error::NoEntropy`].
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Self { keys: [random()?, random()?], last: None })
    }

    /// What the answer to a SYN with these addresses and this number is chosen by now.
    pub(super) fn give(&mut self, syn: &Segment, now: Instant) -> u64 {
        self.last = Some(span(now));
        self.seed(syn, span(now))
    }

    /// Whether any answer is still good at `now`.
    pub(super) fn given(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| span(now).saturating_sub(last) <= 1)
    }

    /// What the answers were chosen by that are still good at `now`.
    pub(super) fn good(&self, syn: &Segment, now: Instant) -> [u64; 2] {
        let now = span(now);
        [now, now.wrapping_sub(1)].map(|span| self.seed(syn, span))
    }

    fn seed(&self, syn: &Segment, span: u64) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.keys[0], self.keys[1]);
        for end in [syn.peer, syn.local] {
            match end.ip() {
                IpAddr::V4(ip) => hasher.write(&ip.octets()),
                IpAddr::V6(ip) => hasher.write(&ip.octets()),
            }
            hasher.write_u16(end.port());
        }
        hasher.write_u32(syn.sequence);
        hasher.write_u64(span);
        hasher.finish()
    }
}

/// The SYN with the number `sequence` and no options but the least segment size that the
/// sender of `frame`, a TCP segment, can have sent. `None` when its headers are too long.
pub(super) fn plain(
    frame: &[u8],
    segment: &Segment,
    sequence: u32,
) -> Option<(heapless::Vec<u8, LONGEST>, Segment)> {
    let least = if segment.peer.is_ipv4() { 536_u16 } else { 1220 };
    let start = packet::tcp_header(frame)?;
    let mut syn = heapless::Vec::from_slice(frame.get(..start + OPTIONS)?).ok()?;
    let [high, low] = least.to_be_bytes();
    syn.extend_from_slice(&[2, 4, high, low]).ok()?;
    let header = syn.get_mut(start..)?;
    packet::fill(header.get_mut(SEQUENCE..)?, &[&sequence.to_be_bytes()]);
    packet::fill(header.get_mut(ACKNOWLEDGEMENT..)?, &[&[0; 4]]);
    *header.get_mut(LENGTH)? = 6 << 4;
    *header.get_mut(FLAGS)? = SYN;
    let payload = syn.len();
    let segment = Segment { flags: SYN, sequence, acknowledgement: 0, payload, ..*segment };
    Some((syn, segment))
}
