//! The head of a response (RFC 9112, sections 4, 5 and 6.3), as a user agent reads it.
//!
//! A client has nobody behind it who might read the same bytes differently, so it is as
//! lenient as the RFC lets a user agent be (lines that end in a bare LF, folded values,
//! no reason phrase), and refuses what has no meaning or two of them. A head has no limit
//! but its bytes: fields are found by looking, and nothing is kept of them.

use crate::Status;
use crate::fields::Framing;
use crate::syntax::{decimal, is_token};

/// Says how a response breaks the rules of HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// They do not begin with `HTTP/1.`, a digit, a blank and a status of three digits.
    StatusLine,
    /// A line is no field: it has no colon, or a name that is none.
    Field,
    /// A CR that no LF follows, or a NUL.
    Character,
    /// `Content-Length` is no number, or one beyond 2^64, or says two different ones.
    Length,
    /// `Transfer-Encoding` names a coding that is not known, or `chunked` twice.
    Transfer,
    /// It is 101, and no other protocol was asked for.
    Switch,
    /// A chunk or the fields after the last one break the rules.
    Chunk,
}

impl core::fmt::Display for Flaw {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::StatusLine => "its first line is not a status line",
            Self::Field => "its head has a line that is not a field",
            Self::Character => "its head holds a NUL or a bare CR",
            Self::Length => "its Content-Length is not a length",
            Self::Transfer => "its Transfer-Encoding is not known",
            Self::Switch => "it switches to a protocol that nobody asked for",
            Self::Chunk => "a chunk of its body breaks the rules",
        })
    }
}

impl core::error::Error for Flaw {}

/// How content is coded (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Deflate,
    /// Otherwise, or more than once.
    Other,
}

impl Coding {
    /// What comes of this coding and then the one that `name` is.
    fn and(self, name: &[u8]) -> Self {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        match self {
            _ if is(b"identity") || name.is_empty() => self,
            Self::Identity if is(b"gzip") || is(b"x-gzip") => Self::Gzip,
            Self::Identity if is(b"deflate") => Self::Deflate,
            _ => Self::Other,
        }
    }
}

/// What a head says.
#[derive(Clone, Debug)]
pub(super) struct ResponseHead {
    /// Its bytes, the empty line included.
    pub length: usize,
    pub status: Status,
    pub framing: Framing,
    /// The length that is said, even of a body that does not come.
    pub said: Option<u64>,
    /// How the content is coded, and how it is for the transfer besides.
    pub content: Coding,
    pub transfer: Coding,
    /// The connection may be used again.
    pub keep: bool,
}

/// Gives what the head of a response says.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    bytes: &'a [u8],
    head: &'a ResponseHead,
}

impl<'a> Response<'a> {
    pub(super) const fn new(bytes: &'a [u8], head: &'a ResponseHead) -> Self {
        Self { bytes, head }
    }

    /// Returns the status code. Numbers below 100 and above 599 count as a failure of the server
    /// (RFC 9110, section 15).
    #[must_use]
    pub const fn status(&self) -> Status {
        self.head.status
    }

    /// Returns whether the request failed: for a status of 400 and more, or below 100.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        !matches!(self.head.status.0, 100..400)
    }

    /// Returns the length of the content that the server announces, in bytes as they come, coded
    /// or not; for HEAD, that of GET. `None` for content in chunks or up to the end of the
    /// connection.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        self.head.said
    }

    /// Returns the value of the first field named `name`, in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        let is_named = |field: &[u8]| field.eq_ignore_ascii_case(name.as_bytes());
        self.fields().find(|(field, _)| is_named(field)).map(|(_, value)| value)
    }

    /// Iterates over the names and values of all fields in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        lines(self.bytes).skip(1).filter_map(split)
    }

    /// Returns the status line.
    #[must_use]
    pub fn line(&self) -> &'a [u8] {
        lines(self.bytes).next().unwrap_or_default()
    }
}

/// The lines of a head up to the empty one, without their ends.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .take_while(|line| !line.is_empty())
}

/// The name and the value of a field, if the line is one. A blank before the colon goes,
/// as a proxy would have to take it away (RFC 9112, section 5.1).
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    let name = name.trim_ascii_end();
    is_token(name).then_some((name, value.get(1..)?.trim_ascii()))
}

/// Where the head at the beginning of `bytes` ends, if it does, when there is no end in
/// the first `seen` bytes.
fn end(bytes: &[u8], seen: usize) -> Option<usize> {
    // An end may have begun three bytes before.
    let mut from = seen.saturating_sub(3);
    loop {
        let at = from + bytes.get(from..)?.iter().position(|&byte| byte == b'\n')?;
        match bytes.get(at + 1..)? {
            [b'\n', ..] => return Some(at + 2),
            [b'\r', b'\n', ..] => return Some(at + 3),
            _ => from = at + 1,
        }
    }
}

/// The status of a status line and whether it is of HTTP/1.1 or a later HTTP/1.
fn status(line: &[u8]) -> Option<(Status, bool)> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let [version @ b'0'..=b'9', b' ', a, b, c, rest @ ..] = rest else { return None };
    let digits = [a, b, c];
    if !digits.iter().all(|digit| digit.is_ascii_digit()) || !matches!(rest, [] | [b' ', ..]) {
        return None;
    }
    let code = digits.iter().fold(0, |code, &digit| code * 10 + u16::from(digit - b'0'));
    Some((Status(code), *version > b'0'))
}

