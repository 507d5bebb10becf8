//! Networks that lose, spoil, flood and lie.

use super::*;
use crate::tcp::segment::{ACK, RST, SYN};
use crate::{ndisc, packet};
use core::task::{Context, Waker};
use devices::net::Meta;
use devices::net::fault::{Fault, Faults};
use devices::net::loopback::Loopback;
use embedded_io_async::{Read, Write};
use kernel::task::{join, yield_now};
use kernel::time::{sleep, timeout};

/// Sends a frame by hand.
pub(super) fn send(net: &End, frame: &[u8], meta: Meta) {
    let sent = net.transmit(frame.len(), |to| {
        to.copy_from_slice(frame);
        ((), meta)
    });
    if sent.is_some() {
        net.flush();
    }
}

/// Frames that wait at this end.
pub(super) fn frames(net: &End) -> Vec<Vec<u8>> {
    core::iter::from_fn(|| net.receive(|frame, _| frame.to_vec())).collect()
}

/// A segment without payload from port 1000 of 10.0.x.y to port 80 of [`B`].
pub(super) fn segment(from: [u8; 4], port: u16, flags: u8, sequence: u32, ack: u32) -> Vec<u8> {
    let mut frame = Vec::from([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
    frame.extend([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(from.into_iter().chain([10, 0, 0, 2]));
    let sum: u32 = frame[14..].chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1])).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.extend(port.to_be_bytes().into_iter().chain([0, 80]));
    frame.extend(sequence.to_be_bytes().into_iter().chain(ack.to_be_bytes()));
    frame.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    packet::finish(&mut frame, false, 0);
    frame
}

/// A cable whose other end is a program of its own, beside the stack [`B`].
pub(super) fn raw(run: impl AsyncFnOnce(End, Stack<End>)) {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options { capacity: 2000, ..Options::default() });
        let stack = stack(right, 2);
        yield_now().await;
        left.set_link(true);
        run(left, stack).await;
    });
}

/// An echo request to `to` with 5 bytes of payload, and padding behind it.
pub(super) fn echo(to: &str) -> Vec<u8> {
    let to: IpAddr = to.parse().unwrap();
    let mut frame = Vec::from([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    let message = [0, 0, 0, 0, 0, 7, 0, 1, b'h', b'e', b'l', b'l', b'o'];
    match to {
        IpAddr::V4(to) => {
            frame.extend([8, 0, 0x45, 0, 0, 33, 0, 9, 0x40, 0, 9, 1, 0, 0, 10, 0, 0, 1]);
            frame.extend(to.octets().into_iter().chain(message));
            frame[34] = 8;
            let sum = |it: &[u8]| {
                it.chunks(2).fold(0, |sum, it| match *it {
                    [high, low] => sum + (u32::from(high) << 8 | u32::from(low)),
                    _ => sum + (u32::from(it[0]) << 8),
                })
            };
            let not = |sum: u32| (!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes();
            let (ip, icmp) = (not(sum(&frame[14..34])), not(sum(&frame[34..])));
            frame[24..26].copy_from_slice(&ip);
            frame[36..38].copy_from_slice(&icmp);
        }
        IpAddr::V6(to) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 13, 58, 9]);
            let from: Ipv6Addr = "fd00::1".parse().unwrap();
            frame.extend(from.octets().into_iter().chain(to.octets()).chain(message));
            frame[54] = 128;
            packet::finish_icmp_v6(&mut frame);
        }
    }
    frame.resize(80, 0xaa);
    frame
}

