//! Writes questions and judges answers (RFC 5905, section 7.3; RFC 4330, section 5).

use core::time::Duration;

/// Bytes of a message without extensions.
pub(crate) const LENGTH: usize = 48;

/// From 1900, where NTP counts from, to 1970.
const TO_1970: u64 = 2_208_988_800;

/// No server of today tells an earlier time: 2025-01-01.
const EARLIEST: Duration = Duration::from_secs(1_735_689_600);

/// The most that a server may be off by its own account, and that an answer may take (MAXDIST).
pub(crate) const FARTHEST: Duration = Duration::from_secs(1);

/// What a server said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The time of day when the answer came, and how far off that may be.
    Time { wall: Duration, distance: Duration },
    /// It does not want to be asked any more (kiss-o'-death: `DENY`, `RSTR`).
    Denied,
    /// It wants to be asked less often (`RATE` and others).
    Less,
}

/// A question of version 4. What stands for the time of the client, and comes back with the answer,
/// is random: it tells nothing, and nobody who does not see the question knows it.
pub(crate) fn question(nonce: u64) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[0] = 4 << 3 | 3;
    bytes[40..].copy_from_slice(&nonce.to_be_bytes());
    bytes
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Reads 16 bits of seconds and 16 of their fraction.
fn short(bytes: &[u8], at: usize) -> Option<Duration> {
    Some(Duration::from_nanos((u64::from(word(bytes, at)?) * 1_000_000_000) >> 16))
}

/// Reads a time: without its highest bit it is of the years from 2036 to 2104 (RFC 4330, section 3).
fn time(bytes: &[u8], at: usize) -> Option<Duration> {
    let (seconds, fraction) = (word(bytes, at)?, word(bytes, at + 4)?);
    let era = if seconds >> 31 == 0 { 1 << 32 } else { 0 };
    let seconds = (era + u64::from(seconds)).checked_sub(TO_1970)?;
    Some(Duration::new(seconds, ((u64::from(fraction) * 1_000_000_000) >> 32) as u32))
}

/// Judges an answer that came `took` after the question; `None` if it is none, or the server does
/// not know the time.
pub(crate) fn judge(bytes: &[u8], nonce: u64, took: Duration) -> Option<Answer> {
    let (&first, &stratum) = (bytes.first()?, bytes.get(1)?);
    let origin = u64::from(word(bytes, 24)?) << 32 | u64::from(word(bytes, 28)?);
    if bytes.len() < LENGTH || origin != nonce || first & 7 != 4 || first >> 3 & 7 != 4 {
        return None;
    }
    if stratum == 0 {
        let denied = matches!(&bytes[12..16], b"DENY" | b"RSTR");
        return Some(if denied { Answer::Denied } else { Answer::Less });
    }
    let distance = short(bytes, 4)? / 2 + short(bytes, 8)?;
    let (came, left) = (time(bytes, 32)?, time(bytes, 40)?);
    // How long the answer was on the way, both ways: the rest is the server's.
    let delay = took.checked_sub(left.checked_sub(came)?)?;
    let is_known = first >> 6 != 3 && stratum < 16 && came >= EARLIEST;
    if !is_known || distance > FARTHEST || delay > FARTHEST {
        return None;
    }
    let wall = left.checked_add(delay / 2)?;
    Some(Answer::Time { wall, distance: distance + delay / 2 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const NONCE: u64 = 0x0123_4567_89ab_cdef;
    const TOOK: Duration = Duration::from_millis(300);

    /// An answer of stratum 2 that was 100 ms at the server, from 2026-01-01 on.
    fn answer() -> Vec<u8> {
        let mut bytes = std::vec![0; LENGTH];
        bytes[..4].copy_from_slice(&[4 << 3 | 4, 2, 6, 0xe9]);
        bytes[4..12].copy_from_slice(&[0, 0, 0x20, 0, 0, 0, 0x10, 0]);
        bytes[24..32].copy_from_slice(&NONCE.to_be_bytes());
        let second = (1_767_225_600_u64 + TO_1970) as u32;
        bytes[32..36].copy_from_slice(&second.to_be_bytes());
        bytes[40..44].copy_from_slice(&second.to_be_bytes());
        bytes[44..].copy_from_slice(&0x1999_999a_u32.to_be_bytes());
        bytes
    }

    #[test]
    fn the_time_is_that_of_the_middle_of_the_way() {
        let Some(Answer::Time { wall, distance }) = judge(&answer(), NONCE, TOOK) else { panic!() };
        // The answer left at .1 s and took .1 s.
        assert_eq!((wall.as_secs(), wall.subsec_millis()), (1_767_225_600, 200));
        assert_eq!(distance.as_micros(), 62_500 + 62_500 + 100_000);
    }

    #[test]
    fn times_after_2036_are_known() {
        let mut bytes = answer();
        for at in [32, 40] {
            bytes[at..at + 4].copy_from_slice(&100_u32.to_be_bytes());
        }
        let Some(Answer::Time { wall, .. }) = judge(&bytes, NONCE, TOOK) else { panic!() };
        assert_eq!(wall.as_secs(), (1 << 32) - TO_1970 + 100);
    }

    #[test]
    fn what_is_no_answer_is_not_believed() {
        for (at, byte) in [
            (0, 4 << 3 | 3),
            (0, 3 << 3 | 4),
            (0, 0xc0 | 4 << 3 | 4),
            (1, 16),
            (5, 3),
            (9, 2),
            (24, 0),
            (31, 0),
            // It left before it came, or is of the past.
            (35, 0xff),
            (32, 0x90),
        ] {
            let mut bytes = answer();
            bytes[at] = byte;
            if at == 32 {
                bytes[40] = byte;
            }
            assert_eq!(judge(&bytes, NONCE, TOOK), None, "{at}: {byte}");
        }
        for length in 0..LENGTH {
            assert_eq!(judge(&answer()[..length], NONCE, TOOK), None);
        }
        // More time at the server than there was, and a way that was too long.
        assert_eq!(judge(&answer(), NONCE, Duration::from_millis(50)), None);
        assert_eq!(judge(&answer(), NONCE, Duration::from_millis(1200)), None);
    }

    #[test]
    fn a_server_may_ask_not_to_be_asked() {
        for (code, kiss) in
            [(b"DENY", Answer::Denied), (b"RSTR", Answer::Denied), (b"RATE", Answer::Less)]
        {
            let mut bytes = answer();
            bytes[1] = 0;
            bytes[12..16].copy_from_slice(code);
            assert_eq!(judge(&bytes, NONCE, TOOK), Some(kiss));
            // By somebody else, it is nothing.
            assert_eq!(judge(&bytes, NONCE + 1, TOOK), None);
        }
    }
}
