//! Tables of what a connection answers: one line a case, in simulated time, without a network.
//!
//! ```text
//! before              | events                                  | after       | section
//! established         | < . 1:101 ; > . 1 ack 101               | established | 9293 3.10.7.4
//! ```
//!
//! Numbers are relative: the SYN of each side is 0, its first byte 1. Flags are tcpdump's:
//! `S` `F` `R` `P` `E` (ECE) `W` (CWR), `.` for ACK, and `-` for none. `before` is a state, and
//! words that change how it came about: `active`, `mss=N` (of the peer), `own=N`, `ws=N` (the
//! peer's), `scale=N` (ours), `win=N`, `share=N`, `nosack`, `ts`, `ecn`, `rtt=MS`, `large=N`, `v6`,
//! `pool=N`.
//!
//! | event | means |
//! |---|---|
//! | `< . 1:101 ack 1 win 9` | the peer sends that; `ack`: all that was sent, `win`: as before |
//! | `> . 1:101 ack 1` | this is sent; without `ack`, the same as in the segment before |
//! | `>@210 ...` | this is sent 210 ms after the last event, and nothing before |
//! | `>> 1:5001` | full segments, in order, all at once |
//! | `write N`, `read N`, `close`, `abort`, `wait MS` | what the app does, or nothing for so long |
//!
//! What is sent and not in the table fails a case, and so does a payload that is not the
//! stream's. Each case runs with sequence numbers that begin in different places.

extern crate std;

mod words;

use super::congestion::Cubic;
use super::connection::{Connection, Emission, Offer, State, Terms};
use super::pool::Pool;
use super::segment::{ACK, CWR, ECE, FIN, Head, Options, PSH, RST, SYN, Segment};
use super::seq::{Range, Seq};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use kernel::time::Instant;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;
use words::{Said, Setup, number, relative};

type Outcome<T = ()> = Result<T, String>;

/// Where the numbers of a case begin: ISS, IRS, this side's stamps and the peer's.
const BEGINNINGS: [(u32, u32, u32, u32); 4] = [
    (1000, 5000, 0, 0),
    (u32::MAX, u32::MAX - 50, u32::MAX - 100, u32::MAX - 100),
    (0x7fff_ff00, 0x7fff_ffff, 0x7fff_ffff, 0x7fff_ffc0),
    (0xffff_0000, 0x8000_0000, 77, 0xffff_ff90),
];

/// What each byte of a stream is, by its relative number.
fn byte(number: u32) -> u8 {
    (number ^ (number >> 8) ^ (number >> 16)) as u8
}

fn bytes(start: u32, count: usize) -> Vec<u8> {
    (0..count as u32).map(|at| byte(start.wrapping_add(at))).collect()
}

/// A connection under test, and what its peer knows.
struct Bench {
    connection: Connection<Cubic>,
    pool: Rc<Pool>,
    setup: Setup,
    start: Instant,
    now: Instant,
    /// When the last event was.
    since: Instant,
    sent: VecDeque<Emission>,
    iss: Seq,
    irs: Seq,
    stamp: u32,
    peer_stamp: u32,
    /// The end of all that was sent, the last acknowledgement, and the last stamp.
    end: Seq,
    ack: u32,
    echo: u32,
    win: u16,
    written: u32,
    read: u32,
}

/// More than that at one moment is a loop without end.
const MOST: usize = 3000;

