//! The console: a line at a time, and what it answers.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt::Write as _;
use xenith::log::Lines;
use xenith::metrics::{Machine, Source};
use xenith::text::Escaped;
use xenith::time::{Instant, wall_clock};

/// The longest line, in bytes.
const LONGEST: usize = 256;

/// Bytes of lines of the log that wait for somebody to ask for them.
const KEPT: usize = 16 << 10;

/// What stands before a line.
const PROMPT: &str = "> ";

const HELP: &str = "help      this
info      what this image is made of
metrics   what the machine counts
log       what was logged since somebody asked
uptime    how long the machine runs, and its clock
poweroff  the app ends, and with it the domain
exit      ends this connection
";

/// What becomes of a connection after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It waits for another one.
    More,
    /// It ends.
    Exit,
    /// It ends, and the app with it.
    Poweroff,
}

/// What all connections share.
pub(crate) struct Commands {
    begun: Instant,
    log: RefCell<Option<Lines>>,
}

impl Commands {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), log: RefCell::new(Lines::new(KEPT)) }
    }

    /// Runs a command, and adds what it answers to `out`, with plain ends of lines.
    async fn run(&self, line: &str, out: &mut String) -> Next {
        // Writing to a string does not fail.
        match line.trim() {
            "" => {}
            "help" => out.push_str(HELP),
            "info" => {
                let mut text = Vec::new();
                // Nor does this.
                let _ = app_info::start(&mut text).await;
                let _ = write!(out, "{}", Lined(&text));
            }
            "metrics" => Machine.metrics(&mut |metric| {
                let _ = writeln!(out, "{} {}", metric.name, metric.value);
            }),
            "log" => self.tell_log(out),
            "uptime" => {
                let (up, now) = (self.begun.elapsed(), wall_clock());
                let _ = writeln!(out, "up {} s, {} s after 1970", up.as_secs(), now.as_secs());
            }
            "exit" | "logout" | "quit" => return Next::Exit,
            "poweroff" => return Next::Poweroff,
            other => {
                let other = Escaped(other.as_bytes());
                let _ = writeln!(out, "{other}: there is no such command; help lists them");
            }
        }
        Next::More
    }

    fn tell_log(&self, out: &mut String) {
        let Ok(mut log) = self.log.try_borrow_mut() else { return };
        let Some(log) = log.as_mut() else { return out.push_str("somebody else reads the log\n") };
        let lost = log.take_lost();
        if lost > 0 {
            let _ = writeln!(out, "{lost} older lines were dropped");
        }
        while let Some(line) = log.try_next() {
            let (ago, text) = (line.at.elapsed().as_secs(), Escaped(line.text.as_bytes()));
            let _ = writeln!(out, "{ago} s ago {} {}: {text}", line.level, line.module);
        }
    }
}

/// Text whose lines are printed as they are, and nothing else of what controls a terminal.
struct Lined<'a>(&'a [u8]);

impl core::fmt::Display for Lined<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.split_inclusive(|&byte| byte == b'\n').try_for_each(|line| {
            let plain = line.strip_suffix(b"\n");
            write!(
                f,
                "{}{}",
                Escaped(plain.unwrap_or(line)),
                if plain.is_some() { "\n" } else { "" }
            )
        })
    }
}

/// One connection's console.
pub(crate) struct Shell<'a> {
    commands: &'a Commands,
    /// Whether the client's terminal leaves echo and ends of lines to this side.
    terminal: bool,
    line: Vec<u8>,
    /// The last byte, so that CR LF is one end.
    last: u8,
}

impl<'a> Shell<'a> {
    /// Begins one, and greets whoever sits at a terminal.
    pub(crate) fn new(commands: &'a Commands, terminal: bool, out: &mut Vec<u8>) -> Self {
        if terminal {
            let name = xenith::manifest::this().lines().find_map(|it| it.strip_prefix("name\t"));
            let hello = format!("{}: help lists the commands\r\n{PROMPT}", name.unwrap_or("?"));
            out.extend(hello.bytes());
        }
        Self { commands, terminal, line: Vec::new(), last: 0 }
    }

