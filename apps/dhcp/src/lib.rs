//! Gives addresses to the machines of one network (DHCPv4: RFC 2131, RFC 2132).
//!
//! Leases are kept in memory alone. A server that was started anew lets who renews or
//! comes back keep its address, if it is of the pool and nobody else's. Relays are not
//! answered, and whether somebody uses an address unasked is left to the clients, which
//! look for that and decline it.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod message;
mod pool;
#[cfg(test)]
mod tests;

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use message::{Answer, Question};
use pool::Pool;
use xenith::Exit;
use xenith::exit::usage;
use xenith::ip::config::{Ipv4, Settings};
use xenith::ip::dhcp::{CLIENT, Kind, SERVER};
use xenith::ip::{Error, Socket, Stack, Udp, any};
use xenith::net::Net;
use xenith::println;
use xenith::task::{Either, select};
use xenith::text::Escaped;
use xenith::time::Instant;

/// The longest question that is read whole.
const LONGEST: usize = 1500;

/// The shortest lease: less would be all talk.
const SHORTEST: u32 = 10;

/// Lines about clients in ten seconds; anybody can cause them (rule K3).
const LINES: u32 = 20;

/// Which argument makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Ip,
    Pool,
    Gateway,
    Dns,
    Domain,
    Lease,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip => "argument ip takes the server's own address, such as 10.0.1.1/24",
            Self::Pool => {
                "argument pool takes up to 4096 addresses of the server's network, first and \
                 last, such as 10.0.1.100-10.0.1.199"
            }
            Self::Gateway => "argument gateway takes an address of the server's network",
            Self::Dns => {
                "argument dns takes up to 4 IPv4 addresses separated by commas, such as \
                 10.0.1.1,10.0.1.9"
            }
            Self::Domain => "argument domain takes a name of up to 64 letters, digits, - and .",
            Self::Lease => "argument lease takes 10 to 4294967295 seconds",
        })
    }
}

/// The arguments.
#[derive(Clone, Copy, Debug)]
pub struct Args {
    /// The server's own address and the length of its network's prefix: `10.0.1.1/24`.
    pub ip: &'static str,
    /// The range of addresses to lease, first and last: `10.0.1.100-10.0.1.199`, at most 4096.
    pub pool: &'static str,
    /// The default router of clients (option 3).
    pub gateway: Option<Ipv4Addr>,
    /// The name servers of clients, up to 4, separated by commas (option 6).
    pub dns: Option<&'static str>,
    /// The domain name of clients (option 15).
    pub domain: Option<&'static str>,
    /// How long an address is leased for, in whole seconds, from 10 on (option 51).
    pub lease: Duration,
}

/// What clients are told besides their address.
struct Config {
    own: Ipv4Addr,
    bits: u8,
    gateway: Option<Ipv4Addr>,
    /// As they stand in messages.
    dns: heapless::Vec<u8, 16>,
    domain: heapless::Vec<u8, 64>,
    lease: u32,
}

impl Config {
    fn mask(&self) -> u32 {
        // There are 30 bits at most.
        !(u32::MAX >> self.bits)
    }

    fn is_near(&self, address: Ipv4Addr) -> bool {
        (address.to_bits() ^ self.own.to_bits()) & self.mask() == 0
    }

    /// Whether a machine of this network may have `address`.
    fn is_host(&self, address: Ipv4Addr) -> bool {
        let part = address.to_bits() & !self.mask();
        self.is_near(address) && part != 0 && part != !self.mask()
    }

