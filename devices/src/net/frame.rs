//! Received frames of which only the beginning was copied so far.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use kernel::memory::extend_zeroed;

/// Bytes that are copied at once: more than the headers of Ethernet, IPv6 and TCP take, with
/// all options of TCP.
const HEAD: usize = 128;

/// A frame up to this length, in bytes, is copied at once and whole: what is saved by another copy
/// is no more than what looking twice takes.
const SHORT: usize = 512;

/// A received frame. Its beginning was copied, and the rest may be where the other side of the
/// interface can still change it, from where it is copied once: either behind the beginning, or
/// to where the program wants it (rule N8).
///
/// # Example
/// ```
/// # mod xenith { pub use kernel::*; pub use xenith_devices::*; }
///
/// use xenith::net::cable::{Options, cable};
/// use xenith::net::{Meta, Net};
///
/// let (left, right) = cable(Options::default());
/// left.transmit(1014, |frame| (frame.fill(7), Meta::default())).unwrap();
/// left.flush();
/// let mut payload = [0; 1000];
/// let header = right.receive_apart(|frame, _| {
///     assert_eq!(frame.len(), 1014);
///     let (header, mut rest) = frame.split(14);
///     rest.read(&mut payload);
///     header.to_vec()
/// });
/// assert_eq!((header, payload), (Some(vec![7; 14]), [7; 1000]));
/// ```
pub struct Frame<'a> {
    length: usize,
    bytes: Bytes<'a>,
}

enum Bytes<'a> {
    /// All of them.
    All(&'a [u8]),
    /// The first `head` ones, in a buffer where there is room for all.
    Head { buffer: &'a mut Vec<u8>, head: usize, read: &'a mut dyn FnMut(&mut [u8]) },
}

impl<'a> Frame<'a> {
    /// Makes a frame of bytes that nobody else can change.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { length: bytes.len(), bytes: Bytes::All(bytes) }
    }

    /// Makes a frame of `length` bytes. `read` fills what it is given with those that come next,
    /// and is called for the first ones at once. They are copied to `buffer`, whatever is in it.
    /// Returns `None` if there is no memory for them.
    pub fn apart(
        length: usize,
        buffer: &'a mut Vec<u8>,
        read: &'a mut dyn FnMut(&mut [u8]),
    ) -> Option<Self> {
        let head = if length <= SHORT { length } else { HEAD };
        copy(buffer, 0..head, read)?;
        Some(Self { length, bytes: Bytes::Head { buffer, head, read } })
    }

    /// Returns its length, in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Returns whether it has no bytes, as no frame of an interface.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Returns its first bytes: 128 at least, or all of a frame of up to 512.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        match &self.bytes {
            Bytes::All(bytes) => bytes,
            Bytes::Head { buffer, head, .. } => buffer.get(..*head).unwrap_or_default(),
        }
    }

    /// Returns whether its [`head`](Self::head) is all of it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.head().len() == self.length
    }

    /// Returns all of it, or `None` if there is no memory for that. What was not copied yet is.
    #[must_use]
    pub fn whole(self) -> Option<&'a [u8]> {
        match self.bytes {
            Bytes::All(bytes) => Some(bytes),
            Bytes::Head { buffer, head, read } => {
                copy(buffer, head..self.length, read)?;
                buffer.get(..self.length)
            }
        }
    }

    /// Returns what is before byte `at`, and what begins there and can be read once. `at` is
    /// within the [`head`](Self::head), or else at its end.
    #[must_use]
    pub fn split(self, at: usize) -> (&'a [u8], Rest<'a>) {
        let (bytes, more) = match self.bytes {
            Bytes::All(bytes) => (bytes, None),
            Bytes::Head { buffer, head, read } => {
                let more = More { read, left: self.length - head };
                (buffer.get(..head).unwrap_or_default(), Some(more))
            }
        };
        let (before, copied) = bytes.split_at(at.min(bytes.len()));
        (before, Rest { copied, more })
    }
}

/// Reads what belongs into `range` of `buffer`, or returns `None` if there is no memory for it: how
/// long a frame is, others decide (rule R8).
fn copy(buffer: &mut Vec<u8>, range: Range<usize>, read: &mut dyn FnMut(&mut [u8])) -> Option<()> {
    extend_zeroed(buffer, range.end.saturating_sub(buffer.len()))?;
    read(buffer.get_mut(range)?);
    Some(())
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} of {})", self.head().len(), self.length)
    }
}

