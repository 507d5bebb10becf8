//! What does not come plain: fragments, and packets with options or extension headers.

use super::Engine;
use crate::config::Limits;
use crate::packet::{self, Ends, Folded, Piece, Problem, Verdict};
use crate::stack::Whom;
use crate::wire::Wire;
use core::net::IpAddr;
use devices::net::Meta;
use kernel::time::Instant;

/// How many bytes fragments may occupy: twice what a socket holds of datagrams, and 16 KiB at
/// least.
pub(super) const fn room(limits: &Limits) -> usize {
    let room = limits.datagrams.saturating_mul(2);
    if room < 16 << 10 { 16 << 10 } else { room }
}

impl Engine {
    /// Whether a packet is for this machine, or for it among others.
    fn concerns(&self, frame: &[u8], ends: Ends) -> Whom {
        let whom = self.protocols.whom(ends);
        let own = frame.starts_with(&self.protocols.mac().0);
        if whom == Whom::Us && !own { Whom::Nobody } else { whom }
    }

    /// Takes in a fragment, and what it completes.
    pub(super) fn piece(
        &mut self,
        frame: &[u8],
        ends: Ends,
        piece: &Piece,
        wire: &dyn Wire,
        now: Instant,
    ) {
        if self.concerns(frame, ends) == Whom::Nobody {
            self.stats.useless += 1;
            return;
        }
        if let Some(whole) = self.reassembly.add(frame, ends, piece, now) {
            self.again(&whole, wire, now);
        }
    }

    /// Takes in a packet without what was passed over in it.
    pub(super) fn folded(&mut self, frame: &[u8], folded: Folded, wire: &dyn Wire, now: Instant) {
        if let Some(plain) = folded.unfold(frame) {
            self.again(&plain, wire, now);
        }
    }

    /// Takes in a frame that was made of others. Nobody said of this one that its checksum is
    /// right, and fragments within fragments are not looked for.
    fn again(&mut self, frame: &[u8], wire: &dyn Wire, now: Instant) {
        match packet::judge(frame, Meta::default()) {
            Verdict::Fragment(..) => self.stats.useless += 1,
            verdict => self.act(verdict, frame, wire, now),
        }
    }

    /// Tells the sender of a packet what is wrong with it, unless it was for others as well.
    pub(super) fn complain(
        &mut self,
        frame: &[u8],
        ends: Ends,
        problem: Problem,
        wire: &dyn Wire,
        now: Instant,
    ) {
        let own = match self.concerns(frame, ends) {
            Whom::Us => Some(ends.to),
            Whom::All if problem.to_groups => self.protocols.source(ends.from).ok(),
            _ => None,
        };
        match (own, ends.from) {
            (Some(IpAddr::V6(own)), IpAddr::V6(to)) if self.errors.take(now) => {
                self.protocols.complain(problem, (own, to), frame, wire);
            }
            _ => self.stats.useless += 1,
        }
    }
}
