//! Keeps blocks of metadata in memory, least recently used out first.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;

/// Caches blocks, each with the number of its last use.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    by_number: BTreeMap<u64, (u64, Rc<[u8]>)>,
    uses: u64,
}

impl Blocks {
    pub(super) fn find(&mut self, number: u64) -> Option<Rc<[u8]>> {
        let (used, block) = self.by_number.get_mut(&number)?;
        self.uses += 1;
        *used = self.uses;
        Some(block.clone())
    }

    /// Adds a block to the cache, and keeps up to `most` others.
    pub(super) fn keep(&mut self, number: u64, block: Rc<[u8]>, most: u64) {
        if self.by_number.len() as u64 >= most {
            let oldest = self.by_number.iter().min_by_key(|(_, (used, _))| *used);
            if let Some((&oldest, _)) = oldest {
                self.by_number.remove(&oldest);
            }
        }
        self.uses += 1;
        self.by_number.insert(number, (self.uses, block));
    }
}
