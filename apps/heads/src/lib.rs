//! Two tasks at once, and one that waits for both.

#![no_std]
#![forbid(unsafe_code)]

use core::time::Duration;
use embedded_io_async::Write;
use xenith::task::{join, spawn};
use xenith::time::sleep;

/// Waits one second for heads and two for tails, both at the same time; writes
/// each when it comes, and then that it is finished.
///
/// # Errors
/// Those of the console.
pub async fn start<C: Write>(mut console: C) -> Result<(), C::Error> {
    // A task runs from the moment it is spawned, whether someone waits or not.
    let tails = spawn(sleep(Duration::from_secs(2)));
    let heads = async {
        sleep(Duration::from_secs(1)).await;
        console.write_all(b"heads\n").await
    };
    let (heads, ()) = join(heads, tails).await;
    heads?;
    console.write_all(b"tails\n").await?;
    console.write_all(b"finished\n").await
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;
    use xenith::time::Instant;

    #[test]
    fn both_wait_at_the_same_time() {
        xenith::testing::simulate_time();
        let begun = Instant::now();
        let mut out = Vec::new();
        xenith::task::block_on(start(&mut out)).unwrap();
        assert_eq!(out, b"heads\ntails\nfinished\n");
        assert_eq!(begun.elapsed(), Duration::from_secs(2));
    }
}
