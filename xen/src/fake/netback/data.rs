//! Frames: out of the guest by the transmit ring, into it by the receive ring.

use super::super::Host;
use super::super::events::raise;
use super::super::ring::Back;
use super::super::script::Script;
use super::Misdeed;
use super::slots::{rx_request, rx_response, tx_request, tx_response};
use crate::DomId;
use crate::evtchn::PortNumber;
use crate::gnttab::GrantRef;
use crate::memory::PAGE_SIZE;
use crate::public::io::netif::{
    EXTRA_FLAG_MORE, EXTRA_TYPE_GSO, EXTRA_TYPE_MAX, Extra, GSO_TCPV4, GSO_TCPV6, RSP_ERROR,
    RSP_NULL, RSP_OKAY, RX_SLOT, RxFlags, RxResponse, SLOTS_MAX, TX_SLOT, TxFlags, TxRequest,
};
use std::collections::{BTreeSet, VecDeque};

/// Bytes of an Ethernet header.
const HEADER: usize = 14;

/// Holds a frame that the guest transmitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmitted {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The flags of its first slot.
    pub flags: TxFlags,
    /// Number of slots with its data.
    pub slots: usize,
    /// The extra slots.
    pub extras: Vec<Extra>,
    /// Index of its queue.
    pub queue: usize,
}

/// Describes a response in the receive ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RxSlot {
    /// A piece of a frame.
    Data {
        /// Bytes to write to the guest's page.
        bytes: Vec<u8>,
        /// Offset in the page, and in the response. Bytes that do not fit are not written.
        offset: u16,
        /// Flags of the response.
        flags: RxFlags,
        /// Status of the response; by default the number of bytes.
        status: Option<i16>,
    },
    /// An extra slot with these bytes.
    Extra([u8; RX_SLOT]),
}

/// A request that has to be answered.
struct Owed {
    id: u16,
    status: i16,
    extras: usize,
    /// The page is mapped by this until then.
    mapped: Option<GrantRef>,
}

/// A pair of rings.
pub(super) struct Queue {
    pub(super) tx: Back<TX_SLOT>,
    pub(super) rx: Back<RX_SLOT>,
    owed: VecDeque<Owed>,
    /// Ids of requests that were not answered.
    in_flight: BTreeSet<u16>,
    last_ids: [u16; 2],
    /// The grant of the page that was written last.
    last_page: Option<GrantRef>,
    /// The indices were lied about: nothing makes sense any more.
    broken: bool,
    stuck: bool,
}

/// What a queue needs to work.
pub(super) struct Work<'a> {
    pub(super) host: &'a mut Host,
    pub(super) script: &'a mut Script<Misdeed>,
    pub(super) peer: DomId,
    pub(super) number: usize,
    /// Answers in the opposite order.
    pub(super) reversed: bool,
    /// Pages are mapped until the answer.
    pub(super) maps: bool,
    /// An entry that does not permit access is the guest's bug.
    pub(super) strict: bool,
    pub(super) arriving: &'a mut VecDeque<Vec<RxSlot>>,
    pub(super) sent: &'a mut Vec<Transmitted>,
    /// References of pages that stay mapped for ever.
    pub(super) kept: &'a mut Vec<(GrantRef, bool)>,
}

impl Work<'_> {
    /// The status for what grant operation `result` was; a panic if the guest is to blame.
    fn status(&self, reference: GrantRef, what: &str, result: Result<(), i16>) -> i16 {
        match result {
            Ok(()) => RSP_OKAY,
            Err(status) if self.strict => panic!(
                "rule G7: the guest has domain {} {what} by grant {reference}, which does not \
                 allow that ({status})",
                self.peer
            ),
            Err(_) => RSP_ERROR,
        }
    }

    /// Notifies the guest, if its end is still there.
    fn notify(&self, port: PortNumber) {
        let loses = self.script.has(|it| *it == Misdeed::LoseEvents);
        if !loses && self.host.events.is_bound(port) {
            raise(port);
        }
    }
}

/// `NETTXF_*` that there are.
const FLAGS: TxFlags = TxFlags::all();

impl Queue {
    pub(super) fn new(tx: Back<TX_SLOT>, rx: Back<RX_SLOT>) -> Self {
        Self {
            tx,
            rx,
            owed: VecDeque::new(),
            in_flight: BTreeSet::new(),
            last_ids: [0; 2],
            last_page: None,
            broken: false,
            stuck: false,
        }
    }

    pub(super) fn ports(&self) -> BTreeSet<PortNumber> {
        BTreeSet::from([self.tx.port, self.rx.port])
    }

    pub(super) const fn last_page(&self) -> Option<GrantRef> {
        self.last_page
    }

    /// References of transmit pages that are mapped.
    pub(super) fn mapped(&mut self) -> Vec<GrantRef> {
        self.owed.iter_mut().filter_map(|owed| owed.mapped.take()).collect()
    }

