//! Standard input and output as the machine's console.

use core::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether someone waits for input.
static WAITING: AtomicBool = AtomicBool::new(false);

/// Whether someone waits for input; forgets it.
pub(super) fn take_waiting() -> bool {
    WAITING.swap(false, Ordering::Relaxed)
}

/// The console is not usable any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard input or output failed")
    }
}

/// Writes some of `bytes` and returns how many; 0 means that there is no room now.
///
/// # Errors
/// [`Broken`] when standard output failed, such as a closed pipe.
pub fn write(bytes: &[u8]) -> Result<usize, Broken> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|_| Broken)?;
    Ok(bytes.len())
}

/// Reads what there is. `None` means that nothing came yet: the machine's next
/// wait ends when something does. `Some(0)` is the end of the input.
///
/// # Errors
/// [`Broken`] when standard input failed.
pub fn read(to: &mut [u8]) -> Result<Option<usize>, Broken> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdin = rustix::stdio::stdin();
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&now)) {
        Ok(1..) => rustix::io::read(stdin, to).map(Some).map_err(|_| Broken),
        _ => {
            WAITING.store(true, Ordering::Relaxed);
            Ok(None)
        }
    }
}

/// A sink for the kernel's own lines.
pub(crate) enum Sink {
    /// The one that there is.
    Lossy,
}

impl fmt::Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // A closed standard output must not end the app.
        let _ = write(text.as_bytes());
        Ok(())
    }
}
