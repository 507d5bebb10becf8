//! Converts and checks names: long ones in UTF-16, and short ones of eight and three bytes.
//!
//! For callers, a name is UTF-8. An unpaired surrogate on the disk is encoded by itself (WTF-8),
//! so that different names stay different.

use super::upper::upper;
use crate::Error;
use alloc::vec::Vec;

/// The longest name, in units of UTF-16.
pub(super) const LONGEST: usize = 255;

/// The characters of the bytes 0x80 to 0xff of a short name: code page 437, in which each is a
/// different one.
const OEM: [char; 128] = [
    'Ç', 'ü', 'é', 'â', 'ä', 'à', 'å', 'ç', 'ê', 'ë', 'è', 'ï', 'î', 'ì', 'Ä', 'Å', 'É', 'æ', 'Æ',
    'ô', 'ö', 'ò', 'û', 'ù', 'ÿ', 'Ö', 'Ü', '¢', '£', '¥', '₧', 'ƒ', 'á', 'í', 'ó', 'ú', 'ñ', 'Ñ',
    'ª', 'º', '¿', '⌐', '¬', '½', '¼', '¡', '«', '»', '░', '▒', '▓', '│', '┤', '╡', '╢', '╖', '╕',
    '╣', '║', '╗', '╝', '╜', '╛', '┐', '└', '┴', '┬', '├', '─', '┼', '╞', '╟', '╚', '╔', '╩', '╦',
    '╠', '═', '╬', '╧', '╨', '╤', '╥', '╙', '╘', '╒', '╓', '╫', '╪', '┘', '┌', '█', '▄', '▌', '▐',
    '▀', 'α', 'ß', 'Γ', 'π', 'Σ', 'σ', 'µ', 'τ', 'Φ', 'Θ', 'Ω', 'δ', '∞', 'φ', 'ε', '∩', '≡', '±',
    '≥', '≤', '⌠', '⌡', '÷', '≈', '°', '∙', '·', '√', 'ⁿ', '²', '■', '\u{a0}',
];

/// Converts a name from bytes, as [`shown`] returns them, to UTF-16 units.
///
/// # Errors
/// [`Error::BadPath`] for bytes that are not UTF-8 (or WTF-8).
pub(super) fn units(bytes: &[u8]) -> Result<Vec<u16>, Error> {
    let (mut units, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        // An unpaired surrogate.
        if let [0xed, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, more @ ..] = rest {
            units.push(0xd000 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f));
            rest = more;
            continue;
        }
        let length = match rest.first() {
            Some(0..0x80) => 1,
            Some(0xc0..0xe0) => 2,
            Some(0xe0..0xf0) => 3,
            _ => 4,
        };
        let one = rest.get(..length).and_then(|one| core::str::from_utf8(one).ok());
        let character = one.and_then(|one| one.chars().next()).ok_or(Error::BadPath)?;
        units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(units)
}

/// Converts a name to bytes.
pub(super) fn shown(units: &[u16]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(units.len());
    for one in char::decode_utf16(units.iter().copied()) {
        match one {
            Ok(one) => bytes.extend_from_slice(one.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(half) => {
                let half = half.unpaired_surrogate();
                let low = |bits: u16| 0x80 | (bits & 0x3f) as u8;
                bytes.extend_from_slice(&[0xed, low(half >> 6), low(half)]);
            }
        }
    }
    bytes
}

/// Converts and checks the name of a new entry: 1 to 255 units, of characters that FAT allows,
/// without a dot or space at the end, with which other systems do not find it.
///
/// # Errors
/// [`Error::BadPath`].
pub(super) fn judged(bytes: &[u8]) -> Result<Vec<u16>, Error> {
    let text = core::str::from_utf8(bytes).map_err(|_| Error::BadPath)?;
    let bad = |c: char| c < ' ' || "\"*/:<>?\\|\u{7f}".contains(c);
    let units: Vec<u16> = text.encode_utf16().collect();
    if text.is_empty() || text.contains(bad) || text.ends_with(['.', ' ']) || units.len() > LONGEST
    {
        return Err(Error::BadPath);
    }
    Ok(units)
}

/// Returns whether two names are equal but for the case of letters.
pub(super) fn alike(a: &[u16], b: &[u16]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| a == b || upper(a) == upper(b))
}

/// The bits (`DIR_NTRes`) that show the name (8) and the extension (16) in lower case.
pub(super) const LOWER: u8 = 8 | 16;

/// Returns the bits with which a short name is shown as `name`, if there are any.
pub(super) fn lower(name: &[u16]) -> Option<u8> {
    let basis = Basis::new(name);
    [0, 8, 16, LOWER]
        .into_iter()
        .filter(|_| basis.fits)
        .find(|&bits| of_short(&basis.plain(), bits).is_ok_and(|shown| shown == name))
}

