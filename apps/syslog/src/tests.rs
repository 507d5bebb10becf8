//! Servers on a cable, in simulated time.

use super::*;
use crate::message::{Header, message};
use crate::send::Settings;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::net::Ipv4Addr;
use xenith::args::Value;
use xenith::ip::config::Ipv4;
use xenith::ip::{self, Listener, Service, Socket, Stack, Stream, Tcp, Udp, any};
use xenith::log::Line;
use xenith::net::cable::{End, Options, cable};
use xenith::task::block_on;
use xenith::time::{Instant, timeout};

type Said = Rc<RefCell<Vec<String>>>;

fn stack(end: End, last: u8) -> Stack<End> {
    let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
    Stack::start(end, ip::Settings { ipv4, ..ip::Settings::default() }).unwrap()
}

/// A server on one end of a cable, and what an app on the other end logs.
fn play(
    server: &'static str,
    serve: impl AsyncFnOnce(Stack<End>, Said),
    app: impl AsyncFnOnce(),
) -> Vec<String> {
    xenith::testing::simulate_time();
    xenith::testing::start_log("info");
    let said = Said::default();
    block_on(async {
        let (a, b) = cable(Options::default());
        let (here, there) = (stack(a, 1), stack(b, 2));
        let server = Some(Server::parse(server).unwrap());
        Syslog::start(&here, Settings { server, host: "lab" });
        xenith::task::join(serve(there, said.clone()), app()).await;
    });
    said.take()
}

fn texts(said: &[String]) -> Vec<&str> {
    said.iter().map(|it| it.split_once("] ").expect("a message has data").1).collect()
}

#[test]
fn each_line_is_a_datagram() {
    let serve = async |ip: Stack<End>, said: Said| {
        let socket = Udp::bind(&ip, any(514)).await.unwrap();
        let mut message = [0; 2000];
        for _ in 0..3 {
            let (length, _) = socket.recv_from(&mut message).await.unwrap();
            said.borrow_mut().push(String::from_utf8(message[..length].to_vec()).unwrap());
        }
    };
    let said = play("udp://10.0.0.2", serve, async || {
        log::error!("one");
        log::info!("two\nlines");
        sleep(Duration::from_secs(5)).await;
        log::warn!("drei ß");
    });
    assert!(said[0].starts_with("<27>1 2") && said[2].starts_with("<28>1 2"), "{said:?}");
    assert!(said[1].contains("Z lab - - - [meta sequenceId=\"2\" sysUpTime=\""), "{said:?}");
    let module = module_path!();
    assert_eq!(
        texts(&said),
        [
            format!("{module}: one"),
            format!("{module}: two\\x0alines"),
            format!("\u{feff}{module}: drei ß")
        ]
    );
}

/// Reads one message and its length.
async fn framed(stream: &mut impl Stream) -> Option<String> {
    let (mut length, mut byte) = (0, [0]);
    while byte[0] != b' ' {
        length = length * 10 + usize::from(byte[0].saturating_sub(b'0'));
        stream.read_exact(&mut byte).await.ok()?;
    }
    let mut text = alloc::vec![0; length];
    stream.read_exact(&mut text).await.ok()?;
    String::from_utf8(text).ok()
}

#[test]
fn a_server_that_is_late_or_leaves_gets_all_in_order() {
    let serve = async |ip: Stack<End>, said: Said| {
        sleep(Duration::from_secs(100)).await;
        let listener = Tcp::bind(&ip, any(601)).await.unwrap();
        for count in [2, 3] {
            let (mut stream, _) = listener.accept().await.unwrap();
            for _ in 0..count {
                let message = framed(&mut stream).await.unwrap();
                said.borrow_mut().push(message);
            }
            stream.close().await.unwrap();
        }
    };
    let said = play("tcp://10.0.0.2:601", serve, async || {
        log::info!("a");
        log::info!("b");
        sleep(Duration::from_secs(400)).await;
        ["c", "d", "e"].iter().for_each(|it| log::info!("{it}"));
    });
    let ends: String = said.iter().filter_map(|it| it.chars().next_back()).collect();
    assert_eq!(ends, "abcde", "{said:?}");
}

#[test]
fn what_is_logged_last_is_sent_and_the_connection_ended() {
    let serve = async |ip: Stack<End>, said: Said| {
        let listener = Tcp::bind(&ip, any(514)).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        while let Some(message) = framed(&mut stream).await {
            said.borrow_mut().push(message);
        }
        assert!(stream.progress().ended);
    };
    let said = play("tcp://10.0.0.2", serve, async || {
        log::info!("first");
        sleep(Duration::from_secs(5)).await;
        log::info!("last");
        xenith::shutdown::finished().await;
    });
    assert_eq!(said.len(), 2, "{said:?}");
}

/// A server that is there again after so long, while an app logs two lines and ends after 45 s.
fn come_back(after: Duration) -> Vec<String> {
    let serve = async |ip: Stack<End>, said: Said| {
        sleep(after).await;
        let listener = Tcp::bind(&ip, any(514)).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        while let Some(message) = framed(&mut stream).await {
            said.borrow_mut().push(message);
        }
        stream.close().await.unwrap();
    };
    play("tcp://10.0.0.2", serve, async || {
        log::info!("one");
        log::info!("two");
        sleep(Duration::from_secs(45)).await;
        let begun = Instant::now();
        xenith::shutdown::finished().await;
        assert!(begun.elapsed() < FAREWELL, "{:?}", begun.elapsed());
    })
}

