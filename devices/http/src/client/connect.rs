//! A connection with one of the addresses that a name has (RFC 8305, section 5): the next
//! one is tried when one fails, and beside one that does not answer.

use super::{Error, Limits};
use crate::Url;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::net::{IpAddr, SocketAddr};
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;
use ip::{Resolve, Tcp};
use kernel::time::timeout;

/// How long an address is alone with its chance.
const HEAD_START: Duration = Duration::from_millis(250);

/// In which order addresses are tried: as they came, but both families in turns, since
/// often one of them leads nowhere.
fn in_turns(found: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let first = found.first().is_some_and(IpAddr::is_ipv6);
    let mut one = found.iter().copied().filter(move |it| it.is_ipv6() == first);
    let mut other = found.iter().copied().filter(move |it| it.is_ipv6() != first);
    let mut turn = false;
    core::iter::from_fn(move || {
        turn = !turn;
        if turn { one.next().or_else(|| other.next()) } else { other.next().or_else(|| one.next()) }
    })
}

/// Connects to one of the addresses that the URL's host has.
pub(super) async fn connect<N: Tcp + Resolve>(
    net: &N,
    url: &Url,
    limits: &Limits,
) -> Result<N::Stream, Error> {
    let found = net.resolve(url.host()).await.map_err(Error::Name)?;
    let mut waiting = in_turns(&found).map(|address| SocketAddr::new(address, url.port()));
    let mut trying: Vec<(SocketAddr, Pin<Box<_>>)> = Vec::new();
    let mut failed = Vec::new();
    loop {
        if let Some(to) = waiting.next() {
            let attempt = async move {
                let connecting = net.connect_to(url.host(), to, url.is_secure());
                let attempt = timeout(limits.connect, connecting).await;
                attempt.unwrap_or(Err(ip::Error::TimedOut))
            };
            trying.push((to, Box::pin(attempt)));
        }
        let more = failed.len() + trying.len() < found.len();
        // The first of them that comes to an end.
        let next = poll_fn(|context| {
            for at in 0..trying.len() {
                if let Poll::Ready(result) = trying[at].1.as_mut().poll(context) {
                    return Poll::Ready((trying.remove(at).0, result));
                }
            }
            Poll::Pending
        });
        let ended = match more {
            true => timeout(HEAD_START, next).await.ok(),
            false => Some(next.await),
        };
        match ended {
            Some((_, Ok(stream))) => return Ok(stream),
            Some((address, Err(error))) => failed.push((address, error)),
            None => {}
        }
        if failed.len() == found.len() {
            return Err(Error::Connect(failed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let found = ["::1", "::2", "10.0.0.1", "10.0.0.2", "10.0.0.3"];
        let found: Vec<IpAddr> = found.iter().map(|it| it.parse().unwrap()).collect();
        let order: Vec<IpAddr> = in_turns(&found).collect();
        let expected = [found[0], found[2], found[1], found[3], found[4]];
        assert_eq!(order, expected);
        assert_eq!(in_turns(&found[2..]).collect::<Vec<_>>(), found[2..]);
        assert_eq!(in_turns(&[]).count(), 0);
    }
}
