//! Writes changes as commits, as many of them in one as fit.

use super::format::{HEADER, PAGE, RECORD, Record, pages, seal};
use super::{ENTRY, Inner, KEY, Location};
use crate::kv::Error;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::task::{Context, Poll, Waker};
use devices::block::{Block, ErrorKind};

/// One change of a batch.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Set(Box<[u8]>, Box<[u8]>),
    Delete(Box<[u8]>),
    Rename(Box<[u8]>, Box<[u8]>),
    /// Records the end of the log.
    Close,
}

/// A batch in the queue, and where its result goes.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) changes: Vec<Change>,
    pub(super) slot: Rc<Slot>,
}

/// The result of a batch, once it is known.
#[derive(Debug, Default)]
pub(super) struct Slot {
    result: Cell<Option<Result<(), Error>>>,
    waker: RefCell<Option<Waker>>,
}

impl Slot {
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        match self.result.get() {
            Some(result) => Poll::Ready(result),
            None => {
                let old = self.waker.replace(Some(context.waker().clone()));
                drop(old);
                Poll::Pending
            }
        }
    }

    fn give(&self, result: Result<(), Error>) {
        self.result.set(Some(result));
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The changes that the draft makes to the index: `None` removes a key.
type Changed = BTreeMap<Box<[u8]>, Option<Location>>;

/// A key, and what a draft said of it before.
type Replaced = (Box<[u8]>, Option<Option<Location>>);

/// A commit under construction.
struct Draft {
    bytes: Vec<u8>,
    changed: Changed,
    /// What the last batch replaced in `changed`, in order.
    replaced: Vec<Replaced>,
    /// Whether it only removes keys.
    shrinks: bool,
    close: bool,
}

/// Commits what is in the queue, until it is empty.
pub(super) async fn run<B: Block>(store: Rc<Inner<B>>) {
    let mut most = usize::MAX;
    loop {
        let mut taken = Vec::new();
        let draft = store.draft(&mut taken, most).await;
        if taken.is_empty() {
            let mut state = store.state.borrow_mut();
            // Batches that were refused are no longer in the queue.
            if state.queue.is_empty() {
                state.running = false;
                return;
            }
            continue;
        }
        let result = store.put(draft).await;
        // Batches that do not fit together may fit one by one, above all a delete.
        if result.is_err() && taken.len() > 1 {
            let mut state = store.state.borrow_mut();
            while let Some(pending) = taken.pop() {
                state.queue.push_front(pending);
            }
            most = 1;
            continue;
        }
        most = usize::MAX;
        for pending in taken {
            pending.slot.give(result);
        }
    }
}

impl<B: Block> Inner<B> {
    /// Drafts a commit of up to `most` batches of the queue, which are moved to `taken`. Those
    /// that fail are answered at once.
    async fn draft(&self, taken: &mut Vec<Pending>, most: usize) -> Draft {
        let mut draft = Draft {
            bytes: vec![0; HEADER],
            changed: Changed::new(),
            replaced: Vec::new(),
            shrinks: true,
            close: false,
        };
        while taken.len() < most {
            let Some(pending) = self.state.borrow_mut().queue.pop_front() else { break };
            // It needs a commit of its own, as it may fail once the batches before it are
            // committed.
            if !taken.is_empty() && matches!(*pending.changes, [Change::Close]) {
                self.state.borrow_mut().queue.push_front(pending);
                break;
            }
            draft.replaced.clear();
            let (length, shrinks, close) = (draft.bytes.len(), draft.shrinks, draft.close);
            let result = self.add(&mut draft, &pending.changes).await;
            if result.is_ok() {
                taken.push(pending);
                match draft.close {
                    true => break,
                    false => continue,
                }
            }
            draft.bytes.truncate(length);
            while let Some((key, old)) = draft.replaced.pop() {
                match old {
                    Some(old) => draft.changed.insert(key, old),
                    None => draft.changed.remove(&key),
                };
            }
            (draft.shrinks, draft.close) = (shrinks, close);
            if result == Err(Error::TooLong) && !taken.is_empty() {
                // It may fit into the next commit.
                self.state.borrow_mut().queue.push_front(pending);
                break;
            }
            pending.slot.give(result);
        }
        draft
    }

    /// Adds the changes of one batch to the draft.
    async fn add(&self, draft: &mut Draft, changes: &[Change]) -> Result<(), Error> {
        for change in changes {
            match change {
                Change::Set(key, value) => self.record_of(draft, key, Some(value))?,
                Change::Delete(key) => {
                    let there = match draft.changed.get(key) {
                        Some(changed) => changed.is_some(),
                        None => self.state.borrow().index.contains_key(key),
                    };
                    if there {
                        self.record_of(draft, key, None)?;
                    }
                }
                Change::Rename(from, to) => {
                    let value = match draft.changed.get(from) {
                        Some(changed) => {
                            let location = changed.ok_or(Error::NotFound)?;
                            let start = location.at as usize + RECORD + from.len();
                            let value = draft.bytes.get(start..start + location.length as usize);
                            value.ok_or(Error::Damaged)?.to_vec()
                        }
                        None => self.value(from).await?.ok_or(Error::NotFound)?,
                    };
                    if from != to {
                        self.record_of(draft, from, None)?;
                        self.record_of(draft, to, Some(&value))?;
                    }
                }
                Change::Close => draft.close = true,
            }
        }
        Ok(())
    }

    fn record_of(&self, draft: &mut Draft, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        let size = super::format::size(key.len(), value.map_or(0, <[u8]>::len));
        let room = self.longest as usize * PAGE;
        if key.is_empty() || key.len() > KEY || draft.bytes.len().saturating_add(size) > room {
            return Err(Error::TooLong);
        }
        let at = draft.bytes.len() as u64;
        Record { key, value }.encode(&mut draft.bytes);
        let location = value.map(|value| Location { at, length: value.len() as u32 });
        draft.shrinks &= location.is_none();
        let old = draft.changed.insert(key.into(), location);
        draft.replaced.push((key.into(), old));
        Ok(())
    }

    /// Writes a draft, and updates the index once it is on the disk.
    async fn put(&self, draft: Draft) -> Result<(), Error> {
        let Draft { mut bytes, changed, shrinks, close, .. } = draft;
        if bytes.len() > HEADER {
            self.can_write()?;
            self.fits(&changed, shrinks)?;
            self.make_room(pages(bytes.len()), shrinks).await?;
            let position = self.append(&mut bytes).await?;
            let mut state = self.state.borrow_mut();
            for (key, location) in changed {
                match location {
                    // `fits` has checked that there is memory for it.
                    Some(Location { at, length }) => {
                        let at = position * PAGE as u64 + at;
                        let _ = state.insert(&key, Location { at, length });
                    }
                    None => state.remove(&key),
                }
            }
        }
        if close && self.can_write().is_ok() { self.note().await } else { Ok(()) }
    }

    /// Writes a commit at the head; returns its position.
    ///
    /// # Errors
    /// [`Error::Full`] if it would reach what the log begins with, and the disk's.
    pub(super) async fn append(&self, bytes: &mut Vec<u8>) -> Result<u64, Error> {
        if pages(bytes.len()) > self.free() {
            return Err(Error::Full);
        }
        let (position, chain) = {
            let state = self.state.borrow();
            (state.head, state.chain)
        };
        let sum = seal(bytes, position, self.id, chain);
        self.write(position, bytes).await?;
        let mut state = self.state.borrow_mut();
        state.head = position + pages(bytes.len());
        state.chain = sum;
        Ok(position)
    }

    fn can_write(&self) -> Result<(), Error> {
        let info = self.disk.info();
        match (info.read_only, info.flush) {
            (true, _) => Err(Error::ReadOnly),
            (false, false) => Err(Error::Disk(ErrorKind::Unsupported)),
            (false, true) => Ok(()),
        }
    }

    /// Checks that there is room for the changes, on the disk and in memory.
    fn fits(&self, changed: &Changed, shrinks: bool) -> Result<(), Error> {
        let state = self.state.borrow();
        let (mut live, mut memory) = (state.live, 0);
        for (key, location) in changed {
            let size = |location: &Location| {
                super::format::size(key.len(), location.length as usize) as u64
            };
            let old = state.index.get(key);
            live = live + location.as_ref().map_or(0, size) - old.map_or(0, size);
            memory += if location.is_some() && old.is_none() { key.len() + ENTRY } else { 0 };
        }
        if !shrinks && memory > state.memory {
            return Err(Error::TooManyKeys);
        }
        if !shrinks && live > self.capacity() { Err(Error::Full) } else { Ok(()) }
    }
}
