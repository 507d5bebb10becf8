//! Xenstored's end of the ring, and what it does wrong there on request.

use super::super::events::{Events, raise};
use super::super::script::Script;
use super::daemon::Core;
use super::{Misdeed, PORT};
use crate::memory::SharedPage;
use crate::public::io::xs_wire::{CONNECTION, ERROR, HEADER, Kind, PAYLOAD_MAX, REQ, RSP};
use crate::ring::{Consumer, Producer};
use std::collections::VecDeque;

/// A message to the guest.
#[derive(Clone, Debug)]
struct Message {
    kind: u32,
    id: u32,
    transaction: u32,
    payload: Vec<u8>,
}

impl Message {
    fn to_bytes(&self, length: u32) -> Vec<u8> {
        let words = [self.kind, self.id, self.transaction, length];
        let mut bytes = words.map(u32::to_le_bytes).concat();
        bytes.extend(&self.payload);
        bytes
    }
}

/// Xenstored: what it knows, and its end of the ring.
pub(in crate::fake) struct Daemon {
    pub(super) core: Core,
    page: SharedPage,
    input: Consumer,
    output: Producer,
    /// What came of a request that is not complete.
    received: Vec<u8>,
    /// What is to be sent and is not in the ring.
    unsent: VecDeque<u8>,
    /// Answers that are held back.
    held: Vec<Message>,
    /// The guest notified us, and there may be requests.
    awake: bool,
    /// The ring was full.
    blocked: bool,
    /// It uses the ring no more.
    pub(super) stopped: bool,
    /// Answers wait until they are released.
    pub(super) holding: bool,
    /// It never notifies the guest.
    pub(super) mute: bool,
    /// Bytes that may be written in one step.
    pub(super) piece: usize,
    pub(super) script: Script<Misdeed>,
}

const CANNOT: &str = "rule X3: the guest moved an index of xenstore's ring where it cannot be";

impl Daemon {
    pub(in crate::fake) fn new(page: SharedPage) -> Self {
        Self {
            core: Core::new(),
            input: Consumer::new(&page, REQ).expect(CANNOT),
            output: Producer::new(&page, RSP).expect(CANNOT),
            page,
            received: Vec::new(),
            unsent: VecDeque::new(),
            held: Vec::new(),
            awake: false,
            blocked: false,
            stopped: false,
            holding: false,
            mute: false,
            piece: usize::MAX,
            script: Script::default(),
        }
    }

    /// Makes the daemon of a new domain's host, which goes on with the guest's ring where the last
    /// one left it, or begins it anew where that makes no sense.
    pub(in crate::fake) fn renewed(page: SharedPage) -> Self {
        for ring in [REQ, RSP] {
            if Consumer::new(&page, ring).is_err() {
                page.store_u32(ring.cons, page.load_u32(ring.prod));
            }
        }
        page.store_u32(CONNECTION, 0);
        page.store_u32(ERROR, 0);
        Self::new(page)
    }

    /// The guest's watches: path and token.
    pub(in crate::fake) fn guest_watches(&self) -> Vec<(String, Vec<u8>)> {
        self.core.watches()
    }

    /// Transactions that are open.
    pub(in crate::fake) fn transactions(&self) -> usize {
        self.core.transactions()
    }

    /// Starts both directions at these indices, as an earlier user left them.
    pub(super) fn start_at(&mut self, requests: u32, responses: u32) {
        for (layout, index) in [(REQ, requests), (RSP, responses)] {
            self.page.store_u32(layout.cons, index);
            self.page.store_u32(layout.prod, index);
        }
        self.input = Consumer::new(&self.page, REQ).expect(CANNOT);
        self.output = Producer::new(&self.page, RSP).expect(CANNOT);
    }

    /// Does what there is to do; whether anything happened.
    pub(in crate::fake) fn step(&mut self, events: &mut Events) -> bool {
        if events.take_kick(PORT) {
            self.awake = true;
            self.blocked = false;
        }
        if self.stopped {
            return false;
        }
        let mut busy = false;
        if self.awake {
            self.awake = false;
            busy |= self.receive();
        }
        self.send_events();
        busy |= self.write();
        if busy && !self.mute {
            raise(PORT);
        }
        busy
    }

    fn receive(&mut self) -> bool {
        let mut busy = false;
        let mut piece = [0; 1024];
        loop {
            let count = self.input.read(&self.page, &mut piece).expect(CANNOT);
            if count == 0 {
                return busy;
            }
            busy = true;
            self.received.extend(&piece[..count]);
            while let Some(request) = self.next_request() {
                self.answer(&request);
            }
        }
    }

