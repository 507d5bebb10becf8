//! Transfers bytes to and from the console, by the ring that every domain shares with the console
//! daemon (`public/io/console.h`).
//!
//! It is in the kernel because reports of crashes are printed on it; `devices::Console` is the
//! app's handle. Line feed is written as carriage return and line feed, as by a terminal driver
//! with ONLCR, because `xl console` sets the user's terminal to raw mode.

use super::clock::{monotonic, system};
use ::xen::evtchn::{self, Port, PortNumber};
use ::xen::hypercall::{console_io_write, event_channel_op_send, sched_op_poll};
use ::xen::memory::SharedPage;
use ::xen::public::io::console::{IN, OUT};
pub use ::xen::ring::Broken;
use ::xen::ring::{Consumer, Producer};
use ::xen::start::Channel;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Waker;
use spin::Mutex;

struct Console {
    page: SharedPage,
    port: PortNumber,
    /// The port, once boot has set up events.
    events: Option<Port>,
    out: Producer,
    input: Consumer,
}

static CONSOLE: Mutex<Option<Console>> = Mutex::new(None);

/// Number of bytes of the kernel's own lines that were dropped because the ring was full.
static DROPPED: AtomicU32 = AtomicU32::new(0);

/// Number of waits for a daemon that does not read, before a report is dropped.
const TRIES: u32 = 100;

/// Length of each wait in ns.
const WAIT: u64 = 10_000_000;

/// Opens the console that the domain builder made. If there is none, or its indices are
/// impossible, the domain has no console.
pub(super) fn open(channel: Channel, page: Option<SharedPage>) {
    let console = page.and_then(|page| {
        Some(Console {
            port: channel.port,
            events: None,
            out: Producer::new(&page, OUT).ok()?,
            input: Consumer::new(&page, IN).ok()?,
            page,
        })
    });
    // There was none before: forgetting it leaves the code to drop one out of the image.
    core::mem::forget(core::mem::replace(&mut *CONSOLE.lock(), console));
}

/// Opens the console's port, so that its events wake tasks.
pub(super) fn open_events() {
    if let Some(console) = CONSOLE.lock().as_mut() {
        // There was none before: forgetting it leaves the code to drop one out of the image.
        core::mem::forget(core::mem::replace(&mut console.events, Port::adopt(console.port)));
    }
}

/// Goes on in a new domain, with the same ring and another port.
pub(super) fn reattach(port: PortNumber) {
    if let Some(console) = CONSOLE.lock().as_mut() {
        console.port = port;
        console.events = Port::adopt(port);
    }
}

impl Console {
    /// Writes as many of `bytes` as there is room for, and returns how many. The daemon is not
    /// told of what `more` follows at once.
    fn write(&mut self, bytes: &[u8], more: bool) -> Result<usize, Broken> {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            if rest[0] == b'\n' {
                if self.out.room(&self.page)? < 2 {
                    break;
                }
                self.out.write(&self.page, b"\r\n")?;
                done += 1;
                continue;
            }
            let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            let took = self.out.write(&self.page, &rest[..length])?;
            done += took;
            if took < length {
                break;
            }
        }
        if !more || done < bytes.len() {
            // Without a daemon there is nobody to notify.
            let _ = event_channel_op_send(self.port);
        }
        Ok(done)
    }
}

/// Writes as many of `bytes` as there is room for, and returns how many. 0 means that there is no
/// room now: [`wait`], and try again.
///
/// # Errors
/// [`Broken`] if there is no console, or the daemon broke the ring.
pub fn write(bytes: &[u8]) -> Result<usize, Broken> {
    CONSOLE.lock().as_mut().ok_or(Broken)?.write(bytes, false)
}

/// Reads input that has arrived, and returns the number of bytes. `None` means that there is none
/// now: [`wait`], and try again. The input has no end.
///
/// # Errors
/// [`Broken`] if there is no console, or the daemon broke the ring.
pub fn read(to: &mut [u8]) -> Result<Option<usize>, Broken> {
    let mut console = CONSOLE.lock();
    let console = console.as_mut().ok_or(Broken)?;
    let count = console.input.read(&console.page, to)?;
    if count == 0 && !to.is_empty() {
        return Ok(None);
    }
    // The daemon may wait for room.
    let _ = event_channel_op_send(console.port);
    Ok(Some(count))
}

/// Wakes `waker` once, when the daemon has read output or written input.
pub fn wait(waker: &Waker) {
    if let Some(port) = CONSOLE.lock().as_ref().and_then(|console| console.events.as_ref()) {
        port.wait(waker);
    }
}

/// Returns the number of bytes of the kernel's own lines that were dropped because the ring was
/// full.
pub(crate) fn dropped() -> u32 {
    DROPPED.load(Ordering::Relaxed)
}

/// Waits until the daemon has read all output, for a second at most: what is in the ring when the
/// domain is destroyed is lost.
pub(super) fn drain() {
    let Some(mut console) = CONSOLE.try_lock() else { return };
    let Some(console) = console.as_mut() else { return };
    for _ in 0..TRIES {
        // Cleared before the look, so that an event after the look ends the wait.
        evtchn::clear(console.port);
        match console.out.room(&console.page) {
            Ok(_) if console.out.pending() > 0 => {
                let deadline = system(monotonic().saturating_add(WAIT));
                let _ = sched_op_poll(&mut [console.port], deadline);
            }
            _ => return,
        }
    }
}

/// Writes the kernel's own lines. Never fails.
pub(crate) enum Sink {
    /// Drops what there is no room for, and counts it (rule K2).
    Lossy,
    /// For reports: waits for room, for up to 100 s, and uses the hypervisor's console if the
    /// ring is broken or locked by the code that panicked.
    Patient,
}

impl fmt::Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        for _ in 0..TRIES {
            let written = match CONSOLE.try_lock() {
                Some(mut console) => console.as_mut().ok_or(Broken).and_then(|it| {
                    // A line is formatted in pieces, of which the last one ends it.
                    it.write(rest, rest.last() != Some(&b'\n'))
                }),
                None => Err(Broken),
            };
            let Ok(count) = written else {
                write_to_hypervisor(rest);
                return Ok(());
            };
            rest = rest.get(count..).unwrap_or_default();
            if rest.is_empty() || matches!(self, Self::Lossy) {
                break;
            }
            drain();
        }
        DROPPED.fetch_add(rest.len() as u32, Ordering::Relaxed);
        Ok(())
    }
}

/// Prints on the hypervisor's own console, if Xen allows that.
pub(super) fn write_to_hypervisor(text: &[u8]) {
    // If this fails too, there is nothing left to try.
    let _ = console_io_write(text);
}
