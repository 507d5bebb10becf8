//! One end of a connection (RFC 9293, section 3.3): its state, and what the app does to it.
//!
//! It knows no network, no clock and nobody who waits: [segments](Segment) are put in with
//! the time, [emissions](Emission) are taken out, and [`deadline`](Connection::deadline) says
//! when to look again. What arrives is dealt with in `input`, what is sent in `output`, and
//! what is lost in `recovery`.

use super::ack::Acknowledgement;
use super::congestion::Control;
use super::outgoing::Outgoing;
use super::pool::Pool;
use super::receive::Receiver;
use super::recovery::Recovery;
use super::segment::{Head, MAX_SCALE, Options, STAMPS};
use super::seq::{self, Seq};
use super::time_wait::{Rest, TIME_WAIT};
use super::undo::stamp;
use crate::earliest;
use alloc::rc::Rc;
use core::net::SocketAddr;
use core::time::Duration;
use devices::net::Part;
use kernel::time::Instant;

/// The states of RFC 9293, section 3.3.2. LISTEN is not one of a connection here: what a
/// peer asked for and has not confirmed stands in the SYN queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
    Closed,
}

/// What the two ends agreed upon when they met, and what this side has.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    /// This side's first sequence number.
    pub(crate) iss: Seq,
    /// The largest segment that the interface takes, without IP's and TCP's fixed headers.
    pub(crate) own_mss: u16,
    /// By how much this side shifts its windows.
    pub(crate) own_scale: u8,
    /// Bytes that each of its buffers may have now, and ever.
    pub(crate) share: usize,
    pub(crate) most: usize,
    /// What this side's timestamps begin with.
    pub(crate) stamp: u32,
}

/// What a peer said in its SYN.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) irs: Seq,
    pub(crate) mss: u16,
    /// `None` when it does not scale windows.
    pub(crate) scale: Option<u8>,
    pub(crate) sack: bool,
    /// Its timestamp.
    pub(crate) stamp: Option<u32>,
    /// It speaks ECN (RFC 3168, section 6.1.1).
    pub(crate) ecn: bool,
    /// The window that it opens, unscaled as SYNs are.
    pub(crate) window: u16,
}

/// The peer's timestamps (RFC 7323).
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamps {
    /// TS.Recent, and when it came.
    pub(super) recent: u32,
    pub(super) at: Instant,
}

/// A segment to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Emission {
    pub(crate) head: Head,
    /// Where its payload stands in the stream to send, for [`Connection::payload`].
    pub(crate) offset: usize,
    pub(crate) length: usize,
    /// The size of the segments that the network makes of it; 0 when it is one.
    pub(crate) segment: u16,
    /// It may be marked on its way (ECT(0): RFC 3168, section 5).
    pub(crate) ecn: bool,
}

impl Emission {
    /// Returns the length of the segment, with its header.
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.length
    }
}

/// Times that one segment is sent again before the connection is given up, some 15 minutes
/// (RFC 9293, section 3.8.3: at least 100 s).
pub(super) const ATTEMPTS: u32 = 13;

/// The same for a SYN: some two minutes.
pub(super) const SYN_ATTEMPTS: u32 = 6;

/// One end of a connection, with `C` to judge how much the path bears.
pub(crate) struct Connection<C> {
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(super) state: State,
    /// It was established once.
    pub(super) established: bool,
    /// Something that was written was lost when it failed.
    pub(super) lost: bool,
    /// The peer said nothing for so long that it was given up.
    pub(super) given_up: bool,

