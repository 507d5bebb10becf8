//! UDP and echo requests.

use super::*;
use core::future::poll_fn;
use kernel::task::spawn;
use kernel::time::{Instant, sleep, timeout};

#[test]
fn datagrams_go_both_ways() {
    pair(|a, b| async move {
        for (to, from) in [(B, A), (B6, A6)] {
            let (one, other) =
                (Udp::bind(&a, any(0)).await.unwrap(), Udp::bind(&b, any(53)).await.unwrap());
            assert!(one.local_addr().port() >= 0xc000);
            assert_eq!(other.local_addr().port(), 53);
            assert_eq!(Udp::bind(&b, any(53)).await.err(), Some(Error::InUse(53)));
            one.send_to(b"question", SocketAddr::new(to, 53)).await.unwrap();
            let mut datagram = [0; 64];
            let (length, peer) = other.recv_from(&mut datagram).await.unwrap();
            assert_eq!(&datagram[..length], b"question");
            assert_eq!(peer, SocketAddr::new(from, one.local_addr().port()));
            other.send_to(b"", peer).await.unwrap();
            assert_eq!(one.recv_from(&mut datagram).await.unwrap(), (0, SocketAddr::new(to, 53)));
            // What does not fit is lost, and only that.
            one.send_to(b"long", SocketAddr::new(to, 53)).await.unwrap();
            one.send_to(b"next", SocketAddr::new(to, 53)).await.unwrap();
            assert_eq!(other.recv_from(&mut datagram[..2]).await.unwrap().0, 2);
            assert_eq!(&datagram[..2], b"lo");
            assert_eq!(other.recv_from(&mut datagram).await.unwrap().0, 4);
        }
    });
}

#[test]
fn a_socket_of_one_address_hears_of_no_other_and_none_for_all() {
    pair(|a, b| async move {
        let (four, six) = (SocketAddr::new(B, 53), SocketAddr::new(B6, 53));
        let one = Udp::bind(&b, four).await.unwrap();
        let other = Udp::bind(&b, six).await.unwrap();
        let asking = Udp::bind(&a, any(0)).await.unwrap();
        for to in ["10.0.0.255:53", "255.255.255.255:53", "[ff02::1]:53"] {
            asking.send_to(b"all", to.parse().unwrap()).await.unwrap();
        }
        for (socket, to, length) in [(&one, four, 4), (&other, six, 6)] {
            asking.send_to(&pattern(length), to).await.unwrap();
            let got = timeout(SECOND, socket.recv_from(&mut [0; 9])).await.unwrap();
            assert_eq!(got.unwrap().0, length);
        }
        drop(one);
        asking.send_to(b"nobody", four).await.unwrap();
        assert!(timeout(SECOND, other.recv_from(&mut [0; 9])).await.is_err());
        assert!(Udp::bind(&b, four).await.is_ok());
    });
}

#[test]
fn the_longest_datagram_is_what_a_socket_holds() {
    pair(|a, b| async move {
        for to in [B, B6] {
            let (one, other) =
                (Udp::bind(&a, any(0)).await.unwrap(), Udp::bind(&b, any(9)).await.unwrap());
            let to = SocketAddr::new(to, 9);
            let most = settings(1).limits.datagrams;
            assert_eq!(one.send_to(&pattern(most + 1), to).await, Err(Error::TooLong));
            // The longest that fit a frame, shorter and longer ones.
            for length in [1471, 1472, 1473, 1451, 1452, 1453, 1, 2000, most] {
                one.send_to(&pattern(length), to).await.unwrap();
                let mut datagram = [0; 9000];
                let got = timeout(SECOND, other.recv_from(&mut datagram)).await;
                assert_eq!(got.expect("it comes").unwrap().0, length);
                assert!(datagram[..length] == pattern(length));
            }
        }
    });
}

#[test]
fn what_nobody_reads_is_bounded() {
    pair(|a, b| async move {
        let (one, other) =
            (Udp::bind(&a, any(0)).await.unwrap(), Udp::bind(&b, any(9)).await.unwrap());
        a.ping(B, 8, SECOND).await.unwrap();
        for n in 0..100 {
            one.send_to(&[n; 100], SocketAddr::new(B, 9)).await.unwrap();
        }
        sleep(SECOND).await;
        let mut got = 0;
        let mut datagram = [0; 200];
        while timeout(SECOND, other.recv_from(&mut datagram)).await.is_ok() {
            assert_eq!(datagram[0], got);
            got += 1;
        }
        assert_eq!(got, 64);
    });
}

