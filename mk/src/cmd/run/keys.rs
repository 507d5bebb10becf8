//! What is typed, on its way to a guest.
//!
//! A guest with a terminal of its own echoes, edits lines and makes signals of ^C and ^Z itself,
//! so it gets each key as it is typed, as by `xl console`: this machine's terminal is raw
//! meanwhile. Others read lines as they come, and could not correct a typing error; for them this
//! machine's terminal does that, and its ^C ends the run.

use crate::ui::Ui;
use anyhow::Result;
use lab::terminal::{LEAVE, Raw, restore};
use lab::{Guest, Input};
use rustix::termios::{tcgetpgrp, tcgetwinsize};
use std::io::{IsTerminal, Read, Write, stdin};
use std::thread;

/// Exit status of a run that its user left, as that of a process that ^C ends.
pub(super) const LEFT: i32 = 130;

/// The key that ends input on a terminal (`VEOF`): ^D.
const END: u8 = 4;

/// Passes standard input on to the guest's console, from a thread that lives as long as this
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
    thread::spawn(move || -> Result<()> {
        let mut input = input?;
        let last = copy(&mut input, keys)?;
        // That of a file or a pipe. Where lines are edited by this machine's terminal, the guest
        // knows no key for it.
        if terminal && !typed {
            input.write_all(end(last))?;
        }
        Ok(())
    });
    Ok(raw)
}

/// Copies until the end; with `keys`, one of them ends this process. Returns the last byte.
fn copy(input: &mut Input, keys: bool) -> Result<Option<u8>> {
    let mut last = None;
    let mut buffer = [0; 1024];
    loop {
        let count = stdin().read(&mut buffer)?;
        let read = &buffer[..count];
        if keys && read.contains(&LEAVE) {
            restore();
            // The guest ends with QEMU, and that with this process.
            std::process::exit(LEFT);
        }
        let Some(&byte) = read.last() else { return Ok(last) };
        last = Some(byte);
        input.write_all(read)?;
    }
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
}
