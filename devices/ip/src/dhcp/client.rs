//! The client (RFC 2131, section 4.4): what it asks when, and what it makes of answers.
//!
//! It touches neither an interface nor a clock: [`Client::hear`] takes what arrived,
//! [`Client::turn`] gives what is due, and [`Client::lease`] is what came of it.
//!
//! It is no crate's: `edge-dhcp` takes padding for an option, `dhcproto` brings a DNS library, and
//! both leave what a server may not say to their users, which is most of what is here.
//!
//! Whatever servers say, what they cause is bounded by time: a question that is
//! repeated, a refusal and a lease each have a least wait, and lines of the log stand at
//! these waits alone (rules T5 and K3).

use super::flaw::Flaw;
use super::format::{Answer, Kind, Question, SHORTEST};
use super::terms::{self, Lease, Terms};
use super::{CLIENT, Notice, SERVER, random_below};
use crate::packet;
use alloc::rc::Rc;
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use devices::net::{HEADER, Mac};
use kernel::time::Instant;

/// Waits for an answer, each of which may be a second shorter or longer (section 4.1).
const WAITS: [u64; 5] = [4, 8, 16, 32, 64];

/// At the longest wait, only every so many lines are logged.
const RARELY: u32 = 10;

/// How often an offer is accepted before another one is looked for: for a minute (section
/// 3.1, step 5).
const REQUESTS: u32 = 4;

/// The least wait after a refusal, in seconds, and the longest; each is twice the last.
const REST: u64 = 10;
const LONGEST_REST: u64 = 320;

/// The least wait between requests to keep an address (section 4.4.5).
const RENEWAL: Duration = Duration::from_secs(60);

/// The options that servers are asked for; routes before routers, as RFC 3442 wants it.
const WANTED: [u8; 8] = [121, 1, 3, 6, 51, 54, 58, 59];

/// The longest message that it takes, a frame of Ethernet's (RFC 2132, section 9.10).
const LONGEST: u16 = 1500;

/// What it is about.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// It was refused, and waits before it asks anew.
    Resting,
    /// It looks for servers. An offer of one that was no good before waits for better ones.
    Selecting(Option<Terms>),
    /// It accepted an offer.
    Requesting(Terms),
    /// It has a lease.
    Bound,
    /// It asks the server that gave it for more time.
    Renewing,
    /// It asks all servers for that.
    Rebinding,
    /// It asks all servers whether its lease holds here.
    Rebooting,
}

/// What it has.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) lease: Lease,
    pub(super) server: Ipv4Addr,
    /// Where the server's answers come from: itself, or the router on the way to it.
    pub(super) way: Mac,
    /// When it ends, and from when to ask for more; nothing when it is for ever.
    pub(super) times: Option<Times>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) end: Instant,
    pub(super) renew: Instant,
    pub(super) rebind: Instant,
}

/// What an answer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is none, or comes when nothing was asked.
    Nothing,
    /// It cannot be used.
    Flawed(Flaw),
    /// It is an offer that waits for a better one.
    Kept,
    /// It is an offer, and is accepted.
    Offer,
    /// There is a lease, or more time.
    Lease,
    /// What there was, or was offered, is refused.
    Refusal,
}

/// What is to be sent, from [`from`](Self::from)'s port 68 to [`to`](Self::to)'s port 67.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sending {
    pub(crate) from: Ipv4Addr,
    pub(crate) to: Ipv4Addr,
    /// The Ethernet address of the next machine on the way.
    pub(crate) way: Mac,
    pub(crate) message: [u8; SHORTEST],
}

/// The bytes of a frame before a message.
const BEFORE: usize = HEADER + 20 + 8;

impl Sending {
    /// The frame that `mac` sends, without the checksum of UDP.
    pub(crate) fn frame(&self, mac: Mac) -> [u8; BEFORE + SHORTEST] {
        let mut frame = [0; BEFORE + SHORTEST];
        let header = packet::header(self.way, mac, true);
        let [from, to] = [(self.from, CLIENT), (self.to, SERVER)].map(SocketAddr::from);
        packet::datagram(&mut frame, header, from, to, &self.message);
        frame
    }
}

