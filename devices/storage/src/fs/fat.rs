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
//! durable. For what must
//! not be lost there is [`kv`](crate::kv).
//!
//! Names are UTF-8, up to 255 units of UTF-16, the same whatever the case of their letters;
//! where two on a disk differ in nothing else, each is found by its own. Short names of
//! other machines are read as code page 437, Linux's default. A file may have 4 GiB less a
//! byte.

mod files;
mod folder;
mod layout;
mod lines;
mod make;
mod name;
mod table;
mod time;

use super::mutex::{Guard, Mutex};
use super::sorted::{Sorted, Window};
use super::{Error, Kind, Metadata, Tree, path, sectors};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use devices::block::Block;
use folder::Item;
use layout::Layout;
use lines::Lines;
use table::Chain;

/// Bytes of a cluster chain that are read at once.
const AT_ONCE: u64 = 1 << 20;

/// A file system on the disk `B`.
#[derive(Debug)]
pub struct Fat<B> {
    disk: B,
    layout: Layout,
    mutex: Mutex,
    table: Lines,
    folders: Lines,
    chains: RefCell<Vec<Chain>>,
    listings: Sorted,
    state: Cell<State>,
    /// The number of free clusters as the disk has it.
    free_on_disk: Cell<Option<u32>>,
    /// Whether the table or a folder is being written; if that fails, the cache is dropped.
    writing: Cell<bool>,
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
    /// Where it is, after so many changes.
    location: Rc<Cell<(u64, Location)>>,
}

/// Where a file or folder is.
#[derive(Clone, Copy, Debug)]
struct Location {
    kind: Kind,
    /// The first cluster; 0 for the root, and for nothing.
    start: u32,
    size: u32,
}

/// A change in progress. If it is abandoned or fails, cached state that is not on the disk is
/// dropped.
struct Change<'a, B> {
    fat: &'a Fat<B>,
    before: u64,
    _guard: Guard<'a>,
}

impl<B> Change<'_, B> {
    /// Confirms that the changes so far are on the disk.
    fn keep(&mut self) {
        let mut state = self.fat.state.get();
        state.changes += 1;
        self.fat.state.set(state);
        self.before = state.changes;
    }
}

impl<B> Drop for Change<'_, B> {
    fn drop(&mut self) {
        let fat = self.fat;
        let failed = fat.writing.replace(false);
        let left = fat.table.changed() + fat.folders.changed() > 0;
        if !failed && !left && fat.state.get().changes == self.before {
            return;
        }
        let free = fat.free_on_disk.get().filter(|_| !failed);
        let mut state = State { free, ..fat.state.get() };
        state.changes += 1;
        fat.state.set(state);
        fat.table.forget();
        fat.folders.forget();
        fat.chains.borrow_mut().clear();
    }
}

/// The metadata of the root.
const ROOT: Metadata = Metadata { kind: Kind::Folder, size: 0, modified: 0, id: 0 };

