//! Echo requests that are sent, and what comes of them (RFC 792; RFC 4443, section 4).

use super::Protocols;
use super::request::Echo;
use super::sets::{Body, Handle, Key};
use crate::packet::{self, Complaint, Message, What};
use crate::wire::Wire;
use crate::{Error, random};
use core::net::IpAddr;
use core::task::{Poll, Waker};
use kernel::sync::Wakers;
use kernel::time::Instant;

impl Protocols {
    /// Sends an echo request with a payload of zeros.
    pub(crate) fn ping(&mut self, to: IpAddr, payload: usize) -> Result<Handle, Error> {
        self.up()?;
        self.source(to)?;
        if payload > self.longest(to, 8, Instant::now()) {
            return Err(Error::TooLong);
        }
        let free = |ident| self.sets.find(Key::echo(ident)).is_none();
        let ident = core::iter::repeat_with(random).take(64).find_map(|it| match it {
            Ok(it) => free(it as u16).then_some(Ok(it as u16)),
            Err(error) => Some(Err(error)),
        });
        let ident = ident.ok_or(Error::Exhausted)??;
        let echo = Echo { to, ident, unsent: Some(payload), done: None, waker: Wakers::new() };
        let handle =
            self.add(|| kernel::memory::boxed(echo).ok().map(Body::Echo), Key::echo(ident))?;
        self.kick();
        Ok(handle)
    }

    /// Sends what a socket has to ask.
    pub(super) fn send_echo(&mut self, handle: Handle, wire: &dyn Wire, now: Instant) {
        let Some(echo) = self.sets.echo_mut(handle) else { return };
        let (to, ident) = (echo.to, echo.ident);
        let Some(payload) = echo.unsent.take() else { return };
        let Ok(own) = self.source(to) else { return };
        let length = packet::packet_head(to.is_ipv4()) + 8 + payload;
        self.send_to(to, length, wire, now, &mut |frame, header| {
            packet::ping(frame, header, (own, to), ident);
        });
    }

    /// Hears an answer. Whether somebody here waits for it.
    pub(crate) fn pong(&mut self, frame: &[u8], message: &Message) -> bool {
        let from = message.ends.from;
        let asked = message.ident(frame).and_then(|it| self.sets.find(Key::echo(it)));
        let echo = asked.and_then(|it| self.sets.echo_mut(it)).filter(|it| it.to == from);
        if let Some(echo) = echo {
            echo.finish(Ok(()));
            return true;
        }
        false
    }

    /// Hears that a request did not arrive.
    pub(super) fn echo_failed(&mut self, complaint: &Complaint) -> bool {
        let asked = self.sets.find(Key::echo(complaint.local.port()));
        let echo = asked.and_then(|it| self.sets.echo_mut(it));
        let Some(echo) = echo.filter(|it| it.to == complaint.peer.ip()) else { return false };
        echo.finish(Err(match complaint.what {
            What::TooBig(_) => Error::TooLong,
            What::Refused | What::Unreachable => Error::Unreachable,
        }));
        true
    }

    /// Ready when a request is answered, or cannot be.
    pub(crate) fn poll_pong(&mut self, handle: Handle, waker: &Waker) -> Poll<Result<(), Error>> {
        self.up()?;
        let Some(echo) = self.sets.echo_mut(handle) else {
            return Poll::Ready(Err(Error::Down));
        };
        if let Some(result) = echo.done {
            return Poll::Ready(result);
        }
        echo.waker.add(waker);
        Poll::Pending
    }
}
