//! Ethernet addresses: whose they are, who says so, and who is told.

use super::hostile::{echo, frames, mend, raw, segment, send};
use super::*;
use crate::{ndisc, packet};
use devices::net::{Mac, Meta};
use kernel::time::{sleep, timeout};

const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const OLD: Mac = Mac([2, 0, 0, 0, 0, 1]);
const NEW: Mac = Mac([2, 0, 0, 0, 0, 7]);

/// The targets of the ARP questions among these frames.
fn sought(frames: &[Vec<u8>]) -> Vec<&[u8]> {
    let asks = |it: &&Vec<u8>| it[12..14] == [8, 6] && it[21] == 1 && it[28..32] != it[38..42];
    frames.iter().filter(asks).map(|it| &it[38..42]).collect()
}

/// The Ethernet address that a datagram to a peer goes to; `None` when it goes nowhere.
async fn mac_to(net: &End, stack: &Stack<End>, to: IpAddr) -> Option<Mac> {
    frames(net);
    let port = Udp::bind(stack, any(0)).await.unwrap();
    port.send_to(b"x", SocketAddr::new(to, 9)).await.unwrap();
    sleep(SECOND / 100).await;
    let is_datagram = |it: &&Vec<u8>| match it[12..14] {
        [8, 0] => it[23] == 17,
        _ => it[12] == 0x86 && it[20] == 17,
    };
    let all = frames(net);
    all.iter().find(is_datagram).map(|it| Mac(it[..6].try_into().unwrap()))
}

#[test]
fn who_begins_says_so_to_all() {
    kernel::testing::simulate_time();
    block_on(async {
        let (net, right) = cable(Options::default());
        let _stack = stack(right, 2);
        let mut said = Vec::new();
        for _ in 0..10 {
            sleep(SECOND).await;
            said.push(frames(&net));
        }
        let count = |is: &dyn Fn(&Vec<u8>) -> bool| -> Vec<_> {
            said.iter().map(|it| it.iter().filter(|it| is(it)).count()).collect()
        };
        let three = |each: usize| [each, 0, each, 0, each, 0, 0, 0, 0, 0].to_vec();
        let own = OWN.octets();
        let arp = |it: &Vec<u8>| it[12..14] == [8, 6] && it[28..32] == own && it[38..42] == own;
        assert_eq!(count(&arp), three(1));
        let advertised = |it: &Vec<u8>| it[12..14] == [0x86, 0xdd] && it[54] == 136;
        assert_eq!(count(&advertised), three(2));
        // Bridges that look at who listens hear of it (RFC 3810): two groups, both of which
        // end as addresses do.
        let listens = |it: &Vec<u8>| it[12..14] == [0x86, 0xdd] && it[20] == 0 && it[62] == 143;
        assert!(count(&listens)[0] >= 1);
        let report = said[0].iter().find(|it| listens(it)).unwrap();
        assert_eq!((report.len(), &report[38..54], report[21]), (90, &all_listeners()[..], 1));
        assert_eq!(report[74..90], "ff02::1:ff00:2".parse::<Ipv6Addr>().unwrap().octets());
    });
}

fn all_listeners() -> [u8; 16] {
    "ff02::16".parse::<Ipv6Addr>().unwrap().octets()
}

#[test]
fn routers_that_ask_who_listens_are_answered() {
    raw(async |net, _b| {
        sleep(SECOND * 10).await;
        for (group, answers) in
            [("::", 1), ("ff02::1:ff00:2", 1), ("ff02::1:ff00:3", 0), ("ff02::1", 0)]
        {
            frames(&net);
            let mut frame = Vec::from([0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x86, 0xdd]);
            frame.extend([0x60, 0, 0, 0, 0, 36, 0, 1]);
            for address in ["fe80::9", "ff02::1"] {
                frame.extend(address.parse::<Ipv6Addr>().unwrap().octets());
            }
            frame.extend([58, 0, 5, 2, 0, 0, 1, 0, 130, 0, 0, 0, 0, 100, 0, 0]);
            frame.extend(group.parse::<Ipv6Addr>().unwrap().octets());
            frame.extend([2, 125, 0, 0]);
            packet::finish_icmp_v6(&mut frame);
            send(&net, &frame, Meta::default());
            sleep(SECOND).await;
            let heard = frames(&net);
            assert_eq!(heard.len(), answers, "{group}: {heard:02x?}");
            assert!(heard.iter().all(|it| it[62] == 143 && it[70] == 2));
        }
    });
}