    /// What was written and not acknowledged.
    pub(super) out: Outgoing,
    pub(super) iss: Seq,
    pub(super) recovery: Recovery<C>,
    /// Behind the last number that the peer's window takes (SND.UNA + SND.WND at its best).
    pub(super) edge: Seq,
    /// The largest window that it ever had.
    pub(super) widest: u32,
    /// SND.WL1 and SND.WL2.
    pub(super) window_from: (Seq, Seq),
    /// By how much the peer shifts its windows.
    pub(super) scale: u8,
    /// Payload of a full segment now.
    pub(super) mss: u32,
    /// The most that the interface, the peer and the path are known to take.
    pub(super) most: u32,
    /// What the path took when the connection began.
    pub(super) path: u32,
    /// When that is tried again, after less because nothing got through.
    pub(super) raise: Option<Instant>,
    pub(super) raised: bool,
    pub(super) share: usize,
    /// Bytes that its receive buffer may ever have.
    pub(super) buffer: usize,
    /// Behind the last segment that was not full (RFC 9293, section 3.7.4, and the variation
    /// of draft-minshall-nagle).
    pub(super) small: Seq,
    pub(super) nagle: bool,
    /// The app has nothing to write any more.
    pub(super) ending: bool,
    pub(super) fin_sent: bool,

    pub(super) receiver: Receiver,
    pub(super) delay: Acknowledgement,
    pub(super) own_scale: u8,
    pub(super) own_mss: u16,
    pub(super) sack: bool,
    pub(super) stamps: Option<Stamps>,
    pub(super) stamp: u32,
    /// The number that was last acknowledged (Last.ACK.sent).
    pub(super) acknowledged: Seq,

    /// ECN was agreed upon; ECE is owed until CWR comes; CWR is owed; until here the window
    /// was reduced already.
    pub(super) ecn: bool,
    pub(super) owes_ece: bool,
    pub(super) owes_cwr: bool,
    pub(super) reduced: Option<Seq>,

    /// An acknowledgement goes out now, whatever the data.
    pub(super) answer: bool,
    /// One does before anything else is taken in.
    pub(super) urgent: bool,
    /// The last challenge (RFC 5961, section 7).
    pub(super) challenged: Option<Instant>,
    pub(super) reset: Option<Head>,
    pub(super) probing: bool,
    /// A sign of life is asked for.
    pub(super) asks: bool,

    pub(super) persist: Option<Instant>,
    pub(super) keep: Option<Instant>,
    pub(super) over: Option<Instant>,
    pub(super) keep_alive: Option<Duration>,
    pub(super) user_timeout: Option<Duration>,
    /// When the peer last acknowledged something new, or all was acknowledged.
    pub(super) progress: Instant,
    pub(super) heard: Instant,
    pub(super) attempts: u32,
}

impl<C: Control> Connection<C> {
    /// Begins a connection: the first emission is its SYN (RFC 9293, section 3.10.1).
    pub(crate) fn connect(terms: &Terms, pool: &Rc<Pool>, now: Instant) -> Self {
        let mss = u32::from(terms.own_mss);
        Self {
            local: terms.local,
            peer: terms.peer,
            state: State::SynSent,
            established: false,
            lost: false,
            given_up: false,
            out: Outgoing::new(Rc::clone(pool)),
            iss: terms.iss,
            recovery: Recovery::new(terms.iss, false, mss, now),
            edge: terms.iss + 1,
            widest: 0,
            window_from: (Seq(0), Seq(0)),
            scale: 0,
            mss,
            most: mss,
            path: u32::MAX,
            raise: None,
            raised: false,
            share: terms.share,
            buffer: terms.most,
            small: terms.iss,
            nagle: true,
            ending: false,
            fin_sent: false,
            receiver: Receiver::new(Seq(0), Rc::clone(pool), mss, terms.own_scale, terms.most, now),
            delay: Acknowledgement::new(mss, now),
            own_scale: terms.own_scale,
            own_mss: terms.own_mss,
            sack: false,
            stamps: None,
            stamp: terms.stamp,
            acknowledged: Seq(0),
            ecn: false,
            owes_ece: false,
            owes_cwr: false,
            reduced: None,
            answer: false,
            urgent: false,
            challenged: None,
            reset: None,
            probing: false,
            asks: false,
            persist: None,
            keep: None,
            over: None,
            keep_alive: None,
            user_timeout: None,
            progress: now,
            heard: now,
            attempts: 0,
        }
    }

