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

#[cfg(test)]
mod tests {
    use super::*;
    use xenith::task::block_on;
    use xenith::time::Instant;

    #[test]
    fn it_greets_every_second() {
        xenith::testing::simulate_time();
        let begun = Instant::now();
        let mut console = [0; 12];
        block_on(start(&mut console[..], "hi")).unwrap();
        assert_eq!(&console, b"hi\nhi\nhi\nhi\n");
        assert_eq!(begun.elapsed(), Duration::from_secs(4));
    }
}
