//! The bytes that were written and not acknowledged.
//!
//! What a program writes is copied into chunks of the pool. What it shares stands in its own
//! pages and stays there, also to be sent again.

use super::pool::{CHUNK, Chunk, Pool};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::fmt;
use core::ops::Range;
use devices::net::{Part, Shared};

/// Pieces for which there is room without asking the allocator again.
const PLACES: usize = 32;

/// Fewer bytes than this are copied: a piece takes a request of its own on the ring.
pub(crate) const LEAST: usize = 1024;

/// Keeps what is to send, in order.
pub(crate) struct Outgoing {
    pool: Rc<Pool>,
    pieces: VecDeque<Piece>,
    /// Bytes that were there before the first one of now, and with the last one of now.
    front: u64,
    end: u64,
    /// Pieces that are shared.
    shared: usize,
}

/// Some bytes in a row.
struct Piece {
    memory: Memory,
    /// Where the first one stands in the memory.
    from: usize,
    /// Behind the last one, counted as [`Outgoing::end`] is.
    end: u64,
}

enum Memory {
    Chunk(Chunk),
    Shared(Shared),
}

impl Outgoing {
    /// One without bytes.
    pub(crate) const fn new(pool: Rc<Pool>) -> Self {
        Self { pool, pieces: VecDeque::new(), front: 0, end: 0, shared: 0 }
    }

    /// Returns how many bytes there are.
    pub(crate) const fn len(&self) -> usize {
        (self.end - self.front) as usize
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.end == self.front
    }

    /// Copies bytes to the back until it has `limit` of them. Returns how many it took: fewer
    /// as well when there is no memory, but that which can be [spared](Pool::take_spare) if they
    /// are `spare`.
    pub(crate) fn append(&mut self, bytes: &[u8], limit: usize, spare: bool) -> usize {
        let count = bytes.len().min(limit.saturating_sub(self.len()));
        let mut left = bytes.get(..count).unwrap_or_default();
        while !left.is_empty() {
            let begin = self.begin(self.pieces.len().saturating_sub(1));
            if let Some(Piece { memory: Memory::Chunk(chunk), from, end }) = self.pieces.back_mut()
                && let Some(room) = chunk.get_mut(*from + (*end - begin) as usize..)
                && !room.is_empty()
            {
                let (piece, rest) = left.split_at(left.len().min(room.len()));
                room[..piece.len()].copy_from_slice(piece);
                *end += piece.len() as u64;
                self.end = *end;
                left = rest;
            } else if self.add(spare).is_none() {
                break;
            }
        }
        count - left.len()
    }

    /// Returns whether [`append`](Self::append) would find memory for a byte at least.
    pub(crate) fn has_memory(&self, spare: bool) -> bool {
        let begin = self.begin(self.pieces.len().saturating_sub(1));
        let fills = |Piece { memory, from, end }: &Piece| {
            matches!(memory, Memory::Chunk(_)) && *from + ((*end - begin) as usize) < CHUNK
        };
        self.pieces.back().is_some_and(fills) || self.pool.gives(spare)
    }

    /// Takes bytes to the back, until it has `limit` of them, that stay where they are. Returns
    /// how many.
    pub(crate) fn share(&mut self, shared: &Shared, range: Range<usize>, limit: usize) -> usize {
        let count = range.len().min(limit.saturating_sub(self.len()));
        if self.pieces.try_reserve(1).is_err() || count == 0 {
            return 0;
        }
        self.end += count as u64;
        let memory = Memory::Shared(shared.clone());
        self.pieces.push_back(Piece { memory, from: range.start, end: self.end });
        self.shared += 1;
        count
    }

    /// Returns whether any of the bytes are shared.
    pub(crate) const fn has_shared(&self) -> bool {
        self.shared > 0
    }

