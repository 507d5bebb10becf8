//! Counts the domains that this guest has been.
//!
//! `xl restore` and `xl migrate` put a guest's memory into another domain. All that it had opened
//! ended with the former one: its ports, its grants, its requests of xenstored. The new domain
//! gives out the same numbers anew, so a handle notes the [`Generation`] that it was made in, and
//! one of an earlier generation touches nothing.

use core::sync::atomic::Ordering;

/// Numbers the domain that a handle belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u32);

impl Generation {
    /// Returns that of the domain that this guest is now; 0 since boot.
    #[must_use]
    pub fn current() -> Self {
        Self(crate::generations().load(Ordering::Relaxed))
    }

    /// Returns whether the guest is still the same domain.
    #[must_use]
    pub fn is_current(self) -> bool {
        // The first comparison is for the compiler: in an image that is never suspended nothing
        // writes the count, so none of what asks is left in it.
        Self::current() == Self(0) || self == Self::current()
    }

    /// Begins the next one.
    pub(crate) fn begin() {
        crate::generations().fetch_add(1, Ordering::Relaxed);
    }

    /// Returns its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}
