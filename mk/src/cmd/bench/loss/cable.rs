//! The cable emulator: a thread that carries frames between two taps as [`Link`] says.

use super::link::{Counts, Faults, Link};
use super::priority::{Urgency, raise};
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};
use rustix::thread::{gettid, set_current_timer_slack};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tappers::Tap;

/// Frames that are taken from one end before the other has its turn.
const BATCH: usize = 64;
/// The longest frame of a tap.
const LONGEST: usize = 65_536 + 18;
/// How often the thread looks whether it is to end where nothing comes.
const LOOK: Duration = Duration::from_millis(50);
/// Buckets of how late frames leave, each twice as late as the one before.
const BUCKETS: usize = 24;

/// How late frames left, by powers of two of a microsecond: what the emulator adds of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lateness([u64; BUCKETS]);

impl Lateness {
    fn add(&mut self, by: Duration) {
        let bucket = (u128::BITS - by.as_micros().leading_zeros()) as usize;
        self.0[bucket.min(BUCKETS - 1)] += 1;
    }

    /// Adds what another cable has seen.
    pub(super) fn extend(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, more)| *sum += more);
    }

    /// In what time `share` percent of the frames had left, in microseconds; 0 of no frames.
    pub(super) fn within(&self, share: u64) -> u64 {
        let (all, mut sum) = (self.0.iter().sum::<u64>(), 0);
        for (bucket, count) in self.0.iter().enumerate() {
            sum += count;
            if all > 0 && sum * 100 >= all * share {
                return 1 << bucket;
            }
        }
        0
    }
}

/// What both sides of the thread look at.
#[derive(Default)]
struct Shared {
    over: AtomicBool,
    /// New ones, until the thread has taken them.
    faults: Mutex<Option<Faults>>,
    /// Bytes that the end `b` has acknowledged of a connection.
    acknowledged: AtomicU64,
}

/// What a cable did.
pub(super) struct Did {
    /// Of both directions, from `a` first.
    pub(super) counts: [Counts; 2],
    pub(super) lateness: Lateness,
    /// Frames that an end did not take.
    pub(super) refused: u64,
}

/// A cable, which is pulled out when this is dropped.
pub(super) struct Cable {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<Did>>>,
}

impl Cable {
    /// Plugs it in. Both directions have the same faults, at other frames.
    pub(super) fn new(mut ends: [Tap; 2], faults: Faults, seed: u64) -> Result<Self> {
        for end in &mut ends {
            end.set_nonblocking(true).context("cannot use a tap")?;
        }
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        let thread = thread::spawn(move || carry(&ends, faults, seed, &its));
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Does something else to what comes from now on.
    pub(super) fn set(&self, faults: Faults) {
        *self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner) = Some(faults);
        // Until the thread has seen it.
        thread::sleep(LOOK * 2);
    }

    /// Bytes of TCP that the end `b` has acknowledged, where there was one connection.
    pub(super) fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Pulls it out: what it did.
    pub(super) fn end(mut self) -> Result<Did> {
        self.shared.over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("no cable")?;
        thread.join().map_err(|_| anyhow::anyhow!("the cable's thread panicked"))?
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its error is that of a bench which has ended with another.
            let _ = thread.join();
        }
    }
}

