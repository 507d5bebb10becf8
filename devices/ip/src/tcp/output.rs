//! What is sent, and when (RFC 9293, sections 3.7.4 and 3.8).

use super::congestion::Control;
use super::connection::{ATTEMPTS, Connection, Emission, SYN_ATTEMPTS, State};
use super::recovery::Due;
use super::segment::{ACK, CWR, ECE, FIN, Head, Options, PSH, RST, SYN};
use super::seq::{Range, Seq};
use core::time::Duration;
use kernel::time::Instant;

/// What may be sent of what is new.
enum New {
    /// So many bytes, and the end behind them.
    Send(u32, bool),
    /// Nothing before an acknowledgement comes, or more is written.
    Wait,
    /// Nothing, for the peer's window: when nothing is under way, it has to be probed.
    Blocked,
}

impl<C: Control> Connection<C> {
    /// Returns the next segment to send at `now`; `None` when there is none. What is returned
    /// counts as sent. It may have up to `large` bytes for the network to cut into segments;
    /// 0 when that does not.
    pub(crate) fn next(&mut self, large: u32, now: Instant) -> Option<Emission> {
        self.expire(now);
        if let Some(head) = self.reset.take() {
            return Some(Self::bare(head));
        }
        match self.state {
            State::Closed => return None,
            State::SynSent | State::SynReceived => {
                return self.send_syn(now).or_else(|| self.send_acknowledgement(now));
            }
            _ => {}
        }
        let burst = if large > self.mss { large - large % self.mss } else { self.mss };
        // Blocks of SACK go without data, which with them would not fit into full segments.
        if self.answer && self.sack && self.receiver.has_sack() {
            return self.send_acknowledgement(now);
        }
        // Not by `or_else`, which moves what is found from one to the other.
        let again = self.send_again(burst, now);
        if again.is_some() {
            return again;
        }
        let probe = self.send_probe(now);
        if probe.is_some() {
            return probe;
        }
        let new = self.send_new(burst, now);
        if new.is_some() {
            return new;
        }
        self.send_acknowledgement(now)
    }

    /// Does what is due at `now`.
    fn expire(&mut self, now: Instant) {
        let due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        if due(&mut self.over) {
            return self.closed();
        }
        if self.is_sending() {
            self.expire_sent(now);
        }
        if self.attempts == 0 && due(&mut self.raise) {
            self.raised = true;
            self.set_mss(self.most);
        }
        if due(&mut self.persist) {
            self.probing = true;
        }
        if due(&mut self.keep) && self.is_synchronised() {
            self.ask_for_life(now);
        }
        if self.delay.is_due(now) {
            self.answer = true;
        }
    }

    /// Does what is due for what was sent and is not acknowledged.
    fn expire_sent(&mut self, now: Instant) {
        if self.is_held_up() {
            if self.recovery.timeout().is_some_and(|at| at <= now) && self.goes_on(now) {
                self.recovery.retry(now);
            }
            return;
        }
        match self.recovery.due(now) {
            None | Some(Due::Reordering) => {}
            Some(Due::Probe) => self.probing = true,
            Some(Due::Timeout) => {
                if self.goes_on(now)
                    && self.attempts >= BLACK_HOLE
                    && let Some(&base) = BASES.iter().find(|base| **base < self.mss)
                {
                    self.set_mss(base);
                    let pause = if self.raised { RAISE } else { RAISE_FIRST };
                    self.raise = Some(now.saturating_add(pause));
                }
            }
        }
    }

