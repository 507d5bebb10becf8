//! The bytes of one direction of a connection, in chunks.

use super::pool::{CHUNK, Chunk, Pool};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::fmt;

/// Places for chunks that are kept while there are no bytes: enough for 128 KiB.
const PLACES: usize = 32;

/// Bytes from whose front some are removed and to whose back some are put, and which may be
/// written beyond their end: what is directly behind it then joins them by
/// [`extend`](Self::extend). It holds chunks for what is in it alone, so that one without bytes
/// holds none, and one with holes has holes.
///
/// ```text
///        head       len                reach
///   |.....======|=========   | -none- |   ===   |        = bytes, | edges of chunks
/// ```
pub(crate) struct Stream {
    pool: Rc<Pool>,
    /// None is a hole, which is not in the first `len` bytes.
    chunks: VecDeque<Option<Chunk>>,
    /// Bytes of the first chunk that are no longer of it: less than a chunk has.
    head: usize,
    /// Bytes in order.
    len: usize,
    /// Where what was written ends, counted as `len` is: `len`, or more than that.
    reach: usize,
}

impl Stream {
    /// One without bytes.
    pub(crate) const fn new(pool: Rc<Pool>) -> Self {
        Self { pool, chunks: VecDeque::new(), head: 0, len: 0, reach: 0 }
    }

    /// Returns how many bytes are in order.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the pool that its chunks are from.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Puts bytes to the back until it has `limit` of them in order. Returns how many it took:
    /// fewer as well when there is no memory.
    pub(crate) fn append(&mut self, bytes: &[u8], limit: usize) -> usize {
        let count = bytes.len().min(limit.saturating_sub(self.len));
        let put = self.copy_in(self.len, bytes.get(..count).unwrap_or_default(), false);
        self.len += put;
        put
    }

    /// Has `fill` write `count` bytes, piece by piece, directly behind those in order, which they
    /// join by [`extend`](Self::extend). Fewer when there is no memory.
    pub(crate) fn stage(&mut self, count: usize, fill: &mut dyn FnMut(&mut [u8])) {
        self.put(self.len, count, false, fill);
    }

    /// Returns whether something was written beyond the bytes in order.
    pub(crate) const fn is_staged(&self) -> bool {
        self.reach > self.len
    }

    /// Writes bytes that begin `offset` behind the front, beyond those in order or over them.
    /// Returns how many it wrote from the start on: fewer when memory is scarce. It holds 8
    /// bytes for each chunk from the front to there, so the caller bounds `offset`.
    pub(crate) fn write_at(&mut self, offset: usize, bytes: &[u8]) -> usize {
        self.copy_in(offset, bytes, true)
    }

    /// Says that the next `count` bytes were all written and are now in order. Returns how many
    /// there are.
    pub(crate) fn extend(&mut self, count: usize) -> usize {
        let before = self.len;
        self.len = self.len.saturating_add(count).min(self.reach);
        self.len - before
    }

    /// Copies bytes in order, from `offset` behind the front on. Returns how many.
    pub(crate) fn copy(&self, offset: usize, to: &mut [u8]) -> usize {
        let mut done = 0;
        while let Some(left) = to.get_mut(done..) {
            let piece = self.chunk(offset + done);
            let count = piece.len().min(left.len());
            left[..count].copy_from_slice(&piece[..count]);
            done += count;
            if count == left.len() || offset + done >= self.len {
                break;
            }
        }
        done
    }

    /// Returns the longest piece of bytes in order from `offset` behind the front on that is
    /// in one chunk: empty at the end alone.
    pub(crate) fn chunk(&self, offset: usize) -> &[u8] {
        let left = self.len.saturating_sub(offset);
        if left == 0 {
            return &[];
        }
        let (index, at) = place(self.head + offset);
        let chunk = self.chunks.get(index).and_then(Option::as_deref);
        chunk.and_then(|it| it.get(at..CHUNK.min(at + left))).unwrap_or_default()
    }

