//! Whole connections, over a stream in memory: what each frame of a client is answered.

use super::super::pool::Pool;
mod held;
mod moving;
mod rules;
mod spec;

use super::super::tests::{Script, Slow, Step};
use super::super::*;
use super::frame::{Code, Frame, HEADER, LARGEST, flag, kind};
use super::hpack::{Decoder, Encoder};
use super::state::{ALL, STREAMS, WINDOW};
use super::{PREFACE, serve};
use core::cell::{Cell, RefCell};
use core::time::Duration;
use embedded_io_async::{Read as _, Write as _};
use std::collections::{BTreeMap, VecDeque};
use std::format;
use std::rc::Rc;
use std::string::{String, ToString as _};
use std::vec;
use std::vec::Vec;

/// A frame of the client's.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let header = Frame { length: payload.len(), kind, flags, stream }.write();
    [&header[..], payload].concat()
}

/// A field block.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut room = vec![0; 1 << 16];
    let mut encoder = Encoder::new(&mut room);
    fields.iter().for_each(|(name, value)| encoder.field(name, value));
    let length = encoder.finish().unwrap();
    room.truncate(length);
    room
}

/// The fields of a request, and `more` behind them.
fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "x")];
    block(&[&pseudo[..], more].concat())
}

const HEAD: u8 = flag::END_HEADERS;
const WHOLE: u8 = flag::END_HEADERS | flag::END_STREAM;

/// A request without content.
fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(kind::HEADERS, WHOLE, stream, &request("GET", path, &[]))
}

fn post(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    frame(kind::HEADERS, HEAD, stream, &request("POST", "/echo", more))
}

fn data(stream: u32, flags: u8, content: &[u8]) -> Vec<u8> {
    frame(kind::DATA, flags, stream, content)
}

