//! Standard input and output as the machine's console.

use super::poll_stdin;
use core::fmt;
use core::task::Waker;
use rustix::event::Timespec;
use std::cell::RefCell;
use std::io::{self, Write};

thread_local! {
    /// Those who wait for input.
    static WAITING: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// Waits for `timeout`, or until there is input if someone waits for that.
pub(super) fn look(timeout: Option<&Timespec>) {
    let waiting = WAITING.with_borrow(|waiting| !waiting.is_empty());
    if poll_stdin(waiting, timeout) {
        WAITING.take().into_iter().for_each(Waker::wake);
    }
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

/// Reads what there is. `None` means that nothing came yet; `Some(0)` is the
/// end of the input.
///
/// # Errors
/// [`Broken`] when standard input failed.
pub fn read(to: &mut [u8]) -> Result<Option<usize>, Broken> {
    if !poll_stdin(true, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        return Ok(None);
    }
    rustix::io::read(rustix::stdio::stdin(), to).map(Some).map_err(|_| Broken)
}

/// Wakes `waker` when there may be input.
pub fn wait(waker: &Waker) {
    WAITING.with_borrow_mut(|waiting| {
        if !waiting.iter().any(|other| other.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    });
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
