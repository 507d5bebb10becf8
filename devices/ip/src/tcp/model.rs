//! Model checking in the small: two ends and a cable that loses, doubles, delays and marks,
//! by each choice for the first frames, or by seeds.
//!
//! What has to hold, whatever the cable does: bytes arrive in order and unchanged; nothing is
//! sent beyond what the peer announced, but a byte that probes; whoever waits has a timer, in the
//! future; both ends come to theirs once the cable is good; all memory is given back.
//!
//! `XENITH_TCP_SEEDS=100000 XENITH_TCP_DEPTH=7 cargo test -p xenith-ip --lib tcp::model` runs for
//! longer; `XENITH_TCP_SEED=N` runs one seed.

extern crate std;

mod plan;

use super::congestion::Cubic;
use super::connection::{Connection, Emission, Offer, State, Terms};
use super::pool::Pool;
use super::segment::{ACK, FIN, Head, RST, SYN, Segment};
use super::seq::Seq;
use super::syn::{self, Own};
use super::tests::arrive;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::net::SocketAddr;
use core::time::Duration;
use kernel::time::Instant;
use plan::{Plan, ms, random};
use std::string::String;
use std::vec::Vec;

/// Where choices come from.
enum Choices {
    /// The digits of a number say what becomes of the first frames: nothing befalls the others.
    Listed(Vec<u8>),
    Random(u64),
}

struct End {
    connection: Option<Connection<Cubic>>,
    /// A listener's SYN queue.
    asked: Option<(Offer, Instant, u32)>,
    written: usize,
    read: usize,
    next_read: Instant,
    closed: bool,
    /// The furthest number that it may send, by what arrived.
    edge: Option<Seq>,
    /// The shift of the windows that it hears of.
    scale: u8,
}

struct World {
    plan: Plan,
    choices: Choices,
    ends: [End; 2],
    pool: Rc<Pool>,
    flying: BTreeMap<(Instant, u64), (usize, bool, Vec<u8>)>,
    frames: u64,
    traced: bool,
    now: Instant,
    start: Instant,
}

type Outcome<T = ()> = Result<T, String>;

macro_rules! require {
    ($holds:expr, $($what:tt)*) => {
        if !$holds {
            return Err(std::format!($($what)*));
        }
    };
}

fn byte(end: usize, at: usize) -> u8 {
    (at ^ (at >> 8) ^ (at >> 16) ^ (end * 0x55)) as u8
}

impl World {
    fn new(plan: Plan, choices: Choices) -> Self {
        kernel::testing::simulate_time();
        let start = Instant::now();
        let pool = Rc::new(Pool::new(plan.memory));
        let end = |connection| End {
            connection,
            asked: None,
            written: 0,
            read: 0,
            next_read: start,
            closed: false,
            edge: None,
            scale: 0,
        };
        let connect = |at| Connection::connect(&terms(&plan, at), &pool, start);
        let ends = [end(Some(connect(0))), end(plan.both.then(|| connect(1)))];
        let flying = BTreeMap::new();
        let traced = std::env::var_os("XENITH_TCP_SEED").is_some();
        let now = start;
        let mut new = Self { plan, choices, ends, pool, flying, frames: 0, traced, now, start };
        new.configure();
        new
    }

    fn configure(&mut self) {
        for end in &mut self.ends {
            if let Some(connection) = &mut end.connection {
                connection.set_no_delay(self.plan.no_delay);
            }
        }
    }

    /// Puts a segment on the cable.
    fn put(&mut self, from: usize, mut bytes: Vec<u8>, ect: bool) {
        self.frames += 1;
        if self.traced {
            self.trace(if from == 0 { "0 >" } else { "< 1" }, from, &bytes);
        }
        if bytes[13] & SYN != 0 {
            strip(&mut bytes, self.plan.strip);
        }
        let (mut copies, mut delay, mut marked) = (1, self.plan.delay, false);
        match &mut self.choices {
            Choices::Listed(list) => match list.pop().unwrap_or(0) {
                0 => {}
                1 => copies = 0,
                2 => copies = 2,
                _ => delay += self.plan.delay + ms(3),
            },
            Choices::Random(state) => {
                let [lost, twice, late, marks] = self.plan.faults;
                if self.frames <= self.plan.bad {
                    if random(state, 100) < lost {
                        copies = 0;
                    }
                    if random(state, 100) < twice {
                        copies = 2;
                    }
                    if random(state, 100) < late {
                        let most = [1, 5, 60, 700, 4000][random(state, 5) as usize];
                        delay += ms(random(state, most) + 1);
                    }
                    marked = ect && random(state, 100) < marks;
                }
            }
        }
        for copy in 0..copies {
            let at = self.now.saturating_add(delay * (copy * 2 + 1));
            self.flying
                .insert((at, self.frames * 2 + u64::from(copy)), (1 - from, marked, bytes.clone()));
        }
    }

