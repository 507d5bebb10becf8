//! Two stacks on a cable, in simulated time.

extern crate std;

mod afar;
mod apart;
mod conformance;
mod dhcp;
mod dns;
mod dropped;
mod ending;
mod extensions;
mod forged;
mod fragments;
mod hostile;
mod icmp;
mod links;
mod listeners;
mod load;
mod moved;
mod neighbors;
mod pieces;
mod shared;
mod tcp;
mod time_wait;
mod udp;

use super::config::{Ipv4, Limits, Settings};
use super::*;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use devices::net::Net;
use devices::net::cable::{End, Options, cable};
use embedded_io_async::{Read, Write};
use kernel::task::block_on;
use std::vec::Vec;

const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const A6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));
const B6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));

const SECOND: Duration = Duration::from_secs(1);

/// The settings of 10.0.0.`last` and fd00::`last`, for a small machine.
fn settings(last: u8) -> Settings {
    Settings {
        ipv4: Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24),
        ipv6: Some((Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into()), 64)),
        limits: Limits::for_memory(4 << 20),
        ..Settings::default()
    }
}

fn stack<N: Net + 'static>(net: N, last: u8) -> Stack<N> {
    Stack::start(net, settings(last)).unwrap()
}

/// Runs a test with two stacks, [`A`] and [`B`].
fn pair<F: Future>(run: impl FnOnce(Stack<End>, Stack<End>) -> F) -> F::Output {
    kernel::testing::simulate_time();
    block_on(async {
        let (a, b) = cable(Options::default());
        run(stack(a, 1), stack(b, 2)).await
    })
}

/// Bytes that tell where they belong.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect()
}
