//! Who a process is (credentials(7)).

use alloc::rc::Rc;
use alloc::vec::Vec;

/// The real, effective, saved and file-system numbers of a user or a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// Who started it.
    pub real: u32,
    /// As whom it acts.
    pub effective: u32,
    /// As whom it may act again.
    pub saved: u32,
    /// As whom it opens files.
    pub files: u32,
}

impl Ids {
    /// Makes four equal ones.
    #[must_use]
    pub const fn all(id: u32) -> Self {
        Self { real: id, effective: id, saved: id, files: id }
    }

    const fn first(&self) -> [u32; 3] {
        [self.real, self.effective, self.saved]
    }

    /// Whether `id` is one of the first three.
    #[must_use]
    pub const fn has(&self, id: u32) -> bool {
        self.real == id || self.effective == id || self.saved == id
    }
}

/// As whom a process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: Ids,
    /// The group.
    pub group: Ids,
    /// Other groups.
    pub groups: Rc<[u32]>,
}

impl Credentials {
    /// Makes those of a user who is in one group.
    #[must_use]
    pub fn new(user: u32, group: u32) -> Self {
        Self { user: Ids::all(user), group: Ids::all(group), groups: Rc::from(Vec::new()) }
    }

    /// Whether it may do anything.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.user.effective == 0
    }

    /// Whether it may see and change the limits of `other`: who could become somebody else is not
    /// another's to limit.
    #[must_use]
    pub fn may_limit(&self, other: &Self) -> bool {
        self.is_root()
            || other.user.first() == [self.user.real; 3]
                && other.group.first() == [self.group.real; 3]
    }

    /// Whether it may change how `other` is scheduled.
    #[must_use]
    pub const fn may_schedule(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.user.effective, &other.user);
        self.is_root() || mine == theirs.real || mine == theirs.effective
    }

    /// Whether it may send signals to `other`.
    #[must_use]
    pub const fn may_signal(&self, other: &Self) -> bool {
        let (mine, theirs) = (&self.user, &other.user);
        self.is_root()
            || mine.effective == theirs.real
            || mine.effective == theirs.saved
            || mine.real == theirs.real
            || mine.real == theirs.saved
    }
}
