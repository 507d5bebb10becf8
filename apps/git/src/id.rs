//! What objects are called, and of which kinds they are.

use core::fmt;
use sha1::{Digest, Sha1};

/// Identifies an object by the SHA-1 of its kind, length and content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub [u8; 20]);

impl Id {
    /// Reads 40 hexadecimal digits in lower case.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (pairs, rest) = text.as_chunks::<2>();
        let pairs: &[[u8; 2]; 20] = pairs.try_into().ok().filter(|_| rest.is_empty())?;
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut id = [0; 20];
        for (byte, &[high, low]) in id.iter_mut().zip(pairs) {
            *byte = digit(high)? << 4 | digit(low)?;
        }
        Some(Self(id))
    }

    /// Computes the id of an object.
    #[must_use]
    pub fn of(kind: Kind, data: &[u8]) -> Self {
        let mut sum = Sha1::new();
        sum.update(kind.name());
        sum.update(b" ");
        // The length in decimal, of at most 20 digits.
        let (mut digits, mut at, mut left) = ([0; 20], 20, data.len());
        while at == 20 || left > 0 {
            at -= 1;
            digits[at] = b'0' + (left % 10) as u8;
            left /= 10;
        }
        sum.update(&digits[at..]);
        sum.update(b"\0");
        sum.update(data);
        Self(sum.finalize().into())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Says what an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A tree, its ancestors and who made it.
    Commit,
    /// A folder.
    Tree,
    /// The content of a file, or the target of a link.
    Blob,
    /// A name of another object, with a text.
    Tag,
}

impl Kind {
    /// What it is called in ids.
    pub(crate) const fn name(self) -> &'static [u8] {
        match self {
            Self::Commit => b"commit",
            Self::Tree => b"tree",
            Self::Blob => b"blob",
            Self::Tag => b"tag",
        }
    }
}
