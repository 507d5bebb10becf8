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

/// A connection that another protocol has taken over: bytes each way, by
/// [`Exchange::upgrade`](super::Exchange::upgrade). Also references to it read and write, so
/// that both can go on side by side.
///
/// How long reading waits is the protocol's affair. For writing, the peer has the patience
/// that [`Limits`](super::Limits) have for a response.
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

    /// Does nothing: every write is sent as soon as the peer takes it.
    async fn flush(&mut self) -> Result<(), Error> {
        Ok(())
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
        Ok(())
    }
}
