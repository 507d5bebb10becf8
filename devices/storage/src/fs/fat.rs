//! Reads and writes FAT12, FAT16 and FAT32 with long names, which any machine mounts.
//!
//! # Example
//! ```
//! # mod xenith { pub use devices::*; pub use kernel::*; pub use xenith_storage::*; }
//!
//! use xenith::block::memory::Memory;
//! use xenith::fs::fat::Fat;
//! use xenith::fs::{Error, Files, Tree};
//! use xenith::task::block_on;
//!
//! let disk = Memory::new(512, 8192);
//! block_on(async {
//!     let fat = Fat::format(disk.clone()).await?;
//!     fat.write("Grüße.txt".as_bytes(), 0, b"from Xen").await?;
//!     fat.sync().await?;
//!
//!     // Names are found whatever the case of their letters.
//!     let fat = Fat::open(disk).await?;
//!     let node = fat.lookup("GRÜSSE.TXT".replace("SS", "ß").as_bytes()).await?;
//!     assert_eq!(fat.metadata(&node).size, 8);
//!     Ok::<(), Error>(())
//! })?;
//! # Ok::<(), Error>(())
//! ```
//!
//! Of the crates for it, `fatfs` and what came of it (`axfatfs`) are synchronous, read a
//! file's chain from its beginning with each call, and panic at names that are none;
//! `embedded-sdmmc` writes no long names; `hadris-fat` is full of `unsafe`.
//!
//! FAT has no journal. A change writes new content first, then the table, then the folder, and
//! removes in the reverse order, so that a loss of power leaks clusters at worst, which
//! `fsck.fat` reclaims. Where the order matters, a disk that supports it is flushed in between:
//! once or twice for each 256 KiB by which a file grows, up to four times for any other change,
//! never where bytes are overwritten. A name is written as a whole or not at all; during a
//! rename both names may exist, never none. As on Linux, the file system is marked dirty before
//! the first change, and clean by [`Files::sync`](super::Files::sync), which also makes changes
//! durable. Once a flush has failed, or the disk may have lost writes otherwise
//! ([`Info::lost`](devices::block::Info::lost)), nothing is taken from memory that the disk may
//! not have, the mark stays, and [`Files::sync`](super::Files::sync) fails until the file system
//! is opened again. A change whose future is dropped ends with the write in progress, and what
//! comes next waits for that. For what must not be lost there is [`kv`](crate::kv).
//!
//! Names are UTF-8, up to 255 units of UTF-16, the same whatever the case of their letters;
//! where two on a disk differ in nothing else, each is found by its own. Short names of
//! other machines are read as code page 437, Linux's default. A file may have 4 GiB less a
//! byte.

mod change;
mod files;
mod folder;
mod layout;
mod make;
mod name;
mod sector_cache;
mod table;
mod time;
mod upper;

use super::mutex::{Guard, Mutex};
use super::sorted::{Sorted, Window};
use super::{Error, Kind, Metadata, Tree, path, sectors};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use devices::block::Block;
use folder::Item;
use layout::Layout;
use sector_cache::SectorCache;
use table::Chain;

/// The most bytes of a cluster chain that are read at once.
const AT_ONCE: u64 = 1 << 20;

/// A file system on the disk `B`.
#[derive(Debug)]
pub struct Fat<B> {
    disk: Rc<B>,
    layout: Layout,
    mutex: Mutex,
    table: SectorCache,
    folders: SectorCache,
    chains: RefCell<Vec<Chain>>,
    listings: Sorted,
    state: Cell<State>,
    /// The number of free clusters that the FS information sector on the disk holds.
    free_on_disk: Cell<Option<u32>>,
    /// Whether the FAT or a folder is being written; if that fails, the cache is dropped.
    writing: Cell<bool>,
    /// How often the disk had lost writes ([`Info::lost`](devices::block::Info::lost)) before the
    /// first one that is not flushed.
    lost: Cell<Option<u32>>,
    /// Whether changes may be lost of which nobody but [`Files::sync`](super::Files::sync) tells.
    failed: Cell<bool>,
}

/// The state that changes with the file system.
#[derive(Clone, Copy, Debug)]
struct State {
    /// The number of free clusters, if it is known.
    free: Option<u32>,
    /// Where the search for a free cluster starts.
    next: u32,
    /// Counts changes.
    changes: u64,
    /// Whether it was marked dirty by us.
    marked: bool,
    /// Whether it was marked dirty when it was opened.
    was_marked: bool,
}

