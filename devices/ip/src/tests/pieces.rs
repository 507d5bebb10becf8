//! Datagrams that leave in pieces.

use super::fragments::{VERSIONS, datagram, pieces};
use super::hostile::{frames, mend, raw, send};
use super::*;
use crate::ndisc;
use crate::packet::{self, Reassembly, Verdict};
use devices::net::{Mac, Meta};
use kernel::time::{Instant, sleep, timeout};

/// What a stack sends in fragments, each of which is as it should be, by a reassembly: the
/// numbers that they had, and the frame.
fn together(net: &End, all: &mut Reassembly) -> Vec<(u32, Vec<u8>)> {
    let (mut done, mut long) = (Vec::new(), 0);
    for frame in frames(net).iter().filter(|it| it[12] != 8 || it[13] == 0) {
        let ipv4 = frame[12] == 8;
        assert!(frame.len() <= 14 + if ipv4 { 1500 } else { 1280 }, "{}", frame.len());
        let Verdict::Fragment(ends, piece) = packet::judge(frame, Meta::default()) else {
            continue;
        };
        // It may be cut further.
        assert!(!ipv4 || frame[20] & 0x40 == 0);
        let id = if ipv4 {
            u32::from(u16::from_be_bytes([frame[18], frame[19]]))
        } else {
            u32::from_be_bytes(*frame[58..].first_chunk().unwrap())
        };
        long = long.max(frame.len());
        done.extend(all.add(frame, ends, &piece, Instant::now()).map(|it| (id, it)));
    }
    assert!(done.is_empty() || long > 1200, "{long}");
    done
}

#[test]
fn what_is_too_long_leaves_in_fragments_t6() {
    raw(async |net, b| {
        // The stack knows where they go.
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        let (own, other) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        send(&net, &packet::request_v4(mac, own, other, None), Meta::default());
        let (IpAddr::V6(own), IpAddr::V6(other)) = (A6, B6) else { unreachable!() };
        send(&net, &ndisc::request(mac, own, other, None), Meta::default());
        sleep(SECOND * 10).await;
        frames(&net);
        let mut all = Reassembly::new(256 << 10);
        let mut ids = Vec::new();
        let socket = Udp::bind(&b, any(7)).await.unwrap();
        for length in [1473, 1480, 2000, 2953, 4000, 8000] {
            for [to, from] in VERSIONS {
                let to = SocketAddr::new(to.parse().unwrap(), 9);
                socket.send_to(&pattern(length), to).await.unwrap();
                sleep(SECOND / 100).await;
                let [(id, whole)] = &together(&net, &mut all)[..] else { panic!("{to} {length}") };
                ids.push(*id);
                let head = packet::datagram_head(to.is_ipv4());
                assert!(whole[head..] == pattern(length));
                let verdict = packet::judge(whole, Meta::default());
                assert!(
                    matches!(verdict, Verdict::Udp(it) if it.to.port() == 9 && it.from.ip() == from.parse::<IpAddr>().unwrap())
                );
                // Echo requests as long, and longer than a socket would hold.
                let mut ping =
                    datagram(&std::format!("{}", to.ip()), from, &pattern(length + 2000));
                let kinds = if to.is_ipv4() { (1, 8) } else { (58, 128) };
                let at = if to.is_ipv4() { 34 } else { 54 };
                ping[if to.is_ipv4() { 23 } else { 20 }] = kinds.0;
                ping[at..at + 8].copy_from_slice(&[kinds.1, 0, 0, 0, 0, 7, 0, 1]);
                mend(&mut ping);
                for piece in pieces(&ping, 7, 1400) {
                    send(&net, &piece, Meta::default());
                }
                sleep(SECOND / 100).await;
                let [(id, whole)] = &together(&net, &mut all)[..] else { panic!("{to} {length}") };
                ids.push(*id);
                assert!(whole[at + 4..] == ping[at + 4..]);
                assert_eq!(whole[at], if to.is_ipv4() { 0 } else { 129 });
                assert!(!matches!(
                    packet::judge(whole, Meta::default()),
                    Verdict::Corrupt | Verdict::Useless
                ));
            }
        }
        let steps: Vec<_> = ids.windows(2).map(|it| it[1].wrapping_sub(it[0])).collect();
        assert!(steps.iter().all(|it| steps.iter().filter(|other| it == *other).count() == 1));
    });
}

#[test]
fn long_datagrams_wait_for_their_neighbor_within_a_bound_t3() {
    pair(|a, b| async move {
        let socket = Udp::bind(&b, any(9)).await.unwrap();
        let asking = Udp::bind(&a, any(0)).await.unwrap();
        // Nobody is there, and much is said to them.
        for n in 0..100 {
            let to = SocketAddr::new(Ipv4Addr::new(10, 0, 0, 100 + n % 100).into(), 9);
            asking.send_to(&pattern(8000), to).await.unwrap();
        }
        asking.send_to(&pattern(7000), SocketAddr::new(B, 9)).await.unwrap();
        let mut datagram = [0; 9000];
        let got = timeout(SECOND, socket.recv_from(&mut datagram)).await.unwrap();
        assert_eq!(got.unwrap().0, 7000);
        assert!(datagram[..7000] == pattern(7000));
    });
}
