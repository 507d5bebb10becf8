//! A disk in memory that counts, and remembers what was done to it.

use core::cell::{Cell, RefCell};
use devices::block::{Block, ErrorKind, Info};
use std::rc::Rc;
use std::vec::Vec;

/// What was done to a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Write(u64, Vec<u8>),
    Flush,
}

/// A disk of `size`-byte sectors. Clones are the same disk.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) bytes: Rc<RefCell<Vec<u8>>>,
    pub(super) events: Rc<RefCell<Vec<Event>>>,
    pub(super) size: usize,
    pub(super) read_only: Rc<Cell<bool>>,
    pub(super) flush: Rc<Cell<bool>>,
    /// Sectors that were read.
    pub(super) read: Rc<Cell<u64>>,
    /// Requests until all fail.
    pub(super) left: Rc<Cell<u64>>,
    /// Writes before this sector fail.
    pub(super) bad: Rc<Cell<u64>>,
    /// Whether what is written next is lost, of which another user of the disk is told.
    pub(super) lose: Rc<Cell<bool>>,
    pub(super) lost: Rc<Cell<u32>>,
}

impl Disk {
    pub(super) fn new(bytes: Vec<u8>, size: usize) -> Self {
        Self {
            bytes: Rc::new(RefCell::new(bytes)),
            events: Rc::default(),
            size,
            read_only: Rc::default(),
            flush: Rc::new(Cell::new(true)),
            read: Rc::default(),
            left: Rc::new(Cell::new(u64::MAX)),
            bad: Rc::default(),
            lose: Rc::default(),
            lost: Rc::default(),
        }
    }

    fn range(&self, sector: u64, length: usize) -> Result<core::ops::Range<usize>, ErrorKind> {
        if self.left.get() == 0 {
            return Err(ErrorKind::Failed);
        }
        self.left.set(self.left.get() - 1);
        if length == 0 || !length.is_multiple_of(self.size) {
            return Err(ErrorKind::Misaligned);
        }
        let start = usize::try_from(sector).ok().and_then(|sector| sector.checked_mul(self.size));
        let start = start.ok_or(ErrorKind::OutOfRange)?;
        let end = start.checked_add(length).ok_or(ErrorKind::OutOfRange)?;
        if end > self.bytes.borrow().len() / self.size * self.size {
            return Err(ErrorKind::OutOfRange);
        }
        Ok(start..end)
    }
}

impl Block for Disk {
    type Error = ErrorKind;

    fn info(&self) -> Info {
        let sectors = self.bytes.borrow().len() / self.size;
        let mut info = Info::new(self.size as u32, sectors as u64);
        info.read_only = self.read_only.get();
        info.flush = self.flush.get();
        info.generation = 1;
        info.lost = self.lost.get();
        info
    }

    async fn read(&self, sector: u64, to: &mut [u8]) -> Result<(), ErrorKind> {
        kernel::task::yield_now().await;
        let range = self.range(sector, to.len())?;
        self.read.set(self.read.get() + (to.len() / self.size) as u64);
        to.copy_from_slice(&self.bytes.borrow()[range]);
        Ok(())
    }

    async fn write(&self, sector: u64, from: &[u8]) -> Result<(), ErrorKind> {
        kernel::task::yield_now().await;
        if self.read_only.get() {
            return Err(ErrorKind::ReadOnly);
        }
        if sector < self.bad.get() {
            return Err(ErrorKind::Failed);
        }
        let range = self.range(sector, from.len())?;
        if self.lose.take() {
            self.lost.set(self.lost.get() + 1);
            return Ok(());
        }
        self.events.borrow_mut().push(Event::Write(sector, from.to_vec()));
        self.bytes.borrow_mut()[range].copy_from_slice(from);
        Ok(())
    }

    async fn flush(&self) -> Result<(), ErrorKind> {
        kernel::task::yield_now().await;
        if self.left.get() == 0 {
            return Err(ErrorKind::Failed);
        }
        if !self.flush.get() {
            return Err(ErrorKind::Unsupported);
        }
        self.events.borrow_mut().push(Event::Flush);
        Ok(())
    }

    async fn discard(&self, _: u64, _: u64) -> Result<(), ErrorKind> {
        Err(ErrorKind::Unsupported)
    }
}
