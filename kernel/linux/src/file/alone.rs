//! Who moves much from or to a file lets others run meanwhile. Its position and what is written are
//! that one's alone until all was moved, as on Linux (`f_pos_lock`, and the lock of an inode).

use super::{At, Open};
use crate::errno::Errno;
use crate::stop::{Boxed, Load, Pages, Stop, boxed};
use crate::watch::Watch;
use alloc::rc::Rc;
use alloc::sync::Arc;
use core::cell::Cell;
use core::sync::atomic::{AtomicUsize, Ordering};
use kernel::user::Frame;

/// How many there are of all files. It is nearly always 0, and each read and write asks.
static ALL: AtomicUsize = AtomicUsize::new(0);

/// What somebody may have alone for longer than a turn.
#[derive(Default)]
pub struct Alone(Cell<Option<Rc<Taken>>>);

/// Somebody has it.
#[derive(Default)]
struct Taken {
    ended: Cell<bool>,
    watch: Arc<Watch>,
}

impl Alone {
    /// Asks whether it is free.
    ///
    /// # Errors
    /// [`Stop::Load`]: a wait until it is.
    pub fn check(&self) -> Result<(), Stop> {
        let taken = self.0.take();
        self.0.set(taken.clone());
        match taken {
            None => Ok(()),
            Some(pages) => Err(Load { pages, index: 0 }.into()),
        }
    }

    fn take(&self) {
        ALL.fetch_add(1, Ordering::Relaxed);
        self.0.set(Some(Rc::default()));
    }

    fn give_back(&self) {
        if let Some(taken) = self.0.take() {
            ALL.fetch_sub(1, Ordering::Relaxed);
            taken.ended.set(true);
            taken.watch.raise();
        }
    }
}

/// What is no file: to load it is to wait until it is given back.
impl Pages for Taken {
    fn frame(&self, _: u64) -> Option<Frame> {
        None
    }

    fn size(&self) -> u64 {
        0
    }

    fn load(self: Rc<Self>, _: u64) -> Boxed<Result<(), Errno>> {
        boxed(async move {
            while !self.ended.get() {
                self.watch.changed_since(self.watch.changes()).await;
            }
            Ok(())
        })
    }

    fn dirty(&self, _: u64) -> Result<(), Errno> {
        Err(Errno::EACCES)
    }
}

/// The position of an open file, or that one writes to it, or both, for as long as this is there.
pub(super) struct Hold {
    open: Rc<Open>,
    position: bool,
    content: bool,
}

impl Hold {
    /// Takes what a read or write at `at` needs alone; `None` where that is nothing, and for what is
    /// no regular file.
    pub(super) fn take(open: &Rc<Open>, at: At, write: bool) -> Option<Self> {
        if open.file.pages().is_err() || is_free(open, at, write).is_err() {
            return None;
        }
        let position = at == At::Position;
        if position {
            open.moving.take();
        }
        let content = write && writing(open).map(Alone::take).is_some();
        (position || content).then(|| Self { open: Rc::clone(open), position, content })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.position {
            self.open.moving.give_back();
        }
        if let Some(content) = writing(&self.open).filter(|_| self.content) {
            content.give_back();
        }
    }
}

fn writing(open: &Open) -> Option<&Alone> {
    open.place.as_ref().and_then(|it| it.node.extras()).map(|it| &it.writing)
}

/// Asks whether a read or write at `at` may begin now.
///
/// # Errors
/// [`Stop::Load`]: a wait until it may.
#[inline(always)]
pub(super) fn check(open: &Open, at: At, write: bool) -> Result<(), Stop> {
    if ALL.load(Ordering::Relaxed) == 0 { Ok(()) } else { is_free(open, at, write) }
}

#[cold]
fn is_free(open: &Open, at: At, write: bool) -> Result<(), Stop> {
    if at == At::Position {
        open.moving.check()?;
    }
    match writing(open).filter(|_| write) {
        Some(content) => content.check(),
        None => Ok(()),
    }
}
