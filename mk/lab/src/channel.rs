//! The control channel: scripts that run in dom0, each on a connection of its
//! own to dom0's agent (`scripts/dom0/agent`, which says what goes over it).

use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::qemu::{Qemu, tail};

/// Holds the exit status and the output of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its exit status; 0 is success.
    pub status: i32,
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: String,
}

/// The way to dom0, and the machine that it is in.
pub(crate) struct Channel {
    pub(crate) qemu: Qemu,
    token: String,
    opening: Mutex<()>,
}

/// How long dom0 may take nothing of what is sent.
const SEND_LIMIT: Duration = Duration::from_secs(60);

/// How long dom0 may take to start a script.
const OPEN_LIMIT: Duration = Duration::from_secs(20);

/// How long dom0 may take to say what it is at.
const REPORT_LIMIT: Duration = Duration::from_secs(20);

/// A script that runs.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) splitter: Splitter,
}

impl Channel {
    pub(crate) fn new(qemu: Qemu, token: String) -> Arc<Channel> {
        Arc::new(Channel { qemu, token, opening: Mutex::new(()) })
    }

    /// Starts a script. When this returns, it has begun.
    pub(crate) fn open(&self, script: &str) -> Result<Connection> {
        // nc lets one connection wait to be accepted, and a second one may break.
        let _one_at_a_time = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = random()?;
        let deadline = Instant::now() + OPEN_LIMIT;
        loop {
            match self.start(script, &mark) {
                Ok(stream) => return Ok(Connection { stream, splitter: Splitter::new(mark) }),
                // It has not begun, so that it may be started again.
                Err(error) if Instant::now() > deadline || self.qemu.trouble().is_some() => {
                    return Err(self.lost(error.into()));
                }
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn start(&self, script: &str, mark: &str) -> io::Result<TcpStream> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.qemu.port));
        let mut stream = TcpStream::connect_timeout(&address, OPEN_LIMIT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(OPEN_LIMIT))?;
        stream.set_write_timeout(Some(SEND_LIMIT))?;
        let head = format!("{}\n{mark} {}\n{script}", self.token, script.len());
        stream.write_all(head.as_bytes())?;
        let mut answer = vec![0; mark.len() + " start\n".len()];
        stream.read_exact(&mut answer)?;
        stream.set_read_timeout(None)?;
        Ok(stream)
    }

    /// Runs a script with this input.
    pub(crate) fn run(&self, script: &str, input: &[u8], limit: Duration) -> Result<Output> {
        self.run_within(script, input, limit)?.ok_or_else(|| {
            let first = script.lines().next().unwrap_or_default();
            self.stuck(&format!(
                "a script in dom0 did not end within {limit:?}; it begins: {first}"
            ))
        })
    }

    /// Runs a script, or gives up at the limit.
    fn run_within(&self, script: &str, input: &[u8], limit: Duration) -> Result<Option<Output>> {
        let mut stdout = Vec::new();
        let mut keep = |data: &[u8]| stdout.write_all(data);
        let output = self.run_streaming(script, input, limit, &mut keep)?;
        Ok(output.map(|output| Output { stdout, ..output }))
    }

    /// Runs a script, whose output goes to `sink` as it comes, or gives up at the limit. Where
    /// that fails, the connection is closed, so that the script can write no more.
    pub(crate) fn run_streaming(
        &self,
        script: &str,
        input: &[u8],
        limit: Duration,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Option<Output>> {
        let deadline = Instant::now() + limit;
        let Connection { mut stream, mut splitter } = self.open(script)?;
        let mut output = Output { status: 0, stdout: Vec::new(), stderr: String::new() };
        let (mut status, mut sunk, failed) = (None, Ok(()), Cell::new(false));
        let mut take = |piece: Piece<'_>| match piece {
            Piece::Data(data) if status.is_none() => {
                sunk = mem::replace(&mut sunk, Ok(())).and_then(|()| sink(data));
                failed.set(sunk.is_err());
            }
            Piece::Data(data) => output.stderr += &String::from_utf8_lossy(data),
            Piece::Line(line) => status = line.parse().ok(),
        };
        send(&mut stream, input).map_err(|error| self.lost(error.into()))?;
        let mut buffer = [0; 1 << 16];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    splitter.feed(&buffer[..count], &mut take);
                    if failed.get() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(self.lost(error.into())),
            }
        }
        splitter.finish(&mut take);
        sunk?;
        output.status = status.ok_or_else(|| self.lost(anyhow!("dom0 closed the connection")))?;
        Ok(Some(output))
    }

    /// The error for something that dom0 does not get done, and what it does
    /// instead: such an event may be rare, and shall explain itself.
    pub(crate) fn stuck(&self, what: &str) -> anyhow::Error {
        let report = match self.run_within("report 2>&1", &[], REPORT_LIMIT) {
            Ok(Some(output)) => String::from_utf8_lossy(&output.stdout).into(),
            Ok(None) => format!("no answer in {REPORT_LIMIT:?}"),
            Err(error) => format!("{error:#}"),
        };
        anyhow!("{what}\nthe state of dom0:\n{}", report.trim_end())
    }

    /// The error for a connection that broke: as a rule the machine is gone.
    pub(crate) fn lost(&self, error: anyhow::Error) -> anyhow::Error {
        // The keeper notices QEMU's end a moment after the connection does.
        self.qemu.wait(Duration::from_millis(200));
        let error = error.context("lost the connection to dom0");
        match self.qemu.trouble() {
            Some(trouble) => error.context(format!(
                "{trouble}\nthe end of {}:\n{}",
                self.qemu.console_log().display(),
                tail(&self.qemu.console_log())
            )),
            None => error,
        }
    }
}

