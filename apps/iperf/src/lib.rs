//! A server of iperf3's protocol for TCP, both directions.
//!
//! A client says on a first connection what it wants, opens further ones for the data,
//! ends the test, and gets the server's counts. All that is told in single bytes and in
//! JSON with its length before it, as iperf3's `iperf_api.h` has them. One test runs at a
//! time; others wait for it. It ends without its client when nothing has moved for a while.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod arrivals;
mod protocol;
#[cfg(test)]
mod tests;

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use arrivals::Arrivals;
use core::cell::Cell;
use core::fmt;
use core::time::Duration;
use embedded_io_async::{Read, ReadExactError, Write};
use protocol::{COOKIE, LONGEST, Params, State};
use xenith::ip::{self, Listener, Stream, Tcp};
use xenith::shutdown::grace;
use xenith::shutdown_requested;
use xenith::task::{Either, Task, select, spawn};
use xenith::time::{Instant, sleep, timeout};

/// How long a client may take for each step but the test itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is still on its way when the client ends the test comes within this.
const REST: Duration = Duration::from_millis(200);

/// A test in which nothing has moved for so long is over: other clients wait for it.
const IDLE: Duration = Duration::from_secs(30);

/// Why a test came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Error {
    /// The connection failed.
    Ip(ip::Error),
    /// The client does not speak the protocol.
    Nonsense,
    /// It wants what this server does not do.
    Unsupported,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(error) => error.fmt(f),
            Self::Nonsense => f.write_str("the client does not speak iperf3's protocol"),
            Self::Unsupported => f.write_str("the client wants more than TCP in one direction"),
        }
    }
}

impl From<ip::Error> for Error {
    fn from(error: ip::Error) -> Self {
        Self::Ip(error)
    }
}

impl From<ReadExactError<ip::Error>> for Error {
    fn from(error: ReadExactError<ip::Error>) -> Self {
        match error {
            ReadExactError::UnexpectedEof => Self::Nonsense,
            ReadExactError::Other(error) => Self::Ip(error),
        }
    }
}

/// What the test's streams share.
#[derive(Debug)]
struct Shared {
    over: Cell<bool>,
    /// When something last moved.
    moved: Cell<Instant>,
}

/// A stream's bytes, and its end of the connection when the test is over.
type Moved<S> = (S, u64);

/// Serves on `port` until the network is down or the toolstack asks for the end. A test
/// that is under way then has [`grace`] to end.
///
/// # Errors
/// [`ip::Error::InUse`], [`ip::Error::Down`].
pub async fn start<T: Tcp>(ip: T, port: u16) -> Result<(), ip::Error> {
    let mut arrivals = Arrivals::new(ip.bind(ip::any(port)).await?);
    xenith::println!("iperf: listening on port {port}");
    loop {
        let (mut control, cookie) = match select(arrivals.client(), shutdown_requested()).await {
            Either::First(client) => client?,
            Either::Second(_) => return Ok(()),
        };
        let last = async {
            shutdown_requested().await;
            sleep(grace()).await;
        };
        let result = match select(test(&mut arrivals, &mut control, cookie), last).await {
            Either::First(result) => result,
            // It is told by the end of its connections.
            Either::Second(()) => return Ok(()),
        };
        if let Err(error) = result {
            xenith::println!("iperf: {error}");
            // It is told so, if it still listens.
            let _ = say(&mut control, State::ServerError).await;
            let _ = timeout(PATIENCE, control.write_all(&[0; 8])).await;
        }
        let _ = timeout(PATIENCE, control.close()).await;
    }
}

/// Waits for what the client has to do now.
async fn soon<O, E: Into<Error>>(step: impl Future<Output = Result<O, E>>) -> Result<O, Error> {
    timeout(PATIENCE, step).await.map_err(|_| ip::Error::TimedOut)?.map_err(Into::into)
}

async fn say<S: Stream>(control: &mut S, state: State) -> Result<(), Error> {
    soon(control.write_all(&[state as u8])).await
}

/// Reads JSON with its length before it.
async fn read_text<S: Stream>(control: &mut S) -> Result<Vec<u8>, Error> {
    let mut length = [0; 4];
    soon(control.read_exact(&mut length)).await?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(Error::Nonsense);
    }
    let mut text = vec![0; length];
    soon(control.read_exact(&mut text)).await?;
    Ok(text)
}

