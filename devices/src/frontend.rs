//! What the front ends of Xen's devices share: the round that a connection goes,
//! from the toolstack's nodes in xenstore to rings that work, and back. A driver
//! says how it connects, what ends its connection and what it leaves behind.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::time::Duration;
use kernel::task::{Either, select};
use kernel::time::{Instant, sleep, timeout};
use xen::xenbus::{Frontend, XenbusState, read_number, read_state};
use xen::xenstore::{self, Watch};

/// How long the back end may take for a step of its own.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The longest wait between two attempts to connect.
const SLOWEST: Duration = Duration::from_secs(10);

/// The shortest one.
const FASTEST: Duration = Duration::from_millis(50);

/// Why there is no connection to a back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The back end does not do its part.
    Silent,
    /// It lacks something that the driver needs, or says something that makes no sense.
    Unfit(&'static str),
    /// Memory or grants do not suffice.
    Grants(xen::gnttab::Error),
    /// Xenstore does not answer as it should.
    Store(xenstore::Error),
    /// No event channel is left.
    Events(xen::Errno),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("its back end does not connect"),
            Self::Unfit(what) => write!(f, "its back end has no {what}"),
            Self::Grants(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Events(error) => write!(f, "no event channel: {error}"),
        }
    }
}

impl core::error::Error for Error {}

impl From<xen::gnttab::Error> for Error {
    fn from(error: xen::gnttab::Error) -> Self {
        Self::Grants(error)
    }
}

impl From<xenstore::Error> for Error {
    fn from(error: xenstore::Error) -> Self {
        Self::Store(error)
    }
}

/// The node of device `id` of class `class`: that which is asked for, or that with the
/// lowest number there is. `None` when there is no such device.
pub(crate) async fn find(class: &str, id: &str) -> Result<Option<String>, xenstore::Error> {
    if id.is_empty() {
        let all = xenstore::directory(&format!("device/{class}")).await.unwrap_or_default();
        return Ok(all.into_iter().min_by_key(|id| xen::xenbus::number(id.as_bytes())));
    }
    match xenstore::read(&format!("device/{class}/{id}/backend")).await {
        Ok(_) => Ok(Some(id.into())),
        Err(xenstore::Error::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The back end is closing, or has.
    Closed,
    /// The device is gone, or another one stands in its place.
    Gone,
    /// It does not answer.
    Stuck,
    /// It broke the protocol.
    Broken,
}

/// One device's part of the round.
pub(crate) trait Driver {
    /// The class of device, as xenstore has it.
    const CLASS: &'static str;

    /// Whether it is over for good.
    fn is_broken(&self) -> bool;

    /// Brings the connection about; whether it did, or the device went away.
    async fn connect(&self, front: &Frontend, watch: &Watch) -> Result<bool, Error>;

    /// Keeps the connection until it ends.
    async fn stay(&self, front: &Frontend, watch: &Watch) -> End;

    /// Takes the connection apart.
    async fn disconnect(&self, front: &Frontend, end: End);
}

/// Looks after device `id` until it is dropped or broken.
pub(crate) async fn keep<D: Driver>(driver: &D, id: &str) {
    let class = D::CLASS;
    let watch = match xenstore::watch(&format!("device/{class}/{id}")).await {
        Ok(watch) => watch,
        Err(error) => return log::error!("{class} {id}: {error}"),
    };
    let mut pause = FASTEST;
    while !driver.is_broken() {
        let Ok(front) = Frontend::find(class, id).await else {
            // It comes with an event, if it comes; and only the toolstack takes it away.
            pause = FASTEST;
            if watch.changed().await.is_err() {
                return;
            }
            continue;
        };
        let begun = Instant::now();
        match driver.connect(&front, &watch).await {
            Ok(true) => {
                let end = driver.stay(&front, &watch).await;
                driver.disconnect(&front, end).await;
            }
            Ok(false) => {}
            // What went away in the middle of it is no error.
            Err(_) if front.is_current().await == Ok(false) => {}
            Err(error) => log::warn!("{class} {id}: {error}"),
        }
        // A back end that comes and goes does not keep us busy (rules K3 and X12).
        if begun.elapsed() > SLOWEST {
            pause = FASTEST;
        }
        select(sleep(pause), gone(&front, &watch)).await;
        pause = (pause * 2).min(SLOWEST);
    }
}

/// Ends when another device, or none, stands at our path.
pub(crate) async fn gone(front: &Frontend, watch: &Watch) -> Result<(), xenstore::Error> {
    while front.is_current().await? {
        watch.changed().await?;
    }
    Ok(())
}

/// Waits until the back end is in state `wanted`; whether it is, or the device went away.
pub(crate) async fn wait_for(
    front: &Frontend,
    watch: &Watch,
    wanted: XenbusState,
) -> Result<bool, Error> {
    let reached = |state| state == wanted;
    let ready = front.wait_until(&reached);
    match select(timeout(PATIENCE, ready), gone(front, watch)).await {
        Either::First(Ok(result)) => Ok(result.map(|_| true)?),
        Either::First(Err(_)) => Err(Error::Silent),
        Either::Second(result) => Ok(result.map(|()| false)?),
    }
}

/// Begins: we are there, and the back end has said what it can. Whether it has, or the
/// device went away.
pub(crate) async fn begin(front: &Frontend, watch: &Watch) -> Result<bool, Error> {
    // A device that is on its way out is not called back.
    let online = read_number(&front.theirs("online"), 0..=1, 1);
    let state = read_state(&front.ours("state"));
    if online.await? == 0 {
        gone(front, watch).await?;
        return Ok(false);
    }
    if state.await? != XenbusState::Initialising {
        front.announce(XenbusState::Initialising).await?;
    }
    wait_for(front, watch, XenbusState::InitWait).await
}

/// Ends: we are closed, and the back end is given the time to let go of our pages.
/// What it still holds then goes into quarantine.
pub(crate) async fn close(front: &Frontend, end: End) {
    if end == End::Gone {
        return;
    }
    let closing = async {
        if matches!(end, End::Stuck | End::Broken) {
            front.announce(XenbusState::Closing).await?;
            let left = |state| !matches!(state, XenbusState::Connected);
            // A back end that does not react is told to close all the same.
            let _ = timeout(Duration::from_secs(1), front.wait_until(&left)).await;
        }
        front.announce(XenbusState::Closed).await?;
        front
            .wait_until(&|state| !matches!(state, XenbusState::Connected | XenbusState::Closing))
            .await
    };
    let _ = timeout(PATIENCE / 2, closing).await;
}

#[cfg(test)]
pub(crate) mod testing {
    //! Front ends beside the fake hypervisor.

    use super::Duration;
    use alloc::rc::Rc;
    use kernel::task::{block_on, select};
    use kernel::time::sleep;
    use xen::fake::Fake;

    /// How often xenstored and the back ends have their turn.
    pub(crate) const MOMENT: Duration = Duration::from_millis(1);

    /// Runs `test` beside the fake, in simulated time.
    pub(crate) fn on_fake<F: Future<Output = ()>>(test: impl FnOnce(Rc<Fake>) -> F) {
        kernel::machine::simulate_time();
        let fake = Rc::new(Fake::new());
        let ticking = fake.clone();
        block_on(async {
            let ticks = async {
                loop {
                    ticking.step();
                    xen::evtchn::scan();
                    sleep(MOMENT).await;
                }
            };
            let whole = async {
                test(fake.clone()).await;
                // What was dropped is cancelled, and taken back, when it next has its turn.
                sleep(MOMENT * 10).await;
            };
            select(whole, core::pin::pin!(ticks)).await;
        });
    }
}
