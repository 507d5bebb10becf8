//! Requests: checking them, carrying them out, and responding.

use super::super::Host;
use super::super::events::raise;
use super::super::ring::Back;
use super::super::script::Script;
use super::Misdeed;
use crate::DomId;
use crate::gnttab::GrantRef;
use crate::memory::{PAGE_SIZE, SharedPage};
use crate::public::io::blkif::{
    OP_DISCARD, OP_FLUSH_DISKCACHE, OP_INDIRECT, OP_READ, OP_WRITE, OP_WRITE_BARRIER, RSP_ERROR,
    RSP_OKAY, Response, SECTOR, SEGMENT, SEGMENTS_MAX, SLOT, Segment,
};
use std::collections::{BTreeMap, BTreeSet};

/// Describes a request that was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// `BLKIF_OP_*`; of an indirect request, the indirect operation.
    pub operation: u8,
    /// The first sector, of 512 bytes.
    pub sector: u64,
    /// Number of sectors.
    pub count: u64,
    /// Number of segments.
    pub segments: usize,
    /// Whether the request was indirect: its segments were in pages of their own.
    pub indirect: bool,
}

/// A connection.
pub(super) struct Link {
    pub(super) ring: Back<SLOT>,
    persistent: bool,
    /// Pages that stay mapped.
    mapped: BTreeMap<GrantRef, SharedPage>,
    owed: Vec<Response>,
    in_flight: BTreeSet<u64>,
    last: u64,
    /// The index was lied about: nothing makes sense any more.
    broken: bool,
}

/// What a connection needs to work.
pub(super) struct Work<'a> {
    pub(super) host: &'a mut Host,
    pub(super) script: &'a mut Script<Misdeed>,
    pub(super) peer: DomId,
    /// What its folder says: see `Backend::step`.
    pub(super) rules: [u64; 7],
    pub(super) reversed: bool,
    pub(super) slow: bool,
    /// How many to answer although it is stuck.
    pub(super) answers: &'a mut usize,
    pub(super) disk: &'a mut Vec<u8>,
    pub(super) requests: &'a mut Vec<Request>,
    pub(super) mappings: &'a mut usize,
}

fn number<const N: usize>(slot: &[u8], at: usize) -> [u8; N] {
    slot[at..at + N].try_into().expect("inside a slot")
}

impl Link {
    pub(super) const fn new(ring: Back<SLOT>, persistent: bool) -> Self {
        Self {
            ring,
            persistent,
            mapped: BTreeMap::new(),
            owed: Vec::new(),
            in_flight: BTreeSet::new(),
            last: 0,
            broken: false,
        }
    }

    /// References of pages of data that are mapped.
    pub(super) fn mapped(&self) -> impl Iterator<Item = GrantRef> {
        self.mapped.keys().copied()
    }

    /// Does what there is to do; whether anything happened.
    pub(super) fn step(&mut self, work: &mut Work<'_>) -> bool {
        if work.host.events.take_kick(self.ring.port) {
            self.ring.awake = true;
        }
        if self.broken {
            return false;
        }
        let mut busy = false;
        while self.ring.awake {
            while self.ring.waiting() > 0 {
                busy = true;
                let slot = self.ring.take();
                self.request(&slot, work);
                if work.slow {
                    self.answer(work);
                    return true;
                }
            }
            self.ring.awake = self.ring.final_check();
        }
        busy | self.answer(work)
    }

    /// The page of a grant, for as long as `f` runs or for ever.
    fn page<T>(
        &mut self,
        work: &mut Work<'_>,
        gref: GrantRef,
        write: bool,
        f: impl FnOnce(&SharedPage) -> T,
    ) -> T {
        let (grants, frames) = (&mut work.host.grants, &work.host.frames);
        let refused =
            |status| panic!("rule G7: grant {gref} does not let the back end at a page ({status})");
        if self.persistent {
            // All of them for writing, as nobody knows what they are used for next.
            let page = self.mapped.entry(gref).or_insert_with(|| {
                *work.mappings += 1;
                grants.map(gref, work.peer, true, frames).unwrap_or_else(refused)
            });
            return f(page);
        }
        *work.mappings += 1;
        if !write {
            let writable = grants.map(gref, work.peer, true, frames).is_ok();
            assert!(!writable, "rule G3: a page that is only read may be written");
        }
        let page = grants.map(gref, work.peer, write, frames).unwrap_or_else(refused);
        let result = f(&page);
        grants.unmap(gref, write);
        result
    }

