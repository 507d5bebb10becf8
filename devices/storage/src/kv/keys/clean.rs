//! Makes room in the log: live records at the tail are rewritten at the head.

use super::format::{HEADER, PAGE, Superblock, pages};
use super::recover::Records;
use super::{Inner, Location, write_superblock};
use crate::kv::Error;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use devices::block::Block;

impl<B: Block> Inner<B> {
    pub(super) fn free(&self) -> u64 {
        let state = self.state.borrow();
        self.pages.saturating_sub(state.head - state.tail)
    }

    /// Cleans until a commit of `count` pages can be written. The pages of a commit stay free
    /// for cleaning, and those of another for deletes, so that keys can be removed from a full
    /// store.
    pub(super) async fn make_room(&self, count: u64, shrinks: bool) -> Result<(), Error> {
        let keep = if shrinks { self.longest } else { 2 * self.longest };
        let (mut looked, all) = {
            let state = self.state.borrow();
            (0, state.head - state.tail)
        };
        while self.free() < count + keep {
            // Before that, to rewrite more records would take the pages of a commit once more.
            if self.state.borrow().cleaned.is_some() {
                self.note().await?;
                continue;
            }
            // Each commit was cleaned once: all that is left is live.
            if looked >= all {
                return Err(Error::Full);
            }
            looked += self.clean().await?;
        }
        Ok(())
    }

    /// Removes commits from the tail, and returns how many pages they had. Their live records
    /// have room at the head, where a commit's pages are always free.
    async fn clean(&self) -> Result<u64, Error> {
        let (tail, head, mut chain) = {
            let state = self.state.borrow();
            (state.tail, state.head, state.tail_chain)
        };
        let mut position = tail;
        let mut bytes = vec![0; HEADER];
        let mut moved: Vec<(Box<[u8]>, Location)> = Vec::new();
        let room = self.longest as usize * PAGE;
        while position < head && position - tail < 4 * self.longest {
            let commit = self.commit(position, head - position).await?;
            let (header, content) = commit.ok_or(Error::Damaged)?;
            let (length, count) = (bytes.len(), moved.len());
            for (record, at) in Records::new(&content, &header) {
                let record = record.ok_or(Error::Damaged)?;
                let from = position * PAGE as u64 + at as u64;
                let state = self.state.borrow();
                let Some(location) = state.index.get(record.key).filter(|it| it.at == from) else {
                    continue;
                };
                moved.push((record.key.into(), Location { at: bytes.len() as u64, ..*location }));
                record.encode(&mut bytes);
            }
            if bytes.len() > room {
                bytes.truncate(length);
                moved.truncate(count);
                break;
            }
            position += pages(header.length);
            chain = header.sum;
        }
        if !moved.is_empty() {
            let at = self.append(&mut bytes).await?;
            let mut state = self.state.borrow_mut();
            for (key, location) in moved {
                // The key is in the index, so no memory is needed.
                let _ =
                    state.insert(&key, Location { at: at * PAGE as u64 + location.at, ..location });
            }
        }
        self.note_tail(position, chain).await?;
        Ok(position - tail)
    }

    /// Records the end of the log in the superblocks, and its beginning if that failed.
    pub(super) async fn note(&self) -> Result<(), Error> {
        let (tail, chain) = {
            let state = self.state.borrow();
            state.cleaned.unwrap_or((state.tail, state.tail_chain))
        };
        self.note_tail(tail, chain).await
    }

    /// Records the beginning and the end of the log in the superblocks.
    async fn note_tail(&self, tail: u64, chain: u32) -> Result<(), Error> {
        let (superblock, first) = {
            let mut state = self.state.borrow_mut();
            state.cleaned = Some((tail, chain));
            state.generation += 1;
            let (generation, reached) = (state.generation, state.head);
            let superblock =
                Superblock { id: self.id, pages: self.pages, generation, tail, chain, reached };
            (superblock, state.suspect)
        };
        for slot in [first, 1 - first] {
            self.state.borrow_mut().suspect = slot;
            write_superblock(&self.disk, &superblock, slot).await?;
        }
        let mut state = self.state.borrow_mut();
        (state.tail, state.tail_chain) = (tail, chain);
        state.cleaned = None;
        Ok(())
    }
}
