//! Standard input and output as the machine's console.

use super::watch::{Interest, Watched};
use core::fmt;
use core::task::Waker;
use rustix::stdio::stdin;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;

thread_local! {
    static INPUT: Watched<BorrowedFd<'static>> = Watched::new(stdin());
}

/// The console is not usable any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard input or output failed")
    }
}

impl core::error::Error for Broken {}

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
    // Whoever shares it may not want it to be non-blocking.
    if !INPUT.with(|input| input.is_ready(Interest::Read)) {
        return Ok(None);
    }
    rustix::io::read(stdin(), to).map(Some).map_err(|_| Broken)
}

/// Wakes `waker` when there may be input.
pub fn wait(waker: &Waker) {
    INPUT.with(|input| input.wait(Interest::Read, waker));
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