    /// Takes what is typed, and adds to `out` what is to be seen.
    pub(crate) async fn type_in(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Next {
        for &byte in bytes {
            let after = core::mem::replace(&mut self.last, byte);
            match byte {
                b'\n' if after == b'\r' => {}
                b'\r' | b'\n' => {
                    self.echo(b"\r\n", out);
                    let line = core::mem::take(&mut self.line);
                    let next = self.execute(&String::from_utf8_lossy(&line), out).await;
                    if next != Next::More {
                        return next;
                    }
                    self.echo(PROMPT.as_bytes(), out);
                }
                // ^D ends at the beginning of a line, ^C and ^U take back what is typed.
                4 if self.terminal && self.line.is_empty() => return Next::Exit,
                3 if self.terminal => {
                    self.line.clear();
                    self.echo(b"^C\r\n> ", out);
                }
                0x15 if self.terminal => {
                    let typed = core::mem::take(&mut self.line);
                    typed.iter().for_each(|_| self.echo(b"\x08 \x08", out));
                }
                8 | 0x7F if self.terminal => {
                    if self.line.pop().is_some() {
                        self.echo(b"\x08 \x08", out);
                    }
                }
                _ if self.line.len() >= LONGEST || byte < b' ' => self.echo(b"\x07", out),
                _ => {
                    self.line.push(byte);
                    self.echo(&[byte], out);
                }
            }
        }
        Next::More
    }

    /// Runs a command.
    pub(crate) async fn execute(&self, line: &str, out: &mut Vec<u8>) -> Next {
        let mut text = String::new();
        let next = self.commands.run(line, &mut text).await;
        if self.terminal {
            text = text.replace('\n', "\r\n");
        }
        out.extend(text.bytes());
        next
    }

    fn echo(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.terminal {
            out.extend(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenith::task::block_on;

    fn typed(terminal: bool, bytes: &[u8]) -> (Next, String) {
        let commands = Commands::new();
        let mut out = Vec::new();
        let mut shell = Shell::new(&commands, terminal, &mut out);
        let next = block_on(shell.type_in(bytes, &mut out));
        (next, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_terminal_is_echoed_and_edited() {
        let (next, seen) = typed(true, b"hex\x7flp\r\nx\x03 u\x15exit\r");
        assert_eq!(next, Next::Exit);
        let (hello, rest) = seen.split_once("\r\n> ").unwrap();
        assert!(hello.ends_with(": help lists the commands"));
        assert!(rest.starts_with("hex\x08 \x08lp\r\nhelp      this\r\ninfo "), "{rest:?}");
        assert!(
            rest.ends_with("connection\r\n> x^C\r\n>  u\x08 \x08\x08 \x08exit\r\n"),
            "{rest:?}"
        );
        assert_eq!(typed(true, b"\x04").0, Next::Exit);
        assert_eq!(typed(true, b"a\x04").0, Next::More);
    }

    #[test]
    fn a_pipe_gets_answers_alone() {
        assert_eq!(typed(false, b"nothing\n\x1b[2J\n"), {
            let text = "nothing: there is no such command; help lists them\n\
                        [2J: there is no such command; help lists them\n";
            (Next::More, text.into())
        });
        assert_eq!(typed(false, b"poweroff\nhelp\n"), (Next::Poweroff, String::new()));
        let (_, said) = typed(false, b"uptime\ninfo\nmetrics\n");
        assert!(said.starts_with("up 0 s, ") && said.contains("heap"), "{said}");
    }

    #[test]
    fn lines_are_bounded_t3() {
        let (_, said) = typed(false, &[&[b'a'; 10_000][..], b"\n"].concat());
        assert_eq!(
            said.matches('a').count(),
            LONGEST + "a such command; help lists them".matches('a').count() - 1
        );
    }
}
