//! What is typed, on its way to a guest.
//!
//! A guest with a terminal of its own echoes, edits lines and makes signals of ^C and ^Z itself,
//! so it gets each key as it is typed, as by `xl console`: this machine's terminal is raw
//! meanwhile. Others read lines as they come, and could not correct a typing error; for them this
//! machine's terminal does that, and its ^C ends the run.

use crate::ui::{Ui, err};
use anyhow::Result;
use lab::Guest;
use lab::terminal::{LEAVE, Raw, restore};
use rustix::termios::{tcgetpgrp, tcgetwinsize};
use std::io::{self, ErrorKind, IsTerminal, Read, Write, stdin};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Exit status of a run that its user left, as that of a process that ^C ends.
pub(super) const LEFT: i32 = 130;

/// The key that ends input on a terminal (`VEOF`): ^D.
const END: u8 = 4;

/// How many keys, or kilobytes of a pipe, wait for the guest to take them.
const PIECES: usize = 1024;

/// Passes standard input on to the guest's console, from threads that live as long as this
/// process. `terminal` says whether the guest has a terminal of its own; then what is returned
/// keeps that of this machine raw.
///
/// # Errors
/// When the terminal cannot be made raw.
pub(super) fn forward(guest: &Guest, terminal: bool, ui: &Ui) -> Result<Option<Raw>> {
    let typed = stdin().is_terminal();
    // In the background, reading the terminal would stop this process.
    let background = tcgetpgrp(stdin()).is_ok_and(|group| group != rustix::process::getpgrp());
    if typed && background {
        return Ok(None);
    }
    let raw = (typed && terminal).then(|| Raw::new(true)).transpose()?;
    if raw.is_some() {
        ui.note("keys go to the guest, ^C and ^D too; Ctrl-] ends the run");
    }
    let (input, keys) = (guest.input(), raw.is_some());
    let end = terminal && !typed;
    // Apart from each other, so that the key that leaves is read while the guest takes nothing.
    let (sender, pieces) = sync_channel(PIECES);
    thread::spawn(move || {
        if read(stdin(), keys, &sender) {
            restore();
            // The guest ends with QEMU, and that with this process.
            std::process::exit(LEFT);
        }
    });
    thread::spawn(move || {
        let passed = input.and_then(|mut input| Ok(pass(&pieces, &mut input, end)?));
        if let Err(error) = passed {
            // Keys that reach nobody are signals again.
            restore();
            // With a pipe it is usual that a guest ends before that does.
            if keys || !is_gone(&error) {
                err(&format!("warning: the guest gets no more input: {error:#}\n"));
            }
        }
    });
    Ok(raw)
}

/// Reads until the end, for as long as this process lives, and returns whether a key leaves; only
/// with `keys` one does. What is read goes to `sender`, while somebody takes it.
fn read(mut source: impl Read, keys: bool, sender: &SyncSender<Vec<u8>>) -> bool {
    let mut buffer = [0; 1024];
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return false,
        };
        if keys && read.contains(&LEAVE) {
            return true;
        }
        if keys {
            // As a terminal does with keys that nobody takes, it drops them.
            let _ = sender.try_send(read.to_owned());
        } else if sender.send(read.to_owned()).is_err() {
            return false;
        }
    }
}

/// Passes on what was read, and with `ends` the end.
fn pass(pieces: &Receiver<Vec<u8>>, input: &mut impl Write, ends: bool) -> io::Result<()> {
    let mut last = None;
    for piece in pieces {
        input.write_all(&piece)?;
        last = piece.last().copied();
    }
    // That of a file or a pipe. Where lines are edited by this machine's terminal, the guest
    // knows no key for it.
    if ends { input.write_all(end(last)) } else { Ok(()) }
}

/// Whether it says that there is no guest any more, as the run says too.
fn is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(|it: &io::Error| it.kind() == ErrorKind::BrokenPipe)
}

/// What is typed to end input: within a line, the first ^D ends only that.
fn end(last: Option<u8>) -> &'static [u8] {
    if last.is_none_or(|it| it == b'\n') { &[END] } else { &[END, END] }
}

/// The size of this machine's terminal, as the guest's argument says it: rows and columns.
pub(super) fn size() -> Option<String> {
    let size = tcgetwinsize(stdin()).ok().filter(|it| it.ws_row > 0 && it.ws_col > 0)?;
    Some(format!("{}x{}", size.ws_row, size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_line_that_is_not_ended_is_typed_twice() {
        assert_eq!(
            (end(None), end(Some(b'\n')), end(Some(b'a'))),
            (&[4][..], &[4][..], &[4, 4][..])
        );
    }

    /// Gives its pieces one by one, and then an error.
    struct Source(Vec<&'static [u8]>);

    impl Read for Source {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Err(ErrorKind::Other.into());
            }
            self.0.remove(0).read(buffer)
        }
    }

    #[test]
    fn the_key_that_leaves_is_read_whatever_becomes_of_the_others() {
        let leave = || Source(vec![b"a", b"b", b"c", b"\x1d"]);
        let (sender, pieces) = sync_channel(2);
        assert!(read(leave(), true, &sender));
        assert_eq!(pieces.try_iter().collect::<Vec<_>>(), [b"a", b"b"]);
        drop(pieces);
        assert!(read(leave(), true, &sender));
        // Of a file it is a byte as others are, and its reader ends with who takes it.
        assert!(!read(leave(), false, &sender));
        let (sender, pieces) = sync_channel(4);
        assert!(!read(leave(), false, &sender));
        assert_eq!(pieces.try_iter().last().unwrap(), [LEAVE]);
    }

    #[test]
    fn all_that_is_read_is_passed_on_and_then_the_end() {
        for (piece, ends, all) in
            [("b\n", true, "ab\n\x04"), ("b", true, "ab\x04\x04"), ("b", false, "ab")]
        {
            let (sender, pieces) = sync_channel(2);
            let mut input = Vec::new();
            sender.send(b"a".to_vec()).unwrap();
            sender.send(piece.into()).unwrap();
            drop(sender);
            pass(&pieces, &mut input, ends).unwrap();
            assert_eq!(input, all.as_bytes());
        }
    }

    #[test]
    fn a_guest_that_is_gone_is_told_from_a_lost_dom0() {
        let is_gone = |kind: ErrorKind| is_gone(&io::Error::from(kind).into());
        assert!(is_gone(ErrorKind::BrokenPipe));
        assert!(!is_gone(ErrorKind::TimedOut));
    }
}
