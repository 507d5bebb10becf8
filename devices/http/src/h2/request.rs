//! A request's fields as HTTP/2 has them, made into the head that HTTP/1.1 would have, so that one
//! parser judges both.

use super::super::syntax;
use alloc::vec::Vec;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It is malformed (RFC 9113, section 8.1.1).
    Malformed,
    /// It is longer than the server takes.
    Long,
    /// There is no memory for it.
    Memory,
}

/// Whether a field says how a connection of HTTP/1.1 is used (RFC 9113, section 8.2.2).
pub(crate) fn is_of_connections(name: &str) -> bool {
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// The fields of a block, in their order, as they come from the decoder.
#[derive(Default)]
pub(super) struct Fields {
    /// The pseudo fields (section 8.3.1).
    method: Option<Vec<u8>>,
    scheme: Option<Vec<u8>>,
    authority: Option<Vec<u8>>,
    path: Option<Vec<u8>>,
    /// The lines of the others, but the next two.
    lines: Vec<u8>,
    host: Option<Vec<u8>>,
    /// All that were sent, as one (section 8.2.3).
    cookie: Vec<u8>,
    /// A field that is none of the above came.
    regular: bool,
    /// What the content's length is to be.
    pub length: Option<u64>,
    /// The client waits to be told to send the content.
    pub expects: bool,
    wrong: Option<Wrong>,
    /// Bytes so far, and how many there may be.
    size: usize,
    most: usize,
}

/// A copy, if there is memory for it.
fn copy(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).ok()?;
    copy.extend_from_slice(bytes);
    Some(copy)
}

/// Adds bytes, if there is memory for them.
fn extend(to: &mut Vec<u8>, parts: &[&[u8]]) -> Result<(), Wrong> {
    for part in parts {
        to.try_reserve(part.len()).map_err(|_| Wrong::Memory)?;
        to.extend_from_slice(part);
    }
    Ok(())
}

