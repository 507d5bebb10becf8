//! Servers on a cable, in simulated time.

use super::*;
use core::cell::Cell;
use core::net::Ipv4Addr;
use core::time::Duration;
use std::rc::Rc;
use std::vec::Vec;
use xenith::args::Value;
use xenith::ip::config::Ipv4;
use xenith::ip::{Service, Settings, Socket, Stack, Udp, any};
use xenith::net::cable::{End, Options, cable};
use xenith::suspend::Outcome;
use xenith::task::{block_on, spawn};
use xenith::time::{Instant, sleep, wall_clock};

/// A day of the year 2033.
const TIME: u64 = 2_000_000_000;

/// A machine whose name servers, three of them, do not answer.
fn stack(net: End, last: u8) -> Stack<End> {
    let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
    let servers = [77, 78, 79].map(|it| Ipv4Addr::new(10, 0, 0, it).into());
    let servers = servers.into_iter().collect();
    Stack::start(net, Settings { ipv4, servers, ..Settings::default() }).unwrap()
}

/// What a server answers at a number of seconds since the start.
fn answer(question: &[u8], seconds: u64) -> Vec<u8> {
    let mut bytes = std::vec![0; 48];
    bytes[..2].copy_from_slice(&[4 << 3 | 4, 1]);
    bytes[24..32].copy_from_slice(&question[40..48]);
    let now = u32::try_from(TIME + seconds + 2_208_988_800).unwrap();
    bytes[32..36].copy_from_slice(&now.to_be_bytes());
    bytes[40..44].copy_from_slice(&now.to_be_bytes());
    bytes
}

/// Makes an answer that of so many seconds later.
fn later(answer: &mut [u8], seconds: u32) {
    for at in [32, 40] {
        let time = u32::from_be_bytes(answer[at..at + 4].try_into().unwrap()) + seconds;
        answer[at..at + 4].copy_from_slice(&time.to_be_bytes());
    }
}

/// Plays a server that `change`s its answers, for some time; when it was asked.
fn play(for_seconds: u64, change: impl Fn(usize, &mut Vec<u8>) + 'static) -> Vec<u64> {
    play_one_of("10.0.0.2", for_seconds, change)
}

/// Does the same where it is one of these servers.
fn play_one_of(
    servers: &'static str,
    for_seconds: u64,
    change: impl Fn(usize, &mut Vec<u8>) + 'static,
) -> Vec<u64> {
    xenith::testing::simulate_time();
    block_on(async {
        let (one, other) = cable(Options::default());
        let (here, there) = (stack(one, 1), stack(other, 2));
        let asked = Rc::new(core::cell::RefCell::new(Vec::new()));
        let (begun, times) = (Instant::now(), asked.clone());
        spawn(async move {
            let socket = Udp::bind(&there, any(123)).await.unwrap();
            let mut question = [0; 100];
            loop {
                let (length, client) = socket.recv_from(&mut question).await.unwrap();
                assert_eq!((length, question[0]), (48, 0x23));
                let now = begun.elapsed().as_secs();
                let mut bytes = answer(&question, now);
                let count = times.borrow().len();
                times.borrow_mut().push(now);
                change(count, &mut bytes);
                socket.send_to(&bytes, client).await.unwrap();
            }
        })
        .detach();
        Ntp::start(&here, Some(Servers::parse(servers).unwrap()));
        sleep(Duration::from_secs(for_seconds)).await;
        asked.take()
    })
}

fn is_set(seconds: u64) -> bool {
    wall_clock().abs_diff(Duration::from_secs(TIME + seconds)) < Duration::from_secs(2)
}

#[test]
fn the_clock_is_set_and_the_server_asked_ever_less_t5() {
    let asked = play(5000, |_, _| {});
    assert!(is_set(5000), "{:?}", wall_clock());
    assert!(asked.len() < 10, "{asked:?}");
    let waits: Vec<_> = asked.windows(2).map(|it| it[1] - it[0]).collect();
    assert!(waits[0] >= 64 && waits.is_sorted() && *waits.last().unwrap() >= 1024, "{waits:?}");
}

#[test]
fn a_name_that_nobody_knows_holds_up_no_other_server() {
    for servers in ["10.0.0.2,a.example,b.example", "a.example,b.example,10.0.0.2"] {
        let asked = play_one_of(servers, 15, |_, _| {});
        assert!(is_set(15), "{:?}", wall_clock());
        assert_eq!(asked, [10]);
    }
}

#[test]
fn an_answer_from_before_the_machine_was_saved_sets_nothing() {
    const SAVED: u32 = 3600;
    let early = Rc::new(Cell::new(None));
    let seen = early.clone();
    // The round waits 3 s for the other server, and the machine is saved meanwhile.
    let asked = play_one_of("10.0.0.2,10.0.0.3", 10, move |count, bytes| {
        if count > 0 {
            later(bytes, SAVED);
            return;
        }
        let seen = seen.clone();
        spawn(async move {
            sleep(Duration::from_secs(1)).await;
            xenith::testing::suspend(|| Outcome::Renewed).await;
            let hosts = wall_clock();
            sleep(Duration::from_secs(3)).await;
            seen.set(Some(wall_clock().abs_diff(hosts)));
        })
        .detach();
    });
    let hosts = early.get().is_some_and(|it| it < Duration::from_secs(600));
    assert!(hosts, "{early:?}");
    assert_eq!(asked, [0, 3]);
    assert!(is_set(u64::from(SAVED) + 10), "{:?}", wall_clock());
}

#[test]
fn an_answer_to_another_question_sets_nothing() {
    let asked = play(6000, |_, bytes| bytes[30] ^= 1);
    assert!(!is_set(6000));
    // Ever later, with the 3 s for which answers are waited for.
    let waits: Vec<_> = asked.windows(2).map(|it| it[1] - it[0]).collect();
    assert_eq!(waits[..8], [19, 35, 67, 131, 259, 515, 1027, 1027], "{asked:?}");
}

#[test]
fn who_does_not_want_to_be_asked_is_not_asked_again() {
    let deny = |_, bytes: &mut Vec<u8>| {
        bytes[1] = 0;
        bytes[12..16].copy_from_slice(b"DENY");
    };
    assert_eq!(play(4000, deny).len(), 1);
    let rate = |count, bytes: &mut Vec<u8>| {
        if count == 0 {
            bytes[1] = 0;
            bytes[12..16].copy_from_slice(b"RATE");
        }
    };
    let asked = play(5000, rate);
    assert_eq!(asked.len(), 5, "{asked:?}");
    assert!(asked.windows(2).all(|it| it[1] - it[0] >= 1024), "{asked:?}");
}

#[test]
fn servers_are_named_in_a_list() {
    assert!(Servers::parse("a,10.0.0.1").is_ok());
    for text in ["", "a,", ",a", "1,2,3,4,5,6,7,8,9"] {
        assert!(Servers::parse(text).is_err(), "{text}");
    }
}
