//! The files of a commit.

use crate::error::{Flaw, shown};
use crate::id::{Id, Kind};
use crate::object::{Commit, Entry, Mode};
use crate::object::{check_tree, entries, entry_at, name_at, sort_tree, tagged};
use crate::pack::{Limits, OBJECT, Object};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use xenith::fs::{self, Metadata, Steps, Tree};
use xenith::task::yield_now;
use xenith::text::Escaped;

/// The most tags of tags.
const TAGS: usize = 8;

/// The longest path that is listed, in bytes, as on Linux (`PATH_MAX`).
pub(crate) const PATH: usize = 4096;

/// The most names that a path may have, with those of the links in it.
const STEPS: u32 = 4096;

/// After how many names of a path, or entries of folders, other tasks have their turn.
const TURN: u32 = 64;

/// Holds the files of one commit: a [`Tree`] that does not change.
///
/// Every object that a path can lead to is there, of the kind that is said, and its content has
/// the id by which it is named; of these, a tree's names are no parts of paths. There are no times:
/// git keeps none for files.
#[derive(Debug)]
pub struct Snapshot {
    commit: Commit,
    /// The id that the branch or tag stands for.
    named: Id,
    objects: Vec<Object>,
    /// Their numbers, by their ids.
    index: Vec<(Id, usize)>,
    /// Where the entries of each begin, by their names; none unless it is a tree.
    sorted: Vec<Vec<u32>>,
    root: Node,
}

/// A file or folder of a [`Snapshot`].
#[derive(Clone, Copy, Debug)]
pub struct Node {
    mode: Mode,
    /// The number of its object.
    number: usize,
}

impl Snapshot {
    /// Makes a snapshot of the objects of a pack that was asked for by the id `named`.
    pub(crate) async fn new(named: Id, objects: Vec<Object>, limits: Limits) -> Result<Self, Flaw> {
        let mut index = Vec::new();
        index.try_reserve_exact(objects.len()).map_err(|_| Flaw::Memory)?;
        index.extend(objects.iter().zip(0..).map(|(object, number)| (object.id, number)));
        index.sort_unstable();
        let commit = Commit { id: named, tree: named, time: 0, subject: String::new() };
        let root = Node { mode: Mode::Folder, number: 0 };
        let mut sorted = Vec::new();
        sorted.try_reserve_exact(objects.len()).map_err(|_| Flaw::Memory)?;
        sorted.resize_with(objects.len(), Vec::new);
        let mut this = Self { commit, named, objects, index, sorted, root };
        this.commit = this.find_commit()?;
        this.root.number = this.expect(this.commit.tree, Kind::Tree)?;
        this.keep_reachable(limits.objects).await?;
        Ok(this)
    }

    /// The number of an object.
    fn number(&self, id: Id) -> Option<usize> {
        let at = self.index.binary_search_by_key(&id, |&(id, _)| id).ok()?;
        self.index.get(at).map(|&(_, number)| number)
    }

    /// The number of an object that has to be there, and of this kind.
    fn expect(&self, id: Id, kind: Kind) -> Result<usize, Flaw> {
        let number = self.number(id).ok_or(Flaw::Missing(id))?;
        let fits = self.objects.get(number).is_some_and(|object| object.kind == kind);
        if fits { Ok(number) } else { Err(Flaw::Mistaken(id)) }
    }

    fn find_commit(&self) -> Result<Commit, Flaw> {
        let mut id = self.named;
        for _ in 0..TAGS {
            let number = self.number(id).ok_or(Flaw::Missing(id))?;
            let object = self.objects.get(number).ok_or(Flaw::Missing(id))?;
            match object.kind {
                Kind::Commit => return Commit::parse(id, &object.data),
                Kind::Tag => id = tagged(id, &object.data)?,
                Kind::Blob | Kind::Tree => return Err(Flaw::NoCommit(id)),
            }
        }
        Err(Flaw::Tags)
    }

