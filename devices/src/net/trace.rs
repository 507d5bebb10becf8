//! Records the frames of an interface in the pcap format, which Wireshark and tcpdump read.
//!
//! # Example
//! ```
//! # mod xenith { pub use kernel::*; pub use xenith_devices::*; }
//!
//! use std::cell::RefCell;
//! use std::rc::Rc;
//! use xenith::net::cable::{Options, cable};
//! use xenith::net::trace::Trace;
//! use xenith::net::{Meta, Net};
//!
//! let (left, _right) = cable(Options::default());
//! let file = Rc::new(RefCell::new(Vec::new()));
//! let sink = file.clone();
//! let net = Trace::new(left, move |bytes: &[u8]| sink.borrow_mut().extend_from_slice(bytes));
//! net.transmit(60, |frame| (frame.fill(7), Meta::default())).unwrap();
//! assert_eq!(file.borrow().len(), 24 + 16 + 60, "the file's head, the record's, the frame");
//! ```

use super::{Broken, Info, Meta, Net};
use core::cell::RefCell;
use core::task::{Context, Poll};

/// The head of a pcap file: magic number for times in ns, version 2.4, no time zone, the
/// longest frame, and that frames are Ethernet's (draft-ietf-opsawg-pcap, section 4).
const HEAD: [u32; 6] = [0xa1b2_3c4d, 0x0004_0002, 0, 0, 0xffff, 1];

/// Wraps a [`Net`] and passes its frames, received and transmitted, to a sink: a function
/// that takes bytes, in whole pcap records. The sink must not use the interface.
#[derive(Debug)]
pub struct Trace<N, S> {
    net: N,
    sink: RefCell<S>,
}

impl<N: Net, S: FnMut(&[u8])> Trace<N, S> {
    /// Writes the file header to `sink`, and then each frame of `net`.
    pub fn new(net: N, mut sink: S) -> Self {
        sink(HEAD.map(u32::to_le_bytes).as_flattened());
        Self { net, sink: RefCell::new(sink) }
    }

    fn record(&self, frame: &[u8]) {
        let now = kernel::time::wall_clock();
        let length = frame.len() as u32;
        let head = [now.as_secs() as u32, now.subsec_nanos(), length, length];
        let mut sink = self.sink.borrow_mut();
        sink(head.map(u32::to_le_bytes).as_flattened());
        sink(frame);
    }
}

impl<N: Net, S: FnMut(&[u8])> Net for Trace<N, S> {
    fn name(&self) -> &str {
        self.net.name()
    }

    fn info(&self) -> Info {
        self.net.info()
    }

    fn poll_receive(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.net.poll_receive(context)
    }

    fn receive<R>(&self, take: impl FnOnce(&[u8], Meta) -> R) -> Option<R> {
        self.net.receive(|frame, meta| {
            self.record(frame);
            take(frame, meta)
        })
    }

    fn poll_transmit(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.net.poll_transmit(context)
    }

    fn transmit<R>(&self, length: usize, fill: impl FnOnce(&mut [u8]) -> (R, Meta)) -> Option<R> {
        self.net.transmit(length, |frame| {
            let result = fill(frame);
            self.record(frame);
            result
        })
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
    use std::vec::Vec;

    #[test]
    fn frames_both_ways_are_records_of_one_file() {
        let (left, right) = cable(Options::default());
        let file = RefCell::new(Vec::new());
        let left = Trace::new(left, |bytes: &[u8]| file.borrow_mut().extend_from_slice(bytes));
        let fill = |byte: u8| move |frame: &mut [u8]| (frame.fill(byte), Meta::default());
        left.transmit(20, fill(1)).unwrap();
        right.transmit(14, fill(2)).unwrap();
        right.flush();
        left.receive(|_, _| ()).unwrap();
        let file = file.borrow();
        assert_eq!(file.len(), 24 + 16 + 20 + 16 + 14);
        assert_eq!(file[..4], [0x4d, 0x3c, 0xb2, 0xa1]);
        assert_eq!((file[24 + 8], file[24 + 12], &file[40..60]), (20, 20, &[1; 20][..]));
        assert_eq!((file[60 + 8], &file[76..]), (14, &[2; 14][..]));
    }
}
