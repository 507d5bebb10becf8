//! The framing of RFC 6455, section 5: pure functions of bytes.

use super::{Code, Violation};

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    const fn of(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    pub(super) const fn is_control(self) -> bool {
        self.bits() & 8 != 0
    }
}

/// Bytes that the payload of a control frame may have (section 5.5).
pub(super) const CONTROL: usize = 125;

/// Bytes of the longest header that a server sends, which does not mask.
pub(super) const HEADER: usize = 10;

/// The header of a client's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// It is the last of its message.
    pub last: bool,
    pub opcode: Opcode,
    pub length: u64,
    pub mask: [u8; 4],
}

const fn wrong(why: &'static str) -> Violation {
    Violation { code: Code::PROTOCOL, why }
}

impl Header {
    /// The header at the beginning of `bytes`, and how many bytes it has; `None` if they do
    /// not hold all of it yet. What is wrong with its first two bytes is said when they are
    /// there.
    ///
    /// # Errors
    /// What no client may send (sections 5.1, 5.2, 5.5).
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Violation> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(wrong("a reserved bit is set, and no extension was agreed on"));
        }
        let opcode = Opcode::of(first & 0x0F).ok_or(wrong("the opcode is reserved"))?;
        let last = first & 0x80 != 0;
        if second & 0x80 == 0 {
            return Err(wrong("a client's frame is not masked"));
        }
        let short = second & 0x7F;
        if opcode.is_control() && (!last || usize::from(short) > CONTROL) {
            return Err(wrong("a control frame is fragmented or longer than 125 bytes"));
        }
        let (length, least, rest) = match (short, rest) {
            (126, [a, b, rest @ ..]) => (u16::from_be_bytes([*a, *b]).into(), 126, rest),
            (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 1 << 16, rest)
            }
            (126 | 127, _) => return Ok(None),
            (short, rest) => (short.into(), 0, rest),
        };
        if length < least || length >> 63 != 0 {
            return Err(wrong("a length is not written in the shortest form"));
        }
        let Some((mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
        Ok(Some((Self { last, opcode, length, mask: *mask }, bytes.len() - rest.len())))
    }
}

/// Writes the header of a server's frame, which is a message: how many bytes it has.
pub(super) fn write(to: &mut [u8; HEADER], opcode: Opcode, length: usize) -> usize {
    to[0] = 0x80 | opcode.bits();
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..=125), _) => {
            to[1] = length;
            2
        }
        (_, Ok(length)) => {
            to[1] = 126;
            to[2..4].copy_from_slice(&length.to_be_bytes());
            4
        }
        _ => {
            to[1] = 127;
            to[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            10
        }
    }
}

/// Masks or unmasks `bytes` (section 5.3), and turns the mask so that it fits what follows.
pub(super) fn mask(bytes: &mut [u8], mask: &mut [u8; 4]) {
    let word = u64::from(u32::from_ne_bytes(*mask));
    let word = (word | word << 32).to_ne_bytes();
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ u64::from_ne_bytes(word)).to_ne_bytes();
    }
    rest.iter_mut().zip(word).for_each(|(byte, mask)| *byte ^= mask);
    mask.rotate_left(rest.len() % 4);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn headers_are_read_in_their_shortest_form_only() {
        let read = |bytes: &[u8]| Header::parse(bytes).map(|it| it.map(|(it, at)| (it.length, at)));
        assert_eq!(read(&[0x81]), Ok(None));
        assert_eq!(read(&[0x81, 0x80, 0, 0, 0]), Ok(None));
        assert_eq!(read(&[0x81, 0x80, 0, 0, 0, 0, 9]), Ok(Some((0, 6))));
        assert_eq!(read(&[0x82, 0xFD, 1, 2, 3, 4]), Ok(Some((125, 6))));
        assert_eq!(read(&[0x82, 0xFE, 0, 126, 1, 2, 3, 4]), Ok(Some((126, 8))));
        assert_eq!(read(&[0x82, 0xFE, 0, 126, 1, 2, 3]), Ok(None));
        assert_eq!(read(&[0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4]), Ok(Some((65536, 14))));
        let huge = [&[0x82, 0xFF, 0x7F][..], &[0xFF; 7], &[0; 4]].concat();
        assert_eq!(read(&huge), Ok(Some((u64::MAX >> 1, 14))));
        for wrong in [
            // Reserved bits.
            &[0xC1, 0x80][..],
            &[0xA1, 0x80],
            &[0x91, 0x80],
            // Reserved opcodes.
            &[0x83, 0x80],
            &[0x87, 0x80],
            &[0x8B, 0x80],
            &[0x8F, 0x80],
            // No mask.
            &[0x81, 0x00],
            &[0x88, 0x00],
            // Control frames in fragments, and long ones.
            &[0x09, 0x80],
            &[0x08, 0x80],
            &[0x89, 0xFE],
            &[0x8A, 0xFF],
            // Longer than need be.
            &[0x82, 0xFE, 0, 125],
            &[0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF],
            &[0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0],
        ] {
            let found = read(wrong).map_err(|violation| violation.code);
            assert_eq!(found, Err(Code::PROTOCOL), "{wrong:x?}");
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for length in [0, 1, 125, 126, 127, 65535, 65536, 1 << 20] {
            let mut header = [0; HEADER];
            let count = write(&mut header, Opcode::Text, length);
            header[1] |= 0x80;
            let bytes = [&header[..count], &[1, 2, 3, 4]].concat();
            let expected = Header {
                last: true,
                opcode: Opcode::Text,
                length: length as u64,
                mask: [1, 2, 3, 4],
            };
            assert_eq!(Header::parse(&bytes), Ok(Some((expected, count + 4))), "{length}");
        }
    }

    #[test]
    fn masking_goes_on_where_it_stopped() {
        let key = [0x37, 0xFA, 0x21, 0x3D];
        let bytes: Vec<u8> = (0..100).collect();
        let expected: Vec<u8> =
            bytes.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]).collect();
        for piece in 1..=40 {
            let (mut turned, mut masked) = (key, bytes.clone());
            masked.chunks_mut(piece).for_each(|piece| mask(piece, &mut turned));
            assert_eq!(masked, expected, "{piece}");
        }
    }
}