    /// Checks every tree that a path may lead to, of at most so many entries, and forgets what none
    /// leads to.
    async fn keep_reachable(&mut self, most: u32) -> Result<(), Flaw> {
        let mut left = most;
        let mut reached = xenith::memory::zeroed(self.objects.len()).ok_or(Flaw::Memory)?;
        let mut trees = Vec::new();
        // Each tree is here once.
        trees.try_reserve_exact(self.objects.len()).map_err(|_| Flaw::Memory)?;
        trees.push(self.root.number);
        reached[self.root.number] = 1;
        while let Some(tree) = trees.pop() {
            let Some(object) = self.objects.get(tree) else { continue };
            let before = left / TURN;
            check_tree(object.id, &object.data, |entry| {
                left = left.checked_sub(1).ok_or(Flaw::Entries(most))?;
                let Some(kind) = entry.mode.kind() else { return Ok(()) };
                let number = self.expect(entry.id, kind)?;
                if core::mem::replace(&mut reached[number], 1) == 0 && kind == Kind::Tree {
                    trees.push(number);
                }
                Ok(())
            })?;
            self.sorted[tree] = sort_tree(object.id, &object.data)?;
            if left / TURN != before {
                yield_now().await;
            }
        }
        let (mut objects, mut sorted) = (reached.iter(), reached.iter());
        let is = |reached: Option<&u8>| reached.is_some_and(|&it| it != 0);
        self.objects.retain(|_| is(objects.next()));
        self.sorted.retain(|_| is(sorted.next()));
        self.index.clear();
        self.index.extend(self.objects.iter().zip(0..).map(|(object, number)| (object.id, number)));
        self.index.sort_unstable();
        self.root.number = self.expect(self.commit.tree, Kind::Tree)?;
        Ok(())
    }

    /// Whether it is within the limits: what is read is so by itself.
    pub(crate) fn check(&self, limits: Limits) -> Result<(), Flaw> {
        if u32::try_from(self.objects.len()).is_ok_and(|count| count < limits.objects) {
            if limits.bytes >= self.bytes() { Ok(()) } else { Err(Flaw::Bytes(limits.bytes)) }
        } else {
            Err(Flaw::Objects(limits.objects))
        }
    }

    /// What it takes of the memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.data.len() as u64 + OBJECT).sum()
    }

    /// What it takes of the memory beside another one, with which it shares what both hold.
    pub(crate) fn bytes_beside(&self, other: &Self) -> u64 {
        let own =
            |it: &Object| if other.object(it.id).is_some() { 0 } else { it.data.len() as u64 };
        self.objects.iter().map(|object| own(object) + OBJECT).sum()
    }

    /// All that the folders lead to, and they.
    pub(crate) fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// An object of those.
    pub(crate) fn object(&self, id: Id) -> Option<&Object> {
        self.objects.get(self.number(id)?)
    }

    /// Returns the commit.
    #[must_use]
    pub const fn commit(&self) -> &Commit {
        &self.commit
    }

    /// Returns the id that the branch or tag stands for: that of the commit, or of a tag's text.
    #[must_use]
    pub const fn named(&self) -> Id {
        self.named
    }

    /// Returns how many different contents of files there are, and the bytes of all of them.
    #[must_use]
    pub fn size(&self) -> (usize, u64) {
        let files = self.objects.iter().filter(|object| object.kind == Kind::Blob);
        files.fold((0, 0), |(count, bytes), it| (count + 1, bytes + it.data.len() as u64))
    }

    /// Lists all files in the form of `git ls-tree -r`, up to `most` files and folders: the same
    /// folder may stand in many places, so that few objects may be any number of them. In a path,
    /// what a console cannot show is escaped as in a string of Rust.
    #[must_use]
    pub fn lines(&self, most: u32) -> Lines<'_> {
        let open = Vec::from([(self.content(self.root), 0)]);
        Lines { snapshot: self, open, path: Vec::new(), most, left: most }
    }

    /// What an object holds.
    fn content(&self, node: Node) -> &[u8] {
        self.objects.get(node.number).map_or(&[], |object| &object.data)
    }

    /// What an entry is.
    fn node(&self, entry: &Entry<'_>) -> Option<Node> {
        // What is in other repositories has a number that no object has.
        let number = entry.mode.kind().map_or(Some(usize::MAX), |_| self.number(entry.id))?;
        Some(Node { mode: entry.mode, number })
    }

    /// The entry `name` of a folder.
    fn child(&self, folder: Node, name: &[u8]) -> Result<Node, fs::Error> {
        if folder.mode != Mode::Folder {
            return Err(fs::Error::NotFound);
        }
        let (data, sorted) = (self.content(folder), self.sorted(folder));
        let found = sorted.binary_search_by(|&at| name_at(data, at).cmp(name)).ok();
        let entry = found.and_then(|found| entry_at(data, *sorted.get(found)?));
        entry.and_then(|entry| self.node(&entry)).ok_or(fs::Error::NotFound)
    }

    /// Where the entries of a folder begin, by their names.
    fn sorted(&self, folder: Node) -> &[u32] {
        self.sorted.get(folder.number).map_or(&[], Vec::as_slice)
    }
}

/// Lists the files of a [`Snapshot`]: see [`Snapshot::lines`].
#[derive(Debug)]
pub struct Lines<'a> {
    snapshot: &'a Snapshot,
    /// What is left of each folder on the path, and how long the path is there.
    open: Vec<(&'a [u8], usize)>,
    path: Vec<u8>,
    most: u32,
    /// How many more entries may come.
    left: u32,
}