/// A file or folder.
#[derive(Clone, Debug)]
pub struct Node {
    path: Rc<[u8]>,
    metadata: Metadata,
    /// Its location, and the number of changes after which that was found.
    location: Rc<Cell<(u64, Location)>>,
}

impl Node {
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }
}

/// Locates a file or folder.
#[derive(Clone, Copy, Debug)]
struct Location {
    kind: Kind,
    /// The first cluster; 0 for the root, and for an empty file.
    start: u32,
    size: u32,
}

/// The metadata of the root.
const ROOT: Metadata = Metadata { kind: Kind::Folder, size: 0, modified: 0, id: 0 };

/// The dirty bit in the boot sector (Linux's `FAT_STATE_DIRTY`).
const IN_USE: u8 = 1;

impl<B: Block> Fat<B> {
    /// Opens the file system on `disk`.
    ///
    /// # Errors
    /// [`Error::OtherFormat`], [`Error::Damaged`], [`Error::Shrunk`],
    /// [`Error::Unsupported`], and the disk's.
    pub async fn open(disk: B) -> Result<Self, Error> {
        let size = sectors::size(&disk);
        let mut boot = [0; 512];
        if size < boot.len() as u64 {
            return Err(Error::OtherFormat);
        }
        sectors::read(&disk, 0, &mut boot).await?;
        let layout = Layout::new(&boot, size)?;
        let was_marked = boot[layout.state as usize] & IN_USE != 0;
        if was_marked {
            log::warn!("FAT: it was not unmounted cleanly: run fsck.fat");
        }
        let mut state = State { free: None, next: 2, changes: 0, marked: false, was_marked };
        if let Some(at) = layout.info {
            let mut info = [0; 512];
            sectors::read(&disk, at, &mut info).await?;
            if info.starts_with(b"RRaA") && info[484..].starts_with(b"rrAa") {
                let free = layout::u32_at(&info, 488);
                state.free = Some(free).filter(|&free| free <= layout.clusters && !was_marked);
                state.next = layout::u32_at(&info, 492);
            }
        }
        Ok(Self {
            disk: Rc::new(disk),
            layout,
            mutex: Mutex::default(),
            table: SectorCache::new(layout.sector),
            folders: SectorCache::new(layout.sector),
            chains: RefCell::default(),
            listings: Sorted::default(),
            state: Cell::new(state),
            free_on_disk: Cell::new(state.free),
            writing: Cell::new(false),
            lost: Cell::new(None),
            failed: Cell::new(false),
        })
    }

    /// Makes an empty file system on `disk`. What it held is lost:
    /// [`content`](devices::block::content) tells what that is.
    ///
    /// # Errors
    /// [`Error::Full`] if it is too small, [`Error::Unsupported`] if it is too large,
    /// [`Error::ReadOnly`], and the disk's.
    pub async fn format(disk: B) -> Result<Self, Error> {
        make::make(&disk).await?;
        Self::open(disk).await
    }

    /// Returns the width of a FAT entry in bits: 12, 16 or 32.
    pub const fn bits(&self) -> u32 {
        self.layout.bits
    }

    /// Returns the disk that it is on.
    pub fn disk(&self) -> &B {
        &self.disk
    }

