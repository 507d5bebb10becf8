//! Connects front ends with their back ends, and reconnects them.
//!
//! All front ends share the life of a connection: from the toolstack's nodes in xenstore
//! through the states of xenbus to working rings, and back. A `Driver` negotiates,
//! supervises and tears down its own.

pub(crate) mod pages;
pub(crate) mod waiters;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::convert::Infallible;
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;
use kernel::task::{Either, select};
use kernel::time::{Instant, sleep, timeout};
use waiters::Waiters;
use xen::Errno;
use xen::xenbus::{Frontend, XenbusState};
use xen::xenstore::{self, Watch};

/// The time that xenstore may take to list devices, and that a back end may take to connect
/// before a line is logged; the time to each further line doubles.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The longest time between two such lines.
const RARELY: Duration = Duration::from_secs(640);

/// The most devices of a class that an error lists.
const LISTED: usize = 16;

/// The longest pause between two attempts to connect.
const SLOWEST: Duration = Duration::from_secs(10);

/// The shortest pause.
const FASTEST: Duration = Duration::from_millis(50);

/// Reports why a device is not connected to its back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The toolstack removed the device before it connected.
    Gone,
    /// The back end closed instead of connecting.
    Closed,
    /// The back end broke the protocol.
    Broken,
    /// The back end lacks a feature that the driver needs, or published an invalid value.
    Unfit(&'static str),
    /// Memory or grant references are exhausted.
    Grants(xen::gnttab::Error),
    /// Xenstore failed.
    Store(xenstore::Error),
    /// No event channel could be allocated.
    Events(Errno),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the toolstack removed it before it connected"),
            Self::Closed => f.write_str("its back end closed instead of connecting"),
            Self::Broken => f.write_str("its back end broke the protocol"),
            Self::Unfit(what) => write!(f, "its back end {what}"),
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

/// Classifies a breach of the protocol by the back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// A ring index is out of range.
    Index,
    /// A response matches no request.
    Response,
    /// A response claims more bytes than a page has.
    Size,
    /// A response names another operation than its request.
    Operation,
    /// An extra slot is of a kind that was not negotiated.
    Extra,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Index => "its ring index is out of range",
            Self::Response => "its response matches no request",
            Self::Size => "its response exceeds the page",
            Self::Operation => "its response names another operation",
            Self::Extra => "its extra slot was not negotiated",
        })
    }
}

/// Finds the node of device `id` of class `class`, or of the one with the lowest number if
/// `id` is empty. If there is no such device, returns the nodes of those that there are.
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
        all.sort_unstable_by_key(|id| xen::xenbus::number(id.as_bytes()));
        all.truncate(LISTED);
        if id.is_empty() && !all.is_empty() {
            return Ok(Ok(all.swap_remove(0)));
        }
        Ok(Err(all))
    };
    timeout(PATIENCE, found).await.unwrap_or(Err(xenstore::Error::Silent))
}

/// Writes which device is missing, and which ones the domain has.
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

/// Classifies the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The back end is closing or closed.
    Closed,
    /// The device was removed, or replaced by another one.
    Gone,
    /// The back end does not respond.
    Stuck,
    /// The back end broke the protocol.
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

/// Implements what differs between drivers in the life of a connection.
pub(crate) trait Driver {
    /// The class of the device in xenstore.
    const CLASS: &'static str;

    /// Returns the name of the device in log lines, such as `vif 0`.
    fn name(&self) -> &str;

    /// Returns whether it is connected.
    fn is_connected(&self) -> bool;

    /// Returns whether it is disabled for good.
    fn is_broken(&self) -> bool;

    /// Holds the error that prevents a connection, if waiting does not mend it.
    fn trouble(&self) -> &Cell<Option<Error>>;

    /// Holds the tasks to wake when any of these changes.
    fn waiters(&self) -> &Waiters;

    /// Negotiates with the back end and publishes the rings.
    async fn connect(&self, front: &Frontend, watch: &Watch) -> Result<Outcome, Error>;

    /// Supervises the connection until it ends.
    async fn supervise(&self, front: &Frontend, watch: &Watch) -> End;

    /// Tears the connection down.
    async fn disconnect(&self, front: &Frontend, end: End);
}

/// Waits for the first connection, however slow the back end is, which is logged.
///
/// # Errors
/// The reason why the device cannot connect, if waiting does not help.
pub(crate) async fn wait_connected<D: Driver>(driver: &D) -> Result<(), Error> {
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
        driver.waiters().add(context.waker());
        Poll::Pending
    })
    .await
}

