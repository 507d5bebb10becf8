//! Whole connections that become WebSockets. The table has the cases of the Autobahn suite's
//! sections 1 to 7, by its numbers, in frames of our own.

use super::*;
use crate::Exchange;
use crate::tests::{Step, raw_by, sends, served_by};
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

const FINAL: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const BYE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Bytes of a message that the servers here take.
const LIMIT: usize = 1 << 17;

/// What a client sends or is sent: the first byte and the payload.
type Frame = (u8, Vec<u8>);

fn whole(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
    (FINAL | opcode, payload.as_ref().to_vec())
}

fn part(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
    (opcode, payload.as_ref().to_vec())
}

fn bye(code: u16, reason: &str) -> Frame {
    whole(BYE, [&code.to_be_bytes()[..], reason.as_bytes()].concat())
}

/// A frame as a client sends it.
fn masked((first, payload): &Frame) -> Vec<u8> {
    let key = [0x37, 0xFA, 0x21, 0x3D];
    let mut bytes = vec![*first];
    match payload.len() {
        length @ ..=125 => bytes.push(0x80 | length as u8),
        length @ ..=65535 => {
            bytes.push(0xFE);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0xFF);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(key);
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// The frames that a server sent.
fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut all = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        let (length, rest) = match second {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, &rest[8..]),
            length => (usize::from(*length), rest),
        };
        all.push((*first, rest[..length].to_vec()));
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty());
    all
}

fn open(fields: &str) -> String {
    format!(
        "GET /chat?room=1 HTTP/1.1\r\nHost: x.org\r\nUpgrade: websocket\r\n\
         Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\n{fields}\r\n"
    )
}

/// Sends back each message, and says the subprotocol first.
async fn mirror(exchange: &mut Exchange<'_>) -> Result<(), crate::Error> {
    let options = Options { message: LIMIT, protocols: &["soap", "wamp"], ..Options::default() };
    let Some(mut socket) = WebSocket::accept(exchange, &options).await? else { return Ok(()) };
    if let Some(protocol) = socket.protocol() {
        socket.send(protocol).await?;
    }
    while let Some(message) = socket.receive().await? {
        match message {
            Message::Text(text) => {
                let text = text.to_string();
                socket.send(&*text).await?;
            }
            Message::Binary(bytes) => {
                let bytes = bytes.to_vec();
                socket.send(&*bytes).await?;
            }
        }
    }
    Ok(())
}

/// What the mirror sends to who opens a WebSocket and sends this, and whether the connection
/// was reset.
fn spoken(steps: &[Step]) -> (Vec<Frame>, bool) {
    let steps = [&[sends(&open(""))], steps].concat();
    let (answer, reset, _) = raw_by(&mirror, 0, &steps);
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    let head = core::str::from_utf8(&answer[..end]).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    (frames(&answer[end + 4..]), reset)
}

/// The same for frames that come at once.
fn answered(sent: &[Frame]) -> Vec<Frame> {
    let bytes: Vec<u8> = sent.iter().flat_map(masked).collect();
    let (found, reset) = spoken(&[Step::Sends(bytes.clone())]);
    // Where nobody closed, the connection ended without that.
    let closed = found.iter().any(|(first, _)| *first == FINAL | BYE);
    assert_eq!(reset, !closed, "{sent:x?}: {found:x?}");
    if bytes.len() < 1000 {
        let split: Vec<_> = bytes.iter().map(|&byte| Step::Sends(vec![byte])).collect();
        assert_eq!(spoken(&split).0, found, "split at every byte: {sent:x?}");
    }
    found
}

/// What becomes of it: the frames that come back and, where the client is told of a violation,
/// with which code it is.
#[track_caller]
fn case(number: &str, sent: &[Frame], expected: &[Frame], violated: Option<u16>) {
    let mut found = answered(sent);
    if let Some(code) = violated {
        let (first, payload) = found.pop().unwrap_or_default();
        let told = (first, payload.get(..2).map(<[u8]>::to_vec).unwrap_or_default());
        assert_eq!(told, bye(code, ""), "{number}");
        assert!(core::str::from_utf8(&payload[2..]).is_ok_and(|why| !why.is_empty()), "{number}");
    }
    assert_eq!(found, expected, "{number}");
}

