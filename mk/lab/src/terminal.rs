//! This machine's terminal while each key goes somewhere else.

use std::io;
use std::panic;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;

use rustix::process::getpgrp;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// The byte that leaves, as in `xl console`: Ctrl-].
pub const LEAVE: u8 = 0x1d;

/// The signals by which this process may end or stop while its terminal is raw.
const SIGNALS: [i32; 6] = [SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP];

/// How the terminal was, and how it is now, while that is not the same.
static CHANGED: Mutex<Option<(Termios, Termios)>> = Mutex::new(None);

/// Keeps the terminal of standard input raw: no key is echoed, edits a line or is a signal. It is
/// as before when this value is dropped, and also when a panic ends the process, or a signal ends or
/// stops it; who calls `process::exit` calls [`restore`] before.
#[derive(Debug)]
pub struct Raw(());

impl Raw {
    /// Makes the terminal raw. With `lines`, what is printed is still lines: a line feed goes to
    /// the beginning of the next one.
    ///
    /// # Errors
    /// When standard input is no terminal, or signals cannot be handled.
    pub fn new(lines: bool) -> io::Result<Raw> {
        let saved = tcgetattr(io::stdin())?;
        let mut raw = saved.clone();
        raw.make_raw();
        if lines {
            raw.output_modes = saved.output_modes;
        }
        follow_signals()?;
        follow_panics();
        let mut changed = changed();
        tcsetattr(io::stdin(), OptionalActions::Drain, &raw)?;
        *changed = Some((saved, raw));
        Ok(Raw(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Makes the terminal what it was before [`Raw::new`], if it is not. That of another job is left
/// alone: whoever took it from this one has put it in order.
pub fn restore() {
    if let Some((saved, _)) = changed().take().filter(|_| is_ours()) {
        // Where it is gone, nothing is left to put in order.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &saved);
    }
}

fn changed() -> MutexGuard<'static, Option<(Termios, Termios)>> {
    CHANGED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has a panic put the terminal in order before it is reported: where panics abort, nothing is
/// dropped after it.
fn follow_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore();
            report(info);
        }));
    });
}

/// Has a thread do with signals what they do by themselves, with the terminal as each needs it.
fn follow_signals() -> io::Result<()> {
    static ONCE: Once = Once::new();
    if ONCE.is_completed() {
        return Ok(());
    }
    let mut signals = Signals::new(SIGNALS)?;
    let follow = move || {
        for signal in signals.forever() {
            match signal {
                SIGCONT => set(|(_, raw)| raw),
                SIGTSTP => {
                    set(|(saved, _)| saved);
                    let _ = emulate_default_handler(signal);
                }
                signal => {
                    restore();
                    let _ = emulate_default_handler(signal);
                }
            }
        }
    };
    ONCE.call_once(|| drop(thread::spawn(follow)));
    Ok(())
}

/// Makes the terminal one of both, while it is ours.
fn set(which: fn(&(Termios, Termios)) -> &Termios) {
    if let Some(both) = changed().as_ref().filter(|_| is_ours()) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, which(both));
    }
}

/// Whether the terminal may be changed: in the background that would stop us. One that does not
/// control this session stops nobody.
fn is_ours() -> bool {
    !tcgetpgrp(io::stdin()).is_ok_and(|group| group != getpgrp())
}
