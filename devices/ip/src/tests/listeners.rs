//! Who waits for connections.

use super::hostile::{frames, raw, segment, send};
use super::*;
use crate::packet;
use crate::tcp::segment::{ACK, SYN};
use devices::net::{Mac, Meta};
use embedded_io_async::Read;
use kernel::task::{join, spawn, yield_now};
use kernel::time::{sleep, timeout};

#[test]
fn a_port_is_taken_once_and_free_again() {
    pair(|_, b| async move {
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        assert_eq!(Tcp::bind(&b, any(80)).await.err(), Some(Error::InUse(80)));
        drop(listener);
        assert_eq!(Tcp::bind(&b, any(80)).await.unwrap().local_addr().port(), 80);
        assert!(Tcp::bind(&b, any(0)).await.unwrap().local_addr().port() >= 0xc000);
    });
}

#[test]
fn each_address_may_have_a_listener_and_others_are_refused() {
    pair(|a, b| async move {
        let (four, six) = (SocketAddr::new(B, 80), SocketAddr::new(B6, 80));
        let one = Tcp::bind(&b, four).await.unwrap();
        assert_eq!(a.connect(six).await.err(), Some(Error::Refused));
        let other = Tcp::bind(&b, six).await.unwrap();
        for (listener, at) in [(&one, four), (&other, six)] {
            let _stream = a.connect(at).await.unwrap();
            assert_eq!(listener.accept().await.unwrap().0.local_addr(), at);
        }
        drop(one);
        assert_eq!(a.connect(four).await.err(), Some(Error::Refused));
        assert!(a.connect(six).await.is_ok());
    });
}

#[test]
fn several_may_wait_for_connections() {
    pair(|a, b| async move {
        let listener = std::rc::Rc::new(Tcp::bind(&b, any(80)).await.unwrap());
        let accepting: Vec<_> = (0..3)
            .map(|_| {
                let listener = std::rc::Rc::clone(&listener);
                spawn(async move { listener.accept().await.unwrap().1 })
            })
            .collect();
        yield_now().await;
        let mut expected = Vec::new();
        let mut open = Vec::new();
        for _ in 0..3 {
            let stream = a.connect(SocketAddr::new(B, 80)).await.unwrap();
            expected.push(stream.local_addr());
            open.push(stream);
        }
        let mut got = Vec::new();
        for task in accepting {
            got.push(timeout(SECOND, task).await.unwrap());
        }
        got.sort();
        expected.sort();
        assert_eq!(got, expected);
    });
}

#[test]
fn dropping_a_listener_refuses_and_resets_who_was_not_accepted() {
    pair(|a, b| async move {
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        let mut waiting = a.connect(SocketAddr::new(B, 80)).await.unwrap();
        drop(listener);
        assert_eq!(waiting.read(&mut [0]).await, Err(Error::Reset));
        assert_eq!(a.connect(SocketAddr::new(B, 80)).await.err(), Some(Error::Refused));
    });
}

#[test]
fn which_of_two_answers_was_confirmed_is_not_known() {
    raw(async |net, b| {
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        let client = [10, 0, 0, 1];
        let own = Ipv4Addr::new(10, 0, 0, 2);
        let here = packet::request_v4(Mac([2, 0, 0, 0, 0, 1]), client.into(), own, None);
        send(&net, &here, Meta::default());
        for passes in [SECOND / 2, SECOND / 100] {
            send(&net, &segment(client, 5000, SYN, 99, 0), Meta::default());
            sleep(passes).await;
        }
        let of = |frame: &Vec<u8>| match packet::judge(frame, Meta::default()) {
            packet::Verdict::Tcp(it) if it.local.port() == 5000 => Some(it),
            _ => None,
        };
        let ours = frames(&net).iter().find_map(of).unwrap().seq;
        send(&net, &segment(client, 5000, ACK, 100, (ours + 1).0), Meta::default());
        let (mut stream, _) = listener.accept().await.unwrap();
        frames(&net);
        // What is lost would be sent again after 200 ms if the round trip were known.
        stream.write_all(b"some").await.unwrap();
        sleep(SECOND * 9 / 10).await;
        assert_eq!(frames(&net).iter().filter_map(of).count(), 1);
        sleep(SECOND / 5).await;
        assert_eq!(frames(&net).iter().filter_map(of).count(), 1);
    });
}

