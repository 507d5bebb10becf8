//! Prints what drivers and apps log with the `log` crate.
//!
//! The argument `log=debug` sets the level of all modules; `log=info,netfront=trace,tcp=off` also
//! sets those of the modules that have a segment `netfront` or `tcp` in their path. If several
//! items match, the last one counts. A line has the time since boot in seconds, the level and the
//! module's path:
//!
//! ```text
//! [    1.204817] INFO devices::net::netfront: connected
//! ```
//!
//! # Example
//! ```
//! fn accept(peer: &str, open: usize) -> bool {
//!     log::debug!("{peer} connects");
//!     if open >= 100 {
//!         log::warn!("{peer} is turned away: {open} connections are open");
//!     }
//!     open < 100
//! }
//! assert!(accept("192.0.2.7", 99));
//! ```
//!
//! A disabled line costs one comparison, unless some module has a higher level. Lines never wait:
//! what the console has no room for is dropped and counted (rule K2). [`Lines`] gives what is
//! printed to a service that sends it elsewhere as well, such as `apps/syslog`.

mod lines;

use crate::args::{Reason, Value};
use crate::machine;
use crate::time::Instant;
pub use lines::{LONGEST, Line, Lines, aside};
use log::{LevelFilter, Log, Metadata, Record};
use spin::Mutex;

/// The levels of the argument `log=`: its text, which has been checked.
#[derive(Debug)]
pub(crate) struct Levels {
    text: &'static str,
    /// The highest level of any module.
    max: LevelFilter,
}

/// The levels that hold, as text.
static LEVELS: Mutex<&str> = Mutex::new("");

struct Sink;

impl Value for Levels {
    const KIND: &'static str =
        "level (off, error, warn, info, debug or trace), also module=level, separated by commas";

    fn parse(text: &'static str) -> Result<Self, Reason> {
        let (mut max, mut all) = (LevelFilter::Off, LevelFilter::Info);
        for item in items(text) {
            let (module, level) = item.ok_or(Reason::NotOfKind)?;
            max = max.max(level);
            if module.is_empty() {
                all = LevelFilter::Off;
            }
        }
        Ok(Self { text, max: max.max(all) })
    }
}

/// Splits the argument into module and level of each item. The module is empty for all modules;
/// an invalid item is `None`.
fn items(text: &'static str) -> impl Iterator<Item = Option<(&'static [u8], LevelFilter)>> {
    // By bytes, as `str`'s own searchers would double the size of this.
    text.as_bytes().split(|&byte| byte == b',').map(|item| {
        match item.iter().position(|&byte| byte == b'=') {
            None => Some((&item[..0], level(item)?)),
            // An empty name before the `=`.
            Some(0) => None,
            Some(at) => Some((item.get(..at)?, level(item.get(at + 1..)?)?)),
        }
    })
}

/// Returns the level of module `target` by `levels`: the last one for a segment of its path, else
/// the last one for all modules.
fn level_of(target: &str, levels: &'static str) -> LevelFilter {
    let target = known(target);
    let (mut all, mut own) = (LevelFilter::Info, None);
    for (module, level) in items(levels).flatten() {
        if module.is_empty() {
            all = level;
        } else if target.as_bytes().split(|&byte| byte == b':').any(|segment| segment == module) {
            own = Some(level);
        }
    }
    own.unwrap_or(all)
}

/// Returns the path of a module under the name by which apps import our crates: without
/// `xenith_`.
fn known(target: &str) -> &str {
    target.strip_prefix("xenith_").unwrap_or(target)
}

/// The names of levels, from the one that shows least. A table of strings takes three times as much.
const LEVEL_NAMES: [[u8; 5]; 6] =
    [*b"off\0\0", *b"error", *b"warn\0", *b"info\0", *b"debug", *b"trace"];

fn level(text: &[u8]) -> Option<LevelFilter> {
    let mut name = [0; 5];
    name.get_mut(..text.len())?.copy_from_slice(text);
    LevelFilter::iter().nth(LEVEL_NAMES.iter().position(|it| *it == name)?)
}

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let levels = *LEVELS.lock();
        metadata.level() <= level_of(metadata.target(), levels)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let us = Instant::now().as_nanos() / 1000;
        machine::line(format_args!(
            "[{:5}.{:06}] {} {}: {}",
            us / 1_000_000,
            us % 1_000_000,
            record.level(),
            known(record.target()),
            record.args()
        ));
        if let Some(keep) = lines::KEEP.get() {
            keep(record);
        }
    }

    fn flush(&self) {}
}

/// Starts logging at these levels. Only the first call has an effect.
pub(crate) fn start(levels: Levels) {
    // It fails where a test has installed another logger.
    if log::set_logger(&Sink).is_ok() {
        *LEVELS.lock() = levels.text;
    }
    log::set_max_level(levels.max);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(levels: &Levels, target: &str) -> LevelFilter {
        level_of(target, levels.text)
    }

    #[test]
    fn modules_may_have_their_own_level() {
        let levels = Levels::parse("warn,netfront=trace,tcp=off,ip=debug").unwrap();
        assert_eq!(of(&levels, "xenith_devices::net::netfront"), LevelFilter::Trace);
        assert_eq!(of(&levels, "xenith_http::tcp::input"), LevelFilter::Off);
        assert_eq!(of(&levels, "xenith_ip::stack"), LevelFilter::Debug);
        assert_eq!(of(&levels, "app"), LevelFilter::Warn);
        assert_eq!(levels.max, LevelFilter::Trace);
        assert_eq!(of(&Levels::parse("tcp=off").unwrap(), "app"), LevelFilter::Info);
        assert!(Levels::parse("").is_err());
    }

    #[test]
    fn the_last_word_counts() {
        let levels = Levels::parse("a=warn,error,b=info,a=off,debug").unwrap();
        let of = ["a", "b::c", "c::a", "d"].map(|target| of(&levels, target));
        let [off, info, debug] = [LevelFilter::Off, LevelFilter::Info, LevelFilter::Debug];
        assert_eq!((of, levels.max), ([off, info, off, debug], debug));
        assert!(Levels::parse("a=info,".repeat(99).leak().trim_end_matches(',')).is_ok());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["loud", "net=loud", "errors", "of", "net="] {
            assert!(Levels::parse(text).is_err(), "{text}");
        }
        for (name, level) in
            ["off", "error", "warn", "info", "debug", "trace"].iter().zip(LevelFilter::iter())
        {
            assert_eq!(super::level(name.as_bytes()), Some(level));
        }
    }
}
