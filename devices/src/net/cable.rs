//! A cable in memory with an end for each of two programs, for tests.
//!
//! It punishes: a frame that was transmitted arrives only when the end that sent it
//! was flushed, and a buffer that `fill` is given holds an older frame.
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

use super::{Broken, Checksum, HEADER, Info, Mac, Meta, Net};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::task::{Context, Poll, Waker};
use kernel::metrics::{Metric, Source};

/// What a cable is like.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The longest payload of a frame, in bytes.
    pub mtu: usize,
    /// Frames that are on their way in one direction at most.
    pub capacity: usize,
    /// Whether it carries frames with a [blank](Checksum::Blank) checksum. These
    /// arrive as what they are.
    pub transmit_blank: bool,
    /// The longest frame that it carries with a [segment](Meta::segment) said of it, if
    /// it carries such frames. These arrive as what they are.
    pub transmit_large: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { mtu: 1500, capacity: 64, transmit_blank: false, transmit_large: 0 }
    }
}

/// What is under way to one end.
#[derive(Debug, Default)]
struct Way {
    frames: VecDeque<(Vec<u8>, Meta)>,
    /// How many of `frames`, from the front, the sender has flushed.
    arrived: usize,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
    receiver: Option<Waker>,
    sender: Option<Waker>,
}

/// What both ends share.
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
    to_here: Rc<RefCell<Way>>,
    to_there: Rc<RefCell<Way>>,
}

/// The two ends of a new cable. Their addresses are locally administered ones.
#[must_use]
pub fn cable(options: Options) -> (End, End) {
    let (one, other): (Rc<RefCell<Way>>, Rc<RefCell<Way>>) = Default::default();
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

/// Counts nothing, so that programs which tell what their network counts can be tested on it.
impl Source for End {
    fn metrics(&self, _: &mut dyn FnMut(Metric)) {}
}

impl End {
    /// An end from which what is transmitted comes back.
    pub(super) fn looped(options: Options) -> Self {
        let (end, _) = cable(options);
        Self { to_there: Rc::clone(&end.to_here), ..end }
    }

    /// Plugs the cable in or pulls it out; frames that are transmitted then are lost.
    pub fn set_link(&self, link: bool) {
        self.shared.link.set(link);
        self.wake();
    }

    /// Makes the cable one to another machine, as far as its ends can tell.
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
        for way in [&self.to_here, &self.to_there] {
            let (receiver, sender) = {
                let mut way = way.borrow_mut();
                (way.receiver.take(), way.sender.take())
            };
            receiver.into_iter().chain(sender).for_each(Waker::wake);
        }
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
        let mut way = self.to_here.borrow_mut();
        if way.arrived > 0 {
            return Poll::Ready(Ok(()));
        }
        way.receiver = Some(context.waker().clone());
        Poll::Pending
    }

    fn receive<R>(&self, take: impl FnOnce(&[u8], Meta) -> R) -> Option<R> {
        let (frame, meta, sender) = {
            let mut way = self.to_here.borrow_mut();
            way.arrived = way.arrived.checked_sub(1)?;
            let (frame, meta) = way.frames.pop_front()?;
            (frame, meta, way.sender.take())
        };
        sender.into_iter().for_each(Waker::wake);
        let result = take(&frame, meta);
        self.to_here.borrow_mut().spare.push(frame);
        Some(result)
    }

    fn poll_transmit(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.check()?;
        let mut way = self.to_there.borrow_mut();
        if way.frames.len() < self.shared.options.capacity {
            return Poll::Ready(Ok(()));
        }
        way.sender = Some(context.waker().clone());
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
        let mut way = self.to_there.borrow_mut();
        if self.shared.link.get() {
            way.frames.push_back((frame, meta));
        } else {
            way.spare.push(frame);
        }
        Some(result)
    }

    fn flush(&self) {
        let receiver = {
            let mut way = self.to_there.borrow_mut();
            way.arrived = way.frames.len();
            if way.arrived == 0 { None } else { way.receiver.take() }
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
