//! Moves bytes and requests through rings in memory that is shared with a peer.
//!
//! There are two kinds. A *byte ring* carries a stream in one direction between a [`Producer`] and
//! a [`Consumer`]; the console (`public/io/console.h`) and xenstore (`public/io/xs_wire.h`) have
//! two each. [`Front`] is the front end's side of a ring of requests and responses
//! (`public/io/ring.h`), which all other devices have.
//!
//! Each side owns its index and publishes it in the page. Indices count up and wrap at 2^32; the
//! position in the ring is the index modulo its size. The own index is kept in private memory and
//! never read back; the peer's is loaded once and checked before it is used (rules R2 to R5 and
//! K4). No other module computes with ring indices.

mod front;

pub use front::Front;

use crate::memory::SharedPage;
use core::fmt;
use core::sync::atomic::{Ordering, fence};

/// Describes where a byte ring is in its page: offsets and sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Offset of the data.
    pub data: usize,
    /// Size of the data: a power of two.
    pub size: u32,
    /// Offset of the consumer's index.
    pub cons: usize,
    /// Offset of the producer's index.
    pub prod: usize,
}

/// Reports that the peer moved its index to an impossible value. The ring can no longer be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the peer broke the ring: its index is impossible")
    }
}

impl core::error::Error for Broken {}

/// Writes into a byte ring.
#[derive(Debug)]
pub struct Producer {
    layout: Layout,
    prod: u32,
    cons: u32,
    broken: bool,
}

/// Reads from a byte ring.
#[derive(Debug)]
pub struct Consumer {
    layout: Layout,
    cons: u32,
    prod: u32,
    broken: bool,
}

/// Splits `len` bytes from index `at` on where the ring wraps: offset in the page and length of
/// both pieces. The second is empty unless the range wraps.
fn pieces(layout: Layout, at: u32, len: usize) -> [(usize, usize); 2] {
    let start = (at & (layout.size - 1)) as usize;
    let first = len.min(layout.size as usize - start);
    [(layout.data + start, first), (layout.data, len - first)]
}

impl Producer {
    /// Starts with the indices that the page holds, which an earlier user may have left.
    ///
    /// # Errors
    /// [`Broken`] if they are further apart than the ring is long.
    pub fn new(page: &SharedPage, layout: Layout) -> Result<Self, Broken> {
        let cons = page.load_u32(layout.cons);
        let prod = page.load_u32(layout.prod);
        let ring = Self { layout, prod, cons, broken: false };
        if ring.pending() > layout.size { Err(Broken) } else { Ok(ring) }
    }

    /// Returns the number of bytes that the peer had not consumed at the last [`room`](Self::room)
    /// or [`write`](Self::write).
    #[must_use]
    pub const fn pending(&self) -> u32 {
        self.prod.wrapping_sub(self.cons)
    }

    /// Loads the peer's index, and returns how many bytes can be written now.
    ///
    /// # Errors
    /// [`Broken`] if the peer's index is impossible, and from then on.
    pub fn room(&mut self, page: &SharedPage) -> Result<u32, Broken> {
        if self.broken {
            return Err(Broken);
        }
        let cons = page.load_u32(self.layout.cons);
        if cons.wrapping_sub(self.cons) > self.pending() {
            self.broken = true;
            return Err(Broken);
        }
        self.cons = cons;
        Ok(self.layout.size - self.pending())
    }

    /// Writes as many of `bytes` as there is room for, and returns how many. The caller notifies
    /// the peer.
    ///
    /// # Errors
    /// [`Broken`] if the peer's index is impossible, and from then on.
    pub fn write(&mut self, page: &SharedPage, bytes: &[u8]) -> Result<usize, Broken> {
        let len = bytes.len().min(self.room(page)? as usize);
        let (bytes, _) = bytes.split_at(len);
        let [first, second] = pieces(self.layout, self.prod, len);
        let (head, tail) = bytes.split_at(first.1);
        page.copy_in(first.0, head);
        page.copy_in(second.0, tail);
        self.prod = self.prod.wrapping_add(len as u32);
        page.store_u32(self.layout.prod, self.prod);
        Ok(len)
    }
}

impl Consumer {
    /// Starts with the indices that the page holds, which an earlier user may have left.
    ///
    /// # Errors
    /// [`Broken`] if they are further apart than the ring is long.
    pub fn new(page: &SharedPage, layout: Layout) -> Result<Self, Broken> {
        let cons = page.load_u32(layout.cons);
        let prod = page.load_u32(layout.prod);
        let ring = Self { layout, cons, prod, broken: false };
        if prod.wrapping_sub(cons) > layout.size { Err(Broken) } else { Ok(ring) }
    }

    /// Loads the peer's index, and returns how many bytes can be read now.
    ///
    /// # Errors
    /// [`Broken`] if the peer's index is impossible, and from then on.
    pub fn available(&mut self, page: &SharedPage) -> Result<u32, Broken> {
        if self.broken {
            return Err(Broken);
        }
        let prod = page.load_u32(self.layout.prod);
        let available = prod.wrapping_sub(self.cons);
        // Too far ahead, or behind what the peer published before.
        if available > self.layout.size || available < self.prod.wrapping_sub(self.cons) {
            self.broken = true;
            return Err(Broken);
        }
        self.prod = prod;
        Ok(available)
    }

