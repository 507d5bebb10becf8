//! One domain or several until their ends, before the user's eyes.

use super::{keys, publish};
use crate::ending::{Ending, LineFeeds, TIMEOUT, is_up};
use crate::explain::explain;
use crate::names::{Names, addition, named};
use crate::symbols::Latest;
use crate::ui::{Ui, err, loss, printed};
use anyhow::Result;
use console::style;
use lab::{Capture, Forward, Guest as Domain, terminal};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// As good as no limit.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long an app may take until it says that it listens, before the user is
/// told anyway how to reach it.
const UP: Duration = Duration::from_secs(3);

/// As long as any word by which it says so.
const WORD: usize = 16;

/// Bytes of a console that are kept for its end, which says how the app ended.
pub(super) const KEPT: usize = 64 << 10;

/// Bytes of a line that begin one of their own where several consoles are shown: others wait for its end.
const LONGEST: usize = 64 << 10;

/// A domain that runs, and what belongs to it.
pub(super) struct Running {
    pub(super) domain: Domain,
    pub(super) symbols: Arc<Latest>,
    /// Whether it has a terminal of its own.
    pub(super) terminal: bool,
    pub(super) captures: Vec<Capture>,
    pub(super) forwards: Vec<Forward>,
}

/// Watches all until all have ended. The exit status is that of the first that
/// failed, in the order of the command line.
pub(super) fn watch_all(running: Vec<Running>, timeout: Option<Duration>, ui: &Ui) -> Result<u8> {
    let several = running.len() > 1;
    let raw = match running.first() {
        Some(first) => keys::forward(&first.domain, first.terminal, ui)?,
        None => None,
    };
    // Where keys go to the guest, that was said with the key that leaves.
    let leave = if raw.is_none() { " (Ctrl-C ends the run)" } else { "" };
    let statuses: Vec<Result<u8>> = thread::scope(|scope| {
        let watch = |running: Running| {
            let prefix =
                if several { format!("{} | ", running.domain.name()) } else { String::new() };
            scope.spawn(move || watch(running, &prefix, leave, timeout, ui))
        };
        let threads: Vec<_> = running.into_iter().map(watch).collect();
        threads.into_iter().map(|it| it.join().unwrap_or_else(|_| bug())).collect()
    });
    let mut status = 0;
    for one in statuses {
        let one = one?;
        status = if status == 0 { one } else { status };
    }
    Ok(status)
}

fn bug() -> Result<u8> {
    Err(anyhow::anyhow!("the thread that watches the domain panicked: this is a bug of `cargo mk`"))
}

/// Shows the domain's console until its end or the time limit.
fn watch(
    running: Running,
    prefix: &str,
    leave: &str,
    timeout: Option<Duration>,
    ui: &Ui,
) -> Result<u8> {
    let Running { mut domain, symbols, captures, forwards, .. } = running;
    domain.keep_console(KEPT);
    let name = domain.name().to_owned();
    let start = Instant::now();
    let limit = timeout.unwrap_or(FOREVER);
    let mut console = Console::new(&symbols);
    let mut lines = Lines { prefix, held: Vec::new() };
    let mut said = Vec::new();
    let mut told = forwards.is_empty();
    let mut tell = || {
        for forward in &forwards {
            ui.note(&format!(
                "{name}: {}{leave}",
                style(publish::shown(forward, &name)).for_stderr().bold()
            ));
        }
    };
    let mut sink = |bytes: &[u8]| {
        let text = console.text(bytes);
        show(&lines.feed(&text));
        if !told {
            said.extend(text);
            if is_up(&String::from_utf8_lossy(&said)) {
                told = true;
                tell();
            }
            // A word that says so may not be whole yet.
            said.drain(..said.len().saturating_sub(WORD));
        }
    };
    let mut end = domain.wait(limit.min(UP), &mut sink)?;
    if end.is_none() {
        // It may be up and say nothing.
        sink_told(&mut told, &mut tell);
        end = domain.wait(limit.saturating_sub(UP), &mut |bytes| {
            show(&lines.feed(&console.text(bytes)));
        })?;
    }
    show(&lines.finish());
    let after = start.elapsed().as_secs_f64();
    let symbols = &*symbols.now();
    let Some(end) = end else {
        if ui.is_verbose() {
            match domain.registers() {
                Ok(registers) => ui.note(named(&registers, symbols).trim_end()),
                Err(error) => ui.warn(&format!("its registers cannot be shown: {error:#}")),
            }
        }
        let more = if ui.is_verbose() { "" } else { "; --verbose shows where it was" };
        let what = format!("timed out: still running after {after:.1} s, and destroyed{more}");
        ui.note(&headline(&name, &what, TIMEOUT));
        drop(domain);
        finish(captures, ui);
        return Ok(TIMEOUT);
    };
    finish(captures, ui);
    let ending = Ending::of(&end);
    if !matches!(ending, Ending::Poweroff | Ending::Saved | Ending::Exit(_)) {
        for line in telling(&end.hypervisor_log) {
            ui.note(&format!("{line}{}", addition(line, symbols)));
        }
    }
    if let Some(why) = explain(&end, symbols) {
        ui.note(&format!("{name}: {why}"));
    }
    let what = format!("{} after {after:.1} s", ending.shown());
    ui.note(&headline(&name, &what, ending.status()));
    Ok(ending.status())
}