fn settings(of: &[(u16, u32)]) -> Vec<u8> {
    let bytes =
        |&(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(kind::SETTINGS, 0, 0, &of.iter().flat_map(bytes).collect::<Vec<_>>())
}

fn more(stream: u32, by: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// What came of a stream.
#[derive(Default, Debug, PartialEq, Eq)]
struct Answer {
    fields: BTreeMap<String, String>,
    content: Vec<u8>,
    whole: bool,
    reset: Option<u32>,
}

impl Answer {
    fn status(&self) -> &str {
        self.fields.get(":status").map_or("", String::as_str)
    }
}

/// What came of a connection.
#[derive(Default, Debug)]
struct Outcome {
    streams: BTreeMap<u32, Answer>,
    /// The code of GOAWAY, and the last stream.
    away: Option<(u32, u32)>,
    acknowledged: usize,
    pings: Vec<Vec<u8>>,
    /// WINDOW_UPDATE: of which stream, by how much.
    allowed: Vec<(u32, u32)>,
    /// Content of each frame, in their order.
    frames: Vec<(u32, usize)>,
    stats: Stats,
    /// The streams on which the server said 100 (Continue).
    told: Vec<u32>,
}

/// Answers by path.
async fn app(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let text = ("Content-Type", "text/plain");
    let request = exchange.request();
    match request.path() {
        "/" => exchange.respond(Status::OK, &[text, ("X-Name", "Value")], b"a page").await,
        "/version" => {
            let version = format!("{:?} {}", request.version(), request.host());
            exchange.respond(Status::OK, &[text], version.as_bytes()).await
        }
        "/echo" => {
            let mut sink = exchange.stream(Status::OK, &[text], None).await?;
            let mut piece = [0; 700];
            loop {
                match sink.body().read(&mut piece).await? {
                    0 => return sink.finish().await,
                    count => sink.write_all(&piece[..count]).await?,
                }
            }
        }
        "/long" => {
            let mut sink = exchange.stream(Status::OK, &[text], Some(100_000)).await?;
            sink.write_all(&[b'x'; 100_000]).await?;
            sink.finish().await
        }
        "/large" => {
            let value = "v".repeat(9000);
            exchange.respond(Status::OK, &[("X-Large", &value)], b"").await
        }
        "/huge" => {
            let value = "v".repeat(LARGEST);
            exchange.respond(Status::OK, &[("X-Huge", &value)], b"").await
        }
        "/wait" => {
            kernel::time::sleep(Duration::from_millis(10)).await;
            exchange.respond(Status::OK, &[], b"late").await
        }
        "/never" => core::future::pending().await,
        "/silent" => Ok(()),
        "/cut" => {
            let mut sink = exchange.stream(Status::OK, &[], Some(10)).await?;
            sink.write_all(b"half").await
        }
        "/switch" => {
            exchange.upgrade(&[("Upgrade", "x"), ("Connection", "Upgrade")]).await.map(drop)
        }
        _ => exchange.respond(Status::NOT_FOUND, &[text], b"nothing").await,
    }
}

/// Plays a client that sends these parts, a millisecond apart, and then waits.
fn play_with(limits: &Limits, parts: &[Vec<u8>], takes: Option<usize>) -> (Vec<u8>, Stats) {
    play_on(Script { takes, ..Script::default() }, limits, parts)
}

/// As [`play_with`], with another time between parts.
fn play_paced(limits: &Limits, parts: &[Vec<u8>], time: Duration) -> (Vec<u8>, Stats) {
    play_on_paced(Script::default(), limits, parts, time)
}

/// As [`play_with`], on a connection that is what `script` says.
fn play_on(script: Script, limits: &Limits, parts: &[Vec<u8>]) -> (Vec<u8>, Stats) {
    play_on_paced(script, limits, parts, Duration::from_millis(1))
}

fn play_on_paced(
    script: Script,
    limits: &Limits,
    parts: &[Vec<u8>],
    time: Duration,
) -> (Vec<u8>, Stats) {
    kernel::testing::simulate_time();
    let answer = Rc::<RefCell<Vec<u8>>>::default();
    let mut steps = script.steps;
    for part in parts {
        steps.push_back(Step::Sends(part.clone()));
        steps.push_back(Step::Waits(time));
    }
    steps.extend([Step::Waits(Duration::from_secs(5)), Step::Closes]);
    let script = Script { steps, answer: answer.clone(), ..script };
    let stats = Rc::<Cell<Stats>>::default();
    let pool = Rc::new(Pool::new(limits, stats.clone()));
    let left = pool.budget.left();
    let slot = pool.sit().unwrap();
    kernel::task::block_on(server::pooled(script, limits, &slot, &app, Some(serve)));
    drop(slot);
    pool.forget();
    assert_eq!(pool.budget.left(), left, "memory was not given back");
    (answer.take(), stats.get())
}

/// What the server says to a client that begins as it should, and then sends these parts.
fn play(parts: &[Vec<u8>]) -> Outcome {
    let first = [&PREFACE[..], &settings(&[])].concat();
    let (bytes, stats) = play_with(&Limits::default(), &[&[first], parts].concat(), None);
    read(&bytes, stats)
}

/// As [`read`], where the last frame may have been cut off.
fn read_some(bytes: &[u8], stats: Stats) -> Outcome {
    let mut end = 0;
    while let Some(header) = bytes.get(end..).and_then(|it| it.first_chunk::<HEADER>()) {
        let next = end + HEADER + Frame::read(*header).length;
        if next > bytes.len() {
            break;
        }
        end = next;
    }
    read(&bytes[..end], stats)
}

fn read(mut bytes: &[u8], stats: Stats) -> Outcome {
    let mut outcome = Outcome { stats, ..Outcome::default() };
    let mut decoder = Decoder::new();
    let mut first = true;
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() {
        let frame = Frame::read(*header);
        let (payload, rest) = rest.split_at(frame.length);
        bytes = rest;
        assert_eq!(core::mem::take(&mut first), frame.kind == kind::SETTINGS && !frame.has(1));
        let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        // What may follow the end of an answer (section 5.1).
        let after = matches!(frame.kind, kind::RST_STREAM | kind::WINDOW_UPDATE);
        let stream = || outcome.streams.get(&frame.stream);
        assert!(stream().is_none_or(|it| !it.whole || after), "{frame:?}");
        match frame.kind {
            kind::DATA | kind::HEADERS => {
                let answer = outcome.streams.entry(frame.stream).or_default();
                answer.whole |= frame.has(flag::END_STREAM);
                if frame.kind == kind::DATA {
                    answer.content.extend_from_slice(payload);
                    outcome.frames.push((frame.stream, payload.len()));
                } else {
                    assert!(frame.has(flag::END_HEADERS));
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    let each = &mut |name: &[u8], value: &[u8]| {
                        answer.fields.insert(text(name), text(value));
                    };
                    decoder.decode(payload, 1 << 20, each).unwrap();
                    if answer.fields.get(":status").is_some_and(|status| status == "100") {
                        assert_eq!(answer.fields.len(), 1);
                        answer.fields.clear();
                        outcome.told.push(frame.stream);
                    }
                }
            }
            kind::RST_STREAM => {
                outcome.streams.entry(frame.stream).or_default().reset = Some(number(0));
            }
            kind::SETTINGS if frame.has(flag::ACK) => outcome.acknowledged += 1,
            kind::SETTINGS => assert_eq!(payload, [0, 3, 0, 0, 0, 100]),
            kind::PING => outcome.pings.push(payload.to_vec()),
            kind::GOAWAY => outcome.away = Some((number(4), number(0))),
            kind::WINDOW_UPDATE => outcome.allowed.push((frame.stream, number(0))),
            other => panic!("frame {other}"),
        }
    }
    assert!(bytes.is_empty());
    outcome
}

#[test]
fn requests_are_answered_side_by_side() {
    let parts = [get(1, "/wait"), [get(3, "/"), get(5, "/version"), get(7, "/nowhere")].concat()];
    let outcome = play(&parts);
    let answer = |id: u32| &outcome.streams[&id];
    assert_eq!((answer(1).status(), &*answer(1).content), ("200", &b"late"[..]));
    assert_eq!((answer(3).status(), &*answer(3).content), ("200", &b"a page"[..]));
    assert_eq!(answer(3).fields["x-name"], "Value");
    assert_eq!(answer(3).fields["content-length"], "6");
    assert_eq!(&*answer(5).content, b"Http2 x");
    assert_eq!((answer(7).status(), &*answer(7).content), ("404", &b"nothing"[..]));
    assert!(outcome.streams.values().all(|it| it.whole && it.reset.is_none()));
    // The slow one did not hold up the others.
    assert_eq!(outcome.frames.last().unwrap().0, 1);
    assert_eq!((outcome.stats.requests, outcome.stats.bad, outcome.stats.open), (4, 0, 0));
    // The greeting and its answer.
    assert_eq!(outcome.acknowledged, 1);
    assert_eq!(outcome.allowed, [(0, ALL - WINDOW)]);
}

#[test]
fn content_goes_both_ways_and_windows_are_kept() {
    // More than a window, as the server gives it back.
    let content: Vec<u8> = (0..200_000_u32).map(|it| (it % 251) as u8).collect();
    let mut parts = vec![post(1, &[("content-length", "200000")])];
    parts.push([more(0, 1 << 20), more(1, 1 << 20)].concat());
    for piece in content.chunks(10_000) {
        parts.push(data(1, 0, piece));
    }
    parts.push(data(1, flag::END_STREAM, b""));
    let outcome = play(&parts);
    assert!(outcome.streams[&1].content == content && outcome.streams[&1].whole);
    let given: u32 = outcome.allowed.iter().filter(|it| it.0 == 1).map(|it| it.1).sum();
    assert!(given >= 200_000 - WINDOW, "{given}");
}

#[test]
fn no_more_is_sent_than_the_client_takes() {
    let outcome = play(&[get(1, "/long"), get(3, "/long")]);
    let sent: usize = outcome.frames.iter().map(|it| it.1).sum();
    assert_eq!(sent, WINDOW as usize);
    assert!(outcome.streams.values().all(|it| !it.whole));
    // A smaller window for each stream, which is less than nothing meanwhile (section 6.9.2).
    let parts =
        [get(1, "/long"), settings(&[(4, 0)]), more(0, 1 << 20), more(1, 10_000), more(1, 60_000)];
    let outcome = play(&parts);
    assert_eq!(outcome.streams[&1].content.len(), 70_000);
    let parts = [settings(&[(4, 100_000)]), get(1, "/long"), more(0, 1 << 20)];
    let outcome = play(&parts);
    assert_eq!(outcome.streams[&1].content.len(), 100_000);
    assert!(outcome.streams[&1].whole);
}

#[test]
fn streams_share_the_connection() {
    let requests: Vec<u8> = (0..5).flat_map(|it| get(2 * it + 1, "/long")).collect();
    let outcome = play(&[settings(&[(4, 1 << 20)]), requests, more(0, 1 << 20)]);
    assert!(outcome.streams.values().all(|it| it.content.len() == 100_000 && it.whole));
    // None is served to its end before the others begin.
    let first = |id: u32| outcome.frames.iter().position(|it| it.0 == id).unwrap();
    let last = |id: u32| outcome.frames.iter().rposition(|it| it.0 == id).unwrap();
    let begun = (0..5).map(|it| first(2 * it + 1)).max().unwrap();
    let ended = (0..5).map(|it| last(2 * it + 1)).min().unwrap();
    assert!(begun < ended, "{:?}", outcome.frames);
}

#[test]
fn large_heads_are_sent_or_refused() {
    let outcome = play(&[get(1, "/large"), get(3, "/huge"), get(5, "/")]);
    assert_eq!(outcome.streams[&1].fields["x-large"].len(), 9000);
    assert_eq!(outcome.streams[&3].reset, Some(Code::INTERNAL.0));
    assert_eq!(outcome.streams[&5].status(), "200");
}

#[test]
fn refusals_are_those_of_http1() {
    let long = "x".repeat(9000);
    let fields: Vec<_> = (0..200).map(|it| (format!("a{it}"), "b")).collect();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, *value)).collect();
    let head = |id, method: &str, path: &str, more: &[(&str, &str)]| {
        frame(kind::HEADERS, WHOLE, id, &request(method, path, more))
    };
    let outcome = play(&[
        head(1, "BREW", "/", &[]),
        head(3, "GET", &format!("/{long}"), &[]),
        head(5, "GET", "/", &fields),
        head(7, "GET", "/", &[("expect", "money")]),
        head(9, "HEAD", "/", &[]),
        head(11, "OPTIONS", "*", &[]),
        head(13, "GET", "/silent", &[]),
        head(15, "GET", "/cut", &[]),
        head(17, "GET", "/switch", &[]),
    ]);
    let answers: Vec<_> = outcome.streams.values().map(|it| (it.status(), it.reset)).collect();
    let said = ["501", "414", "431", "417", "200", "204", "500", "200", "400"];
    let reset = [None, None, None, None, None, None, None, Some(2), None];
    assert_eq!(answers, said.into_iter().zip(reset).collect::<Vec<_>>());
    assert!(outcome.streams[&1].content.starts_with(b"501 Not Implemented: "));
    assert_eq!(outcome.streams[&9].content, b"");
    assert!(outcome.streams[&9].whole);
    // So is the answer to HEAD where its own head is too long.
    let block = request("HEAD", "/", &vec![("a", "b"); 3000]);
    let (begin, rest) = block.split_at(9000);
    let begin = frame(kind::HEADERS, flag::END_STREAM, 1, begin);
    let outcome = play(&[begin, frame(kind::CONTINUATION, HEAD, 1, rest)]);
    assert_eq!((outcome.streams[&1].status(), &*outcome.streams[&1].content), ("431", &b""[..]));
    // A head that is longer than any is refused as well, and the connection goes on.
    let longer = "x".repeat(2000);
    let many: Vec<_> = (0..9).map(|_| ("a", &*longer)).collect();
    let outcome = play(&[
        [frame(kind::HEADERS, flag::END_STREAM, 1, &request("GET", "/", &many)[..9000])].concat(),
        frame(kind::CONTINUATION, HEAD, 1, &request("GET", "/", &many)[9000..]),
        get(3, "/"),
    ]);
    assert_eq!(outcome.away, Some((Code::CALM.0, 0)));
}

