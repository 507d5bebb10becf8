//! The head of a message: what it asks for or answers, and how its body is
//! delimited. Pure functions of bytes.

use super::Status;

/// Header fields that a message may have.
const FIELDS: usize = 48;

/// What is to be done (RFC 9110, section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Give it.
    Get,
    /// Say what GET would, without the content.
    Head,
    /// Deal with the body.
    Post,
    /// Put the body there.
    Put,
    /// Remove it.
    Delete,
    /// Say what can be done.
    Options,
    /// Change it as the body says.
    Patch,
}

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

/// Bytes of a head at most: what a [`Part`] can name.
const LONGEST: usize = u16::MAX as usize;

/// Where a part of a head is: from a byte on, and how many. Small, as heads are moved.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: u16,
    length: u16,
}

/// Where the fields of a head are: names and values.
type Places = heapless::Vec<(Part, Part), FIELDS>;

/// Where the parts of a head are.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub length: usize,
    method: Method,
    target: Part,
    fields: Places,
    pub framing: Framing,
    /// The connection may be used again.
    pub keep: bool,
    /// The client waits for `100 Continue`.
    pub expects: bool,
}

/// A request without its body.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    bytes: &'a [u8],
    head: &'a Head,
}

fn text(bytes: &[u8], part: Part) -> &[u8] {
    let (start, length) = (usize::from(part.start), usize::from(part.length));
    bytes.get(start..start + length).unwrap_or_default()
}

impl<'a> Request<'a> {
    pub(super) const fn new(bytes: &'a [u8], head: &'a Head) -> Self {
        Self { bytes, head }
    }

    /// What is to be done.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.head.method
    }

    /// The path, as it came: percent-encoded, from `/` to before `?`.
    #[must_use]
    pub fn path(&self) -> &'a str {
        let target = text(self.bytes, self.head.target);
        let end = target.iter().position(|&byte| byte == b'?').unwrap_or(target.len());
        // The parser lets only printable ASCII and UTF-8 through.
        core::str::from_utf8(target.get(..end).unwrap_or_default()).unwrap_or("/")
    }

    /// What follows the `?`, as it came.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        let target = text(self.bytes, self.head.target);
        let start = target.iter().position(|&byte| byte == b'?')? + 1;
        core::str::from_utf8(target.get(start..)?).ok()
    }

    /// The value of the first field named `name`, in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        field(self.bytes, &self.head.fields, name)
    }

    /// Iterates over the values of all fields named `name`, in any case, in their order. A
    /// list may be spread over several of them (RFC 9110, section 5.3).
    pub fn fields(&self, name: &str) -> impl Iterator<Item = &'a [u8]> + Clone {
        let (bytes, fields) = (self.bytes, &self.head.fields);
        let named = fields
            .iter()
            .filter(move |&&(field, _)| text(bytes, field).eq_ignore_ascii_case(name.as_bytes()));
        named.map(move |&(_, value)| text(bytes, value).trim_ascii())
    }
}

/// The value of the first field of this name.
fn field<'a>(bytes: &'a [u8], fields: &Places, name: &str) -> Option<&'a [u8]> {
    let is_named = |field| text(bytes, field).eq_ignore_ascii_case(name.as_bytes());
    let &(_, value) = fields.iter().find(|(field, _)| is_named(*field))?;
    Some(text(bytes, value).trim_ascii())
}

/// Where the parts of an answer's head are.
#[derive(Clone, Debug)]
pub(super) struct AnswerHead {
    pub length: usize,
    pub status: Status,
    fields: Places,
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
        field(self.bytes, &self.head.fields, name)
    }
}

fn method(name: &str) -> Option<Method> {
    Some(match name.as_bytes() {
        b"GET" => Method::Get,
        b"HEAD" => Method::Head,
        b"POST" => Method::Post,
        b"PUT" => Method::Put,
        b"DELETE" => Method::Delete,
        b"OPTIONS" => Method::Options,
        b"PATCH" => Method::Patch,
        _ => return None,
    })
}

/// Whether the comma-separated list `value` holds `word`.
fn lists(value: &[u8], word: &[u8]) -> bool {
    value.split(|&byte| byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(word))
}