#[test]
fn messages_of_any_length_come_back_as_in_autobahn_1() {
    for length in [0, 1, 125, 126, 127, 128, 65535, 65536] {
        let text = whole(TEXT, "*".repeat(length));
        case("1.1", &[text.clone(), bye(1000, "")], &[text, bye(1000, "")], None);
        let bytes = whole(BINARY, [0xFE].repeat(length));
        case("1.2", &[bytes.clone(), bye(1000, "")], &[bytes, bye(1000, "")], None);
    }
}

#[test]
fn pings_are_answered_as_in_autobahn_2() {
    let end = bye(1000, "");
    for payload in [&b""[..], b"Hello, world!", &[0, 0xFF, 0xFE, 0xFD, 0xFC, 0xFB], &[0xFE; 125]] {
        let sent = [whole(PING, payload), end.clone()];
        case("2.1-4", &sent, &[whole(PONG, payload), end.clone()], None);
    }
    case("2.5", &[whole(PING, [0xFE; 126])], &[], Some(1002));
    for pong in ["", "unsolicited pong payload"] {
        case("2.7-8", &[whole(PONG, pong), end.clone()], std::slice::from_ref(&end), None);
    }
    let sent = [whole(PONG, "unsolicited"), whole(PING, "ping"), end.clone()];
    case("2.9", &sent, &[whole(PONG, "ping"), end.clone()], None);
    let pings: Vec<_> = (0..10).map(|number| whole(PING, format!("payload-{number}"))).collect();
    let pongs: Vec<_> = (0..10).map(|number| whole(PONG, format!("payload-{number}"))).collect();
    case(
        "2.10",
        &[&pings[..], std::slice::from_ref(&end)].concat(),
        &[&pongs[..], &[end]].concat(),
        None,
    );
}

#[test]
fn reserved_bits_and_opcodes_are_refused_as_in_autobahn_3_and_4() {
    let hello = whole(TEXT, "Hello, world!");
    for bits in 1..8 {
        let reserved = (FINAL | TEXT | bits << 4, b"small".to_vec());
        case("3.1", &[reserved.clone(), whole(PING, "")], &[], Some(1002));
        let sent = [hello.clone(), reserved, hello.clone()];
        case("3.2-4", &sent, std::slice::from_ref(&hello), Some(1002));
        for opcode in [BINARY, PING, BYE] {
            case("3.5-7", &[(FINAL | opcode | bits << 4, Vec::new())], &[], Some(1002));
        }
    }
    for opcode in (3..8).chain(11..16) {
        case("4", &[whole(opcode, "")], &[], Some(1002));
        let sent = [hello.clone(), whole(opcode, "payload"), whole(PING, "")];
        case("4", &sent, std::slice::from_ref(&hello), Some(1002));
    }
}

#[test]
fn fragments_are_put_together_as_in_autobahn_5() {
    let end = bye(1000, "");
    case("5.1", &[part(PING, "1"), whole(CONTINUATION, "2")], &[], Some(1002));
    case("5.2", &[part(PONG, "1"), whole(CONTINUATION, "2")], &[], Some(1002));
    let back = whole(TEXT, "fragment1fragment2");
    let (one, two) = (part(TEXT, "fragment1"), whole(CONTINUATION, "fragment2"));
    let sent = [one.clone(), two.clone(), end.clone()];
    case("5.3-5", &sent, &[back.clone(), end.clone()], None);
    let sent = [one.clone(), whole(PING, "ping"), two.clone(), end.clone()];
    case("5.6-8", &sent, &[whole(PONG, "ping"), back.clone(), end.clone()], None);
    for orphan in [whole(CONTINUATION, "x"), part(CONTINUATION, "x")] {
        case("5.9-14", &[orphan.clone(), whole(TEXT, "Hello")], &[], Some(1002));
        let sent = [one.clone(), two.clone(), orphan, one.clone()];
        case("5.15-17", &sent, std::slice::from_ref(&back), Some(1002));
    }
    for second in [whole(TEXT, "fragment2"), part(BINARY, "fragment2")] {
        case("5.18", &[one.clone(), second], &[], Some(1002));
    }
    let rest = [
        part(CONTINUATION, "fragment2"),
        whole(PING, "1"),
        part(CONTINUATION, "fragment3"),
        part(CONTINUATION, ""),
        whole(PING, "2"),
        whole(CONTINUATION, "fragment4"),
    ];
    let sent = [std::slice::from_ref(&one), &rest, std::slice::from_ref(&end)].concat();
    let all = whole(TEXT, "fragment1fragment2fragment3fragment4");
    case("5.19-20", &sent, &[whole(PONG, "1"), whole(PONG, "2"), all, end], None);
}

