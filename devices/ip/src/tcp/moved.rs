//! A connection that goes on in another image of the same machine: what it is, and what it holds.
//!
//! Congestion control, what SACKs told and what arrived behind a gap stay behind: the connection
//! goes on with the initial window, the peer tells again, and sends again what it was not told to
//! have arrived for good (RFC 2018, section 8). What is under way counts as sent again, so that
//! its round trip is not measured (Karn's algorithm: RFC 6298, section 3).

use super::congestion::Control;
use super::connection::{Connection, LEAST_MSS, Stamps, State, Terms};
use super::pool::Pool;
use super::receive::Receiver;
use super::recovery::Recovery;
use super::segment::MAX_SCALE;
use super::seq::{Range, Seq};
use super::undo::stamp;
use crate::TcpOptions;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;
use kernel::time::Instant;
use serde::{Deserialize, Serialize};

/// The states in which a connection can move: both sides know of it, and it is not over.
const STATES: [State; 6] = [
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::Closing,
    State::LastAck,
];

/// The largest window that can be said (RFC 7323, section 2.2).
const WIDEST: u32 = 0xffff << MAX_SCALE;

/// One end of a connection. Numbers are sequence numbers unless something else is said.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Moved<'a> {
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    /// Its place in [`STATES`].
    state: u8,
    fin_sent: bool,
    una: u32,
    next: u32,
    edge: u32,
    /// In bytes, as it was said.
    widest: u32,
    window_from: (u32, u32),
    scale: u8,
    own_scale: u8,
    own_mss: u16,
    /// Bytes of a full segment.
    mss: u16,
    sack: bool,
    ecn: bool,
    owes_ece: bool,
    /// This side's timestamp now, and the peer's last.
    clock: u32,
    recent: Option<u32>,
    /// In µs; 0 if it is not known.
    round_trip: u32,
    received: u32,
    right: u32,
    no_delay: bool,
    /// In ms.
    keep_alive: Option<u64>,
    user_timeout: Option<u64>,
    /// What came and was not read, and what was written and not acknowledged.
    #[serde(borrow)]
    unread: &'a [u8],
    #[serde(borrow)]
    unacknowledged: &'a [u8],
}

const fn millis(time: Option<Duration>) -> Option<u64> {
    match time {
        Some(time) => Some(time.as_millis() as u64),
        None => None,
    }
}

impl Moved<'_> {
    /// Returns whether this side has ended.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.state(), Some(state) if state.is_ending())
    }

    fn state(&self) -> Option<State> {
        STATES.get(usize::from(self.state)).copied()
    }

    /// Returns what the connection begins with, unless something of this makes no sense.
    pub(crate) fn terms(&self, share: usize, most: usize, now: Instant) -> Option<Terms> {
        let state = self.state()?;
        let [una, next, edge] = [self.una, self.next, self.edge].map(Seq);
        let fin = u32::from(self.fin_sent);
        let sent = next.0.wrapping_sub(una.0);
        let acked = self.fin_sent && sent == 0;
        let bytes = if acked { 0 } else { sent.checked_sub(fin)? };
        let held = u32::try_from(self.unacknowledged.len()).ok()?;
        let window = self.right.wrapping_sub(self.received);
        let sane = bytes <= held
            && (!self.fin_sent || bytes == held)
            && sent <= WIDEST + 1
            && edge.0.wrapping_sub(una.0) <= WIDEST + 1
            && self.widest <= WIDEST
            && window <= WIDEST
            && self.scale <= MAX_SCALE
            && self.own_scale <= MAX_SCALE
            && u32::from(self.mss) >= LEAST_MSS / 2
            && self.own_mss >= LEAST_MSS as u16
            && (!self.fin_sent || state.is_ending())
            && ((state == State::FinWait2) == acked)
            && self.local.is_ipv4() == self.peer.is_ipv4()
            && self.local.port() != 0
            && self.peer.port() != 0;
        sane.then(|| Terms {
            local: self.local,
            peer: self.peer,
            // Long ago: it is acknowledged.
            iss: una - 1,
            own_mss: self.own_mss,
            own_scale: self.own_scale,
            share,
            most,
            stamp: self.clock.wrapping_sub(stamp(now)),
        })
    }
}

impl State {
    /// Returns whether this side has said that it ends, or is about to.
    const fn is_ending(self) -> bool {
        matches!(self, Self::FinWait1 | Self::FinWait2 | Self::Closing | Self::LastAck)
    }

    /// Returns whether the peer has.
    const fn has_ended(self) -> bool {
        matches!(self, Self::CloseWait | Self::Closing | Self::LastAck)
    }
}

