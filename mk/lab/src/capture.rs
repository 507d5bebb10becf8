//! A guest's frames, recorded into a file from its first one on.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::channel::{Channel, Connection, Piece};

/// How long tcpdump may take to start.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Bytes before the first packet of a file, and before the bytes of each packet.
const HEADER: usize = 24;
const PACKET_HEADER: usize = 16;

/// Records the frames of an interface until that is gone.
pub struct Capture {
    thread: JoinHandle<io::Result<String>>,
}

impl Capture {
    /// Records `interface` of dom0. When this returns, no frame is missed.
    pub(crate) fn start(channel: &Arc<Channel>, interface: &str, path: &Path) -> Result<Capture> {
        let what = || format!("cannot record into {}", path.display());
        let file = create(path).with_context(what)?;
        // Its first bytes say that it listens. Each packet comes at once: the last
        // ones would be lost otherwise, as the interface goes with the guest.
        let script = format!(
            "exec /usr/sbin/tcpdump -i {interface} -n -s 0 -B 8192 -U --immediate-mode -w -"
        );
        let Connection { mut stream, mut splitter } = channel.open(&script)?;
        let (started, start) = mpsc::channel();
        let thread = thread::Builder::new().name("pcap".into()).spawn(move || {
            let mut packets = Packets::new(file);
            let mut errors = String::new();
            let mut over = false;
            let mut failed = Ok(());
            let mut buffer = [0; 1 << 16];
            loop {
                let count = match stream.read(&mut buffer) {
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                };
                let mut take = |piece: Piece<'_>| match piece {
                    Piece::Line(_) => over = true,
                    Piece::Data(bytes) if over => errors += &String::from_utf8_lossy(bytes),
                    // A full disk must not keep the guest's network waiting.
                    Piece::Data(bytes) if failed.is_ok() => failed = packets.feed(bytes),
                    Piece::Data(_) => {}
                };
                if count == 0 {
                    splitter.finish(&mut take);
                    break failed.map(|()| errors);
                }
                splitter.feed(&buffer[..count], &mut take);
                if packets.started {
                    // Nobody listens any more from the second time on.
                    let _ = started.send(());
                }
            }
        })?;
        if start.recv_timeout(START_LIMIT).is_err() {
            let errors = match thread.is_finished() {
                true => thread
                    .join()
                    .map_err(|_| {
                        anyhow!("the recording thread panicked: this is a bug of the lab")
                    })?
                    .with_context(what)?,
                false => format!("no answer in {START_LIMIT:?}"),
            };
            bail!("tcpdump does not start on {interface} in dom0: {}", errors.trim());
        }
        Ok(Capture { thread })
    }

    /// Waits until all is written, which is soon after the guest's end.
    ///
    /// # Errors
    /// When the file could not be written.
    pub fn finish(self) -> Result<()> {
        let written = self
            .thread
            .join()
            .map_err(|_| anyhow!("the recording thread panicked: this is a bug of the lab"))?;
        written.map(drop).context("the recording of the network is incomplete")
    }
}

/// Makes the file, or empties it, unless it is one that a run has as a disk or records into.
fn create(path: &Path) -> Result<File> {
    let file = File::options().write(true).create(true).truncate(false).open(path)?;
    if file.metadata()?.is_file() {
        let busy = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        ensure!(!busy, "a run uses that file as a disk, or for the frames of another interface");
        file.set_len(0)?;
    }
    Ok(file)
}

/// Passes on only whole packets, so that the file is a valid one at any time.
struct Packets<W> {
    to: W,
    held: Vec<u8>,
    started: bool,
}

impl<W: Write> Packets<W> {
    fn new(to: W) -> Self {
        Packets { to, held: Vec::new(), started: false }
    }

    fn feed(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.held.extend_from_slice(bytes);
        let mut whole = 0;
        loop {
            let rest = &self.held[whole..];
            let length = match (self.started, rest) {
                (false, _) => HEADER,
                // Dom0 is of the same byte order as the length is.
                (true, [_, _, _, _, _, _, _, _, a, b, c, d, ..]) => {
                    PACKET_HEADER + u32::from_le_bytes([*a, *b, *c, *d]) as usize
                }
                (true, _) => break,
            };
            if rest.len() < length {
                break;
            }
            whole += length;
            self.started = true;
        }
        let written = self.to.write_all(&self.held[..whole]).and_then(|()| self.to.flush());
        self.held.drain(..whole);
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soon;

    #[test]
    fn a_file_that_is_in_use_is_not_emptied() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("frames");
        create(&path).expect("it is made").write_all(b"frames").expect("it is written");
        let disk = File::open(&path).expect("it is there");
        soon(|| disk.try_lock()).expect("it is free");
        let error = create(&path).expect_err("it is used").to_string();
        assert!(error.contains("as a disk"), "{error}");
        assert_eq!(std::fs::read(&path).expect("it is there"), b"frames");
        drop(disk);
        let first = soon(|| create(&path)).expect("it is emptied");
        assert_eq!(std::fs::read(&path).expect("it is there"), b"");
        create(&path).expect_err("it has the frames of another one");
        drop(first);
    }

    #[test]
    fn only_whole_packets_are_written() {
        let mut stream = vec![1; HEADER];
        for length in [0, 5, 60_u32] {
            stream.extend([[0; 4], [0; 4], length.to_le_bytes(), length.to_le_bytes()].concat());
            stream.extend(vec![9; length as usize]);
        }
        let ends = [0, 24, 40, 40 + 21, 61 + 76];
        for size in 1..stream.len() {
            let mut packets = Packets::new(Vec::new());
            let mut fed = 0;
            for part in stream.chunks(size) {
                packets.feed(part).expect("a vector takes all");
                fed += part.len();
                let end = ends.into_iter().rev().find(|&end| end <= fed).expect("0");
                assert_eq!(packets.to.len(), end, "in parts of {size}, after {fed}");
            }
            assert_eq!(packets.to, stream);
        }
    }
}
