//! What becomes of a segment that arrives (RFC 9293, section 3.10.7), in the order in which
//! the RFC looks at it.

use super::congestion::Control;
use super::connection::{Connection, Offer, Stamps, State};
use super::pool::Pool;
use super::segment::{ACK, CWR, ECE, FIN, Head, RST, SYN, Segment, default_mss};
use super::seq::Seq;
use alloc::rc::Rc;
use core::time::Duration;
use kernel::time::Instant;

/// At most one challenge in this time (RFC 5961, section 7): whoever guesses gets no more out
/// of it, and two ends that take each other for lost do not answer each other for ever.
const CHALLENGES: Duration = Duration::from_millis(500);

/// Ticks by which a segment may be older than one before it, as by Linux: what was late fills
/// its gap, after what was sent again filled the one before. A clock ticks at least once for
/// each 2^31 bytes (RFC 7323, section 5.4), so that one of the numbers' last time around is
/// older by two.
const REORDERED: i32 = 1;

/// A timestamp is not compared with one that is as old (RFC 7323, section 5.5).
const OUTDATED: Duration = Duration::from_secs(24 * 24 * 60 * 60);

impl Stamps {
    /// Returns whether the last one says nothing any more of which comes first.
    fn is_outdated(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) >= OUTDATED
    }
}

impl Offer {
    /// Reads a SYN.
    pub(crate) fn of(segment: &Segment<'_>, ipv4: bool) -> Self {
        let options = &segment.options;
        Self {
            irs: segment.seq,
            mss: options.mss.unwrap_or(default_mss(ipv4)),
            scale: options.scale,
            sack: options.sack_permitted,
            stamp: options.stamps.map(|(value, _)| value),
            ecn: segment.flags & (ECE | CWR | ACK) == ECE | CWR,
            window: segment.window,
        }
    }
}

impl<C: Control> Connection<C> {
    /// Takes in a segment for this connection. What it makes readable or writable, and whether
    /// it has something to send, is to be asked afterwards.
    pub(crate) fn receive(&mut self, segment: &Segment<'_>, pool: &Rc<Pool>, now: Instant) {
        self.heard = now;
        match self.state {
            State::Closed => {}
            State::SynSent => self.receive_syn_sent(segment, pool, now),
            _ => self.receive_synchronised(segment, now),
        }
    }

    /// Returns whether the peer may say more.
    const fn takes_text(&self) -> bool {
        matches!(self.state, State::Established | State::FinWait1 | State::FinWait2)
    }

    /// Returns whether a segment with so many bytes is what comes next, so that they may be put
    /// where they belong before it is [received](Self::receive_staged).
    pub(crate) const fn expects(&self, seq: Seq, flags: u8, text: usize) -> bool {
        flags & (ACK | SYN | FIN | RST) == ACK
            && text > 0
            && self.takes_text()
            && self.receiver.expects(seq, text)
    }

    /// Takes in a segment that it [expects](Self::expects), without its payload: `fill` writes
    /// that, of `text` bytes, piece by piece, to where it belongs.
    pub(crate) fn receive_staged(
        &mut self,
        segment: &mut Segment<'_>,
        text: usize,
        fill: &mut dyn FnMut(&mut [u8]),
        pool: &Rc<Pool>,
        now: Instant,
    ) {
        segment.staged = text;
        self.receiver.stage(text, fill);
        self.receive(segment, pool, now);
        // It was refused for another reason.
        self.receiver.unstage();
    }

    /// Deals with a segment in SYN-SENT (section 3.10.7.3).
    fn receive_syn_sent(&mut self, segment: &Segment<'_>, pool: &Rc<Pool>, now: Instant) {
        let acks = segment.has(ACK);
        if acks && segment.ack != self.iss + 1 {
            self.reset = Head::reset(segment);
            return;
        }
        if segment.has(RST) {
            if acks {
                self.fail();
            }
            return;
        }
        if !segment.has(SYN) {
            return;
        }
        self.agree(&Offer::of(segment, self.local.is_ipv4()), pool, now);
        // This side does not ask for ECN.
        self.ecn = false;
        if !acks {
            // Both opened at once (section 3.5): our SYN is sent again, with an ACK.
            self.state = State::SynReceived;
            self.recovery.repeat();
            return;
        }
        self.acknowledge(segment, self.iss + 1, now);
        self.establish(now);
        self.answer = true;
        self.text(segment, segment.seq + 1, now);
    }

    /// Both sides know of it.
    fn establish(&mut self, now: Instant) {
        self.state = if self.ending { State::FinWait1 } else { State::Established };
        self.established = true;
        self.recovery.rtt.established();
        self.attempts = 0;
        self.progress = now;
        if let Some(idle) = self.keep_alive {
            self.keep = Some(now.saturating_add(idle));
        }
    }

