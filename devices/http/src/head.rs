//! The head of a request: what it asks for, and how its body is delimited. Pure
//! functions of bytes.
//!
//! A head is read line by line as it arrives, each line once, by the grammar of RFC 9112
//! and nothing else: where a recipient may be lenient, two recipients may differ, and who
//! sends can make use of that (section 11.2).

use super::Status;
use super::fields::{Fields, Framing, named, version_of};
use super::syntax::{self, Lines, Refusal, bad};

/// Names a method (RFC 9110, section 9; RFC 5789). Requests with another one are answered with
/// 501.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// GET: transfers the resource.
    Get,
    /// HEAD: as GET, without the content.
    Head,
    /// POST: lets the resource process the content.
    Post,
    /// PUT: makes the content the state of the resource.
    Put,
    /// DELETE: removes the resource.
    Delete,
    /// OPTIONS: asks for the methods of the resource.
    Options,
    /// PATCH: changes the resource as the content says.
    Patch,
}

impl Method {
    /// All methods that are known.
    pub const ALL: [Self; 7] =
        [Self::Get, Self::Head, Self::Post, Self::Put, Self::Delete, Self::Options, Self::Patch];

    /// Returns the name, as in a request line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
        }
    }
}

/// What a request's head may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Bytes of the target.
    pub target: usize,
    /// Fields.
    pub fields: usize,
}

/// Bytes that the method and the version of a request line may have beside its target.
/// Registered methods have at most 17 (RFC 3744's and 5842's are the longest).
const AROUND: usize = 64;

/// A part of a head: from a byte on, and how many.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    start: usize,
    length: usize,
}

impl Part {
    /// Where in `bytes` its part `part` is.
    fn of(part: &[u8], bytes: &[u8]) -> Self {
        let start = (part.as_ptr() as usize).saturating_sub(bytes.as_ptr() as usize);
        Self { start, length: part.len() }
    }

    fn within(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start..self.start + self.length).unwrap_or_default()
    }
}

/// A request's head, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub length: usize,
    line: Line,
    pub framing: Framing,
    /// The connection may be used again.
    pub keep: bool,
    /// The client waits for `100 Continue`.
    pub expects: bool,
}

impl Head {
    /// The request came in the form of another version, whose fields were made into a head.
    pub(super) const fn came_by(&mut self, version: Version) {
        self.line.version = version;
    }
}

/// What the first line of a request says.
#[derive(Clone, Copy, Debug)]
struct Line {
    method: Method,
    /// Host and port, of a target that is a whole URI.
    authority: Part,
    /// Path and query.
    target: Part,
    /// The target is the server as a whole.
    whole: bool,
    version: Version,
    /// Where the fields begin.
    fields: usize,
}

/// Tells the version of HTTP that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Version {
    /// HTTP/1.0, without chunks; a connection is kept only if the client asks for it.
    Http10,
    /// HTTP/1.1, or a later HTTP/1 (RFC 9110, section 2.5).
    Http11,
    /// HTTP/2 (RFC 9113): the request has a stream of its own.
    Http2,
}

/// Gives what the head of a request says.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    bytes: &'a [u8],
    head: &'a Head,
}

impl<'a> Request<'a> {
    pub(super) const fn new(bytes: &'a [u8], head: &'a Head) -> Self {
        Self { bytes, head }
    }

