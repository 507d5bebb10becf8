//! The arguments that all apps have. Each is described once, here: `help` prints the description,
//! the manifest's note contains it, and its default is parsed as a given value is.

use crate::args::{Args, Argument, Error};
use crate::entropy::{self, Seed};
use crate::log::{self, Levels};
use crate::machine;
use core::fmt;

/// Levels of the log.
const LOG: Argument = Argument::of::<Levels>("log", Some("info"), &[]);

/// Limit for a task that does not await.
const WATCHDOG: Argument = Argument::of::<u32>(
    "watchdog",
    Some("30"),
    &[" Seconds a task may run without awaiting, 0 for ever."],
);

/// Seed for the random number generator.
const SEED: Argument =
    Argument::of::<Option<Seed>>("seed", None, &[" Randomness where the processor has none."]);

/// Whether libraries find AVX, where the processor and Xen have it ([`Args::wants_no_avx`]).
const AVX: Argument = Argument { name: "avx", kind: "off", default: Some("on"), help: &[] };

/// All of them, in the order of `help` and of the manifest's note.
pub const ARGUMENTS: &[Argument] = &[LOG, WATCHDOG, SEED, AVX];

/// Calls `line` with each line of `help` about them.
pub(crate) fn print(mut line: impl FnMut(fmt::Arguments<'_>)) {
    line(format_args!("Of every app:"));
    ARGUMENTS.iter().for_each(|argument| argument.print(&mut line));
}

/// Takes them out of `args` and applies them.
///
/// # Errors
/// If a value is invalid; then none is applied.
pub(crate) fn settle(args: &mut Args) -> Result<(), Error> {
    let levels: Levels = args.take_described(&LOG)?;
    let seconds: u32 = args.take_described(&WATCHDOG)?;
    let seed: Option<Seed> = args.take_described(&SEED)?;
    // Before anybody asks the processor what it can do.
    machine::start_avx(!args.wants_no_avx());
    log::start(levels);
    seed.into_iter().for_each(entropy::give);
    machine::start_watchdog(seconds);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Unreadable, split};

    fn settled(line: &str) -> Result<(), Error> {
        let line: &'static mut [u8] = Vec::from(line).leak();
        let mut args = Args::new(split(line)?)?;
        settle(&mut args)?;
        args.finish()
    }

    #[test]
    fn what_is_given_well_is_taken() {
        let seed = "0123456789abcdefABCDEF9876543210".repeat(2);
        for line in [
            "",
            "log=warn,netfront=trace watchdog=0",
            "avx=off log=warn",
            &format!("seed={seed}"),
            &format!("\"seed\"=\"{seed}\" watchdog=\"4294967295\" log=off"),
        ] {
            assert_eq!(settled(line), Ok(()), "{line}");
        }
    }

    /// Each kind of mistake, of each of them: none is ignored.
    #[test]
    fn what_makes_no_sense_is_refused() {
        let seed = "0f".repeat(32);
        for name in ["log", "watchdog", "seed"] {
            let good = if name == "seed" { &seed } else { "0" };
            let long = format!("{seed}0");
            for value in ["", "loud", "-1", "4294967296", "a=b", "\"\"", "é", &long, &seed[1..]] {
                match settled(&format!("{name}={value}")) {
                    Err(Error::BadValue { name: found, .. }) => assert_eq!(found, name),
                    other => panic!("{name}={value}: {other:?}"),
                }
            }
            assert_eq!(settled(&format!("{name}={good} {name}={good}")), Err(Error::Twice(name)));
            assert_eq!(settled(name), Err(Error::NoValue(name)));
            assert_eq!(settled(&format!("{name}=\"{good}")), Err(Unreadable::Unfinished.into()));
        }
        for value in ["info,", ",", "a=", "=info", "info,loud"] {
            assert!(settled(&format!("log={value}")).is_err(), "log={value}");
        }
        let broken: &'static [u8] = b"seed=\xff";
        assert_eq!(Args::new([broken].into_iter()).unwrap_err(), Error::NotText);
    }

    #[test]
    fn avx_is_a_word() {
        let wants_none = |line: &str| {
            let args = Args::new(split(Vec::from(line).leak())?)?;
            args.finish().map(|()| args.wants_no_avx())
        };
        assert_eq!(wants_none(""), Ok(false));
        assert_eq!(wants_none("avx=off"), Ok(true));
        assert_eq!(wants_none("avx=loud"), Err(Error::Unknown("avx")));
    }

    #[test]
    fn defaults_are_of_their_kind() {
        let mut args = Args::default();
        assert_eq!(args.take_described::<u32>(&WATCHDOG), Ok(30));
        assert!(args.take_described::<Levels>(&LOG).is_ok());
        assert!(args.take_described::<Option<Seed>>(&SEED).is_ok_and(|seed| seed.is_none()));
    }

    #[test]
    fn help_lists_them() {
        let mut lines = Vec::new();
        print(|line| lines.push(line.to_string()));
        let begin = [
            "Of every app:",
            "  log=<level (off, ",
            "  watchdog=<number from 0 to 4294967295>, 30 if",
        ];
        assert!(lines.iter().zip(begin).all(|(line, begin)| line.starts_with(begin)), "{lines:#?}");
        assert!(
            lines
                .iter()
                .any(|line| line == "  seed=<key of 64 hexadecimal digits>, none if not given"),
            "{lines:#?}"
        );
    }
}
