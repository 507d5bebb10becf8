//! The bytes that a request asks for (RFC 9110, section 14).

use alloc::vec::Vec;
use core::ops::Range;

/// Parts of one answer. Who asks for more gets the whole: nobody who wants a file does
/// (RFC 9110, section 14.2).
const MOST: usize = 64;

/// What a field `Range` means for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It is none that is understood: all of the file.
    Whole,
    /// These, which do not overlap, in the order in which they were asked for; at least one.
    Parts(Vec<Range<u64>>),
    /// There are no such bytes.
    Beyond,
}

/// A number of any length; what does not fit is as large as numbers get, which is behind
/// the end of every file.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add =
        |number: u64, digit: &u8| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(digits.iter().fold(0, add))
}

/// The bytes that an item of the list stands for in a file of `size` bytes; none for those
/// behind its end, nothing for what is no item.
fn item(item: &[u8], size: u64) -> Option<Range<u64>> {
    let dash = item.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (item.get(..dash)?, item.get(dash + 1..)?);
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => {
            Some(first.min(size)..last.saturating_add(1).min(size))
        }
        (Some(first), None) if last.is_empty() => Some(first.min(size)..size),
        (None, Some(count)) if first.is_empty() => Some(size - count.min(size)..size),
        _ => None,
    }
}

/// Reads the value of the field. What is no range of bytes, or not valid, means nothing.
pub(super) fn wanted(value: &[u8], size: u64) -> Wanted {
    const UNIT: usize = "bytes=".len();
    let unit = value.get(..UNIT).is_some_and(|unit| unit.eq_ignore_ascii_case(b"bytes="));
    let Some(list) = value.get(UNIT..).filter(|_| unit) else { return Wanted::Whole };
    let (mut parts, mut items) = (Vec::<Range<u64>>::new(), 0);
    for text in list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
        // Lists may have empty items (section 5.6.1.2).
        if text.is_empty() {
            continue;
        }
        items += 1;
        let Some(mut range) = item(text, size) else { return Wanted::Whole };
        if range.is_empty() {
            // The last bytes of an empty file are all of it, for which there is no way to
            // say so in `Content-Range`.
            if size == 0 && text.first() == Some(&b'-') && number(&text[1..]) > Some(0) {
                return Wanted::Whole;
            }
            continue;
        }
        if items > MOST {
            return Wanted::Whole;
        }
        // Those that overlap become one, where the first of them stood.
        let mut place = None;
        while let Some(at) =
            parts.iter().position(|it| it.start < range.end && range.start < it.end)
        {
            let other = parts.remove(at);
            range = range.start.min(other.start)..range.end.max(other.end);
            place = Some(place.map_or(at, |place: usize| place.min(at)));
        }
        parts.insert(place.unwrap_or(parts.len()), range);
    }
    match (items, parts.is_empty()) {
        (0, _) => Wanted::Whole,
        (_, true) => Wanted::Beyond,
        _ => Wanted::Parts(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    fn parts<const N: usize>(ranges: [(u64, u64); N]) -> Wanted {
        Wanted::Parts(ranges.map(|(start, end)| start..end).into())
    }

    #[test]
    fn ranges_are_within_the_file() {
        for (value, expected) in [
            ("bytes=0-0", parts([(0, 1)])),
            ("bytes=0-", parts([(0, 100)])),
            ("bytes=90-", parts([(90, 100)])),
            ("bytes=99-99", parts([(99, 100)])),
            ("bytes=00099-100", parts([(99, 100)])),
            ("BYTES=1-2", parts([(1, 3)])),
            ("bytes= 1-2 ", parts([(1, 3)])),
            ("bytes=90-18446744073709551615", parts([(90, 100)])),
            ("bytes=90-99999999999999999999999", parts([(90, 100)])),
            ("bytes=-10", parts([(90, 100)])),
            ("bytes=-1000", parts([(0, 100)])),
            ("bytes=-99999999999999999999999", parts([(0, 100)])),
            ("bytes=-0", Wanted::Beyond),
            ("bytes=100-", Wanted::Beyond),
            ("bytes=100-200", Wanted::Beyond),
            ("bytes=99999999999999999999999-", Wanted::Beyond),
            ("bytes=100-,200-,-0", Wanted::Beyond),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=0-1,5-4", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=1 - 2", Wanted::Whole),
            ("bytes=1--2", Wanted::Whole),
            ("bytes=1-2-3", Wanted::Whole),
            ("bytes=0x1-2", Wanted::Whole),
            ("bytes=1-2;3-4", Wanted::Whole),
            ("bytes=--1", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=1", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("bytes=,", Wanted::Whole),
            ("bytes 1-2", Wanted::Whole),
            ("bytes:1-2", Wanted::Whole),
            ("1-2", Wanted::Whole),
            ("", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("bytes =1-2", Wanted::Whole),
        ] {
            assert_eq!(wanted(value.as_bytes(), 100), expected, "{value}");
        }
    }

    #[test]
    fn several_ranges_are_several_parts() {
        for (value, expected) in [
            ("bytes=0-0,-1", parts([(0, 1), (99, 100)])),
            ("bytes=,0-0 ,, 5-6,", parts([(0, 1), (5, 7)])),
            ("bytes=50-,0-4", parts([(50, 100), (0, 5)])),
            ("bytes=0-4,200-", parts([(0, 5)])),
            // Next to each other, and not one.
            ("bytes=0-4,5-9", parts([(0, 5), (5, 10)])),
            ("bytes=0-4,4-9", parts([(0, 10)])),
            ("bytes=0-4,20-29,2-8", parts([(0, 9), (20, 30)])),
            ("bytes=0-4,20-29,2-25", parts([(0, 30)])),
            ("bytes=0-,0-,0-,0-", parts([(0, 100)])),
            ("bytes=0-0,2-2,4-4,1-3", parts([(0, 1), (1, 4), (4, 5)])),
        ] {
            assert_eq!(wanted(value.as_bytes(), 100), expected, "{value}");
        }
    }

    #[test]
    fn an_attack_gets_the_whole() {
        let list = |count: usize| {
            let items: String = (0..count).map(|at| format!("{}-{},", at * 2, at * 2)).collect();
            wanted(format!("bytes={items}").as_bytes(), 1000)
        };
        assert!(matches!(list(MOST), Wanted::Parts(parts) if parts.len() == MOST));
        assert_eq!(list(MOST + 1), Wanted::Whole);
        let killer: String = (0..1300).map(|at| format!("5-{},", at + 5)).collect();
        assert_eq!(wanted(format!("bytes={killer}").as_bytes(), 2000), Wanted::Whole);
    }

    #[test]
    fn an_empty_file_has_no_ranges() {
        for (value, expected) in [
            ("bytes=0-", Wanted::Beyond),
            ("bytes=0-0", Wanted::Beyond),
            ("bytes=-0", Wanted::Beyond),
            ("bytes=-1", Wanted::Whole),
        ] {
            assert_eq!(wanted(value.as_bytes(), 0), expected, "{value}");
        }
    }
}
