//! Bytes that frames are made of without a copy.

use alloc::rc::Rc;
use core::fmt;
use core::ops::Range;
use xen::DomId;
use xen::gnttab::{GrantRef, ShownPages};

/// Holds bytes that do not change any more, in pages of their own. A clone is another handle of
/// the same bytes, which go with the last one.
///
/// An interface that its other side reads from this domain's memory shows it these pages, instead
/// of copying what is sent of them: all of a page, which is read-only to it, and as long as the
/// bytes live. So what they hold has to be meant for the network.
#[derive(Clone)]
pub struct Shared(Rc<ShownPages>);

impl Shared {
    /// Copies `bytes`, once. Returns `None` if there is no memory.
    #[must_use]
    pub fn copy(bytes: &[u8]) -> Option<Self> {
        ShownPages::copy(bytes).map(|pages| Self(Rc::new(pages)))
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// Returns how `peer` names the pages, if it is the one that may see them.
    pub(super) fn show(&self, peer: DomId) -> Option<&[GrantRef]> {
        self.0.show(peer)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({})", self.bytes().len())
    }
}

/// Names some bytes of a frame.
#[derive(Clone, Debug)]
pub enum Part<'a> {
    /// These, which are copied.
    Bytes(&'a [u8]),
    /// Those of [`Shared`] in this range, which need not be.
    Shared(&'a Shared, Range<usize>),
}

impl Part<'_> {
    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Shared(shared, range) => shared.bytes().get(range.clone()).unwrap_or_default(),
        }
    }
}

/// Returns how many bytes `parts` have together.
#[must_use]
pub(super) fn length(parts: &[Part<'_>]) -> usize {
    parts.iter().map(|part| part.bytes().len()).sum()
}

/// Copies `parts` to `to`, which is as long.
pub(super) fn gather(parts: &[Part<'_>], mut to: &mut [u8]) {
    for part in parts {
        let bytes = part.bytes();
        let Some((head, rest)) = to.split_at_mut_checked(bytes.len()) else { return };
        head.copy_from_slice(bytes);
        to = rest;
    }
}