    /// Makes of one that has said nothing yet what a peer asked for and confirmed (RFC 9293,
    /// section 3.10.7.4, SYN-RECEIVED). The segment that confirmed it is to be put in next.
    /// `answered` is when the SYN was answered, if that was done once.
    pub(crate) fn accept(
        &mut self,
        offer: &Offer,
        answered: Option<Instant>,
        pool: &Rc<Pool>,
        now: Instant,
    ) {
        self.state = State::SynReceived;
        self.agree(offer, pool, now);
        self.ecn = offer.ecn;
        // The SYN queue has sent our SYN.
        self.recovery.sent(1, answered.unwrap_or(now));
        if answered.is_none() {
            // How long it took is not known (Karn's algorithm: RFC 6298, section 3).
            self.recovery.resent(seq::Range::new(self.iss, self.iss + 1), now);
        }
    }

    /// Takes over what the peer said in its SYN.
    pub(super) fn agree(&mut self, offer: &Offer, pool: &Rc<Pool>, now: Instant) {
        let scale = if offer.scale.is_some() { self.own_scale } else { 0 };
        self.scale = offer.scale.unwrap_or(0).min(MAX_SCALE);
        self.own_scale = scale;
        self.sack = offer.sack;
        self.recovery.sent.set_selective(offer.sack);
        self.stamps = offer.stamp.map(|recent| Stamps { recent, at: now });
        let options = if self.stamps.is_some() { STAMPS as u32 } else { 0 };
        // Less than this is a mistake or malice: each byte would cost a frame.
        let most = u32::from(offer.mss.min(self.own_mss)).min(self.path).max(LEAST_MSS) - options;
        self.most = most;
        // The initial window is in segments that are as long as this peer takes (RFC 6928,
        // section 2).
        self.recovery.control = C::new(most);
        self.set_mss(most);
        let own = u32::from(self.own_mss);
        let window = u32::from(self.receiver.window_of_syn());
        self.receiver = Receiver::new(offer.irs + 1, Rc::clone(pool), own, scale, self.buffer, now);
        self.receiver.set_share(self.share);
        self.receiver.announced(window);
        self.acknowledged = offer.irs + 1;
        self.edge = self.iss + 1 + u32::from(offer.window);
        self.widest = u32::from(offer.window);
        self.window_from = (offer.irs, self.iss);
    }

    pub(super) fn set_mss(&mut self, mss: u32) {
        self.mss = mss;
        self.recovery.set_mss(mss);
    }

    pub(crate) const fn state(&self) -> State {
        self.state
    }

    /// Returns SND.UNA.
    pub(super) const fn una(&self) -> Seq {
        self.recovery.sent.una()
    }

    /// Returns SND.NXT.
    pub(super) const fn snd_next(&self) -> Seq {
        self.recovery.sent.next()
    }

    /// Returns whether something that was sent may have to be sent again.
    pub(super) const fn is_sending(&self) -> bool {
        !matches!(self.state, State::TimeWait | State::Closed)
    }

    /// Returns the number of the first byte that stands in the stream to send. The number of the
    /// SYN is that of a byte as well, once the numbers have wrapped around.
    pub(super) fn first(&self) -> Seq {
        self.una() + u32::from(matches!(self.state, State::SynSent | State::SynReceived))
    }

    /// Returns how many of the bytes to send have not been sent.
    pub(super) fn unsent(&self) -> usize {
        let fin = u32::from(self.fin_sent);
        let sent = (self.snd_next() - fin).since(self.first());
        self.out.len().saturating_sub(sent as usize)
    }

