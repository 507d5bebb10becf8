//! Acknowledgements that say again what one before said, and which data came behind the
//! gap: three of them have what is missing sent again at once (RFC 6675, section 2).
//!
//! smoltcp takes for such only one that announces the same window as the one before
//! (RFC 5681, section 2). But the window of a peer whose buffer just grows, as Linux' does
//! in the middle of a bulk transfer, is another one in each of them, so that none would
//! count and each loss would cost the second until the timer fires. So they are told to
//! smoltcp with the window before, and it hears of the larger one a moment later.

use super::{ACK, FIN, HEADER, RST, SYN, bytes, put, tcp_within};

/// The longest frame without payload, over IPv4 with options and over IPv6.
const LONGEST: usize = HEADER + 60 + 60;

/// TCP's options (RFC 9293, section 3.1; RFC 2018, section 3).
const END: u8 = 0;
const NOTHING: u8 = 1;
const SACK: u8 = 5;

/// What was acknowledged last on a connection, and with which window.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Acknowledged {
    number: [u8; 4],
    window: [u8; 2],
}

/// A frame without payload.
pub(crate) type Short = heapless::Vec<u8, LONGEST>;

impl Acknowledged {
    /// Hears of a segment; what to take in its place, if anything.
    pub(crate) fn hear(&mut self, frame: &[u8]) -> Option<Short> {
        let (at, end) = tcp_within(frame)?;
        let (number, window) = (bytes(frame, at + 8)?, bytes(frame, at + 14)?);
        let [length, flags] = bytes(frame, at + 12)?;
        if flags & (SYN | RST | ACK) != ACK {
            return None;
        }
        let before = core::mem::replace(self, Self { number, window });
        let payload = at + usize::from(length >> 4) * 4;
        // Windows are compared as they stand: one that was closed has to be opened.
        let repeats = payload == end
            && flags & FIN == 0
            && before.number == number
            && before.window != [0; 2]
            && before.window < window
            && is_selective(frame.get(at + 20..payload)?);
        if !repeats {
            return None;
        }
        let mut short = Short::from_slice(frame.get(..end)?).ok()?;
        self.window = before.window;
        put(&mut short, at + 14, u16::from_be_bytes(before.window));
        Some(short)
    }
}

/// Whether there is the option that says which data came behind a gap.
fn is_selective(mut options: &[u8]) -> bool {
    loop {
        options = match *options {
            [SACK, ..] => return true,
            [NOTHING, ref rest @ ..] => rest,
            [] | [END, ..] | [_] => return false,
            [_, length, ..] => match options.get(usize::from(length).max(2)..) {
                Some(rest) => rest,
                None => return false,
            },
        };
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::super::{IPV4, IPV6, TCP};
    use super::*;
    use std::vec::Vec;

    const GAP: [u8; 12] = [1, 1, SACK, 10, 0, 0, 1, 0, 0, 0, 2, 0];

    /// A segment over IPv4 or IPv6.
    fn segment(ipv4: bool, number: u8, window: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
        let length = 20 + options.len() + payload.len();
        let mut frame = std::vec![0; HEADER];
        if ipv4 {
            frame[12..].copy_from_slice(&IPV4);
            frame.extend([0x45, 0, 0, 20 + length as u8, 0, 0, 0x40, 0, 64, TCP, 0, 0]);
            frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        } else {
            frame[12..].copy_from_slice(&IPV6);
            frame.extend([0x60, 0, 0, 0, 0, length as u8, TCP, 64]);
            frame.extend([0xfd; 32]);
        }
        frame.extend([0, 9, 0, 7, 0, 0, 0, 1, 0, 0, 0, number]);
        frame.extend([(20 + options.len() as u8) << 2, ACK]);
        frame.extend(window.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(options);
        frame.extend(payload);
        frame
    }

    #[test]
    fn a_repetition_has_the_window_of_the_first() {
        for ipv4 in [true, false] {
            let mut last = Acknowledged::default();
            assert_eq!(last.hear(&segment(ipv4, 7, 100, &[], &[])), None);
            for window in [110, 120, 130] {
                let frame = segment(ipv4, 7, window, &GAP, &[]);
                // Frames of Ethernet are padded.
                let padded = [&frame[..], &[0; 9]].concat();
                let heard = last.hear(&padded).expect("a repetition");
                assert_eq!(heard[..], segment(ipv4, 7, 100, &GAP, &[]));
            }
            assert_eq!(last.hear(&segment(ipv4, 8, 140, &GAP, &[])), None);
        }
    }

    #[test]
    fn what_is_no_repetition_stays_as_it_is() {
        let heard = |first: &[u8], second: &[u8]| {
            let mut last = Acknowledged::default();
            assert_eq!(last.hear(first), None);
            last.hear(second)
        };
        let first = segment(true, 7, 100, &[], &[]);
        for second in [
            segment(true, 8, 110, &GAP, &[]),
            segment(true, 7, 100, &GAP, &[]),
            segment(true, 7, 90, &GAP, &[]),
            segment(true, 7, 110, &GAP, b"data"),
            // An update of the window, which names no gap.
            segment(true, 7, 110, &[], &[]),
            segment(true, 7, 110, &[3, 3, 7, END, SACK, 2, 0, 0], &[]),
        ] {
            assert_eq!(heard(&first, &second), None);
        }
        let closed = segment(true, 7, 0, &[], &[]);
        assert_eq!(heard(&closed, &segment(true, 7, 110, &GAP, &[])), None);
    }

    #[test]
    fn options_that_make_no_sense_end_r8() {
        for options in [&[2, 0, 2, 0][..], &[2, 255, 0, 0], &[8], &[1, 1, 1, 2]] {
            assert!(!is_selective(options));
        }
        let whole = segment(true, 7, 110, &GAP, &[]);
        let mut last = Acknowledged::default();
        let _ = last.hear(&segment(true, 7, 100, &[], &[]));
        for length in 0..whole.len() {
            assert_eq!(last.hear(&whole[..length]), None);
        }
    }
}
