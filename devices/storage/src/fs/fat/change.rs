//! Begins changes, writes them, and makes them durable.

use super::{Fat, IN_USE, State, folder};
use crate::fs::mutex::Guard;
use crate::fs::{Error, sectors};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::pin::Pin;
use core::task::{Context, Poll};
use devices::block::{Block, ErrorKind};
use kernel::task::{Task, try_spawn};

/// A task that continues when its handle is dropped.
struct Detached<T>(Option<Task<T>>);

impl<T> Future for Detached<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(task) = &mut self.0 else { return Poll::Pending };
        let poll = Pin::new(task).poll(context);
        if poll.is_ready() {
            self.0 = None;
        }
        poll
    }
}

impl<T> Drop for Detached<T> {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.detach();
        }
    }
}

/// A change in progress. If it is abandoned or fails, cached state that is not on the disk is
/// dropped.
pub(super) struct Change<'a, B> {
    fat: &'a Fat<B>,
    before: u64,
    _guard: Guard<'a>,
}

impl<B> Change<'_, B> {
    /// Confirms that the changes so far are on the disk.
    pub(super) fn keep(&mut self) {
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
        if failed {
            fat.free_on_disk.set(None);
        }
        fat.forget();
    }
}

impl<B> Fat<B> {
    /// Drops all that is cached.
    fn forget(&self) {
        let mut state = State { free: self.free_on_disk.get(), ..self.state.get() };
        state.changes += 1;
        self.state.set(state);
        self.table.forget();
        self.folders.forget();
        self.chains.borrow_mut().clear();
    }

    /// Takes what was written and not flushed for lost: what is on the disk counts.
    pub(super) fn fail(&self) {
        if !self.failed.replace(true) {
            log::warn!("FAT: changes may be lost: open it again, and run fsck.fat");
        }
        self.lost.set(None);
        self.free_on_disk.set(None);
        self.forget();
    }
}

impl<B: Block + 'static> Fat<B> {
    /// Begins a change: waits for the one in progress, and marks the file system dirty.
    pub(super) async fn begin(&self) -> Result<Change<'_, B>, Error> {
        let guard = self.lock().await;
        let info = self.disk.info();
        if info.read_only {
            return Err(Error::ReadOnly);
        }
        if self.lost.get().is_none() {
            self.lost.set(Some(info.lost));
        }
        if !self.state.get().marked && !self.state.get().was_marked {
            self.mark(true).await?;
            self.barrier().await?;
            self.state.set(State { marked: true, ..self.state.get() });
        }
        Ok(Change { fat: self, before: self.state.get().changes, _guard: guard })
    }

    /// Marks the file system as dirty, or as clean. Until it is known to be dirty, it is taken for
    /// clean.
    pub(super) async fn mark(&self, in_use: bool) -> Result<(), Error> {
        self.state.set(State { marked: false, ..self.state.get() });
        let mut byte = [0];
        sectors::read(&*self.disk, self.layout.state, &mut byte).await?;
        byte[0] = byte[0] & !IN_USE | if in_use { IN_USE } else { 0 };
        self.write_bytes(self.layout.state, &byte).await
    }

    /// Writes bytes to the disk. A write whose future is dropped may still reach the disk, over
    /// something newer. So a task of its own writes, and nothing else is read or written before
    /// that is done.
    pub(super) async fn write_bytes(&self, at: u64, from: &[u8]) -> Result<(), Error> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(from.len()).map_err(|_| Error::NoMemory)?;
        bytes.extend_from_slice(from);
        let (disk, hold) = (Rc::clone(&self.disk), self.mutex.hold());
        let writing = async move {
            let result = sectors::write(&*disk, at, &bytes).await;
            drop(hold);
            result
        };
        Detached(Some(try_spawn(writing).ok_or(Error::NoMemory)?)).await
    }

    /// Makes everything written so far durable before what follows, if the disk supports
    /// flushes.
    pub(super) async fn barrier(&self) -> Result<(), Error> {
        if !self.disk.info().flush {
            return Ok(());
        }
        self.flush().await
    }

    /// Makes everything written so far durable. If that fails, it may be lost.
    pub(super) async fn flush(&self) -> Result<(), Error> {
        let result = self.disk.flush().await.map_err(Error::of_disk);
        if result == Err(Error::Disk(ErrorKind::Unsupported)) {
            return result;
        }
        // A flush of another user of the disk may have been told of the loss.
        let now = self.disk.info().lost;
        if result.is_err() || self.lost.get().is_some_and(|lost| lost != now) {
            self.fail();
            self.lost.set(Some(now));
            return result.and(Err(Error::Disk(ErrorKind::Failed)));
        }
        self.lost.set(Some(now));
        Ok(())
    }

    /// Writes the changed sectors of folders that `which` selects.
    pub(super) async fn write_folders(&self, which: impl Fn(&u64) -> bool) -> Result<(), Error> {
        self.writing.set(true);
        let write = async |at, bytes: &[u8]| self.write_bytes(at, bytes).await;
        self.folders.write(write, core::iter::once(0), which).await?;
        self.writing.set(false);
        Ok(())
    }

    /// Returns the sector that the entry `id` is in.
    pub(super) const fn sector_of(&self, id: u64) -> u64 {
        id * folder::ENTRY as u64 / self.layout.sector
    }

    /// Writes the changed sectors of folders except that of the entry `id`, which makes the file
    /// or folder visible when it follows.
    pub(super) async fn prepare(&self, id: u64) -> Result<(), Error> {
        let sector = self.sector_of(id);
        if self.folders.changed_but(&(sector..=sector)) {
            self.write_folders(|&it| it != sector).await?;
            self.barrier().await?;
        }
        Ok(())
    }

    /// Writes the changed sectors of folders, that of the entry `id` last: until then, the
    /// entries of its long name are orphans, which are ignored.
    pub(super) async fn write_last(&self, id: u64) -> Result<(), Error> {
        self.prepare(id).await?;
        self.write_folders(|_| true).await
    }

    /// Writes the changed sectors of folders, that of the entry `id` first: it is gone before
    /// anything else changes.
    pub(super) async fn write_first(&self, id: u64) -> Result<(), Error> {
        let sector = self.sector_of(id);
        self.write_folders(|&it| it == sector).await?;
        self.barrier().await?;
        self.write_folders(|_| true).await
    }
}
