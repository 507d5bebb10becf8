//! How long to wait for a DHCP server, and what is said about it.

use super::config::SERVERS;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use kernel::time::Instant;

/// The first wait for an answer; each further one is twice as long (RFC 2131, section
/// 4.1), up to the [longest](LONGEST).
pub(super) const FIRST: Duration = Duration::from_secs(4);
const LONGEST: Duration = Duration::from_secs(64);

/// At the longest wait, only every so many lines are logged.
const RARELY: u32 = 10;

/// The search for a server. It never ends without one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    wait: Duration,
    /// When the wait is over; nothing when there is a lease.
    until: Option<Instant>,
    turns: u32,
}

impl Retry {
    /// It begins, with a request that is sent at once.
    pub(super) fn new(now: Instant) -> Self {
        Self { wait: FIRST, until: Some(now.saturating_add(FIRST)), turns: 0 }
    }

    /// There is a lease.
    pub(super) const fn done(&mut self) {
        self.until = None;
    }

    pub(super) const fn is_done(&self) -> bool {
        self.until.is_none()
    }

    /// When to look again.
    pub(super) const fn next(&self) -> Option<Instant> {
        self.until
    }

    /// If nobody answered in time: how long to wait for the answer to the request that
    /// is due now.
    pub(super) fn turn(&mut self, now: Instant) -> Option<Duration> {
        if self.until? > now {
            return None;
        }
        self.turns += 1;
        self.wait = (2 * self.wait).min(LONGEST);
        self.until = Some(now.saturating_add(self.wait));
        if self.wait < LONGEST || self.turns.is_multiple_of(RARELY) {
            let seconds = self.wait.as_secs();
            log::warn!("net: no DHCP server answers: asking again, for {seconds} s");
        }
        Some(self.wait)
    }
}

struct List<'a>(&'a [IpAddr]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, address) in self.0.iter().enumerate() {
            write!(f, "{}{address}", if at == 0 { " " } else { ", " })?;
        }
        if self.0.is_empty() { f.write_str(" none") } else { Ok(()) }
    }
}

/// What a server gave.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) address: Ipv4Addr,
    pub(super) bits: u8,
    pub(super) router: Option<Ipv4Addr>,
    pub(super) servers: heapless::Vec<IpAddr, SERVERS>,
}

impl Lease {
    /// Says so.
    pub(super) fn log(&self) {
        let Self { address, bits, router, servers } = self;
        let servers = List(servers);
        match router {
            Some(router) => {
                log::info!("net: {address}/{bits} by DHCP, gateway {router}, dns{servers}");
            }
            None => log::info!("net: {address}/{bits} by DHCP, no gateway, dns{servers}"),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    #[test]
    fn waits_double_up_to_64_seconds() {
        kernel::machine::simulate_time();
        let mut now = Instant::now();
        let mut retry = Retry::new(now);
        let mut waits = Vec::new();
        for _ in 0..6 {
            assert_eq!(retry.turn(now), None);
            now = retry.next().unwrap();
            waits.push(retry.turn(now).unwrap().as_secs());
        }
        assert_eq!(waits, [8, 16, 32, 64, 64, 64]);
        retry.done();
        assert_eq!(retry.turn(now.saturating_add(LONGEST * 9)), None);
    }

    #[test]
    fn lists_read_well() {
        let servers = ["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        assert_eq!(std::format!("{}", List(&servers)), " 10.0.0.1, fd00::1");
        assert_eq!(std::format!("{}", List(&[])), " none");
    }
}
