//! Loses, duplicates, delays, reorders and corrupts frames, for tests. Equal seeds give equal
//! faults.
//!
//! Received frames are affected; wrap both ends of a cable for faults in both directions.
//!
//! # Example
//! ```
//! # mod xenith { pub use kernel::*; pub use xenith_devices::*; }
//!
//! use xenith::net::cable::{Options, cable};
//! use xenith::net::fault::{Fault, Faults};
//! use xenith::net::{Meta, Net};
//! use core::task::{Context, Waker};
//!
//! let (left, right) = cable(Options::default());
//! // One frame of ten is lost.
//! let right = Fault::new(right, Faults { lose: 100, ..Faults::default() }, 42);
//! for _ in 0..50 {
//!     left.transmit(60, |frame| (frame.fill(0), Meta::default())).unwrap();
//! }
//! left.flush();
//! let mut came = 0;
//! let mut context = Context::from_waker(Waker::noop());
//! while right.poll_receive(&mut context).is_ready() && right.receive(|_, _| ()).is_some() {
//!     came += 1;
//! }
//! assert!((40..50).contains(&came));
//! ```

use super::{Broken, Checksum, Info, Meta, Net};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use kernel::time::{Instant, Sleep, sleep_until};

/// Sets how often each fault occurs, in frames of a thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Frames that are dropped.
    pub lose: u32,
    /// Frames that arrive twice.
    pub double: u32,
    /// Frames that arrive after their successor.
    pub reorder: u32,
    /// IP packets in which one bit flips. Frames whose checksum the receiver does not verify
    /// are dropped instead, and frames that are not IP pass, as they have no checksum.
    pub spoil: u32,
    /// The shortest and the longest delay of a frame.
    pub delay: (Duration, Duration),
}

/// A frame that is delayed.
#[derive(Debug)]
struct Late {
    due: Instant,
    frame: Vec<u8>,
    meta: Meta,
}

#[derive(Debug)]
struct State {
    random: u64,
    /// In order of arrival.
    late: Vec<Late>,
    timer: Option<(Instant, Sleep)>,
}

/// Wraps a [`Net`] whose received frames suffer [`Faults`].
#[derive(Debug)]
pub struct Fault<N> {
    net: N,
    faults: Faults,
    state: RefCell<State>,
}

impl State {
    /// Returns a pseudo-random number (splitmix64).
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.random;
        number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ number >> 31
    }

    fn happens(&mut self, thousandths: u32) -> bool {
        self.random() % 1000 < thousandths.into()
    }

    fn take_in(&mut self, frame: &[u8], meta: Meta, faults: &Faults) {
        let mut frame = frame.to_vec();
        let mut lost = self.happens(faults.lose);
        if self.happens(faults.spoil) && matches!(frame.get(12..14), Some([8, 0] | [0x86, 0xdd])) {
            lost |= meta.checksum != Checksum::Complete;
            let at = 14 + self.random() as usize % (frame.len() - 14).max(1);
            let change = 1 << (self.random() % 8);
            frame.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= change);
        }
        let times = if lost { 0 } else { 1 + usize::from(self.happens(faults.double)) };
        for _ in 0..times {
            let (least, most) = faults.delay;
            let range = most.saturating_sub(least).as_nanos() as u64 + 1;
            let delay = least + Duration::from_nanos(self.random() % range);
            let late =
                Late { due: Instant::now().saturating_add(delay), frame: frame.clone(), meta };
            let place = self.late.partition_point(|it| it.due <= late.due);
            self.late.insert(place, late);
            if place > 0 && self.happens(faults.reorder) {
                self.late.swap(place - 1, place);
            }
        }
    }
}

impl<N: Net> Fault<N> {
    /// Wraps `net`; `seed` determines which frames are affected.
    pub fn new(net: N, faults: Faults, seed: u64) -> Self {
        let state = State { random: seed, late: Vec::new(), timer: None };
        Self { net, faults, state: RefCell::new(state) }
    }
}

