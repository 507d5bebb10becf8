//! Files whose text is made when they are read: those of `/proc` and `/sys`.

use crate::errno::Errno;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use litemap::LiteMap;

/// Makes the text of a file of the machine.
pub type Text = Rc<dyn Fn() -> Vec<u8>>;

/// Takes what was written to such a file: 4096 bytes at most, without the line feed at its end.
pub type Take = Rc<dyn Fn(&[u8]) -> Result<(), Errno>>;

/// Makes the text of a file of a process, by its number, or of a thread of it, by the second one;
/// `None` if it is gone.
pub type OfProcess = Rc<dyn Fn(i32, Option<i32>) -> Option<Vec<u8>>>;

/// Takes what a process wrote to such a file: the first number is the writer's.
pub type TakeOf = Rc<dyn Fn(i32, (i32, Option<i32>), &[u8]) -> Result<(), Errno>>;

/// A file of the machine.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) text: Text,
    pub(crate) take: Option<Take>,
}

/// The files of `/proc`, or of `/sys`, by what others add.
#[derive(Default)]
pub struct Texts {
    machine: RefCell<LiteMap<&'static str, Entry>>,
    process: RefCell<Vec<(&'static str, u32, OfProcess)>>,
    takes: RefCell<Vec<(&'static str, TakeOf)>>,
}

impl Texts {
    /// Adds a file, such as `net/tcp`. One of that name is replaced.
    pub fn add(&self, path: &'static str, text: impl Fn() -> Vec<u8> + 'static) {
        let entry = Entry { text: Rc::new(text), take: None };
        self.machine.borrow_mut().insert(path, entry);
    }

    /// Adds one that root may write to.
    pub fn add_writable(
        &self,
        path: &'static str,
        text: impl Fn() -> Vec<u8> + 'static,
        take: impl Fn(&[u8]) -> Result<(), Errno> + 'static,
    ) {
        let entry = Entry { text: Rc::new(text), take: Some(Rc::new(take)) };
        self.machine.borrow_mut().insert(path, entry);
    }

    /// Adds one whose text does not change.
    pub fn add_fixed(&self, path: &'static str, text: &'static str) {
        self.add(path, move || text.as_bytes().to_vec());
    }

    /// Adds a file of each process, such as `status`, with its permissions. One of that name is
    /// replaced.
    pub fn add_process(
        &self,
        name: &'static str,
        mode: u32,
        text: impl Fn(i32, Option<i32>) -> Option<Vec<u8>> + 'static,
    ) {
        let mut all = self.process.borrow_mut();
        all.retain(|it| it.0 != name);
        all.push((name, mode, Rc::new(text)));
    }

    /// Has a file of each process take what its owner and root write to it.
    pub fn take_of_process(
        &self,
        name: &'static str,
        take: impl Fn(i32, (i32, Option<i32>), &[u8]) -> Result<(), Errno> + 'static,
    ) {
        self.takes.borrow_mut().push((name, Rc::new(take)));
    }

    /// Returns what takes what is written to the file of that name of each process.
    pub(crate) fn taker_of(&self, name: &str) -> Option<TakeOf> {
        self.takes.borrow().iter().find(|it| it.0 == name).map(|it| Rc::clone(&it.1))
    }

    pub(crate) fn get(&self, path: &str) -> Option<Entry> {
        self.machine.borrow().get(path).cloned()
    }

    /// Whether there are files below a path; below the empty one there always are.
    pub(crate) fn is_folder(&self, path: &str) -> bool {
        path.is_empty() || !self.below(path).is_empty()
    }

    /// Returns the names in a folder, and whether each is a folder.
    pub(crate) fn below(&self, path: &str) -> Vec<(&'static str, bool)> {
        let all = self.machine.borrow();
        let mut names: Vec<(&'static str, bool)> = Vec::new();
        for &file in all.keys() {
            let rest = file.strip_prefix(path);
            let rest =
                if path.is_empty() { rest } else { rest.and_then(|it| it.strip_prefix('/')) };
            let Some(rest) = rest else { continue };
            let (name, folder) = match rest.split_once('/') {
                Some((name, _)) => (name, true),
                None => (rest, false),
            };
            if !names.iter().any(|it| it.0 == name) {
                names.push((name, folder));
            }
        }
        names
    }

    /// Returns the file of that name of each process: its place among them, its mode, its text.
    pub(crate) fn of_process(&self, name: &str) -> Option<(usize, u32, OfProcess)> {
        let all = self.process.borrow();
        let at = all.iter().position(|it| it.0 == name)?;
        all.get(at).map(|(_, mode, text)| (at, *mode, Rc::clone(text)))
    }

    /// Returns the names of the files of each process.
    pub(crate) fn names_of_process(&self) -> Vec<&'static str> {
        self.process.borrow().iter().map(|it| it.0).collect()
    }
}
