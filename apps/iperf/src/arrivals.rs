//! Connections that have come and not yet said which test they are of.

use crate::PATIENCE;
use crate::protocol::COOKIE;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use embedded_io_async::Read;
use xenith::ip::{self, Listener};
use xenith::task::{Either, select, yield_now};
use xenith::time::timeout;

/// Connections that may be silent at a time; a further one takes the place of the oldest.
const MOST: usize = 32;

/// A connection, and the cookie that it began with.
type Known<S> = (S, [u8; COOKIE]);

/// Who says nothing, or leaves, comes to nothing.
type Waiting<S> = Pin<Box<dyn Future<Output = Option<Known<S>>>>>;

/// A listener and the connections that it gave. None of them, however silent, keeps another
/// waiting.
pub(crate) struct Arrivals<L: Listener> {
    listener: L,
    waiting: VecDeque<Waiting<L::Stream>>,
    /// Clients that came while another one's test began.
    queued: VecDeque<Known<L::Stream>>,
}

impl<L: Listener> Arrivals<L>
where
    L::Stream: 'static,
{
    pub(crate) const fn new(listener: L) -> Self {
        Self { listener, waiting: VecDeque::new(), queued: VecDeque::new() }
    }

    /// Waits for the next client, of which those come first that wait longest.
    ///
    /// # Errors
    /// Those of [`next`](Self::next).
    pub(crate) async fn client(&mut self) -> Result<Known<L::Stream>, ip::Error> {
        match self.queued.pop_front() {
            Some(client) => Ok(client),
            None => self.next().await,
        }
    }

    /// Keeps a client for when its turn comes, if there is room for one more.
    pub(crate) fn queue(&mut self, client: Known<L::Stream>) {
        if self.queued.len() < MOST {
            self.queued.push_back(client);
        }
    }

    /// Waits for the next connection that says its cookie.
    ///
    /// # Errors
    /// Those of [`Listener::accept`], but that there is no room for more.
    pub(crate) async fn next(&mut self) -> Result<Known<L::Stream>, ip::Error> {
        loop {
            let Self { listener, waiting, .. } = self;
            let known = poll_fn(|context| known(waiting, context));
            let come = match select(pin!(known), pin!(listener.accept())).await {
                Either::First(known) => return Ok(known),
                Either::Second(Err(ip::Error::Exhausted)) => {
                    yield_now().await;
                    continue;
                }
                Either::Second(come) => come?.0,
            };
            if self.waiting.len() == MOST {
                drop(self.waiting.pop_front());
            }
            self.waiting.push_back(Box::pin(introduced(come)));
        }
    }
}

/// Waits for a connection's cookie.
async fn introduced<S: Read>(mut stream: S) -> Option<Known<S>> {
    let mut cookie = [0; COOKIE];
    timeout(PATIENCE, stream.read_exact(&mut cookie)).await.ok()?.ok()?;
    Some((stream, cookie))
}

/// The first of those that wait who said its cookie.
fn known<S>(waiting: &mut VecDeque<Waiting<S>>, context: &mut Context<'_>) -> Poll<Known<S>> {
    let mut at = 0;
    while let Some(one) = waiting.get_mut(at) {
        match one.as_mut().poll(context) {
            Poll::Pending => at += 1,
            Poll::Ready(said) => {
                drop(waiting.remove(at));
                if let Some(known) = said {
                    return Poll::Ready(known);
                }
            }
        }
    }
    Poll::Pending
}
