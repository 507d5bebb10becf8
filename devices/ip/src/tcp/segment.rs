//! What stands in a TCP segment: the header and its options (RFC 9293, section 3.1).

use super::seq::{Range, Seq};
use heapless::Vec;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;
/// Congestion was experienced, says the receiver (RFC 3168, section 6.1).
pub(crate) const ECE: u8 = 64;
/// The window was reduced, says the sender (RFC 3168, section 6.1).
pub(crate) const CWR: u8 = 128;

/// The length of a header without options.
pub(crate) const HEADER: usize = 20;

/// The segment size of who names none (RFC 9293, section 3.7.1).
pub(crate) const fn default_mss(ipv4: bool) -> u16 {
    if ipv4 { 536 } else { 1220 }
}

/// Bytes that the timestamps take, with their padding (RFC 7323, appendix A).
pub(crate) const STAMPS: usize = 12;

/// The largest shift of a window (RFC 7323, section 2.3).
pub(crate) const MAX_SCALE: u8 = 14;

/// A segment that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) seq: Seq,
    pub(crate) ack: Seq,
    pub(crate) flags: u8,
    /// As it stands in the header: not scaled.
    pub(crate) window: u16,
    pub(crate) options: Options,
    pub(crate) payload: &'a [u8],
    /// Bytes of its payload that are not there, as they stand where they belong already.
    pub(crate) staged: usize,
    /// A router on its way marked it (CE: RFC 3168, section 5).
    pub(crate) marked: bool,
}

/// The options of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// The largest segment that its sender takes (RFC 9293, section 3.7.1).
    pub(crate) mss: Option<u16>,
    /// By how much windows are shifted (RFC 7323, section 2.2).
    pub(crate) scale: Option<u8>,
    /// Selective acknowledgements are understood (RFC 2018, section 2).
    pub(crate) sack_permitted: bool,
    /// TSval and TSecr (RFC 7323, section 3.2).
    pub(crate) stamps: Option<(u32, u32)>,
    /// What arrived behind gaps (RFC 2018, section 3).
    pub(crate) sack: Vec<Range, 4>,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|it| u32::from_be_bytes(*it))
}

impl Options {
    /// Reads options. What is malformed ends them, as if they ended before: a segment is
    /// not lost by an option that nobody needs (RFC 9293, section 3.1, MUST-7).
    fn parse(mut rest: &[u8]) -> Self {
        let mut options = Self::default();
        // What almost every segment has, as appendix A of RFC 7323 lays it out.
        if let [1, 1, 8, 10, ..] = rest
            && rest.len() == STAMPS
        {
            options.stamps = u32_at(rest, 4).zip(u32_at(rest, 8));
            return options;
        }
        loop {
            let (kind, length) = match *rest {
                [] | [0, ..] => break,
                [1, ..] => {
                    rest = &rest[1..];
                    continue;
                }
                [kind, length, ..] => (kind, usize::from(length)),
                [_] => break,
            };
            let Some(body) = rest.get(2..length) else { break };
            match (kind, body) {
                (2, &[high, low]) => options.mss = Some(u16::from_be_bytes([high, low])),
                // Larger ones count as the largest (RFC 7323, section 2.3).
                (3, &[scale]) => options.scale = Some(scale.min(MAX_SCALE)),
                (4, []) => options.sack_permitted = true,
                (5, blocks) => {
                    for block in blocks.as_chunks::<8>().0 {
                        if let Some((start, end)) = u32_at(block, 0).zip(u32_at(block, 4)) {
                            // An option has room for four.
                            let _ = options.sack.push(Range::new(Seq(start), Seq(end)));
                        }
                    }
                }
                (8, body) if body.len() == 8 => {
                    options.stamps = u32_at(body, 0).zip(u32_at(body, 4));
                }
                _ => {}
            }
            rest = &rest[length..];
        }
        options
    }
}

