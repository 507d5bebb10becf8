//! Bodies in chunks, in pieces of any size: read as a decoder of a few lines reads them,
//! which has all bytes at once.

#![no_main]

#[path = "../../../http/reading.rs"]
mod reading;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use reading::all;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use xenith::http::{Error, Exchange, Handler, Limits, Status, connection};
use xenith_fuzz::on_machine;
use xenith_fuzz::stream::{Pieces, Script, split, whole};

/// What is sent, one after the other.
#[derive(Arbitrary, Debug)]
enum Part<'a> {
    /// A chunk as it has to be.
    Chunk(&'a [u8]),
    /// The size of one, with so many zeros before it.
    Size(u16, u8),
    /// An extension.
    Extension(u8),
    End,
    Last,
    Field(u8),
    Lf,
    Cr,
    Bytes(&'a [u8]),
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// The sizes of the pieces, again and again.
    pieces: [u8; 4],
    parts: Vec<Part<'a>>,
}

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
/// Bytes of content at most.
const MOST: usize = 1000;

fuzz_target!(|input: Input<'_>| {
    let mut bytes = HEAD.to_vec();
    for part in &input.parts {
        match part {
            Part::Chunk(content) => {
                bytes.extend(format!("{:x}\r\n", content.len()).bytes());
                bytes.extend_from_slice(content);
                bytes.extend(b"\r\n");
            }
            Part::Size(size, zeros) => {
                bytes.extend(std::iter::repeat_n(b'0', usize::from(*zeros)));
                bytes.extend(format!("{size:X}").bytes());
            }
            Part::Extension(kind) => {
                let kinds = [";a", " ; b = c", ";d=\"e;\\\"\"", ";", "; a", ";=f", ";g=", " "];
                bytes.extend(kinds[usize::from(*kind) % kinds.len()].bytes());
            }
            Part::End => bytes.extend(b"\r\n"),
            Part::Last => bytes.extend(b"0\r\n\r\n"),
            Part::Field(kind) => {
                let kinds = ["A: b\r\n", "A:\r\n", ": c\r\n", "D : e\r\n", " f\r\n", "G\r\n"];
                bytes.extend(kinds[usize::from(*kind) % kinds.len()].bytes());
            }
            Part::Lf => bytes.push(b'\n'),
            Part::Cr => bytes.push(b'\r'),
            Part::Bytes(other) => bytes.extend_from_slice(other),
        }
    }
    let expected = decode(&bytes[HEAD.len()..]);
    assert_eq!(served(whole(&bytes)), expected, "{}", String::from_utf8_lossy(&bytes));
    let sizes = input.pieces.map(|it| usize::from(it) + 1);
    assert_eq!(served(split(&bytes, &sizes)), expected, "{}", String::from_utf8_lossy(&bytes));
});

/// The content of a body, if it is whole and right (RFC 9112, section 7.1).
fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut rest, mut content, mut extensions) = (bytes, Vec::new(), 0);
    loop {
        let line = line(&mut rest, 512)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (digits, extension) = line.split_at(digits);
        let digits = std::str::from_utf8(digits).ok()?;
        let significant = digits.trim_start_matches('0');
        let size = match significant {
            "" if digits.is_empty() => return None,
            "" => 0,
            _ => usize::try_from(u64::from_str_radix(significant, 16).ok()?).ok()?,
        };
        extensions += extension.len();
        if !is_extension(extension) || size > MOST - content.len() || extensions > 16 * 1024 {
            return None;
        }
        if size == 0 {
            break;
        }
        content.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
    let mut left = 512;
    loop {
        let field = line(&mut rest, left)?;
        if field.is_empty() {
            return Some(content);
        }
        left -= field.len() + 2;
        let colon = field.iter().position(|&byte| byte == b':')?;
        if !is_token(&field[..colon]) {
            return None;
        }
    }
}

/// The next line, if it has at most so many bytes with its end.
fn line<'a>(rest: &mut &'a [u8], most: usize) -> Option<&'a [u8]> {
    let end = rest.iter().position(|&byte| byte == b'\n')? + 1;
    let (line, after) = rest.split_at(end);
    *rest = after;
    let line = line.strip_suffix(b"\r\n").filter(|_| line.len() <= most)?;
    let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    (!line.iter().any(is_control)).then_some(line)
}

fn is_token(bytes: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_part)
}

/// Whether it is a chunk-ext (RFC 9112, section 7.1.1), of what has no control characters.
fn is_extension(bytes: &[u8]) -> bool {
    let trim = |bytes: &[u8]| bytes.trim_ascii_start().to_vec();
    if bytes.is_empty() {
        return true;
    }
    let text = trim(bytes);
    let Some(text) = text.strip_prefix(b";").map(trim) else { return false };
    let end = text.iter().position(|byte| !is_token(&[*byte])).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return false;
    }
    let value = trim(rest);
    let Some(value) = value.strip_prefix(b"=").map(trim) else { return is_extension(rest) };
    if let Some(quoted) = value.strip_prefix(b"\"") {
        let mut at = 0;
        while quoted.get(at).is_some_and(|&byte| byte != b'"') {
            at += if quoted[at] == b'\\' && at + 1 < quoted.len() { 2 } else { 1 };
        }
        return quoted.get(at) == Some(&b'"') && is_extension(&quoted[at + 1..]);
    }
    let end = value.iter().position(|byte| !is_token(&[*byte])).unwrap_or(value.len());
    end > 0 && is_extension(&value[end..])
}

/// The first body that the app was given, if that is whole.
fn served(pieces: Pieces) -> Option<Vec<u8>> {
    let app = App::default();
    let limits = Limits { body: MOST as u64, ..Limits::default() };
    on_machine(async {
        connection(Script::new(pieces, Rc::default()), &limits, &Cell::default(), &app).await;
    });
    app.bodies.into_inner().into_iter().next()
}

/// Keeps the bodies that come.
#[derive(Default)]
struct App {
    bodies: RefCell<Vec<Vec<u8>>>,
}

impl Handler for App {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        let all = all(exchange.body(), 7).await?;
        self.bodies.borrow_mut().push(all);
        exchange.respond(Status::OK, &[], b"").await
    }
}
