//! The console ring: the byte streams that every domain has, before any device.
//!
//! A domain's console is a page shared with the console daemon. It belongs to
//! the kernel because last words go there as well; `devices::Console` is the
//! app's handle to it. Line feed goes out as carriage return and line feed, as
//! from a terminal driver with ONLCR: `xl console` puts the user's terminal
//! into raw mode and leaves that to the guest.

use super::clock::monotonic;
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
    /// The port, once events work; they do not while the machine boots.
    events: Option<Port>,
    out: Producer,
    input: Consumer,
}

static CONSOLE: Mutex<Option<Console>> = Mutex::new(None);

/// Bytes of the kernel's own lines that the ring had no room for.
static DROPPED: AtomicU32 = AtomicU32::new(0);

/// How long last words wait for a daemon that does not read: as many tries.
const PATIENCE: u32 = 100;

/// How long each of them waits, in ns.
const TRY: u64 = 10_000_000;

/// Takes the console that the domain builder made. Without one, or when its
/// indices make no sense, the domain has no console.
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
    // There was none before; dropping that would be code for nothing.
    core::mem::forget(core::mem::replace(&mut *CONSOLE.lock(), console));
}

/// Lets the console's events wake tasks.
pub(super) fn open_events() {
    if let Some(console) = CONSOLE.lock().as_mut() {
        // There was none before; dropping that would be code for nothing.
        core::mem::forget(core::mem::replace(&mut console.events, Port::adopt(console.port)));
    }
}

impl Console {
    /// Writes some of `bytes` and returns how many of them.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let mut done = 0;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let took = self.out.write(&self.page, text)?;
            done += took;
            if took < text.len() {
                break;
            }
            if text.len() < line.len() {
                if self.out.room(&self.page)? < 2 {
                    break;
                }
                self.out.write(&self.page, b"\r\n")?;
                done += 1;
            }
        }
        if done > 0 {
            // The other end can only be gone together with the daemon.
            let _ = event_channel_op_send(self.port);
        }
        Ok(done)
    }
}

/// Writes some of `bytes` and returns how many; 0 means that there is no room
/// now: [`wait`] until there may be.
///
/// # Errors
/// [`Broken`] when there is no console or the daemon broke the ring.
pub fn write(bytes: &[u8]) -> Result<usize, Broken> {
    CONSOLE.lock().as_mut().ok_or(Broken)?.write(bytes)
}

/// Reads what there is. `None` means that nothing came yet: [`wait`] until
/// something may have. A console has no end of input.
///
/// # Errors
/// [`Broken`] when there is no console or the daemon broke the ring.
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

/// Wakes `waker` when the daemon did something: read or wrote.
pub fn wait(waker: &Waker) {
    if let Some(port) = CONSOLE.lock().as_ref().and_then(|console| console.events.as_ref()) {
        port.wait(waker);
    }
}

/// Bytes of the kernel's own lines that the ring had no room for.
pub(crate) fn dropped() -> u32 {
    DROPPED.load(Ordering::Relaxed)
}

/// Waits until the daemon took everything, for a second at most: what is still
/// in the ring when the domain is destroyed is lost.
pub(super) fn drain() {
    let Some(mut console) = CONSOLE.try_lock() else { return };
    let Some(console) = console.as_mut() else { return };
    for _ in 0..PATIENCE {
        // The event is taken before the look, so what comes after it counts.
        evtchn::clear(console.port);
        match console.out.room(&console.page) {
            Ok(_) if console.out.pending() > 0 => {
                let _ = sched_op_poll(&mut [console.port], monotonic().saturating_add(TRY));
            }
            _ => return,
        }
    }
}

/// A sink for the kernel's own lines. What goes wrong with it is dealt with
/// here, so it never fails.
pub(crate) enum Sink {
    /// Drops and counts what there is no room for (rule K2).
    Lossy,
    /// For last words: waits a while for room, and turns to the hypervisor's
    /// own console when the ring cannot be used or is held by who panicked.
    Patient,
}

impl fmt::Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        for _ in 0..PATIENCE {
            let written = match CONSOLE.try_lock() {
                Some(mut console) => console.as_mut().ok_or(Broken).and_then(|it| it.write(rest)),
                None => Err(Broken),
            };
            let Ok(count) = written else {
                emergency(rest);
                return Ok(());
            };
            rest = rest.get(count..).unwrap_or_default();
            if rest.is_empty() || matches!(self, Self::Lossy) {
                break;
            }
            drain();
        }
        DROPPED.fetch_add(u32::try_from(rest.len()).unwrap_or(u32::MAX), Ordering::Relaxed);
        Ok(())
    }
}

/// Prints last words where nothing else can: on the hypervisor's own console.
pub(super) fn emergency(text: &[u8]) {
    // There is nobody left to tell if this fails as well.
    let _ = console_io_write(text);
}
