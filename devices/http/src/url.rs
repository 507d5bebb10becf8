//! Addresses of pages (RFC 3986), as far as a client of HTTP needs them.

use alloc::string::String;
use core::fmt::{self, Write as _};

/// Bytes that one may have (RFC 9110, section 4.1, asks for 8000).
const LONGEST: usize = 8192;

/// Holds a URL with the scheme `http` or `https`, parsed and checked (RFC 3986; RFC 9110, section 4.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Without user and fragment, dots resolved, without the port that needs no words.
    text: String,
    /// Where the authority ends.
    authority: usize,
    /// Where the host begins and ends, without the brackets of an IPv6 address.
    host: (usize, usize),
    port: u16,
    secure: bool,
    user: Option<String>,
    fragment: Option<String>,
}

/// Says why a text is not the URL of a page that can be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It begins with another scheme, or with none.
    Scheme,
    /// It begins with `https:`, and the client has no TLS.
    Https,
    /// The part between `//` and `/` is no host, with or without a port.
    Host,
    /// The host's name holds letters beyond ASCII.
    NotAscii,
    /// It names a user, and comes from somebody who should know none.
    User,
    /// It holds a control character.
    Character,
    /// It is longer than 8192 bytes.
    TooLong,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the address has to begin with http:// or https://",
            Self::Https => "https is not supported, as there is no TLS here: only http:// is",
            Self::Host => "the address names no host, or no port from 1 to 65535",
            Self::NotAscii => {
                "the host's name has letters beyond ASCII: give it in the form that begins with xn--"
            }
            Self::User => "the address names a user, which one that a server gives must not",
            Self::Character => "the address holds a control character",
            Self::TooLong => "the address is longer than 8192 bytes",
        })
    }
}

impl core::error::Error for Error {}

/// The part before the first of these bytes, and the rest from there on.
fn until<'a>(text: &'a str, ends: &[u8]) -> (&'a str, &'a str) {
    let at = text.bytes().position(|byte| ends.contains(&byte)).unwrap_or(text.len());
    // All of them are ASCII.
    text.split_at_checked(at).unwrap_or((text, ""))
}

/// `text` without `start`, which is ASCII, in any case.
fn strip<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.get(..start.len())?.eq_ignore_ascii_case(start).then(|| text.get(start.len()..))?
}

/// Writes `part` of an address with what may not stand there percent-encoded (RFC 3986,
/// section 2.1); a `%` is taken for the beginning of what is encoded already.
fn encode(part: &str, to: &mut String) {
    for byte in part.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | ..=b' ' | 0x7f.. => {
                // Writing to a string does not fail.
                let _ = write!(to, "%{byte:02X}");
            }
            _ => to.push(byte.into()),
        }
    }
}

/// Writes `path` without the segments `.` and `..`, and what these undo (RFC 3986,
/// section 5.2.4).
fn undot(path: &str, to: &mut String) {
    let begin = to.len();
    let mut segments = path.split('/').peekable();
    // What is before the first slash: nothing.
    segments.next();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    let kept = to.get(begin..).and_then(|path| path.rfind('/')).unwrap_or(0);
                    to.truncate(begin + kept);
                }
                // It ends as a folder does.
                if is_last {
                    to.push('/');
                }
            }
            _ => {
                to.push('/');
                encode(segment, to);
            }
        }
    }
}

/// The port that stands behind a host, or the usual one.
fn port(text: &str, usual: u16) -> Option<u16> {
    match text.as_bytes() {
        [] | [b':'] => Some(usual),
        [b':', digits @ ..] if digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit) => {
            let port = digits.iter().fold(0, |port, it| port * 10 + u32::from(it - b'0'));
            u16::try_from(port).ok().filter(|&port| port != 0)
        }
        _ => None,
    }
}

