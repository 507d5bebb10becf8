//! Takes SIGTERM and SIGINT as requests to power off, once the app waits for requests. Before
//! that, and the second time, they end the process as usual.

use super::{MARGIN, Request, grace};
use crate::machine::end;
use crate::machine::watch::{Interest, Watched};
use crate::task::spawn;
use crate::time::sleep;
use core::cell::OnceCell;
use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Poll;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, LazyLock};

/// Whether a signal has arrived.
static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

thread_local! {
    /// A socket that a signal makes readable, permanently.
    static SIGNALS: OnceCell<Watched<UnixStream>> = const { OnceCell::new() };
}

/// Does nothing: on a host, Xen's devices use the fake, where xenstore is usable from the start.
pub const fn serve() {}

fn listen() -> io::Result<Watched<UnixStream>> {
    let (here, there) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT] {
        // In this order, so that the default action applies to the second signal.
        flag::register_conditional_default(signal, Arc::clone(&ASKED))?;
        flag::register(signal, Arc::clone(&ASKED))?;
        low_level::pipe::register(signal, there.try_clone()?)?;
    }
    spawn(async {
        asked().await;
        log::info!("a signal asks for {:?}", Request::Poweroff);
        sleep(grace() + MARGIN).await;
        log::warn!("the app did not return within {} s", (grace() + MARGIN).as_secs());
        end(0)
    })
    .detach();
    Ok(Watched::new(here))
}

/// Waits for a signal.
async fn asked() {
    poll_fn(|context| {
        if ASKED.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        SIGNALS.with(|signals| {
            if let Some(signals) = signals.get() {
                signals.wait(Interest::Read, context.waker());
            }
        });
        Poll::Pending
    })
    .await;
}

/// Waits for a request.
pub(super) async fn requested() -> Request {
    SIGNALS.with(|signals| {
        if signals.get().is_none() {
            match listen() {
                Ok(new) => drop(signals.set(new)),
                Err(error) => log::warn!("signals end this process at once: {error}"),
            }
        }
    });
    asked().await;
    Request::Poweroff
}