    /// Returns the method.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.head.line.method
    }

    /// Returns the version of HTTP that the client speaks.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.head.line.version
    }

    /// Path and query as they came.
    pub(super) fn target_text(&self) -> &'a str {
        // The parser lets only printable ASCII through.
        core::str::from_utf8(self.head.line.target.within(self.bytes)).unwrap_or_default()
    }

    /// The path and the query, at the `?` between them.
    fn target(&self) -> (&'a str, Option<&'a str>) {
        let target = self.target_text();
        match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        }
    }

    /// Returns the path of the target as it came, percent-encoded: `/` where it is empty, `*` in
    /// `OPTIONS *`. Dot segments are not removed.
    #[must_use]
    pub fn path(&self) -> &'a str {
        match self.target() {
            _ if self.head.line.whole => "*",
            // That of a whole URI may be left out (RFC 9110, section 4.2.3).
            ("", _) => "/",
            (path, _) => path,
        }
    }

    /// Returns what follows the `?`, as it came: [`form::pairs`](super::form::pairs) decodes it.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.target().1
    }

    /// Returns the host and, after a colon, the port that the client asks for: those of a target
    /// in absolute form, else those of the field `Host` (RFC 9112, section 3.3). Empty if an
    /// HTTP/1.0 client sends none. It is checked for its form alone, and is the client's choice.
    #[must_use]
    pub fn host(&self) -> &'a str {
        let host = match self.head.line.authority.within(self.bytes) {
            [] => self.field("host").unwrap_or_default(),
            authority => authority,
        };
        core::str::from_utf8(host).unwrap_or_default()
    }

    /// Returns the value of the first field named `name`, in any case. It may hold bytes that are
    /// not ASCII, and no control characters but tabs.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        named(self.all(), name)
    }

    /// Iterates over the values of all fields named `name`, in any case, in their order. A
    /// list may be spread over several of them (RFC 9110, section 5.3).
    pub fn fields(&self, name: &str) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.all()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Iterates over the names and values of all fields in their order.
    pub fn all(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + Clone + use<'a> {
        syntax::fields(self.bytes.get(self.head.line.fields..self.head.length))
    }
}

