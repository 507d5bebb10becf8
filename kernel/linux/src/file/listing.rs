//! The names in a folder (getdents64(2)).

use super::Type;
use crate::errno::Errno;
use crate::memory::widen;
use alloc::vec::Vec;

/// Names with what is known of them. Their bytes are in one piece, and take no more than there is:
/// how many there are a program chose.
#[derive(Default)]
pub struct Listing {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// A name, by its place among the bytes.
#[derive(Clone, Copy)]
struct Entry {
    start: usize,
    length: usize,
    number: u64,
    kind: Option<Type>,
}

/// A name in a folder.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// It.
    pub name: &'a [u8],
    /// The number of its inode.
    pub number: u64,
    /// `None`: one would have to look.
    pub kind: Option<Type>,
}

impl Listing {
    /// Adds a name behind the others.
    ///
    /// # Errors
    /// `ENOMEM`, also where memory is low and this would take more than 4 KiB.
    pub fn push(&mut self, name: &[u8], number: u64, kind: Option<Type>) -> Result<(), Errno> {
        self.insert(self.entries.len(), name, number, kind)
    }

    /// Adds a name so that so many stand before it, or behind all.
    ///
    /// # Errors
    /// As of [`push`](Self::push).
    pub fn insert(
        &mut self,
        at: usize,
        name: &[u8],
        number: u64,
        kind: Option<Type>,
    ) -> Result<(), Errno> {
        let (bytes, entries) = (&mut self.bytes, &mut self.entries);
        widen(bytes, name.len())?;
        widen(entries, 1)?;
        let (start, length) = (bytes.len(), name.len());
        bytes.extend_from_slice(name);
        entries.insert(at.min(entries.len()), Entry { start, length, number, kind });
        Ok(())
    }

    /// Removes those that `keep` says no to.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        let bytes = &self.bytes;
        self.entries.retain(|it| keep(name(bytes, it)));
    }

    /// Sorts them by name.
    pub fn sort(&mut self) {
        let bytes = &self.bytes;
        self.entries.sort_unstable_by(|a, b| name(bytes, a).cmp(name(bytes, b)));
    }

    /// Returns whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns them in their order, without the first few.
    pub fn from(&self, first: usize) -> impl Iterator<Item = Listed<'_>> {
        let entries = self.entries.get(first..).unwrap_or_default();
        entries.iter().map(|it| Listed {
            name: name(&self.bytes, it),
            number: it.number,
            kind: it.kind,
        })
    }
}

fn name<'a>(bytes: &'a [u8], it: &Entry) -> &'a [u8] {
    bytes.get(it.start..it.start + it.length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_of_many_names_grows_no_further_while_memory_is_low_u4() {
        kernel::testing::simulate_memory(1 << 24);
        let fill = |most: usize| {
            let mut all = Listing::default();
            let added = (0..most).take_while(|_| all.push(b"name", 1, None).is_ok()).count();
            (added, all.from(0).count())
        };
        assert_eq!(fill(5000), (5000, 5000));
        kernel::testing::simulate_memory_use((1 << 24) - 4096);
        let (added, listed) = fill(5000);
        assert_eq!(added, listed);
        assert!((64..256).contains(&added), "{added} names in about 4 KiB");
    }
}
