//! Numbers that nobody can guess without the stack's keys: initial sequence numbers (RFC
//! 6528), where timestamps begin (RFC 7323, section 7.1), and SYN cookies (RFC 4987, section
//! 3.6).
//!
//! Saved memory may become several machines, which are to number their connections each in its own
//! way. So the keys of numbers are drawn anew in each domain (`kernel::suspend`). A connection that
//! there is goes on from the number that it has. A new one between ends that had one may begin below
//! where that one ended, and then is told apart by its timestamp, as RFC 6191 has it: timestamps
//! begin where they began and the clock goes on, so the key of those stays. So does that of the
//! connections that are over, which no peer ever sees.
//!
//! An image that goes on with another's connections has all keys of that, and the clock of its
//! numbers: a domain that was moved counts its time from another host's start than one that is new
//! there. Else cookies of the one would be good at any time of the other, and numbers would not rise.

use super::connection::Offer;
use super::segment::MAX_SCALE;
use super::seq::Seq;
use super::time_wait::{ENDS, Id, in_bytes};
use crate::packet::fill;
use crate::{Error, keyed, random};
use core::net::SocketAddr;
use kernel::suspend::generation;
use kernel::time::Instant;
use serde::{Deserialize, Serialize};

/// Seconds for which one cookie is given; it is good for as long again.
const SPAN: u64 = 64;

/// The segment sizes that a cookie has room for: the largest of these that the peer takes.
const SIZES: [u16; 8] = [88, 536, 1024, 1220, 1300, 1400, 1440, 1460];

/// The bits of a timestamp that hold what a cookie has no room for.
const KEPT: u32 = 0x3f;

/// In them: no window scaling; above them, SACK is understood; and ECN.
const UNSCALED: u32 = 15;
const SACK: u32 = 16;
const ECN: u32 = 32;

/// A key, as [`keyed`] takes it.
type Pair = [u64; 2];

/// The keys.
pub(crate) struct Secret {
    /// Of what stays in another domain: timestamps, and connections that are over.
    kept: Pair,
    /// Of what is this domain's: numbers and cookies.
    own: Pair,
    /// The one of the domain before, whose cookies may yet come back.
    before: Pair,
    /// Which domain that is.
    generation: u32,
    /// The span in which the last cookie was given.
    last: Option<u64>,
    /// By how many ns the clock of all this is ahead of this machine's; it wraps around.
    ahead: u64,
}

/// What another image goes on with: keys that stay in another domain, keys that do not, and the
/// time by which they were used, in ns.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Moved {
    kept: Pair,
    own: Pair,
    time: u64,
}

/// A connection's two ends: this one and the peer.
pub(crate) type Ends = (SocketAddr, SocketAddr);

/// Returns the span of a time in ns.
const fn span(time: u64) -> u64 {
    time / 1_000_000_000 / SPAN
}

fn pair() -> Result<Pair, Error> {
    Ok([random()?, random()?])
}

/// Hashes the ends of a connection; `what` keeps uses apart.
fn hash(key: Pair, ends: Ends, what: u64) -> u64 {
    let mut bytes = [0; ENDS + 8];
    fill(&mut bytes, &[&in_bytes(ends), &what.to_be_bytes()]);
    keyed(key, &bytes)
}

/// Returns a cookie with the index of a segment size in its last bits.
fn cookie(key: Pair, ends: Ends, irs: Seq, span: u64, size: u32) -> u32 {
    let what = u64::from(irs.0) << 32 | (span & 0x1fff_ffff) << 3 | u64::from(size);
    hash(key, ends, what) as u32 & !7 | size
}

impl Secret {
    /// Chooses keys.
    ///
    /// # Errors
    /// [`Error::NoEntropy`].
    pub(crate) fn new() -> Result<Self, Error> {
        let own = pair()?;
        let (kept, generation) = (pair()?, generation());
        Ok(Self { kept, own, before: own, generation, last: None, ahead: 0 })
    }

    /// Returns what another image goes on with.
    pub(crate) fn save(&mut self, now: Instant) -> Moved {
        self.renew();
        Moved { kept: self.kept, own: self.own, time: self.time(now) }
    }

    /// Goes on with what another image saved just now, and takes cookies for good that it gave
    /// lately.
    pub(crate) fn restore(&mut self, moved: &Moved, now: Instant) {
        (self.kept, self.own, self.before) = (moved.kept, moved.own, moved.own);
        self.ahead = moved.time.wrapping_sub(now.as_nanos());
        self.last = Some(span(self.time(now)));
    }

    /// Returns the time of the clock of all this, in ns.
    const fn time(&self, now: Instant) -> u64 {
        now.as_nanos().wrapping_add(self.ahead)
    }

    /// Draws the keys anew that are a domain's, if this is another one. Without randomness they
    /// stay, as no number is better than one that others may know.
    fn renew(&mut self) {
        let generation = generation();
        if self.generation != generation
            && let Ok(own) = pair()
        {
            self.before = core::mem::replace(&mut self.own, own);
            self.generation = generation;
        }
    }

