//! The grammar that heads and bodies share: lines, fields, tokens, hosts, targets and
//! chunk sizes (RFC 9110, section 5; RFC 9112, sections 2, 5 and 7; RFC 3986).

use super::Status;
use core::net::Ipv6Addr;

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: Status,
    /// For people: what is wrong.
    pub why: &'static str,
}

/// Refuses with 400.
pub(super) const fn bad(why: &'static str) -> Refusal {
    Refusal { status: Status::BAD_REQUEST, why }
}

/// A character of a token: names of methods, fields, codings (RFC 9110, section 5.6.2).
const TOKEN: u8 = 1;
/// A character of a path or a query (RFC 3986, section 3.3), or one of ``[]^`{|}``, which
/// browsers do not encode there (WHATWG URL).
const TARGET: u8 = 2;
/// A character of a host's name (RFC 3986, section 3.2.2) but the comma, which two fields
/// Host that were joined would have between them.
const HOST: u8 = 4;

/// Which of these each ASCII character is.
const CLASSES: [u8; 128] = {
    let mut classes = [0; 128];
    let sets: [(u8, &[u8]); 3] = [
        (TOKEN, b"!#$%&'*+-.^_`|~"),
        (TARGET, b"-._~!$&'()*+,;=:@/?[]^`{|}"),
        (HOST, b"-._~!$&'()*+;="),
    ];
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphanumeric() {
            classes[byte] = TOKEN | TARGET | HOST;
        }
        byte += 1;
    }
    let mut set = 0;
    while set < sets.len() {
        let (class, characters) = sets[set];
        let mut at = 0;
        while at < characters.len() {
            classes[characters[at] as usize] |= class;
            at += 1;
        }
        set += 1;
    }
    classes
};

fn is(byte: u8, class: u8) -> bool {
    CLASSES.get(usize::from(byte)).is_some_and(|classes| classes & class != 0)
}

/// How many characters of this class it begins with.
fn span(bytes: &[u8], class: u8) -> usize {
    bytes.iter().position(|&byte| !is(byte, class)).unwrap_or(bytes.len())
}

pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && span(bytes, TOKEN) == bytes.len()
}

/// Whether it can be the value of a field: no control characters but tabs.
pub(super) fn is_value(bytes: &[u8]) -> bool {
    bytes.split(|&byte| byte == b'\t').all(|part| printable(part) == part.len())
}

/// The elements of a comma-separated list; empty ones are no elements (RFC 9110, section
/// 5.6.1).
pub(super) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let elements = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    elements.filter(|element| !element.is_empty())
}

/// A number: decimal digits and nothing else (RFC 9110, section 8.6). What does not fit is
/// none.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether it is a host, with or without a port (RFC 9110, section 7.2; RFC 3986, section
/// 3.2). One without a name is none (RFC 9110, section 4.2.1).
pub(super) fn is_host(text: &[u8]) -> bool {
    let (is_host, port) = match text {
        [b'[', inner @ ..] => {
            let end = inner.iter().position(|&byte| byte == b']').unwrap_or(inner.len());
            let (host, after) = inner.split_at(end);
            let host = core::str::from_utf8(host).ok().and_then(|host| host.parse().ok());
            (host.is_some_and(|_: Ipv6Addr| true), after.get(1..))
        }
        _ => {
            let mut end = span(text, HOST);
            while escape(&text[end..]).is_some() {
                end += 3;
                end += span(&text[end..], HOST);
            }
            (end > 0, text.get(end..))
        }
    };
    is_host
        && match port {
            Some([]) => true,
            // A port may be left out behind its colon.
            Some([b':']) => true,
            Some([b':', port @ ..]) => decimal(port).is_some_and(|port| port <= 0xFFFF),
            _ => false,
        }
}

/// The byte that a percent sign and two hexadecimal digits at the beginning stand for.
fn escape(text: &[u8]) -> Option<u8> {
    match text {
        [b'%', high, low, ..] => Some((hexadecimal(*high)? << 4) | hexadecimal(*low)?),
        _ => None,
    }
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

/// Whether it is a path, which may be empty, with or without a query. What stands behind a
/// percent sign in a query is the app's: browsers send such signs there as they are. In a
/// path it is two digits, and not those of NUL, with which no name of a file goes on.
pub(super) fn is_target(target: &[u8]) -> bool {
    let (mut at, mut query) = (0, false);
    loop {
        let rest = &target[at..];
        let count = span(rest, TARGET);
        query |= rest[..count].contains(&b'?');
        match rest.get(count..) {
            None | Some([]) => return true,
            Some([b'%', ..]) if query => at += count + 1,
            Some(rest) if escape(rest).is_some_and(|byte| byte != 0) => at += count + 3,
            Some(_) => return false,
        }
    }
}

/// Finds lines in bytes that arrive bit by bit, each byte looked at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    /// Where the current line begins.
    pub start: usize,
    /// Up to where it is known to have no end.
    seen: usize,
}

