//! Errors of ICMP: those that are told, and those that are heard.

use super::hostile::{frames, mend, raw, send};
use super::*;
use crate::packet;
use devices::net::{Mac, Meta};
use kernel::time::{sleep, timeout};

const ROUTER: Mac = Mac([2, 0, 0, 0, 0, 1]);
const OWN: Mac = Mac([2, 0, 0, 0, 0, 2]);

/// A datagram to the stack [`B`] or to a group that it is in.
fn datagram(from: &str, to: &str, length: usize) -> Vec<u8> {
    let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let mut frame = std::vec![0; packet::datagram_head(to.is_ipv4()) + length];
    let header = packet::header(OWN, ROUTER, to.is_ipv4());
    packet::datagram(&mut frame, header, from, to, &pattern(length));
    packet::finish(&mut frame, false, 0);
    frame
}

/// The same as a packet of another protocol, behind an extension header of IPv6 or not.
fn unknown(frame: &[u8], protocol: u8, extended: bool) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if frame[12] == 8 {
        frame[23] = protocol;
    } else if extended {
        // Hop-by-hop options: padding.
        (frame[20], frame[54], frame[55]) = (0, protocol, 0);
        frame[56..62].copy_from_slice(&[1, 4, 0, 0, 0, 0]);
    } else {
        frame[20] = protocol;
    }
    mend(&mut frame);
    frame
}

/// What the stack says to a frame.
async fn answers(net: &End, frame: &[u8]) -> Vec<Vec<u8>> {
    frames(net);
    send(net, frame, Meta::default());
    sleep(SECOND / 10).await;
    frames(net)
}

/// An error about a packet in a frame that was sent, of which it quotes so many bytes.
fn error(sent: &[u8], head: [u8; 2], value: u32, quoted: usize) -> Vec<u8> {
    let ipv4 = sent[12] == 8;
    let mut frame = [&OWN.0, &ROUTER.0, &sent[12..14]].concat();
    let quoted = &sent[14..sent.len().min(14 + quoted)];
    let length = (8 + quoted.len() + if ipv4 { 20 } else { 0 }) as u16;
    let [high, low] = length.to_be_bytes();
    if ipv4 {
        frame.extend([0x45, 0, high, low, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 99]);
        frame.extend(&sent[26..30]);
    } else {
        frame.extend([0x60, 0, 0, 0, high, low, 58, 64]);
        frame.extend("fd00::99".parse::<Ipv6Addr>().unwrap().octets());
        frame.extend(&sent[22..38]);
    }
    frame.extend(head.into_iter().chain([0, 0]).chain(value.to_be_bytes()));
    frame.extend(quoted);
    mend(&mut frame);
    frame
}

#[test]
fn who_sends_what_nobody_takes_is_told_so_with_a_quote() {
    raw(async |net, _b| {
        sleep(SECOND * 10).await;
        for length in [0, 8, 513, 520, 521, 1000, 1232, 1452] {
            for (from, to) in [("10.0.0.1:7", "10.0.0.2:9"), ("[fd00::1]:7", "[fd00::2]:9")] {
                let asked = datagram(from, to, length);
                let ipv4 = asked[12] == 8;
                let port = (asked.clone(), if ipv4 { [3, 3] } else { [1, 4] }, 0);
                let other = unknown(&asked, 132, false);
                let protocol =
                    (other, if ipv4 { [3, 2] } else { [4, 1] }, if ipv4 { 0 } else { 6 });
                let mut all = Vec::from([port, protocol]);
                if !ipv4 && length >= 8 {
                    all.push((unknown(&asked, 132, true), [4, 1], 40));
                }
                for (asked, head, value) in all {
                    let [answer] = &answers(&net, &asked).await[..] else { panic!("one answer") };
                    let (at, most) = if ipv4 { (34, 576) } else { (54, 1280) };
                    assert_eq!(answer[..14], [&asked[6..12], &asked[..6], &asked[12..14]].concat());
                    assert_eq!(
                        (&answer[at..at + 2], &answer[at + 4..at + 8]),
                        (&head[..], &u32::to_be_bytes(value)[..])
                    );
                    // As much as there is room for, and at least 8 bytes behind the header.
                    let whole = at - 14 + 8 + asked.len() - 14;
                    assert_eq!(answer.len() - 14, whole.min(most), "{length}");
                    assert_eq!(answer[at + 8..], asked[14..answer.len() - at - 8 + 14]);
                    let mut right = answer.clone();
                    mend(&mut right);
                    assert_eq!(*answer, right, "checksums");
                }
            }
        }
    });
}

