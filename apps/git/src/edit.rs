//! Makes the next commit of one that was read: what it is to hold, and which objects are new for that.

use crate::error::Flaw;
use crate::id::{Id, Kind};
use crate::object::{Entry, Mode, entries, is_name, is_new_name};
use crate::pack::{Limits, Object};
use crate::snapshot::{PATH, Snapshot};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use xenith::memory::is_low;

/// Says what becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// Where it is: names with slashes between them.
    pub path: &'a [u8],
    /// What it holds from now on; `None` removes it, and each folder that holds nothing then. A
    /// program (mode 100755) stays one, and a new file is none.
    pub content: Option<&'a [u8]>,
}

/// Names who makes a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author(String);

impl Author {
    /// Reads `Name <mail>`: `None` for what git would not take as such, or could take for something
    /// else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, mail) = text.strip_suffix('>')?.split_once(" <")?;
        let plain = |text: &str| !text.contains(|it: char| it.is_control() || "<>".contains(it));
        let good = !name.is_empty() && name.trim() == name && plain(name) && text.len() <= 250;
        let mailed = !mail.is_empty() && plain(mail) && !mail.contains(char::is_whitespace);
        (good && mailed).then(|| Self(text.into()))
    }
}

/// Says why a change cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unfit {
    /// The path is none that a file of a repository can have.
    Path,
    /// There is no such file to be removed.
    NotFound,
    /// There is a folder of that name.
    IsFolder,
    /// There is a link of that name, which is neither followed nor changed.
    IsLink,
    /// There is a commit of another repository of that name.
    IsModule,
    /// Something on the way there is no folder.
    NotFolder,
    /// What comes of it cannot be held.
    Flaw(Flaw),
}

impl From<Flaw> for Unfit {
    fn from(flaw: Flaw) -> Self {
        Self::Flaw(flaw)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Path => {
                "a path has names of up to 255 bytes with single slashes between them, none of \
                 which is ., .. or .git, or is taken for that by a file system, or has a backslash \
                 or a control character"
            }
            Self::NotFound => "there is no such file",
            Self::IsFolder => "there is a folder of that name",
            Self::IsLink => "there is a link of that name, which is not changed",
            Self::IsModule => "there is another repository (submodule) of that name",
            Self::NotFolder => "something on the way there is no folder",
            Self::Flaw(flaw) => return write!(f, "the commit cannot be made: {flaw}"),
        })
    }
}

impl core::error::Error for Unfit {}

/// Holds a commit that nobody has but this machine.
#[derive(Debug)]
pub struct Draft {
    /// The commit that it is to follow.
    pub(crate) old: Id,
    pub(crate) next: Snapshot,
    commit: Object,
    /// The numbers of the objects in `next` that the one before does not have.
    new: Vec<usize>,
}

impl Draft {
    /// Returns the id that the commit has.
    #[must_use]
    pub const fn id(&self) -> Id {
        self.commit.id
    }

    /// What a server lacks that has the commit before.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Object> + Clone {
        let new = self.new.iter().filter_map(|&number| self.next.objects().get(number));
        core::iter::once(&self.commit).chain(new)
    }
}

/// The names of a path: of one that is to be written, those that every clone can have. What is there all
/// the same can be removed.
pub(crate) fn names(
    path: &[u8],
    to_write: bool,
) -> Result<impl DoubleEndedIterator<Item = &[u8]>, Unfit> {
    let names = path.split(|&byte| byte == b'/');
    let is_good = if to_write { is_new_name } else { is_name };
    let good = path.len() < PATH && names.clone().all(is_good);
    if good { Ok(names) } else { Err(Unfit::Path) }
}

fn find<'a>(tree: &'a [u8], name: &[u8]) -> Option<Entry<'a>> {
    entries(tree).find(|entry| entry.name == name)
}

/// A tree with this entry in place of that of its name, or without one.
fn with(tree: &[u8], name: &[u8], item: Option<(Mode, Id)>) -> Result<Vec<u8>, Flaw> {
    let mut to = Vec::new();
    to.try_reserve_exact(tree.len() + name.len() + 32).map_err(|_| Flaw::Memory)?;
    let mut waits = item.map(|(mode, id)| Entry { mode, name, id });
    let mut rest = tree;
    loop {
        let before = rest;
        let next = Entry::take(&mut rest);
        let comes = |new: &Entry<'_>| next.is_none_or(|it| new.order(&it) != Ordering::Greater);
        if let Some(entry) = waits.take_if(|new| comes(new)) {
            to.extend_from_slice(entry.mode.digits());
            to.push(b' ');
            to.extend_from_slice(name);
            to.push(0);
            to.extend_from_slice(&entry.id.0);
        }
        match next {
            None => return Ok(to),
            Some(entry) if entry.name == name => {}
            // Old forms of modes stay as they are, and so do the ids of trees with such.
            Some(_) => to.extend_from_slice(&before[..before.len() - rest.len()]),
        }
    }
}