#[test]
fn machines_that_are_not_there_delay_nobody_t2() {
    pair(|a, b| async move {
        let (one, other) =
            (Udp::bind(&a, any(0)).await.unwrap(), Udp::bind(&b, any(9)).await.unwrap());
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        let _accepting = spawn(async move { while listener.accept().await.is_ok() {} });
        let begun = Instant::now();
        for round in 0..20 {
            for n in 3..253 {
                let nobody = match round % 2 {
                    0 => IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)),
                    _ => IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, n.into())),
                };
                one.send_to(b"x", SocketAddr::new(nobody, 9)).await.unwrap();
                if n % 50 == 0 {
                    let (a, b) = (a.clone(), a.clone());
                    let nobody_80 = SocketAddr::new(nobody, 80);
                    spawn(async move { a.ping(nobody, 8, SECOND).await.unwrap_err() }).detach();
                    spawn(async move { b.connect(nobody_80).await.map(drop).unwrap_err() })
                        .detach();
                }
            }
            for to in [B, B6] {
                one.send_to(b"y", SocketAddr::new(to, 9)).await.unwrap();
                let got = timeout(SECOND / 10, other.recv_from(&mut [0])).await;
                assert_eq!(got.expect("no delay").unwrap().0, 1);
                a.ping(to, 8, SECOND / 10).await.unwrap();
                let stream = timeout(SECOND / 10, a.connect(SocketAddr::new(to, 80))).await;
                stream.expect("no delay").unwrap().abort();
            }
        }
        assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
        let far = "192.168.0.1:9".parse().unwrap();
        assert_eq!(one.send_to(b"x", far).await, Err(Error::Unreachable));
    });
}

#[test]
fn a_broadcast_reaches_all() {
    pair(|a, b| async move {
        let (one, other) =
            (Udp::bind(&a, any(0)).await.unwrap(), Udp::bind(&b, any(9)).await.unwrap());
        for to in ["255.255.255.255:9", "10.0.0.255:9", "[ff02::1]:9"] {
            one.send_to(b"all", to.parse().unwrap()).await.unwrap();
            let got = timeout(SECOND, other.recv_from(&mut [0; 3])).await;
            assert_eq!(got.expect(to).unwrap().0, 3);
        }
    });
}

#[test]
fn echo_requests_are_answered_and_absence_is_noticed() {
    pair(|a, b| async move {
        let link_local = b.addresses().iter().map(|it| it.0).find(|it| match it {
            IpAddr::V6(it) => it.is_unicast_link_local(),
            IpAddr::V4(_) => false,
        });
        for to in [B, B6, link_local.unwrap()] {
            for payload in [0, 8, 1400] {
                let time = a.ping(to, payload, SECOND).await.unwrap();
                assert!(time < SECOND, "{to} {payload}");
            }
        }
        for (to, most) in [(B, 1472), (B6, 1452)] {
            assert_eq!(a.ping(to, most + 1, SECOND).await, Err(Error::TooLong));
            assert!(a.ping(to, most, SECOND).await.is_ok());
        }
        let begun = Instant::now();
        assert_eq!(a.ping("10.0.0.9".parse().unwrap(), 8, SECOND).await, Err(Error::TimedOut));
        assert_eq!(begun.elapsed(), SECOND);
        let far = "fd99::1".parse().unwrap();
        assert_eq!(a.ping(far, 8, SECOND).await, Err(Error::Unreachable));
    });
}

#[test]
fn requests_at_once_get_their_own_answers() {
    pair(|a, b| async move {
        let pings: Vec<_> = (0..20)
            .map(|n| {
                let a = a.clone();
                spawn(async move {
                    let to = if n % 2 == 0 { B } else { B6 };
                    a.ping(to, n, SECOND * 3).await
                })
            })
            .collect();
        for ping in pings {
            ping.await.unwrap();
        }
        assert_eq!(b.stats().received, a.stats().sent);
    });
}

