//! Prints random bytes, and tests the generator.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt::{self, Write as _};
use embedded_io_async::Write;
use xenith::entropy::{Unseeded, fill};

/// Bytes that the self test looks at.
const SAMPLE: usize = 1 << 16;

/// Why there is nothing to print, or nothing to trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The machine has no seed.
    Unseeded(Unseeded),
    /// The bytes are not evenly distributed.
    Biased,
    /// The console failed.
    Console,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unseeded(error) => error.fmt(f),
            Self::Biased => f.write_str("the random bytes are not evenly distributed"),
            Self::Console => f.write_str("the console failed"),
        }
    }
}

/// Whether each of the 256 values comes about as often as the others: the
/// chi-squared statistic of 255 degrees of freedom is within 180 and 350 but
/// for one time in ten thousand.
fn is_even(sample: &[u8]) -> bool {
    let mut counts = [0_u64; 256];
    for byte in sample {
        counts[usize::from(*byte)] += 1;
    }
    let expected = sample.len() as u64 / 256;
    let squares: u64 = counts.iter().map(|count| count.abs_diff(expected).pow(2)).sum();
    (180 * expected..350 * expected).contains(&squares)
}

/// Writes `count` random bytes in hexadecimal, after a test of the generator.
///
/// # Errors
/// See [`Error`].
pub async fn start<C: Write>(mut console: C, count: usize) -> Result<(), Error> {
    let mut sample = Box::new([0; SAMPLE]);
    fill(&mut *sample).map_err(Error::Unseeded)?;
    // One more chance: a good generator fails twice once in 10^8 times.
    if !is_even(&*sample) {
        fill(&mut *sample).map_err(Error::Unseeded)?;
        if !is_even(&*sample) {
            return Err(Error::Biased);
        }
    }
    let mut line = String::new();
    for _ in 0..count {
        let mut byte = [0];
        fill(&mut byte).map_err(Error::Unseeded)?;
        // Writing into a String does not fail.
        let _ = write!(line, "{:02x}", byte[0]);
    }
    line.push('\n');
    console.write_all(line.as_bytes()).await.map_err(|_| Error::Console)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    #[test]
    fn bias_is_found() {
        let mut sample = std::vec![0; SAMPLE];
        assert!(!is_even(&sample));
        for (number, byte) in sample.iter_mut().enumerate() {
            *byte = number as u8;
        }
        assert!(!is_even(&sample), "too even is not random either");
    }

    #[test]
    fn no_two_starts_are_alike() {
        let line = || {
            let mut out = Vec::new();
            xenith::task::block_on(start(&mut out, 32)).unwrap();
            assert_eq!(out.len(), 65);
            out
        };
        assert_ne!(line(), line());
    }
}
