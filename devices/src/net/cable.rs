//! Connects two programs by a cable in memory, for tests.
//!
//! It is strict: a frame arrives only after a [`flush`](Net::flush), and the buffer that is
//! to be filled holds old bytes.
//!
//! # Example
//! ```
//! # mod xenith { pub use kernel::*; pub use xenith_devices::*; }
//!
//! use xenith::net::cable::{Options, cable};
//! use xenith::net::{Meta, Net};
//!
//! let (left, right) = cable(Options { mtu: 9000, ..Options::default() });
//! left.transmit(9014, |frame| (frame.fill(7), Meta::default())).unwrap();
//! assert_eq!(right.receive(|_, _| ()), None, "it was not flushed");
//! left.flush();
//! assert_eq!(right.receive(|frame, _| frame.len()), Some(9014));
//! ```

use super::{Broken, Checksum, Frame, HEADER, Info, Mac, Meta, Net};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::task::{Context, Poll, Waker};
use kernel::metrics::{Metric, Source};

/// Configures a cable.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The longest payload of a frame, in bytes.
    pub mtu: usize,
    /// The most frames that are in flight in one direction.
    pub capacity: usize,
    /// Whether it carries frames with a [blank](Checksum::Blank) checksum, which arrive so.
    pub transmit_blank: bool,
    /// The longest large frame, one with a [segment](Meta::segment) size, that it carries; 0
    /// for none. They arrive unsegmented.
    pub transmit_large: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { mtu: 1500, capacity: 64, transmit_blank: false, transmit_large: 0 }
    }
}

/// Holds the frames in flight to one end.
#[derive(Debug, Default)]
struct Direction {
    frames: VecDeque<(Vec<u8>, Meta)>,
    /// The number of `frames`, from the front, that were flushed.
    arrived: usize,
    /// Buffers for reuse.
    spare: Vec<Vec<u8>>,
    receiver: Option<Waker>,
    sender: Option<Waker>,
}

/// Holds what both ends share.
#[derive(Debug)]
struct Shared {
    options: Options,
    link: Cell<bool>,
    generation: Cell<u32>,
    broken: Cell<bool>,
}

/// An end of a cable. Clones are the same end.
#[derive(Clone, Debug)]
pub struct End {
    shared: Rc<Shared>,
    mac: Mac,
    to_here: Rc<RefCell<Direction>>,
    to_there: Rc<RefCell<Direction>>,
}

/// Returns the two ends of a new cable, with locally administered addresses.
#[must_use]
pub fn cable(options: Options) -> (End, End) {
    let (one, other): (Rc<RefCell<Direction>>, Rc<RefCell<Direction>>) = Default::default();
    let shared = Rc::new(Shared {
        options,
        link: Cell::new(true),
        generation: Cell::new(1),
        broken: Cell::new(false),
    });
    let end = |last, to_here: &Rc<_>, to_there: &Rc<_>| End {
        shared: Rc::clone(&shared),
        mac: Mac([2, 0, 0, 0, 0, last]),
        to_here: Rc::clone(to_here),
        to_there: Rc::clone(to_there),
    };
    (end(1, &one, &other), end(2, &other, &one))
}

/// Counts nothing: programs that report the metrics of their network can be tested on it.
impl Source for End {
    fn metrics(&self, _: &mut dyn FnMut(Metric)) {}
}

impl End {
    /// Returns an end that receives what it transmits.
    pub(super) fn looped(options: Options) -> Self {
        let (end, _) = cable(options);
        Self { to_there: Rc::clone(&end.to_here), ..end }
    }

    /// Plugs the cable in or pulls it out. Frames that are transmitted without a link are
    /// dropped.
    pub fn set_link(&self, link: bool) {
        self.shared.link.set(link);
        self.wake();
    }

    /// Counts a new connection, as if the other end were another machine now.
    pub fn reconnect(&self) {
        self.shared.generation.set(self.shared.generation.get().wrapping_add(1));
        self.wake();
    }

    /// Breaks the cable for good.
    pub fn sever(&self) {
        self.shared.broken.set(true);
        self.wake();
    }

    fn wake(&self) {
        for direction in [&self.to_here, &self.to_there] {
            let (receiver, sender) = {
                let mut direction = direction.borrow_mut();
                (direction.receiver.take(), direction.sender.take())
            };
            receiver.into_iter().chain(sender).for_each(Waker::wake);
        }
    }

    /// Takes the next frame that has arrived.
    fn next(&self) -> Option<(Vec<u8>, Meta)> {
        let (frame, sender) = {
            let mut direction = self.to_here.borrow_mut();
            direction.arrived = direction.arrived.checked_sub(1)?;
            (direction.frames.pop_front()?, direction.sender.take())
        };
        sender.into_iter().for_each(Waker::wake);
        Some(frame)
    }

    fn check(&self) -> Result<(), Broken> {
        if self.shared.broken.get() { Err(Broken) } else { Ok(()) }
    }
}

impl Net for End {
    fn info(&self) -> Info {
        Info {
            mac: self.mac,
            mtu: self.shared.options.mtu,
            link: self.shared.link.get(),
            generation: self.shared.generation.get(),
            transmit_blank: self.shared.options.transmit_blank,
            transmit_large: self.shared.options.transmit_large,
        }
    }

    fn poll_receive(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.check()?;
        let mut direction = self.to_here.borrow_mut();
        if direction.arrived > 0 {
            return Poll::Ready(Ok(()));
        }
        direction.receiver = Some(context.waker().clone());
        Poll::Pending
    }