    /// Checks what an end sends, and sends it.
    fn send(&mut self, from: usize, emission: &Emission) -> Outcome {
        let Some(connection) = &self.ends[from].connection else { return Ok(()) };
        let head = emission.head.len();
        let mut bytes = std::vec![0; emission.len()];
        emission.head.write(&mut bytes, (1, 2));
        connection.payload(emission, &mut bytes[head..]);
        let flags = emission.head.flags;
        let first = Seq(self.plan.seqs[from]) + 1;
        let at = emission.head.seq.0.wrapping_sub(first.0) as usize;
        for (offset, &got) in bytes[head..].iter().enumerate() {
            require!(got == byte(from, at + offset), "{from} sends a wrong byte at {at}");
        }
        if emission.length > 0 || flags & FIN != 0 {
            let end = emission.head.seq + emission.length as u32 + u32::from(flags & FIN != 0);
            let edge = self.ends[from].edge.unwrap_or(first);
            let beyond = end.since(edge);
            let probes = emission.length as u32 + u32::from(flags & FIN != 0) <= beyond;
            require!(
                beyond == 0 || beyond == 1 && probes,
                "{from} sends {beyond} beyond the window"
            );
        }
        // What the network cuts.
        let segment = usize::from(emission.segment);
        if segment == 0 {
            self.put(from, bytes, emission.ecn);
            return Ok(());
        }
        let mut at = 0;
        while at < emission.length {
            let count = segment.min(emission.length - at);
            let mut part = bytes[..head].to_vec();
            part[4..8].copy_from_slice(&(emission.head.seq + at as u32).0.to_be_bytes());
            if at + count < emission.length {
                part[13] &= !FIN;
            }
            part.extend(&bytes[head + at..head + at + count]);
            self.put(from, part, emission.ecn);
            at += count;
        }
        Ok(())
    }

    /// Lets both ends send all that they have to send now.
    fn drain(&mut self) -> Outcome {
        for from in 0..2 {
            let mut count = 0;
            while let Some(connection) = &mut self.ends[from].connection {
                let Some(emission) = connection.next(self.plan.large, self.now) else { break };
                self.send(from, &emission)?;
                count += 1;
                require!(count < 5000, "{from} sends without end at one moment");
            }
            let Some(connection) = &self.ends[from].connection else { continue };
            let deadline = connection.deadline();
            require!(deadline.is_none_or(|at| at > self.now), "{from} has a deadline in the past");
            let waits = connection.is_sending()
                && (!connection.recovery.sent.is_empty() || connection.unsent() > 0)
                && connection.state() != State::SynReceived;
            require!(!waits || deadline.is_some(), "{from} waits without a timer");
        }
        Ok(())
    }

    /// Prints a segment that is sent by an end, or arrives from it.
    fn trace(&self, what: &str, from: usize, bytes: &[u8]) {
        let Some(it) = Segment::parse(bytes, false) else { return };
        let own = |seq: Seq| seq.0.wrapping_sub(self.plan.seqs[from]).cast_signed();
        let peers = |seq: Seq| seq.0.wrapping_sub(self.plan.seqs[1 - from]).cast_signed();
        let (seq, ack) = (own(it.seq), peers(it.ack));
        let sack: Vec<_> =
            it.options.sack.iter().map(|it| (peers(it.start), peers(it.end))).collect();
        let at = self.now.saturating_duration_since(self.start);
        std::println!(
            "{at:?} {what} {:#04x} {seq}+{} ack {ack} win {} {sack:?} {:?}",
            it.flags,
            it.payload.len(),
            it.window,
            it.options.stamps
        );
    }

    fn arrive(&mut self, to: usize, marked: bool, bytes: &[u8]) {
        if self.traced {
            self.trace(if to == 1 { "    -> 1" } else { "    0 <-" }, 1 - to, bytes);
        }
        let Some(segment) = Segment::parse(bytes, marked) else { return };
        let end = &mut self.ends[to];
        if segment.has(SYN) {
            end.scale = segment.options.scale.unwrap_or(0);
        }
        if segment.has(ACK) && !segment.has(RST) {
            let scale = if segment.has(SYN) { 0 } else { end.scale };
            let edge = segment.ack + (u32::from(segment.window) << scale);
            end.edge = Some(end.edge.map_or(edge, |old| old.max(edge)));
        } else if segment.has(SYN) {
            let edge = Seq(self.plan.seqs[to]) + 1 + u32::from(segment.window);
            end.edge = Some(end.edge.map_or(edge, |old| old.max(edge)));
        }
        match &mut end.connection {
            Some(connection) if connection.is_quiet() => {
                if let Some(head) = Head::reset(&segment) {
                    self.tell(to, &head);
                }
            }
            Some(connection) => {
                connection.set_share(self.plan.share);
                // One end has the payload put where it belongs, the other one copies it.
                arrive(connection, segment, to == 1, &self.pool, self.now);
            }
            None => self.listen(to, &segment),
        }
    }