/// A part of what a script sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Bytes of its output.
    Data(&'a [u8]),
    /// What follows the connection's mark on a line.
    Line(&'a str),
}

/// Splits what a script sends at the lines that start with the connection's
/// mark. Everything else passes at once, except for what may be half a mark.
pub(crate) struct Splitter {
    mark: String,
    held: Vec<u8>,
}

impl Splitter {
    fn new(mark: String) -> Splitter {
        Splitter { mark, held: Vec::new() }
    }

    /// Takes the next bytes, and gives away the pieces that are complete.
    pub(crate) fn feed(&mut self, bytes: &[u8], take: &mut dyn FnMut(Piece<'_>)) {
        self.held.extend_from_slice(bytes);
        let mark = self.mark.as_bytes();
        let mut done = 0;
        loop {
            let rest = &self.held[done..];
            // The first place where a mark stands, or may yet stand.
            let start = (0..rest.len())
                .filter(|&at| rest[at] == mark[0])
                .find(|&at| rest[at..].iter().zip(mark).all(|(a, b)| a == b))
                .unwrap_or(rest.len());
            if start > 0 {
                take(Piece::Data(&rest[..start]));
            }
            done += start;
            let rest = &rest[start..];
            let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
                break;
            };
            let line = String::from_utf8_lossy(&rest[mark.len()..end]);
            // Says nothing but that it goes on.
            if line.trim() != "alive" {
                take(Piece::Line(line.trim()));
            }
            done += end + 1;
        }
        self.held.drain(..done);
    }

    /// Gives away what was held back: nothing more comes.
    pub(crate) fn finish(self, take: &mut dyn FnMut(Piece<'_>)) {
        if !self.held.is_empty() {
            take(Piece::Data(&self.held));
        }
    }
}

/// A word that nobody can guess.
pub(crate) fn random() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("no random numbers")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A word as the shell reads it literally.
pub(crate) fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The command that stores the next `length` bytes of a script's input at a
/// path, and ends the script when it cannot. dd alone reads no byte too many, and
/// it takes the rest of a block when the connection delivers only a part of it.
/// Input that nobody read would break the connection before the error is read.
pub(crate) fn store(length: usize, path: &str) -> String {
    format!(
        "dd bs=1M iflag=fullblock,count_bytes count={length} status=none of={path} || \
         {{ rm {path}; echo no room for {path} >&2; cat >/dev/null; exit 1; }}\n",
        path = quote(path)
    )
}

/// Sends a script's input, and then its end.
pub(crate) fn send(stream: &mut TcpStream, input: &[u8]) -> io::Result<()> {
    stream.write_all(input)?;
    stream.shutdown(Shutdown::Write)
}

impl Output {
    /// Returns the output of a script that had to succeed.
    ///
    /// # Errors
    /// When its status is not 0, with what it wrote to its standard error.
    pub fn success(self) -> Result<Output> {
        ensure!(self.status == 0, "status {} in dom0: {}", self.status, self.stderr.trim());
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the text in parts of this size; lines come back in brackets.
    fn split(text: &[u8], size: usize) -> String {
        let mut splitter = Splitter::new("mark".into());
        let mut all = String::new();
        let mut take = |piece: Piece<'_>| match piece {
            Piece::Data(data) => all += &String::from_utf8_lossy(data),
            Piece::Line(line) => all += &format!("[{line}]"),
        };
        for part in text.chunks(size) {
            splitter.feed(part, &mut take);
        }
        splitter.finish(&mut take);
        all
    }

    #[test]
    fn a_script_that_says_that_it_goes_on_says_nothing() {
        for size in [1, 7, 100] {
            assert_eq!(split(b"one\nmark alive\ntwomark alive\n\nmark 0\n", size), "one\ntwo\n[0]");
        }
    }

    #[test]
    fn lines_are_found_however_the_bytes_arrive() {
        let text = b"console mar mmark created 3\nmore\nmark ended x 0.1\nlog\nmark 0\nerrors ma";
        for size in 1..text.len() {
            assert_eq!(
                split(text, size),
                "console mar m[created 3]more\n[ended x 0.1]log\n[0]errors ma"
            );
        }
    }

    #[test]
    fn bytes_pass_at_once() {
        let mut splitter = Splitter::new("mark".into());
        let mut seen = Vec::new();
        splitter.feed(b"prompt> ma", &mut |piece| seen.push(format!("{piece:?}")));
        assert_eq!(seen, [format!("{:?}", Piece::Data(b"prompt> "))]);
    }

    #[test]
    fn words_are_quoted() {
        assert_eq!(quote("it's"), r"'it'\''s'");
    }
}
