//! Xenbus: how a front end and its back end find each other and come together,
//! through folders in xenstore. Once for all device classes.
//!
//! Each end announces its [`XenbusState`] in its own folder and watches the
//! other's. What the back end writes is input like any other: numbers are
//! strict decimals in a range (rule X8), unknown states are no state, and any
//! state may follow any other (rule X12). Nothing here waits on its own clock:
//! callers bound a wait by dropping it (rule X10).

pub use crate::public::io::xenbus::XenbusState;
pub use crate::xenstore::number;
use crate::xenstore::{self, Changed, Done, Error, Reply, Watch};
use crate::{DomId, Errno};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Display;
use core::ops::RangeInclusive;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

/// A number that is being read.
#[derive(Debug)]
#[must_use = "a request that is not awaited is abandoned"]
pub struct Number {
    reply: Reply,
    range: RangeInclusive<u64>,
    default: u64,
}

/// Reads a decimal number (rule X8). Yields `default` if the node is missing, is no number or
/// is out of `range`.
///
/// # Errors
/// When xenstore fails: see [`Error`].
pub fn read_number(path: &str, range: RangeInclusive<u64>, default: u64) -> Number {
    Number { reply: xenstore::read(path), range, default }
}

impl Future for Number {
    type Output = Result<u64, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let value = match ready!(Pin::new(&mut self.reply).poll(context)) {
            Ok(value) => number(&value).filter(|number| self.range.contains(number)),
            Err(Error::Refused(_)) => None,
            Err(error) => return Poll::Ready(Err(error)),
        };
        Poll::Ready(Ok(value.unwrap_or(self.default)))
    }
}

/// The state that stands at `path`; a missing one is [`XenbusState::Unknown`].
///
/// # Errors
/// When xenstore fails: see [`Error`].
pub fn read_state(path: &str) -> impl Future<Output = Result<XenbusState, Error>> + use<> {
    let number = read_number(path, 0..=u64::MAX, 0);
    async move { number.await.map(XenbusState::from_number) }
}

/// The front end's view of a device: its xenstore directory, and the back end's.
#[derive(Debug)]
pub struct Frontend {
    path: String,
    backend: String,
    peer: DomId,
    watch: Watch,
}

impl Frontend {
    /// Finds the back end of device `id` of class `class`, such as `vif`.
    ///
    /// # Errors
    /// `Refused(ENOENT)` when there is no such device, or it is not complete yet.
    pub async fn find(class: &str, id: &str) -> Result<Self, Error> {
        let path = format!("device/{class}/{id}");
        let backend = xenstore::read(&format!("{path}/backend"));
        let peer = read_number(&format!("{path}/backend-id"), 0..=0x7FEF, u64::MAX);
        let backend = backend.await?;
        let backend = String::from_utf8(backend).map_err(|_| Error::Refused(Errno::EINVAL))?;
        let peer = DomId::of_domain(peer.await?).ok_or(Error::Refused(Errno::ENOENT))?;
        let watch = xenstore::watch(&format!("{backend}/state")).await?;
        Ok(Self { path, backend, peer, watch })
    }

    /// Returns the domain of the back end, as read at connect (rule G7).
    #[must_use]
    pub const fn peer(&self) -> DomId {
        self.peer
    }

    /// Returns the path of the back end's directory.
    #[must_use]
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// Returns the path of node `name` in our directory.
    #[must_use]
    pub fn ours(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    /// Returns the path of node `name` in the back end's directory.
    #[must_use]
    pub fn theirs(&self, name: &str) -> String {
        format!("{}/{name}", self.backend)
    }

    /// Reads numbers of the back end, all at once: each has a name, the most that it may
    /// be, and what stands for one that is missing, no number, or more than that.
    ///
    /// # Errors
    /// When xenstore fails: see [`Error`].
    pub async fn numbers<const N: usize>(
        &self,
        wanted: [(&str, u64, u64); N],
    ) -> Result<[u64; N], Error> {
        let replies =
            wanted.map(|(name, most, default)| read_number(&self.theirs(name), 0..=most, default));
        let mut numbers = [0; N];
        for (number, reply) in numbers.iter_mut().zip(replies) {
            *number = reply.await?;
        }
        Ok(numbers)
    }

    /// Announces our state.
    ///
    /// # Errors
    /// When xenstore fails: see [`Error`].
    pub fn announce(&self, state: XenbusState) -> Done {
        xenstore::write(&self.ours("state"), format!("{}", state as u32).as_bytes())
    }

    /// Announces our state once all is written that the back end has to know for it, as
    /// pairs of a name and a value. It looks at them when it sees the state (xenbus.h), so
    /// there is no need for a transaction, which any other change may make collide.
    ///
    /// # Errors
    /// When xenstore fails: see [`Error`]. The state is then unchanged.
    pub async fn announce_with(
        &self,
        state: XenbusState,
        settings: &[(impl AsRef<str>, impl Display)],
    ) -> Result<(), Error> {
        let write = |(name, value): &(_, _)| {
            let name: &str = AsRef::as_ref(name);
            xenstore::write(&self.ours(name), format!("{value}").as_bytes())
        };
        let all: Vec<Done> = settings.iter().map(write).collect();
        for done in all {
            done.await?;
        }
        self.announce(state).await
    }

    /// The back end's state now.
    ///
    /// # Errors
    /// When xenstore fails: see [`Error`].
    pub async fn state(&self) -> Result<XenbusState, Error> {
        read_state(&self.theirs("state")).await
    }

    /// Waits until the back end's state may have changed: also when it announces the
    /// same one again, as it does when other nodes of its folder are new.
    ///
    /// # Errors
    /// When xenstore fails: see [`Error`].
    pub const fn changed(&self) -> Changed<'_> {
        self.watch.changed()
    }

    /// Waits until `accept` returns true for the back end's state. It is called at once, and
    /// whenever the state may have changed.
    ///
    /// # Errors
    /// When xenstore fails: see [`Error`].
    pub async fn wait_until(
        &self,
        accept: &dyn Fn(XenbusState) -> bool,
    ) -> Result<XenbusState, Error> {
        loop {
            let state = self.state().await?;
            if accept(state) {
                return Ok(state);
            }
            self.watch.changed().await?;
        }
    }

    /// Returns whether our path still names the same back end. After an unplug and a replug, or
    /// with a new driver domain, it names another one.
    ///
    /// # Errors
    /// When xenstore fails: see [`Error`].
    pub async fn is_current(&self) -> Result<bool, Error> {
        match xenstore::read(&self.ours("backend")).await {
            Ok(backend) => Ok(backend == self.backend.as_bytes()),
            Err(Error::Refused(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