/// Records an error that waiting does not mend.
fn trouble<D: Driver>(driver: &D, error: Error) {
    driver.trouble().set(Some(error));
    driver.waiters().wake();
}

/// Logs that the back end is awaited, less and less often (rules K3 and X10).
async fn log_waiting(name: &str, front: &Frontend) -> Infallible {
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

/// Limits a line that recurs, which may be logged less and less often (rule K3).
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// When it was logged last, and for how long it is not from then on.
    last: Cell<Option<(Instant, Duration)>>,
}

impl Lines {
    /// Returns whether the line may be logged now, which it is then.
    pub(crate) fn allow(&self) -> bool {
        let last = self.last.get();
        let allowed = last.is_none_or(|(at, silent)| at.elapsed() >= silent);
        if allowed {
            let silent = last.map_or(PATIENCE, |(_, silent)| (silent * 2).min(RARELY));
            self.last.set(Some((Instant::now(), silent)));
        }
        allowed
    }
}

/// What was said of errors that recur.
#[derive(Default)]
struct Said {
    last: Option<Error>,
    lines: Lines,
}

impl Said {
    /// Logs an error and what is done about it, the same one less and less often.
    fn say(&mut self, name: &str, error: Error, next: &str) {
        if self.last.replace(error) != Some(error) {
            self.lines = Lines::default();
        }
        if self.lines.allow() {
            log::warn!("{name}: {error}: {next}");
        }
    }
}

/// Asks xenstore what becomes of a connection. Where that fails it is logged once, and asked again
/// after a while: the rings work without xenstore.
pub(crate) async fn follow<T>(
    name: &str,
    mut ask: impl AsyncFnMut() -> Result<T, xenstore::Error>,
) -> T {
    let mut said = false;
    loop {
        match ask().await {
            Ok(told) => return told,
            Err(error) if !core::mem::replace(&mut said, true) => {
                log::warn!("{name}: goes on without news of its back end: {error}");
            }
            Err(_) => {}
        }
        sleep(SLOWEST).await;
    }
}

/// Connects device `id`, and connects it again, until it is dropped or broken.
pub(crate) async fn run<D: Driver>(driver: &D, id: &str) {
    let (class, name) = (D::CLASS, driver.name());
    let path = format!("device/{class}/{id}");
    let mut setting = Some(xenstore::watch(&path));
    let mut found = Some(Frontend::find(class, id).await);
    let mut kept = None;
    let mut pause = FASTEST;
    let mut said = Said::default();
    while !driver.is_broken() {
        let Some(watch) = &kept else {
            let made = match setting.take() {
                Some(first) => first.await,
                None => xenstore::watch(&path).await,
            };
            match made {
                Ok(watch) => kept = Some(watch),
                Err(error) => {
                    said.say(name, error.into(), "waiting until its nodes can be watched");
                    trouble(driver, error.into());
                    sleep(pause).await;
                    pause = (pause * 2).min(SLOWEST);
                    // By then, it may be another one.
                    found = None;
                }
            }
            continue;
        };
        let next = match found.take() {
            Some(found) => found,
            None => Frontend::find(class, id).await,
        };
        let front = match next {
            Ok(front) => front,
            Err(error) => {
                let mut error = error;
                if error == xenstore::Error::Refused(Errno::ENOENT) {
                    // Only the toolstack removes and adds a device; the watch reports both.
                    trouble(driver, Error::Gone);
                    match watch.changed().await {
                        Ok(()) => {
                            pause = FASTEST;
                            continue;
                        }
                        Err(failed) => error = failed,
                    }
                    // It is lost, as where it could not be set again after a restoration.
                    kept = None;
                }
                // Nothing is known of the device, which may be there all the same.
                said.say(name, error.into(), "waiting until xenstore tells of its nodes");
                if matches!(error, xenstore::Error::Missing | xenstore::Error::Broken) {
                    trouble(driver, error.into());
                }
                sleep(pause).await;
                pause = (pause * 2).min(SLOWEST);
                continue;
            }
        };
        let begun = Instant::now();
        let connected = {
            let connecting = core::pin::pin!(driver.connect(&front, watch));
            let waiting = core::pin::pin!(log_waiting(name, &front));
            match select(connecting, waiting).await {
                Either::First(connected) => connected,
                Either::Second(never) => match never {},
            }
        };
        match connected {
            Ok(Outcome::Reached) => {
                driver.trouble().set(None);
                said = Said::default();
                let end = driver.supervise(&front, watch).await;
                driver.disconnect(&front, end).await;
            }
            Ok(Outcome::Gone) => {}
            // The removal of a device makes any step fail.
            Err(_) if front.is_current().await == Ok(false) => {}
            Err(error) => {
                said.say(name, error, "trying again");
                if error != Error::Closed {
                    trouble(driver, error);
                }
                // A back end that connected, or closes, begins anew only after it has closed.
                select(close(&front, End::Stuck), removed(&front, watch)).await;
            }
        }
        // A back end that keeps connecting and closing does not keep us busy (rules K3, X12).
        if begun.elapsed() > SLOWEST {
            pause = FASTEST;
        }
        let lost = {
            let mut gone = core::pin::pin!(gone(&front, watch));
            let mut sleeping = core::pin::pin!(sleep(pause));
            match select(sleeping.as_mut(), gone.as_mut()).await {
                Either::First(()) | Either::Second(Ok(())) => false,
                Either::Second(Err(_)) => {
                    sleeping.await;
                    true
                }
            }
        };
        if lost {
            // With a watch that is lost, no step of a negotiation succeeds.
            kept = None;
        }
        pause = (pause * 2).min(SLOWEST);
    }
}

