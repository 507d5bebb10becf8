//! Datagrams that wait in a UDP socket: as many as there is room for, each in memory of its
//! own, so that a socket in which nothing waits holds none.

use crate::Error;
use crate::tcp::pool::Pool;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::net::SocketAddr;

/// Datagrams that wait, each way, at most.
const DATAGRAMS: usize = 64;

/// What one costs besides its bytes.
const EACH: usize = size_of::<Waiting>() + 16;

/// One that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Whom it is from or for.
    pub(super) peer: SocketAddr,
    /// The bits of ECN that it came with.
    pub(super) ecn: u8,
    pub(super) payload: Box<[u8]>,
}

/// Those that wait, in their order. Their memory is counted with that of TCP's buffers.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    most: usize,
    /// They can be done without when memory is scarce.
    spare: bool,
    pool: Rc<Pool>,
}

impl Queue {
    /// An empty one for at most `most` bytes of datagrams.
    pub(super) fn new(most: usize, spare: bool, pool: &Rc<Pool>) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, most, spare, pool: Rc::clone(pool) }
    }

    /// Whether another one of `length` bytes may wait.
    pub(super) fn has_room(&self, length: usize) -> bool {
        self.waiting.len() < DATAGRAMS && self.bytes + length <= self.most
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds one, for which there [is room](Self::has_room).
    ///
    /// # Errors
    /// [`Error::Exhausted`], without memory for it.
    pub(super) fn push(&mut self, peer: SocketAddr, ecn: u8, bytes: &[u8]) -> Result<(), Error> {
        let mut payload = Vec::new();
        let room = payload.try_reserve_exact(bytes.len()).is_ok()
            && self.waiting.try_reserve(1).is_ok()
            && self.pool.charge(EACH + bytes.len(), self.spare);
        if !room {
            return Err(Error::Exhausted);
        }
        payload.extend_from_slice(bytes);
        self.bytes += bytes.len();
        self.waiting.push_back(Waiting { peer, ecn, payload: payload.into_boxed_slice() });
        Ok(())
    }

    /// Takes the first one out.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        self.bytes -= waiting.payload.len();
        self.pool.discharge(EACH + waiting.payload.len());
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        Some(waiting)
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        while self.pop().is_some() {}
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    fn peer() -> SocketAddr {
        "10.0.0.1:7".parse().unwrap()
    }

    fn fill(queue: &mut Queue, length: usize) -> usize {
        let bytes = std::vec![7; length];
        (0..1000)
            .take_while(|_| queue.has_room(length) && queue.push(peer(), 0, &bytes).is_ok())
            .count()
    }

    #[test]
    fn what_waits_is_bounded_by_count_and_bytes_and_counted() {
        let pool = Rc::new(Pool::new(1 << 20));
        let mut queue = Queue::new(8 << 10, true, &pool);
        assert_eq!(fill(&mut queue, 0), DATAGRAMS);
        queue.clear();
        assert_eq!((pool.used(), queue.bytes), (0, 0));
        assert_eq!(fill(&mut queue, 1000), 8);
        assert_eq!(pool.used(), 8 * (1000 + EACH));
        assert_eq!(queue.pop().unwrap().payload.len(), 1000);
        drop(queue);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn all_of_them_hold_no_more_than_the_memory_of_a_stack() {
        let pool = Rc::new(Pool::new(8 << 10));
        let mut queues: Vec<_> = (0..9).map(|_| Queue::new(1400, false, &pool)).collect();
        let count: usize = queues.iter_mut().map(|it| fill(it, 1400)).sum();
        assert_eq!(count, (8 << 10) / (1400 + EACH));
        // What arrives takes nothing of the last quarter.
        let mut arriving = Queue::new(1400, true, &pool);
        assert_eq!(fill(&mut arriving, 10), 0);
        queues.drain(..3);
        assert!(fill(&mut arriving, 10) > 0);
    }
}