    /// Waits until no change is in progress, nor a write of one that was abandoned.
    async fn lock(&self) -> Guard<'_> {
        let guard = self.mutex.lock().await;
        // The cache may have what the disk has lost.
        if self.lost.get().is_some_and(|lost| lost != self.disk.info().lost) {
            self.fail();
        }
        guard
    }

    /// Returns the first cluster of a folder other than the root.
    fn folder_of(&self, item: &Item) -> Result<u32, Error> {
        let start = item.start(self.layout.bits);
        if self.layout.is_cluster(start) { Ok(start) } else { Err(Error::Damaged) }
    }

    /// Finds the folder that the normalized `path` is in. Returns its first cluster, the name
    /// there, which is empty for the root itself, and the ids of the folders on the path.
    async fn parent<'p>(&self, path: &'p [u8]) -> Result<(u32, &'p [u8], Vec<u64>), Error> {
        let (folders, name) = path::split(path);
        let (mut folder, mut ids) = (0, Vec::new());
        for part in folders.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
            let item = self.find(folder, part).await?.filter(Item::is_folder);
            let item = item.ok_or(Error::NotFound)?;
            folder = self.folder_of(&item)?;
            ids.push(item.id);
        }
        Ok((folder, name, ids))
    }

    /// Finds the entry at the normalized `path`; `None` for the root, which has none.
    async fn item(&self, path: &[u8]) -> Result<Option<Item>, Error> {
        let (folder, name, _) = self.parent(path).await?;
        if name.is_empty() {
            return Ok(None);
        }
        self.find(folder, name).await?.map(Some).ok_or(Error::NotFound)
    }

    fn location(&self, item: Option<&Item>) -> Result<Location, Error> {
        let Some(item) = item else {
            return Ok(Location { kind: Kind::Folder, start: 0, size: 0 });
        };
        if item.is_folder() {
            return Ok(Location { kind: Kind::Folder, start: self.folder_of(item)?, size: 0 });
        }
        Ok(Location { kind: Kind::File, start: item.start(self.layout.bits), size: item.size() })
    }

    /// Returns the current location of a node, which may have changed since it was looked up.
    async fn now(&self, node: &Node) -> Result<Location, Error> {
        let (changes, location) = node.location.get();
        if changes == self.state.get().changes {
            return Ok(location);
        }
        let location = self.location(self.item(&node.path).await?.as_ref())?;
        node.location.set((self.state.get().changes, location));
        Ok(location)
    }

    /// Calls `each` for the runs of consecutive clusters that hold `length` bytes of a chain
    /// from byte `offset` on, with the offset on the disk and the length of each.
    async fn for_each_run<F: AsyncFnMut(u64, usize) -> Result<(), Error>>(
        &self,
        start: u32,
        offset: u64,
        length: usize,
        mut each: F,
    ) -> Result<(), Error> {
        let cluster = self.layout.cluster;
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            let (index, within) = ((at / cluster) as u32, at % cluster);
            let left = ((length - done) as u64).min(AT_ONCE);
            let most = (within + left).div_ceil(cluster) as u32;
            let (first, count) = self.run(start, index, most).await?.ok_or(Error::Damaged)?;
            let part = (u64::from(count) * cluster - within).min(left) as usize;
            each(self.layout.location(first) + within, part).await?;
            done += part;
        }
        Ok(())
    }
}

impl<B: Block> Tree for Fat<B> {
    type Node = Node;

    async fn lookup(&self, path: &[u8]) -> Result<Node, Error> {
        let path = path::normal(path)?;
        let _guard = self.lock().await;
        let item = self.item(&path).await?;
        let metadata = item.as_ref().map_or(ROOT, Item::metadata);
        let location = (self.state.get().changes, self.location(item.as_ref())?);
        Ok(Node { path: path.into(), metadata, location: Rc::new(Cell::new(location)) })
    }

    fn metadata(&self, node: &Node) -> Metadata {
        node.metadata
    }

    async fn read(&self, node: &Node, offset: u64, to: &mut [u8]) -> Result<usize, Error> {
        let _guard = self.lock().await;
        let Location { kind: Kind::File, start, size } = self.now(node).await? else {
            return Err(Error::NotFile);
        };
        let left = usize::try_from(u64::from(size).saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = to.len().min(left);
        let mut rest = to.get_mut(..count).unwrap_or_default();
        self.for_each_run(start, offset, count, async |at, length| {
            let (part, more) =
                core::mem::take(&mut rest).split_at_mut_checked(length).ok_or(Error::Damaged)?;
            rest = more;
            sectors::read(&*self.disk, at, part).await
        })
        .await?;
        Ok(count)
    }

    async fn list(&self, node: &Node, each: &mut dyn FnMut(&[u8], Metadata)) -> Result<(), Error> {
        let _guard = self.lock().await;
        let Location { kind: Kind::Folder, start, .. } = self.now(node).await? else {
            return Err(Error::NotFolder);
        };
        self.items(start, |item| {
            each(&name::shown(&item.name), item.metadata());
            true
        })
        .await
    }

    async fn list_after(
        &self,
        node: &Node,
        after: &[u8],
        each: &mut dyn FnMut(&[u8], Metadata) -> bool,
    ) -> Result<(), Error> {
        let _guard = self.lock().await;
        let Location { kind: Kind::Folder, start, .. } = self.now(node).await? else {
            return Err(Error::NotFolder);
        };
        let (folder, mut after) = ((start.into(), self.state.get().changes), after.to_vec());
        while self.listings.show(folder, &mut after, each) {
            let mut window = Window::new(folder, &after);
            self.items(start, |item| {
                window.take(&name::shown(&item.name), item.metadata());
                true
            })
            .await?;
            self.listings.keep(window);
        }
        Ok(())
    }
}
