//! Tables of what is sent to a server of HTTP and what is to come back, and of what a client
//! is sent: how they are read, and how an answer is judged. Used by host tests and by
//! `cargo mk bench http`.
//!
//! A table is a text file. `[name]` begins a group, `#` a comment; each other line is a case:
//!
//! ```text
//! name | section | expected | bytes
//! ```
//!
//! The section is one of an RFC, such as `9112 7.1`. In the bytes, `\r`, `\n`, `\t`, `\0`,
//! `\\` and `\xHH` are what they are in Rust; besides
//!
//! * `\G`, `\P`, `\C`: `GET / HTTP/1.1` or `POST / HTTP/1.1` and `Host: h` with their line
//!   ends; `\C` is `\P` with `Transfer-Encoding: chunked` and the end of the head;
//! * `\H`: ` HTTP/1.1` and `Host: h` behind a method and a target, without a line end;
//! * `\E`: the empty line at the end of a head, with the line end before it;
//! * `\(TEXT*COUNT)`: a text so many times;
//! * `\W`: here the client waits for the answer to what it sent so far.
//!
//! Expected are words, all of which have to hold, or all of those before or behind an `or`:
//!
//! * numbers such as `200` or `400/501`, and `2xx`: the statuses of all answers in their
//!   order; `!101` is any other, and `none` is no answer at all;
//! * `refused`: an error, or no answer, and the connection is closed;
//! * `open` and `closed`: the state of the connection after it;
//! * `body=TEXT`, `field=NAME`, `field=NAME:VALUE`, `without=NAME`: of the last answer, with
//!   the escapes of bytes, and `\_` for a blank; `in=TEXT` and `not=TEXT` are a part of its
//!   body and none, `part=NAME:TEXT` is one of a field, `size=N` the bytes of its body. `why`
//!   is a body, a type and a date of an error.

use std::borrow::ToOwned;
use std::format;
use std::string::String;
use std::vec::Vec;

/// A line of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// The group that it belongs to.
    pub(super) group: String,
    /// Its name.
    pub(super) name: String,
    /// Where the RFCs say it.
    pub(super) section: String,
    /// The words that have to hold.
    pub(super) expected: Vec<String>,
    /// What is sent, with a wait for the answer between the parts.
    pub(super) parts: Vec<Vec<u8>>,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// All bytes.
    pub(super) bytes: Vec<u8>,
    /// The server closed the connection by itself.
    pub(super) closed: bool,
}

/// The cases of a table.
///
/// # Errors
/// The line that is none, and why.
pub(super) fn read(table: &str) -> Result<Vec<Case>, String> {
    let (mut cases, mut group) = (Vec::<Case>::new(), String::new());
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            group = name.to_owned();
            continue;
        }
        let mut columns = line.splitn(4, " | ").map(str::trim);
        let mut column = || columns.next().ok_or_else(|| format!("four columns: {line}"));
        let (name, section, expected) = (column()?, column()?, column()?);
        let case = Case {
            group: group.clone(),
            name: name.to_owned(),
            section: section.to_owned(),
            expected: expected.split_whitespace().map(str::to_owned).collect(),
            parts: bytes(column()?).ok_or_else(|| format!("an unknown escape: {line}"))?,
        };
        if cases.iter().any(|other| other.name == case.name) {
            return Err(format!("two cases have this name: {name}"));
        }
        cases.push(case);
    }
    Ok(cases)
}