/// A client on one interface.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// What its lines begin with.
    name: Rc<str>,
    mac: Mac,
    pub(super) state: State,
    xid: u32,
    /// When it began to look for an address, or for more time.
    begun: Instant,
    /// Seconds since then, as they were last said.
    seconds: u16,
    /// When it last asked, and how often since the state is what it is.
    asked: Instant,
    asks: u32,
    /// When it is to do something; nothing with a lease that is for ever.
    pub(super) until: Option<Instant>,
    pub(super) held: Option<Held>,
    /// A server that did not keep its word.
    avoided: Option<Ipv4Addr>,
    /// What was wrong with the last answer, and who sent it.
    complaint: Option<(Ipv4Addr, Flaw)>,
    /// Refusals since a lease was last prolonged.
    refusals: u32,
    /// The lease, or that there is none, is news.
    pub(super) news: bool,
}

/// The wait for the answer to what is asked for the time `asks`, beginning with 0.
fn patience(asks: u32) -> Duration {
    let wait = WAITS.get(asks as usize).or(WAITS.last()).copied().unwrap_or_default();
    Duration::from_secs(wait - 1) + Duration::from_millis(random_below(2001))
}

impl Client {
    /// A client that asks at once, rather than after up to 10 s (section 4.4.1): guests do
    /// not all start with the power, and wait for nothing else.
    pub(crate) fn new(name: Rc<str>, mac: Mac, now: Instant) -> Self {
        let mut client = Self {
            name,
            mac,
            state: State::Selecting(None),
            xid: 0,
            begun: now,
            seconds: 0,
            asked: now,
            asks: 0,
            until: Some(now),
            held: None,
            avoided: None,
            complaint: None,
            refusals: 0,
            news: false,
        };
        client.begin(now);
        client
    }

    /// Looks for servers, from the beginning.
    fn begin(&mut self, now: Instant) {
        self.xid = random_below(1 << 32) as u32;
        self.state = State::Selecting(None);
        (self.begun, self.asks, self.until) = (now, 0, Some(now));
    }

    /// The interface is another one, or the same anew: a search begins again at once. This may be
    /// another network, so that somebody is asked whether the lease still holds; until he answers, it
    /// does (RFC 2131, section 3.7).
    pub(crate) fn reconnected(&mut self, mac: Mac, now: Instant) {
        if self.mac != mac {
            // A lease is for the address that it was given to.
            self.mac = mac;
            self.lose();
        }
        self.begin(now);
        if self.held.is_some() {
            self.state = State::Rebooting;
        }
    }

    /// What it has now.
    pub(crate) fn lease(&self) -> Option<&Lease> {
        self.held.as_ref().map(|it| &it.lease)
    }

    /// Whether the lease is another one than when this was last asked.
    pub(crate) const fn news(&mut self) -> bool {
        core::mem::replace(&mut self.news, false)
    }

    /// When there is something to do.
    pub(crate) const fn next(&self) -> Option<Instant> {
        self.until
    }

    fn lose(&mut self) {
        self.news |= self.held.take().is_some();
    }

    /// Takes in a message, which came from the address `source` through the machine `way`.
    pub(crate) fn hear(
        &mut self,
        message: &[u8],
        source: Ipv4Addr,
        way: Mac,
        now: Instant,
    ) -> Heard {
        let heard = match Answer::read(message, self.xid, self.mac) {
            Ok(answer) => self.take(&answer, way, now),
            Err(None) => Heard::Nothing,
            Err(Some(flaw)) => Heard::Flawed(flaw),
        };
        if let Heard::Flawed(flaw) = heard {
            self.complaint = Some((source, flaw));
        }
        heard
    }

