//! Reads and writes the console: a stream of bytes each way, which goes to `xl console` and
//! xenconsoled on Xen and to the terminal on Linux.
//!
//! A program takes `impl embedded_io_async::Write`, `Read` or both.
//!
//! # Example
//! ```
//! # mod xenith { pub use kernel::*; pub use xenith_devices::*; }
//!
//! use embedded_io_async::Write;
//! use xenith::task::block_on;
//!
//! /// Greets on anything that takes bytes, so that a test can read what was written.
//! async fn start<C: Write>(mut console: C, name: &str) -> Result<(), C::Error> {
//!     console.write_all(b"Hello, ").await?;
//!     console.write_all(name.as_bytes()).await?;
//!     console.write_all(b"!\n").await
//! }
//!
//! let mut console = [0; 64];
//! block_on(start(&mut console[..], "Xen")).unwrap();
//! assert!(console.starts_with(b"Hello, Xen!\n"));
//! ```

use core::future::poll_fn;
use core::task::Poll;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use kernel::Device;
use kernel::args::{self, Args};
use kernel::device::Class;
use kernel::machine::console;

/// The console of this machine.
///
/// A write waits while the ring is full, so nothing is lost. On Xen a line feed is sent as
/// carriage return and line feed. There is one console and any number of handles to it;
/// writes of up to 2048 bytes, the size of the ring, do not interleave.
#[derive(Debug)]
pub struct Console(());

/// Reports that the domain has no console, or that its back end broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error;

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the console cannot be used")
    }
}

impl core::error::Error for Error {}

impl embedded_io_async::Error for Error {
    fn kind(&self) -> ErrorKind {
        ErrorKind::BrokenPipe
    }
}

impl Device for Console {
    const CLASS: Class = Class { name: "console", xl: None };

    type Settings = ();

    type Error = Error;

    fn configure(_: &mut Args) -> Result<(), args::Error> {
        Ok(())
    }

    /// # Errors
    /// [`Error`] for any `id` but the empty one: a domain has one console.
    async fn open(id: &'static str, (): ()) -> Result<Self, Error> {
        if id.is_empty() { Ok(Self(())) } else { Err(Error) }
    }
}

impl ErrorType for Console {
    type Error = Error;
}

impl Write for Console {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        poll_fn(|context| match console::write(bytes) {
            Ok(0) if !bytes.is_empty() => {
                console::wait(context.waker());
                Poll::Pending
            }
            Ok(count) => Poll::Ready(Ok(count)),
            Err(_) => Poll::Ready(Err(Error)),
        })
        .await
    }

    /// Returns at once: each write notifies the other side by itself.
    async fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl Read for Console {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        poll_fn(|context| match console::read(to) {
            Ok(Some(count)) => Poll::Ready(Ok(count)),
            Ok(None) => {
                console::wait(context.waker());
                Poll::Pending
            }
            Err(_) => Poll::Ready(Err(Error)),
        })
        .await
    }
}