/// Completes when the device was removed or replaced, and that can be told.
async fn removed(front: &Frontend, watch: &Watch) {
    if gone(front, watch).await.is_err() {
        core::future::pending::<()>().await;
    }
}

/// Completes when the device was removed or replaced.
pub(crate) async fn gone(front: &Frontend, watch: &Watch) -> Result<(), xenstore::Error> {
    loop {
        // What changed until here is read below.
        watch.see();
        if !front.is_current().await? {
            return Ok(());
        }
        watch.changed().await?;
    }
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

/// Announces this end, and waits until the back end has published its features. `stale` are the
/// nodes that a former front end may have left, and that this one does not write.
pub(crate) async fn begin(
    front: &Frontend,
    watch: &Watch,
    stale: &[&str],
) -> Result<Outcome, Error> {
    // A device that the toolstack is removing must not be reconnected.
    if !front.is_online() {
        gone(front, watch).await?;
        return Ok(Outcome::Gone);
    }
    if front.left() != XenbusState::Initialising {
        // Connected to a former front end, which was dropped: blkback heeds no other until it has closed.
        if matches!(front.state().await?, XenbusState::Connected | XenbusState::Closing) {
            select(close(front, End::Stuck), gone(front, watch)).await;
        }
        // Most often there are none.
        stale.iter().for_each(|name| drop(xenstore::remove(&front.ours(name))));
        front.announce(XenbusState::Initialising).await?;
    }
    wait_for(front, watch, XenbusState::InitWait).await
}

/// Closes the front end, and gives the back end time to unmap its pages. Those that it still
/// maps then are quarantined.
pub(crate) async fn close(front: &Frontend, end: End) {
    if end == End::Gone {
        return;
    }
    let closing = async {
        if matches!(end, End::Stuck | End::Broken) {
            front.announce(XenbusState::Closing).await?;
            let left = |state| !matches!(state, XenbusState::Connected);
            // A back end that does not react is closed all the same.
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
mod tests {
    use super::*;
    use kernel::task::block_on;

    #[test]
    fn a_line_that_recurs_becomes_rare_k3() {
        kernel::testing::simulate_time();
        let lines = Lines::default();
        let day = async {
            let mut said = 0;
            for _ in 0..24 * 60 * 60 / 31 {
                said += u32::from(lines.allow());
                sleep(Duration::from_secs(31)).await;
            }
            said
        };
        let said = block_on(day);
        assert!((100..150).contains(&said), "{said} in a day");
    }

    #[test]
    fn another_error_is_said_at_once_k3() {
        kernel::testing::simulate_time();
        let mut said = Said::default();
        for error in [Error::Gone, Error::Closed, Error::Gone] {
            said.say("vif 0", error, "trying again");
            assert!(!said.lines.allow(), "it was said");
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Runs front ends on the fake hypervisor.

    use super::Duration;
    use alloc::rc::Rc;
    use kernel::suspend::Outcome;
    use kernel::task::{block_on, select};
    use kernel::time::sleep;
    use xen::DomId;
    use xen::fake::Fake;

    /// The time between two turns of xenstored and the back ends.
    pub(crate) const MOMENT: Duration = Duration::from_millis(1);

    /// Suspends the machine, which goes on as domain `new`, or with `None` as the same one.
    pub(crate) async fn suspend(fake: &Fake, new: Option<DomId>) {
        kernel::testing::suspend(|| {
            fake.suspend(new);
            new.map_or(Outcome::Cancelled, |_| Outcome::Renewed)
        })
        .await;
    }

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