/// What a text with escapes stands for.
pub(super) fn bytes(text: &str) -> Option<Vec<Vec<u8>>> {
    let (mut parts, mut rest) = (Vec::from([Vec::new()]), text.as_bytes());
    while let [first, after @ ..] = rest {
        let part = parts.last_mut()?;
        rest = after;
        if *first != b'\\' {
            part.push(*first);
            continue;
        }
        let (&escape, after) = rest.split_first()?;
        rest = after;
        match escape {
            b'r' => part.push(b'\r'),
            b'n' => part.push(b'\n'),
            b't' => part.push(b'\t'),
            b'0' => part.push(0),
            b'_' => part.push(b' '),
            b'\\' => part.push(b'\\'),
            b'x' => {
                let (digits, after) = rest.split_at_checked(2)?;
                part.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                rest = after;
            }
            b'G' => part.extend(b"GET / HTTP/1.1\r\nHost: h\r\n"),
            b'P' => part.extend(b"POST / HTTP/1.1\r\nHost: h\r\n"),
            b'C' => {
                part.extend(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
            }
            b'H' => part.extend(b" HTTP/1.1\r\nHost: h"),
            b'E' => part.extend(b"\r\n\r\n"),
            b'W' => parts.push(Vec::new()),
            b'(' => {
                let end = end_of_repeated(rest)?;
                let inner = std::str::from_utf8(&rest[..end]).ok()?;
                let (text, count) = inner.rsplit_once('*')?;
                part.extend(bytes(text)?.concat().repeat(count.parse().ok()?));
                rest = &rest[end + 1..];
            }
            _ => return None,
        }
    }
    Some(parts)
}

/// Where the parenthesis ends that `text` begins behind; others may be within.
fn end_of_repeated(text: &[u8]) -> Option<usize> {
    let mut depth = 0;
    text.iter().enumerate().position(|(at, byte)| {
        depth += usize::from(text[at..].starts_with(br"\("));
        let ends = *byte == b')' && depth == 0;
        depth -= usize::from(*byte == b')' && !ends);
        ends
    })
}

/// An answer among those that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its code.
    pub(super) status: u16,
    /// Names and values.
    pub(super) fields: Vec<(String, String)>,
    /// The content, without chunks.
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The value of the first field of this name.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields.find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The answers in `outcome` to what was `sent`, as far as they are whole.
///
/// # Errors
/// What is no answer, or is one that nothing was asked for.
pub(super) fn answers(outcome: &Outcome, sent: &[u8]) -> Result<Vec<Answer>, String> {
    let (mut all, mut rest) = (Vec::new(), &outcome.bytes[..]);
    let mut heads = sent.starts_with(b"HEAD ");
    while !rest.is_empty() {
        let shown = || format!("no answer: {}", String::from_utf8_lossy(rest));
        let end = find(rest, b"\r\n\r\n").ok_or_else(shown)?;
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 4..];
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap_or_default();
        let status = status.strip_prefix("HTTP/1.").and_then(|it| it.get(2..5)?.parse().ok());
        let status: u16 = status.ok_or_else(|| format!("no status: {head}"))?;
        let fields = lines.map(|line| line.split_once(':').ok_or(line));
        let fields =
            fields.map(|it| it.map(|(name, value)| (name.to_owned(), value.trim().to_owned())));
        let fields = fields.collect::<Result<_, _>>().map_err(|it| format!("no field: {it}"))?;
        let mut answer = Answer { status, fields, body: Vec::new() };
        let empty = heads || matches!(status, 100..200 | 204 | 304);
        // Only the first request of a case may be HEAD.
        heads &= status < 200;
        if !empty {
            rest = body(&mut answer, rest, outcome.closed)?;
        }
        all.push(answer);
    }
    Ok(all)
}

/// Takes the content of an answer from `rest`: what follows it.
fn body<'a>(answer: &mut Answer, mut rest: &'a [u8], closed: bool) -> Result<&'a [u8], String> {
    let cut = || format!("the content of an answer {} is cut", answer.status);
    if let Some(length) = answer.field("content-length") {
        let length = length.parse().map_err(|_| format!("the length {length}"))?;
        let (body, after) = rest.split_at_checked(length).ok_or_else(cut)?;
        answer.body = body.to_vec();
        return Ok(after);
    }
    if answer.field("transfer-encoding").is_none() {
        if !closed {
            return Err(cut());
        }
        answer.body = rest.to_vec();
        return Ok(&[]);
    }
    let mut body = Vec::new();
    loop {
        let end = find(rest, b"\r\n").ok_or_else(cut)?;
        let size = std::str::from_utf8(&rest[..end]).ok();
        let size = size.and_then(|size| usize::from_str_radix(size, 16).ok()).ok_or_else(cut)?;
        let chunk = rest.get(end + 2..end + 2 + size).ok_or_else(cut)?;
        body.extend_from_slice(chunk);
        rest = rest.get(end + 2 + size..).unwrap_or_default();
        rest = rest.strip_prefix(b"\r\n").ok_or_else(cut)?;
        if size == 0 {
            answer.body = body;
            return Ok(rest);
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|it| it == what)
}

