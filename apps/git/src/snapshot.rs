//! The files of a commit.

use crate::error::Flaw;
use crate::id::{Id, Kind};
use crate::object::{Commit, Entry, Mode, check_tree, entries, tagged};
use crate::pack::Object;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use xenith::fs::{self, Metadata, Steps, Tree};
use xenith::text::Escaped;

/// The most tags of tags.
const TAGS: usize = 8;

/// The longest path that is listed, in bytes, as on Linux (`PATH_MAX`).
const PATH: usize = 4096;

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
    pub(crate) fn new(named: Id, objects: Vec<Object>) -> Result<Self, Flaw> {
        let mut index = Vec::new();
        index.try_reserve_exact(objects.len()).map_err(|_| Flaw::Memory)?;
        index.extend(objects.iter().zip(0..).map(|(object, number)| (object.id, number)));
        index.sort_unstable();
        let commit = Commit { id: named, tree: named, time: 0, subject: String::new() };
        let root = Node { mode: Mode::Folder, number: 0 };
        let mut this = Self { commit, named, objects, index, root };
        this.commit = this.find_commit()?;
        this.root.number = this.expect(this.commit.tree, Kind::Tree)?;
        this.keep_reachable()?;
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

    /// Checks every tree that a path may lead to, and gives back the memory of what none leads to.
    fn keep_reachable(&mut self) -> Result<(), Flaw> {
        let mut reached = xenith::memory::zeroed(self.objects.len()).ok_or(Flaw::Memory)?;
        let mut trees = Vec::new();
        // Each tree is here once.
        trees.try_reserve_exact(self.objects.len()).map_err(|_| Flaw::Memory)?;
        trees.push(self.root.number);
        reached[self.root.number] = 1;
        while let Some(object) = trees.pop().and_then(|number| self.objects.get(number)) {
            check_tree(object.id, &object.data, |entry| {
                let Some(kind) = entry.mode.kind() else { return Ok(()) };
                let number = self.expect(entry.id, kind)?;
                if core::mem::replace(&mut reached[number], 1) == 0 && kind == Kind::Tree {
                    trees.push(number);
                }
                Ok(())
            })?;
        }
        for (object, reached) in self.objects.iter_mut().zip(reached) {
            if reached == 0 {
                object.data = Vec::new();
            }
        }
        Ok(())
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

    /// Lists all files, each as a line of `git ls-tree -r`. The same folder may stand in many
    /// places, so that few objects may be any number of files.
    #[must_use]
    pub fn lines(&self) -> Lines<'_> {
        let open = Vec::from([(self.content(self.root), 0)]);
        Lines { snapshot: self, open, path: Vec::new() }
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
        let entry = entries(self.content(folder)).find(|entry| entry.name == name);
        entry.and_then(|entry| self.node(&entry)).ok_or(fs::Error::NotFound)
    }
}

/// Lists the files of a [`Snapshot`]: see [`Snapshot::lines`]. It ends early where a path is longer
/// than 4096 bytes, with the beginning of that as an error.
#[derive(Debug)]
pub struct Lines<'a> {
    snapshot: &'a Snapshot,
    /// What is left of each folder on the path, and how long the path is there.
    open: Vec<(&'a [u8], usize)>,
    path: Vec<u8>,
}

impl Iterator for Lines<'_> {
    type Item = Result<String, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (rest, length) = self.open.last_mut()?;
            self.path.truncate(*length);
            let Some(entry) = Entry::take(rest) else {
                self.open.pop();
                continue;
            };
            if self.path.len() + entry.name.len() >= PATH {
                self.open.clear();
                return Some(Err(format!("{}", Escaped(&self.path))));
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
        let (mut above, mut at) = (Vec::new(), self.root);
        while let Some(name) = steps.next() {
            if name == b".." {
                at = above.pop().unwrap_or(self.root);
                continue;
            }
            let child = self.child(at, &name)?;
            if child.mode != Mode::Link {
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
}
