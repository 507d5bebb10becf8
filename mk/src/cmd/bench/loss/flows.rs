//! What clients do: move much, fetch little on a new connection, and hold many connections.

use super::bed::SERVER;
use super::cable::Cable;
use anyhow::{Context, Result, ensure};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long something may take that is no transfer.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes that are read or written at a time.
const PIECE: usize = 64 << 10;
/// Flows at a time: few, so that they do not fill the cable, and no more than one in a hundred
/// meets another's loss.
const FLOWS: usize = 4;
/// Connections are opened by so many threads.
const OPENERS: usize = 8;

fn connect(port: u16) -> Result<TcpStream> {
    let to = SocketAddr::new(SERVER.parse()?, port);
    let stream = TcpStream::connect_timeout(&to, PATIENCE).context("cannot connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// What is left of `limit`, and at least a little: a timeout cannot be zero.
fn left(begun: Instant, limit: Duration) -> Duration {
    limit.saturating_sub(begun.elapsed()).max(Duration::from_millis(1))
}

/// Whether a read or a write came to its timeout.
fn timed_out(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// What `transfer` makes: xorshift64, as there.
struct Made {
    state: u64,
    word: [u8; 8],
    at: usize,
}

impl Made {
    const fn new() -> Self {
        Self { state: 0x9e37_79b9_7f4a_7c15, word: [0; 8], at: 8 }
    }

    /// Whether these bytes are the next ones.
    fn continues(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| {
            if self.at == self.word.len() {
                self.state ^= self.state << 13;
                self.state ^= self.state >> 7;
                self.state ^= self.state << 17;
                (self.word, self.at) = (self.state.to_le_bytes(), 0);
            }
            self.at += 1;
            *byte == self.word[self.at - 1]
        })
    }
}

/// Takes so many bytes from `transfer` on a new connection, and compares them: how many came
/// within the limit, and in what time.
pub(super) fn take(bytes: u64, limit: Duration) -> Result<(u64, Duration)> {
    let begun = Instant::now();
    let mut stream = connect(19)?;
    stream.write_all(format!("{bytes}\n").as_bytes())?;
    let (mut come, mut piece, mut made) = (0, vec![0; PIECE], Made::new());
    while come < bytes && begun.elapsed() < limit {
        stream.set_read_timeout(Some(left(begun, limit)))?;
        match stream.read(&mut piece) {
            Ok(0) => anyhow::bail!("the stream ended after {come} bytes"),
            Ok(count) => {
                ensure!(made.continues(&piece[..count]), "wrong bytes behind {come}");
                come += count as u64;
            }
            Err(error) if timed_out(&error) => break,
            Err(error) => return Err(error).context("cannot read"),
        }
    }
    Ok((come, begun.elapsed()))
}

/// Gives so many bytes to `transfer` on a new connection: how many it had acknowledged within
/// the limit, and in what time.
pub(super) fn give(bytes: u64, limit: Duration, cable: &Cable) -> Result<(u64, Duration)> {
    let begun = Instant::now();
    let mut stream = connect(9)?;
    let (mut gone, piece) = (0, vec![0x5a; PIECE]);
    while gone < bytes {
        stream.set_write_timeout(Some(left(begun, limit)))?;
        let count = (bytes - gone).min(PIECE as u64) as usize;
        match stream.write(&piece[..count]) {
            Ok(count) => gone += count as u64,
            Err(error) if timed_out(&error) => return Ok((cable.acknowledged(), begun.elapsed())),
            Err(error) => return Err(error).context("cannot write"),
        }
    }
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(left(begun, limit)))?;
    let mut said = [0; 24];
    match stream.read(&mut said) {
        Ok(count) => {
            let said = String::from_utf8_lossy(&said[..count]).into_owned();
            let taken = said.split(' ').next().and_then(|word| word.parse::<u64>().ok());
            ensure!(taken == Some(bytes), "{bytes} bytes were sent, the server said {said:?}");
            Ok((bytes, begun.elapsed()))
        }
        Err(error) if timed_out(&error) => Ok((cable.acknowledged(), begun.elapsed())),
        Err(error) => Err(error).context("cannot read"),
    }
}

/// Gets so many bytes by HTTP on a connection.
fn get(stream: &mut TcpStream, bytes: usize, piece: &mut [u8]) -> Result<()> {
    let request = format!("GET /bytes/{bytes} HTTP/1.1\r\nHost: {SERVER}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let (mut head, mut come) = (Vec::new(), 0);
    loop {
        let count = stream.read(piece).context("cannot read")?;
        ensure!(count > 0, "the answer ended early");
        if come > 0 {
            come += count;
        } else {
            head.extend_from_slice(&piece[..count]);
            if let Some(at) = head.windows(4).position(|it| it == b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&head[..at]);
                ensure!(text.starts_with("HTTP/1.1 200 "), "{text}");
                come = head.len() - at - 4;
            }
        }
        if come >= bytes {
            ensure!(come == bytes, "{come} bytes, and not {bytes}");
            return Ok(());
        }
    }
}

/// In how many milliseconds so many bytes come by HTTP on a new connection. What never comes
/// counts as long as one waits.
fn fetch(bytes: usize, piece: &mut [u8]) -> f64 {
    let begun = Instant::now();
    match connect(80).and_then(|mut stream| get(&mut stream, bytes, piece)) {
        Ok(()) => begun.elapsed().as_secs_f64() * 1e3,
        Err(_) => PATIENCE.as_secs_f64() * 1e3,
    }
}

/// Fetches so many times, some at a time: milliseconds of each.
pub(super) fn fetches(bytes: usize, count: usize) -> Vec<f64> {
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..FLOWS {
            scope.spawn(|| {
                let mut piece = vec![0; PIECE];
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    let took = fetch(bytes, &mut piece);
                    if let Ok(mut all) = all.lock() {
                        all.push(took);
                    }
                }
            });
        }
    });
    all.into_inner().unwrap_or_default()
}

