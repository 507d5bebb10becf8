//! Options of sockets of the internet (socket(7), ip(7), ipv6(7), tcp(7)).

use crate::errno::Errno;
use crate::socket::buffer::{BUFFER, buffer, mark};
use crate::socket::{Form, Style};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::time::Duration;
use ip::TcpOptions;
use linux_raw_sys::net::{
    AF_INET6, IP_BIND_ADDRESS_NO_PORT, IP_FREEBIND, IP_HDRINCL, IP_MINTTL, IP_MTU, IP_MTU_DISCOVER,
    IP_MULTICAST_ALL, IP_MULTICAST_IF, IP_MULTICAST_LOOP, IP_MULTICAST_TTL, IP_NODEFRAG,
    IP_PKTINFO, IP_RECVERR, IP_RECVOPTS, IP_RECVORIGDSTADDR, IP_RECVTOS, IP_RECVTTL, IP_RETOPTS,
    IP_TOS, IP_TRANSPARENT, IP_TTL, IP_UNICAST_IF, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP,
    IPPROTO_UDP, IPV6_AUTOFLOWLABEL, IPV6_DONTFRAG, IPV6_FREEBIND, IPV6_MINHOPCOUNT, IPV6_MTU,
    IPV6_MTU_DISCOVER, IPV6_MULTICAST_ALL, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_IF,
    IPV6_MULTICAST_LOOP, IPV6_RECVERR, IPV6_RECVHOPLIMIT, IPV6_RECVPKTINFO, IPV6_RECVTCLASS,
    IPV6_TCLASS, IPV6_TRANSPARENT, IPV6_UNICAST_HOPS, IPV6_UNICAST_IF, IPV6_V6ONLY, SO_ACCEPTCONN,
    SO_BROADCAST, SO_BUSY_POLL, SO_DEBUG, SO_DONTROUTE, SO_INCOMING_CPU, SO_KEEPALIVE, SO_LINGER,
    SO_MARK, SO_NO_CHECK, SO_OOBINLINE, SO_PEEK_OFF, SO_PRIORITY, SO_RCVBUF, SO_RCVLOWAT,
    SO_REUSEADDR, SO_REUSEPORT, SO_RXQ_OVFL, SO_SNDBUF, SO_SNDLOWAT, SO_TIMESTAMP, SO_TIMESTAMPNS,
    SO_ZEROCOPY, SOL_SOCKET, TCP_CONGESTION, TCP_CORK, TCP_DEFER_ACCEPT, TCP_FASTOPEN,
    TCP_FASTOPEN_CONNECT, TCP_INQ, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_LINGER2,
    TCP_MAXSEG, TCP_NODELAY, TCP_NOTSENT_LOWAT, TCP_QUICKACK, TCP_REPAIR, TCP_SAVE_SYN, TCP_SYNCNT,
    TCP_THIN_LINEAR_TIMEOUTS, TCP_ULP, TCP_USER_TIMEOUT, TCP_WINDOW_CLAMP,
};

/// The bytes of a TCP socket's buffers as they are told (net.ipv4.tcp_rmem, net.ipv4.tcp_wmem), until
/// a program sets them: the stack's own grow and shrink with what a connection uses.
const RECEIVED: u32 = 131_072;
const SENT: u32 = 16_384;

/// What may be chosen by `TCP_CONGESTION`: both that Linux has without a module, of which the first is
/// the default. It is told back, and the stack's own in any case.
const ALGORITHMS: [&[u8]; 2] = [b"cubic", b"reno"];

/// `SO_RCVLOWAT` of a TCP socket at most: half of the largest buffer (net.ipv4.tcp_rmem).
const LOWEST: u32 = 3 << 20;

/// What was set, of what a program can read back.
pub(super) struct Options {
    pub(super) reuse_port: Cell<bool>,
    pub(super) v6_only: Cell<bool>,
    /// `SO_LINGER`: seconds, if it is on.
    pub(super) linger: Cell<Option<u32>>,
    pub(super) keep_alive: Cell<bool>,
    keep_idle: Cell<u32>,
    /// `TCP_KEEPINTVL` and `TCP_KEEPCNT` are kept and not heeded: probes are 75 s apart, nine.
    keep_interval: Cell<u32>,
    keep_count: Cell<u32>,
    no_delay: Cell<bool>,
    cork: Cell<bool>,
    user_timeout: Cell<u32>,
    /// `TCP_SYNCNT`, which is heeded within the machine alone.
    retries: Cell<u32>,
    /// Those that change nothing that could be seen: by level and name, and no more than
    /// [`rule`] and [`set`](Self::set) know.
    flags: RefCell<Vec<(u32, u32, u32)>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reuse_port: Cell::new(false),
            v6_only: Cell::new(false),
            linger: Cell::new(None),
            keep_alive: Cell::new(false),
            keep_idle: Cell::new(7200),
            keep_interval: Cell::new(75),
            keep_count: Cell::new(9),
            no_delay: Cell::new(false),
            cork: Cell::new(false),
            user_timeout: Cell::new(0),
            retries: Cell::new(6),
            flags: RefCell::default(),
        }
    }
}