    /// Deals with a segment in any other state (section 3.10.7.4).
    fn receive_synchronised(&mut self, segment: &Segment<'_>, now: Instant) {
        if self.stamps.is_some() && segment.options.stamps.is_none() && !segment.has(RST) {
            // Who has agreed to timestamps sends them (RFC 7323, section 3.2).
            return;
        }
        if !self.is_recent(segment, now) || !self.is_acceptable(segment) {
            self.refuse(segment, now);
            return;
        }
        if segment.has(RST) {
            if self.state == State::TimeWait {
                // The peer has said that it has ended (RFC 1337, section 3).
                return;
            }
            // Only the exact number is not guessed (RFC 5961, section 3.2).
            if segment.seq == self.receiver.next() {
                self.fail();
            } else {
                self.challenge(now);
            }
            return;
        }
        if segment.has(SYN) {
            // From a peer that began anew, whose reset follows, or from somebody else (RFC
            // 5961, section 4.2).
            return self.challenge(now);
        }
        if !segment.has(ACK) {
            return;
        }
        if self.state == State::SynReceived {
            if segment.ack != self.iss + 1 {
                self.reset = Head::reset(segment);
                return;
            }
            self.acknowledge(segment, segment.ack, now);
            self.establish(now);
        } else if segment.ack.is_after(self.snd_next())
            || segment.ack.is_before(self.una() - self.widest)
        {
            // It acknowledges what was not sent, or is older than any window (RFC 5961,
            // section 5.2).
            return self.challenge(now);
        } else {
            if self.ecn {
                // Before the window grows by what it acknowledges.
                self.hear_congestion(segment);
            }
            self.acknowledge(segment, segment.ack, now);
        }
        self.remember_stamp(segment, now);
        self.update_window(segment);
        if self.ecn {
            self.see_marks(segment);
        }
        let ended = self.fin_sent && self.recovery.sent.is_empty();
        match self.state {
            State::FinWait1 if ended => self.state = State::FinWait2,
            State::Closing if ended => return self.wait(now),
            State::LastAck if ended => return self.closed(),
            _ => {}
        }
        self.text(segment, segment.seq, now);
    }

    /// Takes in the acknowledgement of a segment, up to `ack` (section 3.10.7.4, fifth check).
    fn acknowledge(&mut self, segment: &Segment<'_>, ack: Seq, now: Instant) {
        let first = self.first();
        // RFC 5681, section 2.
        let duplicate = ack == self.una()
            && !self.recovery.sent.is_empty()
            && segment.text() == 0
            && !segment.has(FIN)
            && ack + (u32::from(segment.window) << self.scale) == self.edge;
        // What the peer echoes, as it was before this connection's offset was added.
        let echo = self.stamps.and(segment.options.stamps);
        let echo = echo.map(|(_, echo)| echo.wrapping_sub(self.stamp));
        let sack = if self.sack { &segment.options.sack[..] } else { &[] };
        let acked = self.recovery.acknowledge(ack, sack, echo, duplicate, now);
        if let Some(rtt) = acked.rtt {
            self.receiver.note_rtt(rtt);
        }
        if acked.acked > 0 {
            self.out.consume(self.una().since(first) as usize);
            // As far behind as a number is, it would be taken for one ahead.
            self.small = self.small.max(self.una());
            (self.attempts, self.progress) = (0, now);
        }
    }

    /// Returns whether a segment is not older than what came before (PAWS: RFC 7323, section
    /// 5.3), by more than [`REORDERED`].
    fn is_recent(&self, segment: &Segment<'_>, now: Instant) -> bool {
        let Some(stamps) = &self.stamps else { return true };
        let older =
            |(value, _): (u32, u32)| value.wrapping_sub(stamps.recent).cast_signed() < -REORDERED;
        !segment.options.stamps.is_some_and(older) || segment.has(RST) || stamps.is_outdated(now)
    }

    /// Remembers the timestamp of a segment that was taken, to be echoed: not of one that came
    /// out of order, as what is echoed is to include the delay (RFC 7323, section 4.3).
    fn remember_stamp(&mut self, segment: &Segment<'_>, now: Instant) {
        if let Some(stamps) = &mut self.stamps
            && let Some((value, _)) = segment.options.stamps
            && !segment.seq.is_after(self.acknowledged)
            && (value.wrapping_sub(stamps.recent).cast_signed() >= 0 || stamps.is_outdated(now))
        {
            (stamps.recent, stamps.at) = (value, now);
        }
    }

