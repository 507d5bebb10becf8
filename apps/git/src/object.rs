//! Objects of a repository: what is in commits, tags and trees.

use crate::error::{Flaw, beginning, shown};
use crate::id::{Id, Kind};
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// The longest beginning of a commit's first line that is kept, in bytes.
const SUBJECT: usize = 200;

/// The longest name of a file or folder, in bytes, as on Linux (`NAME_MAX`).
const NAME: usize = 255;

/// The value of the header `name` of a commit or tag, which has to be on this line.
fn header<'a>(line: Option<&'a [u8]>, name: &[u8]) -> Option<&'a [u8]> {
    line?.strip_prefix(name)?.strip_prefix(b" ")
}

/// Describes a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: Id,
    /// The id of its tree.
    pub tree: Id,
    /// When it was committed, in seconds since 1970; 0 where it does not say so.
    pub time: u64,
    /// The first line of its message, or about 200 bytes of it.
    pub subject: String,
}

impl Commit {
    pub(crate) fn parse(id: Id, data: &[u8]) -> Result<Self, Flaw> {
        let mut lines = data.split(|&byte| byte == b'\n');
        let tree = header(lines.next(), b"tree").and_then(Id::parse).ok_or(Flaw::Commit(id))?;
        let mut time = 0;
        for line in lines.by_ref().take_while(|line| !line.is_empty()) {
            if let Some(who) = header(Some(line), b"committer") {
                let at = who.iter().rposition(|&byte| byte == b'>').map_or(0, |at| at + 1);
                let word = who.get(at..).unwrap_or_default().trim_ascii_start();
                let word = word.split(|&byte| byte == b' ').next().unwrap_or_default();
                time = core::str::from_utf8(word).ok().and_then(|it| it.parse().ok()).unwrap_or(0);
            }
        }
        let subject = beginning(lines.next().unwrap_or_default(), SUBJECT);
        Ok(Self { id, tree, time, subject })
    }
}

/// The id of the object that a tag names.
pub(crate) fn tagged(id: Id, data: &[u8]) -> Result<Id, Flaw> {
    let first = data.split(|&byte| byte == b'\n').next();
    header(first, b"object").and_then(Id::parse).ok_or(Flaw::Tag(id))
}

/// What an entry of a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    File,
    Program,
    Link,
    Folder,
    /// A commit of another repository.
    Module,
}

impl Mode {
    fn parse(digits: &[u8]) -> Option<Self> {
        let is_octal = digits.iter().all(|digit| matches!(digit, b'0'..=b'7'));
        let mode = core::str::from_utf8(digits).ok().filter(|it| is_octal && it.len() <= 7)?;
        let mode = u32::from_str_radix(mode, 8).ok()?;
        // Old ones begin with a zero, or have other rights: git sees in them what is here, too.
        Some(match mode & 0o170_000 {
            0o100_000 if mode & 0o100 != 0 => Self::Program,
            0o100_000 => Self::File,
            0o120_000 => Self::Link,
            0o040_000 => Self::Folder,
            0o160_000 => Self::Module,
            _ => return None,
        })
    }

    /// What the entry's id is of, unless that is in another repository.
    pub(crate) const fn kind(self) -> Option<Kind> {
        match self {
            Self::File | Self::Program | Self::Link => Some(Kind::Blob),
            Self::Folder => Some(Kind::Tree),
            Self::Module => None,
        }
    }

    /// As trees have it.
    pub(crate) const fn digits(self) -> &'static [u8] {
        match self {
            Self::File => b"100644",
            Self::Program => b"100755",
            Self::Link => b"120000",
            Self::Folder => b"40000",
            Self::Module => b"160000",
        }
    }

    /// As `git ls-tree` prints it, with the kind.
    pub(crate) const fn printed(self) -> &'static str {
        match self {
            Self::File => "100644 blob",
            Self::Program => "100755 blob",
            Self::Link => "120000 blob",
            Self::Folder => "040000 tree",
            Self::Module => "160000 commit",
        }
    }
}

/// An entry of a tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) mode: Mode,
    pub(crate) name: &'a [u8],
    pub(crate) id: Id,
}

impl<'a> Entry<'a> {
    /// Takes the first entry off `rest`.
    pub(crate) fn take(rest: &mut &'a [u8]) -> Option<Self> {
        let space = rest.iter().position(|&byte| byte == b' ')?;
        let mode = Mode::parse(rest.get(..space)?)?;
        let named = rest.get(space + 1..)?;
        let end = named.iter().position(|&byte| byte == 0)?;
        let (id, after) = named.get(end + 1..)?.split_first_chunk()?;
        *rest = after;
        Some(Self { mode, name: named.get(..end)?, id: Id(*id) })
    }

