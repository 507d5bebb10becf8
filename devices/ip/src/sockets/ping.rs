//! Echo requests, by sockets that need no rights but those that Linux gives to groups.

use super::{error, socket};
use crate::{Error, packet};
use core::future::poll_fn;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use kernel::machine::watch::{Interest, Watched};
use kernel::time::{Instant, timeout};
use rustix::io::Errno;
use rustix::net::{self, SendFlags, SocketType, ipproto};

/// Bytes of an echo request's head.
const HEAD: usize = 8;

/// Bytes of the longest IP packet.
const LONGEST: usize = 65_535;

/// Asks `to`. Linux chooses the identifier, fills in the checksum, and passes on the
/// answers with that identifier alone.
pub(super) async fn ping(to: IpAddr, payload: usize, limit: Duration) -> Result<Duration, Error> {
    let to = to.to_canonical();
    let protocol = if to.is_ipv4() { ipproto::ICMP } else { ipproto::ICMPV6 };
    let socket = socket(to, SocketType::DGRAM, Some(protocol)).map_err(|errno| {
        if errno == Errno::ACCESS {
            log::error!(
                "Linux lets this group send no echo requests; root permits that by \
                 sysctl net.ipv4.ping_group_range=\"0 2147483647\""
            );
        }
        error(errno)
    })?;
    let socket = Watched::new(socket);
    if payload > LONGEST - HEAD {
        return Err(Error::TooLong);
    }
    let mut message = alloc::vec![0; HEAD + payload];
    packet::icmp::echo_request(&mut message, to.is_ipv4(), 0);
    let begun = Instant::now();
    net::connect(&*socket, &SocketAddr::new(to, 0)).map_err(error)?;
    let exchange = async {
        poll_fn(|context| {
            socket.poll(Interest::Write, context, |it| net::send(it, &message, SendFlags::NOSIGNAL))
        })
        .await?;
        let kind = if to.is_ipv4() { 0 } else { 129 };
        loop {
            let read = poll_fn(|context| {
                socket.poll(Interest::Read, context, |it| rustix::io::read(it, &mut *message))
            });
            if read.await? >= HEAD && message.first() == Some(&kind) {
                return Ok(());
            }
        }
    };
    match timeout(limit, exchange).await {
        Ok(result) => result.map(|()| begun.elapsed()).map_err(error),
        Err(_) => Err(Error::TimedOut),
    }
}
