//! Sends the log of an app to a syslog server by TLS (RFC 5425): `syslog`, with TLS below it, which
//! trusts whom `fetchs` trusts.
//!
//! Any app with a network and a disk of roots does so that calls [`send`] first. The server has to
//! prove that it is the host of `syslog=tls://HOST`. One that does not is told nothing, and tried
//! again as one that is away, as it may get another certificate; why is on the console, where also is
//! what TLS logs about these connections, as a line about one would wait for the next.
//!
//! What waits for the server, what is lost, and the end are as in `syslog`. A connection is used once
//! it has lasted for a second: by TLS 1.3 a server judges the client's certificate after the client's
//! handshake is done, and what was sent to it until then would be lost.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod error;
mod server;
#[cfg(test)]
mod tests;
mod way;

use alloc::rc::Rc;
use core::time::Duration;
pub use error::Error;
use fetchs::trust;
pub use server::Server;
use syslog::FAREWELL;
use way::{End, Secure};
use xenith::Exit;
use xenith::args::Several;
use xenith::block::Block;
use xenith::ip::{Resolve, Tcp};
use xenith::task::Task;
use xenith::time::timeout;

/// What the manifest explains.
#[derive(Clone, Debug)]
pub struct Args {
    /// Where the log goes.
    pub syslog: Server,
    /// The machine's name in messages.
    pub host: &'static str,
    /// What to log.
    pub line: Several,
    /// The time between lines.
    pub pause: Duration,
    /// Fingerprints of certificates that are trusted, in place of those on the disk.
    pub sha256: Several,
    /// Whether TLS 1.2 is spoken.
    pub tls12: bool,
}

/// Is a log that is sent, once by a machine.
#[must_use = "dropping it ends it: keep it, and finish it"]
pub struct Log {
    task: Task<()>,
    end: Rc<End>,
}

impl Log {
    /// Sends what waits, and ends the connection by TLS's own end (`close_notify`), within 3 s. A server
    /// that was away is tried at once, and then each second. The last thing that an app does: once it has
    /// returned, the stack ends each connection as it is.
    pub async fn finish(self) {
        self.end.tell();
        // What is not sent by then is lost.
        let _ = timeout(FAREWELL, self.task).await;
    }
}

/// Sends what is logged from now on to `server`, with `host` as this machine's name, until that is
/// finished or dropped. The server needs a certificate that the roots on the disk vouch for, or one of
/// `fingerprints` if there are any; behind the roots may stand who this machine is.
///
/// # Errors
/// [`Error::Trust`] if what is to be trusted cannot be used, [`Error::Taken`] if somebody reads the log
/// already. What happens to connections is told on the console alone.
///
/// # Example
/// ```
/// use syslogs::Server;
/// use xenith::args::Several;
/// use xenith::block::Block;
/// use xenith::ip::{Resolve, Tcp};
///
/// /// An app whose manifest has `syslog: Server` and `sha256: Several` among its arguments, and a disk.
/// async fn start<I: Tcp + Resolve + Clone + 'static>(
///     ip: I,
///     roots: impl Block,
///     syslog: Server,
///     sha256: Several,
/// ) -> Result<(), syslogs::Error> {
///     let log = syslogs::send(ip.clone(), &roots, syslog, "web-3", &sha256, false).await?;
///     // What the app is for, with `ip`; and at the end:
///     log.finish().await;
///     Ok(())
/// }
/// ```
pub async fn send<I: Tcp + Resolve + 'static>(
    ip: I,
    roots: &impl Block,
    server: Server,
    host: &'static str,
    fingerprints: &[&'static str],
    tls12: bool,
) -> Result<Log, Error> {
    let options = trust::options(roots, fingerprints, tls12).await?;
    let config = options.build().map_err(trust::Error::Roots)?;
    let end = Rc::new(End::default());
    let task = syslog::send(Secure::new(ip, server, config, Rc::clone(&end)), host);
    let task = task.ok_or(Error::Taken)?;
    Ok(Log { task, end })
}

/// Logs lines, as [`syslog::start`] does. Returns when the toolstack asks for the end, or at once
/// where they cannot be [sent](send).
pub async fn start<I: Tcp + Resolve + 'static>(ip: I, roots: impl Block, args: Args) -> Exit {
    let Args { syslog, host, line, pause, sha256, tls12 } = args;
    match send(ip, &roots, syslog, host, &sha256, tls12).await {
        Ok(log) => {
            syslog::start((), line, pause).await;
            log.finish().await;
            Exit::SUCCESS
        }
        Err(error) => {
            xenith::println!("error: {error}");
            Exit::USAGE
        }
    }
}
