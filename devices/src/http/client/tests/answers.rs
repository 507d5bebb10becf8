//! One answer each: what a client makes of it, with the section that says so.

use super::*;

/// A GET, or a HEAD.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Get,
    Head,
}
use To::{Get, Head};

/// The section of RFC 9112 (or what is named), the request, the answer, after which the
/// connection closes, and status with content, or a part of the error.
#[rustfmt::skip]
const ANSWERS: &[(&str, To, &str, &str)] = &[
    // Status lines.
    ("4", Get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok"),
    ("4: no reason", Get, "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", "200 ok"),
    ("4: not even a blank", Get, "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "200 ok"),
    ("4: obs-text", Get, "HTTP/1.1 200 \u{e9}\r\nContent-Length: 2\r\n\r\nok", "200 ok"),
    ("4: long reason", Get, "HTTP/1.1 200 It is all in the best order, truly\r\nContent-Length: 2\r\n\r\nok", "200 ok"),
    ("4: other version", Get, "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok"),
    ("2.3: HTTP/1.0", Get, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok"),
    ("2.3: HTTP/2", Get, "HTTP/2.0 200 OK\r\n\r\nok", "is not one of HTTP/1"),
    ("2.3: HTTP/2 alone", Get, "HTTP/2 200\r\n\r\nok", "is not one of HTTP/1"),
    ("2.3: HTTP/0.9", Get, "<html>hello</html>", "is not one of HTTP/1"),
    ("2.3: two digits", Get, "HTTP/1.10 200 OK\r\n\r\nok", "is not one of HTTP/1"),
    ("2.3: lower case", Get, "http/1.1 200 OK\r\n\r\nok", "is not one of HTTP/1"),
    ("2.3: another protocol", Get, "SSH-2.0-OpenSSH_9.2p1\r\n", "is not one of HTTP/1"),
    ("2.3: ICY", Get, "ICY 200 OK\r\n\r\nok", "is not one of HTTP/1"),
    ("4: no status", Get, "HTTP/1.1 OK\r\n\r\nok", "is not one of HTTP/1"),
    ("4: two digits", Get, "HTTP/1.1 20 OK\r\n\r\nok", "is not one of HTTP/1"),
    ("4: four digits", Get, "HTTP/1.1 2000 OK\r\n\r\nok", "is not one of HTTP/1"),
    ("4: minus", Get, "HTTP/1.1 -20 OK\r\n\r\nok", "is not one of HTTP/1"),
    ("4: no blank", Get, "HTTP/1.1 200OK\r\n\r\nok", "is not one of HTTP/1"),
    ("4: empty line before", Get, "\r\nHTTP/1.1 200 OK\r\n\r\nok", "is not one of HTTP/1"),
    ("RFC 9110 15: beyond 599", Get, "HTTP/1.1 999 No\r\nContent-Length: 2\r\n\r\nok", "999 ok"),
    ("RFC 9110 15: below 100", Get, "HTTP/1.1 099 No\r\nContent-Length: 2\r\n\r\nok", "099 ok"),
    ("RFC 9110 15: unknown", Get, "HTTP/1.1 299 ?\r\nContent-Length: 2\r\n\r\nok", "299 ok"),
    ("RFC 9110 15.5.5", Get, "HTTP/1.1 404 ?\r\nContent-Length: 2\r\n\r\nno", "404 no"),
    // Fields.
    ("5: none", Get, "HTTP/1.1 200 OK\r\n\r\nok", "200 ok"),
    ("5: no value", Get, "HTTP/1.1 200 OK\r\nA:\r\nContent-Length: 2\r\n\r\nok", "200 ok"),
    ("5: no blank", Get, "HTTP/1.1 200 OK\r\nContent-Length:2\r\n\r\nok!", "200 ok"),
    ("5: blanks around", Get, "HTTP/1.1 200 OK\r\nContent-Length: \t 2 \t\r\n\r\nok!", "200 ok"),
    ("5: case", Get, "HTTP/1.1 200 OK\r\ncOnTeNt-LeNgTh: 2\r\n\r\nok!", "200 ok"),
    ("5: obs-text", Get, "HTTP/1.1 200 OK\r\nA: \u{e9}\r\nContent-Length: 2\r\n\r\nok", "200 ok"),
    ("5: token", Get, "HTTP/1.1 200 OK\r\n!#$%&'*+-.^_`|~: 1\r\nContent-Length: 2\r\n\r\nok", "200 ok"),
    ("5.1: blank before the colon", Get, "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok!", "200 ok"),
    ("5.2: folded", Get, "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\td\r\nContent-Length: 2\r\n\r\nok", "200 ok"),
    ("5.2: folded length", Get, "HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nok!", "200 ok"),
    ("5.2: folded into nothing", Get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n \r\n\r\nok!", "200 ok"),
    ("2.2: folded first line", Get, "HTTP/1.1 200 OK\r\n A: b\r\n\r\nok", "no field"),
    ("2.2: bare LF", Get, "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "200 ok"),
    ("2.2: mixed", Get, "HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok!", "200 ok"),
    ("2.2: bare CR", Get, "HTTP/1.1 200 OK\r\nA: b\rContent-Length: 2\r\n\r\nok", "bare CR"),
    ("RFC 9110 5.5: NUL", Get, "HTTP/1.1 200 OK\r\nA: b\0\r\n\r\nok", "NUL"),
    ("5: no colon", Get, "HTTP/1.1 200 OK\r\nnothing\r\n\r\nok", "no field"),
    ("5: no name", Get, "HTTP/1.1 200 OK\r\n: x\r\n\r\nok", "no field"),
    ("5: blank in a name", Get, "HTTP/1.1 200 OK\r\nA b: x\r\n\r\nok", "no field"),
    // Interim answers.
    ("RFC 9110 15.2.1", Get, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok"),
    ("RFC 8297", Get, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok"),
    ("RFC 9110 15.2: any", Get, "HTTP/1.1 199 x\r\nContent-Length: 5\r\n\r\nHTTP/1.1 102 x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nok", "200 ok"),
    ("RFC 9110 15.2: alone", Get, "HTTP/1.1 100 Continue\r\n\r\n", "breaks off in its head"),
    ("RFC 9110 15.2.2: unasked", Get, "HTTP/1.1 101 x\r\nUpgrade: x\r\n\r\n", "nobody asked for"),
    // Answers without a body.
    ("6.3.1: 204", Get, "HTTP/1.1 204 No Content\r\n\r\nno", "204 "),
    ("6.3.1: 204 with a length", Get, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "204 "),
    ("6.3.1: 304 with a length", Get, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "304 "),
    ("6.3.1: 304 in chunks", Get, "HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n", "304 "),
    ("6.3.1: HEAD", Head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "200 "),
    ("6.3.1: HEAD in chunks", Head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200 "),
    ("6.3.1: HEAD coded", Head, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n", "200 "),
    ("6.3.1: HEAD, other lengths", Head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "200 "),
    // Bodies by length.
    ("6.3.6: nothing", Get, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 "),
    ("6.3.6: more comes", Get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok, and more", "200 ok"),
    ("6.3.6: leading zeros", Get, "HTTP/1.1 200 OK\r\nContent-Length: 0002\r\n\r\nok!", "200 ok"),
    ("6.3.5: twice the same", Get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok!", "200 ok"),
    ("6.3.5: a list of the same", Get, "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok!", "200 ok"),
    ("6.3.5: two different", Get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!", "Content-Length"),
    ("6.3.5: a list of two", Get, "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok!", "Content-Length"),
    ("6.3.5: text", Get, "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok", "Content-Length"),
    ("6.3.5: minus", Get, "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", "Content-Length"),
    ("6.3.5: plus", Get, "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", "Content-Length"),
    ("6.3.5: hexadecimal", Get, "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok", "Content-Length"),
    ("6.3.5: empty", Get, "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nok", "Content-Length"),
    ("6.3.5: two numbers", Get, "HTTP/1.1 200 OK\r\nContent-Length: 2 2\r\n\r\nok", "Content-Length"),
    ("6.3.5: beyond 2^64", Get, "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nok", "Content-Length"),
    ("6.3.5: 2^64 - 1", Get, "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nok", "longer than"),
    ("8: cut", Get, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "breaks off in its body"),
    ("8: nothing came", Get, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "breaks off in its body"),
    ("8: cut head", Get, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", "breaks off in its head"),
    ("8: cut status line", Get, "HTTP/1.1 200", "breaks off in its head"),
    ("8: nothing", Get, "", "without an answer"),
    // Bodies by the end of the connection.
    ("6.3.8", Get, "HTTP/1.1 200 OK\r\n\r\nok", "200 ok"),
    ("6.3.8: empty", Get, "HTTP/1.0 200 OK\r\n\r\n", "200 "),
    ("9.3: it says that it stays", Get, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nok", "200 ok"),
    // Chunks.
    ("7.1", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", "200 ok"),
    ("7: case", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n2\r\nok\r\n0\r\n\r\n", "200 ok"),
    ("7.1: digits", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00A\r\n0123456789\r\nb\r\n0123456789a\r\n000\r\n\r\n", "200 01234567890123456789a"),
    ("7.1: none", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "200 "),
    ("7.1.1: extensions", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b;c=\"d;\\\"e\"\r\nok\r\n0;x\r\n\r\n", "200 ok"),
    ("7.1.2: trailer", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\nContent-Length: 9\r\n\r\n", "200 ok"),
    ("6.3.3: and a length", Get, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "200 ok"),
    ("6.3.3: and a wrong length", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n2\r\nok\r\n0\r\n\r\n", "200 ok"),
    ("6.1: HTTP/1.0", Get, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "200 ok"),
    ("6.1: empty element", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: , chunked,\r\n\r\n2\r\nok\r\n0\r\n\r\n", "200 ok"),
    ("6.1: twice", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "Transfer-Encoding"),
    ("6.1: in two fields", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding"),
    ("6.1: not the last", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "Transfer-Encoding"),
    ("6.1: unknown", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nok", "Transfer-Encoding"),
    ("6.1: identity", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok", "200 ok"),
    ("8: cut in a chunk", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok", "breaks off in its body"),
    ("8: cut behind a chunk", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok", "breaks off in its body"),
    ("8: cut in a line end", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r", "breaks off in its body"),
    ("8: cut between chunks", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "breaks off in its body"),
    ("8: cut in a size", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0", "breaks off in its body"),
    ("8: cut in the last line end", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", "breaks off in its body"),
    ("8: cut in the trailer", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n", "breaks off in its body"),
    ("7.1: no size", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n2\r\nok\r\n0\r\n\r\n", "chunk"),
    ("7.1: LF as a size", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n\n\r\n", "chunk"),
    ("7.1: no digit", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\nok\r\n0\r\n\r\n", "chunk"),
    ("7.1: 0x", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n", "chunk"),
    ("7.1: minus", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n", "chunk"),
    ("7.1: beyond 2^64", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\nok\r\n0\r\n\r\n", "chunk"),
    ("7.1: too short", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok\r\n0\r\n\r\n", "chunk"),
    ("7.1: too long", Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nok\r\n0\r\n\r\n", "chunk"),
];

#[test]
fn answers_are_read_by_the_grammar() {
    let mut wrong = Vec::new();
    for &(section, to, answer, expected) in ANSWERS {
        let method = if to == Head { "HEAD" } else { "GET" };
        let request = Request { method, ..Request::get("http://a/") };
        // In whatever pieces they come.
        for size in [1, 7, 100_000] {
            let result = get(answer.as_bytes(), size, &request);
            let is_error = result.starts_with("error: http://a/: ") && result.contains(expected);
            let is_status = expected.as_bytes()[0].is_ascii_digit();
            if !(if is_status { result == expected } else { is_error }) {
                wrong.push(format!("{section}, in pieces of {size}: {answer:?}: {result}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), 3 * ANSWERS.len(), wrong.join("\n"));
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
    let head = answer::parse(&mut bytes, 0, false).unwrap().unwrap();
    let answer = Answer::new(&bytes, &head);
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
        ("gzip", b"ok", "not of that form"),
        ("gzip", &[&ok[..], b"\0"].concat(), "not of that form"),
        ("gzip", &[&ok[..], b"garbage"].concat(), "not of that form"),
        ("gzip", &broken(3), "not of that form"),
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
        ("deflate", &[&zlib[..], b"x"].concat(), "not of that form"),
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
