//! Frames that arrived at an image of the machine when another one had taken over.

use alloc::vec::Vec;
use core::task::{Context, Poll, Waker};
use devices::net::{Checksum, Meta, Net};

/// Frames that are taken at once.
const FRAMES: usize = 1024;

/// Takes all frames that have arrived: length, whether the checksum is blank and the size of its
/// segments, of 16 bits each, and the bytes.
pub(super) fn frames<N: Net>(net: &N) -> Vec<u8> {
    let mut all = Vec::new();
    for _ in 0..FRAMES {
        let ready = net.poll_receive(&mut Context::from_waker(Waker::noop()));
        if !matches!(ready, Poll::Ready(Ok(()))) {
            break;
        }
        net.receive(|frame, meta| {
            if all.try_reserve(6 + frame.len()).is_err() {
                return;
            }
            let blank = u16::from(meta.checksum == Checksum::Blank);
            let length = frame.len().min(0xffff);
            for number in [length as u16, blank, meta.segment] {
                all.extend_from_slice(&number.to_le_bytes());
            }
            all.extend_from_slice(frame.get(..length).unwrap_or_default());
        });
    }
    net.flush();
    all
}

/// Takes the first of the frames that [`frames`] wrote.
pub(super) fn first_frame(all: &[u8]) -> Option<(&[u8], Meta, &[u8])> {
    let (head, rest) = all.split_first_chunk::<6>()?;
    let [a, b, c, d, e, f] = *head;
    let [length, blank, segment] = [[a, b], [c, d], [e, f]].map(u16::from_le_bytes);
    let (frame, rest) = rest.split_at_checked(length.into())?;
    // What is not known to be complete is verified.
    let checksum = if blank == 1 { Checksum::Blank } else { Checksum::default() };
    Some((frame, Meta::new(checksum, segment), rest))
}
