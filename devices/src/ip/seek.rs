//! Finding neighbours faster than smoltcp does.
//!
//! smoltcp asks for one Ethernet address a second, whoever they are of: who speaks to
//! four machines first waits three seconds for the last. So what it may not ask for, for
//! having asked for another, is asked for here; answers are taken in by smoltcp all the
//! same.

use core::net::IpAddr;
use core::time::Duration;
use kernel::time::Instant;

/// How long smoltcp is silent.
const SILENT: Duration = Duration::from_secs(1);

/// Addresses that are asked for within that time.
const MOST: usize = 8;

/// Who is looked for.
#[derive(Debug, Default)]
pub(super) struct Seeker {
    /// When smoltcp may ask again.
    silent: Option<Instant>,
    /// Those that were wanted since it asked, and how many of them were asked for.
    wanted: heapless::Vec<IpAddr, MOST>,
    done: usize,
}

impl Seeker {
    /// smoltcp has just asked for an address, or so has this.
    pub(super) fn asked(&mut self, now: Instant) {
        if self.silent.is_none_or(|until| until <= now) {
            self.silent = Some(now.saturating_add(SILENT));
            // The one that it was for cannot be told from the others: it is asked for twice.
            self.done = 0;
        }
    }

    /// Something is about to be sent to `hop`.
    pub(super) fn want(&mut self, hop: IpAddr, now: Instant) {
        if self.silent.is_none_or(|until| until <= now) {
            self.wanted.clear();
            self.done = 0;
        }
        if !self.wanted.contains(&hop) {
            // Beyond that, smoltcp is fast enough.
            let _ = self.wanted.push(hop);
        }
    }

    /// The next to ask for now.
    pub(super) fn next(&mut self, now: Instant) -> Option<IpAddr> {
        if self.silent.is_none_or(|until| until <= now) || self.wanted.len() < 2 {
            return None;
        }
        let hop = self.wanted.get(self.done).copied();
        self.done += usize::from(hop.is_some());
        hop
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    fn hop(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    #[test]
    fn one_neighbor_is_left_to_smoltcp_and_further_ones_are_asked_for_once() {
        kernel::machine::simulate_time();
        let now = Instant::now();
        let mut seeker = Seeker::default();
        seeker.want(hop(1), now);
        assert_eq!(seeker.next(now), None);
        seeker.asked(now);
        assert_eq!(seeker.next(now), None);
        seeker.want(hop(2), now);
        seeker.want(hop(2), now);
        assert_eq!(seeker.next(now), Some(hop(1)));
        assert_eq!(seeker.next(now), Some(hop(2)));
        seeker.asked(now);
        assert_eq!(seeker.next(now), None);
        let later = now.saturating_add(SILENT);
        seeker.want(hop(2), later);
        assert_eq!(seeker.next(later), None);
    }
}