/// The dirty bit of a file system.
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
            disk,
            layout,
            mutex: Mutex::default(),
            table: Lines::new(layout.sector),
            folders: Lines::new(layout.sector),
            chains: RefCell::default(),
            listings: Sorted::default(),
            state: Cell::new(state),
            free_on_disk: Cell::new(state.free),
            writing: Cell::new(false),
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

    /// Whether the file system is FAT12, FAT16 or FAT32: the number.
    pub const fn bits(&self) -> u32 {
        self.layout.bits
    }

    /// The disk that it is on.
    pub const fn disk(&self) -> &B {
        &self.disk
    }

    /// Begins a change.
    async fn begin(&self) -> Result<Change<'_, B>, Error> {
        let guard = self.mutex.lock().await;
        if self.disk.info().read_only {
            return Err(Error::ReadOnly);
        }
        if !self.state.get().marked && !self.state.get().was_marked {
            self.mark(true).await?;
            self.barrier().await?;
        }
        Ok(Change { fat: self, before: self.state.get().changes, _guard: guard })
    }

    /// Marks the file system as in use, or as clean.
    async fn mark(&self, in_use: bool) -> Result<(), Error> {
        let mut byte = [0];
        sectors::read(&self.disk, self.layout.state, &mut byte).await?;
        byte[0] = byte[0] & !IN_USE | if in_use { IN_USE } else { 0 };
        sectors::write(&self.disk, self.layout.state, &byte).await?;
        self.state.set(State { marked: in_use, ..self.state.get() });
        Ok(())
    }

    /// Lets all that was written be on the disk before what follows, where the disk can.
    async fn barrier(&self) -> Result<(), Error> {
        if !self.disk.info().flush {
            return Ok(());
        }
        self.disk.flush().await.map_err(Error::of_disk)
    }

    /// Writes what was changed of the sectors of folders that `which` names.
    async fn write_folders(&self, which: impl Fn(&u64) -> bool) -> Result<(), Error> {
        self.writing.set(true);
        self.folders.write(&self.disk, core::iter::once(0), which).await?;
        self.writing.set(false);
        Ok(())
    }

    /// The sector that the entry `id` is in.
    const fn line_of(&self, id: u64) -> u64 {
        id * folder::ENTRY as u64 / self.layout.sector
    }

    /// Writes what was changed of folders, but for the sector of the entry `id`: that may
    /// follow, and then something is there.
    async fn prepare(&self, id: u64) -> Result<(), Error> {
        let line = self.line_of(id);
        if self.folders.changed_but(&(line..=line)) {
            self.write_folders(|&it| it != line).await?;
            self.barrier().await?;
        }
        Ok(())
    }

    /// Writes what was changed of folders, the sector of the entry `id` last: parts of a long
    /// name without it are nothing.
    async fn write_last(&self, id: u64) -> Result<(), Error> {
        self.prepare(id).await?;
        self.write_folders(|_| true).await
    }

    /// Writes what was changed of folders, the sector of the entry `id` first, which is then
    /// gone for all that follows.
    async fn write_first(&self, id: u64) -> Result<(), Error> {
        let line = self.line_of(id);
        self.write_folders(|&it| it == line).await?;
        self.barrier().await?;
        self.write_folders(|_| true).await
    }

    /// The first cluster of a folder that is no root.
    fn folder_of(&self, item: &Item) -> Result<u32, Error> {
        let start = item.start(self.layout.bits);
        if self.layout.is_cluster(start) { Ok(start) } else { Err(Error::Damaged) }
    }

    /// The folder that `path` is in, and the name there: none of the root. `path` is plain.
    async fn parent<'p>(&self, path: &'p [u8]) -> Result<(u32, &'p [u8], Vec<u64>), Error> {
        let (folders, name) = path::split(path);
        let (mut folder, mut way) = (0, Vec::new());
        for part in folders.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
            let item = self.find(folder, part).await?.filter(Item::is_folder);
            let item = item.ok_or(Error::NotFound)?;
            folder = self.folder_of(&item)?;
            way.push(item.id);
        }
        Ok((folder, name, way))
    }

    /// What is at `path`, which is plain; nothing for the root.
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

    /// Where a node is now: it may have changed since it was looked up.
    async fn now(&self, node: &Node) -> Result<Location, Error> {
        let (changes, location) = node.location.get();
        if changes == self.state.get().changes {
            return Ok(location);
        }
        let location = self.location(self.item(&node.path).await?.as_ref())?;
        node.location.set((self.state.get().changes, location));
        Ok(location)
    }

    /// Calls `each` for the parts of `length` bytes of a chain from byte `offset` on, that
    /// stand in a row: with where they are, and how many bytes.
    async fn parts<F: AsyncFnMut(u64, usize) -> Result<(), Error>>(
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
        let _guard = self.mutex.lock().await;
        let item = self.item(&path).await?;
        let metadata = item.as_ref().map_or(ROOT, Item::metadata);
        let location = (self.state.get().changes, self.location(item.as_ref())?);
        Ok(Node { path: path.into(), metadata, location: Rc::new(Cell::new(location)) })
    }

    fn metadata(&self, node: &Node) -> Metadata {
        node.metadata
    }

    async fn read(&self, node: &Node, offset: u64, to: &mut [u8]) -> Result<usize, Error> {
        let _guard = self.mutex.lock().await;
        let Location { kind: Kind::File, start, size } = self.now(node).await? else {
            return Err(Error::NotFile);
        };
        let left = usize::try_from(u64::from(size).saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = to.len().min(left);
        let mut rest = to.get_mut(..count).unwrap_or_default();
        self.parts(start, offset, count, async |at, length| {
            let (part, more) =
                core::mem::take(&mut rest).split_at_mut_checked(length).ok_or(Error::Damaged)?;
            rest = more;
            sectors::read(&self.disk, at, part).await
        })
        .await?;
        Ok(count)
    }

    async fn list(&self, node: &Node, each: &mut dyn FnMut(&[u8], Metadata)) -> Result<(), Error> {
        let _guard = self.mutex.lock().await;
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
        let _guard = self.mutex.lock().await;
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
