//! Declares echo requests.

use crate::error::Error;
use core::net::IpAddr;
use core::time::Duration;

/// Asks whether a machine is there, by ICMP echo requests (RFC 792; RFC 4443, section 4.1).
/// Requests of other machines are answered without it.
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub mod ip { pub use xenith_ip::*; } }
///
/// use core::net::IpAddr;
/// use core::time::Duration;
/// use xenith::ip::{Error, Ping, Stack};
/// use xenith::task::block_on;
///
/// /// Tells whether a machine answers within a second.
/// async fn is_up<P: Ping>(ping: &P, addr: IpAddr) -> Result<bool, Error> {
///     match ping.ping(addr, 56, Duration::from_secs(1)).await {
///         Ok(_) => Ok(true),
///         Err(Error::TimedOut | Error::Unreachable) => Ok(false),
///         Err(error) => Err(error),
///     }
/// }
///
/// # use core::net::Ipv4Addr;
/// # use xenith::ip::config::{Ipv4, Settings};
/// # use xenith::net::cable::{Options, cable};
/// # fn at(last: u8) -> Settings {
/// #     let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
/// #     Settings { ipv4, ..Settings::default() }
/// # }
/// # xenith::testing::simulate_time();
/// block_on(async {
///     let (left, right) = cable(Options::default());
///     let (here, _there) = (Stack::start(left, at(1))?, Stack::start(right, at(2))?);
///     assert!(is_up(&here, "10.0.0.2".parse().unwrap()).await?);
///     assert!(!is_up(&here, "10.0.0.9".parse().unwrap()).await?);
///     Ok::<(), Error>(())
/// })?;
/// # Ok::<(), Error>(())
/// ```
pub trait Ping {
    /// Sends an echo request with `payload` bytes of data to `addr`, waits for the reply, for
    /// `limit` at most, and returns the round-trip time.
    ///
    /// # Errors
    /// [`TimedOut`](Error::TimedOut) after `limit`, [`Unreachable`](Error::Unreachable)
    /// without a route, or when a router says so, [`TooLong`](Error::TooLong) if the request does
    /// not fit the interface or its path, [`Denied`](Error::Denied) if Linux does not let this user ask,
    /// [`Exhausted`](Error::Exhausted), [`NoEntropy`](Error::NoEntropy),
    /// [`Down`](Error::Down).
    fn ping(
        &self,
        addr: IpAddr,
        payload: usize,
        limit: Duration,
    ) -> impl Future<Output = Result<Duration, Error>>;
}
