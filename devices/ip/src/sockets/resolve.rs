//! Names, as Linux's C library finds them: it blocks, so a thread of its own asks.

use crate::{Addresses, Error, dns};
use alloc::string::ToString;
use alloc::sync::Arc;
use core::future::poll_fn;
use core::net::IpAddr;
use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};
use kernel::machine::watch::{Interest, Watched};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::thread;

/// All addresses of `name`, in the C library's order (RFC 6724).
pub(super) async fn resolve(name: &str) -> Result<Addresses, Error> {
    if let Ok(address) = name.parse() {
        return Ok(core::iter::once(address).collect());
    }
    dns::encode(name)?;
    let name = name.to_string();
    beside(move || ask(&name)).await
}

/// Calls `ask`, which may block, in a thread of its own, and waits for what it returns.
async fn beside<F>(ask: F) -> Result<Addresses, Error>
where
    F: FnOnce() -> Result<Addresses, Error> + Send + 'static,
{
    let (here, there) = UnixStream::pair().map_err(|_| Error::Exhausted)?;
    here.set_nonblocking(true).map_err(|_| Error::Exhausted)?;
    let found = Arc::new(Mutex::new(Err(Error::Exhausted)));
    let answer = Arc::clone(&found);
    let ask = move || {
        let result = ask();
        if let Ok(mut answer) = answer.lock() {
            *answer = result;
        }
        // Its end is what is waited for.
        drop(there);
    };
    thread::Builder::new().name("names".into()).spawn(ask).map_err(|_| Error::Exhausted)?;
    let here = Watched::new(here);
    let ended = poll_fn(|context| {
        here.poll(Interest::Read, context, |here| rustix::io::read(here, &mut [0]))
    });
    ended.await.map_err(super::error)?;
    found.lock().map_or(Err(Error::Exhausted), |found| found.clone())
}

/// The same, blocking.
fn ask(name: &str) -> Result<Addresses, Error> {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    let found = getaddrinfo(Some(name), None, Some(hints)).map_err(|error| match error.kind() {
        LookupErrorKind::NoName | LookupErrorKind::NoData => Error::NoSuchName,
        LookupErrorKind::Again => Error::TimedOut,
        LookupErrorKind::Memory => Error::Exhausted,
        _ => Error::BadName,
    })?;
    let mut addresses = Addresses::new();
    for address in found.filter_map(Result::ok).map(|info| info.sockaddr.ip()) {
        let new = |address: &IpAddr| !addresses.contains(address);
        if new(&address) && addresses.push(address).is_err() {
            break;
        }
    }
    if addresses.is_empty() { Err(Error::NoSuchName) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::task::{block_on, select};
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn other_tasks_run_while_the_c_library_blocks() {
        let (turn, turns) = mpsc::channel();
        // Nothing but a turn of the other task ends this in time.
        let ask = move || match turns.recv_timeout(Duration::from_secs(60)) {
            Ok(()) => Ok(core::iter::once(IpAddr::from([127, 0, 0, 1])).collect()),
            Err(_) => Err(Error::TimedOut),
        };
        let other = async {
            turn.send(()).unwrap();
            core::future::pending::<()>().await;
        };
        let found = block_on(select(core::pin::pin!(beside(ask)), core::pin::pin!(other)));
        assert!(matches!(found, kernel::task::Either::First(Ok(_))));
    }
}