impl Bench {
    fn new(setup: Setup, beginning: (u32, u32, u32, u32), connects: bool) -> Self {
        kernel::testing::simulate_time();
        let start = Instant::now();
        let (iss, irs, stamp, peer_stamp) = beginning;
        let ip = |last| match setup.v6 {
            true => IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last)),
            false => IpAddr::V4(Ipv4Addr::new(10, 0, 0, last as u8)),
        };
        let terms = Terms {
            local: SocketAddr::new(ip(1), 80),
            peer: SocketAddr::new(ip(2), 1000),
            iss: Seq(iss),
            own_mss: setup.own,
            own_scale: setup.scale,
            share: setup.share,
            most: setup.share,
            stamp: stamp.wrapping_sub((start.as_nanos() / 1_000_000) as u32),
        };
        let pool = Rc::new(Pool::new(setup.pool));
        let connection = if connects {
            Connection::connect(&terms, &pool, start)
        } else {
            let offer = Offer {
                irs: Seq(irs),
                mss: setup.mss,
                scale: setup.ws,
                sack: setup.sack,
                stamp: setup.ts.then_some(peer_stamp),
                ecn: setup.ecn,
                window: setup.win,
            };
            Connection::accept(&terms, &offer, Some(start), &pool, start)
        };
        Self {
            connection,
            pool,
            setup,
            start,
            now: start,
            since: start,
            sent: VecDeque::new(),
            iss: Seq(iss),
            irs: Seq(irs),
            stamp,
            peer_stamp,
            end: Seq(iss) + u32::from(!connects),
            ack: u32::from(!connects),
            echo: stamp,
            win: setup.win,
            written: 1,
            read: 1,
        }
    }

    /// Makes a connection in a state.
    fn in_state(state: &str, setup: Setup, beginning: (u32, u32, u32, u32)) -> Outcome<Self> {
        let connects = setup.active || matches!(state, "syn-sent" | "syn-received");
        let mut bench = Self::new(setup, beginning, connects);
        let rtt = Duration::from_millis(setup.rtt);
        if connects {
            bench.drain()?;
            bench.skip()?;
            if state != "syn-sent" {
                bench.now = bench.now.saturating_add(rtt);
            }
            let answer = match state {
                "syn-sent" => "",
                "syn-received" => "S 0",
                _ => "S. 0 ack 1",
            };
            if !answer.is_empty() {
                let mut said = Said::read(&answer.split(' ').collect::<Vec<_>>())?;
                said.mss = Some(setup.mss);
                said.scale = setup.ws;
                said.sack_permitted = setup.sack;
                bench.arrive(&said)?;
                bench.skip()?;
            }
        } else {
            bench.now = bench.now.saturating_add(rtt);
            bench.arrive(&Said::read(&[".", "1", "ack", "1"])?)?;
        }
        let steps = match state {
            "syn-sent" | "syn-received" | "established" => "",
            "fin-wait-1" => "close",
            "fin-wait-2" => "close ; < . 1 ack 2",
            "close-wait" => "< F. 1 ack 1",
            "closing" => "close ; < F. 1 ack 1",
            "last-ack" => "< F. 1 ack 1 ; close",
            "time-wait" => "close ; < . 1 ack 2 ; < F. 1 ack 2",
            "closed" => "< R 1",
            _ => return Err(format!("{state:?} is no state")),
        };
        for step in steps.split(" ; ").filter(|step| !step.is_empty()) {
            bench.event(step)?;
            bench.skip()?;
        }
        let is = bench.state();
        if is == state { Ok(bench) } else { Err(format!("begins in {is}")) }
    }

    /// Looks at what was sent, and asks for no more of it.
    fn skip(&mut self) -> Outcome {
        while let Some(emission) = self.sent.pop_front() {
            self.look(&emission)?;
        }
        Ok(())
    }

    /// Takes out all that is to be sent now.
    fn drain(&mut self) -> Outcome {
        for _ in 0..MOST {
            let Some(emission) = self.connection.next(self.setup.large, self.now) else {
                return self.check_timer();
            };
            self.sent.push_back(emission);
        }
        Err("sends without end at one moment".to_string())
    }

    /// What is not acknowledged has a timer that is not past.
    fn check_timer(&self) -> Outcome {
        let deadline = self.connection.deadline();
        if deadline.is_some_and(|at| at <= self.now) {
            return Err("a deadline that is past, and nothing to do".to_string());
        }
        let waits = self.connection.is_sending() && !self.connection.recovery.sent.is_empty();
        if waits && deadline.is_none() {
            return Err("no timer for what was sent".to_string());
        }
        Ok(())
    }

    fn state(&self) -> &'static str {
        match self.connection.state() {
            State::SynSent => "syn-sent",
            State::SynReceived => "syn-received",
            State::Established => "established",
            State::FinWait1 => "fin-wait-1",
            State::FinWait2 => "fin-wait-2",
            State::CloseWait => "close-wait",
            State::Closing => "closing",
            State::LastAck => "last-ack",
            State::TimeWait => "time-wait",
            State::Closed => "closed",
        }
    }

    fn own(&self, seq: Seq) -> u32 {
        seq.0.wrapping_sub(self.iss.0)
    }

    fn peers(&self, seq: Seq) -> u32 {
        seq.0.wrapping_sub(self.irs.0)
    }

    fn passed(&self, since: Instant) -> u64 {
        let passed = self.now.saturating_duration_since(since);
        (passed + Duration::from_micros(500)).as_millis() as u64
    }

    /// A segment comes from the peer.
    fn arrive(&mut self, said: &Said) -> Outcome {
        if let Some(win) = said.win {
            self.win = win;
        }
        let acks = said.flags & ACK != 0;
        let ack = match said.ack {
            Some(ack) => self.iss + ack,
            None if acks => self.end,
            None => Seq(0),
        };
        let clock = (self.now.saturating_duration_since(self.start).as_millis()) as u32;
        let stamps = match said.stamps {
            Some((value, echo)) => {
                let echo = echo.map_or(self.echo, |echo| echo.wrapping_add(self.stamp));
                Some((value.wrapping_add(self.peer_stamp), echo))
            }
            None if self.setup.ts && !said.no_stamps => {
                Some((clock.wrapping_add(self.peer_stamp), self.echo))
            }
            None => None,
        };
        let sack =
            said.sack.iter().map(|&(start, end)| Range::new(self.iss + start, self.iss + end));
        let payload = bytes(said.seq, said.length as usize);
        let segment = Segment {
            seq: self.irs + said.seq,
            ack,
            flags: said.flags,
            window: self.win,
            options: Options {
                mss: said.mss,
                scale: said.scale,
                sack_permitted: said.sack_permitted,
                stamps,
                sack: sack.collect(),
            },
            payload: &payload,
            marked: said.marked,
        };
        if self.connection.is_quiet() {
            // As the stack does: nobody is there any more.
            let head = Head::reset(&segment);
            self.sent.extend(head.map(|head| Emission {
                head,
                offset: 0,
                length: 0,
                segment: 0,
                ecn: false,
            }));
            return Ok(());
        }
        let pool = Rc::clone(&self.pool);
        self.connection.receive(&segment, &pool, self.now);
        self.drain()
    }

    /// Learns what the peer learns of a segment.
    fn look(&mut self, emission: &Emission) -> Outcome {
        let head = &emission.head;
        if head.flags & RST == 0 {
            let flags = u32::from(head.flags & SYN != 0) + u32::from(head.flags & FIN != 0);
            self.end = self.end.max(head.seq + emission.length as u32 + flags);
        }
        if head.flags & ACK != 0 {
            self.ack = self.peers(head.ack);
        }
        if let Some((value, _)) = head.options.stamps {
            self.echo = value;
        }
        Ok(())
    }

    /// Checks that a segment is as it should be.
    fn compare(&mut self, emission: &Emission, said: &Said) -> Outcome {
        let head = &emission.head;
        let told = tell(self, emission);
        let wrong = |what: &str| Err(format!("{what}: {told}"));
        let care = if said.flags & PSH == 0 { !PSH } else { !0 };
        if head.flags & care != said.flags {
            return wrong("flags");
        }
        // A reset that answers an ACK has its number, and no own.
        if self.own(head.seq) != said.seq && !(head.seq == Seq(0) && said.seq == 0) {
            return wrong("number");
        }
        if emission.length as u32 != said.length {
            return wrong("length");
        }
        if head.flags & ACK != 0 && self.peers(head.ack) != said.ack.unwrap_or(self.ack) {
            return wrong("acknowledgement");
        }
        if said.win.is_some_and(|win| win != head.window) {
            return wrong("window");
        }
        let sack: Vec<_> = head
            .options
            .sack
            .iter()
            .map(|block| (self.peers(block.start), self.peers(block.end)))
            .collect();
        if sack != said.sack {
            return wrong("SACK");
        }
        let stamped = self.setup.ts || self.connection.state() == State::SynSent;
        if head.flags & RST == 0
            && head.flags & SYN == 0
            && head.options.stamps.is_some() != stamped
        {
            return wrong("timestamps");
        }
        if let (Some((value, echo)), Some((own, other))) = (said.stamps, head.options.stamps) {
            if value != own.wrapping_sub(self.stamp) {
                return wrong("timestamp");
            }
            if echo.is_some_and(|echo| echo != other.wrapping_sub(self.peer_stamp)) {
                return wrong("echo");
            }
        }
        let of_syn = head.options.mss == said.mss
            && head.options.scale == said.scale
            && head.options.sack_permitted == said.sack_permitted;
        let silent = said.mss.is_none() && head.flags & SYN != 0;
        if !of_syn && !silent {
            return wrong("options");
        }
        if said.ect.is_some_and(|ect| ect != emission.ecn) {
            return wrong("ECT");
        }
        Ok(())
    }

    /// Takes the next segment that was sent.
    fn take(&mut self) -> Outcome<Emission> {
        let emission = self.sent.pop_front().ok_or("nothing is sent")?;
        Ok(emission)
    }

    /// Checks the payload of a segment, before the connection forgets it.
    fn check_payload(&self, emission: &Emission) -> Outcome {
        let mut payload = std::vec![0; emission.length];
        self.connection.payload(emission, &mut payload);
        if emission.length > 0 && payload != bytes(self.own(emission.head.seq), emission.length) {
            return Err(format!("payload: {}", tell(self, emission)));
        }
        Ok(())
    }

    /// Goes to the next deadline.
    fn advance(&mut self, until: Option<Instant>) -> Outcome<bool> {
        let next = self.connection.deadline();
        let Some(next) = next.filter(|next| until.is_none_or(|until| *next <= until)) else {
            return Ok(false);
        };
        self.now = next;
        self.drain()?;
        Ok(true)
    }

    fn event(&mut self, event: &str) -> Outcome {
        let words: Vec<&str> = event.split_whitespace().collect();
        let [verb, rest @ ..] = &words[..] else { return Ok(()) };
        if let Some(at) = verb.strip_prefix(">@") {
            if let Some(emission) = self.sent.front() {
                return Err(format!("sent too early: {}", tell(self, emission)));
            }
            while self.sent.is_empty() {
                if !self.advance(None)? {
                    return Err("nothing is sent, and no timer runs".to_string());
                }
            }
            let passed = self.passed(self.since);
            if passed != number::<u64>(at)? {
                let emission = self.take()?;
                return Err(format!("sent after {passed} ms: {}", tell(self, &emission)));
            }
            self.since = self.now;
        } else if !verb.starts_with('>') {
            if let Some(emission) = self.sent.front() {
                return Err(format!("sent, before {event:?}: {}", tell(self, emission)));
            }
            self.since = self.now;
        }
        let one = || rest.first().copied().ok_or("nothing behind it".to_string());
        match *verb {
            "<" => return self.arrive(&Said::read(rest)?),
            ">>" => {
                let (start, end) = one()?.split_once(':').ok_or("no range")?;
                let (mut at, end) = (relative(start)?, relative(end)?);
                while at != end {
                    let emission = self.take()?;
                    let rest = end.wrapping_sub(at);
                    let length = emission.length as u32;
                    if self.own(emission.head.seq) != at || length == 0 || length > rest {
                        return Err(format!("not in order: {}", tell(self, &emission)));
                    }
                    self.check_payload(&emission)?;
                    self.look(&emission)?;
                    at = at.wrapping_add(length);
                }
            }
            ">" => return self.expect(rest),
            verb if verb.starts_with(">@") => return self.expect(rest),
            "write" => {
                let count: usize = number(one()?)?;
                let wrote = self.connection.write(&bytes(self.written, count));
                self.written = self.written.wrapping_add(wrote as u32);
                let wanted = rest.get(1).map_or(Ok(count), |it| number(it))?;
                if wrote != wanted {
                    return Err(format!("wrote {wrote}"));
                }
            }
            "read" => {
                let count: usize = number(one()?)?;
                let mut to = std::vec![0; count + 1];
                let mut got = self.connection.peek(&mut to);
                if got >= count {
                    to.truncate(count);
                    got = self.connection.read(&mut to, self.now);
                }
                if got != count || to[..got] != bytes(self.read, count) {
                    return Err(format!("read {got}"));
                }
                self.read = self.read.wrapping_add(count as u32);
            }
            "readable" => {
                let count = self.connection.readable();
                if count != number::<usize>(one()?)? {
                    return Err(format!("{count} can be read"));
                }
            }
            "finished" | "unfinished" => {
                if self.connection.is_finished() != (*verb == "finished") {
                    return Err("the end".to_string());
                }
            }
            "arrived" | "lost" => {
                if self.connection.has_arrived() != (*verb == "arrived") {
                    return Err("whether all has arrived".to_string());
                }
            }
            "state" => {
                if self.state() != one()? {
                    return Err(format!("in {}", self.state()));
                }
            }
            "memory" => {
                if self.pool.used() != number::<usize>(one()?)? {
                    return Err(format!("{} bytes of memory", self.pool.used()));
                }
            }
            "close" => self.connection.close(),
            "abort" => self.connection.abort(),
            "nodelay" => self.connection.set_no_delay(true),
            "keepalive" => {
                let idle = Duration::from_secs(number(one()?)?);
                self.connection.set_keep_alive(Some(idle), self.now);
            }
            "usertimeout" => {
                let idle = Duration::from_secs(number(one()?)?);
                self.connection.set_user_timeout(Some(idle));
            }
            "share" => self.connection.set_share(number(one()?)?),
            "pmtu" => {
                let seq = relative(rest.get(1).ok_or("no number")?)?;
                let _ = self.connection.path_mss(number(one()?)?, self.iss + seq);
            }
            "path" => self.connection.know_path(number(one()?)?),
            "gives" => {
                let seq = self.irs + relative(one()?)?;
                let stamp = rest.get(2).copied().map(relative).transpose()?;
                let stamp = stamp.map(|it| it.wrapping_add(self.peer_stamp));
                let gives = self.connection.rest().is_some_and(|it| it.gives_way_to(seq, stamp));
                if rest.get(1) != Some(&if gives { "way" } else { "none" }) {
                    return Err(format!("gives way: {gives}"));
                }
            }
            "wait" => {
                let until = self.now.saturating_add(Duration::from_millis(number(one()?)?));
                while self.sent.is_empty() && self.advance(Some(until))? {}
                if self.sent.is_empty() {
                    self.now = until;
                } else {
                    let passed = self.passed(self.since);
                    let emission = self.take()?;
                    return Err(format!("sent after {passed} ms: {}", tell(self, &emission)));
                }
            }
            _ => return Err(format!("{verb:?} is not known")),
        }
        self.drain()
    }

    fn expect(&mut self, words: &[&str]) -> Outcome {
        let said = Said::read(words)?;
        let emission = self.take()?;
        self.check_payload(&emission)?;
        self.compare(&emission, &said)?;
        self.look(&emission)
    }
}

