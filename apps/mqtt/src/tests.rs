//! A broker on a cable that says what the test wants, in simulated time.

use super::*;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use embedded_io_async::Read as _;
use xenith::args::Value as _;
use xenith::ip::config::Ipv4;
use xenith::ip::{Listener, Settings, Stack, any};
use xenith::net::cable::{End, Options, cable};
use xenith::sync::Signal;
use xenith::task::{block_on, join};
use xenith::time::Instant;

type Connection = <Stack<End> as Tcp>::Stream;

/// Its end of the cable.
struct Broker(<Stack<End> as Tcp>::Listener);

impl Broker {
    /// Takes the next connection, and says that it may be used; how often it was kept before is
    /// `present`.
    async fn accept(&self, present: u8) -> Connection {
        let mut stream = self.0.accept().await.unwrap().0;
        let (kind, connect) = hear(&mut stream).await;
        assert_eq!((kind, &connect[..7]), (0x10, &b"\0\x04MQTT\x05"[..]));
        // Nobody asks for a new session twice.
        assert_eq!(connect[7] & 2, 0);
        stream.write_all(&[0x20, 3, present, 0, 0]).await.unwrap();
        stream
    }

    /// The same of the first connection.
    async fn first(&self, answer: &[u8]) -> Connection {
        let mut stream = self.0.accept().await.unwrap().0;
        let (_, connect) = hear(&mut stream).await;
        assert_eq!(connect[7] & 2, 2);
        stream.write_all(answer).await.unwrap();
        stream
    }
}

/// Hears what it subscribes to, and lets it.
async fn subscribed(stream: &mut Connection) {
    let (kind, subscribe) = hear(stream).await;
    assert_eq!(kind, 0x82);
    stream.write_all(&[0x90, 4, subscribe[0], subscribe[1], 0, 2]).await.unwrap();
}

/// Says that it may be used.
const ACCEPTED: &[u8] = &[0x20, 3, 0, 0, 0];

/// The next packet: its first byte, and what is in it.
async fn hear(stream: &mut Connection) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.unwrap();
    assert!(head[1] < 128, "a short packet");
    let mut body = alloc::vec![0; head[1].into()];
    stream.read_exact(&mut body).await.unwrap();
    (head[0], body)
}

fn args() -> Args {
    Args {
        broker: "10.0.0.2",
        port: 1883,
        id: "me",
        user: None,
        password: None,
        publish: Several::default(),
        retain: false,
        subscribe: Several::default(),
        quality: 2,
        count: 1,
        keepalive: 60,
        limit: 1024,
        patience: Duration::from_secs(30),
    }
}

fn one(text: &'static str) -> Several {
    let mut several = Several::default();
    several.add(text);
    several
}

fn two(first: &'static str, second: &'static str) -> Several {
    let mut several = one(first);
    several.add(second);
    several
}

fn publishing() -> Args {
    Args { publish: one("a=hi"), ..args() }
}

fn subscribing() -> Args {
    Args { subscribe: one("b/#"), ..args() }
}

/// Runs the app against `broker`: how it ends, what it prints, and how many seconds it takes.
fn play(args: Args, broker: impl AsyncFnOnce(&Broker)) -> (Exit, String, u64) {
    play_with(args, |stack| stack, broker)
}

/// The same, with what is between the app and its stack.
fn play_with<I: Tcp + Resolve>(
    args: Args,
    between: impl FnOnce(Stack<End>) -> I,
    broker: impl AsyncFnOnce(&Broker),
) -> (Exit, String, u64) {
    xenith::testing::simulate_time();
    let stack = |end, last| {
        let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
        Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
    };
    block_on(async {
        let (a, b) = cable(Options::default());
        let (here, there) = (stack(a, 1), stack(b, 2));
        let listener = Broker(Tcp::bind(&there, any(1883)).await.unwrap());
        let begun = Instant::now();
        let mut out = Vec::new();
        let (exit, ()) = join(start(&mut out, between(here), args), broker(&listener)).await;
        (exit, String::from_utf8(out).unwrap(), begun.elapsed().as_secs())
    })
}

