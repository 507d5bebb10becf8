//! Follows `control/shutdown` in xenstore, by which the toolstack asks a domain to end (Xen's
//! docs/misc/xenstore-paths.pandoc), or to be suspended.

use super::{MARGIN, Request, finished, grace};
use crate::machine::{self, offer_suspend, open_store, set_shutdown_reason, shut_down};
use crate::suspend::{self, Outcome};
use crate::sync::Wakers;
use crate::task::spawn;
use crate::time::{sleep, timeout};
use ::xen::public::{SHUTDOWN_poweroff, SHUTDOWN_reboot};
use ::xen::xenstore::{self, Error};
use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Poll;
use spin::Mutex;

const NODE: &str = "control/shutdown";

/// The request, and those who wait for it.
struct State {
    request: Option<Request>,
    waiting: Wakers,
    /// Whether the app has waited for requests.
    expected: bool,
}

static STATE: Mutex<State> =
    Mutex::new(State { request: None, waiting: Wakers::new(), expected: false });

/// Makes xenstore usable and starts to follow requests; further calls do nothing. Drivers of Xen's
/// devices call it before they use xenstore.
pub fn serve() {
    static SERVED: AtomicBool = AtomicBool::new(false);
    if SERVED.swap(true, Ordering::Relaxed) {
        return;
    }
    open_store();
    spawn(async {
        if let Err(error) = follow().await {
            log::warn!("requests to shut down cannot be followed: {error}");
        }
    })
    .detach();
}

async fn follow() -> Result<(), Error> {
    let watch = xenstore::watch(NODE).await?;
    // Before the toolstack asks: it looks for the frames first.
    let suspends = offer_suspend();
    announce(suspends).await;
    let request = loop {
        watch.changed().await?;
        match xenstore::read(NODE).await {
            Ok(value) if value.is_empty() => {}
            Ok(value) if suspends && value == b"suspend" => {
                // Acknowledges the request; without, the toolstack gives up after 60 s.
                let _ = xenstore::write(NODE, b"").await;
                if carry_out().await == Outcome::Renewed {
                    announce(suspends).await;
                }
            }
            Ok(value) => match Request::parse(&value) {
                Some(request) => break request,
                None => log::warn!("ignored: {NODE} is {}", crate::text::Escaped(&value)),
            },
            Err(Error::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    };
    // Acknowledges the request. It is carried out even if this fails.
    let _ = xenstore::write(NODE, b"").await;
    log::info!("the toolstack asks for {request:?}");
    let mut state = STATE.lock();
    state.request = Some(request);
    let (expected, mut waiting) = (state.expected, core::mem::take(&mut state.waiting));
    drop(state);
    // Without the lock, as a waker may ask for the request.
    waiting.wake();
    if expected {
        sleep(grace() + MARGIN).await;
        log::warn!("the app did not return within {} s", (grace() + MARGIN).as_secs());
    } else {
        finished().await;
    }
    shut_down(reason(request))
}

/// Tells the toolstack what it may ask for.
async fn announce(suspends: bool) {
    let features =
        ["control/feature-poweroff", "control/feature-reboot", "control/feature-suspend"];
    for feature in &features[..if suspends { 3 } else { 2 }] {
        // It fails if the toolstack made no such node; then it sends no such requests.
        let _ = xenstore::write(feature, b"1").await;
    }
}

/// Suspends the domain.
async fn carry_out() -> Outcome {
    log::info!("the toolstack asks for a suspension");
    let outcome = suspend::carry_out(async || {
        // What is not answered then fails, and mostly is asked for again.
        let _ = timeout(suspend::PATIENCE / 2, xenstore::quiet()).await;
        match machine::suspend() {
            Some(false) => Outcome::Renewed,
            Some(true) | None => Outcome::Cancelled,
        }
    })
    .await;
    log::info!("suspension over: {outcome:?}");
    outcome
}

/// Returns the `SHUTDOWN_*` reason for the end after `request`.
fn reason(request: Request) -> u32 {
    match request {
        Request::Poweroff => SHUTDOWN_poweroff,
        Request::Reboot => SHUTDOWN_reboot,
    }
}

/// Waits for a request.
pub(super) async fn requested() -> Request {
    serve();
    let request = poll_fn(|context| {
        let mut state = STATE.lock();
        state.expected = true;
        match state.request {
            Some(request) => Poll::Ready(request),
            None => {
                state.waiting.add(context.waker());
                Poll::Pending
            }
        }
    })
    .await;
    set_shutdown_reason(reason(request));
    request
}
