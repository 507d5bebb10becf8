//! What takes too long is cancelled.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use core::time::Duration;
use embedded_io_async::Write;
use xenith::task::{Either, select};
use xenith::time::{sleep, timeout};

/// Does something that takes `work` seconds: once with `limit` seconds to do
/// it in, once in a race against something that takes `limit` seconds.
///
/// # Errors
/// Those of the console.
pub async fn start<C: Write>(mut console: C, work: u64, limit: u64) -> Result<(), C::Error> {
    let (work, limit) = (Duration::from_secs(work), Duration::from_secs(limit));
    let task = || async move {
        sleep(work).await;
        "done"
    };
    let line = match timeout(limit, task()).await {
        Ok(result) => format!("timeout: {result}\n"),
        Err(error) => format!("timeout: {error}\n"),
    };
    console.write_all(line.as_bytes()).await?;
    let line = match select(task(), sleep(limit)).await {
        Either::First(result) => format!("race: {result}\n"),
        Either::Second(()) => String::from("race: the other was faster\n"),
    };
    console.write_all(line.as_bytes()).await
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;
    use xenith::time::Instant;

    fn run(work: u64, limit: u64) -> (String, u64) {
        xenith::testing::simulate_time();
        let begun = Instant::now();
        let mut out = Vec::new();
        xenith::task::block_on(start(&mut out, work, limit)).unwrap();
        (String::from_utf8(out).unwrap(), begun.elapsed().as_secs())
    }

    #[test]
    fn the_shorter_one_decides() {
        assert_eq!(run(1, 2), (String::from("timeout: done\nrace: done\n"), 2));
        let (text, seconds) = run(5, 1);
        assert_eq!(text, "timeout: timed out\nrace: the other was faster\n");
        assert_eq!(seconds, 2);
    }
}
