//! Generates random bytes for keys, sequence numbers and ports.
//!
//! The generator is ChaCha20 with fast key erasure: each key is used once, to make the next key
//! and 256 bytes of output, and then overwritten. Whoever reads the memory later learns nothing
//! about earlier output (D. J. Bernstein, "Fast-key-erasure random-number generators", 2017).
//! Output that is not used at once is kept for later requests, and overwritten as it is
//! returned.
//!
//! It is seeded at the first request: from the processor's generator (RDSEED or RDRAND), if it
//! works; from the argument `seed=` (64 hexadecimal digits), if it is given; and from the time
//! stamp counter, which is not sufficient by itself. Without a seed, every request fails (rule
//! S5).
//!
//! The crate `getrandom`, and with it most of the ecosystem, gets its bytes here.
//!
//! # Example
//! ```
//! # use xenith_kernel as xenith;
//! use xenith::entropy::{self, Unseeded};
//!
//! /// Draws a key, or says that the machine has no randomness to draw it from.
//! fn session_key() -> Result<[u8; 16], Unseeded> {
//!     let mut key = [0; 16];
//!     entropy::fill(&mut key)?;
//!     Ok(key)
//! }
//!
//! assert_ne!(session_key()?, session_key()?);
//! # Ok::<(), Unseeded>(())
//! ```

#[cfg(target_os = "xen")]
mod getrandom;

use crate::args::{Reason, Value};
use crate::machine;
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use core::fmt;
use spin::Mutex;

/// Size in bytes of a key, and of the argument `seed=`.
pub const KEY: usize = 32;

/// Bytes of output of one key.
const BLOCK: usize = 256;

/// Reports that there is no seed: the processor has no working generator, and `seed=` was not
/// given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unseeded;

impl fmt::Display for Unseeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no randomness: the processor has no working RDSEED or RDRAND, \
             and the argument seed= (64 hexadecimal digits) was not given",
        )
    }
}

impl core::error::Error for Unseeded {}

/// The machine's generator, once it is seeded.
pub(crate) static POOL: Mutex<Option<Generator>> = Mutex::new(None);

pub(crate) struct Generator {
    key: [u8; KEY],
    /// Output of the last key, of which the first `left` bytes have not been returned.
    spare: [u8; BLOCK],
    left: usize,
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Generator")
    }
}

impl Generator {
    const fn new(key: [u8; KEY]) -> Self {
        Self { key, spare: [0; BLOCK], left: 0 }
    }

    /// Replaces the key, and fills `out`, which has at most [`BLOCK`] bytes.
    fn block(&mut self, out: &mut [u8]) {
        let mut stream = [0; KEY + BLOCK];
        let (used, _) = stream.split_at_mut(KEY + out.len());
        // Each key is used once, so the nonce can always be the same.
        ChaCha20::new(&self.key.into(), &[0; 12].into()).apply_keystream(used);
        let (key, bytes) = used.split_at_mut(KEY);
        self.key.copy_from_slice(key);
        out.copy_from_slice(bytes);
        erase(&mut stream);
    }

    /// Mixes `seed` into the key. Any `seed` is safe: it cannot make the key more predictable.
    fn mix(&mut self, seed: &[u8]) {
        for chunk in seed.chunks(KEY) {
            for (byte, new) in self.key.iter_mut().zip(chunk) {
                *byte ^= new;
            }
            self.block(&mut []);
        }
        // The old output does not depend on the seed.
        erase(&mut self.spare);
        self.left = 0;
    }

    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(BLOCK) {
            if self.left < chunk.len() {
                let mut spare = [0; BLOCK];
                self.block(&mut spare);
                self.spare = spare;
                self.left = BLOCK;
                erase(&mut spare);
            }
            self.left -= chunk.len();
            let given = &mut self.spare[self.left..][..chunk.len()];
            chunk.copy_from_slice(given);
            erase(given);
        }
    }
}

/// Overwrites bytes, in a way that the compiler cannot remove.
fn erase(bytes: &mut [u8]) {
    bytes.fill(0);
    core::hint::black_box(bytes);
}

