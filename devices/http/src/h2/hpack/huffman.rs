//! The Huffman code of HPACK (RFC 7541, section 5.2 and appendix B).
//!
//! The code is canonical: within a length, codes follow the order of the symbols, and the first of
//! a length follows the last of the length before. So the lengths say all of it.

/// Bits of the code of each byte, and of the end of the string last.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, // 0x00
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, // 0x10
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, // 0x20
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, // 0x30
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, // 0x40
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, // 0x50
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, // 0x60
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, // 0x70
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, // 0x80
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, // 0x90
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, // 0xa0
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, // 0xb0
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, // 0xc0
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, // 0xd0
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, // 0xe0
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, // 0xf0
    30,
];

/// Bits of the longest code.
const LONGEST: usize = 30;

/// What decoding needs of the code.
struct Code {
    /// The first code of each length.
    first: [u32; LONGEST + 1],
    /// How many codes are shorter than each length.
    before: [u16; LONGEST + 2],
    /// The bytes in the order of their codes. The end of the string, whose code is the last, is
    /// not among them.
    symbols: [u8; 256],
}

static CODE: Code = {
    let mut code = Code { first: [0; LONGEST + 1], before: [0; LONGEST + 2], symbols: [0; 256] };
    let (mut next, mut count, mut length) = (0, 0, 1);
    while length <= LONGEST {
        next <<= 1;
        code.first[length] = next;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                if symbol < 256 {
                    code.symbols[count] = symbol as u8;
                }
                count += 1;
                next += 1;
            }
            symbol += 1;
        }
        code.before[length + 1] = count as u16;
        length += 1;
    }
    code
};

/// Decodes `text`, and gives each byte to `each`.
///
/// # Errors
/// The end of the string is in it, or the padding is longer than seven bits or not of ones
/// (RFC 7541, section 5.2).
pub(super) fn decode(text: &[u8], each: &mut dyn FnMut(u8)) -> Result<(), Wrong> {
    // Bits that were read and not used stand at the top.
    let (mut bits, mut count) = (0_u64, 0_u32);
    let mut bytes = text.iter();
    loop {
        while count <= 32 {
            let Some(&byte) = bytes.next() else { break };
            bits |= u64::from(byte) << (56 - count);
            count += 8;
        }
        // The rest may be padding: it is at most the begin of the end of the string.
        let ones = bits | (u64::MAX.checked_shr(count).unwrap_or(0));
        let Some((length, symbol)) = symbol(ones) else {
            return if count < 8 { Ok(()) } else { Err(Wrong) };
        };
        if length > count {
            return if count < 8 && ones == u64::MAX { Ok(()) } else { Err(Wrong) };
        }
        each(symbol);
        bits <<= length;
        count -= length;
    }
}

/// The symbol whose code is at the top of `bits`, and the code's length; `None` for the end of the
/// string.
fn symbol(bits: u64) -> Option<(u32, u8)> {
    let window = (bits >> 32) as u32;
    (5..=LONGEST).find_map(|length| {
        let code = window >> (32 - length);
        let (from, to) = (CODE.before[length], CODE.before[length + 1]);
        let at = usize::try_from(code.checked_sub(CODE.first[length])?).ok()?;
        if at >= usize::from(to - from) {
            return None;
        }
        Some((length as u32, *CODE.symbols.get(usize::from(from) + at)?))
    })
}

/// Says that a text is no valid Huffman code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong;

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn decoded(text: &[u8]) -> Result<Vec<u8>, Wrong> {
        let mut all = Vec::new();
        decode(text, &mut |byte| all.push(byte)).map(|()| all)
    }

    /// The code of a string, for tests: bit by bit.
    fn encoded(text: &[u8]) -> Vec<u8> {
        let mut bits = Vec::new();
        for byte in text {
            let at = CODE.symbols.iter().position(|symbol| symbol == byte).unwrap();
            let length = usize::from(LENGTHS[usize::from(*byte)]);
            let code = CODE.first[length] as usize + at - usize::from(CODE.before[length]);
            bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
        }
        bits.resize(bits.len().div_ceil(8) * 8, true);
        let byte = |bits: &[bool]| bits.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit));
        bits.chunks(8).map(byte).collect()
    }

    #[test]
    fn the_examples_of_the_rfc_are_decoded() {
        // RFC 7541, sections C.4.1, C.4.2, C.4.3 and C.6.1.
        let name = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(decoded(&name).unwrap(), b"www.example.com");
        assert_eq!(decoded(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]).unwrap(), b"no-cache");
        let key = [0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f];
        assert_eq!(decoded(&key).unwrap(), b"custom-key");
        assert_eq!(decoded(&[0x64, 0x02]).unwrap(), b"302");
        assert_eq!(decoded(&[]).unwrap(), b"");
    }

    #[test]
    fn each_byte_has_the_code_of_the_rfc() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decoded(&encoded(&all)).unwrap(), all);
        // Some of appendix B: their first bits.
        assert_eq!(encoded(b"\0")[..], [0xff, 0xc7]);
        assert_eq!(encoded(&[249])[..], [0xff, 0xff, 0xff, 0xef]);
        assert_eq!(encoded(&[22])[..], [0xff, 0xff, 0xff, 0xfb]);
    }

    #[test]
    fn wrong_padding_and_the_end_of_the_string_are_refused() {
        // "0" is 00000; the padding has zeros, is eight ones, holds the end.
        assert_eq!(decoded(&[0b0000_0111]).unwrap(), b"0");
        assert_eq!(decoded(&[0b0000_0110]), Err(Wrong));
        assert_eq!(decoded(&[0b0000_0111, 0xff]), Err(Wrong));
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), Err(Wrong));
        assert_eq!(decoded(&[0xff]), Err(Wrong));
    }
}