impl Options {
    /// Returns what a connection that is accepted has of them.
    pub(super) fn inherit(&self) -> Self {
        Self {
            reuse_port: self.reuse_port.clone(),
            v6_only: self.v6_only.clone(),
            linger: self.linger.clone(),
            keep_alive: self.keep_alive.clone(),
            keep_idle: self.keep_idle.clone(),
            keep_interval: self.keep_interval.clone(),
            keep_count: self.keep_count.clone(),
            no_delay: self.no_delay.clone(),
            cork: self.cork.clone(),
            user_timeout: self.user_timeout.clone(),
            retries: self.retries.clone(),
            flags: self.flags.clone(),
        }
    }

    /// Whether a port may be shared with others that want so: `SO_REUSEPORT`, and for datagrams
    /// `SO_REUSEADDR` as well (socket(7)).
    pub(super) fn shares(&self) -> bool {
        self.reuse_port.get() || self.flag(SOL_SOCKET, SO_REUSEADDR) == Some(1)
    }

    /// Returns those that the stack heeds.
    pub(super) fn of_stack(&self) -> TcpOptions {
        let idle = Duration::from_secs(self.keep_idle.get().into());
        let timeout = self.user_timeout.get();
        TcpOptions {
            no_delay: self.no_delay.get() && !self.cork.get(),
            keep_alive: self.keep_alive.get().then_some(idle),
            user_timeout: (timeout > 0).then(|| Duration::from_millis(timeout.into())),
        }
    }

    /// How long a connection is begun: a SYN and its retries, each of which waits twice as long as
    /// the one before it, from 1 s up to 120 s; or the user timeout, if that is less.
    pub(super) fn patience(&self) -> Duration {
        let retries = self.retries.get();
        let doubled = (2 << retries.min(6)) - 1;
        let all = Duration::from_secs((doubled + retries.saturating_sub(6) * 120).into());
        match self.user_timeout.get() {
            0 => all,
            timeout => all.min(Duration::from_millis(timeout.into())),
        }
    }

    /// Returns an option's value.
    ///
    /// # Errors
    /// `ENOPROTOOPT`.
    pub(super) fn get(&self, form: Form, level: u32, name: u32) -> Result<Vec<u8>, Errno> {
        let tcp = IPPROTO_TCP as u32;
        form.judge_level(level)?;
        let number = match (level, name) {
            // Sockets of IPv6 begin without it.
            (level, IP_MULTICAST_ALL) if level == IPPROTO_IP as u32 && form.family == AF_INET6 => {
                self.flag(level, name).unwrap_or(0)
            }
            // Who has no peer has no way there.
            (level, IP_MTU) if level == IPPROTO_IP as u32 => return Err(Errno::ENOTCONN),
            (level, IPV6_MTU) if level == IPPROTO_IPV6 as u32 => return Err(Errno::ENOTCONN),
            (SOL_SOCKET, SO_LINGER) => {
                let [on, seconds] = match self.linger.get() {
                    None => [0; 2],
                    Some(seconds) => [1, seconds],
                };
                return Ok([on.to_ne_bytes(), seconds.to_ne_bytes()].concat());
            }
            (SOL_SOCKET, SO_REUSEPORT) => self.reuse_port.get().into(),
            (SOL_SOCKET, SO_KEEPALIVE) => self.keep_alive.get().into(),
            (SOL_SOCKET, SO_SNDLOWAT) => 1,
            (SOL_SOCKET, SO_SNDBUF | SO_RCVBUF) => match (self.flag(level, name), form.style) {
                (Some(set), _) => set,
                (None, Style::Stream) if name == SO_SNDBUF => SENT,
                (None, Style::Stream) => RECEIVED.max(2 * self.least()),
                (None, _) => BUFFER,
            },
            (level, name) if level == tcp => match name {
                TCP_NODELAY => self.no_delay.get().into(),
                TCP_CORK => self.cork.get().into(),
                TCP_KEEPIDLE => self.keep_idle.get(),
                TCP_KEEPINTVL => self.keep_interval.get(),
                TCP_KEEPCNT => self.keep_count.get(),
                TCP_USER_TIMEOUT => self.user_timeout.get(),
                TCP_SYNCNT => self.retries.get(),
                TCP_MAXSEG => self.flag(level, name).unwrap_or(536),
                TCP_CONGESTION => {
                    let chosen = self.flag(level, name).unwrap_or(0) as usize;
                    let mut told = ALGORITHMS.get(chosen).copied().unwrap_or_default().to_vec();
                    // `TCP_CA_NAME_MAX`
                    told.resize(16, 0);
                    return Ok(told);
                }
                TCP_ULP => return Ok(Vec::new()),
                TCP_DEFER_ACCEPT => deferred(self.flag(level, name).unwrap_or(0)),
                name => match (self.flag(level, name), rule(level, name)) {
                    (Some(set), _) => set,
                    (None, Some((default, _))) => default,
                    (None, None) => readable(level, name).ok_or(Errno::ENOPROTOOPT)?,
                },
            },
            (level, IPV6_V6ONLY) if level == IPPROTO_IPV6 as u32 => self.v6_only.get().into(),
            (level, name) => match (self.flag(level, name), rule(level, name)) {
                (Some(set), _) => set,
                (None, Some((default, _))) => default,
                (None, None) => match readable(level, name) {
                    Some(default) => default,
                    None => return form.option(level, name),
                },
            },
        };
        Ok(number.to_ne_bytes().to_vec())
    }