    /// Counts a timeout. Returns whether there will be another attempt, or ends the connection
    /// (RFC 9293, section 3.8.3).
    fn goes_on(&mut self, now: Instant) -> bool {
        let waits = now.saturating_duration_since(self.progress);
        let synchronised = self.is_synchronised();
        // A peer that keeps its window closed and says so is there (RFC 9293, section 3.8.6.1).
        let silent =
            !synchronised || !self.is_shut() || now.saturating_duration_since(self.heard) > SILENCE;
        self.attempts += u32::from(silent);
        let most = if synchronised { ATTEMPTS } else { SYN_ATTEMPTS };
        if self.attempts <= most && self.user_timeout.is_none_or(|most| waits < most) {
            return true;
        }
        if synchronised {
            self.reset = Some(self.reset_head());
        }
        self.given_up = true;
        self.fail();
        false
    }

    /// Returns whether it is not the path that keeps things: it is a SYN that waits for its
    /// answer, or the peer's window is closed.
    pub(super) fn is_held_up(&self) -> bool {
        self.is_shut() || !self.is_synchronised()
    }

    /// Returns whether the peer's window is closed.
    pub(super) fn is_shut(&self) -> bool {
        !self.edge.is_after(self.una() + 1)
    }

    /// Asks whether the peer is still there: with a number that it has acknowledged already
    /// (RFC 9293, section 3.8.4).
    fn ask_for_life(&mut self, now: Instant) {
        let Some(idle) = self.keep_alive else { return };
        let silent = now.saturating_duration_since(self.heard);
        if !self.recovery.sent.is_empty() {
            // What is under way asks already.
            self.keep = Some(now.saturating_add(idle));
        } else if silent < idle {
            self.keep = Some(self.heard.saturating_add(idle));
        } else if silent >= idle.saturating_add(KEEP_PROBES * KEEP_AGAIN) {
            self.reset = Some(self.reset_head());
            self.given_up = true;
            self.fail();
        } else {
            self.keep = Some(now.saturating_add(KEEP_AGAIN));
            self.asks = true;
        }
    }

    pub(super) fn reset_head(&self) -> Head {
        let ack = self.receiver.next();
        Head { seq: self.snd_next(), ack, flags: RST | ACK, ..Head::default() }
    }

    const fn bare(head: Head) -> Emission {
        Emission { head, offset: 0, length: 0, segment: 0, ecn: false }
    }

    /// Sends the SYN, or sends it again.
    fn send_syn(&mut self, now: Instant) -> Option<Emission> {
        let answers = self.state == State::SynReceived;
        if self.snd_next() == self.iss {
            self.recovery.sent(1, now);
        } else if let Some(range) = self.recovery.sent.next_lost(1) {
            self.recovery.resent(range, now);
        } else {
            return None;
        }
        self.answer = false;
        let options = self.syn_options(now, answers);
        // Windows of SYNs are not scaled (RFC 7323, section 2.2).
        let window = self.receiver.window_of_syn();
        self.receiver.announced(window.into());
        let (ack, flags) = if answers { (self.receiver.next(), SYN | ACK) } else { (Seq(0), SYN) };
        Some(Self::bare(Head { seq: self.iss, ack, flags, window, options }))
    }

    /// Builds a segment with `length` bytes of the stream, which begin with `seq`.
    fn emit(&mut self, seq: Seq, length: u32, fin: bool, now: Instant) -> Emission {
        let mut flags = ACK;
        let offset = seq.since(self.first()) as usize;
        let last = offset + length as usize >= self.out.len();
        if length > 0 && last {
            flags |= PSH;
        }
        if fin {
            flags |= FIN;
        }
        if self.ecn {
            // Whatever it was reduced for (RFC 3168, section 6.1.2).
            self.owes_cwr |= self.recovery.take_slowed();
            if self.owes_ece {
                flags |= ECE;
            }
            if self.owes_cwr && length > 0 {
                flags |= CWR;
                self.owes_cwr = false;
            }
        }
        let mut options = Options { stamps: self.stamps(now), ..Options::default() };
        if self.sack && length == 0 && self.receiver.has_sack() {
            let most = if options.stamps.is_some() { 3 } else { 4 };
            self.receiver.sack(&mut options.sack, most);
        }
        let window = self.receiver.window_to_announce() >> self.own_scale;
        let window = window.min(0xffff);
        self.receiver.announced(window << self.own_scale);
        self.acknowledged = self.receiver.next();
        self.delay.sent(length > 0);
        self.answer = false;
        self.urgent = false;
        let head = Head { seq, ack: self.receiver.next(), flags, window: window as u16, options };
        let segment = if length > self.mss { self.mss as u16 } else { 0 };
        Emission { head, offset, length: length as usize, segment, ecn: self.ecn && length > 0 }
    }

