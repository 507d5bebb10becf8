//! How a guest's run ended: the console's text and the exit status.

use lab::{End, Reason};

/// Exit status of a run that hit its time limit, as timeout(1) has it.
pub(crate) const TIMEOUT: u8 = 124;
/// Exit status of a crash that says nothing else, as a Rust panic has it.
pub(crate) const CRASH: u8 = 101;
/// Lines at the end of a console that are looked through for an exit status.
const LAST_LINES: usize = 5;

/// How a guest's run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It powered itself off.
    Poweroff,
    /// Its memory is in a file.
    Saved,
    /// It ended with an exit status of its own that is not 0.
    Exit(u8),
    /// It crashed, or was ended by something else than itself.
    Crash(Reason),
}

impl Ending {
    /// Judges by the domain's shutdown reason and its last words.
    pub(crate) fn of(end: &End) -> Self {
        match (end.reason, exit_status(&end.console)) {
            (Reason::Poweroff, _) => Self::Poweroff,
            (Reason::Saved, _) => Self::Saved,
            (Reason::Crash, Some(status)) => Self::Exit(status),
            (reason, _) => Self::Crash(reason),
        }
    }

    /// The exit status of the command that ran it.
    pub(crate) const fn status(self) -> u8 {
        match self {
            Self::Poweroff | Self::Saved => 0,
            Self::Exit(status) => status,
            Self::Crash(_) => CRASH,
        }
    }

    /// What became of it, such as `powered off`.
    pub(crate) fn shown(self) -> String {
        match self {
            Self::Poweroff => "powered off".to_owned(),
            Self::Saved => "saved".to_owned(),
            Self::Exit(101) => "panicked, exit status 101".to_owned(),
            Self::Exit(139) => "faulted, exit status 139".to_owned(),
            Self::Exit(status) => format!("failed with exit status {status}"),
            Self::Crash(Reason::Crash) => "crashed".to_owned(),
            Self::Crash(reason) => format!("ended: {reason}"),
        }
    }
}

/// The exit status that the kernel's last line tells.
pub(crate) fn exit_status(console: &[u8]) -> Option<u8> {
    let text = text(console);
    let mut last = text.lines().rev().take(LAST_LINES);
    last.find_map(|line| line.strip_prefix("xenith: exit status ")?.parse().ok())
}

/// A console's bytes as text with plain line feeds.
pub(crate) fn text(console: &[u8]) -> String {
    let mut bytes = Vec::new();
    LineFeeds::default().feed(console, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a console says that its guest serves now.
pub(crate) fn is_up(console: &str) -> bool {
    console.contains("listening") || console.contains("ready")
}

/// Turns a console's carriage return and line feed into line feed, in pieces
/// as they come.
#[derive(Default)]
pub(crate) struct LineFeeds {
    /// A carriage return whose next byte is not known yet.
    held: bool,
}

impl LineFeeds {
    /// Appends what `bytes` become to `to`.
    pub(crate) fn feed(&mut self, bytes: &[u8], to: &mut Vec<u8>) {
        for &byte in bytes {
            if self.held && byte != b'\n' {
                to.push(b'\r');
            }
            self.held = byte == b'\r';
            if !self.held {
                to.push(byte);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(reason: Reason, console: &str) -> End {
        End { reason, console: console.into(), hypervisor_log: Vec::new(), cpu_time: None }
    }

    #[test]
    fn the_reason_and_the_last_words_decide() {
        for (reason, console, ending, status) in [
            (Reason::Poweroff, "hello\r\n", Ending::Poweroff, 0),
            (Reason::Poweroff, "xenith: exit status 3\r\n", Ending::Poweroff, 0),
            (Reason::Crash, "a\r\nxenith: exit status 3\r\n", Ending::Exit(3), 3),
            (Reason::Crash, "xenith: exit status 3", Ending::Exit(3), 3),
            (Reason::Crash, "", Ending::Crash(Reason::Crash), 101),
            (Reason::Crash, "xenith: exit status x\n", Ending::Crash(Reason::Crash), 101),
            (Reason::Crash, "say xenith: exit status 3\n", Ending::Crash(Reason::Crash), 101),
            (
                Reason::Crash,
                "xenith: exit status 3\n1\n2\n3\n4\n5\n",
                Ending::Crash(Reason::Crash),
                101,
            ),
            (Reason::Watchdog, "", Ending::Crash(Reason::Watchdog), 101),
        ] {
            let found = Ending::of(&end(reason, console));
            assert_eq!((found, found.status()), (ending, status), "{reason} {console:?}");
        }
    }

    #[test]
    fn carriage_returns_go_only_before_line_feeds() {
        let mut filter = LineFeeds::default();
        let mut to = Vec::new();
        for piece in ["a\r", "\nb\rc", "\r\r\n", "\rx"] {
            filter.feed(piece.as_bytes(), &mut to);
        }
        assert_eq!(String::from_utf8(to).unwrap(), "a\nb\rc\r\n\rx");
    }
}
