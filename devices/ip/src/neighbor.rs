//! Neighbours: who has which Ethernet address (RFC 826; RFC 4861, section 7), and what
//! waits until that is known.
//!
//! Frames wait for the address that they go to and for no other, so no machine that is
//! silent delays what is for another (rule T2): for each address a few, of which the
//! newest stay, and altogether so many that silent ones take no memory to speak of
//! (rule T3). An address is asked for three times, a second apart, and then forgotten
//! with what waits for it.
//!
//! What is known is used until something else is heard. When that is long ago, the
//! neighbour is asked while it goes on being used, and forgotten if it is silent. Only
//! who asks for an address of ours, or was asked, becomes known; what others say
//! unasked changes what is known and adds nothing to it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;
use devices::net::Mac;
use kernel::time::Instant;

/// Neighbours that are known at most. Beyond, the one that was used last the longest ago
/// is forgotten.
const MOST: usize = 256;

/// Addresses that are looked for at a time. Beyond, the first of them is given up.
const SOUGHT: usize = 64;

/// Frames that wait for one address.
const WAITING: usize = 16;

/// Frames that wait for all of them; longer ones than this count as several.
const HELD: usize = 64;
const LONG: usize = 2048;

/// How often an address is asked for (RFC 4861, section 10), and how long for each answer
/// (RFC 1122, section 2.3.2.1).
const ASKED: u8 = 3;
const PATIENCE: Duration = Duration::from_secs(1);

/// How long what a neighbour said is not doubted (RFC 4861, section 10).
const FRESH: Duration = Duration::from_secs(30);

/// What was heard of an Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) address: IpAddr,
    /// `None`: that it is the one that is known.
    pub(super) mac: Option<Mac>,
    /// It was said to this machine by who hears it: this one asked, or is asked by ARP.
    pub(super) to_us: bool,
    /// It asks for an address of ours, so it will be spoken to.
    pub(super) asks: bool,
    /// It stands, whatever was said before.
    pub(super) overrides: bool,
}

/// An address to be asked for: of everybody, or of who has had it so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) address: IpAddr,
    pub(super) mac: Option<Mac>,
}

/// What is to be done about an address that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Ask(Question),
    /// It did not answer, and is forgotten.
    GiveUp(IpAddr),
}

#[derive(Debug)]
struct Entry {
    address: IpAddr,
    mac: Option<Mac>,
    /// It is being asked for, and was so often.
    asked: Option<u8>,
    /// When to ask again, or from when on it is doubted.
    until: Instant,
    /// When it was last used or, if it is not known, first wanted.
    used: Instant,
    waiting: VecDeque<Vec<u8>>,
}

/// What a frame that waits counts for.
#[expect(clippy::ptr_arg, reason = "it is mapped over vectors")]
const fn count(frame: &Vec<u8>) -> usize {
    frame.len().div_ceil(LONG)
}

/// All of them, in the order of their addresses.
#[derive(Debug, Default)]
pub(super) struct Neighbors {
    entries: Vec<Entry>,
    /// Which of them was found last, if it is still there.
    last: usize,
    /// Frames that wait.
    held: usize,
    /// Nobody is to be asked before.
    quiet: Option<Instant>,
}

impl Neighbors {
    fn find(&self, address: IpAddr) -> Result<usize, usize> {
        self.entries.binary_search_by(|it| it.address.cmp(&address))
    }

    /// The Ethernet address to send to, if it is known.
    pub(super) fn lookup(&mut self, address: IpAddr, now: Instant) -> Option<Mac> {
        // Most often it is the one of the packet before.
        if self.entries.get(self.last).is_none_or(|it| it.address != address) {
            self.last = self.find(address).ok()?;
        }
        let entry = self.entries.get_mut(self.last)?;
        let mac = entry.mac?;
        entry.used = now;
        if entry.until <= now && entry.asked.is_none() {
            entry.asked = Some(0);
            self.quiet = Some(now);
        }
        Some(mac)
    }

