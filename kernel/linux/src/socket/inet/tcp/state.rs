//! What a TCP socket tells of its connection: its state, and how it ended.

use super::{Role, TcpSocket};
use crate::errno::Errno;
use crate::socket::inet::host::Host;
use crate::socket::unix::Unix;
use alloc::vec::Vec;
use ip::Stream as _;

/// Bytes of `struct tcp_info` that are told: up to `tcpi_total_retrans`.
const INFO: usize = 104;

/// The states of a connection, by their numbers in `include/net/tcp_states.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Established = 1,
    SynSent = 2,
    FinWait1 = 4,
    FinWait2 = 5,
    Closed = 7,
    CloseWait = 8,
    LastAck = 9,
    Listening = 10,
}

impl<N: Host> TcpSocket<N> {
    /// Returns the state that Linux would tell of. What waits for its last packets (`TIME_WAIT`) is
    /// over for who has it open.
    pub(super) fn state(&self) -> State {
        match &*self.role.borrow() {
            Role::Listening(_) => State::Listening,
            Role::Idle => State::Closed,
            Role::Knocking { .. } => State::SynSent,
            Role::Stream(_) if self.connecting.get() => State::SynSent,
            Role::Stream(stream) => {
                let progress = stream.progress();
                let sent = progress.unacknowledged == 0;
                match (self.mute.get(), progress.ended) {
                    _ if self.told.get() || self.broken(stream).is_some() => State::Closed,
                    (false, false) => State::Established,
                    (true, false) if sent => State::FinWait2,
                    (true, false) => State::FinWait1,
                    (false, true) => State::CloseWait,
                    (true, true) if sent => State::Closed,
                    (true, true) => State::LastAck,
                }
            }
            Role::Local { end, .. } => match (self.mute.get(), end.is_ended()) {
                _ if self.told.get() || end.has_failed() => State::Closed,
                (false, false) => State::Established,
                (true, false) => State::FinWait2,
                (false, true) => State::CloseWait,
                (true, true) => State::Closed,
            },
        }
    }

    /// Returns whether the peer within the machine has ended what it sends.
    pub(super) fn is_ended(&self) -> bool {
        matches!(&*self.role.borrow(), Role::Local { end, .. } if end.is_ended())
    }

    /// Takes the error that the peer within the machine has left, as Linux calls it: a reset behind
    /// the peer's end is a broken pipe to who has not ended as well (`tcp_reset`).
    pub(super) fn failure(&self, end: &Unix) -> Option<Errno> {
        let errno = end.fail().err()?;
        let behind = end.has_shut() && !self.mute.get();
        Some(if errno == Errno::ECONNRESET && behind { Errno::EPIPE } else { errno })
    }

    /// Returns how many bytes a segment has that a connection sends; `None` without one.
    pub(super) fn segment(&self) -> Option<u32> {
        match *self.role.borrow() {
            Role::Stream(_) => Some(1_460),
            Role::Local { .. } => Some(32_768),
            _ => None,
        }
    }

    /// `struct tcp_info`: the state, and what does not change here as it is on Linux. Packets that were
    /// lost and times are not counted (0) but for a connection within the machine.
    pub(super) fn info(&self) -> Vec<u8> {
        let mut info = alloc::vec![0; INFO];
        let mut put =
            |at: usize, value: u32| info[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        // Segments that may be sent at first, and how many may be out of order.
        put(80, 10);
        put(88, 3);
        let (state, segment) = (self.state(), self.segment());
        match &*self.role.borrow() {
            // Those that wait to be accepted, and how many may.
            Role::Listening(door) => {
                let [waiting, most] = door.waiting();
                put(24, waiting);
                put(28, most);
            }
            role => {
                let here = matches!(role, Role::Local { .. });
                let packet = if here { 65_535 } else { 1_500 };
                let (begun, segment) = (segment.is_some(), segment.unwrap_or(536));
                // µs: when a segment is sent again, and how long an acknowledgement waits.
                put(8, if begun { 200_000 } else { 1_000_000 });
                put(16, segment);
                put(20, 536);
                put(76, 0x7fff_ffff);
                if begun {
                    put(12, 40_000);
                    put(60, packet);
                    put(64, 65_535);
                    put(84, segment);
                    put(96, 14_600);
                }
                if here {
                    put(68, 20);
                    put(72, 10);
                }
                if let Role::Stream(stream) = role {
                    let unacknowledged = stream.progress().unacknowledged;
                    put(24, unacknowledged.div_ceil(1_460).try_into().unwrap_or(u32::MAX));
                }
            }
        }
        info[0] = state as u8;
        info
    }
}
