//! Servers that answer a client of HTTP with heads, chunks and packed content of any sort,
//! in pieces of any size.

#![no_main]

#[path = "../../../http/reading.rs"]
mod reading;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use reading::all;
use xenith::http::client::{Client, Limits, Request};
use xenith_fuzz::on_machine;
use xenith_fuzz::stream::{Pieces, Servers, split, whole};

/// What is sent, one after the other.
#[derive(Arbitrary, Debug)]
enum Part<'a> {
    Status(u8),
    Field(u8),
    Length(u16),
    Name(&'a [u8]),
    End,
    /// A chunk as it has to be.
    Chunk(&'a [u8]),
    /// The size of one.
    Size(u16),
    Last,
    /// Content as gzip has it, of which so many bytes are wrong.
    Packed(&'a [u8], u8),
    Lf,
    Bytes(&'a [u8]),
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// The sizes of the pieces, again and again.
    pieces: [u8; 4],
    /// Where the first answer breaks off, from its end.
    cut: u8,
    method: u8,
    answers: Vec<Vec<Part<'a>>>,
}

/// Bytes of content, and redirects, at most.
const MOST: u64 = 4000;
const REDIRECTS: usize = 3;

fuzz_target!(|input: Input<'_>| {
    let answers: Vec<Vec<u8>> = input.answers.iter().map(|parts| bytes(parts)).collect();
    let sizes = input.pieces.map(|it| usize::from(it) + 1);
    let at_once = ask(input.method, answers.iter().map(|it| whole(it)).collect());
    let in_pieces = ask(input.method, answers.iter().map(|it| split(it, &sizes)).collect());
    // Of two flaws, the one that comes first may be told.
    assert_eq!(at_once, in_pieces);
    // What breaks off is never taken as whole where there is a length.
    let Some((first, others)) = answers.split_first() else { return };
    let cut = &first[..first.len().saturating_sub(input.cut.into())];
    let cut = std::iter::once(cut).chain(others.iter().map(Vec::as_slice)).map(whole).collect();
    if let (Some(all), Some(cut)) = (at_once, ask(input.method, cut))
        && all.bounded
        && others.is_empty()
    {
        assert_eq!(all, cut);
    }
});

/// What a server sends.
fn bytes(parts: &[Part<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        match part {
            Part::Status(kind) => {
                let kinds =
                    ["200 OK", "301 Moved", "204 X", "304 X", "100 X", "404", "307 ", "101 X"];
                bytes.extend(b"HTTP/1.1 ");
                bytes.extend(kinds[usize::from(*kind) % kinds.len()].bytes());
                bytes.extend(b"\r\n");
            }
            Part::Field(kind) => {
                let kinds = [
                    "Transfer-Encoding: chunked",
                    "Transfer-Encoding: gzip, chunked",
                    "Content-Encoding: gzip",
                    "Content-Encoding: deflate",
                    "Connection: close",
                    "Location: /b",
                    "Location: http://other/",
                    "Location: ?",
                    " folded",
                ];
                bytes.extend(kinds[usize::from(*kind) % kinds.len()].bytes());
                bytes.extend(b"\r\n");
            }
            Part::Length(length) => bytes.extend(format!("Content-Length: {length}\r\n").bytes()),
            Part::Name(name) => {
                bytes.extend_from_slice(name);
                bytes.extend(b": x\r\n");
            }
            Part::End => bytes.extend(b"\r\n"),
            Part::Chunk(content) => {
                bytes.extend(format!("{:x}\r\n", content.len()).bytes());
                bytes.extend_from_slice(content);
                bytes.extend(b"\r\n");
            }
            Part::Size(size) => bytes.extend(format!("{size:X}").bytes()),
            Part::Last => bytes.extend(b"0\r\n\r\n"),
            Part::Packed(content, wrong) => {
                let mut packed = packed(content);
                let length = packed.len();
                for at in 0..usize::from(*wrong % 4) {
                    packed[(at * 31 + usize::from(*wrong)) % length] ^= 1 << (at % 8);
                }
                bytes.extend(packed);
            }
            Part::Lf => bytes.push(b'\n'),
            Part::Bytes(other) => bytes.extend_from_slice(other),
        }
    }
    bytes
}

/// Content as gzip has it (RFC 1952), in one block that is not compressed.
fn packed(content: &[u8]) -> Vec<u8> {
    let content = &content[..content.len().min(0xFFFF)];
    let length = content.len() as u16;
    let mut bytes = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend_from_slice(content);
    let crc = content.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    });
    bytes.extend((!crc).to_le_bytes());
    bytes.extend(u32::from(length).to_le_bytes());
    bytes
}

/// An answer as a program has it.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    url: String,
    status: u16,
    content: Vec<u8>,
    /// It says where its content ends.
    bounded: bool,
}

/// What comes of a request.
fn ask(method: u8, answers: Vec<Pieces>) -> Option<Got> {
    let count = answers.len();
    let servers = Servers::new(answers);
    let methods = ["GET", "HEAD", "POST"];
    let method = methods[usize::from(method) % methods.len()];
    let limits = Limits { redirects: REDIRECTS, head: 2048, body: MOST, ..Limits::default() };
    let got = on_machine(async {
        let mut client = Client::new(&servers, limits);
        let request = Request { method, body: b"body", ..Request::get("http://first/a") };
        let result = client.fetch(&request, async |url, answer, content| {
            let all = all(content, 7).await?;
            let bounded = answer.length().is_some() || answer.field("transfer-encoding").is_some();
            let status = answer.status().0;
            Ok(Got { url: url.to_string(), status, content: all, bounded })
        });
        let got = result.await.ok();
        client.close().await;
        got
    });
    let come = servers.come.take();
    let come = String::from_utf8_lossy(&come);
    let requests = come.matches(" HTTP/1.1\r\n").count();
    assert!(requests <= REDIRECTS + 1 + count, "{come}");
    assert!(got.as_ref().is_none_or(|got| got.content.len() as u64 <= MOST));
    got
}
