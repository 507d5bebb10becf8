//! Publishes messages to an MQTT broker, and prints those that others publish, as `mosquitto_pub`
//! and `mosquitto_sub -v` do: MQTT 5.0 with all three qualities of service.
//!
//! A connection that breaks is made again, later and later, for as long as it takes. The broker
//! keeps the session meanwhile, and what was on its way is finished then: at quality 2, exactly
//! once.
//!
//! The protocol is by the crate `rust-mqtt`, which is without a standard library. There is no TLS:
//! everything is in clear on the network, also the password. The app `mqtts` is the same over a
//! network that encrypts.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod error;
mod session;
#[cfg(test)]
mod tests;

use alloc::format;
use core::time::Duration;
use embedded_io_async::Write;
use error::Error;
use session::Session;
use xenith::Exit;
use xenith::args::Several;
use xenith::ip::{Resolve, Tcp};
use xenith::time::{Instant, sleep, timeout};

/// How long to wait before the connection is made again: at first, and at most.
const WAIT: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// What the user says.
#[derive(Clone, Debug)]
pub struct Args {
    /// The broker's name or address, and its port.
    pub broker: &'static str,
    /// See [`broker`](Self::broker).
    pub port: u16,
    /// The name by which the broker knows the session.
    pub id: &'static str,
    /// Who logs in.
    pub user: Option<&'static str>,
    /// With which password.
    pub password: Option<&'static str>,
    /// What is published, as `TOPIC=MESSAGE`, in its order.
    pub publish: Several,
    /// Whether the broker is to keep what is published for later subscribers.
    pub retain: bool,
    /// Filters of topics.
    pub subscribe: Several,
    /// The quality of service of what is published, and the best one of what is received.
    pub quality: u8,
    /// How many messages are received before it ends; with 0 it does not.
    pub count: u32,
    /// Seconds after which a silent broker is asked whether it is there.
    pub keepalive: u16,
    /// The most bytes of a packet of the broker.
    pub limit: u32,
    /// How long an answer may take.
    pub patience: Duration,
}

/// Publishes, and prints what is received to `console`. Returns 0 when all of it is done; 4 where
/// the broker does not let it in, 5 where it refuses a message or a filter, or an argument makes no
/// sense, and 1 when the console fails.
pub async fn start<C: Write, I: Tcp + Resolve>(mut console: C, ip: I, args: Args) -> Exit {
    let failed = match run(&mut console, &ip, &args).await {
        Ok(()) => return Exit::SUCCESS,
        Err(error) => error,
    };
    let told = console.write_all(format!("mqtt: {failed}\n").as_bytes()).await;
    if told.is_ok() { failed.exit() } else { Exit::FAILURE }
}

/// Goes on until everything is done, in as many connections as that takes.
async fn run<C: Write, I: Tcp + Resolve>(
    console: &mut C,
    ip: &I,
    args: &Args,
) -> Result<(), Error> {
    let mut session = Session::new(args)?;
    let mut wait = WAIT[0];
    loop {
        let error = match connect(ip, args).await {
            Ok(stream) => {
                let begun = Instant::now();
                match session.run(stream, console).await {
                    Ok(()) => return Ok(()),
                    Err(error) => {
                        // One that lets clients in and then fails is to have the longer pauses too.
                        if session.take_progress() || begun.elapsed() >= WAIT[1] {
                            wait = WAIT[0];
                        }
                        error
                    }
                }
            }
            Err(error) => error,
        };
        // A broker that is not who it should be is an error, as long as it never was; later it may
        // come to have a certificate that is good again.
        let is_stranger = I::SECURE && error.is_of_trust() && !session.is_known();
        if is_stranger || !error.passes() {
            return Err(error);
        }
        log::warn!("{}:{}: {error}; trying again in {} s", args.broker, args.port, wait.as_secs());
        sleep(wait).await;
        wait = (wait * 2).min(WAIT[1]);
    }
}

/// Connects to the first address of the broker that accepts. Each has its share of the time, so that
/// one that is silent leaves some to the next.
async fn connect<I: Tcp + Resolve>(ip: &I, args: &Args) -> Result<I::Stream, Error> {
    let found = timeout(args.patience, ip.resolve(args.broker)).await;
    let found = found.map_err(|_| Error::Late)?.map_err(Error::Network)?;
    let share = args.patience / u32::try_from(found.len()).unwrap_or(u32::MAX).max(1);
    let mut last = Error::Network(xenith::ip::Error::NoSuchName);
    for addr in found {
        match timeout(share, ip.connect((addr, args.port).into())).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = Error::Network(error),
            Err(_) => last = Error::Late,
        }
    }
    Err(last)
}