/// Converts a short name to UTF-16, without its padding. `lower` holds the bits of [`LOWER`].
///
/// # Errors
/// [`Error::Damaged`] for one that no path can name.
pub(super) fn of_short(short: &[u8; 11], lower: u8) -> Result<Vec<u16>, Error> {
    let mut units = Vec::new();
    for (part, bit) in [(&short[..8], 8), (&short[8..], 16)] {
        let length = part.iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1);
        if bit == 16 && length > 0 {
            units.push(u16::from(b'.'));
        }
        for (at, &byte) in part[..length].iter().enumerate() {
            // 0x05 stands for 0xe5, which would mark a removed entry.
            let byte = if byte == 5 && at == 0 && bit == 8 { 0xe5 } else { byte };
            let character = match byte {
                0..=0x1f | b'/' | 0x7f => return Err(Error::Damaged),
                0x80.. => OEM[usize::from(byte) - 0x80],
                _ => char::from(byte),
            };
            let character = if lower & bit != 0 { lower_case(character) } else { character };
            units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
        }
    }
    if units.is_empty() || units.first() == Some(&u16::from(b'.')) {
        return Err(Error::Damaged);
    }
    Ok(units)
}

/// Returns a letter of a short name in lower case, if the code page has it.
fn lower_case(character: char) -> char {
    let is_lower = |lower: char| {
        let unit = |letter: char| u16::try_from(u32::from(letter)).ok();
        lower != character && unit(lower).map(upper) == unit(character)
    };
    let lower = OEM.into_iter().find(|&lower| is_lower(lower));
    lower.unwrap_or(character.to_ascii_lowercase())
}

/// Returns the checksum of a short name, which each entry of its long one holds.
pub(super) fn sum(short: &[u8; 11]) -> u8 {
    short.iter().fold(0, |sum: u8, &byte| sum.rotate_right(1).wrapping_add(byte))
}

/// The basis of the short name for a long one.
#[derive(Clone, Debug)]
pub(super) struct Basis {
    short: [u8; 11],
    /// Whether the name fits into a short one, but for the case of letters.
    pub(super) fits: bool,
    /// Whether the short name equals it, so that no long one is needed.
    pub(super) same: bool,
}

impl Basis {
    /// Makes the basis for a [`judged`] name.
    pub(super) fn new(units: &[u16]) -> Self {
        let dot = units.iter().rposition(|&unit| unit == u16::from(b'.')).filter(|&at| at > 0);
        let (name, end) = units.split_at(dot.unwrap_or(units.len()));
        let mut it = Self { short: [b' '; 11], fits: true, same: true };
        it.fill(0..8, name);
        it.fill(8..11, end.get(1..).unwrap_or_default());
        if it.short[0] == b' ' {
            it.short[0] = b'_';
            it.fits = false;
        }
        it.same &= it.fits;
        it
    }

    fn fill(&mut self, range: core::ops::Range<usize>, units: &[u16]) {
        let mut at = range.start;
        for &unit in units {
            let byte = match u8::try_from(unit) {
                Ok(b' ' | b'.') => {
                    self.fits = false;
                    continue;
                }
                Ok(byte) if byte.is_ascii_alphanumeric() || b"!#$%&'()-@^_`{}~".contains(&byte) => {
                    byte
                }
                _ => {
                    self.fits = false;
                    b'_'
                }
            };
            if at == range.end {
                self.fits = false;
                return;
            }
            self.same &= !byte.is_ascii_lowercase();
            self.short[at] = byte.to_ascii_uppercase();
            at += 1;
        }
    }

    /// Returns the short name without a numeric tail.
    pub(super) const fn plain(&self) -> [u8; 11] {
        self.short
    }

