//! A stream in memory, whose peer sends what is written down.

use devices::ip::{Error, Stream};
use embedded_io_async::{ErrorType, Read, Write};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};

/// One end of a connection: what the peer sends, piece by piece, before it closes,
/// and what it is answered.
#[derive(Debug)]
pub struct Script<'a> {
    pieces: VecDeque<&'a [u8]>,
    answer: &'a RefCell<Vec<u8>>,
}

/// The reading half.
#[derive(Debug)]
pub struct Input<'s, 'a>(&'s mut VecDeque<&'a [u8]>);

/// The writing half.
#[derive(Debug)]
pub struct Output<'a>(&'a RefCell<Vec<u8>>);

impl<'a> Script<'a> {
    /// A peer that sends `pieces`.
    #[must_use]
    pub const fn new(pieces: VecDeque<&'a [u8]>, answer: &'a RefCell<Vec<u8>>) -> Self {
        Self { pieces, answer }
    }
}

impl ErrorType for Script<'_> {
    type Error = Error;
}
impl ErrorType for Input<'_, '_> {
    type Error = Error;
}
impl ErrorType for Output<'_> {
    type Error = Error;
}

impl Read for Input<'_, '_> {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        let Some(piece) = self.0.front_mut() else { return Ok(0) };
        let (now, later) = piece.split_at(piece.len().min(to.len()));
        to[..now.len()].copy_from_slice(now);
        *piece = later;
        if later.is_empty() {
            self.0.pop_front();
        }
        Ok(now.len())
    }
}

impl Write for Output<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl Read for Script<'_> {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        Input(&mut self.pieces).read(to).await
    }
}

impl Write for Script<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        Output(self.answer).write(bytes).await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl<'a> Stream for Script<'a> {
    type Reader<'s>
        = Input<'s, 'a>
    where
        Self: 's;
    type Writer<'s>
        = Output<'s>
    where
        Self: 's;

    fn split(&mut self) -> (Input<'_, 'a>, Output<'_>) {
        (Input(&mut self.pieces), Output(self.answer))
    }

    async fn shutdown(&mut self) -> Result<(), Error> {
        Ok(())
    }

    async fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn abort(&mut self) {}

    fn peer(&self) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1)
    }

    fn local(&self) -> SocketAddr {
        self.peer()
    }
}