    /// Returns `length` bytes from `offset` behind the front on, as far as there are so many.
    pub(crate) fn parts(&self, offset: usize, length: usize) -> impl Iterator<Item = Part<'_>> {
        let mut at = self.front + offset as u64;
        let until = (at + length as u64).min(self.end);
        // Most often it begins in the first one.
        let index = match self.pieces.front() {
            Some(first) if at < first.end => 0,
            _ => self.pieces.partition_point(|piece| piece.end <= at),
        };
        let mut begin = self.begin(index);
        self.pieces.range(index.min(self.pieces.len())..).map_while(move |piece| {
            if at >= until {
                return None;
            }
            let from = piece.from + (at - begin) as usize;
            let range = from..from + (piece.end.min(until) - at) as usize;
            (at, begin) = (piece.end.min(until), piece.end);
            Some(match &piece.memory {
                Memory::Chunk(chunk) => Part::Bytes(chunk.get(range).unwrap_or_default()),
                Memory::Shared(shared) => Part::Shared(shared, range),
            })
        })
    }

    /// Copies bytes from `offset` behind the front on. Returns how many.
    pub(crate) fn copy(&self, offset: usize, to: &mut [u8]) -> usize {
        let mut done = 0;
        for part in self.parts(offset, to.len()) {
            let bytes = part.bytes();
            if let Some(to) = to.get_mut(done..done + bytes.len()) {
                to.copy_from_slice(bytes);
            }
            done += bytes.len();
        }
        done
    }

    /// Removes bytes from the front, all of them at most.
    pub(crate) fn consume(&mut self, count: usize) {
        if count >= self.len() {
            return self.clear();
        }
        let front = self.front + count as u64;
        while let Some(first) = self.pieces.front_mut() {
            if first.end > front {
                first.from += (front - self.front) as usize;
                break;
            }
            self.front = first.end;
            self.drop_first();
        }
        self.front = front;
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        while !self.pieces.is_empty() {
            self.drop_first();
        }
        if self.pieces.capacity() > PLACES {
            self.pieces = VecDeque::new();
        }
        self.front = self.end;
    }

    /// Returns where a piece begins, counted as `end` is.
    fn begin(&self, index: usize) -> u64 {
        let before = index.checked_sub(1).and_then(|index| self.pieces.get(index));
        before.map_or(self.front, |piece| piece.end)
    }

    fn drop_first(&mut self) {
        match self.pieces.pop_front().map(|piece| piece.memory) {
            Some(Memory::Chunk(chunk)) => self.pool.give(chunk),
            Some(Memory::Shared(_)) => self.shared -= 1,
            None => {}
        }
    }

    /// Takes a chunk for what comes next.
    fn add(&mut self, spare: bool) -> Option<()> {
        self.pieces.try_reserve(1).ok()?;
        let chunk = if spare { self.pool.take_spare() } else { self.pool.take() }?;
        self.pieces.push_back(Piece { memory: Memory::Chunk(chunk), from: 0, end: self.end });
        Some(())
    }
}

