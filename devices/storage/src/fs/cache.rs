//! Caches the contents of files in memory, least recently used out first.

use super::{Error, Tree};
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use kernel::memory::{is_low, zeroed};

/// The size of a chunk in bytes; the last one of a file may be shorter.
pub const CHUNK: usize = 64 * 1024;

/// The approximate overhead of a chunk in bytes.
const ENTRY: usize = 128;

/// Caches contents of a tree, which must not change meanwhile.
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub use xenith_storage::*; }
///
/// use xenith::fs::built::Built;
/// use xenith::fs::{CHUNK, Cache, Error, Tree};
/// use xenith::task::block_on;
///
/// let tree = Built::new(&[("large", &[7; CHUNK + 100])]);
/// let cache = Cache::new(tree, 1 << 20);
/// block_on(async {
///     let node = cache.tree().lookup(b"large").await?;
///     assert_eq!(cache.chunk(&node, 0).await?.len(), CHUNK);
///     // This one is read, and the next time it is not.
///     assert_eq!(cache.chunk(&node, 1).await?.len(), 100);
///     assert_eq!(cache.chunk(&node, 1).await?.len(), 100);
///     Ok::<(), Error>(())
/// })?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Cache<T> {
    tree: T,
    chunks: RefCell<Chunks>,
}

/// The id of a file, and the number of a chunk in it.
type Key = (u64, u64);

/// The cached chunks.
#[derive(Debug, Default)]
struct Chunks {
    /// With the number of its last use.
    by_key: BTreeMap<Key, (u64, Rc<Vec<u8>>)>,
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    /// The free room in bytes.
    room: usize,
}

impl Chunks {
    fn find(&mut self, key: Key) -> Option<Rc<Vec<u8>>> {
        let (used, bytes) = self.by_key.get_mut(&key)?;
        self.by_use.remove(used);
        self.uses += 1;
        *used = self.uses;
        self.by_use.insert(self.uses, key);
        Some(bytes.clone())
    }

    fn remove(&mut self, key: Key) {
        if let Some((used, bytes)) = self.by_key.remove(&key) {
            self.by_use.remove(&used);
            self.room += bytes.len() + ENTRY;
        }
    }

    /// Evicts the least recently used chunk; returns whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let oldest = self.by_use.first_key_value().map(|(_, &key)| key);
        oldest.inspect(|&key| self.remove(key)).is_some()
    }

    fn keep(&mut self, key: Key, bytes: Rc<Vec<u8>>) {
        // Two tasks that missed it at once have both read it.
        self.remove(key);
        let needed = bytes.len() + ENTRY;
        while self.room < needed {
            if !self.drop_oldest() {
                return;
            }
        }
        self.room -= needed;
        self.uses += 1;
        self.by_use.insert(self.uses, key);
        self.by_key.insert(key, (self.uses, bytes));
    }
}

impl<T: Tree> Cache<T> {
    /// Makes a cache of up to `room` bytes for `tree`, not counting chunks in use.
    pub fn new(tree: T, room: usize) -> Self {
        Self { tree, chunks: RefCell::new(Chunks { room, ..Chunks::default() }) }
    }

    /// Returns the tree.
    pub const fn tree(&self) -> &T {
        &self.tree
    }

    /// Returns chunk `number` of the file `node`, which is empty beyond its end.
    ///
    /// # Errors
    /// Those of [`Tree::read`]; [`Error::Damaged`] for a file that is shorter than its size;
    /// [`Error::NoMemory`] while memory is low and no chunk can be evicted.
    pub async fn chunk(&self, node: &T::Node, number: u64) -> Result<Rc<Vec<u8>>, Error> {
        let metadata = self.tree.metadata(node);
        let key = (metadata.id, number);
        if let Some(bytes) = self.chunks.borrow_mut().find(key) {
            return Ok(bytes);
        }
        let offset = number.saturating_mul(CHUNK as u64);
        let length = metadata.size.saturating_sub(offset).min(CHUNK as u64) as usize;
        // Chunks in use are worth more than cached ones, and leave memory for all else.
        let mut bytes = loop {
            let bytes = if is_low() { None } else { zeroed(length) };
            match bytes {
                Some(bytes) => break bytes,
                None if self.chunks.borrow_mut().drop_oldest() => {}
                None => return Err(Error::NoMemory),
            }
        };
        if fill(&self.tree, node, offset, &mut bytes).await? < length {
            return Err(Error::Damaged);
        }
        let bytes = Rc::new(bytes);
        self.chunks.borrow_mut().keep(key, bytes.clone());
        Ok(bytes)
    }
}

/// Reads until `to` is full or the file ends; returns how many bytes.
pub(crate) async fn fill<T: Tree>(
    tree: &T,
    node: &T::Node,
    offset: u64,
    to: &mut [u8],
) -> Result<usize, Error> {
    let mut read = 0;
    while let Some(rest) = to.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match tree.read(node, offset + read as u64, rest).await? {
            0 => break,
            count => read += count,
        }
    }
    Ok(read)
}