#[test]
fn echo_requests_are_answered_as_they_came() {
    raw(async |net, _stack| {
        let answers = async |frame: &[u8]| {
            while net.receive(|_, _| ()).is_some() {}
            send(&net, frame, Meta::default());
            sleep(Duration::from_millis(10)).await;
            let all = frames(&net).into_iter();
            all.filter(|it| it[..12] == [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]).collect::<Vec<_>>()
        };
        sleep(SECOND).await;
        // The answer is the request of the other side with another type, and no number.
        let answer = answers(&echo("10.0.0.2")).await;
        let mut wanted = echo("10.0.0.2")[..47].to_vec();
        (wanted[22], wanted[24], wanted[34]) = (64, wanted[24].wrapping_sub(55), 0);
        wanted[26..34].copy_from_slice(&[10, 0, 0, 2, 10, 0, 0, 1]);
        (wanted[19], wanted[25]) = (0, wanted[25].wrapping_add(9));
        wanted[36] = wanted[36].wrapping_add(8);
        assert_eq!(answer.len(), 1);
        assert_eq!(answer[0][12..], wanted[12..]);
        let [answer] = &answers(&echo("fd00::2")).await[..] else { panic!("one answer") };
        assert_eq!((answer.len(), answer[21], answer[54]), (67, 64, 129));
        assert_eq!(answer[22..38], "fd00::2".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(answer[38..54], "fd00::1".parse::<Ipv6Addr>().unwrap().octets());
        let mut right = answer.clone();
        right[56..58].fill(0);
        packet::finish_icmp_v6(&mut right);
        assert_eq!(*answer, right);
        // A long one may be cut by routers, as nobody here hears that it did not fit.
        let mut long = echo("10.0.0.2");
        long.resize(14 + 1000, 0xaa);
        (long[16], long[17]) = ((1000_u16 >> 8) as u8, (1000_u16 & 0xff) as u8);
        mend(&mut long);
        let [answer] = &answers(&long).await[..] else { panic!("one answer") };
        assert_eq!((answer.len(), answer[20], answer[34]), (1014, 0, 0));
        assert_ne!(answer[18..20], [0, 0]);
        // Nobody answers for others, to all, or what was spoilt.
        for to in ["10.0.0.3", "10.0.0.255", "255.255.255.255", "fd00::3", "ff02::2"] {
            assert!(answers(&echo(to)).await.is_empty(), "{to}");
        }
        let mut frame = echo("10.0.0.2");
        frame[5] ^= 4;
        assert!(answers(&frame).await.is_empty(), "another's Ethernet address");
        let mut frame = echo("fd00::2");
        frame[66] ^= 4;
        assert!(answers(&frame).await.is_empty(), "spoilt");
        let mut frame = echo("10.0.0.2");
        frame[46] ^= 4;
        assert!(answers(&frame).await.is_empty(), "spoilt");
        // Lengths that end in the middle of it.
        for length in 34..42 {
            let mut frame = echo("10.0.0.2");
            frame[17] = length - 14;
            assert!(answers(&frame).await.is_empty(), "{length}");
        }
    });
}

#[test]
fn what_is_sent_arrives_over_a_bad_cable() {
    kernel::testing::simulate_time();
    for (seed, transmit_blank) in [(1, false), (2, false), (3, true)] {
        let (left, right) = cable(Options { transmit_blank, ..Options::default() });
        let delay = (Duration::from_millis(1), Duration::from_millis(5));
        let faults = Faults { lose: 10, double: 10, reorder: 20, spoil: 10, delay };
        block_on(async {
            let a = stack(Fault::new(left, faults, seed), 1);
            let b = stack(Fault::new(right, faults, !seed), 2);
            let listener = Tcp::bind(&b, any(80)).await.unwrap();
            let to = SocketAddr::new(if seed == 2 { B6 } else { B }, 80);
            let (one, other) = join(a.connect(to), listener.accept()).await;
            let (mut one, mut other) = (one.unwrap(), other.unwrap().0);
            const LENGTH: usize = 1 << 20;
            let bytes = pattern(LENGTH);
            let transfer = async |from: &mut TcpStream, to: &mut TcpStream| {
                let mut got = std::vec![0; LENGTH];
                let (sent, received) = join(from.write_all(&bytes), to.read_exact(&mut got)).await;
                sent.unwrap();
                received.unwrap();
                assert!(got == bytes);
            };
            transfer(&mut one, &mut other).await;
            transfer(&mut other, &mut one).await;
            let (closed, other) = join(one.close(), other.close()).await;
            closed.unwrap();
            other.unwrap();
            let corrupt = a.stats().corrupt + b.stats().corrupt;
            assert_eq!(corrupt > 0, !transmit_blank, "{corrupt}");
        });
    }
}

#[test]
fn checksums_are_left_blank_where_the_other_side_fills_them_in_n9() {
    kernel::testing::simulate_time();
    let (left, right) = cable(Options { transmit_blank: true, ..Options::default() });
    block_on(async {
        let (a, b) = (stack(left, 1), stack(right, 2));
        for to in [B, B6] {
            let listener = Tcp::bind(&b, any(80)).await.unwrap();
            let (one, other) = join(a.connect(SocketAddr::new(to, 80)), listener.accept()).await;
            let (mut one, mut other) = (one.unwrap(), other.unwrap().0);
            one.write_all(b"blank").await.unwrap();
            let mut got = [0; 5];
            other.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"blank");
        }
    });
    // The same bytes by hand: only who says so is believed.
    raw(async |net, b| {
        let _listener = Tcp::bind(&b, any(80)).await.unwrap();
        let mut syn = segment([10, 0, 0, 1], 1000, SYN, 7, 0);
        syn[14 + 20 + 16] ^= 1;
        send(&net, &syn, Meta::default());
        sleep(SECOND / 100).await;
        assert_eq!((b.stats().corrupt, b.stats().half_open), (1, 0));
    });
}

