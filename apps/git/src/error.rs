//! Says what goes wrong between a server and who reads a repository.

use crate::id::Id;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use xenith::text::Escaped;

/// Says what is wrong with a pack, or with the objects in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// It does not begin as a pack of version 2 does.
    Signature,
    /// An object is of this type, which there is not.
    Kind(u8),
    /// A number is longer than 64 bits.
    Number,
    /// An object's data are no zlib stream, or fail its checksum.
    Deflate,
    /// An object has more or fewer bytes than its header says.
    Length,
    /// A delta's base lies where no object begins.
    Offset,
    /// A delta is of an object that the pack does not hold.
    Base(Id),
    /// The instructions of a delta make no sense.
    Delta,
    /// Deltas are of deltas that are of deltas, more of them than the limit.
    Depth(u16),
    /// The pack's SHA-1 is not what stands at its end.
    Sum,
    /// Something follows the end of the pack.
    Trailing,
    /// There are more objects than the limit.
    Objects(u32),
    /// The objects have more bytes than the limit.
    Bytes(u64),
    /// An object that another one names is not in the pack.
    Missing(Id),
    /// An object is not of the kind that the one which names it says.
    Mistaken(Id),
    /// A commit does not say which tree it has.
    Commit(Id),
    /// A tag does not say of what it is one.
    Tag(Id),
    /// Tags are of tags that are of tags, without an end.
    Tags,
    /// What the ref names is neither a commit nor a tag.
    NoCommit(Id),
    /// A tree has an entry that is none.
    Tree(Id),
    /// A tree has an entry whose name begins so, and which none may have.
    Name(Id, Box<[u8]>),
    /// The entries of a tree are not in order, or one is there twice.
    Order(Id),
    /// Folders have more entries than the limit.
    Entries(u32),
    /// A file that is listed has too long a path, which begins so.
    Path(Box<[u8]>),
    /// There is no memory for it.
    Memory,
}

/// The longest beginning of a name or path that is kept in an error, in bytes.
const SHOWN: usize = 64;

/// The beginning of a name or path, for an error.
pub(crate) fn shown(name: &[u8]) -> Box<[u8]> {
    name.get(..SHOWN).unwrap_or(name).into()
}

/// A peer's text, up to about so many bytes: the memory for it is asked for where that must not
/// fail.
pub(crate) fn beginning(text: &[u8], most: usize) -> String {
    // No character is cut, as none has more than four bytes.
    let begins = |at: &usize| text.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    let end = (most.saturating_sub(3)..=most).rev().find(begins).unwrap_or(most);
    String::from_utf8_lossy(text.get(..end).unwrap_or(text)).into_owned()
}

impl Flaw {
    /// Whether it is one of what was committed, or of its size: not one of a pack that the next
    /// answer may not have.
    pub(crate) const fn lasts(&self) -> bool {
        match self {
            Self::Signature
            | Self::Kind(_)
            | Self::Number
            | Self::Deflate
            | Self::Length
            | Self::Offset
            | Self::Base(_)
            | Self::Delta
            | Self::Sum
            | Self::Trailing
            | Self::Memory => false,
            Self::Depth(_)
            | Self::Objects(_)
            | Self::Bytes(_)
            | Self::Missing(_)
            | Self::Mistaken(_)
            | Self::Commit(_)
            | Self::Tag(_)
            | Self::Tags
            | Self::NoCommit(_)
            | Self::Tree(_)
            | Self::Name(..)
            | Self::Order(_)
            | Self::Entries(_)
            | Self::Path(_) => true,
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signature => "it does not begin as a pack of version 2",
            Self::Kind(kind) => return write!(f, "an object is of type {kind}, which is unknown"),
            Self::Number => "a number has more than 64 bits",
            Self::Deflate => "an object's data are not what zlib writes",
            Self::Length => "an object is longer or shorter than it says",
            Self::Offset => "a delta's base lies where no object begins",
            Self::Base(id) => {
                return write!(f, "a delta is of object {id}, which is not in the pack");
            }
            Self::Delta => "a delta's instructions make no sense",
            Self::Depth(most) => return write!(f, "there are deltas of more than {most} deltas"),
            Self::Sum => "its checksum is wrong",
            Self::Trailing => "something follows its end",
            Self::Objects(most) => {
                return write!(f, "it has more than {most} objects (objects= allows more)");
            }
            Self::Bytes(most) => {
                return write!(f, "its objects have more than {most} bytes (limit= allows more)");
            }
            Self::Missing(id) => return write!(f, "object {id} is missing"),
            Self::Mistaken(id) => return write!(f, "object {id} is not of the kind that is said"),
            Self::Commit(id) => return write!(f, "commit {id} is malformed"),
            Self::Tag(id) => return write!(f, "tag {id} is malformed"),
            Self::Tags => "there is a tag of a tag, and so on, without an end",
            Self::NoCommit(id) => return write!(f, "object {id} is no commit"),
            Self::Tree(id) => return write!(f, "tree {id} is malformed"),
            Self::Name(id, name) => {
                return write!(f, "tree {id} has an entry of the name \"{}\"", Escaped(name));
            }
            Self::Order(id) => return write!(f, "the entries of tree {id} are not in order"),
            Self::Entries(most) => {
                return write!(f, "folders have more than {most} entries (objects= allows more)");
            }
            Self::Path(path) => {
                return write!(f, "a path is too long, which begins with \"{}\"", Escaped(path));
            }
            Self::Memory => "there is no memory for it",
        })
    }
}

impl core::error::Error for Flaw {}

/// Says why a repository could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error<E> {
    /// The stream failed.
    Stream(E),
    /// The answer ends too early.
    Ended,
    /// The server says why it does not answer, of which the beginning is kept.
    Server(String),
    /// The server does not speak version 2 of the protocol.
    Version,
    /// The server does not offer this.
    Lacks(&'static str),
    /// The objects have ids of another sort than SHA-1.
    Format,
    /// A part of the answer does not make sense: this one.
    Malformed(&'static str),
    /// What the server offers, and its list of refs, have more bytes than are read.
    List,
    /// The answer has more bytes than objects within the limit can have.
    TooLong,
    /// There is no branch or tag of that name.
    NoSuchRef,
    /// The pack is wrong.
    Pack(Flaw),
}

impl<E> Error<E> {
    /// Whether the next answer for the same commit would be as wrong.
    pub(crate) const fn lasts(&self) -> bool {
        match self {
            Self::Pack(flaw) => flaw.lasts(),
            Self::TooLong => true,
            _ => false,
        }
    }
}

impl<E> From<Flaw> for Error<E> {
    fn from(flaw: Flaw) -> Self {
        Self::Pack(flaw)
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream(error) => return error.fmt(f),
            Self::Ended => "the answer ends too early",
            Self::Server(text) => {
                return write!(f, "the server says: {}", Escaped(text.as_bytes()));
            }
            Self::Version => "the server does not speak version 2 of git's protocol",
            Self::Lacks(what) => return write!(f, "the server does not offer {what}"),
            Self::Format => "the repository's ids are not SHA-1, which is not supported",
            Self::Malformed(what) => return write!(f, "the server sent a malformed {what}"),
            Self::List => {
                "the server's list of refs is longer than 256 KiB (of a whole name, such as \
                 branch=refs/heads/main, it may be shorter)"
            }
            Self::TooLong => "the answer is longer than allowed (limit= allows more)",
            Self::NoSuchRef => "there is no such branch or tag",
            Self::Pack(flaw) => return write!(f, "the pack cannot be used: {flaw}"),
        })
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for Error<E> {}
