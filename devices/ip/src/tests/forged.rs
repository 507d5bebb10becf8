//! Frames that are right in every checksum and length, and forged in what they say.

use super::hostile::{echo, frames, mend, raw, segment, send};
use super::*;
use crate::packet;
use crate::tcp::segment::{ACK, SYN};
use devices::net::{Mac, Meta};
use embedded_io_async::Read;
use kernel::time::{sleep, timeout};
use std::string::ToString;

/// `message` in IPv6 from `from` to `to`, and an extension header in front of it.
fn ipv6(from: &str, to: &str, hops: u8, extension: &[u8], message: &[u8]) -> Vec<u8> {
    let mut frame = Vec::from([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd]);
    frame.extend([0x60, 0, 0, 0, 0, (extension.len() + message.len()) as u8]);
    frame.extend([if extension.is_empty() { 58 } else { 0 }, hops]);
    for address in [from, to] {
        frame.extend(address.parse::<Ipv6Addr>().unwrap().octets());
    }
    frame.extend(extension.iter().chain(message));
    packet::finish_icmp_v6(&mut frame);
    frame
}

/// The option that makes routers look (RFC 2711), in front of ICMPv6.
const ALERT: [u8; 8] = [58, 0, 5, 2, 0, 0, 1, 0];

/// A question of MLD for `group` (RFC 3810, section 5.1), within `wait` ms.
fn query(group: &str, wait: u8) -> Vec<u8> {
    let mut message = Vec::from([130, 0, 0, 0, 0, wait, 0, 0]);
    message.extend(group.parse::<Ipv6Addr>().unwrap().octets());
    message.extend([2, 125, 0, 0]);
    message
}

/// A message of IGMP to `to`, with the router alert that it has to have, or without.
fn igmp(to: [u8; 4], alert: bool, message: &[u8]) -> Vec<u8> {
    let mut frame = segment([10, 0, 0, 1], 0, 0, 0, 0)[..34].to_vec();
    let options = if alert { &[148, 4, 0, 0][..] } else { &[] };
    frame.extend(options.iter().chain(message));
    (frame[14], frame[17]) = (0x45 + u8::from(alert), (frame.len() - 14) as u8);
    (frame[22], frame[23]) = (1, 2);
    frame[30..34].copy_from_slice(&to);
    let end = 34 + options.len();
    for (from, end, at) in [(14, end, 24), (end, frame.len(), end + 2)] {
        if let Some(sum) = frame.get_mut(at..at + 2) {
            sum.fill(0);
        }
        let sum: u32 = frame[from..end]
            .chunks(2)
            .map(|it| u32::from(it[0]) << 8 | it.get(1).map_or(0, |&it| it.into()))
            .sum();
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        if let Some(to) = frame.get_mut(at..at + 2) {
            to.copy_from_slice(&sum.to_be_bytes());
        }
    }
    frame
}

#[test]
fn messages_about_groups_of_ipv4_are_not_answered_whatever_they_say_t1() {
    raw(async |net, _b| {
        sleep(SECOND * 10).await;
        frames(&net);
        let mut messages = Vec::new();
        // Questions of IGMP (RFC 1112, RFC 2236, RFC 3376), reports, leaving, and nonsense.
        for kind in [0x11, 0x12, 0x16, 0x17, 0x22, 0, 1, 0xff] {
            for group in [[0; 4], [224, 0, 0, 1], [10, 0, 0, 2], [239, 1, 2, 3], [255; 4]] {
                messages.push([&[kind, 100, 0, 0][..], &group].concat());
                // So many sources, of which some are there.
                for count in [0, 1, 2, 0xff] {
                    let more = [[kind, 0, 0, 0], group, [0x0a, 125, 0, count], [10, 0, 0, 9]];
                    messages.push(more.concat());
                }
            }
        }
        messages.extend((0..12).map(|it| std::vec![0x11; it]));
        for message in messages {
            for to in [[224, 0, 0, 1], [10, 0, 0, 2], [224, 0, 0, 22], [10, 0, 0, 255]] {
                for alert in [false, true] {
                    send(&net, &igmp(to, alert, &message), Meta::default());
                }
            }
            sleep(SECOND / 100).await;
            assert!(frames(&net).is_empty(), "{message:02x?}");
        }
        assert!(lives(&net).await);
    });
}