    fn tell(&mut self, from: usize, head: &Head) {
        let mut bytes = std::vec![0; head.len()];
        head.write(&mut bytes, (1, 2));
        self.put(from, bytes, false);
    }

    /// What the stack does for a listener.
    fn listen(&mut self, at: usize, segment: &Segment<'_>) {
        let iss = Seq(self.plan.seqs[at]);
        if segment.flags & (SYN | ACK | RST) == SYN {
            let mut offer = Offer::of(segment, true);
            offer.ecn = self.plan.ecn;
            self.answer(at, offer);
        } else if segment.flags & (SYN | ACK | RST) == ACK
            && let Some((offer, when, times)) = self.ends[at].asked.clone()
            && segment.ack == iss + 1
        {
            let terms = terms(&self.plan, at);
            let when = (times == 1).then_some(when);
            let mut new = Connection::connect(&terms, &self.pool, self.now);
            new.accept(&offer, when, &self.pool, self.now);
            new.receive(segment, &self.pool, self.now);
            self.ends[at].connection = Some(new);
            self.configure();
        }
    }

    fn answer(&mut self, at: usize, offer: Offer) {
        let own = Own {
            mss: self.plan.mss[at],
            scale: self.plan.scale,
            window: self.plan.share.min(0xffff) as u16,
            stamp: 7_u32.wrapping_add(super::undo::stamp(self.now)),
        };
        let head = syn::answer(&offer, Seq(self.plan.seqs[at]), own);
        let times = self.ends[at].asked.as_ref().map_or(1, |it| it.2 + 1);
        self.ends[at].asked = Some((offer, self.now, times));
        self.tell(at, &head);
    }

    /// Lets the programs of both ends do what they do.
    fn act(&mut self) -> Outcome {
        let mut buffer = std::vec![0; 1 << 16];
        for at in 0..2 {
            let peer = 1 - at;
            let (most, pause) = self.plan.reads[at];
            let end = &mut self.ends[at];
            let Some(connection) = &mut end.connection else { continue };
            let total = self.plan.writes[at];
            while end.written < total {
                let count = self.plan.piece.min(total - end.written);
                let bytes: Vec<u8> = (0..count).map(|it| byte(at, end.written + it)).collect();
                let wrote = connection.write(&bytes);
                end.written += wrote;
                if wrote == 0 {
                    break;
                }
            }
            while self.now >= end.next_read && connection.readable() > 0 {
                let most = most.min(buffer.len());
                let count = connection.read(&mut buffer[..most], self.now);
                for (offset, &got) in buffer[..count].iter().enumerate() {
                    require!(got == byte(peer, end.read + offset), "{at} reads a wrong byte");
                }
                end.read += count;
                if !pause.is_zero() {
                    end.next_read = self.now.saturating_add(pause);
                }
            }
            require!(end.read <= self.plan.writes[peer], "{at} reads what nobody wrote");
            let may = !self.plan.polite || at == 0 || connection.is_finished();
            let opened = !matches!(connection.state(), State::SynSent | State::Closed);
            if end.written == total && !end.closed && may && opened {
                end.closed = true;
                connection.close();
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        (0..2).all(|at| {
            let end = &self.ends[at];
            let over = |it: &Connection<Cubic>| it.is_quiet() && it.readable() == 0;
            end.connection.as_ref().is_some_and(over)
        })
    }

    fn run(mut self) -> Outcome<Duration> {
        for _ in 0..200_000 {
            // What is written or read has to be sent in the same moment.
            self.drain()?;
            self.act()?;
            self.drain()?;
            if self.is_over() {
                return self.end();
            }
            let arrival = self.flying.keys().next().map(|(at, _)| *at);
            let timers = self.ends.iter().filter_map(|it| it.connection.as_ref()?.deadline());
            let reads = self
                .ends
                .iter()
                .filter_map(|it| (it.connection.as_ref()?.readable() > 0).then_some(it.next_read));
            let asked = self.ends[1].asked.as_ref().filter(|_| self.ends[1].connection.is_none());
            let again =
                asked.map(|(_, at, times)| at.saturating_add(ms(1000 << (times - 1).min(6))));
            let Some(next) = timers.chain(reads).chain(arrival).chain(again).min() else {
                return Err(
                    String::from("nothing is due, and it is not over: ") + &self.tell_state()
                );
            };
            self.now = self.now.max(next);
            require!(
                self.now.saturating_duration_since(self.start) < ms(7_200_000),
                "it is not over in two hours: {}",
                self.tell_state()
            );
            if again.is_some_and(|at| at <= self.now)
                && let Some((offer, ..)) = self.ends[1].asked.clone()
            {
                self.answer(1, offer);
            }
            while let Some(first) = self.flying.first_entry()
                && first.key().0 <= self.now
            {
                let (to, marked, bytes) = first.remove();
                self.arrive(to, marked, &bytes);
            }
        }
        Err(String::from("too many steps: ") + &self.tell_state())
    }

    fn tell_state(&self) -> String {
        let mut told = String::new();
        for end in &self.ends {
            let state = end.connection.as_ref().map(Connection::state);
            told += &std::format!("{state:?} wrote {} read {}; ", end.written, end.read);
        }
        told
    }

    fn end(self) -> Outcome<Duration> {
        for at in 0..2 {
            let (wrote, read) = (self.ends[1 - at].written, self.ends[at].read);
            require!(wrote == self.plan.writes[1 - at], "{at}: not all is written: {wrote}");
            require!(read == wrote, "{at} read {read} of {wrote}");
            // The last acknowledgements may be lost or late for as long as TIME-WAIT lasts.
            let all = self.ends[at].connection.as_ref().is_some_and(Connection::has_arrived);
            let likely = self.plan.faults[0] < 5;
            require!(all || !likely, "{at} does not know that all has arrived");
        }
        require!(self.pool.used() == 0, "{} bytes of memory are held", self.pool.used());
        Ok(self.now.saturating_duration_since(self.start))
    }
}

fn terms(plan: &Plan, at: usize) -> Terms {
    let ends: [SocketAddr; 2] = ["10.0.0.1:1", "10.0.0.2:2"].map(|it| it.parse().unwrap());
    Terms {
        local: ends[at],
        peer: ends[1 - at],
        iss: Seq(plan.seqs[at]),
        own_mss: plan.mss[at],
        own_scale: plan.scale,
        share: plan.share,
        most: plan.share,
        stamp: 7,
    }
}

/// Makes options of a SYN none, as some middleboxes do.
fn strip(bytes: &mut [u8], (sack, stamps, scale): (bool, bool, bool)) {
    let mut at = 20;
    while at + 1 < bytes.len() {
        let (kind, length) = (bytes[at], if bytes[at] == 1 { 1 } else { bytes[at + 1].into() });
        let gone = kind == 4 && sack || kind == 8 && stamps || kind == 3 && scale;
        if gone {
            bytes[at..at + length].fill(1);
        }
        at += length;
    }
}

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |it| it.parse().expect("a number"))
}

