//! Errors of the IP stack as errors of Linux.

use crate::errno::Errno;
use core::task::Poll;
use ip::Error;

/// Returns the number that Linux gives the error.
pub(super) const fn errno(error: Error) -> Errno {
    match error {
        Error::InUse(_) => Errno::EADDRINUSE,
        Error::AddrNotAvailable => Errno::EADDRNOTAVAIL,
        Error::Refused => Errno::ECONNREFUSED,
        Error::Reset => Errno::ECONNRESET,
        Error::Closed => Errno::EPIPE,
        Error::TimedOut => Errno::ETIMEDOUT,
        Error::Unreachable => Errno::ENETUNREACH,
        Error::TooLong => Errno::EMSGSIZE,
        Error::Exhausted => Errno::ENOBUFS,
        Error::Denied => Errno::EACCES,
        Error::Down => Errno::ENETDOWN,
        Error::Unsupported => Errno::EOPNOTSUPP,
        _ => Errno::EIO,
    }
}

/// Returns what a future of the stack gives that never waits, as it only changes tables.
///
/// # Errors
/// `EAGAIN` if it does wait.
pub(super) fn now<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Errno> {
    let mut context = core::task::Context::from_waker(core::task::Waker::noop());
    match core::pin::pin!(future).poll(&mut context) {
        Poll::Ready(result) => result.map_err(errno),
        Poll::Pending => Err(Errno::EAGAIN),
    }
}
