//! Frames that arrived at an image of the machine when another one had taken over, and those that
//! arrive at that before it is ready for them.

use alloc::vec::Vec;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use devices::net::{Checksum, Meta, Net};
use kernel::time::Instant;

/// Frames that are taken at once.
const FRAMES: usize = 1024;

/// Bytes of frames that are kept for listeners.
const EARLY: usize = 16 << 10;

/// Time for which such frames are kept after this image took over. Clients that were not answered until
/// then are refused when they ask again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Frames that ask for connections before the app listens, whose former image did: what it reads from a
/// disk first is no reason to refuse them.
#[derive(Debug)]
pub(super) struct Early {
    until: Instant,
    frames: Vec<u8>,
    /// There is another listener since they were last taken.
    is_heard: bool,
}

impl Early {
    pub(super) fn new(now: Instant) -> Self {
        Self { until: now.saturating_add(PATIENCE), frames: Vec::new(), is_heard: false }
    }

    /// Keeps a frame, if it is not too late and there is room. Whether it does.
    pub(super) fn keep(&mut self, frame: &[u8], now: Instant) -> bool {
        let fits = self.frames.len() + frame.len() <= EARLY;
        if now >= self.until || !fits || self.frames.try_reserve(6 + frame.len()).is_err() {
            return false;
        }
        // Its checksum was looked at.
        push(&mut self.frames, frame, 1, 0);
        true
    }

    /// There is another listener.
    pub(super) const fn hear(&mut self) {
        self.is_heard = true;
    }

    /// Takes what was kept, to be received again, if somebody may want it now.
    pub(super) fn take(&mut self) -> Vec<u8> {
        if core::mem::take(&mut self.is_heard) {
            core::mem::take(&mut self.frames)
        } else {
            Vec::new()
        }
    }
}

/// Appends a frame, for which there is room.
fn push(all: &mut Vec<u8>, frame: &[u8], blank: u16, segment: u16) {
    let length = frame.len().min(0xffff);
    for number in [length as u16, blank, segment] {
        all.extend_from_slice(&number.to_le_bytes());
    }
    all.extend_from_slice(frame.get(..length).unwrap_or_default());
}

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
            push(&mut all, frame, blank, meta.segment);
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
