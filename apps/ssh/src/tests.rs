//! Clients on a cable that make no sense, or say nothing, in simulated time. What OpenSSH's client
//! does is seen on Xen.

use super::*;
use crate::client::{Asks, Client, PUBLIC};
use core::net::Ipv4Addr;
use embedded_io_async::{Read, Write};
use xenith::ip::config::Ipv4;
use xenith::ip::{Settings, Stack};
use xenith::net::cable::{End, Options, cable};
use xenith::task::block_on;
use xenith::time::{Instant, sleep};

fn args() -> Args {
    let mut authorized = Several::default();
    xenith::args::Value::add(&mut authorized, PUBLIC);
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
        for _ in 0..2 * places::WAITING {
            let mut stream = connect(ip).await;
            greeted(&mut stream).await;
            waiting.push(stream);
        }
        // The older half had to make place, at once and not in time.
        let begun = Instant::now();
        for stream in &mut waiting[..places::WAITING] {
            assert!(!rest(stream).await.0);
        }
        assert!(begun.elapsed() < Duration::from_secs(1));
        waiting.pop().unwrap().close().await.unwrap();
        sleep(Duration::from_secs(1)).await;
        greeted(&mut connect(ip).await).await;
        assert!(xenith::task::alive() < 40);
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

/// Longer than the answers' windows take, one piece after the other.
const SLOW: Duration = Duration::from_millis(500);

/// How long one waits for what does not come.
const QUIET: Duration = Duration::from_secs(60);

#[test]
fn the_oldest_that_has_not_logged_in_makes_place() {
    play(async |ip| {
        let mut inside = Client::new(connect(ip).await, Asks::Shell).await;
        let mut waiting = Vec::new();
        for _ in 0..places::WAITING {
            let mut stream = connect(ip).await;
            greeted(&mut stream).await;
            waiting.push(stream);
        }
        // One more is let in, and so are those that log in, until the oldest are gone.
        let begun = Instant::now();
        let mut newest = Client::new(connect(ip).await, Asks::Command("uptime")).await;
        assert!(newest.read(Duration::ZERO, QUIET).await.starts_with("up "));
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(!rest(&mut waiting[0]).await.0);
        assert!(begun.elapsed() < Duration::from_secs(5), "it was reset, not late");
        // Who waited for less time still does, and who is logged in was never in question.
        let mut piece = [0; 64];
        let last = waiting.last_mut().unwrap();
        let more = timeout(Duration::from_secs(5), last.read(&mut piece)).await;
        assert!(!matches!(more, Ok(Ok(0) | Err(_))), "{more:?}");
        inside.say(b"uptime\n").await;
        assert!(inside.read(Duration::ZERO, Duration::from_secs(5)).await.starts_with("up "));
    });
}

#[test]
fn what_is_said_before_a_login_is_bounded_t3() {
    play(async |ip| {
        let mut stream = connect(ip).await;
        greeted(&mut stream).await;
        // Lines before the name are allowed, and packets that say nothing behind it.
        let begun = Instant::now();
        let ignored = [&[0, 0, 4, 4, 7, 2][..], &[0; 1026]].concat();
        let mut sent = 0;
        let _ = stream.write_all(b"SSH-2.0-x\r\n").await;
        while sent < 2 << 20 && stream.write_all(&ignored).await.is_ok() {
            sent += ignored.len();
        }
        rest(&mut stream).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert!(sent < 1 << 20, "{sent}");
    });
}

#[test]
fn a_slow_client_gets_the_last_answer_whole() {
    play(async |ip| {
        let mut slow = Client::new(connect(ip).await, Asks::Shell).await;
        slow.say(&[&b"help\n".repeat(20)[..], b"exit\n"].concat()).await;
        let begun = Instant::now();
        let said = slow.read(SLOW, QUIET).await;
        assert!(begun.elapsed() > Duration::from_secs(5), "{:?}", begun.elapsed());
        assert!(slow.over, "the other side has ended it");
        assert_eq!(said.matches("ends this connection\n").count(), 20);
    });
}

#[test]
fn who_takes_nothing_is_given_up_and_its_place_comes_back_t3() {
    play(async |ip| {
        let mut silent = Vec::new();
        for _ in 0..args().sessions {
            silent.push(Client::new(connect(ip).await, Asks::Command("metrics")).await);
        }
        // All places are taken while the answers wait.
        let mut refused = connect(ip).await;
        greeted(&mut refused).await;
        sleep(Duration::from_secs(35)).await;
        let mut next = Client::new(connect(ip).await, Asks::Command("uptime")).await;
        assert!(next.read(Duration::ZERO, QUIET).await.starts_with("up "));
    });
}

#[test]
fn a_poweroff_is_heeded_whatever_becomes_of_the_connection() {
    xenith::testing::simulate_time();
    let stack = |end, last| {
        let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
        Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
    };
    block_on(async {
        let (a, b) = cable(Options::default());
        let (here, there) = (stack(a, 1), stack(b, 2));
        let client = async {
            let mut client = Client::new(connect(&there).await, Asks::Shell).await;
            // The answers do not fit into what the client takes before it has read them.
            client.say(&[&b"metrics\n".repeat(9)[..], b"poweroff\n"].concat()).await;
            sleep(Duration::from_secs(1)).await;
            client.stream.abort();
            sleep(Duration::from_secs(5)).await;
        };
        match select(core::pin::pin!(start(here, args())), core::pin::pin!(client)).await {
            Either::First(ended) => assert_eq!(ended, Ok(())),
            Either::Second(()) => panic!("it goes on"),
        }
    });
}
