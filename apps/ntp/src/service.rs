//! Asks time servers for as long as the app runs.

use crate::packet::{Answer, LENGTH, judge, question};
use crate::vote::{Sample, vote};
use alloc::boxed::Box;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use xenith::args::{self, Args, Argument, Reason, Value};
use xenith::ip::{Error, Resolve, Service, Socket, Udp, any};
use xenith::task::{join_array, select, spawn};
use xenith::time::{Instant, sleep, timeout, wall_clock};
use xenith::{clock, entropy, suspend};

/// The port of NTP.
const PORT: u16 = 123;

/// The most servers that are asked.
const MOST: usize = 8;

/// How long the search for an address may take: one name server is asked twice within, or three
/// once.
const SEARCH: Duration = Duration::from_secs(10);

/// How long answers may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The time between questions: from the first to the last, twice as long each time. RFC 4330 wants
/// at least 15 s (rule T5).
const POLL: [Duration; 2] = [Duration::from_secs(64), Duration::from_secs(1024)];

/// The time until the next question after one that was not answered, as at the beginning; twice as
/// long each time as well.
const AGAIN: Duration = Duration::from_secs(16);

/// A correction of more than this is told.
const NOTABLE: Duration = Duration::from_millis(500);

/// Is the service that sets the clock by the servers of the argument `ntp=`.
#[derive(Clone, Copy, Debug)]
pub struct Ntp;

/// Names time servers, with commas between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Servers(&'static str);

impl Servers {
    fn names(self) -> impl Iterator<Item = &'static str> {
        self.0.split(',')
    }
}

impl Value for Servers {
    const KIND: &'static str = "list of up to 8 names or addresses, separated by commas";

    fn parse(text: &'static str) -> Result<Self, Reason> {
        let servers = Self(text);
        let fits = servers.names().count() <= MOST && servers.names().all(|it| !it.is_empty());
        if fits { Ok(servers) } else { Err(Reason::NotOfKind) }
    }
}

impl<I: Udp + Resolve + Clone + 'static> Service<I> for Ntp {
    const ARGUMENTS: &'static [Argument] = &[Argument {
        name: "ntp",
        kind: <Option<Servers> as Value>::KIND,
        default: <Option<Servers> as Value>::ABSENT,
        help: &["Servers by which the clock is set; without any it is the host's."],
    }];

    type Settings = Option<Servers>;

    fn configure(args: &mut Args) -> Result<Self::Settings, args::Error> {
        args.take("ntp", None)
    }

    fn start(ip: &I, servers: Self::Settings) {
        let Some(servers) = servers else { return };
        spawn(follow(ip.clone(), servers)).detach();
    }
}

/// Keeps the clock right.
async fn follow<I: Udp + Resolve>(ip: I, servers: Servers) {
    let mut denied = heapless::Vec::new();
    let (mut wait, mut again) = (POLL[0], AGAIN);
    let (mut told, mut resumed) = (None, suspend::resumed());
    loop {
        let generation = suspend::generation();
        let round = round(&ip, servers, &mut denied).await;
        // The clock stood still while the machine was saved, nobody knows for how long: what was
        // heard before is too old by that, and all are asked again.
        if generation != suspend::generation() {
            resumed.next().await;
            continue;
        }
        if let Ok(Round { time: Some((wall, at)), .. }) = round {
            set(wall.saturating_add(at.elapsed()));
        }
        // Who wants to be asked less often wants it from then on.
        if matches!(round, Ok(Round { less: true, .. })) {
            (wait, again) = (POLL[1], POLL[1]);
        }
        let longer = |wait: &mut Duration| core::mem::replace(wait, (*wait * 2).min(POLL[1]));
        let next = match &round {
            Ok(Round { count: 1.., less, .. }) => {
                again = if *less { again } else { AGAIN };
                longer(&mut wait)
            }
            // Their names may lead to others by then.
            Err(Failure::Denied) => POLL[1],
            _ => longer(&mut again),
        };
        // What is said each time is said once.
        if told != Some(round.clone().map(|it| it.count)) {
            match &round {
                Ok(Round { count: 0, of, .. }) => {
                    log::warn!("no time: {of} servers answer, of which most have to agree");
                }
                Ok(Round { count, of, .. }) => {
                    log::info!("the time is that of {count} of {of} servers");
                }
                Err(error) => log::warn!("no time: {error}"),
            }
        }
        told = Some(round.clone().map(|it| it.count));
        // Another domain has another clock.
        select(sleep(next), resumed.next()).await;
    }
}

