//! Lists folders in the order of names, where the format has them in another.
//!
//! One pass over a folder collects the names that come next, as many as there is room for. They
//! are remembered, so that a listing by pages costs one pass, and not one a page.

use super::{Error, Metadata, Tree};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::Bound;

/// The number of listings that are remembered.
const WINDOWS: usize = 4;

/// The approximate size of a name in memory beside its bytes, in bytes.
const ENTRY: usize = 96;

/// The least memory of a listing in bytes, and the memory of one that is not remembered.
const LEAST: usize = 8 * 1024;

/// A range of a folder's names, sorted.
#[derive(Debug)]
pub(super) struct Window {
    folder: u64,
    version: u64,
    /// The name after which the range begins.
    after: Box<[u8]>,
    pub(super) names: BTreeMap<Box<[u8]>, Metadata>,
    /// Whether other names follow the last one.
    more: bool,
    /// The room for names, in bytes.
    room: usize,
    used: usize,
}

impl Window {
    /// Makes an empty range with room for a share of the free memory.
    pub(super) fn new((folder, version): (u64, u64), after: &[u8]) -> Self {
        Self::with_room((folder, version), after, super::spare_memory() / 8)
    }

    fn with_room((folder, version): (u64, u64), after: &[u8], room: usize) -> Self {
        let (names, room) = (BTreeMap::new(), room.max(LEAST));
        Self { folder, version, after: after.into(), names, more: false, room, used: 0 }
    }

    /// Adds a name, if it follows `after` and sorts before the last one that there is room for.
    pub(super) fn take(&mut self, name: &[u8], metadata: Metadata) {
        let behind = || self.names.last_key_value().is_some_and(|(last, _)| name > &**last);
        // A damaged folder may have a name twice; the first entry counts.
        if name <= &*self.after || self.names.contains_key(name) || (self.more && behind()) {
            return;
        }
        self.names.insert(name.into(), metadata);
        self.used += name.len() + ENTRY;
        while self.used > self.room && self.names.len() > 1 {
            if let Some((last, _)) = self.names.pop_last() {
                self.used -= last.len() + ENTRY;
            }
            self.more = true;
        }
    }

    /// Returns whether it holds the names that follow `after` in `folder`.
    fn tells(&self, folder: u64, after: &[u8]) -> bool {
        let last = self.names.last_key_value();
        let inside = !self.more || last.is_some_and(|(last, _)| after < &**last);
        self.folder == folder && *self.after <= *after && inside
    }

    /// Calls `each` for the names that follow `after`, and sets `after` to the last of them.
    /// Returns whether others follow, or `None` if `each` returned `false`, which ends the
    /// listing.
    fn show(
        &self,
        after: &mut Vec<u8>,
        each: &mut dyn FnMut(&[u8], Metadata) -> bool,
    ) -> Option<bool> {
        let rest = (Bound::Excluded(&**after), Bound::Unbounded);
        let mut last = None;
        for (name, metadata) in self.names.range::<[u8], _>(rest) {
            if !each(name, *metadata) {
                return None;
            }
            last = Some(name);
        }
        if let Some(last) = last {
            *after = last.to_vec();
        }
        Some(self.more)
    }
}

/// The ranges of the listings in progress, least recently used first.
#[derive(Debug, Default)]
pub(super) struct Sorted(RefCell<Vec<Window>>);

impl Sorted {
    /// Calls `each` for the remembered names that follow `after`, if the folder still has this
    /// version, and sets `after` to the last of them. Returns whether the caller has to scan the
    /// folder for more.
    pub(super) fn show(
        &self,
        (folder, version): (u64, u64),
        after: &mut Vec<u8>,
        each: &mut dyn FnMut(&[u8], Metadata) -> bool,
    ) -> bool {
        let window = {
            let mut windows = self.0.borrow_mut();
            windows.retain(|window| window.version == version);
            let at = windows.iter().position(|window| window.tells(folder, after));
            at.map(|at| windows.remove(at))
        };
        let Some(mut window) = window else { return true };
        let shown = window.show(after, each);
        if shown.is_none() {
            self.keep(window);
        } else if shown == Some(false) && !window.names.is_empty() {
            // The range is at its end: nothing follows.
            window.names.clear();
            window.after = after[..].into();
            self.keep(window);
        }
        shown.unwrap_or(false)
    }

    /// Remembers a range.
    pub(super) fn keep(&self, window: Window) {
        let mut windows = self.0.borrow_mut();
        if windows.len() >= WINDOWS {
            windows.remove(0);
        }
        windows.push(window);
    }
}

/// Implements [`Tree::list_after`] by [`Tree::list`] for a format that remembers nothing.
pub(super) async fn list_after<T: Tree + ?Sized>(
    tree: &T,
    node: &T::Node,
    after: &[u8],
    each: &mut dyn FnMut(&[u8], Metadata) -> bool,
) -> Result<(), Error> {
    let mut after = after.to_vec();
    loop {
        let mut window = Window::with_room((0, 0), &after, LEAST);
        tree.list(node, &mut |name, metadata| window.take(name, metadata)).await?;
        if window.show(&mut after, each) != Some(true) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Kind;
    use std::string::String;

    const IT: Metadata = Metadata { kind: Kind::File, size: 0, modified: 0, id: 0 };

    /// Lists names page by page; how many passes that took.
    fn passes(names: &[String], room: usize, page: usize) -> usize {
        let (sorted, mut passes) = (Sorted::default(), 0);
        let mut expected: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
        expected.sort_unstable();
        let mut found: Vec<Vec<u8>> = Vec::new();
        loop {
            let before = found.len();
            let mut after = found.last().cloned().unwrap_or_default();
            let mut each = |name: &[u8], _| {
                found.push(name.to_vec());
                found.len() < before + page
            };
            while sorted.show((7, 1), &mut after, &mut each) {
                let mut window = Window::with_room((7, 1), &after, room);
                names.iter().for_each(|name| window.take(name.as_bytes(), IT));
                assert!(window.used <= window.room);
                sorted.keep(window);
                passes += 1;
            }
            if found.len() == before {
                break;
            }
        }
        assert!(found == expected);
        passes
    }

    #[test]
    fn a_listing_takes_as_many_passes_as_its_memory_asks_for() {
        let names: Vec<String> =
            (0..3000).map(|it| std::format!("{:06}", it * 7919 % 10007)).collect();
        assert_eq!(passes(&names, 1 << 20, 32), 1);
        assert!((4..=6).contains(&passes(&names, 3000 * (6 + ENTRY) / 4, 32)));
        assert!(passes(&names, 0, 1000) > 30);
    }

    #[test]
    fn a_change_and_a_fifth_listing_are_forgotten() {
        let sorted = Sorted::default();
        let shown = |place| {
            let mut names = 0;
            let mut each = |_: &[u8], _| {
                names += 1;
                false
            };
            sorted.show(place, &mut Vec::new(), &mut each);
            names
        };
        for folder in 0..5 {
            let mut window = Window::new((folder, 1), b"");
            window.take(b"name", IT);
            sorted.keep(window);
        }
        assert_eq!([0, 1, 4].map(|folder| shown((folder, 1))), [0, 1, 1]);
        assert_eq!(shown((4, 2)), 0);
        assert_eq!(shown((4, 1)), 0, "it was of another version");
    }
}
