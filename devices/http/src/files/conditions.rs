//! What a request makes its answer depend on (RFC 9110, section 13).

use crate::{Request, parse_date};

/// What there is now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Current<'a> {
    /// Its entity tag, a strong one.
    pub tag: Option<&'a str>,
    /// When it was changed, in seconds since 1970.
    pub date: Option<u64>,
}

/// What follows from a request's conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is to be answered.
    Met,
    /// The client has it already.
    NotModified,
    /// It is not what the client speaks of.
    Failed,
}

/// Judges a GET or HEAD that would be answered with 200, in the order of section 13.2.2.
/// Dates are compared as times, with the clock at `now` seconds since 1970.
pub(super) fn judge(request: &Request<'_>, current: Current<'_>, now: u64) -> Verdict {
    // Several dates are none (sections 13.1.3 and 13.1.4), nor is there anything to compare
    // with where no date is known.
    let date = |name| parse_date(only(request, name)?, now);
    let tags = |name, weak| {
        let mut values = request.fields(name).peekable();
        values.peek()?;
        Some(values.any(|value| lists(value, current.tag, weak)))
    };
    let failed = match tags("If-Match", false) {
        Some(matches) => !matches,
        None => current.date.zip(date("If-Unmodified-Since")).is_some_and(|(own, date)| own > date),
    };
    if failed {
        return Verdict::Failed;
    }
    let unmodified = match tags("If-None-Match", true) {
        Some(matches) => matches,
        None => current.date.zip(date("If-Modified-Since")).is_some_and(|(own, date)| own <= date),
    };
    if unmodified { Verdict::NotModified } else { Verdict::Met }
}

/// The value of the field `Range`, unless it speaks of another state of the file (section
/// 13.1.5), which is compared strongly.
pub(super) fn range<'a>(request: &Request<'a>, current: Current<'_>, now: u64) -> Option<&'a [u8]> {
    let range = only(request, "Range")?;
    let mut conditions = request.fields("If-Range");
    let fits = match (conditions.next(), conditions.next()) {
        (None, _) => true,
        (Some(value), None) => {
            current.tag.is_some_and(|tag| tag.as_bytes() == value)
                || current.date.is_some_and(|own| parse_date(value, now) == Some(own))
        }
        _ => false,
    };
    fits.then_some(range)
}

/// The value of a field that stands there once.
fn only<'a>(request: &Request<'a>, name: &str) -> Option<&'a [u8]> {
    let mut values = request.fields(name);
    values.next().filter(|_| values.next().is_none())
}

/// Whether the list of entity tags in `value` holds `tag`, or is the `*` that stands for
/// every one. A list is read up to what does not belong in one.
fn lists(value: &[u8], tag: Option<&str>, weak: bool) -> bool {
    if value == b"*" {
        return true;
    }
    let mut rest = value;
    loop {
        let separates = |byte: &u8| matches!(byte, b' ' | b'\t' | b',');
        let start = rest.iter().position(|byte| !separates(byte)).unwrap_or(rest.len());
        rest = rest.get(start..).unwrap_or_default();
        let bare = rest.strip_prefix(b"W/");
        let Some((b'"', inner)) = bare.unwrap_or(rest).split_first() else { return false };
        // There may be commas and spaces inside, and no way to have a quote.
        let Some(end) = inner.iter().position(|&byte| byte == b'"') else { return false };
        let (inner, after) = inner.split_at(end);
        let own = tag.and_then(|tag| tag.strip_prefix('"')?.strip_suffix('"'));
        if own.is_some_and(|own| own.as_bytes() == inner) && (weak || bare.is_none()) {
            return true;
        }
        rest = after.get(1..).unwrap_or_default();
        if !rest.first().is_none_or(separates) {
            return false;
        }
    }
}

/// Whether what a request says of entity tags follows the grammar, and says something: what does
/// not is as good as nothing to who reads, but must not have a file changed.
pub(super) fn are_read(request: &Request<'_>) -> bool {
    ["If-Match", "If-None-Match"].iter().all(|name| {
        let mut lines = request.fields(name);
        let Some(first) = lines.next() else { return true };
        // Several lines are one list (RFC 9110, section 5.3), in which no `*` may stand.
        let mut others = lines.peekable();
        match (first, others.peek()) {
            (b"*", None) => true,
            (first, _) => is_list(first) && others.all(is_list),
        }
    })
}

/// Whether it is a list of entity tags, of one at least (RFC 9110, sections 5.6.1 and 8.8.3).
fn is_list(value: &[u8]) -> bool {
    let (mut rest, mut found) = (value.trim_ascii(), false);
    loop {
        while let Some(after) = rest.strip_prefix(b",") {
            rest = after.trim_ascii_start();
        }
        if rest.is_empty() {
            return found;
        }
        let Some(inner) = rest.strip_prefix(b"W/").unwrap_or(rest).strip_prefix(b"\"") else {
            return false;
        };
        let Some(end) = inner.iter().position(|&byte| byte == b'"') else { return false };
        let (inner, after) = inner.split_at(end);
        if inner.iter().any(|&byte| byte <= b' ' || byte == 0x7f) {
            return false;
        }
        found = true;
        rest = after.get(1..).unwrap_or_default().trim_ascii_start();
        if !matches!(rest.first(), None | Some(b',')) {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{is_list, lists};

    #[test]
    fn a_list_follows_the_grammar_or_is_none() {
        for (value, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"\"", true),
            ("\"a,b\" , W/\"c\"", true),
            (",\t, \"a\",,\"b\" , ", true),
            ("", false),
            (" , ", false),
            ("a", false),
            ("*", false),
            ("\"a", false),
            ("a\"", false),
            ("w/\"a\"", false),
            ("W/ \"a\"", false),
            ("\"a\" \"b\"", false),
            ("\"a\"\"b\"", false),
            ("\"a b\"", false),
            ("\"a\", *", false),
            ("\"a\", b", false),
        ] {
            assert_eq!(is_list(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn lists_of_tags_are_read_by_the_grammar() {
        for (value, strong, weak) in [
            ("*", true, true),
            ("\"a,b\"", true, true),
            ("W/\"a,b\"", false, true),
            ("\"x\", \"a,b\"", true, true),
            ("\"x\",\"a,b\"", true, true),
            (",, \"x\" ,\t\"a,b\" ,", true, true),
            ("W/\"x\", W/\"a,b\"", false, true),
            ("\"\", \"a,b\"", true, true),
            ("\"x", false, false),
            ("", false, false),
            ("a,b", false, false),
            ("'a,b'", false, false),
            ("w/\"a,b\"", false, false),
            ("W/ \"a,b\"", false, false),
            ("\"a,b", false, false),
            ("\"a, \"b\"", false, false),
            ("\"A,B\"", false, false),
            ("\"x\"\"a,b\"", false, false),
            ("\"x\", *", false, false),
            ("**", false, false),
        ] {
            assert_eq!(lists(value.as_bytes(), Some("\"a,b\""), false), strong, "{value}");
            assert_eq!(lists(value.as_bytes(), Some("\"a,b\""), true), weak, "{value}");
        }
        assert!(lists(b"*", None, false) && !lists(b"\"\"", None, true));
    }
}