/// Why nobody is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    Ip(Error),
    /// None of the servers wants to be.
    Denied,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ip(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(error) => error.fmt(f),
            Self::Denied => f.write_str("all servers refuse to be asked: name others by ntp="),
        }
    }
}

/// What became of asking everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Round {
    /// How many agreed, by which the clock is set, of how many that answered.
    count: usize,
    of: usize,
    /// What they say, and of when.
    time: Option<(Duration, Instant)>,
    /// Whether one wants to be asked less often.
    less: bool,
}

/// A question that is under way.
struct Asked {
    server: SocketAddr,
    nonce: u64,
    sent: Instant,
}

/// Asks all servers once.
async fn round<I: Udp + Resolve>(
    ip: &I,
    servers: Servers,
    denied: &mut heapless::Vec<SocketAddr, MOST>,
) -> Result<Round, Failure> {
    let mut asked = heapless::Vec::<Asked, MOST>::new();
    let (socket, mut last) = (ip.bind(any(0)).await?, Failure::Ip(Error::NoSuchName));
    // An answer counts by when it is taken from the socket, so no search may come between.
    let found = find(ip, servers).await;
    let begun = Instant::now();
    for server in found.into_iter().flatten() {
        let question = match server {
            Ok(server) => ask::<I>(&socket, server, denied).await,
            Err(error) => Err(error),
        };
        match question {
            Ok(Some(question)) => drop(asked.push(question)),
            Ok(None) => last = Failure::Denied,
            Err(error) => last = error.into(),
        }
    }
    if asked.is_empty() {
        return Err(last);
    }
    let mut samples = heapless::Vec::<Sample, MOST>::new();
    let mut less = false;
    let answers = async {
        let mut bytes = [0; 2 * LENGTH];
        while !asked.is_empty() {
            let (length, from) = socket.recv_from(&mut bytes).await?;
            let Some(at) = asked.iter().position(|it| it.server == from) else { continue };
            let Asked { nonce, sent, .. } = asked[at];
            let Some(answer) = judge(&bytes[..length], nonce, sent.elapsed()) else { continue };
            asked.swap_remove(at);
            match answer {
                Answer::Time { wall, distance } => {
                    let sample = Sample { wall: wall.saturating_sub(begun.elapsed()), distance };
                    let _ = samples.push(sample);
                }
                Answer::Denied => drop(denied.push(from)),
                Answer::Less => less = true,
            }
        }
        Ok::<_, Error>(())
    };
    if let Ok(Err(error)) = timeout(PATIENCE, answers).await {
        return Err(Failure::Ip(error));
    }
    let of = samples.len();
    let vote = vote(&samples);
    let time = vote.map(|(sample, _)| (sample.wall, begun));
    Ok(Round { count: vote.map_or(0, |(_, count)| count), of, time, less })
}

/// Sets the clock, and tells of it where that matters.
fn set(wall: Duration) {
    let old = wall_clock();
    clock::set(wall);
    let off = old.abs_diff(wall);
    if off > NOTABLE {
        let way = if old > wall { "ahead" } else { "behind" };
        log::info!("the clock was {}.{:03} s {way}", off.as_secs(), off.subsec_millis());
    }
}

/// Finds an address of each server, of all side by side.
async fn find<I: Resolve>(ip: &I, servers: Servers) -> [Option<Result<SocketAddr, Error>>; MOST] {
    let mut names = servers.names();
    let searches = [(); MOST].map(|()| {
        let name = names.next();
        async move {
            // On the heap: it is large, and there for a moment of each round.
            let found = timeout(SEARCH, Box::pin(ip.resolve(name?))).await;
            let found = found.unwrap_or(Err(Error::TimedOut));
            let first = found.and_then(|it| it.first().copied().ok_or(Error::NoSuchName));
            Some(first.map(|it: IpAddr| SocketAddr::new(it, PORT)))
        }
    });
    join_array(searches).await
}

/// Asks a server; `None` if it does not want to be.
async fn ask<I: Udp>(
    socket: &I::Socket,
    server: SocketAddr,
    denied: &[SocketAddr],
) -> Result<Option<Asked>, Error> {
    if denied.contains(&server) {
        return Ok(None);
    }
    let nonce = entropy::next_u64().map_err(|_| Error::NoEntropy)?;
    let sent = Instant::now();
    socket.send_to(&question(nonce), server).await?;
    Ok(Some(Asked { server, nonce, sent }))
}
