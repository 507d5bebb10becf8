//! Addresses of pages (RFC 3986), as far as a client of HTTP needs them.

use alloc::string::String;
use core::fmt;

/// Bytes that one may have.
const LONGEST: usize = 2048;

/// A URL that begins with `http://`, taken apart and checked: what is in it can stand in
/// a request as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    /// Where the authority ends.
    authority: usize,
    /// Where the host begins and ends, without the brackets of an IPv6 address.
    host: (usize, usize),
    port: u16,
}

/// Why a text is not the URL of a page that can be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It begins with another scheme, or with none.
    Scheme,
    /// It begins with `https:`.
    Https,
    /// The part between `//` and `/` is no host, with or without a port.
    Host,
    /// It holds a blank, a control character, or one that is to be percent-encoded.
    Character,
    /// It is longer than 2048 bytes.
    TooLong,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the address has to begin with http://",
            Self::Https => "https is not supported: only http:// is",
            Self::Host => "the address names no host, or no port from 1 to 65535",
            Self::Character => "the address holds a character that has to be percent-encoded",
            Self::TooLong => "the address is longer than 2048 bytes",
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

impl Url {
    /// Takes a URL apart. What follows `#` is for the reader, not for the server.
    ///
    /// # Errors
    /// See `Error`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > LONGEST {
            return Err(Error::TooLong);
        }
        let (text, _) = until(text, b"#");
        if strip(text, "https:").is_some() {
            return Err(Error::Https);
        }
        let rest = strip(text, "http://").ok_or(Error::Scheme)?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err(Error::Character);
        }
        let (authority, _) = until(rest, b"/?");
        let begin = text.len() - rest.len();
        let (start, host, port) = match authority.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = until(inner, b"]");
                host.parse::<core::net::Ipv6Addr>().map_err(|_| Error::Host)?;
                (begin + 1, host, after.get(1..).ok_or(Error::Host)?)
            }
            None => {
                let (host, port) = until(authority, b":");
                // Whether it is a name that there can be, who resolves it says. A user
                // before `@` would be shown to everybody, and is no longer sent (RFC 9110,
                // section 4.2.4).
                let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
                if host.is_empty() || !host.bytes().all(good) {
                    return Err(Error::Host);
                }
                (begin, host, port)
            }
        };
        let port = match port.as_bytes() {
            [] | [b':'] => 80,
            [b':', digits @ ..] if digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit) => {
                let port = digits.iter().fold(0, |port, it| port * 10 + u32::from(it - b'0'));
                u16::try_from(port).ok().filter(|&port| port != 0).ok_or(Error::Host)?
            }
            _ => return Err(Error::Host),
        };
        let host = (start, start + host.len());
        Ok(Self { text: text.into(), authority: begin + authority.len(), host, port })
    }

    /// The URL that `reference` means on the page at this one (RFC 3986, section 5.2; dots
    /// in paths are left to the server).
    ///
    /// # Errors
    /// See `Error`.
    pub fn join(&self, reference: &str) -> Result<Self, Error> {
        let (scheme, rest) = until(reference, b":/?#");
        let is_scheme =
            scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if rest.starts_with(':') && is_scheme {
            return Self::parse(reference);
        }
        let (path, _) = until(self.text.get(self.authority..).unwrap_or_default(), b"?");
        let base = match reference.as_bytes() {
            [b'/', b'/', ..] => "http:",
            [b'/', ..] => self.text.get(..self.authority).unwrap_or_default(),
            [] | [b'?' | b'#', ..] => {
                self.text.get(..self.authority + path.len()).unwrap_or_default()
            }
            _ => {
                let folder = path.bytes().rposition(|byte| byte == b'/').map_or(0, |at| at + 1);
                self.text.get(..self.authority + folder).unwrap_or_default()
            }
        };
        let mut text = String::from(base);
        if text.len() == self.authority && !reference.starts_with(['/', '?', '#']) {
            text.push('/');
        }
        text.push_str(reference);
        Self::parse(&text)
    }

    /// The name or address of the host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.text.get(self.host.0..self.host.1).unwrap_or_default()
    }

    /// The port, 80 if there is none.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, as the field `Host` wants them.
    pub(super) fn authority(&self) -> &str {
        let end = self.text.get(..self.authority).unwrap_or_default();
        strip(end, "http://").unwrap_or_default()
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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
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
            ("http://[fd00::1]:81?q", "fd00::1", 81, "?q"),
            ("http://a/b:c@d", "a", 80, "/b:c@d"),
        ] {
            let url = Url::parse(text).expect(text);
            assert_eq!((url.host(), url.port(), url.target()), (host, port, target), "{text}");
        }
        assert_eq!(Url::parse("http://[::1]:81/x").unwrap().authority(), "[::1]:81");
    }

    #[test]
    fn what_is_none_is_refused() {
        for (text, error) in [
            ("", Error::Scheme),
            ("a.b/c", Error::Scheme),
            ("ftp://a", Error::Scheme),
            ("HTTPS://a", Error::Https),
            ("http://", Error::Host),
            ("http:///x", Error::Host),
            ("http://a:0", Error::Host),
            ("http://a:65536", Error::Host),
            ("http://a:+1", Error::Host),
            ("http://user@a", Error::Host),
            ("http://[::1", Error::Host),
            ("http://[a]", Error::Host),
            ("http://[::1]x", Error::Host),
            ("http://a/b c", Error::Character),
            ("http://a/\r\nX: y", Error::Character),
            ("http://a/\u{e9}", Error::Character),
        ] {
            assert_eq!(Url::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(Url::parse(&("http://a/".to_string() + &"x".repeat(2048))), Err(Error::TooLong));
    }

    #[test]
    fn references_are_seen_from_where_they_stand() {
        let base = Url::parse("http://a:81/b/c?d").unwrap();
        for (reference, expected) in [
            ("http://x/y", "http://x/y"),
            ("//x/y", "http://x/y"),
            ("/y?z", "http://a:81/y?z"),
            ("y", "http://a:81/b/y"),
            ("?z", "http://a:81/b/c?z"),
            ("#z", "http://a:81/b/c"),
            ("./a:b", "http://a:81/b/./a:b"),
        ] {
            assert_eq!(base.join(reference).unwrap().to_string(), expected, "{reference}");
        }
        assert_eq!(Url::parse("http://a").unwrap().join("y").unwrap().to_string(), "http://a/y");
        assert_eq!(base.join("https://a/"), Err(Error::Https));
        assert_eq!(base.join("mailto:x"), Err(Error::Scheme));
        assert_eq!(base.join("/a b"), Err(Error::Character));
    }
}
