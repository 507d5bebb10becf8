//! Writing field blocks.

use super::table::STATIC;

/// The number of `:status` in the static table: the first that has this name.
const STATUS: usize = 8;

/// Says that the dynamic table is not used (section 6.3). It stands before the first field of a
/// connection, and holds whatever size the peer offers.
pub(crate) const TABLE: u8 = 0x20;

/// Writes a field block into a piece of memory, by the static table alone and without Huffman's
/// code.
pub(crate) struct Encoder<'a> {
    to: &'a mut [u8],
    length: usize,
    full: bool,
}

impl<'a> Encoder<'a> {
    pub(crate) const fn new(to: &'a mut [u8]) -> Self {
        Self { to, length: 0, full: false }
    }

    /// How many bytes the block has; `None` if it did not fit.
    pub(crate) const fn finish(self) -> Option<usize> {
        if self.full { None } else { Some(self.length) }
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        match self.to.get_mut(self.length) {
            Some(place) => *place = byte,
            None => self.full = true,
        }
        self.length += 1;
    }

    /// An integer behind the bits of `first` (section 5.1).
    fn integer(&mut self, first: u8, bits: u32, mut value: usize) {
        let most = (1_usize << bits) - 1;
        if value < most {
            return self.byte(first | value as u8);
        }
        self.byte(first | most as u8);
        value -= most;
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    fn text(&mut self, text: impl ExactSizeIterator<Item = u8>) {
        self.integer(0, 7, text.len());
        text.for_each(|byte| self.byte(byte));
    }

    /// Writes the field `:status` (RFC 9113, section 8.3.2).
    pub(crate) fn status(&mut self, status: u16) {
        let digits = [100, 10, 1].map(|unit| b'0' + (status / unit % 10) as u8);
        let known = STATIC.iter().position(|(_, value)| value.as_bytes() == digits);
        match known {
            Some(at) => self.integer(0x80, 7, at + 1),
            None => {
                self.integer(0, 4, STATUS);
                self.text(digits.into_iter());
            }
        }
    }

    /// Writes a field. Its name is made small, as HTTP/2 has names (RFC 9113, section 8.2).
    pub(crate) fn field(&mut self, name: &str, value: &str) {
        let known = STATIC.iter().position(|(known, _)| name.eq_ignore_ascii_case(known));
        match known {
            Some(at) => self.integer(0, 4, at + 1),
            None => {
                self.integer(0, 4, 0);
                self.text(name.bytes().map(|byte| byte.to_ascii_lowercase()));
            }
        }
        self.text(value.bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::Decoder;
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn what_is_written_is_read_again() {
        let long = "x".repeat(300);
        let fields = [("Content-Type", "text/plain"), ("X-Long", &*long), ("etag", "")];
        let mut room = [0; 512];
        let mut encoder = Encoder::new(&mut room);
        encoder.byte(TABLE);
        [200, 404, 418].into_iter().for_each(|status| encoder.status(status));
        fields.iter().for_each(|(name, value)| encoder.field(name, value));
        let length = encoder.finish().unwrap();
        let mut read = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let each = &mut |name: &[u8], value: &[u8]| read.push((text(name), text(value)));
        Decoder::new().decode(&room[..length], 1000, each).unwrap();
        let mut expected: Vec<_> = ["200", "404", "418"].map(|it| (":status", it)).into();
        expected.extend([("content-type", "text/plain"), ("x-long", &*long), ("etag", "")]);
        assert!(read.iter().map(|(name, value)| (&**name, &**value)).eq(expected));
        // The first two statuses are one byte each.
        assert_eq!(room[1..3], [0x88, 0x8d]);
    }

    #[test]
    fn a_block_that_does_not_fit_is_none() {
        let mut room = [0; 4];
        let mut encoder = Encoder::new(&mut room);
        encoder.field("etag", "abc");
        assert_eq!(encoder.finish(), None);
    }
}
