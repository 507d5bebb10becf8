//! What a request makes its answer depend on: pure functions of its fields (RFC 9110,
//! sections 13 and 14).

use core::ops::Range;
use devices::http::Request;

/// What is to be answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// All of the file.
    Whole,
    /// These bytes of it.
    Part(Range<u64>),
    /// The client has it already.
    NotModified,
    /// It is not the file that the client speaks of.
    Failed,
    /// There are no such bytes.
    Beyond,
}

/// Judges a request for a file of `size` bytes with this tag and date.
pub(crate) fn judge(request: &Request<'_>, tag: &str, date: Option<&str>, size: u64) -> Answer {
    of_fields(|name| request.field(name), tag, date, size)
}

fn of_fields<'a>(
    field: impl Fn(&str) -> Option<&'a [u8]>,
    tag: &str,
    date: Option<&str>,
    size: u64,
) -> Answer {
    let same_date = |value: &[u8]| date.is_some_and(|date| date.as_bytes() == value);
    if field("If-Match").is_some_and(|value| !lists(value, tag, false)) {
        return Answer::Failed;
    }
    let unmodified = match (field("If-None-Match"), field("If-Modified-Since")) {
        (Some(value), _) => lists(value, tag, true),
        (None, Some(value)) => same_date(value),
        (None, None) => false,
    };
    if unmodified {
        return Answer::NotModified;
    }
    // Of a file that has changed, a part is of no use.
    let fits = |value: &[u8]| value == tag.as_bytes() || same_date(value);
    match field("Range") {
        Some(value) if field("If-Range").is_none_or(fits) => range(value, size),
        _ => Answer::Whole,
    }
}

/// Whether the comma-separated list of tags in `value` holds `tag`.
fn lists(value: &[u8], tag: &str, weak: bool) -> bool {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).any(|item| {
        let bare = item.strip_prefix(b"W/").filter(|_| weak).unwrap_or(item);
        item == b"*" || bare == tag.as_bytes()
    })
}

/// One range of bytes. What is none, or several, is answered with the whole, as is
/// always right.
fn range(value: &[u8], size: u64) -> Answer {
    let number = |digits: &[u8]| {
        core::str::from_utf8(digits).ok().filter(|it| !it.starts_with('+'))?.parse::<u64>().ok()
    };
    let Some(range) = value.strip_prefix(b"bytes=") else { return Answer::Whole };
    let Some(dash) = range.iter().position(|&byte| byte == b'-') else { return Answer::Whole };
    let (first, last) = (range[..dash].trim_ascii(), range[dash + 1..].trim_ascii());
    let part = match (number(first), number(last)) {
        (Some(first), Some(last)) if last >= first => first..size.min(last.saturating_add(1)),
        (Some(first), None) if last.is_empty() => first..size,
        (None, Some(count)) if first.is_empty() => size - count.min(size)..size,
        _ => return Answer::Whole,
    };
    if part.start < part.end { Answer::Part(part) } else { Answer::Beyond }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"5-64\"";
    const DATE: &str = "Thu, 01 Jan 1970 00:00:05 GMT";

    fn answer(fields: &[(&str, &str)]) -> Answer {
        let field = |name: &str| {
            fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_bytes())
        };
        of_fields(field, TAG, Some(DATE), 100)
    }

    #[test]
    fn conditions_are_judged() {
        for (fields, expected) in [
            (&[][..], Answer::Whole),
            (&[("If-None-Match", TAG)], Answer::NotModified),
            (&[("If-None-Match", "\"x\", W/\"5-64\"")], Answer::NotModified),
            (&[("If-None-Match", "*")], Answer::NotModified),
            (&[("If-None-Match", "\"x\""), ("If-Modified-Since", DATE)], Answer::Whole),
            (&[("If-Modified-Since", DATE)], Answer::NotModified),
            (&[("If-Modified-Since", "yesterday")], Answer::Whole),
            (&[("If-Match", "\"x\"")], Answer::Failed),
            (&[("If-Match", "W/\"5-64\"")], Answer::Failed),
            (&[("If-Match", TAG)], Answer::Whole),
            (&[("Range", "bytes=1-2"), ("If-Range", "\"x\"")], Answer::Whole),
            (&[("Range", "bytes=1-2"), ("If-Range", TAG)], Answer::Part(1..3)),
            (&[("Range", "bytes=1-2"), ("If-Range", DATE)], Answer::Part(1..3)),
        ] {
            assert_eq!(answer(fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn ranges_are_within_the_file() {
        for (value, expected) in [
            ("bytes=0-0", Answer::Part(0..1)),
            ("bytes=90-", Answer::Part(90..100)),
            ("bytes=90-18446744073709551615", Answer::Part(90..100)),
            ("bytes=-10", Answer::Part(90..100)),
            ("bytes=-1000", Answer::Part(0..100)),
            ("bytes=-0", Answer::Beyond),
            ("bytes=100-", Answer::Beyond),
            ("bytes=5-4", Answer::Whole),
            ("bytes=1-2,4-5", Answer::Whole),
            ("bytes=+1-2", Answer::Whole),
            ("bytes=-", Answer::Whole),
            ("bytes=99999999999999999999-", Answer::Whole),
            ("lines=1-2", Answer::Whole),
        ] {
            assert_eq!(range(value.as_bytes(), 100), expected, "{value}");
        }
        assert_eq!(range(b"bytes=0-", 0), Answer::Beyond);
    }
}
