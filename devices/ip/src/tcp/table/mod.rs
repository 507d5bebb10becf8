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

mod emissions;
mod events;
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
use emissions::tell;
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
    /// What comes next is put where it belongs before it is looked at.
    apart: bool,
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
        let mut connection = Connection::connect(&terms, &pool, start);
        if !connects {
            let offer = Offer {
                irs: Seq(irs),
                mss: setup.mss,
                scale: setup.ws,
                sack: setup.sack,
                stamp: setup.ts.then_some(peer_stamp),
                ecn: setup.ecn,
                window: setup.win,
            };
            connection.accept(&offer, Some(start), &pool, start);
        }
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
            apart: false,
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
            staged: 0,
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
        super::tests::arrive(&mut self.connection, segment, self.apart, &pool, self.now);
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
}

/// Runs a line of a table.
fn run(line: &str, beginning: (u32, u32, u32, u32), apart: bool) -> Outcome {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let [before, events, after, _section] = columns[..] else {
        return Err("not four columns".to_string());
    };
    let words: Vec<&str> = before.split_whitespace().collect();
    let (state, words) = words.split_first().ok_or("no state")?;
    let mut bench = Bench::in_state(state, Setup::read(words)?, beginning)?;
    bench.apart = apart;
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
        for (beginning, apart) in BEGINNINGS.into_iter().flat_map(|it| [(it, false), (it, true)]) {
            let outcome = std::panic::catch_unwind(|| run(line, beginning, apart));
            let outcome = outcome.unwrap_or_else(|_| Err("panics".to_string()));
            if let Err(why) = outcome {
                failed.push(format!(
                    "{name}:{} {line}\n    {why} {beginning:?} apart: {apart}",
                    at + 1
                ));
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
