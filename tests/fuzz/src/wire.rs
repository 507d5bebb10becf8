//! Two ends of a connection in memory, with somebody between them who carries what they say.

use embedded_io_async::{ErrorType, Read, Write};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use xenith::ip::{Error, Progress, Stream, TcpOptions};

/// Bytes that may be on their way.
const ROOM: usize = 20_000;

/// One way of one half of a connection: what was said, and not yet heard.
#[derive(Debug, Default)]
pub struct Way(RefCell<Queue>);

#[derive(Debug, Default)]
struct Queue {
    bytes: VecDeque<u8>,
    ended: bool,
    /// Who waits for bytes, and who for room.
    wakers: Vec<Waker>,
}

impl Way {
    fn change<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queue = self.0.borrow_mut();
        let result = change(&mut queue);
        let wakers = std::mem::take(&mut queue.wakers);
        drop(queue);
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// Says `bytes`, however many there are.
    pub fn say(&self, bytes: &[u8]) {
        self.change(|queue| queue.bytes.extend(bytes));
    }

    /// Says nothing more.
    pub fn end(&self) {
        self.change(|queue| queue.ended = true);
    }

    /// All that was said.
    pub fn take(&self) -> Vec<u8> {
        match self.state().1 {
            0 => Vec::new(),
            _ => self.change(|queue| queue.bytes.drain(..).collect()),
        }
    }

    /// Whether nothing more is to come.
    pub fn is_over(&self) -> bool {
        let queue = self.0.borrow();
        queue.ended && queue.bytes.is_empty()
    }

    /// Whether it has ended, and how many bytes are on their way.
    fn state(&self) -> (bool, usize) {
        let queue = self.0.borrow();
        (queue.ended, queue.bytes.len())
    }

    fn peek(&self, to: &mut [u8]) -> Option<usize> {
        let queue = self.0.borrow();
        let count = queue.bytes.len().min(to.len());
        to.iter_mut().zip(&queue.bytes).for_each(|(to, byte)| *to = *byte);
        (count > 0 || queue.ended).then_some(count)
    }

    fn poll(&self, context: &Context<'_>, ready: impl FnOnce(&Queue) -> bool) -> Poll<()> {
        let mut queue = self.0.borrow_mut();
        if ready(&queue) {
            return Poll::Ready(());
        }
        queue.wakers.push(context.waker().clone());
        Poll::Pending
    }
}

/// One end, which ends its half when it is dropped.
#[derive(Debug, Default)]
pub struct End {
    /// What it hears.
    pub hears: Rc<Way>,
    /// What it says.
    pub says: Rc<Way>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.says.end();
    }
}

/// One half of an end.
#[derive(Debug)]
pub struct Half<'s>(&'s End);

impl ErrorType for End {
    type Error = Error;
}
impl ErrorType for Half<'_> {
    type Error = Error;
}

impl Read for Half<'_> {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        loop {
            poll_fn(|context| self.0.poll_readable(context)).await?;
            if let Some(count) = self.0.try_read(to)? {
                return Ok(count);
            }
        }
    }
}

impl Write for Half<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        loop {
            poll_fn(|context| self.0.poll_writable(context)).await?;
            if let Some(count) = self.0.try_write(bytes)? {
                return Ok(count);
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl Read for End {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        Half(self).read(to).await
    }
}

impl Write for End {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        Half(self).write(bytes).await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl Stream for End {
    type Reader<'s> = Half<'s>;
    type Writer<'s> = Half<'s>;

    fn split(&mut self) -> (Half<'_>, Half<'_>) {
        (Half(self), Half(self))
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, Error>> {
        self.poll_readable(context)?.map(|()| self.try_read(buf).map(Option::unwrap_or_default))
    }

    fn poll_write(&mut self, context: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>> {
        self.poll_writable(context)?.map(|()| self.try_write(buf).map(Option::unwrap_or_default))
    }

    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.hears.poll(context, |queue| queue.ended || !queue.bytes.is_empty()).map(Ok)
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.says.poll(context, |queue| queue.ended || queue.bytes.len() < ROOM).map(Ok)
    }

    fn try_read(&self, buf: &mut [u8]) -> Result<Option<usize>, Error> {
        let count = self.hears.peek(buf);
        // Nobody is woken, or this end itself again and again, where nothing has changed.
        if let Some(count @ 1..) = count {
            self.hears.change(|queue| queue.bytes.drain(..count).for_each(drop));
        }
        Ok(count)
    }

    fn try_peek(&self, buf: &mut [u8]) -> Result<Option<usize>, Error> {
        Ok(self.hears.peek(buf))
    }

    fn try_write(&self, buf: &[u8]) -> Result<Option<usize>, Error> {
        let (ended, held) = self.says.state();
        let count = buf.len().min(ROOM.saturating_sub(held));
        if ended {
            return Err(Error::Closed);
        }
        if count > 0 {
            self.says.say(&buf[..count]);
        }
        Ok((count > 0 || buf.is_empty()).then_some(count))
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }

    fn options(&self) -> TcpOptions {
        TcpOptions::default()
    }

    fn set_options(&self, _: TcpOptions) -> Result<(), Error> {
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), Error> {
        self.says.end();
        Ok(())
    }

    async fn close(&mut self) -> Result<(), Error> {
        self.shutdown().await
    }

    fn abort(&self) {
        self.says.end();
    }

    fn peer_addr(&self) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1)
    }

    fn local_addr(&self) -> SocketAddr {
        self.peer_addr()
    }
}