impl Lines<'_> {
    /// Returns the next line, without a line end.
    ///
    /// # Errors
    /// [`Flaw::Entries`] for more files and folders than were asked for, and [`Flaw::Path`] for a
    /// path of more than 4096 bytes, after which nothing comes.
    pub async fn next(&mut self) -> Option<Result<String, Flaw>> {
        loop {
            let (rest, length) = self.open.last_mut()?;
            self.path.truncate(*length);
            let Some(entry) = Entry::take(rest) else {
                self.open.pop();
                continue;
            };
            let Some(left) = self.left.checked_sub(1) else {
                self.open.clear();
                return Some(Err(Flaw::Entries(self.most)));
            };
            self.left = left;
            if left.is_multiple_of(TURN) {
                yield_now().await;
            }
            if self.path.len() + entry.name.len() >= PATH {
                self.open.clear();
                return Some(Err(Flaw::Path(shown(&self.path))));
            }
            self.path.extend_from_slice(entry.name);
            if let Some(folder) = self.snapshot.node(&entry).filter(|it| it.mode == Mode::Folder) {
                self.path.push(b'/');
                self.open.push((self.snapshot.content(folder), self.path.len()));
                continue;
            }
            let (kind, path) = (entry.mode.printed(), Escaped(&self.path));
            return Some(Ok(format!("{kind} {}\t{path}", entry.id)));
        }
    }
}

impl Tree for Snapshot {
    type Node = Node;

    async fn lookup(&self, path: &[u8]) -> Result<Node, fs::Error> {
        if path.contains(&0) || path.split(|&byte| byte == b'/').any(|name| name == b"..") {
            return Err(fs::Error::BadPath);
        }
        let mut steps = Steps::new(path);
        // The folders on the way, for `..` in links.
        let (mut above, mut at, mut count) = (Vec::new(), self.root, 0_u32);
        while let Some(name) = steps.next() {
            count += 1;
            if count > STEPS {
                return Err(fs::Error::NotFound);
            }
            if count.is_multiple_of(TURN) {
                yield_now().await;
            }
            if name == b".." {
                at = above.pop().unwrap_or(self.root);
                continue;
            }
            let child = self.child(at, &name)?;
            if child.mode != Mode::Link {
                above.try_reserve(1).map_err(|_| fs::Error::NoMemory)?;
                above.push(at);
                at = child;
            } else if steps.follow(self.content(child))? {
                above.clear();
                at = self.root;
            }
        }
        Ok(at)
    }

    fn metadata(&self, node: &Node) -> Metadata {
        let kind = match node.mode {
            Mode::File | Mode::Program => fs::Kind::File,
            Mode::Folder => fs::Kind::Folder,
            Mode::Link => fs::Kind::Link,
            Mode::Module => fs::Kind::Other,
        };
        let size = if kind == fs::Kind::File { self.content(*node).len() as u64 } else { 0 };
        Metadata { kind, size, modified: 0, id: node.number as u64 }
    }

    async fn read(&self, node: &Node, offset: u64, to: &mut [u8]) -> Result<usize, fs::Error> {
        if !matches!(node.mode, Mode::File | Mode::Program) {
            return Err(fs::Error::NotFile);
        }
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.content(*node).get(offset..).unwrap_or_default();
        let count = rest.len().min(to.len());
        to[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    async fn list(
        &self,
        node: &Node,
        each: &mut dyn FnMut(&[u8], Metadata),
    ) -> Result<(), fs::Error> {
        if node.mode != Mode::Folder {
            return Err(fs::Error::NotFolder);
        }
        for entry in entries(self.content(*node)) {
            if let Some(node) = self.node(&entry) {
                each(entry.name, self.metadata(&node));
            }
        }
        Ok(())
    }

    async fn list_after(
        &self,
        node: &Node,
        after: &[u8],
        each: &mut dyn FnMut(&[u8], Metadata) -> bool,
    ) -> Result<(), fs::Error> {
        if node.mode != Mode::Folder {
            return Err(fs::Error::NotFolder);
        }
        let (data, sorted) = (self.content(*node), self.sorted(*node));
        let first = sorted.partition_point(|&at| name_at(data, at) <= after);
        for &at in sorted.get(first..).unwrap_or_default() {
            let Some(entry) = entry_at(data, at) else { continue };
            let Some(node) = self.node(&entry) else { continue };
            if !each(entry.name, self.metadata(&node)) {
                break;
            }
        }
        Ok(())
    }
}