#[test]
fn what_was_sent_arrives_though_its_socket_is_dropped_at_once() {
    pair(|a, b| async move {
        for to in [B, B6] {
            let other = Udp::bind(&b, any(9)).await.unwrap();
            // The first waits until it is known who has the address.
            for n in 0..3 {
                let one = Udp::bind(&a, any(7)).await.unwrap();
                one.send_to(&[n], SocketAddr::new(to, 9)).await.unwrap();
                drop(one);
                let mut datagram = [9; 2];
                let got = timeout(SECOND, other.recv_from(&mut datagram)).await;
                assert_eq!((got.map(|it| it.unwrap().0), datagram[0]), (Ok(1), n), "{to}");
            }
        }
    });
}

#[test]
fn two_tasks_wait_on_one_socket_and_both_are_served() {
    pair(|a, b| async move {
        let (one, other) =
            (Udp::bind(&a, any(0)).await.unwrap(), Udp::bind(&b, any(9)).await.unwrap());
        let other = alloc::rc::Rc::new(other);
        let receive = || {
            let other = other.clone();
            spawn(async move { other.recv_from(&mut [0; 9]).await.unwrap().0 })
        };
        let tasks = [receive(), receive()];
        sleep(SECOND / 10).await;
        for length in [3, 4] {
            one.send_to(&pattern(length), SocketAddr::new(B, 9)).await.unwrap();
        }
        for task in tasks {
            assert!(matches!(timeout(SECOND, task).await, Ok(3 | 4)));
        }
    });
}

#[test]
fn a_task_that_gives_up_leaves_the_datagram_to_another() {
    pair(|a, b| async move {
        let (one, other) =
            (Udp::bind(&a, any(0)).await.unwrap(), Udp::bind(&b, any(9)).await.unwrap());
        let other = alloc::rc::Rc::new(other);
        let receive = || {
            let other = other.clone();
            async move { other.recv_from(&mut [0; 9]).await.unwrap().0 }
        };
        let stays = spawn(receive());
        sleep(SECOND / 10).await;
        // It asks last, so that the socket knows of it alone.
        assert!(timeout(SECOND / 10, receive()).await.is_err());
        one.send_to(&pattern(3), SocketAddr::new(B, 9)).await.unwrap();
        assert_eq!(timeout(SECOND, stays).await, Ok(3));
    });
}

#[test]
fn any_number_of_tasks_wait_until_a_socket_can_be_read_or_written() {
    pair(|a, b| async move {
        let one = alloc::rc::Rc::new(Udp::bind(&a, any(0)).await.unwrap());
        let other = alloc::rc::Rc::new(Udp::bind(&b, any(9)).await.unwrap());
        let to = SocketAddr::new(B, 9);
        a.ping(B, 8, SECOND).await.unwrap();
        let readable = |socket: &alloc::rc::Rc<UdpSocket>| {
            let socket = socket.clone();
            spawn(async move { poll_fn(|context| socket.poll_readable(context)).await })
        };
        let writable = |socket: &alloc::rc::Rc<UdpSocket>| {
            let socket = socket.clone();
            spawn(async move { poll_fn(|context| socket.poll_writable(context, 100)).await })
        };
        assert_eq!(other.try_recv(&mut [0; 9]), Ok(None));
        let waiting = [readable(&other), readable(&other), readable(&other)];
        sleep(SECOND / 10).await;
        assert!(waiting.iter().all(|it| !it.is_finished()));
        // Nothing is sent before the stack's task has its turn.
        let sent = (0..200).take_while(|_| one.try_send(&[7; 100], to) == Ok(Some(()))).count();
        assert_eq!(sent, 64);
        let room = [writable(&one), writable(&one)];
        for task in room {
            assert_eq!(timeout(SECOND, task).await, Ok(Ok(())));
        }
        for task in waiting {
            assert_eq!(timeout(SECOND, task).await, Ok(Ok(())));
        }
        // It stays so until all is read.
        sleep(SECOND).await;
        let mut datagram = [0; 200];
        for _ in 0..64 {
            assert_eq!(timeout(SECOND, readable(&other)).await, Ok(Ok(())));
            assert_eq!(other.try_recv(&mut datagram).unwrap().map(|it| it.length), Some(100));
        }
        assert_eq!(other.try_recv(&mut datagram), Ok(None));
    });
}