/// A length: decimal digits and nothing else (RFC 9110, section 8.6).
fn length(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// What the fields say of the message.
#[derive(Default)]
struct Fields {
    hosts: usize,
    length: Option<u64>,
    lengths: usize,
    encodings: usize,
    chunked: bool,
    close: bool,
    keep: bool,
    expects: bool,
}

impl Fields {
    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), Status> {
        if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            self.lengths += 1;
            self.length = Some(length(value).ok_or(Status::BAD_REQUEST)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.encodings += 1;
            self.chunked = value.trim_ascii().eq_ignore_ascii_case(b"chunked");
        } else if name.eq_ignore_ascii_case(b"connection") {
            self.close |= lists(value, b"close");
            self.keep |= lists(value, b"keep-alive");
        } else if name.eq_ignore_ascii_case(b"expect") {
            if !value.trim_ascii().eq_ignore_ascii_case(b"100-continue") {
                return Err(Status::EXPECTATION_FAILED);
            }
            self.expects = true;
        }
        Ok(())
    }

    /// How the body is delimited. A message that says it in two ways is refused
    /// (RFC 9112, section 6.1 and 6.3).
    fn framing(&self, newest: bool) -> Result<Framing, Status> {
        if self.lengths > 1 || (self.lengths > 0 && self.encodings > 0) {
            return Err(Status::BAD_REQUEST);
        }
        match self.encodings {
            0 => Ok(Framing::Length(self.length.unwrap_or(0))),
            1 if !newest => Err(Status::BAD_REQUEST),
            1 if self.chunked => Ok(Framing::Chunked),
            1 => Err(Status::NOT_IMPLEMENTED),
            _ => Err(Status::BAD_REQUEST),
        }
    }
}

/// Parses the head at the beginning of `bytes`. `None` when it is not complete.
///
/// # Errors
/// The status to refuse the request with.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Head>, Status> {
    let bytes = within(bytes);
    let mut places = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut places);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Status::HEAD_TOO_LARGE),
        Err(httparse::Error::Version) => return Err(Status::VERSION),
        Err(_) => return Err(Status::BAD_REQUEST),
    };
    let newest = request.version == Some(1);
    let method = request.method.and_then(method).ok_or(Status::NOT_IMPLEMENTED)?;
    let target = request.path.ok_or(Status::BAD_REQUEST)?;
    let target = place(bytes, origin_form(target).ok_or(Status::BAD_REQUEST)?.as_bytes());
    let (said, fields) = places_of(bytes, request.headers)?;
    if said.hosts > 1 || (newest && said.hosts == 0) {
        return Err(Status::BAD_REQUEST);
    }
    let framing = said.framing(newest)?;
    let keep = !said.close && (newest || said.keep);
    let expects = newest && said.expects && framing != Framing::Length(0);
    Ok(Some(Head { length, method, target, fields, framing, keep, expects }))
}

/// Parses the head of an answer to GET at the beginning of `bytes`. `None` when it is
/// not complete.
///
/// # Errors
/// When it is no such head: the status is the one that a request of that kind gets.
pub(super) fn parse_answer(bytes: &[u8]) -> Result<Option<AnswerHead>, Status> {
    let bytes = within(bytes);
    let mut places = [httparse::EMPTY_HEADER; FIELDS];
    let mut answer = httparse::Response::new(&mut places);
    let length = match answer.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Status::HEAD_TOO_LARGE),
        Err(_) => return Err(Status::BAD_REQUEST),
    };
    let status = answer.code.map(Status).ok_or(Status::BAD_REQUEST)?;
    let newest = answer.version == Some(1);
    let (said, fields) = places_of(bytes, answer.headers)?;
    let framing = match status.0 {
        // These have no content by definition (RFC 9112, section 6.3).
        100..200 | 204 | 304 => Framing::Length(0),
        _ if said.lengths == 0 && said.encodings == 0 => Framing::Close,
        _ => said.framing(newest)?,
    };
    Ok(Some(AnswerHead { length, status, fields, framing }))
}