/// Tells the user now, if that was not done before.
fn sink_told(told: &mut bool, tell: &mut dyn FnMut()) {
    if !std::mem::replace(told, true) {
        tell();
    }
}

/// Waits until the last frames are in their files.
fn finish(captures: Vec<Capture>, ui: &Ui) {
    for capture in captures {
        if let Err(error) = capture.finish() {
            ui.warn(&format!("{error:#}"));
        }
    }
}

/// A console's text by whole lines, each after a prefix; without a prefix, as it comes.
struct Lines<'a> {
    prefix: &'a str,
    held: Vec<u8>,
}

impl Lines<'_> {
    fn feed(&mut self, text: &[u8]) -> Vec<u8> {
        if self.prefix.is_empty() {
            return text.to_owned();
        }
        self.held.extend_from_slice(text);
        let whole = self.held.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let mut shown = Vec::new();
        for line in self.held[..whole].split_inclusive(|&byte| byte == b'\n') {
            shown.extend_from_slice(self.prefix.as_bytes());
            shown.extend_from_slice(line);
        }
        self.held.drain(..whole);
        if self.held.len() > LONGEST {
            shown.extend(self.finish());
        }
        shown
    }

    fn finish(&mut self) -> Vec<u8> {
        if self.held.is_empty() { Vec::new() } else { self.feed(b"\n") }
    }
}

/// A console as it is shown: with plain line feeds, and with names in reports.
pub(super) struct Console<'a> {
    line_feeds: LineFeeds,
    names: Names,
    symbols: &'a Latest,
}

impl<'a> Console<'a> {
    pub(super) fn new(symbols: &'a Latest) -> Self {
        Self { line_feeds: LineFeeds::default(), names: Names::default(), symbols }
    }

    pub(super) fn text(&mut self, bytes: &[u8]) -> Vec<u8> {
        let (mut plain, mut text) = (Vec::new(), Vec::new());
        self.line_feeds.feed(bytes, &mut plain);
        self.names.feed(&plain, &self.symbols.now(), &mut text);
        text
    }
}

/// The lines of a register dump without those of an empty stack.
pub(crate) fn telling(log: &[String]) -> impl Iterator<Item = &String> {
    log.iter().filter(|line| {
        let words = line.strip_prefix("(XEN)").unwrap_or(line).split_whitespace();
        words.clone().next().is_none() || words.clone().any(|word| word.contains(|c| c != '0'))
    })
}

/// The line that says how a run ended.
pub(super) fn headline(name: &str, what: &str, status: u8) -> String {
    let what = style(what).for_stderr();
    let what = if status == 0 { what.green() } else { what.red() };
    format!("{name}: {what}")
}

/// Prints console output. When nobody reads it any more, or it cannot be written, the run is over: QEMU
/// ends with this process.
pub(super) fn show(text: &[u8]) {
    let Err(error) = printed(text) else { return };
    terminal::restore();
    let Some(why) = loss(&error) else {
        // As for a process that SIGPIPE ends.
        std::process::exit(128 + 13);
    };
    err(&format!("{} {why}\n", style("error:").for_stderr().red().bold()));
    std::process::exit(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::tests::symbols;

    #[test]
    fn an_empty_stack_tells_nothing() {
        let log = ["(XEN) rip: 0", "(XEN)    0000 0000", "(XEN)    0000 1000"].map(str::to_owned);
        assert_eq!(telling(&log).collect::<Vec<_>>(), [&log[0], &log[2]]);
    }

    #[test]
    fn reports_have_the_names_of_the_image_that_the_guest_has() {
        let latest = Latest::new(symbols().with_programs(vec!["programs".into()]));
        let mut console = Console::new(&latest);
        let report = b"xenith:   called from 0x300110\r\n";
        let named = |console: &mut Console<'_>| String::from_utf8(console.text(report)).unwrap();
        assert!(named(&mut console).contains("app::start"));
        let image = std::env::current_exe().unwrap();
        let missing = std::path::Path::new("/no/such.debug");
        latest.follow(missing, || panic!("it is replaced unseen")).unwrap_err();
        latest.follow(&image, || anyhow::bail!("it does not start")).unwrap_err();
        assert!(named(&mut console).contains("app::start"));
        latest.follow(&image, || Ok(())).unwrap();
        assert!(!named(&mut console).contains("app::start"));
        assert_eq!(latest.now().programs(), [std::path::PathBuf::from("programs")]);
    }

    #[test]
    fn lines_of_several_are_told_apart() {
        let mut lines = Lines { prefix: "a | ", held: Vec::new() };
        let mut text = Vec::new();
        for part in ["on", "e\ntwo\n\nth", "ree"] {
            text.extend(lines.feed(part.as_bytes()));
        }
        text.extend(lines.finish());
        text.extend(lines.finish());
        assert_eq!(String::from_utf8(text).unwrap(), "a | one\na | two\na | \na | three\n");
        // A line without an end is not waited for.
        assert_eq!(lines.feed(&[b'x'; LONGEST]), b"");
        assert_eq!(lines.feed(b"y"), [b"a | ", &[b'x'; LONGEST][..], b"y\n"].concat());
        assert!(lines.held.is_empty());
        let mut lines = Lines { prefix: "", held: Vec::new() };
        assert_eq!(lines.feed(b"on"), b"on");
    }
}