    /// Reads up to `to.len()` bytes, and returns how many; 0 means that the ring is empty. The
    /// caller notifies the peer, which may wait for room.
    ///
    /// # Errors
    /// [`Broken`] if the peer's index is impossible, and from then on.
    pub fn read(&mut self, page: &SharedPage, to: &mut [u8]) -> Result<usize, Broken> {
        let len = to.len().min(self.available(page)? as usize);
        let (to, _) = to.split_at_mut(len);
        let [first, second] = pieces(self.layout, self.cons, len);
        let (head, tail) = to.split_at_mut(first.1);
        page.copy_out(first.0, head);
        page.copy_out(second.0, tail);
        self.cons = self.cons.wrapping_add(len as u32);
        page.store_u32(self.layout.cons, self.cons);
        Ok(len)
    }

    /// Returns whether the peer may have found the ring full before the last `count` bytes were
    /// read, so that it may wait for the room that they left.
    #[must_use]
    pub fn was_full(&self, page: &SharedPage, count: u32) -> bool {
        // The peer publishes its index and then looks for room. This index must be visible before
        // the peer's is loaded, or it could wait for what nobody tells it.
        fence(Ordering::SeqCst);
        let prod = page.load_u32(self.layout.prod);
        prod.wrapping_sub(self.cons.wrapping_sub(count)) >= self.layout.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::leaked_page;

    const RING: Layout = Layout { data: 64, size: 16, cons: 0, prod: 4 };

    fn both_at(start: u32) -> (SharedPage, Producer, Consumer) {
        let page = leaked_page();
        page.store_u32(RING.cons, start);
        page.store_u32(RING.prod, start);
        let producer = Producer::new(&page, RING).unwrap();
        let consumer = Consumer::new(&page, RING).unwrap();
        (page, producer, consumer)
    }

    #[test]
    fn bytes_survive_every_split_and_the_index_wrap_r11() {
        let (page, mut producer, mut consumer) = both_at(0xFFFF_FFF0);
        let (mut sent, mut received) = (Vec::new(), Vec::new());
        for step in 0..200_u8 {
            let chunk = vec![step; usize::from(step) % 23];
            let took = producer.write(&page, &chunk).unwrap();
            assert!(took <= 16);
            sent.extend_from_slice(&chunk[..took]);
            let mut back = vec![0; usize::from(step) % 11];
            let got = consumer.read(&page, &mut back).unwrap();
            received.extend_from_slice(&back[..got]);
        }
        let mut rest = [0; 16];
        let got = consumer.read(&page, &mut rest).unwrap();
        received.extend_from_slice(&rest[..got]);
        assert_eq!(sent, received);
        assert!(sent.len() > 600);
    }

    #[test]
    fn a_full_ring_takes_nothing_and_writes_nothing_k2() {
        let (page, mut producer, _) = both_at(7);
        assert_eq!(producer.write(&page, &[1; 20]), Ok(16));
        assert_eq!(producer.write(&page, &[2; 20]), Ok(0));
        let mut data = [0; 17];
        page.copy_out(RING.data, &mut data);
        assert_eq!(data, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]);
    }

    #[test]
    fn a_consumer_ahead_of_the_producer_breaks_it_r3_k1() {
        let (page, mut producer, _) = both_at(0);
        assert_eq!(producer.write(&page, b"abc"), Ok(3));
        page.store_u32(RING.cons, 4);
        assert_eq!(producer.write(&page, b"d"), Err(Broken));
        page.store_u32(RING.cons, 3);
        assert_eq!(producer.room(&page), Err(Broken), "broken stays broken");
    }

    #[test]
    fn a_consumer_that_goes_back_breaks_it_r4() {
        let (page, mut producer, _) = both_at(8);
        assert_eq!(producer.write(&page, b"abc"), Ok(3));
        page.store_u32(RING.cons, 7);
        assert_eq!(producer.room(&page), Err(Broken));
    }

    #[test]
    fn a_producer_that_overruns_or_goes_back_breaks_it_r3_r4() {
        let (page, _, mut consumer) = both_at(0);
        page.store_u32(RING.prod, 17);
        assert_eq!(consumer.read(&page, &mut [0; 4]), Err(Broken));

        let (page, mut producer, mut consumer) = both_at(0);
        assert_eq!(producer.write(&page, b"abcd"), Ok(4));
        assert_eq!(consumer.available(&page), Ok(4));
        page.store_u32(RING.prod, 2);
        assert_eq!(consumer.available(&page), Err(Broken));
    }

    #[test]
    fn impossible_indices_at_the_start_are_refused() {
        let page = leaked_page();
        page.store_u32(RING.prod, 17);
        assert!(Producer::new(&page, RING).is_err());
        assert!(Consumer::new(&page, RING).is_err());
    }

    #[test]
    fn own_indices_are_never_read_back_r5_k4() {
        let (page, mut producer, mut consumer) = both_at(0);
        assert_eq!(producer.write(&page, b"abcd"), Ok(4));
        page.store_u32(RING.prod, 9);
        assert_eq!(producer.write(&page, b"efgh"), Ok(4));
        page.store_u32(RING.cons, 3);
        let mut data = [0; 8];
        assert_eq!(consumer.read(&page, &mut data), Ok(8));
        assert_eq!(&data, b"abcdefgh");
    }
}