/// Carries frames until it is to end.
fn carry(ends: &[Tap; 2], faults: Faults, seed: u64, shared: &Shared) -> Result<Did> {
    // Exactness on a busy machine: both may fail, since a user may not go before others.
    let _ = set_current_timer_slack(NonZeroU64::new(1));
    raise(gettid(), Urgency::Cable);
    let mut links = [seed, !seed].map(|seed| Link::new(faults, seed));
    let (begun, mut lateness, mut refused) = (Instant::now(), Lateness::default(), 0);
    let (mut acknowledged, mut buffer) = (Acknowledged::default(), vec![0; LONGEST]);
    while !shared.over.load(Ordering::Relaxed) {
        let new = shared.faults.lock().unwrap_or_else(PoisonError::into_inner).take();
        for (way, link) in links.iter_mut().enumerate() {
            if let Some(new) = new {
                link.set(new);
            }
            let now = begun.elapsed();
            while let Some((due, frame)) = link.arrived(now) {
                lateness.add(now.saturating_sub(due));
                match write(&ends[1 - way], &frame) {
                    Ok(_) => {}
                    // That end is down, or does not take what was corrupted.
                    Err(Errno::IO | Errno::INVAL | Errno::NOBUFS | Errno::NOMEM | Errno::AGAIN) => {
                        refused += 1;
                    }
                    Err(error) => return Err(error).context("the cable cannot send"),
                }
            }
            for _ in 0..BATCH {
                match read(&ends[way], buffer.as_mut_slice()) {
                    Ok(length) => {
                        let frame = &buffer[..length];
                        if way == 1 {
                            shared.acknowledged.store(acknowledged.see(frame), Ordering::Relaxed);
                        }
                        link.offer(begun.elapsed(), frame);
                    }
                    // EIO: that end is not up yet.
                    Err(Errno::AGAIN | Errno::IO | Errno::INTR) => break,
                    Err(error) => return Err(error).context("the cable cannot receive"),
                }
            }
        }
        let next = links.iter().filter_map(Link::due).min();
        let wait = next.map_or(LOOK, |due| due.saturating_sub(begun.elapsed()).min(LOOK));
        let mut both = ends.each_ref().map(|end| PollFd::new(end, PollFlags::IN));
        match poll(&mut both, Timespec::try_from(wait).ok().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("the cable cannot wait"),
        }
    }
    Ok(Did { counts: links.map(|link| link.counts()), lateness, refused })
}

/// How far a connection is, by its acknowledgement numbers.
#[derive(Default)]
struct Acknowledged {
    last: Option<u32>,
    bytes: u64,
}

impl Acknowledged {
    /// Sees a frame: bytes that are acknowledged by now.
    fn see(&mut self, frame: &[u8]) -> u64 {
        if let Some(number) = number(frame) {
            let last = *self.last.get_or_insert(number);
            let more = number.wrapping_sub(last);
            // Forward, and not an old one.
            if more < 1 << 31 {
                self.bytes += u64::from(more);
                self.last = Some(number);
            }
        }
        self.bytes
    }
}

/// The acknowledgement number of TCP over IPv4 (RFC 791, 3.1; RFC 9293, 3.1).
fn number(frame: &[u8]) -> Option<u32> {
    let packet = frame.get(14..).filter(|_| frame.get(12..14) == Some(&[0x08, 0x00]))?;
    let tcp = packet.get(usize::from(packet.first()? & 15) * 4..)?;
    let acknowledges = *packet.get(9)? == 6 && tcp.get(13)? & 0x10 != 0;
    let number = tcp.get(8..12)?.try_into().ok()?;
    acknowledges.then_some(u32::from_be_bytes(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(number: u32, flags: u8) -> Vec<u8> {
        let mut frame = vec![0; 54];
        frame[12] = 8;
        (frame[14], frame[23], frame[47]) = (0x45, 6, flags);
        frame[42..46].copy_from_slice(&number.to_be_bytes());
        frame
    }

    #[test]
    fn acknowledgements_are_summed_up_across_the_wrap() {
        let mut seen = Acknowledged::default();
        for (number, flags, bytes) in [
            (u32::MAX - 9, 0x12, 0),
            (u32::MAX, 0x10, 9),
            (90, 0x10, 100),
            // An old one, and one that acknowledges nothing.
            (5, 0x10, 100),
            (5000, 0x02, 100),
            (91, 0x18, 101),
        ] {
            assert_eq!(seen.see(&segment(number, flags)), bytes, "{number}");
        }
        assert_eq!(number(&segment(7, 0x10)), Some(7));
        for cut in 0..54 {
            // No length of a frame is too short.
            let _ = number(&segment(7, 0x10)[..cut]);
        }
        assert_eq!(number(&[0; 60]), None);
    }

    #[test]
    fn lateness_is_known_to_a_power_of_two() {
        let mut late = Lateness::default();
        assert_eq!(late.within(99), 0);
        for _ in 0..99 {
            late.add(Duration::from_micros(100));
        }
        late.add(Duration::from_secs(3600));
        assert_eq!((late.within(50), late.within(99)), (128, 128));
        assert_eq!(late.within(100), 1 << (BUCKETS - 1));
        let mut sum = Lateness::default();
        sum.extend(&late);
        assert_eq!(sum.within(99), 128);
    }
}