#[test]
fn what_peers_say_of_themselves_is_heard_at_once() {
    raw(async |net, b| {
        sleep(SECOND * 10).await;
        assert_eq!(mac_to(&net, &b, PEER.into()).await, None);
        // Who asks for us becomes known, and what waited goes to it.
        send(&net, &packet::request_v4(OLD, PEER, OWN, None), Meta::default());
        sleep(SECOND / 100).await;
        let heard = frames(&net);
        assert_eq!(heard.len(), 2, "an answer, and what waited: {heard:02x?}");
        assert!(heard.iter().all(|it| it[..6] == OLD.0));
        assert_eq!(mac_to(&net, &b, PEER.into()).await, Some(OLD));
        // Both forms of what is said unasked (RFC 5227, section 3).
        send(&net, &packet::announce_v4(NEW, PEER), Meta::default());
        assert_eq!(mac_to(&net, &b, PEER.into()).await, Some(NEW));
        send(&net, &packet::answer_v4(OLD, PEER, (packet::BROADCAST, PEER)), Meta::default());
        assert_eq!(mac_to(&net, &b, PEER.into()).await, Some(OLD));
        // No machine has these, and no machine of this network is there.
        for bad in [[0xff; 6], [1, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1], [0; 6]] {
            send(&net, &packet::announce_v4(Mac(bad), PEER), Meta::default());
            assert_eq!(mac_to(&net, &b, PEER.into()).await, Some(OLD));
        }
        // It adds nobody.
        let other = Ipv4Addr::new(10, 0, 0, 3);
        send(&net, &packet::announce_v4(NEW, other), Meta::default());
        send(&net, &packet::answer_v4(NEW, other, (Mac([2; 6]), PEER)), Meta::default());
        assert_eq!(mac_to(&net, &b, other.into()).await, None);
        // The same of IPv6, of what it is about and not of who sends it.
        let (IpAddr::V6(peer), IpAddr::V6(own)) = (A6, B6) else { unreachable!() };
        send(&net, &ndisc::announce(OLD, peer), Meta::default());
        assert_eq!(mac_to(&net, &b, A6).await, None);
        send(&net, &ndisc::request(OLD, peer, own, None), Meta::default());
        sleep(SECOND / 100).await;
        assert_eq!(mac_to(&net, &b, A6).await, Some(OLD));
        send(&net, &ndisc::announce(NEW, peer), Meta::default());
        assert_eq!(mac_to(&net, &b, A6).await, Some(NEW));
        let mut weak = ndisc::announce(OLD, peer);
        (weak[58], weak[56], weak[57]) = (0, 0, 0);
        packet::finish_icmp_v6(&mut weak);
        send(&net, &weak, Meta::default());
        assert_eq!(mac_to(&net, &b, A6).await, Some(NEW));
    });
}

#[test]
fn who_looks_whether_an_address_is_taken_is_told_so() {
    raw(async |net, _b| {
        sleep(SECOND * 10).await;
        frames(&net);
        send(&net, &packet::request_v4(NEW, Ipv4Addr::UNSPECIFIED, OWN, None), Meta::default());
        sleep(SECOND / 100).await;
        let [answer] = &frames(&net)[..] else { panic!("one answer") };
        assert_eq!(
            answer[..],
            packet::answer_v4(Mac([2, 0, 0, 0, 0, 2]), OWN, (NEW, Ipv4Addr::UNSPECIFIED))
        );
        // Who takes it all the same is told so again, every ten seconds at most.
        for _ in 0..100 {
            send(&net, &packet::announce_v4(NEW, OWN), Meta::default());
            sleep(SECOND / 100).await;
        }
        let own = OWN.octets();
        let said = frames(&net);
        let arp = |it: &&Vec<u8>| it[12..14] == [8, 6] && it[28..32] == own && it[38..42] == own;
        assert_eq!(said.iter().filter(arp).count(), 1);
    });
}

#[test]
fn a_neighbor_that_left_is_noticed_and_delays_nobody_t2() {
    raw(async |net, b| {
        let port = Udp::bind(&b, any(7)).await.unwrap();
        send(&net, &packet::request_v4(OLD, PEER, OWN, None), Meta::default());
        sleep(SECOND * 40).await;
        // It is doubted, asked for, and spoken to until it is clear that it left.
        assert_eq!(mac_to(&net, &b, PEER.into()).await, Some(OLD));
        let mut asked = 0;
        for _ in 0..40 {
            asked +=
                frames(&net).iter().filter(|it| it[12..14] == [8, 6] && it[..6] == OLD.0).count();
            sleep(SECOND / 10).await;
        }
        assert_eq!(asked, 2, "and once before");
        assert_eq!(mac_to(&net, &b, PEER.into()).await, None);
        // The port hears and answers another one meanwhile.
        let third = Ipv4Addr::new(10, 0, 0, 3);
        send(&net, &packet::request_v4(NEW, third, OWN, None), Meta::default());
        for _ in 0..20 {
            port.send_to(b"x", SocketAddr::new(PEER.into(), 9)).await.unwrap();
        }
        port.send_to(b"y", SocketAddr::new(third.into(), 9)).await.unwrap();
        frames(&net);
        let mut frame = echo("10.0.0.2")[..43].to_vec();
        (frame[17], frame[23]) = (29, 17);
        frame[34..].copy_from_slice(&[9, 9, 0, 7, 0, 9, 0, 0, 1]);
        mend(&mut frame);
        send(&net, &frame, Meta::default());
        assert!(timeout(SECOND / 10, port.recv_from(&mut [0])).await.is_ok());
    });
}

#[test]
fn refusals_and_answers_go_back_where_they_came_from() {
    raw(async |net, _b| {
        sleep(SECOND * 10).await;
        let mut closed = segment([10, 0, 0, 9], 1000, crate::tcp::segment::SYN, 7, 0);
        closed[6..12].copy_from_slice(&NEW.0);
        let mut ping = echo("10.0.0.2");
        ping[6..12].copy_from_slice(&NEW.0);
        for frame in [closed, ping] {
            frames(&net);
            send(&net, &frame, Meta::default());
            sleep(SECOND / 100).await;
            let heard = frames(&net);
            assert!(sought(&heard).is_empty());
            assert_eq!((heard.len(), &heard[0][..6]), (1, &NEW.0[..]));
        }
    });
}

#[test]
fn each_address_is_asked_for_once_a_second_at_most() {
    raw(async |net, b| {
        sleep(SECOND * 10).await;
        frames(&net);
        let port = Udp::bind(&b, any(0)).await.unwrap();
        let mut asked = 0;
        for _ in 0..1000 {
            port.send_to(b"x", "10.0.0.99:9".parse().unwrap()).await.unwrap();
            sleep(SECOND / 100).await;
            asked += sought(&frames(&net)).len();
        }
        assert!((9..=11).contains(&asked), "{asked} in 10 s");
    });
}