    /// Returns the initial sequence number of a connection: later ones of the same ends have
    /// higher numbers (RFC 6528, section 3).
    pub(crate) fn initial(&mut self, ends: Ends, now: Instant) -> Seq {
        self.renew();
        let ticks = self.time(now) >> 12;
        Seq((hash(self.own, ends, u64::MAX) as u32).wrapping_add(ticks as u32))
    }

    /// Returns what the timestamps between two machines begin with. It is one for all
    /// connections between them, so that a later one has later stamps (RFC 6191).
    pub(crate) fn stamp(&self, (local, peer): Ends) -> u32 {
        let ends = (SocketAddr::new(local.ip(), 0), SocketAddr::new(peer.ip(), 0));
        let begin = hash(self.kept, ends, u64::MAX - 1) as u32;
        // Who asks adds the time of the machine, in ms as this.
        begin.wrapping_add(self.ahead.cast_signed().div_euclid(1_000_000) as u32)
    }

    /// Returns by what the ends of a connection that is over are found.
    pub(crate) fn id(&self, ends: Ends) -> Id {
        Id::new(ends, |bytes| keyed(self.kept, bytes))
    }

    /// Returns the sequence number with which a SYN is answered that nothing is kept of, and
    /// the timestamp, of which `clock` is the present one.
    pub(crate) fn give(
        &mut self,
        ends: Ends,
        offer: &Offer,
        clock: u32,
        now: Instant,
    ) -> (Seq, u32) {
        self.renew();
        let now = self.time(now);
        self.last = Some(span(now));
        let size = SIZES.iter().rposition(|size| *size <= offer.mss).unwrap_or(0);
        let cookie = cookie(self.own, ends, offer.irs, span(now), size as u32);
        let scale = offer.scale.map_or(UNSCALED, u32::from);
        let kept = scale | if offer.sack { SACK } else { 0 } | if offer.ecn { ECN } else { 0 };
        // Not later than the next one that is sent.
        let stamp = (clock & !KEPT | kept).wrapping_sub(if clock & KEPT < kept { 64 } else { 0 });
        (Seq(cookie), stamp)
    }