/// The rate of so many bytes by HTTP on a new connection, in Mbit/s.
pub(super) fn rate(bytes: usize) -> f64 {
    bytes as f64 * 8.0 / 1e3 / fetch(bytes, &mut vec![0; PIECE])
}

/// Opens so many connections, each with a request that was answered.
pub(super) fn open(count: usize) -> Result<Vec<TcpStream>> {
    let next = AtomicUsize::new(0);
    let opener = || {
        let (mut streams, mut piece) = (Vec::new(), vec![0; PIECE]);
        while next.fetch_add(1, Ordering::Relaxed) < count {
            let mut stream = connect(80)?;
            get(&mut stream, 1024, &mut piece)?;
            streams.push(stream);
        }
        anyhow::Ok(streams)
    };
    thread::scope(|scope| {
        let openers: Vec<_> = (0..OPENERS).map(|_| scope.spawn(opener)).collect();
        let mut streams = Vec::new();
        for one in openers {
            streams.extend(one.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??);
        }
        ensure!(streams.len() == count, "{} of {count} connections", streams.len());
        Ok(streams)
    })
}

/// Sends zeros to who connects, for as long as they are taken.
pub(super) fn pour(listener: &TcpListener) {
    let zeros = vec![0; PIECE];
    if let Ok((mut stream, _)) = listener.accept() {
        while stream.write_all(&zeros).is_ok() {}
    }
}

/// Takes what comes from a port for so long: bytes.
pub(super) fn drain(port: u16, time: Duration) -> Result<u64> {
    let mut stream = connect(port)?;
    let (begun, mut piece, mut come) = (Instant::now(), vec![0; PIECE], 0);
    while begun.elapsed() < time {
        come += stream.read(&mut piece)? as u64;
    }
    Ok(come)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_known_in_pieces_of_any_length() {
        let mut all = Vec::new();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..100 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            all.extend(state.to_le_bytes());
        }
        for length in [1, 3, 8, 800] {
            let mut made = Made::new();
            assert!(all.chunks(length).all(|piece| made.continues(piece)), "{length}");
        }
        all[799] ^= 1;
        assert!(!Made::new().continues(&all));
    }
}