/// Runs one test.
async fn test<L: Listener>(
    arrivals: &mut Arrivals<L>,
    control: &mut L::Stream,
    cookie: [u8; COOKIE],
) -> Result<(), Error>
where
    L::Stream: 'static,
{
    say(control, State::ParamExchange).await?;
    let params = Params::parse(&read_text(control).await?).ok_or(Error::Nonsense)?;
    if !params.is_supported() {
        return Err(Error::Unsupported);
    }
    say(control, State::CreateStreams).await?;
    let mut streams = Vec::new();
    let all = async {
        while streams.len() < params.parallel() {
            let (stream, other) = arrivals.next().await?;
            if other == cookie {
                streams.push(stream);
            } else {
                // The next test is its.
                arrivals.queue((stream, other));
            }
        }
        Ok::<_, ip::Error>(())
    };
    soon(all).await?;
    say(control, State::TestStart).await?;
    say(control, State::TestRunning).await?;
    let begun = Instant::now();
    let shared = Rc::new(Shared { over: Cell::new(false), moved: Cell::new(begun) });
    let tasks: Vec<Task<Moved<L::Stream>>> = streams
        .into_iter()
        .map(|stream| spawn(run(stream, params.len(), params.reverse, shared.clone())))
        .collect();
    let mut end = [0];
    let ended = match select(control.read_exact(&mut end), idle(&shared)).await {
        Either::First(ended) => ended.map_err(Error::from),
        Either::Second(()) => Err(Error::Ip(ip::Error::TimedOut)),
    };
    shared.over.set(true);
    ended?;
    if end[0] != State::TestEnd as u8 {
        return Err(Error::Nonsense);
    }
    let elapsed = begun.elapsed();
    let mut moved = Vec::new();
    for task in tasks {
        moved.push(soon(async { Ok::<_, Error>(task.await) }).await?);
    }
    say(control, State::ExchangeResults).await?;
    read_text(control).await?;
    let bytes: Vec<u64> = moved.iter().map(|(_, bytes)| *bytes).collect();
    let results = protocol::results(&bytes, elapsed);
    soon(control.write_all(&(results.len() as u32).to_be_bytes())).await?;
    soon(control.write_all(results.as_bytes())).await?;
    say(control, State::DisplayResults).await?;
    let all: u64 = bytes.iter().sum();
    let did = if params.reverse { "sent" } else { "received" };
    let speed = u128::from(all) * 8000 / elapsed.as_nanos().max(1);
    xenith::println!("iperf: {did} {all} bytes in {} ms, {speed} Mbit/s", elapsed.as_millis());
    // IPERF_DONE, or its end.
    let _ = soon(control.read(&mut end)).await;
    Ok(())
}

/// Waits until nothing has moved for [`IDLE`].
async fn idle(shared: &Shared) {
    loop {
        let left = IDLE.saturating_sub(shared.moved.get().elapsed());
        if left.is_zero() {
            return;
        }
        sleep(left).await;
    }
}

/// Sends or receives on one stream until the test is over.
async fn run<S: Stream>(stream: S, length: usize, sends: bool, shared: Rc<Shared>) -> Moved<S> {
    if sends { send(stream, length, &shared).await } else { receive(stream, length, &shared).await }
}

async fn send<S: Stream>(mut stream: S, length: usize, shared: &Shared) -> Moved<S> {
    let (data, mut sent) = (vec![b'x'; length], 0_u64);
    while !shared.over.get() {
        match select(stream.write(&data), sleep(REST)).await {
            Either::First(Ok(count)) => {
                sent += count as u64;
                shared.moved.set(Instant::now());
            }
            Either::First(Err(_)) => return (stream, sent),
            // The client reads no more, or has not for a while.
            Either::Second(()) => {}
        }
    }
    // A client that is in the middle of a block hears nothing else until it has the rest
    // or the end, as iperf3's server gives it. It may also have stopped reading.
    let _ = timeout(REST, stream.shutdown()).await;
    (stream, sent)
}

async fn receive<S: Stream>(mut stream: S, length: usize, shared: &Shared) -> Moved<S> {
    let (mut data, mut received) = (vec![0; length], 0);
    loop {
        match select(stream.read(&mut data), sleep(REST)).await {
            Either::First(Ok(0) | Err(_)) => break,
            Either::First(Ok(count)) => {
                received += count as u64;
                shared.moved.set(Instant::now());
            }
            Either::Second(()) if shared.over.get() => break,
            Either::Second(()) => {}
        }
    }
    (stream, received)
}