/// Whether this stack is there: it answers a ping.
async fn lives(net: &End) -> bool {
    frames(net);
    send(net, &echo("10.0.0.2"), Meta::default());
    sleep(SECOND / 100).await;
    frames(net).iter().any(|it| it.len() > 34 && it[23] == 1 && it[34] == 0)
}

#[test]
fn no_question_about_listeners_ends_the_stack_t1() {
    raw(async |net, b| {
        let own: Vec<_> = b.addresses().iter().map(|it| it.0.to_string()).collect();
        let own = own.iter().filter(|it| it.contains(':')).map(|it| &**it);
        let others = ["fd00::2", "ff02::1", "ff02::1:ff00:2", "ff0e::2", "::", "::1", "fe80::77"];
        for group in own.clone().chain(others) {
            for to in own.clone().chain(others) {
                for extension in [&[][..], &ALERT] {
                    let frame = ipv6("fe80::77", to, 1, extension, &query(group, 0));
                    send(&net, &frame, Meta::default());
                }
                sleep(SECOND).await;
            }
        }
        assert!(lives(&net).await);
    });
}

#[test]
fn nothing_is_answered_to_where_it_must_not_be_t1() {
    raw(async |net, b| {
        let _listener = Tcp::bind(&b, any(80)).await.unwrap();
        let _port = Udp::bind(&b, any(7)).await.unwrap();
        // The stack learns of our address, so that an answer could find its way.
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        for last in [1, 255] {
            let (own, other) = (Ipv4Addr::new(10, 0, 0, last), Ipv4Addr::new(10, 0, 0, 2));
            send(&net, &packet::request_v4(mac, own, other, None), Meta::default());
        }
        // It has said who it is.
        sleep(SECOND * 10).await;
        let echo_from = |from: [u8; 4], options: &[u8]| {
            let mut frame = echo("10.0.0.2")[..47].to_vec();
            frame[26..30].copy_from_slice(&from);
            frame.splice(34..34, options.iter().copied());
            frame[14] += options.len() as u8 / 4;
            frame[17] += options.len() as u8;
            frame[24..26].fill(0);
            let header = 14..34 + options.len();
            let sum: u32 =
                frame[header].chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1])).sum();
            let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
            frame
        };
        let ping = [128, 0, 0, 0, 0, 7, 0, 1];
        let udp = |to: [u8; 4], port: u8| {
            let mut frame = echo("10.0.0.2")[..42].to_vec();
            frame[17] = 28;
            frame[23] = 17;
            frame[30..34].copy_from_slice(&to);
            frame[34..42].copy_from_slice(&[9, 9, 0, port, 0, 8, 0, 0]);
            mend(&mut frame);
            frame
        };
        let claim = |option: &[u8]| {
            let mut message = Vec::from([135, 0, 0, 0, 0, 0, 0, 0]);
            message.extend("fd00::2".parse::<Ipv6Addr>().unwrap().octets());
            message.extend(option);
            message
        };
        let mut to_a_group = udp([10, 0, 0, 2], 99);
        to_a_group[..6].fill(0xff);
        let mut from_a_group = echo("10.0.0.2");
        from_a_group[6] = 1;
        let cases = [
            ("from all", echo_from([10, 0, 0, 255], &[])),
            ("from ourselves", echo_from([10, 0, 0, 2], &[])),
            ("from this network", echo_from([0, 0, 0, 9], &[])),
            ("by a route", echo_from([10, 0, 0, 1], &[131, 7, 4, 10, 0, 0, 1, 0])),
            ("by a strict route", echo_from([10, 0, 0, 1], &[137, 7, 4, 10, 0, 0, 1, 0])),
            ("from a group's Ethernet address", from_a_group),
            ("an error to all", udp([10, 0, 0, 255], 99)),
            ("an error to all systems", udp([224, 0, 0, 1], 99)),
            ("an error to a group's Ethernet address", to_a_group),
            ("to who only ends alike", ipv6("fd00::1", "fd99::2", 64, &[], &ping)),
            ("to a group that ends alike", ipv6("fd00::1", "ff05::2", 64, &[], &ping)),
            ("to loopback", ipv6("fd00::1", "::1", 64, &[], &ping)),
            ("from nobody", ipv6("::", "fd00::2", 64, &[], &ping)),
            ("from IPv4", ipv6("::ffff:10.0.0.1", "fd00::2", 64, &[], &ping)),
            ("land", segment([10, 0, 0, 2], 80, SYN, 7, 0)),
            ("a SYN from all", segment([10, 0, 0, 255], 80, SYN, 7, 0)),
            ("a claim from afar", ipv6("::", "ff02::1:ff00:2", 64, &[], &claim(&[]))),
            ("a claim to one machine", ipv6("::", "fd00::2", 255, &[], &claim(&[]))),
            ("a claim to all", ipv6("::", "ff02::1", 255, &[], &claim(&[]))),
            ("a claim with an Ethernet address", {
                ipv6("::", "ff02::1:ff00:2", 255, &[], &claim(&[1, 1, 2, 0, 0, 0, 0, 9]))
            }),
        ];
        for (what, frame) in cases {
            frames(&net);
            send(&net, &frame, Meta::default());
            sleep(SECOND / 10).await;
            let answers = frames(&net);
            assert!(answers.is_empty(), "{what}: {answers:02x?}");
        }
        assert_eq!(b.stats().half_open, 0);
        // What these tests send is answered otherwise.
        for frame in [
            echo_from([10, 0, 0, 1], &[]),
            echo_from([10, 0, 0, 1], &[1, 1, 1, 0]),
            udp([10, 0, 0, 2], 99),
            segment([10, 0, 0, 1], 80, SYN, 7, 0),
            ipv6("::", "ff02::1:ff00:2", 255, &[], &claim(&[])),
        ] {
            send(&net, &frame, Meta::default());
            sleep(SECOND / 10).await;
            assert_eq!(frames(&net).len(), 1, "{frame:02x?}");
        }
        // Errors are rationed, and answers are not.
        (0..1000).for_each(|_| send(&net, &udp([10, 0, 0, 2], 99), Meta::default()));
        sleep(SECOND / 10).await;
        let told = frames(&net).len();
        assert!((20..=60).contains(&told), "{told}");
    });
}

