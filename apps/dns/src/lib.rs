//! Asks name servers for the addresses of names, as host(1) does.

#![no_std]
#![forbid(unsafe_code)]

use core::fmt;
use xenith::ip::{Error, Resolve};
use xenith::println;
use xenith::text::Escaped;

/// How many of the names have no address, and why the last one has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Of all names.
    missing: usize,
    last: Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.missing == 1 { "name has" } else { "names have" };
        write!(f, "{} {plural} no address that could be found: {}", self.missing, self.last)
    }
}

/// Prints the addresses of `names`, which commas separate.
///
/// # Errors
/// [`Failure`], after all of them were asked for.
pub async fn start<I: Resolve>(ip: I, names: &str) -> Result<(), Failure> {
    let mut failure: Option<Failure> = None;
    for name in names.as_bytes().split(|&byte| byte == b',') {
        // At commas, which are whole characters.
        let name = core::str::from_utf8(name).unwrap_or_default();
        match ip.resolve(name).await {
            Ok(addresses) => {
                for address in addresses {
                    let version = if address.is_ipv4() { "address" } else { "IPv6 address" };
                    println!("{name} has {version} {address}");
                }
            }
            Err(error) => {
                println!("{}: {error}", Escaped(name.as_bytes()));
                let missing = failure.map_or(0, |failure| failure.missing) + 1;
                failure = Some(Failure { missing, last: error });
                if error == Error::Down {
                    break;
                }
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use core::cell::RefCell;
    use std::string::{String, ToString};
    use std::vec::Vec;
    use xenith::ip::Addresses;

    #[derive(Default)]
    struct Server(RefCell<Vec<String>>);

    impl Resolve for &Server {
        async fn resolve(&self, name: &str) -> Result<Addresses, Error> {
            self.0.borrow_mut().push(name.into());
            match name {
                "a" => Ok(["10.0.0.1", "fd00::1"].iter().map(|it| it.parse().unwrap()).collect()),
                "late" => Err(Error::TimedOut),
                _ => Err(Error::NoSuchName),
            }
        }
    }

    #[test]
    fn every_name_is_asked_for_and_what_is_missing_is_counted() {
        let server = Server::default();
        let run = |names: &str| xenith::task::block_on(start(&server, names));
        assert_eq!(run("a"), Ok(()));
        assert_eq!(run("a,b"), Err(Failure { missing: 1, last: Error::NoSuchName }));
        let failure = run("b,late,a").unwrap_err();
        assert_eq!(
            failure.to_string(),
            "2 names have no address that could be found: the peer does not answer"
        );
        assert_eq!(server.0.take(), ["a", "a", "b", "b", "late", "a"]);
    }
}
