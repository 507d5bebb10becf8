//! The sender's half of loss recovery: brings the scoreboard, the round trip, the window and
//! the undoing together, and says what the retransmission timer is for (RFC 5681, 6298, 6675,
//! 8985). It sends nothing itself: the connection asks what is due.

use super::congestion::{Control, Round};
use super::prr::Prr;
use super::rtt::Rtt;
use super::sent::{Ack, Acked, Sent};
use super::seq::{Range, Seq};
use super::tlp::{self, Tlp};
use super::undo::{Undo, stamp};
use core::time::Duration;
use kernel::time::Instant;

/// What the sender is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is lost.
    Open,
    /// The window falls, by PRR, though nothing is to be sent again: a mark (RFC 3168), or a
    /// loss that a probe repaired (RFC 8985, section 7.4).
    Reduced,
    /// Fast recovery (RFC 6675), by PRR.
    Fast,
    /// Slow start after a retransmission timeout.
    Timeout,
}

/// Why the timer went off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// What RACK waited for did not come; there may be something to send again.
    Reordering,
    /// A probe is to be sent, whatever the window is: a segment of new data, or else
    /// [`Sent::tail`]; then [`Recovery::probed`] is called.
    Probe,
    /// Nothing came for long: the first segment is to be sent again.
    Timeout,
}

/// A sender's state, of which the window belongs to `C`.
#[derive(Debug)]
pub(crate) struct Recovery<C> {
    pub(crate) sent: Sent,
    pub(crate) rtt: Rtt,
    pub(crate) control: C,
    prr: Prr,
    undo: Undo,
    tlp: Tlp,
    phase: Phase,
    /// SND.NXT when the phase began, which ends it.
    recover: Seq,
    /// The window was reduced, of which the peer is to hear where ECN was agreed upon.
    slowed: bool,
    mss: u32,
    /// SND.NXT when the window was last why sending stopped.
    filled: Seq,
    /// The most that was under way in this round trip, which ends with `round`.
    most: u32,
    round: Seq,
    /// When the retransmission timer was started, and when something was last sent or
    /// acknowledged.
    started: Instant,
    touched: Instant,
    /// When RACK looks again.
    reordering: Option<Instant>,
}

impl<C: Control> Recovery<C> {
    pub(crate) fn new(una: Seq, selective: bool, mss: u32, now: Instant) -> Self {
        Self {
            sent: Sent::new(una, selective),
            rtt: Rtt::new(),
            control: C::new(mss),
            prr: Prr::default(),
            undo: Undo::default(),
            tlp: Tlp::default(),
            phase: Phase::Open,
            recover: una,
            slowed: false,
            mss,
            filled: una,
            most: 0,
            round: una,
            started: now,
            touched: now,
            reordering: None,
        }
    }