    /// Changes an option.
    ///
    /// # Errors
    /// `ENOPROTOOPT`, `EINVAL`, `ENOMEM`.
    pub(super) fn set(&self, level: u32, name: u32, value: &[u8]) -> Result<(), Errno> {
        let word = |at: usize| {
            let bytes = value.get(at..at + 4).and_then(<[u8]>::first_chunk);
            bytes.map(|it| u32::from_ne_bytes(*it)).ok_or(Errno::EINVAL)
        };
        // Options of one byte may be given as such (ip(7)).
        let number = word(0).or_else(|error| match value {
            [byte, ..] if level == IPPROTO_IP as u32 => Ok(u32::from(*byte)),
            _ => Err(error),
        })?;
        let positive = |most: u32| match number {
            1.. if number <= most => Ok(number),
            _ => Err(Errno::EINVAL),
        };
        let on = number != 0;
        match (level, name) {
            (SOL_SOCKET, SO_LINGER) => {
                let seconds = word(4)?;
                self.linger.set(on.then_some(seconds));
            }
            (SOL_SOCKET, SO_REUSEPORT) => self.reuse_port.set(on),
            (SOL_SOCKET, SO_KEEPALIVE) => self.keep_alive.set(on),
            // Twice of what was set is told (socket(7)).
            (SOL_SOCKET, SO_SNDBUF | SO_RCVBUF) => {
                self.set_flag(level, name, buffer(name, number))?;
            }
            (level, name) if level == IPPROTO_TCP as u32 => match name {
                TCP_NODELAY => self.no_delay.set(on),
                TCP_CORK => self.cork.set(on),
                TCP_KEEPIDLE => self.keep_idle.set(positive(32_767)?),
                TCP_KEEPINTVL => self.keep_interval.set(positive(32_767)?),
                TCP_KEEPCNT => self.keep_count.set(positive(127)?),
                TCP_USER_TIMEOUT if number.cast_signed() < 0 => return Err(Errno::EINVAL),
                TCP_USER_TIMEOUT => self.user_timeout.set(number),
                TCP_SYNCNT => self.retries.set(positive(127)?),
                TCP_FASTOPEN if number.cast_signed() < 0 => return Err(Errno::EINVAL),
                TCP_FASTOPEN => self.set_flag(level, name, number.min(4096))?,
                TCP_DEFER_ACCEPT => {
                    self.set_flag(level, name, number.cast_signed().max(0).cast_unsigned())?;
                }
                TCP_CONGESTION => {
                    let given = value.split(|&it| it == 0).next().unwrap_or_default();
                    let chosen = ALGORITHMS.iter().position(|&it| it == given);
                    self.set_flag(level, name, chosen.ok_or(Errno::ENOENT)? as u32)?;
                }
                TCP_ULP => return Err(Errno::ENOENT),
                TCP_MAXSEG if number != 0 && !(88..=32_767).contains(&number) => {
                    return Err(Errno::EINVAL);
                }
                TCP_MAXSEG => self.set_flag(level, name, if number == 0 { 536 } else { number })?,
                name => self.remember(level, name, number)?,
            },
            (level, IPV6_V6ONLY) if level == IPPROTO_IPV6 as u32 => self.v6_only.set(on),
            (level, name) => self.remember(level, name, number)?,
        }
        Ok(())
    }

