//! Watches: events when a node changes.

use super::client::Watched;
use super::error::Error;
use super::request::{checked, request};
use super::wire;
use crate::public::io::xs_wire::Kind;
use core::pin::Pin;
use core::task::{Context, Poll};

/// Reports changes of a node and of everything below it. Dropping it removes the watch
/// (`XS_UNWATCH`).
#[derive(Debug)]
pub struct Watch {
    token: u32,
}

/// Sets a watch on `path` (`XS_WATCH`), which need not exist. xenstored fires each watch once when
/// it is set, so the first [`changed`](Watch::changed) returns at once.
///
/// # Errors
/// `Refused(E2BIG)` beyond this domain's quota of watches.
pub async fn watch(path: &str) -> Result<Watch, Error> {
    let bytes = checked(path)?;
    let mut client = crate::domain().store.lock();
    client.connect()?;
    let token = client.number();
    client.watches.push(Watched { token, path: path.into(), pending: false });
    drop(client);
    // From here on, dropping this removes the watch, even if this future is dropped before the
    // reply comes.
    let watch = Watch { token };
    let text = wire::decimal(token);
    request(Kind::Watch, 0, &[bytes, b"\0", &text, b"\0"]).await?;
    Ok(watch)
}

impl Watch {
    /// Waits until the node, or one below it, may have changed since the last call returned.
    /// Several changes in between are reported once. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Broken`] if no more events can come.
    pub const fn changed(&self) -> Changed<'_> {
        Changed(self)
    }
}

/// Waits for an event of a watch; see [`Watch::changed`].
#[derive(Debug)]
#[must_use = "a wait does nothing unless it is awaited"]
pub struct Changed<'a>(&'a Watch);

impl Future for Changed<'_> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut client = crate::domain().store.lock();
        client.wait(context);
        let broken = client.pump();
        let watch = client.watches.iter_mut().find(|watch| watch.token == self.0.token);
        if watch.is_some_and(|watch| core::mem::take(&mut watch.pending)) {
            return Poll::Ready(Ok(()));
        }
        match broken {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut client = crate::domain().store.lock();
        let Some(at) = client.watches.iter().position(|watch| watch.token == self.token) else {
            return;
        };
        let watch = client.watches.swap_remove(at);
        let token = wire::decimal(self.token);
        client.tell(Kind::Unwatch, 0, &[watch.path.as_bytes(), b"\0", &token, b"\0"]);
    }
}
