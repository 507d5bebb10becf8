//! Reading field blocks.

use super::DYNAMIC;
use super::huffman;
use super::table::Dynamic;
use alloc::vec::Vec;

/// Why a field block is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is no field block, after which nothing that follows can be read: COMPRESSION_ERROR.
    Wrong,
    /// There is no memory for what it says.
    Memory,
    /// It says more than anybody reads.
    Long,
}

/// Bytes that are kept for names, and for values.
const SCRATCH: usize = 512;

/// Decodes the field blocks of a connection, in their order.
pub(crate) struct Decoder {
    table: Dynamic,
    /// What a field says in Huffman's code, or has to be copied.
    name: Vec<u8>,
    value: Vec<u8>,
}

/// A string in a block.
struct Text<'a> {
    bytes: &'a [u8],
    coded: bool,
}

impl Text<'_> {
    /// Decodes it into `to`.
    fn copy(&self, to: &mut Vec<u8>) -> Result<(), Refused> {
        to.clear();
        // The shortest code has five bits.
        let most = if self.coded { self.bytes.len() * 8 / 5 } else { self.bytes.len() };
        to.try_reserve_exact(most).map_err(|_| Refused::Memory)?;
        if !self.coded {
            to.extend_from_slice(self.bytes);
            return Ok(());
        }
        huffman::decode(self.bytes, &mut |byte| to.push(byte)).map_err(|_| Refused::Wrong)
    }
}

/// What is left of a block.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// An integer whose first bits are the low ones of the next byte (section 5.1).
    fn integer(&mut self, bits: u32) -> Result<usize, Refused> {
        let (&first, mut rest) = self.0.split_first().ok_or(Refused::Wrong)?;
        let most = (1_usize << bits) - 1;
        let mut value = usize::from(first) & most;
        if value == most {
            let mut shift = 0;
            loop {
                let (&byte, after) = rest.split_first().ok_or(Refused::Wrong)?;
                rest = after;
                // Four bytes say more than any block has.
                if shift > 21 {
                    return Err(Refused::Wrong);
                }
                value += (usize::from(byte) & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
        }
        self.0 = rest;
        Ok(value)
    }

    /// A string (section 5.2).
    fn text(&mut self) -> Result<Text<'a>, Refused> {
        let coded = self.0.first().is_some_and(|byte| byte & 0x80 != 0);
        let length = self.integer(7)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Refused::Wrong)?;
        self.0 = rest;
        Ok(Text { bytes, coded })
    }
}

impl Decoder {
    /// Bytes of memory that it may hold between blocks: fields and their places in the table, and
    /// what is kept for the next name and value.
    #[cfg(test)]
    pub(crate) const MOST: usize = 2 * DYNAMIC + 2 * SCRATCH;

    /// Bytes of memory that it holds.
    pub(crate) fn holds(&self) -> usize {
        self.table.holds() + self.scratch()
    }

    pub(crate) const fn new() -> Self {
        Self { table: Dynamic::new(DYNAMIC), name: Vec::new(), value: Vec::new() }
    }

    /// Decodes a whole block, and gives the name and the value of each field to `each`: `most`
    /// bytes of them, as a block may say a thousand times what it has.
    ///
    /// # Errors
    /// [`Refused`], after which the decoder is of no use.
    pub(crate) fn decode(
        &mut self,
        block: &[u8],
        most: usize,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), Refused> {
        let mut left = most;
        let mut each = |name: &[u8], value: &[u8]| {
            left = left.checked_sub(name.len() + value.len()).ok_or(Refused::Long)?;
            each(name, value);
            Ok(())
        };
        let mut rest = Rest(block);
        let mut begun = false;
        while let Some(&first) = rest.0.first() {
            match first {
                // An indexed field (section 6.1).
                0x80.. => {
                    let number = rest.integer(7)?;
                    let (name, value) = self.table.get(number).ok_or(Refused::Wrong)?;
                    each(name, value)?;
                }
                // One to be remembered (section 6.2.1).
                0x40.. => {
                    self.literal(&mut rest, 6)?;
                    self.table.add(&self.name, &self.value).ok_or(Refused::Memory)?;
                    each(&self.name, &self.value)?;
                }
                // Another size of the table, before the first field (sections 4.2 and 6.3).
                0x20.. => {
                    let size = rest.integer(5)?;
                    if begun || size > DYNAMIC {
                        return Err(Refused::Wrong);
                    }
                    self.table.resize(size);
                    continue;
                }
                // One not to be remembered, here or by anybody (sections 6.2.2 and 6.2.3).
                _ => {
                    self.literal(&mut rest, 4)?;
                    each(&self.name, &self.value)?;
                }
            }
            begun = true;
        }
        Ok(())
    }

    /// Reads a field whose name has a number, or stands there, and whose value stands there.
    fn literal(&mut self, rest: &mut Rest<'_>, bits: u32) -> Result<(), Refused> {
        match rest.integer(bits)? {
            0 => rest.text()?.copy(&mut self.name)?,
            number => {
                let (name, _) = self.table.get(number).ok_or(Refused::Wrong)?;
                Text { bytes: name, coded: false }.copy(&mut self.name)?;
            }
        }
        rest.text()?.copy(&mut self.value)
    }

    /// Gives back the memory of what was decoded last, but a little for fields as they are usual.
    pub(crate) fn shrink(&mut self) {
        for scratch in [&mut self.name, &mut self.value] {
            if scratch.capacity() > SCRATCH {
                *scratch = Vec::new();
            }
        }
    }

