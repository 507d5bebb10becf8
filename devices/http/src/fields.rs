//! What the fields of a request say of how it is read.

use super::Status;
use super::syntax::{self, Refusal, bad, decimal, elements};

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// This many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
    /// By the end of the connection: answers only.
    Close,
}

/// What the fields say of the message.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    pub hosts: usize,
    types: usize,
    length: Option<u64>,
    coding: Option<Coding>,
    close: bool,
    keep: bool,
    pub expects: bool,
}

/// The value of the first of these fields that has this name.
pub(super) fn named<'a>(
    mut fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    name: &str,
) -> Option<&'a [u8]> {
    Some(fields.find(|(found, _)| found.eq_ignore_ascii_case(name))?.1)
}

/// Whether the version is 1.1 or can be read as that, rather than 1.0 (RFC 9110, sections
/// 2.5 and 6.2).
pub(super) fn version_of(version: &[u8]) -> Result<bool, Refusal> {
    match version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            if *major == b'1' {
                return Ok(*minor != b'0');
            }
            let why = "only HTTP/1.1 and HTTP/1.0 are supported";
            Err(Refusal { status: Status::VERSION, why })
        }
        _ => Err(bad("the version is not that of HTTP")),
    }
}

/// Whether the comma-separated list `value` holds `word`.
pub(super) fn lists(value: &[u8], word: &[u8]) -> bool {
    elements(value).any(|item| item.eq_ignore_ascii_case(word))
}

/// Which transfer coding a body is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// `chunked` and no other.
    Chunked,
    /// One that is not implemented.
    Unknown,
}

/// What the list in a field Transfer-Encoding says (RFC 9112, sections 6.1 and 7).
fn coding(value: &[u8]) -> Result<Coding, Refusal> {
    let (mut chunked, mut other) = (false, false);
    for element in elements(value) {
        // It ends the body, so it is the last, and has no parameters.
        if chunked {
            return Err(bad("chunked is not the last transfer coding"));
        }
        let end = element.iter().position(|&byte| byte == b';').unwrap_or(element.len());
        let (name, parameters) = element.split_at(end);
        if name.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            if !parameters.is_empty() {
                return Err(bad("chunked must not have parameters"));
            }
            chunked = true;
        } else if syntax::is_token(name.trim_ascii()) {
            other = true;
        } else {
            return Err(bad("Transfer-Encoding does not name a transfer coding"));
        }
    }
    match (chunked, other) {
        (true, false) => Ok(Coding::Chunked),
        (_, true) => Ok(Coding::Unknown),
        (false, false) => Err(bad("Transfer-Encoding does not name a transfer coding")),
    }
}

impl Fields {
    /// Takes note of a field, if it says how the message is to be read.
    pub(super) fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        // Most names have another length.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.hosts += 1;
                if self.hosts > 1 {
                    return Err(bad("there are two fields Host"));
                }
                if !syntax::is_host(value) {
                    return Err(bad("the field Host does not hold a host"));
                }
            }
            6 if name.eq_ignore_ascii_case(b"expect") => {
                for expectation in elements(value) {
                    if !expectation.eq_ignore_ascii_case(b"100-continue") {
                        let why = "nothing but 100-continue can be expected";
                        return Err(Refusal { status: Status::EXPECTATION_FAILED, why });
                    }
                    self.expects = true;
                }
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.close |= lists(value, b"close");
                self.keep |= lists(value, b"keep-alive");
            }
            12 if name.eq_ignore_ascii_case(b"content-type") => {
                self.types += 1;
                if self.types > 1 {
                    return Err(bad("there are two fields Content-Type"));
                }
            }
            14 if is_like(name, b"content-length") => {
                plainly(name)?;
                for length in value.split(|&byte| byte == b',') {
                    let why = "Content-Length is not a number of bytes";
                    let length = decimal(length.trim_ascii()).ok_or(bad(why))?;
                    // The same twice may be two fields that were joined.
                    if self.length.is_some() {
                        return Err(bad("there are two fields Content-Length"));
                    }
                    self.length = Some(length);
                }
            }
            17 if is_like(name, b"transfer-encoding") => {
                plainly(name)?;
                if self.coding.is_some() {
                    return Err(bad("there are two fields Transfer-Encoding"));
                }
                self.coding = Some(coding(value)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// How the body is delimited; nothing if no field says so. A message that says it in
    /// two ways is refused (RFC 9112, sections 6.1 and 6.3).
    pub(super) fn framing(&self, newest: bool) -> Result<Option<Framing>, Refusal> {
        match (self.coding, self.length) {
            (None, length) => Ok(length.map(Framing::Length)),
            (Some(_), Some(_)) => Err(bad("there are both Content-Length and Transfer-Encoding")),
            (Some(_), None) if !newest => Err(bad("HTTP/1.0 has no Transfer-Encoding")),
            (Some(Coding::Chunked), None) => Ok(Some(Framing::Chunked)),
            (Some(Coding::Unknown), None) => Err(Refusal {
                status: Status::NOT_IMPLEMENTED,
                why: "no transfer coding but chunked is implemented",
            }),
        }
    }

    /// Whether the connection may be used again (RFC 9112, section 9.3).
    pub(super) fn keep(&self, newest: bool) -> bool {
        !self.close && (newest || self.keep)
    }
}

/// Whether it is `expected` in any case, also with `_` for `-`, which gateways that put
/// names into variables of an environment cannot tell apart.
fn is_like(name: &[u8], expected: &[u8]) -> bool {
    let is_like = |(&byte, &expected): (&u8, &u8)| {
        byte.eq_ignore_ascii_case(&expected) || (byte == b'_' && expected == b'-')
    };
    name.len() == expected.len() && name.iter().zip(expected).all(is_like)
}

/// Refuses the name of a field that looks like one which delimits bodies.
fn plainly(name: &[u8]) -> Result<(), Refusal> {
    match name.contains(&b'_') {
        true => Err(bad("a field is named like Content-Length or Transfer-Encoding")),
        false => Ok(()),
    }
}
