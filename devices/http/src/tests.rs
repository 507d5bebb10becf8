//! Whole connections, over a stream in memory.

#[path = "../../../tests/http/reading.rs"]
pub(super) mod reading;

pub(super) mod cases;
mod exchanged;
mod fair;
mod formats;
mod mounted;
mod moving;
mod printed;
mod routed;

use super::*;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::net::{Ipv4Addr, SocketAddr};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use embedded_io_async::{ErrorType, Read, Write};
use ip::Stream;
use kernel::time::{Instant, Sleep, sleep};
use reading::all;
use std::collections::VecDeque;
use std::format;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

/// What the client does next.
#[derive(Clone)]
pub(super) enum Step {
    Sends(Vec<u8>),
    Waits(Duration),
    Closes,
}

/// The server's end of a connection whose client follows a script.
#[derive(Default)]
pub(super) struct Script {
    pub(super) steps: VecDeque<Step>,
    pub(super) wait: Option<Sleep>,
    pub(super) answer: Rc<RefCell<Vec<u8>>>,
    pub(super) aborted: Rc<Cell<bool>>,
    /// What was read last, when it was left to another image.
    pub(super) left: Rc<RefCell<Option<Vec<u8>>>>,
    /// Bytes that the client takes; all if there is no bound.
    pub(super) takes: Option<usize>,
    /// It takes all after all.
    pub(super) more: Rc<Cell<bool>>,
    /// A layer has yet to agree with the client.
    pub(super) shaking: bool,
    /// What that layer has agreed on.
    pub(super) agreed: Option<&'static str>,
    /// What is held back until it is flushed, by a layer that does so.
    pub(super) held: Option<Vec<u8>>,
    /// A layer that takes records of 16 KiB, whose bytes the client takes one after the other.
    pub(super) slow: Option<Slow>,
}

/// A client that takes so many bytes a second, and pauses for a while once in a minute.
pub(super) struct Slow {
    rate: usize,
    pause: Duration,
    begun: Instant,
    /// Bytes that were written.
    written: Cell<usize>,
    wait: RefCell<Option<Sleep>>,
}

impl Slow {
    pub(super) fn new(rate: usize, pause: Duration) -> Self {
        let begun = Instant::now();
        Self { rate, pause, begun, written: Cell::default(), wait: RefCell::default() }
    }

    /// Bytes that the client has yet to take.
    fn left(&self) -> usize {
        let elapsed = self.begun.elapsed();
        let (minutes, rest) = (elapsed.as_secs() / 60, elapsed.as_millis() as u64 % 60_000);
        let pause = self.pause.as_millis() as u64;
        let takes = minutes * (60_000 - pause) + rest.min(60_000 - pause);
        // What it could have taken before there was anything is lost, about.
        self.written.get().saturating_sub(takes as usize * self.rate / 1000)
    }

    /// Waits until it has taken all.
    fn poll_empty(&self, context: &mut Context<'_>) -> Poll<()> {
        while self.left() > 0 {
            let mut wait = self.wait.borrow_mut();
            ready!(Pin::new(wait.get_or_insert_with(|| sleep(SOON))).poll(context));
            *wait = None;
        }
        Poll::Ready(())
    }
}

/// How long a slow client takes for some bytes.
const SOON: Duration = Duration::from_millis(500);

/// The server does not read and write at a time.
pub(super) struct Half;

impl ErrorType for Script {
    type Error = ip::Error;
}
impl ErrorType for Half {
    type Error = ip::Error;
}

impl Read for Half {
    async fn read(&mut self, _: &mut [u8]) -> Result<usize, ip::Error> {
        unreachable!()
    }
}

impl Write for Half {
    async fn write(&mut self, _: &[u8]) -> Result<usize, ip::Error> {
        unreachable!()
    }

    async fn flush(&mut self) -> Result<(), ip::Error> {
        Ok(())
    }
}

impl Read for Script {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, ip::Error> {
        poll_fn(|context| self.poll_read(context, to)).await
    }
}

impl Write for Script {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ip::Error> {
        poll_fn(|context| self.poll_write(context, bytes)).await
    }

    async fn flush(&mut self) -> Result<(), ip::Error> {
        Ok(())
    }
}

impl Stream for Script {
    type Reader<'a> = Half;
    type Writer<'a> = Half;

