//! Connects a front end with its back end through xenstore, by the protocol that all classes of
//! devices share (`public/io/xenbus.h`; `public/io/netif.h` and `blkif.h` for the nodes of each
//! class).
//!
//! A device has two directories. The front end's is `device/<class>/<id>` in the guest's home; its
//! nodes `backend` and `backend-id` name the back end's directory and domain. Each end announces
//! its [`XenbusState`] in the node `state` of its own directory and watches the other's.
//!
//! What the back end writes is untrusted: numbers are plain decimals within a range (rule X8),
//! unknown states count as [`XenbusState::Unknown`], and any state may follow any other
//! (rule X12). Waits have no time limit: callers drop the future (rule X10).

use crate::generation::Generation;
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

/// Yields a number that is being read; see [`read_number`].
#[derive(Debug)]
#[must_use = "a request that is not awaited is abandoned"]
pub struct Number {
    reply: Reply,
    range: RangeInclusive<u64>,
    default: u64,
}

/// Reads a decimal number (rule X8). Yields `default` if the node at `path` does not exist, cannot
/// be read, is not a number or is not within `range`.
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

/// Reads the state at `path`. Yields [`XenbusState::Unknown`] if there is none, or none that this
/// domain may see, or if it is another domain by now.
///
/// # Errors
/// When xenstore fails: see [`Error`].
pub fn read_state(path: &str) -> impl Future<Output = Result<XenbusState, Error>> + use<> {
    let reply = xenstore::read(path);
    async move {
        match reply.await {
            Ok(value) => Ok(XenbusState::from_number(number(&value).unwrap_or(0))),
            // What is below a directory that is gone is refused by xenstored as a secret.
            Err(Error::Refused(Errno::ENOENT | Errno::EACCES | Errno::EAGAIN)) => {
                Ok(XenbusState::Unknown)
            }
            Err(error) => Err(error),
        }
    }
}

/// Holds a front end's view of its device: both directories, and a watch on the back end's state.
#[derive(Debug)]
pub struct Frontend {
    path: String,
    backend: String,
    peer: DomId,
    watch: Watch,
    generation: Generation,
    online: bool,
    left: XenbusState,
}

impl Frontend {
    /// Finds device `id` of class `class`, such as `0` of `vif`, and watches its back end's state.
    ///
    /// # Errors
    /// `Refused(ENOENT)` if there is no such device, or the toolstack has not written all of its
    /// nodes yet.
    pub async fn find(class: &str, id: &str) -> Result<Self, Error> {
        let generation = Generation::current();
        let path = format!("device/{class}/{id}");
        let backend = xenstore::read(&format!("{path}/backend"));
        let peer = read_number(&format!("{path}/backend-id"), 0..=0x7FEF, u64::MAX);
        let backend = backend.await?;
        let backend = String::from_utf8(backend).map_err(|_| Error::Refused(Errno::EINVAL))?;
        let peer = DomId::of_domain(peer.await?).ok_or(Error::Refused(Errno::ENOENT))?;
        // All that a front end looks at first, with one notification.
        let watch = xenstore::watch(&format!("{backend}/state"));
        let online = read_number(&format!("{backend}/online"), 0..=1, 1);
        let left = read_state(&format!("{path}/state"));
        let watch = watch.await?;
        let (online, left) = (online.await? == 1, left.await?);
        Ok(Self { path, backend, peer, watch, generation, online, left })
    }

    /// Returns the back end's domain, as [`find`](Self::find) read it (rule G7). Grant pages to no
    /// other.
    #[must_use]
    pub const fn peer(&self) -> DomId {
        self.peer
    }

    /// Returns whether the toolstack keeps the device, as [`find`](Self::find) read it (the node
    /// `online` of the back end): one that is being removed must not be connected.
    #[must_use]
    pub const fn is_online(&self) -> bool {
        self.online
    }

    /// Returns the state in which [`find`](Self::find) saw the front end: where a former one left
    /// it, or `Initialising`.
    #[must_use]
    pub const fn left(&self) -> XenbusState {
        self.left
    }

