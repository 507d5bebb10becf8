//! Inodes of an archive, with the owners and modes that its index leaves out.

use super::super::tar::{Header, Node, Notes, Tar, format};
use super::super::{Error, Kind, Metadata, Tree};
use super::{Attributes, Inodes, SECOND, Sort, device, is_name};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use devices::block::Block;

/// The approximate size of a note in bytes.
const NOTE: usize = 48;

/// Who has what has no owner that can be told, as on Linux (`overflowuid`): never root.
const NOBODY: u32 = 65534;

/// What the index leaves out of an entry.
#[derive(Clone, Copy, Debug)]
struct Note {
    sort: Sort,
    mode: u16,
    uid: u32,
    gid: u32,
    special: u64,
    links: u32,
    /// In seconds. The index has it but for the root, which is no entry of it.
    modified: u64,
}

/// The owners that a pax header says.
#[derive(Clone, Copy, Debug, Default)]
struct Owners {
    uid: Option<u32>,
    gid: Option<u32>,
}

#[derive(Debug, Default)]
struct All {
    notes: BTreeMap<u64, Note>,
    global: Owners,
    extended: Option<Owners>,
    next: Option<Note>,
    implied: bool,
}

impl Notes for All {
    fn extended(&mut self, key: &[u8], value: &[u8], global: bool) {
        let owners = match global {
            true => &mut self.global,
            false => self.extended.get_or_insert(self.global),
        };
        let number = (!value.is_empty()).then(|| {
            format::decimal(value).and_then(|it| u32::try_from(it).ok()).unwrap_or(NOBODY)
        });
        match key {
            b"uid" => owners.uid = number,
            b"gid" => owners.gid = number,
            _ => {}
        }
    }

    fn header(&mut self, header: &Header<'_>) {
        let number = |range| format::number(header.field(range));
        let small = |range| number(range).and_then(|it| u32::try_from(it).ok()).unwrap_or(0);
        let owner = |range| number(range).and_then(|it| u32::try_from(it).ok()).unwrap_or(NOBODY);
        let owners = self.extended.take().unwrap_or(self.global);
        let sort = match header.kind() {
            b'5' | b'D' => Sort::Folder,
            b'2' => Sort::Link,
            b'3' => Sort::Character,
            b'4' => Sort::Block,
            b'6' => Sort::Pipe,
            _ => Sort::File,
        };
        let special = match sort {
            Sort::Character | Sort::Block => {
                device(number(329..337).unwrap_or(0), number(337..345).unwrap_or(0))
            }
            _ => 0,
        };
        self.next = Some(Note {
            sort,
            mode: (small(100..108) & 0o7777) as u16,
            uid: owners.uid.unwrap_or_else(|| owner(108..116)),
            gid: owners.gid.unwrap_or_else(|| owner(116..124)),
            special,
            links: 1,
            modified: number(136..148).unwrap_or(0),
        });
    }

    fn implied(&mut self, implied: bool) {
        self.implied = implied;
    }

    fn entry(&mut self, id: u64, linked: bool, left: &mut usize) -> Result<(), Error> {
        let Some(next) = self.next.filter(|_| !self.implied) else { return Ok(()) };
        if let Some(old) = self.notes.get_mut(&id) {
            if linked {
                old.links = old.links.saturating_add(1);
            } else {
                *old = Note { links: old.links, ..next };
            }
            return Ok(());
        }
        *left = left.checked_sub(NOTE).ok_or(Error::NoMemory)?;
        self.notes.insert(id, next);
        Ok(())
    }
}

/// An archive on the disk `B`, with owners and modes.
#[derive(Debug)]
pub struct TarInodes<B> {
    tar: Tar<B>,
    notes: BTreeMap<u64, Note>,
}

impl<B: Block> TarInodes<B> {
    /// Opens an archive as [`Tar::open`] does.
    ///
    /// # Errors
    /// As of that.
    pub async fn open(disk: B) -> Result<Self, Error> {
        let (tar, notes) = Tar::with_notes::<All>(disk).await?;
        Ok(Self { tar, notes: notes.notes })
    }
}

impl<B: Block> Tree for TarInodes<B> {
    type Node = Node;

    async fn lookup(&self, path: &[u8]) -> Result<Node, Error> {
        self.tar.lookup(path).await
    }

    fn metadata(&self, node: &Node) -> Metadata {
        self.tar.metadata(node)
    }

    async fn read(&self, node: &Node, offset: u64, to: &mut [u8]) -> Result<usize, Error> {
        self.tar.read(node, offset, to).await
    }

    async fn list(&self, node: &Node, each: &mut dyn FnMut(&[u8], Metadata)) -> Result<(), Error> {
        self.tar.list(node, each).await
    }

    async fn list_after(
        &self,
        node: &Node,
        after: &[u8],
        each: &mut dyn FnMut(&[u8], Metadata) -> bool,
    ) -> Result<(), Error> {
        self.tar.list_after(node, after, each).await
    }
}

impl<B: Block> Inodes for TarInodes<B> {
    async fn root(&self) -> Result<Node, Error> {
        self.tar.lookup(b"/").await
    }

    async fn child(&self, node: &Node, name: &[u8]) -> Result<Node, Error> {
        if is_name(name) { self.tar.child(node, name) } else { Err(Error::NotFound) }
    }

    async fn read_link(&self, node: &Node) -> Result<Vec<u8>, Error> {
        let target = self.tar.target(node).ok_or(Error::NotFile)?;
        if target.len() as u64 > super::LONGEST { Err(Error::Damaged) } else { Ok(target.to_vec()) }
    }

    async fn attributes(&self, node: &Node) -> Result<Attributes, Error> {
        let it = self.tar.metadata(node);
        // A folder that the archive does not name is as tar makes it.
        let note = self.notes.get(&it.id).copied().unwrap_or(Note {
            sort: Sort::Folder,
            mode: 0o755,
            uid: 0,
            gid: 0,
            special: 0,
            links: 1,
            modified: 0,
        });
        let sort = match it.kind {
            Kind::File => Sort::File,
            Kind::Folder => Sort::Folder,
            Kind::Link => Sort::Link,
            Kind::Other => note.sort,
        };
        let time = if it.id == 0 { note.modified } else { it.modified }.saturating_mul(SECOND);
        let size = self.tar.target(node).map_or(it.size, |target| target.len() as u64);
        Ok(Attributes {
            sort,
            id: it.id,
            mode: note.mode.into(),
            uid: note.uid,
            gid: note.gid,
            links: note.links,
            special: note.special,
            size,
            accessed: time,
            modified: time,
            changed: time,
            born: 0,
        })
    }
}