#[test]
fn a_client_that_waits_is_told_to_send() {
    let outcome = play(&[post(1, &[("expect", "100-continue")]), data(1, flag::END_STREAM, b"x")]);
    assert_eq!(outcome.streams[&1].content, b"x");
    assert_eq!((outcome.streams[&1].status(), outcome.told), ("200", vec![1]));
}

#[test]
fn content_that_nobody_reads_is_read_over() {
    // More than a window of it.
    let head = || frame(kind::HEADERS, HEAD, 1, &request("POST", "/", &[]));
    let mut parts = vec![head()];
    parts.extend((0..20).map(|_| data(1, 0, &[0; 10_000])));
    parts.extend([data(1, flag::END_STREAM, b""), get(3, "/")]);
    let outcome = play(&parts);
    let answer = &outcome.streams[&1];
    assert_eq!((answer.status(), answer.whole, answer.reset), ("200", true, None));
    assert_eq!((outcome.streams[&3].status(), outcome.away), ("200", None));
    // After a second it is not wanted any more, unless that is little.
    let first = || [&PREFACE[..], &settings(&[]), &head()].concat();
    for (piece, reset) in [(5000, Some(Code::NO_ERROR.0)), (500, None)] {
        let mut parts = vec![first()];
        parts.extend((0..60).map(|_| data(1, 0, &vec![0; piece])));
        parts.extend([data(1, flag::END_STREAM, b""), get(3, "/")]);
        let wait = Duration::from_millis(50);
        let (bytes, stats) = play_paced(&Limits::default(), &parts, wait);
        let outcome = read(&bytes, stats);
        let answer = &outcome.streams[&1];
        assert_eq!((answer.status(), answer.whole, answer.reset), ("200", true, reset));
        assert_eq!((outcome.streams[&3].status(), outcome.away), ("200", None));
    }
    // From who pauses for too long it is not either.
    let limits = Limits { pause: Duration::from_secs(2), ..Limits::default() };
    let (bytes, stats) = play_with(&limits, &[first()], None);
    let outcome = read(&bytes, stats);
    let answer = &outcome.streams[&1];
    assert_eq!((answer.status(), answer.reset), ("200", Some(Code::NO_ERROR.0)));
}