    /// Takes the arguments apart.
    fn read(args: &Args) -> Result<(Self, Pool), Wrong> {
        let Args { ip, pool, gateway, dns, domain, lease } = *args;
        let lease = u32::try_from(lease.as_secs()).map_err(|_| Wrong::Lease)?;
        let (own, bits) = pair(ip, b'/').ok_or(Wrong::Ip)?;
        let bits = Some(bits).filter(|bits| !bits.starts_with('+'));
        let (own, bits) = (own.parse().ok(), bits.and_then(|bits| bits.parse().ok()));
        let own: Ipv4Addr = own.ok_or(Wrong::Ip)?;
        let bits = bits.filter(|bits| (1..=30).contains(bits)).ok_or(Wrong::Ip)?;
        let mut config = Self {
            own,
            bits,
            gateway: None,
            dns: heapless::Vec::new(),
            domain: heapless::Vec::new(),
            lease,
        };
        let odd = own.is_loopback() || own.is_multicast() || own.octets()[0] == 0;
        if odd || !config.is_host(own) {
            return Err(Wrong::Ip);
        }
        let (first, last) = pair(pool, b'-').ok_or(Wrong::Pool)?;
        let host = |text: &str| text.parse().ok().filter(|&it| config.is_host(it));
        let (first, last) = (host(first).ok_or(Wrong::Pool)?, host(last).ok_or(Wrong::Pool)?);
        let pool = Pool::new(first, last, own).ok_or(Wrong::Pool)?;
        if gateway.is_some_and(|gateway| !config.is_host(gateway)) {
            return Err(Wrong::Gateway);
        }
        config.gateway = gateway;
        for server in dns.iter().flat_map(|dns| dns.as_bytes().split(|&byte| byte == b',')) {
            let server = core::str::from_utf8(server).ok().and_then(|it| it.parse().ok());
            let server: Ipv4Addr = server.ok_or(Wrong::Dns)?;
            config.dns.extend_from_slice(&server.octets()).map_err(|_| Wrong::Dns)?;
        }
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        let domain = domain.unwrap_or_default();
        if !domain.bytes().all(good) {
            return Err(Wrong::Domain);
        }
        config.domain.extend_from_slice(domain.as_bytes()).map_err(|_| Wrong::Domain)?;
        if lease < SHORTEST {
            return Err(Wrong::Lease);
        }
        Ok((config, pool))
    }
}

/// What stands before and behind the only `at`.
fn pair(text: &str, at: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == at)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Bounds the lines about clients.
struct Lines {
    since: Instant,
    count: u32,
}

impl Lines {
    fn say(&mut self, now: Instant, text: fmt::Arguments<'_>) {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(10) {
            if self.count > LINES {
                let more = self.count - LINES;
                log::warn!("dhcp: {more} more lines of that kind were left out");
            }
            (self.since, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(1);
        if self.count <= LINES {
            println!("dhcp: {text}");
        }
    }
}

/// Shows a hardware address.
struct Hardware<'a>(&'a [u8]);

impl fmt::Display for Hardware<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if at == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// The server, apart from the network.
struct Server {
    config: Config,
    pool: Pool,
    lines: Lines,
}

impl Server {
    fn new((config, pool): (Config, Pool)) -> Self {
        Self { config, pool, lines: Lines { since: Instant::now(), count: 0 } }
    }

    /// What to say to `question`, and to whom; most often nothing is said to what is for
    /// another server or makes no sense.
    fn answer(&mut self, question: &Question, now: Instant) -> Option<(Answer, Ipv4Addr)> {
        let (client, own) = (&question.client, self.config.own);
        let who = Hardware(question.hardware());
        let elsewhere = question.server.is_some_and(|server| server != own);
        match question.kind {
            Kind::Discover => {
                let Some(address) = self.pool.offer(client, question.requested, now) else {
                    self.lines.say(now, format_args!("no address is left for {who}"));
                    return None;
                };
                Some(self.give(Kind::Offer, question, Some(address)))
            }
            Kind::Request if elsewhere => {
                self.pool.forget(client);
                None
            }
            Kind::Request => {
                // What it was offered or remembers, or what it has and wants to keep.
                let address = question.requested.or(question.own)?;
                let time = Duration::from_secs(self.config.lease.into());
                if self.pool.bind(client, address, time, now) {
                    self.lines.say(now, format_args!("{address} is {who}'s"));
                    return Some(self.give(Kind::Ack, question, Some(address)));
                }
                // Of who is not known, another server may know (RFC 2131, section 4.3.2).
                let is_ours = question.server.is_some() || self.pool.of(client).is_some();
                if !is_ours && self.config.is_near(address) {
                    return None;
                }
                self.lines.say(now, format_args!("{address} is not for {who}"));
                let answer = Answer::new(Kind::Nak, question, own, None);
                Some((answer, Ipv4Addr::BROADCAST))
            }
            Kind::Inform => {
                question.own.filter(|&address| self.config.is_host(address))?;
                Some(self.give(Kind::Ack, question, None))
            }
            Kind::Release if !elsewhere => {
                let address = question.own?;
                if self.pool.release(client, address, now) {
                    self.lines.say(now, format_args!("{address} is given back by {who}"));
                }
                None
            }
            Kind::Decline if !elsewhere => {
                let address = question.requested?;
                if self.pool.decline(client, address, now) {
                    let text =
                        format_args!("{address} is used by somebody that did not ask for it");
                    self.lines.say(now, text);
                }
                None
            }
            _ => None,
        }
    }