#[test]
fn what_is_on_its_way_at_quality_2_is_finished_by_later_connections() {
    let played = play(publishing(), async |broker| {
        let mut stream = broker.first(ACCEPTED).await;
        let published = hear(&mut stream).await;
        assert_eq!(published, (0x34, b"\0\x01a\0\x01\0hi".to_vec()));
        drop(stream);
        // The same again, as such.
        let mut stream = broker.accept(1).await;
        assert_eq!(hear(&mut stream).await, (0x3C, published.1));
        stream.write_all(&[0x50, 2, 0, 1]).await.unwrap();
        assert_eq!(hear(&mut stream).await.0, 0x62);
        drop(stream);
        // The broker has it: the message itself is not sent again.
        let mut stream = broker.accept(1).await;
        let (kind, release) = hear(&mut stream).await;
        assert_eq!((kind, &release[..2]), (0x62, &[0, 1][..]));
        stream.write_all(&[0x70, 2, 0, 1]).await.unwrap();
        assert_eq!(hear(&mut stream).await.0, 0xE0);
    });
    assert_eq!((played.0, &*played.1), (Exit::SUCCESS, ""));
}

#[test]
fn a_message_whose_end_was_lost_with_the_connection_is_finished() {
    let args = Args { publish: two("a=hi", "a=ho"), ..args() };
    let played = play(args, async |broker| {
        let mut stream = broker.first(ACCEPTED).await;
        hear(&mut stream).await;
        stream.write_all(&[0x50, 2, 0, 1]).await.unwrap();
        assert_eq!(hear(&mut stream).await.0, 0x62);
        // It says that it is done, and nobody hears it.
        drop(stream);
        let mut stream = broker.accept(1).await;
        assert_eq!(hear(&mut stream).await.0, 0x62);
        // Packet Identifier not found.
        stream.write_all(&[0x70, 3, 0, 1, 0x92]).await.unwrap();
        let (kind, next) = hear(&mut stream).await;
        assert_eq!((kind, &next[next.len() - 2..]), (0x34, &b"ho"[..]));
        stream.write_all(&[0x50, 2, next[3], next[4]]).await.unwrap();
        hear(&mut stream).await;
        stream.write_all(&[0x70, 2, next[3], next[4]]).await.unwrap();
        assert_eq!(hear(&mut stream).await.0, 0xE0);
    });
    assert_eq!((played.0, &*played.1), (Exit::SUCCESS, ""));
}

#[test]
fn a_broker_that_forgot_the_session_gets_it_anew() {
    let played = play(subscribing(), async |broker| {
        let mut stream = broker.first(ACCEPTED).await;
        let subscribe = hear(&mut stream).await;
        assert_eq!((subscribe.0, &subscribe.1[2..]), (0x82, &b"\0\0\x03b/#\x02"[..]));
        stream.write_all(&[0x90, 4, subscribe.1[0], subscribe.1[1], 0, 2]).await.unwrap();
        drop(stream);
        let mut stream = broker.accept(0).await;
        let again = hear(&mut stream).await;
        assert_eq!(again.0, 0x82);
        stream.write_all(&[0x90, 4, again.1[0], again.1[1], 0, 2]).await.unwrap();
        // Of quality 2, and one more than was asked for.
        stream.write_all(b"\x34\x0C\0\x03b/c\0\x09\0h\x1bi\n").await.unwrap();
        stream.write_all(b"\x30\x07\0\x03b/d\0x").await.unwrap();
        assert_eq!(hear(&mut stream).await, (0x50, alloc::vec![0, 9, 0, 0]));
        stream.write_all(&[0x62, 2, 0, 9]).await.unwrap();
        assert_eq!(hear(&mut stream).await, (0x70, alloc::vec![0, 9, 0, 0]));
        assert_eq!(hear(&mut stream).await.0, 0xE0);
    });
    assert_eq!((played.0, &*played.1), (Exit::SUCCESS, "mqtt: ready\nb/c h\\x1bi\\x0a\n"));
}

