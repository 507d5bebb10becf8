//! Escapes untrusted text for printing.
//!
//! What a peer or a user sent may contain control characters that change the state of a terminal
//! (rule K5). All lines that the kernel prints go through [`EscapeControls`].
//!
//! # Example
//! ```
//! # use xenith_kernel as xenith;
//! use xenith::text::Escaped;
//!
//! let name = b"\x1b[2Jroot\xff";
//! assert_eq!(format!("no user {}", Escaped(name)), r"no user \x1b[2Jroot\xff");
//! ```

use core::fmt::{self, Write};

/// Formats bytes as text: control characters and invalid UTF-8 as `\x1b` and the like, all other
/// characters as they are. Backslashes are not escaped.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            EscapeControls(&mut *f).write_str(chunk.valid())?;
            for byte in chunk.invalid() {
                escape(f, *byte)?;
            }
        }
        Ok(())
    }
}

/// Writes text to `W` with control characters escaped as `\x1b` and the like.
#[derive(Debug)]
pub struct EscapeControls<W>(pub W);

impl<W: Write> Write for EscapeControls<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // By bytes: the controls of ASCII are one byte, those of Latin 1 two.
        let (bytes, mut at, mut plain) = (text.as_bytes(), 0, 0);
        while at < bytes.len() {
            let (control, length) = match (bytes[at], bytes.get(at + 1)) {
                (byte @ (..0x20 | 0x7F), _) => (byte, 1),
                (0xC2, Some(&byte @ 0x80..0xA0)) => (byte, 2),
                _ => {
                    at += 1;
                    continue;
                }
            };
            self.0.write_str(text.get(plain..at).unwrap_or_default())?;
            escape(&mut self.0, control)?;
            at += length;
            plain = at;
        }
        self.0.write_str(text.get(plain..).unwrap_or_default())
    }
}

/// Writes `\x` and two hex digits.
fn escape(to: &mut impl Write, byte: u8) -> fmt::Result {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let digits = [b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
    to.write_str(core::str::from_utf8(&digits).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_and_broken_utf8_are_escaped() {
        let shown = Escaped(b"a\x1b[31m\r\n\x00\xff\xc3\xa9 \xe2\x82").to_string();
        assert_eq!(shown, "a\\x1b[31m\\x0d\\x0a\\x00\\xff\u{e9} \\xe2\\x82");
        assert_eq!(Escaped("\u{9b}31m".as_bytes()).to_string(), "\\x9b31m", "C1 controls too");
    }

    #[test]
    fn a_hostile_value_cannot_move_the_cursor_k5() {
        let mut shown = String::new();
        EscapeControls(&mut shown).write_str("no \x1b[2J\u{9b}1m\u{a0}ä\x7f\n").unwrap();
        assert_eq!(shown, "no \\x1b[2J\\x9b1m\u{a0}ä\\x7f\\x0a");
    }

    #[test]
    fn plain_text_stays() {
        assert_eq!(Escaped("Grüße, 世界!".as_bytes()).to_string(), "Grüße, 世界!");
    }
}
