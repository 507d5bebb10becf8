//! Those who chat, on a cable in simulated time.

use super::*;
use crate::pages;
use core::net::{Ipv4Addr, SocketAddr};
use core::pin::pin;
use core::time::Duration;
use embedded_io_async::{Read, Write};
use std::string::ToString;
use std::vec::Vec;
use xenith::ip::config::Ipv4;
use xenith::ip::{Settings, Stack};
use xenith::net::cable::{End, Options as Cable, cable};
use xenith::time::timeout;

#[test]
fn browsers_find_a_whole_page() {
    for (path, status) in [("/", 200), ("/lines", 200), ("/nothing", 404), ("/chat", 426)] {
        let page = pages::page(|ip| start(ip, 80), path);
        assert!(page.status == status && page.is_whole(), "{path}: {page:?}");
    }
    assert_eq!(pages::page(|ip| start(ip, 80), "/lines").text, "[]");
}

/// Plays with a chat from another machine.
fn beside<F: Future>(play: impl FnOnce(Rc<Stack<End>>) -> F) -> F::Output {
    xenith::testing::simulate_time();
    let stack = |end, last| {
        let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
        Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
    };
    xenith::task::block_on(async {
        let (a, b) = cable(Cable::default());
        let (server, client) = (start(stack(a, 1), 80), Rc::new(stack(b, 2)));
        match select(pin!(play(client)), pin!(server)).await {
            Either::First(output) => output,
            Either::Second(_) => panic!("the app ended"),
        }
    })
}

/// Asks, and sends more once the answer begins: all that comes within some seconds.
async fn told(client: &Stack<End>, request: &str, more: &[u8], seconds: u64) -> String {
    let to = SocketAddr::new(Ipv4Addr::new(10, 0, 0, 1).into(), 80);
    let mut stream = client.connect(to).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    let reading = async {
        let mut piece = [0; 1000];
        let mut more = Some(more);
        while let Ok(count @ 1..) = stream.read(&mut piece).await {
            all.extend_from_slice(&piece[..count]);
            if let Some(more) = more.take() {
                stream.write_all(more).await.unwrap();
            }
        }
    };
    let _ = timeout(Duration::from_secs(seconds), reading).await;
    String::from_utf8_lossy(&all).to_string()
}

const OPEN: &str = "GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A message as a client sends it, with the mask 0.
fn message(text: &str) -> Vec<u8> {
    [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat()
}

#[test]
fn what_one_says_is_told_to_all_in_each_form() {
    let line = r#"{"name":"a","text":"<b>"}"#;
    let (listener, speaker, other) = beside(async |client: Rc<Stack<End>>| {
        let events = "GET /events HTTP/1.1\r\nHost: x\r\n\r\n";
        let listens = told(&client, events, b"", 5);
        let waits = told(&client, OPEN, b"", 5);
        let message = message(line);
        let speaks = told(&client, OPEN, &message, 5);
        let (first, (second, third)) =
            xenith::task::join(listens, xenith::task::join(speaks, waits)).await;
        (first, second, third)
    });
    let expected = format!("-0\ndata: {line}\n\n");
    assert!(listener.contains(&expected), "{listener}");
    for told in [speaker, other] {
        assert!(told.ends_with(&format!("\u{19}{line}")), "{told}");
    }
}

#[test]
fn what_is_no_line_closes_with_a_reason_and_is_told_to_nobody() {
    let long = format!(r#"{{"name":"{}","text":"x"}}"#, "n".repeat(41));
    for (text, why) in [
        ("hello", "the JSON is wrong: expected value at line 1 column 1"),
        (r#"{"name":"a"}"#, "missing field `text`"),
        (r#"{"name":"a","text":"b","x":1}"#, "unknown field `x`"),
        (&long, "a name has at most 40 bytes"),
    ] {
        let (answer, lines) = beside(async |client: Rc<Stack<End>>| {
            let answer = told(&client, OPEN, &message(text), 5).await;
            let lines = "GET /lines HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            (answer, told(&client, lines, b"", 5).await)
        });
        assert!(answer.contains(why), "{text}: {answer}");
        assert!(lines.ends_with("\r\n\r\n2\r\n[]\r\n0\r\n\r\n"), "{lines}");
    }
}

#[test]
fn who_comes_late_is_told_the_last_lines() {
    let room = Rc::new(Room::default());
    let mut early = room.join();
    for number in 0..40 {
        room.say(format!("{number}")).unwrap();
    }
    xenith::task::block_on(async {
        for member in [&mut early, &mut room.join()] {
            for number in 8..40 {
                let (found, line) = member.next().await;
                assert_eq!((found, &**line), (number, &*format!("{number}")));
            }
            assert!(timeout(Duration::from_millis(1), member.next()).await.is_err());
        }
    });
    assert_eq!(room.lines().count(), 32);
}

#[test]
fn who_comes_again_is_told_what_it_missed_also_after_a_restart() {
    let said = |told: &str| told.matches("data: ").count();
    beside(async |client: Rc<Stack<End>>| {
        let listen = async |last: &str| {
            let request =
                format!("GET /events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {last}\r\n\r\n");
            told(&client, &request, b"", 5).await
        };
        for _ in 0..3 {
            told(&client, OPEN, &message(r#"{"name":"a","text":"b"}"#), 1).await;
        }
        let first = listen("").await;
        assert_eq!(said(&first), 3, "{first}");
        let id = first.split("id: ").nth(2).and_then(|rest| rest.lines().next()).unwrap();
        let again = listen(id).await;
        assert_eq!(said(&again), 1, "{again}");
        for old in ["500", "0123456789abcdef-500", "-500", "x-1"] {
            let all = listen(old).await;
            assert_eq!(said(&all), 3, "{old}: {all}");
        }
    });
}