    /// Returns how many bytes were written and not acknowledged.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.out.len()
    }

    /// Returns whether it was open once.
    pub(crate) const fn was_open(&self) -> bool {
        self.established
    }

    /// Returns whether it is over because the peer said nothing.
    pub(crate) const fn is_given_up(&self) -> bool {
        self.given_up
    }

    /// Returns whether the peer has acknowledged all that was written.
    pub(crate) fn has_arrived(&self) -> bool {
        self.out.is_empty() && !self.lost
    }

    /// Returns what an emission sends in parts, if some of them are shared.
    pub(crate) fn parts(&self, emission: &Emission) -> Option<impl Iterator<Item = Part<'_>>> {
        let parts = || self.out.parts(emission.offset, emission.length);
        self.out.has_shared().then(parts)
    }

    /// Copies what an emission sends.
    pub(crate) fn payload(&self, emission: &Emission, to: &mut [u8]) {
        self.out.copy(emission.offset, to);
    }

    /// Returns whether what arrived last is to be acknowledged by itself. Where one acknowledgement
    /// tells of several segments out of order, the peer learns of one duplicate alone (RFC 2883,
    /// section 4) and sees the timestamp of what it sent again instead of the first one's: then
    /// it does not notice that it was needless (RFC 3522, 3708), and its window stays low.
    pub(crate) const fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Returns whether the peer has to be told of a larger window.
    pub(crate) fn is_update_due(&self) -> bool {
        self.receiver.is_update_due() && self.is_synchronised()
    }

    pub(super) const fn is_synchronised(&self) -> bool {
        !matches!(self.state, State::SynSent | State::SynReceived | State::Closed)
    }

    /// Is over without a word: there is nothing any more to say it by.
    pub(crate) fn strand(&mut self) {
        self.reset = None;
        self.fail();
    }

    /// Is over before both sides have said that it is.
    pub(super) fn fail(&mut self) {
        self.lost |= !self.out.is_empty();
        self.closed();
    }

    /// Is over: nothing is held any more but what can still be read.
    pub(super) fn closed(&mut self) {
        self.state = State::Closed;
        self.calm();
        self.over = None;
    }

    /// Has nothing to send again.
    pub(super) fn calm(&mut self) {
        self.out.clear();
        (self.persist, self.keep) = (None, None);
        self.delay.sent(true);
        self.answer = false;
        self.probing = false;
    }

    /// Waits until nothing of this connection is under way any more (RFC 9293, section 3.6.1).
    pub(super) fn wait(&mut self, now: Instant) {
        let answer = self.answer;
        self.state = State::TimeWait;
        self.calm();
        self.answer = answer;
        self.over = Some(now.saturating_add(TIME_WAIT));
    }

    /// Returns whether it is over and has nothing left to send.
    pub(crate) const fn is_quiet(&self) -> bool {
        matches!(self.state, State::Closed) && self.reset.is_none()
    }

    /// Returns what is to be known of it in TIME-WAIT, when it has said all.
    pub(crate) fn rest(&self) -> Option<Rest> {
        let said = self.state == State::TimeWait && !self.answer;
        let window = self.receiver.window().len() >> self.own_scale;
        said.then(|| Rest {
            seq: self.snd_next(),
            ack: self.receiver.next(),
            window: window.min(0xffff) as u16,
            recent: self.stamps.map(|stamps| stamps.recent),
        })
    }

    /// Returns when to look at it again, if nothing arrives before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let sending = match self.is_held_up() {
            _ if !self.is_sending() => None,
            true => self.recovery.timeout(),
            false => self.recovery.timer(),
        };
        earliest(&[sending, self.persist, self.keep, self.over, self.delay.deadline()])
    }

    /// Returns the options of a SYN.
    pub(super) fn syn_options(&self, now: Instant, answers: bool) -> Options {
        Options {
            mss: Some(self.own_mss),
            scale: (!answers || self.own_scale > 0 || self.scale > 0).then_some(self.own_scale),
            sack_permitted: !answers || self.sack,
            stamps: if answers { self.stamps(now) } else { Some((self.clock(now), 0)) },
            ..Options::default()
        }
    }

    /// Returns this side's timestamp: milliseconds, which RFC 7323, section 5.4, allows.
    pub(super) const fn clock(&self, now: Instant) -> u32 {
        self.stamp.wrapping_add(stamp(now))
    }

    pub(super) fn stamps(&self, now: Instant) -> Option<(u32, u32)> {
        self.stamps.map(|stamps| (self.clock(now), stamps.recent))
    }
}

/// The least segment size that is believed (as Linux's tcp_min_snd_mss, and more than the
/// options).
pub(super) const LEAST_MSS: u32 = 88;
