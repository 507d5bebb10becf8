//! How long packets on a connection's path may be (RFC 1191, RFC 8201).

use super::congestion::Control;
use super::connection::{Connection, State};
use super::segment::STAMPS;
use super::seq::Seq;

/// The least segment size that a path is believed to have: every link of today bears it, and
/// less is what somebody says who wants to slow a sender down.
const LEAST_PATH: u32 = 512;

impl<C: Control> Connection<C> {
    /// Learns how long packets on the path may be, without IP's and TCP's fixed headers, from
    /// an ICMP error about a segment that began with `seq` (RFC 1191, RFC 8201). What says
    /// nothing new, or is about nothing that is under way, is ignored (RFC 5927, section 7).
    /// Returns whether it was believed.
    pub(crate) fn path_mss(&mut self, mss: u32, seq: Seq) -> bool {
        let under_way = !seq.is_before(self.una()) && seq.is_before(self.snd_next());
        let options = if self.stamps.is_some() { STAMPS as u32 } else { 0 };
        let mss = mss.max(LEAST_PATH).saturating_sub(options);
        let news = under_way && self.is_synchronised() && mss < self.mss;
        if news {
            self.most = mss;
            self.set_mss(mss);
        }
        news
    }

    /// Begins with what another connection learned of the same path, before anything is sent
    /// (RFC 8201, section 5.2).
    pub(crate) fn know_path(&mut self, mss: u32) {
        self.path = mss.max(LEAST_PATH);
        let options = if self.stamps.is_some() { STAMPS as u32 } else { 0 };
        if self.state != State::SynSent && self.path - options < self.most {
            self.most = self.path - options;
            self.recovery.control = C::new(self.most);
            self.set_mss(self.most);
        }
    }
}