/// The text that percent-encoded bytes stand for.
fn decode(text: &str) -> alloc::vec::Vec<u8> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let (bytes, mut decoded, mut at) = (text.as_bytes(), alloc::vec::Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let pair = (digit(bytes.get(at + 1)), digit(bytes.get(at + 2)));
        match pair {
            (Some(high), Some(low)) if byte == b'%' => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

impl Url {
    /// Parses an absolute URL. Dot segments in its path are removed, and characters that may not
    /// stand there are percent-encoded.
    ///
    /// # Errors
    /// Those of [`UrlError`](super::UrlError), but [`User`](Error::User).
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > LONGEST {
            return Err(Error::TooLong);
        }
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(Error::Character);
        }
        let (secure, rest) = match (strip(text, "http://"), strip(text, "https://")) {
            (Some(rest), _) => (false, rest),
            (None, rest) => (true, rest.ok_or(Error::Scheme)?),
        };
        let (rest, fragment) = until(rest, b"#");
        let (authority, rest) = until(rest, b"/?");
        let at = authority.bytes().rposition(|byte| byte == b'@');
        let user = at.and_then(|at| authority.get(..at));
        // Browsers take it for a slash, so for them the host is another one.
        if user.is_some_and(|user| user.contains('\\')) {
            return Err(Error::Host);
        }
        let authority = authority.get(at.map_or(0, |at| at + 1)..).unwrap_or_default();
        let (host, after) = match authority.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = until(inner, b"]");
                host.parse::<core::net::Ipv6Addr>().map_err(|_| Error::Host)?;
                (host, after.get(1..).ok_or(Error::Host)?)
            }
            None => until(authority, b":"),
        };
        if !host.is_ascii() {
            return Err(Error::NotAscii);
        }
        // Whether it is a name that there can be, who resolves it says.
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let bracket = authority.starts_with('[');
        if host.is_empty() || !(bracket || host.bytes().all(good)) {
            return Err(Error::Host);
        }
        let usual = if secure { 443 } else { 80 };
        let port = port(after, usual).ok_or(Error::Host)?;
        let mut text = String::from(if secure { "https://" } else { "http://" });
        if bracket {
            text.push('[');
        }
        let start = text.len();
        text.push_str(host);
        let host = (start, text.len());
        if bracket {
            text.push(']');
        }
        if port != usual {
            // Writing to a string does not fail.
            let _ = write!(text, ":{port}");
        }
        let authority = text.len();
        let (path, query) = until(rest, b"?");
        undot(path, &mut text);
        encode(query, &mut text);
        let fragment = fragment.get(1..).map(|of| {
            let mut fragment = String::new();
            encode(of, &mut fragment);
            fragment
        });
        if text.len() > LONGEST {
            return Err(Error::TooLong);
        }
        Ok(Self { text, authority, host, port, secure, user: user.map(String::from), fragment })
    }

    /// Resolves `reference`, which a server gave, against this URL (RFC 3986, section 5.2). It
    /// takes this one's fragment if it has none (RFC 9110, section 10.2.2).
    ///
    /// # Errors
    /// Those of [`UrlError`](super::UrlError); a reference must not name a user.
    pub fn join(&self, reference: &str) -> Result<Self, Error> {
        let mut joined = self.resolve(reference)?;
        // It would only hide what the address is (RFC 9110, section 4.2.4).
        if joined.user.is_some() {
            return Err(Error::User);
        }
        if joined.fragment.is_none() {
            joined.fragment.clone_from(&self.fragment);
        }
        Ok(joined)
    }

    fn resolve(&self, reference: &str) -> Result<Self, Error> {
        let (scheme, rest) = until(reference, b":/?#");
        let is_scheme = scheme.starts_with(|it: char| it.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if rest.starts_with(':') && is_scheme {
            return Self::parse(reference);
        }
        let (path, query) = until(self.target(), b"?");
        let base = match reference.as_bytes() {
            [b'/', b'/', ..] if self.secure => "https:",
            [b'/', b'/', ..] => "http:",
            [b'/', ..] => self.text.get(..self.authority).unwrap_or_default(),
            [] | [b'#', ..] => &self.text,
            [b'?', ..] => self.text.get(..self.text.len() - query.len()).unwrap_or_default(),
            _ => {
                let folder = path.bytes().rposition(|byte| byte == b'/').map_or(0, |at| at + 1);
                self.text.get(..self.authority + folder).unwrap_or_default()
            }
        };
        let mut text = String::from(base);
        if text.len() == self.authority
            && !reference.is_empty()
            && !reference.starts_with(['/', '?', '#'])
        {
            text.push('/');
        }
        text.push_str(reference);
        Self::parse(&text)
    }

    /// Whether a request there goes to the same server as one to `other`.
    pub(super) fn is_same_origin(&self, other: &Self) -> bool {
        (self.port, self.secure) == (other.port, other.secure)
            && self.host().eq_ignore_ascii_case(other.host())
    }

    /// The user and the password that it names, percent-decoded, as `user:password`.
    pub(super) fn user(&self) -> Option<alloc::vec::Vec<u8>> {
        let (user, password) = until(self.user.as_deref()?, b":");
        let mut text = decode(user);
        text.push(b':');
        text.extend(decode(password.get(1..).unwrap_or_default()));
        Some(text)
    }

    /// Returns the name or address of the host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.text.get(self.host.0..self.host.1).unwrap_or_default()
    }

    /// Returns whether its scheme is `https`.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// Returns the port; if none is given, 80, or 443 with `https`.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, as the field `Host` wants them.
    pub(super) fn authority(&self) -> &str {
        let end = self.text.get(..self.authority).unwrap_or_default();
        end.get(if self.secure { 8 } else { 7 }..).unwrap_or_default()
    }

    /// Path and query, as a request's first line wants them, but for the first slash
    /// where there is no path: see [`has_path`](Self::has_path).
    pub(super) fn target(&self) -> &str {
        self.text.get(self.authority..).unwrap_or_default()
    }

    /// Whether its target begins with a slash.
    pub(super) fn has_path(&self) -> bool {
        self.target().starts_with('/')
    }
}

