//! TCP connections: the ends of [`tcp::connection`](crate::tcp::connection), whose segments
//! are read from and written into frames here, and who waits for them.

use super::endpoint::Endpoint;
use super::sets::{Body, Handle, Key};
use super::{Protocols, Way};
use crate::config::ADDRESSES;
use crate::packet::{self, Segment};
use crate::tcp::congestion::Cubic;
use crate::tcp::connection::{Connection, Emission, Offer, State as Tcp, Terms};
use crate::tcp::pool::Pool;
use crate::tcp::secret::Ends;
use crate::tcp::segment::{self, Head, STAMPS};
use crate::tcp::seq::Seq;
use crate::tcp::syn::{self, Asked, Own};
use crate::tcp::undo::stamp;
use crate::wire::Wire;
use crate::{Error, Progress, TcpOptions};
use alloc::rc::Rc;
use core::net::SocketAddr;
use core::ops::Range;
use core::task::{Poll, Waker};
use devices::net::{HEADER, Part, Shared};
use kernel::time::Instant;

/// How a TCP connection is, for those who wait for it to come or to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is not open yet.
    Opening,
    Open,
    /// This side has ended, and the peer has not confirmed that.
    Ending,
    /// The peer has confirmed the end of this side, and has not ended itself.
    Ended,
    /// It is over; `arrived` says whether all that was written did.
    Closed {
        arrived: bool,
    },
}

/// How a connection that nobody holds any more may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parting {
    /// So many bytes came that nobody will read.
    Unread(usize),
    /// The peer has not acknowledged so many bytes, or the end behind them.
    Ending(usize),
    /// The peer has all, and has not ended itself.
    Waiting,
    /// It is over, or never came about.
    Over,
}

/// Segments that a connection may send before others get their turn: what the ACKs of one turn
/// allow in slow start, one for each segment. With fewer, one that is short of time would take
/// ACKs in faster than it sends.
const BURST: usize = 128;

impl Protocols {
    /// Bytes that each buffer of a connection may have now: a quarter of what is left, so that
    /// it can be as large as the path asks for where there is memory, however many connections
    /// are open that do not use theirs.
    fn share(&self) -> usize {
        let left = self.pool.limit().saturating_sub(self.pool.used());
        (left / 4).min(self.limits.buffer).max(self.limits.least_buffer)
    }

    /// Whether there is room for another connection.
    pub(crate) fn has_capacity(&self) -> bool {
        let connections = self.sets.connections;
        connections < self.limits.connections && self.pool.used() < self.pool.limit()
    }

    /// The longest segment that the interface takes, without fixed headers.
    fn mss(&self, ipv4: bool) -> u16 {
        let headers = segment::HEADER + if ipv4 { 20 } else { 40 };
        self.info.mtu.saturating_sub(headers).min(0xffff) as u16
    }

    /// The shift of this side's windows: the least that lets the largest buffer be said.
    fn scale(&self) -> u8 {
        let most = self.limits.buffer.max(1);
        (most.ilog2() as u8).saturating_sub(15).min(segment::MAX_SCALE)
    }

    fn terms(&self, (local, peer): Ends, iss: Seq) -> Terms {
        Terms {
            local,
            peer,
            iss,
            own_mss: self.mss(local.is_ipv4()),
            own_scale: self.scale(),
            share: self.share(),
            most: self.limits.buffer,
            stamp: self.secret.stamp((local, peer)),
        }
    }

    /// What this side says of itself in the answer to a SYN.
    fn own(&self, ends: Ends, now: Instant) -> Own {
        Own {
            mss: self.mss(ends.0.is_ipv4()),
            scale: self.scale(),
            window: self.share().min(0xffff) as u16,
            stamp: self.clock(ends, now),
        }
    }

    /// This side's timestamp.
    pub(super) fn clock(&self, ends: Ends, now: Instant) -> u32 {
        self.secret.stamp(ends).wrapping_add(stamp(now))
    }