/// The objects of a commit, and those that were made.
struct Edit<'a> {
    from: &'a Snapshot,
    made: Vec<Object>,
    root: Id,
}

impl Edit<'_> {
    fn add(&mut self, kind: Kind, data: Vec<u8>) -> Result<Id, Flaw> {
        let id = Id::of(kind, &data);
        // The rest is for those who are served meanwhile.
        if is_low() || self.made.try_reserve(1).is_err() {
            return Err(Flaw::Memory);
        }
        self.made.push(Object { kind, id, data: Rc::new(data) });
        Ok(id)
    }

    fn tree(&self, id: Id) -> Result<Rc<Vec<u8>>, Flaw> {
        let made = self.made.iter().rev().find(|object| object.id == id);
        made.or_else(|| self.from.object(id)).map(|it| Rc::clone(&it.data)).ok_or(Flaw::Missing(id))
    }

    fn apply(&mut self, change: &Change<'_>) -> Result<(), Unfit> {
        let mut way = names(change.path, change.content.is_some())?;
        let last = way.next_back().ok_or(Unfit::Path)?;
        // The folders on the way, each with the name of the next one in it.
        let (mut above, mut folder) = (Vec::new(), self.tree(self.root)?);
        for name in way {
            let next = match find(&folder, name) {
                Some(Entry { mode: Mode::Folder, id, .. }) => self.tree(id)?,
                Some(_) => return Err(Unfit::NotFolder),
                None if change.content.is_none() => return Err(Unfit::NotFound),
                None => Rc::default(),
            };
            above.try_reserve(1).map_err(|_| Flaw::Memory)?;
            above.push((folder, name));
            folder = next;
        }
        let there = find(&folder, last).map(|entry| entry.mode);
        let mode = match there {
            Some(Mode::Folder) => return Err(Unfit::IsFolder),
            Some(Mode::Link) => return Err(Unfit::IsLink),
            Some(Mode::Module) => return Err(Unfit::IsModule),
            None if change.content.is_none() => return Err(Unfit::NotFound),
            there => there.unwrap_or(Mode::File),
        };
        let mut item = None;
        if let Some(content) = change.content {
            let mut data = Vec::new();
            data.try_reserve_exact(content.len()).map_err(|_| Flaw::Memory)?;
            data.extend_from_slice(content);
            item = Some((mode, self.add(Kind::Blob, data)?));
        }
        let mut tree = with(&folder, last, item)?;
        while let Some((folder, name)) = above.pop() {
            // git has no folder without a file.
            let item = if tree.is_empty() { None } else { Some(self.add(Kind::Tree, tree)?) };
            tree = with(&folder, name, item.map(|id| (Mode::Folder, id)))?;
        }
        self.root = self.add(Kind::Tree, tree)?;
        Ok(())
    }
}

impl Snapshot {
    /// Makes the commit that follows this one by these changes, one after the other, by `author` at
    /// `time` seconds since 1970. Nothing if nothing is other than it was.
    ///
    /// Its files share their contents with those of this one. They are within `limits` as if they
    /// had been read.
    ///
    /// # Errors
    /// [`Unfit`], for the first change that cannot be made.
    pub async fn edit(
        &self,
        changes: &[Change<'_>],
        (author, time): (&Author, u64),
        message: &str,
        limits: Limits,
    ) -> Result<Option<Draft>, Unfit> {
        let bytes = |changes: &[Change<'_>]| -> u64 {
            changes.iter().map(|it| it.content.map_or(0, <[u8]>::len) as u64).sum()
        };
        if bytes(changes) > limits.bytes {
            return Err(Flaw::Bytes(limits.bytes).into());
        }
        let old = self.commit();
        let mut edit = Edit { from: self, made: Vec::new(), root: old.tree };
        for change in changes {
            edit.apply(change)?;
        }
        if edit.root == old.tree {
            return Ok(None);
        }
        let who = format!("{} {time} +0000", author.0);
        let text = message.replace('\0', "");
        let text = format!(
            "tree {}\nparent {}\nauthor {who}\ncommitter {who}\n\n{}\n",
            edit.root,
            old.id,
            text.trim_end()
        );
        let id = edit.add(Kind::Commit, text.into_bytes())?;
        let mut objects = edit.made;
        let commit = objects.last().cloned().ok_or(Flaw::Missing(id))?;
        objects.try_reserve_exact(self.objects().len()).map_err(|_| Flaw::Memory)?;
        objects.extend_from_slice(self.objects());
        let next = Self::new(id, objects, limits).await?;
        next.check(limits)?;
        let mut new = Vec::new();
        new.try_reserve_exact(next.objects().len()).map_err(|_| Flaw::Memory)?;
        let numbered = next.objects().iter().enumerate();
        new.extend(numbered.filter(|(_, it)| self.object(it.id).is_none()).map(|(at, _)| at));
        Ok(Some(Draft { old: old.id, next, commit, new }))
    }
}