impl Fields {
    /// None yet, and of at most so many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// Takes the next one. What is wrong is said at the end, as the block has to be read to there.
    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) {
        if self.wrong.is_none() {
            self.wrong = self.take(name, value).err();
        }
    }

    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), Wrong> {
        // With the colon and the line end that it will have.
        self.size += name.len() + value.len() + 4;
        if self.size > self.most {
            return Err(Wrong::Long);
        }
        // Section 8.2.1.
        let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if !syntax::is_value(value) || blank(value.first()) || blank(value.last()) {
            return Err(Wrong::Malformed);
        }
        if let [b':', pseudo @ ..] = name {
            return self.pseudo(pseudo, value);
        }
        self.regular = true;
        if !syntax::is_token(name) || name.iter().any(u8::is_ascii_uppercase) {
            return Err(Wrong::Malformed);
        }
        match name {
            b"host" if self.host.is_some() => return Err(Wrong::Malformed),
            b"host" => self.host = Some(copy(value).ok_or(Wrong::Memory)?),
            b"cookie" => {
                let between: &[u8] = if self.cookie.is_empty() { b"" } else { b"; " };
                extend(&mut self.cookie, &[between, value])?;
            }
            b"te" if value.eq_ignore_ascii_case(b"trailers") => {}
            b"te" => return Err(Wrong::Malformed),
            // Nobody has to be asked who may send at any time.
            b"expect" if value.eq_ignore_ascii_case(b"100-continue") => self.expects = true,
            _ if core::str::from_utf8(name).is_ok_and(is_of_connections) => {
                return Err(Wrong::Malformed);
            }
            _ => {
                if name == b"content-length" {
                    let length = syntax::decimal(value).ok_or(Wrong::Malformed)?;
                    if self.length.replace(length).is_some() {
                        return Err(Wrong::Malformed);
                    }
                }
                extend(&mut self.lines, &[name, b": ", value, b"\r\n"])?;
            }
        }
        Ok(())
    }

    /// Takes a pseudo field: each comes once, before the others.
    fn pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), Wrong> {
        let place = match name {
            b"method" => &mut self.method,
            b"scheme" => &mut self.scheme,
            b"authority" => &mut self.authority,
            b"path" => &mut self.path,
            _ => return Err(Wrong::Malformed),
        };
        if self.regular || place.is_some() || value.is_empty() || value.contains(&b' ') {
            return Err(Wrong::Malformed);
        }
        *place = Some(copy(value).ok_or(Wrong::Memory)?);
        Ok(())
    }

    /// Whether it is HEAD, whose answer has no content.
    pub(super) fn is_head(&self) -> bool {
        self.method.as_deref() == Some(b"HEAD")
    }

    /// What was wrong with fields behind the content, of which nobody reads any (section 8.1).
    pub(super) fn trailer(self) -> Result<(), Wrong> {
        let pseudo = [self.method, self.scheme, self.authority, self.path];
        match self.wrong {
            Some(wrong) => Err(wrong),
            None if pseudo.iter().any(Option::is_some) => Err(Wrong::Malformed),
            None => Ok(()),
        }
    }

    /// The head of the request, as a client of HTTP/1.1 would send it.
    ///
    /// # Errors
    /// See [`Wrong`].
    pub(super) fn head(&self, over: bool) -> Result<Vec<u8>, Wrong> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        let method = self.method.as_deref().ok_or(Wrong::Malformed)?;
        // A client that wants a tunnel names neither scheme nor path (section 8.5).
        let connects = method == b"CONNECT";
        let target = if connects { self.authority.as_deref() } else { self.path.as_deref() };
        let target = target.ok_or(Wrong::Malformed)?;
        let whole = self.scheme.is_none() || self.path.is_none();
        let path = target.starts_with(b"/") || (method == b"OPTIONS" && target == b"*");
        if connects != (self.scheme.is_none() && self.path.is_none())
            || whole != connects
            || !(connects || path)
        {
            return Err(Wrong::Malformed);
        }
        // Of the two names of the host, one is enough, and they are the same (section 8.3.1).
        let host = match (self.authority.as_deref(), self.host.as_deref()) {
            (Some(authority), Some(host)) if authority != host => return Err(Wrong::Malformed),
            (authority, host) => authority.or(host).ok_or(Wrong::Malformed)?,
        };
        if over && self.length.is_some_and(|length| length > 0) {
            return Err(Wrong::Malformed);
        }
        let mut head = Vec::new();
        extend(&mut head, &[method, b" ", target, b" HTTP/1.1\r\nHost: ", host, b"\r\n"])?;
        extend(&mut head, &[&self.lines])?;
        if !self.cookie.is_empty() {
            extend(&mut head, &[b"Cookie: ", &self.cookie, b"\r\n"])?;
        }
        extend(&mut head, &[b"\r\n"])?;
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    /// The head that is made of fields, one a line.
    fn head(fields: &str) -> Result<String, Wrong> {
        let mut all = Fields::new(1000);
        for line in fields.lines() {
            let at = line[1..].find(": ").unwrap() + 1;
            let line = line.as_bytes();
            all.add(&line[..at], &line[at + 2..]);
        }
        all.head(false).map(|head| String::from_utf8(head).unwrap())
    }

    const GET: &str = ":method: GET\n:scheme: http\n:path: /a?b\n:authority: x\n";

    fn with(fields: &str) -> Result<String, Wrong> {
        head(&std::format!("{GET}{fields}"))
    }

    #[test]
    fn a_request_becomes_the_head_of_the_same_request() {
        let made = with("accept: */*\ncookie: a=b\nhost: x\nte: trailers\ncookie: c=d").unwrap();
        let expected = "GET /a?b HTTP/1.1\r\nHost: x\r\naccept: */*\r\nCookie: a=b; c=d\r\n\r\n";
        assert_eq!(made, expected);
        let made = head(":path: *\n:method: OPTIONS\n:scheme: https\nhost: y").unwrap();
        assert_eq!(made, "OPTIONS * HTTP/1.1\r\nHost: y\r\n\r\n");
        let made = head(":method: CONNECT\n:authority: x:1").unwrap();
        assert_eq!(made, "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n");
    }

    #[test]
    fn malformed_requests_are_refused() {
        for fields in [
            // Sections 8.2.1 and 8.2.2.
            "Accept: x",
            "a b: x",
            "connection: close",
            "transfer-encoding: chunked",
            "upgrade: x",
            "keep-alive: 1",
            "proxy-connection: x",
            "te: gzip",
            "a:  x",
            "a: x ",
            "a: b\0c",
            // Sections 8.1.1 and 8.3.1.
            "content-length: 1\ncontent-length: 1",
            "content-length: +1",
            ":path: /",
            ":status: 200",
            ":unknown: x",
            "host: y",
            "host: x\nhost: x",
        ] {
            assert_eq!(with(fields), Err(Wrong::Malformed), "{fields}");
        }
        for fields in [
            ":method: GET\n:scheme: http\n:authority: x",
            ":method: GET\n:path: /\n:authority: x",
            ":scheme: http\n:path: /\n:authority: x",
            ":method: GET\n:scheme: http\n:path: /",
            ":method: GET\n:scheme: http\n:path: a\n:authority: x",
            ":method: GET\n:scheme: http\n:path: /a b\n:authority: x",
            ":method: GET\na: b\n:scheme: http\n:path: /\n:authority: x",
            ":method: CONNECT\n:authority: x:1\n:path: /",
        ] {
            assert_eq!(head(fields), Err(Wrong::Malformed), "{fields}");
        }
        assert_eq!(with(&std::format!("a: {}", "x".repeat(1000))), Err(Wrong::Long));
    }

    #[test]
    fn a_trailer_names_no_request() {
        let mut fields = Fields::new(100);
        fields.add(b"digest", b"x");
        assert_eq!(fields.trailer(), Ok(()));
        let mut fields = Fields::new(100);
        fields.add(b":path", b"/");
        assert_eq!(fields.trailer(), Err(Wrong::Malformed));
    }
}
