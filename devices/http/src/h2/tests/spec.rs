//! What h2spec asks of a server and the rules do not, in the order of its sections, which are those of
//! RFC 7540. The rest is in `rules`, and how fields are coded in the decoder's tests.

use super::rules::{Verdict, verdict};
use super::*;

/// What is asked, what the client sends, a part after the other, and what is to come of it.
type Case<'a, T> = (&'a str, Vec<Vec<u8>>, T);

/// A block's pieces: HEADERS, and CONTINUATION of so many pieces.
fn pieces(stream: u32, flags: u8, count: usize) -> Vec<u8> {
    let page = request("GET", "/", &[("a", "some more of it")]);
    let all: Vec<&[u8]> = page.chunks(page.len().div_ceil(count + 1)).collect();
    let begun = frame(kind::HEADERS, flags, stream, all[0]);
    let rest = all[1..].iter().enumerate().flat_map(|(at, piece)| {
        let last = if at + 2 == all.len() { HEAD } else { 0 };
        frame(kind::CONTINUATION, last, stream, piece)
    });
    begun.into_iter().chain(rest).collect()
}

fn priority(stream: u32, on: u32, weight: u8) -> Vec<u8> {
    frame(kind::PRIORITY, 0, stream, &[&on.to_be_bytes()[..], &[weight]].concat())
}

#[test]
fn what_is_allowed_is_answered() {
    let page = request("GET", "/", &[]);
    let padded = [&[4][..], &page, &[0; 4]].concat();
    let ranked = [&[0, 0, 0, 0, 255][..], &page].concat();
    let both = [&[4][..], &ranked, &[0; 4]].concat();
    let headers = |flags, payload: &[u8]| frame(kind::HEADERS, WHOLE | flags, 1, payload);
    let far = |code: u32| [&[0; 4][..], &code.to_be_bytes()].concat();
    let reserved = |mut frame: Vec<u8>| {
        frame[5] |= 0x80;
        frame
    };
    let whole = vec![7; LARGEST];
    let text = b"a page";
    let cases: Vec<Case<'_, &[u8]>> = vec![
        ("generic 2 PRIORITY on an idle stream", vec![priority(1, 0, 1), get(1, "/")], text),
        (
            "generic 2 WINDOW_UPDATE on a half-closed stream",
            vec![get(1, "/wait"), more(1, 9)],
            b"late",
        ),
        (
            "generic 2 PRIORITY on a half-closed stream",
            vec![get(1, "/wait"), priority(1, 0, 1)],
            b"late",
        ),
        ("generic 2 PRIORITY on a closed stream", vec![get(1, "/"), priority(1, 0, 1)], text),
        ("generic 3.1 DATA", vec![post(1, &[]), data(1, 1, b"x")], b"x"),
        (
            "generic 3.1 several of it",
            vec![post(1, &[]), data(1, 0, b"x"), data(1, 0, b"y"), data(1, 1, b"z")],
            b"xyz",
        ),
        (
            "generic 3.1 padding",
            vec![post(1, &[]), data(1, flag::PADDED | 1, b"\x02xy\0\0")],
            b"xy",
        ),
        ("generic 3.2 padding", vec![headers(flag::PADDED, &padded)], text),
        ("generic 3.2 priority", vec![headers(flag::PRIORITY, &ranked)], text),
        ("generic 3.2 both", vec![headers(flag::PADDED | flag::PRIORITY, &both)], text),
        ("generic 3.3 priority 1", vec![priority(1, 0, 0), get(1, "/")], text),
        ("generic 3.3 priority 256", vec![priority(1, 0, 255), get(1, "/")], text),
        ("generic 3.3 on another", vec![priority(1, 3, 0), get(1, "/")], text),
        ("generic 3.3 on no other's side", vec![priority(1, 3 | 1 << 31, 0), get(1, "/")], text),
        ("generic 3.3 of a later stream", vec![priority(9, 0, 1), get(1, "/")], text),
        ("generic 3.9 a window", vec![more(0, 1), get(1, "/wait"), more(1, 1)], b"late"),
        ("generic 3.10 CONTINUATION", vec![pieces(1, flag::END_STREAM, 1)], text),
        ("generic 3.10 several of it", vec![pieces(1, flag::END_STREAM, 3)], text),
        (
            "generic 4 trailers",
            vec![
                post(1, &[]),
                data(1, 0, b"x"),
                frame(kind::HEADERS, WHOLE, 1, &block(&[("x-test", "ok")])),
            ],
            b"x",
        ),
        ("4.1 the reserved bit", vec![reserved(get(1, "/"))], text),
        ("4.2 the largest DATA", vec![post(1, &[]), data(1, 1, &whole)], &whole),
        (
            "6.9.2 a window after HEADERS",
            vec![settings(&[(4, 0)]), get(1, "/"), settings(&[(4, 1)]), settings(&[(4, 6)])],
            text,
        ),
        (
            "7 GOAWAY for an unknown reason",
            vec![frame(kind::GOAWAY, 0, 0, &far(0xff)), get(1, "/")],
            text,
        ),
        (
            "7 RST_STREAM for an unknown reason",
            vec![post(3, &[]), frame(kind::RST_STREAM, 0, 3, &0xff_u32.to_be_bytes()), get(5, "/")],
            b"",
        ),
        ("8.1.2.2 trailers", vec![frame(kind::HEADERS, WHOLE, 1, &te())], text),
    ];
    for (name, parts, content) in &cases {
        let outcome = play(&[&parts[..], &[get(101, "/")]].concat());
        let served = |id: u32| outcome.streams.get(&id).is_some_and(|it| it.status() == "200");
        assert_eq!((outcome.away, served(101)), (None, true), "{name}");
        let answer = outcome.streams.get(&1);
        let first = answer.map_or(&[][..], |it| &it.content);
        assert!(first == *content, "{name}: {outcome:?}");
        assert!(answer.is_none_or(|it| it.whole && it.reset.is_none()), "{name}: {outcome:?}");
    }
}