    /// Puts bytes to the front, and forgets what was written beyond those in order. Returns false,
    /// and changes nothing, if there is no memory.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) -> bool {
        let mut all = Self::new(Rc::clone(&self.pool));
        let (mut put, mut at) = (all.append(bytes, usize::MAX) == bytes.len(), 0);
        while put && at < self.len {
            let piece = self.chunk(at);
            put = all.append(piece, usize::MAX) == piece.len();
            at += piece.len();
        }
        if put {
            *self = all;
        }
        put
    }

    /// Removes bytes in order from the front, all of them at most.
    pub(crate) fn consume(&mut self, count: usize) {
        let count = count.min(self.len);
        self.len -= count;
        self.reach -= count;
        if self.reach == 0 {
            return self.clear();
        }
        self.head += count;
        while self.head >= CHUNK {
            self.head -= CHUNK;
            if let Some(Some(chunk)) = self.chunks.pop_front() {
                self.pool.give(chunk);
            }
        }
    }

    /// Forgets what was written beyond the bytes in order.
    pub(crate) fn truncate(&mut self) {
        if self.len == 0 {
            return self.clear();
        }
        self.reach = self.len;
        let needed = (self.head + self.len).div_ceil(CHUNK);
        while self.chunks.len() > needed
            && let Some(last) = self.chunks.pop_back()
        {
            last.into_iter().for_each(|chunk| self.pool.give(chunk));
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        while let Some(chunk) = self.chunks.pop_front() {
            chunk.into_iter().for_each(|chunk| self.pool.give(chunk));
        }
        if self.chunks.capacity() > PLACES {
            self.chunks = VecDeque::new();
        }
        (self.head, self.len, self.reach) = (0, 0, 0);
    }

    /// Writes bytes at `offset` as [`put`](Self::put) does.
    fn copy_in(&mut self, offset: usize, mut bytes: &[u8], spare: bool) -> usize {
        self.put(offset, bytes.len(), spare, &mut |to| {
            let (piece, rest) = bytes.split_at(to.len());
            to.copy_from_slice(piece);
            bytes = rest;
        })
    }

    /// Has `fill` write `count` bytes at `offset`, in chunks that it takes where there are none:
    /// not of the last ones if they are `spare`. Returns how many.
    fn put(
        &mut self,
        offset: usize,
        count: usize,
        spare: bool,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> usize {
        let (mut end, all) = (offset, offset.saturating_add(count));
        while end < all {
            let (index, at) = place(self.head + end);
            let Some(Some(chunk)) = self.chunks.get_mut(index) else {
                match self.add(index, spare) {
                    Some(()) => continue,
                    None => break,
                }
            };
            let count = (all - end).min(CHUNK - at);
            if let Some(room) = chunk.get_mut(at..at + count) {
                fill(room);
            }
            end += count;
        }
        if end > offset {
            self.reach = self.reach.max(end);
        }
        end - offset
    }

    /// Takes a chunk for a place that has none.
    fn add(&mut self, index: usize, spare: bool) -> Option<()> {
        let Self { pool, chunks, .. } = self;
        if index >= chunks.capacity() {
            chunks.try_reserve(index + 1 - chunks.len()).ok()?;
        }
        let chunk = if spare { pool.take_spare() } else { pool.take() }?;
        while chunks.len() <= index {
            chunks.push_back(None);
        }
        *chunks.get_mut(index)? = Some(chunk);
        Some(())
    }
}

/// Returns in which chunk, and where in it, a byte is that is so far behind the first one of
/// the first chunk.
const fn place(position: usize) -> (usize, usize) {
    (position / CHUNK, position % CHUNK)
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({} of {})", self.len, self.reach)
    }
}