    /// Answers a SYN, again or for the first time.
    pub(crate) fn answer(&self, asked: &Asked, wire: &dyn Wire, now: Instant) {
        let ends = (asked.local, asked.peer);
        let head = syn::answer(&asked.offer, asked.iss, self.own(ends, now));
        self.tell(&head, asked.header, ends, wire);
    }

    /// Answers a SYN by a cookie.
    pub(crate) fn give_cookie(
        &mut self,
        offer: &Offer,
        header: [u8; HEADER],
        ends: Ends,
        wire: &dyn Wire,
        now: Instant,
    ) {
        let mut own = self.own(ends, now);
        let (iss, stamp) = self.secret.give(ends, offer, own.stamp, now);
        own.stamp = stamp;
        self.tell(&syn::answer(offer, iss, own), header, ends, wire);
    }

    /// Returns what a peer said in a SYN that was answered by a cookie, which `segment`
    /// confirms.
    pub(crate) fn redeem(
        &self,
        ends: Ends,
        numbers: (Seq, Seq),
        segment: &segment::Segment<'_>,
        now: Instant,
    ) -> Option<Offer> {
        self.secret.redeem(ends, numbers, segment.options.stamps, segment.window, now)
    }

    /// Returns the initial sequence number of a connection.
    pub(crate) fn initial(&self, ends: Ends, now: Instant) -> Seq {
        self.secret.initial(ends, now)
    }

    /// Sends a segment without a payload.
    pub(super) fn tell(
        &self,
        head: &Head,
        header: [u8; HEADER],
        (local, peer): Ends,
        wire: &dyn Wire,
    ) {
        if !wire.ready() {
            return;
        }
        let length = packet::segment_head(local.is_ipv4()) + head.len();
        self.put(wire, length, &mut |frame| {
            packet::tcp(frame, header, (local, peer), head, false);
        });
    }

    /// Refuses a segment that no connection is for (RFC 9293, section 3.10.7.1).
    pub(crate) fn refuse(&self, frame: &[u8], segment: &Segment, wire: &dyn Wire) {
        if let Some(header) = packet::back(frame, self.info.mac)
            && let Some(arrived) = segment.read(frame)
            && let Some(head) = Head::reset(&arrived)
        {
            self.tell(&head, header, (segment.local, segment.peer), wire);
        }
    }

    /// Makes a connection of what a peer asked for and confirmed.
    pub(crate) fn confirm(
        &mut self,
        ends: Ends,
        iss: Seq,
        offer: &Offer,
        answered: Option<Instant>,
        now: Instant,
    ) -> Option<Handle> {
        let terms = self.terms(ends, iss);
        self.join(ends, |pool| Connection::accept(&terms, offer, answered, pool, now))
    }

    /// Adds a connection.
    fn join(
        &mut self,
        (local, peer): Ends,
        make: impl FnOnce(&Rc<Pool>) -> Connection<Cubic>,
    ) -> Option<Handle> {
        if !self.sets.has_room() {
            return None;
        }
        let mut connection = make(&self.pool);
        if let Some(mtu) = self.paths.mtu(peer.ip(), Instant::now()) {
            let headers = segment::HEADER + if local.is_ipv4() { 20 } else { 40 };
            connection.know_path(mtu.saturating_sub(headers) as u32);
        }
        // Programs here write what they have at once, and wait for no more of it.
        connection.set_no_delay(true);
        let endpoint = kernel::memory::boxed(Endpoint::new(connection)).ok()?;
        self.sets.connections += 1;
        Some(self.sets.add(Body::Tcp(endpoint), Some(Key::tcp(local, peer))))
    }

    /// Begins a connection from `from`.
    pub(crate) fn connect(&mut self, to: SocketAddr, from: SocketAddr) -> Result<Handle, Error> {
        if !self.has_capacity() {
            return Err(Error::Exhausted);
        }
        let (ends, now) = ((from, to), Instant::now());
        let terms = self.terms(ends, self.secret.initial(ends, now));
        self.time_wait.remove(self.secret.id(ends));
        let handle = self.join(ends, |pool| Connection::connect(&terms, pool, now));
        let handle = handle.ok_or(Error::Exhausted)?;
        self.kick();
        Ok(handle)
    }