impl<N: Net> Net for Fault<N> {
    fn name(&self) -> &str {
        self.net.name()
    }

    fn info(&self) -> Info {
        self.net.info()
    }

    fn poll_receive(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        while self.net.poll_receive(context)?.is_ready() {
            self.net.receive(|frame, meta| {
                self.state.borrow_mut().take_in(frame, meta, &self.faults);
            });
        }
        let state = &mut *self.state.borrow_mut();
        let Some(due) = state.late.first().map(|late| late.due) else { return Poll::Pending };
        if state.timer.as_ref().map(|(at, _)| *at) != Some(due) {
            state.timer = Some((due, sleep_until(due)));
        }
        match &mut state.timer {
            Some((_, timer)) => Pin::new(timer).poll(context).map(Ok),
            None => Poll::Pending,
        }
    }

    fn receive<R>(&self, take: impl FnOnce(&[u8], Meta) -> R) -> Option<R> {
        let late = {
            let mut state = self.state.borrow_mut();
            let due = state.late.first()?.due <= Instant::now();
            due.then(|| state.late.remove(0))?
        };
        Some(take(&late.frame, late.meta))
    }

    fn poll_transmit(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.net.poll_transmit(context)
    }

    fn transmit<R>(&self, length: usize, fill: impl FnOnce(&mut [u8]) -> (R, Meta)) -> Option<R> {
        self.net.transmit(length, fill)
    }

    fn flush(&self) {
        self.net.flush();
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::net::cable::{Options, cable};
    use core::future::poll_fn;
    use kernel::task::block_on;
    use kernel::time::timeout;

    /// The numbers of those of 1000 frames that arrive.
    fn arrivals(faults: Faults, seed: u64) -> Vec<u16> {
        kernel::testing::simulate_time();
        let (left, right) = cable(Options { capacity: 1000, ..Options::default() });
        let right = Fault::new(right, faults, seed);
        for n in 0..1000_u16 {
            left.transmit(16, |frame| {
                frame.fill(0);
                frame[12] = 8;
                frame[14..].copy_from_slice(&n.to_be_bytes());
                ((), Meta::default())
            })
            .unwrap();
        }
        left.flush();
        let mut numbers = Vec::new();
        block_on(async {
            let ready = || poll_fn(|context| right.poll_receive(context));
            while timeout(Duration::from_secs(9), ready()).await.is_ok() {
                let number = |frame: &[u8], _| u16::from_be_bytes([frame[14], frame[15]]);
                numbers.push(right.receive(number).unwrap());
            }
        });
        numbers
    }

    #[test]
    fn without_faults_all_arrive_in_order() {
        assert_eq!(arrivals(Faults::default(), 1), (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn each_fault_does_what_it_is_called() {
        let count = |faults| arrivals(faults, 1).len();
        assert!((850..950).contains(&count(Faults { lose: 100, ..Faults::default() })));
        assert!((1050..1150).contains(&count(Faults { double: 100, ..Faults::default() })));
        let mut shuffled = arrivals(Faults { reorder: 100, ..Faults::default() }, 1);
        assert!(!shuffled.is_sorted());
        shuffled.sort_unstable();
        assert_eq!(shuffled, (0..1000).collect::<Vec<_>>());
        let spoilt = arrivals(Faults { spoil: 100, ..Faults::default() }, 1);
        let wrong = spoilt.iter().zip(0..).filter(|&(a, b)| *a != b).count();
        assert!((50..150).contains(&wrong), "{wrong}");
    }

    #[test]
    fn the_same_seed_makes_the_same_trouble() {
        let delay = (Duration::ZERO, Duration::from_millis(10));
        let faults = Faults { lose: 50, double: 50, reorder: 50, delay, ..Faults::default() };
        assert_eq!(arrivals(faults, 7), arrivals(faults, 7));
        assert_ne!(arrivals(faults, 7), arrivals(faults, 8));
    }
}