impl<C: Control> Connection<C> {
    /// Returns how many bytes of the connection [`save`](Self::save) writes at most.
    pub(crate) fn saved_length(&self) -> usize {
        self.receiver.len() + self.out.len() + 256
    }

    /// Writes the connection to the end of `to`. Returns `None` if there is no memory. One that
    /// cannot move, as it has not come about or is over, writes nothing.
    pub(crate) fn save(&self, to: Vec<u8>, now: Instant) -> Option<Vec<u8>> {
        let Some(state) = STATES.iter().position(|it| *it == self.state) else { return Some(to) };
        let mut unread = kernel::memory::zeroed(self.receiver.len())?;
        self.receiver.peek(0, &mut unread);
        let mut unacknowledged = kernel::memory::zeroed(self.out.len())?;
        self.out.copy(0, &mut unacknowledged);
        let round_trip = self.recovery.rtt.smoothed().map_or(0, |it| it.as_micros());
        let window = self.receiver.window();
        let moved = Moved {
            local: self.local,
            peer: self.peer,
            state: state as u8,
            fin_sent: self.fin_sent,
            una: self.una().0,
            next: self.snd_next().0,
            edge: self.edge.0,
            widest: self.widest,
            window_from: (self.window_from.0.0, self.window_from.1.0),
            scale: self.scale,
            own_scale: self.own_scale,
            own_mss: self.own_mss,
            mss: self.most.min(0xffff) as u16,
            sack: self.sack,
            ecn: self.ecn,
            owes_ece: self.owes_ece,
            clock: self.clock(now),
            recent: self.stamps.map(|it| it.recent),
            round_trip: round_trip.min(u128::from(u32::MAX)) as u32,
            received: window.start.0,
            right: window.end.0,
            no_delay: !self.nagle,
            keep_alive: millis(self.keep_alive),
            user_timeout: millis(self.user_timeout),
            unread: &unread,
            unacknowledged: &unacknowledged,
        };
        kernel::update::encode(&moved, to)
    }

    /// Makes of one that has said nothing yet, and began with [`Moved::terms`], what was saved.
    /// Returns whether there was memory for its bytes.
    pub(crate) fn restore(&mut self, moved: &Moved<'_>, pool: &Rc<Pool>, now: Instant) -> bool {
        let Some(state) = moved.state() else { return false };
        let (una, next) = (Seq(moved.una), Seq(moved.next));
        let mss = u32::from(moved.mss);
        (self.state, self.established) = (state, true);
        (self.ending, self.fin_sent) = (state.is_ending(), moved.fin_sent);
        (self.edge, self.widest) = (Seq(moved.edge), moved.widest);
        self.window_from = (Seq(moved.window_from.0), Seq(moved.window_from.1));
        (self.scale, self.sack) = (moved.scale, moved.sack);
        (self.ecn, self.owes_ece) = (moved.ecn, moved.owes_ece);
        self.stamps = moved.recent.map(|recent| Stamps { recent, at: now });
        self.small = next;
        self.most = mss;
        self.recovery = Recovery::new(una, moved.sack, mss, now);
        if moved.round_trip > 0 {
            let round_trip = Duration::from_micros(moved.round_trip.into());
            self.recovery.rtt.sample(round_trip, 1, now);
        }
        self.set_mss(mss);
        let own = u32::from(moved.own_mss);
        let received = Seq(moved.received);
        let limit = self.buffer;
        self.receiver = Receiver::new(received, Rc::clone(pool), own, moved.own_scale, limit, now);
        self.receiver.set_share(self.share);
        self.receiver.announced(moved.right.wrapping_sub(moved.received));
        self.acknowledged = received;
        self.set_options(
            TcpOptions {
                no_delay: moved.no_delay,
                keep_alive: moved.keep_alive.map(Duration::from_millis),
                user_timeout: moved.user_timeout.map(Duration::from_millis),
            },
            now,
        );
        // It says that this side is here, and where from.
        self.answer = true;
        let sent = next.since(una);
        let known = sent == 0 || self.recovery.sent(sent, now);
        if known && sent > 0 {
            self.recovery.resent(Range::new(una, next), now);
        }
        let bytes = moved.unacknowledged;
        known
            && self.receiver.restore(moved.unread, state.has_ended())
            && self.out.append(bytes, usize::MAX, false) == bytes.len()
    }

    /// Puts bytes back that were read last, to be read again. Returns whether there was memory.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) -> bool {
        self.receiver.put_back(bytes)
    }
}