    /// Returns the path of the back end's directory.
    #[must_use]
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// Returns the path of node `name` in the front end's directory.
    #[must_use]
    pub fn ours(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    /// Returns the path of node `name` in the back end's directory.
    #[must_use]
    pub fn theirs(&self, name: &str) -> String {
        format!("{}/{name}", self.backend)
    }

    /// Reads several numbers of the back end with one notification. Each of `wanted` is the name
    /// of a node, the largest value to accept, and the default for everything else.
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

    /// Announces the state of the front end.
    ///
    /// # Errors
    /// When xenstore fails: see [`Error`]. `Refused(EAGAIN)`, and nothing is written, when the guest is
    /// another domain by now, whose device of the same number this is not.
    pub async fn announce(&self, state: XenbusState) -> Result<(), Error> {
        self.is_of_now()?;
        self.tell(state).await
    }

    fn tell(&self, state: XenbusState) -> Done {
        xenstore::write(&self.ours("state"), format!("{}", state as u32).as_bytes())
    }

    fn is_of_now(&self) -> Result<(), Error> {
        match self.generation.is_current() {
            true => Ok(()),
            false => Err(Error::Refused(Errno::EAGAIN)),
        }
    }

    /// Writes `settings`, pairs of a name and a value, and then announces the state of the front
    /// end, all with one notification. xenstored takes requests in their order and the back end
    /// reads the settings when it sees the state, so this needs no transaction, which could
    /// collide with unrelated changes.
    ///
    /// # Errors
    /// As of [`announce`](Self::announce). The state may be announced all the same, before a back
    /// end that lacks a setting, and has to be taken back.
    pub async fn announce_with(
        &self,
        state: XenbusState,
        settings: &[(impl AsRef<str>, impl Display)],
    ) -> Result<(), Error> {
        self.is_of_now()?;
        let write = |(name, value): &(_, _)| {
            let name: &str = AsRef::as_ref(name);
            xenstore::write(&self.ours(name), format!("{value}").as_bytes())
        };
        let all: Vec<Done> = settings.iter().map(write).collect();
        let announced = self.tell(state);
        for done in all {
            done.await?;
        }
        announced.await
    }

    /// Reads the back end's state.
    ///
    /// # Errors
    /// When xenstore fails: see [`Error`].
    pub async fn state(&self) -> Result<XenbusState, Error> {
        read_state(&self.theirs("state")).await
    }

    /// Waits until the back end's state may have changed. That includes announcing the same state
    /// again, which back ends do when other nodes of theirs have changed, such as a disk's size.
    ///
    /// # Errors
    /// When xenstore fails: see [`Error`].
    pub const fn changed(&self) -> Changed<'_> {
        self.watch.changed()
    }

    /// Waits until `accept` returns true for the back end's state, and returns that state.
    /// `accept` is called at once, and whenever the state may have changed.
    ///
    /// # Errors
    /// When xenstore fails: see [`Error`].
    pub async fn wait_until(
        &self,
        accept: &dyn Fn(XenbusState) -> bool,
    ) -> Result<XenbusState, Error> {
        loop {
            // What changed until here is read below.
            self.watch.see();
            let state = self.state().await?;
            if accept(state) {
                return Ok(state);
            }
            self.watch.changed().await?;
        }
    }

    /// Returns whether the front end's directory still names the same back end. After the device
    /// was detached and attached again, or its driver domain restarted, it names another one. In
    /// another [generation](crate::generation) it is another one, also of that name.
    ///
    /// # Errors
    /// When xenstore fails: see [`Error`].
    pub async fn is_current(&self) -> Result<bool, Error> {
        if !self.generation.is_current() {
            return Ok(false);
        }
        match xenstore::read(&self.ours("backend")).await {
            Ok(backend) => Ok(backend == self.backend.as_bytes() && self.generation.is_current()),
            Err(Error::Refused(Errno::EAGAIN)) => Ok(self.generation.is_current()),
            Err(Error::Refused(Errno::ENOENT)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