    /// Builds a segment of `range`, whose last number may be that of FIN.
    fn emit_range(&mut self, range: Range, now: Instant) -> Emission {
        let fin = self.fin_sent && range.end == self.snd_next();
        let length = range.len() - u32::from(fin);
        // What is sent again is not marked, and does not say that the window was reduced (RFC
        // 3168, sections 6.1.5 and 6.1.2).
        let owes_cwr = core::mem::take(&mut self.owes_cwr) | self.recovery.take_slowed();
        let emission = self.emit(range.start, length, fin, now);
        self.owes_cwr = owes_cwr;
        Emission { ecn: false, ..emission }
    }

    /// Sends again what is lost, if the path bears it.
    fn send_again(&mut self, burst: u32, now: Instant) -> Option<Emission> {
        let room = self.recovery.room();
        if self.recovery.sent.lost() == 0 {
            return None;
        }
        if room == 0 {
            self.recovery.filled();
            return None;
        }
        // A window that was closed over what is under way is probed by the first of it.
        let shut = self.is_shut();
        if shut && self.recovery.sent.in_flight() > 0 {
            return None;
        }
        let most = if shut { self.mss } else { room / self.mss * self.mss };
        let burst = burst.min(most.max(self.mss));
        let range = self.recovery.sent.next_lost(burst)?;
        self.recovery.resent(range, now);
        Some(self.emit_range(range, now))
    }

    /// Sends a probe that is due: of what may be lost at the end of what was sent (RFC 8985,
    /// section 7.3), or of a closed window (RFC 9293, section 3.8.6.1).
    fn send_probe(&mut self, now: Instant) -> Option<Emission> {
        if core::mem::take(&mut self.asks) {
            // Nothing that the peer has not: it answers what it cannot take.
            let mut emission = self.emit(self.una(), 0, false, now);
            emission.head.seq = self.una() - 1;
            return Some(emission);
        }
        if !core::mem::take(&mut self.probing) {
            return None;
        }
        if self.recovery.sent.is_empty() {
            // What the window takes, however little, or one byte or the end beyond it (RFC
            // 9293, section 3.8.6.2.1, "override timeout", and 3.8.6.1). It is not marked (RFC
            // 3168, section 6.1.6).
            let waiting = self.unsent() as u32;
            let fin = self.ending && !self.fin_sent && waiting == 0;
            if waiting == 0 && !fin {
                return None;
            }
            let room = self.edge.since(self.snd_next()).clamp(1, self.mss);
            let emission = self.send(waiting.min(room), fin, now);
            return emission.map(|it| Emission { ecn: false, ..it });
        }
        // New data is preferred, if the peer has room for it.
        let room = self.edge.since(self.snd_next());
        let waiting = (self.unsent() as u32).min(self.mss);
        if waiting > 0 && waiting <= room {
            let fin = self.ending && waiting as usize == self.unsent() && waiting < room;
            let emission = self.send(waiting, fin, now);
            self.recovery.probed(None, now);
            return emission;
        }
        let range = self.recovery.sent.tail(self.mss);
        self.recovery.probed(range, now);
        range.map(|range| self.emit_range(range, now))
    }