#[test]
fn a_broker_that_does_not_answer_is_left_and_asked_later_and_later() {
    let played = play(publishing(), async |broker| {
        // It does not answer to the connection, and then not to the message; the pauses between
        // are of 1 and 2 s, as it has taken nothing.
        let silent = broker.first(&[]).await;
        let silent_too = broker.0.accept().await.unwrap().0;
        drop(silent);
        let mut stream = silent_too;
        hear(&mut stream).await;
        stream.write_all(ACCEPTED).await.unwrap();
        hear(&mut stream).await;
        let mut stream = broker.accept(0).await;
        let published = hear(&mut stream).await;
        assert_eq!(published.0, 0x34);
        // No quality is good enough for this one.
        stream.write_all(&[0x50, 3, 0, published.1[4], 0x97]).await.unwrap();
    });
    assert_eq!(played.0, Exit(5));
    assert_eq!(played.1, "mqtt: the broker refuses a=hi: QuotaExceeded\n");
    assert!((63..66).contains(&played.2), "{} s", played.2);
}

#[test]
fn an_answer_to_a_ping_is_none_to_what_was_asked() {
    for (args, kind) in [(subscribing(), 0x82), (publishing(), 0x34)] {
        let args = Args { keepalive: 10, ..args };
        let played = play(args, async |broker| {
            let mut stream = broker.first(ACCEPTED).await;
            assert_eq!(hear(&mut stream).await.0, kind);
            // It is there, every 5 s; the answer does not come within 30 s.
            let begun = Instant::now();
            while hear(&mut stream).await.0 == 0xC0 {
                stream.write_all(&[0xD0, 0]).await.unwrap();
                assert!(begun.elapsed() < Duration::from_secs(40), "{kind:x}");
            }
            assert_eq!(begun.elapsed().as_secs(), 30);
            let mut stream = broker.0.accept().await.unwrap().0;
            hear(&mut stream).await;
            stream.write_all(&[0x20, 3, 0, 0x87, 0]).await.unwrap();
        });
        assert_eq!(played.0, Exit(4));
    }
}

#[test]
fn a_broker_that_never_ends_what_was_printed_is_left() {
    let played = play(subscribing(), async |broker| {
        let mut stream = broker.first(ACCEPTED).await;
        subscribed(&mut stream).await;
        stream.write_all(b"\x34\x09\0\x03b/c\0\x09\0x").await.unwrap();
        assert_eq!(hear(&mut stream).await.0, 0x50);
        // The second half of quality 2 does not come.
        let begun = Instant::now();
        assert_eq!(hear(&mut stream).await.0, 0xC0);
        assert_eq!(hear(&mut stream).await.0, 0xE0);
        assert!(begun.elapsed() < Duration::from_secs(31));
        let mut stream = broker.accept(1).await;
        stream.write_all(&[0x62, 2, 0, 9]).await.unwrap();
        assert_eq!(hear(&mut stream).await, (0x70, alloc::vec![0, 9, 0, 0]));
    });
    assert_eq!((played.0, &*played.1), (Exit::SUCCESS, "mqtt: ready\nb/c x\n"));
}