#[test]
fn nobody_is_told_of_what_was_for_many_or_was_an_error() {
    raw(async |net, b| {
        sleep(SECOND * 10).await;
        let groups = ["10.0.0.255:9", "255.255.255.255:9", "224.0.0.1:9"];
        for to in groups {
            let asked = datagram("10.0.0.1:7", to, 9);
            for frame in [unknown(&asked, 132, false), asked] {
                assert!(answers(&net, &frame).await.is_empty(), "{to}");
            }
        }
        for to in ["[ff02::1]:9", "[ff02::1:ff00:2]:9"] {
            let asked = datagram("[fd00::1]:7", to, 9);
            for frame in [unknown(&asked, 132, false), asked] {
                assert!(answers(&net, &frame).await.is_empty(), "{to}");
            }
        }
        for (from, to) in [("10.0.0.1:7", "10.0.0.2:9"), ("[fd00::1]:7", "[fd00::2]:9")] {
            // An address of this machine, in a frame for all.
            let mut asked = datagram(from, to, 9);
            asked[..6].fill(0xff);
            for frame in [unknown(&asked, 132, false), asked.clone()] {
                assert!(answers(&net, &frame).await.is_empty(), "{to}");
            }
            // Errors, whatever they are about.
            let asked = datagram(from, to, 9);
            let swapped = datagram(to, from, 9);
            for about in [asked, swapped] {
                for head in [[3, 3], [3, 4], [3, 77], [1, 4], [2, 0], [4, 1], [11, 0], [77, 0]] {
                    let error = error(&about, head, 0, 100);
                    assert!(answers(&net, &error).await.is_empty(), "{head:?}");
                }
            }
        }
        // From many, and from this machine itself.
        for from in ["10.0.0.255:7", "224.0.0.1:7", "10.0.0.2:7"] {
            assert!(answers(&net, &datagram(from, "10.0.0.2:9", 9)).await.is_empty(), "{from}");
        }
        assert!(b.stats().useless >= 20);
    });
}

#[test]
fn errors_that_are_told_are_few() {
    raw(async |net, _b| {
        sleep(SECOND * 10).await;
        frames(&net);
        for _ in 0..500 {
            send(&net, &datagram("10.0.0.1:7", "10.0.0.2:9", 9), Meta::default());
            send(
                &net,
                &unknown(&datagram("[fd00::1]:7", "[fd00::2]:9", 9), 132, false),
                Meta::default(),
            );
        }
        sleep(SECOND / 100).await;
        assert!((1..=60).contains(&frames(&net).len()));
    });
}

/// A datagram that `socket` sends to `to`, as it is on the cable.
async fn sent(net: &End, socket: &UdpSocket, to: SocketAddr, length: usize) -> Vec<u8> {
    frames(net);
    socket.send_to(&pattern(length), to).await.unwrap();
    sleep(SECOND / 100).await;
    let own = socket.local_addr().port().to_be_bytes();
    let ours = |it: &Vec<u8>| it[34..36] == own || it.get(54..56) == Some(&own);
    frames(net).into_iter().find(ours).expect("it was sent")
}