#[test]
fn there_is_no_way_to_nowhere() {
    pair(|a, _b| async move {
        for to in ["[::]:80", "0.0.0.0:80", "[::1]:80", "127.0.0.1:80"] {
            let to: SocketAddr = to.parse().unwrap();
            assert_eq!(a.connect(to).await.err(), Some(Error::Unreachable), "{to}");
            assert_eq!(a.ping(to.ip(), 8, SECOND).await, Err(Error::Unreachable), "{to}");
            let port = Udp::bind(&a, any(0)).await.unwrap();
            assert_eq!(port.send_to(b"x", to).await, Err(Error::Unreachable), "{to}");
        }
    });
}

/// A segment from 10.0.0.1:1000 to 10.0.0.2:80.
fn tcp(flags: u8, numbers: [u32; 2], window: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut frame = segment([10, 0, 0, 1], 1000, flags, numbers[0], numbers[1]);
    let length = 40 + options.len() + payload.len();
    frame[16..18].copy_from_slice(&(length as u16).to_be_bytes());
    frame[46] = (20 + options.len() as u8) << 2;
    frame[48..50].copy_from_slice(&window.to_be_bytes());
    frame.extend(options.iter().chain(payload));
    mend(&mut frame);
    frame
}

#[test]
fn what_is_beyond_the_window_is_not_taken_t1_t4() {
    // 65 536 bytes were never announced, whatever the peer's and our scale.
    for (size, scaled) in [
        (32 << 10, true),
        (64 << 10, true),
        (64 << 10, false),
        (100_000, true),
        (256 << 10, true),
        (256 << 10, false),
        (1 << 20, true),
    ] {
        kernel::testing::simulate_time();
        block_on(async {
            let (net, right) = cable(Options { capacity: 4000, ..Options::default() });
            let limits = Limits::for_memory(0).with_buffer(size);
            let stack = Stack::start(right, Settings { limits, ..settings(2) }).unwrap();
            let listener = Tcp::bind(&stack, any(80)).await.unwrap();
            let options = if scaled { &[3, 3, 7, 0][..] } else { &[] };
            send(&net, &tcp(SYN, [99, 0], 100, options, &[]), Meta::default());
            sleep(SECOND / 100).await;
            let answer = frames(&net).into_iter().find(|it| it[23] == 6).unwrap();
            let ours = u32::from_be_bytes(answer[38..42].try_into().unwrap()).wrapping_add(1);
            // What a SYN announces is never scaled.
            let window = usize::from(u16::from_be_bytes([answer[48], answer[49]]));
            assert_eq!(window, size.min(0xffff));
            let put = |at: usize, payload: &[u8]| {
                let numbers = [100 + at as u32, ours];
                send(&net, &tcp(ACK, numbers, 0, &[], payload), Meta::default());
            };
            put(0, &[]);
            let mut stream = listener.accept().await.unwrap().0;
            for beyond in [window, window + 1000, 2 * window - 1400, 4 * window] {
                put(beyond, &[0xee; 1400]);
            }
            // Half of this one is within it.
            let sent = pattern(window);
            put(window - 700, &[&sent[window - 700..], &[0xee; 700]].concat());
            for at in (0..window).step_by(1400) {
                put(at, &sent[at..window.min(at + 1400)]);
                sleep(SECOND / 1000).await;
                frames(&net);
            }
            // Without a scale there is room behind it, which is announced meanwhile.
            let full = scaled || size <= 0xffff;
            if full {
                put(window, &[0xee; 1400]);
            }
            sleep(SECOND).await;
            let mut got = std::vec![0; window];
            timeout(SECOND, stream.read_exact(&mut got)).await.unwrap().unwrap();
            assert!(got == sent, "{size}");
            // Nothing is there that was refused.
            assert!(timeout(SECOND, stream.read(&mut [0; 100])).await.is_err(), "{size}");
        });
    }
}