#[test]
fn text_is_utf_8_across_fragments_as_in_autobahn_6() {
    let end = bye(1000, "");
    let empty = [part(TEXT, ""), part(CONTINUATION, ""), whole(CONTINUATION, ""), end.clone()];
    case("6.1", &empty, &[whole(TEXT, ""), end.clone()], None);
    let valid = "Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}\u{e0}\u{e1}-UTF-8!! \u{3ba}\u{1f79} \
                 \u{10ffff}\u{d7ff}\u{e000}\u{fffd}\u{ffff}\u{1fffe}";
    case("6.2.1", &[whole(TEXT, valid), end.clone()], &[whole(TEXT, valid), end.clone()], None);
    for piece in 1..6 {
        let pieces = valid.as_bytes().chunks(piece);
        let mut sent: Vec<_> = pieces.map(|piece| part(CONTINUATION, piece)).collect();
        sent[0].0 = TEXT;
        sent.extend([whole(CONTINUATION, ""), end.clone()]);
        case("6.2.2-4", &sent, &[whole(TEXT, valid), end.clone()], None);
    }
    // Said as soon as it is known: the message is not over.
    let early = [part(TEXT, b"\xCE\xBA\xF4"), part(CONTINUATION, b"\x90\x80\x80edited")];
    case("6.4", &early, &[], Some(1007));
    for wrong in [
        &b"\xCE\xBA\xE1\xBD\xB9\xED\xA0\x80edited"[..],
        // Continuation bytes alone, and characters that are not all there.
        b"\x80",
        b"\xBF\x80",
        b"\xC0 \xC1 ",
        b"\xE0 ",
        b"\xC0",
        b"\xE0\x80",
        b"\xF0\x80\x80",
        b"\xC3",
        b"\xE2\x82",
        b"\xF0\x9F\x98",
        // Longer than need be.
        b"\xC0\xAF",
        b"\xE0\x80\xAF",
        b"\xF0\x80\x80\xAF",
        b"\xC1\xBF",
        b"\xE0\x9F\xBF",
        // Halves of UTF-16, and what is beyond.
        b"\xED\xA0\x80",
        b"\xED\xBF\xBF",
        b"\xED\xA0\x80\xED\xB0\x80",
        b"\xF4\x90\x80\x80",
        b"\xF8\x88\x80\x80\x80",
        b"\xFC\x84\x80\x80\x80\x80",
        b"\xFE",
        b"\xFF",
    ] {
        case("6.3", &[whole(TEXT, wrong)], &[], Some(1007));
        let (first, last) = wrong.split_at(wrong.len() / 2);
        case("6.3", &[part(TEXT, first), whole(CONTINUATION, last)], &[], Some(1007));
        let bytes = whole(BINARY, wrong);
        case("bytes", &[bytes.clone(), end.clone()], &[bytes, end.clone()], None);
    }
}

#[test]
fn closing_is_confirmed_and_the_last_word_as_in_autobahn_7() {
    let (hello, end) = (whole(TEXT, "Hello World!"), bye(1000, ""));
    case("7.1.1", &[hello.clone(), end.clone()], &[hello.clone(), end.clone()], None);
    for late in [end.clone(), whole(PING, ""), hello.clone(), (0xFF, Vec::new())] {
        case("7.1.2-4", &[end.clone(), late], std::slice::from_ref(&end), None);
    }
    case("7.1.5", &[part(TEXT, "x"), end.clone(), whole(CONTINUATION, "y")], &[end], None);
    case("7.3.1", &[whole(BYE, "")], &[whole(BYE, "")], None);
    case("7.3.2", &[whole(BYE, "a")], &[], Some(1002));
    for reason in ["", "Hello World!", &"*".repeat(123)] {
        case("7.3.3-5", &[bye(1000, reason)], &[bye(1000, "")], None);
    }
    case("7.3.6", &[bye(1000, &"*".repeat(124))], &[], Some(1002));
    let bad = [&1000_u16.to_be_bytes()[..], b"\xCE\xBA\xED\xA0\x80"].concat();
    case("7.5.1", &[whole(BYE, bad)], &[], Some(1007));
    for code in (1000..=1003).chain(1007..=1014).chain([3000, 3999, 4000, 4999]) {
        case("7.7", &[bye(code, "")], &[bye(code, "")], None);
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        case("7.9, 7.13", &[bye(code, "")], &[], Some(1002));
    }
}