    /// The connection that a segment is for.
    pub(crate) fn find(&mut self, segment: &Segment) -> Option<Handle> {
        let key = Key::of(segment);
        let handle = self.sets.find(key)?;
        if self.is_quiet(handle) {
            // It is over; another one may begin.
            self.sets.forget(key);
            return None;
        }
        Some(handle)
    }

    /// TCP connections, with those that are leaving.
    pub(crate) fn connections(&self) -> usize {
        self.sets.connections
    }

    fn endpoint(&mut self, handle: Handle) -> &mut Endpoint {
        self.sets.endpoint_mut(handle)
    }

    fn tcp(&mut self, handle: Handle) -> &mut Connection<Cubic> {
        &mut self.endpoint(handle).connection
    }

    /// This end and the other one.
    pub(crate) fn ends(&self, handle: Handle) -> Ends {
        let connection = &self.sets.endpoint(handle).connection;
        (connection.local, connection.peer)
    }

    /// Takes in a segment for a connection. Returns whether that opened it.
    pub(crate) fn receive_tcp(
        &mut self,
        handle: Handle,
        frame: &[u8],
        segment: &Segment,
        now: Instant,
    ) -> bool {
        let Some(segment) = segment.read(frame) else { return false };
        let (share, pool) = (self.share(), &self.pool);
        let endpoint = self.sets.endpoint_mut(handle);
        let before = endpoint.shape();
        endpoint.connection.set_share(share);
        endpoint.connection.receive(&segment, pool, now);
        endpoint.wake(before);
        self.sets.touch(handle);
        before.state == Tcp::SynReceived
    }

    /// Learns from an ICMP error how long the packets of a connection may be, and of those to the
    /// same peer that begin after it.
    pub(crate) fn path_mtu(&mut self, ends: Ends, seq: u32, mtu: usize, now: Instant) {
        let headers = segment::HEADER + if ends.0.is_ipv4() { 20 } else { 40 };
        if let Some(handle) = self.sets.find(Key::tcp(ends.0, ends.1)) {
            let mss = mtu.saturating_sub(headers).min(0xffff) as u32;
            if self.tcp(handle).path_mss(mss, Seq(seq)) {
                self.paths.hear(ends.1.ip(), mtu, self.info.mtu, now);
            }
            self.sets.touch(handle);
        }
    }

    /// Sends what a connection has to say.
    pub(super) fn send_tcp(&mut self, handle: Handle, wire: &dyn Wire, now: Instant) {
        let (local, peer) = self.ends(handle);
        let before = self.sets.endpoint(handle).shape();
        let way = self.way_to_one(peer.ip(), now);
        let known = matches!(way, Way::Known(_));
        let large = if known && local.is_ipv4() { self.out.large() } else { 0 };
        let large = large.saturating_sub(packet::segment_head(true) + segment::HEADER + STAMPS);
        let (mac, mut more) = (self.info.mac, true);
        for _ in 0..BURST {
            if !wire.ready() {
                break;
            }
            let connection = &mut self.sets.endpoint_mut(handle).connection;
            let Some(emission) = connection.next(large as u32, now) else {
                more = false;
                break;
            };
            let connection = &self.sets.endpoint(handle).connection;
            let write = |frame: &mut [u8], header: [u8; HEADER]| {
                write(frame, header, (local, peer), connection, &emission);
            };
            let length = packet::segment_head(local.is_ipv4()) + emission.len();
            match way {
                Way::Known(header) => {
                    let (blank, segment) = (wire.blank(), emission.segment);
                    let parts = connection.parts(&emission).filter(|_| blank);
                    let shown = parts.and_then(|parts| {
                        show(wire, length, header, (local, peer), &emission, parts)
                    });
                    let sent = match shown {
                        Some(sent) => sent,
                        None if blank => wire.transmit_blank(length, segment, &mut |frame| {
                            write(frame, header);
                            packet::blank_tcp(frame, length, local.is_ipv4());
                        }),
                        None => wire.transmit(length, segment, &mut |frame| write(frame, header)),
                    };
                    self.out.sent.set(self.out.sent.get() + u64::from(sent));
                }
                // It counts as sent, and is sent again if it is lost here.
                Way::Sought(hop) => {
                    if let Some(mut frame) = kernel::memory::zeroed(length) {
                        write(&mut frame, packet::header(packet::BROADCAST, mac, local.is_ipv4()));
                        self.neighbors.hold(hop, frame, now);
                    }
                }
                Way::None => {}
            }
        }
        let endpoint = self.sets.endpoint_mut(handle);
        endpoint.wake(before);
        if let Some(at) = endpoint.connection.deadline() {
            self.sets.deadlines.arm(handle.0, at);
        }
        if more {
            self.sets.touch(handle);
        }
    }

