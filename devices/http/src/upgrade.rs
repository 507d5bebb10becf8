//! A connection that another protocol has taken over.

use super::Error;
use super::body::Body;
use super::pace::Pace;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use embedded_io_async::{ErrorType, Read, Write};

/// Reads and writes the bytes of a connection that another protocol has taken over, by
/// [`Exchange::upgrade`](super::Exchange::upgrade). References to it read and write as well, so
/// that both can go on side by side.
///
/// A read waits for as long as it takes: set a time limit. Flush before you wait for something other
/// than a read, as TLS may hold a part of what was written back until then. A write fails when the client is slower
/// than [`Limits::response`](super::Limits::response) allows.
pub struct Upgraded<'e, 'a> {
    body: RefCell<&'e mut Body<'a>>,
    pace: Cell<Pace>,
}

impl<'e, 'a> Upgraded<'e, 'a> {
    pub(super) const fn new(body: &'e mut Body<'a>, pace: Pace) -> Self {
        Self { body: RefCell::new(body), pace: Cell::new(pace) }
    }
}

impl fmt::Debug for Upgraded<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded").finish_non_exhaustive()
    }
}

impl ErrorType for Upgraded<'_, '_> {
    type Error = Error;
}

impl ErrorType for &Upgraded<'_, '_> {
    type Error = Error;
}

impl Read for &Upgraded<'_, '_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let read = poll_fn(|context| {
            let mut body = self.body.borrow_mut();
            match body.early(buf) {
                0 if !buf.is_empty() => body.link.poll_read(context, buf),
                count => Poll::Ready(Ok(count)),
            }
        });
        Ok(read.await?)
    }
}

impl Write for &Upgraded<'_, '_> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Error> {
        let mut pace = self.pace.get();
        let step = poll_fn(|context| self.body.borrow_mut().link.poll_write(context, buf));
        let written = pace.wait(pin!(step)).await;
        self.pace.set(pace);
        Ok(written.unwrap_or(Err(ip::Error::TimedOut))?)
    }

    /// Waits until no layer beneath holds anything back.
    async fn flush(&mut self) -> Result<(), Error> {
        let mut pace = self.pace.get();
        let step =
            poll_fn(|context| self.body.borrow_mut().link.poll_flush(context).map_ok(|()| 0));
        let flushed = pace.wait(pin!(step)).await;
        self.pace.set(pace);
        Ok(flushed.unwrap_or(Err(ip::Error::TimedOut)).map(drop)?)
    }
}

impl Read for Upgraded<'_, '_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        (&*self).read(buf).await
    }
}

impl Write for Upgraded<'_, '_> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Error> {
        (&*self).write(buf).await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        (&*self).flush().await
    }
}