#[test]
fn a_broker_that_lets_it_in_and_fails_is_asked_later_and_later() {
    let played = play(subscribing(), async |broker| {
        let mut stream = broker.first(ACCEPTED).await;
        subscribed(&mut stream).await;
        for pause in [1, 2, 4, 8, 16] {
            drop(stream);
            let begun = Instant::now();
            stream = broker.accept(0).await;
            assert_eq!(begun.elapsed().as_secs(), pause);
            subscribed(&mut stream).await;
        }
        // One that lasts is as good as new.
        sleep(Duration::from_secs(20)).await;
        drop(stream);
        let begun = Instant::now();
        stream = broker.accept(0).await;
        assert_eq!(begun.elapsed().as_secs(), 32);
        subscribed(&mut stream).await;
        for _ in 0..2 {
            assert_eq!(hear(&mut stream).await.0, 0xC0);
            stream.write_all(&[0xD0, 0]).await.unwrap();
        }
        sleep(Duration::from_secs(1)).await;
        drop(stream);
        let begun = Instant::now();
        stream = broker.accept(0).await;
        assert_eq!(begun.elapsed().as_secs(), 1);
        subscribed(&mut stream).await;
        stream.write_all(b"\x30\x07\0\x03b/d\0x").await.unwrap();
    });
    assert_eq!((played.0, &*played.1), (Exit::SUCCESS, "mqtt: ready\nb/d x\n"));
}

/// A console that takes nothing before it is told to.
struct Slow<'a> {
    out: &'a mut Vec<u8>,
    open: &'a Signal<()>,
}

impl embedded_io_async::ErrorType for Slow<'_> {
    type Error = core::convert::Infallible;
}

impl Write for Slow<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        if !bytes.starts_with(b"mqtt: ready") {
            self.open.wait().await;
            self.open.signal(());
        }
        self.out.extend(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

#[test]
fn a_message_is_acknowledged_when_it_is_printed_and_not_before() {
    xenith::testing::simulate_time();
    let stack = |end, last| {
        let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
        Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
    };
    // Of quality 1 and 2: the message, and what acknowledges it.
    for (message, answer) in
        [(b"\x32\x09\0\x03b/c\0\x09\0x", 0x40), (b"\x34\x09\0\x03b/c\0\x09\0x", 0x50)]
    {
        let (mut out, open) = (Vec::new(), Signal::new());
        block_on(async {
            let (a, b) = cable(Options::default());
            let (here, there) = (stack(a, 1), stack(b, 2));
            let broker = Broker(Tcp::bind(&there, any(1883)).await.unwrap());
            let console = Slow { out: &mut out, open: &open };
            let args = Args { count: 0, ..subscribing() };
            let serving = core::pin::pin!(start(console, here, args));
            let says = core::pin::pin!(async {
                let mut stream = broker.first(ACCEPTED).await;
                subscribed(&mut stream).await;
                stream.write_all(message).await.unwrap();
                let early = timeout(Duration::from_secs(20), hear(&mut stream)).await;
                assert!(early.is_err(), "{early:?}");
                // The connection is gone when it is printed, so the broker says it again.
                drop(stream);
                open.signal(());
                let mut stream = broker.accept(1).await;
                let again = &mut message.to_vec();
                again[0] |= 8;
                stream.write_all(again).await.unwrap();
                assert_eq!(hear(&mut stream).await.0, answer);
            });
            xenith::task::select(serving, says).await;
        });
        // At least once, and exactly once.
        let times = if answer == 0x40 { 2 } else { 1 };
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out, alloc::format!("mqtt: ready\n{}", "b/c x\n".repeat(times)));
    }
}

#[test]
fn what_was_not_asked_for_is_refused() {
    let played = play(subscribing(), async |broker| {
        let mut stream = broker.first(ACCEPTED).await;
        subscribed(&mut stream).await;
        stream.write_all(b"\x34\x09\0\x03b/c\0\x09\0x").await.unwrap();
        stream.write_all(b"\x32\x09\0\x03b/c\0\x0a\0y").await.unwrap();
        stream.write_all(b"\x34\x09\0\x03b/c\0\x0b\0z").await.unwrap();
        assert_eq!(hear(&mut stream).await, (0x50, alloc::vec![0, 9, 0, 0]));
        assert_eq!(hear(&mut stream).await, (0x40, alloc::vec![0, 10, 0x97, 0]));
        assert_eq!(hear(&mut stream).await, (0x50, alloc::vec![0, 11, 0x97, 0]));
        stream.write_all(&[0x62, 2, 0, 9]).await.unwrap();
        assert_eq!(hear(&mut stream).await.0, 0x70);
    });
    assert_eq!((played.0, &*played.1), (Exit::SUCCESS, "mqtt: ready\nb/c x\n"));
}

