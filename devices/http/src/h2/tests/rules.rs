//! The rules of the RFC, and what clients may not do without end.

use super::*;

/// The end that a connection or a stream has after some frames. Sections of RFC 9113.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on: the request after it is answered.
    Fine,
    Connection(Code),
    Stream(u32, Code),
}

/// What comes of these parts, and of a request behind them.
pub(super) fn verdict(name: &str, parts: &[Vec<u8>]) -> Verdict {
    let outcome = play(&[parts, &[get(101, "/")]].concat());
    let reset = outcome.streams.iter().find_map(|(id, it)| Some((*id, it.reset?)));
    let served = outcome.streams.get(&101).is_some_and(|it| it.status() == "200");
    match (outcome.away, reset) {
        (Some((code, _)), _) if code != 0 => Verdict::Connection(Code(code)),
        (_, Some((id, code))) if served && code != 0 => Verdict::Stream(id, Code(code)),
        _ if served => Verdict::Fine,
        _ => panic!("{name}: {outcome:?}"),
    }
}

#[test]
fn each_rule_of_the_rfc_is_held() {
    use Verdict::{Connection, Fine, Stream};
    let ping = |flags, stream, length| frame(kind::PING, flags, stream, &[7; 9][..length]);
    let rst = |stream, length| frame(kind::RST_STREAM, 0, stream, &[0; 5][..length]);
    let headers = |flags, stream, bytes: &[u8]| frame(kind::HEADERS, flags, stream, bytes);
    let with = |fields: &[(&str, &str)]| headers(WHOLE, 1, &request("GET", "/", fields));
    let without = |index: usize| {
        let mut all =
            vec![(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "x")];
        all.remove(index);
        headers(WHOLE, 1, &block(&all))
    };
    let page = request("GET", "/", &[]);
    let (first, rest) = page.split_at(5);
    let go_on = |stream, flags, bytes: &[u8]| frame(kind::CONTINUATION, flags, stream, bytes);
    let both = |a: Vec<u8>, b: Vec<u8>| [a, b].concat();
    let cases: Vec<(&str, Vec<u8>, Verdict)> = vec![
        ("4.1 an unknown type is ignored", frame(99, 0xff, 0, b"x"), Fine),
        ("4.1 unknown flags are ignored", ping(0x16, 0, 8), Fine),
        ("4.2 a frame is too long", data(1, 0, &[0; LARGEST + 1]), Connection(Code::FRAME_SIZE)),
        ("4.3 a block is none", headers(WHOLE, 1, &[0x80]), Connection(Code::COMPRESSION)),
        (
            "4.3 a ping within a block",
            both(headers(1, 1, first), ping(0, 0, 8)),
            Connection(Code::PROTOCOL),
        ),
        (
            "4.3 an unknown frame within a block",
            both(headers(1, 1, first), frame(99, 0, 1, b"")),
            Connection(Code::PROTOCOL),
        ),
        (
            "4.3 another block within a block",
            both(headers(1, 1, first), get(3, "/")),
            Connection(Code::PROTOCOL),
        ),
        ("4.3 a block in pieces", both(headers(1, 1, first), go_on(1, HEAD, rest)), Fine),
        ("5.1 DATA on an idle stream", data(1, 0, b"x"), Connection(Code::PROTOCOL)),
        ("5.1 RST_STREAM on an idle stream", rst(1, 4), Connection(Code::PROTOCOL)),
        ("5.1 WINDOW_UPDATE on an idle stream", more(1, 1), Connection(Code::PROTOCOL)),
        ("5.1 PRIORITY on an idle stream", frame(kind::PRIORITY, 0, 1, &[0; 5]), Fine),
        ("5.1 CONTINUATION on an idle stream", go_on(1, HEAD, first), Connection(Code::PROTOCOL)),
        (
            "5.1 DATA after the end",
            both(get(1, "/never"), data(1, 1, b"x")),
            Stream(1, Code::STREAM_CLOSED),
        ),
        (
            "5.1 HEADERS after the end",
            both(get(1, "/never"), get(1, "/")),
            Connection(Code::STREAM_CLOSED),
        ),
        ("5.1 WINDOW_UPDATE after the end", both(get(1, "/"), more(1, 1)), Fine),
        ("5.1.1 an even stream", get(2, "/"), Connection(Code::PROTOCOL)),
        ("5.1.1 an older stream", both(get(5, "/"), get(3, "/")), Connection(Code::PROTOCOL)),
        (
            "5.3.2 it depends on itself",
            both(post(1, &[]), frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 1, 0])),
            Stream(1, Code::PROTOCOL),
        ),
        (
            "6.4 an idle stream that depends on itself",
            frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 1, 0]),
            Connection(Code::PROTOCOL),
        ),
        (
            "6.4 a short PRIORITY on an idle stream",
            frame(kind::PRIORITY, 0, 2, &[0; 4]),
            Connection(Code::FRAME_SIZE),
        ),
        ("6.1 DATA on no stream", data(0, 0, b"x"), Connection(Code::PROTOCOL)),
        (
            "6.1 more padding than payload",
            both(post(1, &[]), data(1, flag::PADDED, b"\x05abc")),
            Connection(Code::PROTOCOL),
        ),
        ("6.1 padding", both(post(1, &[]), data(1, flag::PADDED | 1, b"\x02abc\0\0")), Fine),
        ("6.2 HEADERS on no stream", headers(WHOLE, 0, &page), Connection(Code::PROTOCOL)),
        (
            "6.2 more padding than block",
            headers(WHOLE | flag::PADDED, 1, b"\xff\x82"),
            Connection(Code::PROTOCOL),
        ),
        (
            "6.3 PRIORITY on no stream",
            frame(kind::PRIORITY, 0, 0, &[0; 5]),
            Connection(Code::PROTOCOL),
        ),
        (
            "6.3 a short PRIORITY",
            both(post(1, &[]), frame(kind::PRIORITY, 0, 1, &[0; 4])),
            Stream(1, Code::FRAME_SIZE),
        ),
        ("6.4 RST_STREAM on no stream", rst(0, 4), Connection(Code::PROTOCOL)),
        ("6.4 a short RST_STREAM", both(post(1, &[]), rst(1, 3)), Connection(Code::FRAME_SIZE)),
        ("6.5 SETTINGS on a stream", frame(kind::SETTINGS, 0, 1, b""), Connection(Code::PROTOCOL)),
        (
            "6.5 SETTINGS of a wrong length",
            frame(kind::SETTINGS, 0, 0, b"abc"),
            Connection(Code::FRAME_SIZE),
        ),
        (
            "6.5 ACK with a payload",
            frame(kind::SETTINGS, 1, 0, &[0; 6]),
            Connection(Code::FRAME_SIZE),
        ),
        ("6.5 ACK", frame(kind::SETTINGS, 1, 0, b""), Fine),
        ("6.5.2 ENABLE_PUSH of 2", settings(&[(2, 2)]), Connection(Code::PROTOCOL)),
        (
            "6.5.2 INITIAL_WINDOW_SIZE above its limit",
            settings(&[(4, 1 << 31)]),
            Connection(Code::FLOW_CONTROL),
        ),
        (
            "6.5.2 MAX_FRAME_SIZE below its limit",
            settings(&[(5, 16_383)]),
            Connection(Code::PROTOCOL),
        ),
        ("6.5.2 an unknown setting", settings(&[(0xff, 1)]), Fine),
        (
            "6.6 PUSH_PROMISE",
            frame(kind::PUSH_PROMISE, HEAD, 1, &[0, 0, 0, 2]),
            Connection(Code::PROTOCOL),
        ),
        ("6.7 PING on a stream", ping(0, 1, 8), Connection(Code::PROTOCOL)),
        ("6.7 a short PING", ping(0, 0, 7), Connection(Code::FRAME_SIZE)),
        ("6.7 ACK that was not asked for", ping(1, 0, 8), Fine),
        ("6.8 GOAWAY on a stream", frame(kind::GOAWAY, 0, 1, &[0; 8]), Connection(Code::PROTOCOL)),
        ("6.8 a short GOAWAY", frame(kind::GOAWAY, 0, 0, &[0; 7]), Connection(Code::FRAME_SIZE)),
        ("6.8 GOAWAY", frame(kind::GOAWAY, 0, 0, &[0; 8]), Fine),
        ("6.9 WINDOW_UPDATE by 0", more(0, 0), Connection(Code::PROTOCOL)),
        (
            "6.9 WINDOW_UPDATE by 0 on a stream",
            both(post(1, &[]), more(1, 0)),
            Stream(1, Code::PROTOCOL),
        ),
        (
            "6.9 a short WINDOW_UPDATE",
            frame(kind::WINDOW_UPDATE, 0, 0, &[0; 3]),
            Connection(Code::FRAME_SIZE),
        ),
        (
            "6.9.1 a window beyond its limit",
            both(more(0, 0x7fff_ffff), more(0, 1)),
            Connection(Code::FLOW_CONTROL),
        ),
        (
            "6.9.1 a stream's window beyond its limit",
            [get(1, "/never"), more(1, 0x7fff_ffff)].concat(),
            Stream(1, Code::FLOW_CONTROL),
        ),
        (
            "6.9.2 a stream's window beyond it by settings",
            [get(1, "/never"), more(1, 0x7fff_0000), settings(&[(4, 0x7fff_ffff)])].concat(),
            Connection(Code::FLOW_CONTROL),
        ),
        (
            "6.10 CONTINUATION after the block",
            both(get(1, "/"), go_on(1, HEAD, rest)),
            Connection(Code::PROTOCOL),
        ),
        (
            "6.10 CONTINUATION on another stream",
            both(headers(1, 1, first), go_on(3, HEAD, rest)),
            Connection(Code::PROTOCOL),
        ),
        ("8.1 a second head", both(post(1, &[]), post(1, &[])), Stream(1, Code::PROTOCOL)),
        ("8.1 a trailer", both(post(1, &[]), headers(WHOLE, 1, &block(&[("a", "b")]))), Fine),
        (
            "8.1 a trailer with a pseudo field",
            both(post(1, &[]), headers(WHOLE, 1, &block(&[(":path", "/")]))),
            Stream(1, Code::PROTOCOL),
        ),
        (
            "8.1.1 less content than announced",
            both(post(1, &[("content-length", "3")]), data(1, 1, b"xx")),
            Stream(1, Code::PROTOCOL),
        ),
        (
            "8.1.1 more content than announced",
            both(post(1, &[("content-length", "1")]), data(1, 1, b"xx")),
            Stream(1, Code::PROTOCOL),
        ),
        (
            "8.1.1 none at all",
            headers(WHOLE, 1, &request("POST", "/", &[("content-length", "1")])),
            Stream(1, Code::PROTOCOL),
        ),
        (
            "8.2.2 a field of connections",
            with(&[("connection", "close")]),
            Stream(1, Code::PROTOCOL),
        ),
        ("8.2.2 te", with(&[("te", "gzip")]), Stream(1, Code::PROTOCOL)),
        ("8.3 an unknown pseudo field", with(&[(":x", "y")]), Stream(1, Code::PROTOCOL)),
        ("8.3 a field of answers", with(&[(":status", "200")]), Stream(1, Code::PROTOCOL)),
        ("8.3.1 no method", without(0), Stream(1, Code::PROTOCOL)),
        ("8.3.1 no scheme", without(1), Stream(1, Code::PROTOCOL)),
        ("8.3.1 no path", without(2), Stream(1, Code::PROTOCOL)),
        ("8.3.1 a path twice", with(&[(":path", "/")]), Stream(1, Code::PROTOCOL)),
        (
            "8.5 CONNECT",
            headers(WHOLE, 1, &block(&[(":method", "CONNECT"), (":authority", "x:1")])),
            Fine,
        ),
    ];
    let mut failures = Vec::new();
    for (name, bytes, expected) in &cases {
        let found = verdict(name, core::slice::from_ref(bytes));
        if found != *expected {
            failures.push(format!("{name}: {found:?}, not {expected:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn settings_come_first() {
    for first in [get(1, "/"), frame(kind::SETTINGS, flag::ACK, 0, b""), frame(99, 0, 0, b"")] {
        let parts = [[&PREFACE[..], &first].concat()];
        let (bytes, stats) = play_with(&Limits::default(), &parts, None);
        assert_eq!(read(&bytes, stats).away, Some((Code::PROTOCOL.0, 0)));
    }
}

#[test]
fn who_speaks_http1_is_served_as_ever() {
    for (sent, status) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "200"),
        ("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "505"),
        ("PUT", ""),
        ("P", ""),
    ] {
        let (bytes, _) = play_with(&Limits::default(), &[sent.as_bytes().to_vec()], None);
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.get(9..12).unwrap_or_default(), status, "{text}");
    }
    // The preface may come in pieces.
    let begin = [&PREFACE[..], &settings(&[]), &get(1, "/")].concat();
    let parts: Vec<_> = begin.chunks(5).map(<[u8]>::to_vec).collect();
    let (bytes, stats) = play_with(&Limits::default(), &parts, None);
    assert_eq!(read(&bytes, stats).streams[&1].status(), "200");
}

#[test]
fn what_was_agreed_on_beneath_is_what_is_spoken() {
    let first = [&PREFACE[..], &settings(&[]), &get(1, "/")].concat();
    let old = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    let said = |agreed, sent: &[u8]| {
        let script = Script { agreed, ..Script::default() };
        // Who says no more is waited for, which ends before the script does.
        let limits = Limits { request: Duration::from_secs(3), ..Limits::default() };
        play_on(script, &limits, &[sent.to_vec()])
    };
    for agreed in [None, Some("h2")] {
        let (bytes, stats) = said(agreed, &first);
        assert_eq!(read(&bytes, stats).streams[&1].status(), "200");
    }
    for agreed in [None, Some("http/1.1")] {
        assert!(said(agreed, &old).0.starts_with(b"HTTP/1.1 200 "));
    }
    assert!(said(Some("http/1.1"), &first).0.starts_with(b"HTTP/1.1 505 "));
    // Nothing of HTTP/1.1 is said to who is to speak HTTP/2.
    for wrong in
        [&old[..], b"INVALID CONNECTION PREFACE\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nXX", b"PR"]
    {
        let (bytes, stats) = said(Some("h2"), wrong);
        assert_eq!((&*bytes, stats.requests, stats.bad), (&b""[..], 0, 1));
    }
}

#[test]
fn resets_and_useless_frames_without_end_are_not_borne() {
    let calm = Some(Code::CALM.0);
    let reset = |id: u32| [get(id, "/never"), frame(kind::RST_STREAM, 0, id, &[0; 4])].concat();
    let rapid: Vec<Vec<u8>> = (0..300).map(|it| reset(2 * it + 1)).collect();
    let outcome = play(&rapid);
    assert_eq!(outcome.away.map(|it| it.0), calm);
    assert!(outcome.stats.requests < 300);
    for useless in [
        frame(kind::PING, 0, 0, &[1; 8]),
        settings(&[]),
        frame(kind::PRIORITY, 0, 9, &[0; 5]),
        frame(99, 0, 0, b""),
    ] {
        assert_eq!(play(&[useless.repeat(2000)]).away.map(|it| it.0), calm);
    }
    let empty = [post(1, &[]), data(1, 0, b"").repeat(2000)];
    assert_eq!(play(&empty).away.map(|it| it.0), calm);
    let begun = frame(kind::HEADERS, 0, 1, &request("GET", "/", &[]));
    let flood = [begun, frame(kind::CONTINUATION, 0, 1, b"").repeat(2000)];
    assert_eq!(play(&flood).away.map(|it| it.0), calm);
    // Having the server reset them is the same.
    let made: Vec<Vec<u8>> =
        (0..300).map(|it| [get(2 * it + 1, "/never"), more(2 * it + 1, 0)].concat()).collect();
    let outcome = play(&made);
    assert_eq!(outcome.away.map(|it| it.0), calm);
    // Cancelling now and then is what browsers do.
    let some: Vec<Vec<u8>> =
        (0..300).map(|it| [reset(4 * it + 1), get(4 * it + 3, "/")].concat()).collect();
    let outcome = play(&some);
    assert_eq!((outcome.away, outcome.streams[&1199].status()), (None, "200"));
}

#[test]
fn time_makes_up_for_resets_however_they_fall_in_it() {
    let reset = |id: u32| [get(id, "/never"), frame(kind::RST_STREAM, 0, id, &[0; 4])].concat();
    let first = [&PREFACE[..], &settings(&[]), &reset(1)].concat();
    let more = (1..250).map(|it| reset(2 * it + 1));
    let parts: Vec<_> = [first].into_iter().chain(more).collect();
    let (bytes, stats) = play_paced(&Limits::default(), &parts, Duration::from_millis(99));
    assert_eq!(read(&bytes, stats).away, None);
}

#[test]
fn downloads_that_are_cancelled_in_the_middle_are_borne() {
    let cancelled = |window: u32, milliseconds: u64| {
        let mut parts = vec![settings(&[(4, 1 << 20)])];
        for id in (0..150).map(|it| 2 * it + 1) {
            let path = if window == 0 { "/never" } else { "/long" };
            parts.push([get(id, path), more(0, window + 1)].concat());
            parts.push(frame(kind::RST_STREAM, 0, id, &[0; 4]));
        }
        parts.push(get(1001, "/"));
        let first = [&PREFACE[..], &settings(&[])].concat();
        let wait = Duration::from_millis(milliseconds);
        let (bytes, stats) = play_paced(&Limits::default(), &[&[first], &parts[..]].concat(), wait);
        read(&bytes, stats).away
    };
    // A client that has been sent much of each, or that needs its time.
    assert_eq!(cancelled(20_000, 1), None);
    assert_eq!(cancelled(0, 60), None);
    assert_eq!(cancelled(0, 1).map(|it| it.0), Some(Code::CALM.0));
}

#[test]
fn streams_that_were_reset_are_none_beyond_the_limit() {
    let mut parts: Vec<u8> = (0..100).flat_map(|it| get(2 * it + 1, "/wait")).collect();
    parts.extend((0..10).flat_map(|it| frame(kind::RST_STREAM, 0, 2 * it + 1, &[0; 4])));
    parts.extend((100..110).flat_map(|it| get(2 * it + 1, "/wait")));
    let outcome = play(&[parts]);
    assert!(outcome.streams.values().all(|it| it.reset.is_none()), "{:?}", outcome.streams);
    assert_eq!(outcome.streams.values().filter(|it| it.status() == "200").count(), STREAMS);
}

#[test]
fn streams_beyond_the_limit_are_refused() {
    let requests: Vec<u8> = (0..110).flat_map(|it| get(2 * it + 1, "/wait")).collect();
    let outcome = play(&[requests]);
    let refused = |it: &&Answer| it.reset == Some(Code::REFUSED_STREAM.0);
    assert_eq!(outcome.streams.values().filter(refused).count(), 10);
    let served = outcome.streams.values().filter(|it| it.status() == "200").count();
    assert_eq!(served, STREAMS);
}

#[test]
fn memory_is_bounded_and_a_request_without_it_is_refused() {
    let limits = Limits { memory: 64 * 1024, ..Limits::default() };
    let first = [&PREFACE[..], &settings(&[])].concat();
    let requests: Vec<u8> = (0..50).flat_map(|it| post(2 * it + 1, &[])).collect();
    let rest: Vec<u8> = (0..50).flat_map(|it| data(2 * it + 1, flag::END_STREAM, b"x")).collect();
    let (bytes, stats) = play_with(&limits, &[first, requests, rest, get(201, "/")], None);
    let outcome = read(&bytes, stats);
    let served = outcome.streams.values().filter(|it| it.status() == "200").count();
    let refused = |it: &&Answer| it.reset == Some(Code::REFUSED_STREAM.0);
    assert!(served >= 2, "{served}");
    // More than half is left for others.
    assert!(served <= 8, "{served}");
    assert!(outcome.streams.values().filter(refused).count() > 20, "{outcome:?}");
    assert_eq!(outcome.streams[&201].status(), "200");
}

#[test]
fn a_head_that_does_not_end_counts_as_memory() {
    let first = || [&PREFACE[..], &settings(&[])].concat();
    let value = "x".repeat(12_000);
    let block = request("GET", "/", &[("a", &value)]);
    let begun = frame(kind::HEADERS, flag::END_STREAM, 1, &block);
    let parts = [first(), begun, frame(kind::CONTINUATION, HEAD, 1, b"")];
    let ends = |memory| {
        let limits = Limits { memory, ..Limits::default() };
        let (bytes, stats) = play_with(&limits, &parts, None);
        let outcome = read(&bytes, stats);
        outcome.away.map_or_else(|| Ok(outcome.streams[&1].status() == "200"), |it| Err(it.0))
    };
    assert_eq!(ends(128 << 10), Ok(true));
    // There is memory for the connection, and not for its head as well.
    let refused = (30..128).rev().find_map(|memory| ends(memory << 10).err());
    assert_eq!(refused, Some(Code::INTERNAL.0));
}

#[test]
fn who_sends_more_than_the_window_is_stopped() {
    // Nobody reads it.
    let head = frame(kind::HEADERS, HEAD, 1, &request("POST", "/never", &[]));
    let parts: Vec<_> = core::iter::once(head)
        .chain((0..9).map(|_| data(1, 0, &[0; 10_000])))
        .chain([get(3, "/")])
        .collect();
    let outcome = play(&parts);
    assert_eq!(outcome.streams[&1].reset, Some(Code::FLOW_CONTROL.0));
    assert_eq!(outcome.streams[&3].status(), "200");
    let heads: Vec<u8> = (0..4)
        .flat_map(|it| frame(kind::HEADERS, HEAD, 2 * it + 1, &request("POST", "/never", &[])))
        .collect();
    let mut parts = vec![heads];
    parts.extend((0..20).map(|it| data(2 * (it % 4) + 1, 0, &[0; 10_000])));
    assert_eq!(play(&parts).away.map(|it| it.0), Some(Code::FLOW_CONTROL.0));
}

#[test]
fn many_answers_have_the_time_that_one_of_their_length_has() {
    let first = [&PREFACE[..], &settings(&[(4, 1 << 20)]), &more(0, 1 << 30)].concat();
    let requests: Vec<u8> = (0..50).flat_map(|it| get(2 * it + 1, "/long")).collect();
    let parts = [first, requests];
    // Each of fifty has 200 bytes a second, or 8 where that is less than one alone has to take.
    for (rate, whole) in [(10_000, 50), (400, 0)] {
        kernel::testing::simulate_time();
        let slow = Some(Slow::new(rate, Duration::from_secs(10)));
        let script = Script { slow, ..Script::default() };
        let limits = Limits { idle: Duration::from_secs(1), ..Limits::default() };
        let steps = parts.iter().map(|it| Step::Sends(it.clone()));
        let steps = steps.chain([Step::Waits(Duration::from_secs(2000)), Step::Closes]).collect();
        let answer = Rc::clone(&script.answer);
        let pool = Rc::new(Pool::new(&limits, Rc::default()));
        let slot = pool.sit().unwrap();
        let script = Script { steps, ..script };
        let begun = kernel::time::Instant::now();
        kernel::task::block_on(server::pooled(script, &limits, &slot, &app, Some(serve)));
        let outcome = read_some(&answer.borrow(), pool.stats.get());
        let served = outcome.streams.values().filter(|it| it.whole).count();
        assert_eq!(served, whole, "{rate}");
        assert!(whole > 0 || begun.elapsed() < Duration::from_secs(400), "{:?}", begun.elapsed());
    }
}

#[test]
fn ends_of_answers_wait_for_room_for_as_long_as_the_client_takes_what_is_to_be_sent() {
    kernel::testing::simulate_time();
    // A record of 16 KiB takes the client 27 seconds.
    let slow = Some(Slow::new(600, Duration::ZERO));
    let answer = Rc::<RefCell<Vec<u8>>>::default();
    let ids = || (0..60).map(|it| 2 * it + 1);
    let posts: Vec<u8> = ids().flat_map(|id| post(id, &[])).collect();
    let ends: Vec<u8> = ids().flat_map(|id| data(id, flag::END_STREAM, b"")).collect();
    let first = [&PREFACE[..], &settings(&[(4, 1 << 20)]), &more(0, 1 << 20), &posts].concat();
    let wait = |seconds| Step::Waits(Duration::from_secs(seconds));
    // The second fills what the first leaves.
    let steps = [first, get(201, "/long"), get(203, "/long"), ends].into_iter();
    let steps = steps.zip([20, 1, 1, 1000]).flat_map(|(it, time)| [Step::Sends(it), wait(time)]);
    let steps = steps.chain([Step::Closes]).collect();
    let script = Script { steps, slow, answer: Rc::clone(&answer), ..Script::default() };
    let second = Duration::from_secs(1);
    let (pause, response) = (1000 * second, 10 * second);
    let limits = Limits { idle: second, pause, response, ..Limits::default() };
    let pool = Rc::new(Pool::new(&limits, Rc::default()));
    let slot = pool.sit().unwrap();
    kernel::task::block_on(server::pooled(script, &limits, &slot, &app, Some(serve)));
    let outcome = read_some(&answer.borrow(), pool.stats.get());
    assert_eq!(outcome.streams.values().filter(|it| it.whole).count(), 62);
    assert_eq!(outcome.streams[&203].content.len(), 100_000);
}

#[test]
fn whoever_opens_no_window_is_not_waited_for_though_others_are_served() {
    let first = [&PREFACE[..], &settings(&[(4, 0)]), &more(0, 1 << 30)].concat();
    let mut steps: VecDeque<_> = [first, get(1, "/long"), get(3, "/long")].map(Step::Sends).into();
    for _ in 0..100 {
        steps.extend([Step::Waits(Duration::from_secs(1)), Step::Sends(more(3, 1000))]);
    }
    steps.extend([Step::Waits(Duration::from_secs(1)), Step::Closes]);
    let limits = Limits::default();
    let (bytes, stats) =
        play_on_paced(Script { steps, ..Script::default() }, &limits, &[], Duration::ZERO);
    let outcome = read(&bytes, stats);
    assert_eq!(outcome.streams[&1].reset, Some(Code::INTERNAL.0));
    assert_eq!((outcome.streams[&3].content.len(), outcome.streams[&3].reset), (100_000, None));
    // The same where it is the window of all that stays shut.
    let first = [&PREFACE[..], &settings(&[(4, 1 << 20)])].concat();
    let first = [first, get(1, "/long"), get(3, "/long")].concat();
    let wait = Step::Waits(Duration::from_secs(40));
    let steps = [Step::Sends(first), wait, Step::Sends(get(5, "/silent"))];
    let script = Script { steps: steps.into(), ..Script::default() };
    let (bytes, stats) = play_on_paced(script, &limits, &[], Duration::ZERO);
    let outcome = read(&bytes, stats);
    let resets = [1, 3].map(|id| outcome.streams[&id].reset);
    assert_eq!(resets, [Some(Code::INTERNAL.0); 2]);
    assert_eq!(outcome.streams[&5].status(), "500");
}

#[test]
fn whoever_is_silent_or_takes_nothing_is_not_waited_for() {
    let first = [&PREFACE[..], &settings(&[])].concat();
    let limits = Limits {
        idle: Duration::from_secs(2),
        request: Duration::from_secs(1),
        response: Duration::from_secs(3),
        ..Limits::default()
    };
    // Idle: it is told so before the client ends.
    let (bytes, stats) = play_with(&limits, &[first.clone(), get(1, "/")], None);
    assert_eq!(read(&bytes, stats).away, Some((0, 1)));
    // In the middle of a head.
    let half = frame(kind::HEADERS, 0, 1, &request("GET", "/", &[]));
    let (bytes, stats) = play_with(&limits, &[first.clone(), half], None);
    assert_eq!(read(&bytes, stats).away, Some((Code::CALM.0, 0)));
    // It opens no window.
    let (bytes, stats) =
        play_with(&limits, &[[first, settings(&[(4, 0)])].concat(), get(1, "/long")], None);
    assert_eq!(read(&bytes, stats).streams[&1].reset, Some(Code::INTERNAL.0));
}

#[test]
fn what_a_client_sends_at_random_ends_in_order() {
    let mut state = 1_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..300 {
        let mut bytes = Vec::new();
        for _ in 0..20 {
            let kind = (random() % 11) as u8;
            let length = (random() % 60) as usize;
            let payload: Vec<u8> = if random() % 3 == 0 {
                request("POST", "/echo", &[])
            } else {
                (0..length).map(|_| random() as u8).collect()
            };
            bytes.extend(frame(kind, random() as u8, (random() % 8) as u32, &payload));
        }
        let outcome = play(&[bytes]);
        assert!(outcome.stats.open == 0, "{}", outcome.stats.open.to_string());
    }
}
