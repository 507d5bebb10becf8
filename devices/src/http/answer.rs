//! The head of an answer. Pure functions of bytes.

use super::Status;
use super::fields::{Fields, Framing, named, version_of};
use super::syntax::{self, Lines, Refusal, bad, decimal};

/// An answer's head, taken apart.
#[derive(Clone, Debug)]
pub(super) struct AnswerHead {
    pub length: usize,
    pub status: Status,
    /// Where the fields begin.
    fields: usize,
    pub framing: Framing,
}

/// An answer without its body.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    bytes: &'a [u8],
    head: &'a AnswerHead,
}

impl<'a> Answer<'a> {
    pub(super) const fn new(bytes: &'a [u8], head: &'a AnswerHead) -> Self {
        Self { bytes, head }
    }

    /// How it went.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.head.status
    }

    /// How many bytes of body there will be, if the server says so.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        match self.head.framing {
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::Close => None,
        }
    }

    /// The value of the first field named `name`, in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        named(self.all(), name)
    }

    /// Iterates over the names and values of all fields in their order.
    pub fn all(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + Clone + use<'a> {
        syntax::fields(self.bytes.get(self.head.fields..self.head.length))
    }
}

/// Reads the head of an answer, however it arrives.
#[derive(Clone, Debug, Default)]
pub(super) struct AnswerParser {
    lines: Lines,
    /// The status, and whether the version is 1.1.
    status: Option<(Status, bool)>,
    /// Where the fields begin.
    fields: usize,
    said: Fields,
}

impl AnswerParser {
    /// Reads on in `bytes`, which begin as in the last call. `None` when the head is not
    /// complete. A field of several lines becomes one there (RFC 9112, section 5.2).
    ///
    /// # Errors
    /// When it is no such head: the status is the one that a request of that kind gets.
    pub(super) fn parse(&mut self, bytes: &mut [u8]) -> Result<Option<AnswerHead>, Status> {
        self.read(bytes).map_err(|refusal| refusal.status)
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<Option<AnswerHead>, Refusal> {
        loop {
            let start = self.lines.start;
            let Some(line) = self.lines.next(bytes, true)? else { return Ok(None) };
            let Some((status, newest)) = self.status else {
                self.status = Some(status_line(line)?);
                self.fields = self.lines.start;
                continue;
            };
            if line.is_empty() {
                return self.end(status, newest).map(Some);
            }
            let end = start + line.len();
            // Whether the field ends here, the next line says.
            match bytes.get(self.lines.start) {
                Some(b' ' | b'\t') => {
                    bytes.get_mut(end..self.lines.start).unwrap_or_default().fill(b' ');
                    self.lines.start = start;
                }
                Some(_) => {
                    let (name, value) = syntax::field(line)?;
                    self.said.take(name, value, false)?;
                }
                None => {
                    self.lines = Lines::at(start, end);
                    return Ok(None);
                }
            }
        }
    }

    fn end(&self, status: Status, newest: bool) -> Result<AnswerHead, Refusal> {
        let framing = match status.0 {
            // These have no content by definition (RFC 9112, section 6.3).
            100..200 | 204 | 304 => Framing::Length(0),
            _ => self.said.framing(newest)?.unwrap_or(Framing::Close),
        };
        Ok(AnswerHead { length: self.lines.start, status, fields: self.fields, framing })
    }
}

/// The status that the first line of an answer says, and whether the version is 1.1 (RFC
/// 9112, section 4).
fn status_line(line: &[u8]) -> Result<(Status, bool), Refusal> {
    let why = "this is no answer of HTTP/1.1";
    let (version, rest) = line.split_at_checked(8).ok_or(bad(why))?;
    match rest {
        // Some leave out the blank before a phrase that they leave out.
        [b' ', code @ ..] if code.len() == 3 || code.get(3) == Some(&b' ') => {
            let code = decimal(&code[..3]).filter(|code| (100..=999).contains(code));
            Ok((Status(code.ok_or(bad(why))? as u16), version_of(version)?))
        }
        _ => Err(bad(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_answer(text: &[u8]) -> Result<Option<AnswerHead>, Status> {
        AnswerParser::default().parse(&mut text.to_vec())
    }

    #[test]
    fn an_answers_body_is_delimited_in_one_way() {
        let framing = |text: &str| {
            let head = parse_answer(std::format!("HTTP/1.1 {text}\r\n\r\n").as_bytes());
            head.map(|head| head.unwrap().framing).map_err(|status| status.0)
        };
        for (text, expected) in [
            ("200 OK", Ok(Framing::Close)),
            ("200 OK\r\nContent-Length: 7", Ok(Framing::Length(7))),
            ("200\r\nTransfer-Encoding: chunked", Ok(Framing::Chunked)),
            ("204 No Content", Ok(Framing::Length(0))),
            ("304 Not Modified\r\nContent-Length: 7", Ok(Framing::Length(0))),
            ("200 OK\r\nContent-Length: 7\r\nContent-Length: 8", Err(400)),
            ("200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked", Err(400)),
            ("200 OK\r\nTransfer-Encoding: gzip", Err(501)),
            ("2000 OK", Err(400)),
        ] {
            assert_eq!(framing(text), expected, "{text}");
        }
        assert_eq!(parse_answer(b"SSH-2.0-OpenSSH\r\n").unwrap_err(), Status::BAD_REQUEST);
        assert!(parse_answer(b"HTTP/1.1 200 OK\r\nA: b\r\n").unwrap().is_none());
        let text = b"HTTP/1.0 301 Moved\r\nLocation: /x\r\n\r\nrest";
        let head = parse_answer(text).unwrap().unwrap();
        let answer = Answer::new(text, &head);
        assert_eq!((answer.status(), answer.field("LOCATION")), (Status(301), Some(&b"/x"[..])));
        assert_eq!((answer.length(), head.length), (None, text.len() - 4));
    }
}
