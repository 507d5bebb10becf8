//! Sequence numbers, which wrap around (RFC 9293, section 3.4).

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A sequence number. Two of one connection are never 2^31 or more apart, so that which of
/// them comes first can be told.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seq(pub(crate) u32);

impl Seq {
    /// Returns whether it comes before `other`.
    pub(crate) const fn is_before(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() < 0
    }

    /// Returns whether it comes after `other`.
    pub(crate) const fn is_after(self, other: Self) -> bool {
        other.is_before(self)
    }

    /// Returns how far it is behind `earlier`; 0 when it comes before it.
    pub(crate) const fn since(self, earlier: Self) -> u32 {
        if self.is_before(earlier) { 0 } else { self.0.wrapping_sub(earlier.0) }
    }

    /// Returns the later one.
    pub(crate) const fn max(self, other: Self) -> Self {
        if self.is_before(other) { other } else { self }
    }

    /// Returns the earlier one.
    pub(crate) const fn min(self, other: Self) -> Self {
        if self.is_before(other) { self } else { other }
    }
}

impl Add<u32> for Seq {
    type Output = Self;

    fn add(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }
}

impl AddAssign<u32> for Seq {
    fn add_assign(&mut self, count: u32) {
        *self = *self + count;
    }
}

impl Sub<u32> for Seq {
    type Output = Self;

    fn sub(self, count: u32) -> Self {
        Self(self.0.wrapping_sub(count))
    }
}

impl fmt::Debug for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The sequence numbers from `start` to before `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: Seq,
    pub(crate) end: Seq,
}

impl Range {
    pub(crate) const fn new(start: Seq, end: Seq) -> Self {
        Self { start, end }
    }

    /// Returns how many numbers it has; 0 when it ends before it starts.
    pub(crate) const fn len(self) -> u32 {
        self.end.since(self.start)
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Returns whether all of `other` is in it.
    pub(crate) const fn contains(self, other: Self) -> bool {
        !other.start.is_before(self.start) && !other.end.is_after(self.end)
    }
}