    /// The order of trees: by bytes, folders as if a slash followed.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        let both = self.name.len().min(other.name.len());
        let next = |it: &Self| {
            let end = if it.mode == Mode::Folder { b'/' } else { 0 };
            it.name.get(both).copied().unwrap_or(end)
        };
        self.name[..both].cmp(&other.name[..both]).then(next(self).cmp(&next(other)))
    }
}

/// Whether it may be the name of a file: no other folder, no part of a path, not what a clone has for
/// itself, and not longer than names of files are.
pub(crate) fn is_name(name: &[u8]) -> bool {
    let reserved = matches!(name, b"" | b"." | b"..") || name.eq_ignore_ascii_case(b".git");
    !reserved && name.len() <= NAME && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}

/// Whether a new file may have this name: besides what every name has to be, one that git checks out
/// wherever a clone is made. On NTFS and HFS+ other names than `.git` are that folder (git's
/// `core.protectNTFS` and `core.protectHFS`), and Windows takes `\\` for a slash.
pub(crate) fn is_new_name(name: &[u8]) -> bool {
    let plain = |&byte: &u8| byte >= b' ' && byte != 0x7f && byte != b'\\';
    is_name(name) && name.iter().all(plain) && !is_ntfs_git(name) && !is_hfs_git(name)
}

/// Whether NTFS takes it for `.git`: it ignores dots and spaces at the end, a colon begins the name of
/// one of the file's streams, and the short form has a number.
fn is_ntfs_git(name: &[u8]) -> bool {
    let end = name.iter().position(|&byte| byte == b':').unwrap_or(name.len());
    let mut name = name.get(..end).unwrap_or(name);
    while let [rest @ .., b' ' | b'.'] = name {
        name = rest;
    }
    name.eq_ignore_ascii_case(b".git") || name.eq_ignore_ascii_case(b"git~1")
}

/// Whether HFS+ takes it for `.git`: it ignores some characters. Of what is not UTF-8, git looks at what
/// stands before.
fn is_hfs_git(name: &[u8]) -> bool {
    let text = name.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let ignored = |it: &char| {
        matches!(it, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}')
            || *it == '\u{feff}'
    };
    let seen = text.chars().filter(|it| !ignored(it)).map(|it| it.to_ascii_lowercase());
    seen.eq(".git".chars())
}

/// The entry that begins at `at` in a tree.
pub(crate) fn entry_at(data: &[u8], at: u32) -> Option<Entry<'_>> {
    Entry::take(&mut data.get(usize::try_from(at).ok()?..)?)
}

/// The name of the entry that begins at `at` in a tree.
pub(crate) fn name_at(data: &[u8], at: u32) -> &[u8] {
    entry_at(data, at).map_or(&[], |entry| entry.name)
}

/// Where the entries of a tree begin, by their names: a folder stands where a file of its name
/// would. No name may be there twice, also not as that of a file and a folder.
pub(crate) fn sort_tree(id: Id, data: &[u8]) -> Result<Vec<u32>, Flaw> {
    let mut sorted = Vec::new();
    sorted.try_reserve_exact(entries(data).count()).map_err(|_| Flaw::Memory)?;
    let mut rest = data;
    while !rest.is_empty() {
        // No memory of a guest holds as much.
        let at = u32::try_from(data.len() - rest.len()).map_err(|_| Flaw::Memory)?;
        Entry::take(&mut rest).ok_or(Flaw::Tree(id))?;
        sorted.push(at);
    }
    sorted.sort_unstable_by(|&one, &other| name_at(data, one).cmp(name_at(data, other)));
    let twice =
        sorted.array_windows().any(|&[one, next]| name_at(data, one) == name_at(data, next));
    if twice { Err(Flaw::Order(id)) } else { Ok(sorted) }
}

/// The entries of a tree that was [checked](check_tree), up to the first that is none.
pub(crate) fn entries(mut data: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    core::iter::from_fn(move || Entry::take(&mut data))
}

/// Calls `each` for each entry of a tree of which they all make sense: their names are such, and
/// in order.
pub(crate) fn check_tree(
    id: Id,
    mut data: &[u8],
    mut each: impl FnMut(&Entry<'_>) -> Result<(), Flaw>,
) -> Result<(), Flaw> {
    let mut before: Option<Entry<'_>> = None;
    while !data.is_empty() {
        let entry = Entry::take(&mut data).ok_or(Flaw::Tree(id))?;
        if !is_name(entry.name) {
            return Err(Flaw::Name(id, shown(entry.name)));
        }
        if before.is_some_and(|before| before.order(&entry) != Ordering::Less) {
            return Err(Flaw::Order(id));
        }
        each(&entry)?;
        before = Some(entry);
    }
    Ok(())
}