#[test]
fn what_arrives_out_of_order_at_once_is_acknowledged_one_by_one() {
    raw(async |net, b| {
        let _listener = Tcp::bind(&b, any(80)).await.unwrap();
        let (IpAddr::V4(peer), IpAddr::V4(own)) = (A, B) else { unreachable!() };
        let asks = packet::request_v4(Mac([2, 0, 0, 0, 0, 1]), peer, own, None);
        send(&net, &asks, Meta::default());
        send(&net, &tcp(SYN, [99, 0], 1000, &[4, 2, 1, 1], &[]), Meta::default());
        sleep(SECOND / 100).await;
        let of_tcp = |it: &Vec<u8>| it[12..14] == [8, 0] && it[23] == 6;
        let answer = frames(&net).into_iter().find(of_tcp).unwrap();
        let ours = u32::from_be_bytes(answer[38..42].try_into().unwrap()).wrapping_add(1);
        send(&net, &tcp(ACK, [100, ours], 1000, &[], &[]), Meta::default());
        sleep(SECOND / 100).await;
        frames(&net);
        // All of them before the stack has its turn: behind gaps, twice, and what fills one.
        for at in [110, 120, 110, 120, 100] {
            send(&net, &tcp(ACK, [at, ours], 1000, &[], &[7; 5]), Meta::default());
        }
        sleep(SECOND / 100).await;
        let blocks = |it: &Vec<u8>| {
            let words = it.get(58..).unwrap_or_default().chunks_exact(4);
            words.map(|it| u32::from_be_bytes(it.try_into().unwrap())).collect::<Vec<_>>()
        };
        let told: Vec<_> = frames(&net).iter().filter(|it| of_tcp(it)).map(blocks).collect();
        assert_eq!(
            told,
            [
                &[110, 115][..],
                &[120, 125, 110, 115],
                &[110, 115, 110, 115, 120, 125],
                &[120, 125, 120, 125, 110, 115],
                &[120, 125, 110, 115],
            ]
        );
    });
}
