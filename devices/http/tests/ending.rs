//! What a server does when its process is asked to end.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use devices::net::cable::{Options, cable};
use embedded_io_async::Write;
use ip::config::Ipv4;
use ip::{Settings, Stack, Stream, Tcp};
use kernel::task::{block_on, spawn};
use kernel::time::{Instant, sleep, timeout};
use xenith_http::events::Events;
use xenith_http::websocket::{self, WebSocket};
use xenith_http::{self as http, Exchange, Server, Status};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// What only a WebSocket heeds.
const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const PIECE: Duration = Duration::from_millis(100);

/// Answers with ten pieces in a second, or without an end.
async fn slow(exchange: &mut Exchange<'_>) -> Result<(), http::Error> {
    let request = exchange.request();
    if request.path() == "/late" {
        sleep(PIECE * 10).await;
        return exchange.respond(Status::OK, &[], b"").await;
    }
    if request.path() == "/events" {
        let mut events = Events::begin(exchange).await?;
        while events.wait(sleep(Duration::MAX)).await?.is_some() {}
        return events.finish().await;
    }
    if request.path() == "/socket" {
        let options = websocket::Options::default();
        let Some(mut socket) = WebSocket::accept(exchange, &options).await? else { return Ok(()) };
        while socket.receive().await?.is_some() {}
        return Ok(());
    }
    let mut sink = exchange.stream(Status::OK, &[], None).await?;
    for _ in 0..10 {
        sink.write_all(b"piece").await?;
        sleep(PIECE).await;
    }
    while request.path() == "/endless" {
        sink.write_all(&[b'x'; 1000]).await?;
    }
    sink.finish().await
}

/// All that a client is told until the end, and whether that was in order.
async fn told<S: Stream>(stream: &mut S) -> (String, bool) {
    let (mut all, mut piece) = (Vec::new(), [0; 1000]);
    loop {
        match stream.read(&mut piece).await {
            Ok(0) => return (String::from_utf8_lossy(&all).into_owned(), true),
            Ok(count) => all.extend_from_slice(&piece[..count]),
            Err(_) => return (String::from_utf8_lossy(&all).into_owned(), false),
        }
    }
}

#[test]
fn what_is_under_way_is_finished_and_nobody_new_is_let_in() {
    let grace = Duration::from_secs(3);
    kernel::shutdown::set_grace(grace);
    let stack = |end, last| {
        let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
        Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
    };
    block_on(async {
        let (a, b) = cable(Options::default());
        let (server, client) = (stack(a, 1), stack(b, 2));
        let serving = spawn(async move { Server::new(slow).serve(&server, ip::any(80)).await });
        kernel::task::yield_now().await;
        let to = SocketAddr::new(SERVER.into(), 80);
        let ask = async |path: &str| {
            let mut stream = client.connect(to).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            stream
        };
        let (mut whole, mut late) = (ask("/").await, ask("/late").await);
        let mut endless = ask("/endless").await;
        let (mut socket, mut events) = (ask("/socket").await, ask("/events").await);
        let mut idle = client.connect(to).await.unwrap();
        sleep(PIECE * 3).await;

        let begun = Instant::now();
        let me = std::process::id().to_string();
        assert!(
            std::process::Command::new("kill").args(["-TERM", &me]).status().unwrap().success()
        );
        assert_eq!(told(&mut idle).await, (String::new(), true));
        assert!(begun.elapsed() < PIECE * 5, "an idle connection is closed at once");
        // What waits for something late is told at once, each in its way.
        let (answer, in_order) = told(&mut events).await;
        assert!(answer.ends_with("\r\n\r\n0\r\n\r\n") && in_order, "{answer}");
        let (answer, in_order) = told(&mut socket).await;
        assert!(answer.ends_with("\r\n\r\n\u{fffd}\u{2}\u{3}\u{fffd}") && in_order, "{answer}");
        assert!(begun.elapsed() < PIECE * 7);
        assert_eq!(client.connect(to).await.err(), Some(ip::Error::Refused));
        let (answer, in_order) = told(&mut whole).await;
        assert!(answer.ends_with("piece\r\n0\r\n\r\n") && in_order, "{answer}");
        let (answer, in_order) = told(&mut late).await;
        assert!(answer.contains("\r\nConnection: close\r\n") && in_order, "{answer}");
        assert!(begun.elapsed() < grace);
        // What takes longer is cut off, whether the client reads or not.
        let end = timeout(grace * 2, serving).await.unwrap();
        assert_eq!(end, Ok(()));
        let took = begun.elapsed();
        assert!(took >= grace && took < grace + PIECE * 10, "{took:?}");
        assert!(!told(&mut endless).await.1);
    });
}