    fn take(&mut self, answer: &Answer<'_>, way: Mac, now: Instant) -> Heard {
        // The server that was asked, if one was, and the address.
        let (asked, wanted) = match (&self.state, &self.held) {
            (State::Resting | State::Bound, _) => return Heard::Nothing,
            (State::Selecting(_), _) if answer.kind != Kind::Offer => return Heard::Nothing,
            (State::Selecting(_), _) => return self.consider(answer, now),
            _ if answer.kind == Kind::Offer => return Heard::Nothing,
            (State::Requesting(terms), _) => (Some(terms.server), terms.lease.address),
            (State::Renewing, Some(held)) => (Some(held.server), held.lease.address),
            (State::Rebinding | State::Rebooting, Some(held)) => (None, held.lease.address),
            _ => return Heard::Nothing,
        };
        let server = match terms::server(answer) {
            Ok(server) => server,
            Err(flaw) => return Heard::Flawed(flaw),
        };
        if asked.is_some_and(|it| it != server) {
            return Heard::Flawed(Flaw::Stranger);
        }
        if answer.kind == Kind::Nak {
            if matches!(self.state, State::Rebooting) {
                // It is of another network.
                self.lose();
                self.begin(now);
            } else {
                self.refused(server, now);
            }
            return Heard::Refusal;
        }
        match Terms::read(answer) {
            Err(flaw) => Heard::Flawed(flaw),
            Ok(terms) if terms.lease.address != wanted => {
                Heard::Flawed(Flaw::Other(terms.lease.address))
            }
            Ok(terms) => {
                self.bind(terms, way);
                Heard::Lease
            }
        }
    }

    /// Judges an offer.
    fn consider(&mut self, answer: &Answer<'_>, now: Instant) -> Heard {
        let terms = match Terms::read(answer) {
            Ok(terms) => terms,
            Err(flaw) => return Heard::Flawed(flaw),
        };
        if self.avoided == Some(terms.server) {
            self.state = State::Selecting(Some(terms));
            return Heard::Kept;
        }
        self.accept(terms, now);
        Heard::Offer
    }

    fn accept(&mut self, terms: Terms, now: Instant) {
        self.state = State::Requesting(terms);
        (self.asks, self.until) = (0, Some(now));
    }

    fn refused(&mut self, server: Ipv4Addr, now: Instant) {
        let rest = (REST << self.refusals.min(8)).min(LONGEST_REST);
        self.refusals += 1;
        self.avoided = Some(server);
        Notice::Refused(server, rest).log(&self.name);
        self.lose();
        self.state = State::Resting;
        self.until = Some(now.saturating_add(Duration::from_secs(rest)));
    }

    /// There is a lease, from when it was asked for.
    fn bind(&mut self, terms: Terms, way: Mac) {
        let after = |seconds: u32| self.asked.saturating_add(Duration::from_secs(seconds.into()));
        let times = terms.times.map(|[end, renew, rebind]| Times {
            end: after(end),
            renew: after(renew),
            rebind: after(rebind),
        });
        let Terms { lease, server, by_class, .. } = terms;
        let old = self.held.replace(Held { lease: lease.clone(), server, way, times });
        if old.is_some() {
            self.refusals = 0;
        }
        if old.is_none_or(|old| old.lease != lease) {
            self.news = true;
            Notice::Lease(&lease, by_class).log(&self.name);
        }
        (self.avoided, self.complaint) = (None, None);
        self.state = State::Bound;
        self.until = times.map(|it| it.renew);
    }

    /// Gives what is due now.
    pub(crate) fn turn(&mut self, now: Instant) -> Option<Sending> {
        if self.until? > now {
            return None;
        }
        if matches!(self.state, State::Bound) {
            self.xid = random_below(1 << 32) as u32;
            self.begun = now;
        }
        match core::mem::replace(&mut self.state, State::Resting) {
            State::Resting => {
                self.begin(now);
                Some(self.discover(now))
            }
            State::Selecting(Some(terms)) => {
                self.accept(terms, now);
                self.turn(now)
            }
            State::Selecting(None) => {
                self.state = State::Selecting(None);
                Some(self.discover(now))
            }
            State::Requesting(terms) if self.asks >= REQUESTS => {
                self.avoided = Some(terms.server);
                self.complaint = self.complaint.or(Some((terms.server, Flaw::Silent)));
                self.complain(WAITS[0]);
                self.begin(now);
                Some(self.discover(now))
            }
            State::Requesting(terms) => {
                let sending = self.request(&terms, now);
                self.state = State::Requesting(terms);
                Some(sending)
            }
            State::Rebooting if self.asks < REQUESTS && !self.is_over(now) => {
                self.state = State::Rebooting;
                Some(self.confirm(now))
            }
            State::Rebooting => {
                // Nobody says that it does not hold.
                self.state = State::Bound;
                self.until = self.held.as_ref()?.times.map(|it| it.renew);
                self.turn(now)
            }
            State::Bound | State::Renewing | State::Rebinding => self.prolong(now),
        }
    }

