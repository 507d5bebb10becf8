//! One answer each: what a client makes of it, with the section that says so.

use super::*;
use crate::tests::cases;

/// `tests/http/client.txt`, which `cargo mk bench http --client` asks other clients too.
#[test]
fn answers_are_read_by_the_grammar() {
    let (cases, mut wrong) = (cases::of_clients(), Vec::new());
    assert!(cases.len() >= 100);
    for (name, expected, answer) in &cases {
        let method = if expected.iter().any(|word| word == "head") { "HEAD" } else { "GET" };
        let request = Request { method, ..Request::get("http://a/") };
        // In whatever pieces they come.
        for size in [1, 7, 100_000] {
            let result = get(answer, size, &request);
            let holds = |word: &String| match word.split_once('=') {
                Some(("body", text)) => result.get(4..) == Some(text),
                Some(("error", text)) => {
                    result.starts_with("error: http://a/: ") && result.contains(text)
                }
                _ => word == "head" || result.starts_with(&format!("{word} ")),
            };
            if !expected.iter().all(holds) {
                wrong.push(format!("{name}, in pieces of {size}: {result}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), 3 * cases.len(), wrong.join("\n"));
}

#[test]
fn a_connection_that_is_reset_ends_no_body() {
    for answer in [
        "HTTP/1.1 200 OK\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    ] {
        let world = World::new([vec![says(answer), Act::Resets]]);
        let result = ask(&world, Limits::default(), &[Request::get("http://a/")]).remove(0);
        assert!(result.contains("breaks off in its body: the connection was reset"), "{result}");
    }
}

#[test]
fn heads_may_be_of_64_kib_and_have_any_number_of_fields() {
    let head = |length: usize| {
        let (start, end) = ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: ", "\r\n\r\n");
        start.to_string() + &"x".repeat(length - start.len() - end.len()) + end + "ok"
    };
    for size in [1000, 1_000_000] {
        let request = Request::get("http://a/");
        assert_eq!(get(head(64 * 1024).as_bytes(), size, &request), "200 ok");
        let result = get(head(64 * 1024 + 1).as_bytes(), size, &request);
        assert!(result.contains("the answer's head is longer than the 65536 bytes"), "{result}");
        let many = "A: b\r\n".repeat(5000);
        let many = format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 2\r\n\r\nok");
        assert_eq!(get(many.as_bytes(), size, &request), "200 ok");
        // Nor is it one that never ends, in one answer or in many.
        let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(100_000));
        assert!(get(endless.as_bytes(), size, &request).contains("head is longer than"));
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(3000);
        assert!(get(interim.as_bytes(), size, &request).contains("head is longer than"));
    }
}

#[test]
fn fields_are_found_by_name_folded_or_not() {
    let text = b"HTTP/1.1 200 Fine\r\nA: 1\r\nB : x\r\n  y \r\na: 2\r\n\r\n";
    let mut bytes = text.to_vec();
    let head = response::parse(&mut bytes, 0, false).unwrap().unwrap();
    let answer = Response::new(&bytes, &head);
    assert_eq!(answer.line(), b"HTTP/1.1 200 Fine");
    assert_eq!(answer.field("a"), Some(&b"1"[..]));
    assert_eq!(answer.field("b"), Some(&b"x    y"[..]));
    let names: Vec<_> = answer.fields().map(|(name, _)| name).collect();
    assert_eq!(names, [b"A", b"B", b"a"]);
}

/// `text` as gzip, with the parts of a head that these flags say.
fn gzip(text: &[u8], parts: u8) -> Vec<u8> {
    let mut coded = vec![0x1f, 0x8b, 8, parts, 1, 2, 3, 4, 0, 3];
    if parts & 4 != 0 {
        coded.extend_from_slice(b"\x03\0abc");
    }
    if parts & 8 != 0 {
        coded.extend_from_slice(b"name\0");
    }
    if parts & 16 != 0 {
        coded.extend_from_slice(b"a comment\0");
    }
    let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    if parts & 2 != 0 {
        coded.extend_from_slice(&(sum.checksum(&coded) as u16).to_le_bytes());
    }
    coded.extend(deflate(text));
    coded.extend_from_slice(&sum.checksum(text).to_le_bytes());
    coded.extend_from_slice(&(text.len() as u32).to_le_bytes());
    coded
}

/// `text` in blocks that are not compressed (RFC 1951, section 3.2.4).
fn deflate(text: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    let mut pieces = text.chunks(1000).peekable();
    if text.is_empty() {
        coded.extend_from_slice(b"\x01\0\0\xff\xff");
    }
    while let Some(piece) = pieces.next() {
        coded.push(u8::from(pieces.peek().is_none()));
        let length = piece.len() as u16;
        coded.extend_from_slice(&length.to_le_bytes());
        coded.extend_from_slice(&(!length).to_le_bytes());
        coded.extend_from_slice(piece);
    }
    coded
}

/// `gzip -9` of 100,000 times `a`.
const BOMB: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xed, 0xc1, 0x31, 0x01, 0x00, 0x00,
    0x00, 0xc2, 0xa0, 0xac, 0xeb, 0x5f, 0xc2, 0x1a, 0x1e, 0x40, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xaf, 0x06, 0x87, 0xfa, 0xe2,
    0x1b, 0xa0, 0x86, 0x01, 0x00,
];

fn coded(coding: &str, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), content].concat()
}

#[test]
fn content_is_decoded_as_it_says() {
    let text = "0123456789".repeat(10_000);
    let good = gzip(text.as_bytes(), 0);
    let (ok, both) = (gzip(b"ok", 0), [gzip(b"o", 31), gzip(b"", 2), gzip(b"k", 8)].concat());
    let zlib = [b"\x78\x9c", &deflate(b"ok")[..], b"\x01\x4b\x00\xdb"].concat();
    let broken = |at: usize| {
        let mut broken = ok.clone();
        broken[at] ^= 0x40;
        broken
    };
    let end = ok.len();
    let cases: &[(&str, &[u8], &str)] = &[
        ("gzip", &good, &format!("200 {text}")),
        ("GZIP", &ok, "200 ok"),
        ("x-gzip", &ok, "200 ok"),
        ("identity, gzip", &ok, "200 ok"),
        ("gzip", &gzip(b"ok", 30), "200 ok"),
        ("gzip", &both, "200 ok"),
        ("gzip", &gzip(b"", 0), "200 "),
        ("gzip", b"", "200 "),
        ("identity", b"ok", "200 ok"),
        ("", b"ok", "200 ok"),
        ("deflate", &zlib, "200 ok"),
        ("deflate", &deflate(b"ok"), "200 ok"),
        ("gzip", b"ok", "not in that format"),
        ("gzip", &[&ok[..], b"\0"].concat(), "not in that format"),
        ("gzip", &[&ok[..], b"garbage"].concat(), "not in that format"),
        ("gzip", &broken(3), "not in that format"),
        ("gzip", &broken(end - 1), "checksum or its length"),
        ("gzip", &broken(end - 8), "checksum or its length"),
        ("gzip", &broken(end - 9), "checksum or its length"),
        ("gzip", &[&ok[..3], b"\x02\0\0\0\0\0\0\0\0", &ok[10..]].concat(), "checksum"),
        ("gzip", &ok[..end - 1], "ends too early"),
        ("gzip", &ok[..end - 9], "ends too early"),
        ("gzip", &ok[..5], "ends too early"),
        ("gzip", &[&ok[..], &ok[..1]].concat(), "ends too early"),
        ("deflate", &zlib[..zlib.len() - 1], "ends too early"),
        ("deflate", &[&zlib[..zlib.len() - 1], b"x"].concat(), "checksum"),
        ("deflate", &[&zlib[..], b"x"].concat(), "not in that format"),
        ("br", b"ok", "was not asked for"),
        ("gzip, gzip", &ok, "was not asked for"),
    ];
    for (at, &(coding, content, expected)) in cases.iter().enumerate() {
        let answer = coded(coding, content);
        for size in [1, 50, 100_000] {
            let result = get(&answer, size, &Request::get("http://a/"));
            let good = if expected.starts_with("200") {
                result == expected
            } else {
                result.starts_with("error") && result.contains(expected)
            };
            assert!(good, "{at} {coding}, in pieces of {size}: {result}, not {expected}");
        }
    }
}

#[test]
fn what_is_coded_for_the_transfer_is_decoded_and_what_is_not_wanted_is_left() {
    let ok = gzip(b"ok", 0);
    let chunk = [format!("{:x}\r\n", ok.len()).as_bytes(), &ok, b"\r\n0\r\n\r\n"].concat();
    let request = Request::get("http://a/");
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
    assert_eq!(get(&[head.as_bytes(), &chunk].concat(), 9, &request), "200 ok");
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n";
    assert_eq!(get(&[head.as_bytes(), &ok].concat(), 9, &request), "200 ok");
    let raw = Request { decode: false, ..request };
    assert_eq!(get(&coded("br", b"ok"), 9, &raw), "200 ok");
    assert_eq!(get(&coded("gzip", b"ok"), 9, &raw), "200 ok");
}

#[test]
fn what_unpacks_to_more_than_allowed_is_refused_in_little_memory() {
    let limits = Limits { body: 99_999, ..Limits::default() };
    let world = World::new([vec![says(coded("gzip", BOMB)), Act::Closes]]);
    let result = ask(&world, limits, &[Request::get("http://a/")]).remove(0);
    assert!(result.contains("the answer's body is longer than the 99999 bytes"), "{result}");
    let result = get(&coded("gzip", BOMB), 5, &Request::get("http://a/"));
    assert_eq!(result, format!("200 {}", "a".repeat(100_000)));
}