#[cfg(test)]
pub(super) mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;
    use std::{format, vec};

    /// Numbers that look random and are the same each time (SplitMix64).
    pub(crate) struct Numbers(pub(crate) u64);

    impl Numbers {
        pub(crate) fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut it = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((it ^ (it >> 31)) % end as u64) as usize
        }
    }

    /// The byte of a connection that is at `position` of all, which has no period of a
    /// chunk.
    pub(crate) fn byte(position: usize) -> u8 {
        (position % 251) as u8 ^ (position / 4093) as u8
    }

    pub(crate) fn bytes(start: usize, count: usize) -> Vec<u8> {
        (start..start + count).map(byte).collect()
    }

    fn stream(chunks: usize) -> (Stream, Rc<Pool>) {
        let pool = Rc::new(Pool::new(chunks * CHUNK));
        (Stream::new(pool.clone()), pool)
    }

    fn content(stream: &Stream) -> Vec<u8> {
        let mut all = vec![0; stream.len() + 1];
        let count = stream.copy(0, &mut all);
        all.truncate(count);
        all
    }

    #[test]
    fn one_without_bytes_holds_no_chunk_t3() {
        let (mut stream, pool) = stream(100);
        assert!(size_of::<Stream>() <= 64);
        for count in [1, 100, CHUNK, CHUNK + 1, 90 * CHUNK] {
            assert_eq!(stream.append(&bytes(7, count), usize::MAX), count);
            assert_eq!(pool.used(), count.div_ceil(CHUNK) * CHUNK);
            assert!(content(&stream) == bytes(7, count));
            stream.consume(count - 1);
            assert_eq!((stream.len(), pool.used()), (1, CHUNK));
            assert_eq!(stream.chunk(0), [byte(7 + count - 1)]);
            stream.consume(usize::MAX);
            assert!(stream.is_empty() && pool.used() == 0);
            assert!(stream.chunks.capacity() <= PLACES && stream.chunk(0).is_empty());
        }
        stream.append(&bytes(0, 3 * CHUNK), usize::MAX);
        drop(stream);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn a_limit_and_the_end_of_memory_cut_what_is_put_in() {
        let (mut stream, pool) = stream(3);
        assert_eq!(stream.append(&bytes(0, 100), 40), 40);
        assert_eq!(stream.append(&bytes(40, 100), 40), 0);
        assert_eq!(stream.append(&bytes(40, 100), 39), 0);
        let left = 3 * CHUNK - 40;
        assert_eq!(stream.append(&bytes(40, 4 * CHUNK), usize::MAX), left);
        assert_eq!((stream.len(), pool.used()), (3 * CHUNK, 3 * CHUNK));
        assert_eq!(stream.append(&[1], usize::MAX), 0);
        stream.consume(CHUNK + 1);
        assert!(content(&stream) == bytes(CHUNK + 1, 2 * CHUNK - 1));
        assert_eq!(stream.append(&bytes(3 * CHUNK, 2 * CHUNK), usize::MAX), CHUNK);
        assert!(content(&stream) == bytes(CHUNK + 1, 3 * CHUNK - 1));
    }

    #[test]
    fn what_is_far_off_takes_its_own_chunk_and_none_before_it_t3() {
        let (mut stream, pool) = stream(100);
        assert_eq!(stream.write_at(50 * CHUNK - 1, &bytes(50 * CHUNK - 1, 2)), 2);
        assert_eq!((stream.len(), pool.used()), (0, 2 * CHUNK));
        assert_eq!(stream.append(&bytes(0, 10), usize::MAX), 10);
        stream.consume(10);
        // What is in order ends before what is not, wherever the front is.
        assert_eq!((stream.len(), pool.used()), (0, 3 * CHUNK));
        stream.append(&bytes(10, 50 * CHUNK - 11), usize::MAX);
        stream.extend(2);
        assert!(content(&stream) == bytes(10, 50 * CHUNK - 9));
        stream.extend(1);
        assert_eq!(stream.len(), 50 * CHUNK - 9);
        stream.consume(usize::MAX);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn what_is_out_of_order_leaves_a_quarter_of_the_memory_t3() {
        let (mut stream, pool) = stream(16);
        assert_eq!(stream.write_at(CHUNK, &bytes(CHUNK, 20 * CHUNK)), 13 * CHUNK);
        assert_eq!(stream.append(&bytes(0, CHUNK), usize::MAX), CHUNK);
        stream.truncate();
        assert_eq!((stream.len(), pool.used()), (CHUNK, CHUNK));
        stream.consume(CHUNK);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn a_warm_one_does_not_ask_the_allocator() {
        let (mut stream, _pool) = stream(100);
        let (segment, mut to) = (bytes(0, 1460), [0; 4096]);
        stream.append(&bytes(0, 4 * CHUNK), usize::MAX);
        stream.consume(usize::MAX);
        let info = allocation_counter::measure(|| {
            for _ in 0..100 {
                for _ in 0..4 {
                    stream.append(&segment, usize::MAX);
                }
                while !stream.is_empty() {
                    let count = stream.copy(0, &mut to);
                    stream.consume(count);
                }
            }
        });
        assert_eq!(info.count_total, 0);
    }

    /// The same by a plain vector of bytes that are there or not.
    #[derive(Default)]
    struct Model {
        bytes: Vec<Option<u8>>,
        len: usize,
    }

    impl Model {
        fn write_at(&mut self, offset: usize, bytes: &[u8]) {
            let end = offset + bytes.len();
            self.bytes.resize(self.bytes.len().max(end), None);
            let places = &mut self.bytes[offset..end];
            places.iter_mut().zip(bytes).for_each(|(to, &from)| *to = Some(from));
        }

        /// Bytes behind `len` that are there.
        fn behind(&self) -> usize {
            self.bytes[self.len..].iter().take_while(|it| it.is_some()).count()
        }
    }

    #[test]
    fn it_is_as_a_plain_vector_is() {
        for seed in 0..20 {
            let mut numbers = Numbers(seed);
            let (mut stream, pool) = stream(64);
            let mut model = Model::default();
            for step in 0..200 {
                let at = format!("seed {seed}, step {step}");
                let count = [10, 1500, 9000][numbers.below(3)];
                let some: Vec<u8> =
                    (0..numbers.below(count)).map(|_| numbers.below(256) as u8).collect();
                match numbers.below(6) {
                    0 => {
                        let limit = model.len + numbers.below(4000);
                        let put = stream.append(&some, limit);
                        assert!(put <= limit - model.len, "{at}");
                        model.write_at(model.len, &some[..put]);
                        model.len += put;
                    }
                    1 | 2 => {
                        let offset = model.len + numbers.below(100_000);
                        let put = stream.write_at(offset, &some);
                        if put > 0 {
                            model.write_at(offset, &some[..put]);
                        }
                    }
                    3 => {
                        let more = model.behind();
                        stream.extend(more);
                        model.len += more;
                    }
                    4 => {
                        let count = numbers.below(20_000);
                        stream.consume(count);
                        let count = count.min(model.len);
                        model.bytes.drain(..count);
                        model.len -= count;
                    }
                    _ if numbers.below(10) == 0 => {
                        stream.truncate();
                        model.bytes.truncate(model.len);
                    }
                    _ => {}
                }
                assert_eq!((stream.len(), stream.reach), (model.len, model.bytes.len()), "{at}");
                let here: Vec<u8> = model.bytes[..model.len].iter().copied().flatten().collect();
                assert!(content(&stream) == here, "{at}");
                let offset = numbers.below(model.len + 2);
                let piece = stream.chunk(offset);
                assert!(here.get(offset..).unwrap_or_default().starts_with(piece), "{at}");
                assert_eq!(piece.is_empty(), offset >= model.len, "{at}");
                // As many chunks as have bytes, or had them and are the first.
                let mut all = vec![Some(0); stream.head];
                all.extend(&model.bytes);
                let some = |it: &&[Option<u8>]| it.iter().any(Option::is_some);
                let chunks = all.chunks(CHUNK).filter(some).count();
                assert_eq!(pool.used(), chunks * CHUNK, "{at}");
            }
            drop(stream);
            assert_eq!(pool.used(), 0);
        }
    }
}