    /// How the connection is; `waker` is woken when that changes.
    pub(crate) fn state(&mut self, handle: Handle, waker: &Waker) -> Result<State, Error> {
        self.up()?;
        let endpoint = self.endpoint(handle);
        endpoint.watchers.add(waker);
        let connection = &endpoint.connection;
        let arrived = connection.has_arrived();
        Ok(match connection.state() {
            Tcp::SynSent | Tcp::SynReceived => State::Opening,
            Tcp::Established | Tcp::CloseWait => State::Open,
            Tcp::FinWait1 | Tcp::Closing | Tcp::LastAck => State::Ending,
            Tcp::FinWait2 => State::Ended,
            Tcp::TimeWait => State::Closed { arrived: true },
            Tcp::Closed => State::Closed { arrived },
        })
    }

    /// Ready when a connection has come about, or will not.
    pub(crate) fn poll_open(&mut self, handle: Handle, waker: &Waker) -> Poll<Result<(), Error>> {
        self.up()?;
        let endpoint = self.endpoint(handle);
        let connection = &endpoint.connection;
        match connection.state() {
            Tcp::SynSent | Tcp::SynReceived => {
                endpoint.watchers.add(waker);
                Poll::Pending
            }
            Tcp::Closed if !connection.was_open() => {
                let silent = connection.is_given_up();
                Poll::Ready(Err(if silent { Error::TimedOut } else { Error::Refused }))
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Reads; 0 bytes when the peer has ended.
    pub(crate) fn poll_read(
        &mut self,
        handle: Handle,
        to: &mut [u8],
        waker: &Waker,
    ) -> Poll<Result<usize, Error>> {
        let (up, now) = (self.up(), Instant::now());
        let endpoint = self.endpoint(handle);
        let connection = &mut endpoint.connection;
        if connection.readable() > 0 || to.is_empty() {
            let count = connection.read(to, now);
            // There is room that the peer may have to be told of.
            if connection.is_update_due() {
                self.touch(handle);
            }
            return Poll::Ready(Ok(count));
        }
        if connection.is_finished() {
            return Poll::Ready(Ok(0));
        }
        if connection.state() == Tcp::Closed {
            return Poll::Ready(up.and(Err(Error::Reset)));
        }
        endpoint.readers.add(waker);
        Poll::Pending
    }

    /// Ready when reading would not wait.
    pub(crate) fn poll_readable(
        &mut self,
        handle: Handle,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        let endpoint = self.endpoint(handle);
        if endpoint.is_readable() {
            return Poll::Ready(Ok(()));
        }
        endpoint.readers.add(waker);
        Poll::Pending
    }

    /// Throws away what the peer sends, so that it can come to its end.
    pub(crate) fn discard(&mut self, handle: Handle, waker: &Waker) {
        let endpoint = self.endpoint(handle);
        endpoint.readers.add(waker);
        endpoint.connection.discard(Instant::now());
        if endpoint.connection.is_update_due() {
            self.touch(handle);
        }
    }

    /// Takes as much as there is room for.
    pub(crate) fn poll_write(
        &mut self,
        handle: Handle,
        bytes: &[u8],
        waker: &Waker,
    ) -> Poll<Result<usize, Error>> {
        self.poll_put(handle, bytes.len(), waker, |connection| connection.write(bytes))
    }

    /// Puts some of `wanted` bytes into what is to send.
    fn poll_put(
        &mut self,
        handle: Handle,
        wanted: usize,
        waker: &Waker,
        put: impl FnOnce(&mut Connection<Cubic>) -> usize,
    ) -> Poll<Result<usize, Error>> {
        self.up()?;
        let share = self.share();
        let endpoint = self.endpoint(handle);
        let connection = &mut endpoint.connection;
        if !connection.may_write() {
            return Poll::Ready(Err(Error::Reset));
        }
        connection.set_share(share);
        let count = put(connection);
        if count == 0 && wanted > 0 {
            endpoint.writers.add(waker);
            return Poll::Pending;
        }
        self.touch(handle);
        Poll::Ready(Ok(count))
    }

    /// The same with bytes that stay where they are.
    pub(crate) fn poll_share(
        &mut self,
        handle: Handle,
        shared: &Shared,
        range: Range<usize>,
        waker: &Waker,
    ) -> Poll<Result<usize, Error>> {
        let range = range.start..range.end.min(shared.bytes().len());
        let wanted = range.len();
        self.poll_put(handle, wanted, waker, |connection| connection.share(shared, range))
    }

    /// Ready when the peer has acknowledged all that was written.
    pub(crate) fn poll_flush(&mut self, handle: Handle, waker: &Waker) -> Poll<Result<(), Error>> {
        let up = self.up();
        let endpoint = self.endpoint(handle);
        let connection = &endpoint.connection;
        if connection.has_arrived() {
            return Poll::Ready(Ok(()));
        }
        up?;
        if connection.state() == Tcp::Closed {
            return Poll::Ready(Err(Error::Reset));
        }
        endpoint.watchers.add(waker);
        Poll::Pending
    }

    pub(crate) fn options(&mut self, handle: Handle) -> TcpOptions {
        self.tcp(handle).options()
    }

    pub(crate) fn set_options(&mut self, handle: Handle, options: TcpOptions) {
        self.tcp(handle).set_options(options, Instant::now());
        self.touch(handle);
    }

    pub(crate) fn progress(&mut self, handle: Handle) -> Progress {
        let connection = self.tcp(handle);
        let (readable, unacknowledged) = (connection.readable(), connection.unacknowledged());
        let ended = connection.has_ended() || connection.state() == Tcp::Closed;
        Progress { readable, unacknowledged, ended }
    }

    /// Copies what can be read, and leaves it there; 0 bytes when the peer has ended.
    pub(crate) fn peek(&mut self, handle: Handle, to: &mut [u8]) -> Result<usize, Error> {
        let up = self.up();
        let connection = self.tcp(handle);
        let over = connection.readable() == 0 && !connection.is_finished();
        if over && connection.state() == Tcp::Closed {
            return up.and(Err(Error::Reset));
        }
        Ok(connection.peek(to))
    }

    /// Ready when writing would not wait.
    pub(crate) fn poll_writable(
        &mut self,
        handle: Handle,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        let endpoint = self.endpoint(handle);
        if endpoint.is_writable() {
            return Poll::Ready(Ok(()));
        }
        endpoint.writers.add(waker);
        Poll::Pending
    }

    /// How a connection that nobody holds any more may end.
    pub(crate) fn parting(&mut self, handle: Handle) -> Parting {
        let down = self.down;
        let connection = self.tcp(handle);
        let (unread, unsent) = (connection.readable(), connection.unacknowledged());
        match connection.state() {
            _ if down => Parting::Over,
            Tcp::Closed | Tcp::SynSent | Tcp::SynReceived | Tcp::TimeWait => Parting::Over,
            _ if unread > 0 => Parting::Unread(unread),
            Tcp::FinWait2 => Parting::Waiting,
            _ => Parting::Ending(unsent),
        }
    }

    /// Sends the end behind what was written.
    pub(crate) fn end(&mut self, handle: Handle) {
        self.tcp(handle).close();
        self.touch(handle);
    }

    /// Sends the end on every connection, behind what was written.
    pub(crate) fn end_all(&mut self) {
        self.sets.endpoints().for_each(|endpoint| endpoint.connection.close());
        self.sets.touch_all();
    }

    /// Whether a peer has not confirmed yet what was written, or the end of it.
    pub(crate) fn is_ending(&mut self) -> bool {
        let down = self.down;
        self.sets.endpoints().any(|endpoint| match endpoint.connection.state() {
            Tcp::FinWait2 | Tcp::TimeWait => false,
            // It may have a reset to send.
            Tcp::Closed => !down && !endpoint.connection.is_quiet(),
            _ => !down,
        })
    }

    pub(crate) fn abort(&mut self, handle: Handle) {
        self.tcp(handle).abort();
        self.touch(handle);
    }

    /// Gives a connection up. Unless it is over, it is reset. Whether it still has
    /// something to say before it can be [dropped](Self::drop_connection).
    pub(crate) fn give_up(&mut self, handle: Handle) -> bool {
        let down = self.down;
        let connection = self.tcp(handle);
        if connection.state() != Tcp::TimeWait {
            connection.abort();
        }
        let quiet = down || connection.is_quiet();
        self.touch(handle);
        !quiet
    }

    /// Whether it has said all it had to say.
    pub(crate) fn is_quiet(&self, handle: Handle) -> bool {
        self.sets.endpoint(handle).connection.is_quiet()
    }

    /// Whether it is open.
    pub(crate) fn is_open(&self, handle: Handle) -> bool {
        let state = self.sets.endpoint(handle).connection.state();
        matches!(state, Tcp::Established | Tcp::CloseWait)
    }

    /// Removes a connection, whatever it is in the middle of.
    pub(crate) fn drop_connection(&mut self, handle: Handle) {
        self.sets.remove(handle);
        self.sets.connections -= 1;
    }

    /// Ends connections from an address that is gone: nothing can be sent from it any more.
    pub(super) fn end_strays(&mut self) {
        let own: heapless::Vec<_, ADDRESSES> = self.addresses().map(|(own, _)| own).collect();
        for endpoint in self.sets.endpoints() {
            if !own.contains(&endpoint.connection.local.ip()) {
                endpoint.connection.strand();
                endpoint.wake_all();
            }
        }
        self.sets.touch_all();
    }

    /// The interface is broken: no connection says anything any more.
    pub(super) fn fail_connections(&mut self) {
        for endpoint in self.sets.endpoints() {
            endpoint.connection.strand();
            endpoint.wake_all();
        }
    }
}

/// The longest headers of a frame with a TCP segment.
const HEADERS: usize = packet::segment_head(false) + 60;

/// Parts of a frame: its headers, the chunks or pages that the largest one begins and ends in the
/// middle of, and some more.
const PARTS: usize = 32;

/// Sends an emission, some parts of which stay where they are. Returns whether it did, or `None`
/// when these are too many.
fn show<'a>(
    wire: &dyn Wire,
    length: usize,
    header: [u8; HEADER],
    ends: Ends,
    emission: &Emission,
    parts: impl Iterator<Item = Part<'a>>,
) -> Option<bool> {
    let mut headers = [0; HEADERS];
    let count = length - emission.length;
    let headers = headers.get_mut(..count)?;
    packet::tcp_head(headers, length, header, ends, &emission.head, emission.ecn);
    packet::blank_tcp(headers, length, ends.0.is_ipv4());
    let mut all = heapless::Vec::<Part<'_>, PARTS>::new();
    all.push(Part::Bytes(headers)).ok()?;
    for part in parts {
        all.push(part).ok()?;
    }
    Some(wire.transmit_parts(&all, emission.segment))
}

/// Writes an emission into a frame of its length.
fn write(
    frame: &mut [u8],
    header: [u8; HEADER],
    ends: Ends,
    connection: &Connection<Cubic>,
    emission: &Emission,
) {
    let payload = packet::tcp(frame, header, ends, &emission.head, emission.ecn);
    connection.payload(emission, payload);
}