    /// Writes into a ring's page and leaves it alone from then on; the ring's port.
    pub(super) fn scribble(&mut self, receive: bool, at: usize, bytes: &[u8]) -> PortNumber {
        self.broken = true;
        let (page, port) = match receive {
            true => (self.rx.page(), self.rx.port),
            false => (self.tx.page(), self.tx.port),
        };
        let at = at.min(PAGE_SIZE);
        page.copy_in(at, &bytes[..bytes.len().min(PAGE_SIZE - at)]);
        port
    }

    /// Does what there is to do; whether anything happened.
    pub(super) fn step(&mut self, work: &mut Work<'_>) -> bool {
        for port in self.ports() {
            if work.host.events.take_kick(port) {
                self.tx.awake |= port == self.tx.port;
                self.rx.awake |= port == self.rx.port;
            }
        }
        if self.broken {
            return false;
        }
        let mut busy = self.transmit(work);
        busy |= self.answer(work);
        busy |= self.receive(work);
        busy
    }

    fn transmit(&mut self, work: &mut Work<'_>) -> bool {
        let mut busy = false;
        while self.tx.awake {
            if self.tx.waiting() > 0 {
                busy = true;
                self.frame(work);
            } else {
                self.tx.awake = self.tx.final_check();
            }
        }
        busy
    }

    /// Takes the slots of one frame.
    fn frame(&mut self, work: &mut Work<'_>) {
        let first = tx_request(self.tx.take());
        let (mut requests, mut extras) = (vec![first], Vec::new());
        let complete = "rule N10: the guest published a frame without its last slot";
        let mut more = first.flags.contains(TxFlags::EXTRA_INFO);
        while more {
            assert!(self.tx.waiting() > 0, "{complete}");
            let [kind, flags, s0, s1, gso_type, ..] = self.tx.take();
            let extra = Extra { kind, flags, gso_size: u16::from_le_bytes([s0, s1]), gso_type };
            assert!((1..EXTRA_TYPE_MAX).contains(&kind), "rule N10: extra slot of type {kind}");
            if kind == EXTRA_TYPE_GSO {
                assert!(extra.gso_size > 0, "rule N10: segments of 0 bytes");
                let known = matches!(extra.gso_type, GSO_TCPV4 | GSO_TCPV6);
                assert!(known, "rule N10: segments of type {}", extra.gso_type);
                let blank = first.flags.contains(TxFlags::CSUM_BLANK);
                assert!(blank, "rule N10: segments of a frame whose checksum is not blank");
            }
            more = flags & EXTRA_FLAG_MORE != 0;
            extras.push(extra);
        }
        while requests.last().is_some_and(|it| it.flags.contains(TxFlags::MORE_DATA)) {
            assert!(self.tx.waiting() > 0, "{complete}");
            requests.push(tx_request(self.tx.take()));
        }
        let slots = requests.len();
        assert!(slots <= SLOTS_MAX, "rule N10: a frame of {slots} slots");
        assert!(FLAGS.contains(first.flags), "rule N10: unknown flags {:?}", first.flags);
        let rest: usize = requests[1..].iter().map(|it| usize::from(it.size)).sum();
        let total = usize::from(first.size);
        assert!(total >= HEADER, "rule N10: a frame of {total} bytes");
        assert!(
            total >= rest + HEADER,
            "rule N10: the first slot of {total} bytes has {rest} bytes in the others, so not all \
             of the header"
        );
        let mut bytes = Vec::new();
        for (i, request) in requests.iter().enumerate() {
            let size = if i == 0 { total - rest } else { usize::from(request.size) };
            let extras = if i == 0 { extras.len() } else { 0 };
            self.piece(work, request, size, extras, &mut bytes);
        }
        let flags = first.flags;
        work.sent.push(Transmitted { bytes, flags, slots, extras, queue: work.number });
    }

    /// Takes the bytes of one slot.
    fn piece(
        &mut self,
        work: &mut Work<'_>,
        request: &TxRequest,
        size: usize,
        extras: usize,
        bytes: &mut Vec<u8>,
    ) {
        let TxRequest { gref, id, .. } = *request;
        let offset = usize::from(request.offset);
        assert!(size > 0, "rule N10: an empty slot");
        assert!(offset + size <= PAGE_SIZE, "rule N10: {size} bytes at {offset} leave the page");
        assert!(self.in_flight.insert(id), "rule N10: id {id} is used twice at the same time");
        let mut piece = vec![0; size];
        let host = &mut *work.host;
        let result = host.grants.copy_from(gref, work.peer, offset, &mut piece, &host.frames);
        bytes.extend(piece);
        let keeps = work.script.has(|it| *it == Misdeed::KeepGrants);
        let mut mapped = None;
        if result.is_ok() && (work.maps || keeps) {
            mapped = host.grants.map(gref, work.peer, false, &host.frames).ok().map(|_| gref);
        }
        if keeps {
            work.kept.extend(mapped.take().map(|gref| (gref, false)));
        }
        let status = work.status(gref, "read", result);
        self.owed.push_back(Owed { id, status, extras, mapped });
    }

