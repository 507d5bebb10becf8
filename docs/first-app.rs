//! Greets several times, and ends.

#![no_std]
#![forbid(unsafe_code)]

// Tests run on this machine, with its standard library.
#[cfg(test)]
extern crate std;

use core::time::Duration;
use embedded_io_async::Write;
use xenith::time::sleep;

/// Greets `name` on `console`, `times` times, a second apart.
///
/// # Errors
/// Those of the console.
pub async fn start<C: Write>(mut console: C, name: &str, times: u32) -> Result<(), C::Error> {
    for _ in 0..times {
        console.write_all(b"Hello, ").await?;
        console.write_all(name.as_bytes()).await?;
        console.write_all(b"!\n").await?;
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
        // No second passes: the simulated clock jumps to the next timer.
        xenith::testing::simulate_time();
        let mut console = [0; 64];
        let begun = Instant::now();
        block_on(start(&mut console[..], "Xen", 3)).unwrap();
        assert!(console.starts_with(b"Hello, Xen!\nHello, Xen!\nHello, Xen!\n"));
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }
}