/// A length, or the same one several times in a list (RFC 9112, section 6.3).
fn length(value: &[u8]) -> Result<u64, Flaw> {
    let mut found = None;
    for item in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
        let length = decimal(item).ok_or(Flaw::Length)?;
        if found.is_some_and(|found| found != length) {
            return Err(Flaw::Length);
        }
        found = Some(length);
    }
    found.ok_or(Flaw::Length)
}

/// What the fields say of the body.
struct Said {
    length: Option<Result<u64, Flaw>>,
    /// There is a `Transfer-Encoding`; what it is besides `chunked`.
    transfer: Option<Coding>,
    /// `chunked` is the last coding.
    chunked: bool,
    /// It is not the last, or there twice.
    twice: bool,
    content: Coding,
    close: bool,
    keep: bool,
}

impl Said {
    fn take(&mut self, name: &[u8], value: &[u8]) {
        let items = || value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = length(value);
            self.length = match self.length {
                Some(other) if other != length => Some(Err(Flaw::Length)),
                _ => Some(length),
            };
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let mut coding = self.transfer.unwrap_or(Coding::Identity);
            for item in items() {
                // Nothing may follow the chunks.
                self.twice |= self.chunked && !item.is_empty();
                match item.eq_ignore_ascii_case(b"chunked") {
                    true => self.chunked = true,
                    false => coding = coding.and(item),
                }
            }
            self.transfer = Some(coding);
        } else if name.eq_ignore_ascii_case(b"content-encoding") {
            self.content = items().fold(self.content, Coding::and);
        } else if name.eq_ignore_ascii_case(b"connection") {
            let lists = |word: &[u8]| items().any(|item| item.eq_ignore_ascii_case(word));
            self.close |= lists(b"close");
            self.keep |= lists(b"keep-alive");
        }
    }

    /// How the body is delimited (RFC 9112, section 6.3, in that order).
    fn framing(&self, status: Status, to_head: bool) -> Result<Framing, Flaw> {
        if to_head || matches!(status.0, 100..200 | 204 | 304) {
            return Ok(Framing::Length(0));
        }
        match self.transfer {
            Some(Coding::Other) => Err(Flaw::Transfer),
            Some(_) if self.twice => Err(Flaw::Transfer),
            Some(_) if self.chunked => Ok(Framing::Chunked),
            Some(_) => Ok(Framing::Close),
            None => self.length.map_or(Ok(Framing::Close), |length| Ok(Framing::Length(length?))),
        }
    }
}

/// Makes one line of each folded one (RFC 9112, section 5.2).
fn unfold(head: &mut [u8]) {
    for at in 0..head.len() {
        if head.get(at) == Some(&b'\n') && matches!(head.get(at + 1), Some(b' ' | b'\t')) {
            head[at] = b' ';
            if let Some(before) = at.checked_sub(1).and_then(|at| head.get_mut(at))
                && *before == b'\r'
            {
                *before = b' ';
            }
        }
    }
}

/// Parses the head at the beginning of `bytes`, the answer to HEAD if `to_head`, when
/// there is no end of it in the first `seen` bytes. `None` when it is not complete.
///
/// # Errors
/// Why it is none.
pub(super) fn parse(
    bytes: &mut [u8],
    seen: usize,
    to_head: bool,
) -> Result<Option<ResponseHead>, Flaw> {
    // What is none is told from its first bytes on, however long it is.
    let begin = b"HTTP/1.";
    if !bytes.iter().zip(begin).all(|(byte, expected)| byte == expected) {
        return Err(Flaw::StatusLine);
    }
    let Some(length) = end(bytes, seen) else { return Ok(None) };
    let head = bytes.get_mut(..length).unwrap_or_default();
    let first = head.iter().position(|&byte| byte == b'\n').map_or(length, |at| at + 1);
    let fields = head.get_mut(first..).unwrap_or_default();
    // A line that begins with a blank continues the one before, which is no field here.
    if fields.starts_with(b" ") || fields.starts_with(b"\t") {
        return Err(Flaw::Field);
    }
    unfold(fields);
    let bare = |pair: &[u8]| pair.first() == Some(&b'\r') && pair.get(1) != Some(&b'\n');
    if head.contains(&0) || head.windows(2).any(bare) {
        return Err(Flaw::Character);
    }
    let mut lines = lines(head);
    let (status, newest) = lines.next().and_then(status).ok_or(Flaw::StatusLine)?;
    let mut said = Said {
        length: None,
        transfer: None,
        chunked: false,
        twice: false,
        content: Coding::Identity,
        close: false,
        keep: false,
    };
    for line in lines {
        let (name, value) = split(line).ok_or(Flaw::Field)?;
        said.take(name, value);
    }
    let framing = said.framing(status, to_head)?;
    // What says its length in two ways, or in one that its version does not know, is read
    // as the RFC says, and nothing is read after it (RFC 9112, section 6.1).
    let doubtful = said.transfer.is_some() && (said.length.is_some() || !newest);
    let keep = framing != Framing::Close && !doubtful && !said.close && (newest || said.keep);
    let length_said = match framing {
        Framing::Length(0) => said.length.and_then(Result::ok).filter(|_| said.transfer.is_none()),
        Framing::Length(length) => Some(length),
        Framing::Chunked | Framing::Close => None,
    };
    Ok(Some(ResponseHead {
        length,
        status,
        framing,
        said: length_said,
        content: said.content,
        transfer: said.transfer.unwrap_or(Coding::Identity),
        keep,
    }))
}
