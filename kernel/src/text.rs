//! Untrusted bytes made printable.
//!
//! What a peer or a user sent may hold control bytes that a terminal obeys
//! (rule K5), so lines of the kernel go through [`Escaped`].

use core::fmt::{self, Write};

/// Shows bytes as text: printable characters as they are, everything else
/// (control characters, invalid UTF-8) as `\x1b` and the like.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            EscapeControls(&mut *f).write_str(chunk.valid())?;
            for byte in chunk.invalid() {
                escape(f, u32::from(*byte))?;
            }
        }
        Ok(())
    }
}

/// Passes text on with every control character escaped.
#[derive(Debug)]
pub struct EscapeControls<W>(pub W);

impl<W: Write> Write for EscapeControls<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain = 0;
        for (at, control) in text.char_indices().filter(|(_, c)| c.is_control()) {
            self.0.write_str(text.get(plain..at).unwrap_or_default())?;
            escape(&mut self.0, u32::from(control))?;
            plain = at + control.len_utf8();
        }
        self.0.write_str(text.get(plain..).unwrap_or_default())
    }
}

/// Writes `\x` and two hex digits: all controls are below U+00A0.
fn escape(to: &mut impl Write, code: u32) -> fmt::Result {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digit = |shift: u32| char::from(HEX[(code >> shift) as usize & 15]);
    to.write_str("\\x")?;
    to.write_char(digit(4))?;
    to.write_char(digit(0))
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
    fn plain_text_stays() {
        assert_eq!(Escaped("Grüße, 世界!".as_bytes()).to_string(), "Grüße, 世界!");
    }
}