    /// Returns what the peer said in the SYN that got the number `iss` as its answer, and has
    /// the number `irs`; `None` if we gave no such answer lately. `stamps` are those of the
    /// segment that confirms it.
    pub(crate) fn redeem(
        &self,
        ends: Ends,
        (iss, irs): (Seq, Seq),
        stamps: Option<(u32, u32)>,
        window: u16,
        now: Instant,
    ) -> Option<Offer> {
        let present = span(self.time(now));
        if self.last.is_none_or(|last| present.saturating_sub(last) > 1) {
            return None;
        }
        let good = [self.own, self.before].into_iter().any(|key| {
            [present, present.wrapping_sub(1)]
                .into_iter()
                .any(|span| cookie(key, ends, irs, span, iss.0 & 7) == iss.0)
        });
        let kept = stamps.map_or(UNSCALED, |(_, echo)| echo & KEPT);
        let scale = kept & 15;
        let mss = *SIZES.get(iss.0 as usize & 7)?;
        good.then(|| Offer {
            irs,
            mss,
            scale: (scale <= u32::from(MAX_SCALE)).then_some(scale as u8),
            sack: kept & SACK != 0,
            stamp: stamps.map(|(value, _)| value),
            ecn: kept & ECN != 0,
            window,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn ends(port: u16) -> Ends {
        ("10.0.0.1:80".parse().unwrap(), SocketAddr::new("10.0.0.2".parse().unwrap(), port))
    }

    fn offer() -> Offer {
        Offer {
            irs: Seq(7),
            mss: 1460,
            scale: Some(9),
            sack: true,
            stamp: Some(1),
            ecn: false,
            window: 65_535,
        }
    }

    fn start() -> (Secret, Instant) {
        kernel::testing::simulate_time();
        (secret(), Instant::now())
    }

    fn secret() -> Secret {
        let (kept, own) = ([1, 2], [3, 4]);
        Secret { kept, own, before: own, generation: generation(), last: None, ahead: 0 }
    }

    #[test]
    fn a_cookie_brings_back_what_the_peer_said() {
        let (mut secret, now) = start();
        for (mss, size) in [(1460, 1460), (9000, 1460), (1459, 1440), (536, 536), (40, 88)] {
            for (scale, sack, ecn) in
                [(Some(0), false, true), (Some(14), true, false), (None, true, true)]
            {
                let said = Offer { mss, scale, sack, ecn, ..offer() };
                for clock in [0, 63, 64, 0xffff_fff0_u32] {
                    let (iss, stamp) = secret.give(ends(9), &said, clock, now);
                    assert!(clock.wrapping_sub(stamp) < 64, "not later than the clock");
                    let back = secret
                        .redeem(ends(9), (iss, Seq(7)), Some((2, stamp)), 512, now)
                        .expect("it is good");
                    assert_eq!(
                        (back.mss, back.scale, back.sack, back.ecn),
                        (size, scale, sack, ecn)
                    );
                    assert_eq!((back.stamp, back.window), (Some(2), 512));
                }
                let (iss, _) = secret.give(ends(9), &said, 0, now);
                let plain = secret.redeem(ends(9), (iss, Seq(7)), None, 512, now).unwrap();
                assert_eq!((plain.mss, plain.scale, plain.sack), (size, None, false));
            }
        }
    }

    #[test]
    fn a_cookie_is_good_for_its_connection_and_its_time_alone() {
        let (mut secret, now) = start();
        let (iss, _) = secret.give(ends(9), &offer(), 0, now);
        let redeem = |ends, numbers, after: u64| {
            let later = now.saturating_add(Duration::from_secs(after));
            secret.redeem(ends, numbers, None, 512, later).is_some()
        };
        assert!(redeem(ends(9), (iss, Seq(7)), 0) && redeem(ends(9), (iss, Seq(7)), 64));
        assert!(!redeem(ends(9), (iss, Seq(7)), 128));
        assert!(!redeem(ends(10), (iss, Seq(7)), 0));
        assert!(!redeem(ends(9), (iss, Seq(8)), 0));
        assert!(!redeem(ends(9), (iss + 8, Seq(7)), 0));
        assert!(!redeem(ends(9), (Seq(iss.0 ^ 1), Seq(7)), 0), "nor for another size");
    }

    #[test]
    fn the_cookies_of_another_image_end_with_their_time_by_any_clock() {
        let (mut old, now) = start();
        let hour = Duration::from_secs(3600);
        // Moved here from a host that has run for longer, or for less.
        for at in [now.saturating_add(hour), now, now.saturating_add(hour * 1000)] {
            let mut new = Secret::new().unwrap();
            let (iss, _) = old.give(ends(9), &offer(), 0, at);
            let (first, stamp) = (old.initial(ends(9), at), old.stamp(ends(9)));
            let here = now.saturating_add(hour * 2);
            new.restore(&old.save(at), here);
            let redeem = |new: &mut Secret, after: u64| {
                let later = here.saturating_add(Duration::from_secs(after));
                // It gives some of its own.
                new.give(ends(8), &offer(), 0, later);
                new.redeem(ends(9), (iss, Seq(7)), None, 512, later).is_some()
            };
            assert!(redeem(&mut new, 0) && redeem(&mut new, 63));
            for after in (128..4_000_000).step_by(64) {
                assert!(!redeem(&mut new, after), "{after} s after");
            }
            // Numbers and timestamps rise.
            let later = Duration::from_millis(10);
            let next = new.initial(ends(9), here.saturating_add(later));
            assert!(next.is_after(first) && next.since(first) < 10_000, "{first:?} {next:?}");
            let stamps = [
                stamp.wrapping_add(crate::tcp::undo::stamp(at)),
                new.stamp(ends(9)).wrapping_add(crate::tcp::undo::stamp(here)),
            ];
            assert!(stamps[1].wrapping_sub(stamps[0]) <= 1, "{stamps:?}");
        }
    }

    #[test]
    fn no_cookie_is_good_before_one_was_given() {
        let (mut keys, now) = start();
        let (iss, _) = secret().give(ends(9), &offer(), 0, now);
        assert!(keys.redeem(ends(9), (iss, Seq(7)), None, 1, now).is_none());
        keys.give(ends(8), &offer(), 0, now);
        assert!(keys.redeem(ends(9), (iss, Seq(7)), None, 1, now).is_some());
    }

    #[test]
    fn numbers_of_the_same_ends_rise_and_say_nothing_of_others() {
        let (mut secret, now) = start();
        let later = now.saturating_add(Duration::from_millis(10));
        assert!(secret.initial(ends(9), later).is_after(secret.initial(ends(9), now)));
        assert_ne!(secret.initial(ends(9), now), secret.initial(ends(10), now));
        assert_eq!(secret.stamp(ends(9)), secret.stamp(ends(10)));
    }

    #[test]
    fn a_copy_numbers_by_itself_and_connections_of_before_go_on() {
        let (mut one, now) = start();
        let mut two = secret();
        let (iss, stamped) = one.give(ends(9), &offer(), 0, now);
        let (first, stamp) = (one.initial(ends(9), now), one.stamp(ends(9)));
        let renewed = kernel::testing::suspend(|| kernel::suspend::Outcome::Renewed);
        kernel::task::block_on(renewed);
        let numbers = [one.initial(ends(9), now), two.initial(ends(9), now)];
        assert!(numbers[0] != numbers[1] && !numbers.contains(&first));
        assert_eq!((one.stamp(ends(9)), two.stamp(ends(9))), (stamp, stamp));
        assert!(one.id(ends(9)) == secret().id(ends(9)));
        let stamps = Some((2, stamped));
        assert!(one.redeem(ends(9), (iss, Seq(7)), stamps, 512, now).is_some(), "still good");
        let (fresh, _) = one.give(ends(9), &offer(), 0, now);
        assert_ne!(fresh, iss);
        assert!(one.redeem(ends(9), (fresh, Seq(7)), None, 512, now).is_some());
    }
}