impl Lines {
    /// The next line of `bytes`, without its end; `None` if that has not come. Only with
    /// `bare` may an LF without a CR end it (RFC 9112, section 2.2).
    ///
    /// # Errors
    /// A control character within the line (RFC 9110, section 5.5).
    pub(super) fn next<'a>(
        &mut self,
        bytes: &'a [u8],
        bare: bool,
    ) -> Result<Option<&'a [u8]>, Refusal> {
        loop {
            self.seen += printable(bytes.get(self.seen..).unwrap_or_default());
            let end = match bytes.get(self.seen..).unwrap_or_default() {
                [b'\t', ..] => {
                    self.seen += 1;
                    continue;
                }
                [] | [b'\r'] => return Ok(None),
                [b'\r', b'\n', ..] => 2,
                [b'\n', ..] if bare => 1,
                [b'\n', ..] => return Err(bad("a line ends with LF instead of CR LF")),
                _ => return Err(bad("there is a control character")),
            };
            let line = bytes.get(self.start..self.seen);
            self.seen += end;
            self.start = self.seen;
            return Ok(Some(line.unwrap_or_default()));
        }
    }
}

/// How many bytes before the first control character.
fn printable(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut count = 0;
    for word in bytes.chunks_exact(8) {
        // Eight bytes at a time: the highest bit of each byte below 32, or that is DEL. The
        // lowest such bit is right; those above it may be wrong by a borrow.
        let word = word.try_into().map(u64::from_le_bytes).unwrap_or_default();
        let below = word.wrapping_sub(ONES * 0x20) & !word;
        let delete = word ^ (ONES * 0x7F);
        let delete = delete.wrapping_sub(ONES) & !delete;
        let found = (below | delete) & (ONES * 0x80);
        if found != 0 {
            return count + found.trailing_zeros() as usize / 8;
        }
        count += 8;
    }
    let rest = bytes.get(count..).unwrap_or_default();
    count + rest.iter().position(u8::is_ascii_control).unwrap_or(rest.len())
}

/// The name and the value of a field line (RFC 9112, section 5). A line that begins with
/// white space, and would go on with the field before, has no name.
pub(super) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let (name, value) = line.split_at(span(line, TOKEN));
    match value {
        [b':', value @ ..] if !name.is_empty() => Ok((name, value.trim_ascii())),
        _ => Err(bad("a field has no name, or no colon behind it")),
    }
}

/// The fields of a head that was parsed, or of a part of it that begins with a line.
pub(super) fn fields(head: Option<&[u8]>) -> impl Iterator<Item = (&str, &[u8])> + Clone {
    let (head, mut lines) = (head.unwrap_or_default(), Lines::default());
    core::iter::from_fn(move || {
        let (name, value) = field(lines.next(head, true).ok()??).ok()?;
        Some((core::str::from_utf8(name).ok()?, value))
    })
}

/// The size of a chunk and how many bytes its extensions have, from the line before it
/// (RFC 9112, section 7.1).
pub(super) fn chunk_size(line: &[u8]) -> Result<(u64, usize), Refusal> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, extensions) = line.split_at(digits);
    if digits.is_empty() || !are_extensions(extensions) {
        return Err(bad("a chunk does not begin with its size"));
    }
    let size = digits.iter().try_fold(0_u64, |size, &digit| {
        let digit = u64::from(hexadecimal(digit)?);
        (size >> 60 == 0).then_some((size << 4) | digit)
    });
    Ok((size.ok_or(bad("a chunk is larger than any may be"))?, extensions.len()))
}

/// Whether it is any number of `;name`, `;name=token` and `;name="text"`, with white space
/// only before a semicolon, a name, an equals sign and a value (RFC 9112, section 7.1.1).
fn are_extensions(mut text: &[u8]) -> bool {
    fn blanks(text: &[u8]) -> &[u8] {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        &text[text.iter().position(|byte| !is_blank(byte)).unwrap_or(text.len())..]
    }
    fn after_token(text: &[u8]) -> Option<&[u8]> {
        let count = span(text, TOKEN);
        (count > 0).then_some(&text[count..])
    }
    while !text.is_empty() {
        let [b';', name @ ..] = blanks(text) else { return false };
        let Some(rest) = after_token(blanks(name)) else { return false };
        let [b'=', value @ ..] = blanks(rest) else {
            text = rest;
            continue;
        };
        let rest = match blanks(value) {
            [b'"', quoted @ ..] => after_quoted(quoted),
            value => after_token(value),
        };
        let Some(rest) = rest else { return false };
        text = rest;
    }
    true
}

/// What follows the quotation mark that ends a quoted string (RFC 9110, section 5.6.4).
fn after_quoted(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        text = match text {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', _, rest @ ..] | [_, rest @ ..] => rest,
            [] => return None,
        };
    }
}