    /// Answers what was transmitted.
    fn answer(&mut self, work: &mut Work<'_>) -> bool {
        if self.owed.is_empty() || work.script.has(|it| *it == Misdeed::TxStuck) {
            return false;
        }
        let mut owed = std::mem::take(&mut self.owed);
        if work.reversed {
            owed.make_contiguous().reverse();
        }
        for Owed { id, status, extras, mapped } in owed {
            if let Some(reference) = mapped {
                work.host.grants.unmap(reference, false);
            }
            self.in_flight.remove(&id);
            let (mut said, mut result) = (id, status);
            let mut distance = None;
            for misdeed in work.script.take(Misdeed::is_tx) {
                match misdeed {
                    Misdeed::TxId(id) => said = id,
                    Misdeed::TxIdAgain => said = self.last_ids[0],
                    Misdeed::TxStatus(status) => result = status,
                    Misdeed::TxIndex(by) => distance = Some(by),
                    _ => {}
                }
            }
            self.last_ids[0] = id;
            self.tx.put(tx_response(said, result));
            (0..extras).for_each(|_| self.tx.put(tx_response(0, RSP_NULL)));
            if let Some(distance) = distance {
                self.broken = true;
                self.tx.lie(distance);
                work.notify(self.tx.port);
                return true;
            }
        }
        if self.tx.publish() {
            work.notify(self.tx.port);
        }
        true
    }

    /// Puts frames into the guest's pages.
    fn receive(&mut self, work: &mut Work<'_>) -> bool {
        if self.rx.awake {
            self.rx.awake = false;
            self.stuck = false;
        }
        let idle = self.stuck || work.script.has(|it| *it == Misdeed::RxStuck);
        while !idle && let Some(slots) = work.arriving.pop_front() {
            // A frame waits until there is room for all of it.
            if !self.rx.enough(slots.len() as u32) {
                work.arriving.push_front(slots);
                self.stuck = true;
                break;
            }
            for slot in slots {
                if let Some(distance) = self.respond(work, slot) {
                    self.broken = true;
                    self.rx.lie(distance);
                    work.notify(self.rx.port);
                    return true;
                }
            }
        }
        let busy = self.rx.is_dirty();
        if busy && self.rx.publish() {
            work.notify(self.rx.port);
        }
        busy
    }

    /// Uses one of the guest's pages; how far to move the index instead of publishing it.
    fn respond(&mut self, work: &mut Work<'_>, slot: RxSlot) -> Option<i32> {
        let request = rx_request(self.rx.take());
        let RxSlot::Data { bytes, offset, flags, status } = slot else {
            let RxSlot::Extra(bytes) = slot else { return None };
            self.rx.put(bytes);
            return None;
        };
        let at = usize::from(offset).min(PAGE_SIZE);
        let fits = bytes.len().min(PAGE_SIZE - at);
        let host = &mut *work.host;
        let result = host.grants.copy_to(request.gref, work.peer, at, &bytes[..fits], &host.frames);
        let result = work.status(request.gref, "write", result);
        let length = i16::try_from(bytes.len()).unwrap_or(i16::MAX);
        let good = if result == RSP_OKAY { length } else { result };
        let status = status.unwrap_or(good);
        let mut response = RxResponse { id: request.id, offset, flags, status };
        let mut distance = None;
        for misdeed in work.script.take(Misdeed::is_rx) {
            match misdeed {
                Misdeed::RxId(id) => response.id = id,
                Misdeed::RxIdAgain => response.id = self.last_ids[1],
                Misdeed::RxStatus(status) => response.status = status,
                Misdeed::RxOffset(offset) => response.offset = offset,
                Misdeed::RxFlags(flags) => response.flags |= flags,
                Misdeed::RxIndex(by) => distance = Some(by),
                _ => {}
            }
        }
        self.last_ids[1] = request.id;
        self.last_page = Some(request.gref);
        self.rx.put(rx_response(response));
        distance
    }
}

/// The slots of a large frame that stands for TCP segments of `size` bytes.
pub(super) fn large(frame: &[u8], offset: u16, flags: RxFlags, size: u16) -> Vec<RxSlot> {
    let mut slots = pieces(frame, offset, flags);
    let [s0, s1] = size.to_le_bytes();
    let kind = if frame[12..14] == [0x86, 0xdd] { GSO_TCPV6 } else { GSO_TCPV4 };
    if let Some(RxSlot::Data { flags, .. }) = slots.first_mut() {
        *flags |= RxFlags::EXTRA_INFO;
    }
    slots.insert(1, RxSlot::Extra([EXTRA_TYPE_GSO, 0, s0, s1, kind, 0, 0, 0]));
    slots
}

/// The slots of a well-formed frame whose pieces start at `offset`.
pub(super) fn pieces(frame: &[u8], offset: u16, flags: RxFlags) -> Vec<RxSlot> {
    let chunks: Vec<_> = frame.chunks(PAGE_SIZE - usize::from(offset)).collect();
    let last = chunks.len().saturating_sub(1);
    let piece = |(i, bytes): (usize, &&[u8])| {
        // What is said of a frame is said in its first slot.
        let mut flags = if i == 0 { flags } else { RxFlags::empty() };
        flags.set(RxFlags::MORE_DATA, i < last);
        RxSlot::Data { bytes: bytes.to_vec(), offset, flags, status: None }
    };
    chunks.iter().enumerate().map(piece).collect()
}