    /// Returns whether some of a segment is in the window (section 3.10.7.4, first check).
    fn is_acceptable(&self, segment: &Segment<'_>) -> bool {
        let window = self.receiver.window();
        let (start, length) = (segment.seq, segment.len());
        if length == 0 {
            // A peer that has filled the window sends its acknowledgements from behind it.
            return !start.is_before(window.start) && !start.is_after(window.end);
        }
        if window.is_empty() {
            // What it acknowledges is of use all the same, and what it says of the peer's window,
            // though none of its data is taken (section 3.10.7.4: "special allowance").
            return start == window.start;
        }
        start.is_before(window.end) && (start + length).is_after(window.start)
    }

    /// Answers what cannot be taken, so that the peer learns where this side is.
    fn refuse(&mut self, segment: &Segment<'_>, now: Instant) {
        if segment.has(RST) {
            return;
        }
        if self.state == State::TimeWait && segment.has(FIN) {
            // Our acknowledgement was lost.
            self.wait(now);
            self.answer = true;
        } else if segment.text() == 0 && !segment.has(FIN) {
            self.challenge(now);
        } else {
            // What was received already is said to be (RFC 2883). Anything behind that is not
            // taken: it may be of the numbers' last time around (RFC 7323, section 5).
            let old = self.receiver.next().since(segment.seq) as usize;
            let old = segment.payload.get(..old).unwrap_or(segment.payload);
            if segment.seq.is_before(self.receiver.next()) {
                self.receiver.accept(segment.seq, old, false);
                self.urgent = true;
            }
            self.answer = true;
        }
    }

    /// Tells the peer where this side is, not too often (RFC 5961, section 7).
    fn challenge(&mut self, now: Instant) {
        let recent = |at: Instant| now.saturating_duration_since(at) < CHALLENGES;
        if !self.challenged.is_some_and(recent) {
            self.challenged = Some(now);
            self.answer = true;
        }
    }

    /// Takes over the window that the peer opens, if the segment is not older than the one
    /// that opened the last (section 3.10.7.4, fifth check).
    fn update_window(&mut self, segment: &Segment<'_>) {
        let (seq, ack) = self.window_from;
        let newer =
            segment.seq.is_after(seq) || (segment.seq == seq && !segment.ack.is_before(ack));
        if !newer || segment.ack.is_before(self.una()) {
            return;
        }
        self.window_from = (segment.seq, segment.ack);
        let window = u32::from(segment.window) << self.scale;
        self.widest = self.widest.max(window);
        let edge = segment.ack + window;
        let (was_shut, opens) = (self.is_shut(), edge.is_after(self.edge));
        // A window that shrinks is taken as it is (section 3.8.6): nothing beyond it is sent.
        self.edge = edge;
        if opens {
            self.opened(was_shut);
        }
    }

    /// Sees congestion on the path to here, of which the peer is to hear (RFC 3168, section
    /// 6.1.3).
    fn see_marks(&mut self, segment: &Segment<'_>) {
        if segment.has(CWR) {
            self.owes_ece = false;
        }
        if segment.marked && segment.text() > 0 {
            self.owes_ece = true;
            self.delay.hurry();
        }
    }

    /// Hears of congestion on the path to the peer (RFC 3168, section 6.1.2).
    fn hear_congestion(&mut self, segment: &Segment<'_>) {
        self.reduced = self.reduced.filter(|until| !segment.ack.is_after(*until));
        // One that was overtaken tells of what was heard of already.
        let late = segment.ack.is_before(self.una());
        let heard = late || self.reduced.is_some();
        if segment.has(ECE) && !heard && !self.recovery.sent.is_empty() {
            self.recovery.reduce();
            self.reduced = Some(self.snd_next());
            self.owes_cwr = true;
        }
    }

    /// Takes in what a segment carries, which begins with `seq`, and the end behind it (section
    /// 3.10.7.4, seventh and eighth check).
    fn text(&mut self, segment: &Segment<'_>, seq: Seq, now: Instant) {
        let fin = segment.has(FIN);
        if (segment.text() == 0 && !fin) || !self.takes_text() {
            return;
        }
        let arrival = if segment.staged > 0 {
            self.receiver.accept_staged(segment.staged)
        } else {
            self.receiver.accept(seq, segment.payload, fin)
        };
        self.delay.arrived(segment.text(), arrival, now);
        // An end is told with what the program says to it.
        self.urgent |= arrival.needs_ack() && !arrival.fin;
        if arrival.fin {
            self.answer = true;
            match self.state {
                State::Established => self.state = State::CloseWait,
                State::FinWait1 => self.state = State::Closing,
                _ => self.wait(now),
            }
        }
    }
}