    /// Returns the short name with a numeric tail, `~` and a number.
    pub(super) fn numbered(&self, number: u32) -> [u8; 11] {
        let mut digits = [0; 10];
        let (mut at, mut rest) = (digits.len(), number);
        while rest > 0 || at == digits.len() {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let digits = &digits[at..];
        let length = self.short[..8].iter().position(|&byte| byte == b' ').unwrap_or(8);
        let cut = length.min(7_usize.saturating_sub(digits.len()));
        let mut short = self.short;
        short[cut..8].fill(b' ');
        let tail = core::iter::once(&b'~').chain(digits);
        short[cut..8].iter_mut().zip(tail).for_each(|(to, &from)| *to = from);
        short
    }

    /// Returns the number of the numeric tail with which this basis makes `short`, if there is
    /// one.
    pub(super) fn number(&self, short: &[u8; 11]) -> Option<u32> {
        let name = &short[..8];
        let tilde = name.iter().rposition(|&byte| byte == b'~')?;
        let digits = name.get(tilde + 1..)?.trim_ascii_end();
        let number = core::str::from_utf8(digits).ok()?.parse().ok()?;
        (self.numbered(number) == *short).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn a_letter_is_in_lower_case_as_unicode_has_it_where_the_code_page_does() {
        for character in (0..0x80).map(char::from).chain(OEM) {
            let mut lower = character.to_lowercase();
            let expected = match (lower.next(), lower.next()) {
                (Some(one), None) if one.is_ascii() || OEM.contains(&one) => one,
                _ => character,
            };
            assert_eq!(lower_case(character), expected, "{character}");
        }
    }

    #[test]
    fn every_oem_letter_is_another() {
        for (at, a) in OEM.iter().enumerate() {
            assert!(!a.is_ascii() && !OEM[..at].contains(a), "{a}");
        }
        let shown_of = |short: &[u8; 11], lower| shown(&of_short(short, lower).unwrap());
        assert_eq!(shown_of(b"\x8eB      TXT", 0), "ÄB.TXT".as_bytes());
        assert_eq!(shown_of(b"\x05B      TXT", 8), "σb.TXT".as_bytes());
        assert_eq!(shown_of(b"A B        ", 24), b"a b");
        // As Linux and mtools have a name of two parts in lower case; there is no small omega.
        assert_eq!(shown_of(b"\x90B      TXT", 24), "\u{e9}b.txt".as_bytes());
        assert_eq!(shown_of(b"B       \x99\xeaX", 16), "B.\u{f6}\u{3a9}x".as_bytes());
        for wrong in [b"           ", b"        TXT", b"A/B        ", b"A\0B        "] {
            assert_eq!(of_short(wrong, 0), Err(Error::Damaged));
        }
    }

    #[test]
    fn names_go_there_and_back() {
        for units_of in [&[0x41, 0xd83e, 0xdd80][..], &[0xd83e], &[0xdd80, 0xd83e], &[0xd83e, 0x41]]
        {
            assert_eq!(units(&shown(units_of)).unwrap(), units_of);
        }
        for wrong in [&b"\xff"[..], b"a\xc3", b"\xed\xa0", b"\x80", b"\xf8\x80\x80\x80"] {
            assert_eq!(units(wrong), Err(Error::BadPath));
        }
    }

    #[test]
    fn names_are_judged_by_the_rules_of_fat() {
        for good in ["a", "é", "日本", ".a", " a", "a b", "a.b.c", "🦀", "+,;=[]", &"x".repeat(255)]
        {
            assert!(judged(good.as_bytes()).is_ok(), "{good}");
        }
        let long = "x".repeat(256);
        let crabs = "🦀".repeat(128);
        for bad in [
            "", "a.", "a ", "...", "a:b", "a*", "?", "\"", "<", ">", "|", "\\", "a\nb", "\u{7f}",
            &long, &crabs,
        ] {
            assert_eq!(judged(bad.as_bytes()), Err(Error::BadPath), "{bad}");
        }
        assert_eq!(judged(b"\xed\xa0\xbe"), Err(Error::BadPath), "half a character");
    }

    #[test]
    fn short_names_are_made() {
        let cases = [
            ("README.TXT", "README  TXT", true, true),
            ("readme.txt", "README  TXT", true, false),
            ("A", "A          ", true, true),
            (".profile", "PROFILE    ", false, false),
            ("long name here.text", "LONGNAMETEX", false, false),
            ("a.b.c", "AB      C  ", false, false),
            ("é", "_          ", false, false),
            ("日本.x", "__      X  ", false, false),
            ("a+b", "A_B        ", false, false),
            (" .x", "_       X  ", false, false),
        ];
        for (name, short, fits, same) in cases {
            let basis = Basis::new(&judged(name.as_bytes()).unwrap());
            let text = String::from_utf8(basis.plain().to_vec()).unwrap();
            assert_eq!((&*text, basis.fits, basis.same), (short, fits, same), "{name}");
        }
        let basis = Basis::new(&judged(b"long name.txt").unwrap());
        let cases = [
            (1, b"LONGNA~1TXT"),
            (12, b"LONGN~12TXT"),
            (123_456, b"L~123456TXT"),
            (65_536, b"LO~65536TXT"),
        ];
        for (number, short) in cases {
            assert_eq!(basis.numbered(number), *short);
            assert_eq!(basis.number(short), Some(number));
        }
        for other in
            [b"LONGNA~1TX ", b"LONGNA~01  ", b"LONG~1  TXT", b"LONGNAMETXT", b"LONGNA~0TXX"]
        {
            assert_eq!(basis.number(other), None);
        }
        // The example of the specification.
        assert_eq!(sum(b"LONGNA~1TXT"), sum(&basis.numbered(1)));
    }

    #[test]
    fn case_does_not_count() {
        let same = |a: &str, b: &str| {
            let of = |text: &str| text.encode_utf16().collect::<Vec<_>>();
            alike(&of(a), &of(b))
        };
        assert!(same("aé日.TXT", "AÉ日.txt") && same("ß", "ß"));
        assert!(!same("ß", "ss") && !same("a", "b") && !same("a", "aa") && !same("ä", "å"));
    }
}