#[test]
fn every_choice_for_the_first_frames_ends_well() {
    let depth = setting("XENITH_TCP_DEPTH", 4) as u32;
    let plain = Plan::plain();
    let plans = [
        plain.clone(),
        Plan { both: true, writes: [1500, 1500], ..plain.clone() },
        Plan { writes: [0, 0], ..plain.clone() },
        Plan { writes: [0, 2500], polite: true, ..plain.clone() },
        Plan { share: 2000, reads: [(1500, ms(30)); 2], ..plain.clone() },
        Plan { strip: (true, true, true), delay: ms(0), ..plain.clone() },
        Plan { writes: [1500, 700], strip: (true, false, false), large: 9000, ..plain },
    ];
    for plan in plans {
        // The first frames, then those behind the handshake, then the later ones.
        for skip in [0, 3, 6] {
            for code in 0..4_u32.pow(depth) {
                let digits = (0..depth).map(|at| (code >> (2 * at) & 3) as u8);
                let mut list: Vec<u8> = digits.collect();
                list.extend(core::iter::repeat_n(0, skip));
                let outcome = World::new(plan.clone(), Choices::Listed(list)).run();
                assert!(outcome.is_ok(), "{outcome:?} skip {skip} code {code} {plan:?}");
            }
        }
    }
}

#[test]
fn a_bad_cable_delays_and_breaks_nothing() {
    let count = setting("XENITH_TCP_SEEDS", 120);
    let one = std::env::var("XENITH_TCP_SEED").ok().map(|it| it.parse().expect("a number"));
    let mut failed = Vec::new();
    for seed in one.map_or(0..count, |one| one..one + 1) {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let plan = Plan::random(&mut state);
        let run = || World::new(plan.clone(), Choices::Random(state)).run();
        let outcome = std::panic::catch_unwind(run).unwrap_or_else(|_| Err("panics".into()));
        if let Err(why) = outcome {
            failed.push(std::format!("seed {seed}: {why} {plan:?}"));
        }
    }
    let few = failed.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(failed.is_empty(), "{} of {count} fail:\n{few}", failed.len());
}