/// Makes the addresses of both peers known.
fn greet(net: &End) {
    let (IpAddr::V4(peer), IpAddr::V4(own)) = (A, B) else { unreachable!() };
    send(net, &packet::request_v4(ROUTER, peer, own, None), Meta::default());
    let (IpAddr::V6(peer), IpAddr::V6(own)) = (A6, B6) else { unreachable!() };
    send(net, &ndisc::request(ROUTER, peer, own, None), Meta::default());
}

#[test]
fn who_has_one_peer_is_told_that_nobody_has_its_port_and_others_are_not() {
    raw(async |net, b| {
        for (peer, head) in [(A, [3, 3]), (A6, [1, 4]), (A, [3, 2])] {
            greet(&net);
            let to = SocketAddr::new(peer, 9);
            let socket = Udp::bind(&b, any(0)).await.unwrap();
            let other = Udp::bind(&b, any(0)).await.unwrap();
            let buf = &mut [0; 9];
            // Without a peer nothing is told, so that nobody ends a service by not being there.
            let frame = sent(&net, &socket, to, 1).await;
            send(&net, &error(&frame, head, 0, 100), Meta::default());
            assert!(timeout(SECOND, socket.recv_from(buf)).await.is_err());
            socket.set_peer(Some(to));
            let frame = sent(&net, &socket, to, 1).await;
            // It wakes who waits, once.
            let (told, ()) = kernel::task::join(timeout(SECOND, socket.recv_from(buf)), async {
                sleep(SECOND / 100).await;
                send(&net, &error(&frame, head, 0, 28 + 20), Meta::default());
            })
            .await;
            assert_eq!(told.unwrap(), Err(Error::Refused));
            assert_eq!(socket.try_recv(buf), Ok(None));
            // And who sends.
            let again = sent(&net, &socket, to, 1).await;
            send(&net, &error(&again, head, 0, 100), Meta::default());
            sleep(SECOND / 100).await;
            assert_eq!(socket.try_send(b"x", to), Err(Error::Refused));
            assert_eq!(socket.try_send(b"x", to), Ok(Some(())));
            // What it did not send is made up: another port or peer, too little to tell, and
            // what only may pass.
            let mut ports = again.clone();
            let at = if peer.is_ipv4() { 34 } else { 54 };
            ports[at + 3] ^= 1;
            let mut peers = again.clone();
            peers[at - 1] ^= 1;
            let soft = if peer.is_ipv4() { [3, 1] } else { [1, 0] };
            for (frame, head, quoted) in [
                (&ports, head, 100),
                (&peers, head, 100),
                (&again, head, at - 14 + 7),
                (&again, soft, 100),
            ] {
                send(&net, &error(frame, head, 0, quoted), Meta::default());
                sleep(SECOND / 100).await;
                assert_eq!(socket.try_recv(buf), Ok(None), "{head:?} {quoted}");
            }
            let mut spoilt = error(&again, head, 0, 100);
            *spoilt.last_mut().unwrap() ^= 1;
            send(&net, &spoilt, Meta::default());
            sleep(SECOND / 100).await;
            assert_eq!((socket.try_recv(buf), other.try_recv(buf)), (Ok(None), Ok(None)));
        }
    });
}

#[test]
fn a_socket_with_a_peer_hears_no_other() {
    pair(|a, b| async move {
        let (one, other) =
            (Udp::bind(&a, any(0)).await.unwrap(), Udp::bind(&a, any(0)).await.unwrap());
        let socket = Udp::bind(&b, any(9)).await.unwrap();
        let to = SocketAddr::new(B, 9);
        socket.set_peer(Some(SocketAddr::new(A, other.local_addr().port())));
        let buf = &mut [0; 9];
        one.send_to(b"one", to).await.unwrap();
        other.send_to(b"other", to).await.unwrap();
        sleep(SECOND).await;
        let got = socket.try_recv(&mut buf[..2]).unwrap().unwrap();
        assert_eq!((got.copied, got.length, got.from.port()), (2, 5, other.local_addr().port()));
        assert_eq!((got.ecn, socket.try_recv(buf)), (0, Ok(None)));
        socket.set_peer(None);
        one.send_to(b"one", to).await.unwrap();
        assert_eq!(timeout(SECOND, socket.recv_from(buf)).await.unwrap().unwrap().0, 3);
    });
}

