//! Asks a PostgreSQL server, over any stream: frontend/backend protocol 3.0 with SCRAM-SHA-256,
//! simple questions and such with values, errors with their SQLSTATE.
//!
//! [`Connection`] is for any app; [`start`] is one that prints answers as `psql -At` does. There is
//! no TLS: what is asked and answered is in clear on the network, and only the password is not. The
//! app `pgxs` has it, over which [`request_tls`] begins a connection.
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
mod secure;
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
pub use scram::{Channel, Open};
pub use secure::{NoTls, request_tls};
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
    /// How long an answer may take until it is printed, and how long connecting and leaving.
    pub patience: Duration,
}

/// Says how a connection to the server is made.
pub trait Way {
    /// The connection.
    type Stream: Stream;

    /// What a login over it is bound to.
    type Channel: Channel;

    /// Why there is none.
    type Error: core::fmt::Display;

    /// Makes one.
    ///
    /// # Errors
    /// Why there is none.
    fn connect(&self, args: &Args) -> impl Future<Output = Result<Self::Stream, Self::Error>>;

    /// Gives up with a status and a line about why there is none, as [`told`] does.
    ///
    /// # Errors
    /// The status.
    fn told(
        stream: Result<Self::Stream, Self::Error>,
        said: &mut String,
    ) -> Result<Self::Stream, Exit>;

    /// Returns what a login over `stream` is bound to.
    fn channel(stream: &Self::Stream) -> Self::Channel;
}

/// A connection in clear.
#[derive(Debug)]
pub struct Plain<I>(pub I);

impl<I: Tcp + Resolve> Way for Plain<I> {
    type Stream = I::Stream;
    type Channel = Open;
    type Error = ip::Error;

    fn connect(&self, args: &Args) -> impl Future<Output = Result<I::Stream, ip::Error>> {
        connect(&self.0, args.server, args.port, args.patience)
    }

    fn told(stream: Result<I::Stream, ip::Error>, said: &mut String) -> Result<I::Stream, Exit> {
        told(stream, 3, said)
    }

    fn channel(_: &I::Stream) -> Open {
        Open
    }
}

/// Prints the answers to `console`, and returns 0; 3 where there is no connection, 4 where the
/// server does not let the user in, 5 where a question fails.
pub fn start<C: Write, I: Tcp + Resolve>(
    console: C,
    ip: I,
    args: Args,
) -> impl Future<Output = Exit> {
    over(console, Plain(ip), args)
}

/// The same over connections that are made otherwise, with statuses of their own where there is
/// none.
pub async fn over<C: Write, W: Way>(mut console: C, way: W, args: Args) -> Exit {
    let mut said = String::new();
    let status = talk(&way, &args, &mut console, &mut said).await.err().unwrap_or(Exit::SUCCESS);
    match console.write_all(said.as_bytes()).await {
        Ok(()) => status,
        Err(_) => Exit::FAILURE,
    }
}