    fn receive<R>(&self, take: impl FnOnce(&[u8], Meta) -> R) -> Option<R> {
        let (frame, meta) = self.next()?;
        let result = take(&frame, meta);
        self.to_here.borrow_mut().spare.push(frame);
        Some(result)
    }

    fn receive_apart<R>(&self, take: impl FnOnce(Frame<'_>, Meta) -> R) -> Option<R> {
        let (frame, meta) = self.next()?;
        // Of the buffers that are there, so that no frame costs an allocation.
        let mut buffer = self.to_here.borrow_mut().spare.pop().unwrap_or_default();
        let mut rest = frame.as_slice();
        let mut read = |to: &mut [u8]| {
            let (now, later) = rest.split_at(to.len());
            to.copy_from_slice(now);
            rest = later;
        };
        let apart = Frame::apart(frame.len(), &mut buffer, &mut read);
        let result = apart.map(|frame| take(frame, meta));
        self.to_here.borrow_mut().spare.extend([frame, buffer]);
        result
    }

    fn poll_transmit(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.check()?;
        let mut direction = self.to_there.borrow_mut();
        if direction.frames.len() < self.shared.options.capacity {
            return Poll::Ready(Ok(()));
        }
        direction.sender = Some(context.waker().clone());
        Poll::Pending
    }

    fn transmit<R>(&self, length: usize, fill: impl FnOnce(&mut [u8]) -> (R, Meta)) -> Option<R> {
        let Options { mtu, capacity, transmit_blank, transmit_large } = self.shared.options;
        let fits = (HEADER..=transmit_large.max(HEADER + mtu)).contains(&length);
        if !fits || self.shared.broken.get() || self.to_there.borrow().frames.len() >= capacity {
            return None;
        }
        let mut frame = self.to_there.borrow_mut().spare.pop().unwrap_or_default();
        frame.resize(length, 0xa5);
        let (result, meta) = fill(&mut frame);
        let allowed = match meta.checksum {
            Checksum::Complete => true,
            Checksum::Blank => transmit_blank,
            Checksum::Verified => false,
        };
        debug_assert!(allowed, "{meta:?} is not for frames to transmit here");
        let large = length > HEADER + mtu;
        let right = !large || (meta.segment > 0 && meta.checksum == Checksum::Blank);
        debug_assert!(right, "{meta:?} of a frame of {length} bytes");
        let mut direction = self.to_there.borrow_mut();
        if self.shared.link.get() {
            direction.frames.push_back((frame, meta));
        } else {
            direction.spare.push(frame);
        }
        Some(result)
    }

    fn flush(&self) {
        let receiver = {
            let mut direction = self.to_there.borrow_mut();
            direction.arrived = direction.frames.len();
            if direction.arrived == 0 { None } else { direction.receiver.take() }
        };
        receiver.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::future::poll_fn;
    use kernel::task::{block_on, join};

    fn send(end: &End, frame: &[u8]) -> Option<()> {
        end.transmit(frame.len(), |to| {
            to.copy_from_slice(frame);
            ((), Meta::default())
        })
    }

    #[test]
    fn frames_arrive_in_order_once_they_are_flushed() {
        let (a, b) = cable(Options::default());
        send(&a, &[1; 14]).unwrap();
        send(&a, &[2; 1514]).unwrap();
        assert_eq!(b.receive(|_, _| ()), None);
        a.flush();
        assert_eq!(b.receive(|frame, _| frame.len()), Some(14));
        assert_eq!(b.receive(|frame, _| frame[1513]), Some(2));
        assert_eq!(b.receive(|_, _| ()), None);
    }

    #[test]
    fn lengths_that_no_frame_has_are_refused() {
        let (a, _b) = cable(Options::default());
        assert_eq!(send(&a, &[0; 13]), None);
        assert_eq!(send(&a, &[0; 1515]), None);
    }

    #[test]
    fn a_full_cable_makes_its_sender_wait() {
        let (a, b) = cable(Options { capacity: 1, ..Options::default() });
        send(&a, &[1; 14]).unwrap();
        a.flush();
        assert_eq!(send(&a, &[2; 14]), None);
        block_on(join(
            async {
                poll_fn(|context| a.poll_transmit(context)).await.unwrap();
                send(&a, &[2; 14]).unwrap();
                a.flush();
            },
            async {
                for n in [1, 2] {
                    poll_fn(|context| b.poll_receive(context)).await.unwrap();
                    assert_eq!(b.receive(|frame, _| frame[0]), Some(n));
                }
            },
        ));
    }

    #[test]
    fn one_may_transmit_while_receiving() {
        let (a, b) = cable(Options::default());
        send(&a, &[1; 14]).unwrap();
        a.flush();
        b.receive(|frame, _| send(&b, frame).unwrap()).unwrap();
        b.flush();
        assert_eq!(a.receive(|frame, _| frame[0]), Some(1));
    }

    #[test]
    fn nothing_passes_without_a_link_and_a_severed_cable_says_so() {
        let (a, b) = cable(Options::default());
        b.set_link(false);
        send(&a, &[1; 14]).unwrap();
        a.flush();
        assert_eq!(b.receive(|_, _| ()), None);
        block_on(join(
            async { assert_eq!(poll_fn(|context| a.poll_receive(context)).await, Err(Broken)) },
            async { b.sever() },
        ));
        assert_eq!(send(&a, &[1; 14]), None);
    }
}
