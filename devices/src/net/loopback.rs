//! An interface from which every frame comes back.

use super::cable::{End, Options};
use super::{Broken, Frame, Info, Meta, Net};
use core::task::{Context, Poll};

/// Receives what it transmits, once it is flushed.
#[derive(Clone, Debug)]
pub struct Loopback(End);

impl Loopback {
    /// Makes a loopback interface.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self(End::looped(options))
    }
}

impl Net for Loopback {
    fn info(&self) -> Info {
        self.0.info()
    }

    fn poll_receive(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.0.poll_receive(context)
    }

    fn receive<R>(&self, take: impl FnOnce(&[u8], Meta) -> R) -> Option<R> {
        self.0.receive(take)
    }

    fn receive_apart<R>(&self, take: impl FnOnce(Frame<'_>, Meta) -> R) -> Option<R> {
        self.0.receive_apart(take)
    }

    fn poll_transmit(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.0.poll_transmit(context)
    }

    fn transmit<R>(&self, length: usize, fill: impl FnOnce(&mut [u8]) -> (R, Meta)) -> Option<R> {
        self.0.transmit(length, fill)
    }

    fn flush(&self) {
        self.0.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back() {
        let net = Loopback::new(Options::default());
        net.transmit(20, |frame| {
            frame.fill(7);
            ((), Meta::default())
        })
        .unwrap();
        net.flush();
        assert_eq!(net.receive(|frame, _| (frame.len(), frame[19])), Some((20, 7)));
        assert_eq!(net.receive(|_, _| ()), None);
    }
}