    /// Judges how much of what is new may be sent.
    fn judge_new(&mut self, burst: u32) -> New {
        let waiting = self.unsent() as u32;
        let fin = self.ending && !self.fin_sent;
        if waiting == 0 && !fin {
            return New::Wait;
        }
        let peer = self.edge.since(self.snd_next());
        let path = self.recovery.room();
        let mut length = waiting.min(peer).min(burst);
        if length < waiting.min(self.mss) {
            // Silly windows are not filled, unless it is half of what there ever was (RFC 9293,
            // section 3.8.6.2.1).
            if length == 0 || 2 * length < self.widest {
                return New::Blocked;
            }
        } else if length > self.mss && length < waiting {
            length -= length % self.mss;
        }
        // The path is filled by whole segments (RFC 5681, section 3.1).
        if length > path {
            if path < self.mss {
                self.recovery.filled();
                return New::Wait;
            }
            length = path - path % self.mss;
        }
        let last = length == waiting;
        let fin = fin && last && peer > length;
        if length == 0 && !fin {
            return New::Blocked;
        }
        // One small segment may be under way at a time (RFC 9293, section 3.7.4).
        let small = !length.is_multiple_of(self.mss) && !fin;
        if small && self.nagle && self.small.is_after(self.una()) {
            length -= length % self.mss;
            if length == 0 {
                return New::Wait;
            }
        }
        New::Send(length, fin)
    }

    /// Sends what is new, as far as both the peer and the path have room.
    fn send_new(&mut self, burst: u32, now: Instant) -> Option<Emission> {
        match self.judge_new(burst) {
            New::Send(length, fin) => {
                self.persist = None;
                self.send(length, fin, now)
            }
            New::Wait => None,
            New::Blocked => {
                if self.recovery.sent.is_empty() && self.persist.is_none() {
                    self.persist = Some(now.saturating_add(self.recovery.rtt.timeout()));
                }
                None
            }
        }
    }

    /// Sends so many new bytes, and the end behind them.
    fn send(&mut self, length: u32, fin: bool, now: Instant) -> Option<Emission> {
        let seq = self.snd_next();
        if self.recovery.sent.is_empty() {
            self.progress = now;
        }
        if !self.recovery.sent(length + u32::from(fin), now) {
            // Without memory to know of it: later.
            self.persist = Some(now.saturating_add(self.recovery.rtt.timeout()));
            return None;
        }
        if !length.is_multiple_of(self.mss) {
            self.small = seq + length;
        }
        let emission = self.emit(seq, length, fin, now);
        self.fin_sent |= fin;
        Some(emission)
    }

    /// Sends an acknowledgement that is due and that went with no data.
    fn send_acknowledgement(&mut self, now: Instant) -> Option<Emission> {
        if !self.answer && !self.is_update_due() {
            return None;
        }
        Some(self.emit(self.snd_next(), 0, false, now))
    }

    /// The peer's window opened.
    pub(super) fn opened(&mut self, was_shut: bool) {
        if self.persist.take().is_some() {
            self.probing = false;
        }
        if was_shut && !self.recovery.sent.is_empty() {
            // It threw away what probed it.
            self.recovery.repeat();
        }
    }
}

/// The segment sizes to which it is lowered when nothing gets through: what tunnels leave of
/// Ethernet's, and what every path bears (RFC 8899, section 5.1.4, in its spirit).
const BASES: [u32; 3] = [1360, 1200, 512];

/// Timeouts in a row after which full segments may be too long for the path.
const BLACK_HOLE: u32 = 2;

/// Time after which full segments are tried again (RFC 8899, section 5.1.1). The first time
/// soon: most often it was an outage that let nothing through.
const RAISE: Duration = Duration::from_secs(600);
const RAISE_FIRST: Duration = Duration::from_secs(1);

/// A peer that keeps its window closed is given up when it says nothing for so long.
const SILENCE: Duration = Duration::from_secs(120);

/// Questions for a sign of life, and the time between them (as Linux's defaults).
const KEEP_PROBES: u32 = 9;
const KEEP_AGAIN: Duration = Duration::from_secs(75);