impl<'a> Segment<'a> {
    /// Reads a segment. `None` when its lengths do not fit. The checksum is the caller's
    /// affair.
    pub(crate) fn parse(bytes: &'a [u8], marked: bool) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<HEADER>()?;
        let length = usize::from(header[12] >> 4) * 4;
        let (head, payload) = bytes.split_at_checked(length)?;
        Some(Self {
            seq: Seq(u32_at(header, 4)?),
            ack: Seq(u32_at(header, 8)?),
            flags: header[13],
            window: u16::from_be_bytes([header[14], header[15]]),
            options: Options::parse(head.get(HEADER..)?),
            payload,
            staged: 0,
            marked,
        })
    }

    /// Returns how long its payload is, in bytes.
    pub(crate) const fn text(&self) -> usize {
        self.payload.len() + self.staged
    }

    /// Returns whether all of `flags` are set.
    pub(crate) const fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// Returns how many sequence numbers it takes: those of its payload, and one each of
    /// SYN and FIN (RFC 9293, section 3.4).
    pub(crate) const fn len(&self) -> u32 {
        let flags = (self.flags & SYN != 0) as u32 + (self.flags & FIN != 0) as u32;
        self.text() as u32 + flags
    }
}

/// The header of a segment to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) seq: Seq,
    /// Without [`ACK`], 0.
    pub(crate) ack: Seq,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) options: Options,
}

impl Head {
    /// Returns the answer to a segment that no connection is for, or that one cannot take as
    /// it is (RFC 9293, section 3.10.7.1). `None` for what is itself a reset.
    pub(crate) fn reset(segment: &Segment<'_>) -> Option<Self> {
        if segment.has(RST) {
            return None;
        }
        Some(if segment.has(ACK) {
            Self { seq: segment.ack, flags: RST, ..Self::default() }
        } else {
            let ack = segment.seq + segment.len();
            Self { ack, flags: RST | ACK, ..Self::default() }
        })
    }

    /// Returns the length of the header with its options.
    pub(crate) fn len(&self) -> usize {
        let options = &self.options;
        let sack = options.sack.len();
        HEADER
            + if options.mss.is_some() { 4 } else { 0 }
            + if options.scale.is_some() { 4 } else { 0 }
            + if options.stamps.is_some() {
                STAMPS
            } else if options.sack_permitted {
                4
            } else {
                0
            }
            + if sack > 0 { 4 + 8 * sack } else { 0 }
    }

    /// Writes the header, as long as [`len`](Self::len) says, with a checksum of 0. Options
    /// are aligned as appendix A of RFC 7323 does it.
    pub(crate) fn write(&self, to: &mut [u8], (from, towards): (u16, u16)) {
        let length = self.len();
        let mut header = [0; HEADER];
        header[..2].copy_from_slice(&from.to_be_bytes());
        header[2..4].copy_from_slice(&towards.to_be_bytes());
        header[4..8].copy_from_slice(&self.seq.0.to_be_bytes());
        header[8..12].copy_from_slice(&self.ack.0.to_be_bytes());
        header[12] = (length as u8 / 4) << 4;
        header[13] = self.flags;
        header[14..16].copy_from_slice(&self.window.to_be_bytes());
        let Some((fixed, rest)) = to.split_first_chunk_mut::<HEADER>() else { return };
        *fixed = header;
        self.write_options(rest);
    }