    fn split(&mut self) -> (Half, Half) {
        (Half, Half)
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<Result<usize, ip::Error>> {
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(Pin::new(wait).poll(context));
                self.wait = None;
            }
            match self.steps.pop_front() {
                Some(Step::Waits(time)) => self.wait = Some(sleep(time)),
                Some(Step::Sends(mut bytes)) => {
                    let count = bytes.len().min(to.len());
                    to[..count].copy_from_slice(&bytes[..count]);
                    if count < bytes.len() {
                        self.steps.push_front(Step::Sends(bytes.split_off(count)));
                    }
                    return Poll::Ready(Ok(count));
                }
                Some(Step::Closes) | None => return Poll::Ready(Ok(0)),
            }
        }
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, ip::Error>> {
        if let Some(slow) = &self.slow {
            ready!(slow.poll_empty(context));
            let record = bytes.get(..bytes.len().min(16 << 10)).unwrap_or_default();
            slow.written.set(slow.written.get() + record.len());
            self.answer.borrow_mut().extend_from_slice(record);
            return Poll::Ready(Ok(record.len()));
        }
        if let Some(held) = &mut self.held {
            held.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        let mut answer = self.answer.borrow_mut();
        let room = self
            .takes
            .filter(|_| !self.more.get())
            .map_or(bytes.len(), |takes| takes.saturating_sub(answer.len()));
        let count = bytes.len().min(room);
        answer.extend_from_slice(&bytes[..count]);
        if count < bytes.len().min(1) { Poll::Pending } else { Poll::Ready(Ok(count)) }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ip::Error>> {
        if let Some(slow) = &self.slow {
            ready!(slow.poll_empty(context));
        }
        let held = self.held.iter_mut().flat_map(core::mem::take);
        self.answer.borrow_mut().extend(held);
        Poll::Ready(Ok(()))
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

    fn in_handshake(&self) -> bool {
        self.shaking
    }

    fn agreed_on(&self, protocol: &[u8]) -> Option<bool> {
        Some(self.agreed?.as_bytes() == protocol)
    }

    fn progress(&self) -> ip::Progress {
        let unacknowledged = self.slow.as_ref().map_or(0, Slow::left);
        ip::Progress { unacknowledged, ..ip::Progress::default() }
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

    fn leave(&mut self, unread: &[u8]) {
        self.left.replace(Some(unread.into()));
    }

    fn abort(&self) {
        self.aborted.set(true);
    }

    fn peer_addr(&self) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1)
    }

    fn local_addr(&self) -> SocketAddr {
        self.peer_addr()
    }
}

/// Echoes what is posted to `/echo`, ignores what is posted elsewhere.
async fn echo(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let path = exchange.request().path();
    if path != "/echo" {
        return exchange.respond(Status::OK, &[], path.as_bytes()).await;
    }
    let all = all(exchange.body(), 7).await?;
    let mut sink = exchange.stream(Status::OK, &[], None).await?;
    sink.write_all(&all).await?;
    sink.finish().await
}

/// What a client that follows `steps` is answered, without the dates; whether
/// the connection was reset; and how long it took.
fn served(steps: &[Step]) -> (String, bool, Duration) {
    served_beside(0, steps)
}

/// The same where so many other connections are at work.
fn served_beside(others: usize, steps: &[Step]) -> (String, bool, Duration) {
    served_by(&echo, others, steps)
}

/// The same by another handler.
pub(super) fn served_by(
    handler: &impl Handler,
    others: usize,
    steps: &[Step],
) -> (String, bool, Duration) {
    let (answer, aborted, time) = raw_by(handler, others, steps);
    let answer = String::from_utf8(answer).unwrap();
    let lines = answer.split_inclusive("\r\n").filter(|line| !line.starts_with("Date:"));
    (lines.collect(), aborted, time)
}

/// The same in bytes, with the dates.
pub(super) fn raw_by(
    handler: &impl Handler,
    others: usize,
    steps: &[Step],
) -> (Vec<u8>, bool, Duration) {
    kernel::testing::simulate_time();
    let (answer, aborted) = (Rc::<RefCell<Vec<u8>>>::default(), Rc::<Cell<bool>>::default());
    let script = Script {
        steps: steps.iter().cloned().collect(),
        answer: answer.clone(),
        aborted: aborted.clone(),
        left: Rc::default(),
        wait: None,
        takes: None,
        more: Rc::default(),
        shaking: false,
        agreed: None,
        // What an answer leaves with the layer beneath is lost.
        held: Some(Vec::new()),
        slow: None,
    };
    let begun = Instant::now();
    let limits = Limits { head: 512, body: 1000, ..Limits::default() };
    let pool = Rc::new(pool::Pool::new(&limits, Rc::default()));
    pool.out.set(others);
    let slot = pool.sit().unwrap();
    kernel::task::block_on(server::pooled(script, &limits, &slot, handler, None));
    assert_eq!(pool.out.get(), others);
    (answer.take(), aborted.get(), begun.elapsed())
}

pub(super) fn sends(text: &str) -> Step {
    Step::Sends(text.as_bytes().to_vec())
}

fn status_of(steps: &[Step]) -> u16 {
    served(steps).0.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0)
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nServer: Xenith\r\nContent-Length: 2\r\n\r\n/a";

#[test]
fn a_connection_too_many_is_told_so_unless_that_takes_a_handshake() {
    kernel::testing::simulate_time();
    for (shaking, said) in [(false, "HTTP/1.1 503 "), (true, "")] {
        let script = Script { shaking, ..Script::default() };
        let (answer, aborted) = (Rc::clone(&script.answer), Rc::clone(&script.aborted));
        server::refuse(script);
        kernel::task::block_on(sleep(Duration::from_secs(2)));
        let answer = String::from_utf8(answer.take()).unwrap();
        assert_eq!(answer.get(..said.len()), Some(said));
        assert_eq!((answer.is_empty(), aborted.get()), (shaking, shaking));
    }
}

#[test]
fn requests_on_one_connection_are_answered_in_order_also_when_sent_at_once() {
    assert_eq!(served(&[sends(GET), sends(GET)]).0, format!("{ANSWER}{ANSWER}"));
    assert_eq!(served(&[sends(&GET.repeat(5))]).0, ANSWER.repeat(5));
    let bytes = GET.repeat(2).into_bytes();
    let split: Vec<_> = bytes.iter().map(|&byte| Step::Sends(std::vec![byte])).collect();
    assert_eq!(served(&split).0, ANSWER.repeat(2), "split at every byte");
}

#[test]
fn a_body_comes_back_however_it_is_delimited_and_split() {
    let chunked = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nTrailer: x\r\n\r\n";
    let counted = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world";
    let answer = "HTTP/1.1 200 OK\r\nServer: Xenith\r\nTransfer-Encoding: chunked\r\n\r\n\
                  b\r\nhello world\r\n0\r\n\r\n";
    for request in [chunked, counted] {
        let both = format!("{request}{GET}");
        assert_eq!(served(&[sends(&both)]).0, format!("{answer}{ANSWER}"));
        let split: Vec<_> = both.bytes().map(|byte| Step::Sends(std::vec![byte])).collect();
        assert_eq!(served(&split).0, format!("{answer}{ANSWER}"));
    }
}

#[test]
fn a_body_that_nobody_reads_is_skipped() {
    let post = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxyz";
    assert_eq!(served(&[sends(&format!("{post}{GET}"))]).0, format!("{ANSWER}{ANSWER}"));
}

#[test]
fn head_is_answered_without_content() {
    let head = GET.replace("GET", "HEAD");
    let answer = ANSWER.strip_suffix("/a").unwrap();
    assert_eq!(served(&[sends(&head), sends(GET)]).0, format!("{answer}{ANSWER}"));
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    let ask = "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let (answer, ..) = served(&[sends(ask), Step::Waits(Duration::from_secs(1)), sends("hi")]);
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{answer}");
    let unread = ask.replace("/echo", "/a");
    let (answer, ..) = served(&[sends(&unread)]);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[test]
fn a_wrong_request_is_refused_and_ends_the_connection() {
    let smuggled = format!(
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\n{GET}"
    );
    let (answer, reset, _) = served(&[sends(&smuggled)]);
    assert_eq!(
        answer,
        "HTTP/1.1 400 Bad Request\r\nServer: Xenith\r\nContent-Type: text/plain\r\n\
         Connection: close\r\nContent-Length: 70\r\n\r\n\
         400 Bad Request: there are both Content-Length and Transfer-Encoding.\n"
    );
    assert!(!reset);
    for (request, status) in [
        (format!("GET /{} HTTP/1.1\r\n", "a".repeat(600)), 414),
        ("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n".into(), 413),
    ] {
        assert_eq!(status_of(&[sends(&request)]), status, "{request}");
    }
    for chunks in [
        "x\r\n",
        "-1\r\n",
        "5\r\nhelloX",
        "fffffffffffffffff\r\n",
        "5;\n",
        "\r\n",
        "\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "5\r\nhello\r\n\r\n\r\n",
        "0\r\n\n",
        "0\r\nTrailer\r\n\r\n",
    ] {
        let start = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let status = status_of(&[sends(&format!("{start}{chunks}{}", "y".repeat(600)))]);
        assert_eq!(status, 400, "{chunks:?}");
    }
    let endless = format!("400\r\n{}\r\n", "z".repeat(1024));
    let start = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(status_of(&[sends(start), sends(&endless)]), 413);
}

#[test]
fn who_is_slow_is_cut_off() {
    let hour = Step::Waits(Duration::from_secs(3600));
    let (answer, _, time) = served(&[sends("GET / HT"), hour.clone()]);
    assert!(answer.starts_with("HTTP/1.1 408 ") && time < Duration::from_secs(20), "{answer}");
    // A byte every nine seconds is too slow as well.
    let drip = (0..20).flat_map(|_| [sends("G"), Step::Waits(Duration::from_secs(9))]);
    assert_eq!(status_of(&drip.collect::<Vec<_>>()), 408);
    let body = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nh";
    assert_eq!(status_of(&[sends(body), hour.clone()]), 408);
    let (answer, _, time) = served(&[sends(GET), hour]);
    assert_eq!(answer, ANSWER, "an idle connection is closed without a word");
    assert!(time < Duration::from_secs(40));
}

#[test]
fn who_is_slow_is_cut_off_also_where_http2_is_spoken() {
    // What begins as its preface does, and is another head.
    let drip = [sends("P"), sends("OST / HT"), sends("TP/1.1\r\n"), sends("X: y\r\n")];
    let nine = || Step::Waits(Duration::from_secs(9));
    let steps: Vec<_> = drip.into_iter().flat_map(|step| [step, nine()]).collect();
    kernel::testing::simulate_time();
    let script = Script { steps: steps.into(), ..Script::default() };
    let (answer, begun) = (Rc::clone(&script.answer), Instant::now());
    kernel::task::block_on(Server::new(echo).http2().connection(script));
    let answer = String::from_utf8(answer.take()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(13), "{:?}", begun.elapsed());
}

#[test]
fn an_answer_does_not_wait_for_a_body_that_nobody_reads() {
    let pause = Step::Waits(Duration::from_secs(5));
    for (method, come) in [("POST", ""), ("POST", "5\r\nhel"), ("GET", ""), ("GET", "5\r\nhel")] {
        let answered = RefCell::new(Vec::new());
        let handler = async |exchange: &mut Exchange<'_>| {
            exchange.respond(Status(401), &[], b"").await?;
            answered.borrow_mut().push(Instant::now());
            Ok(())
        };
        let head = format!("{method} / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        let rest = if come.is_empty() { "5\r\nhello\r\n0\r\n\r\n" } else { "lo\r\n0\r\n\r\n" };
        let steps = [sends(&format!("{head}{come}")), pause.clone(), sends(rest), sends(GET)];
        let (answer, ..) = served_by(&handler, 0, &steps);
        assert_eq!(answer.matches("HTTP/1.1 401 ").count(), 2, "{method} {come:?}: {answer}");
        let between = answered.borrow()[1].saturating_duration_since(answered.borrow()[0]);
        assert_eq!(between, Duration::from_secs(5), "{method} {come:?}");
        // What has come is judged.
        let (answer, ..) = served_by(&handler, 0, &[sends(&format!("{head}x\r\n")), pause.clone()]);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{method}: {answer}");
    }
}

/// Serves a client that takes `takes` bytes, and all once there is `more`: what it was told, and
/// whether the connection was reset.
fn torn(
    handler: &impl Handler,
    request: &str,
    takes: usize,
    more: &Rc<Cell<bool>>,
) -> (String, bool) {
    kernel::testing::simulate_time();
    let script = Script {
        steps: [sends(request), Step::Waits(Duration::from_secs(5)), sends(GET)].into(),
        takes: Some(takes),
        more: Rc::clone(more),
        ..Script::default()
    };
    let (answer, aborted) = (Rc::clone(&script.answer), Rc::clone(&script.aborted));
    let limits = Limits::default();
    let pool = Rc::new(pool::Pool::new(&limits, Rc::default()));
    let slot = pool.sit().unwrap();
    kernel::task::block_on(server::pooled(script, &limits, &slot, handler, None));
    (String::from_utf8(answer.take()).unwrap(), aborted.get())
}

#[test]
fn nothing_follows_what_was_written_by_halves() {
    /// Lets a write go on for a second, drops it, and lets the client take all.
    async fn dropped<T>(write: impl Future<Output = T>, more: &Cell<bool>) {
        more.set(false);
        assert!(kernel::time::timeout(Duration::from_secs(1), write).await.is_err());
        more.set(true);
    }
    let more = Rc::<Cell<bool>>::default();
    for length in [None, Some(1000)] {
        let handler = async |exchange: &mut Exchange<'_>| {
            let mut sink = exchange.stream(Status::OK, &[], length).await?;
            dropped(sink.write_all(&[b'x'; 1000]), &more).await;
            sink.finish().await
        };
        let (answer, aborted) = torn(&handler, GET, 150, &more);
        assert!(aborted && answer.len() == 150, "{length:?}: {answer}");
    }
    // Nor what was printed, or said before the answer.
    let printer = async |exchange: &mut Exchange<'_>| {
        let mut sink = exchange.stream(Status::OK, &[], None).await?;
        let text = "y".repeat(3000);
        dropped(sink.print(format_args!("{text}")), &more).await;
        sink.finish().await
    };
    let (answer, aborted) = torn(&printer, GET, 150, &more);
    assert!(aborted && answer.len() == 150, "{answer}");
    let asks = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    for responds in [Some(true), Some(false), None] {
        let asked = async |exchange: &mut Exchange<'_>| {
            dropped(exchange.body().read(&mut [0; 2]), &more).await;
            match responds {
                Some(true) => exchange.respond(Status::OK, &[], b"late").await,
                Some(false) => Err(Error::Request(Status::TIMEOUT)),
                None => Ok(()),
            }
        };
        let (answer, aborted) = torn(&asked, asks, 10, &more);
        assert_eq!((aborted, answer.as_str()), (true, "HTTP/1.1 1"));
    }
}

