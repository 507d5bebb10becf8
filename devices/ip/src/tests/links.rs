//! Addresses that others have, and routers of IPv6.

use super::hostile::{frames, raw, send};
use super::*;
use crate::{ndisc, packet};
use devices::net::{Mac, Meta};
use kernel::time::sleep;

const OTHER: Mac = Mac([2, 0, 0, 0, 0, 9]);

fn six(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

#[test]
fn addresses_are_used_at_once_and_asked_about_after() {
    kernel::testing::simulate_time();
    block_on(async {
        let (net, right) = cable(Options::default());
        let stack = stack(right, 2);
        // The first packet of a program waits for nothing.
        let socket = Udp::bind(&stack, any(0)).await.unwrap();
        socket.send_to(b"first", "255.255.255.255:9".parse().unwrap()).await.unwrap();
        sleep(SECOND / 1000).await;
        assert!(frames(&net).iter().any(|it| it[12..14] == [8, 0] && it[23] == 17));
        let own = Ipv4Addr::new(10, 0, 0, 2);
        let mut probes = Vec::new();
        for _ in 0..10 {
            let all = frames(&net);
            let four = |it: &&Vec<u8>| it[12..14] == [8, 6] && it[28..32] == [0; 4];
            let six = |it: &&Vec<u8>| it[12] == 0x86 && it[54] == 135 && it[22..38] == [0; 16];
            assert!(all.iter().filter(four).all(|it| it[38..42] == own.octets() && it[21] == 1));
            for it in all.iter().filter(six) {
                // To the group of the address that it asks for, without an option.
                assert_eq!((it.len(), it[21], &it[38..42]), (78, 255, &[0xff, 2, 0, 0][..]));
                assert_eq!((&it[51..54], &it[75..78]), (&it[75..78], &it[3..6]));
                let verdict = packet::judge(it, Meta::default());
                assert!(matches!(verdict, packet::Verdict::Claim(_)), "{verdict:?}");
            }
            probes.push((all.iter().filter(four).count(), all.iter().filter(six).count()));
            sleep(SECOND).await;
        }
        let at = |second| probes[second];
        assert_eq!(probes.iter().filter(|it| **it != (0, 0)).count(), 2, "{probes:?}");
        assert_eq!((at(2), at(4)), ((1, 2), (1, 2)), "{probes:?}");
    });
}

#[test]
fn who_else_has_an_address_is_said_and_the_address_goes_on_being_used() {
    raw(async |net, b| {
        let (IpAddr::V4(four), IpAddr::V6(own)) = (B, B6) else { unreachable!() };
        let conflicts = [
            // The answer to a probe of ARP, and an announcement.
            packet::answer_v4(OTHER, four, (Mac([2, 0, 0, 0, 0, 2]), Ipv4Addr::UNSPECIFIED))
                .to_vec(),
            packet::announce_v4(OTHER, four).to_vec(),
            // What a probe of IPv6 is answered by.
            ndisc::announce(OTHER, own).to_vec(),
        ];
        for conflict in conflicts {
            sleep(SECOND * 11).await;
            frames(&net);
            send(&net, &conflict, Meta::default());
            sleep(SECOND / 100).await;
            // It says that it is here.
            let said = frames(&net);
            let four = |it: &Vec<u8>| it[12..14] == [8, 6] && it[28..32] == four.octets();
            let six = |it: &Vec<u8>| it[12] == 0x86 && it[54] == 136 && it[62..78] == own.octets();
            assert!(said.iter().any(four) && said.iter().any(six), "{said:02x?}");
            assert!(b.addresses().contains(&(B, 24)) && b.addresses().contains(&(B6, 64)));
        }
        // Who asks whether it may have one is told, and who asks oneself is not.
        frames(&net);
        send(&net, &ndisc::probe(Mac([2, 0, 0, 0, 0, 2]), own), Meta::default());
        sleep(SECOND / 100).await;
        assert!(frames(&net).is_empty());
        send(&net, &ndisc::probe(OTHER, own), Meta::default());
        sleep(SECOND / 100).await;
        assert_eq!(frames(&net), [ndisc::announce(Mac([2, 0, 0, 0, 0, 2]), own)]);
    });
}

/// What the router `address`, of preference `flags`, says of itself for `lifetime` seconds; it
/// gives addresses of 2001:db8::/64.
fn advertisement(mac: Mac, address: &str, flags: u8, lifetime: u16) -> Vec<u8> {
    let mut frame = ndisc::announce(mac, six(address))[..54].to_vec();
    frame.extend([134, 0, 0, 0, 64, flags]);
    frame.extend(lifetime.to_be_bytes());
    frame.extend([0; 8]);
    frame.extend([3, 4, 64, 0xc0, 0, 0, 14, 16, 0, 0, 7, 8, 0, 0, 0, 0]);
    frame.extend(six("2001:db8::").octets());
    frame[19] = 48;
    packet::finish_icmp_v6(&mut frame);
    frame
}

/// The same advertisement of a neighbour that is a router.
fn as_router(mut advertisement: [u8; ndisc::NEIGHBOR]) -> Vec<u8> {
    advertisement[58] |= 0x80;
    advertisement[56..58].fill(0);
    packet::finish_icmp_v6(&mut advertisement);
    advertisement.to_vec()
}

/// Which router of two gets what is for others, while those of `there` answer for a while.
async fn chosen(net: &End, socket: &UdpSocket, there: &[(Mac, Ipv6Addr)], time: u32) -> Vec<u8> {
    let mut chosen = Vec::new();
    for _ in 0..time * 10 {
        socket.send_to(b"x", "[2001:db8:9::9]:9".parse().unwrap()).await.unwrap();
        sleep(SECOND / 10).await;
        for frame in frames(net) {
            if frame[12] != 0x86 {
                continue;
            }
            if frame[20] == 17 {
                chosen.push(frame[5]);
            }
            let asked = there.iter().find(|it| frame[54] == 135 && frame[62..78] == it.1.octets());
            if let Some((mac, address)) = asked {
                let asker = frame[22..38].first_chunk().map(|it| Ipv6Addr::from(*it)).unwrap();
                let to = (Mac([2, 0, 0, 0, 0, 2]), asker);
                send(net, &as_router(ndisc::answer(*mac, *address, to)), Meta::default());
            }
        }
    }
    chosen
}

#[test]
fn the_best_router_that_answers_is_used_and_another_one_when_it_is_silent() {
    kernel::testing::simulate_time();
    block_on(async {
        let (net, right) = cable(Options { capacity: 2000, ..Options::default() });
        let alone = Settings { ipv4: Ipv4::Off, ipv6: None, ..settings(2) };
        let stack = Stack::start(right, alone).unwrap();
        sleep(SECOND).await;
        let routers =
            [(Mac([2, 0, 0, 0, 1, 1]), six("fe80::1")), (Mac([2, 0, 0, 0, 1, 2]), six("fe80::2"))];
        let [one, other] = routers;
        send(&net, &advertisement(one.0, "fe80::1", 0, 1800), Meta::default());
        send(&net, &advertisement(other.0, "fe80::2", 1 << 3, 1800), Meta::default());
        sleep(SECOND).await;
        let socket = Udp::bind(&stack, any(0)).await.unwrap();
        let all = |it: &[u8], last: u8| !it.is_empty() && it.iter().all(|it| *it == last);
        // The one that is to be preferred.
        assert!(all(&chosen(&net, &socket, &routers, 5).await, 2));
        // It falls silent: noticed within 35 s, and from then on the other one is used.
        let switched = chosen(&net, &socket, &[one], 40).await;
        assert_eq!(switched.last(), Some(&1), "{switched:?}");
        assert!(all(&chosen(&net, &socket, &[one], 200).await, 1), "and not tried with packets");
        // It is there again, which is noticed within two minutes.
        let back = chosen(&net, &socket, &routers, 65).await;
        assert_eq!(back.last(), Some(&2), "{back:?}");
        // Nobody is there: each is tried.
        let none = chosen(&net, &socket, &[], 100).await;
        assert!(none.len() < 1000);
        assert!(!chosen(&net, &socket, &[other], 10).await.is_empty());
        // It says that it is none any more, as a router or as a host.
        send(&net, &advertisement(other.0, "fe80::2", 1 << 3, 0), Meta::default());
        sleep(SECOND / 10).await;
        let last = chosen(&net, &socket, &routers, 10).await;
        assert_eq!(last.last(), Some(&1), "{last:?}");
        send(&net, &advertisement(other.0, "fe80::2", 1 << 3, 1800), Meta::default());
        let back = chosen(&net, &socket, &routers, 10).await;
        assert_eq!(back.last(), Some(&2), "{back:?}");
        send(&net, &as_router(ndisc::announce(other.0, other.1)), Meta::default());
        let still = chosen(&net, &socket, &routers, 10).await;
        assert_eq!(still.last(), Some(&2), "{still:?}");
        send(&net, &ndisc::announce(other.0, other.1), Meta::default());
        sleep(SECOND / 10).await;
        let last = chosen(&net, &socket, &routers, 10).await;
        assert_eq!(last.last(), Some(&1), "{last:?}");
        send(&net, &advertisement(one.0, "fe80::1", 0, 0), Meta::default());
        sleep(SECOND / 10).await;
        let to = "[2001:db8:9::9]:9".parse().unwrap();
        assert_eq!(socket.send_to(b"x", to).await, Err(Error::Unreachable));
    });
}

#[test]
fn who_has_an_address_of_a_network_is_not_thereby_on_the_link() {
    kernel::testing::simulate_time();
    block_on(async {
        let (net, right) = cable(Options { capacity: 2000, ..Options::default() });
        let alone = Settings { ipv4: Ipv4::Off, ipv6: None, ..settings(2) };
        let stack = Stack::start(right, alone).unwrap();
        let router = Mac([2, 0, 0, 0, 1, 1]);
        let socket = Udp::bind(&stack, any(0)).await.unwrap();
        for (flags, sought) in [(0x40, "fe80::1"), (0xc0, "2001:db8::9")] {
            let mut said = advertisement(router, "fe80::1", 0, 1800);
            said[73] = flags;
            said[56..58].fill(0);
            packet::finish_icmp_v6(&mut said);
            send(&net, &said, Meta::default());
            sleep(SECOND).await;
            frames(&net);
            assert!(stack.addresses().contains(&(six("2001:db8::ff:fe00:2").into(), 64)));
            socket.send_to(b"x", "[2001:db8::9]:9".parse().unwrap()).await.unwrap();
            sleep(SECOND / 10).await;
            let asks = |it: &Vec<u8>| it[54] == 135 && it[62..78] == six(sought).octets();
            assert!(frames(&net).iter().any(asks), "{sought}");
        }
    });
}