    /// An answer with all that clients are told.
    fn give(
        &self,
        kind: Kind,
        question: &Question,
        address: Option<Ipv4Addr>,
    ) -> (Answer, Ipv4Addr) {
        let config = &self.config;
        let mut answer = Answer::new(kind, question, config.own, address);
        if address.is_some() {
            let lease = config.lease;
            // The lease, when to ask for more of it, and when to ask everybody.
            answer.option(51, &lease.to_be_bytes());
            answer.option(58, &(lease / 2).to_be_bytes());
            answer.option(59, &(lease - lease / 8).to_be_bytes());
        }
        answer.option(1, &config.mask().to_be_bytes());
        if let Some(gateway) = config.gateway {
            answer.option(3, &gateway.octets());
        }
        answer.option(6, &config.dns);
        answer.option(15, &config.domain);
        // Who has no address yet hears what is said to all: its own may not be asked for,
        // as it would not answer.
        let own = question.own.filter(|&own| kind == Kind::Ack && config.is_host(own));
        (answer, own.filter(|&own| own != config.own).unwrap_or(Ipv4Addr::BROADCAST))
    }
}

/// Serves the network at `net` until it is down or the toolstack asks for the end.
pub async fn start<N: Net + 'static>(net: N, args: Args) -> Exit {
    match Config::read(&args) {
        Ok(read) => {
            let serving = serve(net, Server::new(read), args.pool);
            match select(serving, xenith::shutdown_requested()).await {
                Either::First(error) => {
                    println!("error: {error}");
                    Exit::FAILURE
                }
                Either::Second(_) => Exit::SUCCESS,
            }
        }
        Err(wrong) => usage(&wrong),
    }
}

async fn serve<N: Net + 'static>(net: N, mut server: Server, pool: &str) -> Error {
    let ipv4 = Ipv4::Static(server.config.own, server.config.bits);
    let socket = match Stack::start(net, Settings { ipv4, ..Settings::default() }) {
        Ok(ip) => ip.bind(any(SERVER)).await,
        Err(error) => Err(error),
    };
    let socket = match socket {
        Ok(socket) => socket,
        Err(error) => return error,
    };
    println!("dhcp: ready to give {}", Escaped(pool.as_bytes()));
    let mut datagram = [0; LONGEST];
    loop {
        let length = match socket.recv_from(&mut datagram).await {
            Ok((length, _)) => length,
            Err(error) => return error,
        };
        let Some(question) = datagram.get(..length).and_then(Question::parse) else { continue };
        let Some((answer, to)) = server.answer(&question, Instant::now()) else { continue };
        let Some(bytes) = answer.finish() else {
            log::error!("dhcp: an answer does not fit a message");
            continue;
        };
        // What does not arrive is asked for again.
        let _ = socket.send_to(&bytes, SocketAddr::new(IpAddr::V4(to), CLIENT)).await;
    }
}
