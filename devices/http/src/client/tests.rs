//! Answers of every sort, from servers in memory that follow scripts, in simulated time.

extern crate std;

use super::*;
use crate::tests::reading::all;
use core::cell::RefCell;
use core::future::poll_fn;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use embedded_io_async::{ErrorType, Write};
use ip::{Addresses, Listener};
use kernel::task::block_on;
use kernel::time::{Sleep, sleep};
use std::collections::VecDeque;
use std::rc::Rc;
use std::string::ToString;
use std::vec::Vec;
use std::{format, vec};

mod answers;
mod requests;

/// What a server does when a request has come.
#[derive(Clone, Debug)]
enum Act {
    Says(Vec<u8>),
    Waits(u64),
    Closes,
    Resets,
    /// Goes on to the next request.
    Listens,
}

/// One connection with a server.
#[derive(Debug, Default)]
struct State {
    acts: VecDeque<Act>,
    /// What came, and how much of it was answered.
    come: Vec<u8>,
    heard: usize,
    aborted: bool,
    waker: Option<Waker>,
    wait: Option<Sleep>,
}

impl State {
    /// Where the request ends that is being heard, if it is there.
    fn request(&self) -> Option<usize> {
        let rest = &self.come[self.heard..];
        let head = rest.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&rest[..head]).to_ascii_lowercase();
        let length = text
            .split("content-length: ")
            .nth(1)
            .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
        (rest.len() >= head + length).then_some(self.heard + head + length)
    }
}

/// The client's end of a connection.
#[derive(Debug)]
struct Line(Rc<RefCell<State>>, SocketAddr, bool);

/// Either half of it; whether a request has to come first.
struct Half<'a>(&'a RefCell<State>, &'a mut bool);

impl ErrorType for Line {
    type Error = ip::Error;
}

impl ErrorType for Half<'_> {
    type Error = ip::Error;
}

impl Half<'_> {
    fn poll(&mut self, context: &mut Context<'_>, to: &mut [u8]) -> Poll<Result<usize, ip::Error>> {
        let mut state = self.0.borrow_mut();
        loop {
            if let Some(wait) = &mut state.wait {
                ready!(Pin::new(wait).poll(context));
                state.wait = None;
            }
            // A server may leave without having heard anything.
            if !*self.1 && !matches!(state.acts.front(), Some(Act::Closes | Act::Resets)) {
                state.waker = Some(context.waker().clone());
                let Some(end) = state.request() else { return Poll::Pending };
                state.heard = end;
            }
            *self.1 = true;
            match state.acts.pop_front() {
                Some(Act::Says(mut bytes)) => {
                    let count = bytes.len().min(to.len());
                    to[..count].copy_from_slice(&bytes[..count]);
                    if count < bytes.len() {
                        state.acts.push_front(Act::Says(bytes.split_off(count)));
                    }
                    if count > 0 {
                        return Poll::Ready(Ok(count));
                    }
                }
                Some(Act::Waits(seconds)) => {
                    state.wait = Some(sleep(Duration::from_secs(seconds)));
                }
                Some(Act::Listens) => *self.1 = false,
                Some(Act::Closes) => {
                    state.acts.push_front(Act::Closes);
                    return Poll::Ready(Ok(0));
                }
                Some(Act::Resets) => return Poll::Ready(Err(ip::Error::Reset)),
                None => state.wait = Some(sleep(Duration::from_secs(1_000_000))),
            }
        }
    }
}

impl Read for Half<'_> {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, ip::Error> {
        poll_fn(|context| self.poll(context, to)).await
    }
}

impl Write for Half<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ip::Error> {
        let mut state = self.0.borrow_mut();
        state.come.extend_from_slice(bytes);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), ip::Error> {
        Ok(())
    }
}

impl Read for Line {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, ip::Error> {
        Half(&self.0, &mut self.2).read(to).await
    }
}

impl Write for Line {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ip::Error> {
        Half(&self.0, &mut self.2).write(bytes).await
    }

    async fn flush(&mut self) -> Result<(), ip::Error> {
        Ok(())
    }
}

impl Stream for Line {
    type Reader<'a> = Half<'a>;
    type Writer<'a> = Mouth<'a>;

    fn split(&mut self) -> (Half<'_>, Mouth<'_>) {
        (Half(&self.0, &mut self.2), Mouth(&self.0))
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<Result<usize, ip::Error>> {
        Half(&self.0, &mut self.2).poll(context, to)
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, ip::Error>> {
        pin!(self.write(bytes)).poll(context)
    }

    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<Result<(), ip::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<Result<(), ip::Error>> {
        Poll::Ready(Ok(()))
    }

    fn try_read(&self, _: &mut [u8]) -> Result<Option<usize>, ip::Error> {
        Err(ip::Error::Unsupported)
    }

    fn try_peek(&self, _: &mut [u8]) -> Result<Option<usize>, ip::Error> {
        Err(ip::Error::Unsupported)
    }

    fn try_write(&self, _: &[u8]) -> Result<Option<usize>, ip::Error> {
        Err(ip::Error::Unsupported)
    }

    fn progress(&self) -> ip::Progress {
        ip::Progress::default()
    }

    fn options(&self) -> ip::TcpOptions {
        ip::TcpOptions::default()
    }

    fn set_options(&self, _: ip::TcpOptions) -> Result<(), ip::Error> {
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), ip::Error> {
        Ok(())
    }

    async fn close(&mut self) -> Result<(), ip::Error> {
        Ok(())
    }

    fn abort(&self) {
        self.0.borrow_mut().aborted = true;
    }

    fn peer_addr(&self) -> SocketAddr {
        self.1
    }

    fn local_addr(&self) -> SocketAddr {
        self.1
    }
}

/// The half that writes.
struct Mouth<'a>(&'a RefCell<State>);

impl ErrorType for Mouth<'_> {
    type Error = ip::Error;
}

