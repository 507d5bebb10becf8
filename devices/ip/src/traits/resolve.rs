//! Declares the resolution of names.

use crate::error::Error;
use core::net::IpAddr;

/// Holds the addresses of a name: 8 at most, in the order in which to try them.
pub type Addresses = heapless::Vec<IpAddr, 8>;

/// Finds the addresses of host names, by DNS (RFC 1035; RFC 3596 for IPv6). Nothing is cached.
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub mod ip { pub use xenith_ip::*; } }
///
/// use core::net::SocketAddr;
/// use xenith::ip::{Error, Resolve, Stack, Tcp};
/// use xenith::task::block_on;
///
/// /// Connects to the first address of a name that accepts.
/// async fn connect<I: Resolve + Tcp>(ip: &I, name: &str, port: u16) -> Result<I::Stream, Error> {
///     let mut last = Error::NoSuchName;
///     for addr in ip.resolve(name).await? {
///         match ip.connect(SocketAddr::new(addr, port)).await {
///             Ok(stream) => return Ok(stream),
///             Err(error) => last = error,
///         }
///     }
///     Err(last)
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
///     // An address is its own name. Nobody listens there.
///     assert_eq!(connect(&here, "10.0.0.2", 80).await.err(), Some(Error::Refused));
///     // Other names need a server.
///     assert_eq!(here.resolve("xenproject.org").await, Err(Error::NoServer));
///     Ok::<(), Error>(())
/// })?;
/// # Ok::<(), Error>(())
/// ```
pub trait Resolve {
    /// Returns the addresses of `name`, at least one: those with a route first, IPv4 before
    /// IPv6. A `name` that is an address as text stands for itself. A relative name is taken
    /// for an absolute one: there is no search list.
    ///
    /// # Errors
    /// [`NoSuchName`](Error::NoSuchName) if it does not exist or has no address,
    /// [`BadName`](Error::BadName) if it is no name, or if servers answer with a failure,
    /// [`TimedOut`](Error::TimedOut) if none answers, [`NoServer`](Error::NoServer) if none
    /// is known, [`NoEntropy`](Error::NoEntropy), [`Down`](Error::Down).
    fn resolve(&self, name: &str) -> impl Future<Output = Result<Addresses, Error>>;
}

impl<T: Resolve> Resolve for &T {
    fn resolve(&self, name: &str) -> impl Future<Output = Result<Addresses, Error>> {
        T::resolve(self, name)
    }
}
