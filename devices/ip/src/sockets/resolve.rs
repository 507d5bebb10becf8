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
    let (here, there) = UnixStream::pair().map_err(|_| Error::Exhausted)?;
    here.set_nonblocking(true).map_err(|_| Error::Exhausted)?;
    let found = Arc::new(Mutex::new(Err(Error::Exhausted)));
    let (name, answer) = (name.to_string(), Arc::clone(&found));
    let ask = move || {
        let result = ask(&name);
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
