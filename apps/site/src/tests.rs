//! Whole answers, over two stacks on a cable.

extern crate std;

use super::*;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use devices::ip::config::{Ipv4, Limits, Settings};
use devices::ip::{Stack, Stream};
use devices::kv::built::Built;
use devices::net::cable::{Options, cable};
use std::string::String;
use std::vec::Vec;

static LARGE: [u8; 200_000] = {
    let mut bytes = [0; 200_000];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = (at % 251) as u8;
        at += 1;
    }
    bytes
};

const FILES: &[(&str, &[u8])] = &[
    ("index.html", b"<h1>hi</h1>"),
    ("pictures/large.png", &LARGE),
    ("pictures/a b.txt", b"spaces"),
    ("empty.css", b""),
];

/// What a client is answered with that sends `requests` on one connection.
fn asked(requests: &str) -> Vec<u8> {
    kernel::machine::simulate_time();
    let settings = |last| Settings {
        ipv4: Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24),
        limits: Limits::for_memory(4 << 20),
        ..Settings::default()
    };
    kernel::task::block_on(async {
        let (a, b) = cable(Options::default());
        let client = Stack::start(a, settings(1)).unwrap();
        let server = Stack::start(b, settings(2)).unwrap();
        let serving =
            kernel::task::spawn(
                async move { serve(&server, Built::new(FILES), 80, 1 << 20).await },
            );
        kernel::time::sleep(core::time::Duration::from_secs(1)).await;
        let at = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 80);
        let mut stream = client.connect(at).await.unwrap();
        stream.write_all(requests.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let (mut all, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            match stream.read(&mut piece).await.unwrap() {
                0 => break,
                count => all.extend_from_slice(&piece[..count]),
            }
        }
        drop(serving);
        all
    })
}

/// The status, the head and the content of one answer.
fn get(target: &str, fields: &str) -> (u16, String, Vec<u8>) {
    request("GET", target, fields)
}

fn request(method: &str, target: &str, fields: &str) -> (u16, String, Vec<u8>) {
    let answer = asked(&std::format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    (head[9..12].parse().unwrap(), head, answer[end..].to_vec())
}

#[test]
fn files_come_with_their_type_and_tag() {
    let (status, head, content) = get("/pictures/large.png", "");
    assert_eq!((status, content.len()), (200, LARGE.len()), "{head}");
    assert!(content == LARGE);
    assert!(head.contains("\r\nContent-Type: image/png\r\n"), "{head}");
    let (status, head, content) = get("/", "");
    assert_eq!((status, &*content), (200, &b"<h1>hi</h1>"[..]));
    let tag = head.split("ETag: ").nth(1).unwrap().split('\r').next().unwrap();
    assert!(tag.ends_with("-b\""), "{tag}");
    let (status, _, content) = get("/empty.css", "");
    assert_eq!((status, content.len()), (200, 0));
    assert_eq!(get("/pictures/a%20b.txt", "").2, b"spaces");
}

#[test]
fn head_has_no_content() {
    let (status, head, content) = request("HEAD", "/pictures/large.png", "");
    assert_eq!((status, content.len()), (200, 0));
    assert!(head.contains("\r\nContent-Length: 200000\r\n"), "{head}");
}

#[test]
fn conditions_and_ranges_are_kept() {
    assert_eq!(get("/", "If-None-Match: *\r\n").0, 304);
    let (status, head, content) = get("/pictures/large.png", "Range: bytes=65530-131080\r\n");
    assert_eq!(status, 206);
    assert!(content == LARGE[65530..131_081]);
    assert!(head.contains("\r\nContent-Range: bytes 65530-131080/200000\r\n"), "{head}");
    let (status, head, _) = get("/", "Range: bytes=11-\r\n");
    assert_eq!(status, 416);
    assert!(head.contains("\r\nContent-Range: bytes */11\r\n"), "{head}");
}

#[test]
fn a_folder_has_a_slash_at_its_end() {
    let (status, head, _) = get("/pictures", "");
    assert_eq!(status, 301);
    assert!(head.contains("\r\nLocation: /pictures/\r\n"), "{head}");
    let (status, _, page) = get("/pictures/", "");
    let page = String::from_utf8(page).unwrap();
    assert_eq!(status, 200);
    assert!(page.contains("<a href=\"./a%20b.txt\">a b.txt</a>"), "{page}");
}

#[test]
fn nothing_else_is_served() {
    let to = ["/x", "/index.html/", "/../index.html", "/%2e%2e/etc/passwd", "/a%00", "/%zz"];
    for target in to {
        assert_eq!(get(target, "").0, 404, "{target}");
    }
    assert_eq!(request("DELETE", "/", "").0, 405);
}