#[test]
fn datagrams_that_are_too_long_for_their_way_are_refused_for_ten_minutes() {
    raw(async |net, b| {
        for (peer, head, said, least) in [
            (A, [3, 4], 68, 552 - 28),
            (A6, [2, 0], 1279, 1300 - 48),
            (A6, [2, 0], 1280, 1280 - 48),
        ] {
            greet(&net);
            let (to, heads) = (SocketAddr::new(peer, 9), if peer.is_ipv4() { 28 } else { 48 });
            let socket = Udp::bind(&b, any(0)).await.unwrap();
            let third: SocketAddr =
                if peer.is_ipv4() { "10.0.0.7:9" } else { "[fd00::7]:9" }.parse().unwrap();
            let frame = sent(&net, &socket, to, 1400).await;
            // About what was never sent there.
            let mut other = frame.clone();
            other[if peer.is_ipv4() { 37 } else { 57 }] ^= 1;
            send(&net, &error(&other, head, 1300, 100), Meta::default());
            sleep(SECOND / 100).await;
            assert_eq!(socket.try_send(&pattern(1400), to), Ok(Some(())));
            send(&net, &error(&frame, head, 1300, 100), Meta::default());
            sleep(SECOND / 100).await;
            let most = 1300 - heads;
            // It leaves in fragments that are not too long, or not at all.
            greet(&net);
            sleep(SECOND / 100).await;
            frames(&net);
            assert_eq!(socket.try_send(&pattern(1400), to), Ok(Some(())));
            sleep(SECOND / 100).await;
            let cut = frames(&net);
            assert!(cut.len() == 2 && cut.iter().all(|it| it.len() <= 14 + 1300), "{cut:02x?}");
            socket.set_fragments(false);
            assert_eq!(socket.try_send(&pattern(most + 1), to), Err(Error::TooLong));
            assert_eq!(socket.send_to(&pattern(most + 1), to).await, Err(Error::TooLong));
            assert_eq!(b.ping(peer, most + 1, SECOND).await, Err(Error::TooLong));
            assert_eq!(sent(&net, &socket, to, most).await.len(), 14 + 1300);
            assert_eq!(socket.try_send(&pattern(1400), third), Ok(Some(())), "another way");
            assert_eq!(socket.try_send(&pattern(1501 - heads), third), Err(Error::TooLong));
            // Nobody makes it useless.
            greet(&net);
            send(&net, &error(&frame, head, said, 100), Meta::default());
            sleep(SECOND / 100).await;
            assert_eq!(socket.try_send(&pattern(least + 1), to), Err(Error::TooLong));
            assert_eq!(socket.try_send(&pattern(least), to), Ok(Some(())));
            sleep(SECOND * 601).await;
            assert_eq!(socket.try_send(&pattern(1400), to), Ok(Some(())));
        }
    });
}

