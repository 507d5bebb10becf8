//! Prints both clocks, once a second.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;
use embedded_io_async::Write;
use jiff::Timestamp;
use xenith::time::{Instant, interval, wall_clock};

/// `moment`, a time since 1970, as RFC 3339 writes it.
fn rfc3339(moment: Duration) -> Option<String> {
    let seconds = i64::try_from(moment.as_secs()).ok()?;
    Some(Timestamp::from_second(seconds).ok()?.to_string())
}

/// Writes the seconds since the machine began and the date `count` times, once
/// a second.
///
/// # Errors
/// Those of the console.
pub async fn start<C: Write>(mut console: C, count: u32) -> Result<(), C::Error> {
    let mut second = interval(Duration::from_secs(1));
    for _ in 0..count {
        second.tick().await;
        let monotonic = Duration::from_nanos(Instant::now().as_nanos()).as_secs_f64();
        let date = rfc3339(wall_clock()).unwrap_or_else(|| String::from("no date"));
        let line = format!("monotonic {monotonic:.3} s, wall clock {date}\n");
        console.write_all(line.as_bytes()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(rfc3339(Duration::from_secs(951_782_400)).unwrap(), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(Duration::MAX), None);
    }

    #[test]
    fn one_line_a_second() {
        xenith::testing::simulate_time();
        let begun = Instant::now();
        let mut out = Vec::new();
        xenith::task::block_on(start(&mut out, 5)).unwrap();
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 5);
        assert!(text.lines().all(|line| line.ends_with('Z')));
    }
}
