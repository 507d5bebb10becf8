//! What the user sees while something is done.
//!
//! On a terminal a long step is a spinner that goes when the step is done;
//! elsewhere it is one plain line when it begins. Results go to standard
//! output, everything else to standard error.

use console::style;
use indicatif::{ProgressBar, ProgressStyle};
use std::ffi::OsStr;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How often a long step says how far it is where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);

/// The one terminal.
pub(crate) struct Ui {
    verbose: bool,
    terminal: bool,
    bar: Mutex<Option<ProgressBar>>,
    /// When the step, or the line about it, was last shown without a terminal.
    shown: Mutex<Option<Instant>>,
}

impl Ui {
    /// With `verbose`, commands are shown as they are run.
    pub(crate) fn new(verbose: bool) -> Self {
        let terminal = console::user_attended_stderr();
        Self { verbose, terminal, bar: Mutex::new(None), shown: Mutex::new(None) }
    }

    /// Whether standard error is a terminal.
    pub(crate) const fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether the user asked to see more.
    pub(crate) const fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Begins a long step; the one before is done.
    pub(crate) fn step(&self, what: &str) {
        self.done();
        if self.terminal {
            let bar = ProgressBar::new_spinner()
                .with_style(spinner("{spinner} {msg} {elapsed}"))
                .with_message(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
            *self.bar() = Some(bar);
        } else {
            *lock(&self.shown) = Some(Instant::now());
            err(&format!("{what}\n"));
        }
    }

    /// Says more about the step; without a terminal, every ten seconds.
    pub(crate) fn detail(&self, what: String) {
        if let Some(bar) = &*self.bar() {
            bar.set_message(what);
            return;
        }
        let mut shown = lock(&self.shown);
        if shown.is_some_and(|shown| shown.elapsed() >= INTERVAL) {
            *shown = Some(Instant::now());
            err(&format!("{what}\n"));
        }
    }

    /// How far the step is, in bytes.
    pub(crate) fn bytes(&self, done: u64, total: u64) {
        if let Some(bar) = &*self.bar() {
            if bar.length() != Some(total) {
                bar.set_length(total);
                bar.set_style(spinner("{spinner} {msg} {bytes}/{total_bytes} {wide_bar}"));
            }
            bar.set_position(done);
        }
    }

    /// Ends the step, if there is one.
    pub(crate) fn done(&self) {
        *lock(&self.shown) = None;
        if let Some(bar) = self.bar().take() {
            bar.finish_and_clear();
        }
    }

    /// Prints a line that stays, on standard error.
    pub(crate) fn note(&self, line: &str) {
        self.above(|| err(&format!("{line}\n")));
    }

    /// Prints a warning.
    pub(crate) fn warn(&self, line: &str) {
        self.note(&format!("{} {line}", style("warning:").for_stderr().yellow().bold()));
    }

    /// Shows a command that is about to run, if the user wants to see it.
    pub(crate) fn command(&self, command: &Command) {
        if self.verbose {
            self.note(&style(format!("+ {}", shown(command))).for_stderr().dim().to_string());
        }
    }

    /// Does what prints, with the step out of its way.
    pub(crate) fn above(&self, print: impl FnOnce()) {
        let bar = self.bar().clone();
        match bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn bar(&self) -> MutexGuard<'_, Option<ProgressBar>> {
        lock(&self.bar)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spinner(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// What a result that could not be written is reported by, once all is done.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// Prints a result on standard output. Nobody is left to tell when it is closed; that it could not be
/// written for another reason, [`unwritten`] says.
pub(crate) fn out(text: &str) {
    out_bytes(text.as_bytes());
}

/// Prints a result that need not be text, likewise.
pub(crate) fn out_bytes(bytes: &[u8]) {
    if let Some(why) = printed(bytes).err().as_ref().and_then(loss) {
        UNWRITTEN.get_or_init(|| why);
    }
}

/// Returns why a result was not written, where that is so.
pub(crate) fn unwritten() -> Option<&'static str> {
    UNWRITTEN.get().map(String::as_str)
}

/// Writes to standard output at once: what was left for later could fail unseen.
///
/// # Errors
/// With what standard output says.
pub(crate) fn printed(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush())
}

/// Returns what to say of an error of standard output: nothing where nobody reads it any more.
pub(crate) fn loss(error: &io::Error) -> Option<String> {
    let lost = error.kind() != ErrorKind::BrokenPipe;
    lost.then(|| format!("cannot write standard output: {error}"))
}

/// Prints on standard error, likewise.
pub(crate) fn err(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// `count` of something, such as `1 guest` or `2 guests`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// A command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let mut words: Vec<String> = Vec::new();
    for (name, value) in command.get_envs() {
        // Several lines are what an image is made of, and long.
        let line = |value: &&OsStr| !value.to_string_lossy().contains('\n');
        if let Some(value) = value.filter(line) {
            words.push(format!("{}={}", name.display(), word(&value.to_string_lossy())));
        }
    }
    words.push(word(&command.get_program().to_string_lossy()));
    words.extend(command.get_args().map(|it| word(&it.to_string_lossy())));
    words.join(" ")
}

/// `text` as a word of a shell's command line.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let shown: String = text.chars().map(|c| if c == '\x1f' { ' ' } else { c }).collect();
    format!("'{}'", shown.replace('\'', r"'\''"))
}

/// `path` as a shell takes it for one word, in a command to be copied.
pub(crate) fn typed(path: &Path) -> String {
    let path = path.to_string_lossy();
    shlex::try_quote(&path).map_or_else(|_| path.to_string(), Into::into)
}

/// `count` with its thousands apart.
pub(crate) fn bytes(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `rows` under their heads, with the columns in `right` flush right.
pub(crate) fn table<const N: usize>(rows: &[[String; N]], right: &[usize]) -> String {
    let width = |column: usize| {
        rows.iter().map(|row| console::measure_text_width(&row[column])).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths[column] - console::measure_text_width(cell));
            if column > 0 {
                line.push_str("  ");
            }
            if right.contains(&column) {
                line.extend([&padding, cell.as_str()]);
            } else {
                line.extend([cell.as_str(), &padding]);
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_command_is_one_word() {
        assert_eq!(typed(Path::new("out/a.saved")), "out/a.saved");
        assert_eq!(typed(Path::new("my apps/it's")), "\"my apps/it's\"");
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1000, 1234567].map(bytes), ["0", "999", "1 000", "1 234 567"]);
    }

    #[test]
    fn one_is_no_plural() {
        assert_eq!([0, 1, 2].map(|it| counted(it, "guest")), ["0 guests", "1 guest", "2 guests"]);
    }

    #[test]
    fn columns_line_up() {
        let rows = [["a", "10"], ["long", "5"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows, &[1]), "a     10\nlong   5\n");
    }

    #[test]
    fn a_command_can_be_pasted() {
        let mut command = Command::new("xl");
        command.env("A", "b c").args(["create", "it's", ""]);
        assert_eq!(shown(&command), r"A='b c' xl create 'it'\''s' ''");
    }
}
