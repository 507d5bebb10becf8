//! Says hello four times, a second apart.

#![no_std]
#![forbid(unsafe_code)]

use core::time::Duration;
use embedded_io_async::Write;
use xenith::time::sleep;

/// Writes `greeting` to `console`, four times.
///
/// # Errors
/// Those of the console.
pub async fn start<C: Write>(mut console: C, greeting: &str) -> Result<(), C::Error> {
    for _ in 0..4 {
        console.write_all(greeting.as_bytes()).await?;
        console.write_all(b"\n").await?;
        sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}