    /// Bytes that are kept of what was decoded last.
    pub(crate) fn scratch(&self) -> usize {
        self.name.capacity() + self.value.capacity()
    }

    /// Gives all of it back, for a connection that waits.
    pub(crate) fn rest(&mut self) {
        (self.name, self.value) = (Vec::new(), Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    /// Bytes as the RFC's examples print them.
    fn bytes(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|it| it.to_digit(16)).collect();
        digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
    }

    fn read(decoder: &mut Decoder, block: &[u8]) -> Result<String, Refused> {
        let mut all = String::new();
        decoder.decode(block, 10_000, &mut |name, value| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            all += &std::format!("{}: {}\n", text(name), text(value));
        })?;
        Ok(all)
    }

    #[test]
    fn requests_of_the_rfc_are_read_with_and_without_huffman() {
        let first = ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n";
        let second = std::format!("{first}cache-control: no-cache\n");
        let third = ":method: GET\n:scheme: https\n:path: /index.html\n\
                     :authority: www.example.com\ncustom-key: custom-value\n";
        // Sections C.3 and C.4.
        for blocks in [
            [
                "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                "8286 84be 5808 6e6f 2d63 6163 6865",
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
            ],
            [
                "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
                "8286 84be 5886 a8eb 1064 9cbf",
                "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
            ],
        ] {
            let mut decoder = Decoder::new();
            for (block, expected) in blocks.iter().zip([first, &second, third]) {
                assert_eq!(read(&mut decoder, &bytes(block)).unwrap(), expected);
            }
        }
    }

    #[test]
    fn a_field_is_read_in_each_form_that_it_may_have() {
        // To be remembered, not to be, and never to be (sections 6.2.1 to 6.2.3): a name that has a
        // number, and a new one; each string also by Huffman's code.
        for (numbered, new, remembered) in
            [("7a", "40", true), ("0f2b", "00", false), ("1f2b", "10", false)]
        {
            for value in ["05 746f 6f6c 73", "84 49cf 423f"] {
                for (name, begin) in [
                    ("user-agent", numbered.into()),
                    ("x-test", std::format!("{new} 06 782d 7465 7374")),
                    ("x-test", std::format!("{new} 85 f2b2 4a84 ff")),
                ] {
                    let (mut decoder, form) = (Decoder::new(), std::format!("{begin} {value}"));
                    let expected = Ok(std::format!("{name}: tools\n"));
                    assert_eq!(read(&mut decoder, &bytes(&form)), expected, "{form}");
                    let again = if remembered { expected } else { Err(Refused::Wrong) };
                    assert_eq!(read(&mut decoder, &bytes("be")), again, "{form}");
                }
            }
        }
        // Several sizes of the table, before the first field (section 4.2).
        let sized = read(&mut Decoder::new(), &bytes("20 3fe1 1f 82"));
        assert_eq!(sized.unwrap(), ":method: GET\n");
    }

    #[test]
    fn old_fields_make_room_for_new_ones() {
        let mut decoder = Decoder::new();
        // The table holds one small field: the second drives the first out.
        assert_eq!(read(&mut decoder, &bytes("3f09")).unwrap(), "");
        assert_eq!(read(&mut decoder, &bytes("4001 6101 62")).unwrap(), "a: b\n");
        assert_eq!(read(&mut decoder, &bytes("be 4001 6301 64")).unwrap(), "a: b\nc: d\n");
        assert_eq!(read(&mut decoder, &bytes("be")).unwrap(), "c: d\n");
        assert_eq!(read(&mut decoder, &bytes("bf")), Err(Refused::Wrong));
        // One that is larger than the table empties it (section 4.4).
        let mut decoder = Decoder::new();
        let long = [&bytes("3f09 4001 61 28")[..], &[b'x'; 40]].concat();
        read(&mut decoder, &long).unwrap();
        assert_eq!(read(&mut decoder, &bytes("be")), Err(Refused::Wrong));
    }

    #[test]
    fn a_block_does_not_say_without_end_what_it_says_once() {
        let mut decoder = Decoder::new();
        let long = [&bytes("4001 61 7f 8101")[..], &[b'x'; 256]].concat();
        read(&mut decoder, &long).unwrap();
        assert!(read(&mut decoder, &[0xbe; 30]).is_ok());
        assert_eq!(read(&mut decoder, &[0xbe; 50]), Err(Refused::Long));
    }

    #[test]
    fn blocks_that_are_none_are_refused() {
        for block in [
            // Numbers of no field (sections 6.1 and 2.3.3).
            "80",
            "be",
            "ff ffff ff0f",
            "7e 0161",
            "0f2f 0161",
            // An integer that has no end, and one that is too large (section 5.1).
            "ff",
            "ff ffff ffff ffff ffff 7f",
            // A string that is cut off.
            "0001 61",
            "0001 6105 62",
            // A size that was not offered, and one behind a field (sections 4.2 and 6.3).
            "3fe2 1f",
            "82 20",
            // Huffman's padding (section 5.2).
            "0081 0600",
        ] {
            assert_eq!(read(&mut Decoder::new(), &bytes(block)), Err(Refused::Wrong), "{block}");
        }
        assert_eq!(read(&mut Decoder::new(), &bytes("3fe1 1f 82")).unwrap(), ":method: GET\n");
    }
}