#[test]
fn a_server_that_is_back_by_the_end_gets_what_waits_t5() {
    // It is tried after 31 s and 63 s, unless the end comes; and then again.
    for after in [40_000, 45_500] {
        let said = std::thread::spawn(move || come_back(Duration::from_millis(after)));
        let said = said.join().unwrap();
        assert_eq!(said.len(), 2, "{said:?}");
    }
}

/// A server that vanishes without a word when it has heard "before", and is there again `after` so long, while
/// an app logs lines, each so many seconds after the one before it; what it hears from then on.
fn vanish(after: u64, lines: &[(u64, &str)]) -> Vec<String> {
    xenith::testing::simulate_time();
    xenith::testing::start_log("info");
    let said = Said::default();
    block_on(async {
        let (a, b) = cable(Options::default());
        let here = stack(a, 1);
        let server = Some(Server::parse("tcp://10.0.0.2").unwrap());
        Syslog::start(&here, Settings { server, host: "lab" });
        let serve = async {
            let there = stack(b.clone(), 2);
            let listener = Tcp::bind(&there, any(514)).await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(framed(&mut stream).await.unwrap().ends_with(": before"));
            // It acknowledges that, and its reset is lost.
            sleep(Duration::from_secs(1)).await;
            b.set_link(false);
            stream.abort();
            drop((stream, listener, there));
            sleep(Duration::from_secs(after)).await;
            b.set_link(true);
            let there = stack(b, 2);
            let listener = Tcp::bind(&there, any(514)).await.unwrap();
            let hear = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                while let Some(message) = framed(&mut stream).await {
                    said.borrow_mut().push(message);
                }
            };
            // Nobody ends it.
            assert!(timeout(Duration::from_secs(300), hear).await.is_err());
        };
        let app = async {
            for (pause, line) in [&[(0, "before")], lines].concat() {
                sleep(Duration::from_secs(pause)).await;
                log::info!("{line}");
            }
        };
        xenith::task::join(serve, app).await;
    });
    said.take()
}

#[test]
fn a_server_that_vanishes_costs_what_is_sent_within_a_minute() {
    // That it was started again is noticed while nothing is logged; that it is away, by what it does not
    // acknowledge.
    for (after, lines) in [(20, &[(200, "after")][..]), (100, &[(10, "lost"), (65, "after")])] {
        let said = std::thread::spawn(move || vanish(after, lines)).join().unwrap();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].ends_with(": after"), "{said:?}");
    }
}

#[test]
fn what_a_server_does_not_take_is_bounded_and_counted_t3() {
    let serve = async |ip: Stack<End>, said: Said| {
        sleep(Duration::from_secs(50)).await;
        let listener = Tcp::bind(&ip, any(514)).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        while let Ok(Some(message)) = timeout(Duration::from_secs(300), framed(&mut stream)).await {
            said.borrow_mut().push(message);
        }
    };
    let said = play("tcp://10.0.0.2", serve, async || {
        (0..2000).for_each(|at| log::info!("line {at}"));
    });
    let lost: Vec<_> =
        texts(&said).into_iter().filter(|it| it.contains("lines were lost")).collect();
    assert_eq!(lost.len(), 1, "{said:?}");
    let count: usize = lost[0].split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(said.len() - 1 + count, 2000);
    assert!((1000..2000).contains(&count), "{count}");
}

#[test]
fn messages_are_those_of_the_rfc_k5() {
    let header = |time, host, app| Header { time: Duration::from_secs(time), host, app, number: 7 };
    let said = |header: &Header<'_>, text: &str| {
        let text = message(header, &Line::new(log::Level::Warn, "app::disk", text.into()));
        let (begin, rest) = text.split_once("sysUpTime=\"").unwrap();
        format!("{begin}{}", rest.split_once("\"]").unwrap().1)
    };
    assert_eq!(
        said(&header(1_709_164_800, "a host", "x"), "\x1b[2J\u{9b}"),
        "<28>1 2024-02-29T00:00:00.000000Z ahost x - - [meta sequenceId=\"7\"  \u{feff}app::disk: \\x1b[2J\\x9b"
    );
    // A clock that was never set, and names that are none.
    let odd = said(&header(5000, "", "ä"), "x");
    assert_eq!(odd, "<28>1 - - - - - [meta sequenceId=\"7\"  app::disk: x");
    let long = "y".repeat(300);
    let odd = said(&header(5000, &long, &long), "x");
    assert_eq!(odd.matches('y').count(), 255 + 48);
}

#[test]
fn servers_are_read() {
    for (text, host, port) in [
        ("udp://10.0.0.1", "10.0.0.1", 514),
        ("tcp://log.example:6514", "log.example", 6514),
        ("udp://[fd00::1]", "fd00::1", 514),
        ("tcp://[fd00::1]:5", "fd00::1", 5),
    ] {
        let server = Server::parse(text).unwrap();
        assert_eq!((server.host, server.port), (host, port), "{text}");
    }
    for text in
        ["", "10.0.0.1", "udp://", "udp://a:", "udp://a:0", "udp://[::1", "tls://a", "udp://[::1]5"]
    {
        assert!(Server::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_line_may_begin_with_its_level() {
    assert_eq!(level("warn: it is late"), (log::Level::Warn, "it is late"));
    assert_eq!(level("loud: it is late"), (log::Level::Info, "loud: it is late"));
    assert_eq!(level("").1.to_string(), "");
}