    /// Sees to it that an address is soon known. Whether it has to be asked for.
    pub(super) fn want(&mut self, address: IpAddr, now: Instant) -> bool {
        let Err(at) = self.find(address) else { return false };
        let new = self.insert(at, address, None, now, now);
        if new {
            self.quiet = Some(now);
        }
        new
    }

    /// Keeps a frame until the address that it goes to is known, or given up. The oldest
    /// goes when there are too many.
    pub(super) fn hold(&mut self, address: IpAddr, frame: Vec<u8>, now: Instant) {
        self.want(address, now);
        let Ok(at) = self.find(address) else { return };
        let count = count(&frame);
        if self.entries[at].waiting.len() >= WAITING {
            self.drop_first(at);
        }
        while self.held + count > HELD {
            let waiting = self.entries.iter().enumerate().filter(|(_, it)| !it.waiting.is_empty());
            let Some((oldest, _)) = waiting.min_by_key(|(_, it)| it.used) else { break };
            self.drop_first(oldest);
        }
        let waiting = &mut self.entries[at].waiting;
        if waiting.try_reserve(1).is_ok() {
            waiting.push_back(frame);
            self.held += count;
        }
    }

    fn drop_first(&mut self, at: usize) {
        self.held -= self.entries[at].waiting.pop_front().as_ref().map_or(0, count);
    }

    /// Adds an entry where it belongs, in the place of another if need be; if it is known, it is
    /// doubted from `until` on.
    fn insert(
        &mut self,
        at: usize,
        address: IpAddr,
        mac: Option<Mac>,
        until: Instant,
        now: Instant,
    ) -> bool {
        let known = mac.is_some();
        let alike = self.entries.iter().filter(|it| it.mac.is_some() == known);
        let mut at = at;
        if alike.clone().count() >= if known { MOST } else { SOUGHT }
            && let Some(oldest) = alike.min_by_key(|it| it.used).map(|it| it.address)
            && let Ok(old) = self.find(oldest)
        {
            self.remove(old);
            at -= usize::from(old < at);
        }
        let asked = if known { None } else { Some(0) };
        let waiting = VecDeque::new();
        let room = self.entries.try_reserve(1).is_ok();
        if room {
            self.entries.insert(at, Entry { address, mac, asked, until, used: now, waiting });
        }
        room
    }

    fn remove(&mut self, at: usize) {
        self.held -= self.entries.remove(at).waiting.iter().map(count).sum::<usize>();
    }

    /// Hears of an Ethernet address. Where what waited for it goes, and that, if it was
    /// waited for.
    pub(super) fn hear(&mut self, heard: Heard, now: Instant) -> Option<(Mac, VecDeque<Vec<u8>>)> {
        // What nobody asked for is true until it is used.
        let until = if heard.to_us { now.saturating_add(FRESH) } else { now };
        let at = match self.find(heard.address) {
            Ok(at) => at,
            Err(at) => {
                if heard.asks && heard.mac.is_some() {
                    self.insert(at, heard.address, heard.mac, until, now);
                }
                return None;
            }
        };
        let entry = &mut self.entries[at];
        let changes = heard.mac.is_some_and(|mac| entry.mac.is_some_and(|old| old != mac));
        if changes && !heard.overrides {
            // Who is right will be asked when it is next used.
            entry.until = now;
            return None;
        }
        let mac = heard.mac.or(entry.mac)?;
        let is_found = entry.mac.replace(mac).is_none();
        if heard.to_us || changes || is_found {
            entry.asked = None;
            entry.until = until;
        }
        let waiting = core::mem::take(&mut entry.waiting);
        self.held -= waiting.iter().map(count).sum::<usize>();
        Some((mac, waiting))
    }