/// A request that says what of HTTP/1.1 it may (section 8.1.2.2).
fn te() -> Vec<u8> {
    request("GET", "/", &[("te", "trailers")])
}

#[test]
fn what_is_not_allowed_ends_the_stream_or_the_connection() {
    use Verdict::{Connection, Stream};
    let reset = |id| frame(kind::RST_STREAM, 0, id, &[0, 0, 0, 8]);
    let go_on = |id, flags| frame(kind::CONTINUATION, flags, id, &block(&[("a", "b")]));
    let of = |fields: &[(&str, &str)]| vec![frame(kind::HEADERS, WHOLE, 1, &block(fields))];
    let (method, scheme) = ((":method", "GET"), (":scheme", "http"));
    let (path, authority) = ((":path", "/"), (":authority", "x"));
    let announced = |length: &str| post(1, &[("content-length", length)]);
    let protocol = Connection(Code::PROTOCOL);
    let malformed = Stream(1, Code::PROTOCOL);
    let closed = Connection(Code::STREAM_CLOSED);
    // A literal, as the encoder makes all names lowercase.
    let uppercase = [&te()[..], b"\x00\x03X-A\x01b"].concat();
    let ranked = [&[0, 0, 0, 1, 9][..], &request("GET", "/", &[])].concat();
    let cases: Vec<Case<'_, Verdict>> = vec![
        (
            "4.2 HEADERS are too long",
            vec![frame(kind::HEADERS, WHOLE, 1, &[0; LARGEST + 1])],
            Connection(Code::FRAME_SIZE),
        ),
        ("5.1 CONTINUATION, half closed", vec![get(1, "/never"), go_on(1, HEAD)], protocol),
        (
            "5.1 DATA, reset",
            vec![post(1, &[]), reset(1), data(1, 1, b"x")],
            Stream(1, Code::STREAM_CLOSED),
        ),
        (
            "5.1 DATA, reset at once",
            vec![[post(1, &[]), reset(1), data(1, 1, b"x")].concat()],
            Stream(1, Code::STREAM_CLOSED),
        ),
        ("5.1 HEADERS, reset", vec![post(1, &[]), reset(1), get(1, "/")], closed),
        (
            "5.1 HEADERS, reset at once",
            vec![[post(1, &[]), reset(1), get(1, "/")].concat()],
            closed,
        ),
        ("5.1 CONTINUATION, reset", vec![post(1, &[]), reset(1), go_on(1, HEAD)], protocol),
        ("5.1 DATA, closed", vec![get(1, "/"), data(1, 1, b"x")], Stream(1, Code::STREAM_CLOSED)),
        ("5.1 HEADERS, closed", vec![get(1, "/"), get(1, "/")], closed),
        ("5.1 CONTINUATION, closed", vec![get(1, "/"), go_on(1, HEAD)], protocol),
        (
            "5.3.1 HEADERS that depend on themselves",
            vec![frame(kind::HEADERS, WHOLE | flag::PRIORITY, 1, &ranked)],
            protocol,
        ),
        (
            "6.2 PRIORITY within a block",
            vec![frame(kind::HEADERS, flag::END_STREAM, 1, &te()), priority(1, 0, 1)],
            protocol,
        ),
        ("6.5.2 MAX_FRAME_SIZE above its limit", vec![settings(&[(5, 1 << 24)])], protocol),
        (
            "6.10 CONTINUATION on no stream",
            vec![frame(kind::HEADERS, flag::END_STREAM, 1, &te()), go_on(0, HEAD)],
            protocol,
        ),
        (
            "6.10 CONTINUATION after the last one",
            vec![pieces(1, flag::END_STREAM, 1), go_on(1, HEAD)],
            protocol,
        ),
        (
            "6.10 CONTINUATION after DATA",
            vec![post(1, &[]), data(1, 0, b"x"), go_on(1, HEAD)],
            protocol,
        ),
        ("8.1.2 uppercase", vec![frame(kind::HEADERS, WHOLE, 1, &uppercase)], malformed),
        (
            "8.1.2.1 a pseudo field behind others",
            of(&[method, scheme, path, ("a", "b"), authority]),
            malformed,
        ),
        ("8.1.2.3 an empty path", of(&[method, scheme, (":path", ""), authority]), malformed),
        ("8.1.2.3 a method twice", of(&[method, method, scheme, path, authority]), malformed),
        ("8.1.2.3 a scheme twice", of(&[method, scheme, scheme, path, authority]), malformed),
        (
            "8.1.2.6 less in several frames",
            vec![announced("3"), data(1, 0, b"x"), data(1, 1, b"x")],
            malformed,
        ),
        (
            "8.1.2.6 more in several frames",
            vec![announced("1"), data(1, 0, b"x"), data(1, 1, b"x")],
            malformed,
        ),
    ];
    let failures: Vec<_> = cases
        .iter()
        .map(|(name, parts, expected)| (name, verdict(name, parts), expected))
        .filter(|(_, found, expected)| found != *expected)
        .collect();
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn a_window_of_a_byte_is_a_byte() {
    // The last of several settings (section 6.5.3), and a window that was negative (6.9.2).
    for (parts, sent) in [
        (vec![settings(&[(4, 1)]), get(1, "/")], "a"),
        (vec![settings(&[(4, 100), (4, 1)]), get(1, "/")], "a"),
        (vec![settings(&[(4, 3)]), get(1, "/"), settings(&[(4, 2)]), more(1, 2)], "a pa"),
    ] {
        let outcome = play(&parts);
        let answer = &outcome.streams[&1];
        assert_eq!((&*answer.content, answer.whole), (sent.as_bytes(), false));
    }
}
