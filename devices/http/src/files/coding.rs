//! The content codings that a client accepts (RFC 9110, section 12.5.3).

/// The coding of a packed file, which stands beside the original under its name with an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coding {
    /// What stands in `Content-Encoding`.
    pub name: &'static str,
    /// What stands behind the name of the file.
    pub end: &'static str,
}

/// Those that are looked for: of those that a client prefers equally, the first is taken,
/// which is most often the smallest.
pub(super) const CODINGS: [Coding; 3] = [
    Coding { name: "br", end: ".br" },
    Coding { name: "zstd", end: ".zst" },
    Coding { name: "gzip", end: ".gz" },
];

/// The weight of each for a client, in thousandths; 0 is not acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Preferences {
    /// Of [`CODINGS`].
    pub codings: [u16; 3],
    /// The file as it is.
    pub identity: u16,
}

/// A weight: up to three digits behind the point, from 0 to 1 (section 12.4.2).
fn weight(text: &[u8]) -> Option<u16> {
    let (whole, rest) = text.split_first()?;
    let digits = match rest {
        [] => rest,
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    if !matches!(whole, b'0' | b'1') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let part = [100, 10, 1].iter().zip(digits).map(|(ten, digit)| ten * u16::from(digit - b'0'));
    Some(u16::from(whole - b'0') * 1000 + part.sum::<u16>()).filter(|weight| *weight <= 1000)
}

/// Reads the values of the fields `Accept-Encoding`. An item that is none means nothing.
pub(super) fn preferences<'a>(values: impl Iterator<Item = &'a [u8]>) -> Preferences {
    let (mut codings, mut identity, mut others) = ([None; 3], None, None);
    for item in values.flat_map(|value| value.split(|&byte| byte == b',')) {
        let mut parts = item.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let weight = match (parts.next(), parts.next()) {
            (None, _) => Some(1000),
            (Some([b'q' | b'Q', b'=', value @ ..]), None) => weight(value),
            _ => None,
        };
        let Some(weight) = weight else { continue };
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("*") {
            others = Some(weight);
        } else if is("identity") {
            identity = Some(weight);
        } else if let Some(at) = CODINGS.iter().position(|coding| {
            // The older name of it (section 8.4.1.3).
            is(coding.name) || (coding.name == "gzip" && is("x-gzip"))
        }) {
            codings[at] = Some(weight);
        }
    }
    Preferences {
        codings: codings.map(|weight| weight.or(others).unwrap_or(0)),
        // Unless it is refused, the file as it is will do, after all that is named.
        identity: identity.unwrap_or(if others == Some(0) { 0 } else { 1 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_by_the_grammar() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1", Some(1000)),
            ("0.", Some(0)),
            ("1.000", Some(1000)),
            ("0.5", Some(500)),
            ("0.25", Some(250)),
            ("0.001", Some(1)),
            ("0.0001", None),
            ("1.001", None),
            ("2", None),
            ("-1", None),
            (".5", None),
            ("0,5", None),
            ("", None),
            ("0.x", None),
        ] {
            assert_eq!(weight(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn preferences_are_read_by_the_grammar() {
        for (value, br, zstd, gzip, identity) in [
            ("", 0, 0, 0, 1),
            ("gzip", 0, 0, 1000, 1),
            ("GZip", 0, 0, 1000, 1),
            ("x-gzip", 0, 0, 1000, 1),
            ("gzip, deflate, br, zstd", 1000, 1000, 1000, 1),
            ("br;q=0.5,gzip ; q=0.8", 500, 0, 800, 1),
            ("gzip;Q=0.1", 0, 0, 100, 1),
            ("gzip;q=0", 0, 0, 0, 1),
            ("gzip;q=2", 0, 0, 0, 1),
            ("gzip;level=9", 0, 0, 0, 1),
            ("*", 1000, 1000, 1000, 1),
            ("*;q=0", 0, 0, 0, 0),
            ("*;q=0, identity", 0, 0, 0, 1000),
            ("identity;q=0, gzip", 0, 0, 1000, 0),
            ("gzip;q=0.5, *;q=0", 0, 0, 500, 0),
            ("br;q=0, *;q=0.3", 0, 300, 300, 1),
            ("deflate, compress", 0, 0, 0, 1),
            ("gzipx, xbr", 0, 0, 0, 1),
        ] {
            let expected = Preferences { codings: [br, zstd, gzip], identity };
            assert_eq!(preferences([value.as_bytes()].into_iter()), expected, "{value}");
        }
        let several = preferences([&b"gzip"[..], b"br;q=0.1"].into_iter());
        assert_eq!(several, Preferences { codings: [100, 0, 1000], identity: 1 });
    }
}