/// What the fields say, and where in `bytes` they are.
fn places_of(bytes: &[u8], found: &[httparse::Header<'_>]) -> Result<(Fields, Places), Status> {
    let (mut said, mut fields) = (Fields::default(), Places::new());
    for field in found {
        said.take(field.name.as_bytes(), field.value)?;
        // There are as many places.
        let _ = fields.push((place(bytes, field.name.as_bytes()), place(bytes, field.value)));
    }
    Ok((said, fields))
}

/// Where in `bytes` its part `part` is.
fn place(bytes: &[u8], part: &[u8]) -> Part {
    let start = (part.as_ptr() as usize).saturating_sub(bytes.as_ptr() as usize);
    // They are within the longest head.
    Part { start: start as u16, length: part.len() as u16 }
}

/// The bytes in which a head is looked for.
fn within(bytes: &[u8]) -> &[u8] {
    bytes.get(..LONGEST).unwrap_or(bytes)
}

/// The path and query of a target: a client may also send the whole URI (RFC
/// 9112, section 3.2.2).
fn origin_form(target: &str) -> Option<&str> {
    if target.starts_with('/') || target == "*" {
        return Some(target);
    }
    let rest = target.get(..7).filter(|it| it.eq_ignore_ascii_case("http://"))?;
    let rest = target.get(rest.len()..)?;
    let slash = rest.bytes().position(|byte| byte == b'/')?;
    rest.get(slash..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> u16 {
        parse(text.as_bytes()).map(|head| head.is_some()).unwrap_err().0
    }

    fn head(text: &str) -> Head {
        parse(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn a_request_is_taken_apart() {
        let text =
            "POST /a/b?c=d HTTP/1.1\r\nHost: x\r\nX-Thing:  y \r\nContent-Length: 3\r\n\r\nabc";
        let head = head(text);
        let request = Request::new(text.as_bytes(), &head);
        assert_eq!((request.method(), request.path()), (Method::Post, "/a/b"));
        assert_eq!(request.query(), Some("c=d"));
        assert_eq!(request.field("x-thing"), Some(&b"y"[..]));
        assert_eq!(head.framing, Framing::Length(3));
        assert_eq!(head.length, text.len() - 3);
        assert!(head.keep);
    }

    #[test]
    fn fields_of_a_name_keep_their_order() {
        let text = "GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\na:  3 \r\nA:\r\n\r\n";
        let head = head(text);
        let request = Request::new(text.as_bytes(), &head);
        assert!(request.fields("a").eq([&b"1"[..], b"3", b""]));
        assert_eq!(request.fields("C").count(), 0);
    }

    #[test]
    fn whatever_two_readers_could_understand_differently_is_refused() {
        let with = |fields: &str| std::format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n");
        for (fields, status) in [
            ("Content-Length: 3\r\nTransfer-Encoding: chunked", 400),
            ("Content-Length: 3\r\nContent-Length: 4", 400),
            ("Content-Length: 3, 3", 400),
            ("Content-Length: +3", 400),
            ("Content-Length: 0x3", 400),
            ("Content-Length: -1", 400),
            ("Content-Length: 99999999999999999999", 400),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", 400),
            ("Transfer-Encoding: gzip, chunked", 501),
            ("Transfer-Encoding: xchunked", 501),
            ("Transfer-Encoding : chunked", 400),
            (" Transfer-Encoding: chunked", 400),
            ("Host: y", 400),
            ("Expect: money", 417),
        ] {
            assert_eq!(refused(&with(fields)), status, "{fields}");
        }
    }

    #[test]
    fn mistakes_have_their_status() {
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
            ("BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501),
            ("GET nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 400),
            ("\x16\x03\x01\x02", 400),
            ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ] {
            assert_eq!(refused(text), status, "{text:?}");
        }
        let many = "A: b\r\n".repeat(FIELDS + 1);
        assert_eq!(refused(&std::format!("GET / HTTP/1.1\r\n{many}\r\n")), 431);
    }

    #[test]
    fn keep_alive_is_the_newer_versions_default() {
        let keep = |version: &str, field: &str| {
            head(&std::format!("GET / HTTP/{version}\r\nHost: x\r\n{field}\r\n")).keep
        };
        assert!(keep("1.1", ""));
        assert!(!keep("1.1", "Connection: Close\r\n"));
        assert!(!keep("1.0", ""));
        assert!(keep("1.0", "Connection: x, Keep-Alive\r\n"));
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

    #[test]
    fn a_whole_uri_is_a_target_too() {
        let text = "GET http://x/y?z HTTP/1.1\r\nHost: x\r\n\r\n";
        let head = head(text);
        assert_eq!(Request::new(text.as_bytes(), &head).path(), "/y");
    }
}