/// Says what a segment is, as tables do.
fn tell(bench: &Bench, emission: &Emission) -> String {
    let head = &emission.head;
    let names = [(SYN, 'S'), (FIN, 'F'), (RST, 'R'), (PSH, 'P'), (ECE, 'E'), (CWR, 'W')];
    let mut flags: String = names
        .into_iter()
        .filter(|(flag, _)| head.flags & flag != 0)
        .map(|(_, name)| name)
        .collect();
    if head.flags & ACK != 0 {
        flags.push('.');
    }
    let seq = bench.own(head.seq).cast_signed();
    let mut told = format!("> {flags} {seq}:{}", seq.wrapping_add(emission.length as i32));
    if head.flags & ACK != 0 {
        told += &format!(" ack {}", bench.peers(head.ack).cast_signed());
    }
    told += &format!(" win {}", head.window);
    if let Some((value, echo)) = head.options.stamps {
        let value = value.wrapping_sub(bench.stamp).cast_signed();
        told += &format!(" ts {value}/{}", echo.wrapping_sub(bench.peer_stamp).cast_signed());
    }
    for block in &head.options.sack {
        told += &format!(" sack {}:{}", bench.peers(block.start), bench.peers(block.end));
    }
    if let Some(mss) = head.options.mss {
        told += &format!(" mss {mss}");
    }
    told
}

