//! What a path may be.

use super::Error;
use alloc::vec::Vec;

/// The longest part of a path, in bytes: FAT's 255 units of UTF-16.
const LONGEST: usize = 3 * 255;

/// The parts of `path`: of the root, none.
///
/// # Errors
/// [`Error::BadPath`] for `..`, a zero byte, or a part that no format has.
pub(super) fn parts(path: &[u8]) -> Result<impl Iterator<Item = &[u8]> + Clone, Error> {
    let parts = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let bad = |part: &[u8]| part == b".." || part.len() > LONGEST || part.contains(&0);
    if parts.clone().any(bad) { Err(Error::BadPath) } else { Ok(parts) }
}

/// `path` with one `/` between its parts, and none at the ends.
///
/// # Errors
/// [`Error::BadPath`] as of [`parts`].
pub(super) fn normal(path: &[u8]) -> Result<Vec<u8>, Error> {
    let mut normal = Vec::with_capacity(path.len());
    for part in parts(path)? {
        if !normal.is_empty() {
            normal.push(b'/');
        }
        normal.extend_from_slice(part);
    }
    Ok(normal)
}

/// The folder that `path` is in, and its name there; `path` is [`normal`].
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

/// Symbolic links that are followed for one path, as many as Linux does.
const LINKS: u32 = 40;

/// The longest path that links may make.
const LONGEST_PATH: usize = 64 * 1024;

/// The names on the way along a path, in which links are replaced by what they name.
#[derive(Debug)]
pub(super) struct Steps {
    rest: Vec<u8>,
    at: usize,
    links: u32,
}

impl Steps {
    pub(super) fn new(path: &[u8]) -> Self {
        Self { rest: path.to_vec(), at: 0, links: 0 }
    }

    /// The next name, which may be `..`: in the root, that is the root.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        let rest = self.rest.get(self.at..).unwrap_or_default();
        let (name, begin) = Self::first(rest)?;
        let name = name.to_vec();
        self.at += begin + name.len();
        Some(name)
    }

    /// Whether there is no other name.
    pub(super) fn is_over(&self) -> bool {
        Self::first(self.rest.get(self.at..).unwrap_or_default()).is_none()
    }

    /// The first name of `rest`, and where it begins.
    fn first(rest: &[u8]) -> Option<(&[u8], usize)> {
        let mut at = 0;
        for part in rest.split(|&byte| byte == b'/') {
            if !part.is_empty() && part != b"." {
                return Some((part, at));
            }
            at += part.len() + 1;
        }
        None
    }

    /// Goes on with the target of the link that was the last name; whether that begins
    /// at the root.
    ///
    /// # Errors
    /// [`Error::NotFound`] when these were too many, or lead to nothing.
    pub(super) fn follow(&mut self, target: &[u8]) -> Result<bool, Error> {
        self.links += 1;
        let rest = self.rest.get(self.at..).unwrap_or_default();
        if self.links > LINKS || target.is_empty() || target.len() + rest.len() > LONGEST_PATH {
            return Err(Error::NotFound);
        }
        self.rest = [target, b"/", rest].concat();
        self.at = 0;
        Ok(target.starts_with(b"/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_plain() {
        for (path, plain) in
            [("", ""), ("/", ""), ("a", "a"), ("/a//b/./c/", "a/b/c"), ("./..a/b..", "..a/b..")]
        {
            assert_eq!(normal(path.as_bytes()).unwrap(), plain.as_bytes());
        }
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"a"), (&b""[..], &b"a"[..]));
    }

    #[test]
    fn no_path_leads_out() {
        let long = [b'a'; LONGEST + 1];
        for path in [&b".."[..], b"/..", b"a/../b", b"a/..", b"a\0b", &long] {
            assert_eq!(normal(path), Err(Error::BadPath));
        }
    }
}