    fn request(&mut self, slot: &[u8; SLOT], work: &mut Work<'_>) {
        let [sector_size, info, flush, barrier, discard, granularity, most] = work.rules;
        let id = u64::from_le_bytes(number(slot, 8));
        assert!(self.in_flight.insert(id), "rule R6: the guest uses id {id} twice");
        let sector = u64::from_le_bytes(number(slot, 16));
        let mut segments = Vec::new();
        let (operation, indirect) = match slot[0] {
            OP_INDIRECT => {
                let count = usize::from(u16::from_le_bytes(number(slot, 2)));
                assert!((1..=most as usize).contains(&count), "rule B5: {count} indirect segments");
                let gref = GrantRef(u32::from_le_bytes(number(slot, 28)));
                // Of these, Linux maps the pages as it does all others.
                let mut bytes = vec![0; count * SEGMENT];
                if self.persistent {
                    self.page(work, gref, false, |page| page.copy_out(0, &mut bytes));
                } else {
                    let host = &mut *work.host;
                    let copied =
                        host.grants.copy_from(gref, work.peer, 0, &mut bytes, &host.frames);
                    copied.expect("rule G7: the segments cannot be read");
                }
                let (all, _) = bytes.as_chunks::<SEGMENT>();
                segments.extend(all.iter().map(|bytes| Segment::from_bytes(*bytes)));
                (slot[1], true)
            }
            operation @ (OP_READ | OP_WRITE) => {
                let count = usize::from(slot[1]);
                assert!((1..=SEGMENTS_MAX).contains(&count), "rule B5: {count} segments");
                let bytes = slot[24..].chunks_exact(SEGMENT).take(count);
                segments.extend(bytes.map(|bytes| Segment::from_bytes(number(bytes, 0))));
                (operation, false)
            }
            operation => (operation, false),
        };
        let mut done = Request { operation, sector, count: 0, segments: segments.len(), indirect };
        let refused = work.script.take(|it| matches!(it, Misdeed::Refuse(_)));
        let mut status = match refused[..] {
            [Misdeed::Refuse(status), ..] => status,
            _ => RSP_OKAY,
        };
        match operation {
            OP_READ | OP_WRITE => {
                assert!(
                    operation == OP_READ || info & 4 == 0,
                    "rule B4: the guest writes to a read-only disk"
                );
                let mut at = sector as usize * SECTOR;
                for segment in segments {
                    let (first, last) = (usize::from(segment.first), usize::from(segment.last));
                    assert!(first <= last && last < 8, "rule B5: segment {segment:?}");
                    let length = (last - first + 1) * SECTOR;
                    assert!(
                        [length, at].iter().all(|&it| (it as u64).is_multiple_of(sector_size)),
                        "rule B5: a segment of {length} bytes for sectors of {sector_size}"
                    );
                    done.count += (length / SECTOR) as u64;
                    let offset = first * SECTOR;
                    let Some(place) = work.disk.get(at..at + length).map(<[u8]>::to_vec) else {
                        status = RSP_ERROR;
                        continue;
                    };
                    if status == RSP_OKAY && operation == OP_READ {
                        self.page(work, segment.gref, true, |page| page.copy_in(offset, &place));
                    } else if status == RSP_OKAY {
                        let mut whole = [0; PAGE_SIZE];
                        self.page(work, segment.gref, false, |page| page.copy_out(0, &mut whole));
                        assert!(
                            whole[offset + length..].iter().all(|&byte| byte == 0),
                            "rule B7: the rest of a page that is written holds something"
                        );
                        work.disk[at..at + length].copy_from_slice(&whole[offset..][..length]);
                    }
                    at += length;
                }
            }
            OP_FLUSH_DISKCACHE => assert!(flush == 1, "rule B8: a flush that is not offered"),
            OP_WRITE_BARRIER => assert!(barrier == 1, "rule B8: a barrier that is not offered"),
            OP_DISCARD => {
                done.count = u64::from_le_bytes(number(slot, 24));
                let (start, length) = (sector * SECTOR as u64, done.count * SECTOR as u64);
                assert!(
                    discard == 1 && [start, length].iter().all(|it| it.is_multiple_of(granularity)),
                    "rule B13: a discard of {length} bytes at {start}"
                );
                if status == RSP_OKAY {
                    // A test may say that a disk is larger than it is.
                    let all = work.disk.len();
                    let [start, end] = [start, start + length].map(|at| all.min(at as usize));
                    work.disk[start..end].fill(0);
                }
            }
            other => panic!("rule R10: the guest asks for operation {other}"),
        }
        work.requests.push(done);
        self.owed.push(Response { id, operation, status });
    }

    /// Answers what was asked.
    fn answer(&mut self, work: &mut Work<'_>) -> bool {
        let mut count = self.owed.len();
        if work.script.has(|it| *it == Misdeed::Stuck) {
            count = count.min(std::mem::take(work.answers));
        }
        if count == 0 {
            return false;
        }
        let from = if work.reversed { self.owed.len() - count } else { 0 };
        let mut owed: Vec<_> = self.owed.drain(from..from + count).collect();
        if work.reversed {
            owed.reverse();
        }
        let mut lie = None;
        for mut response in owed {
            self.in_flight.remove(&response.id);
            let id = response.id;
            for misdeed in work.script.take(Misdeed::is_response) {
                match misdeed {
                    Misdeed::Id(id) => response.id = id,
                    Misdeed::IdAgain => response.id = self.last,
                    Misdeed::Operation(operation) => response.operation = operation,
                    Misdeed::Status(status) => response.status = status,
                    Misdeed::Index(by) => lie = Some(by),
                    Misdeed::Scribble => {
                        self.mapped.values().for_each(|page| page.copy_in(0, &[0xEE; PAGE_SIZE]));
                    }
                    _ => {}
                }
            }
            self.last = id;
            self.ring.put(response.to_bytes());
        }
        let loses = work.script.has(|it| *it == Misdeed::LoseEvents);
        let wanted = match lie {
            Some(distance) => {
                self.broken = true;
                self.ring.lie(distance);
                true
            }
            None => self.ring.publish(),
        };
        if wanted && !loses && work.host.events.is_bound(self.ring.port) {
            raise(self.ring.port);
        }
        true
    }
}
