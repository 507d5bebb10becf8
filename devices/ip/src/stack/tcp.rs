//! TCP connections: the ends of [`tcp::connection`](crate::tcp::connection), whose segments
//! are read from and written into frames here, and who waits for them.

use super::Protocols;
use super::endpoint::Endpoint;
use super::sets::{Body, Handle, Key};
use crate::Error;
use crate::config::ADDRESSES;
use crate::packet::{self, Segment};
use crate::tcp::congestion::Cubic;
use crate::tcp::connection::{Connection, Offer, State as Tcp, Terms};
use crate::tcp::pool::Pool;
use crate::tcp::secret::Ends;
use crate::tcp::segment::{self, Head};
use crate::tcp::seq::Seq;
use crate::tcp::syn::{self, Asked, Own};
use crate::tcp::undo::stamp;
use crate::wire::Wire;
use alloc::rc::Rc;
use core::net::SocketAddr;
use devices::net::{Frame, HEADER};
use kernel::time::Instant;

impl Protocols {
    /// Bytes that each buffer of a connection may have now: a quarter of what is left, so that
    /// it can be as large as the path asks for where there is memory, however many connections
    /// are open that do not use theirs.
    pub(super) fn share(&self) -> usize {
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
    pub(crate) fn initial(&mut self, ends: Ends, now: Instant) -> Seq {
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
        self.join(ends, &terms, now, |connection, pool| {
            connection.accept(offer, answered, pool, now);
        })
    }

    /// Adds a connection, which is changed where it stays: it is not small.
    pub(super) fn join(
        &mut self,
        (local, peer): Ends,
        terms: &Terms,
        now: Instant,
        change: impl FnOnce(&mut Connection<Cubic>, &Rc<Pool>),
    ) -> Option<Handle> {
        if !self.sets.has_room() {
            return None;
        }
        let pool = &self.pool;
        let mut endpoint = kernel::memory::boxed_with(|| Endpoint::new(terms, pool, now))?;
        let connection = &mut endpoint.connection;
        change(connection, &self.pool);
        if let Some(mtu) = self.paths.mtu(peer.ip(), now) {
            let headers = segment::HEADER + if local.is_ipv4() { 20 } else { 40 };
            connection.know_path(mtu.saturating_sub(headers) as u32);
        }
        // Programs here write what they have at once, and wait for no more of it.
        connection.set_no_delay(true);
        self.sets.connections += 1;
        Some(self.sets.add(Body::Tcp(endpoint), Some(Key::tcp(local, peer))))
    }

    /// Begins a connection from `from`.
    pub(crate) fn connect(&mut self, to: SocketAddr, from: SocketAddr) -> Result<Handle, Error> {
        if !self.has_capacity() {
            return Err(Error::Exhausted);
        }
        let (ends, now) = ((from, to), Instant::now());
        let iss = self.initial(ends, now);
        let terms = self.terms(ends, iss);
        self.time_wait.remove(self.secret.id(ends));
        let handle = self.join(ends, &terms, now, |_, _| {});
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

    pub(super) fn endpoint(&mut self, handle: Handle) -> &mut Endpoint {
        self.sets.endpoint_mut(handle)
    }

    pub(super) fn tcp(&mut self, handle: Handle) -> &mut Connection<Cubic> {
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
        // It is not moved, as it is not small.
        let segment = segment.read(frame);
        let Some(segment) = &segment else { return false };
        let (share, pool) = (self.share(), &self.pool);
        let endpoint = self.sets.endpoint_mut(handle);
        let before = endpoint.shape();
        endpoint.connection.set_share(share);
        endpoint.connection.receive(segment, pool, now);
        endpoint.wake(before);
        self.sets.touch(handle);
        before.state == Tcp::SynReceived
    }

    /// Returns whether a segment is what a connection waits for next.
    pub(crate) fn expects(&self, handle: Handle, segment: &Segment) -> bool {
        let connection = &self.sets.endpoint(handle).connection;
        connection.expects(segment.seq, segment.flags, segment.text().len())
    }

    /// Takes in a segment that a connection [expects](Self::expects): its payload goes from where
    /// it is to where it belongs.
    pub(crate) fn receive_staged(
        &mut self,
        handle: Handle,
        frame: Frame<'_>,
        segment: &Segment,
        now: Instant,
    ) {
        let text = segment.text();
        let (head, mut rest) = frame.split(text.start);
        let mut segment = segment.read_head(head);
        let Some(segment) = &mut segment else { return };
        let (share, pool) = (self.share(), &self.pool);
        let endpoint = self.sets.endpoint_mut(handle);
        let before = endpoint.shape();
        endpoint.connection.set_share(share);
        let mut fill = |to: &mut [u8]| {
            // It ends before the frame does.
            rest.read(to);
        };
        endpoint.connection.receive_staged(segment, text.len(), &mut fill, pool, now);
        endpoint.wake(before);
        self.sets.touch(handle);
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
