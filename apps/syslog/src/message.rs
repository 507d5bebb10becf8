//! Writes messages as RFC 5424 says.

use alloc::string::String;
use core::fmt::Write;
use core::time::Duration;
use xenith::calendar;
use xenith::log::Line;
use xenith::text::EscapeControls;

/// System daemons (RFC 5424, section 6.2.1).
const FACILITY: u8 = 3;

/// The longest names of an app and a host (section 6).
const APP: usize = 48;
const HOST: usize = 255;

/// A clock that says less than this, the year 2000, was never set.
const NEVER_SET: Duration = Duration::from_secs(946_684_800);

/// The highest number of a message, after which comes 1 (section 7.3.1).
pub(crate) const LAST: u32 = i32::MAX.cast_unsigned();

/// What a message says besides its line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header<'a> {
    /// The time since 1970 when the line was logged.
    pub(crate) time: Duration,
    /// The name of the machine, and of the app.
    pub(crate) host: &'a str,
    pub(crate) app: &'a str,
    /// How many messages there were up to this one.
    pub(crate) number: u32,
}

/// Writes a name: what is neither a visible character of ASCII nor fits is left out, and nothing
/// is NILVALUE.
fn name(to: &mut String, name: &str, limit: usize) {
    let begun = to.len();
    to.extend(name.chars().filter(char::is_ascii_graphic).take(limit));
    if to.len() == begun {
        to.push('-');
    }
}

/// Writes a time as RFC 3339 does, with microseconds; NILVALUE for that of a clock that was never
/// set.
fn timestamp(to: &mut String, time: Duration) {
    let seconds = time.as_secs();
    let (year, month, day) = calendar::date(seconds / 86400);
    if time < NEVER_SET || year > 9999 {
        to.push('-');
        return;
    }
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let micros = time.subsec_micros();
    // Writing to a string does not fail.
    let _ =
        write!(to, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z");
}

/// Returns `line` as a message. Control characters are escaped, so that it is one line wherever
/// the server writes it.
pub(crate) fn message(header: &Header<'_>, line: &Line) -> String {
    let severity = match line.level {
        log::Level::Error => 3,
        log::Level::Warn => 4,
        log::Level::Info => 6,
        log::Level::Debug | log::Level::Trace => 7,
    };
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(text, "<{}>1 ", FACILITY * 8 + severity);
    timestamp(&mut text, header.time);
    text.push(' ');
    name(&mut text, header.host, HOST);
    text.push(' ');
    name(&mut text, header.app, APP);
    let up = line.at.as_nanos() / 10_000_000;
    let _ = write!(text, " - - [meta sequenceId=\"{}\" sysUpTime=\"{up}\"] ", header.number);
    if !line.text.is_ascii() {
        // Section 6.4: text that is UTF-8 begins with the mark.
        text.push('\u{feff}');
    }
    let _ = write!(EscapeControls(&mut text), "{}: {}", line.module, line.text);
    text
}