/// Runs a line of a table.
fn run(line: &str, beginning: (u32, u32, u32, u32)) -> Outcome {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let [before, events, after, _section] = columns[..] else {
        return Err("not four columns".to_string());
    };
    let words: Vec<&str> = before.split_whitespace().collect();
    let (state, words) = words.split_first().ok_or("no state")?;
    let mut bench = Bench::in_state(state, Setup::read(words)?, beginning)?;
    for event in events.split(';').map(str::trim) {
        bench.event(event).map_err(|why| format!("{event:?}: {why}"))?;
    }
    if let Some(emission) = bench.sent.front() {
        return Err(format!("sent in the end: {}", tell(&bench, emission)));
    }
    if bench.state() != after {
        return Err(format!("ends in {}", bench.state()));
    }
    let pool = Rc::clone(&bench.pool);
    drop(bench);
    if pool.used() > 0 { Err("memory is not given back".to_string()) } else { Ok(()) }
}

/// Runs a table, and names each line that fails.
fn check(name: &str, table: &str) -> usize {
    let mut failed = Vec::new();
    let mut count = 0;
    for (at, line) in table.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        count += 1;
        for beginning in BEGINNINGS {
            let outcome = std::panic::catch_unwind(|| run(line, beginning));
            let outcome = outcome.unwrap_or_else(|_| Err("panics".to_string()));
            if let Err(why) = outcome {
                failed.push(format!("{name}:{} {line}\n    {why} {beginning:?}", at + 1));
                break;
            }
        }
    }
    assert!(failed.is_empty(), "{} of {count} fail\n{}", failed.len(), failed.join("\n"));
    count
}

/// The tables, each with the mechanisms that it is about.
const TABLES: [(&str, &str); 2] =
    [("states", include_str!("states.txt")), ("mechanisms", include_str!("mechanisms.txt"))];

#[test]
fn every_line_of_the_tables_holds() {
    let count: usize = TABLES.iter().map(|(name, table)| check(name, table)).sum();
    assert!(count >= 500, "{count}");
}
