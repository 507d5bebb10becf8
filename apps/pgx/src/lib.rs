//! Asks a PostgreSQL server, over any stream: frontend/backend protocol 3.0 with SCRAM-SHA-256,
//! simple questions and such with values, errors with their SQLSTATE.
//!
//! [`Connection`] is for any app; [`start`] is one that prints answers as `psql -At` does. There is
//! no TLS: what is asked and answered is in clear on the network, and only the password is not.
//!
//! The messages are written and read here, as the crates that do so (`postgres-protocol`,
//! `tokio-postgres`) need the standard library. SHA-256, HMAC and PBKDF2 are RustCrypto's. Passwords
//! are of ASCII, as the crate for others (`stringprep`) needs it as well.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod connection;
mod error;
mod message;
mod scram;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;
pub use connection::{Connection, Login, Row};
use core::fmt::Write as _;
use core::net::SocketAddr;
use core::time::Duration;
use embedded_io_async::Write;
pub use error::{Error, Report};
use xenith::Exit;
use xenith::args::Several;
use xenith::ip::{self, Resolve, Stream, Tcp};
use xenith::text::Escaped;
use xenith::time::timeout;

/// What the user says.
#[derive(Clone, Debug)]
pub struct Args {
    /// The server's name or address, and its port.
    pub server: &'static str,
    /// See [`server`](Self::server).
    pub port: u16,
    /// Who logs in.
    pub user: &'static str,
    /// To what.
    pub database: &'static str,
    /// With which password, if with one.
    pub password: Option<&'static str>,
    /// Commands without values, in their order.
    pub run: Several,
    /// After them, a command with values.
    pub query: Option<&'static str>,
    /// Its values.
    pub value: Several,
    /// The most bytes of a row.
    pub limit: u32,
    /// How long an answer may take.
    pub patience: Duration,
}

/// Prints the answers to `console`, and returns 0; 3 where there is no connection, 4 where the
/// server does not let the user in, 5 where a question fails.
pub async fn start<C: Write, I: Tcp + Resolve>(mut console: C, ip: I, args: Args) -> Exit {
    let mut said = String::new();
    let status = talk(&ip, &args, &mut said).await.err().unwrap_or(Exit::SUCCESS);
    match console.write_all(said.as_bytes()).await {
        Ok(()) => status,
        Err(_) => Exit::FAILURE,
    }
}

/// Asks everything, and adds what is to be printed to `said`.
async fn talk<I: Tcp + Resolve>(ip: &I, args: &Args, said: &mut String) -> Result<(), Exit> {
    let stream = connect(ip, args.server, args.port).await;
    let stream = told(stream, 3, said)?;
    let login = Login { user: args.user, database: args.database, password: args.password };
    let login = Connection::new(stream, &login, args.limit);
    let mut connection = told(in_time(args.patience, login).await, 4, said)?;
    for sql in &*args.run {
        let answer = connection.run(sql, |row| line(said, row));
        let answer = in_time(args.patience, answer).await;
        let tag = told(answer, 5, said)?;
        let _ = writeln!(said, "{}", Escaped(tag.as_bytes()));
    }
    if let Some(sql) = args.query {
        let values: Vec<Option<&str>> = args.value.iter().copied().map(Some).collect();
        let answer = connection.query(sql, &values, |row| line(said, row));
        let answer = in_time(args.patience, answer).await;
        let tag = told(answer, 5, said)?;
        let _ = writeln!(said, "{}", Escaped(tag.as_bytes()));
    }
    if let Ok(mut stream) = connection.close().await {
        // The answers are there; how the connection ends changes none of them.
        let _ = stream.close().await;
    }
    Ok(())
}

/// An answer, or the end with a line about why there is none.
fn told<T, E: core::fmt::Display>(
    answer: Result<T, E>,
    status: u8,
    said: &mut String,
) -> Result<T, Exit> {
    answer.map_err(|error| {
        // Writing to a string does not fail.
        let _ = writeln!(said, "error: {error}");
        Exit(status)
    })
}

/// The same within a time.
async fn in_time<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, Error<ip::Error>>>,
) -> Result<T, Error<ip::Error>> {
    timeout(limit, answer).await.unwrap_or(Err(Error::Stream(ip::Error::TimedOut)))
}

/// Adds a row as `psql -At` prints it, with control characters escaped (rule K5).
fn line(said: &mut String, row: &Row<'_>) {
    for (at, value) in row.iter().enumerate() {
        let separator = if at == 0 { "" } else { "|" };
        // Writing to a string does not fail.
        let _ = write!(said, "{separator}{}", Escaped(value.unwrap_or_default()));
    }
    said.push('\n');
}

/// Connects to the first address of a name that accepts.
async fn connect<I: Tcp + Resolve>(ip: &I, name: &str, port: u16) -> Result<I::Stream, ip::Error> {
    let mut last = ip::Error::NoSuchName;
    for addr in ip.resolve(name).await? {
        match ip.connect(SocketAddr::new(addr, port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
