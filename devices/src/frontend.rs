//! What the front ends of Xen's devices share: the round that a connection goes,
//! from the toolstack's nodes in xenstore to rings that work, and back. A driver
//! says how it connects, what ends its connection and what it leaves behind.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;
use core::future::poll_fn;
use core::task::{Poll, Waker};
use core::time::Duration;
use kernel::task::{Either, select};
use kernel::time::{Instant, sleep, timeout};
use xen::xenbus::{Frontend, XenbusState, read_number, read_state};
use xen::xenstore::{self, Watch};

/// How long xenstore may take to say what there is, and the back end to connect until a
/// line says that it is waited for; each further line takes twice as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The longest time between two such lines.
const RARELY: Duration = Duration::from_secs(640);

/// Devices of a class that an error lists.
const LISTED: usize = 16;

/// The longest wait between two attempts to connect.
const SLOWEST: Duration = Duration::from_secs(10);

/// The shortest one.
const FASTEST: Duration = Duration::from_millis(50);

/// What nobody comes back with.
enum Never {}

/// Why there is no connection to a back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The device went away before it was connected.
    Gone,
    /// The back end closed while it was to connect.
    Closed,
    /// The back end broke the protocol.
    Broken,
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
            Self::Gone => f.write_str("it was taken away before it was connected"),
            Self::Closed => f.write_str("its back end closed and did not connect"),
            Self::Broken => f.write_str("its back end broke the protocol"),
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
/// lowest number there is. When there is no such device, the nodes of those that there are.
pub(crate) async fn find(
    class: &str,
    id: &str,
) -> Result<Result<String, Vec<String>>, xenstore::Error> {
    let found = async {
        if !id.is_empty() {
            match xenstore::read(&format!("device/{class}/{id}/backend")).await {
                Ok(_) => return Ok(Ok(id.into())),
                Err(xenstore::Error::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let mut all = match xenstore::directory(&format!("device/{class}")).await {
            Ok(all) => all,
            Err(xenstore::Error::Refused(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        all.sort_by_key(|id| xen::xenbus::number(id.as_bytes()));
        all.truncate(LISTED);
        if id.is_empty() && !all.is_empty() {
            return Ok(Ok(all.swap_remove(0)));
        }
        Ok(Err(all))
    };
    timeout(PATIENCE, found).await.unwrap_or(Err(xenstore::Error::Silent))
}

/// What a domain has of a class instead of what it lacks, or what to do about it.
pub(crate) fn write_missing(
    f: &mut fmt::Formatter<'_>,
    kind: &str,
    id: &str,
    others: &[String],
) -> fmt::Result {
    write!(f, "there is no {kind} {id}; this domain has ")?;
    for (at, other) in others.iter().enumerate() {
        write!(f, "{}{other}", if at == 0 { "" } else { ", " })?;
    }
    if others.is_empty() { f.write_str("none") } else { Ok(()) }
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

/// How a step of the negotiation with a back end ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The back end got there.
    Reached,
    /// The toolstack removed the device meanwhile.
    Gone,
}

/// One device's part of the round.
pub(crate) trait Driver {
    /// The class of device, as xenstore has it.
    const CLASS: &'static str;

    /// What it is called in lines about it, such as `vif 0`.
    fn name(&self) -> &str;

    /// Whether it is connected.
    fn is_connected(&self) -> bool;

    /// Whether it is over for good.
    fn is_broken(&self) -> bool;

    /// Why it cannot be connected, as far as that is certain.
    fn trouble(&self) -> &Cell<Option<Error>>;

    /// Wakes `waker` when any of these may be otherwise.
    fn wait(&self, waker: &Waker);

    /// Wakes those who wait.
    fn wake(&self);

    /// Negotiates with the back end and publishes the rings.
    async fn connect(&self, front: &Frontend, watch: &Watch) -> Result<Outcome, Error>;

    /// Keeps the connection until it ends.
    async fn stay(&self, front: &Frontend, watch: &Watch) -> End;

    /// Takes the connection apart.
    async fn disconnect(&self, front: &Frontend, end: End);
}

/// Waits for the first connection, without end while a back end may only be slow; the log
/// says so.
///
/// # Errors
/// What makes sure that there will be none as things are.
pub(crate) async fn opened<D: Driver>(driver: &D) -> Result<(), Error> {
    poll_fn(|context| {
        if driver.is_broken() {
            return Poll::Ready(Err(Error::Broken));
        }
        if driver.is_connected() {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = driver.trouble().get() {
            return Poll::Ready(Err(error));
        }
        driver.wait(context.waker());
        Poll::Pending
    })
    .await
}

/// Something is wrong that does not pass with time alone.
fn trouble<D: Driver>(driver: &D, error: Error) {
    driver.trouble().set(Some(error));
    driver.wake();
}

/// Says that a back end is waited for, less and less often (rules K3 and X10).
async fn say_waiting(name: &str, front: &Frontend) -> Never {
    let (begun, mut patience) = (Instant::now(), PATIENCE);
    loop {
        sleep(patience).await;
        let state = timeout(Duration::from_secs(1), front.state()).await;
        let (domain, seconds) = (front.peer(), begun.elapsed().as_secs());
        match state {
            Ok(Ok(state)) => log::warn!(
                "{name}: its back end in domain {domain} is {state:?} and has not connected for \
                 {seconds} s: waiting"
            ),
            _ => log::warn!("{name}: xenstore has not answered for {seconds} s: waiting"),
        }
        patience = (patience * 2).min(RARELY);
    }
}

/// Looks after device `id` until it is dropped or broken.
pub(crate) async fn keep<D: Driver>(driver: &D, id: &str) {
    let (class, name) = (D::CLASS, driver.name());
    let watch = match xenstore::watch(&format!("device/{class}/{id}")).await {
        Ok(watch) => watch,
        Err(error) => {
            log::error!("{name}: {error}");
            return trouble(driver, error.into());
        }
    };
    let mut pause = FASTEST;
    // What was said last, when, and how long it is not said again.
    let mut said: Option<(Error, Instant, Duration)> = None;
    while !driver.is_broken() {
        let Ok(front) = Frontend::find(class, id).await else {
            // It comes with an event, if it comes; and only the toolstack takes it away.
            pause = FASTEST;
            trouble(driver, Error::Gone);
            if watch.changed().await.is_err() {
                return;
            }
            continue;
        };
        let begun = Instant::now();
        let connecting = core::pin::pin!(driver.connect(&front, &watch));
        let waiting = core::pin::pin!(say_waiting(name, &front));
        let connected = match select(connecting, waiting).await {
            Either::First(connected) => connected,
            Either::Second(never) => match never {},
        };
        match connected {
            Ok(Outcome::Reached) => {
                driver.trouble().set(None);
                said = None;
                let end = driver.stay(&front, &watch).await;
                driver.disconnect(&front, end).await;
            }
            Ok(Outcome::Gone) => {}
            // What went away in the middle of it is no error.
            Err(_) if front.is_current().await == Ok(false) => {}
            Err(error) => {
                // It may come again and again (rule K3).
                let again = said.filter(|it| it.0 == error);
                if again.is_none_or(|(_, at, silent)| at.elapsed() >= silent) {
                    log::warn!("{name}: {error}");
                    let silent = again.map_or(PATIENCE, |it| (it.2 * 2).min(RARELY));
                    said = Some((error, Instant::now(), silent));
                }
                if error != Error::Closed {
                    trouble(driver, error);
                }
            }
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

/// Waits until the back end is in state `wanted` or the device went away, however long that
/// takes.
///
/// # Errors
/// [`Error::Closed`] when it closes where it was to connect.
pub(crate) async fn wait_for(
    front: &Frontend,
    watch: &Watch,
    wanted: XenbusState,
) -> Result<Outcome, Error> {
    // One that was closed before opens again for who begins.
    let closes = |state| {
        let closed = matches!(state, XenbusState::Closing | XenbusState::Closed);
        closed && wanted == XenbusState::Connected
    };
    let reached = |state| state == wanted || closes(state);
    match select(front.wait_until(&reached), gone(front, watch)).await {
        Either::First(Ok(state)) if closes(state) => Err(Error::Closed),
        Either::First(result) => Ok(result.map(|_| Outcome::Reached)?),
        Either::Second(result) => Ok(result.map(|()| Outcome::Gone)?),
    }
}

/// Announces this end, and waits until the back end has published its features.
pub(crate) async fn begin(front: &Frontend, watch: &Watch) -> Result<Outcome, Error> {
    // A device that is on its way out is not called back.
    let online = read_number(&front.theirs("online"), 0..=1, 1);
    let state = read_state(&front.ours("state"));
    if online.await? == 0 {
        gone(front, watch).await?;
        return Ok(Outcome::Gone);
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
        kernel::testing::simulate_time();
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
