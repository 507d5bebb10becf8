//! Paths as they stand in requests, and as they stand in links and fields.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// Names that begin with a dot are hidden, but not this one, under which sites tell about
/// themselves (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// Why there cannot be anything at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// It is no path: a percent sign without two digits behind it, or a zero byte.
    Request,
    /// No name contains a slash, which a percent sign may hide.
    Name,
}

/// A path without dot segments (RFC 3986, section 5.2.4) and percent signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// `/folder/name`; of the root, nothing.
    bytes: Vec<u8>,
    /// A slash stood at its end, or a dot segment, which means a folder as well.
    pub folder: bool,
}

/// The byte that the two digits behind a percent sign stand for.
fn digits(rest: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let mut digit = || (rest.next()? as char).to_digit(16);
    Some((digit()? * 16 + digit()?) as u8)
}

impl Path {
    /// Takes apart the path of a request. Slashes in a row are as one.
    ///
    /// Segments are told apart before they are decoded, so that `%2F` separates nothing, and
    /// dots are looked at afterwards, as `%2e` is a dot (RFC 3986, section 6.2.2.2).
    pub(super) fn parse(encoded: &str) -> Result<Self, Bad> {
        let rest = encoded.strip_prefix('/').ok_or(Bad::Request)?;
        let (mut bytes, mut folder, mut slash) = (Vec::with_capacity(encoded.len()), false, false);
        for segment in rest.as_bytes().split(|&byte| byte == b'/') {
            let start = bytes.len();
            bytes.push(b'/');
            let mut rest = segment.iter().copied();
            while let Some(byte) = rest.next() {
                let byte = if byte == b'%' { digits(&mut rest).ok_or(Bad::Request)? } else { byte };
                match byte {
                    0 => return Err(Bad::Request),
                    b'/' => slash = true,
                    _ => {}
                }
                bytes.push(byte);
            }
            let name = bytes.get(start + 1..).unwrap_or_default();
            folder = matches!(name, b"" | b"." | b"..");
            match name {
                b"." => bytes.truncate(start),
                b".." => {
                    bytes.truncate(start);
                    let parent = bytes.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                    bytes.truncate(parent);
                }
                _ => {}
            }
        }
        if slash {
            return Err(Bad::Name);
        }
        let mut last = 0;
        bytes.push(b'/');
        bytes.retain(|&byte| core::mem::replace(&mut last, byte) != b'/' || byte != b'/');
        bytes.pop();
        Ok(Self { bytes, folder })
    }

    /// As trees take it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is called `name` in this folder.
    pub(super) fn join(&self, name: &[u8]) -> Vec<u8> {
        [&self.bytes, &b"/"[..], name].concat()
    }

    /// Whether a name in it is hidden.
    pub(super) fn is_hidden(&self) -> bool {
        let mut names = self.bytes.split(|&byte| byte == b'/').skip(1);
        names.next().is_some_and(|name| hides(name, true)) || names.any(|name| hides(name, false))
    }

    /// Whether it is the root.
    pub(super) fn is_root(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Where this folder is, below `mount`, which is as it stands in the request: a path with
    /// one slash at its beginning, as two would name a host. The query is kept.
    pub(super) fn location(&self, mount: &str, query: Option<&str>) -> String {
        let mut to = String::from(mount);
        for name in self.bytes.split(|&byte| byte == b'/') {
            // Writing to a string does not fail.
            let _ = write!(to, "{}/", Encoded(name));
        }
        if let Some(query) = query {
            to.push('?');
            to.push_str(query);
        }
        to
    }
}

/// Whether what has this name, and is in the root or not, is hidden.
pub(super) fn hides(name: &[u8], root: bool) -> bool {
    name.starts_with(b".") && !(root && name == WELL_KNOWN)
}

/// A name as it stands in a path (RFC 3986, sections 2.3 and 3.3).
pub(super) struct Encoded<'a>(pub &'a [u8]);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                f.write_char(byte as char)
            }
            _ => write!(f, "%{byte:02X}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart_by_the_grammar() {
        for (encoded, bytes, folder) in [
            ("/", &b""[..], true),
            ("/a", b"/a", false),
            ("/a/", b"/a", true),
            ("/a%20b/%c3%A9", b"/a b/\xc3\xa9", false),
            ("/%41", b"/A", false),
            ("//a///b//", b"/a/b", true),
            ("/.", b"", true),
            ("/a/.", b"/a", true),
            ("/a/./b", b"/a/b", false),
            ("/a/..", b"", true),
            ("/a/../b", b"/b", false),
            ("/a/b/../../c", b"/c", false),
            ("/../../etc/passwd", b"/etc/passwd", false),
            ("/%2e%2e/%2E./.%2e/etc", b"/etc", false),
            ("/a/%2e/b", b"/a/b", false),
            // An empty segment is one (RFC 3986, section 5.2.4).
            ("/a//../b", b"/a/b", false),
            ("/...", b"/...", false),
            ("/a\\..\\b", b"/a\\..\\b", false),
            ("/a%5C..%5Cb", b"/a\\..\\b", false),
            // Decoded once.
            ("/%252e%252e/%2541", b"/%2e%2e/%41", false),
            ("/a+b;c=d", b"/a+b;c=d", false),
        ] {
            let expected = Path { bytes: bytes.to_vec(), folder };
            assert_eq!(Path::parse(encoded), Ok(expected), "{encoded}");
        }
    }

    #[test]
    fn what_is_no_path_is_told_from_what_is_no_name() {
        for (encoded, bad) in [
            ("/%", Bad::Request),
            ("/%1", Bad::Request),
            ("/%gg", Bad::Request),
            ("/%+1", Bad::Request),
            ("/%4\u{e9}", Bad::Request),
            ("/%00", Bad::Request),
            ("/a%00.html", Bad::Request),
            ("/a%2fb%00", Bad::Request),
            ("*", Bad::Request),
            ("", Bad::Request),
            ("/a%2Fb", Bad::Name),
            ("/..%2f..%2fetc%2fpasswd", Bad::Name),
            // Also where it would be left out.
            ("/a%2fb/../c", Bad::Name),
        ] {
            assert_eq!(Path::parse(encoded), Err(bad), "{encoded}");
        }
    }

    #[test]
    fn names_with_a_dot_are_hidden() {
        for (path, hidden) in [
            ("/", false),
            ("/a.b", false),
            ("/.git", true),
            ("/.git/config", true),
            ("/a/.htaccess", true),
            ("/%2egit", true),
            ("/.well-known", false),
            ("/.well-known/acme-challenge/x", false),
            ("/.well-known/.x", true),
            ("/a/.well-known/x", true),
            ("/.well-knownx", true),
            ("/...", true),
        ] {
            assert_eq!(Path::parse(path).unwrap().is_hidden(), hidden, "{path}");
        }
    }

    #[test]
    fn a_location_is_on_this_host() {
        for (path, query, location) in [
            ("//evil.example/x", None, "/evil.example/x/"),
            ("/a%20b%0D%0A", None, "/a%20b%0D%0A/"),
            ("/a", Some("b=c&d"), "/a/?b=c&d"),
            ("/a", Some(""), "/a/?"),
            ("/%5Cevil.example", None, "/%5Cevil.example/"),
            ("/%3Fa%23b%25", None, "/%3Fa%23b%25/"),
        ] {
            assert_eq!(Path::parse(path).unwrap().location("", query), location);
            let mounted = Path::parse(path).unwrap().location("/b", query);
            assert_eq!(mounted, String::from("/b") + location);
        }
    }
}