impl Write for Mouth<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ip::Error> {
        Half(self.0, &mut false).write(bytes).await
    }

    async fn flush(&mut self) -> Result<(), ip::Error> {
        Ok(())
    }
}

impl Listener for Line {
    type Stream = Self;

    async fn accept(&self) -> Result<(Self, SocketAddr), ip::Error> {
        Err(ip::Error::Down)
    }

    fn try_accept(&self) -> Result<Option<(Self, SocketAddr)>, ip::Error> {
        Err(ip::Error::Down)
    }

    fn poll_acceptable(&self, _: &mut Context<'_>) -> Poll<Result<(), ip::Error>> {
        Poll::Ready(Err(ip::Error::Down))
    }

    fn local_addr(&self) -> SocketAddr {
        self.1
    }
}

/// All servers that there are: `a` to `z` have one address each, `both` has two of which
/// the first is dead, `none` none that answers. Connections are the scripts in turn,
/// whoever they are with.
#[derive(Default)]
struct World {
    scripts: RefCell<VecDeque<Vec<Act>>>,
    lines: RefCell<Vec<(SocketAddr, Rc<RefCell<State>>)>>,
    /// Every address that was tried, and when.
    tried: RefCell<Vec<(SocketAddr, Instant)>>,
}

const DEAD: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const SHUT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

impl Resolve for World {
    async fn resolve(&self, name: &str) -> Result<Addresses, ip::Error> {
        let one = |letter: u8| IpAddr::from([10, 0, 0, letter]);
        let addresses = match name.as_bytes() {
            _ if name.parse::<IpAddr>().is_ok() => vec![name.parse().unwrap()],
            &[letter] => vec![one(letter)],
            b"both" => vec![DEAD, one(1)],
            b"next" => vec![SHUT, one(1)],
            b"none" => vec![SHUT, DEAD],
            _ => return Err(ip::Error::NoSuchName),
        };
        Ok(addresses.into_iter().collect())
    }
}

impl Tcp for World {
    type Listener = Line;
    type Stream = Line;

    async fn bind(&self, _: SocketAddr) -> Result<Line, ip::Error> {
        Err(ip::Error::Down)
    }

    async fn connect(&self, to: SocketAddr) -> Result<Line, ip::Error> {
        self.tried.borrow_mut().push((to, Instant::now()));
        if to.ip() == DEAD {
            sleep(Duration::from_secs(1_000_000)).await;
        }
        if to.ip() == SHUT {
            return Err(ip::Error::Refused);
        }
        let acts = self.scripts.borrow_mut().pop_front().ok_or(ip::Error::Refused)?.into();
        let state = Rc::new(RefCell::new(State { acts, ..State::default() }));
        self.lines.borrow_mut().push((to, state.clone()));
        Ok(Line(state, to, false))
    }

    fn open(&self, _: SocketAddr, _: SocketAddr) -> Result<Line, ip::Error> {
        Err(ip::Error::Unsupported)
    }
}

impl World {
    /// With a script for each connection.
    fn new(scripts: impl IntoIterator<Item = Vec<Act>>) -> Self {
        Self { scripts: RefCell::new(scripts.into_iter().collect()), ..Self::default() }
    }

    /// What came on each connection.
    fn come(&self) -> Vec<String> {
        let lines = self.lines.borrow();
        lines.iter().map(|(_, it)| String::from_utf8_lossy(&it.borrow().come).into()).collect()
    }
}

fn says(text: impl AsRef<[u8]>) -> Act {
    Act::Says(text.as_ref().to_vec())
}

/// What becomes of requests on one client, one after the other: status and content, or the
/// error.
fn ask(world: &World, limits: Limits, requests: &[Request<'_>]) -> Vec<String> {
    kernel::testing::simulate_time();
    block_on(async {
        let (mut client, mut results) = (Client::new(world, limits), Vec::new());
        for request in requests {
            let take = async |url: &Url, answer: Response<'_>, content: &mut Content<'_>| {
                let all = all(content, 333).await?;
                let content = String::from_utf8_lossy(&all).into_owned();
                Ok((url.to_string(), format!("{:03} {content}", answer.status().0)))
            };
            let result = client.fetch(request, take).await;
            results.push(match result {
                Ok((_, text)) => text,
                Err(failure) => format!("error: {failure}"),
            });
        }
        client.close().await;
        results
    })
}

/// What becomes of a GET at a server that gives this answer and closes, in pieces of so
/// many bytes.
fn get(answer: &[u8], size: usize, request: &Request<'_>) -> String {
    let mut script: Vec<Act> = answer.chunks(size.max(1)).map(says).collect();
    script.push(Act::Closes);
    ask(&World::new([script]), Limits::default(), core::slice::from_ref(request)).remove(0)
}