    /// The next that is to be asked for now, or was asked for in vain.
    pub(super) fn turn(&mut self, now: Instant) -> Option<Turn> {
        if self.quiet? > now {
            return None;
        }
        let mut at = 0;
        while let Some(entry) = self.entries.get_mut(at) {
            match entry.asked {
                Some(ASKED..) if entry.until <= now => {
                    let address = entry.address;
                    self.remove(at);
                    return Some(Turn::GiveUp(address));
                }
                Some(asked) if entry.until <= now => {
                    entry.asked = Some(asked + 1);
                    entry.until = now.saturating_add(PATIENCE);
                    return Some(Turn::Ask(Question { address: entry.address, mac: entry.mac }));
                }
                _ => at += 1,
            }
        }
        let asked = self.entries.iter().filter(|it| it.asked.is_some());
        self.quiet = asked.map(|it| it.until).min();
        None
    }

    /// Nobody is to be asked before.
    pub(super) const fn next(&self) -> Option<Instant> {
        self.quiet
    }

    /// Forgets what is known, as the network may be another one.
    pub(super) fn forget(&mut self) {
        self.entries.retain(|it| it.mac.is_none());
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use core::net::Ipv4Addr;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 2]);

    fn ip(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + n).into()
    }

    fn heard(n: u32, mac: Mac) -> Heard {
        Heard { address: ip(n), mac: Some(mac), to_us: true, asks: false, overrides: true }
    }

    fn ask(n: u32, mac: Option<Mac>) -> Turn {
        Turn::Ask(Question { address: ip(n), mac })
    }

    fn start() -> (Neighbors, Instant) {
        kernel::testing::simulate_time();
        (Neighbors::default(), Instant::now())
    }

    #[test]
    fn what_waits_goes_when_the_address_is_known() {
        let (mut all, now) = start();
        for byte in 0..20 {
            all.hold(ip(1), std::vec![byte], now);
        }
        assert_eq!(all.turn(now), Some(ask(1, None)));
        assert_eq!((all.turn(now), all.lookup(ip(1), now)), (None, None));
        // The newest.
        let (mac, frames) = all.hear(heard(1, MAC), now).unwrap();
        assert_eq!(mac, MAC);
        assert!(frames.into_iter().flatten().eq(4..20));
        assert_eq!((all.lookup(ip(1), now), all.held), (Some(MAC), 0));
        let later = now.saturating_add(PATIENCE);
        assert_eq!((all.turn(later), all.next()), (None, None));
    }

    #[test]
    fn who_is_silent_is_asked_three_times_a_second_apart_and_given_up() {
        let (mut all, mut now) = start();
        all.hold(ip(1), std::vec![1], now);
        for _ in 0..ASKED {
            assert!(all.turn(now).is_some() && all.turn(now).is_none());
            assert_eq!(all.next(), Some(now.saturating_add(PATIENCE)));
            now = now.saturating_add(PATIENCE);
        }
        assert_eq!(all.turn(now), Some(Turn::GiveUp(ip(1))));
        assert_eq!((all.turn(now), all.next()), (None, None));
        assert_eq!((all.entries.len(), all.held), (0, 0));
    }

    #[test]
    fn who_asks_while_it_is_sought_is_found() {
        let (mut all, now) = start();
        all.hold(ip(1), std::vec![1], now);
        let last = now.saturating_add(PATIENCE * (ASKED - 1).into());
        let asked = [0, 1, 2].map(|at| all.turn(now.saturating_add(PATIENCE * at)));
        assert_eq!(asked, [(); 3].map(|()| Some(ask(1, None))));
        let asks = Heard { asks: true, to_us: false, ..heard(1, MAC) };
        assert!(all.hear(asks, last).is_some_and(|(mac, frames)| mac == MAC && frames.len() == 1));
        assert_eq!(all.turn(last.saturating_add(PATIENCE * 2)), None);
        // It is doubted when it is used.
        assert_eq!((all.lookup(ip(1), last), all.turn(last)), (Some(MAC), Some(ask(1, Some(MAC)))));
    }

    #[test]
    fn silent_ones_hold_a_bounded_number_and_delay_nobody_t3() {
        let (mut all, now) = start();
        for n in 0..10_000 {
            let at = now.saturating_add(Duration::from_micros(n.into()));
            all.hold(ip(n), std::vec![0; 100], at);
            assert!(all.entries.len() <= SOUGHT && all.held <= HELD);
        }
        let now = now.saturating_add(Duration::from_millis(11));
        all.hold(ip(20_000), std::vec![7], now);
        let asked = core::iter::from_fn(|| all.turn(now)).any(|it| it == ask(20_000, None));
        assert!(asked);
        assert_eq!(all.hear(heard(20_000, MAC), now).unwrap().1, [std::vec![7]]);
        // And who is known stays so.
        for n in 30_000..40_000 {
            all.want(ip(n), now);
        }
        assert_eq!(all.lookup(ip(20_000), now), Some(MAC));
    }

    #[test]
    fn so_many_are_known_and_the_idlest_is_forgotten_t3() {
        let (mut all, now) = start();
        for n in 0..1000 {
            let at = now.saturating_add(Duration::from_millis(n.into()));
            all.hear(Heard { asks: true, ..heard(n, MAC) }, at);
            assert!(all.entries.len() <= MOST);
            assert_eq!(all.lookup(ip(0), at), Some(MAC));
        }
        assert_eq!(all.lookup(ip(500), now), None);
    }

    #[test]
    fn what_is_said_unasked_changes_what_is_known_and_adds_nothing() {
        let (mut all, now) = start();
        let unasked = |mac| Heard { to_us: false, ..heard(1, mac) };
        assert!(all.hear(unasked(OTHER), now).is_none());
        assert_eq!(all.lookup(ip(1), now), None);
        all.hear(Heard { asks: true, ..heard(1, MAC) }, now);
        all.hear(unasked(OTHER), now);
        assert_eq!(all.lookup(ip(1), now), Some(OTHER));
        // It is asked whether that is so.
        assert_eq!(all.turn(now), Some(ask(1, Some(OTHER))));
        all.hear(heard(1, OTHER), now);
        // What does not override makes it ask who is right.
        all.hear(Heard { overrides: false, ..unasked(MAC) }, now);
        assert_eq!(all.lookup(ip(1), now), Some(OTHER));
        assert_eq!(all.turn(now), Some(ask(1, Some(OTHER))));
    }

    #[test]
    fn who_only_asks_is_doubted_once_it_is_used() {
        let (mut all, now) = start();
        let asks = Heard { asks: true, to_us: false, ..heard(1, MAC) };
        all.hear(asks, now);
        assert_eq!((all.lookup(ip(1), now), all.turn(now)), (Some(MAC), Some(ask(1, Some(MAC)))));
        all.hear(heard(1, MAC), now);
        // That it asks again says nothing new.
        all.hear(asks, now);
        assert_eq!((all.lookup(ip(1), now), all.turn(now)), (Some(MAC), None));
        let later = now.saturating_add(FRESH);
        all.hear(asks, later);
        assert_eq!(all.lookup(ip(1), later), Some(MAC));
        assert_eq!(all.turn(later), Some(ask(1, Some(MAC))));
    }

    #[test]
    fn who_was_not_heard_for_long_is_asked_while_it_is_used_and_then_forgotten() {
        let (mut all, now) = start();
        all.hear(Heard { asks: true, ..heard(1, MAC) }, now);
        let mut now = now.saturating_add(FRESH);
        assert_eq!(all.turn(now), None);
        for _ in 0..ASKED {
            assert_eq!(all.lookup(ip(1), now), Some(MAC));
            assert_eq!(all.turn(now), Some(ask(1, Some(MAC))));
            now = now.saturating_add(PATIENCE);
        }
        assert_eq!(all.turn(now), Some(Turn::GiveUp(ip(1))));
        assert_eq!((all.turn(now), all.lookup(ip(1), now)), (None, None));
        // One answer is enough.
        all.hear(Heard { asks: true, ..heard(1, MAC) }, now);
        now = now.saturating_add(FRESH);
        all.lookup(ip(1), now);
        assert!(all.turn(now).is_some());
        all.hear(Heard { mac: None, ..heard(1, MAC) }, now);
        now = now.saturating_add(FRESH / 2);
        assert_eq!((all.lookup(ip(1), now), all.turn(now)), (Some(MAC), None));
    }
}
