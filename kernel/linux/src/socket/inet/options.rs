//! Options of sockets of the internet (socket(7), ip(7), ipv6(7), tcp(7)).

use crate::errno::Errno;
use crate::socket::Form;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::time::Duration;
use ip::TcpOptions;
use linux_raw_sys::net::{
    IP_MTU_DISCOVER, IP_RECVERR, IP_RECVTTL, IP_RETOPTS, IP_TOS, IP_TTL, IPPROTO_IP, IPPROTO_IPV6,
    IPPROTO_TCP, IPV6_RECVERR, IPV6_TCLASS, IPV6_UNICAST_HOPS, IPV6_V6ONLY, SO_BROADCAST,
    SO_DONTROUTE, SO_INCOMING_CPU, SO_KEEPALIVE, SO_LINGER, SO_OOBINLINE, SO_PRIORITY, SO_RCVBUF,
    SO_RCVLOWAT, SO_REUSEADDR, SO_REUSEPORT, SO_SNDBUF, SO_SNDLOWAT, SO_TIMESTAMP, SO_ZEROCOPY,
    SOL_SOCKET, TCP_CORK, TCP_DEFER_ACCEPT, TCP_FASTOPEN, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL,
    TCP_MAXSEG, TCP_NODELAY, TCP_QUICKACK, TCP_USER_TIMEOUT,
};

/// The bytes of a buffer as they are told (net.ipv4.tcp_wmem), until a program sets them: the
/// stack's own grow and shrink with what a connection uses.
const BUFFER: u32 = 87_380;

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
    /// Flags that change nothing that could be seen: by level and name, and no more than
    /// [`is_flag`] and [`set`](Self::set) know.
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
            flags: self.flags.clone(),
        }
    }

    /// Whether a port may be shared with others that want so: `SO_REUSEPORT`, and for datagrams
    /// `SO_REUSEADDR` as well (socket(7)).
    pub(super) fn shares(&self) -> bool {
        self.reuse_port.get() || self.flag(SOL_SOCKET, SO_REUSEADDR) != 0
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

    /// Returns an option's value.
    ///
    /// # Errors
    /// `ENOPROTOOPT`.
    pub(super) fn get(&self, form: Form, level: u32, name: u32) -> Result<Vec<u8>, Errno> {
        let tcp = IPPROTO_TCP as u32;
        let number = match (level, name) {
            (SOL_SOCKET, SO_LINGER) => {
                let [on, seconds] = match self.linger.get() {
                    None => [0; 2],
                    Some(seconds) => [1, seconds],
                };
                return Ok([on.to_ne_bytes(), seconds.to_ne_bytes()].concat());
            }
            (SOL_SOCKET, SO_REUSEPORT) => self.reuse_port.get().into(),
            (SOL_SOCKET, SO_KEEPALIVE) => self.keep_alive.get().into(),
            (SOL_SOCKET, SO_RCVLOWAT | SO_SNDLOWAT) => 1,
            (SOL_SOCKET, SO_SNDBUF | SO_RCVBUF) => match self.flag(level, name) {
                0 => BUFFER,
                told => told,
            },
            (level, name) if level == tcp => match name {
                TCP_NODELAY => self.no_delay.get().into(),
                TCP_CORK => self.cork.get().into(),
                TCP_KEEPIDLE => self.keep_idle.get(),
                TCP_KEEPINTVL => self.keep_interval.get(),
                TCP_KEEPCNT => self.keep_count.get(),
                TCP_USER_TIMEOUT => self.user_timeout.get(),
                TCP_MAXSEG => 1460,
                TCP_QUICKACK | TCP_DEFER_ACCEPT | TCP_FASTOPEN => self.flag(level, name),
                _ => return Err(Errno::ENOPROTOOPT),
            },
            (level, IPV6_V6ONLY) if level == IPPROTO_IPV6 as u32 => self.v6_only.get().into(),
            (level, IP_TTL) if level == IPPROTO_IP as u32 => 64,
            (level, IPV6_UNICAST_HOPS) if level == IPPROTO_IPV6 as u32 => 64,
            (level, name) if is_flag(level, name) => self.flag(level, name),
            _ => return form.option(level, name),
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
                self.set_flag(level, name, number.min(1 << 28).saturating_mul(2).max(4608))?;
            }
            (level, name) if level == IPPROTO_TCP as u32 => match name {
                TCP_NODELAY => self.no_delay.set(on),
                TCP_CORK => self.cork.set(on),
                TCP_KEEPIDLE => self.keep_idle.set(positive(32_767)?),
                TCP_KEEPINTVL => self.keep_interval.set(positive(32_767)?),
                TCP_KEEPCNT => self.keep_count.set(positive(127)?),
                TCP_USER_TIMEOUT => self.user_timeout.set(number),
                TCP_QUICKACK | TCP_DEFER_ACCEPT | TCP_FASTOPEN => {
                    self.set_flag(level, name, number)?;
                }
                _ => return Err(Errno::ENOPROTOOPT),
            },
            (level, IPV6_V6ONLY) if level == IPPROTO_IPV6 as u32 => self.v6_only.set(on),
            (level, name) if is_flag(level, name) => self.set_flag(level, name, number)?,
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    fn flag(&self, level: u32, name: u32) -> u32 {
        let flags = self.flags.borrow();
        flags.iter().find(|it| (it.0, it.1) == (level, name)).map_or(0, |it| it.2)
    }

    fn set_flag(&self, level: u32, name: u32, value: u32) -> Result<(), Errno> {
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

/// Whether an option is remembered, and has no effect that a program could see: a hint, or
/// something that is so anyway.
const fn is_flag(level: u32, name: u32) -> bool {
    if level == SOL_SOCKET {
        return matches!(
            name,
            SO_REUSEADDR
                | SO_BROADCAST
                | SO_DONTROUTE
                | SO_OOBINLINE
                | SO_PRIORITY
                | SO_TIMESTAMP
                | SO_INCOMING_CPU
                | SO_ZEROCOPY
        );
    }
    // Messages that tell of these are not made; ping(8) warns where they cannot be asked for.
    let silent = matches!(name, IP_RECVTTL | IP_RETOPTS);
    let hint = matches!(name, IP_TOS | IP_TTL | IP_MTU_DISCOVER | IP_RECVERR);
    level == IPPROTO_IP as u32 && (silent || hint)
        || level == IPPROTO_IPV6 as u32
            && matches!(name, IPV6_TCLASS | IPV6_UNICAST_HOPS | IPV6_RECVERR)
}