/// What comes behind the headers of a [`Frame`]. Each byte can be read once, so that nobody takes
/// two readings of what the other side may change for one.
pub struct Rest<'a> {
    /// What was copied already.
    copied: &'a [u8],
    /// What comes behind that.
    more: Option<More<'a>>,
}

/// Bytes that were not copied yet.
struct More<'a> {
    read: &'a mut dyn FnMut(&mut [u8]),
    left: usize,
}

impl Rest<'_> {
    /// Copies the next bytes to `to`. Returns how many: fewer at the end alone.
    pub fn read(&mut self, to: &mut [u8]) -> usize {
        let (now, later) = self.copied.split_at(self.copied.len().min(to.len()));
        let (first, second) = to.split_at_mut(now.len());
        first.copy_from_slice(now);
        self.copied = later;
        let Some(More { read, left }) = &mut self.more else { return now.len() };
        let count = second.len().min(*left);
        if let Some(second) = second.get_mut(..count).filter(|it| !it.is_empty()) {
            read(second);
            *left -= count;
        }
        now.len() + count
    }
}

impl fmt::Debug for Rest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = self.more.as_ref().map_or(0, |it| it.left);
        write!(f, "Rest({})", self.copied.len() + more)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec;

    /// Passes `take` a frame of `length` bytes, and returns how many of them it read.
    fn with<R>(length: usize, take: impl FnOnce(Frame<'_>) -> R) -> (R, usize) {
        let (mut buffer, mut at) = (vec![0xff; 100], 0);
        let mut read = |to: &mut [u8]| {
            to.iter_mut().zip(at..).for_each(|(to, at)| *to = at as u8);
            at += to.len();
        };
        let result = take(Frame::apart(length, &mut buffer, &mut read).unwrap());
        (result, at)
    }

    fn bytes(range: Range<usize>) -> Vec<u8> {
        range.map(|at| at as u8).collect()
    }

    #[test]
    fn a_short_frame_is_copied_at_once() {
        for length in [14, HEAD, SHORT] {
            let ((), read) = with(length, |frame| {
                assert!(frame.is_whole() && frame.len() == length);
                assert_eq!(frame.head(), bytes(0..length));
            });
            assert_eq!(read, length);
        }
    }

    #[test]
    fn a_frame_that_there_is_no_memory_for_is_none_r8() {
        let (whole, read) = with(isize::MAX as usize, |frame| frame.whole().map(<[u8]>::len));
        assert_eq!((whole, read), (None, HEAD));
    }

    #[test]
    fn of_a_long_frame_each_byte_is_copied_once_n8() {
        let (all, read) = with(3000, |frame| {
            assert!(!frame.is_whole() && frame.head() == bytes(0..HEAD));
            frame.whole().unwrap().to_vec()
        });
        assert!(all == bytes(0..3000) && read == 3000);
        for at in [0, 66, HEAD] {
            let ((), read) = with(3000, |frame| {
                let (head, mut rest) = frame.split(at);
                assert_eq!(head, bytes(0..at));
                let mut next = at;
                for count in [1, 60, 2000] {
                    let mut to = vec![0; count];
                    assert_eq!(rest.read(&mut to), count);
                    assert_eq!(to, bytes(next..next + count));
                    next += count;
                }
                let mut to = vec![0xaa; 2000];
                assert_eq!(rest.read(&mut to), 3000 - next);
                assert!(to[..3000 - next] == bytes(next..3000) && to[3000 - next] == 0xaa);
                assert_eq!(rest.read(&mut to), 0);
            });
            assert_eq!(read, 3000);
        }
        // What nobody wants is not copied.
        let ((), read) = with(3000, |frame| assert_eq!(frame.len(), 3000));
        assert_eq!(read, HEAD);
        // Behind the beginning nothing was looked at yet.
        with(3000, |frame| assert_eq!(frame.split(2000).0.len(), HEAD));
        // Where nobody can change it, it stays where it is.
        let all = bytes(0..3000);
        assert!(Frame::new(&all).is_whole() && Frame::new(&all).whole() == Some(&all));
        let (head, mut rest) = Frame::new(&all).split(2990);
        let mut to = [0; 20];
        assert!(head == &all[..2990] && rest.read(&mut to) == 10 && to[..10] == all[2990..]);
    }
}