#[test]
fn a_backlog_that_is_full_takes_no_more_until_someone_accepts() {
    pair(|a, b| async move {
        let most = settings(1).limits.backlog;
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        let mut streams = Vec::new();
        for _ in 0..most {
            streams.push(a.connect(SocketAddr::new(B, 80)).await.unwrap());
        }
        sleep(SECOND / 10).await;
        let one_more = timeout(SECOND * 5, a.connect(SocketAddr::new(B, 80))).await;
        assert!(one_more.is_err());
        drop(listener.accept().await.unwrap().0);
        assert!(a.connect(SocketAddr::new(B, 80)).await.is_ok());
    });
}

#[test]
fn who_asks_again_while_there_is_no_room_is_confirmed_when_there_is() {
    raw(async |net, b| {
        let most = settings(1).limits.backlog;
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        let client = [10, 0, 0, 1];
        let own = Ipv4Addr::new(10, 0, 0, 2);
        let here = packet::request_v4(Mac([2, 0, 0, 0, 0, 1]), client.into(), own, None);
        send(&net, &here, Meta::default());
        let ask = async |port| {
            send(&net, &segment(client, port, SYN, 99, 0), Meta::default());
            sleep(SECOND / 100).await;
            let of = |frame: &Vec<u8>| match packet::judge(frame, Meta::default()) {
                packet::Verdict::Tcp(it) if it.local.port() == port => Some(it.seq + 1),
                _ => None,
            };
            frames(&net).iter().find_map(of)
        };
        let confirm = async |port, seq: crate::tcp::seq::Seq| {
            send(&net, &segment(client, port, ACK, 100, seq.0), Meta::default());
            sleep(SECOND / 100).await;
        };
        let first = ask(5000).await.unwrap();
        for port in 0..most as u16 {
            let seq = ask(6000 + port).await.unwrap();
            confirm(6000 + port, seq).await;
        }
        assert_eq!((ask(5000).await, b.stats().half_open), (None, 1));
        let mut open = std::vec![listener.accept().await.unwrap()];
        confirm(5000, first).await;
        for _ in 0..most {
            open.push(timeout(SECOND, listener.accept()).await.unwrap().unwrap());
        }
        assert!(open.iter().any(|(_, peer)| peer.port() == 5000));
    });
}

#[test]
fn tasks_that_gave_up_accepting_are_not_kept_t3() {
    pair(|a, b| async move {
        let listener = std::rc::Rc::new(Tcp::bind(&b, any(80)).await.unwrap());
        for _ in 0..500 {
            let listener = listener.clone();
            spawn(async move { timeout(SECOND, listener.accept()).await.err() }).await.unwrap();
        }
        assert!(kernel::task::alive() < 100, "{}", kernel::task::alive());
        // The one that waits is told.
        let to = SocketAddr::new(B, 80);
        let (one, other) = join(a.connect(to), listener.accept()).await;
        assert_eq!(one.unwrap().local_addr(), other.unwrap().1);
    });
}

#[test]
fn a_burst_of_clients_is_served_without_a_retransmission() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options { capacity: 256, ..Options::default() });
        let limits = Limits::for_memory(16 << 20);
        let (a, b) = (stack(left, 1), Stack::start(right, Settings { limits, ..settings(2) }));
        let b = b.unwrap();
        a.ping(B, 8, SECOND).await.unwrap();
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        let begun = Instant::now();
        let clients: Vec<_> = (0..50)
            .map(|_| {
                let a = a.clone();
                spawn(async move {
                    let mut stream = a.connect(SocketAddr::new(B, 80)).await.unwrap();
                    stream.write_all(b"?").await.unwrap();
                    let mut answer = [0];
                    stream.read_exact(&mut answer).await.unwrap();
                    answer
                })
            })
            .collect();
        // The server is busy until all have asked.
        while b.stats().accepted < 50 && begun.elapsed() < SECOND {
            sleep(SECOND / 1000).await;
        }
        for _ in 0..50 {
            let mut stream = listener.accept().await.unwrap().0;
            let mut asked = [0];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(b"!").await.unwrap();
        }
        for client in clients {
            assert_eq!(client.await, [b'!']);
        }
        // Nothing is sent again before 200 ms.
        assert!(begun.elapsed() < SECOND / 10, "{:?}", begun.elapsed());
        assert_eq!(b.stats().dropped, 0);
    });
}
