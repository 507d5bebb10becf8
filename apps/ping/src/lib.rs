//! Asks a machine whether it is there, as ping(8) does; and answers who asks.

#![no_std]
#![forbid(unsafe_code)]

use core::fmt;
use core::time::Duration;
use xenith::ip::{Error, Ping, Resolve};
use xenith::println;
use xenith::time::interval;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why it ended as it did not want to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The name has no address.
    Name(Error),
    /// Nobody answered.
    Silence,
    /// The network is down.
    Network(Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) | Self::Network(error) => error.fmt(f),
            Self::Silence => f.write_str("no answer came"),
        }
    }
}

/// Asks `to` `count` times, once every `every` ms, with `size` bytes; without
/// `to` it only answers, until it is asked to end.
///
/// # Errors
/// See [`Failure`].
pub async fn start<I: Ping + Resolve>(
    ip: I,
    to: Option<&str>,
    count: u32,
    every: u32,
    size: u16,
) -> Result<(), Failure> {
    let Some(to) = to else {
        println!("ping: ready");
        xenith::shutdown_requested().await;
        return Ok(());
    };
    let addresses = ip.resolve(to).await.map_err(Failure::Name)?;
    let address = *addresses.first().ok_or(Failure::Name(Error::NoSuchName))?;
    println!("PING {to} ({address}): {size} bytes of data");
    let mut rhythm = interval(Duration::from_millis(every.max(1).into()));
    let (mut received, mut sum) = (0, Duration::ZERO);
    let (mut shortest, mut longest) = (Duration::MAX, Duration::ZERO);
    for number in 1..=count {
        match ip.ping(address, size.into(), PATIENCE).await {
            Ok(time) => {
                received += 1;
                sum += time;
                shortest = shortest.min(time);
                longest = longest.max(time);
                println!("{size} bytes from {address}: seq={number} time={time:?}");
            }
            Err(Error::Down) => return Err(Failure::Network(Error::Down)),
            Err(error) => println!("to {address}: seq={number} {error}"),
        }
        if number < count {
            rhythm.tick().await;
        }
    }
    let lost = count - received;
    println!("{count} sent, {received} received, {lost} lost");
    if received == 0 {
        return Err(Failure::Silence);
    }
    let mean = sum / received;
    println!("round trip min/avg/max = {shortest:?}/{mean:?}/{longest:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use core::net::{IpAddr, Ipv4Addr};

    /// Answers after a millisecond, but not the first `deaf` times.
    struct Far {
        deaf: core::cell::Cell<u32>,
    }

    impl Ping for Far {
        async fn ping(&self, _: IpAddr, _: usize, limit: Duration) -> Result<Duration, Error> {
            let deaf = self.deaf.get();
            self.deaf.set(deaf.saturating_sub(1));
            let time = if deaf > 0 { limit } else { Duration::from_millis(1) };
            xenith::time::sleep(time).await;
            if deaf > 0 { Err(Error::TimedOut) } else { Ok(time) }
        }
    }

    impl Resolve for Far {
        async fn resolve(&self, name: &str) -> Result<xenith::ip::Addresses, Error> {
            if name != "far" {
                return Err(Error::NoSuchName);
            }
            Ok([IpAddr::V4(Ipv4Addr::LOCALHOST)].into_iter().collect())
        }
    }

    fn run(to: &str, count: u32, deaf: u32) -> Result<(), Failure> {
        xenith::testing::simulate_time();
        xenith::task::block_on(start(Far { deaf: deaf.into() }, Some(to), count, 1000, 56))
    }

    #[test]
    fn one_answer_is_enough_and_none_is_a_failure() {
        assert_eq!(run("far", 4, 0), Ok(()));
        assert_eq!(run("far", 4, 3), Ok(()));
        assert_eq!(run("far", 4, 4), Err(Failure::Silence));
        assert_eq!(run("near", 4, 0), Err(Failure::Name(Error::NoSuchName)));
    }
}