    /// Remembers what an option is set to that has a [`rule`].
    ///
    /// # Errors
    /// `ENOPROTOOPT` without one, `EINVAL`, `ENODEV`, `ENOMEM`.
    fn remember(&self, level: u32, name: u32, number: u32) -> Result<(), Errno> {
        let (default, rule) = rule(level, name).ok_or(Errno::ENOPROTOOPT)?;
        let told = match rule {
            Rule::On => (number != 0).into(),
            Rule::Any => number,
            Rule::Byte => number & 0xFF,
            Rule::Mark => mark(number),
            Rule::Interface if number > 2 => return Err(Errno::ENODEV),
            Rule::Interface => number,
            Rule::Default(_) if number == u32::MAX => default,
            Rule::Default([least, most]) | Rule::Within([least, most]) => {
                Some(number).filter(|it| (least..=most).contains(it)).ok_or(Errno::EINVAL)?
            }
        };
        self.set_flag(level, name, told)
    }

    /// Returns `SO_RCVLOWAT`.
    pub(super) fn least(&self) -> u32 {
        self.flag(SOL_SOCKET, SO_RCVLOWAT).unwrap_or(1)
    }

    /// Sets it for TCP, where it is no more than half of the buffer.
    ///
    /// # Errors
    /// `ENOMEM`
    pub(super) fn set_least(&self, number: u32) -> Result<(), Errno> {
        let most = self.flag(SOL_SOCKET, SO_RCVBUF).map_or(LOWEST, |it| it / 2);
        self.set_flag(SOL_SOCKET, SO_RCVLOWAT, mark(number).min(most).max(1))
    }

    /// Whether a program has set how much may wait to be sent.
    pub(super) fn has_send_buffer(&self) -> bool {
        self.flag(SOL_SOCKET, SO_SNDBUF).is_some()
    }

    fn flag(&self, level: u32, name: u32) -> Option<u32> {
        let flags = self.flags.borrow();
        flags.iter().find(|it| (it.0, it.1) == (level, name)).map(|it| it.2)
    }

    /// Remembers an option that is in [`set`](Self::set), or has no rule there.
    ///
    /// # Errors
    /// `ENOMEM`
    pub(super) fn set_flag(&self, level: u32, name: u32, value: u32) -> Result<(), Errno> {
        let mut flags = self.flags.borrow_mut();
        match flags.iter_mut().find(|it| (it.0, it.1) == (level, name)) {
            Some(flag) => flag.2 = value,
            None => {
                flags.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                flags.push((level, name, value));
            }
        }
        Ok(())
    }
}

/// How an option is told that was set.
#[derive(Clone, Copy)]
enum Rule {
    /// As 1, whatever was not 0.
    On,
    /// As it is.
    Any,
    /// Its lowest byte.
    Byte,
    /// `SO_RCVLOWAT`.
    Mark,
    /// The number of an interface, or 0: there are two.
    Interface,
    /// As it is, from here to there.
    Within([u32; 2]),
    /// The same; -1 is the default.
    Default([u32; 2]),
}

