//! A stream in memory, whose peer sends what is written down.

use embedded_io_async::{ErrorType, Read, Write};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll};
use xenith::ip::{Addresses, Error, Listener, Progress, Resolve, Stream, Tcp, TcpOptions};

/// One end of a connection: what the peer sends, piece by piece, before it closes,
/// and what it is answered.
#[derive(Debug)]
pub struct Script {
    pieces: Pieces,
    answer: Rc<RefCell<Vec<u8>>>,
}

/// What a peer sends, in pieces that are not empty.
pub type Pieces = VecDeque<Vec<u8>>;

/// The reading half.
#[derive(Debug)]
pub struct Input<'s>(&'s mut Pieces);

/// The writing half.
#[derive(Debug)]
pub struct Output<'s>(&'s RefCell<Vec<u8>>);

impl Script {
    /// A peer that sends `pieces`.
    #[must_use]
    pub const fn new(pieces: Pieces, answer: Rc<RefCell<Vec<u8>>>) -> Self {
        Self { pieces, answer }
    }
}

/// `bytes` at once.
#[must_use]
pub fn whole(bytes: &[u8]) -> Pieces {
    split(bytes, &[usize::MAX])
}

/// `bytes` in pieces of these sizes, again and again.
#[must_use]
pub fn split(mut bytes: &[u8], sizes: &[usize]) -> Pieces {
    let mut sizes = sizes.iter().cycle();
    let pieces = std::iter::from_fn(|| {
        let (piece, after) = bytes.split_at((*sizes.next()?).max(1).min(bytes.len()));
        bytes = after;
        (!piece.is_empty()).then(|| piece.to_vec())
    });
    pieces.collect()
}

impl ErrorType for Script {
    type Error = Error;
}
impl ErrorType for Input<'_> {
    type Error = Error;
}
impl ErrorType for Output<'_> {
    type Error = Error;
}

impl Read for Input<'_> {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        Ok(take(self.0, to))
    }
}

/// Takes what comes next of what the peer sends.
fn take(pieces: &mut Pieces, to: &mut [u8]) -> usize {
    let Some(piece) = pieces.front_mut() else { return 0 };
    let count = piece.len().min(to.len());
    to[..count].copy_from_slice(&piece[..count]);
    piece.drain(..count);
    if piece.is_empty() {
        pieces.pop_front();
    }
    count
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

impl Read for Script {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        Input(&mut self.pieces).read(to).await
    }
}

impl Write for Script {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        Output(&self.answer).write(bytes).await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl Stream for Script {
    type Reader<'s> = Input<'s>;
    type Writer<'s> = Output<'s>;

    fn split(&mut self) -> (Input<'_>, Output<'_>) {
        (Input(&mut self.pieces), Output(&self.answer))
    }

    fn poll_read(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Error>> {
        Poll::Ready(Ok(take(&mut self.pieces, buf)))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>> {
        self.answer.borrow_mut().extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn try_read(&self, _: &mut [u8]) -> Result<Option<usize>, Error> {
        Err(Error::Unsupported)
    }

    fn try_peek(&self, _: &mut [u8]) -> Result<Option<usize>, Error> {
        Err(Error::Unsupported)
    }

    fn try_write(&self, _: &[u8]) -> Result<Option<usize>, Error> {
        Err(Error::Unsupported)
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }

    fn options(&self) -> TcpOptions {
        TcpOptions::default()
    }

    fn set_options(&self, _: TcpOptions) -> Result<(), Error> {
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn abort(&self) {}

    fn peer_addr(&self) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1)
    }

    fn local_addr(&self) -> SocketAddr {
        self.peer_addr()
    }
}

/// A network whose servers send what is written down, one connection after the other,
/// whoever they are with.
#[derive(Debug, Default)]
pub struct Servers {
    scripts: RefCell<VecDeque<Pieces>>,
    /// What came on all connections.
    pub come: Rc<RefCell<Vec<u8>>>,
}

impl Servers {
    /// Servers that send these.
    pub fn new(scripts: impl IntoIterator<Item = Pieces>) -> Self {
        Self { scripts: RefCell::new(scripts.into_iter().collect()), come: Rc::default() }
    }
}

impl Resolve for Servers {
    async fn resolve(&self, _: &str) -> Result<Addresses, Error> {
        Ok(std::iter::once(Ipv4Addr::LOCALHOST.into()).collect())
    }
}

impl Tcp for Servers {
    type Listener = Nobody;
    type Stream = Script;

    async fn bind(&self, _: SocketAddr) -> Result<Nobody, Error> {
        Err(Error::Down)
    }

    async fn connect(&self, _: SocketAddr) -> Result<Script, Error> {
        let pieces = self.scripts.borrow_mut().pop_front().ok_or(Error::Refused)?;
        Ok(Script::new(pieces, Rc::clone(&self.come)))
    }

    fn open(&self, _: SocketAddr, _: SocketAddr) -> Result<Script, Error> {
        Err(Error::Unsupported)
    }
}

/// No client comes.
#[derive(Debug)]
pub enum Nobody {}

impl Listener for Nobody {
    type Stream = Script;

    async fn accept(&self) -> Result<(Script, SocketAddr), Error> {
        match *self {}
    }

    fn try_accept(&self) -> Result<Option<(Script, SocketAddr)>, Error> {
        match *self {}
    }

    fn poll_acceptable(&self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match *self {}
    }

    fn local_addr(&self) -> SocketAddr {
        match *self {}
    }
}