// A chunk is filled to its end before the next one is taken.
const _: () = assert!(CHUNK > LEAST);

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing({})", self.len())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::super::stream::tests::{Numbers, bytes};
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn content(queue: &Outgoing) -> Vec<u8> {
        let mut all = vec![0; queue.len() + 1];
        let count = queue.copy(0, &mut all);
        all.truncate(count);
        all
    }

    #[test]
    fn it_is_as_a_plain_vector_is() {
        let source: Vec<u8> = bytes(0, 40_000);
        let shared = Shared::copy(&source).unwrap();
        for seed in 0..40 {
            let mut numbers = Numbers(seed);
            let pool = Rc::new(Pool::new(if seed < 20 { 64 } else { 8 } * CHUNK));
            let mut queue = Outgoing::new(pool.clone());
            let mut model: Vec<u8> = Vec::new();
            for step in 0..300 {
                let limit = model.len() + numbers.below(20_000);
                match numbers.below(5) {
                    0 | 1 => {
                        let some = bytes(step, numbers.below(9000));
                        let (spare, full) = (step % 2 == 0, limit == model.len());
                        let takes = queue.has_memory(spare) && !full && !some.is_empty();
                        let put = queue.append(&some, limit, spare);
                        assert!(put <= limit - model.len() && (put > 0) == takes);
                        model.extend(&some[..put]);
                    }
                    2 => {
                        let from = numbers.below(30_000);
                        let range = from..from + numbers.below(10_000);
                        let put = queue.share(&shared, range, limit);
                        model.extend(&source[from..from + put]);
                    }
                    3 => {
                        let count = numbers.below(15_000);
                        queue.consume(count);
                        model.drain(..count.min(model.len()));
                    }
                    _ => {
                        let offset = numbers.below(model.len() + 1);
                        let mut some = vec![0; numbers.below(20_000)];
                        let count = queue.copy(offset, &mut some);
                        assert_eq!(count, some.len().min(model.len() - offset));
                        assert!(some[..count] == model[offset..offset + count]);
                    }
                }
                assert!(content(&queue) == model, "seed {seed}, step {step}");
                assert!(pool.used() <= model.len() + (2 * step + 2) * CHUNK);
            }
            queue.consume(usize::MAX);
            assert!(queue.is_empty() && !queue.has_shared() && pool.used() == 0);
        }
    }

    #[test]
    fn one_without_bytes_holds_no_chunk_t3() {
        let pool = Rc::new(Pool::new(100 * CHUNK));
        let mut queue = Outgoing::new(pool.clone());
        assert!(size_of::<Outgoing>() <= 64);
        for count in [1, 100, CHUNK, CHUNK + 1, 90 * CHUNK] {
            assert_eq!(queue.append(&bytes(7, count), usize::MAX, false), count);
            assert_eq!(pool.used(), count.div_ceil(CHUNK) * CHUNK);
            queue.consume(count - 1);
            assert_eq!((queue.len(), pool.used()), (1, CHUNK));
            queue.consume(1);
            assert!(queue.is_empty() && pool.used() == 0 && queue.pieces.capacity() <= PLACES);
        }
        // What is shared takes nothing of the pool, and goes when it is acknowledged.
        let shared = Shared::copy(&bytes(0, 9000)).unwrap();
        assert_eq!(queue.share(&shared, 1..9000, 5000), 5000);
        assert_eq!((queue.len(), pool.used(), queue.has_shared()), (5000, 0, true));
        queue.consume(5000);
        assert!(!queue.has_shared());
        queue.append(&bytes(0, 3 * CHUNK), usize::MAX, false);
        drop(queue);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn a_limit_and_the_end_of_memory_cut_what_is_put_in() {
        let pool = Rc::new(Pool::new(3 * CHUNK));
        let mut queue = Outgoing::new(pool.clone());
        assert_eq!(queue.append(&bytes(0, 100), 40, false), 40);
        assert_eq!(queue.append(&bytes(40, 100), 39, false), 0);
        let left = 3 * CHUNK - 40;
        assert_eq!(queue.append(&bytes(40, 4 * CHUNK), usize::MAX, false), left);
        assert!(content(&queue) == bytes(0, 3 * CHUNK));
        assert_eq!(queue.append(&[1], usize::MAX, true), 0);
    }

    #[test]
    fn a_warm_one_does_not_ask_the_allocator() {
        let pool = Rc::new(Pool::new(100 * CHUNK));
        let mut queue = Outgoing::new(pool);
        let (segment, mut to) = (bytes(0, 1460), [0; 4096]);
        queue.append(&bytes(0, 4 * CHUNK), usize::MAX, false);
        queue.consume(usize::MAX);
        let info = allocation_counter::measure(|| {
            for _ in 0..100 {
                for _ in 0..4 {
                    queue.append(&segment, usize::MAX, false);
                }
                while !queue.is_empty() {
                    let count = queue.copy(0, &mut to);
                    queue.consume(count);
                }
            }
        });
        assert_eq!(info.count_total, 0);
    }
}