/// Whether an option is remembered that has no effect that a program could see: a hint, or
/// something that is so anyway. What it is before it was set, and how it is told.
///
/// Those of multicast are among them, as groups cannot be joined.
const fn rule(level: u32, name: u32) -> Option<(u32, Rule)> {
    const IP: u32 = IPPROTO_IP as u32;
    const IPV6: u32 = IPPROTO_IPV6 as u32;
    const TCP: u32 = IPPROTO_TCP as u32;
    Some(match (level, name) {
        (
            SOL_SOCKET,
            SO_REUSEADDR | SO_BROADCAST | SO_DONTROUTE | SO_OOBINLINE | SO_TIMESTAMP | SO_ZEROCOPY,
        ) => (0, Rule::On),
        (SOL_SOCKET, SO_PRIORITY) => (0, Rule::Any),
        (SOL_SOCKET, SO_INCOMING_CPU) => (u32::MAX, Rule::Any),
        (SOL_SOCKET, SO_RCVLOWAT) => (1, Rule::Mark),
        // Messages that tell of these are not made; ping(8) warns where they cannot be asked for.
        (IP, IP_RECVTTL | IP_RETOPTS | IP_RECVERR) | (IPV6, IPV6_RECVERR) => (0, Rule::On),
        (IP, IP_TOS) => (0, Rule::Byte),
        (IP, IP_TTL) => (64, Rule::Default([1, 255])),
        (IP, IP_MTU_DISCOVER) | (IPV6, IPV6_MTU_DISCOVER) => (1, Rule::Within([0, 5])),
        (IP, IP_MULTICAST_TTL) => (1, Rule::Default([0, 255])),
        (IP, IP_MULTICAST_LOOP) | (IPV6, IPV6_MULTICAST_ALL) => (1, Rule::On),
        (IP, IP_MULTICAST_ALL) | (IPV6, IPV6_MULTICAST_LOOP) => (1, Rule::Within([0, 1])),
        (IP, IP_MULTICAST_IF) => (0, Rule::Any),
        (IPV6, IPV6_MULTICAST_IF) => (0, Rule::Interface),
        (IPV6, IPV6_UNICAST_HOPS) => (64, Rule::Default([0, 255])),
        (IPV6, IPV6_MULTICAST_HOPS) => (1, Rule::Default([0, 255])),
        (IPV6, IPV6_TCLASS) => (0, Rule::Default([0, 255])),
        (SOL_SOCKET, SO_DEBUG | SO_NO_CHECK) => (0, Rule::On),
        (SOL_SOCKET, SO_BUSY_POLL) => (0, Rule::Within([0, i32::MAX as u32])),
        // Ports are not chosen before a connection needs one, and packets not split on their way.
        (IP, IP_BIND_ADDRESS_NO_PORT) | (IPV6, IPV6_DONTFRAG) => (0, Rule::On),
        (IPV6, IPV6_AUTOFLOWLABEL) => (1, Rule::On),
        (TCP, TCP_QUICKACK) => (1, Rule::On),
        (TCP, TCP_THIN_LINEAR_TIMEOUTS) => (0, Rule::Within([0, 1])),
        (TCP, TCP_NOTSENT_LOWAT) => (0, Rule::Any),
        _ => return None,
    })
}

/// What an option is that can be asked for and not be set, as what it turns on is not there.
const fn readable(level: u32, name: u32) -> Option<u32> {
    const UDP: u32 = IPPROTO_UDP as u32;
    const IP: u32 = IPPROTO_IP as u32;
    const IPV6: u32 = IPPROTO_IPV6 as u32;
    const TCP: u32 = IPPROTO_TCP as u32;
    Some(match (level, name) {
        (SOL_SOCKET, SO_ACCEPTCONN | SO_TIMESTAMPNS | SO_MARK | SO_RXQ_OVFL) => 0,
        (SOL_SOCKET, SO_PEEK_OFF) => u32::MAX,
        (
            IP,
            IP_PKTINFO | IP_RECVOPTS | IP_RECVTOS | IP_FREEBIND | IP_TRANSPARENT
            | IP_RECVORIGDSTADDR | IP_MINTTL,
        ) => 0,
        (
            IPV6,
            IPV6_RECVPKTINFO | IPV6_RECVHOPLIMIT | IPV6_RECVTCLASS | IPV6_FREEBIND
            | IPV6_TRANSPARENT | IPV6_MINHOPCOUNT,
        ) => 0,
        (IP, IP_HDRINCL | IP_NODEFRAG | IP_UNICAST_IF) | (IPV6, IPV6_UNICAST_IF) => 0,
        // UDP_CORK, checksums of IPv6 left out, UDP_SEGMENT and UDP_GRO (linux/udp.h).
        (UDP, 1 | 101..=104) => 0,
        (TCP, TCP_LINGER2) => 60,
        (
            TCP,
            TCP_WINDOW_CLAMP | TCP_FASTOPEN_CONNECT | TCP_SAVE_SYN | TCP_REPAIR | TCP_INQ
            | TCP_FASTOPEN,
        ) => 0,
        _ => return None,
    })
}

/// Returns what is told of `TCP_DEFER_ACCEPT`: the time until a connection was asked for as often as
/// covers it, in s.
fn deferred(seconds: u32) -> u32 {
    let (mut period, mut wait) = (u32::from(seconds > 0), 1);
    for _ in 1..255 {
        if period >= seconds {
            break;
        }
        wait = (wait * 2).min(120);
        period += wait;
    }
    period
}