#[test]
fn sequence_numbers_and_ports_cannot_be_guessed_s5_t6() {
    raw(async |net, b| {
        let _listener = Tcp::bind(&b, any(80)).await.unwrap();
        let mut numbers = Vec::new();
        for port in 1000..1100 {
            send(&net, &segment([10, 0, 0, 1], port, SYN, 7, 0), Meta::default());
            sleep(SECOND / 1000).await;
            for frame in frames(&net) {
                if let packet::Verdict::Tcp(it) = packet::judge(&frame, Meta::default()) {
                    numbers.push(it.seq.0);
                }
            }
        }
        assert_eq!(numbers.len(), 100);
        // Neither the same steps nor the same bits: a good generator fails this once in
        // 2^60 times or so.
        let steps = numbers.windows(2).map(|it| it[1].wrapping_sub(it[0]));
        assert!(steps.clone().zip(steps.skip(1)).all(|(a, b)| a != b));
        for bit in 0..32 {
            let ones = numbers.iter().filter(|&&it| it >> bit & 1 == 1).count();
            assert!((5..95).contains(&ones), "bit {bit}: {ones}");
        }
        // A SYN that is repeated gets the number that it got before.
        send(&net, &segment([10, 0, 0, 1], 1099, SYN, 7, 0), Meta::default());
        sleep(SECOND / 1000).await;
        let again =
            frames(&net).iter().find_map(|frame| match packet::judge(frame, Meta::default()) {
                packet::Verdict::Tcp(it) => Some(it.seq.0),
                _ => None,
            });
        assert_eq!(again, numbers.last().copied());
        let mut ports: Vec<_> = Vec::new();
        for _ in 0..50 {
            ports.push(Udp::bind(&b, any(0)).await.unwrap().local_addr().port());
        }
        ports.sort_unstable();
        ports.dedup();
        assert!(ports.len() > 40 && ports.iter().all(|&it| it >= 0xc000));
    });
}

#[test]
fn a_confirmation_that_was_guessed_opens_nothing_s5() {
    raw(async |net, b| {
        let _listener = Tcp::bind(&b, any(80)).await.unwrap();
        let client = [10, 0, 0, 1];
        send(&net, &segment(client, 1000, SYN, 7, 0), Meta::default());
        sleep(SECOND / 1000).await;
        for guess in 0..100 {
            send(&net, &segment(client, 1000, ACK, 8, guess), Meta::default());
        }
        // A reset that does not fit is none either.
        send(&net, &segment(client, 1000, RST, 9, 0), Meta::default());
        sleep(SECOND / 1000).await;
        assert_eq!((b.stats().accepted, b.stats().half_open), (0, 1));
        send(&net, &segment(client, 1000, RST, 8, 0), Meta::default());
        sleep(SECOND / 1000).await;
        assert_eq!(b.stats().half_open, 0);
    });
}

#[test]
fn a_new_back_end_is_told_who_is_here() {
    raw(async |net, b| {
        sleep(SECOND).await;
        frames(&net);
        net.reconnect();
        sleep(SECOND / 100).await;
        let heard = frames(&net);
        let arp = |frame: &Vec<u8>| frame[12..14] == [8, 6] && frame[28..32] == [10, 0, 0, 2];
        assert!(heard.iter().any(|it| arp(it) && it[38..42] == [10, 0, 0, 2]));
        let advertised = |it: &&Vec<u8>| it[12..14] == [0x86, 0xdd] && it[54] == 136;
        assert_eq!(heard.iter().filter(advertised).count(), 2);
        assert!(b.addresses().len() == 3);
    });
}

#[test]
fn connections_survive_a_new_back_end() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let (a, b) = (stack(left.clone(), 1), stack(right, 2));
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        let (one, other) = join(a.connect(SocketAddr::new(B, 80)), listener.accept()).await;
        let (mut one, mut other) = (one.unwrap(), other.unwrap().0);
        left.set_link(false);
        one.write_all(b"later").await.unwrap();
        sleep(SECOND * 5).await;
        left.set_link(true);
        left.reconnect();
        let mut got = [0; 5];
        timeout(SECOND * 20, other.read_exact(&mut got)).await.unwrap().unwrap();
        assert_eq!(&got, b"later");
    });
}

#[test]
fn who_wants_an_address_of_ours_is_told_so() {
    raw(async |net, _b| {
        sleep(SECOND).await;
        frames(&net);
        let Some(IpAddr::V6(own)) = Some(B6) else { unreachable!() };
        let mac = devices::net::Mac([2, 0, 0, 0, 0, 9]);
        send(&net, &ndisc::probe(mac, own), Meta::default());
        sleep(SECOND / 100).await;
        let advertised = |it: &Vec<u8>| it[12..14] == [0x86, 0xdd] && it[54] == 136;
        assert!(frames(&net).iter().any(advertised));
    });
}

