//! Splits and normalizes paths, and follows symbolic links.

use super::Error;
use alloc::vec::Vec;

/// The longest component of a path, in bytes: 255 units of UTF-16, which FAT allows, of up to
/// three bytes each.
const LONGEST: usize = 3 * 255;

/// Returns the components of `path`, without empty ones and `.`: none for the root.
///
/// # Errors
/// [`Error::BadPath`] for `..`, a null byte, or a component longer than any format allows.
pub(super) fn components(path: &[u8]) -> Result<impl Iterator<Item = &[u8]> + Clone, Error> {
    let components =
        path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let bad = |part: &[u8]| part == b".." || part.len() > LONGEST || part.contains(&0);
    if components.clone().any(bad) { Err(Error::BadPath) } else { Ok(components) }
}

/// Returns `path` normalized: one `/` between its components, none at either end.
///
/// # Errors
/// Those of [`components`].
pub(super) fn normal(path: &[u8]) -> Result<Vec<u8>, Error> {
    let mut normal = Vec::with_capacity(path.len());
    for component in components(path)? {
        if !normal.is_empty() {
            normal.push(b'/');
        }
        normal.extend_from_slice(component);
    }
    Ok(normal)
}

/// Splits a [`normal`] path into the folder that it is in and its name there.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

/// The most symbolic links that are followed for one path, as on Linux (`MAXSYMLINKS`).
const LINKS: u32 = 40;

/// The longest target of a link, in bytes, as on Linux (`PATH_MAX`): with the number of links it
/// bounds the names of one path.
const TARGET: usize = 4096;

/// The longest path, in bytes, that links may expand to.
const LONGEST_PATH: usize = 64 * 1024;

/// Walks along a path, in which symbolic links are replaced by their targets: for a
/// [`Tree`](super::Tree) that has links.
#[derive(Debug)]
pub struct Steps {
    rest: Vec<u8>,
    at: usize,
    links: u32,
}

impl Steps {
    /// Begins at the root, with a path that has no null bytes.
    #[must_use]
    pub fn new(path: &[u8]) -> Self {
        Self { rest: path.to_vec(), at: 0, links: 0 }
    }

    /// Returns the next name. It may be `..`, which in the root is the root.
    #[expect(clippy::should_implement_trait, reason = "following a link changes what is next")]
    pub fn next(&mut self) -> Option<Vec<u8>> {
        let rest = self.rest.get(self.at..).unwrap_or_default();
        let (name, begin) = Self::first(rest)?;
        let name = name.to_vec();
        self.at += begin + name.len();
        Some(name)
    }

    /// Returns whether no other name follows.
    #[must_use]
    pub fn is_over(&self) -> bool {
        Self::first(self.rest.get(self.at..).unwrap_or_default()).is_none()
    }

    /// Returns the first name of `rest`, and its offset.
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

    /// Continues with the target of the symbolic link that was the last name. Returns whether
    /// the target is absolute.
    ///
    /// # Errors
    /// [`Error::NotFound`] after too many links, for an empty target and one of more than 4096
    /// bytes, and if the path becomes too long.
    pub fn follow(&mut self, target: &[u8]) -> Result<bool, Error> {
        self.links += 1;
        let rest = self.rest.get(self.at..).unwrap_or_default();
        let is_target = (1..=TARGET).contains(&target.len());
        if self.links > LINKS || !is_target || target.len() + rest.len() > LONGEST_PATH {
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
    fn targets_are_as_long_as_on_linux() {
        let mut steps = Steps::new(b"link/b");
        assert_eq!(steps.next().as_deref(), Some(&b"link"[..]));
        assert_eq!(steps.follow(&[b'a'; TARGET + 1]), Err(Error::NotFound));
        assert_eq!(steps.follow(b""), Err(Error::NotFound));
        assert_eq!(steps.follow(&[b'a'; TARGET]), Ok(false));
        assert_eq!(steps.next().map(|name| name.len()), Some(4096));
        assert_eq!(steps.next().as_deref(), Some(&b"b"[..]));
    }

    #[test]
    fn no_path_leads_out() {
        let long = [b'a'; LONGEST + 1];
        for path in [&b".."[..], b"/..", b"a/../b", b"a/..", b"a\0b", &long] {
            assert_eq!(normal(path), Err(Error::BadPath));
        }
    }
}