    /// Says what is wrong.
    fn complain(&mut self, wait: u64) {
        Notice::Again(self.complaint.take(), wait).log(&self.name);
    }

    /// The next search for servers.
    fn discover(&mut self, now: Instant) -> Sending {
        let wait = WAITS.get(self.asks as usize).or(WAITS.last()).copied().unwrap_or_default();
        let often = (self.asks as usize) < WAITS.len() - 1 || self.asks.is_multiple_of(RARELY);
        if self.asks > 0 && often {
            self.complain(wait);
        }
        let question = self.question(Kind::Discover, Ipv4Addr::UNSPECIFIED, now);
        self.until = Some(now.saturating_add(patience(self.asks)));
        self.asks = self.asks.saturating_add(1);
        send(question, None)
    }

    /// The next acceptance of an offer.
    fn request(&mut self, terms: &Terms, now: Instant) -> Sending {
        let mut question = self.question(Kind::Request, Ipv4Addr::UNSPECIFIED, now);
        question.option(50, &terms.lease.address.octets());
        question.option(54, &terms.server.octets());
        self.until = Some(now.saturating_add(patience(self.asks)));
        self.asks += 1;
        send(question, None)
    }

    /// Whether the lease has ended.
    fn is_over(&self, now: Instant) -> bool {
        let times = self.held.as_ref().and_then(|it| it.times);
        times.is_some_and(|it| it.end <= now)
    }

    /// The next question whether the lease still holds.
    fn confirm(&mut self, now: Instant) -> Sending {
        let mut question = self.question(Kind::Request, Ipv4Addr::UNSPECIFIED, now);
        if let Some(held) = &self.held {
            question.option(50, &held.lease.address.octets());
        }
        let until = now.saturating_add(patience(self.asks));
        let end = self.held.as_ref().and_then(|it| it.times).map_or(until, |it| it.end);
        self.until = Some(until.min(end));
        self.asks += 1;
        send(question, None)
    }

    /// The next request for more time, or the search that follows a lease.
    fn prolong(&mut self, now: Instant) -> Option<Sending> {
        let held = self.held.as_ref()?;
        let Times { end, rebind, .. } = held.times?;
        if end <= now {
            Notice::Over(self.complaint.take()).log(&self.name);
            self.lose();
            self.begin(now);
            return Some(self.discover(now));
        }
        let (state, next) =
            if rebind <= now { (State::Rebinding, end) } else { (State::Renewing, rebind) };
        let (address, server, way) = (held.lease.address, held.server, held.way);
        let question = self.question(Kind::Request, address, now);
        let rest = next.saturating_duration_since(now);
        // Half of what is left, but all of it when that is short.
        let wait = (rest / 2).max(RENEWAL).min(rest);
        self.until = Some(now.saturating_add(wait));
        let near = matches!(state, State::Renewing).then_some((address, server, way));
        self.state = state;
        Some(send(question, near.or(Some((address, Ipv4Addr::BROADCAST, ALL)))))
    }

    fn question(&mut self, kind: Kind, own: Ipv4Addr, now: Instant) -> Question {
        // Who accepts an offer says what it said when it looked for one (RFC 2131, section 3.1).
        if kind == Kind::Discover || !own.is_unspecified() {
            let seconds = now.saturating_duration_since(self.begun).as_secs();
            self.seconds = u16::try_from(seconds).unwrap_or(u16::MAX);
        }
        self.asked = now;
        let mut question = Question::new(kind, self.xid, self.mac, own, self.seconds);
        let [a, b, c, d, e, f] = self.mac.0;
        // By what it is known: Ethernet, and its address there.
        question.option(61, &[1, a, b, c, d, e, f]);
        question.option(57, &LONGEST.to_be_bytes());
        question.option(55, &WANTED);
        question
    }
}

/// The Ethernet address of all.
const ALL: Mac = Mac([0xff; 6]);

/// A question from nobody to all, or from and to these.
fn send(question: Question, way: Option<(Ipv4Addr, Ipv4Addr, Mac)>) -> Sending {
    let nobody = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, ALL);
    let (from, to, way) = way.unwrap_or(nobody);
    Sending { from, to, way, message: question.finish() }
}
