//! A client of a WebSocket, whose frames come in pieces of any size: answered as a decoder of a
//! few lines answers them, which has all bytes at once.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use xenith::http::websocket::{Message, Options, WebSocket};
use xenith::http::{Error, Exchange, Limits, connection};
use xenith_fuzz::on_machine;
use xenith_fuzz::stream::{Pieces, Script, split, whole};

/// Bytes of a message at most.
const LIMIT: usize = 1000;

const OPEN: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What is sent, one after the other.
#[derive(Arbitrary, Debug)]
enum Part<'a> {
    /// A frame as it has to be: the opcode, whether it is the last of its message, and so on.
    Frame(u8, bool, [u8; 4], &'a [u8]),
    /// Text, cut into two frames somewhere.
    Text(&'a str, u8),
    /// A close frame.
    Close(u16, &'a str),
    /// The header of a frame: its first two bytes, and a length of 64 bits.
    Header(u8, u8, u64),
    Bytes(&'a [u8]),
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// The sizes of the pieces, again and again.
    pieces: [u8; 4],
    parts: Vec<Part<'a>>,
}

fuzz_target!(|input: Input<'_>| {
    let sent: Vec<u8> = input.parts.iter().flat_map(bytes).collect();
    let all = [OPEN, &sent].concat();
    let answer = served(whole(&all));
    let sizes = input.pieces.map(|it| usize::from(it) + 1);
    assert_eq!(answer, served(split(&all, &sizes)));

    let found = frames(&answer);
    let (expected, wrong) = expected(&sent);
    assert_eq!(found.get(..expected.len()), Some(&expected[..]));
    match &found[expected.len()..] {
        [] => assert!(!wrong, "what is wrong is told"),
        // A frame that has not ended may be wrong so far.
        [(8, payload)] => {
            let code = u16::from_be_bytes([payload[0], payload[1]]);
            assert!(matches!(code, 1002 | 1007 | 1009), "{code}");
            assert!(expected.last().is_none_or(|(opcode, _)| *opcode != 8));
        }
        more => panic!("{more:?} come unexpectedly"),
    }
});

/// A frame with a mask.
fn frame(first: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ ..=125 => bytes.push(0x80 | length as u8),
        length @ ..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn bytes(part: &Part<'_>) -> Vec<u8> {
    match part {
        Part::Frame(opcode, last, mask, payload) => {
            frame(opcode & 0x0F | u8::from(*last) << 7, *mask, payload)
        }
        Part::Text(text, at) => {
            let (first, second) = text.as_bytes().split_at(text.len().min((*at).into()));
            [frame(1, [1, 2, 3, 4], first), frame(0x80, [0; 4], second)].concat()
        }
        Part::Close(code, reason) => {
            let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
            frame(0x88, [9; 4], &payload[..payload.len().min(125)])
        }
        Part::Header(first, second, length) => {
            let length = length.to_be_bytes();
            let length = match second & 0x7F {
                126 => &length[6..],
                127 => &length,
                _ => &[],
            };
            [&[*first, *second], length, &[0; 4]].concat()
        }
        Part::Bytes(bytes) => bytes.to_vec(),
    }
}

/// What a client that sends `pieces` is answered behind the head.
fn served(pieces: Pieces) -> Vec<u8> {
    let answer = Rc::<RefCell<Vec<u8>>>::default();
    on_machine(async {
        let script = Script::new(pieces, Rc::clone(&answer));
        connection(script, &Limits::default(), &Cell::default(), &mirror).await;
    });
    let answer = answer.take();
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").expect("no head");
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    answer[end + 4..].to_vec()
}

/// Sends messages back.
async fn mirror(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let options = Options { message: LIMIT, ..Options::default() };
    let Some(mut socket) = WebSocket::accept(exchange, &options).await? else { return Ok(()) };
    while let Some(message) = socket.receive().await? {
        match message {
            Message::Text(text) => {
                let text = text.to_owned();
                socket.send(&*text).await?;
            }
            Message::Binary(bytes) => {
                let bytes = bytes.to_owned();
                socket.send(&*bytes).await?;
            }
        }
    }
    Ok(())
}

/// A frame's opcode and payload.
type Frame = (u8, Vec<u8>);

/// The frames of a server.
fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let [first, length, rest @ ..] = bytes {
        assert!(first & 0x70 == 0 && first & 0x80 != 0, "one that is whole");
        let (length, rest) = match (length, rest) {
            (126, [a, b, rest @ ..]) => (u16::from_be_bytes([*a, *b]).into(), rest),
            (length, rest) => (usize::from(*length), rest),
        };
        let (payload, rest) = rest.split_at(length);
        assert!(first & 0x0F != 1 || std::str::from_utf8(payload).is_ok());
        frames.push((first & 0x0F, payload.to_vec()));
        bytes = rest;
    }
    assert!(bytes.is_empty());
    frames
}

/// What a server answers to frames that are whole, and whether it then finds one that is
/// wrong (RFC 6455).
fn expected(mut bytes: &[u8]) -> (Vec<Frame>, bool) {
    let (mut answers, mut message) = (Vec::new(), None::<Frame>);
    loop {
        let [first, second, rest @ ..] = bytes else { return (answers, false) };
        let (opcode, last, short) = (first & 0x0F, first & 0x80 != 0, second & 0x7F);
        let is_control = opcode & 8 != 0;
        let (length, least, rest) = match (short, rest) {
            (126, [a, b, rest @ ..]) => (u16::from_be_bytes([*a, *b]).into(), 126, rest),
            (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 0x1_0000, rest)
            }
            // It is not said how long it is.
            (126 | 127, _) => return (answers, false),
            (short, rest) => (short.into(), 0, rest),
        };
        let Some((mask, rest)) = rest.split_at_checked(4) else { return (answers, false) };
        let so_far = message.as_ref().map_or(0, |(_, message)| message.len()) as u64;
        if first & 0x70 != 0
            || second & 0x80 == 0
            || !matches!(opcode, 0..=2 | 8..=10)
            || is_control && (!last || short > 125)
            || length < least
            || opcode == 0 && message.is_none()
            || matches!(opcode, 1 | 2) && message.is_some()
            || !is_control && so_far.saturating_add(length) > LIMIT as u64
        {
            return (answers, true);
        }
        let Some((payload, rest)) = rest.split_at_checked(length as usize) else {
            return (answers, false);
        };
        bytes = rest;
        let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        let payload: Vec<u8> = payload.collect();
        match opcode {
            8 => {
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                let good = |code| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
                let reason = payload.get(2..).unwrap_or_default();
                if payload.len() == 1
                    || code.is_some_and(|code| !good(code))
                    || std::str::from_utf8(reason).is_err()
                {
                    return (answers, true);
                }
                answers.push((8, payload[..payload.len().min(2)].to_vec()));
                return (answers, false);
            }
            9 => answers.push((10, payload)),
            10 => {}
            _ => {
                let (kind, mut all) = message.take().unwrap_or((opcode, Vec::new()));
                all.extend(payload);
                let text = std::str::from_utf8(&all);
                let cut = |error: &std::str::Utf8Error| !last && error.error_len().is_none();
                if kind == 1 && text.is_err_and(|error| !cut(&error)) {
                    return (answers, true);
                }
                match last {
                    true => answers.push((kind, all)),
                    false => message = Some((kind, all)),
                }
            }
        }
    }
}