#[test]
fn a_frame_without_a_mask_is_refused() {
    let (found, reset) = spoken(&[Step::Sends(b"\x81\x05Hello".to_vec())]);
    assert_eq!(found, [bye(1002, "a client's frame is not masked")]);
    assert!(!reset, "the client can read it");
}

#[test]
fn a_message_that_is_too_long_is_refused_when_its_length_is_known() {
    let most = whole(BINARY, vec![1; LIMIT]);
    case("most", &[most.clone(), bye(1000, "")], &[most, bye(1000, "")], None);
    let fragments = [part(TEXT, "x"), (CONTINUATION, vec![b'x'; LIMIT])];
    case("in all", &fragments, &[], Some(1009));
    for length in [LIMIT as u64 + 1, 1 << 32, u64::MAX >> 1] {
        let header = [&[FINAL | BINARY, 0xFF][..], &length.to_be_bytes(), &[0; 4]].concat();
        let (found, _) = spoken(&[Step::Sends(header)]);
        assert_eq!(found, [bye(1009, "the message is too long")], "{length}");
    }
}

#[test]
fn a_silent_client_is_pinged_and_then_given_up() {
    let silent = bye(1008, "nothing came in time");
    assert_eq!(
        spoken(&[Step::Waits(Duration::from_secs(90))]).0,
        [whole(PING, ""), silent.clone()]
    );
    // Who answers stays.
    let mut steps = Vec::new();
    for _ in 0..5 {
        steps.push(Step::Waits(Duration::from_secs(40)));
        steps.push(Step::Sends(masked(&whole(PONG, ""))));
    }
    steps.push(Step::Sends(masked(&bye(1001, ""))));
    let expected = [&vec![whole(PING, ""); 5][..], &[bye(1001, "")]].concat();
    assert_eq!(spoken(&steps).0, expected);
    // A message that has begun has to go on.
    let begun = Step::Sends(masked(&part(TEXT, "x")));
    assert_eq!(
        spoken(&[begun, Step::Waits(Duration::from_secs(25))]).0,
        std::slice::from_ref(&silent)
    );
    let mut drip = vec![Step::Sends(masked(&part(TEXT, "x")))];
    drip.extend((0..30).flat_map(|_| {
        [Step::Waits(Duration::from_secs(1)), Step::Sends(masked(&part(CONTINUATION, "x")))]
    }));
    assert_eq!(spoken(&drip).0, [silent]);
}

#[test]
fn a_client_has_time_for_its_answer_where_the_handler_was_busy() {
    async fn busy(exchange: &mut Exchange<'_>) -> Result<(), crate::Error> {
        let accepted = WebSocket::accept(exchange, &Options::default()).await?;
        let Some(mut socket) = accepted else { return Ok(()) };
        while let Some(message) = socket.receive().await? {
            if message == Message::Text("busy") {
                kernel::time::sleep(Duration::from_secs(100)).await;
            }
        }
        Ok(())
    }
    let said = |steps: &[Step]| {
        let steps = [&[sends(&open(""))], steps].concat();
        let (answer, ..) = raw_by(&busy, 0, &steps);
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        frames(&answer[end + 4..])
    };
    let (second, end) = (Step::Waits(Duration::from_secs(1)), bye(1000, ""));
    let (hello, rest) = (masked(&whole(TEXT, "busy")), masked(&end));
    let steps = [
        Step::Sends(hello.clone()),
        second.clone(),
        Step::Sends(masked(&whole(PONG, ""))),
        Step::Sends(rest.clone()),
    ];
    assert_eq!(said(&steps), [whole(PING, ""), end.clone()]);
    // So has who is in the middle of a message.
    let long = masked(&whole(TEXT, "a long message"));
    let steps = [
        Step::Sends(
            [&masked(&part(TEXT, "bu"))[..], &masked(&whole(CONTINUATION, "sy")), &long[..9]]
                .concat(),
        ),
        second.clone(),
        Step::Sends([&long[9..], &rest].concat()),
    ];
    assert_eq!(said(&steps), [end]);
}