    fn write_options(&self, mut rest: &mut [u8]) {
        let mut word = |bytes: [u8; 4]| {
            if let Some((first, more)) = core::mem::take(&mut rest).split_first_chunk_mut() {
                *first = bytes;
                rest = more;
            }
        };
        let options = &self.options;
        if let Some(mss) = options.mss {
            let [high, low] = mss.to_be_bytes();
            word([2, 4, high, low]);
        }
        if let Some(scale) = options.scale {
            word([1, 3, 3, scale]);
        }
        if let Some((value, echo)) = options.stamps {
            word(if options.sack_permitted { [4, 2, 8, 10] } else { [1, 1, 8, 10] });
            word(value.to_be_bytes());
            word(echo.to_be_bytes());
        } else if options.sack_permitted {
            word([1, 1, 4, 2]);
        }
        if !options.sack.is_empty() {
            word([1, 1, 5, 2 + 8 * options.sack.len() as u8]);
            for block in &options.sack {
                word(block.start.0.to_be_bytes());
                word(block.end.0.to_be_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    fn written(head: &Head) -> std::vec::Vec<u8> {
        let mut bytes = std::vec![0; head.len()];
        head.write(&mut bytes, (80, 49_152));
        bytes
    }

    #[test]
    fn what_is_written_is_read_again() {
        let blocks = [(1, 5), (9, 12), (0xffff_fff0, 3)];
        let sack: Vec<Range, 4> =
            blocks.map(|(start, end)| Range::new(Seq(start), Seq(end))).into_iter().collect();
        let all = [
            Options::default(),
            Options { mss: Some(1460), ..Options::default() },
            Options { mss: Some(1460), scale: Some(7), sack_permitted: true, ..Options::default() },
            Options {
                mss: Some(1440),
                scale: Some(14),
                sack_permitted: true,
                stamps: Some((0x0102_0304, 5)),
                ..Options::default()
            },
            Options { stamps: Some((7, 0xffff_ffff)), ..Options::default() },
            Options { stamps: Some((7, 8)), sack: sack.clone(), ..Options::default() },
            Options { sack, ..Options::default() },
        ];
        for options in all {
            let head = Head { seq: Seq(7), ack: Seq(9), flags: ACK | PSH, window: 513, options };
            let mut bytes = written(&head);
            assert_eq!(bytes.len() % 4, 0);
            bytes.extend(b"payload");
            let segment = Segment::parse(&bytes, false).unwrap();
            assert_eq!(segment.options, head.options);
            assert_eq!((segment.seq, segment.ack, segment.window), (Seq(7), Seq(9), 513));
            assert_eq!((segment.flags, segment.payload), (ACK | PSH, &b"payload"[..]));
        }
    }

    #[test]
    fn malformed_options_end_the_list_and_not_the_segment_r8() {
        let with = |options: &[u8]| Options::parse(options);
        let mss = Options { mss: Some(0x0102), ..Options::default() };
        for rest in [&[][..], &[0, 3, 3, 7], &[3], &[3, 0, 7], &[3, 1], &[3, 9, 7], &[8, 10, 1]] {
            assert_eq!(with(&[&[2, 4, 1, 2], rest].concat()), mss, "{rest:?}");
        }
        // An option of the wrong length, and one that nobody knows, are passed over.
        assert_eq!(with(&[3, 4, 1, 2, 77, 3, 0, 2, 4, 1, 2]), mss);
        assert_eq!(with(&[3, 3, 200]).scale, Some(14));
        // Five blocks do not fit into a header, and half a block is none.
        assert_eq!(with(&[&[5, 2 + 12][..], &[0; 12]].concat()).sack.len(), 1);
    }

    #[test]
    fn lengths_that_do_not_fit_are_no_segment() {
        let bytes = written(&Head { flags: SYN, ..Head::default() });
        assert!(Segment::parse(&bytes[..19], false).is_none());
        for offset in 0..16_u8 {
            let mut bytes = bytes.clone();
            bytes[12] = offset << 4;
            assert_eq!(Segment::parse(&bytes, false).is_some(), offset == 5, "{offset}");
        }
    }

    #[test]
    fn a_reset_is_acceptable_to_who_gets_it() {
        let segment = |flags, payload| Segment {
            seq: Seq(100),
            ack: Seq(500),
            flags,
            window: 0,
            options: Options::default(),
            payload,
            staged: 0,
            marked: false,
        };
        let reset = |flags| Head::reset(&segment(flags, b"abc"));
        let with_ack = Head { seq: Seq(500), flags: RST, ..Head::default() };
        assert_eq!(reset(ACK), Some(with_ack.clone()));
        assert_eq!(reset(SYN | ACK), Some(with_ack));
        let without = |ack| Head { ack: Seq(ack), flags: RST | ACK, ..Head::default() };
        assert_eq!(reset(SYN), Some(without(104)));
        assert_eq!(reset(FIN), Some(without(104)));
        assert_eq!(reset(0), Some(without(103)));
        assert_eq!(reset(RST), None);
        assert_eq!(reset(RST | ACK), None);
    }
}
