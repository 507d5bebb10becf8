//! The file of a program, and its bytes.

use crate::errno::Errno;
use crate::file::uses::Use;
use crate::file::{Caller, Open, Place, Stat, Type};
use crate::memory::Mapped;
use crate::stop::{Load, Pages, Stop};
use alloc::rc::Rc;
use alloc::vec::Vec;
use kernel::user::PAGE;

/// Finds the files of programs: the tree of files, or what a test has in its place.
pub trait Programs {
    /// Opens a regular file that `caller` may execute; `at`: where a path that is not absolute
    /// begins, or with an empty path that file itself.
    ///
    /// # Errors
    /// Those of execve(2) about its path, `EACCES` if it is no file or may not be executed.
    fn open(
        &self,
        caller: &dyn Caller,
        at: Option<&Open>,
        path: &[u8],
        follow: bool,
    ) -> Result<Source, Stop>;
}

/// The file of a program.
pub struct Source {
    /// What is mapped of it.
    pub file: Rc<Mapped>,
    /// Its absolute path.
    pub path: Vec<u8>,
    /// The bits of its mode, its user and its group.
    pub owner: [u32; 3],
    /// Where it was found in the tree of files.
    pub place: Option<Place>,
    /// Keeps it from being written while it runs.
    pub runs: Option<Rc<Use>>,
}

impl Source {
    /// Returns whether `caller` may read it, and not execute it alone.
    pub(super) fn is_readable(&self, caller: &dyn Caller) -> bool {
        let [mode, uid, gid] = self.owner;
        let stat = Stat { uid, gid, ..Stat::of(Type::Regular, mode, 0) };
        caller.credentials().may(&stat, 4).is_ok()
    }

    fn pages(&self) -> &Rc<dyn Pages> {
        &self.file.pages
    }

    /// Copies bytes from `at` on, as many as there are, and returns how many.
    ///
    /// # Errors
    /// The disk's.
    pub(super) async fn read(&self, at: u64, to: &mut [u8]) -> Result<usize, Errno> {
        let pages = self.pages();
        let size = pages.size().saturating_sub(at);
        let count = usize::try_from(size).unwrap_or(usize::MAX).min(to.len());
        let mut done = 0;
        while done < count {
            let from = at + done as u64;
            let within = (from % PAGE as u64) as usize;
            let piece = (PAGE - within).min(count - done);
            let place = to.get_mut(done..done + piece).unwrap_or_default();
            let index = from / PAGE as u64;
            match pages.frame(index) {
                Some(frame) => {
                    frame.read(within, place);
                    done += piece;
                }
                None => Load { pages: Rc::clone(pages), index }.wait().await?,
            }
        }
        Ok(count)
    }

    /// Copies `length` bytes from `at` on.
    ///
    /// # Errors
    /// `ENOEXEC` if there are not so many; `ENOMEM`, the disk's.
    pub(super) async fn piece(&self, at: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = kernel::memory::zeroed(length).ok_or(Errno::ENOMEM)?;
        match self.read(at, &mut bytes).await? {
            it if it == length => Ok(bytes),
            _ => Err(Errno::ENOEXEC),
        }
    }
}
