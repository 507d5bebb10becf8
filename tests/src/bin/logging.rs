//! Logs at every level; the argument `log=` decides what is shown.
//!
//! test(default): args expected=info
//! test(default): console-contains "] INFO logging: shown as info"
//! test(own): args log=off,logging=debug expected=debug
//! test(own): console-contains "] DEBUG logging: shown as debug"
//! test(off): args log=off expected=off
//! test(bad): args log=loud expected=off
//! test(bad): expect exit 2
//! test(bad): no-verdict
//! test(bad): console-contains "log=loud: not a level (off, error, warn, info, debug or trace)"
//! test(own,off,bad): not-in-check

#![no_std]
#![no_main]

use log::{Level, LevelFilter, debug, error, info, log_enabled, trace, warn};
use tests::Verdict;

kernel::unikernel! {
    /// Logs at every level.
    name: "logging",
    memory: 1 MiB,
    args: {
        /// The most that should be shown of this module.
        expected: &'static str,
    },
    main: start,
}

async fn start(expected: &str) -> Verdict {
    error!("shown as error");
    warn!("shown as warn");
    info!("shown as info");
    debug!("shown as debug");
    trace!("shown as trace");
    let enabled = [
        log_enabled!(Level::Error),
        log_enabled!(Level::Warn),
        log_enabled!(Level::Info),
        log_enabled!(Level::Debug),
        log_enabled!(Level::Trace),
    ];
    let most = match expected {
        "off" => LevelFilter::Off,
        "info" => LevelFilter::Info,
        "debug" => LevelFilter::Debug,
        _ => return Verdict::Fail("that level is not tested"),
    };
    if enabled.iter().filter(|&&enabled| enabled).count() == most as usize {
        Verdict::Pass
    } else {
        Verdict::Fail("other levels are enabled than should be")
    }
}
