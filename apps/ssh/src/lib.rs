//! Is a console in the guest, by SSH: for who has a key, with a handful of commands, also as
//! `ssh guest metrics`.
//!
//! The protocol is by the crate `sunset`: curve25519-sha256, Ed25519, ChaCha20-Poly1305 or AES-256
//! in counter mode. Clients log in by a public key alone. A connection that has not logged in has
//! little time and few bytes to do so; both those and the others are counted and bounded, and of the
//! former the oldest gives way to a new one.
//!
//! `sunset` has no way for a server to end a channel, or to give a status: a client is told of the
//! end by that of the connection, and `ssh` exits with 255.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(test)]
mod client;
mod keys;
mod places;
mod session;
mod shell;
#[cfg(test)]
mod tests;

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use keys::Public;
use places::{Place, Places};
use session::Shared;
use shell::Commands;
use xenith::args::Several;
use xenith::entropy::Unseeded;
use xenith::ip::{self, Listener, Stream, Tcp, any};
use xenith::sync::Signal;
use xenith::task::{Either, Task, select, try_spawn};
use xenith::time::{Instant, timeout};

/// Why it ends, or does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The network.
    Network(ip::Error),
    /// Nobody may log in.
    Nobody,
    /// This is no public key of Ed25519 as in `authorized_keys`.
    Public(&'static str),
    /// `key=` is none.
    Private,
    /// There is no source of randomness.
    Entropy(Unseeded),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(error) => error.fmt(f),
            Self::Nobody => f.write_str("nobody may log in: give authorized="),
            Self::Public(text) => {
                let text = xenith::text::Escaped(text.as_bytes());
                write!(f, "authorized={text}: that is no line such as \"ssh-ed25519 AAAA... me\"")
            }
            Self::Private => f.write_str(
                "key= is no private key: give what openssl genpkey -algorithm ed25519 prints between \
                 its first and its last line",
            ),
            Self::Entropy(error) => error.fmt(f),
        }
    }
}

impl From<ip::Error> for Error {
    fn from(error: ip::Error) -> Self {
        Self::Network(error)
    }
}

/// What the user says.
#[derive(Clone, Debug)]
pub struct Args {
    /// The port to listen on.
    pub port: u16,
    /// Who may log in, as lines of `authorized_keys`.
    pub authorized: Several,
    /// The guest's private key, in base64; a new one if none.
    pub key: Option<&'static str>,
    /// How many may be logged in at a time.
    pub sessions: usize,
    /// Time to log in.
    pub login: Duration,
    /// Time of silence.
    pub idle: Duration,
}

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    sessions: usize,
    login: Duration,
    idle: Duration,
}

/// Serves until the network is down, the toolstack asks for the end, or somebody who is logged in
/// does.
///
/// # Errors
/// See [`Error`].
pub async fn start<T: Tcp>(ip: T, args: Args) -> Result<(), Error> {
    let mut authorized = Vec::new();
    for line in &*args.authorized {
        authorized.push(Public::parse(line).ok_or(Error::Public(line))?);
    }
    if authorized.is_empty() {
        return Err(Error::Nobody);
    }
    if args.key.is_some_and(|key| !keys::is_private(key)) {
        return Err(Error::Private);
    }
    let (host, public) = keys::host(args.key).map_err(Error::Entropy)?;
    let limits = Limits { sessions: args.sessions, login: args.login, idle: args.idle };
    let shared = Shared { host, authorized, commands: Commands::new(), limits };
    let listener = ip.bind(any(args.port)).await?;
    let fingerprint = public.fingerprint();
    xenith::println!("ssh: the key of this guest is {fingerprint}");
    xenith::println!("ssh: listening on port {}", listener.local_addr().port());
    let poweroff = Rc::new(Signal::new());
    let serving = connections(&listener, Rc::new(shared), &poweroff);
    let asked = select(xenith::shutdown_requested(), poweroff.wait());
    match select(core::pin::pin!(serving), core::pin::pin!(asked)).await {
        Either::First(error) => Err(error.into()),
        Either::Second(_) => Ok(()),
    }
}

async fn connections<L: Listener>(
    listener: &L,
    shared: Rc<Shared>,
    poweroff: &Rc<Signal<()>>,
) -> ip::Error
where
    L::Stream: 'static,
{
    let places = Rc::new(Places::default());
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(ip::Error::Exhausted) => continue,
            Err(error) => return error,
        };
        let (shared, poweroff) = (Rc::clone(&shared), Rc::clone(poweroff));
        let Some(place) = Place::take(&places) else {
            stream.abort();
            continue;
        };
        let task = try_spawn(connection(stream, peer, shared, place, poweroff));
        // Without memory for it, the connection is closed.
        task.into_iter().for_each(Task::detach);
    }
}

/// Serves one connection, which has its place until it is closed or another takes that.
async fn connection<S: Stream>(
    mut stream: S,
    peer: SocketAddr,
    shared: Rc<Shared>,
    mut place: Place,
    poweroff: Rc<Signal<()>>,
) {
    let lost = place.lost();
    let serving = async {
        let end = session::serve(&mut stream, &shared, &mut place).await;
        match end.result {
            Ok(()) => {
                // What the client does not take within its time is lost.
                let left = end.until.saturating_duration_since(Instant::now());
                if timeout(left, stream.close()).await.is_err() {
                    log::info!("{peer}: {}", session::Error::Late);
                    stream.abort();
                }
            }
            Err(error) => log::info!("{peer}: {error}"),
        }
        // It was asked for, whatever became of the connection.
        if end.poweroff {
            log::info!("{peer} ends the app");
            poweroff.signal(());
        }
    };
    let ended = select(core::pin::pin!(serving), core::pin::pin!(lost.wait())).await;
    if let Either::Second(()) = ended {
        log::info!("{peer}: {}", session::Error::Lost);
        stream.abort();
    }
}