#[test]
fn who_serves_many_hears_of_each_of_their_ways() {
    raw(async |net, b| {
        let socket = Udp::bind(&b, any(9)).await.unwrap();
        greet(&net);
        let to = SocketAddr::new(A, 9);
        let frame = sent(&net, &socket, to, 1400).await;
        // Others come between, most of whom get little.
        for port in 100..400 {
            let length = if port % 10 == 0 { 1400 } else { 500 };
            let _ = sent(&net, &socket, SocketAddr::new(A, port), length).await;
        }
        send(&net, &error(&frame, [3, 4], 1300, 100), Meta::default());
        sleep(SECOND / 100).await;
        socket.set_fragments(false);
        assert_eq!(socket.try_send(&pattern(1300 - 27), to), Err(Error::TooLong));
        assert_eq!(socket.try_send(&pattern(1300 - 28), to), Ok(Some(())));
        // As many ways are remembered as peers.
        sleep(SECOND / 100).await;
        let IpAddr::V4(own) = B else { unreachable!() };
        socket.set_fragments(true);
        let peers: Vec<Ipv4Addr> = (10..42).map(|last| Ipv4Addr::new(10, 0, 0, last)).collect();
        let mut all = Vec::new();
        for peer in &peers {
            send(&net, &packet::request_v4(ROUTER, *peer, own, None), Meta::default());
            all.push(sent(&net, &socket, SocketAddr::new((*peer).into(), 9), 1400).await);
        }
        for frame in &all {
            send(&net, &error(frame, [3, 4], 1300, 100), Meta::default());
            sleep(SECOND / 100).await;
        }
        socket.set_fragments(false);
        for peer in peers {
            let to = SocketAddr::new(peer.into(), 9);
            assert_eq!(socket.try_send(&pattern(1300 - 27), to), Err(Error::TooLong), "{to}");
        }
    });
}

#[test]
fn an_echo_request_that_cannot_arrive_is_over_at_once() {
    raw(async |net, b| {
        for (peer, head, result) in [
            (A, [3, 1], Error::Unreachable),
            (A, [3, 4], Error::TooLong),
            (A6, [1, 3], Error::Unreachable),
            (A6, [2, 0], Error::TooLong),
        ] {
            greet(&net);
            sleep(SECOND / 100).await;
            frames(&net);
            let asking = kernel::task::spawn({
                let b = b.clone();
                async move { b.ping(peer, 100, SECOND * 9).await }
            });
            sleep(SECOND / 100).await;
            let is_echo =
                |it: &Vec<u8>| it[12] == 8 && it[23] == 1 || it[12] == 0x86 && it[54] == 128;
            let frame = frames(&net).into_iter().find(is_echo).expect("a request");
            let mut other = frame.clone();
            other[if peer.is_ipv4() { 39 } else { 59 }] ^= 1;
            send(&net, &error(&other, head, 1300, 200), Meta::default());
            sleep(SECOND / 100).await;
            assert!(!asking.is_finished());
            send(&net, &error(&frame, head, 1300, 200), Meta::default());
            assert_eq!(timeout(SECOND, asking).await.unwrap(), Err(result));
        }
    });
}

#[test]
fn marks_of_routers_reach_who_receives() {
    raw(async |net, b| {
        let socket = Udp::bind(&b, any(9)).await.unwrap();
        for (from, to) in [("10.0.0.1:7", "10.0.0.2:9"), ("[fd00::1]:7", "[fd00::2]:9")] {
            for ecn in 0..4 {
                let mut frame = datagram(from, to, 3);
                frame[15] = if to.starts_with('1') { 0xb8 | ecn } else { ecn << 4 };
                mend(&mut frame);
                send(&net, &frame, Meta::default());
                sleep(SECOND / 100).await;
                let got = socket.try_recv(&mut [0; 9]).unwrap().unwrap();
                assert_eq!((got.ecn, got.length, got.from), (ecn, 3, from.parse().unwrap()));
            }
        }
    });
}

#[test]
fn lengths_of_datagrams_are_their_own() {
    raw(async |net, b| {
        let socket = Udp::bind(&b, any(9)).await.unwrap();
        for (length, whole) in
            [(8, true), (11, true), (7, false), (0, false), (12, false), (0xffff, false)]
        {
            let mut frame = datagram("10.0.0.1:7", "10.0.0.2:9", 3);
            frame[38..40].copy_from_slice(&u16::to_be_bytes(length));
            // Without a checksum the length alone decides.
            frame[40..42].fill(0);
            send(&net, &frame, Meta::default());
            sleep(SECOND / 100).await;
            let got = socket.try_recv(&mut [0; 9]).unwrap().map(|it| it.length);
            assert_eq!(got, whole.then(|| usize::from(length) - 8), "{length}");
        }
    });
}