#[test]
fn a_head_that_is_too_long_is_so_however_it_comes() {
    let (first, bad) = (format!("GET /{}", "a".repeat(507)), "\0\0");
    assert_eq!(status_of(&[sends(&format!("{first}{bad}"))]), 414);
    assert_eq!(status_of(&[sends(&first), sends(bad)]), 414);
}

#[test]
fn one_of_many_is_answered_as_one_of_few() {
    let steps = [sends(GET), sends(GET), Step::Waits(Duration::from_secs(20)), sends(GET)];
    let (answer, reset, time) = served_beside(pool::KEEP + 1, &steps);
    assert!(answer == ANSWER.repeat(3) && !reset, "{answer}");
    assert!(time >= Duration::from_secs(20));
    let (answer, ..) = served_beside(pool::KEEP + 1, &[sends("G"), sends("ET / HT")]);
    assert_eq!(answer, "");
}

#[test]
fn a_connection_that_ends_in_the_middle_is_over() {
    let (answer, reset, _) = served(&[sends("GET / HT"), Step::Closes]);
    assert!(answer.is_empty() && reset);
    assert!(served(&[Step::Closes]).0.is_empty());
}

#[test]
fn a_head_of_any_length_that_fits_leaves_room_for_its_body() {
    for length in 480..=512 {
        for (framing, content) in [
            ("Transfer-Encoding: chunked", "2\r\nhi\r\n0\r\nTrailer: x\r\n\r\n"),
            ("Content-Length: 2", "hi"),
        ] {
            let head = |pad: &str| {
                format!("POST /echo HTTP/1.1\r\nHost: x\r\n{framing}\r\nX: {pad}\r\n\r\n")
            };
            let head = head(&"y".repeat(length - head("").len()));
            assert_eq!(head.len(), length);
            let (answer, ..) = served(&[sends(&head), sends(content), sends(GET)]);
            assert!(answer.contains("\r\n2\r\nhi\r\n0\r\n\r\n"), "{length}, {framing}: {answer}");
            assert!(answer.ends_with(ANSWER), "{length}, {framing}: {answer}");
            let (answer, ..) = served(&[sends(&format!("{head}{content}{GET}"))]);
            assert!(answer.ends_with(ANSWER), "{length}, {framing}, at once: {answer}");
        }
    }
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(481));
    assert_eq!((long.len(), status_of(&[sends(&long)])), (513, 431));
}
