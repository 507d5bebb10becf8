//! Watches: events when a node changes.

use super::client::Watched;
use super::error::Error;
use super::request::{Reply, checked, request};
use super::wire;
use crate::public::io::xs_wire::Kind;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

/// Reports changes of a node and of everything below it. Dropping it removes the watch
/// (`XS_UNWATCH`).
#[derive(Debug)]
pub struct Watch {
    token: u32,
}

/// Yields a watch once it is set; see [`watch`].
#[derive(Debug)]
#[must_use = "a watch that is not awaited is removed"]
pub struct Setting {
    reply: Reply,
    /// Dropping it removes the watch, also before the reply comes.
    watch: Option<Watch>,
}

/// Sets a watch on `path` (`XS_WATCH`), which need not exist. As with other [requests](Reply),
/// those made after it are sent with it. xenstored fires each watch once when it is set, so the
/// first [`changed`](Watch::changed) returns at once, unless it was [seen](Watch::see).
///
/// # Errors
/// `Refused(E2BIG)` beyond this domain's quota of watches.
pub fn watch(path: &str) -> Setting {
    match begin(path) {
        Ok(setting) => setting,
        Err(error) => Setting { reply: Reply::failed(error), watch: None },
    }
}

fn begin(path: &str) -> Result<Setting, Error> {
    let bytes = checked(path)?;
    let mut client = crate::domain().store.lock();
    client.connect()?;
    let token = client.number();
    client.watches.push(Watched { token, path: path.into(), pending: false, lost: None });
    drop(client);
    let text = wire::decimal(token);
    let reply = request(Kind::Watch, 0, &[bytes, b"\0", &text, b"\0"]);
    Ok(Setting { reply, watch: Some(Watch { token }) })
}

impl Future for Setting {
    type Output = Result<Watch, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(Pin::new(&mut self.reply).poll(context))?;
        Poll::Ready(self.watch.take().ok_or(Error::Broken))
    }
}

impl Watch {
    /// Waits until the node, or one below it, may have changed since the last call returned.
    /// Several changes in between are reported once. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Broken`] if no more events can come; `Refused` if the watch could not be set again
    /// after the domain was restored.
    pub const fn changed(&self) -> Changed<'_> {
        Changed(self)
    }

    /// Forgets changes until now, as the caller looks at the node after this.
    pub fn see(&self) {
        let mut client = crate::domain().store.lock();
        let watch = client.watches.iter_mut().find(|watch| watch.token == self.token);
        watch.into_iter().for_each(|watch| watch.pending = false);
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
        let mut lost = None;
        if let Some(watch) = watch {
            if core::mem::take(&mut watch.pending) {
                return Poll::Ready(Ok(()));
            }
            lost = watch.lost;
        }
        match (broken, lost) {
            (Err(error), _) => Poll::Ready(Err(error)),
            (Ok(()), Some(errno)) => Poll::Ready(Err(Error::Refused(errno))),
            (Ok(()), None) => Poll::Pending,
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