#[test]
fn what_is_no_request_for_a_websocket_is_told_what_to_do() {
    let asked = |request: &str| {
        let (answer, ..) = served_by(&mirror, 0, &[sends(request)]);
        let status = answer.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
        (status, answer)
    };
    let good = open("");
    for (from, to, status, says) in [
        ("GET", "POST", 405, "\r\nAllow: GET\r\n"),
        ("Upgrade: websocket", "Upgrade: h2c", 426, "\r\nUpgrade: websocket\r\n"),
        ("keep-alive, Upgrade", "keep-alive", 426, "\r\nConnection: Upgrade\r\n"),
        ("Version: 13", "Version: 8", 426, "\r\nSec-WebSocket-Version: 13\r\n"),
        ("Sec-WebSocket-Version: 13\r\n", "", 426, "\r\nSec-WebSocket-Version: 13\r\n"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "short", 400, "not hold 16 bytes in base64"),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400, "not hold 16 bytes in base64"),
        ("\r\n\r\n", "\r\nOrigin: http://y.org\r\n\r\n", 403, "may not open this WebSocket"),
        (
            "\r\n\r\n",
            "\r\nOrigin: http://x.org\r\nOrigin: http://y.org\r\n\r\n",
            403,
            "may not open this WebSocket",
        ),
        ("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\nx", 400, "Bad Request"),
        ("HTTP/1.1", "HTTP/1.0", 426, "\r\nUpgrade: websocket\r\n"),
    ] {
        let (found, answer) = asked(&good.replacen(from, to, 1));
        assert_eq!(found, status, "{from} -> {to}: {answer}");
        assert!(answer.contains(says), "{from} -> {to}: {answer}");
    }
    // After a refusal the connection goes on as HTTP's.
    let (_, answer) = asked(&format!("{}{good}", good.replace("Version: 13", "Version: 8")));
    assert!(
        answer.contains("\r\n\r\nonly version") && answer.contains("HTTP/1.1 101 "),
        "{answer}"
    );
    assert_eq!(asked(&open("Origin: https://x.org\r\n")).0, 101);
}

#[test]
fn the_subprotocol_is_the_first_of_the_clients_that_is_spoken_here() {
    for (fields, chosen) in [
        ("", None),
        ("Sec-WebSocket-Protocol: mqtt, wamp, soap\r\n", Some("wamp")),
        ("Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Protocol: soap\r\n", Some("soap")),
        ("Sec-WebSocket-Protocol: mqtt\r\n", None),
        ("Sec-WebSocket-Protocol: SOAP\r\n", None),
    ] {
        let (answer, ..) = raw_by(&mirror, 0, &[sends(&open(fields))]);
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let head = core::str::from_utf8(&answer[..end]).unwrap();
        let field = chosen.map(|it| format!("\r\nSec-WebSocket-Protocol: {it}"));
        assert_eq!(head.contains("Sec-WebSocket-Protocol"), chosen.is_some(), "{head}");
        assert!(field.is_none_or(|field| head.contains(&field)), "{head}");
        let said: Vec<_> = chosen.map(|it| whole(TEXT, it)).into_iter().collect();
        assert_eq!(frames(&answer[end + 4..]), said);
    }
}

#[test]
fn a_server_that_closes_says_why_and_waits_for_the_client() {
    async fn closes(exchange: &mut Exchange<'_>) -> Result<(), crate::Error> {
        let accepted = WebSocket::accept(exchange, &Options::default()).await?;
        let Some(mut socket) = accepted else { return Ok(()) };
        socket.send("bye").await?;
        socket.close(Code::TRY_AGAIN, "come back later").await?;
        assert_eq!(socket.send("more").await, Err(Error::Closed));
        assert_eq!(socket.closed_by(), Some(Code::TRY_AGAIN));
        Ok(())
    }
    let late = [masked(&whole(TEXT, "thrown away")), masked(&bye(1013, ""))].concat();
    let steps = [sends(&open("")), Step::Waits(Duration::from_secs(1)), Step::Sends(late)];
    let (answer, reset, time) = raw_by(&closes, 0, &steps);
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    assert_eq!(frames(&answer[end + 4..]), [whole(TEXT, "bye"), bye(1013, "come back later")]);
    assert!(!reset && time < Duration::from_secs(2), "{time:?}");
}

#[test]
fn without_memory_a_client_is_asked_to_come_again() {
    let budget = crate::budget::Budget::new(5000);
    let mut incoming = incoming::Incoming::new(LIMIT, &budget);
    let mut bytes = masked(&whole(BINARY, vec![0; 6000]));
    let violation = incoming.step(&mut bytes).unwrap_err();
    assert_eq!(violation.code, Code::TRY_AGAIN);
    drop(incoming);
    assert_eq!(budget.left(), 5000, "it was given back");
}
