//! What the test guests share: verdicts, and content that the host knows.

#![no_std]

extern crate alloc;

pub mod avx;
pub mod programs;
pub mod protection;
pub mod user;

use core::fmt::Write;
use kernel::Exit;
use kernel::exit::Outcome;
use kernel::metrics::Source;

/// What a guest found out about itself. It stands on the last line of the
/// console, after `verdict: `.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is as it should be.
    Pass,
    /// It cannot be tested here.
    Skip(&'static str),
    /// Something is wrong.
    Fail(&'static str),
}

impl Outcome for Verdict {
    fn report(self) -> Exit {
        match self {
            Self::Pass => kernel::println!("verdict: pass"),
            Self::Skip(why) => kernel::println!("verdict: skip {why}"),
            Self::Fail(why) => kernel::println!("verdict: fail {why}"),
        }
        Exit::SUCCESS
    }
}

/// What `source` counts under a name; 0 if nothing.
#[must_use]
pub fn metric(source: &impl Source, name: &str) -> u64 {
    let mut value = 0;
    source.metrics(&mut |metric| {
        if metric.name == name {
            value = metric.value;
        }
    });
    value
}

/// Line `number` of what `console` sends: 64 bytes, its number and then
/// characters of a linear congruential generator (the one of POSIX' `rand48`)
/// seeded with that number.
#[must_use]
pub fn line(number: u32) -> heapless::Vec<u8, 64> {
    const CHARACTERS: &[u8; 64] =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut line = heapless::Vec::<u8, 64>::new();
    // Six characters fit.
    let _ = write!(line, "{number:05} ");
    let mut state = u64::from(number) << 16 | 0x330E;
    while line.len() < 63 {
        state = state.wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & 0xFFFF_FFFF_FFFF;
        let character = CHARACTERS[(state >> 42) as usize & 63];
        if line.push(character).is_err() {
            break;
        }
    }
    let _ = line.push(b'\n');
    line
}