#[test]
fn no_frame_makes_the_stack_panic_n9_t1() {
    raw(async |net, b| {
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        let _port = Udp::bind(&b, any(9)).await.unwrap();
        let mut random = 1_u64;
        let mut next = move || {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (random >> 33) as usize
        };
        let mac = devices::net::Mac([2, 0, 0, 0, 0, 9]);
        let Some((IpAddr::V6(own), IpAddr::V6(other))) = Some((B6, A6)) else { unreachable!() };
        let mut models = Vec::from([
            segment([10, 0, 0, 1], 1000, SYN, 7, 0),
            segment([10, 0, 0, 1], 1000, ACK, 8, 1),
            packet::request_v4(mac, Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2), None)
                .to_vec(),
            ndisc::request(mac, other, own, None).to_vec(),
            ndisc::announce(mac, other).to_vec(),
            // From nobody: those who answer such frames answer nobody.
            ndisc::request(mac, Ipv6Addr::UNSPECIFIED, own, None).to_vec(),
            segment([0; 4], 1000, SYN, 7, 0),
            segment([0; 4], 1000, ACK, 7, 0),
        ]);
        // Each of the protocols of IPv4 and IPv6 with some bytes in it.
        for protocol in [0, 1, 2, 6, 17, 43, 44, 50, 58, 59, 60, 89] {
            let from = [[10, 0, 0, 1], [0; 4]][usize::from(protocol) % 2];
            let mut frame = segment(from, 1000, ACK, 8, 1);
            frame[23] = protocol;
            models.push(frame);
            let mut frame = ndisc::announce(mac, other).to_vec();
            frame[20] = protocol;
            frame[38..54].copy_from_slice(&own.octets());
            models.push(frame);
        }
        for round in 0..200_000 {
            let mut frame = models[next() % models.len()].clone();
            for _ in 0..next() % 4 {
                let at = next() % frame.len();
                frame[at] = [0, 1, 0x7f, 0x80, 0xff, next() as u8][next() % 6];
            }
            if next() % 4 == 0 {
                frame.truncate(14 + next() % (frame.len() - 13));
            }
            // What is to reach the protocols has right checksums, most of the time.
            if next() % 8 != 0 {
                mend(&mut frame);
            }
            send(&net, &frame, Meta::default());
            if round % 50 == 0 {
                sleep(Duration::from_millis(next() as u64 % 300)).await;
                frames(&net);
                let waker = Waker::noop();
                let mut context = Context::from_waker(waker);
                let accept = core::pin::pin!(listener.accept());
                drop(accept.poll(&mut context));
            }
        }
        assert!(b.stats().received > 100_000);
        assert!(b.stats().sent > 10_000, "{:?}", b.stats());
    });
}

/// Makes the checksums of a frame right.
pub(super) fn mend(frame: &mut [u8]) {
    fn sum(bytes: &[u8]) -> u32 {
        bytes.chunks(2).map(|it| u32::from(it[0]) << 8 | it.get(1).map_or(0, |&b| b.into())).sum()
    }
    fn put(frame: &mut [u8], at: usize, mut sum: u32) {
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        if let Some(to) = frame.get_mut(at..at + 2) {
            to.copy_from_slice(&(!sum as u16).to_be_bytes());
        }
    }
    if frame.len() >= 34 && frame[12..15] == [8, 0, 0x45] {
        put(frame, 24, 0xffff);
        let header = sum(&frame[14..34]);
        put(frame, 24, header);
        if frame[23] == 1 {
            put(frame, 36, 0xffff);
            let body = sum(&frame[34..]);
            put(frame, 36, body);
        }
    }
    if frame.len() >= 58 && frame[12..14] == [0x86, 0xdd] && frame[20] == 58 {
        put(frame, 56, 0xffff);
        let body = sum(&frame[22..]) + 58 + (frame.len() - 54) as u32;
        put(frame, 56, body);
    }
    packet::finish(frame, false, 0);
}

#[test]
fn ones_own_frames_that_come_back_do_no_harm() {
    kernel::testing::simulate_time();
    block_on(async {
        let a = stack(Loopback::new(Options::default()), 1);
        let listener = Tcp::bind(&a, any(80)).await.unwrap();
        assert!(a.ping("10.0.0.9".parse().unwrap(), 8, SECOND).await.is_err());
        let connect = a.connect("10.0.0.9:80".parse().unwrap());
        assert!(timeout(SECOND * 3, connect).await.is_err());
        assert!(timeout(SECOND, listener.accept()).await.is_err());
    });
}