/// The value of the argument `seed=`.
#[derive(PartialEq, Eq)]
pub(crate) struct Seed([u8; KEY]);

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

impl Value for Seed {
    const KIND: &'static str = "key of 64 hexadecimal digits";

    fn parse(text: &'static str) -> Result<Self, Reason> {
        let mut seed = [0; KEY];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != KEY || !rest.is_empty() {
            return Err(Reason::NotOfKind);
        }
        for (byte, pair) in seed.iter_mut().zip(pairs) {
            let digit = |character: u8| char::from(character).to_digit(16).ok_or(Reason::NotOfKind);
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Ok(Self(seed))
    }
}

/// The seed from the command line, until it is used.
static GIVEN: Mutex<Option<Seed>> = Mutex::new(None);

/// Makes the generator use `seed` when it is seeded.
pub(crate) fn give(seed: Seed) {
    *GIVEN.lock() = Some(seed);
}

/// Checks the output of the processor's generator: broken ones return 0 or all ones, or repeat
/// themselves (rule S5).
fn healthy(words: &[u64]) -> bool {
    let stuck = |word: &u64| *word == 0 || *word == u64::MAX;
    !words.iter().any(stuck) && words.windows(2).all(|pair| pair[0] != pair[1])
}

/// Makes a generator from all sources that there are.
fn seeded(
    hardware: Option<[u64; 4]>,
    argument: Option<[u8; KEY]>,
    jitter: [u64; 4],
) -> Result<Generator, Unseeded> {
    let hardware = hardware.filter(|words| healthy(words));
    if hardware.is_none() && argument.is_none() {
        return Err(Unseeded);
    }
    let mut generator = Generator::new([0; KEY]);
    for word in hardware.into_iter().flatten().chain(jitter) {
        generator.mix(&word.to_le_bytes());
    }
    if let Some(mut seed) = argument {
        generator.mix(&seed);
        erase(&mut seed);
    }
    Ok(generator)
}

/// Fills `out` with random bytes.
///
/// # Errors
/// [`Unseeded`] if there is no seed; `out` is then unchanged.
pub fn fill(out: &mut [u8]) -> Result<(), Unseeded> {
    let mut pool = POOL.lock();
    if pool.is_none() {
        *pool = Some(seeded(
            machine::hardware_seed(),
            GIVEN.lock().take().map(|seed| seed.0),
            core::array::from_fn(|_| machine::jitter()),
        )?);
    }
    if let Some(generator) = pool.as_mut() {
        generator.fill(out);
    }
    Ok(())
}

/// Returns a random number, uniform over all values.
///
/// # Errors
/// [`Unseeded`] if there is no seed.
pub fn next_u64() -> Result<u64, Unseeded> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Mixes what is this machine's own into the generator, so that it does not repeat what a copy of
/// the machine draws.
pub(crate) fn reseed() {
    let drawn = machine::hardware_seed().filter(|it| healthy(it));
    if drawn.is_none() {
        log::warn!(
            "the processor gave no random numbers: a copy of this machine may draw the same as it"
        );
    }
    for word in drawn.into_iter().flatten().chain([machine::jitter()]) {
        mix(&word.to_le_bytes());
    }
    mix(&machine::wall_clock().as_nanos().to_le_bytes());
}

/// Mixes more entropy into the generator, such as the arrival time of a packet. Any bytes are
/// safe. Does nothing before the generator is seeded, and does not count as a seed.
pub fn mix(seed: &[u8]) {
    if let Some(generator) = POOL.lock().as_mut() {
        generator.mix(seed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: [u8; KEY] = [7; KEY];

    fn generator() -> Generator {
        seeded(None, Some(SEED), [1, 2, 3, 4]).unwrap()
    }

    #[test]
    fn the_stream_is_that_of_rfc_8439() {
        // Appendix A.1, test vector 1: the key stream of key 0, nonce 0,
        // counter 0. Its first half becomes the next key.
        let mut generator = Generator::new([0; KEY]);
        let mut out = [0; 16];
        generator.block(&mut out);
        assert_eq!(u128::from_be_bytes(out), 0xda41_597c_5157_488d_7724_e03f_b8d8_4a37);
        assert!(generator.key.starts_with(&[0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]));
    }

    #[test]
    fn no_seed_no_randomness_s5() {
        assert_eq!(seeded(None, None, [1, 2, 3, 4]).unwrap_err(), Unseeded);
        for broken in [[0; 4], [u64::MAX; 4], [5, 5, 6, 7], [1, 2, 0, 3]] {
            assert_eq!(seeded(Some(broken), None, [1, 2, 3, 4]).unwrap_err(), Unseeded);
        }
        assert!(seeded(Some([1, 2, 3, 4]), None, [0; 4]).is_ok());
    }

    #[test]
    fn every_source_changes_the_stream() {
        let first = |hardware, argument, jitter| {
            let mut out = [0; 16];
            seeded(hardware, argument, jitter).unwrap().fill(&mut out);
            out
        };
        let streams = [
            first(None, Some(SEED), [0; 4]),
            first(Some([1, 2, 3, 4]), Some(SEED), [0; 4]),
            first(Some([1, 2, 3, 5]), Some(SEED), [0; 4]),
            first(Some([1, 2, 3, 4]), None, [0; 4]),
            first(None, Some(SEED), [0, 0, 0, 1]),
        ];
        for (i, one) in streams.iter().enumerate() {
            assert!(streams[i + 1..].iter().all(|other| one != other));
        }
    }

    #[test]
    fn old_output_cannot_be_found_in_the_state() {
        let mut generator = generator();
        let before = generator.key;
        let mut out = [0; 1000];
        generator.fill(&mut out);
        assert_ne!(generator.key, before);
        assert!(out.windows(KEY).all(|window| window != generator.key));
        let mut word = [0; 8];
        for _ in 0..100 {
            generator.fill(&mut word);
            assert!(generator.spare.windows(8).all(|window| window != word));
        }
    }

    #[test]
    fn small_requests_never_get_the_same_bytes() {
        let mut generator = generator();
        let mut words = std::collections::BTreeSet::new();
        for round in 0..1000 {
            let mut word = [0; 8];
            generator.fill(&mut word);
            assert!(words.insert(word));
            if round == 500 {
                generator.mix(b"more");
                assert_eq!(generator.left, 0);
            }
        }
    }

    #[test]
    fn lengths_do_not_matter() {
        let mut generator = generator();
        for length in [0, 1, 31, 32, 255, 256, 257, 5000] {
            let mut out = vec![0; length];
            generator.fill(&mut out);
            // The chance that a good generator fails this is below 2^-64.
            assert!(length < 200 || out.iter().any(|&byte| byte != out[0]));
        }
    }

    #[test]
    fn seeds_are_64_hexadecimal_digits() {
        let digits = "0f".repeat(32);
        assert_eq!(Seed::parse(digits.clone().leak()), Ok(Seed([15; 32])));
        assert_eq!(Seed::parse(format!("{digits}0").leak()), Err(Reason::NotOfKind));
        assert_eq!(Seed::parse(format!("{digits} ").leak()), Err(Reason::NotOfKind));
        assert_eq!(Seed::parse("0g".repeat(32).leak()), Err(Reason::NotOfKind));
        assert_eq!(Seed::parse(""), Err(Reason::NotOfKind));
    }

    #[test]
    fn this_machine_has_randomness() {
        let (a, b) = (next_u64().unwrap(), next_u64().unwrap());
        mix(b"more");
        assert!(healthy(&[a, b, next_u64().unwrap()]));
    }

    #[test]
    fn bits_are_balanced() {
        // 2^20 bits: 0.5 +- 6 standard deviations.
        let mut out = vec![0; 1 << 17];
        generator().fill(&mut out);
        let ones: u32 = out.iter().map(|byte| byte.count_ones()).sum();
        assert!(ones.abs_diff(1 << 19) < 6 * 512, "{ones}");
    }
}
