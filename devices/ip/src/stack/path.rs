//! How long packets may be on their ways, as routers said (RFC 1191, RFC 8201): for datagrams,
//! and for connections of TCP that begin, each of which keeps what it learns itself.

use core::net::IpAddr;
use core::time::Duration;
use kernel::time::Instant;

/// Ways that are remembered. Beyond, the one that was heard of the longest ago is forgotten.
const WAYS: usize = 32;

/// When a way may have become another one (RFC 8201, section 4).
const TRUSTED: Duration = Duration::from_secs(600);

/// The least that is believed: what a link of IPv6 has, and about what Linux believes of those
/// of IPv4 (RFC 8200, section 5). Who lies cannot make datagrams useless.
pub(super) const fn least(ipv4: bool) -> usize {
    if ipv4 { 552 } else { 1280 }
}

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Paths(heapless::Vec<(IpAddr, usize, Instant), WAYS>);

impl Paths {
    /// Hears that packets to `peer` may have `mtu` bytes, less than the `own` of the interface.
    pub(super) fn hear(&mut self, peer: IpAddr, mtu: usize, own: usize, now: Instant) {
        let mtu = mtu.max(least(peer.is_ipv4()));
        // Only what is less than before is news (RFC 8201, section 4).
        if mtu >= self.mtu(peer, now).unwrap_or(own) {
            return;
        }
        self.0.retain(|(it, ..)| *it != peer);
        if self.0.is_full() {
            self.0.remove(0);
        }
        // There is room.
        let _ = self.0.push((peer, mtu, now.saturating_add(TRUSTED)));
    }

    /// How long packets to `peer` may be, if that was said.
    pub(super) fn mtu(&self, peer: IpAddr, now: Instant) -> Option<usize> {
        let known = self.0.iter().find(|(it, _, until)| *it == peer && *until > now);
        known.map(|it| it.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    #[test]
    fn what_routers_say_is_believed_for_ten_minutes_as_far_as_it_makes_sense() {
        kernel::testing::simulate_time();
        let (now, mut paths) = (Instant::now(), Paths::default());
        let after = |seconds| now.saturating_add(Duration::from_secs(seconds));
        let (four, six) = (IpAddr::from([10, 0, 0, 1]), "fd00::1".parse().unwrap());
        for (peer, said, is) in [(four, 68, 552), (six, 0, 1280)] {
            for more in [1500, 1400, 1450, said, 1400] {
                paths.hear(peer, more, 1500, now);
            }
            assert_eq!(paths.mtu(peer, after(599)), Some(is));
            assert_eq!(paths.mtu(peer, after(600)), None);
        }
        for n in 0..1000 {
            paths.hear(Ipv4Addr::from_bits(n).into(), 1000, 1500, after(1));
            assert!(paths.0.len() <= WAYS);
        }
        assert_eq!(paths.mtu(four, now), None);
        assert_eq!(paths.mtu(Ipv4Addr::from_bits(999).into(), now), Some(1000));
    }
}