impl fmt::Display for Url {
    /// Shows it without the user and the password, which are nobody else's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.fragment {
            Some(fragment) => write!(f, "#{fragment}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::string::ToString;

    #[test]
    fn a_url_is_taken_apart() {
        for (text, host, port, target) in [
            ("http://a", "a", 80, ""),
            ("HTTP://a.b:8080/c?d=e#f", "a.b", 8080, "/c?d=e"),
            ("http://10.0.0.1:/x", "10.0.0.1", 80, "/x"),
            ("https://a/b", "a", 443, "/b"),
            ("HTTPS://a:80", "a", 80, ""),
            ("http://a:080/x", "a", 80, "/x"),
            ("http://[fd00::1]:81?q", "fd00::1", 81, "?q"),
            ("http://a/b:c@d", "a", 80, "/b:c@d"),
            ("http://a?b@c/d", "a", 80, "?b@c/d"),
            ("http://a/b c?d e", "a", 80, "/b%20c?d%20e"),
            ("http://a/\u{e9}?\u{e9}", "a", 80, "/%C3%A9?%C3%A9"),
            ("http://a/%7e%zz\\", "a", 80, "/%7e%zz%5C"),
            ("http://a/b/../c/./d/..", "a", 80, "/c/"),
            ("http://a/../../b?/../c", "a", 80, "/b?/../c"),
            ("http://a//b/./", "a", 80, "//b/"),
        ] {
            let url = Url::parse(text).expect(text);
            assert_eq!((url.host(), url.port(), url.target()), (host, port, target), "{text}");
        }
        for (text, authority) in [
            ("http://[::1]:81/x", "[::1]:81"),
            ("http://[::1]/x", "[::1]"),
            ("http://a:80/x", "a"),
            ("http://u:p@a:81/x", "a:81"),
        ] {
            assert_eq!(Url::parse(text).unwrap().authority(), authority, "{text}");
        }
    }

    #[test]
    fn a_user_is_kept_to_oneself() {
        for (text, user) in [
            ("http://a/@b", None),
            ("http://u@a", Some("u:")),
            ("http://u:p@a/", Some("u:p")),
            ("http://u%40x:p%3a:q@a/", Some("u@x:p::q")),
            ("http://u@v@a/", Some("u@v:")),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.user(), user.map(|user| user.as_bytes().to_vec()), "{text}");
            assert_eq!(url.to_string().matches('@').count(), text.matches("/@").count(), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for (text, error) in [
            ("", Error::Scheme),
            ("a.b/c", Error::Scheme),
            ("ftp://a", Error::Scheme),
            ("http:a", Error::Scheme),
            ("http:/a", Error::Scheme),
            ("http://", Error::Host),
            ("http:///x", Error::Host),
            ("http://a:0", Error::Host),
            ("http://a:65536", Error::Host),
            ("http://a:+1", Error::Host),
            ("http://user@", Error::Host),
            ("http://a b/", Error::Host),
            ("http://a\\@b/", Error::Host),
            ("http://a%41/", Error::Host),
            ("http://[::1", Error::Host),
            ("http://[a]", Error::Host),
            ("http://[fe80::1%251]/", Error::Host),
            ("http://[::1]x", Error::Host),
            ("http://::1/", Error::Host),
            ("http://b\u{fc}cher.example/", Error::NotAscii),
            ("http://a/\r\nX: y", Error::Character),
        ] {
            assert_eq!(Url::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(Url::parse(&("http://a/".to_string() + &"x".repeat(8192))), Err(Error::TooLong));
        assert_eq!(Url::parse(&("http://a/".to_string() + &" ".repeat(4000))), Err(Error::TooLong));
        assert!(Url::parse(&("http://a/".to_string() + &"x".repeat(8000))).is_ok());
    }

    /// RFC 3986, section 5.4: every example whose answer is a URL of HTTP.
    #[test]
    fn references_are_seen_from_where_they_stand() {
        let base = Url::parse("http://a/b/c/d;p?q").unwrap();
        for (reference, expected) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q#s"),
            ("g#s", "http://a/b/c/g#s"),
            ("g?y#s", "http://a/b/c/g?y#s"),
            (";x", "http://a/b/c/;x"),
            ("g;x", "http://a/b/c/g;x"),
            ("g;x?y#s", "http://a/b/c/g;x?y#s"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("../../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            (".g", "http://a/b/c/.g"),
            ("g..", "http://a/b/c/g.."),
            ("..g", "http://a/b/c/..g"),
            ("./../g", "http://a/b/g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
            ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/./x", "http://a/b/c/g?y/./x"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("g#s/./x", "http://a/b/c/g#s/./x"),
            ("g#s/../x", "http://a/b/c/g#s/../x"),
            // And some of our own.
            ("http://x/y", "http://x/y"),
            ("HTTP://x:80/y", "http://x/y"),
            ("a b", "http://a/b/c/a%20b"),
            ("./a:b", "http://a/b/c/a:b"),
            ("//x:81/y?z", "http://x:81/y?z"),
        ] {
            assert_eq!(base.join(reference).unwrap().to_string(), expected, "{reference}");
        }
        for (reference, error) in [
            ("g:h", Error::Scheme),
            ("http:g", Error::Scheme),
            ("mailto:x", Error::Scheme),
            ("http://u@x/", Error::User),
            ("//u:p@x/", Error::User),
            ("//", Error::Host),
        ] {
            assert_eq!(base.join(reference), Err(error), "{reference}");
        }
    }

    #[test]
    fn a_fragment_is_inherited_by_who_has_none() {
        let base = Url::parse("http://u@a/b#c").unwrap();
        assert_eq!(base.join("d").unwrap().to_string(), "http://a/d#c");
        assert_eq!(base.join("//x/y").unwrap().to_string(), "http://x/y#c");
        assert_eq!(base.join("d#").unwrap().to_string(), "http://a/d#");
        assert_eq!(Url::parse("http://a").unwrap().join("y").unwrap().to_string(), "http://a/y");
        assert_eq!(Url::parse("http://a?q").unwrap().join("?y").unwrap().to_string(), "http://a?y");
    }
}