/// Whether a status is one of those in `word`.
fn is_status(status: u16, word: &str) -> bool {
    if let Some(other) = word.strip_prefix('!') {
        return !is_status(status, other);
    }
    word.split('/').any(|code| match code.strip_suffix("xx") {
        Some(class) => class.parse() == Ok(status / 100),
        None => code.parse() == Ok(status),
    })
}

/// Whether a word of a case tells of a status.
fn tells_status(word: &str) -> bool {
    word == "none" || word.trim_start_matches('!').starts_with(|it: char| it.is_ascii_digit())
}

/// Judges what came back.
///
/// # Errors
/// What is not as expected.
pub(super) fn judge(case: &Case, outcome: &Outcome) -> Result<(), String> {
    let mut answers = answers(outcome, &case.parts.concat())?;
    // Who does not wait for leave may be given it all the same (RFC 9110, section 10.1.1).
    if !case.expected.iter().any(|word| word == "100") {
        answers.retain(|answer| answer.status != 100);
    }
    let results = case.expected.split(|word| word == "or");
    let results: Vec<_> =
        results.map(|words| holds(words, &answers, outcome.closed).err()).collect();
    match results.iter().any(Option::is_none) {
        true => Ok(()),
        false => Err(results.into_iter().flatten().collect::<Vec<_>>().join("; ")),
    }
}

/// Whether all `words` hold for what came.
fn holds(words: &[String], answers: &[Answer], closed: bool) -> Result<(), String> {
    let found: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    let state = if closed { "closed" } else { "open" };
    let all = || format!("{found:?} and {state}, not {}", words.join(" "));
    let mut statuses = words.iter().filter(|word| tells_status(word)).peekable();
    if statuses.peek().is_some() {
        let mut found = found.iter();
        for word in statuses.filter(|word| *word != "none") {
            found.next().filter(|status| is_status(**status, word)).ok_or_else(all)?;
        }
        if found.next().is_some() {
            return Err(all());
        }
    }
    for word in words.iter().filter(|word| !tells_status(word)) {
        let (kind, argument) = word.split_once('=').unwrap_or((word, ""));
        let argument = bytes(argument).map(|parts| parts.concat()).unwrap_or_default();
        let text = String::from_utf8_lossy(&argument);
        let last = answers.last();
        let holds = match kind {
            "open" | "closed" => kind == state,
            "refused" => closed && found.iter().all(|status| *status >= 400),
            "why" => last.is_some_and(|it| {
                let fields = ["content-type", "date"];
                !it.body.is_empty() && fields.iter().all(|name| it.field(name).is_some())
            }),
            "body" => last.is_some_and(|it| it.body == argument),
            "in" => last.is_some_and(|it| find(&it.body, &argument).is_some()),
            "not" => last.is_some_and(|it| find(&it.body, &argument).is_none()),
            "size" => last.is_some_and(|it| text.parse() == Ok(it.body.len())),
            "part" => last.is_some_and(|it| {
                let (name, part) = text.split_once(':').unwrap_or_default();
                it.field(name).is_some_and(|value| value.contains(part))
            }),
            "without" => last.is_some_and(|it| it.field(&text).is_none()),
            "field" => last.is_some_and(|it| match text.split_once(':') {
                Some((name, value)) => it.field(name) == Some(value),
                None => it.field(&text).is_some(),
            }),
            _ => return Err(format!("an unknown word: {word}")),
        };
        if !holds {
            return Err(format!("{word} does not hold: {}", all()));
        }
    }
    Ok(())
}