    #[cfg(test)]
    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }

    /// Returns whether the window was reduced since the last call, for whatever reason.
    pub(crate) const fn take_slowed(&mut self) -> bool {
        core::mem::replace(&mut self.slowed, false)
    }

    /// Returns how many more bytes may be in flight now, by congestion control alone.
    pub(crate) fn room(&self) -> u32 {
        self.control.window().saturating_sub(self.sent.in_flight())
    }

    /// Notes that the window is why sending stops, with more to send.
    pub(crate) fn filled(&mut self) {
        self.filled = self.sent.next();
    }

    /// Returns whether an ACK of what was sent from `una` on may make the window grow: not where
    /// a program wrote less than it allows, or a peer took less, within that round trip (RFC
    /// 9438, section 4.2; RFC 7661). In slow start half of it is enough, since a round trip
    /// later twice as much is under way.
    fn is_limited(&self, una: Seq) -> bool {
        let starting = self.control.in_slow_start();
        una.is_before(self.filled) || starting && self.control.window() / 2 < self.most
    }

    /// Takes another segment size (RFC 1191), and takes all that is not acknowledged for lost
    /// when it is less.
    pub(crate) fn set_mss(&mut self, mss: u32) {
        if mss < self.mss {
            self.sent.lose_all();
        }
        self.mss = mss;
        self.control.set_mss(mss);
    }

    /// Notes that `length` new bytes are being sent. Returns whether there is memory to know of
    /// them; they must not be sent otherwise.
    pub(crate) fn sent(&mut self, length: u32, now: Instant) -> bool {
        if self.sent.is_empty() {
            let idle = now.saturating_duration_since(self.touched);
            let timeout = self.rtt.timeout();
            if idle > timeout {
                self.control.idle(idle, timeout);
            }
            self.started = now;
        }
        let room = self.sent.sent(length, now);
        if room {
            self.touched = now;
            self.most = self.most.max(self.sent.outstanding());
            self.prr.sent(length);
        }
        room
    }

    /// Notes that `range` is being sent again.
    pub(crate) fn resent(&mut self, range: Range, now: Instant) {
        if range.start == self.sent.una() {
            self.started = now;
        }
        self.touched = now;
        self.sent.resent(range, now, self.mss);
        self.undo.resent(range, now);
        self.prr.sent(range.len());
    }

    /// Notes that a probe was sent: `resent` is what it was, unless new data, of which
    /// [`sent`](Self::sent) knows.
    pub(crate) fn probed(&mut self, resent: Option<Range>, now: Instant) {
        if let Some(range) = resent {
            self.sent.resent(range, now, self.mss);
            self.undo.resent(range, now);
        }
        self.touched = now;
        self.started = now;
        self.tlp.sent(self.sent.next(), resent.is_some());
    }

    /// Takes an ACK in. `una` is at most SND.NXT; `sack` and `echo` are those of [`Ack`];
    /// `duplicate` as RFC 5681, section 2, defines it.
    pub(crate) fn acknowledge(
        &mut self,
        una: Seq,
        sack: &[Range],
        echo: Option<u32>,
        duplicate: bool,
        now: Instant,
    ) -> Acked {
        let before = self.sent.una();
        // As far behind as numbers are, they would be taken for those ahead.
        self.filled = self.filled.max(before);
        self.recover = self.recover.max(before - 1);
        let ack = Ack { una, sack, echo, now, mss: self.mss };
        let mut acked = self.sent.acknowledge(&ack, &self.rtt);
        // Without what was sent once, the timestamp tells (RFC 7323, section 4).
        let by_stamp = || {
            let passed = stamp(now).wrapping_sub(echo.filter(|_| acked.acked > 0)?);
            (passed < 60_000).then(|| Duration::from_millis(passed.into()))
        };
        acked.rtt = acked.rtt.or_else(by_stamp);
        if let Some(rtt) = acked.rtt {
            self.rtt.sample(rtt, self.sent.outstanding() / self.mss.max(1), now);
        }
        let una = self.sent.una();
        if acked.acked > 0 {
            self.rtt.acknowledged();
            self.started = now;
            self.touched = now;
        }
        let plain = self.phase == Phase::Open
            && acked.acked > 0
            && acked.dsack.is_none()
            && !self.undo.is_open()
            && !self.tlp.is_under_way();
        if !plain {
            if duplicate && (self.phase == Phase::Fast || una.is_after(self.recover)) {
                acked.delivered += self.sent.duplicate(self.mss);
            }
            self.judge(before, &acked, echo, duplicate);
        }
        let recovering = matches!(self.phase, Phase::Fast | Phase::Timeout);
        let found = self.sent.detect(&self.rtt, recovering, self.mss, now);
        self.reordering = found.timer;
        if found.lost > 0 {
            self.lose(acked.delivered);
        }
        match self.phase {
            Phase::Open | Phase::Timeout => {
                let smoothed = self.rtt.smoothed().unwrap_or_default();
                let next = self.sent.next();
                let limited = self.is_limited(before);
                let round = Round { rtt: acked.rtt, smoothed, una, next, limited };
                // Duplicates allow for new segments without it (RFC 3042, section 2), unless they
                // are usual on this path.
                if acked.acked > 0 || acked.delivered > 0 && self.sent.is_reordered() {
                    self.control.acked(acked.delivered, &round, now);
                }
                if !una.is_before(self.round) {
                    (self.round, self.most) = (next, self.sent.outstanding());
                }
            }
            Phase::Reduced | Phase::Fast => {
                let safe = acked.acked > 0 && found.lost == 0;
                let in_flight = self.sent.in_flight();
                let window = self.prr.window(acked.delivered, in_flight, safe, self.mss);
                if let Some(window) = window {
                    self.control.set_window(window);
                }
            }
        }
        acked
    }

    /// Ends what an ACK ends: a probe, an episode that was needless, and one that is over.
    fn judge(&mut self, before: Seq, acked: &Acked, echo: Option<u32>, duplicate: bool) {
        let una = self.sent.una();
        let mut needless = false;
        if let Some(range) = acked.dsack {
            if !self.tlp.is_duplicate(range) {
                self.sent.widen();
            }
            needless = self.undo.duplicate(range);
        }
        needless |= acked.acked > 0 && self.undo.acknowledged(before, echo);
        needless |= self.phase == Phase::Timeout
            && self.undo.is_open()
            && acked.original.is_some_and(|end| !end.is_after(self.recover));
        if needless {
            self.undo.end();
            self.control.undo();
            self.sent.undo();
            self.phase = Phase::Open;
        }
        if self.phase != Phase::Open && !una.is_before(self.recover) {
            if self.phase != Phase::Timeout {
                self.control.recovered();
            }
            self.sent.recovered();
            self.phase = Phase::Open;
        }
        let repaired = self.tlp.acknowledged(una, acked.dsack, duplicate);
        if repaired && self.phase == Phase::Open {
            self.reduce();
        }
    }

    /// Begins to lower the window without an episode of recovery, once a round trip: a segment
    /// says that its path is congested (RFC 3168, section 6.1.2), or a probe repaired a loss.
    pub(crate) fn reduce(&mut self) {
        if self.phase == Phase::Open {
            self.undo.end();
            self.slow_down(Phase::Reduced, 0);
        }
    }

    fn slow_down(&mut self, phase: Phase, delivered: u32) {
        self.control.loss();
        let flight = self.sent.outstanding() - self.sent.sacked().min(self.sent.outstanding());
        self.prr = Prr::begin(flight.saturating_add(delivered), self.control.threshold());
        self.phase = phase;
        self.slowed = true;
        self.recover = self.sent.next();
    }

    /// Begins fast recovery, unless an episode is under way.
    fn lose(&mut self, delivered: u32) {
        self.tlp.end();
        match self.phase {
            Phase::Open => {
                self.undo.begin(Range::new(self.sent.una(), self.sent.next()));
                self.slow_down(Phase::Fast, delivered);
            }
            Phase::Reduced => {
                self.phase = Phase::Fast;
                self.recover = self.sent.next();
            }
            Phase::Fast | Phase::Timeout => {}
        }
    }

    /// Returns whether a probe may be due before the retransmission timeout. RFC 8985, section
    /// 7.2, has none in recovery. There a lost retransmission is found by what was sent after
    /// it, and when nothing was, the timeout takes its place: that is what a probe is for, once
    /// all that is lost was sent again.
    fn may_probe(&self) -> bool {
        let apt = match self.phase {
            Phase::Open | Phase::Reduced => self.sent.sacked() == 0,
            Phase::Fast => self.reordering.is_none(),
            Phase::Timeout => false,
        };
        apt && self.sent.lost() == 0 && !self.tlp.is_under_way()
    }

    fn probe_at(&self) -> Instant {
        let single = self.sent.outstanding() <= self.mss;
        self.touched.saturating_add(tlp::timeout(&self.rtt, single))
    }

    fn timeout_at(&self) -> Instant {
        self.started.saturating_add(self.rtt.timeout())
    }

    /// Returns when [`due`](Self::due) is to be asked. `None` when nothing is unacknowledged.
    pub(crate) fn timer(&self) -> Option<Instant> {
        if self.sent.is_empty() {
            return None;
        }
        let mut timer = self.timeout_at();
        if self.may_probe() {
            timer = timer.min(self.probe_at());
        }
        Some(self.reordering.map_or(timer, |reordering| timer.min(reordering)))
    }

    /// Returns what is due at `now`, after which it is no longer.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Due> {
        if self.sent.is_empty() {
            return None;
        }
        if self.reordering.is_some_and(|timer| timer <= now) {
            let recovering = matches!(self.phase, Phase::Fast | Phase::Timeout);
            let found = self.sent.detect(&self.rtt, recovering, self.mss, now);
            self.reordering = found.timer;
            if found.lost > 0 {
                self.lose(0);
                if self.phase == Phase::Fast {
                    // No ACK came: one segment is sent again, and then what ACKs allow.
                    let window = self.sent.in_flight().saturating_add(self.mss);
                    self.control.set_window(window);
                }
            }
            return Some(Due::Reordering);
        }
        let late = self.timeout_at() <= now;
        // Where the timeout is due first, the probe goes instead of it (RFC 8985, section 7.2).
        if self.may_probe() && (late || self.probe_at() <= now) {
            return Some(Due::Probe);
        }
        if late {
            self.time_out(now);
        }
        late.then_some(Due::Timeout)
    }

    /// Returns when the retransmission timer is due, if it runs.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        (!self.sent.is_empty()).then(|| self.timeout_at())
    }

    /// Deals with the retransmission timer where silence says nothing of the path: the peer's
    /// window is closed (RFC 9293, section 3.8.6.1), or it is a SYN (RFC 6928, section 2).
    pub(crate) fn retry(&mut self, now: Instant) {
        self.tlp.end();
        self.sent.timeout(&self.rtt, now);
        self.rtt.back_off();
        self.started = now;
        self.reordering = None;
    }

    /// Takes all that was sent for thrown away by the peer, which has room for it now.
    pub(crate) fn repeat(&mut self) {
        self.sent.lose_all();
        self.rtt.acknowledged();
    }

    /// RFC 6298, section 5.4 to 5.6.
    fn time_out(&mut self, now: Instant) {
        let first = self.phase == Phase::Open;
        if first {
            self.undo.begin(Range::new(self.sent.una(), self.sent.next()));
        }
        self.tlp.end();
        self.sent.timeout(&self.rtt, now);
        self.control.timeout(self.sent.in_flight(), first);
        self.rtt.back_off();
        self.phase = Phase::Timeout;
        self.slowed = true;
        self.recover = self.sent.next();
        self.started = now;
        self.reordering = None;
    }
}

#[cfg(test)]
mod steps;
#[cfg(test)]
mod tests;
