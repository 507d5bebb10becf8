//! Clients on a cable that make no sense, or say nothing, in simulated time. What OpenSSH's client
//! does is seen on Xen.

use super::*;
use core::net::Ipv4Addr;
use embedded_io_async::{Read, Write};
use xenith::ip::config::Ipv4;
use xenith::ip::{Settings, Stack};
use xenith::net::cable::{End, Options, cable};
use xenith::task::block_on;
use xenith::time::{Instant, sleep};

const AUTHORIZED: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIsJ3krkJ8G3txFX1QivvtmRBeJJDa6ZcoEPXIH3baE/ me@lab";

fn args() -> Args {
    let mut authorized = Several::default();
    xenith::args::Value::add(&mut authorized, AUTHORIZED);
    Args {
        port: 22,
        authorized,
        key: None,
        sessions: 4,
        login: Duration::from_secs(20),
        idle: Duration::from_secs(600),
    }
}

type Connection = <Stack<End> as Tcp>::Stream;

/// Runs `client` against the app.
fn play(client: impl AsyncFnOnce(&Stack<End>)) {
    xenith::testing::simulate_time();
    let stack = |end, last| {
        let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
        Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
    };
    block_on(async {
        let (a, b) = cable(Options::default());
        let (here, there) = (stack(a, 1), stack(b, 2));
        let serving = start(here, args());
        match select(core::pin::pin!(serving), core::pin::pin!(client(&there))).await {
            Either::First(ended) => panic!("it ended: {ended:?}"),
            Either::Second(()) => {}
        }
    });
}

async fn connect(ip: &Stack<End>) -> Connection {
    Tcp::connect(ip, "10.0.0.1:22".parse().unwrap()).await.unwrap()
}

/// Reads to the end, and says whether it was one in order, and what there was.
async fn rest(stream: &mut Connection) -> (bool, Vec<u8>) {
    let (mut all, mut piece) = (Vec::new(), [0; 512]);
    loop {
        match stream.read(&mut piece).await {
            Ok(0) => return (true, all),
            Ok(count) => all.extend(&piece[..count]),
            Err(_) => return (false, all),
        }
    }
}

/// Its name, with which each connection begins.
async fn greeted(stream: &mut Connection) {
    let mut begin = [0; 8];
    stream.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"SSH-2.0-");
}

#[test]
fn who_does_not_log_in_is_cut_off_in_time_t3() {
    play(async |ip| {
        let begun = Instant::now();
        let mut silent = connect(ip).await;
        let mut slow = connect(ip).await;
        greeted(&mut slow).await;
        let trickle = async {
            for byte in b"SSH-2.0-x".iter().chain(&[b'y'; 1000]) {
                sleep(Duration::from_secs(1)).await;
                if slow.write_all(&[*byte]).await.is_err() {
                    break;
                }
            }
        };
        trickle.await;
        assert!(begun.elapsed() < Duration::from_secs(25));
        rest(&mut silent).await;
        assert!(begun.elapsed() < Duration::from_secs(25));
    });
}

#[test]
fn connections_are_bounded_and_places_come_back_t3() {
    play(async |ip| {
        let mut waiting = Vec::new();
        for _ in 0..WAITING {
            let mut stream = connect(ip).await;
            greeted(&mut stream).await;
            waiting.push(stream);
        }
        let mut refused = connect(ip).await;
        assert_eq!(rest(&mut refused).await, (false, Vec::new()));
        waiting.pop().unwrap().close().await.unwrap();
        sleep(Duration::from_secs(1)).await;
        greeted(&mut connect(ip).await).await;
        // Those that are silent make place for others.
        sleep(Duration::from_secs(21)).await;
        greeted(&mut connect(ip).await).await;
    });
}

#[test]
fn garbage_ends_its_own_connection_alone_t3() {
    play(async |ip| {
        let mut good = connect(ip).await;
        greeted(&mut good).await;
        let garbage: [&[u8]; 5] = [
            b"GET / HTTP/1.1\r\n\r\n",
            b"SSH-1.5-old\r\n",
            &[0; 5000],
            // A name, and then packets: far too long, without any padding, and of no type.
            b"SSH-2.0-x\r\n\xff\xff\xff\xff\xff\xff\xff\xff",
            b"SSH-2.0-x\r\n\0\0\0\x0c\0\x5aabcdefghijkl",
        ];
        for says in garbage {
            let mut stream = connect(ip).await;
            greeted(&mut stream).await;
            // It may have ended before all of it was sent.
            let _ = stream.write_all(says).await;
            let begun = Instant::now();
            rest(&mut stream).await;
            assert!(begun.elapsed() < Duration::from_secs(22), "{says:?}");
        }
        let mut long = Vec::new();
        long.resize(1 << 20, b'a');
        let mut stream = connect(ip).await;
        let _ = stream.write_all(&long).await;
        assert!(xenith::task::alive() < 40);
        greeted(&mut connect(ip).await).await;
    });
}

#[test]
fn arguments_are_looked_at_first() {
    xenith::testing::simulate_time();
    let ends = |args| {
        block_on(async {
            let (end, _other) = cable(Options::default());
            start(Stack::start(end, Settings::default()).unwrap(), args).await
        })
    };
    let mut wrong = Several::default();
    xenith::args::Value::add(&mut wrong, "ssh-rsa AAAA");
    assert_eq!(ends(Args { authorized: Several::default(), ..args() }), Err(Error::Nobody));
    assert_eq!(ends(Args { authorized: wrong, ..args() }), Err(Error::Public("ssh-rsa AAAA")));
    assert_eq!(ends(Args { key: Some("AAAA"), ..args() }), Err(Error::Private));
}