fn method(name: &[u8]) -> Option<Method> {
    Some(match name {
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

/// Reads the head of a request, however it arrives.
#[derive(Clone, Debug, Default)]
pub(super) struct Parser {
    lines: Lines,
    line: Option<Line>,
    /// How many fields there are so far.
    count: usize,
    said: Fields,
    /// An empty line before the request was read over.
    skipped: bool,
}

impl Parser {
    /// Whether the request in `bytes` is HEAD, as far as it was read.
    pub(super) fn is_head(&self, bytes: &[u8]) -> bool {
        bytes.get(if self.skipped { 2 } else { 0 }..).is_some_and(|it| it.starts_with(b"HEAD "))
    }

    /// Why a head that has no end within `bytes`, which are all that it may have, is
    /// refused.
    pub(super) fn too_long(&self, bytes: &[u8]) -> Refusal {
        match self.line {
            None => no_line(bytes.get(self.lines.start..).unwrap_or_default()),
            Some(_) => Refusal { status: Status::HEAD_TOO_LARGE, why: "the head is too long" },
        }
    }

    /// Reads on in `bytes`, which begin as in the last call. `None` when the head is not
    /// complete.
    ///
    /// # Errors
    /// Why the request is refused.
    pub(super) fn parse(&mut self, bytes: &[u8], most: Bounds) -> Result<Option<Head>, Refusal> {
        let line = loop {
            if let Some(line) = self.line {
                break line;
            }
            // What is behind the longest line is not looked at, as it may have come or not.
            let longest = self.lines.start + most.target + AROUND;
            let Some(line) = self.lines.next(bytes.get(..longest).unwrap_or(bytes), false)? else {
                return match bytes.get(self.lines.start..longest) {
                    Some(line) => Err(no_line(line)),
                    None => Ok(None),
                };
            };
            // A line end before a request is a leftover of an older client (section 2.2).
            if line.is_empty() && !core::mem::replace(&mut self.skipped, true) {
                continue;
            }
            self.line = Some(request_line(line, bytes, most.target, self.lines.start)?);
        };
        while let Some(field) = self.lines.next(bytes, false)? {
            if field.is_empty() {
                return self.end(line).map(Some);
            }
            self.count += 1;
            if self.count > most.fields {
                let why = "the head has too many fields";
                return Err(Refusal { status: Status::HEAD_TOO_LARGE, why });
            }
            let (name, value) = syntax::field(field)?;
            self.said.take(name, value)?;
        }
        Ok(None)
    }

    /// What the head says as a whole.
    fn end(&self, line: Line) -> Result<Head, Refusal> {
        let newest = line.version == Version::Http11;
        if newest && self.said.hosts == 0 {
            return Err(bad("the field Host is missing"));
        }
        let framing = self.said.framing(newest)?.unwrap_or(Framing::Length(0));
        Ok(Head {
            length: self.lines.start,
            line,
            framing,
            keep: self.said.keep(newest),
            expects: newest && self.said.expects && framing != Framing::Length(0),
        })
    }
}

/// Why a request line is refused that does not end where it has to.
fn no_line(line: &[u8]) -> Refusal {
    match line.iter().take(AROUND).any(|&byte| byte == b' ') {
        true => Refusal { status: Status::URI_TOO_LONG, why: "the target is too long" },
        false => bad("this is not a request of HTTP/1.1"),
    }
}

/// Takes the first line of a request apart (RFC 9112, section 3): three parts and two
/// blanks.
fn request_line(line: &[u8], bytes: &[u8], longest: usize, fields: usize) -> Result<Line, Refusal> {
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(name), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad("the first line is not made of method, target and version"));
    };
    if !syntax::is_token(name) {
        return Err(bad("the method is not a token"));
    }
    let version = if version_of(version)? { Version::Http11 } else { Version::Http10 };
    if target.len() > longest {
        return Err(Refusal { status: Status::URI_TOO_LONG, why: "the target is too long" });
    }
    let (authority, target) = target_of(name, target).ok_or(bad("the target is not valid"))?;
    let Some(method) = method(name) else {
        let why = "the method is not implemented";
        return Err(Refusal { status: Status::NOT_IMPLEMENTED, why });
    };
    let whole = method == Method::Options && matches!(target, b"" | b"*");
    let (authority, target) = (Part::of(authority, bytes), Part::of(target, bytes));
    Ok(Line { method, authority, target, whole, version, fields })
}

/// The authority of a target, if it has one, and its path and query. Each form of RFC
/// 9112, section 3.2, belongs to some methods.
fn target_of<'a>(method: &[u8], target: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    if method == b"CONNECT" {
        let is_port = |&at: &usize| target.get(at + 1).is_some_and(u8::is_ascii_digit);
        let colon = target.iter().rposition(|&byte| byte == b':');
        return (colon.filter(is_port).is_some() && syntax::is_host(target))
            .then_some((target, &[][..]));
    }
    let (authority, rest) = match target {
        [b'/', ..] => (&[][..], target),
        b"*" if method == b"OPTIONS" => return Some((&[], target)),
        _ => {
            // Which of both it is says the connection: what ends TLS in front may leave it out.
            let scheme = |scheme: &[u8]| {
                let (name, rest) = target.split_at_checked(scheme.len())?;
                name.eq_ignore_ascii_case(scheme).then_some(rest)
            };
            let rest = scheme(b"http://").or_else(|| scheme(b"https://"))?;
            let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
            let (authority, rest) = rest.split_at(end.unwrap_or(rest.len()));
            if !syntax::is_host(authority) {
                return None;
            }
            (authority, rest)
        }
    };
    syntax::is_target(rest).then_some((authority, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { target: 100, fields: 48 };

    fn parse(text: &[u8]) -> Result<Option<Head>, Status> {
        Parser::default().parse(text, BOUNDS).map_err(|refusal| refusal.status)
    }

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
        let many = "A: b\r\n".repeat(BOUNDS.fields + 1);
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
    fn a_whole_uri_is_a_target_too() {
        for scheme in ["http", "https", "HTTPS"] {
            let text = std::format!("GET {scheme}://x/y?z HTTP/1.1\r\nHost: x\r\n\r\n");
            let head = head(&text);
            let request = Request::new(text.as_bytes(), &head);
            assert_eq!((request.path(), request.host()), ("/y", "x"));
        }
        assert_eq!(refused("GET httpss://x/y HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
    }
}