/// Asks everything, prints the answers as they come, and leaves what is to be printed behind them in
/// `said`.
async fn talk<W: Way>(
    way: &W,
    args: &Args,
    console: &mut impl Write,
    said: &mut String,
) -> Result<(), Exit> {
    let stream = way.connect(args).await;
    let stream = W::told(stream, said)?;
    let login = Login { user: args.user, database: args.database, password: args.password };
    let channel = W::channel(&stream);
    let login = Connection::bound(stream, &login, args.limit, channel);
    let mut connection = told(in_time(args.patience, login).await, 4, said)?;
    for sql in &*args.run {
        let mut rows = Rows { console: &mut *console, failed: false };
        let answer = connection.run(sql, async |row: &Row<'_>| rows.print(row).await);
        let answer = in_time(args.patience, answer).await;
        rows.all()?;
        done(answer, console, said).await?;
    }
    if let Some(sql) = args.query {
        let values: Vec<Option<&str>> = args.value.iter().copied().map(Some).collect();
        let mut rows = Rows { console: &mut *console, failed: false };
        let answer = connection.query(sql, &values, async |row: &Row<'_>| rows.print(row).await);
        let answer = in_time(args.patience, answer).await;
        rows.all()?;
        done(answer, console, said).await?;
    }
    // The answers are there; how the connection ends changes none of them.
    let _ = in_time(args.patience, async {
        let mut stream = connection.close().await?;
        stream.close().await.map_err(Error::Stream)
    })
    .await;
    Ok(())
}

/// Where rows are printed.
struct Rows<'a, C> {
    console: &'a mut C,
    failed: bool,
}

impl<C: Write> Rows<'_, C> {
    async fn print(&mut self, row: &Row<'_>) {
        if !self.failed {
            self.failed = line(self.console, row).await.is_err();
        }
    }

    /// Whether all were printed.
    const fn all(self) -> Result<(), Exit> {
        if self.failed { Err(Exit::FAILURE) } else { Ok(()) }
    }
}

/// An answer, or the end with a line about why there is none.
///
/// # Errors
/// The status.
pub fn told<T, E: core::fmt::Display>(
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

/// Prints what the last command did, before the server says anything about the next one in the log.
/// Where it failed, adds why to `said`.
async fn done(
    answer: Result<String, Error<ip::Error>>,
    console: &mut impl Write,
    said: &mut String,
) -> Result<(), Exit> {
    let tag = told(answer, 5, said)?;
    // Writing to a string does not fail.
    let _ = writeln!(said, "{}", Escaped(tag.as_bytes()));
    let printed = console.write_all(said.as_bytes()).await;
    said.clear();
    printed.map_err(|_| Exit::FAILURE)
}

/// An answer within a time.
async fn in_time<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, Error<ip::Error>>>,
) -> Result<T, Error<ip::Error>> {
    timeout(limit, answer).await.unwrap_or(Err(Error::Stream(ip::Error::TimedOut)))
}

/// Bytes of a value that are escaped at once.
const PIECE: usize = 256;

/// Prints a row as `psql -At` does, with control characters escaped (rule K5).
async fn line<C: Write>(console: &mut C, row: &Row<'_>) -> Result<(), C::Error> {
    for (at, value) in row.iter().enumerate() {
        if at > 0 {
            console.write_all(b"|").await?;
        }
        let mut rest = value.unwrap_or_default();
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(piece(rest));
            // An escaped byte is four.
            let mut text = heapless::String::<{ 4 * PIECE }>::new();
            // There is room for it.
            let _ = write!(text, "{}", Escaped(piece));
            console.write_all(text.as_bytes()).await?;
            rest = more;
        }
    }
    console.write_all(b"\n").await
}

/// How much is escaped at once: no character is cut.
fn piece(bytes: &[u8]) -> usize {
    if bytes.len() <= PIECE {
        return bytes.len();
    }
    let begins = |&at: &usize| bytes[at] & 0xC0 != 0x80;
    (PIECE - 3..=PIECE).rev().find(begins).unwrap_or(PIECE)
}

/// Connects to the first address of a name that accepts. Each has its share of the time, so that one
/// that is silent leaves some to the next.
///
/// # Errors
/// Why the last one does not accept, or there is none.
pub async fn connect<I: Tcp + Resolve>(
    ip: &I,
    name: &str,
    port: u16,
    patience: Duration,
) -> Result<I::Stream, ip::Error> {
    let found = timeout(patience, ip.resolve(name)).await;
    let found = found.unwrap_or(Err(ip::Error::TimedOut))?;
    let share = patience / u32::try_from(found.len()).unwrap_or(u32::MAX).max(1);
    let mut last = ip::Error::NoSuchName;
    for addr in found {
        let stream = timeout(share, ip.connect(SocketAddr::new(addr, port))).await;
        match stream.unwrap_or(Err(ip::Error::TimedOut)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
