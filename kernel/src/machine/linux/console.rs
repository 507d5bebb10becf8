//! Transfers bytes to and from the console: standard input and output.

use super::watch::{Interest, Watched};
use core::fmt;
use core::task::Waker;
use rustix::stdio::stdin;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;

thread_local! {
    static INPUT: Watched<BorrowedFd<'static>> = Watched::new(stdin());
}

/// Reports that the console can no longer be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard input or output failed")
    }
}

impl core::error::Error for Broken {}

/// Writes `bytes` to standard output, and returns how many were written: here, all.
///
/// # Errors
/// [`Broken`] if standard output fails, as a closed pipe does.
pub fn write(bytes: &[u8]) -> Result<usize, Broken> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|_| Broken)?;
    Ok(bytes.len())
}

/// Reads input that has arrived, and returns the number of bytes. `None` means that there is none
/// now: [`wait`], and try again. `Some(0)` is the end of the input.
///
/// # Errors
/// [`Broken`] if standard input fails.
pub fn read(to: &mut [u8]) -> Result<Option<usize>, Broken> {
    // Not O_NONBLOCK, which would affect all processes that share standard input.
    if !INPUT.with(|input| input.is_ready(Interest::Read)) {
        return Ok(None);
    }
    rustix::io::read(stdin(), to).map(Some).map_err(|_| Broken)
}

/// Wakes `waker` once, when there is input.
pub fn wait(waker: &Waker) {
    INPUT.with(|input| input.wait(Interest::Read, waker));
}

/// Writes the kernel's own lines. Never fails.
pub(crate) enum Sink {
    /// Drops what cannot be written.
    Lossy,
}

impl fmt::Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // A closed standard output does not end the app.
        let _ = write(text.as_bytes());
        Ok(())
    }
}
