//! Says why something cannot be done now: it never will, it has to wait, or a page of a file has
//! to be read first.

use crate::errno::Errno;
use alloc::boxed::Box;
use alloc::rc::Rc;
use core::fmt;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};
use kernel::task::yield_now;
use kernel::user::Frame;

/// A future without a type of its own.
pub type Boxed<T> = Pin<Box<dyn Future<Output = T>>>;

/// Boxes what reads a disk, or fails with `ENOMEM` when it is polled: as many do so at a time as
/// programs wait for pages, and where there is no memory for one of them, that is no end of the others.
pub(crate) fn boxed<T: 'static>(
    future: impl Future<Output = Result<T, Errno>> + 'static,
) -> Boxed<Result<T, Errno>> {
    /// What takes no memory.
    struct NoMemory<T>(PhantomData<fn() -> T>);

    impl<T> Future for NoMemory<T> {
        type Output = Result<T, Errno>;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(Err(Errno::ENOMEM))
        }
    }

    match kernel::memory::boxed(future) {
        Ok(future) => Box::into_pin(future),
        Err(_) => Box::pin(NoMemory(PhantomData)),
    }
}

/// Why something cannot be done now.
#[derive(Debug)]
pub enum Stop {
    /// It never will.
    Fail(Errno),
    /// It would have to wait until the [`Watch`](crate::watch::Watch) of the file is raised. Only
    /// files return it: see [`blocking`](crate::call::blocking).
    Wait,
    /// A page of a file has to be in memory first.
    Load(Load),
}

impl Stop {
    /// Returns the error that it is to a call that has waited already and cannot begin again: a
    /// page of the program that is gone meanwhile is `EFAULT`.
    #[must_use]
    pub fn after_wait(self) -> Errno {
        match self {
            Self::Fail(errno) => errno,
            Self::Wait | Self::Load(_) => Errno::EFAULT,
        }
    }
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Fail(errno)
    }
}

impl From<Load> for Stop {
    fn from(load: Load) -> Self {
        Self::Load(load)
    }
}

/// The pages of a file that are in memory, which all maps and reads of it share: its page cache.
pub trait Pages {
    /// Returns page `index`, if it is in memory. Beyond the end of the file there is none.
    fn frame(&self, index: u64) -> Option<Frame>;

    /// Returns how many bytes the file has.
    fn size(&self) -> u64;

    /// Reads page `index`, and as many behind it as it finds good, into memory.
    fn load(self: Rc<Self>, index: u64) -> Boxed<Result<(), Errno>>;

    /// Page `index` may be written from now on (a shared map of it is writable).
    ///
    /// # Errors
    /// `EACCES` for a file that cannot change.
    fn dirty(&self, index: u64) -> Result<(), Errno>;
}

/// A page that has to be read before something can be done.
#[derive(Clone)]
pub struct Load {
    /// Of which file.
    pub pages: Rc<dyn Pages>,
    /// Which page.
    pub index: u64,
}

/// Bytes that a call moves without waiting, before others run and signals come first.
pub(crate) const TURN: usize = 1 << 20;

impl Load {
    /// Makes one of nothing: others run before what is long goes on.
    #[must_use]
    pub fn turn() -> Self {
        Self { pages: Rc::new(Turn), index: 0 }
    }

    /// Waits until the page is there.
    ///
    /// # Errors
    /// The disk's: `EIO`; `ENOMEM`.
    pub async fn wait(self) -> Result<(), Errno> {
        self.pages.load(self.index).await
    }
}

/// What is no file: to load it is to let others run.
struct Turn;

impl Pages for Turn {
    fn frame(&self, _: u64) -> Option<Frame> {
        None
    }

    fn size(&self) -> u64 {
        0
    }

    fn load(self: Rc<Self>, _: u64) -> Boxed<Result<(), Errno>> {
        Box::pin(async {
            yield_now().await;
            Ok(())
        })
    }

    fn dirty(&self, _: u64) -> Result<(), Errno> {
        Err(Errno::EACCES)
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load").field("index", &self.index).finish_non_exhaustive()
    }
}

/// Does what may have to read a disk first, until it has.
///
/// # Errors
/// Those of `attempt` and of the disk; `EAGAIN` where it would have to wait for something else.
pub async fn loaded<T>(mut attempt: impl FnMut() -> Result<T, Stop>) -> Result<T, Errno> {
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(Stop::Fail(errno)) => return Err(errno),
            Err(Stop::Wait) => return Err(Errno::EAGAIN),
            Err(Stop::Load(load)) => load.wait().await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::task::block_on;
    use kernel::testing::{simulate_memory, simulate_memory_use};

    #[test]
    fn what_reads_a_disk_fails_where_there_is_no_memory_for_it_s8() {
        let read = |bytes: [u8; 100]| boxed(async move { Ok(bytes.len()) });
        assert_eq!(block_on(read([0; 100])), Ok(100));
        simulate_memory(1 << 20);
        simulate_memory_use(1 << 20);
        let none = read([0; 100]);
        simulate_memory_use(0);
        assert_eq!(block_on(none), Err(Errno::ENOMEM));
    }
}
