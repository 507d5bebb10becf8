//! What frames are judged to be, and the checksums of those that are sent.

extern crate std;

use super::*;
use crate::tcp::segment::SYN;
use devices::net::Mac;
use std::vec::Vec;

const COMPLETE: Meta = Meta::new(Checksum::Complete, 0);

/// A UDP datagram over IPv4 with the payload `hi!` and padding behind it.
fn udp() -> Vec<u8> {
    let mut frame = std::vec![0; HEADER];
    frame[12..].copy_from_slice(&IPV4);
    frame.extend([0x45, 0, 0, 31, 0, 0, 0x40, 0, 64, UDP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([0x12, 0x34, 0, 53, 0, 11, 0, 0, b'h', b'i', b'!']);
    frame.resize(60, 0xaa);
    mend(&mut frame);
    frame
}

/// Makes the checksum of an IPv4 header of 20 bytes right.
fn mend(frame: &mut [u8]) {
    put(frame, HEADER + 10, 0);
    put(frame, HEADER + 10, !fold(sum(&frame[HEADER..HEADER + 20])));
}

/// To which UDP port a frame goes.
fn port(frame: &[u8], checksum: Checksum) -> Option<u16> {
    match judge(frame, Meta::new(checksum, 0)) {
        Verdict::Udp(datagram) => Some(datagram.to.port()),
        _ => None,
    }
}

/// A SYN over IPv6 without options.
fn syn() -> Vec<u8> {
    let mut frame = std::vec![0; HEADER];
    frame[12..].copy_from_slice(&IPV6);
    frame.extend([0x60, 0, 0, 0, 0, 20, TCP, 64]);
    frame.extend("fd00::1".parse::<Ipv6Addr>().unwrap().octets());
    frame.extend("fd00::2".parse::<Ipv6Addr>().unwrap().octets());
    frame.extend([0xc0, 0, 0, 80, 0, 0, 0, 7, 0, 0, 0, 0, 0x50, SYN, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}

#[test]
fn what_was_completed_verifies_and_no_changed_byte_does() {
    for mut frame in [udp(), syn()] {
        assert_eq!(finish(&mut frame, false, 0), COMPLETE);
        assert!(!matches!(judge(&frame, COMPLETE), Verdict::Corrupt | Verdict::Useless));
        let packet = Packet::parse(&frame).unwrap();
        for at in packet.transport..packet.end {
            let mut changed = frame.clone();
            changed[at] ^= 0x10;
            assert_eq!(judge(&changed, COMPLETE), Verdict::Corrupt, "byte {at}");
        }
    }
}

#[test]
fn the_checksum_is_that_of_rfc_768() {
    let mut frame = udp();
    finish(&mut frame, false, 0);
    // Not the sum of 0a00 0001 0a00 0002 0011 000b 1234 0035 000b 6869 2100.
    assert_eq!(frame[HEADER + 26..HEADER + 28], [0x50, 0x03]);
}

#[test]
fn what_a_packet_has_behind_a_datagram_is_not_the_datagrams() {
    let mut frame = udp();
    finish(&mut frame, false, 0);
    // Four bytes more of the packet, of which UDP says nothing (RFC 768).
    frame[HEADER + 3] += 4;
    mend(&mut frame);
    let Verdict::Udp(datagram) = judge(&frame, COMPLETE) else { panic!("a datagram") };
    assert_eq!(datagram.payload(&frame), b"hi!");
    frame[HEADER + 28] ^= 1;
    assert_eq!(judge(&frame, COMPLETE), Verdict::Corrupt);
}

#[test]
fn blank_leaves_the_sum_of_the_pseudo_header_n9() {
    let mut frame = udp();
    assert_eq!(finish(&mut frame, true, 0).checksum, Checksum::Blank);
    assert_eq!(frame[HEADER + 26..HEADER + 28], (0x1403_u16 + 17 + 11).to_be_bytes());
    assert_eq!(judge(&frame, COMPLETE), Verdict::Corrupt);
    assert_eq!(port(&frame, Checksum::Blank), Some(53));
    assert_eq!(port(&frame, Checksum::Verified), Some(53));
}

#[test]
fn segments_are_read_whole() {
    let mut frame = syn();
    finish(&mut frame, false, 0);
    let Verdict::Tcp(segment) = judge(&frame, COMPLETE) else { panic!("a segment") };
    assert_eq!(segment.peer, "[fd00::1]:49152".parse().unwrap());
    assert_eq!(segment.local, "[fd00::2]:80".parse().unwrap());
    assert_eq!((segment.flags, segment.seq), (SYN, Seq(7)));
    assert!(segment.read(&frame).is_some_and(|it| it.payload.is_empty()));
    frame[HEADER + 40 + 12] = 0x40;
    assert_eq!(judge(&frame, Meta::new(Checksum::Verified, 0)), Verdict::Useless);
}

#[test]
fn what_nobody_should_answer_is_useless() {
    let with = |at: usize, bytes: &[u8]| {
        let mut frame = udp();
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        mend(&mut frame);
        judge(&frame, COMPLETE)
    };
    assert!(matches!(with(0, &[]), Verdict::Udp(_)));
    for source in [[0; 4], [255; 4], [224, 0, 0, 1], [127, 0, 0, 1], [0, 1, 2, 3]] {
        assert_eq!(with(HEADER + 12, &source), Verdict::Useless);
    }
    for destination in [[0; 4], [127, 0, 0, 1]] {
        assert_eq!(with(HEADER + 16, &destination), Verdict::Useless);
    }
    // An Ethernet address that is a group's.
    assert_eq!(with(6, &[1]), Verdict::Useless);
    // IGMP, errors and questions that nobody here answers, what only IPv6 has.
    for (protocol, kind) in [(2, 0x11), (1, 4), (1, 5), (1, 13), (44, 0), (43, 0), (59, 0)] {
        let mut frame = udp();
        (frame[HEADER + 9], frame[HEADER + 20]) = (protocol, kind);
        mend(&mut frame);
        let trusted = Meta::new(Checksum::Verified, 0);
        assert_eq!(judge(&frame, trusted), Verdict::Useless, "{protocol} {kind}");
    }
    // A length beyond the frame, below the header, and another version.
    assert_eq!(with(HEADER + 2, &[1, 0]), Verdict::Useless);
    assert_eq!(with(HEADER + 2, &[0, 19]), Verdict::Useless);
    assert_eq!(with(HEADER, &[0x65]), Verdict::Useless);
    for header in 0x40..0x45 {
        assert_eq!(with(HEADER, &[header]), Verdict::Useless);
    }
    let mut spoilt = udp();
    spoilt[HEADER + 8] -= 1;
    assert_eq!(judge(&spoilt, COMPLETE), Verdict::Corrupt);
}

#[test]
fn options_that_say_the_way_or_are_broken_are_useless() {
    let with = |options: [u8; 4]| {
        let mut frame = udp();
        frame.truncate(HEADER + 31);
        frame[HEADER] = 0x46;
        frame[HEADER + 3] += 4;
        frame.splice(HEADER + 20..HEADER + 20, options);
        put(&mut frame, HEADER + 10, 0);
        let check = !fold(sum(&frame[HEADER..HEADER + 24]));
        put(&mut frame, HEADER + 10, check);
        judge(&frame, COMPLETE)
    };
    for good in [[1, 1, 1, 0], [0, 131, 0, 0], [148, 4, 0, 0], [1, 7, 3, 4]] {
        assert!(matches!(with(good), Verdict::Udp(_)), "{good:?}");
    }
    for bad in
        [[131, 3, 4, 0], [1, 137, 3, 4], [7, 0, 0, 0], [7, 1, 0, 0], [1, 7, 4, 4], [1, 1, 1, 7]]
    {
        assert_eq!(with(bad), Verdict::Useless, "{bad:?}");
    }
}

#[test]
fn short_frames_are_useless() {
    for frame in [udp(), syn()] {
        let end = Packet::parse(&frame).unwrap().end;
        for length in 0..end {
            assert_eq!(judge(&frame[..length], COMPLETE), Verdict::Useless, "{length}");
        }
    }
}

#[test]
fn arp_frames_say_who_and_whom() {
    let mac = Mac([2, 0, 0, 0, 0, 1]);
    let (own, other) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    let frame = announce_v4(mac, own);
    assert_eq!((&frame[28..32], &frame[38..]), (&own.octets()[..], &own.octets()[..]));
    let frame = request_v4(mac, own, other, None);
    assert_eq!((&frame[28..32], &frame[38..]), (&own.octets()[..], &other.octets()[..]));
}

#[test]
fn an_answer_about_a_neighbor_to_all_is_none() {
    let mut frame = crate::ndisc::announce(Mac([2, 0, 0, 0, 0, 9]), "fd00::9".parse().unwrap());
    assert!(matches!(judge(&frame, Meta::default()), Verdict::Neighbor(_)));
    frame[58] |= 0x40;
    frame[56..58].fill(0);
    finish_icmp_v6(&mut frame);
    assert_eq!(judge(&frame, Meta::default()), Verdict::Useless);
}
