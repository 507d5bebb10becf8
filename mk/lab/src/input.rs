//! What is typed at a guest's console, wherever the guest is by then.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Result;

use super::channel::{Channel, quote};

/// How long a guest that is moved may have no console: as long as the move may take.
const LIMIT: Duration = Duration::from_secs(900);

/// Writes to a guest's console, for as long as there is the guest: one that was moved has another
/// console, which is opened then. What the old one was given last may be lost.
///
/// Who writes waits for a guest that does not read.
pub struct Input {
    stream: TcpStream,
    /// The domain whose console is open.
    domain: u32,
    /// The guest's domain.
    present: Arc<AtomicU32>,
    /// Opens the console that the guest has.
    again: Box<dyn Fn() -> Result<TcpStream> + Send>,
}

impl Input {
    /// Opens the console of the guest called `name`, which is the domain `present`.
    pub(crate) fn open(
        channel: &Arc<Channel>,
        name: &str,
        present: &Arc<AtomicU32>,
    ) -> Result<Input> {
        let domain = present.load(Ordering::Relaxed);
        let tty = format!("/local/domain/{domain}/console/tty");
        let stream = channel.open(&format!("exec cat >\"$(xenstore-read {tty})\""))?.stream;
        // A guest need not read what is there for it.
        stream.set_write_timeout(None)?;
        let (channel, script) = (Arc::clone(channel), again(name));
        let again = Box::new(move || {
            let stream = channel.open(&script)?.stream;
            stream.set_write_timeout(None)?;
            Ok(stream)
        });
        Ok(Input { stream, domain, present: Arc::clone(present), again })
    }

    /// Whether nothing reaches the guest by the stream: it was moved, or the script has ended,
    /// which says something only then.
    fn is_over(&self) -> io::Result<bool> {
        if self.present.load(Ordering::Relaxed) != self.domain {
            return Ok(true);
        }
        self.stream.set_nonblocking(true)?;
        let said = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false)?;
        Ok(!said.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock))
    }

    /// Opens the console that the guest has now.
    fn open_again(&mut self) -> io::Result<()> {
        // What is on its way goes first.
        let _ = self.stream.shutdown(Shutdown::Write);
        // Before it is looked up: if it is moved meanwhile, that is seen the next time.
        self.domain = self.present.load(Ordering::Relaxed);
        self.stream = (self.again)().map_err(io::Error::other)?;
        self.stream.set_read_timeout(Some(LIMIT))?;
        let mut answer = [0];
        let count = self.stream.read(&mut answer)?;
        self.stream.set_read_timeout(None)?;
        if answer[..count] == *b"\n" {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::BrokenPipe, "it has no console any more"))
    }
}

/// The script that opens the console of a guest by its name, as its domain is another one after a
/// move. It says a line feed when it has; where there is no guest it ends.
fn again(name: &str) -> String {
    format!(
        "while [ -e /run/lab/moving/{name} ]; do usleep 20000; done\n\
         tty=$(xenstore-read \"/local/domain/$(xl domid {name})/console/tty\") || exit\n\
         exec 3>\"$tty\" || exit\necho\nexec cat >&3",
        name = quote(name)
    )
}

impl Write for Input {
    /// # Errors
    /// [`io::ErrorKind::BrokenPipe`] when the guest is gone; others when dom0 cannot be reached.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_over()? {
            self.open_again()?;
        }
        match self.stream.write(bytes) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.open_again()?;
                self.stream.write(bytes)
            }
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        drop(self.stream.shutdown(Shutdown::Write));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};
    use std::sync::mpsc::{Receiver, channel};

    /// An input, and dom0's ends of its connections. Each but the first says `answer`.
    fn input(answer: &'static [u8]) -> (Input, Receiver<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (sender, ends) = channel();
        let connect = move |answer: &[u8]| -> Result<TcpStream> {
            let stream = TcpStream::connect(listener.local_addr()?)?;
            let mut end = listener.accept()?.0;
            end.write_all(answer)?;
            sender.send(end)?;
            Ok(stream)
        };
        let stream = connect(b"").unwrap();
        let again = Box::new(move || connect(answer));
        (Input { stream, domain: 1, present: Arc::new(AtomicU32::new(1)), again }, ends)
    }

    fn all(mut end: TcpStream) -> String {
        let mut text = String::new();
        end.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn the_console_of_a_guest_that_was_moved_is_opened() {
        let (mut input, ends) = input(b"\n");
        input.write_all(b"one ").unwrap();
        input.write_all(b"two").unwrap();
        input.present.store(2, Ordering::Relaxed);
        input.write_all(b"three").unwrap();
        assert_eq!(all(ends.recv().unwrap()), "one two");
        // Its script has ended.
        let mut end = ends.recv().unwrap();
        end.write_all(b"mark 1\n").unwrap();
        while !input.is_over().unwrap() {}
        input.write_all(b"four").unwrap();
        assert_eq!(all(end), "three");
        drop(input);
        assert_eq!(all(ends.recv().unwrap()), "four");
        assert!(ends.recv().is_err());
    }

    #[test]
    fn a_connection_that_breaks_is_opened_again() {
        let (mut input, ends) = input(b"\n");
        drop(ends.recv().unwrap());
        while !input.is_over().unwrap() {}
        input.write_all(b"a").unwrap();
        drop(input);
        assert_eq!(all(ends.recv().unwrap()), "a");
    }

    #[test]
    fn a_guest_that_is_gone_is_told_from_a_lost_dom0() {
        let (mut input, ends) = input(b"mark 1\n");
        drop(ends.recv().unwrap());
        while !input.is_over().unwrap() {}
        assert_eq!(input.write(b"a").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        input.again = Box::new(|| anyhow::bail!("lost"));
        assert_eq!(input.write(b"a").unwrap_err().to_string(), "lost");
    }

    #[test]
    fn the_console_is_found_by_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let tty = folder.path().join("tty");
        for (program, text) in [
            ("xl", "[ $1-$2 = domid-web ] && echo 7".to_owned()),
            ("xenstore-read", format!("[ $1 = /local/domain/7/console/tty ] && echo {tty:?}")),
        ] {
            let path = folder.path().join(program);
            fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
        }
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        for (name, says) in [("web", "\n"), ("other", "")] {
            let mut shell = Command::new("sh");
            shell.args(["-c", &again(name)]).env("PATH", &path);
            let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            // A script that finds no guest may not take it.
            let _ = shell.stdin.take().unwrap().write_all(b"typed");
            let output = shell.wait_with_output().unwrap();
            assert_eq!(output.stdout, says.as_bytes());
            assert_eq!(output.status.success(), !says.is_empty());
        }
        assert_eq!(fs::read(tty).unwrap(), b"typed");
    }
}