/// A name with two addresses, of which the first is silent.
struct Two(Stack<End>);

impl Resolve for Two {
    async fn resolve(&self, _: &str) -> Result<xenith::ip::Addresses, xenith::ip::Error> {
        Ok([[10, 0, 0, 9], [10, 0, 0, 2]].into_iter().map(Into::into).collect())
    }
}

impl Tcp for Two {
    type Listener = <Stack<End> as Tcp>::Listener;
    type Stream = Connection;

    async fn bind(&self, addr: SocketAddr) -> Result<Self::Listener, xenith::ip::Error> {
        Tcp::bind(&self.0, addr).await
    }

    async fn connect(&self, addr: SocketAddr) -> Result<Connection, xenith::ip::Error> {
        if addr.ip() == IpAddr::from([10, 0, 0, 9]) {
            core::future::pending::<()>().await;
        }
        self.0.connect(addr).await
    }

    fn open(&self, from: SocketAddr, to: SocketAddr) -> Result<Connection, xenith::ip::Error> {
        Tcp::open(&self.0, from, to)
    }
}

#[test]
fn each_address_of_the_broker_has_its_share_of_the_time() {
    let args = Args { broker: "broker.lab", ..publishing() };
    let played = play_with(args, Two, async |broker| {
        let mut stream = broker.first(ACCEPTED).await;
        let published = hear(&mut stream).await;
        stream.write_all(&[0x50, 3, 0, published.1[4], 0x97]).await.unwrap();
    });
    assert_eq!((played.0, played.2), (Exit(5), 15));
}

#[test]
fn packets_are_bounded_and_nonsense_ends_a_connection_t3() {
    let played = play(subscribing(), async |broker| {
        let long = [0x30, 0xFF, 0xFF, 0xFF, 0x7F];
        let nonsense: [&[u8]; 4] = [&long, &[0x30, 0x80, 0x80, 0x80, 0x80], &[0, 0], &[0x90, 0]];
        let mut accepted = ACCEPTED;
        for says in nonsense {
            let mut stream = if accepted.is_empty() {
                broker.accept(0).await
            } else {
                broker.first(core::mem::take(&mut accepted)).await
            };
            hear(&mut stream).await;
            stream.write_all(says).await.unwrap();
            // It says why it leaves.
            assert_eq!(hear(&mut stream).await.0, 0xE0);
        }
        let mut stream = broker.0.accept().await.unwrap().0;
        hear(&mut stream).await;
        stream.write_all(&[0x20, 3, 0, 0x87, 0]).await.unwrap();
    });
    assert_eq!(played.0, Exit(4));
    assert_eq!(played.1, "mqtt: the broker ends the connection: NotAuthorized\n");
}

#[test]
fn arguments_are_looked_at_first() {
    let says = |args| {
        let (exit, text, _) = play(args, async |_| ());
        assert_eq!(exit, Exit(5));
        text
    };
    for (publish, text) in [("a", "TOPIC=MESSAGE"), ("a/#=b", "without # and +"), ("=b", "TOPIC")] {
        let said = says(Args { publish: one(publish), ..args() });
        assert!(said.contains(text), "{said}");
    }
    let said = says(Args { subscribe: one("a#"), ..args() });
    assert_eq!(said, "mqtt: a#: subscribe= takes a filter such as a/b, a/+ or a/#\n");
    assert!(says(args()).contains("nothing to do"));
    assert!(says(Args { limit: 9, ..publishing() }).contains("at least 64 bytes"));
    assert!(says(Args { quality: 3, ..publishing() }).contains("0, 1 or 2"));
    assert!(says(Args { keepalive: 0, ..publishing() }).contains("at least 1 s"));
}