    /// Takes a request that is complete.
    fn next_request(&mut self) -> Option<Message> {
        let (words, _) = self.received.get(..HEADER)?.as_chunks::<4>();
        let &[kind, id, transaction, length] = words else { return None };
        let [kind, id, transaction, length] =
            [kind, id, transaction, length].map(u32::from_le_bytes);
        let length = length as usize;
        assert!(length <= PAYLOAD_MAX, "rule X1: the guest sent a payload of {length} bytes");
        let payload = self.received.get(HEADER..HEADER + length)?.to_vec();
        self.received.drain(..HEADER + length);
        Some(Message { kind, id, transaction, payload })
    }

    fn answer(&mut self, request: &Message) {
        let Message { kind, id, transaction, .. } = *request;
        let (kind, payload) = match self.core.request(kind, transaction, &request.payload) {
            Ok(payload) => (kind, payload),
            Err(name) => (Kind::Error as u32, [name.as_bytes(), b"\0"].concat()),
        };
        let message = Message { kind, id, transaction, payload };
        if self.holding {
            self.held.push(message);
        } else {
            self.send(message);
        }
        self.send_events();
    }

    fn send_events(&mut self) {
        for payload in std::mem::take(&mut self.core.events) {
            let message = Message { kind: Kind::WatchEvent as u32, id: 0, transaction: 0, payload };
            self.unsent.extend(message.to_bytes(message.payload.len() as u32));
        }
    }

    /// Sends an answer, with what is wrong with it.
    fn send(&mut self, mut message: Message) {
        let mut length = None;
        let mut copies = 1;
        for misdeed in self.script.take(|_| true) {
            match misdeed {
                Misdeed::WrongId => message.id = message.id.wrapping_add(0x1000),
                Misdeed::WrongKind(kind) => message.kind = kind,
                Misdeed::WrongTransaction => {
                    message.transaction = message.transaction.wrapping_add(0x1000);
                }
                Misdeed::Length(wrong) => length = Some(wrong),
                Misdeed::Truncated(count) => {
                    length.get_or_insert(message.payload.len() as u32);
                    message.payload.truncate(count);
                }
                Misdeed::Payload(payload) => message.payload = payload,
                Misdeed::Refuse(name) => {
                    message.kind = Kind::Error as u32;
                    message.payload = [name.as_bytes(), b"\0"].concat();
                }
                Misdeed::Twice => copies += 1,
                Misdeed::Never => copies = 0,
            }
        }
        let length = length.unwrap_or(message.payload.len() as u32);
        for _ in 0..copies {
            self.unsent.extend(message.to_bytes(length));
        }
    }

    /// Sends what was held back, in the opposite order if `reversed`.
    pub(super) fn release(&mut self, reversed: bool) {
        self.holding = false;
        let mut held = std::mem::take(&mut self.held);
        if reversed {
            held.reverse();
        }
        held.into_iter().for_each(|message| self.send(message));
    }

    /// Sends bytes that may be no message.
    pub(super) fn inject(&mut self, bytes: &[u8]) {
        self.send_events();
        self.unsent.extend(bytes);
    }

    /// Sends a message that answers nothing.
    pub(super) fn inject_message(&mut self, kind: u32, id: u32, transaction: u32, payload: &[u8]) {
        let message = Message { kind, id, transaction, payload: payload.into() };
        self.inject(&message.to_bytes(payload.len() as u32));
    }

    fn write(&mut self) -> bool {
        let mut left = self.piece;
        let mut busy = false;
        while !self.unsent.is_empty() && !self.blocked && left > 0 {
            let (bytes, _) = self.unsent.as_slices();
            let bytes = &bytes[..bytes.len().min(left)];
            let count = self.output.write(&self.page, bytes).expect(CANNOT);
            // When the ring is full, the guest says when it has read.
            self.blocked = count == 0;
            self.unsent.drain(..count);
            left -= count;
            busy |= count > 0;
        }
        busy
    }

    /// Sets the error word of the page.
    pub(super) fn set_error(&self, error: u32) {
        self.page.store_u32(ERROR, error);
        raise(PORT);
    }

    /// Sets the connection word of the page.
    pub(super) fn set_connection(&self, connection: u32) {
        self.page.store_u32(CONNECTION, connection);
        raise(PORT);
    }

    /// Moves the indices that are the daemon's by these distances, and stops.
    pub(super) fn break_indices(&mut self, consumer: u32, producer: u32) {
        for (at, by) in [(REQ.cons, consumer), (RSP.prod, producer)] {
            self.page.store_u32(at, self.page.load_u32(at).wrapping_add(by));
        }
        self.stopped = true;
        raise(PORT);
    }
}
